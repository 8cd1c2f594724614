/*
 * mg_histogram.c: buckets of durations.
 *
 * Buckets are kept plain and summed up when they are written.  The count
 * that is written is the sum of the buckets as they were read, so the lines
 * of one scrape agree with each other whatever is added meanwhile.
 *
 * Any thread; never blocks.
 */

#include "model/mg_histogram.h"


typedef struct {
    int64_t      us;
    const char  *text;           /* the same in seconds */
} mg_histogram_bound_t;


static const mg_histogram_bound_t  mg_histogram_bounds[MG_HISTOGRAM_BOUNDS] = {
    { 100, "0.0001" },
    { 250, "0.00025" },
    { 500, "0.0005" },
    { 1000, "0.001" },
    { 2500, "0.0025" },
    { 5000, "0.005" },
    { 10000, "0.01" },
    { 25000, "0.025" },
    { 50000, "0.05" },
    { 100000, "0.1" },
    { 200000, "0.2" },
    { 500000, "0.5" },
    { 1000000, "1" },
    { 2500000, "2.5" },
    { 5000000, "5" },
    { 10000000, "10" }
};


void
mg_histogram_add(mg_histogram_t *h, int64_t us)
{
    unsigned  i;

    if (us < 0) {
        us = 0;
    }

    for (i = 0; i < MG_HISTOGRAM_BOUNDS; i++) {
        if (us <= mg_histogram_bounds[i].us) {
            break;
        }
    }

    (void) __atomic_fetch_add(&h->bucket[i], 1, __ATOMIC_RELAXED);
    (void) __atomic_fetch_add(&h->sum_us, (uint64_t) us, __ATOMIC_RELAXED);
}


void
mg_histogram_gather(mg_histogram_t *to, const mg_histogram_t *h)
{
    unsigned  i;

    for (i = 0; i <= MG_HISTOGRAM_BOUNDS; i++) {
        to->bucket[i] += __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
    }

    to->sum_us += __atomic_load_n(&h->sum_us, __ATOMIC_RELAXED);
}


void
mg_histogram_write(mg_buf_t *b, const char *name, const char *label,
    const mg_histogram_t *h)
{
    unsigned            i;
    const char         *le, *comma, *open, *close;
    unsigned long long  count;

    count = 0;
    comma = (label[0] != '\0') ? "," : "";

    for (i = 0; i <= MG_HISTOGRAM_BOUNDS; i++) {
        count += h->bucket[i];
        le = (i < MG_HISTOGRAM_BOUNDS) ? mg_histogram_bounds[i].text : "+Inf";

        mg_buf_printf(b, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, label,
                      comma, le, count);
    }

    open = (label[0] != '\0') ? "{" : "";
    close = (label[0] != '\0') ? "}" : "";

    mg_buf_printf(b, "%s_sum%s%s%s %llu.%06u\n", name, open, label, close,
                  (unsigned long long) (h->sum_us / 1000000),
                  (unsigned) (h->sum_us % 1000000));

    mg_buf_printf(b, "%s_count%s%s%s %llu\n", name, open, label, close,
                  count);
}
