/*
 * A link's memory. The area: rx descriptors, tx descriptors, rx slots, tx slots, and a page
 * that faults after them. And the private message vectors that point into it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "link.h"

#define PAGE_BYTES 65536u /* the largest page of any supported machine, so that a mapping may begin at it */

static uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

static uint32_t *descriptors(struct kpx_link *link) {
  return (uint32_t *)(void *)link->area;
}

static void describe_slots(struct kpx_link *link) {
  uint32_t *words = descriptors(link);
  uint32_t stride = link->gro != NULL ? 0 : link->stride;
  for (uint32_t i = 0; i < link->rx_slots; i++)
    words[i * KPX_DESCRIPTOR_WORDS + KPX_OFFSET] = link->rx_at + i * stride + link->payload_at;
  words += link->rx_slots * KPX_DESCRIPTOR_WORDS;
  for (uint32_t i = 0; i < link->tx_slots; i++)
    words[i * KPX_DESCRIPTOR_WORDS + KPX_OFFSET] = link->tx_at + i * link->stride + link->payload_at;
}

int kpx_link_make_area(struct kpx_link *link) {
  link->stride = (uint32_t)round_up(link->payload_at + link->max_payload, 64);
  uint64_t descriptor_bytes = (uint64_t)(link->rx_slots + link->tx_slots) * KPX_DESCRIPTOR_WORDS * 4;
  uint64_t rx_at = round_up(descriptor_bytes + sizeof(double), PAGE_BYTES);
  uint64_t rx_bytes = link->gro != NULL ? kpx_gro_bytes(link) : (uint64_t)link->rx_slots * link->stride;
  uint64_t tx_at = round_up(rx_at + rx_bytes, PAGE_BYTES);
  uint64_t total = round_up(tx_at + (uint64_t)link->tx_slots * link->stride, PAGE_BYTES);
  if (total > KPX_MAX_AREA) return -EINVAL;
  void *area = mmap(NULL, total + PAGE_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return -errno;
  link->area = area;
  link->area_bytes = total;
  link->rx_at = (uint32_t)rx_at;
  link->tx_at = (uint32_t)tx_at;
  link->asleep_at = (uint32_t)descriptor_bytes;
  if (mprotect(link->area + total, PAGE_BYTES, PROT_NONE) < 0) return -errno;
  describe_slots(link);
  return 0;
}

/* The addresses stay mapped, to zeros that take no memory: a reader that comes too late must not crash. */
void kpx_link_drop_area(struct kpx_link *link) {
  if (link->area == NULL) return;
  void *zeros = mmap(link->area, link->area_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (zeros == MAP_FAILED) madvise(link->area, link->area_bytes, MADV_DONTNEED);
  link->area = NULL;
}

static int make(struct kpx_messages *messages, uint32_t count) {
  messages->headers = calloc(count, sizeof *messages->headers);
  messages->vectors = calloc(count, sizeof *messages->vectors);
  messages->names = calloc(count, sizeof *messages->names);
  if (messages->headers == NULL || messages->vectors == NULL || messages->names == NULL) return -ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    struct msghdr *header = &messages->headers[i].msg_hdr;
    header->msg_iov = &messages->vectors[i];
    header->msg_iovlen = 1;
    header->msg_name = &messages->names[i];
    header->msg_namelen = sizeof messages->names[i];
  }
  return 0;
}

static void drop(struct kpx_messages *messages) {
  free(messages->headers);
  free(messages->vectors);
  free(messages->names);
}

int kpx_link_make_messages(struct kpx_link *link) {
  if (link->gro != NULL) kpx_gro_place(link);
  else {
    int result = make(&link->rx, link->rx_slots);
    if (result < 0) return result;
    for (uint32_t i = 0; i < link->rx_slots; i++) {
      size_t at = link->rx_at + (size_t)i * link->stride + link->payload_at - link->header;
      link->rx.vectors[i] = (struct iovec){.iov_base = link->area + at, .iov_len = link->header + link->max_payload};
    }
  }
  int result = make(&link->tx, link->tx_messages);
  return result < 0 ? result : kpx_gso_open(link);
}

void kpx_link_drop_messages(struct kpx_link *link) {
  drop(&link->rx);
  drop(&link->tx);
  kpx_gso_close(link);
}
