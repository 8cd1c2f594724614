/*
 * mg_buf.h: a growing byte buffer with a cap and a sticky failure.
 *
 * Writers append without looking; who needs the bytes checks b->failed
 * once at the end.  Memory is a block (mg_block.h) and belongs to the
 * mg_buf_t until mg_buf_free().
 *
 * One thread at a time; never blocks.
 */

#ifndef MG_BUF_H
#define MG_BUF_H

#include "base/mg_str.h"


typedef struct {
    char      *data;
    size_t     len;
    size_t     size;     /* allocated */
    size_t     cap;      /* most it may grow to; 0: 1 GiB */
    unsigned   failed:1;
} mg_buf_t;


void mg_buf_init(mg_buf_t *b, size_t cap);
void mg_buf_free(mg_buf_t *b);

/* Ensures room for n more bytes; NULL (and failed) if not to be had. */
char *mg_buf_reserve(mg_buf_t *b, size_t n);

void mg_buf_add(mg_buf_t *b, const void *data, size_t len);
void mg_buf_str(mg_buf_t *b, mg_str_t s);
void mg_buf_z(mg_buf_t *b, const char *z);
void mg_buf_char(mg_buf_t *b, char c);
void mg_buf_printf(mg_buf_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


static inline mg_str_t
mg_buf_view(const mg_buf_t *b)
{
    return mg_str_n(b->data, b->len);
}


#endif /* MG_BUF_H */
