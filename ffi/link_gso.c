/*
 * Bundles: datagrams of one turn to one destination leave in one message, which the kernel cuts into them again where they are
 * received or leave the host (UDP_SEGMENT, Linux 4.18). All but the last of a bundle are equally long. Where a route refuses
 * one, as longer than its packets, the link makes none of datagrams of that length any more.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* What one IP packet carries, with room for its headers. */
#define MOST_BYTES 65000u
/* A datagram joins the last bundle to its destination; so many bundles back it is looked for. */
#define LOOK_BACK 16u

union control {
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
  struct cmsghdr aligned;
};

struct bundle {
  uint32_t datagrams;
  uint32_t bytes;
  uint32_t size; /* of each datagram but the last */
  bool closed;   /* its last one is shorter */
  uint32_t first; /* message whose address it has */
  uint32_t at; /* of its next vector */
};

struct kpx_bundles {
  struct mmsghdr *headers;
  struct iovec *vectors;
  union control *controls;
  struct bundle *bundles;
  uint32_t *of; /* message → bundle */
  uint32_t longest; /* datagram that none was refused of */
};

int kpx_gso_open(struct kpx_link *link) {
  int segment;
  socklen_t length = sizeof segment;
  if (link->kind != KPX_UDP || (link->flags & KPX_FLAG_OFFLOAD) == 0) return 0;
  /* Asked, not set: gVisor lets unknown options be set, and would send a bundle as one datagram. */
  if (getsockopt(kpx_sender(link), SOL_UDP, UDP_SEGMENT, &segment, &length) < 0) return 0;
  struct kpx_bundles *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  uint32_t most = link->tx_slots;
  link->bundles = made;
  made->longest = MOST_BYTES;
  made->headers = calloc(most, sizeof *made->headers);
  made->vectors = calloc(most, sizeof *made->vectors);
  made->controls = calloc(most, sizeof *made->controls);
  made->bundles = calloc(most, sizeof *made->bundles);
  made->of = calloc(most, sizeof *made->of);
  bool messages = made->headers != NULL && made->vectors != NULL && made->controls != NULL;
  return messages && made->bundles != NULL && made->of != NULL ? 0 : -ENOMEM;
}

void kpx_gso_close(struct kpx_link *link) {
  struct kpx_bundles *made = link->bundles;
  if (made == NULL) return;
  free(made->headers);
  free(made->vectors);
  free(made->controls);
  free(made->bundles);
  free(made->of);
  free(made);
  link->bundles = NULL;
}

static bool same_destination(const struct kpx_link *link, uint32_t a, uint32_t b) {
  socklen_t length = link->tx.headers[a].msg_hdr.msg_namelen;
  if (length != link->tx.headers[b].msg_hdr.msg_namelen) return false;
  return memcmp(&link->tx.names[a], &link->tx.names[b], length) == 0;
}

/* The bundle that message `i` joins; `count`: a new one. */
static uint32_t find(const struct kpx_link *link, uint32_t i, uint32_t count) {
  const struct bundle *bundles = link->bundles->bundles;
  uint32_t longest = link->bundles->longest;
  uint32_t length = (uint32_t)link->tx.vectors[i].iov_len;
  for (uint32_t b = count; b > 0 && b + LOOK_BACK > count; b--) {
    const struct bundle *bundle = &bundles[b - 1];
    if (!same_destination(link, bundle->first, i)) continue;
    bool follows = !bundle->closed && length > 0 && length <= bundle->size && bundle->size <= longest;
    bool fits = follows && bundle->datagrams < KPX_BUNDLED && bundle->bytes + length <= MOST_BYTES;
    /* Never an earlier one: what goes to one destination stays in order. */
    return fits ? b - 1 : count;
  }
  return count;
}

static void address(struct kpx_link *link, uint32_t b) {
  struct kpx_bundles *made = link->bundles;
  struct bundle *bundle = &made->bundles[b];
  struct msghdr *header = &made->headers[b].msg_hdr;
  *header = link->tx.headers[bundle->first].msg_hdr;
  header->msg_iov = &made->vectors[bundle->at];
  header->msg_iovlen = bundle->datagrams;
  if (bundle->datagrams == 1) return;
  header->msg_control = &made->controls[b];
  header->msg_controllen = sizeof made->controls[b];
  struct cmsghdr *control = CMSG_FIRSTHDR(header);
  control->cmsg_level = SOL_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  uint16_t size = (uint16_t)bundle->size;
  memcpy(CMSG_DATA(control), &size, sizeof size);
}

uint32_t kpx_gso_bundle(struct kpx_link *link, uint32_t messages) {
  struct kpx_bundles *made = link->bundles;
  uint32_t count = 0;
  for (uint32_t i = 0; i < messages; i++) {
    uint32_t length = (uint32_t)link->tx.vectors[i].iov_len;
    uint32_t b = find(link, i, count);
    struct bundle *bundle = &made->bundles[b];
    if (b == count) {
      *bundle = (struct bundle){.size = length, .first = i};
      count++;
    }
    bundle->datagrams++;
    bundle->bytes += length;
    bundle->closed = length < bundle->size;
    made->of[i] = b;
  }
  uint32_t at = 0;
  for (uint32_t b = 0; b < count; b++) {
    made->bundles[b].at = at;
    address(link, b);
    at += made->bundles[b].datagrams;
  }
  for (uint32_t i = 0; i < messages; i++) made->vectors[made->bundles[made->of[i]].at++] = link->tx.vectors[i];
  return count;
}

struct mmsghdr *kpx_gso_headers(const struct kpx_link *link) {
  return link->bundles->headers;
}

void kpx_gso_refused(struct kpx_link *link, uint32_t length) {
  if (length <= link->bundles->longest) link->bundles->longest = length - 1;
}
