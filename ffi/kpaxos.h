/*
 * The C side of kpaxos: packet links. Raw Ethernet (AF_PACKET) and UDP behind one call per turn, `kpx_link_step`.
 *
 * Never here: anything of Paxos, callbacks, 64-bit integers in a signature, pointers kept to the caller's memory.
 * Every function returns a result >= 0 or a negative errno. A link is named by a handle that is checked at each
 * call (a closed or invented one gives -EBADF); every word read from memory the caller can write is read once and
 * checked before use, so a wrong number costs a frame, never memory.
 *
 * One thread at a time may use a link (a second one gets -EBUSY); `kpx_link_wake` and `kpx_link_close` may be called
 * from any thread at any time.
 */
#ifndef KPAXOS_H
#define KPAXOS_H

#include <stdint.h>

#ifndef KPX_API
#define KPX_API __attribute__((visibility("default")))
#endif

/* Words of the options of kpx_link_open. Words from KPX_OPTION_WORDS on are the filter, then the second one: two per
 * instruction, laid out as struct sock_filter is on a little-endian machine. */
enum {
  KPX_OPTION_KIND,
  KPX_OPTION_RX_SLOTS,
  KPX_OPTION_TX_SLOTS,
  KPX_OPTION_MAX_PAYLOAD, /* bytes, checksum included */
  KPX_OPTION_RECEIVE_BUFFER, /* bytes wanted, 0: the system's default */
  KPX_OPTION_SEND_BUFFER,
  KPX_OPTION_CHECKSUM_OFFSET, /* see src/net/link.ts; KPX_NONE: no checksum */
  KPX_OPTION_MAIN_ETHERTYPE, /* frames of other EtherTypes carry no checksum; 0: all carry one */
  KPX_OPTION_FLAGS,
  KPX_OPTION_IFINDEX,
  KPX_OPTION_BIND_ETHERTYPE, /* 0: all */
  KPX_OPTION_MULTICAST, /* six words: a MAC; UDP: the first of KPX_GROUPS addresses side by side (its last bits are 0), and their port */
  KPX_OPTION_GROUPS = KPX_OPTION_MULTICAST + 6, /* UDP: bit i: the address i behind the first one is joined */
  KPX_OPTION_TOWARD, /* UDP, six words: multicasts go through the interface by which this address is reached */
  KPX_OPTION_FAMILY = KPX_OPTION_TOWARD + 6, /* 4 or 6 */
  KPX_OPTION_ADDRESS, /* six words: where to bind, as src/net/link.ts lays out a UDP address */
  KPX_OPTION_KEYS = KPX_OPTION_ADDRESS + 6, /* 0: a CRC-32C; 1 or 2: HMAC-SHA-256, the first key signs, both are taken */
  KPX_OPTION_KEY, /* KPX_MAX_KEYS keys of KPX_KEY_BYTES */
  KPX_OPTION_FILTER_COUNT = KPX_OPTION_KEY + 16,
  /* Not 0: frames of the second filter wait in a receive queue of their own, and those of the first are read first. Raw
   * Ethernet; no frame may pass both. Over UDP the first filter is for multicasts, and refuses
   * the link's own, which come back. */
  KPX_OPTION_SECOND_FILTER_COUNT,
  KPX_OPTION_WORDS,
};

#define KPX_NONE 0xFFFFFFFFu
enum { KPX_ETHERNET = 1, KPX_UDP = 2 };
enum {
  KPX_FLAG_RING = 1, /* receive through a TPACKET_V2 ring, where it is to be had: what is short without a system call */
  KPX_FLAG_PROMISCUOUS = 2,
  KPX_FLAG_ALSO_LO = 4, /* hear and reach the loopback interface too */
  KPX_FLAG_MULTICAST = 8, /* KPX_OPTION_MULTICAST is to be joined */
  KPX_FLAG_DUAL_STACK = 16, /* an IPv6 socket that takes IPv4 as well */
  /* Datagrams of a step to one destination pass the kernel as one, where it can do that. Over Ethernet frames with one
   * mark do (KPX_MARK). */
  KPX_FLAG_OFFLOAD = 32,
};

/* Limits of kpx_link_open; what exceeds them is -EINVAL. */
#define KPX_MAX_LINKS 64u
#define KPX_MAX_SLOTS 16384u
#define KPX_MIN_PAYLOAD 46u
#define KPX_MAX_PAYLOAD 131072u
#define KPX_MAX_AREA (1u << 30)
#define KPX_MAX_FILTER 4096u
#define KPX_GROUPS 8u
#define KPX_MAX_WATCHED 144u /* both queues of every other link, and some */
#define KPX_MAX_KEYS 2u
#define KPX_KEY_BYTES 32u

/* A frame's descriptor, KPX_DESCRIPTOR_WORDS words; the meaning is told in src/net/link.ts. */
#define KPX_DESCRIPTOR_WORDS 16u
enum { KPX_OFFSET, KPX_LENGTH, KPX_PROTOCOL, KPX_PORTS, KPX_ADDRESS };
/* Ethernet, for sending: frames with one mark, of 16 bits, may leave in a bundle, which a filter lets in or not by its first; 0: alone.
 * With KPX_MARK_BUNDLE in the mark they leave so or not at all, and one that a route refuses is not counted: it asked just that. */
enum { KPX_MARK = KPX_ADDRESS + 2, KPX_MARK_BUNDLE = 0x8000 };
#define KPX_ADDRESS_WORDS 6u
enum { KPX_PORT_WIRE = 1, KPX_PORT_LO = 2, KPX_PORT_SELF = 4 };

/* Numbers of kpx_link_info. */
enum {
  KPX_INFO_AREA_BYTES,
  KPX_INFO_RX_BASE, /* word index of the first rx descriptor */
  KPX_INFO_TX_BASE,
  KPX_INFO_RX_SLOTS,
  KPX_INFO_TX_SLOTS,
  KPX_INFO_MAX_PAYLOAD,
  KPX_INFO_RECEIVE_BUFFER, /* bytes granted, of all queues */
  KPX_INFO_IFINDEX,
  KPX_INFO_ASLEEP, /* word index of a double: see kpx_link_step */
  KPX_INFO_BUNDLE_PAYLOAD, /* most bytes of a frame that a bundle may have, checksum included; 0: there are none by mark */
  KPX_INFO_RINGS, /* receive queues that have a ring */
  KPX_INFO_ADDRESS, /* six words */
  KPX_INFO_COUNT = KPX_INFO_ADDRESS + 6,
};

/* Numbers of kpx_link_counters, as in LinkCounters of src/net/link.ts. */
enum {
  KPX_RX_FRAMES,
  KPX_RX_BYTES,
  KPX_TX_FRAMES,
  KPX_TX_BYTES,
  KPX_TX_DROPPED,
  KPX_RX_DROPPED,
  KPX_RX_TRUNCATED,
  KPX_RX_BAD_CHECKSUM,
  KPX_STEPS,
  KPX_RX_BAD_MAC,
  KPX_RX_DROPPED_SECOND, /* of those dropped: by the second receive queue */
  KPX_COUNTERS,
};

/* Opens a link; returns its handle (> 0). */
KPX_API int32_t kpx_link_open(const uint32_t *options, uint32_t count);

/* Closes it. The area stays addressable (as zeros), so that a late look at it is harmless. */
KPX_API int32_t kpx_link_close(int32_t handle);

/* Start of the link's area, KPX_INFO_AREA_BYTES long; NULL for a bad handle. */
KPX_API void *kpx_link_area(int32_t handle);

/* Fills at most `count` numbers; returns how many there are. */
KPX_API int32_t kpx_link_info(int32_t handle, double *out, uint32_t count);
KPX_API int32_t kpx_link_counters(int32_t handle, double *out, uint32_t count);

/*
 * One turn: sends tx slots 0 ... ntx - 1, then returns how many frames (at most `max`) lie in the rx slots. With
 * none there it spins for `spin_us`, then sleeps, `wait_us` in all, until a frame, a wake, a watched descriptor or
 * a signal comes. A frame that cannot be sent is counted and forgotten.
 *
 * A step that receives leaves in the area how many microseconds the host has been suspended by then: the clocks of
 * programs stand still meanwhile, CLOCK_MONOTONIC that is.
 */
KPX_API int32_t kpx_link_step(int32_t handle, uint32_t ntx, uint32_t max, uint32_t spin_us, uint32_t wait_us);

/* Ends the sleep of a step, now or the next one. */
KPX_API int32_t kpx_link_wake(int32_t handle);

/* Sleeping steps return when `fd` is readable too; it is forgotten when it is found closed. */
KPX_API int32_t kpx_link_watch(int32_t handle, int32_t fd);

/* The socket of a link's receive queue (0, 1), to be watched by another link. -ENOENT: it has no such queue. After a step that gave
 * `max` frames a link with KPX_FLAG_OFFLOAD may have more that its socket does not show. */
KPX_API int32_t kpx_link_fd(int32_t handle, uint32_t queue);

/*
 * Describes the network interfaces, KPX_INTERFACE_WORDS words each, as many as fit into `words`; returns how many
 * there are. Words: index, KPX_INTERFACE_ flags, MTU, MAC (2), reserved, then the name (16 bytes, NUL-padded).
 */
#define KPX_INTERFACE_WORDS 10u
enum { KPX_INTERFACE_UP = 1, KPX_INTERFACE_RUNNING = 2, KPX_INTERFACE_LOOPBACK = 4, KPX_INTERFACE_ETHERNET = 8 };
KPX_API int32_t kpx_interfaces(uint32_t *out, uint32_t words);

/* Brings an interface up; the name is `length` bytes, not terminated. */
KPX_API int32_t kpx_interface_up(const char *name, uint32_t length);

/*
 * The epoll descriptor of the calling thread's event loop: the lowest of the process in which no other thread
 * sleeps, as runtimes make the main one first. -ENOENT when there is none.
 */
KPX_API int32_t kpx_event_loop_fd(void);

/*
 * Ties the calling thread to the processors of these numbers, all of them. -ENODEV: one of them does not exist or is not
 * for this process, and nothing has changed.
 */
KPX_API int32_t kpx_pin(const uint32_t *cpus, uint32_t count);

/* The scheduling policy of the calling thread: SCHED_OTHER (0), SCHED_FIFO (1), SCHED_RR (2) and so on. */
KPX_API int32_t kpx_scheduling(void);

/*
 * Gives all threads of this process the lowest real-time priority (SCHED_RR), or the ordinary policy again; threads and
 * children that they make have the same. -EPERM: it may not.
 */
KPX_API int32_t kpx_set_realtime(uint32_t on);

/*
 * Makes the calling thread one that is woken without preempting whoever runs (SCHED_BATCH), or an ordinary one again; threads and
 * children that it makes meanwhile are made so. A thread of any other policy stays as it is.
 */
KPX_API int32_t kpx_set_patient(uint32_t on);

/* CRC-32C (Castagnoli). */
KPX_API uint32_t kpx_crc32c(const uint8_t *bytes, uint32_t length);

/*
 * HMAC-SHA-256. `prepare` makes of a key of any length the KPX_HMAC_WORDS words that it is used as; `digest` is 32
 * bytes. The words are as secret as the key.
 */
#define KPX_HMAC_WORDS 16u
KPX_API int32_t kpx_hmac_prepare(const uint8_t *key, uint32_t length, uint32_t *words);
KPX_API int32_t kpx_hmac_sha256(const uint32_t *words, const uint8_t *bytes, uint32_t length, uint8_t *digest);

#endif
