/*
 * test_hash.c: base/mg_hash.h.
 *
 * What would break: a node with another build assigns variants differently
 * (the hash is not the published one), a damaged snapshot passes, a token is
 * not found.
 */

#include "base/mg_hash.h"
#include "base/mg_error.h"
#include "tap.h"


/* from the paper's reference code: key 00..0f, input 00..(n-1) */

static const struct {
    size_t    len;
    uint64_t  hash;
} vectors[] = {
    { 0, 0x726fdb47dd0e0e31ULL },
    { 1, 0x74f839c593dc67fdULL },
    { 7, 0xab0200f58b01d137ULL },
    { 8, 0x93f5f5799a932462ULL },
    { 15, 0xa129ca6149be45e5ULL },
    { 63, 0x958a324ceb064572ULL }
};


static void
test_siphash(void)
{
    size_t   i;
    uint8_t  key[16], in[64];

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t) i;
    }

    memcpy(key, in, 16);

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        ok(mg_siphash(key, in, vectors[i].len) == vectors[i].hash,
           "SipHash-2-4 of %zu bytes", vectors[i].len);
    }
}


static void
test_sha256(void)
{
    char     hex[65];
    uint8_t  out[32];

    mg_sha256(mg_str("abc"), out);
    mg_hex(out, 32, hex);
    is_str(hex, "ba7816bf8f01cfea414140de5dae2223"
           "b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");

    mg_sha256(mg_str_null, out);
    mg_hex(out, 32, hex);
    is_str(hex, "e3b0c44298fc1c149afbf4c8996fb924"
           "27ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
}


static void
test_hex(void)
{
    uint8_t  out[3];

    is_int(mg_unhex(mg_str("00aBfF"), out, 3), MG_OK, "either case");
    is_mem(out, 3, "\x00\xab\xff", 3, "the bytes");
    is_int(mg_unhex(mg_str("00abf"), out, 3), MG_ERROR, "too short");
    is_int(mg_unhex(mg_str("00abff0"), out, 3), MG_ERROR, "too long");
    is_int(mg_unhex(mg_str("00abfg"), out, 3), MG_ERROR, "no hex digit");
    is_int(mg_unhex(mg_str("00ab\x06\x01"), out, 3), MG_ERROR, "controls");
}


/* The paper's own key and input of 15 bytes; a sum that misses no bit. */

static void
test_short(void)
{
    size_t    i, j, bad;
    uint8_t   key[16], data[100];
    uint64_t  h[2], sum;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) i;
        key[i % 16] = (uint8_t) (i % 16);
    }

    mg_siphash128(key, data, 0, h);

    ok(h[0] == 0xe6a825ba047f81a3ULL && h[1] == 0x930255c71472f66dULL,
       "128 bits of nothing");

    mg_siphash128(key, data, 15, h);

    ok(h[0] == 0x11a8b03399e99354ULL && h[1] == 0xd9c3cf970fec087eULL,
       "128 bits of 15 bytes");

    for (bad = 0, i = 1; i <= sizeof(data); i++) {
        sum = mg_sum64(data, i);
        bad += (mg_sum64(data, i - 1) == sum);

        for (j = 0; j < i * 8; j++) {
            data[j / 8] ^= (uint8_t) (1 << (j % 8));
            bad += (mg_sum64(data, i) == sum);
            data[j / 8] ^= (uint8_t) (1 << (j % 8));
        }
    }

    is_int(bad, 0, "a sum sees each flipped bit and each missing byte");
}


int
main(void)
{
    test_siphash();
    test_short();
    test_sha256();
    test_hex();

    return done_testing();
}
