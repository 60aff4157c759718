/* The ring from one thread: sizes, wrap, full, empty, batches, closing, and every way shared memory can lie. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../ring.h"
#include "../shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { CAPACITY = 256, BYTES = KPX_RING_HEADER + CAPACITY, LARGEST = CAPACITY / 2 - KPX_RING_RECORD };

static unsigned char *memory;
static struct kpx_ring writer, reader;

static struct kpx_ring_shared *shared(void) { return (struct kpx_ring_shared *)(void *)memory; }

static void fresh(void) {
  free(memory);
  /* Exactly the ring, so that the address sanitizer sees a step beyond it. */
  memory = aligned_alloc(64, BYTES);
  CHECK(memory != NULL);
  memset(memory, 0xee, BYTES);
  CHECK(kpx_ring_init(memory, BYTES, 0, CAPACITY) == 0);
  CHECK(kpx_ring_attach(&writer, memory, BYTES, 0) == 0);
  CHECK(kpx_ring_attach(&reader, memory, BYTES, 0) == 0);
}

static void test_refuses_bad_places(void) {
  fresh();
  CHECK(kpx_ring_bytes(CAPACITY) == BYTES);
  CHECK(kpx_ring_bytes(100) == -EINVAL && kpx_ring_bytes(-64) == -EINVAL && kpx_ring_bytes(32) == -EINVAL);
  CHECK(kpx_ring_init(memory, BYTES, 0, 384) == -EINVAL);
  CHECK(kpx_ring_init(memory, BYTES, 0, 512) == -ENOSPC);
  CHECK(kpx_ring_init(memory, BYTES, 64, CAPACITY) == -ENOSPC);
  CHECK(kpx_ring_init(memory, BYTES, 32, 64) == -EINVAL);
  CHECK(kpx_ring_init(memory, BYTES, -64, 64) == -EINVAL);
  CHECK(kpx_ring_init(NULL, BYTES, 0, 64) == -EINVAL);
  CHECK(kpx_ring_check(memory, KPX_RING_HEADER - 64, 0) == -ENOSPC);
  CHECK(kpx_ring_wait(memory, 10, 0, 0, 0) == -ENOSPC);
  CHECK(kpx_ring_wake(memory, BYTES, 3) == -EINVAL);
  CHECK(kpx_ring_wake(memory, BYTES, 0) == 0);
}

static void test_refuses_bad_headers(void) {
  fresh();
  atomic_store(&shared()->magic, 7);
  CHECK(kpx_ring_check(memory, BYTES, 0) == -EBADMSG);
  fresh();
  atomic_store(&shared()->version, 2);
  CHECK(kpx_ring_check(memory, BYTES, 0) == -EBADMSG);
  fresh();
  atomic_store(&shared()->capacity, 255);
  CHECK(kpx_ring_check(memory, BYTES, 0) == -EBADMSG);
  atomic_store(&shared()->capacity, 1u << 31);
  CHECK(kpx_ring_check(memory, BYTES, 0) == -EBADMSG);
  atomic_store(&shared()->capacity, 512);
  CHECK(kpx_ring_check(memory, BYTES, 0) == -ENOSPC);
  fresh();
  atomic_store(&shared()->produced, CAPACITY + 8);
  CHECK(kpx_ring_attach(&reader, memory, BYTES, 0) == -EBADMSG);
  atomic_store(&shared()->produced, 4);
  CHECK(kpx_ring_attach(&reader, memory, BYTES, 0) == -EBADMSG);
}

static void test_sizes(void) {
  const uint32_t sizes[] = {0, 1, 7, 8, 9, LARGEST};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    fresh();
    unsigned char payload[LARGEST], back[LARGEST];
    uint32_t type = 0;
    /* Often enough to meet every position of the ring. */
    for (int round = 0; round < 100; round++) {
      memset(payload, round, sizeof payload);
      CHECK(kpx_ring_produce(&writer, 70u + (uint32_t)round, payload, sizes[i]) == 0);
      CHECK(kpx_ring_consume(&reader, &type, back, sizeof back) == (int)sizes[i]);
      CHECK(type == 70u + (uint32_t)round && memcmp(payload, back, sizes[i]) == 0);
    }
    CHECK(kpx_ring_consume(&reader, &type, back, sizeof back) == -EAGAIN);
  }
  fresh();
  unsigned char *room;
  CHECK(kpx_ring_reserve(&writer, LARGEST + 1, 0, &room) == -EMSGSIZE);
  CHECK(kpx_ring_reserve(&writer, UINT32_MAX, 0, &room) == -EMSGSIZE);
}

static void test_largest_fits_an_empty_ring_anywhere(void) {
  unsigned char payload[LARGEST] = {0};
  uint32_t type;
  for (uint32_t start = 0; start < CAPACITY; start += 8) {
    fresh();
    for (uint32_t i = 0; i < start; i += 8) {
      CHECK(kpx_ring_produce(&writer, 0, NULL, 0) == 0);
      CHECK(kpx_ring_consume(&reader, &type, payload, sizeof payload) == 0);
    }
    CHECK(kpx_ring_produce(&writer, 5, payload, LARGEST) == 0);
    CHECK(kpx_ring_consume(&reader, &type, payload, sizeof payload) == LARGEST && type == 5);
  }
}

static void test_full_is_refused_until_released(void) {
  fresh();
  struct kpx_record record;
  int fitted = 0;
  while (kpx_ring_produce(&writer, (uint32_t)fitted, "12345678", 8) == 0) fitted++;
  CHECK(fitted == CAPACITY / 16);
  CHECK(kpx_ring_produce(&writer, 0, NULL, 0) == -EAGAIN);
  CHECK(kpx_ring_peek(&reader, &record) == 1 && record.type == 0);
  CHECK(kpx_ring_produce(&writer, 0, NULL, 0) == -EAGAIN);
  kpx_ring_release(&reader);
  CHECK(kpx_ring_produce(&writer, 99, "12345678", 8) == 0);
  for (int i = 1; i < fitted; i++) CHECK(kpx_ring_peek(&reader, &record) == 1 && record.type == (uint32_t)i);
  CHECK(kpx_ring_peek(&reader, &record) == 1 && record.type == 99);
  CHECK(kpx_ring_peek(&reader, &record) == 0);
}

static void test_batches(void) {
  fresh();
  struct kpx_record record;
  unsigned char *room;
  for (int i = 0; i < 3; i++) {
    CHECK(kpx_ring_reserve(&writer, 1, 10u + (uint32_t)i, &room) == 0);
    *room = (unsigned char)i;
    CHECK(kpx_ring_peek(&reader, &record) == 0);
  }
  CHECK(kpx_ring_submit(&writer) == KPX_RING_AWAKE);
  CHECK(kpx_ring_reserve(&writer, 100, 66, &room) == 0);
  kpx_ring_cancel(&writer);
  CHECK(kpx_ring_submit(&writer) == KPX_RING_AWAKE);
  for (int i = 0; i < 3; i++) {
    CHECK(kpx_ring_peek(&reader, &record) == 1);
    CHECK(record.length == 1 && record.type == 10u + (uint32_t)i && record.payload[0] == i);
  }
  CHECK(atomic_load(&shared()->consumed) == 0);
  kpx_ring_release(&reader);
  CHECK(atomic_load(&shared()->consumed) == 3 * 16);
  CHECK(kpx_ring_peek(&reader, &record) == 0);
}

static void test_counters_wrap(void) {
  fresh();
  atomic_store(&shared()->produced, 0xffffff00u);
  atomic_store(&shared()->consumed, 0xffffff00u);
  CHECK(kpx_ring_attach(&writer, memory, BYTES, 0) == 0);
  CHECK(kpx_ring_attach(&reader, memory, BYTES, 0) == 0);
  uint32_t type;
  unsigned char back[LARGEST];
  for (uint32_t i = 0; i < 64; i++) {
    CHECK(kpx_ring_produce(&writer, i, "abcdefghijklmnopqrstuvwxyz", 26) == 0);
    CHECK(kpx_ring_consume(&reader, &type, back, sizeof back) == 26 && type == i);
  }
  CHECK(atomic_load(&shared()->produced) < 0x1000);
}

static void test_closing(void) {
  fresh();
  struct kpx_record record;
  CHECK(kpx_ring_produce(&writer, 1, "x", 1) == 0);
  kpx_ring_close_producer(&writer);
  CHECK(kpx_ring_sleep(&reader, -1) == 1);
  CHECK(kpx_ring_peek(&reader, &record) == 1);
  CHECK(kpx_ring_peek(&reader, &record) == -EPIPE);
  fresh();
  kpx_ring_close_consumer(&reader);
  int status;
  do status = kpx_ring_produce(&writer, 1, "x", 1);
  while (status == 0);
  CHECK(status == -EPIPE);
}

static void test_small_buffer_keeps_the_record(void) {
  fresh();
  uint32_t type;
  char back[4];
  CHECK(kpx_ring_produce(&writer, 1, "12345", 5) == 0);
  CHECK(kpx_ring_consume(&reader, &type, back, 4) == -ENOBUFS);
  char more[5];
  CHECK(kpx_ring_consume(&reader, &type, more, 5) == 5 && memcmp(more, "12345", 5) == 0);
}

static void put_word(uint32_t at, uint32_t word) { memcpy(memory + KPX_RING_HEADER + at, &word, 4); }

static void test_reader_believes_no_lies(void) {
  struct kpx_record record;
  const uint32_t produced[] = {4, CAPACITY + 8, 0x80000000u, 0xfffffff8u};
  for (size_t i = 0; i < sizeof produced / sizeof produced[0]; i++) {
    fresh();
    atomic_store(&shared()->produced, produced[i]);
    CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
    atomic_store(&shared()->produced, 0);
    CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
  }
  const uint32_t lengths[] = {9, LARGEST + 1, 0x7fffffffu, 0xfffffff0u, KPX_RING_WRAP};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    fresh();
    CHECK(kpx_ring_produce(&writer, 1, "12345678", 8) == 0);
    put_word(0, lengths[i]);
    CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
  }
  /* A record that would run over the end, and a marker with nothing (or another marker) behind it. */
  fresh();
  while (kpx_ring_produce(&writer, 1, "12345678", 8) == 0) continue;
  for (int i = 0; i < CAPACITY / 16 - 1; i++) CHECK(kpx_ring_peek(&reader, &record) == 1);
  kpx_ring_release(&reader);
  CHECK(kpx_ring_produce(&writer, 1, "12345678", 8) == 0);
  struct kpx_ring again = reader;
  put_word(CAPACITY - 16, 9);
  CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
  reader = again;
  put_word(CAPACITY - 16, KPX_RING_WRAP);
  put_word(0, KPX_RING_WRAP);
  CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
  /* The producer's counter goes back over what was peeked. */
  fresh();
  CHECK(kpx_ring_produce(&writer, 1, "1", 1) == 0);
  CHECK(kpx_ring_peek(&reader, &record) == 1);
  atomic_store(&shared()->produced, 8);
  CHECK(kpx_ring_peek(&reader, &record) == -EBADMSG);
}

static void test_writer_believes_no_lies(void) {
  const uint32_t consumed[] = {3, 8, CAPACITY + 8, 0xfffffff8u};
  for (size_t i = 0; i < sizeof consumed / sizeof consumed[0]; i++) {
    fresh();
    unsigned char *room;
    if (consumed[i] != 8)
      while (kpx_ring_produce(&writer, 1, NULL, 0) == 0) continue;
    else
      while (kpx_ring_reserve(&writer, 0, 1, &room) == 0) continue; /* not published, so not consumable */
    atomic_store(&shared()->consumed, consumed[i]);
    CHECK(kpx_ring_reserve(&writer, 0, 1, &room) == -EBADMSG);
  }
}

static void test_sleep_times_out(void) {
  fresh();
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  CHECK(kpx_ring_sleep(&reader, 20000) == 0);
  clock_gettime(CLOCK_MONOTONIC, &to);
  CHECK((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 19);
  CHECK(atomic_load(&shared()->sleeping) == KPX_RING_AWAKE);
  atomic_store(&shared()->sleeping, KPX_RING_DESCRIPTOR);
  unsigned char *room;
  CHECK(kpx_ring_reserve(&writer, 0, 1, &room) == 0);
  CHECK(kpx_ring_submit(&writer) == KPX_RING_DESCRIPTOR);
  /* Whoever else finds it must tell, too: nobody is told a second time. */
  atomic_store(&shared()->sleeping, KPX_RING_DESCRIPTOR);
  CHECK(kpx_ring_produce(&writer, 1, "x", 1) == KPX_RING_DESCRIPTOR);
  CHECK(kpx_ring_produce(&writer, 1, "x", 1) == KPX_RING_AWAKE);
  atomic_store(&shared()->sleeping, KPX_RING_DESCRIPTOR);
  CHECK(kpx_ring_close_producer(&writer) == KPX_RING_DESCRIPTOR);
  CHECK(kpx_ring_sleep(&reader, 1000000) == 1);
}

static void test_shared_files(void) {
  char path[] = "/tmp/kpx-ring-test-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  close(fd);
  CHECK(kpx_shm_create(path, 4096, 0600) == -EEXIST);
  CHECK(kpx_shm_open(path) == -EBADMSG); /* empty */
  unlink(path);
  CHECK(kpx_shm_open(path) == -ENOENT);
  CHECK(kpx_shm_create(path, 0, 0600) == -EINVAL && kpx_shm_create(NULL, 1, 0600) == -EINVAL);
  int made = kpx_shm_create(path, 8192, 0600);
  int other = kpx_shm_open(path);
  CHECK(made >= 0 && other >= 0 && kpx_shm_size(other) == 8192);
  unsigned a[2], b[2], c[2];
  CHECK(kpx_shm_map(made, a) == 0 && kpx_shm_map(other, b) == 0 && kpx_shm_map(made, c) == 0);
  CHECK(memcmp(a, c, sizeof a) == 0 && memcmp(a, b, sizeof a) != 0);
  unsigned char *one = (unsigned char *)(uintptr_t)((uint64_t)a[1] << 32 | a[0]);
  unsigned char *two = (unsigned char *)(uintptr_t)((uint64_t)b[1] << 32 | b[0]);
  one[8191] = 42;
  CHECK(two[8191] == 42);
  CHECK(kpx_shm_reserve(made, 4096, 4096) == 0 && kpx_shm_reserve(made, 4097, 4096) == -EINVAL);
  CHECK(kpx_shm_lock(made, 0) == 0 && kpx_shm_lock(made, 0) == 0 && kpx_shm_lock(other, 0) == -EAGAIN);
  CHECK(kpx_shm_locked(other, 0) == 1 && kpx_shm_locked(made, 0) == 0 && kpx_shm_locked(other, 1) == 0);
  CHECK(kpx_shm_lock(other, 1) == 0 && kpx_shm_locked(made, 1) == 1 && kpx_shm_unlock(other, 1) == 0);
  CHECK(kpx_shm_locked(made, 1) == 0 && kpx_shm_lock(made, 8192) == -EINVAL);
  CHECK(kpx_shm_same(made, path) == 1);
  unlink(path);
  CHECK(kpx_shm_same(made, path) == -ENOENT);
  CHECK(kpx_shm_close(made) == 0 && kpx_shm_close(made) == -EBADF && kpx_shm_size(made) == -EBADF);
  CHECK(kpx_shm_locked(other, 0) == 0 && kpx_shm_close(other) == 0);
  CHECK(kpx_shm_close(-1) == -EBADF && kpx_shm_size(0x7fffffff) == -EBADF && kpx_wake_post(0) == -EBADF);

  int sleeper = kpx_wake_create(path), waker = kpx_wake_open(path);
  CHECK(sleeper >= 0 && waker >= 0 && kpx_wake_fd(sleeper) >= 0);
  CHECK(kpx_wake_create(path) == -EEXIST && kpx_shm_open(path) == -ENXIO && kpx_shm_size(sleeper) == -EBADF);
  char byte;
  CHECK(read(kpx_wake_fd(sleeper), &byte, 1) < 0 && errno == EAGAIN);
  for (int i = 0; i < 70000; i++) CHECK(kpx_wake_post(waker) == 0);
  CHECK(kpx_wake_drain(sleeper) == 0);
  CHECK(read(kpx_wake_fd(sleeper), &byte, 1) < 0 && errno == EAGAIN);
  CHECK(kpx_wake_close(sleeper) == 0 && kpx_wake_post(waker) == 0 && kpx_wake_close(waker) == 0);
  unlink(path);

  int handles[KPX_SHM_HANDLES + 1], count = 0;
  CHECK(kpx_shm_create(path, 64, 0600) >= 0);
  while (count < KPX_SHM_HANDLES - 1) CHECK((handles[count++] = kpx_shm_open(path)) >= 0);
  CHECK(kpx_shm_open(path) == -EMFILE);
  while (count > 0) CHECK(kpx_shm_close(handles[--count]) == 0);
  unlink(path);
}

int main(void) {
  test_refuses_bad_places();
  test_refuses_bad_headers();
  test_sizes();
  test_largest_fits_an_empty_ring_anywhere();
  test_full_is_refused_until_released();
  test_batches();
  test_counters_wrap();
  test_closing();
  test_small_buffer_keeps_the_record();
  test_reader_believes_no_lies();
  test_writer_believes_no_lies();
  test_sleep_times_out();
  test_shared_files();
  free(memory);
  return 0;
}
