/*
 * A C thread at one end of a ring whose other end is TypeScript (test/ring.test.ts compiles and loads this). Record n
 * has type n, a length drawn from a xorshift generator, and bytes made from n and their position.
 */
#include "../ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

struct job {
  void *memory;
  int bytes;
  uint32_t records;
  int status;
};

static struct job job;
static pthread_t thread;

static uint32_t next(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state % 200;
}

static int produce(void) {
  struct kpx_ring ring;
  int status = kpx_ring_attach(&ring, job.memory, job.bytes, 0);
  if (status < 0) return status;
  uint32_t random = 99;
  for (uint32_t n = 0; n < job.records; n++) {
    unsigned char *room;
    uint32_t length = next(&random);
    while ((status = kpx_ring_reserve(&ring, length, n, &room)) == -EAGAIN) sched_yield();
    if (status < 0) return status;
    for (uint32_t i = 0; i < length; i++) room[i] = (unsigned char)(n + i);
    kpx_ring_submit(&ring);
  }
  kpx_ring_close_producer(&ring);
  return 0;
}

static int consume(void) {
  struct kpx_ring ring;
  int status = kpx_ring_attach(&ring, job.memory, job.bytes, 0);
  if (status < 0) return status;
  uint32_t random = 99, n = 0;
  for (;;) {
    struct kpx_record record;
    status = kpx_ring_peek(&ring, &record);
    if (status == -EPIPE) return n == job.records ? 0 : -ENODATA;
    if (status < 0) return status;
    if (status == 0) {
      status = kpx_ring_sleep(&ring, 10000000);
      if (status <= 0) return status == 0 ? -ETIMEDOUT : status;
      continue;
    }
    if (record.type != n || record.length != next(&random)) return -EILSEQ;
    for (uint32_t i = 0; i < record.length; i++)
      if (record.payload[i] != (unsigned char)(n + i)) return -EILSEQ;
    kpx_ring_release(&ring);
    n++;
  }
}

static void *run(void *body) {
  job.status = ((int (*)(void))(uintptr_t)body)();
  return NULL;
}

static int start(int (*body)(void), void *memory, int bytes, int records) {
  job = (struct job){memory, bytes, (uint32_t)records, 0};
  return -pthread_create(&thread, NULL, run, (void *)(uintptr_t)body);
}

KPX_API int test_start_producer(void *memory, int bytes, int records);
KPX_API int test_start_consumer(void *memory, int bytes, int records);
KPX_API int test_join(void);

int test_start_producer(void *memory, int bytes, int records) { return start(produce, memory, bytes, records); }

int test_start_consumer(void *memory, int bytes, int records) { return start(consume, memory, bytes, records); }

int test_join(void) {
  pthread_join(thread, NULL);
  return job.status;
}
