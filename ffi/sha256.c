/*
 * SHA-256: with the SHA instructions when the processor has them, else word by word. Neither form branches on, or
 * indexes with, what it hashes.
 */
#include "sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

const uint32_t kpx_sha256_start[KPX_SHA256_WORDS] = {
    0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u,
};

/* Aligned: the processor's form loads four at a time. */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u,
    0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u,
    0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
    0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u,
    0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u,
    0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
    0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
    0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u,
};

static uint32_t rotate(uint32_t word, unsigned bits) {
  return word >> bits | word << (32 - bits);
}

static uint32_t load_big(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_big(uint8_t *bytes, uint32_t word) {
  bytes[0] = (uint8_t)(word >> 24);
  bytes[1] = (uint8_t)(word >> 16);
  bytes[2] = (uint8_t)(word >> 8);
  bytes[3] = (uint8_t)word;
}

static void one_block(uint32_t *state, const uint8_t *bytes) {
  uint32_t w[64];
  for (int t = 0; t < 16; t++) w[t] = load_big(bytes + 4 * t);
  for (int t = 16; t < 64; t++) {
    uint32_t low = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t high = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = high + w[t - 7] + low + w[t - 16];
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 64; t++) {
    uint32_t one = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[t] + w[t];
    uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + one;
    d = c;
    c = b;
    b = a;
    a = one + two;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

void kpx_sha256_blocks_portable(uint32_t *state, const uint8_t *bytes, size_t blocks) {
  for (; blocks > 0; blocks--, bytes += KPX_SHA256_BLOCK) one_block(state, bytes);
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sha,sse4.1,ssse3")))

/* Rounds 4q ... 4q + 3: two instructions of two rounds each, which swap the halves of the state twice. */
HARDWARE static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i words, int q) {
  __m128i sum = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(const void *)(constants + 4 * q)));
  *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
  *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

HARDWARE static void blocks_sha(uint32_t *state, const uint8_t *bytes, size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
  /* The instructions want the state as (a, b, e, f) and (c, d, g, h), highest word first. */
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xB1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(low, high, 8);
  __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
  for (; blocks > 0; blocks--, bytes += KPX_SHA256_BLOCK) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int q = 0; q < 4; q++) {
      w[q] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * q)), big_endian);
      four_rounds(&abef, &cdgh, w[q], q);
    }
    for (int q = 4; q < 16; q++) {
      __m128i *oldest = &w[q & 3];
      const __m128i *third = &w[(q + 2) & 3], *newest = &w[(q + 3) & 3];
      __m128i next = _mm_sha256msg1_epu32(*oldest, w[(q + 1) & 3]);
      next = _mm_add_epi32(next, _mm_alignr_epi8(*newest, *third, 4));
      *oldest = _mm_sha256msg2_epu32(next, *newest);
      four_rounds(&abef, &cdgh, *oldest, q);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  low = _mm_shuffle_epi32(abef, 0x1B);
  high = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(low, high, 0xF0));
  _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int hardware;

__attribute__((constructor)) static void prepare(void) {
  unsigned a, b, c, d;
  __builtin_cpu_init();
  hardware = __builtin_cpu_supports("sse4.1") != 0 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
}
#endif

int kpx_sha256_is_hardware(void) {
#if defined(__x86_64__)
  return hardware;
#else
  return 0;
#endif
}

void kpx_sha256_blocks(uint32_t *state, const uint8_t *bytes, size_t blocks) {
#if defined(__x86_64__)
  if (hardware != 0) {
    blocks_sha(state, bytes, blocks);
    return;
  }
#endif
  kpx_sha256_blocks_portable(state, bytes, blocks);
}

void kpx_sha256_finish(uint32_t *state, uint64_t before, const uint8_t *bytes, size_t length, uint8_t *digest) {
  size_t whole = length / KPX_SHA256_BLOCK;
  kpx_sha256_blocks(state, bytes, whole);
  size_t rest = length % KPX_SHA256_BLOCK;
  uint8_t last[2 * KPX_SHA256_BLOCK] = {0};
  memcpy(last, bytes + whole * KPX_SHA256_BLOCK, rest);
  last[rest] = 0x80;
  size_t blocks = rest < KPX_SHA256_BLOCK - 8 ? 1 : 2;
  uint64_t bits = (before + length) * 8;
  store_big(last + blocks * KPX_SHA256_BLOCK - 8, (uint32_t)(bits >> 32));
  store_big(last + blocks * KPX_SHA256_BLOCK - 4, (uint32_t)bits);
  kpx_sha256_blocks(state, last, blocks);
  for (uint32_t i = 0; i < KPX_SHA256_WORDS; i++) store_big(digest + 4 * i, state[i]);
}
