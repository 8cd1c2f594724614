/*
 * test_sort.c: base/mg_sort.h.
 *
 * What would break: models, titles or words out of order, so that a search
 * by halving misses what is there; or equals that change places, so that
 * equal content gives other bytes.
 */

#include <stdint.h>
#include <stdlib.h>

#include "base/mg_sort.h"
#include "tap.h"


#define SIZE_MAX_TESTED  56

static uint64_t  state = 88172645463325252ULL;


static uint32_t
number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (uint32_t) (state >> 32);
}


/* The first four bytes count. */

static int
cmp(const void *one, const void *two)
{
    uint32_t  a, b;

    memcpy(&a, one, sizeof(a));
    memcpy(&b, two, sizeof(b));

    return (a > b) - (a < b);
}


/* Keys in order, equals by their number behind the key, the rest intact. */

static int
sorted(const char *p, size_t n, size_t size)
{
    size_t    i, j;
    uint32_t  a[2], b[2];

    for (i = 0; i < n; i++) {
        memcpy(b, p + i * size, sizeof(b));

        for (j = sizeof(b); j < size; j++) {
            if (p[i * size + j] != (char) (b[1] + j)) {
                return 0;
            }
        }

        if (i != 0 && (a[0] > b[0] || (a[0] == b[0] && a[1] >= b[1]))) {
            return 0;
        }

        memcpy(a, b, sizeof(a));
    }

    return 1;
}


static void
test_size(size_t size, size_t n, uint32_t keys, const char *what)
{
    char      *p;
    size_t     i, j;
    uint32_t   one[2];

    p = malloc(n * size);

    for (i = 0; i < n; i++) {
        one[0] = keys ? number() % keys : (uint32_t) i;
        one[1] = (uint32_t) i;
        memcpy(p + i * size, one, sizeof(one));

        for (j = sizeof(one); j < size; j++) {
            p[i * size + j] = (char) (i + j);
        }
    }

    mg_sort(p, n, size, cmp);
    ok(sorted(p, n, size), "%zu of %zu bytes, %s", n, size, what);
    free(p);
}


int
main(void)
{
    size_t  i, size;

    static const size_t  counts[] = { 1, 2, 100, 4096, 4099, 30011 };

    for (size = 8; size <= SIZE_MAX_TESTED; size += 4) {
        for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            test_size(size, counts[i], 1000000, "mixed");
            test_size(size, counts[i], 7, "many equals");
            test_size(size, counts[i], 0, "in order already");
        }
    }

    mg_sort(NULL, 0, 8, cmp);
    pass("nothing");

    return done_testing();
}
