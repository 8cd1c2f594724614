/*
 * mg_eject.h: a split without the variants that do not answer.
 *
 * The split of a group is kept as it was agreed; what is served is made of
 * it, while those that were found unavailable are out: their buckets go to
 * the others in proportion to what these have.  When they are back the kept
 * split holds again, bucket by bucket, so every user returns to the variant
 * that he came from, and whoever was not concerned never moved.
 *
 * Plain data, pure; any thread; never blocks.
 */

#ifndef MG_EJECT_H
#define MG_EJECT_H

#include "model/mg_split.h"


/*
 * ranges: room for MG_SPLIT_RANGES_MAX, *n of them; gone[v] 1: variant v is
 * out, of n_variants.  Returns how many variants lost buckets.  0: nothing
 * has changed, also when nobody would be left.
 */
unsigned mg_split_eject(mg_split_range_t *ranges, uint32_t *n,
    const uint8_t *gone, uint32_t n_variants);


#endif /* MG_EJECT_H */
