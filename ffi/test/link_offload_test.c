/* UDP links whose datagrams pass the kernel in bundles: what arrives is the same datagrams, in order, whoever has it on. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "link_support.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define SLOTS 256u

static struct test_link open_with(uint32_t flags, uint32_t most) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  options[KPX_OPTION_FLAGS] = flags;
  options[KPX_OPTION_MAX_PAYLOAD] = most;
  options[KPX_OPTION_RX_SLOTS] = SLOTS;
  options[KPX_OPTION_TX_SLOTS] = SLOTS;
  options[KPX_OPTION_RECEIVE_BUFFER] = 1 << 22;
  return open_link(options, KPX_OPTION_WORDS);
}

/* Datagram `i` has its number in every byte. */
static void put_numbered(struct test_link *from, uint32_t slot, const struct test_link *to, uint32_t i, uint32_t length) {
  static uint8_t bytes[9000];
  memset(bytes, (int)(i & 255), length);
  put(from, slot, to->address, KPX_PORT_WIRE, bytes, length);
}

static void expect_numbered(const struct test_link *at, const struct test_link *from, uint32_t slot, uint32_t i, uint32_t length) {
  const uint32_t *descriptor = at->rx + slot * KPX_DESCRIPTOR_WORDS;
  EQUAL(descriptor[KPX_LENGTH], length);
  EQUAL(descriptor[KPX_OFFSET] % 4, 0);
  EQUAL(descriptor[KPX_PORTS], KPX_PORT_WIRE);
  CHECK(memcmp(descriptor + KPX_ADDRESS, from->address, sizeof from->address) == 0);
  const uint8_t *bytes = payload_of(at, descriptor);
  for (uint32_t b = 0; b < length; b++) EQUAL(bytes[b], i & 255);
}

/* Sends datagrams of these lengths and receives them, `most` a step. */
static void exchange(uint32_t sender, uint32_t receiver, const uint32_t *lengths, uint32_t count, uint32_t most) {
  struct test_link a = open_with(sender, 9000);
  struct test_link b = open_with(receiver, 9000);
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    put_numbered(&a, i, &b, i, lengths[i]);
    bytes += lengths[i];
  }
  EQUAL(kpx_link_step(a.handle, count, 0, 0, 0), 0);
  for (uint32_t got = 0; got < count;) {
    int received = kpx_link_step(b.handle, 0, most, 0, 1000000);
    CHECK(received > 0 && (uint32_t)received <= most);
    for (uint32_t i = 0; i < (uint32_t)received; i++) expect_numbered(&b, &a, i, got + i, lengths[got + i]);
    got += (uint32_t)received;
  }
  EQUAL(kpx_link_step(b.handle, 0, most, 0, 0), 0);
  expect_exchanged(a.handle, b.handle, count, bytes);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void exchange_all_ways(const uint32_t *lengths, uint32_t count) {
  const uint32_t most[] = {1, 3, SLOTS};
  for (uint32_t ends = 0; ends < 4; ends++)
    for (uint32_t i = 0; i < 3; i++)
      exchange((ends & 1) != 0 ? KPX_FLAG_OFFLOAD : 0, (ends & 2) != 0 ? KPX_FLAG_OFFLOAD : 0, lengths, count, most[i]);
}

static void all_kinds_of_lengths_arrive(void) {
  exchange_all_ways((const uint32_t[]){100, 100, 100, 60, 100, 100}, 6);
  /* No multiples of 4, and growing ones. */
  exchange_all_ways((const uint32_t[]){101, 101, 101, 99, 102, 103, 103, 1}, 8);
  exchange_all_ways((const uint32_t[]){7, 0, 7, 7, 0, 0, 5}, 7);
  exchange_all_ways((const uint32_t[]){1}, 1);
  /* More than one packet carries, in bytes and in number. */
  uint32_t many[SLOTS];
  for (uint32_t i = 0; i < SLOTS; i++) many[i] = 1452;
  exchange_all_ways(many, 150);
  for (uint32_t i = 0; i < SLOTS; i++) many[i] = 9000;
  exchange_all_ways(many, 40);
  for (uint32_t i = 0; i < SLOTS; i++) many[i] = 3;
  exchange_all_ways(many, SLOTS);
}

static void each_destination_gets_its_own(void) {
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link to[20];
  for (uint32_t i = 0; i < 20; i++) to[i] = open_with((i & 1) != 0 ? KPX_FLAG_OFFLOAD : 0, 1500);
  /* In turns, as a leader's accepts; more destinations than are looked back for. */
  for (uint32_t i = 0; i < 100; i++) put_numbered(&a, i, &to[i % 20], i, 1400);
  EQUAL(kpx_link_step(a.handle, 100, 0, 0, 0), 0);
  for (uint32_t i = 0; i < 20; i++) {
    EQUAL(kpx_link_step(to[i].handle, 0, SLOTS, 0, 1000000), 5);
    for (uint32_t j = 0; j < 5; j++) expect_numbered(&to[i], &a, j, 20 * j + i, 1400);
    kpx_link_close(to[i].handle);
  }
  kpx_link_close(a.handle);
}

static void what_is_too_long_for_the_receiver_is_dropped_alone(void) {
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link b = open_with(KPX_FLAG_OFFLOAD, 100);
  const uint32_t lengths[] = {101, 101, 40, 100, 100};
  for (uint32_t i = 0; i < 5; i++) put_numbered(&a, i, &b, i, lengths[i]);
  kpx_link_step(a.handle, 5, 0, 0, 0);
  EQUAL(kpx_link_step(b.handle, 0, SLOTS, 0, 1000000), 3);
  expect_numbered(&b, &a, 0, 2, 40);
  expect_numbered(&b, &a, 1, 3, 100);
  expect_numbered(&b, &a, 2, 4, 100);
  EQUAL(counter(b.handle, KPX_RX_TRUNCATED), 2);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

/* What a step has handed out stays as it is until the next one, whatever comes meanwhile. */
static void a_step_does_not_write_over_its_own_frames(void) {
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link b = open_with(KPX_FLAG_OFFLOAD, 1500);
  for (uint32_t round = 0; round < 50; round++) {
    for (uint32_t i = 0; i < 40; i++) put_numbered(&a, i, &b, round * 40 + i, 1000);
    kpx_link_step(a.handle, 40, 0, 0, 0);
  }
  for (uint32_t got = 0; got < 50 * 40;) {
    int received = kpx_link_step(b.handle, 0, 33, 0, 1000000);
    CHECK(received > 0);
    for (uint32_t i = 0; i < (uint32_t)received; i++) expect_numbered(&b, &a, i, got + i, 1000);
    got += (uint32_t)received;
  }
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

/* What a step had no room for ends the next one's wait, even if that takes no frames. */
static void held_datagrams_end_a_wait(void) {
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link b = open_with(KPX_FLAG_OFFLOAD, 1500);
  for (uint32_t i = 0; i < 3; i++) put_numbered(&a, i, &b, i, 100);
  EQUAL(kpx_link_step(a.handle, 3, 0, 0, 0), 0);
  EQUAL(kpx_link_step(b.handle, 0, 1, 0, 1000000), 1);
  alarm(20);
  EQUAL(kpx_link_step(b.handle, 0, 0, 0, 0x7FFFFFFF), 0);
  EQUAL(kpx_link_step(b.handle, 0, 0, 10, 0x7FFFFFFF), 0);
  alarm(0);
  EQUAL(kpx_link_step(b.handle, 0, SLOTS, 0, 0x7FFFFFFF), 2);
  expect_numbered(&b, &a, 0, 1, 100);
  expect_numbered(&b, &a, 1, 2, 100);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

/* Datagrams of many senders, as a leader's clients, are no bundle: a step takes as many of them as one without offload. */
static void a_step_takes_the_datagrams_of_many_senders(void) {
  struct test_link to = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link from[50];
  for (uint32_t i = 0; i < 50; i++) {
    from[i] = open_with(KPX_FLAG_OFFLOAD, 1500);
    put_numbered(&from[i], 0, &to, i, 100);
    EQUAL(kpx_link_step(from[i].handle, 1, 0, 0, 0), 0);
  }
  EQUAL(kpx_link_step(to.handle, 0, SLOTS, 0, 1000000), 50);
  for (uint32_t i = 0; i < 50; i++) {
    expect_numbered(&to, &from[i], i, i, 100);
    kpx_link_close(from[i].handle);
  }
  kpx_link_close(to.handle);
}

/* A socket that gets a bundle in one piece. */
static int open_observer(struct test_link *to) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof name;
  int one = 1;
  CHECK(bind(fd, (struct sockaddr *)&name, length) == 0 && getsockname(fd, (struct sockaddr *)&name, &length) == 0);
  CHECK(setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one) == 0);
  *to = (struct test_link){.address = {0, 0, 0xFFFF0000u, name.sin_addr.s_addr, ntohs(name.sin_port), 0}};
  return fd;
}

static void shorter_ones_still_leave_in_bundles(void) {
  struct test_link to;
  int fd = open_observer(&to);
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  const uint32_t lengths[] = {1000, 1000, 1400, 1400, 1300};
  const ssize_t arrive[] = {2000, 1400, 1400, 1300};
  for (int round = 0; round < 2; round++) {
    for (uint32_t i = 0; i < 5; i++) put_numbered(&a, i, &to, i, lengths[i]);
    EQUAL(kpx_link_step(a.handle, 5, 0, 0, 0), 0);
    uint8_t bytes[65536];
    for (uint32_t i = 0; i < 4; i++) EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), arrive[i]);
  }
  EQUAL(counter(a.handle, KPX_TX_FRAMES), 10);
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 0);
  /* Where nothing is let through (EINVAL) it is not for being a bundle. */
  CHECK(system("ip route add blackhole 192.0.2.1") == 0);
  struct test_link nowhere = {.address = {0, 0, 0xFFFF0000u, htonl(0xC0000201), 7, 0}};
  for (uint32_t i = 0; i < 4; i++) put_numbered(&a, i, i < 2 ? &nowhere : &to, i, 500);
  for (int round = 0; round < 2; round++) {
    EQUAL(kpx_link_step(a.handle, 4, 0, 0, 0), 0);
    uint8_t bytes[65536];
    EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 1000);
  }
  EQUAL(counter(a.handle, KPX_TX_FRAMES), 14);
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 4);
  kpx_link_close(a.handle);
  close(fd);
}

/* A route whose packets are shorter than the datagrams takes these in fragments, and no bundles of them. */
static void a_route_that_refuses_bundles_gets_single_datagrams(void) {
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) skip("needs a network namespace");
  CHECK(system("ip link set lo up mtu 1280") == 0);
  exchange(KPX_FLAG_OFFLOAD, KPX_FLAG_OFFLOAD, (const uint32_t[]){1000, 1000, 1400, 1400, 1400, 60, 1000, 1000}, 8, SLOTS);
  exchange(KPX_FLAG_OFFLOAD, 0, (const uint32_t[]){1400, 1400, 1400}, 3, SLOTS);
  shorter_ones_still_leave_in_bundles();
}

/* A route may be short for a while only, as when its interface's MTU is changed and put back. */
static void a_route_that_is_long_again_gets_bundles_again(void) {
  struct test_link to;
  int fd = open_observer(&to);
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  for (uint32_t i = 0; i < 2; i++) put_numbered(&a, i, &to, i, 1400);
  uint8_t bytes[65536];
  EQUAL(kpx_link_step(a.handle, 2, 0, 0, 0), 0);
  for (uint32_t i = 0; i < 2; i++) EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 1400);
  CHECK(system("ip link set lo mtu 65536") == 0);
  ssize_t arrived = 0;
  alarm(20);
  while (arrived != 2800) {
    usleep(100000);
    EQUAL(kpx_link_step(a.handle, 2, 0, 0, 0), 0);
    arrived = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (arrived == 1400) EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 1400);
  }
  alarm(0);
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 0);
  kpx_link_close(a.handle);
  close(fd);
}

/* gVisor takes any option of UDP, knows none of them, and would send a bundle as one datagram. */
static void a_kernel_that_only_seems_to_know_bundles_gets_none(void) {
  struct test_link to;
  int fd = open_observer(&to);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_UDP, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) skip("needs seccomp");
  struct test_link a = open_with(KPX_FLAG_OFFLOAD, 1500);
  for (uint32_t i = 0; i < 2; i++) put_numbered(&a, i, &to, i, 500);
  EQUAL(kpx_link_step(a.handle, 2, 0, 0, 0), 0);
  uint8_t bytes[65536];
  for (uint32_t i = 0; i < 2; i++) EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 500);
  kpx_link_close(a.handle);
  close(fd);
  exchange(KPX_FLAG_OFFLOAD, KPX_FLAG_OFFLOAD, (const uint32_t[]){101, 101, 50}, 3, SLOTS);
}

int main(void) {
  all_kinds_of_lengths_arrive();
  each_destination_gets_its_own();
  what_is_too_long_for_the_receiver_is_dropped_alone();
  a_step_does_not_write_over_its_own_frames();
  held_datagrams_end_a_wait();
  a_step_takes_the_datagrams_of_many_senders();
  a_route_that_refuses_bundles_gets_single_datagrams();
  a_route_that_is_long_again_gets_bundles_again();
  a_kernel_that_only_seems_to_know_bundles_gets_none();
  return 0;
}
