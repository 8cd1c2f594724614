/*
 * mg_eject.c: hands buckets of variants that are out to the others.
 *
 * Each of the others gets one run of the buckets that are free, in their
 * order, as many as its part of the split is.  Should that make more ranges
 * than a split may have, the largest of them gets all.
 *
 * Called while the routing snapshot is read, on pool threads.
 */

#include "model/mg_eject.h"


typedef struct {
    uint16_t  owner[MG_SPLIT_BUCKETS];
    uint32_t  have[MG_SPLIT_VARIANTS_MAX];
    uint32_t  gets[MG_SPLIT_VARIANTS_MAX];
    uint32_t  free;                /* buckets of those that are out */
    uint32_t  most;                /* variant with the largest part */
} mg_eject_map_t;


static int
mg_eject_spread(mg_eject_map_t *map, const mg_split_range_t *ranges,
    uint32_t n, uint32_t n_variants)
{
    uint32_t  i, bucket;

    memset(map->have, 0, sizeof(map->have));

    for (i = 0; i < n; i++) {
        if (ranges[i].variant >= n_variants
            || ranges[i].last >= MG_SPLIT_BUCKETS)
        {
            return MG_ERROR;
        }

        for (bucket = ranges[i].first; bucket <= ranges[i].last; bucket++) {
            map->owner[bucket] = ranges[i].variant;
            map->have[ranges[i].variant]++;
        }
    }

    return MG_OK;
}


/* What each of those that stay gets.  0: nothing is to be done. */

static unsigned
mg_eject_divide(mg_eject_map_t *map, const uint8_t *gone,
    uint32_t n_variants)
{
    unsigned  n;
    uint32_t  v, given;

    map->free = 0;
    map->most = UINT32_MAX;

    for (n = 0, v = 0; v < n_variants; v++) {
        if (gone[v]) {
            map->free += map->have[v];
            n += (map->have[v] > 0);

        } else if (map->have[v] > 0
                   && (map->most == UINT32_MAX
                       || map->have[v] > map->have[map->most]))
        {
            map->most = v;
        }
    }

    if (map->free == 0 || map->most == UINT32_MAX) {
        return 0;
    }

    for (given = 0, v = 0; v < n_variants; v++) {
        map->gets[v] = gone[v] ? 0 : map->free * map->have[v]
                                     / (MG_SPLIT_BUCKETS - map->free);
        given += map->gets[v];
    }

    map->gets[map->most] += map->free - given;

    return n;
}


static void
mg_eject_hand_over(mg_eject_map_t *map, const uint8_t *gone)
{
    uint32_t  v, bucket;

    for (v = 0, bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
        if (!gone[map->owner[bucket]]) {
            continue;
        }

        while (map->gets[v] == 0) {
            v++;
        }

        map->gets[v]--;
        map->owner[bucket] = (uint16_t) v;
    }
}


/* Number of ranges; above MG_SPLIT_RANGES_MAX they are not all written. */

static uint32_t
mg_eject_gather(const mg_eject_map_t *map, mg_split_range_t *ranges)
{
    uint32_t  n, bucket;

    for (n = 0, bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
        if (bucket == 0 || map->owner[bucket] != map->owner[bucket - 1]) {
            n++;

            if (n <= MG_SPLIT_RANGES_MAX) {
                ranges[n - 1].first = (uint16_t) bucket;
                ranges[n - 1].variant = map->owner[bucket];
            }
        }

        if (n <= MG_SPLIT_RANGES_MAX) {
            ranges[n - 1].last = (uint16_t) bucket;
        }
    }

    return n;
}


unsigned
mg_split_eject(mg_split_range_t *ranges, uint32_t *n, const uint8_t *gone,
    uint32_t n_variants)
{
    uint32_t          bucket, count;
    unsigned          ejected;
    mg_eject_map_t    map;
    mg_split_range_t  out[MG_SPLIT_RANGES_MAX];

    if (*n == 0 || n_variants > MG_SPLIT_VARIANTS_MAX
        || mg_eject_spread(&map, ranges, *n, n_variants) != MG_OK)
    {
        return 0;
    }

    ejected = mg_eject_divide(&map, gone, n_variants);

    if (ejected == 0) {
        return 0;
    }

    mg_eject_hand_over(&map, gone);
    count = mg_eject_gather(&map, out);

    if (count > MG_SPLIT_RANGES_MAX) {
        (void) mg_eject_spread(&map, ranges, *n, n_variants);

        for (bucket = 0; bucket < MG_SPLIT_BUCKETS; bucket++) {
            if (gone[map.owner[bucket]]) {
                map.owner[bucket] = (uint16_t) map.most;
            }
        }

        count = mg_eject_gather(&map, out);
    }

    if (count > MG_SPLIT_RANGES_MAX) {
        return 0;
    }

    memcpy(ranges, out, count * sizeof(mg_split_range_t));
    *n = count;

    return ejected;
}
