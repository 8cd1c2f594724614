/*
 * mg_hash.c: SipHash-2-4, SHA-256, hex, and two checksums.
 *
 * SipHash is written as in the paper: four 64-bit words, two rounds a block
 * of eight bytes, four at the end, the length in the last block.  The
 * checksum of files is the same function fed in pieces; a tail of less than
 * eight bytes waits in the struct.  mg_sum64() multiplies to 128 bits and
 * folds the halves, in two lanes that do not wait for each other.
 *
 * Any thread; touches nothing else.
 */

#include "base/mg_hash.h"
#include "base/mg_crypt.h"

#include <stdlib.h>

#include <openssl/evp.h>


#define mg_rotl(x, b)   (((x) << (b)) | ((x) >> (64 - (b))))

/* Odd, with as many ones as zeros: digits of the golden ratio and of pi. */
#define MG_SUM_A        0x9e3779b97f4a7c15ULL
#define MG_SUM_B        0x243f6a8885a308d3ULL
#define MG_SUM_C        0x13198a2e03707345ULL

/* Bytes that become digits at once, two of them each. */
#define MG_HEX_STEP     8


typedef uint64_t  mg_hex_in_t __attribute__((vector_size(2 * MG_HEX_STEP)));
typedef int8_t  mg_hex_t __attribute__((vector_size(2 * MG_HEX_STEP)));


static inline void mg_sip_init(uint64_t v[4], const uint8_t key[16]);
static inline void mg_sip_block(uint64_t v[4], uint64_t m);
static inline const uint8_t *mg_sip_blocks(uint64_t v[4], const uint8_t *p,
    size_t len);
static inline uint64_t mg_sip_last(const uint8_t *tail, size_t left,
    uint64_t total);
static inline uint64_t mg_sip_end(uint64_t v[4]);
static inline uint64_t mg_sip_load(const uint8_t *p);
static inline uint64_t mg_sum_fold(uint64_t a, uint64_t b);
static inline void mg_hex_put(const uint8_t *data, char *out);


uint64_t
mg_siphash(const uint8_t key[16], const void *data, size_t len)
{
    uint64_t        v[4];
    const uint8_t  *p;

    mg_sip_init(v, key);

    p = mg_sip_blocks(v, data, len);
    mg_sip_block(v, mg_sip_last(p, len & 7, len));

    v[2] ^= 0xff;

    return mg_sip_end(v);
}


void
mg_siphash128(const uint8_t key[16], const void *data, size_t len,
    uint64_t out[2])
{
    uint64_t        v[4];
    const uint8_t  *p;

    mg_sip_init(v, key);
    v[1] ^= 0xee;

    p = mg_sip_blocks(v, data, len);
    mg_sip_block(v, mg_sip_last(p, len & 7, len));

    v[2] ^= 0xee;
    out[0] = mg_sip_end(v);

    v[1] ^= 0xdd;
    out[1] = mg_sip_end(v);
}


uint64_t
mg_sum64(const void *data, size_t len)
{
    size_t          left;
    uint8_t         tail[32];
    uint64_t        a, b;
    const uint8_t  *p;

    p = data;
    a = MG_SUM_A ^ len;
    b = MG_SUM_B;

    for (left = len; left >= 32; p += 32, left -= 32) {
        a = mg_sum_fold(mg_sip_load(p) ^ MG_SUM_B, mg_sip_load(p + 8) ^ a);
        b = mg_sum_fold(mg_sip_load(p + 16) ^ MG_SUM_C,
                        mg_sip_load(p + 24) ^ b);
    }

    if (left) {
        memset(tail, 0, sizeof(tail));
        memcpy(tail, p, left);

        a = mg_sum_fold(mg_sip_load(tail) ^ MG_SUM_B,
                        mg_sip_load(tail + 8) ^ a);
        b = mg_sum_fold(mg_sip_load(tail + 16) ^ MG_SUM_C,
                        mg_sip_load(tail + 24) ^ b);
    }

    return mg_sum_fold(a ^ MG_SUM_C, mg_rotl(b, 32) ^ MG_SUM_A);
}


void
mg_sha256(mg_str_t data, uint8_t out[32])
{
    /* a digest that could not be had must not be equal to another one */

    if (EVP_Digest(data.len ? data.data : "", data.len, out, NULL,
                   EVP_sha256(), NULL)
        != 1
        && mg_random(out, 32) != MG_OK)
    {
        abort();
    }
}


mg_sha256_t *
mg_sha256_begin(void)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }

    return (mg_sha256_t *) ctx;
}


void
mg_sha256_add(mg_sha256_t *h, mg_str_t data)
{
    if (data.len && EVP_DigestUpdate((EVP_MD_CTX *) h, data.data, data.len)
                    != 1)
    {
        abort();
    }
}


void
mg_sha256_end(mg_sha256_t *h, uint8_t out[32])
{
    if (h == NULL) {
        return;
    }

    if (out && EVP_DigestFinal_ex((EVP_MD_CTX *) h, out, NULL) != 1) {
        abort();
    }

    EVP_MD_CTX_free((EVP_MD_CTX *) h);
}


/* The digits of eight bytes: halves side by side, then their characters. */

static inline void
mg_hex_put(const uint8_t *data, char *out)
{
    uint64_t     word;
    mg_hex_t     x, high, low;
    mg_hex_in_t  in;

    memcpy(&word, data, MG_HEX_STEP);
    in = (mg_hex_in_t) { word };

    high = (mg_hex_t) (in >> 4) & 15;
    low = (mg_hex_t) in & 15;
    x = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19,
                                4, 20, 5, 21, 6, 22, 7, 23);
    x += '0' + ((x > 9) & ('a' - '0' - 10));

    memcpy(out, &x, sizeof(x));
}


void
mg_hex(const uint8_t *data, size_t n, char *out)
{
    size_t             i;
    static const char  digits[] = "0123456789abcdef";

    for ( ; n >= MG_HEX_STEP; n -= MG_HEX_STEP) {
        mg_hex_put(data, out);
        data += MG_HEX_STEP;
        out += 2 * MG_HEX_STEP;
    }

    for (i = 0; i < n; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }

    *out = '\0';
}


int
mg_unhex(mg_str_t hex, uint8_t *out, size_t n)
{
    size_t          i;
    uint8_t         high, low, good;
    const uint8_t  *p;

    /* with 16 on top, so that 0 is no digit */

    static const uint8_t  digits[256] = {
        ['0'] = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
        ['A'] = 26, 27, 28, 29, 30, 31,
        ['a'] = 26, 27, 28, 29, 30, 31
    };

    if (hex.len != n * 2) {
        return MG_ERROR;
    }

    p = (const uint8_t *) hex.data;
    good = 16;

    for (i = 0; i < n; i++) {
        high = digits[p[i * 2]];
        low = digits[p[i * 2 + 1]];

        good &= high & low;
        out[i] = (uint8_t) (high << 4 | (low & 15));
    }

    return good ? MG_OK : MG_ERROR;
}


static inline void
mg_sip_init(uint64_t v[4], const uint8_t key[16])
{
    uint64_t  k0, k1;

    k0 = mg_sip_load(key);
    k1 = mg_sip_load(key + 8);

    v[0] = k0 ^ 0x736f6d6570736575ULL;
    v[1] = k1 ^ 0x646f72616e646f6dULL;
    v[2] = k0 ^ 0x6c7967656e657261ULL;
    v[3] = k1 ^ 0x7465646279746573ULL;
}


static inline void
mg_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = mg_rotl(v[1], 13) ^ v[0];
    v[0] = mg_rotl(v[0], 32);

    v[2] += v[3];
    v[3] = mg_rotl(v[3], 16) ^ v[2];

    v[0] += v[3];
    v[3] = mg_rotl(v[3], 21) ^ v[0];

    v[2] += v[1];
    v[1] = mg_rotl(v[1], 17) ^ v[2];
    v[2] = mg_rotl(v[2], 32);
}


static inline void
mg_sip_block(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    mg_sip_round(v);
    mg_sip_round(v);
    v[0] ^= m;
}


/* All whole blocks; returns where the tail begins. */

static inline const uint8_t *
mg_sip_blocks(uint64_t v[4], const uint8_t *p, size_t len)
{
    for ( ; len >= 8; p += 8, len -= 8) {
        mg_sip_block(v, mg_sip_load(p));
    }

    return p;
}


/* The last block: the tail and, in its highest byte, the length. */

static inline uint64_t
mg_sip_last(const uint8_t *tail, size_t left, uint64_t total)
{
    size_t    i;
    uint64_t  last;

    last = total << 56;

    for (i = 0; i < left; i++) {
        last |= (uint64_t) tail[i] << (8 * i);
    }

    return last;
}


static inline uint64_t
mg_sip_end(uint64_t v[4])
{
    mg_sip_round(v);
    mg_sip_round(v);
    mg_sip_round(v);
    mg_sip_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static inline uint64_t
mg_sip_load(const uint8_t *p)
{
    uint64_t  m;

    /* little-endian by definition: the value must not depend on the machine */

    memcpy(&m, p, 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    m = __builtin_bswap64(m);
#endif

    return m;
}


static inline uint64_t
mg_sum_fold(uint64_t a, uint64_t b)
{
    unsigned __int128  wide;

    wide = (unsigned __int128) a * b;

    return (uint64_t) wide ^ (uint64_t) (wide >> 64);
}
