/*
 * test_gzip.c: base/mg_gzip.h.
 *
 * What would break: the compressed body of a catalog is not the catalog, or
 * differs from node to node.
 */

#include "base/mg_gzip.h"
#include "tap.h"

#include <stdlib.h>
#include <zlib.h>


/* 1 if packed is one gzip member of exactly these bytes */

static int
unpacks_to(mg_str_t packed, mg_str_t want)
{
    int       rc, same;
    char     *out;
    z_stream  z;

    memset(&z, 0, sizeof(z));
    out = malloc(want.len + 1);
    inflateInit2(&z, 15 + 16);

    z.next_in = (Bytef *) packed.data;
    z.avail_in = (uInt) packed.len;
    z.next_out = (Bytef *) out;
    z.avail_out = (uInt) want.len + 1;

    rc = inflate(&z, Z_FINISH);
    same = (rc == Z_STREAM_END && z.avail_in == 0 && z.total_out == want.len
            && (want.len == 0 || memcmp(out, want.data, want.len) == 0));

    inflateEnd(&z);
    free(out);

    return same;
}


int
main(void)
{
    int         level;
    size_t      i;
    uint32_t    x;
    mg_buf_t    data, one, two;
    mg_error_t  e;

    mg_buf_init(&data, 0);
    mg_buf_init(&one, 0);
    mg_buf_init(&two, 0);

    is_int(mg_gzip(&one, mg_str_null, 6, &e), MG_OK, "nothing");
    ok(unpacks_to(mg_buf_view(&one), mg_str("")), "unpacks to nothing");
    mg_buf_free(&one);

    /* over several pieces of input, half of it incompressible */

    for (x = 1, i = 0; i < 300000; i++) {
        x = x * 1664525 + 1013904223;
        mg_buf_char(&data, (i / 1000) % 2 ? (char) (x >> 24) : 'a');
    }

    for (level = 1; level <= 9; level += 4) {
        one.len = 0;
        mg_buf_z(&one, "before");
        is_int(mg_gzip(&one, mg_buf_view(&data), level, &e), MG_OK,
               "level %d", level);
        is_mem(one.data, 6, "before", 6, "is appended");
        ok(unpacks_to(mg_str_n(one.data + 6, one.len - 6),
                      mg_buf_view(&data)), "and unpacks to the same");
    }

    mg_buf_z(&two, "before");
    mg_gzip(&two, mg_buf_view(&data), 9, &e);
    ok(mg_str_eq(mg_buf_view(&one), mg_buf_view(&two)),
       "the same bytes each time");

    is_int(mg_gzip(&two, mg_str("x"), 42, &e), MG_ERROR, "level 42");
    like(e.message, "\"42\"", "is named");

    mg_buf_free(&two);
    mg_buf_init(&two, 1000);
    mg_buf_z(&two, "before");
    is_int(mg_gzip(&two, mg_buf_view(&data), 6, &e), MG_ERROR, "too small");
    is_int(two.len, 6, "nothing is left of it");

    mg_buf_free(&data);
    mg_buf_free(&one);
    mg_buf_free(&two);

    return done_testing();
}
