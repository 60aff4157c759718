/* Ties a thread to processors. */
#include <errno.h>
#include <sched.h>
#include <stddef.h>

#include "kpaxos.h"

int32_t kpx_pin(const uint32_t *cpus, uint32_t count) {
  if (cpus == NULL || count == 0) return -EINVAL;
  cpu_set_t before;
  cpu_set_t wanted;
  cpu_set_t granted;
  CPU_ZERO(&wanted);
  for (uint32_t i = 0; i < count; i++) {
    if (cpus[i] >= CPU_SETSIZE) return -ENODEV;
    CPU_SET(cpus[i], &wanted);
  }
  if (sched_getaffinity(0, sizeof before, &before) < 0) return -errno;
  /* The kernel refuses a set of which nothing can be had (EINVAL), and silently cuts any other. */
  if (sched_setaffinity(0, sizeof wanted, &wanted) < 0) return errno == EINVAL ? -ENODEV : -errno;
  if (sched_getaffinity(0, sizeof granted, &granted) < 0) return -errno;
  if (CPU_EQUAL(&wanted, &granted)) return 0;
  (void)sched_setaffinity(0, sizeof before, &before);
  return -ENODEV;
}
