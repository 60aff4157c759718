/*
 * Receiving without waiting: recvmmsg, or the rings, into the rx slots. A link may have several receivers (link.h): the
 * first is read before the next, so that its frames lead the batch, and the next has what is left of the slots: of
 * two or more at least an eighth, rounded down, and never less than one; a single one only when the first has no frame.
 * After a sleep only those are read that ended it.
 */
#include <errno.h>
#include <sys/uio.h>

#include "link.h"

static bool accept_message(struct kpx_link *link, uint32_t slot, uint32_t *descriptor) {
  const struct mmsghdr *header = &link->rx.headers[slot];
  uint32_t at = link->rx_at + slot * link->stride + link->payload_at;
  bool cut = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
  if (link->kind == KPX_UDP) return kpx_udp_accept(link, descriptor, at, header->msg_len, cut, &link->rx.names[slot]);
  return kpx_ethernet_whole(link, descriptor, at, header->msg_len, cut, &link->rx.names[slot].ll);
}

int kpx_recvmmsg(int fd, struct mmsghdr *messages, uint32_t count) {
  int received = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
  /* A socket's stored error comes instead of frames, once. */
  if (received < 0 && errno != EAGAIN && errno != EINTR && kpx_is_transient(errno))
    received = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
  if (received < 0) return kpx_is_transient(errno) ? 0 : -errno;
  return received;
}

int kpx_take(struct kpx_link *link, uint32_t at, struct mmsghdr *messages, uint32_t count) {
  if (link->receivers[at].ring.at != NULL) return kpx_rxring_take(link, at, messages, count);
  return kpx_recvmmsg(link->receivers[at].fd, messages, count);
}

/* A frame that is refused leaves its slot unused, not its descriptor. */
static uint32_t describe_messages(struct kpx_link *link, uint32_t first, uint32_t received, uint32_t kept) {
  uint32_t *words = (uint32_t *)(void *)link->area;
  for (uint32_t slot = first; slot < first + received; slot++) {
    if (accept_message(link, slot, words + (size_t)kept * KPX_DESCRIPTOR_WORDS)) kept++;
    link->rx.headers[slot].msg_hdr.msg_namelen = sizeof link->rx.names[slot];
  }
  return kept;
}

/*
 * Up to where receiver `at` may fill `max` slots: an eighth, one at least, is the next one's if that is read too. One slot
 * cannot be shared.
 */
uint32_t kpx_limit_of(const struct kpx_link *link, uint32_t at, uint32_t max, uint32_t receivers) {
  bool is_last = at + 1 == link->receiver_count || (receivers & 1u << (at + 1)) == 0;
  return is_last || max < 2 ? max : max - (max < 8 ? 1 : max / 8);
}

int kpx_receive(struct kpx_link *link, uint32_t max, uint32_t receivers) {
  uint32_t slot = 0;
  uint32_t kept = 0;
  if (link->gro != NULL) {
    int received = kpx_gro_receive(link, max, receivers);
    link->looked = received == 0;
    return received;
  }
  for (uint32_t i = 0; i < link->receiver_count && slot < max; i++) {
    uint32_t limit = kpx_limit_of(link, i, max, receivers);
    if ((receivers & 1u << i) == 0) continue;
    int received = kpx_take(link, i, link->rx.headers + slot, limit - slot);
    if (received < 0) return received;
    kept = describe_messages(link, slot, (uint32_t)received, kept);
    slot += (uint32_t)received;
  }
  link->looked = slot == 0;
  return (int)kept;
}
