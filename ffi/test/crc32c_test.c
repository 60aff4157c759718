/* CRC-32C: known vectors, and both implementations agree at every length and alignment. */
#include "../crc32c.h"
#include "link_support.h"

int main(void) {
  EQUAL(kpx_crc32c((const uint8_t *)"123456789", 9), 0xE3069283u);
  EQUAL(kpx_crc32c_table((const uint8_t *)"123456789", 9), 0xE3069283u);
  EQUAL(kpx_crc32c((const uint8_t *)"", 0), 0);
  uint8_t bytes[4096];
  memset(bytes, 0, 32);
  EQUAL(kpx_crc32c(bytes, 32), 0x8A9136AAu); /* RFC 3720, B.4 */
  memset(bytes, 0xFF, 32);
  EQUAL(kpx_crc32c(bytes, 32), 0x62A8AB43u);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 131 + (i >> 3));
  for (uint32_t at = 0; at < 8; at++)
    for (uint32_t length = 0; length + at <= sizeof bytes; length += length < 2048 ? 1 : 37)
      EQUAL(kpx_crc32c(bytes + at, length), kpx_crc32c_table(bytes + at, length));
  EQUAL(kpx_crc32c(NULL, 4), 0);
  printf("crc32c: %s\n", kpx_crc32c_is_hardware() ? "hardware" : "table");
  return 0;
}
