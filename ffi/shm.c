/* Shared file mappings and wake-up FIFOs of shm.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { UNUSED = 0, MAPPING, FIFO };

struct slot {
  enum kind kind;
  int generation; /* makes a closed slot's old handles invalid */
  int fd;
  int bytes;
  void *address;
};

static struct slot slots[KPX_SHM_HANDLES];
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

static int handle_of(int index) { return (slots[index].generation << 8) | index; }

static int put(enum kind kind, int fd, int bytes) {
  int handle = -EMFILE;
  pthread_mutex_lock(&table);
  for (int i = 0; i < KPX_SHM_HANDLES; i++) {
    if (slots[i].kind != UNUSED) continue;
    slots[i].kind = kind;
    slots[i].generation = (slots[i].generation + 1) & 0x7fffff;
    slots[i].fd = fd;
    slots[i].bytes = bytes;
    slots[i].address = NULL;
    handle = handle_of(i);
    break;
  }
  pthread_mutex_unlock(&table);
  if (handle < 0) close(fd);
  return handle;
}

/* Leaves the table locked when it succeeds, so that nobody closes the slot meanwhile. */
static struct slot *take(int handle, enum kind kind) {
  pthread_mutex_lock(&table);
  int index = handle & 0xff;
  if (handle >= 0 && slots[index].kind == kind && handle_of(index) == handle) return &slots[index];
  pthread_mutex_unlock(&table);
  return NULL;
}

static int give(int status) {
  pthread_mutex_unlock(&table);
  return status;
}

static int open_kind(const char *path, int flags, mode_t wanted, struct stat *info) {
  /* O_NONBLOCK: a FIFO planted at the path must not hang us. */
  int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return -errno;
  int status = fstat(fd, info) < 0 ? -errno : (info->st_mode & S_IFMT) == wanted ? 0 : -ENXIO;
  if (status == 0) return fd;
  close(fd);
  return status;
}

int kpx_shm_create(const char *path, int bytes, int mode) {
  if (path == NULL || bytes <= 0) return -EINVAL;
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode & 0666);
  if (fd < 0) return -errno;
  if (ftruncate(fd, bytes) < 0) {
    int status = -errno;
    unlink(path);
    close(fd);
    return status;
  }
  int handle = put(MAPPING, fd, bytes);
  if (handle < 0) unlink(path);
  return handle;
}

int kpx_shm_open(const char *path) {
  if (path == NULL) return -EINVAL;
  struct stat info;
  int fd = open_kind(path, 0, S_IFREG, &info);
  if (fd < 0) return fd;
  if (info.st_size <= 0 || info.st_size > INT_MAX) {
    close(fd);
    return -EBADMSG;
  }
  return put(MAPPING, fd, (int)info.st_size);
}

int kpx_shm_size(int handle) {
  struct slot *slot = take(handle, MAPPING);
  return slot == NULL ? -EBADF : give(slot->bytes);
}

int kpx_shm_map(int handle, unsigned address[2]) {
  if (address == NULL) return -EINVAL;
  struct slot *slot = take(handle, MAPPING);
  if (slot == NULL) return -EBADF;
  if (slot->address == NULL) {
    void *at = mmap(NULL, (size_t)slot->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, slot->fd, 0);
    if (at == MAP_FAILED) return give(-errno);
    slot->address = at;
  }
  uint64_t number = (uint64_t)(uintptr_t)slot->address;
  address[0] = (unsigned)number;
  address[1] = (unsigned)(number >> 32);
  return give(0);
}

int kpx_shm_reserve(int handle, int offset, int bytes) {
  struct slot *slot = take(handle, MAPPING);
  if (slot == NULL) return -EBADF;
  if (offset < 0 || bytes <= 0 || offset > slot->bytes - bytes) return give(-EINVAL);
  /* posix_fallocate writes where the file system cannot allocate, so it works everywhere. Any signal ends it on tmpfs. */
  int status;
  do status = posix_fallocate(slot->fd, offset, bytes);
  while (status == EINTR);
  return give(-status);
}

static int lock_byte(int handle, int command, short type, int byte) {
  struct slot *slot = take(handle, MAPPING);
  if (slot == NULL) return -EBADF;
  if (byte < 0 || byte >= slot->bytes) return give(-EINVAL);
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
  if (fcntl(slot->fd, command, &lock) < 0) return give(errno == EACCES ? -EAGAIN : -errno);
  return give(lock.l_type != F_UNLCK);
}

int kpx_shm_lock(int handle, int byte) {
  int status = lock_byte(handle, F_OFD_SETLK, F_WRLCK, byte);
  return status < 0 ? status : 0;
}

int kpx_shm_unlock(int handle, int byte) { return lock_byte(handle, F_OFD_SETLK, F_UNLCK, byte); }

int kpx_shm_locked(int handle, int byte) { return lock_byte(handle, F_OFD_GETLK, F_WRLCK, byte); }

int kpx_shm_same(int handle, const char *path) {
  if (path == NULL) return -EINVAL;
  struct slot *slot = take(handle, MAPPING);
  if (slot == NULL) return -EBADF;
  struct stat mine, named;
  if (fstat(slot->fd, &mine) < 0 || lstat(path, &named) < 0) return give(-errno);
  return give(mine.st_dev == named.st_dev && mine.st_ino == named.st_ino);
}

static int shut(int handle, enum kind kind) {
  struct slot *slot = take(handle, kind);
  if (slot == NULL) return -EBADF;
  if (slot->address != NULL) munmap(slot->address, (size_t)slot->bytes);
  close(slot->fd);
  slot->kind = UNUSED;
  slot->address = NULL;
  return give(0);
}

int kpx_shm_close(int handle) { return shut(handle, MAPPING); }

int kpx_wake_create(const char *path) {
  if (path == NULL) return -EINVAL;
  if (mkfifo(path, 0600) < 0) return -errno;
  int handle = kpx_wake_open(path);
  if (handle < 0) unlink(path);
  return handle;
}

int kpx_wake_open(const char *path) {
  if (path == NULL) return -EINVAL;
  struct stat info;
  /* Both ends read and write: then opening never waits for the other, and writing never meets SIGPIPE. */
  int fd = open_kind(path, 0, S_IFIFO, &info);
  return fd < 0 ? fd : put(FIFO, fd, 0);
}

int kpx_wake_fd(int handle) {
  struct slot *slot = take(handle, FIFO);
  return slot == NULL ? -EBADF : give(slot->fd);
}

int kpx_wake_post(int handle) {
  struct slot *slot = take(handle, FIFO);
  if (slot == NULL) return -EBADF;
  /* A full FIFO is readable already. */
  if (write(slot->fd, "", 1) < 0 && errno != EAGAIN) return give(-errno);
  return give(0);
}

int kpx_wake_drain(int handle) {
  struct slot *slot = take(handle, FIFO);
  if (slot == NULL) return -EBADF;
  char sink[512];
  ssize_t n;
  do n = read(slot->fd, sink, sizeof sink);
  while (n == (ssize_t)sizeof sink || (n < 0 && errno == EINTR));
  return give(n < 0 && errno != EAGAIN ? -errno : 0);
}

int kpx_wake_close(int handle) { return shut(handle, FIFO); }
