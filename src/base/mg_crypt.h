/*
 * mg_crypt.h: secrets at rest, random bytes.
 *
 * AES-256-GCM with OpenSSL; a sealed secret is
 *
 *     1 byte version (1) | 12 bytes nonce | ciphertext | 16 bytes tag
 *
 * and is bound to its owner by additional data (provider and organisation),
 * so a row copied to another provider does not open.  The key is 32 bytes,
 * read once from a file of 64 hex digits that only root may read.
 *
 * Any thread; random may block at boot only.
 */

#ifndef MG_CRYPT_H
#define MG_CRYPT_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


#define MG_CRYPT_KEY_LEN     32
#define MG_CRYPT_OVERHEAD    29


typedef struct {
    uint8_t   bytes[MG_CRYPT_KEY_LEN];
    unsigned  set:1;
} mg_crypt_key_t;


/* Reads the key file.  MG_ERROR says which path and what to do. */
int mg_crypt_key_read(mg_crypt_key_t *key, const char *path, mg_error_t *e);

/* Appends the sealed secret to out. */
int mg_crypt_seal(const mg_crypt_key_t *key, mg_str_t plain, mg_str_t aad,
    mg_buf_t *out, mg_error_t *e);

/*
 * Opens into out (room for sealed.len bytes), sets *len.  MG_ERROR if the
 * key is not the one, the owner is another or a bit has changed.
 */
int mg_crypt_open(const mg_crypt_key_t *key, mg_str_t sealed, mg_str_t aad,
    char *out, size_t *len, mg_error_t *e);

/* n random bytes; MG_ERROR only if the system has none. */
int mg_random(void *out, size_t n);

/* Overwrites memory in a way the compiler keeps. */
void mg_wipe(void *p, size_t n);


#endif /* MG_CRYPT_H */
