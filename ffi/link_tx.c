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

/* Adds message `count` with the slot's bytes, and the headers that precede its payload. */
static void add(struct kpx_link *link, uint32_t count, uint8_t *payload, uint32_t length) {
  link->tx.vectors[count] = (struct iovec){.iov_base = payload - link->header, .iov_len = link->header + length};
}

static uint32_t add_ethernet(struct kpx_link *link, uint32_t count, const uint32_t *descriptor, uint32_t ports,
                             uint8_t *payload, uint32_t length, uint32_t ethertype) {
  uint8_t *header = payload - KPX_ETHERNET_HEADER;
  uint32_t words[KPX_MARK - KPX_ADDRESS + 1];
  for (uint32_t i = 0; i <= KPX_MARK - KPX_ADDRESS; i++) words[i] = kpx_load(descriptor + KPX_ADDRESS + i);
  bool bundle_only = (words[KPX_MARK - KPX_ADDRESS] & KPX_MARK_BUNDLE) != 0;
  if (bundle_only && link->bundles == NULL) return 0;
  /* The virtio header of a single frame is all zeros. */
  memset(payload - link->header, 0, link->header);
  memcpy(header, words, 6);
  memcpy(header + 6, link->mac, 6);
  header[12] = (uint8_t)(ethertype >> 8);
  header[13] = (uint8_t)ethertype;
  uint32_t added = 0;
  /* Where the link's interface is lo itself, both ports are one. */
  bool is_lo = link->lo_index == link->ifindex;
  if ((ports & KPX_PORT_WIRE) != 0 || is_lo) {
    kpx_ethernet_address(link, count, link->ifindex, ethertype, words);
    add(link, count, payload, length);
    added++;
  }
  if ((ports & KPX_PORT_LO) != 0 && !is_lo && link->lo_index >= 0) {
    kpx_ethernet_address(link, count + added, link->lo_index, ethertype, words);
    add(link, count + added, payload, length);
    added++;
  }
  return added;
}

static uint32_t add_udp(struct kpx_link *link, uint32_t count, const uint32_t *descriptor, uint8_t *payload,
                        uint32_t length) {
  uint32_t words[KPX_ADDRESS_WORDS];
  for (uint32_t i = 0; i < KPX_ADDRESS_WORDS; i++) words[i] = kpx_load(descriptor + KPX_ADDRESS + i);
  if (!kpx_udp_address(link, count, words)) return 0;
  add(link, count, payload, length);
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
  for (uint32_t i = 0; i < count; i++) {
    const struct msghdr *message = &headers[i].msg_hdr;
    size_t first = kpx_first_frame(link, message);
    uint32_t header = message->msg_iovlen > 1 ? 0 : link->header;
    link->counters[KPX_TX_FRAMES] += message->msg_iovlen - first;
    if (link->kind == KPX_UDP && kpx_udp_returns(link, message->msg_name)) link->returned++;
    for (size_t j = first; j < message->msg_iovlen; j++) link->counters[KPX_TX_BYTES] += message->msg_iov[j].iov_len - header;
  }
}

/* The route cannot take bundles: a small MTU, no checksums in hardware, a kernel that knows none. */
static bool refuses_bundles(int error) {
  return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP;
}

static int flush(struct kpx_link *link, struct mmsghdr *headers, uint32_t count);

/* A refused bundle leaves as single frames. Where these are refused too, as on a blackhole route, it was not for being one. Over Ethernet
 * it is for the caller to find out where bundles get through: one that was to leave in a bundle only is no loss. */
static int flush_singly(struct kpx_link *link, const struct msghdr *bundle) {
  struct mmsghdr singles[KPX_BUNDLED] = {0};
  struct iovec vectors[KPX_BUNDLED];
  if (kpx_bundle_only(link, bundle->msg_name)) return 0;
  size_t first = kpx_first_frame(link, bundle);
  uint32_t count = (uint32_t)(bundle->msg_iovlen - first);
  uint32_t length = (uint32_t)bundle->msg_iov[first].iov_len;
  for (uint32_t i = 0; i < count; i++) {
    const struct iovec *frame = &bundle->msg_iov[first + i];
    /* In its slot the headers of a frame precede it. */
    vectors[i] = (struct iovec){.iov_base = (uint8_t *)frame->iov_base - link->header, .iov_len = frame->iov_len + link->header};
    singles[i].msg_hdr = (struct msghdr){
        .msg_name = bundle->msg_name, .msg_namelen = bundle->msg_namelen, .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  uint64_t dropped = link->counters[KPX_TX_DROPPED];
  int result = flush(link, singles, count);
  if (link->kind == KPX_UDP && link->counters[KPX_TX_DROPPED] == dropped) kpx_gso_refused(link, length);
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
    bool bundled = headers[at].msg_hdr.msg_iovlen > 1;
    /* Past the queueing discipline the kernel drops, as if the card were full, what the card cannot cut itself. */
    bool uncut = retried && link->kind == KPX_ETHERNET && error == ENOBUFS;
    if (bundled && (uncut || refuses_bundles(error))) {
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
    link->counters[KPX_TX_DROPPED] += headers[at].msg_hdr.msg_iovlen - kpx_first_frame(link, &headers[at].msg_hdr);
    retried = false;
    at++;
  }
  return 0;
}

static int send_all(struct kpx_link *link, uint32_t count) {
  bool alone = count == 1 && !kpx_bundle_only(link, &link->tx.names[0]);
  if (link->bundles == NULL || alone) return flush(link, link->tx.headers, count);
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
