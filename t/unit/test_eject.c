/*
 * Breaks when a variant that does not answer keeps users, when others lose
 * theirs because of it, when the last one is taken out, or when buckets are
 * lost; when the time that is left is guessed wrongly; when runs ask a host
 * more at once than it takes, or one that was killed holds it for ever.
 */

#include "tap.h"

#include "model/mg_eject.h"
#include "model/mg_host.h"
#include "model/mg_rate.h"


static uint32_t
owned(const mg_split_range_t *ranges, uint32_t n, uint32_t variant)
{
    uint32_t  i, buckets;

    for (i = 0, buckets = 0; i < n; i++) {
        if (ranges[i].variant == variant) {
            buckets += ranges[i].last - ranges[i].first + 1u;
        }
    }

    return buckets;
}


static int
gapless(const mg_split_range_t *ranges, uint32_t n)
{
    uint32_t  i, next;

    for (i = 0, next = 0; i < n; i++) {
        if (ranges[i].first != next || ranges[i].last < ranges[i].first) {
            return 0;
        }

        next = ranges[i].last + 1u;
    }

    return next == MG_SPLIT_BUCKETS;
}


static void
test_eject(void)
{
    uint32_t          n, i, moved;
    mg_split_range_t  ranges[MG_SPLIT_RANGES_MAX];
    const uint8_t     second[4] = { 0, 1, 0, 0 };
    const uint8_t     two[4] = { 1, 1, 0, 0 };
    const uint8_t     all[4] = { 1, 1, 1, 0 };
    const uint8_t     unused[4] = { 0, 0, 0, 1 };

    static const mg_split_range_t  split[] = {
        { 0, 999, 1 }, { 1000, 6999, 0 }, { 7000, 8999, 1 },
        { 9000, 9999, 2 }
    };

    memcpy(ranges, split, sizeof(split));
    n = 4;
    is_int(mg_split_eject(ranges, &n, second, 4), 1, "one is taken out");
    ok(gapless(ranges, n), "the split is whole");
    is_int(owned(ranges, n, 1), 0, "it has nothing");
    is_int(owned(ranges, n, 0), 8572, "six sevenths of its part");
    is_int(owned(ranges, n, 2), 1428, "and one seventh");

    for (moved = 0, i = 0; i < MG_SPLIT_BUCKETS; i++) {
        moved += mg_split_variant(split, 4, i) != 1
                 && mg_split_variant(split, 4, i)
                    != mg_split_variant(ranges, n, i);
    }

    is_int(moved, 0, "nobody else moved");

    memcpy(ranges, split, sizeof(split));
    n = 4;
    is_int(mg_split_eject(ranges, &n, two, 4), 2, "two are taken out");
    is_int(owned(ranges, n, 2), MG_SPLIT_BUCKETS, "the last one has all");
    is_int(n, 1, "in one range");

    memcpy(ranges, split, sizeof(split));
    n = 4;
    is_int(mg_split_eject(ranges, &n, all, 4), 0, "never the last one");
    ok(memcmp(ranges, split, sizeof(split)) == 0, "nothing is changed");
    is_int(mg_split_eject(ranges, &n, unused, 4), 0, "one without traffic");
}


/* As many ranges as there may be, each between two others. */

static void
test_eject_full(void)
{
    uint32_t          n, i;
    mg_split_range_t  ranges[MG_SPLIT_RANGES_MAX];
    const uint8_t     gone[3] = { 0, 0, 1 };

    for (i = 0; i < MG_SPLIT_RANGES_MAX; i++) {
        ranges[i].first = (uint16_t) (i * 39);
        ranges[i].last = (uint16_t) (i * 39 + 38);
        ranges[i].variant = (uint16_t) (i % 3);
    }

    ranges[MG_SPLIT_RANGES_MAX - 1].last = MG_SPLIT_BUCKETS - 1;
    n = MG_SPLIT_RANGES_MAX;

    is_int(mg_split_eject(ranges, &n, gone, 3), 1, "of 256 ranges");
    ok(n <= MG_SPLIT_RANGES_MAX && gapless(ranges, n), "the split is whole");
    is_int(owned(ranges, n, 2), 0, "without the one that is out");
}


static void
test_rate(void)
{
    int        i;
    mg_rate_t  r;

    mg_rate_begin(&r, 1000000);
    is_int(mg_rate_left(&r, 1500000, 0, 100), -1, "nothing measured");
    is_int(mg_rate_left(&r, 1500000, 7, 0), 0, "nothing left");
    is_int(mg_rate_left(&r, 2000000, 10, 50), 5, "ten a second");

    /* slow for a while, then a hundred a second */

    for (i = 1; i <= 60; i++) {
        mg_rate_add(&r, 1000000 + i * INT64_C(1000000), i);
    }

    for (i = 61; i <= 90; i++) {
        mg_rate_add(&r, 1000000 + i * INT64_C(1000000),
                    60 + (i - 60) * 100);
    }

    is_int(mg_rate_left(&r, INT64_C(91000000), 3060, 1000), 10,
           "the rate of the last seconds");
    is_int(mg_rate_left(&r, INT64_C(91000000), 3060, 34), 1, "rounded up");
    ok(mg_rate_left(&r, INT64_C(191000000), 3060, 1000) > 30,
       "it grows while nothing is done");
}


static void
test_host(void)
{
    int                i, n;
    int64_t            now;
    mg_host_run_t      a, b, c;
    static mg_hosts_t  hosts;

    now = INT64_C(1000000000);
    mg_host_begin(&a, &hosts, mg_str("Example.com:443"), 6);
    mg_host_begin(&b, &hosts, mg_str("example.com:443"), 6);
    mg_host_begin(&c, &hosts, mg_str("example.com:8443"), 6);

    for (n = 0, i = 0; i < 10; i++) {
        n += mg_host_enter(&a, now);
    }

    is_int(n, 6, "one run has all");
    is_int(mg_host_enter(&b, now), 0, "another waits");
    is_int(mg_host_enter(&c, now), 1, "another port is another host");

    mg_host_leave(&a, now);
    is_int(mg_host_enter(&a, now), 0, "who has more than its share waits");
    is_int(mg_host_enter(&b, now), 1, "the other one goes");

    for (i = 0; i < 5; i++) {
        mg_host_leave(&a, now);
        n = mg_host_enter(&b, now);
    }

    is_int(b.held, 3, "an even share");

    /* a is killed: it is not heard of any more */

    for (i = 0; i < 20; i++) {
        now += 1000000;
        mg_host_renew(&b, now);
    }

    for (n = 0, i = 0; i < 10; i++) {
        n += mg_host_enter(&b, now);
    }

    is_int(n, 3, "what it held is free");
    mg_host_end(&b);
    mg_host_end(&c);

    mg_host_begin(&a, NULL, mg_str("x"), 1);
    ok(mg_host_enter(&a, now) && mg_host_enter(&a, now), "not bounded");
    mg_host_end(&a);
}


int
main(void)
{
    test_eject();
    test_eject_full();
    test_rate();
    test_host();

    return done_testing();
}
