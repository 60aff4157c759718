/*
 * Sending: descriptors become messages, messages go out in as few sendmmsg as the kernel allows. What cannot be
 * sent is counted and forgotten: to the protocol that is a lost frame.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "link.h"

/* How long one step may wait for room in the send buffer. */
#define ROOM_MS 1

static const uint32_t *descriptor_of(const struct kpx_link *link, uint32_t slot) {
  const uint32_t *words = (const uint32_t *)(const void *)link->area;
  return words + (size_t)(link->rx_slots + slot) * KPX_DESCRIPTOR_WORDS;
}

/* Adds message `count` with the slot's bytes; `header` of them come before the payload. */
static void add(struct kpx_link *link, uint32_t count, uint8_t *payload, uint32_t header, uint32_t length) {
  link->tx.vectors[count] = (struct iovec){.iov_base = payload - header, .iov_len = header + length};
}

static uint32_t add_ethernet(struct kpx_link *link, uint32_t count, const uint32_t *descriptor, uint32_t ports,
                             uint8_t *payload, uint32_t length, uint32_t ethertype) {
  uint8_t *header = payload - KPX_ETHERNET_HEADER;
  uint32_t destination[2] = {kpx_load(descriptor + KPX_ADDRESS), kpx_load(descriptor + KPX_ADDRESS + 1)};
  memcpy(header, destination, 6);
  memcpy(header + 6, link->mac, 6);
  header[12] = (uint8_t)(ethertype >> 8);
  header[13] = (uint8_t)ethertype;
  uint32_t added = 0;
  /* Where the link's interface is lo itself, both ports are one. */
  bool is_lo = link->lo_index == link->ifindex;
  if ((ports & KPX_PORT_WIRE) != 0 || is_lo) {
    kpx_ethernet_address(link, count, link->ifindex, ethertype);
    add(link, count, payload, KPX_ETHERNET_HEADER, length);
    added++;
  }
  if ((ports & KPX_PORT_LO) != 0 && !is_lo && link->lo_index >= 0) {
    kpx_ethernet_address(link, count + added, link->lo_index, ethertype);
    add(link, count + added, payload, KPX_ETHERNET_HEADER, length);
    added++;
  }
  return added;
}

static uint32_t add_udp(struct kpx_link *link, uint32_t count, const uint32_t *descriptor, uint8_t *payload,
                        uint32_t length) {
  uint32_t words[KPX_ADDRESS_WORDS];
  for (uint32_t i = 0; i < KPX_ADDRESS_WORDS; i++) words[i] = kpx_load(descriptor + KPX_ADDRESS + i);
  if (!kpx_udp_address(link, count, words)) return 0;
  add(link, count, payload, 0, length);
  return 1;
}

/* Returns how many messages the slot became; none: it was refused. */
static uint32_t add_slot(struct kpx_link *link, uint32_t count, uint32_t slot, const uint32_t *descriptor,
                         uint32_t ports) {
  uint8_t *payload = link->area + link->tx_at + (size_t)slot * link->stride + link->payload_at;
  uint32_t length = kpx_load(descriptor + KPX_LENGTH);
  uint32_t ethertype = link->kind == KPX_ETHERNET ? kpx_load(descriptor + KPX_PROTOCOL) & 0xFFFFu : 0;
  bool sealed = kpx_checksum_applies(link, ethertype);
  uint32_t most = sealed ? link->max_payload - link->trailer : link->max_payload;
  if (length > most) return 0;
  if (sealed && !kpx_checksum_seal(link, payload, length)) return 0;
  if (sealed) length += link->trailer;
  if (link->kind == KPX_UDP) return add_udp(link, count, descriptor, payload, length);
  return add_ethernet(link, count, descriptor, ports, payload, length, ethertype);
}

static void wait_for_room(const struct kpx_link *link, bool *waited) {
  if (*waited) return;
  *waited = true;
  struct pollfd room = {.fd = kpx_sender(link), .events = POLLOUT};
  (void)poll(&room, 1, ROOM_MS);
}

static void count_sent(struct kpx_link *link, const struct mmsghdr *headers, uint32_t count) {
  uint32_t header = link->kind == KPX_ETHERNET ? KPX_ETHERNET_HEADER : 0;
  for (uint32_t i = 0; i < count; i++) {
    const struct msghdr *message = &headers[i].msg_hdr;
    link->counters[KPX_TX_FRAMES] += message->msg_iovlen;
    if (link->kind == KPX_UDP && kpx_udp_returns(link, message->msg_name)) link->returned++;
    for (size_t j = 0; j < message->msg_iovlen; j++) link->counters[KPX_TX_BYTES] += message->msg_iov[j].iov_len - header;
  }
}

/* The route cannot take bundles: a small MTU, no checksums in hardware. */
static bool refuses_bundles(int error) {
  return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP;
}

static int flush(struct kpx_link *link, struct mmsghdr *headers, uint32_t count);

/* A refused bundle leaves as single datagrams. Where these are refused too, as on a blackhole route, it was not for being one. */
static int flush_singly(struct kpx_link *link, const struct msghdr *bundle) {
  struct mmsghdr singles[KPX_BUNDLED] = {0};
  uint32_t count = (uint32_t)bundle->msg_iovlen;
  for (uint32_t i = 0; i < count; i++)
    singles[i].msg_hdr = (struct msghdr){
        .msg_name = bundle->msg_name, .msg_namelen = bundle->msg_namelen, .msg_iov = bundle->msg_iov + i, .msg_iovlen = 1};
  uint64_t dropped = link->counters[KPX_TX_DROPPED];
  int result = flush(link, singles, count);
  if (link->counters[KPX_TX_DROPPED] == dropped) kpx_gso_refused(link, (uint32_t)bundle->msg_iov->iov_len);
  return result;
}

static int flush(struct kpx_link *link, struct mmsghdr *headers, uint32_t count) {
  bool retried = false;
  bool waited = false;
  uint32_t at = 0;
  while (at < count) {
    int sent = sendmmsg(kpx_sender(link), headers + at, count - at, MSG_DONTWAIT);
    if (sent > 0) {
      count_sent(link, headers + at, (uint32_t)sent);
      at += (uint32_t)sent;
      retried = false;
      continue;
    }
    int error = errno;
    if (error == EINTR) continue;
    if (headers[at].msg_hdr.msg_iovlen > 1 && refuses_bundles(error)) {
      int result = flush_singly(link, &headers[at].msg_hdr);
      if (result < 0) return result;
      retried = false;
      at++;
      continue;
    }
    if (!kpx_is_transient(error)) return -error;
    /* An error may be an earlier datagram's (ECONNREFUSED), and a full buffer may drain: each frame has one more
     * chance. */
    if (!retried) {
      if (error == EAGAIN || error == ENOBUFS) wait_for_room(link, &waited);
      retried = true;
      continue;
    }
    link->counters[KPX_TX_DROPPED] += headers[at].msg_hdr.msg_iovlen;
    retried = false;
    at++;
  }
  return 0;
}

static int send_all(struct kpx_link *link, uint32_t count) {
  if (link->bundles == NULL || count == 1) return flush(link, link->tx.headers, count);
  uint32_t bundles = kpx_gso_bundle(link, count);
  return flush(link, kpx_gso_headers(link), bundles);
}

int kpx_transmit(struct kpx_link *link, uint32_t ntx) {
  uint32_t count = 0;
  for (uint32_t slot = 0; slot < ntx; slot++) {
    const uint32_t *descriptor = descriptor_of(link, slot);
    uint32_t ports = kpx_load(descriptor + KPX_PORTS) & (KPX_PORT_WIRE | KPX_PORT_LO);
    if (ports == 0) continue;
    uint32_t added = add_slot(link, count, slot, descriptor, ports);
    if (added == 0) link->counters[KPX_TX_DROPPED]++;
    count += added;
  }
  return count > 0 ? send_all(link, count) : 0;
}
