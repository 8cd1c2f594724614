/*
 * mg_arena.h: memory that is freed all at once.
 *
 * A list of chunks (mg_block.h), each twice the last up to 1 MiB; an
 * allocation larger than a quarter of the chunk gets a chunk of its own.  A
 * cap on the total makes hostile input fail with NULL instead of eating the
 * machine.  One job, one call or one parsed document owns one arena.
 *
 * Not shared between threads without a hand-over; never blocks.
 */

#ifndef MG_ARENA_H
#define MG_ARENA_H

#include "base/mg_str.h"


typedef struct mg_arena_s  mg_arena_t;


/* NULL when out of memory.  cap: most bytes it may hold, 0 for 256 MiB. */
mg_arena_t *mg_arena_create(size_t cap);

/* Frees everything; NULL is allowed. */
void mg_arena_destroy(mg_arena_t *a);

/* Forgets all contents, keeps the first chunk for reuse. */
void mg_arena_reset(mg_arena_t *a);

/* Aligned to 16 bytes; NULL when the cap or the memory is used up. */
void *mg_arena_alloc(mg_arena_t *a, size_t size);
void *mg_arena_calloc(mg_arena_t *a, size_t size);

/* Copies; the copy is NUL-terminated beyond len.  {NULL, 0} on failure. */
mg_str_t mg_arena_dup(mg_arena_t *a, mg_str_t s);

/* printf into the arena; {NULL, 0} on failure. */
mg_str_t mg_arena_printf(mg_arena_t *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes in use: for caps and metrics. */
size_t mg_arena_used(const mg_arena_t *a);


#endif /* MG_ARENA_H */
