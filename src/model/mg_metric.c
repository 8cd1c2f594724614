/*
 * mg_metric.c: the tables of counters and histograms in Prometheus text.
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


static void mg_metric_head(mg_buf_t *b, const mg_metric_row_t *rows,
    unsigned i, const char *type);
static void mg_metrics_write_histograms(mg_buf_t *b,
    const mg_metrics_t *slots, unsigned n_slots);
static uint64_t mg_metric_sum(const mg_metrics_t *slots, unsigned n_slots,
    unsigned metric);


static const mg_metric_row_t  mg_metric_rows[MG_M_N] = {
#define MG_METRIC_ROW(id, name, label, help)   { name, label, help },
    MG_METRICS(MG_METRIC_ROW)
#undef MG_METRIC_ROW
};


static const mg_metric_row_t  mg_metric_histograms[MG_H_N] = {
#define MG_HISTOGRAM_ROW(id, name, label, help)   { name, label, help },
    MG_HISTOGRAMS(MG_HISTOGRAM_ROW)
#undef MG_HISTOGRAM_ROW
};


void
mg_metrics_write(mg_buf_t *b, const mg_metrics_t *slots, unsigned n_slots)
{
    unsigned                i;
    unsigned long long      sum;
    const mg_metric_row_t  *row;

    for (i = 0; i < MG_M_N; i++) {
        row = &mg_metric_rows[i];
        mg_metric_head(b, mg_metric_rows, i, "counter");

        sum = mg_metric_sum(slots, n_slots, i);

        if (row->label[0] != '\0') {
            mg_buf_printf(b, "%s{%s} %llu\n", row->name, row->label, sum);

        } else {
            mg_buf_printf(b, "%s %llu\n", row->name, sum);
        }
    }

    mg_metrics_write_histograms(b, slots, n_slots);
}


static void
mg_metrics_write_histograms(mg_buf_t *b, const mg_metrics_t *slots,
    unsigned n_slots)
{
    unsigned        i, k;
    mg_histogram_t  sum;

    for (i = 0; i < MG_H_N; i++) {
        mg_metric_head(b, mg_metric_histograms, i, "histogram");

        memset(&sum, 0, sizeof(mg_histogram_t));

        for (k = 0; k < n_slots; k++) {
            mg_histogram_gather(&sum, &slots[k].h[i]);
        }

        mg_histogram_write(b, mg_metric_histograms[i].name,
                           mg_metric_histograms[i].label, &sum);
    }
}


/* Once for all lines of a name. */

static void
mg_metric_head(mg_buf_t *b, const mg_metric_row_t *rows, unsigned i,
    const char *type)
{
    if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0) {
        mg_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name,
                      rows[i].help, rows[i].name, type);
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


void
mg_metric_label(mg_buf_t *b, mg_str_t value)
{
    size_t  i;

    for (i = 0; i < value.len; i++) {

        if (value.data[i] == '\n') {
            mg_buf_z(b, "\\n");
            continue;
        }

        if (value.data[i] == '"' || value.data[i] == '\\') {
            mg_buf_char(b, '\\');
        }

        mg_buf_char(b, value.data[i]);
    }
}
