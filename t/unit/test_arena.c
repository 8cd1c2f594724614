/*
 * test_arena.c: base/mg_arena.h.
 *
 * What would break: a parsed document overwrites itself, or a hostile one
 * takes more memory than its cap.
 */

#include "base/mg_arena.h"
#include "tap.h"


static void
test_many(void)
{
    size_t       i, j, bad, crooked;
    uint8_t     *p[2000];
    mg_arena_t  *a;

    a = mg_arena_create(0);
    bad = 0;
    crooked = 0;

    for (i = 0; i < 2000; i++) {
        p[i] = mg_arena_alloc(a, i);
        memset(p[i], (int) (i & 0xff), i);
        crooked += ((uintptr_t) p[i] % 16 != 0);
    }

    for (i = 0; i < 2000; i++) {
        for (j = 0; j < i; j++) {
            bad += (p[i][j] != (i & 0xff));
        }
    }

    is_int(bad, 0, "no allocation overlaps another");
    is_int(crooked, 0, "all are aligned to 16 bytes");
    ok(mg_arena_used(a) >= 1999000, "used counts them");

    mg_arena_reset(a);
    is_int(mg_arena_used(a), 0, "reset forgets");

    p[0] = mg_arena_calloc(a, 4000);

    for (bad = 0, i = 0; i < 4000; i++) {
        bad += p[0][i];
    }

    is_int(bad, 0, "calloc clears reused memory");

    mg_arena_destroy(a);
    mg_arena_destroy(NULL);
}


static void
test_cap(void)
{
    size_t       n;
    mg_arena_t  *a;

    a = mg_arena_create(100000);

    for (n = 0; n < 10000 && mg_arena_alloc(a, 1000) != NULL; n++) {
        /* void */
    }

    ok(n >= 80 && n < 100, "%zu KB fit under a cap of 100000 bytes", n);
    ok(mg_arena_alloc(a, SIZE_MAX) == NULL, "an absurd size is refused");
    ok(mg_arena_alloc(a, SIZE_MAX - 40) == NULL, "without overflow");
    ok(mg_arena_dup(a, mg_str_n("x", SIZE_MAX)).data == NULL, "dup as well");

    mg_arena_reset(a);
    ok(mg_arena_alloc(a, 50000) != NULL, "after reset there is room again");
    ok(mg_arena_alloc(a, 60000) == NULL, "up to the cap");

    mg_arena_destroy(a);
}


static void
test_text(void)
{
    mg_str_t     s;
    mg_arena_t  *a;

    a = mg_arena_create(0);

    s = mg_arena_dup(a, mg_str("a\0b"));
    is_mem(s.data, s.len + 1, "a\0b", 4, "dup keeps NUL and adds one");

    s = mg_arena_dup(a, mg_str_null);
    ok(s.data != NULL && s.len == 0, "dup of nothing is empty");

    s = mg_arena_printf(a, "%s-%d", "x", 7);
    is_str(s.data, "x-7", "printf");
    is_int(s.len, 3, "and its length");

    mg_arena_destroy(a);
}


int
main(void)
{
    test_many();
    test_cap();
    test_text();

    return done_testing();
}
