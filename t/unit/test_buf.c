/*
 * test_buf.c: base/mg_buf.h.
 *
 * What would break: half an answer is sent as a whole one because a failure
 * to grow went unnoticed.
 */

#include "base/mg_buf.h"
#include "tap.h"

#include <stdlib.h>


static void
test_grow(void)
{
    int       i;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    ok(mg_buf_view(&b).len == 0, "empty at first");

    for (i = 0; i < 1000; i++) {
        mg_buf_printf(&b, "%03d,", i);
    }

    is_int(b.len, 4000, "length");
    ok(!b.failed, "no failure");
    is_mem(b.data + 3996, 4, "999,", 4, "the last number");

    mg_buf_char(&b, 'x');
    mg_buf_z(&b, "yz");
    mg_buf_str(&b, mg_str_null);
    mg_buf_add(&b, "\0", 1);
    is_mem(b.data + 4000, b.len - 4000, "xyz\0", 4, "all ways to append");

    mg_buf_free(&b);
    ok(b.data == NULL && b.len == 0, "the buffer is empty when it is freed");

    mg_buf_z(&b, "again");
    is_mem(b.data, b.len, "again", 5, "and can be used again");
    mg_buf_free(&b);
}


static void
test_cap(void)
{
    mg_buf_t  b;

    mg_buf_init(&b, 10);
    mg_buf_z(&b, "0123456789");
    ok(!b.failed, "the cap can be filled");

    mg_buf_char(&b, 'x');
    ok(b.failed, "one more byte fails");
    is_int(b.len, 10, "and is not there");

    mg_buf_free(&b);
    ok(!b.failed, "free clears the failure");

    mg_buf_printf(&b, "%s", "01234567890");
    ok(b.failed && b.len == 0, "printf does not write a part");
    mg_buf_z(&b, "x");
    ok(b.failed && b.len == 0, "a failure sticks");
    ok(mg_buf_reserve(&b, SIZE_MAX) == NULL, "an absurd size is refused");
    mg_buf_free(&b);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "x");
    ok(mg_buf_reserve(&b, SIZE_MAX) == NULL, "behind a byte, too");
    mg_buf_free(&b);
}


int
main(void)
{
    test_grow();
    test_cap();

    return done_testing();
}
