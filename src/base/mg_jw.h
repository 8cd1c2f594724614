/*
 * mg_jw.h: writes JSON into a mg_buf_t.
 *
 * The writer keeps one bit a level (does a comma come first) and the level.
 * Commas and quotes are its business, the balance of calls is the caller's: a
 * document that is unbalanced, deeper than 63 levels or followed by a second
 * one marks the buffer failed.  Strings are escaped as RFC 8259 wants, and
 * invalid UTF-8 becomes U+FFFD.
 *
 * One thread at a time; never blocks.
 */

#ifndef MG_JW_H
#define MG_JW_H

#include "base/mg_buf.h"
#include "base/mg_json.h"


typedef struct {
    mg_buf_t  *buf;
    uint64_t   some;      /* bit n: level n has an element already */
    unsigned   level;
    unsigned   named:1;   /* a key was just written: no comma, no key */
} mg_jw_t;


void mg_jw_init(mg_jw_t *w, mg_buf_t *buf);

/* key NULL inside arrays and at the top. */
void mg_jw_object(mg_jw_t *w, const char *key);
void mg_jw_array(mg_jw_t *w, const char *key);
void mg_jw_end_object(mg_jw_t *w);
void mg_jw_end_array(mg_jw_t *w);

/* {NULL, 0} is written as null: unknown is not empty. */
void mg_jw_str(mg_jw_t *w, const char *key, mg_str_t s);
void mg_jw_z(mg_jw_t *w, const char *key, const char *z);
void mg_jw_int(mg_jw_t *w, const char *key, int64_t n);
void mg_jw_bool(mg_jw_t *w, const char *key, int b);
void mg_jw_null(mg_jw_t *w, const char *key);

/* 1 true, 0 false, -1 null. */
void mg_jw_tri(mg_jw_t *w, const char *key, int tri);

/* Text that is JSON already (a jsonb column, a number); {NULL,0}: null. */
void mg_jw_raw(mg_jw_t *w, const char *key, mg_str_t json);

/* Key that is data; the next call writes its value with key NULL. */
void mg_jw_key(mg_jw_t *w, mg_str_t key);

/* A node and all below it. */
void mg_jw_node(mg_jw_t *w, const char *key, const mg_json_t *v);

/* Just the escaped string with its quotes. */
void mg_jw_quote(mg_buf_t *b, mg_str_t s);


#endif /* MG_JW_H */
