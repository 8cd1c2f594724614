/*
 * mg_histogram.h: how long things take, as buckets in shared memory.
 *
 *     | bucket 0 | ... | bucket 15 | the rest | sum |      64-bit words
 *
 * One set of bounds for all, from 100 us to 10 s, so that any two can be
 * added up and a rule can name a bound (0.2 and 0.5 s are among them).  Each
 * worker slot has its own; they are added up when /metrics is read.  Words
 * are added to with relaxed atomics, by worker and pool threads; a killed
 * worker leaves nothing to repair.
 *
 * Any thread; never blocks.
 */

#ifndef MG_HISTOGRAM_H
#define MG_HISTOGRAM_H

#include "base/mg_buf.h"


#define MG_HISTOGRAM_BOUNDS   16      /* the infinite one apart */


typedef struct {
    uint64_t  bucket[MG_HISTOGRAM_BOUNDS + 1];
    uint64_t  sum_us;
} mg_histogram_t;


/* One more that took so long; below 0 counts as 0. */
void mg_histogram_add(mg_histogram_t *h, int64_t us);

/* Adds what h holds now to *to, which belongs to the caller alone. */
void mg_histogram_gather(mg_histogram_t *to, const mg_histogram_t *h);

/*
 * The lines _bucket, _sum and _count in Prometheus text format 0.0.4,
 * seconds, without HELP and TYPE.  label: rendered, "" for none.
 */
void mg_histogram_write(mg_buf_t *b, const char *name, const char *label,
    const mg_histogram_t *h);


#endif /* MG_HISTOGRAM_H */
