/* SHA-256: the examples of FIPS 180-4 and NIST, and both forms agree at every length and alignment. */
#include "../sha256.h"
#include "link_support.h"

typedef void blocks_of(uint32_t *state, const uint8_t *bytes, size_t blocks);

/* As kpx_sha256_finish, in the plainest way, with the form that is asked for. */
static void digest_with(blocks_of *blocks, const uint8_t *bytes, size_t length, char *hex) {
  size_t padded = (length + 8) / 64 * 64 + 64;
  uint8_t *message = calloc(1, padded);
  CHECK(message != NULL);
  memcpy(message, bytes, length);
  message[length] = 0x80;
  for (int i = 0; i < 8; i++) message[padded - 1 - (size_t)i] = (uint8_t)((uint64_t)length * 8 >> 8 * i);
  uint32_t state[KPX_SHA256_WORDS];
  memcpy(state, kpx_sha256_start, sizeof state);
  blocks(state, message, padded / 64);
  for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", state[i]);
  free(message);
}

static void digest_of(const uint8_t *bytes, size_t length, char *hex) {
  uint32_t state[KPX_SHA256_WORDS];
  uint8_t digest[KPX_SHA256_BYTES];
  memcpy(state, kpx_sha256_start, sizeof state);
  kpx_sha256_finish(state, 0, bytes, length, digest);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void check(const uint8_t *bytes, size_t length, const char *expected) {
  char hex[65];
  digest_of(bytes, length, hex);
  CHECK(strcmp(hex, expected) == 0);
  digest_with(kpx_sha256_blocks, bytes, length, hex);
  CHECK(strcmp(hex, expected) == 0);
  digest_with(kpx_sha256_blocks_portable, bytes, length, hex);
  CHECK(strcmp(hex, expected) == 0);
}

static void examples(void) {
  static const struct { const char *text, *digest; } list[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    check((const uint8_t *)list[i].text, strlen(list[i].text), list[i].digest);
  uint8_t *million = malloc(1000000);
  CHECK(million != NULL);
  memset(million, 'a', 1000000);
  check(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(million);
}

static void both_forms_agree(void) {
  uint8_t bytes[400];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 131 + (i >> 3) + (i * i >> 5));
  char one[65], two[65], three[65];
  for (size_t at = 0; at < 8; at++)
    for (size_t length = 0; length + at <= sizeof bytes; length++) {
      digest_with(kpx_sha256_blocks_portable, bytes + at, length, one);
      digest_with(kpx_sha256_blocks, bytes + at, length, two);
      digest_of(bytes + at, length, three);
      CHECK(strcmp(one, two) == 0 && strcmp(one, three) == 0);
    }
}

int main(void) {
  examples();
  both_forms_agree();
  printf("sha256: %s\n", kpx_sha256_is_hardware() ? "hardware" : "portable");
  return 0;
}
