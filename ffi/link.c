/* The calls of a link (kpaxos.h) in terms of its parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/sock_diag.h>

#include "link.h"

static int open_sockets(struct kpx_link *link, const uint32_t *options) {
  if (link->kind == KPX_ETHERNET) return kpx_ethernet_sockets(link, options);
  return kpx_udp_socket(link, options);
}

/* The clock that goes on is read first: what passes between the two makes the difference smaller, and it never falls. */
static void note_asleep(struct kpx_link *link) {
  struct timespec all, awake;
  if (clock_gettime(CLOCK_BOOTTIME, &all) < 0 || clock_gettime(CLOCK_MONOTONIC, &awake) < 0) return;
  double us = (double)(all.tv_sec - awake.tv_sec) * 1e6 + (double)(all.tv_nsec - awake.tv_nsec) / 1e3;
  double *asleep = (double *)(void *)(link->area + link->asleep_at);
  if (us > *asleep) *asleep = us;
}

static int build(struct kpx_link *link, const uint32_t *options) {
  link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->wake_fd < 0) return -errno;
  int result = open_sockets(link, options);
  /* Where there is no ring to be had, for want of memory or of a kernel that knows it, frames come through the socket. */
  for (uint32_t i = 0; i < link->receiver_count && result == 0 && kpx_has_rings(link); i++)
    if (kpx_rxring_open(link, &link->receivers[i]) < 0 && i == 0) link->flags &= ~(uint32_t)KPX_FLAG_RING;
  if (result == 0) result = kpx_gro_open(link);
  if (result == 0) result = kpx_link_make_area(link);
  if (result == 0) result = kpx_link_make_messages(link);
  /* Frames may come only once there is a place for them. */
  if (result == 0 && link->kind == KPX_ETHERNET) result = kpx_ethernet_bind(link, options);
  if (result == 0) note_asleep(link);
  return result;
}

void kpx_link_destroy(struct kpx_link *link) {
  kpx_link_drop_area(link);
  for (uint32_t i = 0; i < KPX_MAX_RECEIVERS; i++) {
    kpx_rxring_close(&link->receivers[i]);
    if (link->receivers[i].fd >= 0) close(link->receivers[i].fd);
  }
  if (link->wake_fd >= 0) close(link->wake_fd);
  kpx_link_drop_messages(link);
  free(link->gro);
  explicit_bzero(link->keys, sizeof link->keys);
  free(link);
}

int32_t kpx_link_open(const uint32_t *options, uint32_t count) {
  if (options == NULL || count < KPX_OPTION_WORDS || count > KPX_OPTION_WORDS + 4 * KPX_MAX_FILTER) return -EINVAL;
  /* A private copy: what was checked is what is used. */
  uint32_t *own = malloc(count * sizeof *own);
  struct kpx_link *link = calloc(1, sizeof *link);
  int32_t result = own == NULL || link == NULL ? -ENOMEM : 0;
  if (result == 0) {
    memcpy(own, options, count * sizeof *own);
    for (uint32_t i = 0; i < KPX_MAX_RECEIVERS; i++) link->receivers[i].fd = -1;
    link->wake_fd = -1;
    result = kpx_link_configure(link, own, count);
    if (result == 0) result = build(link, own);
    if (result == 0) result = kpx_table_add(link);
    if (result < 0) {
      kpx_link_destroy(link);
      link = NULL;
    }
  }
  if (own != NULL) explicit_bzero(own, count * sizeof *own);
  free(own);
  if (result < 0 && link != NULL) free(link);
  return result;
}

int32_t kpx_link_close(int32_t handle) {
  return kpx_table_close(handle);
}

int32_t kpx_link_wake(int32_t handle) {
  return kpx_table_wake(handle);
}

void *kpx_link_area(int32_t handle) {
  struct kpx_link *link;
  if (kpx_table_enter(handle, &link) < 0) return NULL;
  void *area = link->area;
  kpx_table_leave(handle);
  return area;
}

static int32_t give(const double *numbers, uint32_t available, double *out, uint32_t count) {
  if (out == NULL && count > 0) return -EINVAL;
  if (count > available) count = available;
  if (count > 0) memcpy(out, numbers, count * sizeof *out);
  return (int32_t)available;
}

int32_t kpx_link_info(int32_t handle, double *out, uint32_t count) {
  struct kpx_link *link;
  int result = kpx_table_enter(handle, &link);
  if (result < 0) return result;
  uint64_t buffers = 0;
  uint32_t rings = 0;
  for (uint32_t i = 0; i < link->receiver_count; i++) {
    buffers += link->receivers[i].buffer;
    rings += link->receivers[i].ring.at != NULL;
  }
  double numbers[KPX_INFO_COUNT] = {
      [KPX_INFO_AREA_BYTES] = (double)link->area_bytes,
      [KPX_INFO_RX_BASE] = 0,
      [KPX_INFO_TX_BASE] = (double)(link->rx_slots * KPX_DESCRIPTOR_WORDS),
      [KPX_INFO_RX_SLOTS] = (double)link->rx_slots,
      [KPX_INFO_TX_SLOTS] = (double)link->tx_slots,
      [KPX_INFO_MAX_PAYLOAD] = (double)link->max_payload,
      [KPX_INFO_RECEIVE_BUFFER] = (double)buffers,
      [KPX_INFO_IFINDEX] = (double)link->ifindex,
      [KPX_INFO_BUNDLE_PAYLOAD] = (double)kpx_bundle_payload(link),
      [KPX_INFO_ASLEEP] = (double)(link->asleep_at / 4),
      [KPX_INFO_RINGS] = (double)rings,
  };
  for (uint32_t i = 0; i < KPX_ADDRESS_WORDS; i++) numbers[KPX_INFO_ADDRESS + i] = (double)link->address[i];
  kpx_table_leave(handle);
  return give(numbers, KPX_INFO_COUNT, out, count);
}

void kpx_count_dropped(struct kpx_link *link, uint32_t at, uint32_t packets) {
  link->counters[KPX_RX_DROPPED] += packets;
  if (at > 0) link->counters[KPX_RX_DROPPED_SECOND] += packets;
}

static void count_kernel_drops(struct kpx_link *link) {
  for (uint32_t i = 0; i < link->receiver_count && link->kind == KPX_ETHERNET; i++) {
    /* Reading resets them. */
    struct tpacket_stats stats;
    socklen_t length = sizeof stats;
    if (getsockopt(link->receivers[i].fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length) < 0) continue;
    kpx_count_dropped(link, i, stats.tp_drops);
    kpx_rxring_check(link, &link->receivers[i], stats.tp_drops);
  }
  if (link->kind == KPX_ETHERNET) return;
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < link->receiver_count; i++) {
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof memory;
    /* Of a bundle (link_gso.c) the kernel counts one. */
    if (getsockopt(link->receivers[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0) dropped += memory[SK_MEMINFO_DROPS];
  }
  dropped = dropped > link->returned ? dropped - link->returned : 0;
  /* What was sent last may not have come back yet. */
  if (dropped > link->counters[KPX_RX_DROPPED]) link->counters[KPX_RX_DROPPED] = dropped;
}

int32_t kpx_link_counters(int32_t handle, double *out, uint32_t count) {
  struct kpx_link *link;
  int result = kpx_table_enter(handle, &link);
  if (result < 0) return result;
  count_kernel_drops(link);
  double numbers[KPX_COUNTERS];
  for (uint32_t i = 0; i < KPX_COUNTERS; i++) numbers[i] = (double)link->counters[i];
  kpx_table_leave(handle);
  return give(numbers, KPX_COUNTERS, out, count);
}

int32_t kpx_link_watch(int32_t handle, int32_t fd) {
  struct kpx_link *link;
  if (fd < 0) return -EBADF;
  int result = kpx_table_enter(handle, &link);
  if (result < 0) return result;
  uint32_t at = 0;
  while (at < link->watched_count && link->watched[at] != fd) at++;
  if (at == KPX_MAX_WATCHED)
    result = -ENOSPC;
  else if (at == link->watched_count)
    link->watched[link->watched_count++] = fd;
  kpx_table_leave(handle);
  return result;
}

int32_t kpx_link_fd(int32_t handle, uint32_t queue) {
  struct kpx_link *link;
  int result = kpx_table_enter(handle, &link);
  if (result < 0) return result;
  int fd = queue < link->receiver_count ? link->receivers[queue].fd : -ENOENT;
  kpx_table_leave(handle);
  return fd;
}

int32_t kpx_link_step(int32_t handle, uint32_t ntx, uint32_t max, uint32_t spin_us, uint32_t wait_us) {
  struct kpx_link *link;
  int result = kpx_table_enter(handle, &link);
  if (result < 0) return result;
  link->counters[KPX_STEPS]++;
  if (max > link->rx_slots) max = link->rx_slots;
  if (ntx > link->tx_slots) result = -EINVAL;
  if (result == 0 && ntx > 0) result = kpx_transmit(link, ntx);
  /* Who finds nothing and comes back to wait is told by the wait whether there is something now, and of several receivers which has.
   * A ring costs nothing to look at. */
  bool asks_first = (ntx == 0 && link->looked) || link->receiver_count > 1;
  bool waits_at_once = wait_us > 0 && asks_first && !kpx_has_rings(link) && !kpx_gro_holds(link);
  if (result == 0 && max > 0 && !waits_at_once) result = kpx_receive(link, max, KPX_ALL_RECEIVERS);
  if (result == 0 && wait_us > 0 && !kpx_gro_holds(link)) result = kpx_wait(link, max, spin_us, wait_us);
  if (result >= 0 && max > 0) note_asleep(link);
  kpx_table_leave(handle);
  return result;
}
