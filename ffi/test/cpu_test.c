/* A thread runs where it is told to, or nothing changes; and a process at real-time priority. */
#include <sys/wait.h>

#include "link_support.h"

static cpu_set_t allowed(void) {
  cpu_set_t set;
  EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

static void test_realtime(void) {
  int32_t first = kpx_scheduling();
  CHECK(first >= 0);
  if (kpx_set_realtime(1) == -EPERM) {
    EQUAL(kpx_scheduling(), first);
    return;
  }
  EQUAL(kpx_scheduling(), SCHED_RR);
  pid_t child = fork();
  if (child == 0) _exit(kpx_scheduling());
  int status;
  EQUAL(waitpid(child, &status, 0), child);
  EQUAL(WEXITSTATUS(status), SCHED_RR);
  EQUAL(kpx_set_realtime(0), 0);
  EQUAL(kpx_scheduling(), SCHED_OTHER);
}

/* Who may not become real-time, or no longer, may still become ordinary. */
static void test_ordinary_without_privilege(void) {
  pid_t child = fork();
  if (child == 0) {
    if (kpx_set_realtime(1) < 0 || setresuid(65534, 65534, 65534) < 0) _exit(0);
    EQUAL(kpx_set_realtime(0), 0);
    EQUAL(kpx_scheduling(), SCHED_OTHER);
    _exit(0);
  }
  int status;
  EQUAL(waitpid(child, &status, 0), child);
  EQUAL(status, 0);
}

/* Patience is for ordinary threads, and needs no privilege, neither to begin nor to end. */
static void test_patient(void) {
  pid_t child = fork();
  if (child == 0) {
    struct sched_param none = {.sched_priority = 0};
    EQUAL(sched_setscheduler(0, SCHED_OTHER, &none), 0);
    (void)setresuid(65534, 65534, 65534);
    for (int i = 0; i < 2; i++) {
      EQUAL(kpx_set_patient(1), 0);
      EQUAL(kpx_scheduling(), SCHED_BATCH);
      EQUAL(kpx_set_patient(0), 0);
      EQUAL(kpx_scheduling(), SCHED_OTHER);
    }
    EQUAL(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    EQUAL(kpx_set_patient(1), 0);
    EQUAL(kpx_scheduling(), SCHED_IDLE);
    _exit(0);
  }
  int status;
  EQUAL(waitpid(child, &status, 0), child);
  EQUAL(status, 0);
}

int main(void) {
  test_patient();
  test_realtime();
  test_ordinary_without_privilege();
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
