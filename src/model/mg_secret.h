/*
 * mg_secret.h: keys of providers that stand in no database.
 *
 *     provider -> "file:/run/secrets/acme" or "env:ACME_KEY" -> the key
 *
 * The master makes the table while the configuration is read, as root; each
 * worker inherits a copy of its own and looks at the files again, so that a
 * key is rotated by replacing its file.  A file that cannot be read, is
 * empty or holds no key leaves the last key in use.  The pages are left out
 * of core dumps and overwritten before they are given back.
 *
 * get() from any thread, never blocks for longer than a copy takes;
 * refresh() reads files: pool threads, one at a time.
 */

#ifndef MG_SECRET_H
#define MG_SECRET_H

#include "base/mg_error.h"


#define MG_SECRETS_MAX   64        /* providers */
#define MG_SECRET_MAX    4000      /* bytes of a key */


typedef struct mg_secrets_s  mg_secrets_t;


/* NULL: no memory. */
mg_secrets_t *mg_secrets_create(void);
void mg_secrets_destroy(mg_secrets_t *s);

/*
 * Adds a provider and reads its key; source is "file:PATH" or "env:NAME".
 * MG_ERROR says what is wrong and never shows what was read.
 */
int mg_secrets_add(mg_secrets_t *s, mg_str_t provider, mg_str_t source,
    mg_error_t *e);

/*
 * Looks at file i again.  MG_OK: it has another key now.  MG_DECLINED: it is
 * as it was.  MG_ERROR with *e: it cannot be used; said once, until it can.
 */
int mg_secrets_refresh(mg_secrets_t *s, unsigned i, mg_error_t *e);

/* How many there are, and how many of them are files. */
unsigned mg_secrets_count(const mg_secrets_t *s, unsigned *files);

/* 1: there is a key for that provider. */
int mg_secrets_has(const mg_secrets_t *s, mg_str_t provider);

/* Copies the key to out, MG_SECRET_MAX bytes.  MG_DECLINED: not here. */
int mg_secrets_get(mg_secrets_t *s, mg_str_t provider, char *out,
    size_t *len);


#endif /* MG_SECRET_H */
