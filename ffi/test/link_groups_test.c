/* UDP links with IP multicast: who joined hears, from the sender's own address; nobody else does, and neither queue starves. */
#include <linux/filter.h>
#include <stdbool.h>

#include "link_support.h"

#define SLOTS 64u
#define PLENTY 200u

static const uint32_t loopback_v4[6] = {0, 0, 0xFFFF0000u, 0x0100007Fu, 0, 0};
/* fd00::1, of an interface of the test's own: the loopback one carries no IPv6 multicast. */
static const uint32_t own_v6[6] = {0x000000FDu, 0, 0, 0x01000000u, 0, 0};

/* The test's own port, below those the system gives away. */
static uint32_t group_port(void) {
  return 20000u + (uint32_t)getpid() % 10000u;
}

/* 239.255.77.8, ff15::6b70:8 */
static void group_words(uint32_t family, uint32_t *words) {
  const uint32_t v4[6] = {0, 0, 0xFFFF0000u, 0x084DFFEFu, group_port(), 0};
  const uint32_t v6[6] = {0x000015FFu, 0, 0, 0x0800706Bu, group_port(), 0};
  memcpy(words, family == 4 ? v4 : v6, sizeof v4);
}

static void group_options(uint32_t *options, uint32_t family, uint32_t set, uint32_t flags) {
  default_options(options, KPX_UDP);
  options[KPX_OPTION_RX_SLOTS] = SLOTS;
  options[KPX_OPTION_TX_SLOTS] = SLOTS;
  options[KPX_OPTION_RECEIVE_BUFFER] = 1 << 20;
  options[KPX_OPTION_FLAGS] = flags | KPX_FLAG_MULTICAST;
  options[KPX_OPTION_FAMILY] = family;
  options[KPX_OPTION_GROUPS] = set;
  const uint32_t *own = family == 4 ? loopback_v4 : own_v6;
  memcpy(options + KPX_OPTION_ADDRESS, own, sizeof loopback_v4);
  memcpy(options + KPX_OPTION_TOWARD, own, sizeof loopback_v4);
  options[KPX_OPTION_TOWARD + 4] = 9; /* connect wants a port */
  group_words(family, options + KPX_OPTION_MULTICAST);
}

static struct test_link open_group(uint32_t family, uint32_t set, uint32_t flags) {
  uint32_t options[KPX_OPTION_WORDS];
  group_options(options, family, set, flags);
  return open_link(options, KPX_OPTION_WORDS);
}

static void send_to_group(struct test_link *from, uint32_t family, uint32_t group, uint8_t first, uint32_t count) {
  uint32_t to[6];
  group_words(family, to);
  to[3] += group << 24;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t bytes[100];
    memset(bytes, (int)(first + i), sizeof bytes);
    put(from, i, to, KPX_PORT_WIRE, bytes, sizeof bytes);
  }
  EQUAL(kpx_link_step(from->handle, count, 0, 0, 0), 0);
}

static void expect(const struct test_link *at, const struct test_link *from, uint8_t first, uint32_t count) {
  EQUAL(kpx_link_step(at->handle, 0, SLOTS, 0, 1000000), count);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *descriptor = at->rx + i * KPX_DESCRIPTOR_WORDS;
    EQUAL(descriptor[KPX_LENGTH], 100);
    EQUAL(*payload_of(at, descriptor), first + i);
    CHECK(memcmp(descriptor + KPX_ADDRESS, from->address, sizeof from->address) == 0);
  }
}

static void expect_nothing(const struct test_link *at) {
  EQUAL(kpx_link_step(at->handle, 0, SLOTS, 0, 20000), 0);
}

static void who_joined_hears(uint32_t family, uint32_t flags) {
  struct test_link a = open_group(family, 1u << 1 | 1u << 3, flags);
  struct test_link b = open_group(family, 1u << 2 | 1u << 3, flags);
  send_to_group(&b, family, 1, 1, 3);
  expect(&a, &b, 1, 3);
  expect_nothing(&b);
  send_to_group(&b, family, 2, 10, 3);
  expect(&b, &b, 10, 3);
  expect_nothing(&a);
  send_to_group(&a, family, 3, 20, 5);
  expect(&a, &a, 20, 5);
  expect(&b, &a, 20, 5);
  /* A group that nobody joined. */
  send_to_group(&a, family, 4, 30, 2);
  expect_nothing(&a);
  expect_nothing(&b);
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 0);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void a_filter_keeps_ones_own_out(uint32_t flags) {
  /* Accepts what begins with four bytes 8, behind the UDP header. */
  const struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x08080808, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0x40000),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  uint32_t options[KPX_OPTION_WORDS + 8];
  group_options(options, 4, 1u << 1, flags);
  options[KPX_OPTION_FILTER_COUNT] = 4;
  memcpy(options + KPX_OPTION_WORDS, program, sizeof program);
  struct test_link a = open_link(options, KPX_OPTION_WORDS + 8);
  struct test_link b = open_group(4, 1u << 1, flags);
  send_to_group(&b, 4, 1, 7, 1);
  expect(&b, &b, 7, 1);
  expect_nothing(&a);
  send_to_group(&b, 4, 1, 8, 1);
  expect(&a, &b, 8, 1);
  expect(&b, &b, 8, 1);
  /* The kernel counts what a filter refuses as dropped; what the link said itself is none. */
  EQUAL(counter(a.handle, KPX_RX_DROPPED), 1);
  send_to_group(&a, 4, 1, 20, 3);
  expect(&b, &a, 20, 3);
  expect_nothing(&a);
  EQUAL(counter(a.handle, KPX_RX_DROPPED), 1);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void neither_queue_starves(uint32_t flags) {
  struct test_link a = open_group(4, 1u << 1, flags);
  struct test_link b = open_group(4, 0, flags);
  uint8_t bytes[100] = {0};
  for (uint32_t sent = 0; sent < PLENTY; sent++) {
    put(&b, 0, a.address, KPX_PORT_WIRE, bytes, sizeof bytes);
    EQUAL(kpx_link_step(b.handle, 1, 0, 0, 0), 0);
  }
  send_to_group(&b, 4, 1, 9, 1);
  EQUAL(kpx_link_step(a.handle, 0, 8, 0, 0), 8);
  EQUAL(*payload_of(&a, a.rx + 7 * KPX_DESCRIPTOR_WORDS), 9);
  uint32_t all = 8;
  for (int more; (more = kpx_link_step(a.handle, 0, SLOTS, 0, 0)) > 0;) all += (uint32_t)more;
  EQUAL(all, PLENTY + 1);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void one_without_an_address_of_its_own(void) {
  uint32_t options[KPX_OPTION_WORDS];
  group_options(options, 6, 1u << 1, KPX_FLAG_DUAL_STACK);
  memset(options + KPX_OPTION_ADDRESS, 0, 6 * sizeof *options);
  memcpy(options + KPX_OPTION_TOWARD, loopback_v4, sizeof loopback_v4);
  options[KPX_OPTION_TOWARD + 4] = 9;
  group_words(4, options + KPX_OPTION_MULTICAST);
  int32_t handle = kpx_link_open(options, KPX_OPTION_WORDS);
  if (handle == -EAFNOSUPPORT) return;
  struct test_link any = describe(handle);
  struct test_link a = open_group(4, 1u << 1, 0);
  send_to_group(&any, 4, 1, 40, 1);
  EQUAL(kpx_link_step(a.handle, 0, SLOTS, 0, 1000000), 1);
  EQUAL(a.rx[KPX_ADDRESS + 3], loopback_v4[3]);
  expect(&any, &(struct test_link){.address = {a.rx[4], a.rx[5], a.rx[6], a.rx[7], a.rx[8], a.rx[9]}}, 40, 1);
  kpx_link_close(any.handle);
  kpx_link_close(a.handle);
}

static int32_t opened(uint32_t at, uint32_t word) {
  uint32_t options[KPX_OPTION_WORDS];
  group_options(options, 4, 1u << 1, 0);
  options[at] = word;
  return kpx_link_open(options, KPX_OPTION_WORDS);
}

static void what_cannot_be_is_refused(void) {
  EQUAL(opened(KPX_OPTION_MULTICAST + 3, 0x084D000Au), -EINVAL); /* 10.0.77.8 is one host */
  EQUAL(opened(KPX_OPTION_MULTICAST + 3, 0xFC4DFFEFu), -EINVAL); /* 239.255.77.252 has three behind it */
  EQUAL(opened(KPX_OPTION_GROUPS, 1u << KPX_GROUPS), -EINVAL);
  EQUAL(opened(KPX_OPTION_MULTICAST + 4, 70000), -EINVAL);
  EQUAL(opened(KPX_OPTION_TOWARD, 1), -EINVAL); /* IPv6 */
  EQUAL(opened(KPX_OPTION_TOWARD + 3, 0xFFFFFFFFu), -EACCES); /* broadcast */
}

/* In a network namespace of the test's own, which ends with it. */
static void over_ipv6(void) {
  if (unshare(CLONE_NEWNET) < 0) {
    if (errno == EPERM) skip("IPv6 multicast needs a network namespace");
    CHECK(false);
  }
  EQUAL(system("ip link add kpx0 type veth peer name kpx1 && ip link set lo up && ip link set kpx0 up && ip link set kpx1 up"
               " && ip address add fd00::1/64 dev kpx0 nodad"), 0);
  who_joined_hears(6, 0);
  who_joined_hears(6, KPX_FLAG_OFFLOAD);
}

int main(void) {
  for (uint32_t flags = 0; flags <= KPX_FLAG_OFFLOAD; flags += KPX_FLAG_OFFLOAD) {
    who_joined_hears(4, flags);
    a_filter_keeps_ones_own_out(flags);
    neither_queue_starves(flags);
  }
  one_without_an_address_of_its_own();
  what_cannot_be_is_refused();
  over_ipv6();
  return 0;
}
