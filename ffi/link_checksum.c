/* The CRC-32C that a link appends and verifies; ChecksumOptions of src/net/link.ts says what it covers. */
#include <string.h>

#include "link.h"

static uint32_t covered(const struct kpx_link *link, const uint8_t *payload) {
  const uint8_t *field = payload + link->checksum_offset;
  return field[0] | (uint32_t)field[1] << 8;
}

bool kpx_checksum_applies(const struct kpx_link *link, uint32_t ethertype) {
  if (link->checksum_offset == KPX_NONE) return false;
  return link->main_ethertype == 0 || link->main_ethertype == ethertype;
}

bool kpx_checksum_seal(const struct kpx_link *link, uint8_t *payload, uint32_t length) {
  if (length < link->checksum_offset + 2 || covered(link, payload) != length) return false;
  uint32_t crc = kpx_crc32c(payload, length);
  memcpy(payload + length, &crc, sizeof crc);
  return true;
}

bool kpx_checksum_holds(const struct kpx_link *link, const uint8_t *payload, uint32_t length) {
  if (length < link->checksum_offset + 2) return false;
  uint32_t bytes = covered(link, payload);
  if (bytes < link->checksum_offset + 2 || bytes + 4 > length) return false;
  uint32_t expected;
  memcpy(&expected, payload + bytes, sizeof expected);
  return kpx_crc32c(payload, bytes) == expected;
}
