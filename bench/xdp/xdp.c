/*
 * AF_XDP beside AF_PACKET, between two hosts of one cable (bench/xdp.ts): how many frames a process takes and what they cost,
 * and how long one takes to and fro. AF_XDP in copy mode, with the program in the driver (native) or behind it (generic);
 * AF_PACKET with recvmmsg, as the link of kpaxos has it. Whoever listens sleeps in the kernel when nothing is there.
 *
 *     xdp listen IFACE packet|generic|native      until SIGTERM; sends back what asks for it
 *     xdp flood IFACE MAC BYTES SECONDS           as fast as sendmmsg goes
 *     xdp ping IFACE MAC BYTES SECONDS            one after the other
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>

#define ETHERTYPE 0x88B6
#define ASKS 14 /* byte of a frame: whether it is to be sent back */
#define BATCH 64u
#define FRAMES 4096u /* of 2 KiB: as much as the packet socket's buffer */
#define FRAME_BYTES 2048u
#define BUFFER_BYTES (int)(FRAMES * FRAME_BYTES)
#define WAIT_MS 100
#define MOST_PINGS 2000000u

static volatile sig_atomic_t stopping;
static uint64_t received;
static uint64_t sent;

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

static int checked(int result, const char *what) {
  if (result < 0) err(1, "%s", what);
  return result;
}

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void turn_round(uint8_t *frame) {
  uint8_t from[6];
  memcpy(from, frame + 6, 6);
  memcpy(frame + 6, frame, 6);
  memcpy(frame, from, 6);
}

/* ---- AF_PACKET ---- */

static uint8_t buffers[BATCH][FRAME_BYTES];
static struct iovec vectors[BATCH];
static struct mmsghdr headers[BATCH];

static int packet_socket(unsigned ifindex) {
  int fd = checked(socket(AF_PACKET, SOCK_RAW, 0), "AF_PACKET");
  int yes = 1;
  int bytes = BUFFER_BYTES;
  checked(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes), "SO_RCVBUFFORCE");
  checked(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes), "PACKET_QDISC_BYPASS");
  checked(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes), "PACKET_IGNORE_OUTGOING");
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE), .sll_ifindex = (int)ifindex};
  checked(bind(fd, (struct sockaddr *)&at, sizeof at), "bind");
  for (uint32_t i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){.iov_base = buffers[i], .iov_len = FRAME_BYTES};
    headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  return fd;
}

static void listen_packet(int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLIN};
  while (!stopping) {
    int count = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) (void)poll(&polled, 1, WAIT_MS);
    for (int i = 0; i < count; i++) {
      received++;
      if (buffers[i][ASKS] == 0) continue;
      turn_round(buffers[i]);
      if (send(fd, buffers[i], headers[i].msg_len, 0) > 0) sent++;
    }
  }
}

/* ---- AF_XDP ---- */

/* One side is ours: the producer of fill and transmit, the consumer of the other two. */
struct ring {
  uint32_t *producer;
  uint32_t *consumer;
  void *entries;
};

struct xdp {
  int fd;
  uint8_t *frames;
  struct ring fill, completion, rx, tx;
};

static uint32_t entries_of(const uint32_t *ours, const uint32_t *theirs) {
  return __atomic_load_n(theirs, __ATOMIC_ACQUIRE) - *ours;
}

static struct ring map_ring(int fd, const struct xdp_ring_offset *at, size_t entry, off_t page) {
  uint8_t *base = mmap(NULL, at->desc + FRAMES * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (base == MAP_FAILED) err(1, "a ring of AF_XDP");
  return (struct ring){(void *)(base + at->producer), (void *)(base + at->consumer), base + at->desc};
}

static long bpf(int command, union bpf_attr *attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* All frames of the interface's only queue go to the socket: return bpf_redirect_map(map, queue, XDP_PASS). */
static void redirect_to(int fd, unsigned ifindex, uint32_t mode) {
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
  int map_fd = checked((int)bpf(BPF_MAP_CREATE, &map), "BPF_MAP_CREATE");
  uint32_t key = 0;
  union bpf_attr entry = {.map_fd = (uint32_t)map_fd, .key = (uintptr_t)&key, .value = (uintptr_t)&fd};
  checked((int)bpf(BPF_MAP_UPDATE_ELEM, &entry), "BPF_MAP_UPDATE_ELEM");
  struct bpf_insn program[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, rx_queue_index)},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd},
      {0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {
      .prog_type = BPF_PROG_TYPE_XDP,
      .insn_cnt = sizeof program / sizeof *program,
      .insns = (uintptr_t)program,
      .license = (uintptr_t) "MIT",
  };
  int program_fd = checked((int)bpf(BPF_PROG_LOAD, &load), "BPF_PROG_LOAD");
  union bpf_attr link = {.link_create = {.prog_fd = (uint32_t)program_fd, .target_ifindex = ifindex, .attach_type = BPF_XDP, .flags = mode}};
  checked((int)bpf(BPF_LINK_CREATE, &link), "BPF_LINK_CREATE");
}

static struct xdp open_xdp(unsigned ifindex, uint32_t mode) {
  struct xdp xdp = {.fd = checked(socket(AF_XDP, SOCK_RAW, 0), "AF_XDP")};
  xdp.frames = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (xdp.frames == MAP_FAILED) err(1, "frames");
  struct xdp_umem_reg memory = {.addr = (uintptr_t)xdp.frames, .len = BUFFER_BYTES, .chunk_size = FRAME_BYTES};
  checked(setsockopt(xdp.fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory), "XDP_UMEM_REG");
  const int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
  uint32_t size = FRAMES;
  for (int i = 0; i < 4; i++) checked(setsockopt(xdp.fd, SOL_XDP, rings[i], &size, sizeof size), "a ring of AF_XDP");
  struct xdp_mmap_offsets at;
  socklen_t length = sizeof at;
  checked(getsockopt(xdp.fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length), "XDP_MMAP_OFFSETS");
  xdp.fill = map_ring(xdp.fd, &at.fr, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_FILL_RING);
  xdp.completion = map_ring(xdp.fd, &at.cr, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  xdp.rx = map_ring(xdp.fd, &at.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  xdp.tx = map_ring(xdp.fd, &at.tx, sizeof(struct xdp_desc), (off_t)XDP_PGOFF_TX_RING);
  for (uint32_t i = 0; i < FRAMES; i++) ((uint64_t *)xdp.fill.entries)[i] = (uint64_t)i * FRAME_BYTES;
  __atomic_store_n(xdp.fill.producer, FRAMES, __ATOMIC_RELEASE);
  struct sockaddr_xdp place = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = ifindex};
  /* The kernel takes its time to take a queue from a socket that was closed. */
  double patience = now_seconds() + 2;
  int bound = bind(xdp.fd, (struct sockaddr *)&place, sizeof place);
  while (bound < 0 && errno == EBUSY && now_seconds() < patience) {
    usleep(1000);
    bound = bind(xdp.fd, (struct sockaddr *)&place, sizeof place);
  }
  checked(bound, "bind to a queue");
  redirect_to(xdp.fd, ifindex, mode);
  return xdp;
}

/* A frame that is not sent back, or has been, may be filled again. */
static void fill(struct xdp *xdp, uint64_t address) {
  ((uint64_t *)xdp->fill.entries)[*xdp->fill.producer % FRAMES] = address / FRAME_BYTES * FRAME_BYTES;
  __atomic_store_n(xdp->fill.producer, *xdp->fill.producer + 1, __ATOMIC_RELEASE);
}

static void send_back(struct xdp *xdp, const struct xdp_desc *frame) {
  turn_round(xdp->frames + frame->addr);
  ((struct xdp_desc *)xdp->tx.entries)[*xdp->tx.producer % FRAMES] = *frame;
  __atomic_store_n(xdp->tx.producer, *xdp->tx.producer + 1, __ATOMIC_RELEASE);
  sent++;
}

static void listen_xdp(struct xdp *xdp) {
  struct pollfd polled = {.fd = xdp->fd, .events = POLLIN};
  while (!stopping) {
    uint32_t count = entries_of(xdp->rx.consumer, xdp->rx.producer);
    if (count == 0) (void)poll(&polled, 1, WAIT_MS);
    if (count > BATCH) count = BATCH;
    uint64_t before = sent;
    for (uint32_t i = 0; i < count; i++) {
      struct xdp_desc frame = ((struct xdp_desc *)xdp->rx.entries)[(*xdp->rx.consumer + i) % FRAMES];
      received++;
      if (xdp->frames[frame.addr + ASKS] != 0) send_back(xdp, &frame);
      else fill(xdp, frame.addr);
    }
    __atomic_store_n(xdp->rx.consumer, *xdp->rx.consumer + count, __ATOMIC_RELEASE);
    if (sent > before) (void)sendto(xdp->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
    uint32_t done = entries_of(xdp->completion.consumer, xdp->completion.producer);
    for (uint32_t i = 0; i < done; i++) fill(xdp, ((uint64_t *)xdp->completion.entries)[(*xdp->completion.consumer + i) % FRAMES]);
    __atomic_store_n(xdp->completion.consumer, *xdp->completion.consumer + done, __ATOMIC_RELEASE);
  }
}

/* ---- the other end ---- */

static void flood(int fd, double until) {
  while (now_seconds() < until) {
    int count = sendmmsg(fd, headers, BATCH, 0);
    if (count > 0) sent += (uint64_t)count;
  }
}

static int by_size(const void *a, const void *b) {
  const float *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* Microseconds of the middle one. */
static double ping(int fd, size_t bytes, double until) {
  float *times = calloc(MOST_PINGS, sizeof *times);
  struct pollfd polled = {.fd = fd, .events = POLLIN};
  while (sent < MOST_PINGS) {
    double from = now_seconds();
    if (from >= until) break;
    sent++;
    checked((int)send(fd, buffers[0], bytes, 0), "send");
    if (poll(&polled, 1, WAIT_MS) != 1 || recv(fd, buffers[1], FRAME_BYTES, 0) < 0) continue;
    times[received++] = (float)((now_seconds() - from) * 1e6);
  }
  qsort(times, received, sizeof *times, by_size);
  double middle = received == 0 ? 0 : (double)times[received / 2];
  free(times);
  return middle;
}

static void report(double seconds, double p50) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double us = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  printf("{\"sent\":%llu,\"received\":%llu,\"cpuUs\":%.0f,\"seconds\":%.3f,\"p50\":%.1f}\n", (unsigned long long)sent,
         (unsigned long long)received, us, seconds, p50);
}

static void listen_on(unsigned ifindex, const char *mode) {
  bool is_packet = strcmp(mode, "packet") == 0;
  struct xdp xdp = {0};
  int fd = -1;
  if (is_packet) fd = packet_socket(ifindex);
  else xdp = open_xdp(ifindex, strcmp(mode, "native") == 0 ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
  fprintf(stderr, "ready\n");
  if (is_packet) listen_packet(fd);
  else listen_xdp(&xdp);
}

static void write_frames(int fd, const char *interface, const char *mac, size_t bytes, bool asks) {
  uint8_t head[ASKS + 1] = {[12] = ETHERTYPE >> 8, [13] = ETHERTYPE & 0xFF, [ASKS] = asks};
  struct ifreq own = {0};
  memcpy(own.ifr_name, interface, strnlen(interface, IFNAMSIZ - 1));
  checked(ioctl(fd, SIOCGIFHWADDR, &own), "SIOCGIFHWADDR");
  memcpy(head + 6, own.ifr_hwaddr.sa_data, 6);
  if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", head, head + 1, head + 2, head + 3, head + 4, head + 5) != 6)
    errx(2, "%s is no MAC", mac);
  for (uint32_t i = 0; i < BATCH; i++) memcpy(buffers[i], head, sizeof head);
  for (uint32_t i = 0; i < BATCH; i++) vectors[i].iov_len = bytes;
}

int main(int count, char **words) {
  signal(SIGTERM, stop);
  bool listens = count == 4 && strcmp(words[1], "listen") == 0;
  bool asks = count == 6 && strcmp(words[1], "ping") == 0;
  if (!listens && count != 6) errx(2, "usage: xdp listen IFACE packet|generic|native | xdp flood|ping IFACE MAC BYTES SECONDS");
  unsigned ifindex = if_nametoindex(words[2]);
  double from = now_seconds();
  double p50 = 0;
  if (listens) {
    listen_on(ifindex, words[3]);
  } else {
    int fd = packet_socket(ifindex);
    size_t bytes = strtoul(words[4], NULL, 10);
    if (bytes < ASKS + 1 || bytes > FRAME_BYTES) errx(2, "%s bytes are no frame", words[4]);
    write_frames(fd, words[2], words[3], bytes, asks);
    double until = from + strtod(words[5], NULL);
    if (asks) p50 = ping(fd, bytes, until);
    else flood(fd, until);
  }
  report(now_seconds() - from, p50);
  return 0;
}
