/* kpx_pin: a thread runs where it is told to, or nothing changes. */
#include "link_support.h"

static cpu_set_t allowed(void) {
  cpu_set_t set;
  EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

int main(void) {
  cpu_set_t before = allowed();
  uint32_t none = CPU_SETSIZE;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (!CPU_ISSET(cpu, &before)) none = cpu;

  uint32_t last = 0;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &before)) continue;
    EQUAL(kpx_pin(&cpu, 1), 0);
    EQUAL(sched_getcpu(), cpu);
    last = cpu;
  }
  cpu_set_t pinned = allowed();
  EQUAL(CPU_COUNT(&pinned), 1);

  const uint32_t half[] = {last, none};
  const uint32_t beyond[] = {last, CPU_SETSIZE};
  EQUAL(kpx_pin(&none, 1), -ENODEV);
  EQUAL(kpx_pin(half, 2), -ENODEV);
  EQUAL(kpx_pin(beyond, 2), -ENODEV);
  EQUAL(kpx_pin(&last, 0), -EINVAL);
  EQUAL(kpx_pin(NULL, 1), -EINVAL);
  cpu_set_t after = allowed();
  CHECK(CPU_EQUAL(&after, &pinned));
  return 0;
}
