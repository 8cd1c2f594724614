/*
 * mg_buf.c: the growing byte buffer.
 *
 * The memory doubles until the cap.  One byte more than size is allocated,
 * for the NUL that vsnprintf() insists on.  After a failure nothing more is
 * appended, so that what is there stays a prefix of what was meant.
 *
 * Touches nothing but its own memory.
 */

#include "base/mg_buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mg_block.h"


#define MG_BUF_FIRST  ((size_t) 256)
#define MG_BUF_CAP    ((size_t) 1024 * 1024 * 1024)


void
mg_buf_init(mg_buf_t *b, size_t cap)
{
    memset(b, 0, sizeof(mg_buf_t));
    b->cap = cap;
}


void
mg_buf_free(mg_buf_t *b)
{
    mg_block_free(b->data);
    mg_buf_init(b, b->cap);
}


char *
mg_buf_reserve(mg_buf_t *b, size_t n)
{
    char    *p;
    size_t   cap, size;

    if (b->failed) {
        return NULL;
    }

    if (b->data != NULL && n <= b->size - b->len) {
        return b->data + b->len;
    }

    cap = b->cap ? b->cap : MG_BUF_CAP;

    if (b->len > cap || n > cap - b->len) {
        b->failed = 1;
        return NULL;
    }

    size = b->size ? b->size : MG_BUF_FIRST;

    while (size < b->len + n) {
        size *= 2;
    }

    if (size > cap) {
        size = cap;
    }

    p = mg_block_resize(b->data, size + 1);

    if (p == NULL) {
        b->failed = 1;
        return NULL;
    }

    b->data = p;
    b->size = size;

    return b->data + b->len;
}


void
mg_buf_add(mg_buf_t *b, const void *data, size_t len)
{
    char  *p;

    if (len == 0) {
        return;
    }

    p = mg_buf_reserve(b, len);

    if (p != NULL) {
        memcpy(p, data, len);
        b->len += len;
    }
}


void
mg_buf_str(mg_buf_t *b, mg_str_t s)
{
    mg_buf_add(b, s.data, s.len);
}


void
mg_buf_z(mg_buf_t *b, const char *z)
{
    mg_buf_add(b, z, strlen(z));
}


void
mg_buf_char(mg_buf_t *b, char c)
{
    char  *p;

    p = mg_buf_reserve(b, 1);

    if (p != NULL) {
        *p = c;
        b->len++;
    }
}


void
mg_buf_printf(mg_buf_t *b, const char *fmt, ...)
{
    int      n;
    char    *p;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0) {
        b->failed = 1;
        return;
    }

    p = mg_buf_reserve(b, (size_t) n);

    if (p == NULL) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(p, (size_t) n + 1, fmt, args);
    va_end(args);

    b->len += (size_t) n;
}
