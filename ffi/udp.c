/* UDP: the socket, addresses as src/net/link.ts lays them out (IPv4 as ::ffff:a.b.c.d, the port in host order). */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "link.h"

#define MAPPED 0xFFFF0000u /* bytes 00 00 ff ff, the third word of an IPv4-mapped address */
#define PORT_WORD 4
#define SCOPE_WORD 5

int kpx_udp_family(const uint32_t *words) {
  return words[0] == 0 && words[1] == 0 && words[2] == MAPPED ? AF_INET : AF_INET6;
}

socklen_t kpx_udp_name(int family, const uint32_t *words, union kpx_sockaddr *name) {
  if (words[PORT_WORD] > 0xFFFF) return 0;
  in_port_t port = htons((uint16_t)words[PORT_WORD]);
  memset(name, 0, sizeof *name);
  if (family == AF_INET) {
    if (kpx_udp_family(words) != AF_INET) return 0;
    name->v4.sin_family = AF_INET;
    name->v4.sin_port = port;
    name->v4.sin_addr.s_addr = words[3];
    return sizeof name->v4;
  }
  name->v6.sin6_family = AF_INET6;
  name->v6.sin6_port = port;
  memcpy(&name->v6.sin6_addr, words, 16);
  name->v6.sin6_scope_id = words[SCOPE_WORD];
  return sizeof name->v6;
}

static void to_words(const union kpx_sockaddr *name, uint32_t *words) {
  if (name->any.sa_family == AF_INET) {
    words[0] = 0;
    words[1] = 0;
    words[2] = MAPPED;
    words[3] = name->v4.sin_addr.s_addr;
    words[PORT_WORD] = ntohs(name->v4.sin_port);
    words[SCOPE_WORD] = 0;
    return;
  }
  memcpy(words, &name->v6.sin6_addr, 16);
  words[PORT_WORD] = ntohs(name->v6.sin6_port);
  words[SCOPE_WORD] = name->v6.sin6_scope_id;
}

int kpx_udp_socket(struct kpx_link *link, const uint32_t *options) {
  int fd = socket(link->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  link->receivers[0].fd = fd;
  link->receiver_count = 1;
  if (link->family == AF_INET6) {
    int only = (link->flags & KPX_FLAG_DUAL_STACK) == 0;
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0) return -errno;
  }
  int result = kpx_socket_buffers(&link->receivers[0], options);
  if (result < 0) return result;
  union kpx_sockaddr name;
  socklen_t length = kpx_udp_name(link->family, options + KPX_OPTION_ADDRESS, &name);
  if (length == 0) return -EINVAL;
  if (bind(fd, (const struct sockaddr *)&name, length) < 0) return -errno;
  length = sizeof name;
  if (getsockname(fd, (struct sockaddr *)&name, &length) < 0) return -errno;
  to_words(&name, link->address);
  return (link->flags & KPX_FLAG_MULTICAST) != 0 ? kpx_udp_groups(link, options) : 0;
}

bool kpx_udp_accept(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                    const union kpx_sockaddr *from) {
  if (cut) {
    link->counters[KPX_RX_TRUNCATED]++;
    return false;
  }
  if (kpx_checksum_applies(link, 0) && !kpx_checksum_admits(link, link->area + at, bytes)) return false;
  memset(descriptor, 0, KPX_DESCRIPTOR_WORDS * sizeof *descriptor);
  descriptor[KPX_OFFSET] = at;
  descriptor[KPX_LENGTH] = bytes;
  descriptor[KPX_PORTS] = KPX_PORT_WIRE;
  to_words(from, descriptor + KPX_ADDRESS);
  link->counters[KPX_RX_FRAMES]++;
  link->counters[KPX_RX_BYTES] += bytes;
  return true;
}

bool kpx_udp_address(struct kpx_link *link, uint32_t at, const uint32_t *words) {
  socklen_t length = kpx_udp_name(link->family, words, &link->tx.names[at]);
  link->tx.headers[at].msg_hdr.msg_namelen = length;
  return length != 0 && words[PORT_WORD] != 0;
}
