/*
 * The writing end of a FIFO in packet mode: one write of at most KPX_FIFO_RECORD bytes is what one read returns, as the
 * character device of Kernel_Paxos does it. Never blocks, and never raises SIGPIPE.
 *
 * Handles are small integers from one bounded table; a closed or forged one is -EBADF. All functions return negative errno
 * on failure and may be called from any thread.
 */
#ifndef KPX_FIFO_H
#define KPX_FIFO_H

#ifndef KPX_API
#define KPX_API __attribute__((visibility("default")))
#endif

#define KPX_FIFO_HANDLES 16
/* PIPE_BUF: a longer write would come apart. */
#define KPX_FIFO_RECORD 4096
#define KPX_FIFO_CAPACITY (1 << 20)

/* Makes the FIFO (mode cut to 0666) unless there is one, which stays as it is; -ENXIO: something else has that name. */
KPX_API int kpx_fifo_make(const char *path, int mode);
/*
 * The writer's end, as soon as somebody reads. -ENXIO: nobody does now; -EBUSY: another process writes there; -EINVAL:
 * not a FIFO.
 */
KPX_API int kpx_fifo_open(const char *path);
/*
 * One record from bytes offset…offset + length − 1 of a memory of `bytes` bytes. 0; -EAGAIN: the pipe is full; -EPIPE: its
 * reader is gone; -EMSGSIZE: longer than KPX_FIFO_RECORD or empty.
 */
KPX_API int kpx_fifo_write(int handle, const void *memory, int bytes, int offset, int length);
KPX_API int kpx_fifo_close(int handle);

#endif
