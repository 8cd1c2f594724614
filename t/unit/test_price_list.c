/*
 * What would break: a record names a price list that nobody can look up, two
 * lists have one name, one list has two, or the name changes with a release
 * and the same prices look like new ones.
 */

#include <stdlib.h>

#include "base/mg_hash.h"
#include "model/mg_price_list.h"
#include "tap.h"


#define M(n)   ((int64_t) (n) * 1000000)       /* milli-USD per million */


static uint64_t
list(const mg_cost_prices_t *p, const char *want, const char *what)
{
    mg_buf_t  b;
    uint64_t  version;

    mg_buf_init(&b, 0);
    mg_price_list_write(&b, p);
    is_mem(b.data, b.len, want, strlen(want), "%s", what);
    version = mg_price_list_version(mg_buf_view(&b));
    mg_buf_free(&b);

    return version;
}


int
main(void)
{
    char              hex[65];
    uint8_t           digest[32];
    uint64_t          none, one, two, again;
    mg_sha256_t      *h;
    mg_cost_prices_t  p;

    mg_cost_prices_init(&p);
    none = list(&p, "{}", "no price");
    ok(none == 0, "has no version");

    p.price[MG_PRICE_INPUT] = M(1250);
    p.price[MG_PRICE_OUTPUT] = M(10000);
    one = list(&p, "{\"input\":1.25,\"output\":10}", "two prices");

    mg_sha256(mg_str("{\"input\":1.25,\"output\":10}"), digest);
    mg_hex(digest, 32, hex);
    hex[16] = '\0';
    ok(one == strtoull(hex, NULL, 16), "named by the text: %s", hex);

    p.price[MG_PRICE_CACHE_READ] = 0;
    two = list(&p, "{\"input\":1.25,\"output\":10,\"cache_read\":0}",
               "free is stated");
    ok(two != one, "is another list");

    p.price[MG_COST_PRICE_WRITE_1H] = 1;
    p.tiers_n = 2;
    p.tiers[0] = (mg_cost_tier_t) { 0 };
    memcpy(p.tiers[0].price, p.price, sizeof(p.price));
    memcpy(p.tiers[1].price, p.price, sizeof(p.price));
    p.tiers[0].size = 200000;
    p.tiers[1].size = INT64_MAX;
    p.tiers[1].price[MG_PRICE_INPUT] = MG_UNKNOWN;
    p.tiers[1].price[MG_PRICE_OUTPUT] = INT64_MAX;

    (void) list(&p, "{\"input\":1.25,\"output\":10,\"cache_read\":0,"
                "\"cache_write_1h\":0.000000001,\"tiers\":["
                "{\"above\":200000,\"input\":1.25,\"output\":10,"
                "\"cache_read\":0,\"cache_write_1h\":0.000000001},"
                "{\"above\":9223372036854775807,"
                "\"output\":9223372036.854775807,"
                "\"cache_read\":0,\"cache_write_1h\":0.000000001}]}",
                "tiers, the smallest and the largest figure");

    /* what lies behind the tiers that count is no part of it */

    mg_cost_prices_init(&p);
    p.price[MG_PRICE_INPUT] = M(1250);
    p.price[MG_PRICE_OUTPUT] = M(10000);
    p.tiers[3].size = 77;
    again = list(&p, "{\"input\":1.25,\"output\":10}", "the first one again");
    ok(again == one, "has its version");

    /* the digest of pieces */

    h = mg_sha256_begin();
    mg_sha256_add(h, mg_str("{\"input\":1.25,"));
    mg_sha256_add(h, mg_str(""));
    mg_sha256_add(h, mg_str("\"output\":10}"));
    mg_sha256_end(h, digest);
    mg_hex(digest, 32, hex);
    hex[16] = '\0';
    ok(one == strtoull(hex, NULL, 16), "in pieces it is the same digest");
    mg_sha256_end(mg_sha256_begin(), NULL);
    mg_sha256_end(NULL, digest);

    return done_testing();
}
