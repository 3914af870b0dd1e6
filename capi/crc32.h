/* SPDX-License-Identifier: MIT */
/* CRC-32 as in zlib, gzip, PNG and Ethernet. */
#ifndef RBC_CRC32_H
#define RBC_CRC32_H

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of what has the checksum `before` (of nothing: 0) and of the bytes that follow it.
 */
uint32_t rbc_crc32(uint32_t before, const unsigned char *data, size_t size);

#endif /* RBC_CRC32_H */
