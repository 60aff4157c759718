/*
 * IP multicast for a UDP link. The groups it may hear are eight addresses side by side, one for each bit of a set, with one port; it
 * joins those of its set, through a second socket. It sends to any of them through the first one, so that what it says comes from
 * its own address. Nothing leaves the local network: the time to live stays 1.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "link.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

static int set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* The address this host has on the way to another, by its routes; nothing is sent. */
static int own_address(const union kpx_sockaddr *toward, socklen_t length, union kpx_sockaddr *own) {
  int fd = socket(toward->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  socklen_t size = sizeof *own;
  int result = connect(fd, &toward->any, length) < 0 || getsockname(fd, &own->any, &size) < 0 ? -errno : 0;
  close(fd);
  return result;
}

static bool same_host(const struct sockaddr *one, const union kpx_sockaddr *other) {
  if (one == NULL || one->sa_family != other->any.sa_family) return false;
  if (one->sa_family == AF_INET) return ((const struct sockaddr_in *)(const void *)one)->sin_addr.s_addr == other->v4.sin_addr.s_addr;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)one;
  if (memcmp(&v6->sin6_addr, &other->v6.sin6_addr, sizeof v6->sin6_addr) != 0) return false;
  return other->v6.sin6_scope_id == 0 || v6->sin6_scope_id == other->v6.sin6_scope_id;
}

static int interface_with(const union kpx_sockaddr *address) {
  struct ifaddrs *all;
  int found = -ENODEV;
  if (getifaddrs(&all) < 0) return -errno;
  for (const struct ifaddrs *next = all; next != NULL; next = next->ifa_next) {
    if (!same_host(next->ifa_addr, address)) continue;
    found = (int)if_nametoindex(next->ifa_name);
    break;
  }
  freeifaddrs(all);
  return found == 0 ? -ENODEV : found;
}

static int join(int fd, const union kpx_sockaddr *first, unsigned char at, int ifindex) {
  int result;
  if (first->any.sa_family == AF_INET) {
    struct ip_mreqn request = {.imr_multiaddr = first->v4.sin_addr, .imr_ifindex = ifindex};
    ((unsigned char *)&request.imr_multiaddr)[3] += at;
    result = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
  } else {
    struct ipv6_mreq request = {.ipv6mr_multiaddr = first->v6.sin6_addr, .ipv6mr_interface = (unsigned)ifindex};
    request.ipv6mr_multiaddr.s6_addr[15] += at;
    result = setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
  }
  return result < 0 ? -errno : 0;
}

/* Hears what comes to the groups it joins itself, not to those of every socket of this host; the port may be that of others, too. */
static int prepare(int fd, int family) {
  int result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (result < 0) return result;
  if (family == AF_INET) return set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
  result = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return result < 0 ? result : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
}

/* A socket that is bound to no address speaks from `own`, as it does to single hosts. */
static int send_through(int fd, const union kpx_sockaddr *own, int ifindex) {
  if (own->any.sa_family == AF_INET6) return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, ifindex);
  struct ip_mreqn request = {.imr_address = own->v4.sin_addr, .imr_ifindex = ifindex};
  return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) < 0 ? -errno : 0;
}

int kpx_udp_groups(struct kpx_link *link, const uint32_t *options) {
  union kpx_sockaddr first, toward, own;
  int family = kpx_udp_family(options + KPX_OPTION_MULTICAST);
  socklen_t length = kpx_udp_name(family, options + KPX_OPTION_MULTICAST, &first);
  socklen_t toward_length = kpx_udp_name(family, options + KPX_OPTION_TOWARD, &toward);
  if (length == 0 || toward_length == 0) return -EINVAL;
  int result = own_address(&toward, toward_length, &own);
  int ifindex = result < 0 ? result : interface_with(&own);
  if (ifindex < 0) return ifindex;
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct kpx_receiver *receiver = &link->receivers[link->receiver_count++];
  receiver->fd = fd;
  result = prepare(fd, family);
  if (result == 0) result = kpx_socket_buffers(receiver, options);
  if (result == 0) result = kpx_attach_filter(fd, options + KPX_OPTION_WORDS, options[KPX_OPTION_FILTER_COUNT]);
  for (unsigned char at = 0; at < KPX_GROUPS && result == 0; at++)
    if ((options[KPX_OPTION_GROUPS] & 1u << at) != 0) result = join(fd, &first, at, ifindex);
  if (result == 0) result = send_through(kpx_sender(link), &own, ifindex);
  if (result < 0) return result;
  /* Not by an initializer: that is for a union's first member, which is shorter than an IPv6 address. */
  union kpx_sockaddr any;
  memset(&any, 0, sizeof any);
  any.any.sa_family = (sa_family_t)family;
  if (family == AF_INET) any.v4.sin_port = first.v4.sin_port;
  else any.v6.sin6_port = first.v6.sin6_port;
  link->ifindex = ifindex;
  if (options[KPX_OPTION_FILTER_COUNT] > 0) link->returning = options[KPX_OPTION_GROUPS];
  return bind(fd, &any.any, length) < 0 ? -errno : 0;
}

bool kpx_udp_returns(const struct kpx_link *link, const union kpx_sockaddr *to) {
  if (link->returning == 0) return false;
  if (to->any.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&to->v6.sin6_addr)) {
    const uint8_t *bytes = to->v6.sin6_addr.s6_addr;
    return bytes[0] == 0xFF && (link->returning & 1u << bytes[15] % KPX_GROUPS) != 0;
  }
  const uint8_t *bytes = to->any.sa_family == AF_INET ? (const uint8_t *)&to->v4.sin_addr : to->v6.sin6_addr.s6_addr + 12;
  return bytes[0] >> 4 == 14 && (link->returning & 1u << bytes[3] % KPX_GROUPS) != 0;
}
