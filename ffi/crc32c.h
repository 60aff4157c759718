/* CRC-32C in two forms; `kpx_crc32c` (kpaxos.h) takes the faster one the processor has. */
#ifndef KPX_CRC32C_H
#define KPX_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t kpx_crc32c_table(const uint8_t *bytes, size_t length);
/* 1 when the processor's own instruction is used. */
int kpx_crc32c_is_hardware(void);

#endif
