/*
 * Redis: if this breaks, a node is given another snapshot than was put, or
 * waits for a Redis that is not there.  Images are any bytes, and large; the
 * address of a private Redis is in MODEL_TEST_REDIS, without it the test is
 * skipped.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mg_time.h"
#include "snapshot/mg_snap.h"
#include "store/mg_redis.h"
#include "tap.h"


int
main(void)
{
    char         *image;
    size_t        i, size;
    int64_t       start;
    mg_buf_t      b;
    mg_error_t    e;
    mg_redis_t   *r;
    const char   *address;

    (void) signal(SIGPIPE, SIG_IGN);
    address = getenv("MODEL_TEST_REDIS");

    if (address == NULL) {
        printf("1..0 # SKIP MODEL_TEST_REDIS is not set\n");
        return 0;
    }

    size = 3 * 1024 * 1024 + 17;
    image = malloc(size);

    for (i = 0; i < size; i++) {
        image[i] = (char) (i * 7 + i / 251);
    }

    mg_buf_init(&b, 0);
    r = mg_redis_create(address);

    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, &b, &e), MG_DECLINED,
           "not there");
    is_int(mg_redis_snap_put(r, MG_SNAP_CATALOG, 7, mg_str_n(image, size),
                             &e), MG_OK, "put");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, &b, &e), MG_OK, "got");
    is_mem(b.data, b.len, image, size, "every byte");
    is_int(mg_redis_snap_get(r, MG_SNAP_ROUTING, 7, &b, &e), MG_DECLINED,
           "another kind");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 8, &b, &e), MG_DECLINED,
           "another generation");
    mg_redis_destroy(r);

    r = mg_redis_create("unix:/nowhere/redis.sock");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, &b, &e), MG_ERROR,
           "no Redis");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");

    start = mg_mono_us();

    for (i = 0; i < 1000; i++) {
        (void) mg_redis_snap_put(r, MG_SNAP_CATALOG, 7, mg_str("x"), &e);
    }

    ok(mg_mono_us() - start < 1000000, "and is left alone for a while");
    mg_redis_destroy(r);

    mg_buf_free(&b);
    free(image);

    return done_testing();
}
