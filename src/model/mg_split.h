/*
 * mg_split.h: which variant a sticky key gets.
 *
 * A split is a list of ranges over 10,000 ordered buckets, stored with the
 * group and changed, never recomputed: raising a challenger takes the
 * champion's lowest buckets, lowering it gives its own highest back to
 * the champion, so users move one way only and never between challengers.
 *
 *     bucket = (siphash-2-4(salt, key) * 10000) >> 64
 *
 * Plain data, pure functions; any thread; never blocks.
 */

#ifndef MG_SPLIT_H
#define MG_SPLIT_H

#include "base/mg_error.h"


#define MG_SPLIT_BUCKETS        10000
#define MG_SPLIT_VARIANTS_MAX   16
#define MG_SPLIT_RANGES_MAX     256
#define MG_SPLIT_SALT_LEN       16


/* Buckets [first, last] belong to variant; ranges are sorted, gapless. */
typedef struct {
    uint16_t  first;
    uint16_t  last;
    uint16_t  variant;
} mg_split_range_t;


uint32_t mg_split_bucket(const uint8_t salt[MG_SPLIT_SALT_LEN], mg_str_t key);

/* The variant that owns a bucket; n ranges; binary search. */
uint32_t mg_split_variant(const mg_split_range_t *ranges, uint32_t n,
    uint32_t bucket);

/*
 * Moves a split to new shares.  old: n_old ranges, 0 for a new group, whose
 * variant numbers are those of the new list (UINT16_MAX: a variant that
 * is gone).  share[v]: buckets that variant v shall own, n variants, sum
 * 10,000.  base: the variant that gives and takes (the champion).  Writes
 * the ranges into out (room for MG_SPLIT_RANGES_MAX) and their number into
 * *n_out.  MG_ERROR if the shares do not add up or the split is too
 * fragmented (more than MG_SPLIT_RANGES_MAX ranges).
 */
int mg_split_move(const mg_split_range_t *old, uint32_t n_old,
    const uint32_t *share, uint32_t n, uint32_t base,
    mg_split_range_t *out, uint32_t *n_out, mg_error_t *e);


#endif /* MG_SPLIT_H */
