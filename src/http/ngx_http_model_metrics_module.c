/*
 * ngx_http_model_metrics_module.c: /metrics, Prometheus text format 0.0.4.
 *
 * Counters and histograms are added up over the slots of all workers in the
 * zone; gauges are the state words of worker 0 and what is in the files that
 * this worker has mapped; outbound calls are counted in the gates; other
 * modules register writers with core.  Nothing is locked,
 * so a scrape costs the workers nothing.
 *
 * Event loop.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_time.h"
#include "http/ngx_http_model_core.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"


#define NGX_HTTP_MODEL_METRICS_BODY   (4 * 1024 * 1024)


typedef struct {
    const char  *name;
    const char  *label;
    const char  *help;
    size_t       offset;       /* of a word of mg_state_t */
    int          kind;
} ngx_http_model_metrics_gauge_t;


/* how a word becomes a number */

#define NGX_HTTP_MODEL_METRICS_PLAIN   0
#define NGX_HTTP_MODEL_METRICS_TIME    1     /* us since 1970: seconds */
#define NGX_HTTP_MODEL_METRICS_AGE     2     /* us since 1970: seconds ago */
#define NGX_HTTP_MODEL_METRICS_READY   3     /* a phase: 1 when ready */


static ngx_int_t ngx_http_model_metrics_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_metrics_handler(ngx_http_model_ask_t *ask);
static void ngx_http_model_metrics_counters(ngx_http_request_t *r,
    mg_buf_t *b);
static void ngx_http_model_metrics_state(mg_buf_t *b, const mg_state_t *s);
static void ngx_http_model_metrics_value(mg_buf_t *b,
    const ngx_http_model_metrics_gauge_t *g, uint64_t word, int64_t now);
static void ngx_http_model_metrics_snapshots(mg_buf_t *b);
static void ngx_http_model_metrics_gates(mg_buf_t *b,
    const mg_gates_t *gates);
static ngx_int_t ngx_http_model_metrics_send(ngx_http_request_t *r,
    mg_buf_t *b);


static const char * const  ngx_http_model_metrics_none[] = { NULL };


static const ngx_http_model_route_t  ngx_http_model_metrics_routes[] = {

    { "/metrics", MG_ROLE_VIEWER,
      ngx_http_model_metrics_none, ngx_http_model_metrics_handler },

    { NULL, MG_ROLE_NONE, NULL, NULL }
};


/* gauges of one name stand together: HELP and TYPE come once */

static const ngx_http_model_metrics_gauge_t  ngx_http_model_metrics_gauges[] =
{
    { "nginx_model_ready", "",
      "1 once the gateway has been ready.",
      offsetof(mg_state_t, phase), NGX_HTTP_MODEL_METRICS_READY },

    { "nginx_model_progress_percent", "",
      "How far the first load has come.",
      offsetof(mg_state_t, progress), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_start_time_seconds", "",
      "When the gateway was started first.",
      offsetof(mg_state_t, started_us), NGX_HTTP_MODEL_METRICS_TIME },

    { "nginx_model_database_up", "",
      "1 while the database answers.",
      offsetof(mg_state_t, database_up), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_snapshot_generation", "{kind=\"catalog\"}",
      "Generation of the published snapshot.",
      offsetof(mg_state_t, catalog_generation),
      NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_snapshot_generation", "{kind=\"routing\"}",
      "Generation of the published snapshot.",
      offsetof(mg_state_t, routing_generation),
      NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_snapshot_age_seconds", "{kind=\"catalog\"}",
      "Time since the published snapshot was built.",
      offsetof(mg_state_t, catalog_built_us), NGX_HTTP_MODEL_METRICS_AGE },

    { "nginx_model_snapshot_age_seconds", "{kind=\"routing\"}",
      "Time since the published snapshot was built.",
      offsetof(mg_state_t, routing_built_us), NGX_HTTP_MODEL_METRICS_AGE },

    { "nginx_model_snapshot_bytes", "{kind=\"catalog\"}",
      "Size of the published snapshot.",
      offsetof(mg_state_t, catalog_bytes), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_snapshot_bytes", "{kind=\"routing\"}",
      "Size of the published snapshot.",
      offsetof(mg_state_t, routing_bytes), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_catalog_stale", "",
      "1 while the catalog cannot be confirmed against the database.",
      offsetof(mg_state_t, catalog_stale), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_catalog_confirmed_age_seconds", "",
      "Time since catalog and database were last found equal.",
      offsetof(mg_state_t, catalog_confirmed_us),
      NGX_HTTP_MODEL_METRICS_AGE },

    { "nginx_model_catalog_models", "",
      "Active models in the published catalog.",
      offsetof(mg_state_t, catalog_models), NGX_HTTP_MODEL_METRICS_PLAIN },

    { "nginx_model_last_sync_time_seconds", "",
      "When the last catalog sync was completed.",
      offsetof(mg_state_t, last_sync_us), NGX_HTTP_MODEL_METRICS_TIME },

    { NULL, NULL, NULL, 0, 0 }
};


static ngx_http_module_t  ngx_http_model_metrics_module_ctx = {
    ngx_http_model_metrics_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_metrics_module = {
    NGX_MODULE_V1,
    &ngx_http_model_metrics_module_ctx,    /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_model_metrics_handler(ngx_http_model_ask_t *ask)
{
    mg_buf_t                     b;
    mg_env_t                    *env;
    ngx_uint_t                   i;
    ngx_http_request_t          *r;
    ngx_http_model_metric_pt    *writer;
    ngx_http_model_main_conf_t  *mmcf;

    r = ask->request;
    mmcf = ngx_http_model_main(r);
    env = ngx_http_model_env();

    mg_buf_init(&b, NGX_HTTP_MODEL_METRICS_BODY);

    ngx_http_model_metrics_counters(r, &b);

    if (env && env->state) {
        ngx_http_model_metrics_state(&b, env->state);
    }

    if (env && env->gates) {
        ngx_http_model_metrics_gates(&b, env->gates);
    }

    ngx_http_model_metrics_snapshots(&b);

    writer = mmcf->metrics.elts;

    for (i = 0; i < mmcf->metrics.nelts; i++) {
        writer[i](r, &b);
    }

    return ngx_http_model_metrics_send(r, &b);
}


static void
ngx_http_model_metrics_counters(ngx_http_request_t *r, mg_buf_t *b)
{
    mg_metrics_t                *slots;
    ngx_http_model_main_conf_t  *mmcf;

    mmcf = ngx_http_model_main(r);

    if (mmcf->zone == NULL) {
        mg_metrics_write(b, ngx_http_model_counters(), 1);
        return;
    }

    slots = ngx_http_model_zone_get(mmcf->zone, mmcf->metrics_area, NULL);
    mg_metrics_write(b, slots, NGX_HTTP_MODEL_SLOTS);
}


static void
ngx_http_model_metrics_state(mg_buf_t *b, const mg_state_t *s)
{
    int64_t                                now;
    const char                            *name;
    const uint64_t                        *word;
    const ngx_http_model_metrics_gauge_t  *g;

    name = "";
    now = mg_now_us();

    for (g = ngx_http_model_metrics_gauges; g->name; g++) {

        if (ngx_strcmp(name, g->name) != 0) {
            mg_buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n", g->name,
                          g->help, g->name);
        }

        name = g->name;
        word = (const uint64_t *) ((const char *) s + g->offset);

        ngx_http_model_metrics_value(b, g,
                                     g->kind == NGX_HTTP_MODEL_METRICS_READY
                                     ? (uint64_t) mg_ready(s)
                                     : mg_word_get(*word), now);
    }
}


static void
ngx_http_model_metrics_value(mg_buf_t *b,
    const ngx_http_model_metrics_gauge_t *g, uint64_t word, int64_t now)
{
    int64_t  us;

    us = (int64_t) word;

    switch (g->kind) {

    case NGX_HTTP_MODEL_METRICS_AGE:

        if (word == 0) {
            mg_buf_printf(b, "%s%s NaN\n", g->name, g->label);
            return;
        }

        us = (now > us) ? now - us : 0;

        /* fall through */

    case NGX_HTTP_MODEL_METRICS_TIME:
        mg_buf_printf(b, "%s%s %lld.%03d\n", g->name, g->label,
                      (long long) (us / 1000000),
                      (int) (us % 1000000 / 1000));
        return;

    default: /* NGX_HTTP_MODEL_METRICS_PLAIN */
        break;
    }

    mg_buf_printf(b, "%s%s %lld\n", g->name, g->label, (long long) us);
}


static void
ngx_http_model_metrics_snapshots(mg_buf_t *b)
{
    mg_snap_t  *catalog, *routing;

    catalog = ngx_http_model_snap_current(MG_SNAP_CATALOG);
    routing = ngx_http_model_snap_current(MG_SNAP_ROUTING);

    if (catalog) {
        mg_buf_printf(b, "# HELP nginx_model_catalog_providers Providers in "
                      "the catalog.\n"
                      "# TYPE nginx_model_catalog_providers gauge\n"
                      "nginx_model_catalog_providers %u\n",
                      (unsigned) mg_catalog_providers(catalog));
    }

    if (routing) {
        mg_buf_printf(b, "# HELP nginx_model_groups Model groups that the "
                      "split knows.\n"
                      "# TYPE nginx_model_groups gauge\n"
                      "nginx_model_groups %u\n"
                      "# HELP nginx_model_backends Backends of their "
                      "members.\n"
                      "# TYPE nginx_model_backends gauge\n"
                      "nginx_model_backends %u\n",
                      (unsigned) mg_routing_groups(routing),
                      (unsigned) mg_routing_backends(routing));
    }
}


/* Outbound calls: names of sources are an operator's, so they are quoted. */

static void
ngx_http_model_metrics_gates(mg_buf_t *b, const mg_gates_t *gates)
{
    mg_str_t        name;
    int64_t         now;
    ngx_uint_t      i, k;
    mg_gate_view_t  view;

    now = mg_mono_us();

    mg_buf_z(b, "# HELP nginx_model_outbound_calls_total Calls of catalog "
                "sources and providers by what came of them.\n"
                "# TYPE nginx_model_outbound_calls_total counter\n");

    for (i = 0; i < MG_GATE_SLOTS; i++) {
        if (!mg_gate_view(gates, i, now, &view)) {
            continue;
        }

        for (k = 0; k < MG_GATE_N; k++) {
            if (view.outcomes[k] == 0) {
                continue;
            }

            name = mg_gate_outcome_names[k];

            mg_buf_z(b, "nginx_model_outbound_calls_total{source=\"");
            mg_metric_label(b, mg_str_z(view.name));
            mg_buf_printf(b, "\",outcome=\"%.*s\"} %llu\n",
                          MG_STR_ARG(name),
                          (unsigned long long) view.outcomes[k]);
        }
    }

    mg_buf_z(b, "# HELP nginx_model_outbound_breaker_open 1 while a source "
                "is not asked after failures.\n"
                "# TYPE nginx_model_outbound_breaker_open gauge\n");

    for (i = 0; i < MG_GATE_SLOTS; i++) {
        if (mg_gate_view(gates, i, now, &view)) {
            mg_buf_z(b, "nginx_model_outbound_breaker_open{source=\"");
            mg_metric_label(b, mg_str_z(view.name));
            mg_buf_printf(b, "\"} %d\n", (int) view.open);
        }
    }
}


static ngx_int_t
ngx_http_model_metrics_send(ngx_http_request_t *r, mg_buf_t *b)
{
    ngx_str_t  body;

    body.len = b->len;
    body.data = b->failed ? NULL : ngx_pnalloc(r->pool, b->len + 1);

    if (body.data) {
        ngx_memcpy(body.data, b->data, b->len);
    }

    mg_buf_free(b);

    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&r->headers_out.content_type,
                "text/plain; version=0.0.4; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    r->headers_out.content_type_lowcase = NULL;

    return ngx_http_model_answer_json(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_model_metrics_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_model_route_add(cf, ngx_http_model_metrics_routes);
}
