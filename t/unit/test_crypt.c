/*
 * test_crypt.c: base/mg_crypt.h.
 *
 * What would break: a provider's key can be read by another provider's row,
 * a changed row opens, a key file that others may read is accepted.
 */

#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>


static void
test_seal(void)
{
    char            out[200];
    size_t          i, len, opened;
    mg_buf_t        one, two;
    mg_str_t        aad, plain;
    mg_error_t      e;
    mg_crypt_key_t  key, other;

    memset(&key, 0, sizeof(key));
    mg_buf_init(&one, 0);
    mg_buf_init(&two, 0);

    plain = mg_str("sk-test-0123456789");
    aad = mg_str("openai/default");

    is_int(mg_crypt_seal(&key, plain, aad, &one, &e), MG_ERROR,
           "without a key nothing is sealed");
    like(e.message, "model_secret_key_file", "the message says what to do");

    mg_random(key.bytes, sizeof(key.bytes));
    key.set = 1;

    is_int(mg_crypt_seal(&key, plain, aad, &one, &e), MG_OK, "seal");
    is_int(one.len, plain.len + MG_CRYPT_OVERHEAD, "length");
    mg_crypt_seal(&key, plain, aad, &two, &e);
    ok(!mg_str_eq(mg_buf_view(&one), mg_buf_view(&two)),
       "each seal has its own nonce");
    ok(memcmp(one.data + 13, plain.data, plain.len) != 0,
       "it is not readable");

    is_int(mg_crypt_open(&key, mg_buf_view(&one), aad, out, &len, &e), MG_OK,
           "open");
    is_mem(out, len, plain.data, plain.len, "the secret");

    is_int(mg_crypt_open(&key, mg_buf_view(&one), mg_str("evil/default"), out,
                         &len, &e), MG_ERROR, "another owner");
    is_int(len, 0, "gets nothing");

    other = key;
    other.bytes[31] ^= 1;
    is_int(mg_crypt_open(&other, mg_buf_view(&one), aad, out, &len, &e),
           MG_ERROR, "another key");
    unlike(e.message, "sk-test", "no secret in the message");

    for (opened = 0, i = 0; i < one.len * 8; i++) {
        one.data[i / 8] ^= (char) (1 << (i % 8));
        opened += (mg_crypt_open(&key, mg_buf_view(&one), aad, out, &len, &e)
                   == MG_OK);
        one.data[i / 8] ^= (char) (1 << (i % 8));
    }

    is_int(opened, 0, "no flipped bit goes unnoticed");

    for (opened = 0, i = 0; i < one.len; i++) {
        opened += (mg_crypt_open(&key, mg_str_n(one.data, i), aad, out, &len,
                                 &e) == MG_OK);
    }

    is_int(opened, 0, "nor a cut");

    mg_buf_free(&two);
    is_int(mg_crypt_seal(&key, mg_str_null, mg_str_null, &two, &e), MG_OK,
           "an empty secret");
    is_int(mg_crypt_open(&key, mg_buf_view(&two), mg_str_null, out, &len, &e),
           MG_OK, "opens");
    is_int(len, 0, "as empty");

    mg_buf_free(&one);
    mg_buf_free(&two);
}


static void
write_file(const char *path, const char *text, mode_t mode)
{
    FILE  *f;

    unlink(path);
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}


static void
test_key(void)
{
    char            dir[] = P_tmpdir "/model-crypt-XXXXXX", path[64];
    mg_error_t      e;
    mg_crypt_key_t  key;

    static const char  hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    if (!ok(mkdtemp(dir) != NULL, "a directory")) {
        return;
    }

    snprintf(path, sizeof(path), "%s/key", dir);

    is_int(mg_crypt_key_read(&key, path, &e), MG_ERROR, "no file");
    like(e.message, path, "the message has the path");
    like(e.message, "openssl rand -hex 32", "and what to do");

    write_file(path, hex, 0400);
    is_int(mg_crypt_key_read(&key, path, &e), MG_OK, "64 hex digits");
    ok(key.set && key.bytes[0] == 0 && key.bytes[31] == 31, "the key");

    write_file(path, hex, 0600);
    truncate(path, 63);
    is_int(mg_crypt_key_read(&key, path, &e), MG_ERROR, "63 hex digits");
    ok(!key.set, "leave no key");
    unlike(e.message, "0001020304", "the message does not repeat them");

    write_file(path, "000102030405060708090a0b0c0d0e0f"
               "101112131415161718191a1b1c1d1e1f\n", 0600);
    is_int(mg_crypt_key_read(&key, path, &e), MG_OK, "with a line break");

    write_file(path, hex, 0644);
    is_int(mg_crypt_key_read(&key, path, &e), MG_ERROR, "others may read it");
    like(e.message, "0644", "the message has the mode");
    like(e.message, "chmod", "and what to do");

    is_int(mg_crypt_key_read(&key, dir, &e), MG_ERROR, "a directory");

    unlink(path);
    rmdir(dir);
}


static void
test_random(void)
{
    size_t   i, zero;
    uint8_t  one[600], two[600];

    memset(one, 0, sizeof(one));
    is_int(mg_random(one, sizeof(one)), MG_OK, "random bytes");
    mg_random(two, sizeof(two));
    ok(memcmp(one, two, sizeof(one)) != 0, "are not the same twice");

    for (zero = 0, i = 0; i < sizeof(one); i++) {
        zero += (one[i] == 0);
    }

    ok(zero < 60, "the whole length is filled");

    mg_wipe(one, sizeof(one));

    for (zero = 0, i = 0; i < sizeof(one); i++) {
        zero += (one[i] == 0);
    }

    is_int(zero, sizeof(one), "wipe clears");
}


int
main(void)
{
    test_seal();
    test_key();
    test_random();

    return done_testing();
}
