/* Which processors a thread runs on, and before whom. */
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

int32_t kpx_scheduling(void) {
  int policy = sched_getscheduler(0);
  return policy < 0 ? -errno : policy & ~SCHED_RESET_ON_FORK;
}

int32_t kpx_set_realtime(uint32_t on) {
  struct sched_param param = {.sched_priority = on != 0 ? sched_get_priority_min(SCHED_RR) : 0};
  int policy = on != 0 ? SCHED_RR | SCHED_RESET_ON_FORK : SCHED_OTHER;
  int result = sched_setscheduler(0, policy, &param);
  /* Who is real-time by its limit only may not take back what holds for its children. */
  if (result < 0 && on == 0 && errno == EPERM) result = sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
  return result < 0 ? -errno : 0;
}
