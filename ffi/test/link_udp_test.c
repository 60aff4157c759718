/* A UDP link on the loopback address: frames, bounds, checksum, waiting, handles. No privilege needed. */
#include <sys/eventfd.h>
#include <time.h>

#include "link_support.h"

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void frames_arrive_whole_and_in_order(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  struct test_link b = open_link(options, KPX_OPTION_WORDS);
  for (uint32_t i = 0; i < 16; i++) {
    uint8_t bytes[1500];
    memset(bytes, (int)i, sizeof bytes);
    put(&a, i, b.address, i == 15 ? KPX_PORT_SELF : KPX_PORT_WIRE | (i & 1 ? KPX_PORT_LO : 0), bytes, i * 100);
  }
  EQUAL(kpx_link_step(a.handle, 16, 16, 0, 0), 0);
  EQUAL(kpx_link_step(b.handle, 0, 10, 0, 100000), 10);
  EQUAL(b.rx[KPX_LENGTH], 0);
  CHECK(memcmp(b.rx + KPX_ADDRESS, a.address, sizeof a.address) == 0);
  EQUAL(kpx_link_step(b.handle, 0, 1000, 0, 100000), 5);
  for (uint32_t i = 0; i < 5; i++) {
    const uint32_t *descriptor = b.rx + i * KPX_DESCRIPTOR_WORDS;
    EQUAL(descriptor[KPX_LENGTH], (i + 10) * 100);
    EQUAL(descriptor[KPX_OFFSET] % 4, 0);
    EQUAL(descriptor[KPX_PORTS], KPX_PORT_WIRE);
    EQUAL(payload_of(&b, descriptor)[(i + 10) * 100 - 1], i + 10);
  }
  EQUAL(counter(a.handle, KPX_TX_FRAMES), 15);
  EQUAL(counter(b.handle, KPX_RX_FRAMES), 15);
  EQUAL(counter(b.handle, KPX_RX_BYTES), 10500);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void what_cannot_be_sent_is_counted(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  uint32_t nowhere[KPX_ADDRESS_WORDS] = {1, 2, 3, 4, 5, 6};
  put(&a, 0, nowhere, KPX_PORT_WIRE, "x", 1);
  put(&a, 1, a.address, KPX_PORT_WIRE, "x", 1);
  a.tx[KPX_DESCRIPTOR_WORDS + KPX_LENGTH] = 1501;
  put(&a, 2, a.address, KPX_PORT_WIRE, "y", 1);
  EQUAL(kpx_link_step(a.handle, 3, 16, 0, 100000), 1);
  EQUAL(payload_of(&a, a.rx)[0], 'y');
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 2);
  EQUAL(kpx_link_step(a.handle, 17, 16, 0, 0), -EINVAL);
  kpx_link_close(a.handle);
}

static void frames_longer_than_a_slot_are_dropped(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link large = open_link(options, KPX_OPTION_WORDS);
  options[KPX_OPTION_MAX_PAYLOAD] = 100;
  struct test_link small = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[200] = {7};
  put(&large, 0, small.address, KPX_PORT_WIRE, bytes, 101);
  put(&large, 1, small.address, KPX_PORT_WIRE, bytes, 100);
  kpx_link_step(large.handle, 2, 16, 0, 0);
  EQUAL(kpx_link_step(small.handle, 0, 16, 0, 100000), 1);
  EQUAL(small.rx[KPX_LENGTH], 100);
  EQUAL(counter(small.handle, KPX_RX_TRUNCATED), 1);
  kpx_link_close(large.handle);
  kpx_link_close(small.handle);
}

static void a_full_receive_queue_is_counted(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  options[KPX_OPTION_RECEIVE_BUFFER] = 4096;
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[1500] = {0};
  put(&a, 0, a.address, KPX_PORT_WIRE, bytes, 1500);
  /* One by one: a bundle is taken or dropped as a whole. */
  for (uint32_t i = 0; i < 16; i++) EQUAL(kpx_link_step(a.handle, 1, 0, 0, 0), 0);
  int received = kpx_link_step(a.handle, 0, 16, 0, 1000);
  CHECK(received > 0 && received < 16);
  EQUAL(counter(a.handle, KPX_RX_DROPPED), 16 - received);
  kpx_link_close(a.handle);
}

static void a_wrong_checksum_is_dropped(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link plain = open_link(options, KPX_OPTION_WORDS);
  options[KPX_OPTION_CHECKSUM_OFFSET] = 10;
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[1500] = {0};
  for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
  bytes[10] = 20;
  bytes[11] = 0;
  put(&a, 0, a.address, KPX_PORT_WIRE, bytes, 20);
  put(&a, 1, plain.address, KPX_PORT_WIRE, bytes, 20);
  put(&a, 2, plain.address, KPX_PORT_WIRE, bytes, 21); /* its own length says 20: refused */
  put(&a, 3, plain.address, KPX_PORT_WIRE, bytes, 8);  /* too short to say any */
  bytes[10] = (uint8_t)(1496 & 255);
  bytes[11] = 1496 >> 8;
  put(&a, 4, a.address, KPX_PORT_WIRE, bytes, 1496);
  bytes[10] = (uint8_t)(1497 & 255);
  put(&a, 5, a.address, KPX_PORT_WIRE, bytes, 1497); /* no room for the checksum */
  EQUAL(kpx_link_step(a.handle, 6, 16, 0, 100000), 2);
  EQUAL(a.rx[KPX_LENGTH], 24);
  EQUAL(a.rx[KPX_DESCRIPTOR_WORDS + KPX_LENGTH], 1500);
  EQUAL(counter(a.handle, KPX_TX_DROPPED), 3);

  EQUAL(kpx_link_step(plain.handle, 0, 16, 0, 100000), 1);
  uint8_t sealed[24];
  memcpy(sealed, payload_of(&plain, plain.rx), 24);
  EQUAL(kpx_crc32c(sealed, 20), sealed[20] | sealed[21] << 8 | sealed[22] << 16 | (uint32_t)sealed[23] << 24);
  put(&plain, 0, a.address, KPX_PORT_WIRE, sealed, 24);
  put(&plain, 1, a.address, KPX_PORT_WIRE, sealed, 23);
  sealed[0] ^= 1;
  put(&plain, 2, a.address, KPX_PORT_WIRE, sealed, 24);
  sealed[0] ^= 1;
  sealed[11] = 255;
  put(&plain, 3, a.address, KPX_PORT_WIRE, sealed, 24);
  put(&plain, 4, a.address, KPX_PORT_WIRE, sealed, 0);
  kpx_link_step(plain.handle, 5, 16, 0, 0);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 100000), 1);
  EQUAL(counter(a.handle, KPX_RX_BAD_CHECKSUM), 4);
  kpx_link_close(a.handle);
  kpx_link_close(plain.handle);
}

/* Key `which` as option words, at place `at`. */
static void set_key(uint32_t *options, uint32_t at, uint32_t which) {
  for (uint32_t i = 0; i < 8; i++) options[KPX_OPTION_KEY + 8 * at + i] = 0x01020304u * (which + 1) + i;
}

static struct test_link keyed_link(uint32_t keys, uint32_t first, uint32_t second) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  options[KPX_OPTION_CHECKSUM_OFFSET] = 10;
  options[KPX_OPTION_KEYS] = keys;
  set_key(options, 0, first);
  set_key(options, 1, second);
  return open_link(options, KPX_OPTION_WORDS);
}

/* Sends a frame that says its own length; returns how many frames came. */
static int send_sealed(struct test_link *from, struct test_link *to, uint32_t length) {
  uint8_t bytes[1500] = {0};
  bytes[10] = (uint8_t)length;
  bytes[11] = (uint8_t)(length >> 8);
  put(from, 0, to->address, KPX_PORT_WIRE, bytes, length);
  kpx_link_step(from->handle, 1, 0, 0, 0);
  return kpx_link_step(to->handle, 0, 16, 0, 10000);
}

static void only_who_has_the_key_is_heard(void) {
  struct test_link one = keyed_link(1, 0, 0), same = keyed_link(1, 0, 0), other = keyed_link(1, 1, 0);
  struct test_link both = keyed_link(2, 1, 0), none = keyed_link(0, 0, 0);
  EQUAL(send_sealed(&one, &same, 20), 1);
  EQUAL(same.rx[KPX_LENGTH], 36);
  EQUAL(send_sealed(&one, &same, 1484), 1);
  EQUAL(send_sealed(&one, &same, 1485), 0); /* no room for the MAC */
  EQUAL(counter(one.handle, KPX_TX_DROPPED), 1);
  EQUAL(counter(same.handle, KPX_RX_BAD_MAC), 0);
  /* A rotation: both keys are taken, the first signs. */
  EQUAL(send_sealed(&one, &both, 20), 1);
  EQUAL(send_sealed(&other, &both, 20), 1);
  EQUAL(send_sealed(&both, &other, 20), 1);
  EQUAL(send_sealed(&both, &one, 20), 0);
  EQUAL(counter(one.handle, KPX_RX_BAD_MAC), 1);
  EQUAL(send_sealed(&other, &one, 20), 0);
  EQUAL(send_sealed(&none, &one, 20), 0);
  EQUAL(counter(one.handle, KPX_RX_BAD_MAC), 3);
  EQUAL(send_sealed(&one, &none, 20), 0);
  EQUAL(counter(none.handle, KPX_RX_BAD_MAC), 1);
  EQUAL(counter(none.handle, KPX_RX_BAD_CHECKSUM), 0);
  const struct test_link *all[] = {&one, &same, &other, &both, &none};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) kpx_link_close(all[i]->handle);
}

static void any_bit_that_is_wrong_costs_the_frame(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link plain = open_link(options, KPX_OPTION_WORDS);
  struct test_link a = keyed_link(1, 0, 0);
  EQUAL(send_sealed(&a, &plain, 40), 1);
  uint8_t sealed[57] = {0};
  memcpy(sealed, payload_of(&plain, plain.rx), 56);
  double bad = 0;
  for (uint32_t bit = 0; bit < 56 * 8; bit++) {
    sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    put(&plain, 0, a.address, KPX_PORT_WIRE, sealed, 56);
    kpx_link_step(plain.handle, 1, 0, 0, 0);
    EQUAL(kpx_link_step(a.handle, 0, 16, 0, 0), 0);
    sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    bad++;
  }
  for (uint32_t length = 0; length < 56; length++, bad++) {
    put(&plain, 0, a.address, KPX_PORT_WIRE, sealed, length);
    kpx_link_step(plain.handle, 1, 0, 0, 0);
    EQUAL(kpx_link_step(a.handle, 0, 16, 0, 0), 0);
  }
  EQUAL(counter(a.handle, KPX_RX_BAD_MAC), bad);
  EQUAL(counter(a.handle, KPX_RX_FRAMES), 0);
  put(&plain, 0, a.address, KPX_PORT_WIRE, sealed, 57); /* padding */
  kpx_link_step(plain.handle, 1, 0, 0, 0);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 10000), 1);
  kpx_link_close(plain.handle);
  kpx_link_close(a.handle);
}

static void a_wait_ends_in_time_or_when_woken(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  uint64_t from = now_us();
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 20000), 0);
  CHECK(now_us() - from >= 19000);
  from = now_us();
  EQUAL(kpx_link_step(a.handle, 0, 16, 5000, 5000), 0);
  CHECK(now_us() - from >= 5000);
  for (uint32_t spin = 0; spin <= 5000000; spin += 5000000) {
    from = now_us();
    EQUAL(kpx_link_wake(a.handle), 0);
    EQUAL(kpx_link_step(a.handle, 0, 16, spin, 5000000), 0);
    CHECK(now_us() - from < 1000000);
  }
  int watched = eventfd(1, EFD_CLOEXEC);
  EQUAL(kpx_link_watch(a.handle, watched), 0);
  from = now_us();
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 5000000), 0);
  CHECK(now_us() - from < 1000000);
  close(watched);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 1000), 0); /* notices and forgets it */
  from = now_us();
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 20000), 0);
  CHECK(now_us() - from >= 19000);
  udp_options(options);
  struct test_link b = open_link(options, KPX_OPTION_WORDS);
  EQUAL(kpx_link_watch(a.handle, kpx_link_fd(b.handle, 0)), 0);
  EQUAL(kpx_link_fd(b.handle, 1), -ENOENT);
  put(&a, 0, b.address, KPX_PORT_WIRE, "other link", 10);
  from = now_us();
  EQUAL(kpx_link_step(a.handle, 1, 16, 0, 5000000), 0);
  CHECK(now_us() - from < 1000000);
  EQUAL(kpx_link_step(b.handle, 0, 16, 0, 0), 1);
  kpx_link_close(b.handle);
  EQUAL(kpx_link_fd(b.handle, 0), -EBADF);
  for (int again = 0; again < 2; again++)
    for (uint32_t i = 1; i < KPX_MAX_WATCHED; i++) EQUAL(kpx_link_watch(a.handle, 1000 + (int32_t)i), 0);
  EQUAL(kpx_link_watch(a.handle, 1), -ENOSPC);
  kpx_link_close(a.handle);
}

static void what_came_between_two_looks_ends_a_wait(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  struct test_link b = open_link(options, KPX_OPTION_WORDS);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 0), 0);
  put(&b, 0, a.address, KPX_PORT_WIRE, "one", 3);
  put(&b, 1, a.address, KPX_PORT_WIRE, "two", 3);
  EQUAL(kpx_link_step(b.handle, 2, 0, 0, 0), 0);
  uint64_t from = now_us();
  EQUAL(kpx_link_step(a.handle, 0, 1, 0, 5000000), 1);
  EQUAL(kpx_link_step(a.handle, 0, 1, 0, 5000000), 1);
  CHECK(memcmp(payload_of(&a, a.rx), "two", 3) == 0);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 0), 0);
  EQUAL(kpx_link_step(b.handle, 1, 0, 0, 0), 0);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 1), 1);
  EQUAL(kpx_link_step(a.handle, 0, 16, 0, 0), 0);
  put(&a, 0, a.address, KPX_PORT_WIRE, "to myself", 9);
  EQUAL(kpx_link_step(a.handle, 1, 16, 0, 5000000), 1);
  CHECK(now_us() - from < 1000000);
  kpx_link_close(a.handle);
  kpx_link_close(b.handle);
}

static void only_live_handles_work(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  EQUAL(kpx_link_close(a.handle), 0);
  struct test_link b = open_link(options, KPX_OPTION_WORDS);
  CHECK(a.handle != b.handle);
  double numbers[KPX_INFO_COUNT];
  const int32_t bad[] = {a.handle, 0, -1, 1, 63, 64, 255, 256, INT32_MAX, INT32_MIN, b.handle + 1, b.handle ^ 0x100};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    EQUAL(kpx_link_step(bad[i], 1, 1, 0, 0), -EBADF);
    EQUAL(kpx_link_close(bad[i]), -EBADF);
    EQUAL(kpx_link_wake(bad[i]), -EBADF);
    EQUAL(kpx_link_watch(bad[i], 1), -EBADF);
    EQUAL(kpx_link_info(bad[i], numbers, KPX_INFO_COUNT), -EBADF);
    EQUAL(kpx_link_counters(bad[i], numbers, KPX_COUNTERS), -EBADF);
    CHECK(kpx_link_area(bad[i]) == NULL);
  }
  a.area[0] = 1; /* a closed link's area can still be touched */
  a.area[a.area_bytes - 1] = 1;
  int32_t handles[KPX_MAX_LINKS];
  options[KPX_OPTION_RX_SLOTS] = options[KPX_OPTION_TX_SLOTS] = 1;
  for (uint32_t i = 0; i < KPX_MAX_LINKS - 1; i++) CHECK((handles[i] = kpx_link_open(options, KPX_OPTION_WORDS)) > 0);
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -EMFILE);
  for (uint32_t i = 0; i < KPX_MAX_LINKS - 1; i++) EQUAL(kpx_link_close(handles[i]), 0);
  kpx_link_close(b.handle);
}

static void bad_options_are_refused(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  EQUAL(kpx_link_open(NULL, KPX_OPTION_WORDS), -EINVAL);
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS - 1), -EINVAL);
  static const struct { uint32_t word, value; } bad[] = {
      {KPX_OPTION_KIND, 3},
      {KPX_OPTION_RX_SLOTS, 0},
      {KPX_OPTION_RX_SLOTS, KPX_MAX_SLOTS + 1},
      {KPX_OPTION_TX_SLOTS, 0xFFFFFFFF},
      {KPX_OPTION_MAX_PAYLOAD, 0},
      {KPX_OPTION_MAX_PAYLOAD, KPX_MAX_PAYLOAD + 1},
      {KPX_OPTION_CHECKSUM_OFFSET, 1495},
      {KPX_OPTION_KEYS, 1}, /* without a checksum */
      {KPX_OPTION_KEYS, KPX_MAX_KEYS + 1},
      {KPX_OPTION_CHECKSUM_OFFSET, 0xFFFFFFFE},
      {KPX_OPTION_FLAGS, KPX_FLAG_RING},
      {KPX_OPTION_FILTER_COUNT, 1},
      {KPX_OPTION_FILTER_COUNT, 0xFFFFFFFF},
      {KPX_OPTION_ADDRESS, 1},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    udp_options(options);
    options[bad[i].word] = bad[i].value;
    EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -EINVAL);
  }
  udp_options(options);
  options[KPX_OPTION_MAX_PAYLOAD] = KPX_MAX_PAYLOAD;
  options[KPX_OPTION_RX_SLOTS] = options[KPX_OPTION_TX_SLOTS] = KPX_MAX_SLOTS;
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -EINVAL); /* 4 GiB */
  udp_options(options);
  struct test_link a = open_link(options, KPX_OPTION_WORDS);
  memcpy(options + KPX_OPTION_ADDRESS, a.address, sizeof a.address);
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -EADDRINUSE);
  options[KPX_OPTION_ADDRESS + 3] = 0x010200C0u; /* 192.0.2.1 */
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -EADDRNOTAVAIL);
  kpx_link_close(a.handle);
}

static void both_families_reach_a_dual_stack_socket(void) {
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  struct test_link four = open_link(options, KPX_OPTION_WORDS);
  default_options(options, KPX_UDP);
  options[KPX_OPTION_FAMILY] = 6;
  options[KPX_OPTION_FLAGS] = KPX_FLAG_DUAL_STACK;
  int32_t handle = kpx_link_open(options, KPX_OPTION_WORDS);
  if (handle == -EAFNOSUPPORT) return;
  CHECK(handle > 0);
  struct test_link any = describe(handle);
  uint32_t to[KPX_ADDRESS_WORDS] = {0, 0, 0xFFFF0000u, 0x0100007Fu, any.address[4], 0};
  put(&four, 0, to, KPX_PORT_WIRE, "ping", 4);
  kpx_link_step(four.handle, 1, 16, 0, 0);
  EQUAL(kpx_link_step(any.handle, 0, 16, 0, 100000), 1);
  CHECK(memcmp(any.rx + KPX_ADDRESS, four.address, sizeof four.address) == 0);
  put(&any, 0, any.rx + KPX_ADDRESS, KPX_PORT_WIRE, "pong", 4);
  kpx_link_step(any.handle, 1, 16, 0, 0);
  EQUAL(kpx_link_step(four.handle, 0, 16, 0, 100000), 1);
  kpx_link_close(four.handle);
  kpx_link_close(any.handle);
}

static void all(void) {
  frames_arrive_whole_and_in_order();
  what_cannot_be_sent_is_counted();
  frames_longer_than_a_slot_are_dropped();
  a_full_receive_queue_is_counted();
  a_wrong_checksum_is_dropped();
  only_who_has_the_key_is_heard();
  any_bit_that_is_wrong_costs_the_frame();
  a_wait_ends_in_time_or_when_woken();
  what_came_between_two_looks_ends_a_wait();
  only_live_handles_work();
  bad_options_are_refused();
  both_families_reach_a_dual_stack_socket();
}

int main(void) {
  all();
  udp_flags = KPX_FLAG_OFFLOAD;
  all();
  return 0;
}
