/*
 * Receiving through a TPACKET_V2 ring that the kernel fills, one for each receiver. It is mapped into the area, so
 * descriptors point straight into it; frames handed out go back to the kernel at the next step. The caller can write to
 * the ring: its headers are checked like any other input, and positions in it are kept privately.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "link.h"

#define BLOCK_BYTES 65536u
#define MAX_RING_BYTES (256u << 20)
/* To TPACKET_ALIGNMENT (16), which the kernel's header gives as a signed number. */
#define ALIGNED(bytes) (((uint32_t)(bytes) + 15u) & ~15u)
/* Where the kernel puts the sender's sockaddr_ll, and the payload: after it and room for a link-layer header. */
#define NAME_AT ALIGNED(sizeof(struct tpacket2_hdr))
#define PAYLOAD_AT ALIGNED(NAME_AT + sizeof(struct sockaddr_ll) + 16u)

static uint32_t power_of_two(uint32_t least) {
  uint32_t value = 1;
  while (value < least) value *= 2;
  return value;
}

int kpx_rxring_configure(struct kpx_link *link, struct kpx_receiver *receiver) {
  uint32_t frame = power_of_two(PAYLOAD_AT + link->max_payload);
  uint32_t block = frame > BLOCK_BYTES ? frame : BLOCK_BYTES;
  uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
  if (block < page) block = page;
  /* At least two batches, so that the kernel has room while one is being read. */
  uint64_t bytes = (uint64_t)link->rx_slots * 2 * frame;
  if (bytes < receiver->buffer) bytes = receiver->buffer;
  uint64_t blocks = (bytes + block - 1) / block;
  if (blocks * block > MAX_RING_BYTES) blocks = MAX_RING_BYTES / block;
  if (blocks * (block / frame) < link->rx_slots) return -EINVAL;

  int version = TPACKET_V2;
  if (setsockopt(receiver->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) return -errno;
  struct tpacket_req request = {
      .tp_block_size = block,
      .tp_block_nr = (uint32_t)blocks,
      .tp_frame_size = frame,
      .tp_frame_nr = (uint32_t)blocks * (block / frame),
  };
  if (setsockopt(receiver->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0) return -errno;
  receiver->ring = (struct kpx_rxring){.frames = request.tp_frame_nr, .frame_bytes = frame};
  receiver->buffer = (uint32_t)(blocks * block);
  return 0;
}

int kpx_rxring_map(struct kpx_link *link, const struct kpx_receiver *receiver) {
  const struct kpx_rxring *ring = &receiver->ring;
  size_t bytes = (size_t)ring->frames * ring->frame_bytes;
  void *at = mmap(link->area + ring->at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, receiver->fd, 0);
  return at == MAP_FAILED ? -errno : 0;
}

static struct tpacket2_hdr *header_of(struct kpx_link *link, const struct kpx_rxring *ring, uint32_t frame) {
  return (struct tpacket2_hdr *)(void *)(link->area + ring->at + (size_t)frame * ring->frame_bytes);
}

void kpx_rxring_release(struct kpx_link *link, struct kpx_rxring *ring) {
  for (; ring->held > 0; ring->held--) {
    uint32_t frame = (ring->head + ring->frames - ring->held) % ring->frames;
    __atomic_store_n(&header_of(link, ring, frame)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
}

static bool accept_frame(struct kpx_link *link, const struct kpx_rxring *ring, struct tpacket2_hdr *header,
                         uint32_t *descriptor) {
  uint32_t mac = *(volatile const uint16_t *)&header->tp_mac;
  uint32_t net = *(volatile const uint16_t *)&header->tp_net;
  uint32_t bytes = *(volatile const uint32_t *)&header->tp_snaplen;
  uint32_t whole = *(volatile const uint32_t *)&header->tp_len;
  bool cut = net != mac + KPX_ETHERNET_HEADER || net % 4 != 0 || mac + KPX_ETHERNET_HEADER > ring->frame_bytes ||
             bytes > ring->frame_bytes - mac || whole > bytes || bytes > KPX_ETHERNET_HEADER + link->max_payload;
  uint32_t at = (uint32_t)((uint8_t *)header - link->area) + mac + KPX_ETHERNET_HEADER;
  const uint8_t *name = (const uint8_t *)header + NAME_AT;
  return kpx_ethernet_whole(link, descriptor, at, bytes, cut, (const struct sockaddr_ll *)(const void *)name);
}

uint32_t kpx_rxring_receive(struct kpx_link *link, struct kpx_rxring *ring, uint32_t first, uint32_t max) {
  uint32_t *words = (uint32_t *)(void *)link->area;
  uint32_t kept = first;
  while (kept < max && ring->held < ring->frames) {
    struct tpacket2_hdr *header = header_of(link, ring, ring->head);
    if ((__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
    if (accept_frame(link, ring, header, words + (size_t)kept * KPX_DESCRIPTOR_WORDS)) kept++;
    ring->head = (ring->head + 1) % ring->frames;
    ring->held++;
  }
  return kept - first;
}
