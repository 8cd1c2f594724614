/*
 * What would break: an alert that never comes, or comes for nothing, because
 * a duration is counted in the wrong bucket, buckets do not add up, or a sum
 * is in another unit than its bounds; a scrape whose lines contradict each
 * other.
 */

#include <stdlib.h>

#include "model/mg_histogram.h"
#include "tap.h"


static char *
text(const char *label, const mg_histogram_t *h)
{
    char      *s;
    mg_buf_t   b;

    mg_buf_init(&b, 0);
    mg_histogram_write(&b, "d_seconds", label, h);
    mg_buf_char(&b, '\0');

    s = strdup(b.data);
    mg_buf_free(&b);

    return s;
}


static void
test_empty(void)
{
    char            *s;
    mg_histogram_t   h;

    memset(&h, 0, sizeof(h));
    s = text("", &h);

    like(s, "d_seconds_bucket{le=\"0.0001\"} 0\n", "the first bucket");
    like(s, "d_seconds_bucket{le=\"+Inf\"} 0\n", "the last one");
    like(s, "\nd_seconds_sum 0.000000\n", "nothing took no time");
    like(s, "\nd_seconds_count 0\n", "nothing");

    free(s);
}


static void
test_bounds(void)
{
    char            *s;
    mg_histogram_t   h;

    memset(&h, 0, sizeof(h));

    mg_histogram_add(&h, -5);
    mg_histogram_add(&h, 100);
    mg_histogram_add(&h, 101);
    mg_histogram_add(&h, 200000);
    mg_histogram_add(&h, 200001);
    mg_histogram_add(&h, 10000000);
    mg_histogram_add(&h, 3600000000LL);

    s = text("kind=\"a\"", &h);

    like(s, "d_seconds_bucket{kind=\"a\",le=\"0.0001\"} 2\n",
         "a bound belongs to its bucket, below 0 is 0");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"0.00025\"} 3\n",
         "a microsecond more does not; buckets add up");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"0.1\"} 3\n", "below 200 ms");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"0.2\"} 4\n", "200 ms");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"0.5\"} 5\n", "above");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"10\"} 6\n", "ten seconds");
    like(s, "d_seconds_bucket{kind=\"a\",le=\"+Inf\"} 7\n", "an hour");
    like(s, "\nd_seconds_sum{kind=\"a\"} 3610.400202\n", "in seconds");
    like(s, "\nd_seconds_count{kind=\"a\"} 7\n", "as many as there were");

    free(s);
}


static void
test_gather(void)
{
    mg_histogram_t  a, b, all;

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&all, 0, sizeof(all));

    mg_histogram_add(&a, 50);
    mg_histogram_add(&b, 60);
    mg_histogram_add(&b, 999999999);

    mg_histogram_gather(&all, &a);
    mg_histogram_gather(&all, &b);

    is_uint(all.bucket[0], 2, "both slots");
    is_uint(all.bucket[MG_HISTOGRAM_BOUNDS], 1, "the one that took long");
    is_uint(all.sum_us, 1000000109, "their sum");
}


int
main(void)
{
    test_empty();
    test_bounds();
    test_gather();

    return done_testing();
}
