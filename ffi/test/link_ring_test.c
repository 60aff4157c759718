/* A receive ring that a packet has blocked, as the kernel's can be: whoever reads the counters now and then hears again. And none at all. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "link_support.h"

#define MAIN 0x88B5u
#define TAP "kpxtap"

static int tap;

static void open_tap(void) {
  tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (tap < 0) skip("needs /dev/net/tun");
  struct ifreq request = {.ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  if (ioctl(tap, TUNSETIFF, &request) < 0) skip("cannot make a tap device");
  EQUAL(kpx_interface_up(TAP, sizeof TAP - 1), 0);
}

/* What comes in at the device: a frame with these words of a virtio header. */
static void arrive(struct virtio_net_hdr offload, const uint8_t *headers, uint32_t length, uint32_t payload) {
  static uint8_t message[4096];
  memset(message, 0, sizeof message);
  memcpy(message, &offload, sizeof offload);
  memcpy(message + sizeof offload, headers, length);
  ssize_t bytes = (ssize_t)(sizeof offload + length + payload);
  CHECK(write(tap, message, (size_t)bytes) == bytes);
}

static void single(void) {
  const uint8_t headers[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, MAIN >> 8, MAIN & 0xff};
  arrive((struct virtio_net_hdr){0}, headers, sizeof headers, 100);
}

/* A UDP datagram that is to be cut into IP fragments, of which a virtio header can tell only who makes it. */
static void unspeakable(void) {
  const uint8_t headers[] = {
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0,
      0x45, 0, 0x0b, 0xd4, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 224, 0, 0, 254,
      0x88, 0xB5, 0x88, 0xB5, 0x0b, 0xc0, 0, 0};
  struct virtio_net_hdr offload = {
      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_UDP, .hdr_len = 42, .gso_size = 1000, .csum_start = 34, .csum_offset = 6};
  arrive(offload, headers, sizeof headers, 3000);
}

static uint32_t heard(struct test_link *link) {
  int received = kpx_link_step(link->handle, 0, 16, 0, 100000);
  CHECK(received >= 0);
  uint32_t count = 0;
  for (int i = 0; i < received; i++) count += link->rx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] == MAIN;
  return count;
}

static double rings(const struct test_link *link) {
  double info[KPX_INFO_COUNT];
  EQUAL(kpx_link_info(link->handle, info, KPX_INFO_COUNT), KPX_INFO_COUNT);
  return info[KPX_INFO_RINGS];
}

/* A kernel that has no memory for a ring, or none of its kind. */
static void frames_come_where_no_ring_is_to_be_had(const uint32_t *options) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_RX_RING, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_PACKET, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) skip("needs seccomp");
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  EQUAL(rings(&link), 0);
  for (uint32_t round = 0; round < 3; round++) {
    single();
    EQUAL(heard(&link), 1);
    EQUAL(counter(link.handle, KPX_RX_DROPPED), 0);
  }
  kpx_link_close(link.handle);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) skip("needs a network namespace");
  open_tap();
  uint32_t options[KPX_OPTION_WORDS];
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = if_nametoindex(TAP);
  options[KPX_OPTION_FLAGS] = KPX_FLAG_OFFLOAD | KPX_FLAG_RING;
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  EQUAL(rings(&link), 1);
  single();
  EQUAL(heard(&link), 1);
  for (uint32_t round = 0; round < 3; round++) {
    counter(link.handle, KPX_RX_DROPPED);
    unspeakable();
    single();
    (void)heard(&link);
    counter(link.handle, KPX_RX_DROPPED);
    single();
    EQUAL(heard(&link), 1);
  }
  kpx_link_close(link.handle);
  frames_come_where_no_ring_is_to_be_had(options);
  return 0;
}
