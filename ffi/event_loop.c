/*
 * Finds the descriptor this thread's event loop sleeps on, so that a sleeping step can watch it. The runtime does
 * not tell it, but the kernel does: it is the first epoll descriptor of the process in which no other thread sleeps
 * (runtimes keep threads with loops of their own, for HTTP for one, and those are mostly asleep).
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kpaxos.h"

#define MAX_LOOPS 16

struct loops {
  int count;
  int32_t fds[MAX_LOOPS]; /* ascending */
};

typedef void visitor(int directory, const char *name, long number, struct loops *loops);

static int each_number(const char *path, visitor *visit, struct loops *loops) {
  DIR *directory = opendir(path);
  if (directory == NULL) return -errno;
  for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    char *end;
    long number = strtol(entry->d_name, &end, 10);
    if (*end == '\0') visit(dirfd(directory), entry->d_name, number, loops);
  }
  closedir(directory);
  return 0;
}

static void add_loop(int directory, const char *name, long fd, struct loops *loops) {
  char target[64];
  ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
  if (length < 0) return;
  target[length] = '\0';
  if (strcmp(target, "anon_inode:[eventpoll]") != 0) return;
  /* When full, the highest makes room: descriptors of a loop that came first are low. */
  if (loops->count == MAX_LOOPS && fd > loops->fds[MAX_LOOPS - 1]) return;
  if (loops->count < MAX_LOOPS) loops->count++;
  int at = loops->count - 1;
  for (; at > 0 && loops->fds[at - 1] > fd; at--) loops->fds[at] = loops->fds[at - 1];
  loops->fds[at] = (int32_t)fd;
}

static int waits_on_epoll(long number) {
#ifdef SYS_epoll_wait
  if (number == SYS_epoll_wait) return 1;
#endif
#ifdef SYS_epoll_pwait2
  if (number == SYS_epoll_pwait2) return 1;
#endif
  return number == SYS_epoll_pwait;
}

/* /proc/self/task/N/syscall of a sleeping thread: the call's number and its arguments in hexadecimal. */
static void remove_loop_of(int directory, const char *name, long thread, struct loops *loops) {
  (void)directory;
  if (thread == syscall(SYS_gettid)) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", name);
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  long number;
  unsigned long argument;
  int read = fscanf(file, "%ld %lx", &number, &argument);
  fclose(file);
  if (read != 2 || !waits_on_epoll(number)) return;
  int kept = 0;
  for (int i = 0; i < loops->count; i++)
    if ((unsigned long)loops->fds[i] != argument) loops->fds[kept++] = loops->fds[i];
  loops->count = kept;
}

int32_t kpx_event_loop_fd(void) {
  struct loops loops = {0};
  int result = each_number("/proc/self/fd", add_loop, &loops);
  if (result < 0) return result;
  /* Where the kernel does not tell what threads do, the first one it is. */
  (void)each_number("/proc/self/task", remove_loop_of, &loops);
  return loops.count == 0 ? -ENOENT : loops.fds[0];
}
