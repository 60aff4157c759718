/* Helpers of the link tests. A test exits 0 (passed), 1 (failed) or 77 (cannot run here). */
#ifndef KPX_LINK_SUPPORT_H
#define KPX_LINK_SUPPORT_H

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kpaxos.h"
#include "check.h"

#define EQUAL(actual, expected)                                                                         \
  do {                                                                                                  \
    long long got = (long long)(actual), want = (long long)(expected);                                  \
    if (got != want) {                                                                                  \
      fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, got, want);         \
      exit(1);                                                                                          \
    }                                                                                                   \
  } while (0)

struct test_link {
  int32_t handle;
  uint8_t *area;
  uint32_t area_bytes;
  uint32_t *rx;
  uint32_t *tx;
  uint32_t address[KPX_ADDRESS_WORDS];
};

/* CI sets KPAXOS_REQUIRE_NETNS where nothing may be skipped. */
static inline void skip(const char *why) {
  const char *required = getenv("KPAXOS_REQUIRE_NETNS");
  printf("%s\n", why);
  exit(required != NULL && strcmp(required, "1") == 0 ? 1 : 77);
}

static inline void default_options(uint32_t *options, uint32_t kind) {
  memset(options, 0, KPX_OPTION_WORDS * 4);
  options[KPX_OPTION_KIND] = kind;
  options[KPX_OPTION_RX_SLOTS] = 16;
  options[KPX_OPTION_TX_SLOTS] = 16;
  options[KPX_OPTION_MAX_PAYLOAD] = 1500;
  options[KPX_OPTION_CHECKSUM_OFFSET] = KPX_NONE;
}

/* Flags of all UDP links of a test. */
static uint32_t udp_flags;

/* UDP on 127.0.0.1, any port. */
static inline void udp_options(uint32_t *options) {
  default_options(options, KPX_UDP);
  options[KPX_OPTION_FLAGS] = udp_flags;
  options[KPX_OPTION_FAMILY] = 4;
  options[KPX_OPTION_ADDRESS + 2] = 0xFFFF0000u;
  options[KPX_OPTION_ADDRESS + 3] = 0x0100007Fu;
}

static inline struct test_link describe(int32_t handle) {
  double info[KPX_INFO_COUNT];
  EQUAL(kpx_link_info(handle, info, KPX_INFO_COUNT), KPX_INFO_COUNT);
  uint8_t *area = kpx_link_area(handle);
  CHECK(area != NULL);
  struct test_link link = {
      .handle = handle,
      .area = area,
      .area_bytes = (uint32_t)info[KPX_INFO_AREA_BYTES],
      .rx = (uint32_t *)(void *)area + (uint32_t)info[KPX_INFO_RX_BASE],
      .tx = (uint32_t *)(void *)area + (uint32_t)info[KPX_INFO_TX_BASE],
  };
  for (uint32_t i = 0; i < KPX_ADDRESS_WORDS; i++) link.address[i] = (uint32_t)info[KPX_INFO_ADDRESS + i];
  return link;
}

static inline struct test_link open_link(const uint32_t *options, uint32_t words) {
  int32_t handle = kpx_link_open(options, words);
  if (handle == -EPERM || handle == -EACCES) skip("needs CAP_NET_RAW");
  CHECK(handle > 0);
  return describe(handle);
}

static inline uint8_t *payload_of(const struct test_link *link, const uint32_t *descriptor) {
  return link->area + descriptor[KPX_OFFSET];
}

/* Prepares tx slot `slot`. */
static inline void put(struct test_link *link, uint32_t slot, const uint32_t *to, uint32_t ports, const void *bytes,
                       uint32_t length) {
  uint32_t *descriptor = link->tx + slot * KPX_DESCRIPTOR_WORDS;
  memcpy(payload_of(link, descriptor), bytes, length);
  descriptor[KPX_LENGTH] = length;
  descriptor[KPX_PORTS] = ports;
  memcpy(descriptor + KPX_ADDRESS, to, KPX_ADDRESS_WORDS * 4);
}

static inline double counter(int32_t handle, uint32_t which) {
  double counters[KPX_COUNTERS];
  EQUAL(kpx_link_counters(handle, counters, KPX_COUNTERS), KPX_COUNTERS);
  return counters[which];
}

/* All frames left the one link, none was lost, and they arrived at the other. */
static inline void expect_exchanged(int32_t from, int32_t at, uint32_t frames, uint32_t bytes) {
  EQUAL(counter(from, KPX_TX_FRAMES), frames);
  EQUAL(counter(from, KPX_TX_BYTES), bytes);
  EQUAL(counter(from, KPX_TX_DROPPED), 0);
  EQUAL(counter(at, KPX_RX_FRAMES), frames);
  EQUAL(counter(at, KPX_RX_BYTES), bytes);
}

#endif
