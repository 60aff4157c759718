/*
 * What processes on one host share: a file mapped by all of them, and a FIFO on which one wakes another.
 *
 * Handles are small integers from one bounded table; a closed, foreign or forged one is -EBADF. All functions return
 * negative errno on failure and may be called from any thread.
 *
 * Who is alive is asked of the kernel, not of process ids: each party holds an open-file-description lock on "its" byte of
 * the file, which vanishes with the last descriptor of its holder, however that ends. Process ids are reused and mean
 * nothing across pid namespaces; such locks do not have these faults, and two handles of one process count as two.
 */
#ifndef KPX_SHM_H
#define KPX_SHM_H

#ifndef KPX_API
#define KPX_API __attribute__((visibility("default")))
#endif

#define KPX_SHM_HANDLES 256

/*
 * A new file of `bytes` zero bytes; -EEXIST if something has that name. `mode` is cut to 0666; 0600 is what kpaxos
 * uses, because whoever may write the file may feed its readers and fill its rings. The file is sparse.
 */
KPX_API int kpx_shm_create(const char *path, int bytes, int mode);
/* An existing regular file (never through a symbolic link). */
KPX_API int kpx_shm_open(const char *path);
KPX_API int kpx_shm_size(int handle);
/* Maps the whole file and stores the address in address[0..1] (low, high word). Again: the same address. */
KPX_API int kpx_shm_map(int handle, unsigned address[2]);
/* Allocates the memory behind a range now: -ENOSPC here instead of SIGBUS at the first write. */
KPX_API int kpx_shm_reserve(int handle, int offset, int bytes);
/* Takes the exclusive lock on one byte of the file: 0, or -EAGAIN when another handle has it. */
KPX_API int kpx_shm_lock(int handle, int byte);
KPX_API int kpx_shm_unlock(int handle, int byte);
/* 1 when another handle, here or in another process, holds that byte's lock; else 0. */
KPX_API int kpx_shm_locked(int handle, int byte);
/* 1 when `path` still names the handle's file, 0 when it names another; -ENOENT. */
KPX_API int kpx_shm_same(int handle, const char *path);
/* Unmaps and closes, and so gives up the locks. The caller no longer touches the mapping. */
KPX_API int kpx_shm_close(int handle);

/* The sleeper's end of a wake-up FIFO: makes it (mode 0600) and opens it. */
KPX_API int kpx_wake_create(const char *path);
/* The waker's end; -ENXIO when the path is not a FIFO. */
KPX_API int kpx_wake_open(const char *path);
/* The descriptor to watch for readability; it stays the handle's. */
KPX_API int kpx_wake_fd(int handle);
/* Makes it readable; never blocks. */
KPX_API int kpx_wake_post(int handle);
/* Reads it empty. */
KPX_API int kpx_wake_drain(int handle);
KPX_API int kpx_wake_close(int handle);

#endif
