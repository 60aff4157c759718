/*
 * Two receive queues, on the loopback interface of a network namespace of the test's own, in both receive modes: the
 * first one's frames lead, neither starves, a flood of one costs the other nothing, a wait ends for both.
 */
#include <linux/filter.h>
#include <net/if.h>
#include <stdbool.h>
#include <time.h>

#include "link_support.h"

#define MAIN 0x88B5u
#define PROGRAM 4u
#define PAYLOAD_AT 14u
#define BUNDLE_PAYLOAD_AT 42u
#define WORDS (KPX_OPTION_WORDS + 4 * PROGRAM)

static uint32_t lo;

/* Frames with `first` at this byte, whole. */
static void put_filter(uint32_t *words, uint32_t at, uint8_t first) {
  const struct sock_filter program[PROGRAM] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 65536),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  memcpy(words, program, sizeof program);
}

static void lo_options(uint32_t *options, uint32_t flags) {
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = lo;
  options[KPX_OPTION_FLAGS] = flags;
  options[KPX_OPTION_BIND_ETHERTYPE] = MAIN;
}

/* Frames of 'p' for the first queue, of 'v' for the second: what has it at this byte. */
static void split_options(uint32_t *options, uint32_t flags, uint32_t at) {
  lo_options(options, flags);
  options[KPX_OPTION_FILTER_COUNT] = PROGRAM;
  options[KPX_OPTION_SECOND_FILTER_COUNT] = PROGRAM;
  put_filter(options + KPX_OPTION_WORDS, at, 'p');
  put_filter(options + KPX_OPTION_WORDS + 2 * PROGRAM, at, 'v');
}

static void queue_options(uint32_t *options, uint32_t flags) {
  split_options(options, flags, PAYLOAD_AT);
}

static struct test_link open_queues(uint32_t flags) {
  uint32_t options[WORDS];
  queue_options(options, flags);
  return open_link(options, WORDS);
}

/* Whoever sends: it hears nothing itself. */
static struct test_link open_sender(uint32_t flags) {
  uint32_t options[KPX_OPTION_WORDS];
  lo_options(options, flags);
  options[KPX_OPTION_BIND_ETHERTYPE] = 0x88B6;
  return open_link(options, KPX_OPTION_WORDS);
}

static bool has_bundles(void) {
  struct test_link link = open_sender(KPX_FLAG_OFFLOAD);
  double info[KPX_INFO_COUNT];
  kpx_link_info(link.handle, info, KPX_INFO_COUNT);
  kpx_link_close(link.handle);
  return info[KPX_INFO_BUNDLE_PAYLOAD] > 0;
}

/* Sends a frame of `length` bytes for each letter of `queues`, numbered from `number` on; those of one letter in a bundle, if they may. */
static void say(struct test_link *link, const char *queues, uint8_t number, uint32_t length) {
  uint8_t bytes[1500] = {0};
  uint32_t count = (uint32_t)strlen(queues);
  for (uint32_t i = 0; i < count; i++) {
    bytes[0] = (uint8_t)queues[i];
    bytes[1] = (uint8_t)(number + i);
    const uint32_t to[KPX_ADDRESS_WORDS] = {0x04030201u, 0x0605u, bytes[0]};
    put(link, i, to, KPX_PORT_WIRE, bytes, length);
    link->tx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] = MAIN;
  }
  EQUAL(kpx_link_step(link->handle, count, 0, 0, 0), 0);
}

/* Of which queues the frames in the slots are. */
static const char *heard(struct test_link *link, uint32_t max, uint32_t wait_us) {
  static char queues[17];
  int received = kpx_link_step(link->handle, 0, max, 0, wait_us);
  CHECK(received >= 0 && received <= 16);
  for (int i = 0; i < received; i++)
    queues[i] = (char)payload_of(link, link->rx + (uint32_t)i * KPX_DESCRIPTOR_WORDS)[0];
  queues[received] = 0;
  return queues;
}

static void is(const char *got, const char *want) {
  if (strcmp(got, want) == 0) return;
  fprintf(stderr, "heard \"%s\", not \"%s\"\n", got, want);
  exit(1);
}

static void the_first_queue_leads(uint32_t flags) {
  struct test_link from = open_sender(0);
  struct test_link link = open_queues(flags);
  say(&from, "vpvvpxvp", 10, 60);
  is(heard(&link, 16, 0), "pppvvvv");
  const uint8_t numbers[] = {11, 14, 17, 10, 12, 13, 16};
  for (uint32_t i = 0; i < sizeof numbers; i++) {
    const uint32_t *descriptor = link.rx + i * KPX_DESCRIPTOR_WORDS;
    EQUAL(payload_of(&link, descriptor)[1], numbers[i]);
    EQUAL(descriptor[KPX_LENGTH], 60);
  }
  is(heard(&link, 16, 0), "");
  EQUAL(counter(link.handle, KPX_RX_FRAMES), 7);
  kpx_link_close(link.handle);
  kpx_link_close(from.handle);
}

static void neither_starves(uint32_t flags) {
  struct test_link from = open_sender(0);
  struct test_link link = open_queues(flags);
  say(&from, "pppppppppppppppp", 0, 60);
  say(&from, "pppppppppppppppp", 0, 60);
  say(&from, "vvvvvvvvvvvvvvvv", 0, 60);
  is(heard(&link, 16, 0), "ppppppppppppppvv");
  is(heard(&link, 4, 0), "pppv");
  is(heard(&link, 1, 0), "p");
  is(heard(&link, 16, 0), "ppppppppppppppvv");
  is(heard(&link, 16, 0), "vvvvvvvvvvv");
  is(heard(&link, 16, 0), "");
  kpx_link_close(link.handle);
  kpx_link_close(from.handle);
}

/* Many frames in one message, which is in the link before all of them are handed out. */
static void bundles_of_one_delay_the_other_by_no_step(void) {
  uint32_t options[WORDS];
  split_options(options, KPX_FLAG_OFFLOAD, BUNDLE_PAYLOAD_AT);
  options[KPX_OPTION_BIND_ETHERTYPE] = 0;
  struct test_link link = open_link(options, WORDS);
  struct test_link from = open_sender(KPX_FLAG_OFFLOAD);
  for (int i = 0; i < 2; i++) say(&from, "vvvvvvvvvvvv", 0, 60);
  is(heard(&link, 8, 0), "vvvvvvvv");
  say(&from, "ppp", 0, 60);
  is(heard(&link, 8, 1000000), "pppvvvvv");
  say(&from, "pppppppppppp", 0, 60);
  is(heard(&link, 8, 1000000), "pppppppv");
  is(heard(&link, 16, 1000000), "pppppvvvvvvvvvv");
  is(heard(&link, 8, 0), "");
  kpx_link_close(from.handle);
  kpx_link_close(link.handle);
}

static void a_flood_of_one_costs_the_other_nothing(uint32_t flags) {
  uint32_t options[WORDS];
  queue_options(options, flags);
  options[KPX_OPTION_RECEIVE_BUFFER] = 16384;
  struct test_link from = open_sender(0);
  for (int flooded = 0; flooded < 2; flooded++) {
    struct test_link link = open_link(options, WORDS);
    say(&from, flooded == 0 ? "v" : "p", 0, 60);
    for (int i = 0; i < 20; i++) say(&from, flooded == 0 ? "pppppppppppppppp" : "vvvvvvvvvvvvvvvv", 0, 1500);
    say(&from, flooded == 0 ? "v" : "p", 1, 60);
    uint32_t received[2] = {0, 0};
    for (const char *frames; *(frames = heard(&link, 16, 0)) != 0;)
      for (; *frames != 0; frames++) received[*frames == 'v']++;
    CHECK(received[flooded] < 320);
    EQUAL(received[1 - flooded], 2);
    EQUAL(counter(link.handle, KPX_RX_DROPPED), 320 - received[flooded]);
    EQUAL(counter(link.handle, KPX_RX_DROPPED_SECOND), flooded == 0 ? 0 : 320 - received[flooded]);
    kpx_link_close(link.handle);
  }
  kpx_link_close(from.handle);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void a_wait_ends_for_both(uint32_t flags) {
  struct test_link from = open_sender(0);
  struct test_link link = open_queues(flags);
  struct test_link watching = open_sender(0);
  CHECK(kpx_link_fd(link.handle, 0) >= 0);
  CHECK(kpx_link_fd(link.handle, 1) >= 0);
  CHECK(kpx_link_fd(link.handle, 0) != kpx_link_fd(link.handle, 1));
  EQUAL(kpx_link_fd(link.handle, 2), -ENOENT);
  for (uint32_t queue = 0; queue < 2; queue++)
    EQUAL(kpx_link_watch(watching.handle, kpx_link_fd(link.handle, queue)), 0);
  for (int round = 0; round < 4; round++) {
    const char *queue = round % 2 == 0 ? "p" : "v";
    is(heard(&link, 16, 0), "");
    say(&from, queue, 0, 60);
    uint64_t at = now_us();
    is(heard(&watching, 16, 5000000), "");
    is(heard(&link, 16, 5000000), queue);
    CHECK(now_us() - at < 2500000);
  }
  kpx_link_close(watching.handle);
  kpx_link_close(link.handle);
  kpx_link_close(from.handle);
}

static void what_makes_no_two_queues_is_refused(void) {
  uint32_t options[WORDS];
  queue_options(options, 0);
  EQUAL(kpx_link_open(options, WORDS - 1), -EINVAL);
  options[KPX_OPTION_FILTER_COUNT] = 0;
  EQUAL(kpx_link_open(options, WORDS), -EINVAL);
  queue_options(options, 0);
  options[KPX_OPTION_SECOND_FILTER_COUNT] = KPX_MAX_FILTER + 1;
  EQUAL(kpx_link_open(options, WORDS), -EINVAL);
  udp_options(options);
  options[KPX_OPTION_FILTER_COUNT] = PROGRAM;
  options[KPX_OPTION_SECOND_FILTER_COUNT] = PROGRAM;
  EQUAL(kpx_link_open(options, WORDS), -EINVAL);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) skip("needs a network namespace");
  lo = if_nametoindex("lo");
  CHECK(lo > 0);
  EQUAL(kpx_interface_up("lo", 2), 0);
  what_makes_no_two_queues_is_refused();
  if (has_bundles()) bundles_of_one_delay_the_other_by_no_step();
  const uint32_t kinds[] = {0, KPX_FLAG_RING, KPX_FLAG_OFFLOAD, KPX_FLAG_OFFLOAD | KPX_FLAG_RING};
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t flags = kinds[i];
    the_first_queue_leads(flags);
    neither_starves(flags);
    a_flood_of_one_costs_the_other_nothing(flags);
    a_wait_ends_for_both(flags);
  }
  return 0;
}
