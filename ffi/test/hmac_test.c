/* HMAC-SHA-256: the test cases of RFC 4231, the library's calls, and the comparison of MACs. */
#include "../hmac.h"
#include "link_support.h"

static void fill(uint8_t *bytes, int with, size_t length) {
  memset(bytes, with, length);
}

static void check(const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, const char *expected) {
  uint32_t words[KPX_HMAC_WORDS];
  uint8_t digest[KPX_SHA256_BYTES];
  char hex[65];
  EQUAL(kpx_hmac_prepare(key, (uint32_t)key_length, words), 0);
  EQUAL(kpx_hmac_sha256(words, data, (uint32_t)length, digest), 0);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  /* Case 5 of the RFC gives the first 128 bits only. */
  CHECK(strncmp(hex, expected, strlen(expected)) == 0);
}

static void check_text(const uint8_t *key, size_t key_length, const char *text, const char *expected) {
  check(key, key_length, (const uint8_t *)text, strlen(text), expected);
}

static void rfc_4231(void) {
  uint8_t key[131], data[50];
  fill(key, 0x0B, 20);
  check_text(key, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  check_text((const uint8_t *)"Jefe", 4, "what do ya want for nothing?",
             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  fill(key, 0xAA, 20);
  fill(data, 0xDD, 50);
  check(key, 20, data, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  for (uint8_t i = 0; i < 25; i++) key[i] = (uint8_t)(i + 1);
  fill(data, 0xCD, 50);
  check(key, 25, data, 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  fill(key, 0x0C, 20);
  check_text(key, 20, "Test With Truncation", "a3b6167473100ee06e0c796c2955552b");
  fill(key, 0xAA, 131);
  check_text(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  check_text(key, 131,
             "This is a test using a larger than block-size key and a larger than block-size data. "
             "The key needs to be hashed before being used by the HMAC algorithm.",
             "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void bad_calls_are_refused(void) {
  uint32_t words[KPX_HMAC_WORDS];
  uint8_t digest[KPX_SHA256_BYTES];
  EQUAL(kpx_hmac_prepare(NULL, 1, words), -EINVAL);
  EQUAL(kpx_hmac_prepare(digest, 1, NULL), -EINVAL);
  EQUAL(kpx_hmac_prepare(NULL, 0, words), 0);
  EQUAL(kpx_hmac_sha256(NULL, digest, 1, digest), -EINVAL);
  EQUAL(kpx_hmac_sha256(words, NULL, 1, digest), -EINVAL);
  EQUAL(kpx_hmac_sha256(words, digest, 1, NULL), -EINVAL);
  EQUAL(kpx_hmac_sha256(words, NULL, 0, digest), 0);
}

static void comparison(void) {
  uint8_t one[KPX_MAC_BYTES], other[KPX_MAC_BYTES];
  for (size_t i = 0; i < sizeof one; i++) one[i] = other[i] = (uint8_t)(17 * i);
  CHECK(kpx_mac_equal(one, other));
  for (size_t i = 0; i < 8 * sizeof one; i++) {
    other[i / 8] ^= (uint8_t)(1u << i % 8);
    CHECK(!kpx_mac_equal(one, other));
    other[i / 8] ^= (uint8_t)(1u << i % 8);
  }
}

int main(void) {
  rfc_4231();
  bad_calls_are_refused();
  comparison();
  return 0;
}
