/* Which processors a thread runs on, and before whom. */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

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

/* The main thread is one of them, so not to be allowed is told by it at the latest. */
static int32_t schedule_all(DIR *threads, int policy, const struct sched_param *param) {
  for (const struct dirent *entry; (entry = readdir(threads)) != NULL;) {
    pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
    if (thread == 0) continue;
    if (sched_setscheduler(thread, policy, param) < 0 && errno != ESRCH) return -errno;
  }
  return 0;
}

int32_t kpx_set_realtime(uint32_t on) {
  struct sched_param param = {.sched_priority = on != 0 ? sched_get_priority_min(SCHED_RR) : 0};
  DIR *threads = opendir("/proc/self/task");
  if (threads == NULL) return -errno;
  /* Twice: a thread may have been made meanwhile by one that was still as before. */
  int32_t result = 0;
  for (int pass = 0; pass < 2 && result == 0; pass++) {
    rewinddir(threads);
    result = schedule_all(threads, on != 0 ? SCHED_RR : SCHED_OTHER, &param);
  }
  closedir(threads);
  return result;
}

int32_t kpx_set_patient(uint32_t on) {
  const struct sched_param param = {.sched_priority = 0};
  int32_t policy = kpx_scheduling();
  if (policy < 0) return policy;
  if (policy != SCHED_OTHER && policy != SCHED_BATCH) return 0;
  return sched_setscheduler(0, on != 0 ? SCHED_BATCH : SCHED_OTHER, &param) < 0 ? -errno : 0;
}
