/* HMAC-SHA-256 over prepared keys (hmac.h), and the same as calls of the library. */
#include "hmac.h"

#include <errno.h>
#include <string.h>

static void pad(uint32_t *state, const uint8_t *block, uint8_t with) {
  uint8_t padded[KPX_SHA256_BLOCK];
  for (size_t i = 0; i < sizeof padded; i++) padded[i] = block[i] ^ with;
  memcpy(state, kpx_sha256_start, sizeof kpx_sha256_start);
  kpx_sha256_blocks(state, padded, 1);
  explicit_bzero(padded, sizeof padded);
}

void kpx_hmac_set(struct kpx_hmac_key *key, const uint8_t *bytes, size_t length) {
  uint8_t block[KPX_SHA256_BLOCK] = {0};
  if (length <= sizeof block) {
    memcpy(block, bytes, length);
  } else {
    uint32_t state[KPX_SHA256_WORDS];
    memcpy(state, kpx_sha256_start, sizeof state);
    kpx_sha256_finish(state, 0, bytes, length, block);
    explicit_bzero(state, sizeof state);
  }
  pad(key->inner, block, 0x36);
  pad(key->outer, block, 0x5C);
  explicit_bzero(block, sizeof block);
}

void kpx_hmac(const struct kpx_hmac_key *key, const uint8_t *bytes, size_t length, uint8_t *digest) {
  uint32_t state[KPX_SHA256_WORDS];
  uint8_t inner[KPX_SHA256_BYTES];
  memcpy(state, key->inner, sizeof state);
  kpx_sha256_finish(state, KPX_SHA256_BLOCK, bytes, length, inner);
  memcpy(state, key->outer, sizeof state);
  kpx_sha256_finish(state, KPX_SHA256_BLOCK, inner, sizeof inner, digest);
}

bool kpx_mac_equal(const uint8_t *one, const uint8_t *other) {
  uint32_t differences = 0;
  for (size_t i = 0; i < KPX_MAC_BYTES; i++) differences |= (uint32_t)(one[i] ^ other[i]);
  return differences == 0;
}

int32_t kpx_hmac_prepare(const uint8_t *key, uint32_t length, uint32_t *words) {
  if (words == NULL || (key == NULL && length > 0)) return -EINVAL;
  struct kpx_hmac_key prepared;
  kpx_hmac_set(&prepared, key == NULL ? (const uint8_t *)"" : key, length);
  memcpy(words, &prepared, sizeof prepared);
  explicit_bzero(&prepared, sizeof prepared);
  return 0;
}

int32_t kpx_hmac_sha256(const uint32_t *words, const uint8_t *bytes, uint32_t length, uint8_t *digest) {
  if (words == NULL || digest == NULL || (bytes == NULL && length > 0)) return -EINVAL;
  struct kpx_hmac_key key;
  memcpy(&key, words, sizeof key);
  kpx_hmac(&key, bytes == NULL ? (const uint8_t *)"" : bytes, length, digest);
  return 0;
}
