/* Threads: wakes, stale handles and closing while others step. Meant for the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "link_support.h"

#define STEPPERS 2
#define ROUNDS 300

static atomic_int shared;
static atomic_bool done;

static void *step(void *unused) {
  (void)unused;
  while (!atomic_load(&done)) {
    int32_t handle = atomic_load(&shared);
    int result = kpx_link_step(handle, 1, 16, 0, 200);
    CHECK(result >= 0 || result == -EBADF || result == -EBUSY);
  }
  return NULL;
}

static void *wake(void *unused) {
  (void)unused;
  while (!atomic_load(&done)) {
    int result = kpx_link_wake(atomic_load(&shared));
    CHECK(result == 0 || result == -EBADF);
    double numbers[KPX_COUNTERS];
    result = kpx_link_counters(atomic_load(&shared), numbers, KPX_COUNTERS);
    CHECK(result == KPX_COUNTERS || result == -EBADF || result == -EBUSY);
    usleep(50);
  }
  return NULL;
}

static void *sleep_long(void *handle) {
  int result = kpx_link_step(*(const int32_t *)handle, 0, 16, 0, 60000000);
  CHECK(result == 0 || result == -EBADF);
  return NULL;
}

static void a_sleep_ends_when_its_link_is_closed(const uint32_t *options) {
  int32_t handle = kpx_link_open(options, KPX_OPTION_WORDS);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sleep_long, &handle) == 0);
  usleep(20000);
  EQUAL(kpx_link_close(handle), 0);
  pthread_join(thread, NULL);
}

int main(void) {
  alarm(30);
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  atomic_store(&shared, kpx_link_open(options, KPX_OPTION_WORDS));
  pthread_t threads[STEPPERS + 1];
  for (int i = 0; i < STEPPERS; i++) CHECK(pthread_create(&threads[i], NULL, step, NULL) == 0);
  CHECK(pthread_create(&threads[STEPPERS], NULL, wake, NULL) == 0);
  for (int round = 0; round < ROUNDS; round++) {
    int32_t fresh = kpx_link_open(options, KPX_OPTION_WORDS);
    CHECK(fresh > 0);
    int32_t old = atomic_exchange(&shared, fresh);
    usleep(300);
    EQUAL(kpx_link_close(old), 0);
    EQUAL(kpx_link_close(old), -EBADF);
  }
  atomic_store(&done, true);
  for (int i = 0; i <= STEPPERS; i++) pthread_join(threads[i], NULL);
  EQUAL(kpx_link_close(atomic_load(&shared)), 0);
  a_sleep_ends_when_its_link_is_closed(options);
  return 0;
}
