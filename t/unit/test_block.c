/*
 * test_block.c: base/mg_block.h.
 *
 * What would break: a block loses its bytes when it grows from the heap into
 * a mapping, or a process keeps what large blocks took.
 */

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mg_block.h"
#include "tap.h"


#define MG  ((size_t) 1024 * 1024)


/* Pages of this process that no file backs. */

static long
resident(void)
{
    long   pages, shared;
    FILE  *f;

    pages = shared = 0;
    f = fopen("/proc/self/statm", "r");

    if (f == NULL || fscanf(f, "%*d %ld %ld", &pages, &shared) != 2) {
        pages = shared = 0;
    }

    if (f) {
        fclose(f);
    }

    return pages - shared;
}


static void
fill(unsigned char *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        p[i] = (unsigned char) (i * 31 + i / 251);
    }
}


static int
same(const unsigned char *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (p[i] != (unsigned char) (i * 31 + i / 251)) {
            return 0;
        }
    }

    return 1;
}


/* From each size to each: heap to heap, to a mapping, and back. */

static void
test_resize(void)
{
    size_t          from, to, i, j;
    unsigned char  *p, *moved;

    static const size_t  sizes[] = {
        1, 4000, MG_BLOCK_MAPPED - 1, MG_BLOCK_MAPPED, MG_BLOCK_MAPPED + 1,
        2 * MG, 5 * MG + 17
    };

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            from = sizes[i];
            to = sizes[j];

            p = mg_block_alloc(from);
            fill(p, from);
            moved = mg_block_resize(p, to);

            ok(moved && (uintptr_t) moved % 16 == 0
               && same(moved, from < to ? from : to),
               "%zu bytes become %zu and are the same", from, to);

            fill(moved, to);
            ok(same(moved, to), "all of them can be used");
            mg_block_free(moved);
        }
    }
}


static void
test_zeroes(void)
{
    size_t          i, j, n, wrong;
    unsigned char  *p;

    static const size_t  sizes[] = { 100, MG_BLOCK_MAPPED - 1, 3 * MG };

    for (i = 0; i < 3; i++) {
        n = sizes[i];

        p = mg_block_alloc(n);
        fill(p, n);
        mg_block_free(p);

        p = mg_block_calloc(n, 1);

        for (j = 0, wrong = 0; j < n; j++) {
            wrong += (p[j] != 0);
        }

        is_int(wrong, 0, "%zu bytes are zeroes", n);
        mg_block_free(p);
    }
}


static void
test_refused(void)
{
    void  *p;

    ok(mg_block_alloc(SIZE_MAX) == NULL, "more than there is");
    ok(mg_block_calloc(SIZE_MAX / 2, 3) == NULL, "a product too large");

    p = mg_block_alloc(10);
    ok(mg_block_resize(p, SIZE_MAX) == NULL, "no growth without end");
    mg_block_free(p);
    mg_block_free(NULL);

    p = mg_block_resize(NULL, 10);
    ok(p != NULL, "nothing becomes something");
    mg_block_free(p);
}


/* Blocks of odd sizes that lie side by side, and each second one goes. */

static void
test_neighbours(void)
{
    size_t          i, n;
    unsigned        kept;
    unsigned char  *p[9];

    for (i = 0; i < 9; i++) {
        n = MG + i * 123457;
        p[i] = mg_block_alloc(n);
        fill(p[i], n);
    }

    for (i = 1; i < 9; i += 2) {
        mg_block_free(p[i]);
    }

    for (i = 0, kept = 0; i < 9; i += 2) {
        kept += same(p[i], MG + i * 123457);
        mg_block_free(p[i]);
    }

    is_int(kept, 5, "the others stay as they were");
}


static void
test_given_back(void)
{
    long     before, during;
    void    *small[64], *large[64];
    size_t   i;

    before = resident();

    for (i = 0; i < 64; i++) {
        large[i] = mg_block_alloc(MG);
        memset(large[i], 1, MG);
        small[i] = mg_block_alloc(100);
    }

    during = resident();

    for (i = 0; i < 64; i++) {
        mg_block_free(large[i]);
    }

    ok(during - before > (long) (64 * MG) / getpagesize() / 2,
       "64 MiB are resident");

#ifndef __SANITIZE_ADDRESS__
#ifdef __has_feature
#define mg_watched  __has_feature(address_sanitizer)
#else
#define mg_watched  0
#endif
    ok(mg_watched
       || resident() - before < (long) (2 * MG) / getpagesize(),
       "and not any more, whatever lies between them");
#endif

    for (i = 0; i < 64; i++) {
        mg_block_free(small[i]);
    }
}


int
main(void)
{
    test_resize();
    test_zeroes();
    test_refused();
    test_neighbours();
    test_given_back();

    return done_testing();
}
