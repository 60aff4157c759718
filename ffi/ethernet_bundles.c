/*
 * Bundles over raw Ethernet. The kernel carries as one, and cuts where a card has to, only packets whose protocol it knows. So frames of
 * one turn with one mark and one destination leave behind an IPv4 and a UDP header, in one packet that is said to consist of
 * UDP segments (PACKET_VNET_HDR; VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2). Its address is one that nobody joins and no router forwards, so the IP
 * stacks of those that hear it drop it in silence; its destination port is the frames' EtherType. The source port tells bundles of
 * two links or marks apart where something on the way makes one of several.
 */
#include <arpa/inet.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#include "link.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* 224.0.0.254: for experiments, never forwarded (RFC 4727). */
static const uint8_t GROUP[4] = {224, 0, 0, 254};
#define IP_HEADER 20u
#define UDP_HEADER 8u
#define IP_AT (KPX_VNET_HEADER + KPX_ETHERNET_HEADER)
#define UDP_AT (IP_AT + IP_HEADER)

_Static_assert(sizeof(struct virtio_net_hdr) == KPX_VNET_HEADER, "the header before a frame has 10 bytes");
_Static_assert(UDP_AT + UDP_HEADER == KPX_WRAPPING, "a bundle's frames follow its headers");

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at) {
  return (uint32_t)at[0] << 8 | at[1];
}

/* The sum of 16-bit words that Internet checksums are made of. */
static uint32_t sum_of(const uint8_t *bytes, uint32_t length, uint32_t sum) {
  for (uint32_t i = 0; i < length; i += 2) sum += get16(bytes + i);
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum;
}

void kpx_wrap(const struct kpx_link *link, uint8_t *wrapping, const uint8_t *ethernet, uint32_t mark, uint32_t bytes,
              uint32_t size) {
  struct virtio_net_hdr offload = {
      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
      .hdr_len = KPX_WRAPPING - KPX_VNET_HEADER,
      .gso_size = (uint16_t)size,
      .csum_start = UDP_AT - KPX_VNET_HEADER,
      .csum_offset = 6,
  };
  memcpy(wrapping, &offload, sizeof offload);
  memcpy(wrapping + KPX_VNET_HEADER, ethernet, 12);
  put16(wrapping + IP_AT - 2, ETH_P_IP);
  uint8_t *ip = wrapping + IP_AT;
  uint8_t *udp = wrapping + UDP_AT;
  memset(ip, 0, IP_HEADER + UDP_HEADER);
  ip[0] = 0x45;
  put16(ip + 2, IP_HEADER + UDP_HEADER + bytes);
  ip[8] = 1;
  ip[9] = IPPROTO_UDP;
  memcpy(ip + 12, link->ip, sizeof link->ip);
  memcpy(ip + 16, GROUP, sizeof GROUP);
  put16(ip + 10, ~sum_of(ip, IP_HEADER, 0));
  put16(udp, (link->flow + mark) | 0x8000);
  memcpy(udp + 2, ethernet + 12, 2);
  put16(udp + 4, UDP_HEADER + bytes);
  /* Of the headers; the kernel or the card adds the rest. */
  put16(udp + 6, sum_of(ip + 12, 8, IPPROTO_UDP + UDP_HEADER + bytes));
}

static bool is_wrapped(const uint8_t *message, uint32_t bytes) {
  if (bytes < KPX_WRAPPING || get16(message + IP_AT - 2) != ETH_P_IP) return false;
  const uint8_t *ip = message + IP_AT;
  return ip[0] == 0x45 && ip[9] == IPPROTO_UDP && memcmp(ip + 16, GROUP, sizeof GROUP) == 0;
}

bool kpx_unwrap(const uint8_t *message, uint32_t bytes, struct kpx_content *content) {
  if (bytes < IP_AT) return false;
  *content = (struct kpx_content){.at = IP_AT, .bytes = bytes - IP_AT, .ethertype = get16(message + IP_AT - 2)};
  content->size = content->bytes;
  if (!is_wrapped(message, bytes)) return true;
  struct virtio_net_hdr offload;
  memcpy(&offload, message, sizeof offload);
  content->at = KPX_WRAPPING;
  content->bytes = bytes - KPX_WRAPPING;
  content->ethertype = get16(message + UDP_AT + 2);
  bool is_cut = offload.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 && offload.gso_size > 0;
  content->size = is_cut && offload.gso_size < content->bytes ? offload.gso_size : content->bytes;
  return true;
}
