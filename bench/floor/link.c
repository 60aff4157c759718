/* Frames in and out of one interface: recvmmsg and sendmmsg on a packet socket, one of each a turn. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "floor.h"

#define BUFFER_BYTES (8 << 20)
#define BLOCKED_USECONDS 50000 /* a call that waits for a frame ends then */

const uint8_t EVERYONE[6] = {0x03, 0x4b, 0x50, 0x46, 0x4c, 0x01};

struct link {
  int fd;
  bool spins;
  uint8_t mac[6];
  struct mmsghdr rx[BATCH];
  struct iovec rx_vectors[BATCH];
  uint8_t rx_frames[BATCH][FRAME_BYTES + 2];
  struct mmsghdr tx[BATCH];
  struct iovec tx_vectors[BATCH];
  uint8_t tx_frames[BATCH][FRAME_BYTES + 2];
  unsigned pending;
};

double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void join_group(int fd, int index) {
  struct packet_mreq group = {.mr_ifindex = index, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6};
  memcpy(group.mr_address, EVERYONE, 6);
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group) < 0) err(1, "joining the group");
}

static void size_buffers(int fd) {
  int bytes = BUFFER_BYTES;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  /* Own frames are not wanted back. */
  int one = 1;
  (void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  /* Straight to the interface. */
  (void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  struct timeval longest = {.tv_usec = BLOCKED_USECONDS};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest) < 0) err(1, "a time limit");
}

struct link *link_open(const char *interface, bool spins) {
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) err(1, "memory");
  link->spins = spins;
  link->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (link->fd < 0) err(1, "a packet socket");
  struct ifreq request = {0};
  strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
  if (ioctl(link->fd, SIOCGIFHWADDR, &request) < 0) err(1, "%s", interface);
  memcpy(link->mac, request.ifr_hwaddr.sa_data, 6);
  int index = (int)if_nametoindex(interface);
  size_buffers(link->fd);
  join_group(link->fd, index);
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE), .sll_ifindex = index};
  if (bind(link->fd, (struct sockaddr *)&address, sizeof address) < 0) err(1, "binding to %s", interface);
  for (unsigned i = 0; i < BATCH; i++) {
    /* Two bytes before, so that what follows the Ethernet header is aligned. */
    link->rx_vectors[i] = (struct iovec){.iov_base = link->rx_frames[i] + 2, .iov_len = FRAME_BYTES};
    link->rx[i].msg_hdr = (struct msghdr){.msg_iov = &link->rx_vectors[i], .msg_iovlen = 1};
    link->tx_vectors[i].iov_base = link->tx_frames[i] + 2;
    link->tx[i].msg_hdr = (struct msghdr){.msg_iov = &link->tx_vectors[i], .msg_iovlen = 1};
  }
  return link;
}

static bool is_for_us(const struct link *link, const uint8_t *frame) {
  return memcmp(frame, link->mac, 6) == 0 || memcmp(frame, EVERYONE, 6) == 0;
}

/* MSG_DONTWAIT, or MSG_WAITFORONE to sleep until a frame comes, or BLOCKED_USECONDS. */
static int receive_batch(struct link *link, int flags) {
  int frames = recvmmsg(link->fd, link->rx, BATCH, flags, NULL);
  if (frames >= 0 || (errno != EAGAIN && errno != EINTR)) return frames;
  return 0;
}

static void wait_for_frame(const struct link *link, double seconds) {
  struct pollfd polled = {.fd = link->fd, .events = POLLIN};
  struct timespec wait = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  (void)ppoll(&polled, 1, &wait, NULL);
}

int link_receive(struct link *link, double wait_seconds, handler *handle, void *self) {
  /* A socket's time limit is one for all calls: a shorter wait takes a call of its own. */
  bool blocks = !link->spins && wait_seconds * 1e6 >= BLOCKED_USECONDS;
  int frames = receive_batch(link, blocks ? MSG_WAITFORONE : MSG_DONTWAIT);
  if (frames == 0 && !blocks && !link->spins && wait_seconds > 0) {
    wait_for_frame(link, wait_seconds);
    frames = receive_batch(link, MSG_DONTWAIT);
  }
  if (frames < 0) err(1, "receiving");
  for (int i = 0; i < frames; i++) {
    const uint8_t *frame = link->rx_frames[i] + 2;
    size_t length = link->rx[i].msg_len;
    const struct message_header *header = (const void *)(frame + ETHERNET_HEADER);
    if (length < ETHERNET_HEADER + sizeof *header || !is_for_us(link, frame)) continue;
    size_t room = length - ETHERNET_HEADER - sizeof *header;
    bool has_values = header->type == SUBMIT || header->type == ACCEPT;
    if (has_values && (size_t)header->values * header->size > room) continue;
    handle(self, header, (const uint8_t *)(header + 1));
  }
  return frames;
}

struct message_header *link_frame(struct link *link, const uint8_t to[6]) {
  if (link->pending == BATCH) link_flush(link);
  uint8_t *frame = link->tx_frames[link->pending] + 2;
  memcpy(frame, to, 6);
  memcpy(frame + 6, link->mac, 6);
  frame[12] = ETHERTYPE >> 8;
  frame[13] = ETHERTYPE & 0xFF;
  struct message_header *header = (void *)(frame + ETHERNET_HEADER);
  memset(header, 0, sizeof *header);
  return header;
}

void link_frame_length(struct link *link, size_t bytes) {
  link->tx_vectors[link->pending++].iov_len = ETHERNET_HEADER + sizeof(struct message_header) + bytes;
}

void link_flush(struct link *link) {
  unsigned sent = 0;
  while (sent < link->pending) {
    int frames = sendmmsg(link->fd, link->tx + sent, link->pending - sent, 0);
    if (frames < 0 && errno == EINTR) continue;
    if (frames < 0 && errno != ENOBUFS && errno != EAGAIN) err(1, "sending");
    sent += frames > 0 ? (unsigned)frames : 1;
  }
  link->pending = 0;
}
