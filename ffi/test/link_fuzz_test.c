/*
 * Whatever the caller writes into the area, a step touches nothing but what is its own: rx descriptors, rx slots,
 * and of a tx slot the header before and the checksum after the payload. Seeded; the seed is printed on failure.
 */
#include "link_support.h"

#define ROUNDS 3000

static uint64_t state;

static uint32_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

static uint32_t odd_number(void) {
  switch (next() % 8) {
    case 0: return 0;
    case 1: return 0xFFFFFFFFu;
    case 2: return 0x80000000u | next() % 16;
    case 3: return 1490 + next() % 20;
    case 4: return next();
    default: return next() % 64;
  }
}

static void scribble(struct test_link *link) {
  for (uint32_t slot = 0; slot < 16; slot++) {
    uint32_t *descriptor = link->tx + slot * KPX_DESCRIPTOR_WORDS;
    for (uint32_t word = 0; word < KPX_DESCRIPTOR_WORDS; word++) descriptor[word] = odd_number();
    if (next() % 4 == 0) continue;
    memcpy(descriptor + KPX_ADDRESS, link->address, sizeof link->address);
    if (next() % 2 == 0) descriptor[KPX_PORTS] = KPX_PORT_WIRE;
  }
  for (uint32_t word = 0; word < 16 * KPX_DESCRIPTOR_WORDS; word++) link->rx[word] = odd_number();
}

static void run(uint64_t seed, uint32_t checksum, uint32_t keys) {
  state = seed;
  uint32_t options[KPX_OPTION_WORDS];
  udp_options(options);
  options[KPX_OPTION_CHECKSUM_OFFSET] = checksum;
  options[KPX_OPTION_KEYS] = keys;
  for (uint32_t i = 0; i < 8 * keys; i++) options[KPX_OPTION_KEY + i] = next();
  const uint32_t trailer = keys > 0 ? 16 : 4;
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  uint32_t tx_at = link.tx[KPX_OFFSET];
  uint32_t stride = link.tx[KPX_DESCRIPTOR_WORDS + KPX_OFFSET] - tx_at;
  uint32_t rx_at = link.rx[KPX_OFFSET];
  uint8_t *before = malloc(link.area_bytes);
  CHECK(before != NULL);
  for (uint32_t i = tx_at; i < link.area_bytes; i++) link.area[i] = (uint8_t)next();
  for (int round = 0; round < ROUNDS; round++) {
    scribble(&link);
    /* Some frames whose own length is right, so that checksums are written too. */
    for (uint32_t slot = 0; slot < 16; slot += 3) {
      uint32_t length = next() % 1501;
      link.tx[slot * KPX_DESCRIPTOR_WORDS + KPX_LENGTH] = length;
      link.area[tx_at + slot * stride + 10] = (uint8_t)length;
      link.area[tx_at + slot * stride + 11] = (uint8_t)(length >> 8);
    }
    memcpy(before, link.area, link.area_bytes);
    uint32_t ntx = next() % 20;
    int received = kpx_link_step(link.handle, ntx, odd_number(), 0, 0);
    CHECK(ntx > 16 ? received == -EINVAL : received >= 0 && received <= 16);
    uint32_t tx_words = (uint32_t)((uint8_t *)link.tx - link.area);
    CHECK(memcmp(before + tx_words, link.area + tx_words, rx_at - tx_words) == 0);
    for (uint32_t slot = 0; slot < 16; slot++) {
      const uint8_t *now = link.area + tx_at + slot * stride, *then = before + tx_at + slot * stride;
      uint32_t length = link.tx[slot * KPX_DESCRIPTOR_WORDS + KPX_LENGTH];
      uint32_t same = checksum != KPX_NONE && length <= 1500 - trailer ? length : stride;
      CHECK(memcmp(now, then, same) == 0);
      uint32_t rest = same + trailer;
      if (rest < stride) CHECK(memcmp(now + rest, then + rest, stride - rest) == 0);
    }
    for (int i = 0; i < received; i++) {
      const uint32_t *descriptor = link.rx + (uint32_t)i * KPX_DESCRIPTOR_WORDS;
      CHECK(descriptor[KPX_LENGTH] <= 1500 && descriptor[KPX_OFFSET] >= rx_at);
      CHECK(descriptor[KPX_OFFSET] % 4 == 0 && descriptor[KPX_OFFSET] + descriptor[KPX_LENGTH] <= tx_at);
      if (udp_flags == 0) CHECK((descriptor[KPX_OFFSET] - rx_at) % stride == 0 && descriptor[KPX_OFFSET] < rx_at + 16 * stride);
    }
  }
  CHECK(counter(link.handle, KPX_RX_FRAMES) > 100);
  free(before);
  kpx_link_close(link.handle);
}

static void random_options_open_or_are_refused(uint64_t seed) {
  state = seed;
  uint32_t options[KPX_OPTION_WORDS + 8];
  for (int round = 0; round < 2000; round++) {
    udp_options(options);
    for (int i = 0; i < 3; i++) options[next() % (KPX_OPTION_WORDS + 8)] = odd_number();
    int32_t handle = kpx_link_open(options, KPX_OPTION_WORDS + next() % 9);
    if (handle <= 0) continue;
    kpx_link_step(handle, 1, 1, 0, 0);
    EQUAL(kpx_link_close(handle), 0);
  }
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 20261122;
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  for (udp_flags = 0;; udp_flags = KPX_FLAG_OFFLOAD) {
    run(seed, KPX_NONE, 0);
    run(seed + 1, 10, 0);
    run(seed + 2, 10, 1);
    run(seed + 3, 10, 2);
    if (udp_flags != 0) break;
  }
  random_options_open_or_are_refused(seed + 4);
  return 0;
}
