/* The compression function of SHA-256 (FIPS 180-4) in two forms; `kpx_sha256_blocks` takes the faster one the processor has. */
#ifndef KPX_SHA256_H
#define KPX_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define KPX_SHA256_WORDS 8u
#define KPX_SHA256_BYTES 32u
#define KPX_SHA256_BLOCK 64u

/* The state before the first block. */
extern const uint32_t kpx_sha256_start[KPX_SHA256_WORDS];

void kpx_sha256_blocks(uint32_t *state, const uint8_t *bytes, size_t blocks);
void kpx_sha256_blocks_portable(uint32_t *state, const uint8_t *bytes, size_t blocks);

/* Ends a message: its last `length` bytes, after `before` bytes (whole blocks) that `state` has taken in already. */
void kpx_sha256_finish(uint32_t *state, uint64_t before, const uint8_t *bytes, size_t length, uint8_t *digest);

/* 1 when the processor's own instructions are used. */
int kpx_sha256_is_hardware(void);

#endif
