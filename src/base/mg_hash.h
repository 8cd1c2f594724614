/*
 * mg_hash.h: keyed hash, digest and checksums.
 *
 * SipHash-2-4 (Aumasson, Bernstein 2012) decides splits and hash tables;
 * SHA-256 (OpenSSL) names tokens and migrations; mg_checksum_t is SipHash
 * with a fixed key over whole files, fed in pieces; mg_sum64() is a plain
 * sum for short records of which a busy worker makes tens of thousands a
 * second.
 *
 * Any thread; never blocks.
 */

#ifndef MG_HASH_H
#define MG_HASH_H

#include "base/mg_str.h"


uint64_t mg_siphash(const uint8_t key[16], const void *data, size_t len);

/* The same function with 128 bits of output; other values than the above. */
void mg_siphash128(const uint8_t key[16], const void *data, size_t len,
    uint64_t out[2]);

/*
 * Multiplies and folds 32 bytes at a time.  It has no key: it finds damage
 * and spreads names over a table, and is of no use against an adversary.
 * The same value on every machine.
 */
uint64_t mg_sum64(const void *data, size_t len);

/* 32 bytes into out. */
void mg_sha256(mg_str_t data, uint8_t out[32]);

/* Lower-case hex of n bytes, 2 n characters and a NUL into out. */
void mg_hex(const uint8_t *data, size_t n, char *out);

/* The reverse; MG_OK, or MG_ERROR if hex is not exactly 2 n hex digits. */
int mg_unhex(mg_str_t hex, uint8_t *out, size_t n);


typedef struct {
    uint64_t  v[4];
    uint64_t  total;
    uint8_t   tail[8];
    uint32_t  tail_len;
} mg_checksum_t;

void mg_checksum_init(mg_checksum_t *c);
void mg_checksum_add(mg_checksum_t *c, const void *data, size_t len);
uint64_t mg_checksum_end(mg_checksum_t *c);


#endif /* MG_HASH_H */
