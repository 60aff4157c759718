/*
 * A link with threads around it, to be measured: one that receives, one that sends, the lock-free ring (ffi/ring.h) between
 * them and the step, which makes no system call while there are frames. It is the C library with `kpx_link_open`, `_step`,
 * `_info`, `_counters` and `_close` in front of its own, which bench/threads.ts renames to `plain_…`; a program loads it in
 * the library's place (KPAXOS_LIBRARY). KPX_THREADS: receive, send, or both (the default). Only Ethernet has them, and neither
 * a ring of the kernel's nor a second receive queue; frames leave and come one by one (`offload no`).
 *
 * The receiving thread takes frames into slots in turn, checks them, and hands their descriptors over; a slot is free again
 * when the step after the one that took it begins. The sending thread has slots of its own, into which a step copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>

#include "link.h"
#include "ring.h"

int32_t plain_open(const uint32_t *options, uint32_t count);
int32_t plain_step(int32_t handle, uint32_t ntx, uint32_t max, uint32_t spin_us, uint32_t wait_us);
int32_t plain_info(int32_t handle, double *out, uint32_t count);
int32_t plain_counters(int32_t handle, double *out, uint32_t count);
int32_t plain_close(int32_t handle);

#define DESCRIPTOR_BYTES (KPX_DESCRIPTOR_WORDS * 4)
/* Receive slots for each one the caller knows of: those it reads, and those that wait. */
#define RX_SHARE 4u
/* The caller's send slots, and as many for each of the four batches that may be under way: so many records fill the ring. */
#define TX_SETS 5u
#define TX_RING KPX_RING_MIN
#define MOST_RECEIVED 64u
#define STOP_LOOK_US 100000
#define NO_ROOM_NS 20000
/* How often the threads take on the scheduling of the turns. */
#define FOLLOW_STEPS 1024u

struct ring_ends {
  void *memory;
  struct kpx_ring producer;
  struct kpx_ring consumer;
};

/* A private copy of the link is each thread's own: its counters, its place of the send slots. */
struct threaded {
  struct kpx_link *link;
  struct kpx_link receiver;
  struct kpx_link sender;
  bool receives;
  bool sends;
  _Atomic bool stopping;
  pthread_t receiving;
  pthread_t sending;
  struct ring_ends rx;
  struct ring_ends tx;
  _Alignas(64) _Atomic uint32_t released; /* receive slots ever given back */
  uint32_t taken; /* by the step, ever */
  uint32_t tx_set;
};

static struct threaded *places[KPX_MAX_LINKS];

static struct threaded *threaded_of(int32_t handle) {
  uint32_t place = (uint32_t)handle & 255u;
  return handle > 0 && place < KPX_MAX_LINKS ? places[place] : NULL;
}

/* To be pushed aside by what its own turns are not would be no fair measurement. */
static void follow_turns(const struct threaded *self) {
  struct sched_param param;
  int policy = sched_getscheduler(0);
  if (policy < 0 || sched_getparam(0, &param) < 0) return;
  policy &= ~SCHED_RESET_ON_FORK;
  if (self->receives) (void)pthread_setschedparam(self->receiving, policy, &param);
  if (self->sends) (void)pthread_setschedparam(self->sending, policy, &param);
}

static void wait_for_room(void) {
  const struct timespec patience = {.tv_nsec = NO_ROOM_NS};
  nanosleep(&patience, NULL);
}

static int make_ring(struct ring_ends *ring, uint32_t capacity) {
  int bytes = kpx_ring_bytes((int)capacity);
  if (bytes < 0) return bytes;
  ring->memory = aligned_alloc(64, (size_t)bytes);
  if (ring->memory == NULL) return -ENOMEM;
  int result = kpx_ring_init(ring->memory, bytes, 0, (int)capacity);
  if (result == 0) result = kpx_ring_attach(&ring->producer, ring->memory, bytes, 0);
  return result == 0 ? kpx_ring_attach(&ring->consumer, ring->memory, bytes, 0) : result;
}

/* ---- receiving ---- */

static void hand_up(struct threaded *self, uint32_t position, uint32_t received) {
  struct kpx_link *link = &self->receiver;
  for (uint32_t i = 0; i < received; i++) {
    uint32_t slot = (position + i) % link->rx_slots;
    struct mmsghdr *header = &link->rx.headers[slot];
    bool cut = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    uint32_t at = link->rx_at + slot * link->stride + link->payload_at;
    uint32_t descriptor[KPX_DESCRIPTOR_WORDS];
    bool wanted = kpx_ethernet_whole(link, descriptor, at, header->msg_len, cut, &link->rx.names[slot].ll);
    header->msg_hdr.msg_namelen = sizeof link->rx.names[slot];
    unsigned char *record;
    /* The ring has room for all slots. The record's type says which slots are free when it has been read. */
    if (!wanted || kpx_ring_reserve(&self->rx.producer, DESCRIPTOR_BYTES, position + i + 1, &record) < 0) continue;
    memcpy(record, descriptor, DESCRIPTOR_BYTES);
  }
  if (kpx_ring_submit(&self->rx.producer) == (int)KPX_RING_DESCRIPTOR) (void)eventfd_write(link->wake_fd, 1);
}

static void *receive_frames(void *argument) {
  struct threaded *self = argument;
  struct kpx_link *link = &self->receiver;
  uint32_t position = 0;
  while (!atomic_load_explicit(&self->stopping, memory_order_relaxed)) {
    uint32_t free = link->rx_slots - (position - atomic_load_explicit(&self->released, memory_order_acquire));
    uint32_t at = position % link->rx_slots;
    uint32_t most = link->rx_slots - at < free ? link->rx_slots - at : free;
    if (most > MOST_RECEIVED) most = MOST_RECEIVED;
    if (most == 0) {
      wait_for_room();
      continue;
    }
    int received = recvmmsg(link->receivers[0].fd, link->rx.headers + at, most, MSG_WAITFORONE, NULL);
    if (received <= 0) continue;
    hand_up(self, position, (uint32_t)received);
    position += (uint32_t)received;
  }
  return NULL;
}

static uint32_t take(struct threaded *self, uint32_t max) {
  uint8_t *descriptors = self->link->area;
  struct kpx_record record;
  uint32_t count = 0;
  for (; count < max && kpx_ring_peek(&self->rx.consumer, &record) == 1; count++) {
    memcpy(descriptors + (size_t)count * DESCRIPTOR_BYTES, record.payload, DESCRIPTOR_BYTES);
    self->taken = record.type;
  }
  if (count > 0) kpx_ring_release(&self->rx.consumer);
  return count;
}

static int sleep_for_frames(struct threaded *self, uint32_t max, uint32_t wait_us) {
  struct kpx_ring_shared *shared = self->rx.consumer.shared;
  int result = 0;
  atomic_store(&shared->sleeping, KPX_RING_DESCRIPTOR);
  if (atomic_load(&shared->produced) == self->rx.consumer.tail) result = kpx_wait(self->link, 0, 0, wait_us);
  atomic_store(&shared->sleeping, KPX_RING_AWAKE);
  return result < 0 ? result : (int)take(self, max);
}

/* ---- sending ---- */

static void *send_frames(void *argument) {
  struct threaded *self = argument;
  struct kpx_link *link = &self->sender;
  uint32_t rx_slots = link->rx_slots;
  uint32_t tx_at = link->tx_at;
  for (;;) {
    struct kpx_record record;
    int found = kpx_ring_peek(&self->tx.consumer, &record);
    if (found < 0) return NULL;
    if (found == 0) {
      (void)kpx_ring_sleep(&self->tx.consumer, -1);
      continue;
    }
    uint32_t ntx;
    memcpy(&ntx, record.payload, sizeof ntx);
    uint32_t first = record.type * link->tx_slots;
    link->rx_slots = rx_slots + first;
    link->tx_at = tx_at + first * link->stride;
    (void)kpx_transmit(link, ntx);
    kpx_ring_release(&self->tx.consumer);
  }
}

static void hand_down(struct threaded *self, uint32_t ntx) {
  struct kpx_link *link = self->link;
  uint32_t slots = self->sender.tx_slots;
  unsigned char *record;
  while (kpx_ring_reserve(&self->tx.producer, sizeof ntx, self->tx_set, &record) == -EAGAIN) wait_for_room();
  memcpy(record, &ntx, sizeof ntx);
  for (uint32_t slot = 0; slot < ntx; slot++) {
    uint32_t into = self->tx_set * slots + slot;
    const uint32_t *from = (const uint32_t *)(const void *)link->area + (size_t)(link->rx_slots + slot) * KPX_DESCRIPTOR_WORDS;
    uint32_t *to = (uint32_t *)(void *)link->area + (size_t)(link->rx_slots + into) * KPX_DESCRIPTOR_WORDS;
    memcpy(to + KPX_LENGTH, from + KPX_LENGTH, DESCRIPTOR_BYTES - KPX_LENGTH * 4);
    uint32_t length = from[KPX_LENGTH] <= link->max_payload ? from[KPX_LENGTH] : link->max_payload;
    uint8_t *payload = link->area + link->tx_at + link->payload_at;
    memcpy(payload + (size_t)into * link->stride, payload + (size_t)slot * link->stride, length);
  }
  (void)kpx_ring_submit(&self->tx.producer);
  self->tx_set = self->tx_set == TX_SETS - 1 ? 1 : self->tx_set + 1;
}

/* ---- the link ---- */

static int begin(struct threaded *self, struct kpx_link *link) {
  const char *which = getenv("KPX_THREADS");
  self->link = link;
  self->receiver = self->sender = *link;
  self->sender.tx_slots /= TX_SETS;
  self->receives = which == NULL || strcmp(which, "send") != 0;
  self->sends = which == NULL || strcmp(which, "receive") != 0;
  self->tx_set = 1;
  uint32_t capacity = KPX_RING_MIN;
  while (capacity < 2 * link->rx_slots * (KPX_RING_RECORD + DESCRIPTOR_BYTES)) capacity *= 2;
  int result = make_ring(&self->rx, capacity);
  if (result == 0) result = make_ring(&self->tx, TX_RING);
  if (result < 0) return result;
  if (self->receives) {
    /* The step sleeps on what is not a frame; the socket blocks its own thread, which looks now and then whether it ends. */
    link->receiver_count = 0;
    struct timeval look = {.tv_usec = STOP_LOOK_US};
    int fd = link->receivers[0].fd;
    if (fcntl(fd, F_SETFL, 0) < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof look) < 0) return -errno;
    if (pthread_create(&self->receiving, NULL, receive_frames, self) != 0) return -EAGAIN;
  }
  if (self->sends && pthread_create(&self->sending, NULL, send_frames, self) != 0) return -EAGAIN;
  return 0;
}

KPX_API int32_t kpx_link_open(const uint32_t *options, uint32_t count) {
  if (count < KPX_OPTION_WORDS || options[KPX_OPTION_KIND] != KPX_ETHERNET) return plain_open(options, count);
  if ((options[KPX_OPTION_FLAGS] & KPX_FLAG_RING) != 0 || options[KPX_OPTION_SECOND_FILTER_COUNT] > 0) return -EINVAL;
  uint32_t *more = malloc(count * sizeof *more);
  struct threaded *self = aligned_alloc(64, sizeof *self);
  if (more == NULL || self == NULL) abort();
  memset(self, 0, sizeof *self);
  memcpy(more, options, count * sizeof *more);
  more[KPX_OPTION_RX_SLOTS] *= RX_SHARE;
  more[KPX_OPTION_TX_SLOTS] *= TX_SETS;
  more[KPX_OPTION_FLAGS] &= ~(uint32_t)KPX_FLAG_OFFLOAD;
  int32_t handle = plain_open(more, count);
  free(more);
  struct kpx_link *link;
  if (handle < 0 || kpx_table_enter(handle, &link) < 0) return handle;
  int result = begin(self, link);
  kpx_table_leave(handle);
  if (result < 0) abort();
  places[handle & 255] = self;
  return handle;
}

KPX_API int32_t kpx_link_step(int32_t handle, uint32_t ntx, uint32_t max, uint32_t spin_us, uint32_t wait_us) {
  struct threaded *self = threaded_of(handle);
  if (self == NULL) return plain_step(handle, ntx, max, spin_us, wait_us);
  if (self->link->counters[KPX_STEPS] % FOLLOW_STEPS == 1) follow_turns(self);
  if (self->sends && ntx > 0) {
    hand_down(self, ntx);
    ntx = 0;
  }
  if (!self->receives) return plain_step(handle, ntx, max, spin_us, wait_us);
  int result = ntx > 0 ? kpx_transmit(self->link, ntx) : 0;
  if (result < 0) return result;
  self->link->counters[KPX_STEPS]++;
  atomic_store_explicit(&self->released, self->taken, memory_order_release);
  result = (int)take(self, max);
  return result == 0 && wait_us > 0 ? sleep_for_frames(self, max, wait_us) : result;
}

KPX_API int32_t kpx_link_info(int32_t handle, double *out, uint32_t count) {
  int32_t numbers = plain_info(handle, out, count);
  if (threaded_of(handle) == NULL || numbers < 0 || count <= KPX_INFO_TX_SLOTS) return numbers;
  out[KPX_INFO_RX_SLOTS] /= RX_SHARE;
  out[KPX_INFO_TX_SLOTS] /= TX_SETS;
  return numbers;
}

/* As they stand: a thread may be adding to them. */
KPX_API int32_t kpx_link_counters(int32_t handle, double *out, uint32_t count) {
  struct threaded *self = threaded_of(handle);
  if (self == NULL) return plain_counters(handle, out, count);
  uint32_t receivers = self->link->receiver_count;
  self->link->receiver_count = 1;
  int32_t numbers = plain_counters(handle, out, count);
  self->link->receiver_count = receivers;
  for (uint32_t i = 0; numbers > 0 && i < count && i < KPX_COUNTERS; i++)
    out[i] += (double)self->receiver.counters[i] + (double)self->sender.counters[i];
  return numbers;
}

KPX_API int32_t kpx_link_close(int32_t handle) {
  struct threaded *self = threaded_of(handle);
  if (self == NULL) return plain_close(handle);
  atomic_store(&self->stopping, true);
  kpx_ring_close_producer(&self->tx.producer);
  if (self->receives) pthread_join(self->receiving, NULL);
  if (self->sends) pthread_join(self->sending, NULL);
  places[handle & 255] = NULL;
  free(self->rx.memory);
  free(self->tx.memory);
  free(self);
  return plain_close(handle);
}
