/*
 * mg_sort.c: merges neighbours, from runs of a few to the whole.
 *
 *     3 1 | 2 9 | 7 4   ->   1 3 | 2 9 | 4 7   ->   1 2 3 9 | 4 7   -> ...
 *
 * Two arrays take turns.  Elements of up to 24 bytes are moved themselves,
 * by code of their size; of larger ones pointers are sorted, and then each
 * is moved once.
 *
 * Touches the array and a block of its own.
 */

#include <stdlib.h>
#include <string.h>

#include "base/mg_block.h"
#include "base/mg_priority.h"
#include "base/mg_sort.h"


#define MG_SORT_RUN      8       /* sorted by insertion */
#define MG_SORT_DIRECT   24
#define MG_SORT_SMALL    ((size_t) 32 * 1024)    /* bytes: left to qsort() */

#define mg_sort_inline   static inline __attribute__((always_inline))


typedef struct {
    size_t           size;
    mg_sort_cmp_pt   cmp;
    int              pointers;
} mg_sort_t;


static void mg_sort_pointers(char *base, size_t n, size_t size,
    mg_sort_cmp_pt cmp);
static char *mg_sort_choose(char *a, char *b, size_t n, mg_sort_t s);
mg_sort_inline char *mg_sort_run(char *a, char *b, size_t n, mg_sort_t s);
mg_sort_inline void mg_sort_insert(char *a, size_t n, mg_sort_t s);
mg_sort_inline void mg_sort_merge(char *to, const char *a, const char *b,
    const char *end, mg_sort_t s);


void
mg_sort(void *base, size_t n, size_t size, mg_sort_cmp_pt cmp)
{
    char       *room, *sorted;
    mg_sort_t   s;

    if (n < 2) {
        return;
    }

    if (n <= MG_SORT_SMALL / size) {
        qsort(base, n, size, cmp);
        return;
    }

    if (size > MG_SORT_DIRECT) {
        mg_sort_pointers(base, n, size, cmp);
        return;
    }

    room = mg_block_alloc(n * size);

    if (room == NULL) {
        qsort(base, n, size, cmp);
        return;
    }

    s.size = size;
    s.cmp = cmp;
    s.pointers = 0;

    sorted = mg_sort_choose(base, room, n, s);

    if (sorted == room) {
        memcpy(base, room, n * size);
    }

    mg_block_free(room);
}


static void
mg_sort_pointers(char *base, size_t n, size_t size, mg_sort_cmp_pt cmp)
{
    char       *room, **list, **sorted;
    size_t      i;
    mg_sort_t   s;

    room = mg_block_alloc(n * size);
    list = mg_block_alloc(2 * n * sizeof(char *));

    if (room == NULL || list == NULL) {
        mg_block_free(room);
        mg_block_free(list);
        qsort(base, n, size, cmp);
        return;
    }

    for (i = 0; i < n; i++) {
        list[i] = base + i * size;
    }

    s.size = sizeof(char *);
    s.cmp = cmp;
    s.pointers = 1;

    sorted = (void *) mg_sort_choose((char *) list, (char *) (list + n), n,
                                     s);

    for (i = 0; i < n; i++) {
        memcpy(room + i * size, sorted[i], size);
    }

    memcpy(base, room, n * size);

    mg_block_free(list);
    mg_block_free(room);
}


/* A size that the compiler knows is moved by a few instructions. */

static char *
mg_sort_choose(char *a, char *b, size_t n, mg_sort_t s)
{
    if (s.pointers) {
        s.size = sizeof(char *);
        s.pointers = 1;
        return mg_sort_run(a, b, n, s);
    }

    s.pointers = 0;

    switch (s.size) {

    case 8:
        s.size = 8;
        return mg_sort_run(a, b, n, s);

    case 16:
        s.size = 16;
        return mg_sort_run(a, b, n, s);

    case 24:
        s.size = 24;
        return mg_sort_run(a, b, n, s);

    default:
        return mg_sort_run(a, b, n, s);
    }
}


mg_sort_inline int
mg_sort_cmp(const char *a, const char *b, mg_sort_t s)
{
    char  *one, *two;

    if (!s.pointers) {
        return s.cmp(a, b);
    }

    memcpy(&one, a, sizeof(one));
    memcpy(&two, b, sizeof(two));

    return s.cmp(one, two);
}


/* Returns the one of the two arrays that is sorted in the end. */

mg_sort_inline char *
mg_sort_run(char *a, char *b, size_t n, mg_sort_t s)
{
    char    *swap;
    size_t   i, run, middle, end;

    for (i = 0; i < n; i += MG_SORT_RUN) {
        mg_sort_insert(a + i * s.size,
                       n - i < MG_SORT_RUN ? n - i : MG_SORT_RUN, s);
    }

    for (run = MG_SORT_RUN; run < n; run *= 2) {

        for (i = 0; i < n; i = end) {
            middle = n - i < run ? n : i + run;
            end = n - middle < run ? n : middle + run;

            if (middle == end
                || mg_sort_cmp(a + (middle - 1) * s.size,
                               a + middle * s.size, s) <= 0)
            {
                memcpy(b + i * s.size, a + i * s.size, (end - i) * s.size);

            } else {
                mg_priority_breathe();
                mg_sort_merge(b + i * s.size, a + i * s.size,
                              a + middle * s.size, a + end * s.size, s);
            }
        }

        swap = a;
        a = b;
        b = swap;
    }

    return a;
}


mg_sort_inline void
mg_sort_insert(char *a, size_t n, mg_sort_t s)
{
    char    one[MG_SORT_DIRECT];
    size_t  i, j;

    for (i = 1; i < n; i++) {
        memcpy(one, a + i * s.size, s.size);

        for (j = i; j > 0 && mg_sort_cmp(a + (j - 1) * s.size, one, s) > 0;
             j--)
        {
            memcpy(a + j * s.size, a + (j - 1) * s.size, s.size);
        }

        memcpy(a + j * s.size, one, s.size);
    }
}


/* b begins where a ends; of equals that of a comes first. */

mg_sort_inline void
mg_sort_merge(char *to, const char *a, const char *b, const char *end,
    mg_sort_t s)
{
    const char  *middle;

    middle = b;

    while (a != middle && b != end) {
        if (mg_sort_cmp(a, b, s) <= 0) {
            memcpy(to, a, s.size);
            a += s.size;

        } else {
            memcpy(to, b, s.size);
            b += s.size;
        }

        to += s.size;
    }

    memcpy(to, a, (size_t) (middle - a));
    to += middle - a;
    memcpy(to, b, (size_t) (end - b));
}
