/* Shared files: a signal that comes while their memory is allocated is no error. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../shm.h"
#include "check.h"

/* In place of the C library's: what the kernel says of tmpfs when a signal comes, and then an answer. */
static int interruptions;
static int answer;

int posix_fallocate(int fd, off_t offset, off_t length) {
  CHECK(fd >= 0 && offset == 4096 && length == 8192);
  return interruptions-- > 0 ? EINTR : answer;
}

int main(void) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/kpx_shm_test.%ld", (long)getpid());
  int handle = kpx_shm_create(path, 65536, 0600);
  CHECK(handle >= 0);
  CHECK(unlink(path) == 0);
  const int answers[] = {0, ENOSPC};
  for (int i = 0; i < 2; i++) {
    interruptions = 3;
    answer = answers[i];
    CHECK(kpx_shm_reserve(handle, 4096, 8192) == -answer);
    CHECK(interruptions == -1);
  }
  CHECK(kpx_shm_close(handle) == 0);
  return 0;
}
