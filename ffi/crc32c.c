/*
 * CRC-32C: with the processor's instruction (SSE4.2, and PCLMULQDQ to put parts together) when it has it, else eight bytes
 * at a time through tables. The tables are made when the library is loaded, before any thread can ask.
 *
 * The instruction takes a word each cycle but needs three for its result, so three parts of the bytes are worked on at
 * once. The checksum of what is followed by n bytes is that of the first part times x^8n, and the instruction itself
 * multiplies by x^32 and reduces; that of a product of two mirrored numbers is mirrored but for one more x. So the first
 * part is multiplied by x^(8n - 33).
 */
#include "crc32c.h"

#include <string.h>

#include "kpaxos.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

#define POLYNOMIAL 0x82F63B78u

/* Words of a part at most, and from how many on parts are worth it. */
#define PART_WORDS 64u
#define LEAST_PART_WORDS 5u

static uint32_t tables[8][256];
/* x^(64n - 33), mirrored, for n words. */
static uint32_t powers[2 * PART_WORDS + 1];
static int hardware;

__attribute__((constructor)) static void prepare(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? POLYNOMIAL : 0);
    tables[0][byte] = crc;
  }
  for (int table = 1; table < 8; table++)
    for (int byte = 0; byte < 256; byte++) {
      uint32_t crc = tables[table - 1][byte];
      tables[table][byte] = (crc >> 8) ^ tables[0][crc & 255u];
    }
  uint32_t power = 1; /* x^31 */
  for (uint32_t words = 1; words <= 2 * PART_WORDS; words++) {
    powers[words] = power;
    for (int bit = 0; bit < 64; bit++) power = (power >> 1) ^ ((power & 1u) != 0 ? POLYNOMIAL : 0);
  }
#if defined(__x86_64__)
  __builtin_cpu_init();
  hardware = __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("pclmul") != 0;
#endif
}

static uint32_t load32(const uint8_t *bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

uint32_t kpx_crc32c_table(const uint8_t *bytes, size_t length) {
  uint32_t crc = 0xFFFFFFFFu;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint32_t low = crc ^ load32(bytes);
    uint32_t high = load32(bytes + 4);
    crc = tables[7][low & 255u] ^ tables[6][(low >> 8) & 255u] ^ tables[5][(low >> 16) & 255u] ^
          tables[4][low >> 24] ^ tables[3][high & 255u] ^ tables[2][(high >> 8) & 255u] ^
          tables[1][(high >> 16) & 255u] ^ tables[0][high >> 24];
  }
  for (; length > 0; bytes++, length--) crc = (crc >> 8) ^ tables[0][(crc ^ *bytes) & 255u];
  return ~crc;
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2,pclmul")))

static uint64_t load64(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

HARDWARE static uint64_t times(uint64_t crc, uint32_t power) {
  __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int32_t)power), 0);
  return (uint64_t)_mm_cvtsi128_si64(product);
}

/* Of 3 * `words` words. */
HARDWARE static uint64_t three_parts(uint64_t crc, const uint8_t *bytes, uint32_t words) {
  const uint8_t *second = bytes + (size_t)words * 8;
  const uint8_t *third = second + (size_t)words * 8;
  uint64_t crcs[2] = {0, 0};
  for (uint32_t i = 0; i < words; i++) {
    crc = _mm_crc32_u64(crc, load64(bytes + (size_t)i * 8));
    crcs[0] = _mm_crc32_u64(crcs[0], load64(second + (size_t)i * 8));
    crcs[1] = _mm_crc32_u64(crcs[1], load64(third + (size_t)i * 8));
  }
  return _mm_crc32_u64(0, times(crc, powers[2 * words]) ^ times(crcs[0], powers[words])) ^ crcs[1];
}

HARDWARE static uint32_t crc32c_hardware(const uint8_t *bytes, size_t length) {
  uint64_t crc = 0xFFFFFFFFu;
  while (length >= 24 * LEAST_PART_WORDS) {
    uint32_t words = length / 24 < PART_WORDS ? (uint32_t)(length / 24) : PART_WORDS;
    crc = three_parts(crc, bytes, words);
    bytes += (size_t)words * 24;
    length -= (size_t)words * 24;
  }
  for (; length >= 8; bytes += 8, length -= 8) crc = _mm_crc32_u64(crc, load64(bytes));
  uint32_t rest = (uint32_t)crc;
  for (; length > 0; bytes++, length--) rest = _mm_crc32_u8(rest, *bytes);
  return ~rest;
}
#endif

int kpx_crc32c_is_hardware(void) {
  return hardware;
}

uint32_t kpx_crc32c(const uint8_t *bytes, uint32_t length) {
  if (bytes == NULL) return 0;
#if defined(__x86_64__)
  if (hardware != 0) return crc32c_hardware(bytes, length);
#endif
  return kpx_crc32c_table(bytes, length);
}
