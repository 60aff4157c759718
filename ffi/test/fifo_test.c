/* The packet FIFO: one write is one read, a full pipe, readers that come and go, and wrong handles. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char directory[] = "/tmp/kpaxos-fifo-XXXXXX";
static char path[64];

static void test_makes_once(void) {
  struct stat first, second;
  CHECK(kpx_fifo_make(path, 0600) == 0 && lstat(path, &first) == 0);
  CHECK(kpx_fifo_make(path, 0600) == 0 && lstat(path, &second) == 0);
  CHECK(first.st_ino == second.st_ino && S_ISFIFO(first.st_mode) && (first.st_mode & 0777) == 0600);
  CHECK(kpx_fifo_make(directory, 0600) == -ENXIO && kpx_fifo_make(NULL, 0) == -EINVAL);
  CHECK(kpx_fifo_make("/nowhere/fifo", 0600) == -ENOENT);
}

static void test_records(void) {
  static char record[KPX_FIFO_RECORD + 1], got[KPX_FIFO_RECORD];
  CHECK(kpx_fifo_open(path) == -ENXIO);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  CHECK(reader >= 0);
  int handle = kpx_fifo_open(path);
  CHECK(handle >= 0 && kpx_fifo_open(path) == -EBUSY);
  for (int length = 1; length <= KPX_FIFO_RECORD; length += 315) {
    memset(record, length & 0xff, sizeof record);
    CHECK(kpx_fifo_write(handle, record, sizeof record, 1, length) == 0);
    CHECK(kpx_fifo_write(handle, record, sizeof record, 0, 1) == 0);
    CHECK(read(reader, got, sizeof got) == length && memcmp(got, record, (size_t)length) == 0);
    CHECK(read(reader, got, sizeof got) == 1);
  }
  CHECK(kpx_fifo_write(handle, record, sizeof record, 0, 0) == -EMSGSIZE);
  CHECK(kpx_fifo_write(handle, record, sizeof record, 0, KPX_FIFO_RECORD + 1) == -EMSGSIZE);
  CHECK(kpx_fifo_write(handle, record, sizeof record, 2, KPX_FIFO_RECORD) == -EINVAL);
  CHECK(kpx_fifo_write(handle, record, 10, -1, 5) == -EINVAL && kpx_fifo_write(handle, record, 10, 0, -1) == -EINVAL);
  CHECK(kpx_fifo_write(handle, NULL, 10, 0, 5) == -EINVAL);

  int written = 0;
  while (kpx_fifo_write(handle, record, sizeof record, 0, 100) == 0) written++;
  CHECK(written >= 16 && kpx_fifo_write(handle, record, sizeof record, 0, 100) == -EAGAIN);
  for (int i = 0; i < written; i++) CHECK(read(reader, got, sizeof got) == 100);

  close(reader);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  CHECK(kpx_fifo_write(handle, record, sizeof record, 0, 1) == -EPIPE);
  CHECK(kpx_fifo_close(handle) == 0 && kpx_fifo_close(handle) == -EBADF);
  CHECK(kpx_fifo_write(handle, record, sizeof record, 0, 1) == -EBADF);
}

static void test_sigpipe_is_ignored(void) {
  signal(SIGPIPE, SIG_DFL);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  int handle = kpx_fifo_open(path);
  CHECK(reader >= 0 && handle >= 0);
  close(reader);
  CHECK(kpx_fifo_write(handle, "x", 1, 0, 1) == -EPIPE);
  CHECK(kpx_fifo_close(handle) == 0);
}

static void test_handles(void) {
  CHECK(kpx_fifo_close(-1) == -EBADF && kpx_fifo_close(255) == -EBADF && kpx_fifo_close(0) == -EBADF);
  char name[80], link[80];
  int handles[KPX_FIFO_HANDLES], readers[KPX_FIFO_HANDLES + 1];
  for (int i = 0; i <= KPX_FIFO_HANDLES; i++) {
    snprintf(name, sizeof name, "%s-%d", path, i);
    CHECK(kpx_fifo_make(name, 0600) == 0);
    readers[i] = open(name, O_RDONLY | O_NONBLOCK);
    int handle = kpx_fifo_open(name);
    CHECK(i < KPX_FIFO_HANDLES ? handle >= 0 : handle == -EMFILE);
    if (i < KPX_FIFO_HANDLES) handles[i] = handle;
  }
  snprintf(link, sizeof link, "%s-link", path);
  CHECK(symlink(name, link) == 0 && kpx_fifo_open(link) == -ELOOP && unlink(link) == 0);
  for (int i = 0; i <= KPX_FIFO_HANDLES; i++) {
    if (i < KPX_FIFO_HANDLES) CHECK(kpx_fifo_close(handles[i]) == 0);
    close(readers[i]);
    snprintf(name, sizeof name, "%s-%d", path, i);
    unlink(name);
  }
}

int main(void) {
  CHECK(mkdtemp(directory) != NULL);
  snprintf(path, sizeof path, "%s/fifo", directory);
  test_makes_once();
  test_records();
  test_sigpipe_is_ignored();
  test_handles();
  unlink(path);
  rmdir(directory);
  return 0;
}
