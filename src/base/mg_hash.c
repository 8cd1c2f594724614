/*
 * mg_hash.c: SipHash-2-4, SHA-256, hex, and the checksum of files.
 *
 * SipHash is written as in the paper: four 64-bit words, two rounds a block
 * of eight bytes, four at the end, the length in the last block.  The
 * checksum is the same function fed in pieces; a tail of less than eight
 * bytes waits in the struct.
 *
 * Any thread; touches nothing else.
 */

#include "base/mg_hash.h"
#include "base/mg_crypt.h"

#include <stdlib.h>

#include <openssl/evp.h>


#define mg_rotl(x, b)   (((x) << (b)) | ((x) >> (64 - (b))))


static void mg_sip_init(uint64_t v[4], const uint8_t key[16]);
static void mg_sip_block(uint64_t v[4], uint64_t m);
static uint64_t mg_sip_end(uint64_t v[4], const uint8_t *tail, size_t left,
    uint64_t total);
static uint64_t mg_sip_load(const uint8_t *p);
static int mg_hex_digit(char c);


/* no secret: it tells a damaged file from a whole one, not a forged one */

static const uint8_t  mg_checksum_key[16] = {
    'n', 'g', 'i', 'n', 'x', ' ', 'm', 'o',
    'd', 'e', 'l', ' ', 'f', 'i', 'l', 'e'
};


uint64_t
mg_siphash(const uint8_t key[16], const void *data, size_t len)
{
    uint64_t        v[4];
    const uint8_t  *p, *end;

    mg_sip_init(v, key);

    p = data;
    end = len ? p + (len & ~(size_t) 7) : p;

    for ( ; p != end; p += 8) {
        mg_sip_block(v, mg_sip_load(p));
    }

    return mg_sip_end(v, p, len & 7, len);
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


void
mg_hex(const uint8_t *data, size_t n, char *out)
{
    size_t             i;
    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < n; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }

    *out = '\0';
}


int
mg_unhex(mg_str_t hex, uint8_t *out, size_t n)
{
    int     high, low;
    size_t  i;

    if (hex.len != n * 2) {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        high = mg_hex_digit(hex.data[i * 2]);
        low = mg_hex_digit(hex.data[i * 2 + 1]);

        if (high < 0 || low < 0) {
            return MG_ERROR;
        }

        out[i] = (uint8_t) (high << 4 | low);
    }

    return MG_OK;
}


void
mg_checksum_init(mg_checksum_t *c)
{
    memset(c, 0, sizeof(mg_checksum_t));
    mg_sip_init(c->v, mg_checksum_key);
}


void
mg_checksum_add(mg_checksum_t *c, const void *data, size_t len)
{
    size_t          n;
    const uint8_t  *p;

    p = data;
    c->total += len;

    if (c->tail_len) {
        n = 8 - c->tail_len;
        n = n < len ? n : len;

        if (n) {
            memcpy(c->tail + c->tail_len, p, n);
        }

        c->tail_len += (uint32_t) n;

        if (c->tail_len < 8) {
            return;
        }

        mg_sip_block(c->v, mg_sip_load(c->tail));
        c->tail_len = 0;
        p += n;
        len -= n;
    }

    for ( ; len >= 8; p += 8, len -= 8) {
        mg_sip_block(c->v, mg_sip_load(p));
    }

    if (len) {
        memcpy(c->tail, p, len);
        c->tail_len = (uint32_t) len;
    }
}


uint64_t
mg_checksum_end(mg_checksum_t *c)
{
    return mg_sip_end(c->v, c->tail, c->tail_len, c->total);
}


static void
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


static void
mg_sip_block(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    mg_sip_round(v);
    mg_sip_round(v);
    v[0] ^= m;
}


static uint64_t
mg_sip_end(uint64_t v[4], const uint8_t *tail, size_t left, uint64_t total)
{
    size_t    i;
    uint64_t  last;

    last = total << 56;

    for (i = 0; i < left; i++) {
        last |= (uint64_t) tail[i] << (8 * i);
    }

    mg_sip_block(v, last);

    v[2] ^= 0xff;

    for (i = 0; i < 4; i++) {
        mg_sip_round(v);
    }

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static uint64_t
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


static int
mg_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}
