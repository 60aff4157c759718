/*
 * What a link says of how long the host was suspended, on clocks of the test's own: the library asks these.
 */
#include <time.h>

#include "link_support.h"

#define SECOND 1000000000ll

static long long awake_ns = 5 * SECOND;
static long long asleep_ns = 2 * SECOND;
/* Between two looks at a clock. */
static long long look_ns;

int clock_gettime(clockid_t clock, struct timespec *time) {
  awake_ns += look_ns;
  long long ns = awake_ns + (clock == CLOCK_BOOTTIME ? asleep_ns : 0);
  *time = (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
  return 0;
}

int main(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  double info[KPX_INFO_COUNT];
  EQUAL(kpx_link_info(link.handle, info, KPX_INFO_COUNT), KPX_INFO_COUNT);
  const double *us = (const double *)(const void *)((uint32_t *)(void *)link.area + (uint32_t)info[KPX_INFO_ASLEEP]);
  EQUAL(*us, 2000000);

  /* Time that passes while the process is awake changes nothing, nor does it where it passes between the two looks. */
  awake_ns += 100 * SECOND;
  look_ns = SECOND / 1000;
  EQUAL(kpx_link_step(link.handle, 0, 16, 0, 0), 0);
  EQUAL(*us, 2000000);

  look_ns = 0;
  asleep_ns += 3600 * SECOND;
  EQUAL(kpx_link_step(link.handle, 0, 16, 0, 0), 0);
  EQUAL(*us, 3602000000ll);

  /* Also when the suspension ends a sleep. */
  asleep_ns += SECOND;
  EQUAL(kpx_link_step(link.handle, 0, 16, 0, 1000), 0);
  EQUAL(*us, 3603000000ll);
  EQUAL(kpx_link_close(link.handle), 0);
  return 0;
}
