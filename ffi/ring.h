/*
 * A byte ring in shared memory for one producer and one consumer: two threads, two processes, or a C thread and
 * TypeScript (src/native/ring.ts drives the same layout through Atomics). It carries records of any length; it
 * never allocates, never blocks a producer, and never overwrites what is not consumed.
 *
 * Layout, all words 32 bits, little-endian, the header 64-byte aligned:
 *
 *   byte   0  magic, version, capacity (power of two)          written once, magic last
 *   byte  64  produced: bytes ever published                   written by the producer
 *   byte 128  consumed: bytes ever released                    written by the consumer
 *   byte 192  sleeping, producerClosed, consumerClosed         written rarely
 *   byte 256  `capacity` bytes of records
 *
 * Each line has one frequent writer, so the sides do not steal each other's cache lines. The counters run freely and
 * wrap at 2^32; only their unsigned difference means anything: produced − consumed is what lies in the ring.
 *
 * A record starts at a multiple of 8: length, type, then `length` bytes of payload, padded to 8. Payloads are
 * contiguous: where one would cross the end, a length word KPX_RING_WRAP says "go on at byte 0". So that a record
 * fits an empty ring wherever the counters stand, it may take at most half of the capacity.
 *
 * Memory model. The producer writes records with plain stores and publishes any number of them by ONE store to
 * `produced`; the consumer's load of `produced` (acquire) that sees it also sees every byte before it. In the other
 * direction the consumer's store to `consumed` (release) comes after its last read of the records, and the producer
 * writes over them only after a load of `consumed` (acquire) that shows it. No other ordering is needed for data.
 *
 * Sleeping needs more, because it is a question each side asks about the other ("did you publish?", "do you
 * sleep?"): the consumer stores `sleeping`, then loads `produced`; the producer stores `produced`, then loads
 * `sleeping`. Were these only release and acquire, both could read the old value and the wake-up would be lost. So
 * these four are sequentially consistent (hence the store to `produced` is, too; on x86 that is one locked
 * instruction for each published batch), and at least one side sees the other. The producer then swaps
 * `sleeping` to 0, and only if it was set pays for the system call. The sleeper waits in the kernel on the
 * `sleeping` word itself and only while it is still 1, so a wake-up between its last look and its sleep is not lost.
 *
 * Trust. A side keeps its own position in private memory and takes from shared memory only the other's counter and
 * the records. Every such word is loaded once and checked (range, alignment, never backwards) before it is used, and
 * a violation is a lasting -EBADMSG: it never leads a pointer out of the ring. Payload bytes are the other side's
 * to change until `release`: copy what must not change between check and use.
 */
#ifndef KPX_RING_H
#define KPX_RING_H

#include <stdatomic.h>
#include <stdint.h>

#ifndef KPX_API
#define KPX_API __attribute__((visibility("default")))
#endif

#define KPX_RING_MAGIC 0x6b707872u
#define KPX_RING_VERSION 1u
#define KPX_RING_HEADER 256
#define KPX_RING_RECORD 8
#define KPX_RING_WRAP 0xffffffffu
#define KPX_RING_MIN 64u
#define KPX_RING_MAX (1u << 30)

/* Values of `sleeping`, and what kpx_ring_submit returns when it has found one. */
#define KPX_RING_AWAKE 0u
#define KPX_RING_FUTEX 1u      /* sleeps in kpx_ring_wait: submit has woken it */
#define KPX_RING_DESCRIPTOR 2u /* sleeps on a descriptor: whoever submits must wake it there */

struct kpx_ring_shared {
  _Alignas(64) _Atomic uint32_t magic;
  _Atomic uint32_t version;
  _Atomic uint32_t capacity;
  _Alignas(64) _Atomic uint32_t produced;
  _Alignas(64) _Atomic uint32_t consumed;
  _Alignas(64) _Atomic uint32_t sleeping;
  _Atomic uint32_t producer_closed;
  _Atomic uint32_t consumer_closed;
};

_Static_assert(sizeof(struct kpx_ring_shared) == KPX_RING_HEADER, "header of four lines");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics are plain words");

/* One side's private view of a ring. A process that plays both sides needs two. */
struct kpx_ring {
  struct kpx_ring_shared *shared;
  unsigned char *data;
  uint32_t capacity;
  int fault; /* 0, or the errno that ended this view */
  /* producer */
  uint32_t head; /* end of what is reserved */
  uint32_t published;
  uint32_t seen_consumed;
  /* consumer */
  uint32_t tail; /* end of what was peeked */
  uint32_t released;
  uint32_t seen_produced;
};

struct kpx_record {
  const unsigned char *payload;
  uint32_t length;
  uint32_t type;
};

/* `memory`: a region of `bytes` bytes; the ring lies at `offset` (a multiple of 64) and the address is 64-aligned. */

/* Bytes that a ring of this capacity takes, or -EINVAL. */
KPX_API int kpx_ring_bytes(int capacity);
/* Makes an empty ring. -EINVAL: bad capacity or alignment; -ENOSPC: does not fit the region. */
KPX_API int kpx_ring_init(void *memory, int bytes, int offset, int capacity);
/* Checks a ring that another side made; its capacity, or -EINVAL, -ENOSPC, -EBADMSG (not a sane ring). */
KPX_API int kpx_ring_check(const void *memory, int bytes, int offset);
/*
 * Sleeps until something is published beyond `tail`, the producer closes, or the time is over (−1: no limit).
 * 1: look again; 0: the time is over or a signal came; negative errno.
 */
KPX_API int kpx_ring_wait(void *memory, int bytes, int offset, int tail, int timeout_us);
/* Wakes a sleeper on the futex whatever the flag says. 0 or negative errno. */
KPX_API int kpx_ring_wake(void *memory, int bytes, int offset);

/* Begins a view, at the counters that stand in shared memory. 0 or the errors of kpx_ring_check. */
KPX_API int kpx_ring_attach(struct kpx_ring *ring, void *memory, int bytes, int offset);

/*
 * Room for one record, published by the next submit. 0; -EAGAIN: full; -EMSGSIZE: never fits; -EPIPE: the consumer
 * has closed; -EBADMSG.
 */
KPX_API int kpx_ring_reserve(struct kpx_ring *ring, uint32_t length, uint32_t type, unsigned char **payload);
/* Publishes everything reserved. Returns what sleeper it met (KPX_RING_…). */
KPX_API int kpx_ring_submit(struct kpx_ring *ring);
/* Forgets everything reserved since the last submit. */
KPX_API void kpx_ring_cancel(struct kpx_ring *ring);
/* Nothing more will come. Returns what sleeper it met, as submit. */
KPX_API int kpx_ring_close_producer(struct kpx_ring *ring);

/* The next record. 1; 0: none now; -EPIPE: none, and the producer has closed; -EBADMSG. */
KPX_API int kpx_ring_peek(struct kpx_ring *ring, struct kpx_record *record);
/* Gives the room of all peeked records back. */
KPX_API void kpx_ring_release(struct kpx_ring *ring);
KPX_API void kpx_ring_close_consumer(struct kpx_ring *ring);

/* One record from the caller's memory, published at once: what sleeper that met, as submit, or an error as of reserve. */
KPX_API int kpx_ring_produce(struct kpx_ring *ring, uint32_t type, const void *payload, uint32_t length);
/* One record into the caller's memory: its length; -EAGAIN: none now; -ENOBUFS: larger than `size` (it stays). */
KPX_API int kpx_ring_consume(struct kpx_ring *ring, uint32_t *type, void *payload, uint32_t size);
/* kpx_ring_wait for a view. */
KPX_API int kpx_ring_sleep(struct kpx_ring *ring, int timeout_us);

#endif
