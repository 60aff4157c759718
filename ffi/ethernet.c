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
  return 0;
}

int kpx_ethernet_sockets(struct kpx_link *link, const uint32_t *options) {
  const uint32_t *filter = options + KPX_OPTION_WORDS;
  uint32_t count = options[KPX_OPTION_FILTER_COUNT];
  uint32_t second = options[KPX_OPTION_SECOND_FILTER_COUNT];
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
                         const struct sockaddr_ll *from) {
  int ifindex = from->sll_ifindex;
  if (from->sll_pkttype == PACKET_OUTGOING) return false;
  if (ifindex != link->ifindex && ifindex != link->lo_index) return false;
  if (cut || bytes < KPX_ETHERNET_HEADER) {
    link->counters[KPX_RX_TRUNCATED]++;
    return false;
  }
  const uint8_t *frame = link->area + at;
  uint32_t length = bytes - KPX_ETHERNET_HEADER;
  uint32_t ethertype = (uint32_t)frame[12] << 8 | frame[13];
  if (kpx_checksum_applies(link, ethertype) && !kpx_checksum_admits(link, frame + KPX_ETHERNET_HEADER, length)) return false;
  memset(descriptor, 0, KPX_DESCRIPTOR_WORDS * sizeof *descriptor);
  descriptor[KPX_OFFSET] = at + KPX_ETHERNET_HEADER;
  descriptor[KPX_LENGTH] = length;
  descriptor[KPX_PROTOCOL] = ethertype;
  descriptor[KPX_PORTS] = ifindex != link->ifindex ? KPX_PORT_LO : KPX_PORT_WIRE;
  memcpy(descriptor + KPX_ADDRESS, frame + 6, 6);
  link->counters[KPX_RX_FRAMES]++;
  link->counters[KPX_RX_BYTES] += length;
  return true;
}

void kpx_ethernet_address(struct kpx_link *link, uint32_t at, int ifindex, uint32_t ethertype) {
  link->tx.names[at].ll = (struct sockaddr_ll){
      .sll_family = AF_PACKET,
      .sll_protocol = htons((uint16_t)ethertype),
      .sll_ifindex = ifindex,
      .sll_halen = 6,
  };
  link->tx.headers[at].msg_hdr.msg_namelen = sizeof(struct sockaddr_ll);
}
