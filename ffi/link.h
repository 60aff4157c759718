/*
 * The inside of a link, shared by the link_*.c files. All memory the kernel is told to write to is named by private
 * arrays made at open; the area, which the caller can write, is only ever trusted for content.
 */
#ifndef KPX_LINK_H
#define KPX_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "hmac.h"
#include "kpaxos.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kpaxos describes frames in little-endian words"
#endif

#define KPX_ETHERNET_HEADER 14u
#define KPX_VNET_HEADER 10u /* struct virtio_net_hdr, before each frame of a link with bundles */
#define KPX_BUNDLE_HEADERS 28u /* more than before a single frame: IPv4's and UDP's */
#define KPX_WRAPPING 52u /* what precedes the frames of a bundle over Ethernet: that header, Ethernet's, IPv4's and UDP's */
#define KPX_MESSAGE_BYTES 65536u /* of what passes the kernel as one, with all that precedes it */
#define KPX_CRC_BYTES 4u

union kpx_sockaddr {
  struct sockaddr any;
  struct sockaddr_ll ll;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* A vector of messages for recvmmsg or sendmmsg, wired together once. */
struct kpx_messages {
  struct mmsghdr *headers;
  struct iovec *vectors;
  union kpx_sockaddr *names;
};

/* Receive ring of the kernel (TPACKET_V2). */
struct kpx_rxring {
  uint8_t *at; /* NULL: no ring */
  uint32_t slots; /* a power of two */
  uint32_t head; /* slots that were given back, modulo 2^32: the next one to look at */
  uint32_t seen; /* `head` when the counters were read last */
};

/*
 * A socket that is received from. They are read in order, so frames of the first go before those of the next; what
 * one of them leaves of a step's slots is for the next. Where the next is read too, one leaves it an eighth of the slots
 * (link_rx.c), so that neither starves. Each has its own filter, buffer and ring; all share the rx slots, and the link
 * sends through the first. A wait ends for any of them.
 */
#define KPX_MAX_RECEIVERS 2u
struct kpx_receiver {
  int fd;
  uint32_t buffer; /* bytes granted for what waits in the socket */
  struct kpx_rxring ring;
};

struct kpx_link {
  uint32_t kind;
  uint32_t flags;
  struct kpx_receiver receivers[KPX_MAX_RECEIVERS];
  uint32_t receiver_count;
  int wake_fd;
  int watched[KPX_MAX_WATCHED];
  uint32_t watched_count;

  uint8_t *area;
  size_t area_bytes;
  uint32_t rx_slots;
  uint32_t tx_slots;
  uint32_t tx_messages; /* of a step, at most */
  uint32_t max_payload;
  uint32_t rx_at; /* byte offset of the first rx (tx) slot */
  uint32_t tx_at;
  uint32_t asleep_at; /* of the double that says how long the host was suspended */
  uint32_t stride;
  uint32_t payload_at; /* of the payload in its slot */
  uint32_t header; /* bytes before the payload that go with it */

  uint32_t checksum_offset;
  uint32_t trailer; /* bytes of the checksum or MAC, KPX_CRC_BYTES or KPX_MAC_BYTES */
  uint32_t key_count;
  struct kpx_hmac_key keys[KPX_MAX_KEYS];
  uint32_t main_ethertype;

  int ifindex;
  int lo_index; /* -1: not heard, not reached */
  uint8_t mac[6];
  uint32_t flow; /* of its bundles: random, 15 bits */
  uint8_t ip[4]; /* of the interface, 0 where it has none; what bundles say that they come from */
  int family; /* AF_PACKET, AF_INET, AF_INET6 */
  uint32_t address[KPX_ADDRESS_WORDS];
  uint32_t returning; /* multicast groups from which what the link itself says comes back, to be refused by the filter */
  uint64_t returned; /* messages to them: the kernel counts each as dropped */

  /* The last look found no frame, and nothing was done since that could bring one. */
  bool looked;
  struct kpx_messages rx;
  struct kpx_messages tx;
  struct kpx_gro *gro; /* one for each receiver; NULL: each datagram comes in a slot of its own */
  struct kpx_bundles *bundles; /* NULL: each datagram is a message of its own */
  uint64_t counters[KPX_COUNTERS];
};

/* What frames are sent through; -1 before it is open. */
static inline int kpx_sender(const struct kpx_link *link) {
  return link->receivers[0].fd;
}

static inline bool kpx_has_rings(const struct kpx_link *link) {
  return (link->flags & KPX_FLAG_RING) != 0;
}

static inline uint32_t kpx_load(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* link_options.c: fills a zeroed link from the options; no system call. */
int kpx_link_configure(struct kpx_link *link, const uint32_t *options, uint32_t count);

/* link_area.c */
int kpx_link_make_area(struct kpx_link *link);
void kpx_link_drop_area(struct kpx_link *link);
int kpx_link_make_messages(struct kpx_link *link);
void kpx_link_drop_messages(struct kpx_link *link);

/* link_table.c: `enter` gives the caller the link for itself, until `leave`. */
int32_t kpx_table_add(struct kpx_link *link);
int kpx_table_enter(int32_t handle, struct kpx_link **link);
void kpx_table_leave(int32_t handle);
int kpx_table_close(int32_t handle);
int kpx_table_wake(int32_t handle);
/* link.c: frees everything; called by the table when the last user has left. */
void kpx_link_destroy(struct kpx_link *link);

/* ethernet.c, udp.c: make the receivers; the area and messages are made between the two halves of Ethernet's. */
int kpx_ethernet_sockets(struct kpx_link *link, const uint32_t *options);
int kpx_ethernet_bind(struct kpx_link *link, const uint32_t *options);
int kpx_udp_socket(struct kpx_link *link, const uint32_t *options);
int kpx_udp_groups(struct kpx_link *link, const uint32_t *options);
/* Describes a received frame whose payload starts at byte `at` of the area; false: it is not for the caller. */
bool kpx_ethernet_accept(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                         uint32_t ethertype, const struct sockaddr_ll *from);
/* The same of a frame that its Ethernet header precedes, `bytes` with it. */
bool kpx_ethernet_whole(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                        const struct sockaddr_ll *from);
bool kpx_udp_accept(struct kpx_link *link, uint32_t *descriptor, uint32_t at, uint32_t bytes, bool cut,
                    const union kpx_sockaddr *from);
/* Addresses message `at` of link->tx; false: the address cannot be reached over this link. Messages of one name may be bundled. */
void kpx_ethernet_address(struct kpx_link *link, uint32_t at, int ifindex, uint32_t ethertype, const uint32_t *words);
/* What leaves in a bundle or not at all. */
bool kpx_bundle_only(const struct kpx_link *link, const union kpx_sockaddr *name);
bool kpx_udp_address(struct kpx_link *link, uint32_t at, const uint32_t *words);
/* udp_groups.c: whether what is sent there comes back, and is refused. */
bool kpx_udp_returns(const struct kpx_link *link, const union kpx_sockaddr *to);
/* AF_INET for the words of an IPv4 address. A name's length is 0 when the address is none of that family. */
int kpx_udp_family(const uint32_t *words);
socklen_t kpx_udp_name(int family, const uint32_t *words, union kpx_sockaddr *name);

/* ethernet_bundles.c: writes the KPX_WRAPPING bytes that precede `bytes` bytes of frames of `size` bytes, all but the last, with the destination,
 * source and EtherType of the Ethernet header given; and tells what a received message holds: false, nothing. */
struct kpx_content {
  uint32_t at; /* byte of the message where its first frame's payload begins */
  uint32_t bytes;
  uint32_t size; /* of each frame but the last */
  uint32_t ethertype;
};
void kpx_wrap(const struct kpx_link *link, uint8_t *wrapping, const uint8_t *ethernet, uint32_t mark, uint32_t bytes,
              uint32_t size);
bool kpx_unwrap(const uint8_t *message, uint32_t bytes, struct kpx_content *content);

/* link_gso.c: `kpx_gso_bundle` makes bundles of the first `messages` of link->tx and returns how many; for a while after
 * `kpx_gso_refused` it makes none of datagrams that long. */
#define KPX_BUNDLED 64u /* datagrams of a bundle, at most */
int kpx_gso_open(struct kpx_link *link);
void kpx_gso_close(struct kpx_link *link);
/* What frames may have that are bundled by their mark. */
uint32_t kpx_bundle_payload(const struct kpx_link *link);
uint32_t kpx_gso_bundle(struct kpx_link *link, uint32_t messages);
struct mmsghdr *kpx_gso_headers(const struct kpx_link *link);
void kpx_gso_refused(struct kpx_link *link, uint32_t length);
/* Where the frames of a message begin among its vectors. */
static inline size_t kpx_first_frame(const struct kpx_link *link, const struct msghdr *message) {
  return link->kind == KPX_ETHERNET && message->msg_iovlen > 1 ? 1 : 0;
}

/* link_gro.c: the buffers take `kpx_gro_bytes` of the area from rx_at on, in place of rx slots. */
int kpx_gro_open(struct kpx_link *link);
uint32_t kpx_gro_bytes(const struct kpx_link *link);
void kpx_gro_place(struct kpx_link *link);
int kpx_gro_receive(struct kpx_link *link, uint32_t max, uint32_t receivers);
/* Whether a step had no room for all that came in, of which no socket tells any more. */
bool kpx_gro_holds(const struct kpx_link *link);

/* link_rx.c: what receiver `at` has, `count` messages at most, or -errno where the link is unusable; and up to where it may fill a step's
 * `max` slots. */
int kpx_take(struct kpx_link *link, uint32_t at, struct mmsghdr *messages, uint32_t count);
int kpx_recvmmsg(int fd, struct mmsghdr *messages, uint32_t count);
uint32_t kpx_limit_of(const struct kpx_link *link, uint32_t at, uint32_t max, uint32_t receivers);

/* socket.c */
int kpx_socket_buffers(struct kpx_receiver *receiver, const uint32_t *options);
int kpx_attach_filter(int fd, const uint32_t *instructions, uint32_t count);
/* Whether a socket's error costs a frame only (true) or means that the link is unusable. */
bool kpx_is_transient(int error);

/* link_checksum.c: `seal` needs link->trailer bytes of room after `length`; `admits` counts what it refuses. */
bool kpx_checksum_applies(const struct kpx_link *link, uint32_t ethertype);
bool kpx_checksum_seal(const struct kpx_link *link, uint8_t *payload, uint32_t length);
bool kpx_checksum_admits(struct kpx_link *link, const uint8_t *payload, uint32_t length);

/* link.c: what the kernel had no room for at receiver `at`, a bundle as one. */
void kpx_count_dropped(struct kpx_link *link, uint32_t at, uint32_t packets);

/* link_tx.c, link_rx.c, link_ring.c, link_wait.c. `receive` looks at the receivers of a set and describes the step's frames, at most
 * `max`. */
#define KPX_ALL_RECEIVERS UINT32_MAX
int kpx_transmit(struct kpx_link *link, uint32_t ntx);
int kpx_receive(struct kpx_link *link, uint32_t max, uint32_t receivers);
int kpx_rxring_open(const struct kpx_link *link, struct kpx_receiver *receiver);
void kpx_rxring_close(struct kpx_receiver *receiver);
void kpx_rxring_check(const struct kpx_link *link, struct kpx_receiver *receiver, uint32_t dropped);
int kpx_rxring_take(struct kpx_link *link, uint32_t at, struct mmsghdr *messages, uint32_t count);
int kpx_wait(struct kpx_link *link, uint32_t max, uint32_t spin_us, uint32_t wait_us);

#endif
