/*
 * Receiving what passed the kernel as one: a message is as many datagrams as its sender (link_gso.c), or the kernel on their way, made it
 * of (UDP_GRO, Linux 5.0), all but the last equally long. They stay where they came in, in large buffers instead of the rx
 * slots; what does not fit the descriptors of a step is for the next one. Over Ethernet each message has its headers before it
 * (ethernet_bundles.c).
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Those of many senders come one in a message. Memory is taken only by what comes in at once. */
#define BUFFERS 128u
/* A whole message, and room to move its datagrams to multiples of 4. */
#define MOST_MOVED 256u
#define BUFFER_BYTES (KPX_MESSAGE_BYTES + 4u * MOST_MOVED)

union control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr aligned;
};

/* Of one receiver. */
struct kpx_gro {
  uint32_t place; /* of its buffers in the area */
  struct mmsghdr headers[BUFFERS];
  struct iovec vectors[BUFFERS];
  union kpx_sockaddr names[BUFFERS];
  union control controls[BUFFERS];
  uint32_t count; /* messages that came in last */
  uint32_t next;  /* the first of them that is not wholly handed out */
  uint32_t at;    /* bytes of it that are */
  uint32_t size;  /* of its datagrams; 0: it is still to be looked at */
  uint32_t step;  /* from one datagram to the next */
  uint32_t left;  /* bytes of it that are not handed out */
  uint32_t start; /* where its first datagram is */
  uint32_t ethertype;
  bool is_short;
};

int kpx_gro_open(struct kpx_link *link) {
  int one = 1;
  bool ethernet = link->kind == KPX_ETHERNET;
  if (ethernet ? link->header == KPX_ETHERNET_HEADER : (link->flags & KPX_FLAG_OFFLOAD) == 0) return 0;
  for (uint32_t i = 0; i < link->receiver_count && !ethernet; i++)
    if (setsockopt(link->receivers[i].fd, SOL_UDP, UDP_GRO, &one, sizeof one) < 0) return 0;
  link->gro = calloc(link->receiver_count, sizeof *link->gro);
  return link->gro == NULL ? -ENOMEM : 0;
}

uint32_t kpx_gro_bytes(const struct kpx_link *link) {
  return link->receiver_count * BUFFERS * BUFFER_BYTES;
}

static void renew(struct kpx_gro *gro, uint32_t i) {
  gro->headers[i].msg_hdr.msg_namelen = sizeof gro->names[i];
  gro->headers[i].msg_hdr.msg_controllen = sizeof gro->controls[i];
}

static void place(struct kpx_link *link, struct kpx_gro *gro, uint32_t at) {
  gro->place = at;
  for (uint32_t i = 0; i < BUFFERS; i++) {
    gro->vectors[i] = (struct iovec){.iov_base = link->area + at + i * BUFFER_BYTES, .iov_len = KPX_MESSAGE_BYTES};
    gro->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &gro->names[i], .msg_iov = &gro->vectors[i], .msg_iovlen = 1, .msg_control = &gro->controls[i]};
    renew(gro, i);
  }
}

void kpx_gro_place(struct kpx_link *link) {
  for (uint32_t i = 0; i < link->receiver_count; i++) place(link, &link->gro[i], link->rx_at + i * BUFFERS * BUFFER_BYTES);
}

static bool holds(const struct kpx_gro *gro) {
  return gro->next < gro->count;
}

/* All that is handed out is gone: the buffers take what the receiver has now. */
static int fill(struct kpx_link *link, uint32_t at, uint32_t most) {
  struct kpx_gro *gro = &link->gro[at];
  /* The kernel has written into those that it filled. */
  for (uint32_t i = 0; i < gro->count; i++) renew(gro, i);
  gro->count = 0;
  gro->next = 0;
  gro->size = 0;
  int received = kpx_take(link, at, gro->headers, most < BUFFERS ? most : BUFFERS);
  if (received > 0) gro->count = (uint32_t)received;
  return received;
}

/* Bytes of each datagram of a message but the last. */
static uint32_t size_of(struct msghdr *header, uint32_t bytes) {
  for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
    if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
    int size;
    memcpy(&size, CMSG_DATA(control), sizeof size);
    if (size > 0 && (uint32_t)size < bytes) return (uint32_t)size;
  }
  return bytes;
}

/* Frames begin at multiples of 4. */
static void align(uint8_t *buffer, uint32_t size, uint32_t step, uint32_t bytes) {
  if (step == size) return;
  for (uint32_t i = (bytes - 1) / size; i > 0; i--) {
    uint32_t length = bytes - i * size < size ? bytes - i * size : size;
    memmove(buffer + (size_t)i * step, buffer + (size_t)i * size, length);
  }
}

/* What precedes the frames of a message over Ethernet, and how long they are. */
static void open_message(struct kpx_gro *gro, const uint8_t *bytes, uint32_t count) {
  struct kpx_content content;
  gro->is_short = !kpx_unwrap(bytes, count, &content);
  gro->size = count;
  if (gro->is_short) return;
  gro->start = content.at;
  gro->ethertype = content.ethertype;
  gro->left = content.bytes;
  gro->size = content.size;
}

static void look_at(struct kpx_link *link, struct kpx_gro *gro) {
  struct mmsghdr *message = &gro->headers[gro->next];
  gro->start = 0;
  gro->left = message->msg_len;
  if (link->kind == KPX_ETHERNET) open_message(gro, gro->vectors[gro->next].iov_base, gro->left);
  else gro->size = size_of(&message->msg_hdr, gro->left);
  gro->step = (gro->size + 3u) & ~3u;
  gro->at = gro->start;
  if (gro->size < gro->left) {
    /* No kernel makes messages of so many (64, over lo 128); more would not fit when moved apart. */
    if (gro->left / gro->size > MOST_MOVED && gro->step != gro->size) {
      link->counters[KPX_RX_TRUNCATED] += (gro->left - 1) / gro->size + 1 - MOST_MOVED;
      gro->left = MOST_MOVED * gro->size;
    }
    align((uint8_t *)gro->vectors[gro->next].iov_base + gro->start, gro->size, gro->step, gro->left);
  }
}

static bool accept_next(struct kpx_link *link, const struct kpx_gro *gro, uint32_t *descriptor, uint32_t length) {
  const union kpx_sockaddr *from = &gro->names[gro->next];
  uint32_t at = gro->place + gro->next * BUFFER_BYTES + gro->at;
  bool cut = (gro->headers[gro->next].msg_hdr.msg_flags & MSG_TRUNC) != 0 || length > link->max_payload;
  if (link->kind == KPX_UDP) return kpx_udp_accept(link, descriptor, at, length, cut, from);
  return kpx_ethernet_accept(link, descriptor, at, length, cut || gro->is_short, gro->ethertype, &from->ll);
}

/* Describes frames that came in, behind the `kept` of this step, up to `limit`; returns how many there are then. */
static uint32_t hand_out(struct kpx_link *link, struct kpx_gro *gro, uint32_t kept, uint32_t limit) {
  uint32_t *words = (uint32_t *)(void *)link->area;
  while (holds(gro) && kept < limit) {
    if (gro->size == 0) look_at(link, gro);
    uint32_t length = gro->left < gro->size ? gro->left : gro->size;
    if (accept_next(link, gro, words + (size_t)kept * KPX_DESCRIPTOR_WORDS, length)) kept++;
    gro->left -= length;
    gro->at += gro->step;
    if (gro->left > 0) continue;
    gro->next++;
    gro->size = 0;
  }
  return kept;
}

int kpx_gro_receive(struct kpx_link *link, uint32_t max, uint32_t receivers) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < link->receiver_count && kept < max; i++) {
    uint32_t limit = kpx_limit_of(link, i, max, receivers);
    if ((receivers & 1u << i) == 0) continue;
    int received = holds(&link->gro[i]) ? 0 : fill(link, i, limit - kept);
    if (received < 0) return received;
    kept = hand_out(link, &link->gro[i], kept, limit);
  }
  /* What the next one left free: a step that is not full leaves nothing behind. */
  for (uint32_t i = 0; i < link->receiver_count; i++) kept = hand_out(link, &link->gro[i], kept, max);
  return (int)kept;
}

bool kpx_gro_holds(const struct kpx_link *link) {
  for (uint32_t i = 0; i < link->receiver_count && link->gro != NULL; i++)
    if (holds(&link->gro[i])) return true;
  return false;
}
