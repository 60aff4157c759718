/*
 * HMAC-SHA-256 (RFC 2104). A key is used in its prepared form, the states after its inner and its outer pad: a frame
 * then costs no set-up of the key.
 */
#ifndef KPX_HMAC_H
#define KPX_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kpaxos.h"
#include "sha256.h"

/* What a frame carries of it: 128 bits. */
#define KPX_MAC_BYTES 16u

struct kpx_hmac_key {
  uint32_t inner[KPX_SHA256_WORDS];
  uint32_t outer[KPX_SHA256_WORDS];
};
_Static_assert(sizeof(struct kpx_hmac_key) == KPX_HMAC_WORDS * 4, "as kpaxos.h tells it");

void kpx_hmac_set(struct kpx_hmac_key *key, const uint8_t *bytes, size_t length);
void kpx_hmac(const struct kpx_hmac_key *key, const uint8_t *bytes, size_t length, uint8_t *digest);
/* Compares without telling by its time where the two differ. */
bool kpx_mac_equal(const uint8_t *one, const uint8_t *other);

#endif
