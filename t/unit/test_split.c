/*
 * What would break: users change variant without cause, go from one
 * challenger straight to another when shares move, shares are off, or
 * another implementation of the published hash decides otherwise.
 */

#include <stdlib.h>

#include "base/mg_hash.h"
#include "model/mg_split.h"
#include "tap.h"


#define MOVES  3000
#define KEYS   20000


static uint32_t
owner(const mg_split_range_t *r, uint32_t n, uint32_t bucket)
{
    return mg_split_variant(r, n, bucket);
}


static int
whole(const mg_split_range_t *r, uint32_t n, const uint32_t *share,
    uint32_t n_shares)
{
    uint32_t  i, next, have[MG_SPLIT_VARIANTS_MAX] = { 0 };

    for (i = 0, next = 0; i < n; i++) {
        if (r[i].first != next || r[i].last < r[i].first
            || r[i].variant >= n_shares
            || (i != 0 && r[i].variant == r[i - 1].variant))
        {
            return 0;
        }

        have[r[i].variant] += r[i].last - r[i].first + 1;
        next = r[i].last + 1u;
    }

    return next == MG_SPLIT_BUCKETS
           && memcmp(have, share, n_shares * sizeof(uint32_t)) == 0;
}


static void
hash(void)
{
    char      key[15];
    uint8_t   salt[MG_SPLIT_SALT_LEN];
    uint32_t  i, seen, most, least, *count, high;

    for (i = 0; i < 16; i++) {
        salt[i] = (uint8_t) i;
    }

    for (i = 0; i < 15; i++) {
        key[i] = (char) i;
    }

    /* the vectors of the SipHash paper and of its reference code */

    ok(mg_siphash(salt, key, 15) == 0xa129ca6149be45e5ULL, "15 bytes");
    ok(mg_siphash(salt, key, 0) == 0x726fdb47dd0e0e31ULL, "no bytes");

    is_int(mg_split_bucket(salt, mg_str_n(key, 15)), 6295, "bucket of it");
    is_int(mg_split_bucket(salt, mg_str("")), 4470, "bucket of no bytes");

    /* a million keys: 100 a bucket, give or take six standard deviations */

    count = calloc(MG_SPLIT_BUCKETS, sizeof(uint32_t));
    high = 0;

    for (i = 0; i < 1000000; i++) {
        char  text[24];
        int   n;

        n = snprintf(text, sizeof(text), "user-%u", i);
        seen = mg_split_bucket(salt, mg_str_n(text, (size_t) n));

        if (seen >= MG_SPLIT_BUCKETS) {
            high++;
            continue;
        }

        count[seen]++;
    }

    most = 0;
    least = UINT32_MAX;

    for (i = 0; i < MG_SPLIT_BUCKETS; i++) {
        most = count[i] > most ? count[i] : most;
        least = count[i] < least ? count[i] : least;
    }

    is_int(high, 0, "no bucket above the last");
    ok(most < 160 && least > 45, "uniform: %u to %u keys a bucket", least,
       most);

    free(count);
}


static void
simple(void)
{
    uint32_t          n, m;
    mg_error_t        e;
    mg_split_range_t  a[MG_SPLIT_RANGES_MAX], b[MG_SPLIT_RANGES_MAX];

    static const uint32_t  first[] = { 9000, 1000 };
    static const uint32_t  raised[] = { 7500, 2500 };
    static const uint32_t  all[] = { 0, 10000 };
    static const uint32_t  wrong[] = { 9000, 1001 };
    static const uint32_t  wraps[] = { UINT32_MAX, 10001 };

    is_int(mg_split_move(NULL, 0, first, 2, 0, a, &n, &e), MG_OK, "new");
    is_int(n, 2, "two ranges");
    ok(a[0].first == 0 && a[0].last == 999 && a[0].variant == 1,
       "the challenger gets the lowest buckets");
    is_int(owner(a, n, 0), 1, "first bucket");
    is_int(owner(a, n, 999), 1, "last of the challenger");
    is_int(owner(a, n, 1000), 0, "first of the champion");
    is_int(owner(a, n, 9999), 0, "last bucket");

    is_int(mg_split_move(a, n, raised, 2, 0, b, &m, &e), MG_OK, "raised");
    ok(m == 2 && b[0].last == 2499, "its next lowest");

    is_int(mg_split_move(b, m, first, 2, 0, b, &m, &e), MG_OK, "lowered");
    ok(m == n && memcmp(a, b, n * sizeof(mg_split_range_t)) == 0,
       "gives its highest back, in place");

    is_int(mg_split_move(a, n, all, 2, 0, b, &m, &e), MG_OK, "all of it");
    ok(m == 1 && b[0].variant == 1, "one range");

    is_int(mg_split_move(a, n, wrong, 2, 0, b, &m, &e), MG_ERROR, "100.01");
    like(e.message, "100.01", "the message says the sum");
    is_int(mg_split_move(a, n, wraps, 2, 0, b, &m, &e), MG_ERROR,
           "a sum above 32 bits");
    is_int(mg_split_move(a, n, first, 2, 2, b, &m, &e), MG_ERROR, "no base");
    is_int(mg_split_move(a, n, first, 0, 0, b, &m, &e), MG_ERROR, "nothing");

    a[1].variant = 5;
    is_int(mg_split_move(a, n, first, 2, 0, b, &m, &e), MG_ERROR,
           "damaged: unknown variant");
    a[1].variant = 0;
    a[1].first = 1001;
    is_int(mg_split_move(a, n, first, 2, 0, b, &m, &e), MG_ERROR,
           "damaged: a gap");
    a[1].first = 1000;
    a[1].last = 9998;
    is_int(mg_split_move(a, n, first, 2, 0, b, &m, &e), MG_ERROR,
           "damaged: too short");
}


/* Challengers never trade keys while the base has buckets of its own. */

static void
one_way(uint32_t variants)
{
    unsigned          i, moved, wrong, broken, unused, fragmented;
    uint32_t          v, n, m, k, own, growth, bucket, was, now, rest;
    uint32_t          share[MG_SPLIT_VARIANTS_MAX], old[MG_SPLIT_VARIANTS_MAX];
    mg_error_t        e;
    mg_split_range_t  a[MG_SPLIT_RANGES_MAX], b[MG_SPLIT_RANGES_MAX];

    memset(share, 0, sizeof(share));
    share[0] = MG_SPLIT_BUCKETS;
    (void) mg_split_move(NULL, 0, share, variants, 0, a, &n, &e);

    moved = wrong = broken = unused = fragmented = 0;

    for (i = 0; i < MOVES; i++) {
        memcpy(old, share, sizeof(old));
        rest = MG_SPLIT_BUCKETS;

        for (v = 1; v < variants; v++) {
            if (rand() % 2) {
                share[v] = (uint32_t) rand() % (MG_SPLIT_BUCKETS / variants);
            }

            rest -= share[v];
        }

        share[0] = rest;

        if (mg_split_move(a, n, share, variants, 0, b, &m, &e) != MG_OK) {
            fragmented++;

            for (v = 1, share[0] = MG_SPLIT_BUCKETS; v < variants; v++) {
                share[v] = 0;
            }

            (void) mg_split_move(a, n, share, variants, 0, a, &n, &e);
            continue;
        }

        broken += !whole(b, m, share, variants);

        for (v = 1, growth = 0; v < variants; v++) {
            growth += share[v] > old[v] ? share[v] - old[v] : 0;
        }

        own = old[0];
        unused += growth > own;

        for (bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
            was = owner(a, n, bucket);
            now = owner(b, m, bucket);

            if (was == now) {
                continue;
            }

            moved++;

            /* to the base only from one that shrinks, and back likewise */

            k = was == 0 ? now : was;

            if ((was != 0 && now != 0 && growth <= own)
                || (was == 0 && share[k] <= old[k])
                || (now == 0 && share[k] >= old[k]))
            {
                wrong++;
            }
        }

        memcpy(a, b, sizeof(a));
        n = m;
    }

    diag("%u variants: %u keys moved, %u moves refused as too fragmented, "
         "%u where the base had too few", variants, moved, fragmented,
         unused);
    ok(moved > MOVES, "%u variants: shares did move", variants);
    is_int(broken, 0, "%u variants: every split is whole", variants);
    is_int(wrong, 0, "%u variants: nobody moves the wrong way", variants);
}


/* Keys of two challengers, one of which grows from nothing to all but 20 %. */

static void
ramp(void)
{
    char              text[24];
    uint8_t           salt[MG_SPLIT_SALT_LEN];
    uint32_t          i, n, step, now, back, astray, joined;
    uint16_t          was[KEYS];
    mg_error_t        e;
    mg_split_range_t  a[MG_SPLIT_RANGES_MAX];

    for (i = 0; i < MG_SPLIT_SALT_LEN; i++) {
        salt[i] = (uint8_t) (i * 37);
    }

    n = back = astray = joined = 0;

    for (step = 0; step <= 80; step++) {
        const uint32_t  share[] = { 8000 - step * 100, step * 100, 2000 };

        if (mg_split_move(a, n, share, 3, 0, a, &n, &e) != MG_OK) {
            ok(0, "%u %%: %s", step, e.message);
            return;
        }

        for (i = 0; i < KEYS; i++) {
            now = (uint32_t) snprintf(text, sizeof(text), "session-%u", i);
            now = owner(a, n, mg_split_bucket(salt, mg_str_n(text, now)));

            if (step != 0) {
                back += was[i] == 1 && now != 1;
                astray += (was[i] == 2) != (now == 2);
                joined += was[i] == 0 && now == 1;
            }

            was[i] = (uint16_t) now;
        }
    }

    is_int(back, 0, "a share that grows loses no key");
    is_int(astray, 0, "and takes none of another challenger");
    ok(joined > KEYS * 79 / 100 && joined < KEYS * 81 / 100,
       "%u of %u keys came to it", joined, KEYS);
}


/* What a change of many variants at once must keep. */

static void
gone(void)
{
    uint32_t          n, m, bucket, wrong;
    mg_error_t        e;
    mg_split_range_t  a[MG_SPLIT_RANGES_MAX], b[MG_SPLIT_RANGES_MAX];

    static const uint32_t  three[] = { 5000, 2000, 3000 };
    static const uint32_t  two[] = { 4000, 6000 };
    static const uint32_t  swapped[] = { 1000, 8000, 1000 };
    static const uint32_t  crowded[] = { 0, 5000, 5000 };

    (void) mg_split_move(NULL, 0, three, 3, 0, a, &n, &e);

    /* variant 1 is removed, variant 2 becomes 1 and grows */

    for (m = 0; m < n; m++) {
        b[m] = a[m];
        b[m].variant = a[m].variant == 1 ? UINT16_MAX
                                         : a[m].variant == 2 ? 1 : 0;
    }

    is_int(mg_split_move(b, n, two, 2, 0, b, &m, &e), MG_OK, "one is gone");
    ok(whole(b, m, two, 2), "the rest adds up");

    for (bucket = 0, wrong = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
        if (owner(a, n, bucket) == 1 && owner(b, m, bucket) != 0) {
            wrong++;
        }

        if (owner(a, n, bucket) == 2 && owner(b, m, bucket) != 1) {
            wrong++;
        }
    }

    is_int(wrong, 0, "the users of the removed one go to the champion");

    /* promotion: variant 1 is the champion now */

    is_int(mg_split_move(a, n, swapped, 3, 1, b, &m, &e), MG_OK, "promoted");
    ok(whole(b, m, swapped, 3), "shares of the promotion");

    /* champion 5000 of its own, growth 5000: 2000 of it from who shrinks */

    (void) mg_split_move(NULL, 0, (const uint32_t[]) { 1000, 8000, 1000 }, 3,
                         0, a, &n, &e);
    is_int(mg_split_move(a, n, crowded, 3, 0, b, &m, &e), MG_OK,
           "the base has too few: the others shrink first");
    ok(whole(b, m, crowded, 3), "shares of it");
}


int
main(void)
{
    srand(20260101);

    hash();
    simple();
    gone();
    ramp();
    one_way(2);
    one_way(3);
    one_way(5);
    one_way(16);

    return done_testing();
}
