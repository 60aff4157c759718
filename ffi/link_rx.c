/* Receiving without waiting: recvmmsg into the rx slots, or the ring. */
#include <errno.h>
#include <sys/uio.h>

#include "link.h"

static bool accept_message(struct kpx_link *link, uint32_t slot, uint32_t *descriptor) {
  const struct mmsghdr *header = &link->rx.headers[slot];
  uint32_t at = link->rx_at + slot * link->stride + link->payload_at;
  bool cut = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
  if (link->kind == KPX_UDP) return kpx_udp_accept(link, descriptor, at, header->msg_len, cut, &link->rx.names[slot]);
  at -= KPX_ETHERNET_HEADER;
  return kpx_ethernet_accept(link, descriptor, at, header->msg_len, cut, &link->rx.names[slot].ll);
}

static int receive_messages(struct kpx_link *link, uint32_t max) {
  int received = recvmmsg(link->fd, link->rx.headers, max, MSG_DONTWAIT, NULL);
  /* A socket's stored error comes instead of frames, once. */
  if (received < 0 && errno != EAGAIN && errno != EINTR && kpx_is_transient(errno))
    received = recvmmsg(link->fd, link->rx.headers, max, MSG_DONTWAIT, NULL);
  if (received < 0) return kpx_is_transient(errno) ? 0 : -errno;
  uint32_t *words = (uint32_t *)(void *)link->area;
  uint32_t kept = 0;
  for (uint32_t slot = 0; slot < (uint32_t)received; slot++) {
    if (accept_message(link, slot, words + (size_t)kept * KPX_DESCRIPTOR_WORDS)) kept++;
    link->rx.headers[slot].msg_hdr.msg_namelen = sizeof link->rx.names[slot];
  }
  return (int)kept;
}

int kpx_receive(struct kpx_link *link, uint32_t max) {
  return link->ring.frames != 0 ? kpx_rxring_receive(link, max) : receive_messages(link, max);
}
