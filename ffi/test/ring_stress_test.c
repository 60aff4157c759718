/*
 * Two sides at full speed: threads of one process, then two processes over a file. Records have random lengths and
 * are filled from their number, so a lost, repeated, torn or reordered one shows. The consumer sleeps whenever it finds
 * nothing, so a lost wake-up shows as a record that arrives only by time-out.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../ring.h"
#include "../shm.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RECORDS = 1000000 };
#else
enum { RECORDS = 4000000 };
#endif
enum { CAPACITY = 1 << 14, BYTES = KPX_RING_HEADER + CAPACITY };

struct area {
  unsigned char *memory;
  int bytes;
};

static uint32_t next(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* Mostly small, now and then large enough to make the ring wrap early. */
static uint32_t length_of(uint32_t random) { return (random & 63) == 0 ? random % 3000 : random % 97; }

static void fill(unsigned char *at, uint32_t length, uint32_t seed) {
  for (uint32_t i = 0; i < length; i++) at[i] = (unsigned char)(seed + i * 7);
}

static void *produce(void *argument) {
  struct area *area = argument;
  struct kpx_ring ring;
  CHECK(kpx_ring_attach(&ring, area->memory, area->bytes, 0) == 0);
  uint32_t random = 12345, batch = 1;
  for (uint32_t n = 0; n < RECORDS; n++) {
    uint32_t word = next(&random), length = length_of(word);
    unsigned char *room;
    int status;
    while ((status = kpx_ring_reserve(&ring, length, n, &room)) == -EAGAIN) {
      kpx_ring_submit(&ring);
      sched_yield();
    }
    CHECK(status == 0);
    fill(room, length, word);
    if (--batch == 0) {
      kpx_ring_submit(&ring);
      batch = 1 + (word >> 8) % 32;
    }
  }
  kpx_ring_submit(&ring);
  kpx_ring_close_producer(&ring);
  return NULL;
}

static void consume(struct area *area) {
  struct kpx_ring ring;
  CHECK(kpx_ring_attach(&ring, area->memory, area->bytes, 0) == 0);
  static unsigned char expected[3000];
  uint32_t random = 12345, n = 0;
  for (;;) {
    struct kpx_record record;
    int status = kpx_ring_peek(&ring, &record);
    if (status == -EPIPE) break;
    if (status == 0) {
      kpx_ring_release(&ring);
      /* Nothing may take seconds here: a time-out is a wake-up that was lost. */
      CHECK(kpx_ring_sleep(&ring, 20000000) == 1);
      continue;
    }
    CHECK(status == 1 && n < RECORDS);
    uint32_t word = next(&random);
    CHECK(record.type == n && record.length == length_of(word));
    fill(expected, record.length, word);
    CHECK(memcmp(expected, record.payload, record.length) == 0);
    n++;
    if ((word >> 20) % 16 == 0) kpx_ring_release(&ring);
  }
  CHECK(n == RECORDS);
}

static void two_threads(void) {
  struct area area = {aligned_alloc(64, BYTES), BYTES};
  CHECK(area.memory != NULL && kpx_ring_init(area.memory, BYTES, 0, CAPACITY) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, produce, &area) == 0);
  consume(&area);
  pthread_join(thread, NULL);
  free(area.memory);
}

static unsigned char *map(int handle) {
  unsigned address[2];
  CHECK(handle >= 0 && kpx_shm_map(handle, address) == 0);
  return (unsigned char *)(uintptr_t)((uint64_t)address[1] << 32 | address[0]);
}

static void two_processes(void) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/kpx-ring-stress-%d", (int)getpid());
  int handle = kpx_shm_create(path, BYTES, 0600);
  struct area area = {map(handle), BYTES};
  CHECK(kpx_ring_init(area.memory, BYTES, 0, CAPACITY) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    int mine = kpx_shm_open(path);
    struct area again = {map(mine), kpx_shm_size(mine)};
    produce(&again);
    kpx_shm_close(mine);
    _exit(0);
  }
  consume(&area);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(kpx_shm_close(handle) == 0);
  unlink(path);
}

int main(void) {
  two_threads();
  two_processes();
  return 0;
}
