/*
 * mg_crypt.c: AES-256-GCM with OpenSSL, the key file, random bytes.
 *
 * A fresh random nonce of 96 bits for each seal: at the number of secrets a
 * gateway holds a collision is out of reach.  The version byte is part of
 * what the tag protects, since another version would name another cipher.
 *
 * Any thread; plaintext and key bytes are wiped from every local buffer.
 */

#include "base/mg_crypt.h"
#include "base/mg_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <openssl/evp.h>


#define MG_CRYPT_VERSION   1
#define MG_CRYPT_NONCE     12
#define MG_CRYPT_TAG       16
#define MG_CRYPT_HEX_LEN   (MG_CRYPT_KEY_LEN * 2)


static int mg_crypt_key_check(int fd, const char *path, mg_error_t *e);
static int mg_crypt_start(EVP_CIPHER_CTX *ctx, int encrypt,
    const mg_crypt_key_t *key, const uint8_t *head, mg_str_t aad);
static int mg_crypt_encrypt(EVP_CIPHER_CTX *ctx, const mg_crypt_key_t *key,
    mg_str_t plain, mg_str_t aad, uint8_t *out);
static int mg_crypt_decrypt(EVP_CIPHER_CTX *ctx, const mg_crypt_key_t *key,
    mg_str_t sealed, mg_str_t aad, uint8_t *out);


int
mg_crypt_key_read(mg_crypt_key_t *key, const char *path, mg_error_t *e)
{
    int      fd, rc;
    char     text[MG_CRYPT_HEX_LEN + 16];
    ssize_t  n;

    mg_wipe(key, sizeof(mg_crypt_key_t));

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return mg_error_set(e, MG_E_INVALID, NULL, "key file \"%s\" cannot be "
                            "opened: %s; make one with: openssl rand -hex 32",
                            path, strerror(errno));
    }

    if (mg_crypt_key_check(fd, path, e) != MG_OK) {
        close(fd);
        return MG_ERROR;
    }

    do {
        n = read(fd, text, sizeof(text));
    } while (n == -1 && errno == EINTR);

    close(fd);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'
                     || text[n - 1] == ' '))
    {
        n--;
    }

    rc = (n < 0) ? MG_ERROR
                 : mg_unhex(mg_str_n(text, (size_t) n), key->bytes,
                            MG_CRYPT_KEY_LEN);
    mg_wipe(text, sizeof(text));

    if (rc != MG_OK) {
        mg_wipe(key, sizeof(mg_crypt_key_t));
        return mg_error_set(e, MG_E_INVALID, NULL, "key file \"%s\" does not "
                            "hold exactly %d hex digits; make one with: "
                            "openssl rand -hex 32", path, MG_CRYPT_HEX_LEN);
    }

    key->set = 1;

    return MG_OK;
}


int
mg_crypt_seal(const mg_crypt_key_t *key, mg_str_t plain, mg_str_t aad,
    mg_buf_t *out, mg_error_t *e)
{
    int              rc;
    uint8_t         *p;
    EVP_CIPHER_CTX  *ctx;

    if (!key->set) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "no key is configured "
                            "to seal secrets with; set "
                            "model_secret_key_file");
    }

    if (plain.len > INT_MAX - MG_CRYPT_OVERHEAD || aad.len > INT_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "a secret of %zu bytes is too long", plain.len);
    }

    p = (uint8_t *) mg_buf_reserve(out, plain.len + MG_CRYPT_OVERHEAD);
    ctx = EVP_CIPHER_CTX_new();
    rc = MG_ERROR;

    if (p != NULL && ctx != NULL) {
        rc = mg_crypt_encrypt(ctx, key, plain, aad, p);
    }

    EVP_CIPHER_CTX_free(ctx);

    if (rc != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "a secret could not be sealed; look for a lack of "
                            "memory or a restricted OpenSSL");
    }

    out->len += plain.len + MG_CRYPT_OVERHEAD;

    return MG_OK;
}


int
mg_crypt_open(const mg_crypt_key_t *key, mg_str_t sealed, mg_str_t aad,
    char *out, size_t *len, mg_error_t *e)
{
    int              rc;
    EVP_CIPHER_CTX  *ctx;

    *len = 0;

    if (!key->set) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "no key is configured "
                            "to open secrets with; set "
                            "model_secret_key_file");
    }

    if (sealed.len < MG_CRYPT_OVERHEAD || sealed.len > INT_MAX
        || aad.len > INT_MAX || sealed.data[0] != MG_CRYPT_VERSION)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "a sealed secret of %zu "
                            "bytes is damaged or of another version; store "
                            "the secret again", sealed.len);
    }

    ctx = EVP_CIPHER_CTX_new();

    rc = ctx ? mg_crypt_decrypt(ctx, key, sealed, aad, (uint8_t *) out)
             : MG_ERROR;

    EVP_CIPHER_CTX_free(ctx);

    if (rc != MG_OK) {
        mg_wipe(out, sealed.len - MG_CRYPT_OVERHEAD);
        return mg_error_set(e, MG_E_INTERNAL, NULL, "a sealed secret does not "
                            "open: the key file is not the one it was sealed "
                            "with, or the row was copied or changed; store "
                            "the secret again");
    }

    *len = sealed.len - MG_CRYPT_OVERHEAD;

    return MG_OK;
}


int
mg_random(void *out, size_t n)
{
    ssize_t   got;
    uint8_t  *p;

    for (p = out; n > 0; p += got, n -= (size_t) got) {

        got = getrandom(p, n, 0);

        if (got == -1) {
            if (errno != EINTR) {
                return MG_ERROR;
            }

            got = 0;
        }
    }

    return MG_OK;
}


void
mg_wipe(void *p, size_t n)
{
    if (n) {
        explicit_bzero(p, n);
    }
}


static int
mg_crypt_key_check(int fd, const char *path, mg_error_t *e)
{
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return mg_error_set(e, MG_E_INVALID, NULL, "key file \"%s\" cannot be "
                            "examined: %s", path, strerror(errno));
    }

    if (!S_ISREG(st.st_mode)) {
        return mg_error_set(e, MG_E_INVALID, NULL, "key file \"%s\" is not a "
                            "regular file; give a file of %d hex digits",
                            path, MG_CRYPT_HEX_LEN);
    }

    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        return mg_error_set(e, MG_E_INVALID, NULL, "key file \"%s\" has mode "
                            "\"%04o\", others may use it; run: chmod 0400 %s",
                            path, (unsigned) (st.st_mode & 07777), path);
    }

    return MG_OK;
}


/* head: version byte and nonce; both are in front of the ciphertext */

static int
mg_crypt_start(EVP_CIPHER_CTX *ctx, int encrypt, const mg_crypt_key_t *key,
    const uint8_t *head, mg_str_t aad)
{
    int  n;

    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, head + 1,
                          encrypt) != 1
        || EVP_CipherUpdate(ctx, NULL, &n, head, 1) != 1)
    {
        return MG_ERROR;
    }

    if (aad.len && EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *) aad.data,
                                    (int) aad.len) != 1)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_crypt_encrypt(EVP_CIPHER_CTX *ctx, const mg_crypt_key_t *key,
    mg_str_t plain, mg_str_t aad, uint8_t *out)
{
    int       n;
    uint8_t  *text;

    out[0] = MG_CRYPT_VERSION;
    text = out + 1 + MG_CRYPT_NONCE;

    if (mg_random(out + 1, MG_CRYPT_NONCE) != MG_OK
        || mg_crypt_start(ctx, 1, key, out, aad) != MG_OK)
    {
        return MG_ERROR;
    }

    if (plain.len && EVP_CipherUpdate(ctx, text, &n,
                                      (const uint8_t *) plain.data,
                                      (int) plain.len) != 1)
    {
        return MG_ERROR;
    }

    text += plain.len;

    if (EVP_CipherFinal_ex(ctx, text, &n) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, MG_CRYPT_TAG, text)
           != 1)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_crypt_decrypt(EVP_CIPHER_CTX *ctx, const mg_crypt_key_t *key,
    mg_str_t sealed, mg_str_t aad, uint8_t *out)
{
    int             n;
    size_t          len;
    uint8_t         tag[MG_CRYPT_TAG];
    const uint8_t  *in;

    in = (const uint8_t *) sealed.data;
    len = sealed.len - MG_CRYPT_OVERHEAD;

    memcpy(tag, in + sealed.len - MG_CRYPT_TAG, MG_CRYPT_TAG);

    if (mg_crypt_start(ctx, 0, key, in, aad) != MG_OK) {
        return MG_ERROR;
    }

    if (len && EVP_CipherUpdate(ctx, out, &n, in + 1 + MG_CRYPT_NONCE,
                                (int) len) != 1)
    {
        return MG_ERROR;
    }

    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, MG_CRYPT_TAG, tag) != 1
        || EVP_CipherFinal_ex(ctx, out + len, &n) != 1)
    {
        return MG_ERROR;
    }

    return MG_OK;
}
