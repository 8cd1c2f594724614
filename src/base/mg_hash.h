/*
 * mg_hash.h: keyed hash, digest and checksum.
 *
 * SipHash-2-4 (Aumasson, Bernstein 2012) decides splits and hash tables;
 * SHA-256 (OpenSSL) names tokens and migrations; mg_sum64() is a plain sum
 * that tells a damaged snapshot or spool record from a whole one at the
 * speed of memory.
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

/*
 * The same of bytes that come in pieces.  NULL when out of memory; end()
 * frees it in every case, out may be NULL.
 */
typedef struct mg_sha256_s  mg_sha256_t;

mg_sha256_t *mg_sha256_begin(void);
void mg_sha256_add(mg_sha256_t *h, mg_str_t data);
void mg_sha256_end(mg_sha256_t *h, uint8_t out[32]);

/* Lower-case hex of n bytes, 2 n characters and a NUL into out. */
void mg_hex(const uint8_t *data, size_t n, char *out);

/* The reverse; MG_OK, or MG_ERROR if hex is not exactly 2 n hex digits. */
int mg_unhex(mg_str_t hex, uint8_t *out, size_t n);


#endif /* MG_HASH_H */
