/* Finds the descriptor the runtime's own event loop sleeps on, so that a sleeping step can watch it. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kpaxos.h"

static int is_epoll(int directory, const char *name) {
  char target[64];
  ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
  if (length < 0) return 0;
  target[length] = '\0';
  return strcmp(target, "anon_inode:[eventpoll]") == 0;
}

int32_t kpx_event_loop_fd(void) {
  DIR *descriptors = opendir("/proc/self/fd");
  if (descriptors == NULL) return -errno;
  long lowest = -1;
  for (const struct dirent *entry = readdir(descriptors); entry != NULL; entry = readdir(descriptors)) {
    char *end;
    long fd = strtol(entry->d_name, &end, 10);
    if (*end != '\0' || (lowest >= 0 && fd >= lowest)) continue;
    if (is_epoll(dirfd(descriptors), entry->d_name)) lowest = fd;
  }
  closedir(descriptors);
  return lowest < 0 ? -ENOENT : (int32_t)lowest;
}
