/*
 * mg_block.h: blocks of memory, of which the large ones are given back.
 *
 * As malloc() and its family, but a block of MG_BLOCK_MAPPED bytes or more
 * is a mapping of its own: freeing it gives its pages back to the system at
 * once, whatever was allocated around it, and resizing it moves pages
 * instead of bytes.  The heap of a thread would keep them: it shrinks from
 * its end alone, and by a threshold that grows with what was freed.  So a
 * process that builds something large once in a while is as large
 * afterwards as it was before.
 *
 * Blocks are aligned to 16 bytes.  Any thread; never blocks.
 */

#ifndef MG_BLOCK_H
#define MG_BLOCK_H

#include <stddef.h>


#define MG_BLOCK_MAPPED   ((size_t) 256 * 1024)


/* NULL when out of memory; the caller frees it with mg_block_free(). */
void *mg_block_alloc(size_t size);
void *mg_block_calloc(size_t n, size_t size);

/* p may be NULL; NULL when out of memory: p is as it was. */
void *mg_block_resize(void *p, size_t size);

/* NULL is allowed. */
void mg_block_free(void *p);


#endif /* MG_BLOCK_H */
