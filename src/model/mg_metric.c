/*
 * mg_metric.c: the table of counters in Prometheus text.
 *
 * Lines of one name follow each other in the table, so HELP and TYPE are
 * written where the name changes.  The sum over the slots is not a moment's
 * picture: each word is read once, and a scraper does not see the
 * difference.
 *
 * Called by the metrics handler in the event loop; one pass, never blocks.
 */

#include "model/mg_metric.h"


typedef struct {
    const char  *name;
    const char  *label;          /* rendered label set, "" for none */
    const char  *help;
} mg_metric_row_t;


static uint64_t mg_metric_sum(const mg_metrics_t *slots, unsigned n_slots,
    unsigned metric);


static const mg_metric_row_t  mg_metric_rows[MG_M_N] = {
#define MG_METRIC_ROW(id, name, label, help)   { name, label, help },
    MG_METRICS(MG_METRIC_ROW)
#undef MG_METRIC_ROW
};


void
mg_metrics_write(mg_buf_t *b, const mg_metrics_t *slots, unsigned n_slots)
{
    unsigned                i;
    unsigned long long      sum;
    const mg_metric_row_t  *row;

    for (i = 0; i < MG_M_N; i++) {
        row = &mg_metric_rows[i];

        if (i == 0 || strcmp(row->name, row[-1].name) != 0) {
            mg_buf_printf(b, "# HELP %s %s\n# TYPE %s counter\n", row->name,
                          row->help, row->name);
        }

        sum = mg_metric_sum(slots, n_slots, i);

        if (row->label[0] != '\0') {
            mg_buf_printf(b, "%s{%s} %llu\n", row->name, row->label, sum);

        } else {
            mg_buf_printf(b, "%s %llu\n", row->name, sum);
        }
    }
}


static uint64_t
mg_metric_sum(const mg_metrics_t *slots, unsigned n_slots, unsigned metric)
{
    unsigned  i;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < n_slots; i++) {
        sum += __atomic_load_n(&slots[i].n[metric], __ATOMIC_RELAXED);
    }

    return sum;
}
