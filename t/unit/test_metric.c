/*
 * What would break: a scraper refuses /metrics (a name described twice, a
 * counter without a type), counts of some worker are missing, or clients
 * are told to come back at once, or never, while the gateway loads.
 */

#include <stdlib.h>

#include "model/mg_metric.h"
#include "tap.h"


/* How often a line begins with these words. */

static unsigned
lines(const char *text, const char *begin)
{
    size_t       n;
    unsigned     count;
    const char  *p;

    n = strlen(begin);
    count = 0;

    for (p = text; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
        p += (*p == '\n');
        count += (strncmp(p, begin, n) == 0);
    }

    return count;
}


static void
metrics(void)
{
    char          *text, begin[128];
    size_t         len;
    unsigned       i, twice;
    mg_buf_t       b;
    mg_metrics_t  *slots;

    static const char  *names[] = {
#define NAME(id, name, label, help)   name,
        MG_METRICS(NAME)
#undef NAME
    };

    ok(sizeof(mg_metrics_t) % 64 == 0, "slots share no cache line");

    slots = aligned_alloc(64, 3 * sizeof(mg_metrics_t));
    memset(slots, 0, 3 * sizeof(mg_metrics_t));

    mg_metric_add(&slots[0], RECORDS_WRITTEN, 1);
    mg_metric_add(&slots[1], RECORDS_WRITTEN, 20);
    mg_metric_add(&slots[2], RECORDS_WRITTEN, 300);
    mg_metric_add(&slots[2], DATABASE_ERRORS, 0x100000000ULL);
    mg_metric_took(&slots[0], ADOPT_ROUTING, 1);
    mg_metric_took(&slots[2], ADOPT_ROUTING, 1);

    mg_buf_init(&b, 0);
    mg_metrics_write(&b, slots, 3);
    mg_buf_char(&b, '\0');
    text = b.data;
    len = b.len;

    like(text, "\nnginx_model_records_total{outcome=\"stored\"} 321\n",
         "sum of all slots");
    like(text, "\nnginx_model_database_errors_total 4294967296\n",
         "64 bits, no label");
    ok(len > 2 && text[len - 2] == '\n', "ends with a line break");
    is_int(lines(text, "nginx_model_"),
           MG_M_N + MG_H_N * (MG_HISTOGRAM_BOUNDS + 3),
           "a line for each counter, nineteen for each histogram");
    like(text, "\nnginx_model_rebuild_duration_seconds_count{"
         "kind=\"routing\",source=\"redis\"} 2\n", "durations of all slots");
    is_int(lines(text, "# TYPE nginx_model_rebuild_duration_seconds "), 1,
           "a histogram with labels is described once");

    for (i = 0, twice = 0; i < MG_M_N; i++) {
        snprintf(begin, sizeof(begin), "# TYPE %s counter\n", names[i]);
        twice += (lines(text, begin) != 1);
        snprintf(begin, sizeof(begin), "# HELP %s ", names[i]);
        twice += (lines(text, begin) != 1);
    }

    is_int(twice, 0, "one HELP and one TYPE for each name");

    mg_buf_free(&b);
    free(slots);
}


static void
ready(void)
{
    unsigned    i, n;
    mg_state_t  s;

    const int64_t  start = 1700000000000000LL;

    memset(&s, 0, sizeof(mg_state_t));

    for (i = 0; i < MG_PHASE_N; i++) {
        s.phase = i;
        n = mg_ready_estimate(&s, start);
        ok(n >= 1 && n <= 60, "phase %s: %u s without a start",
           mg_phase_names[i].data, n);
    }

    s.phase = MG_PHASE_LOADING;
    s.started_us = (uint64_t) start;
    s.progress = 25;
    is_int(mg_ready_estimate(&s, start + 10000000), 31,
           "a quarter in ten seconds");

    s.progress = 1;
    is_int(mg_ready_estimate(&s, start + 3600000000LL), 600, "bounded");

    s.progress = 100;
    is_int(mg_ready_estimate(&s, start + 10000000), 1, "any moment");

    s.progress = 50;
    ok(mg_ready_estimate(&s, start - 10000000) >= 1, "clock turned back");

    s.phase = MG_PHASE_READY;
    is_int(mg_ready_estimate(&s, start + 10000000), 1, "ready");
}


int
main(void)
{
    metrics();
    ready();

    return done_testing();
}
