/*
 * CRC-32C: with the SSE4.2 instruction when the processor has it, else eight bytes at a time through tables. The
 * tables are made when the library is loaded, before any thread can ask.
 */
#include "crc32c.h"

#include <string.h>

#include "kpaxos.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82F63B78u

static uint32_t tables[8][256];
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
#if defined(__x86_64__)
  __builtin_cpu_init();
  hardware = __builtin_cpu_supports("sse4.2") != 0;
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
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(const uint8_t *bytes, size_t length) {
  uint64_t crc = 0xFFFFFFFFu;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
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
  if (hardware != 0) return crc32c_sse42(bytes, length);
#endif
  return kpx_crc32c_table(bytes, length);
}
