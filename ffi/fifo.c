/* The Kernel_Paxos device as a FIFO in packet mode: fifo.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(KPX_FIFO_RECORD <= PIPE_BUF, "a record is written whole");

struct slot {
  int open;
  int generation; /* makes a closed slot's old handles invalid */
  int fd;
};

static struct slot slots[KPX_FIFO_HANDLES];
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

static int handle_of(int index) { return (slots[index].generation << 8) | index; }

/* Leaves the table locked when it succeeds, so that nobody closes the slot meanwhile. */
static struct slot *take(int handle) {
  int index = handle & 0xff;
  if (handle < 0 || index >= KPX_FIFO_HANDLES) return NULL;
  pthread_mutex_lock(&table);
  if (slots[index].open && handle_of(index) == handle) return &slots[index];
  pthread_mutex_unlock(&table);
  return NULL;
}

static int give(int status) {
  pthread_mutex_unlock(&table);
  return status;
}

int kpx_fifo_make(const char *path, int mode) {
  if (path == NULL) return -EINVAL;
  if (mkfifo(path, (mode_t)mode & 0666) == 0) return 0;
  if (errno != EEXIST) return -errno;
  struct stat info;
  if (lstat(path, &info) < 0) return -errno;
  return S_ISFIFO(info.st_mode) ? 0 : -ENXIO;
}

/* Who sets a handler of their own keeps it; the default would end the process when a reader goes. */
static void ignore_sigpipe(void) {
  struct sigaction old;
  if (sigaction(SIGPIPE, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
}

static int prepare(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return -errno;
  if (!S_ISFIFO(info.st_mode)) return -EINVAL;
  /* The reader's end is not locked by its readers, so this tells writers alone. */
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) return errno == EWOULDBLOCK ? -EBUSY : -errno;
  /* open() refuses O_DIRECT for a FIFO; fcntl takes it. */
  if (fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT) < 0) return -errno;
  /* Where pipes are limited to less, the smaller one serves too. */
  if (fcntl(fd, F_SETPIPE_SZ, KPX_FIFO_CAPACITY) < 0 && errno != EPERM && errno != EBUSY) return -errno;
  return 0;
}

int kpx_fifo_open(const char *path) {
  if (path == NULL) return -EINVAL;
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -errno;
  ignore_sigpipe();
  int status = prepare(fd);
  if (status == 0) {
    status = -EMFILE;
    pthread_mutex_lock(&table);
    for (int i = 0; i < KPX_FIFO_HANDLES && status == -EMFILE; i++) {
      if (slots[i].open) continue;
      slots[i].open = 1;
      slots[i].generation = (slots[i].generation + 1) & 0x7fffff;
      slots[i].fd = fd;
      status = handle_of(i);
    }
    pthread_mutex_unlock(&table);
  }
  if (status < 0) close(fd);
  return status;
}

int kpx_fifo_write(int handle, const void *memory, int bytes, int offset, int length) {
  if (memory == NULL || bytes < 0 || offset < 0 || length < 0 || offset > bytes - length) return -EINVAL;
  if (length == 0 || length > KPX_FIFO_RECORD) return -EMSGSIZE;
  struct slot *slot = take(handle);
  if (slot == NULL) return -EBADF;
  ssize_t n;
  do n = write(slot->fd, (const char *)memory + offset, (size_t)length);
  while (n < 0 && errno == EINTR);
  if (n < 0) return give(-errno);
  return give(n == length ? 0 : -EIO);
}

int kpx_fifo_close(int handle) {
  struct slot *slot = take(handle);
  if (slot == NULL) return -EBADF;
  close(slot->fd);
  slot->open = 0;
  return give(0);
}
