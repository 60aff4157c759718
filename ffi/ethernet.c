/*
 * Raw Ethernet: AF_PACKET sockets bound to no interface, whose filter admits the link's interface and lo. So
 * peers on the same host, whose frames a NIC never gives back, are heard by the same socket.
 *
 * With a second filter there is a second receiver. Memberships belong to the interface: the first receiver holds them
 * for both.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_ether.h>

#include "link.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static int read_hardware(struct kpx_link *link, int fd) {
  struct ifreq request = {0};
  if (if_indextoname((unsigned)link->ifindex, request.ifr_name) == NULL) return -ENODEV;
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) return -errno;
  unsigned short type = request.ifr_hwaddr.sa_family;
  if (type != ARPHRD_ETHER && type != ARPHRD_LOOPBACK) return -EPROTONOSUPPORT;
  memcpy(link->mac, request.ifr_hwaddr.sa_data, sizeof link->mac);
  memcpy(link->address, link->mac, sizeof link->mac);
  struct ifreq own = {0};
  memcpy(own.ifr_name, request.ifr_name, sizeof own.ifr_name);
  own.ifr_addr.sa_family = AF_INET;
  if (ioctl(fd, SIOCGIFADDR, &own) == 0) memcpy(link->ip, own.ifr_addr.sa_data + 2, sizeof link->ip);
  int lo = (int)if_nametoindex("lo");
  if (lo == link->ifindex || ((link->flags & KPX_FLAG_ALSO_LO) != 0 && lo != 0)) link->lo_index = lo;
  return 0;
}

static int join(const struct kpx_link *link, unsigned short type, const void *mac) {
  struct packet_mreq request = {.mr_ifindex = link->ifindex, .mr_type = type, .mr_alen = 6};
  if (mac != NULL) memcpy(request.mr_address, mac, 6);
  int result = setsockopt(kpx_sender(link), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
  return result < 0 ? -errno : 0;
}

/* The link's next receiver, with its filter, hearing nothing yet. */
static int open_receiver(struct kpx_link *link, const uint32_t *options, const uint32_t *filter, uint32_t count) {
  /* Protocol 0 hears nothing: the filter must stand before the first frame is queued. */
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct kpx_receiver *receiver = &link->receivers[link->receiver_count++];
  receiver->fd = fd;
  int result = kpx_socket_buffers(receiver, options);
  if (result == 0) result = kpx_attach_filter(fd, filter, count);
  if (result < 0) return result;
  int yes = 1;
  /* Where the kernel does not know these, frames go through the queueing discipline, and `accept` drops our own. */
  (void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
  (void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
  bool bundles = link->header > KPX_ETHERNET_HEADER;
  if (!bundles || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) == 0) return 0;
  /* A kernel that has no bundles refuses the first receiver already. What one of two has the other must have. */
  if (link->receiver_count > 1) return -errno;
  link->header = KPX_ETHERNET_HEADER;
  return 0;
}

int kpx_ethernet_sockets(struct kpx_link *link, const uint32_t *options) {
  const uint32_t *filter = options + KPX_OPTION_WORDS;
  uint32_t count = options[KPX_OPTION_FILTER_COUNT];
  uint32_t second = options[KPX_OPTION_SECOND_FILTER_COUNT];
  uint16_t flow = 0;
  /* Where there is no random number yet, bundles of links of one host are told apart by their marks alone. */
  if (getrandom(&flow, sizeof flow, GRND_NONBLOCK) == sizeof flow) link->flow = flow & 0x7FFF;
  int result = open_receiver(link, options, filter, count);
  if (result == 0 && second > 0) result = open_receiver(link, options, filter + 2 * count, second);
  return result == 0 ? read_hardware(link, kpx_sender(link)) : result;
}

int kpx_ethernet_bind(struct kpx_link *link, const uint32_t *options) {
  int result = 0;
  /* lo needs no membership: it gives back every frame. */
  if ((link->flags & KPX_FLAG_MULTICAST) != 0 && link->lo_index != link->ifindex)
    result = join(link, PACKET_MR_MULTICAST, options + KPX_OPTION_MULTICAST);
  if (result == 0 && (link->flags & KPX_FLAG_PROMISCUOUS) != 0) result = join(link, PACKET_MR_PROMISC, NULL);
  if (result < 0) return result;
  uint32_t type = options[KPX_OPTION_BIND_ETHERTYPE];
  struct sockaddr_ll any = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(type == 0 ? ETH_P_ALL : (uint16_t)type),
  };
  for (uint32_t i = 0; i < link->receiver_count; i++)
    if (bind(link->receivers[i].fd, (const struct sockaddr *)&any, sizeof any) < 0) return -errno;
  return 0;
}

bool kpx_ethernet_accept(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                         uint32_t ethertype, const struct sockaddr_ll *from) {
  int ifindex = from->sll_ifindex;
  if (from->sll_pkttype == PACKET_OUTGOING) return false;
  if (ifindex != link->ifindex && ifindex != link->lo_index) return false;
  if (cut) {
    link->counters[KPX_RX_TRUNCATED]++;
    return false;
  }
  if (kpx_checksum_applies(link, ethertype) && !kpx_checksum_admits(link, link->area + at, bytes)) return false;
  memset(descriptor, 0, KPX_DESCRIPTOR_WORDS * sizeof *descriptor);
  descriptor[KPX_OFFSET] = at;
  descriptor[KPX_LENGTH] = bytes;
  descriptor[KPX_PROTOCOL] = ethertype;
  descriptor[KPX_PORTS] = ifindex != link->ifindex ? KPX_PORT_LO : KPX_PORT_WIRE;
  memcpy(descriptor + KPX_ADDRESS, from->sll_addr, 6);
  link->counters[KPX_RX_FRAMES]++;
  link->counters[KPX_RX_BYTES] += bytes;
  return true;
}

bool kpx_ethernet_whole(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                        const struct sockaddr_ll *from) {
  bool is_short = cut || bytes < KPX_ETHERNET_HEADER;
  const uint8_t *type = link->area + at - 2;
  uint32_t ethertype = is_short ? 0 : (uint32_t)type[0] << 8 | type[1];
  return kpx_ethernet_accept(link, descriptor, at, bytes - KPX_ETHERNET_HEADER, is_short, ethertype, from);
}

void kpx_ethernet_address(struct kpx_link *link, uint32_t at, int ifindex, uint32_t ethertype, const uint32_t *words) {
  struct sockaddr_ll *name = &link->tx.names[at].ll;
  bool bundles = link->header > KPX_ETHERNET_HEADER;
  /* The kernel takes the destination from the frame, and the EtherType where it is told none: a bundle has another than its frames.
   * Here all of them tell messages apart. */
  *name = (struct sockaddr_ll){
      .sll_family = AF_PACKET,
      .sll_protocol = bundles ? 0 : htons((uint16_t)ethertype),
      .sll_ifindex = ifindex,
      .sll_hatype = (uint16_t)words[KPX_MARK - KPX_ADDRESS],
      .sll_halen = 6,
      .sll_addr = {[6] = (uint8_t)(ethertype >> 8), [7] = (uint8_t)ethertype},
  };
  memcpy(name->sll_addr, words, 6);
  link->tx.headers[at].msg_hdr.msg_namelen = sizeof *name;
}

bool kpx_bundle_only(const struct kpx_link *link, const union kpx_sockaddr *name) {
  return link->kind == KPX_ETHERNET && (name->ll.sll_hatype & KPX_MARK_BUNDLE) != 0;
}
