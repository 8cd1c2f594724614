/*
 * mg_arena.c: chunks of memory in a list, freed all at once.
 *
 *     mg_arena_t -> chunk (newest) -> ... -> first chunk
 *
 * Small allocations are cut off the current chunk; a large one gets a chunk
 * of its own, which is linked behind the current one so that the rest of the
 * current one stays in use.  The cap counts what chunks take, headers
 * included.
 *
 * Touches nothing but its own memory.
 */

#include "base/mg_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mg_block.h"


#define MG_ARENA_ALIGN        16
#define MG_ARENA_CHUNK_FIRST  ((size_t) 4096)
#define MG_ARENA_CHUNK_MAX    ((size_t) 1024 * 1024)
#define MG_ARENA_CAP          ((size_t) 256 * 1024 * 1024)


typedef struct mg_arena_chunk_s  mg_arena_chunk_t;

struct mg_arena_chunk_s {
    mg_arena_chunk_t  *next;
    size_t             size;      /* of the data that follows */
    size_t             used;
    size_t             pad;       /* keeps the data aligned */
};


struct mg_arena_s {
    mg_arena_chunk_t  *current;
    mg_arena_chunk_t  *first;
    size_t             cap;
    size_t             held;      /* bytes of all chunks */
    size_t             used;      /* bytes handed out */
    size_t             grow;      /* size of the next chunk */
};


static void *mg_arena_large(mg_arena_t *a, size_t size);
static mg_arena_chunk_t *mg_arena_chunk(mg_arena_t *a, size_t size);


mg_arena_t *
mg_arena_create(size_t cap)
{
    mg_arena_t  *a;

    a = calloc(1, sizeof(mg_arena_t));
    if (a == NULL) {
        return NULL;
    }

    a->cap = cap ? cap : MG_ARENA_CAP;
    a->grow = MG_ARENA_CHUNK_FIRST;

    return a;
}


void
mg_arena_destroy(mg_arena_t *a)
{
    mg_arena_chunk_t  *c, *next;

    if (a == NULL) {
        return;
    }

    for (c = a->current; c != NULL; c = next) {
        next = c->next;
        mg_block_free(c);
    }

    free(a);
}


void
mg_arena_reset(mg_arena_t *a)
{
    mg_arena_chunk_t  *c, *next;

    for (c = a->current; c != NULL; c = next) {
        next = c->next;

        if (c != a->first) {
            mg_block_free(c);
        }
    }

    a->current = a->first;
    a->held = 0;
    a->used = 0;
    a->grow = MG_ARENA_CHUNK_FIRST;

    if (a->first != NULL) {
        a->first->next = NULL;
        a->first->used = 0;
        a->held = sizeof(mg_arena_chunk_t) + a->first->size;
        a->grow = MG_ARENA_CHUNK_FIRST * 2;
    }
}


void *
mg_arena_alloc(mg_arena_t *a, size_t size)
{
    void              *p;
    mg_arena_chunk_t  *c;

    if (size > a->cap) {
        return NULL;
    }

    size = (size + MG_ARENA_ALIGN - 1) & ~(size_t) (MG_ARENA_ALIGN - 1);

    if (size == 0) {
        size = MG_ARENA_ALIGN;
    }

    c = a->current;

    if (c == NULL || c->size - c->used < size) {

        if (size > a->grow / 4) {
            return mg_arena_large(a, size);
        }

        c = mg_arena_chunk(a, a->grow);

        if (c == NULL) {

            /* near the cap, or out of memory: take no more than needed */

            return mg_arena_large(a, size);
        }

        c->next = a->current;
        a->current = c;

        if (a->first == NULL) {
            a->first = c;
        }

        if (a->grow < MG_ARENA_CHUNK_MAX) {
            a->grow *= 2;
        }
    }

    p = (char *) (c + 1) + c->used;
    c->used += size;
    a->used += size;

    return p;
}


void *
mg_arena_calloc(mg_arena_t *a, size_t size)
{
    void  *p;

    p = mg_arena_alloc(a, size);

    if (p != NULL) {
        memset(p, 0, size);
    }

    return p;
}


mg_str_t
mg_arena_dup(mg_arena_t *a, mg_str_t s)
{
    char  *p;

    if (s.len == SIZE_MAX) {
        return mg_str_null;
    }

    p = mg_arena_alloc(a, s.len + 1);

    if (p == NULL) {
        return mg_str_null;
    }

    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    p[s.len] = '\0';

    return mg_str_n(p, s.len);
}


mg_str_t
mg_arena_printf(mg_arena_t *a, const char *fmt, ...)
{
    int      n;
    char    *p;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0) {
        return mg_str_null;
    }

    p = mg_arena_alloc(a, (size_t) n + 1);

    if (p == NULL) {
        return mg_str_null;
    }

    va_start(args, fmt);
    vsnprintf(p, (size_t) n + 1, fmt, args);
    va_end(args);

    return mg_str_n(p, (size_t) n);
}


size_t
mg_arena_used(const mg_arena_t *a)
{
    return a->used;
}


static void *
mg_arena_large(mg_arena_t *a, size_t size)
{
    mg_arena_chunk_t  *c;

    c = mg_arena_chunk(a, size);

    if (c == NULL) {
        return NULL;
    }

    c->used = size;
    a->used += size;

    if (a->current == NULL) {
        a->current = c;

    } else {
        c->next = a->current->next;
        a->current->next = c;
    }

    return c + 1;
}


static mg_arena_chunk_t *
mg_arena_chunk(mg_arena_t *a, size_t size)
{
    mg_arena_chunk_t  *c;

    if (size + sizeof(mg_arena_chunk_t) > a->cap - a->held) {
        return NULL;
    }

    c = mg_block_alloc(sizeof(mg_arena_chunk_t) + size);

    if (c == NULL) {
        return NULL;
    }

    c->next = NULL;
    c->size = size;
    c->used = 0;

    a->held += sizeof(mg_arena_chunk_t) + size;

    return c;
}
