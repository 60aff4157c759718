/*
 * What a link appends to frames and checks before anything else looks at them: a CRC-32C or, with keys,
 * HMAC-SHA-256 cut to KPX_MAC_BYTES. ChecksumOptions of src/net/link.ts says what it covers.
 */
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
  if (link->key_count > 0) {
    uint8_t digest[KPX_SHA256_BYTES];
    kpx_hmac(&link->keys[0], payload, length, digest);
    memcpy(payload + length, digest, KPX_MAC_BYTES);
    return true;
  }
  uint32_t crc = kpx_crc32c(payload, length);
  memcpy(payload + length, &crc, sizeof crc);
  return true;
}

static bool holds(const struct kpx_link *link, const uint8_t *payload, uint32_t bytes) {
  if (link->key_count == 0) {
    uint32_t expected;
    memcpy(&expected, payload + bytes, sizeof expected);
    return kpx_crc32c(payload, bytes) == expected;
  }
  for (uint32_t i = 0; i < link->key_count; i++) {
    uint8_t digest[KPX_SHA256_BYTES];
    kpx_hmac(&link->keys[i], payload, bytes, digest);
    if (kpx_mac_equal(digest, payload + bytes)) return true;
  }
  return false;
}

bool kpx_checksum_admits(struct kpx_link *link, const uint8_t *payload, uint32_t length) {
  uint32_t least = link->checksum_offset + 2;
  uint32_t bytes = length < least ? 0 : covered(link, payload);
  if (bytes >= least && bytes + link->trailer <= length && holds(link, payload, bytes)) return true;
  /* Without keys: what has just the room of a MAC is another's who has one. */
  bool keyed = link->key_count > 0 || (bytes >= least && bytes + KPX_MAC_BYTES == length);
  link->counters[keyed ? KPX_RX_BAD_MAC : KPX_RX_BAD_CHECKSUM]++;
  return false;
}
