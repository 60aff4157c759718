/* The ring of ring.h, where the layout, the memory model and the rules of trust are explained. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ring.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(offsetof(struct kpx_ring_shared, produced) == 64, "line 1");
_Static_assert(offsetof(struct kpx_ring_shared, consumed) == 128, "line 2");
_Static_assert(offsetof(struct kpx_ring_shared, sleeping) == 192, "line 3");

static uint32_t load_word(const unsigned char *at) {
  /* One load, whatever the compiler would like: the other side may change the word between two. */
  return *(const volatile uint32_t *)(const void *)at;
}

static void store_word(unsigned char *at, uint32_t word) { memcpy(at, &word, sizeof word); }

static uint32_t record_bytes(uint32_t length) { return KPX_RING_RECORD + ((length + 7u) & ~7u); }

static uint32_t largest(uint32_t capacity) { return capacity / 2 - KPX_RING_RECORD; }

static int valid_capacity(uint32_t capacity) {
  return capacity >= KPX_RING_MIN && capacity <= KPX_RING_MAX && (capacity & (capacity - 1)) == 0;
}

static int locate(const void *memory, int bytes, int offset, int64_t capacity) {
  if (memory == NULL || bytes < 0 || offset < 0 || (offset & 63) != 0 || ((uintptr_t)memory & 63) != 0)
    return -EINVAL;
  if ((int64_t)offset + KPX_RING_HEADER + capacity > bytes) return -ENOSPC;
  return 0;
}

static struct kpx_ring_shared *shared_at(const void *memory, int offset) {
  return (struct kpx_ring_shared *)((uintptr_t)memory + (uintptr_t)offset);
}

/* Sleeps while the word has that value. The bitset form takes an absolute time of CLOCK_MONOTONIC. */
static long futex_until(_Atomic uint32_t *word, uint32_t value, const struct timespec *deadline) {
  return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static long futex_wake(_Atomic uint32_t *word) { return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }

int kpx_ring_bytes(int capacity) {
  if (capacity < 0 || !valid_capacity((uint32_t)capacity)) return -EINVAL;
  return KPX_RING_HEADER + capacity;
}

int kpx_ring_init(void *memory, int bytes, int offset, int capacity) {
  if (capacity < 0 || !valid_capacity((uint32_t)capacity)) return -EINVAL;
  int status = locate(memory, bytes, offset, capacity);
  if (status < 0) return status;
  struct kpx_ring_shared *shared = shared_at(memory, offset);
  atomic_store(&shared->magic, 0);
  atomic_store(&shared->version, KPX_RING_VERSION);
  atomic_store(&shared->capacity, (uint32_t)capacity);
  atomic_store(&shared->produced, 0);
  atomic_store(&shared->consumed, 0);
  atomic_store(&shared->sleeping, KPX_RING_AWAKE);
  atomic_store(&shared->producer_closed, 0);
  atomic_store(&shared->consumer_closed, 0);
  atomic_store(&shared->magic, KPX_RING_MAGIC);
  return 0;
}

int kpx_ring_check(const void *memory, int bytes, int offset) {
  int status = locate(memory, bytes, offset, 0);
  if (status < 0) return status;
  struct kpx_ring_shared *shared = shared_at(memory, offset);
  if (atomic_load(&shared->magic) != KPX_RING_MAGIC) return -EBADMSG;
  if (atomic_load(&shared->version) != KPX_RING_VERSION) return -EBADMSG;
  uint32_t capacity = atomic_load(&shared->capacity);
  if (!valid_capacity(capacity)) return -EBADMSG;
  status = locate(memory, bytes, offset, capacity);
  return status < 0 ? status : (int)capacity;
}

int kpx_ring_attach(struct kpx_ring *ring, void *memory, int bytes, int offset) {
  int capacity = kpx_ring_check(memory, bytes, offset);
  if (capacity < 0) return capacity;
  struct kpx_ring_shared *shared = shared_at(memory, offset);
  /* Whichever side this is, its own counter stands still meanwhile, so the pair is consistent. */
  uint32_t consumed = atomic_load_explicit(&shared->consumed, memory_order_acquire);
  uint32_t produced = atomic_load_explicit(&shared->produced, memory_order_acquire);
  if (((produced | consumed) & 7) != 0 || produced - consumed > (uint32_t)capacity) return -EBADMSG;
  ring->shared = shared;
  ring->data = (unsigned char *)shared + KPX_RING_HEADER;
  ring->capacity = (uint32_t)capacity;
  ring->fault = 0;
  ring->head = ring->published = ring->seen_produced = produced;
  ring->tail = ring->released = ring->seen_consumed = consumed;
  return 0;
}

static int corrupt(struct kpx_ring *ring) {
  ring->fault = EBADMSG;
  return -EBADMSG;
}

/* ---- producer ---- */

int kpx_ring_reserve(struct kpx_ring *ring, uint32_t length, uint32_t type, unsigned char **payload) {
  if (ring->fault != 0) return -ring->fault;
  if (length > largest(ring->capacity)) return -EMSGSIZE;
  uint32_t need = record_bytes(length);
  uint32_t at = ring->head & (ring->capacity - 1);
  uint32_t left = ring->capacity - at;
  uint32_t skip = need > left ? left : 0;
  if (ring->capacity - (ring->head - ring->seen_consumed) < skip + need) {
    uint32_t consumed = atomic_load_explicit(&ring->shared->consumed, memory_order_acquire);
    /* It may only have moved forward, and not beyond what was published. */
    if ((consumed & 7) != 0 || consumed - ring->seen_consumed > ring->published - ring->seen_consumed)
      return corrupt(ring);
    ring->seen_consumed = consumed;
    if (atomic_load_explicit(&ring->shared->consumer_closed, memory_order_relaxed) != 0) return -EPIPE;
    if (ring->capacity - (ring->head - consumed) < skip + need) return -EAGAIN;
  }
  if (skip != 0) {
    store_word(ring->data + at, KPX_RING_WRAP);
    at = 0;
  }
  store_word(ring->data + at, length);
  store_word(ring->data + at + 4, type);
  *payload = ring->data + at + KPX_RING_RECORD;
  ring->head += skip + need;
  return 0;
}

static int wake_sleeper(struct kpx_ring_shared *shared) {
  if (atomic_load(&shared->sleeping) == KPX_RING_AWAKE) return (int)KPX_RING_AWAKE;
  uint32_t kind = atomic_exchange(&shared->sleeping, KPX_RING_AWAKE);
  if (kind == KPX_RING_AWAKE || kind == KPX_RING_DESCRIPTOR) return (int)kind;
  futex_wake(&shared->sleeping);
  return (int)KPX_RING_FUTEX;
}

int kpx_ring_submit(struct kpx_ring *ring) {
  if (ring->head == ring->published) return (int)KPX_RING_AWAKE;
  ring->published = ring->head;
  atomic_store(&ring->shared->produced, ring->head);
  return wake_sleeper(ring->shared);
}

void kpx_ring_cancel(struct kpx_ring *ring) { ring->head = ring->published; }

int kpx_ring_close_producer(struct kpx_ring *ring) {
  atomic_store(&ring->shared->producer_closed, 1);
  return wake_sleeper(ring->shared);
}

int kpx_ring_produce(struct kpx_ring *ring, uint32_t type, const void *payload, uint32_t length) {
  unsigned char *room;
  int status = kpx_ring_reserve(ring, length, type, &room);
  if (status < 0) return status;
  if (length > 0) memcpy(room, payload, length);
  return kpx_ring_submit(ring);
}

/* ---- consumer ---- */

static int nothing(struct kpx_ring *ring) {
  if (atomic_load(&ring->shared->producer_closed) == 0) return 0;
  /* What was published before the close counts. */
  return atomic_load(&ring->shared->produced) == ring->tail ? -EPIPE : 0;
}

int kpx_ring_peek(struct kpx_ring *ring, struct kpx_record *record) {
  if (ring->fault != 0) return -ring->fault;
  if (ring->tail == ring->seen_produced) {
    uint32_t produced = atomic_load_explicit(&ring->shared->produced, memory_order_acquire);
    uint32_t filled = produced - ring->released;
    if ((produced & 7) != 0 || filled > ring->capacity || filled < ring->seen_produced - ring->released)
      return corrupt(ring);
    ring->seen_produced = produced;
    if (produced == ring->tail) return nothing(ring);
  }
  uint32_t available = ring->seen_produced - ring->tail;
  uint32_t at = ring->tail & (ring->capacity - 1);
  uint32_t skip = 0;
  uint32_t length = load_word(ring->data + at);
  if (length == KPX_RING_WRAP) {
    skip = ring->capacity - at;
    /* A marker is published together with the record behind it, and never at byte 0. */
    if (at == 0 || skip >= available) return corrupt(ring);
    at = 0;
    available -= skip;
    length = load_word(ring->data);
  }
  if (length > largest(ring->capacity)) return corrupt(ring);
  uint32_t need = record_bytes(length);
  if (need > available || need > ring->capacity - at) return corrupt(ring);
  record->length = length;
  record->type = load_word(ring->data + at + 4);
  record->payload = ring->data + at + KPX_RING_RECORD;
  ring->tail += skip + need;
  return 1;
}

void kpx_ring_release(struct kpx_ring *ring) {
  if (ring->tail == ring->released) return;
  ring->released = ring->tail;
  atomic_store_explicit(&ring->shared->consumed, ring->tail, memory_order_release);
}

void kpx_ring_close_consumer(struct kpx_ring *ring) { atomic_store(&ring->shared->consumer_closed, 1); }

int kpx_ring_consume(struct kpx_ring *ring, uint32_t *type, void *payload, uint32_t size) {
  uint32_t tail = ring->tail;
  struct kpx_record record;
  int status = kpx_ring_peek(ring, &record);
  if (status < 0) return status;
  if (status == 0) return -EAGAIN;
  if (record.length > size) {
    ring->tail = tail;
    return -ENOBUFS;
  }
  if (record.length > 0) memcpy(payload, record.payload, record.length);
  *type = record.type;
  kpx_ring_release(ring);
  return (int)record.length;
}

/* ---- sleep ---- */

static int ready(struct kpx_ring_shared *shared, uint32_t tail) {
  return atomic_load(&shared->produced) != tail || atomic_load(&shared->producer_closed) != 0;
}

static struct timespec deadline_after(int timeout_us) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += timeout_us / 1000000;
  at.tv_nsec += (long)(timeout_us % 1000000) * 1000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

static int wait_shared(struct kpx_ring_shared *shared, uint32_t tail, int timeout_us) {
  if (ready(shared, tail)) return 1;
  if (timeout_us == 0) return 0;
  struct timespec deadline = deadline_after(timeout_us < 0 ? 0 : timeout_us);
  const struct timespec *until = timeout_us < 0 ? NULL : &deadline;
  int failed = 0;
  /* A producer that saw our last sleep may wake this one: only the clock, a signal or `ready` end the wait. */
  while (failed == 0) {
    atomic_store(&shared->sleeping, KPX_RING_FUTEX);
    if (ready(shared, tail)) break;
    if (futex_until(&shared->sleeping, KPX_RING_FUTEX, until) < 0 && errno != EAGAIN) failed = errno;
    if (ready(shared, tail)) break;
  }
  atomic_store(&shared->sleeping, KPX_RING_AWAKE);
  if (ready(shared, tail)) return 1;
  return failed == ETIMEDOUT || failed == EINTR ? 0 : -failed;
}

int kpx_ring_wait(void *memory, int bytes, int offset, int tail, int timeout_us) {
  int capacity = kpx_ring_check(memory, bytes, offset);
  if (capacity < 0) return capacity;
  return wait_shared(shared_at(memory, offset), (uint32_t)tail, timeout_us);
}

int kpx_ring_wake(void *memory, int bytes, int offset) {
  int status = locate(memory, bytes, offset, 0);
  if (status < 0) return status;
  return futex_wake(&shared_at(memory, offset)->sleeping) < 0 ? -errno : 0;
}

int kpx_ring_sleep(struct kpx_ring *ring, int timeout_us) {
  if (ring->fault != 0) return -ring->fault;
  return wait_shared(ring->shared, ring->tail, timeout_us);
}
