/* What raw and UDP sockets have in common: buffers, filters, and which errors matter. */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "link.h"

static int set(int fd, int option, uint32_t value) {
  int number = value > INT32_MAX / 2 ? INT32_MAX / 2 : (int)value;
  return setsockopt(fd, SOL_SOCKET, option, &number, sizeof number) < 0 ? -errno : 0;
}

int kpx_socket_buffers(struct kpx_receiver *receiver, const uint32_t *options) {
  int fd = receiver->fd;
  uint32_t receive = options[KPX_OPTION_RECEIVE_BUFFER];
  uint32_t send = options[KPX_OPTION_SEND_BUFFER];
  int result = 0;
  /* The forced form goes above the system's limit; without CAP_NET_ADMIN the plain one takes what it may. */
  if (receive > 0 && set(fd, SO_RCVBUFFORCE, receive) < 0) result = set(fd, SO_RCVBUF, receive);
  if (result == 0 && send > 0 && set(fd, SO_SNDBUFFORCE, send) < 0) result = set(fd, SO_SNDBUF, send);
  if (result < 0) return result;
  int granted = 0;
  socklen_t length = sizeof granted;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length) < 0) return -errno;
  receiver->buffer = (uint32_t)granted;
  return 0;
}

int kpx_attach_filter(int fd, const uint32_t *instructions, uint32_t count) {
  if (count == 0) return 0;
  struct sock_filter program[KPX_MAX_FILTER];
  memcpy(program, instructions, (size_t)count * sizeof *program);
  struct sock_fprog filter = {.len = (unsigned short)count, .filter = program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

bool kpx_is_transient(int error) {
  return error != EBADF && error != ENOTSOCK && error != EFAULT && error != EOPNOTSUPP;
}
