/*
 * Receiving through a TPACKET_V2 ring, one for each receiver: the kernel copies frames into its slots, from where they are taken
 * without a system call. What is longer than a slot, as bundles are, waits in the socket as without a ring (PACKET_COPY_THRESH),
 * and its slot tells that it is there. What a message is made of, and where it goes, is the same as for
 * recvmmsg.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "link.h"

#define BLOCK_BYTES 65536u
/* A frame of an ordinary network, and what the kernel puts before it. */
#define SLOT_BYTES 2048u
#define BLOCK_SLOTS (BLOCK_BYTES / SLOT_BYTES)
#define MAX_SLOTS ((256u << 20) / SLOT_BYTES)
/* The sender's sockaddr_ll, behind the header, to TPACKET_ALIGNMENT (16), which the kernel's header gives as a signed number. */
#define NAME_AT ((sizeof(struct tpacket2_hdr) + 15u) & ~15u)

static int set(int fd, int option, const void *value, socklen_t bytes) {
  return setsockopt(fd, SOL_PACKET, option, value, bytes) < 0 ? -errno : 0;
}

static int drop_ring(const struct kpx_receiver *receiver) {
  const struct tpacket_req none = {0};
  return set(receiver->fd, PACKET_RX_RING, &none, sizeof none);
}

int kpx_rxring_open(const struct kpx_link *link, struct kpx_receiver *receiver) {
  uint32_t slots = BLOCK_SLOTS;
  /* At least two batches, so that the kernel has room while one is being read. */
  while (slots < 2 * link->rx_slots) slots *= 2;
  while (slots * 2 <= receiver->buffer / SLOT_BYTES && slots < MAX_SLOTS) slots *= 2;
  struct tpacket_req request = {
      .tp_block_size = BLOCK_BYTES,
      .tp_block_nr = slots / BLOCK_SLOTS,
      .tp_frame_size = SLOT_BYTES,
      .tp_frame_nr = slots,
  };
  int version = TPACKET_V2;
  int copies = 1;
  int result = set(receiver->fd, PACKET_VERSION, &version, sizeof version);
  if (result == 0) result = set(receiver->fd, PACKET_COPY_THRESH, &copies, sizeof copies);
  if (result == 0) result = set(receiver->fd, PACKET_RX_RING, &request, sizeof request);
  if (result < 0) return result;
  void *at = mmap(NULL, (size_t)slots * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, receiver->fd, 0);
  if (at == MAP_FAILED) {
    result = -errno;
    (void)drop_ring(receiver);
    return result;
  }
  receiver->ring = (struct kpx_rxring){.at = at, .slots = slots};
  return 0;
}

void kpx_rxring_close(struct kpx_receiver *receiver) {
  if (receiver->ring.at != NULL) munmap(receiver->ring.at, (size_t)receiver->ring.slots * SLOT_BYTES);
  receiver->ring.at = NULL;
}

/* The slot `ahead` of the first one, if the kernel has filled it; NULL: it has not. */
static struct tpacket2_hdr *filled(const struct kpx_rxring *ring, uint32_t ahead) {
  size_t at = (ring->head + ahead) & (ring->slots - 1);
  struct tpacket2_hdr *slot = (struct tpacket2_hdr *)(void *)(ring->at + at * SLOT_BYTES);
  return (__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0 ? NULL : slot;
}

static void give_back(struct kpx_rxring *ring, uint32_t count) {
  for (; count > 0; count--) {
    __atomic_store_n(&filled(ring, 0)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->head++;
  }
}

static void copy_name(const struct tpacket2_hdr *slot, struct msghdr *header) {
  memcpy(header->msg_name, (const uint8_t *)slot + NAME_AT, sizeof(struct sockaddr_ll));
}

/* Makes a message of a slot, as recvmmsg would have. */
static void copy(const struct kpx_link *link, const struct tpacket2_hdr *slot, struct mmsghdr *message) {
  struct msghdr *header = &message->msg_hdr;
  uint32_t before = link->header - KPX_ETHERNET_HEADER;
  uint32_t bytes = before + slot->tp_snaplen;
  uint32_t room = (uint32_t)header->msg_iov->iov_len;
  message->msg_len = bytes < room ? bytes : room;
  header->msg_flags = bytes > room ? MSG_TRUNC : 0;
  memcpy(header->msg_iov->iov_base, (const uint8_t *)slot + slot->tp_mac - before, message->msg_len);
  copy_name(slot, header);
}

/*
 * A packet that another program made of several, in a way that a virtio header has no word for, blocks its slot for good: the kernel
 * marks the slot as being written, and gives up. Every later frame is dropped then, while nothing comes. A new ring ends that; without
 * one, frames come as if there never was a ring.
 */
void kpx_rxring_check(const struct kpx_link *link, struct kpx_receiver *receiver, uint32_t dropped) {
  struct kpx_rxring *ring = &receiver->ring;
  if (!kpx_has_rings(link)) return;
  bool stands = ring->at == NULL || (ring->head == ring->seen && filled(ring, 0) == NULL);
  ring->seen = ring->head;
  if (!stands || dropped == 0) return;
  kpx_rxring_close(receiver);
  if (drop_ring(receiver) == 0) (void)kpx_rxring_open(link, receiver);
}

/* Receives what waits in the socket, of the first slots; their sender is told by them alone. */
static int take_waiting(struct kpx_receiver *receiver, struct mmsghdr *messages, uint32_t count) {
  uint32_t waiting = 0;
  for (; waiting < count; waiting++) {
    const struct tpacket2_hdr *slot = filled(&receiver->ring, waiting);
    if (slot == NULL || (slot->tp_status & TP_STATUS_COPY) == 0) break;
    copy_name(slot, &messages[waiting].msg_hdr);
    messages[waiting].msg_hdr.msg_namelen = 0;
  }
  int received = kpx_recvmmsg(receiver->fd, messages, waiting);
  for (uint32_t i = 0; i < waiting; i++) messages[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_ll);
  if (received > 0) give_back(&receiver->ring, (uint32_t)received);
  return received;
}

int kpx_rxring_take(struct kpx_link *link, uint32_t at, struct mmsghdr *messages, uint32_t count) {
  struct kpx_receiver *receiver = &link->receivers[at];
  uint32_t taken = 0;
  while (taken < count) {
    const struct tpacket2_hdr *slot = filled(&receiver->ring, 0);
    if (slot == NULL) break;
    if ((slot->tp_status & TP_STATUS_COPY) != 0) {
      int received = take_waiting(receiver, messages + taken, count - taken);
      if (received < 0) return received;
      taken += (uint32_t)received;
      if (received > 0) continue;
      /* What cannot be had must not be waited for. */
    }
    /* Or the socket had no room for the whole of it. */
    if (slot->tp_len > slot->tp_snaplen) kpx_count_dropped(link, at, 1);
    else copy(link, slot, &messages[taken++]);
    give_back(&receiver->ring, 1);
  }
  return (int)taken;
}
