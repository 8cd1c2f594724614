/*
 * mg_block.c: memory from the heap, or mapped.
 *
 *     size (8) | unused (8) | the block ...
 *
 * The size that was asked for tells how the block was made.  With Address-
 * and ThreadSanitizer all blocks are the heap's, which they watch: neither
 * knows of mremap() what becomes of the pages.
 *
 * Touches nothing but its own memory; any thread, which it may let others in
 * before (mg_priority_breathe()).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mg_block.h"
#include "base/mg_priority.h"


#define MG_BLOCK_HEAD   16

/* Unmapped at once. */
#define MG_BLOCK_PIECE  ((size_t) 512 * 1024)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MG_BLOCK_WATCHED  1

#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MG_BLOCK_WATCHED  1
#endif
#endif

#ifdef MG_BLOCK_WATCHED
#define mg_block_is_mapped(size)  ((void) (size), 0)
#else
#define mg_block_is_mapped(size)  ((size) >= MG_BLOCK_MAPPED)
#endif


static void *mg_block_map(size_t size);
static void mg_block_unmap(char *head, size_t size);
static void *mg_block_head(void *p);
static void *mg_block_begin(char *head, size_t size);


void *
mg_block_alloc(size_t size)
{
    if (size > SIZE_MAX - MG_BLOCK_HEAD) {
        return NULL;
    }

    if (mg_block_is_mapped(size)) {
        return mg_block_begin(mg_block_map(size), size);
    }

    return mg_block_begin(malloc(MG_BLOCK_HEAD + size), size);
}


void *
mg_block_calloc(size_t n, size_t size)
{
    void  *p;

    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }

    p = mg_block_alloc(n * size);

    /* mapped pages are zeroes */

    if (p != NULL && !mg_block_is_mapped(n * size)) {
        memset(p, 0, n * size);
    }

    return p;
}


void *
mg_block_resize(void *p, size_t size)
{
    char    *head;
    size_t   old;
    void    *moved;

    if (p == NULL) {
        return mg_block_alloc(size);
    }

    if (size > SIZE_MAX - MG_BLOCK_HEAD) {
        return NULL;
    }

    head = mg_block_head(p);
    memcpy(&old, head, sizeof(size_t));

    if (!mg_block_is_mapped(old) && !mg_block_is_mapped(size)) {
        return mg_block_begin(realloc(head, MG_BLOCK_HEAD + size), size);
    }

    if (mg_block_is_mapped(old) && mg_block_is_mapped(size)) {
        moved = mremap(head, MG_BLOCK_HEAD + old, MG_BLOCK_HEAD + size,
                       MREMAP_MAYMOVE);

        return mg_block_begin(moved == MAP_FAILED ? NULL : moved, size);
    }

    moved = mg_block_alloc(size);

    if (moved != NULL) {
        memcpy(moved, p, old < size ? old : size);
        mg_block_free(p);
    }

    return moved;
}


void
mg_block_free(void *p)
{
    char    *head;
    size_t   size;

    if (p == NULL) {
        return;
    }

    head = mg_block_head(p);
    memcpy(&size, head, sizeof(size_t));

    if (mg_block_is_mapped(size)) {
        mg_block_unmap(head, MG_BLOCK_HEAD + size);

    } else {
        free(head);
    }
}


static void *
mg_block_map(size_t size)
{
    void  *p;

    p = mmap(NULL, MG_BLOCK_HEAD + size, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}


/*
 * A kernel that is not preemptible gives the core to nobody while it frees
 * pages: a thread of low priority breathes between some and some.
 */

static void
mg_block_unmap(char *head, size_t size)
{
    size_t  left;

    /* from the end, of which less than a piece may be left */

    for ( /* void */ ; size > MG_BLOCK_PIECE; size = left) {
        left = (size - 1) / MG_BLOCK_PIECE * MG_BLOCK_PIECE;
        (void) munmap(head + left, size - left);
        mg_priority_breathe();
    }

    (void) munmap(head, size);
}


static void *
mg_block_head(void *p)
{
    return (char *) p - MG_BLOCK_HEAD;
}


static void *
mg_block_begin(char *head, size_t size)
{
    if (head == NULL) {
        return NULL;
    }

    memcpy(head, &size, sizeof(size_t));

    return head + MG_BLOCK_HEAD;
}
