/* Which network interfaces there are. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include "kpaxos.h"

#define NAME_WORD 6

static int control_socket(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

static uint32_t flags_of(unsigned flags, unsigned short type) {
  uint32_t result = 0;
  if ((flags & IFF_UP) != 0) result |= KPX_INTERFACE_UP;
  if ((flags & IFF_RUNNING) != 0) result |= KPX_INTERFACE_RUNNING;
  if ((flags & IFF_LOOPBACK) != 0) result |= KPX_INTERFACE_LOOPBACK;
  if (type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK) result |= KPX_INTERFACE_ETHERNET;
  return result;
}

static void describe(int fd, const struct ifaddrs *interface, uint32_t *words) {
  const struct sockaddr_ll *hardware = (const struct sockaddr_ll *)(const void *)interface->ifa_addr;
  struct ifreq request = {0};
  memset(words, 0, KPX_INTERFACE_WORDS * sizeof *words);
  strncpy(request.ifr_name, interface->ifa_name, IFNAMSIZ - 1);
  words[0] = (uint32_t)hardware->sll_ifindex;
  words[1] = flags_of(interface->ifa_flags, hardware->sll_hatype);
  /* One that has just vanished has MTU 0. */
  if (ioctl(fd, SIOCGIFMTU, &request) == 0) words[2] = (uint32_t)request.ifr_mtu;
  memcpy(words + 3, hardware->sll_addr, hardware->sll_halen < 6 ? hardware->sll_halen : 6);
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, interface->ifa_name, IFNAMSIZ - 1);
  memcpy(words + NAME_WORD, request.ifr_name, IFNAMSIZ);
}

int32_t kpx_interfaces(uint32_t *out, uint32_t words) {
  if (out == NULL && words > 0) return -EINVAL;
  int fd = control_socket();
  if (fd < 0) return fd;
  struct ifaddrs *all;
  if (getifaddrs(&all) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  uint32_t count = 0;
  for (const struct ifaddrs *next = all; next != NULL; next = next->ifa_next) {
    if (next->ifa_addr == NULL || next->ifa_addr->sa_family != AF_PACKET) continue;
    if (count < words / KPX_INTERFACE_WORDS) describe(fd, next, out + (size_t)count * KPX_INTERFACE_WORDS);
    count++;
  }
  freeifaddrs(all);
  close(fd);
  return (int32_t)count;
}

int32_t kpx_interface_up(const char *name, uint32_t length) {
  struct ifreq request = {0};
  if (name == NULL || length == 0 || length >= IFNAMSIZ) return -EINVAL;
  memcpy(request.ifr_name, name, length);
  int fd = control_socket();
  if (fd < 0) return fd;
  int result = ioctl(fd, SIOCGIFFLAGS, &request) < 0 ? -errno : 0;
  if (result == 0 && (request.ifr_flags & IFF_UP) == 0) {
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) result = -errno;
  }
  close(fd);
  return result;
}
