/*
 * mg_split.c: buckets, who owns them, and how ownership moves.
 *
 * A move spreads the old ranges over one owner a bucket (10,000 words on
 * the stack), changes owners, and writes ranges again:
 *
 *     1. variants that are gone give all to the base
 *     2. variants that shrink give their highest buckets to the base
 *     3. variants that grow take the base's lowest buckets; first those
 *        that the base had before the move, and what 1 and 2 gave back
 *        only when these are used up
 *
 * The preference in 3 is what keeps a user from going straight from one
 * challenger to another as long as the base has buckets of its own.
 *
 * Buckets and variants: event loop.  Moves: pool threads.  Pure.
 */

#include "base/mg_hash.h"
#include "model/mg_split.h"


/* who owns each bucket, and which of the base's were given back just now */

typedef struct {
    uint16_t  owner[MG_SPLIT_BUCKETS];
    uint8_t   fresh[MG_SPLIT_BUCKETS];
    uint32_t  have[MG_SPLIT_VARIANTS_MAX];
} mg_split_map_t;


static int mg_split_check(const uint32_t *share, uint32_t n, uint32_t base,
    mg_error_t *e);
static int mg_split_spread(mg_split_map_t *map, const mg_split_range_t *old,
    uint32_t n_old, uint32_t n, uint32_t base, mg_error_t *e);
static void mg_split_shrink(mg_split_map_t *map, uint32_t v, uint32_t share,
    uint32_t base);
static void mg_split_grow(mg_split_map_t *map, uint32_t v, uint32_t share,
    uint32_t base);
static int mg_split_gather(const mg_split_map_t *map, mg_split_range_t *out,
    uint32_t *n_out, mg_error_t *e);


uint32_t
mg_split_bucket(const uint8_t salt[MG_SPLIT_SALT_LEN], mg_str_t key)
{
    unsigned __int128  wide;

    wide = mg_siphash(salt, key.data, key.len);
    wide *= MG_SPLIT_BUCKETS;

    return (uint32_t) (wide >> 64);
}


uint32_t
mg_split_variant(const mg_split_range_t *ranges, uint32_t n, uint32_t bucket)
{
    uint32_t  low, high, middle;

    low = 0;
    high = n - 1;

    while (low < high) {
        middle = (low + high) / 2;

        if (ranges[middle].last < bucket) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return ranges[low].variant;
}


int
mg_split_move(const mg_split_range_t *old, uint32_t n_old,
    const uint32_t *share, uint32_t n, uint32_t base, mg_split_range_t *out,
    uint32_t *n_out, mg_error_t *e)
{
    uint32_t        v;
    mg_split_map_t  map;

    *n_out = 0;

    if (mg_split_check(share, n, base, e) != MG_OK
        || mg_split_spread(&map, old, n_old, n, base, e) != MG_OK)
    {
        return MG_ERROR;
    }

    for (v = 0; v < n; v++) {
        if (v != base && map.have[v] > share[v]) {
            mg_split_shrink(&map, v, share[v], base);
        }
    }

    for (v = 0; v < n; v++) {
        if (v != base && map.have[v] < share[v]) {
            mg_split_grow(&map, v, share[v], base);
        }
    }

    return mg_split_gather(&map, out, n_out, e);
}


static int
mg_split_check(const uint32_t *share, uint32_t n, uint32_t base,
    mg_error_t *e)
{
    uint32_t  v;
    uint64_t  sum;

    if (n == 0 || n > MG_SPLIT_VARIANTS_MAX || base >= n) {
        return mg_error_set(e, MG_E_INVALID, "models",
                            "a split has 1 to %d variants, one of them the "
                            "champion; there are %u", MG_SPLIT_VARIANTS_MAX,
                            (unsigned) n);
    }

    sum = 0;

    for (v = 0; v < n; v++) {
        sum += share[v];
    }

    if (sum != MG_SPLIT_BUCKETS) {
        return mg_error_set(e, MG_E_INVALID, "traffic_percentage",
                            "the shares add up to %llu.%02llu, not to 100; "
                            "change traffic_percentage of a member",
                            (unsigned long long) sum / 100,
                            (unsigned long long) sum % 100);
    }

    return MG_OK;
}


static int
mg_split_spread(mg_split_map_t *map, const mg_split_range_t *old,
    uint32_t n_old, uint32_t n, uint32_t base, mg_error_t *e)
{
    uint8_t   fresh;
    uint32_t  i, bucket, next, v;

    memset(map->have, 0, sizeof(map->have));
    next = 0;

    for (i = 0; i < n_old; i++) {
        v = old[i].variant;
        fresh = (v == UINT16_MAX);

        if (fresh) {
            v = base;
        }

        if (old[i].first != next || old[i].last < old[i].first
            || old[i].last >= MG_SPLIT_BUCKETS || v >= n)
        {
            return mg_error_set(e, MG_E_INTERNAL, NULL,
                                "range %u of the stored split is damaged: "
                                "buckets %u to %u of variant %u",
                                (unsigned) i, old[i].first, old[i].last,
                                old[i].variant);
        }

        for (bucket = next; bucket <= old[i].last; bucket++) {
            map->owner[bucket] = (uint16_t) v;
            map->fresh[bucket] = fresh;
        }

        map->have[v] += bucket - next;
        next = bucket;
    }

    if (n_old != 0 && next != MG_SPLIT_BUCKETS) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the stored split ends at bucket %u of %d",
                            (unsigned) next, MG_SPLIT_BUCKETS);
    }

    if (n_old == 0) {
        for (bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
            map->owner[bucket] = (uint16_t) base;
            map->fresh[bucket] = 0;
        }

        map->have[base] = MG_SPLIT_BUCKETS;
    }

    return MG_OK;
}


static void
mg_split_shrink(mg_split_map_t *map, uint32_t v, uint32_t share,
    uint32_t base)
{
    uint32_t  bucket;

    for (bucket = MG_SPLIT_BUCKETS; map->have[v] > share; /* void */ ) {
        bucket--;

        if (map->owner[bucket] == v) {
            map->owner[bucket] = (uint16_t) base;
            map->fresh[bucket] = 1;
            map->have[v]--;
            map->have[base]++;
        }
    }
}


/* The shares add up, so the base has enough once all others have shrunk. */

static void
mg_split_grow(mg_split_map_t *map, uint32_t v, uint32_t share, uint32_t base)
{
    uint8_t   fresh;
    uint32_t  bucket;

    for (fresh = 0; fresh <= 1; fresh++) {
        for (bucket = 0;
             bucket < MG_SPLIT_BUCKETS && map->have[v] < share;
             bucket++)
        {
            if (map->owner[bucket] == base && map->fresh[bucket] == fresh) {
                map->owner[bucket] = (uint16_t) v;
                map->have[base]--;
                map->have[v]++;
            }
        }
    }
}


static int
mg_split_gather(const mg_split_map_t *map, mg_split_range_t *out,
    uint32_t *n_out, mg_error_t *e)
{
    uint32_t  bucket, n;

    n = 0;

    for (bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {

        if (n != 0 && out[n - 1].variant == map->owner[bucket]) {
            out[n - 1].last = (uint16_t) bucket;
            continue;
        }

        if (n == MG_SPLIT_RANGES_MAX) {
            return mg_error_set(e, MG_E_CONFLICT, "traffic_percentage",
                                "so many changes have cut the split into "
                                "more than %d pieces; set the challengers "
                                "to 0 and then to their shares",
                                MG_SPLIT_RANGES_MAX);
        }

        out[n].first = (uint16_t) bucket;
        out[n].last = (uint16_t) bucket;
        out[n].variant = map->owner[bucket];
        n++;
    }

    *n_out = n;

    return MG_OK;
}
