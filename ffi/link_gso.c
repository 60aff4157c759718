/*
 * Bundles: datagrams of one turn to one destination leave in one message, which the kernel cuts into them again where they are
 * received or leave the host (UDP_SEGMENT, Linux 4.18). All but the last of a bundle are equally long. Where a route refuses
 * one, as longer than its packets, the link makes none of datagrams of that length for a second: an MTU may be put back.
 *
 * Over Ethernet it is the same with frames that have a mark; a bundle's first vector has its headers then (ethernet_bundles.c).
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "link.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* What one IP packet carries, with room for its headers. */
#define MOST_BYTES 65000u
/* A datagram joins the last bundle to its destination; so many bundles back it is looked for. */
#define LOOK_BACK 16u
/* What was refused is tried again so much later: where it still is, that costs a few system calls. */
#define AGAIN_S 1

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
  uint32_t skipped; /* headers of its frames that do not go with them */
};

struct kpx_bundles {
  struct mmsghdr *headers;
  struct iovec *vectors;
  union control *controls; /* UDP */
  uint8_t (*wrappings)[KPX_WRAPPING]; /* Ethernet */
  struct bundle *bundles;
  uint32_t *of; /* message → bundle */
  uint32_t longest; /* datagram that none was refused of lately */
  time_t refused_s; /* when one was; 0: none */
};

/* The kernel has bundles for this link. */
static bool can_bundle(const struct kpx_link *link) {
  int segment;
  socklen_t length = sizeof segment;
  if (link->kind == KPX_ETHERNET) return link->header > KPX_ETHERNET_HEADER && link->max_payload > KPX_BUNDLE_HEADERS;
  /* Asked, not set: gVisor lets unknown options be set, and would send a bundle as one datagram. */
  return (link->flags & KPX_FLAG_OFFLOAD) != 0 && getsockopt(kpx_sender(link), SOL_UDP, UDP_SEGMENT, &segment, &length) == 0;
}

int kpx_gso_open(struct kpx_link *link) {
  if (!can_bundle(link)) return 0;
  struct kpx_bundles *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  uint32_t most = link->tx_messages;
  bool wraps = link->kind == KPX_ETHERNET;
  link->bundles = made;
  made->longest = wraps ? link->max_payload - KPX_BUNDLE_HEADERS : MOST_BYTES;
  made->headers = calloc(most, sizeof *made->headers);
  made->vectors = calloc(wraps ? (size_t)most * 2 : most, sizeof *made->vectors);
  if (wraps) made->wrappings = calloc(most, sizeof *made->wrappings);
  else made->controls = calloc(most, sizeof *made->controls);
  made->bundles = calloc(most, sizeof *made->bundles);
  made->of = calloc(most, sizeof *made->of);
  bool messages = made->headers != NULL && made->vectors != NULL && (made->wrappings != NULL || made->controls != NULL);
  return messages && made->bundles != NULL && made->of != NULL ? 0 : -ENOMEM;
}

uint32_t kpx_bundle_payload(const struct kpx_link *link) {
  bool is_so = link->kind == KPX_ETHERNET && link->bundles != NULL;
  return is_so ? link->max_payload - KPX_BUNDLE_HEADERS : 0;
}

void kpx_gso_close(struct kpx_link *link) {
  struct kpx_bundles *made = link->bundles;
  if (made == NULL) return;
  free(made->headers);
  free(made->vectors);
  free(made->controls);
  free(made->wrappings);
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

/* Of a message's payload. */
static uint32_t length_of(const struct kpx_link *link, uint32_t i) {
  return (uint32_t)link->tx.vectors[i].iov_len - link->header;
}

static time_t now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

/* The bundle that message `i` joins; `count`: a new one. */
static uint32_t find(const struct kpx_link *link, uint32_t i, uint32_t count) {
  const struct bundle *bundles = link->bundles->bundles;
  uint32_t longest = link->bundles->longest;
  uint32_t length = length_of(link, i);
  if (link->kind == KPX_ETHERNET && link->tx.names[i].ll.sll_hatype == 0) return count;
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

static void add_control(struct kpx_link *link, uint32_t b, struct msghdr *header) {
  struct kpx_bundles *made = link->bundles;
  header->msg_control = &made->controls[b];
  header->msg_controllen = sizeof made->controls[b];
  struct cmsghdr *control = CMSG_FIRSTHDR(header);
  control->cmsg_level = SOL_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  uint16_t size = (uint16_t)made->bundles[b].size;
  memcpy(CMSG_DATA(control), &size, sizeof size);
}

static bool is_wrapped(const struct kpx_link *link, const struct bundle *bundle) {
  if (link->kind != KPX_ETHERNET) return false;
  return bundle->datagrams > 1 || kpx_bundle_only(link, &link->tx.names[bundle->first]);
}

/* Addresses bundle `b`, whose vectors begin at `at`; returns where those of its datagrams do. */
static uint32_t address(struct kpx_link *link, uint32_t b, uint32_t at) {
  struct kpx_bundles *made = link->bundles;
  struct bundle *bundle = &made->bundles[b];
  struct msghdr *header = &made->headers[b].msg_hdr;
  bool wrapped = is_wrapped(link, bundle);
  *header = link->tx.headers[bundle->first].msg_hdr;
  header->msg_iov = &made->vectors[at];
  header->msg_iovlen = bundle->datagrams + (wrapped ? 1 : 0);
  bundle->skipped = wrapped ? link->header : 0;
  if (!wrapped) {
    if (bundle->datagrams > 1) add_control(link, b, header);
    return at;
  }
  const uint8_t *first = link->tx.vectors[bundle->first].iov_base;
  uint32_t mark = link->tx.names[bundle->first].ll.sll_hatype;
  kpx_wrap(link, made->wrappings[b], first + KPX_VNET_HEADER, mark, bundle->bytes, bundle->size);
  made->vectors[at] = (struct iovec){.iov_base = made->wrappings[b], .iov_len = KPX_WRAPPING};
  return at + 1;
}

static void place(struct kpx_link *link, uint32_t i) {
  struct kpx_bundles *made = link->bundles;
  struct bundle *bundle = &made->bundles[made->of[i]];
  const struct iovec *whole = &link->tx.vectors[i];
  made->vectors[bundle->at++] = (struct iovec){
      .iov_base = (uint8_t *)whole->iov_base + bundle->skipped, .iov_len = whole->iov_len - bundle->skipped};
}

uint32_t kpx_gso_bundle(struct kpx_link *link, uint32_t messages) {
  struct kpx_bundles *made = link->bundles;
  uint32_t count = 0;
  if (made->refused_s != 0 && now_s() - made->refused_s > AGAIN_S) {
    made->longest = MOST_BYTES;
    made->refused_s = 0;
  }
  for (uint32_t i = 0; i < messages; i++) {
    uint32_t length = length_of(link, i);
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
    made->bundles[b].at = address(link, b, at);
    at = made->bundles[b].at + made->bundles[b].datagrams;
  }
  for (uint32_t i = 0; i < messages; i++) place(link, i);
  return count;
}

struct mmsghdr *kpx_gso_headers(const struct kpx_link *link) {
  return link->bundles->headers;
}

void kpx_gso_refused(struct kpx_link *link, uint32_t length) {
  if (length > link->bundles->longest) return;
  link->bundles->longest = length - 1;
  link->bundles->refused_s = now_s();
}
