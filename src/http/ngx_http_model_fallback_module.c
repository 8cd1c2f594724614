/*
 * ngx_http_model_fallback_module.c: model_fallback, another variant after a
 * failure.
 *
 * A failure is an answer with one of the statuses, or none at all.  Before
 * its first byte has gone to the client the next variant is chosen, and the
 * request goes through the phases of its location again: precontent puts the
 * other name into the body, the proxy begins anew.
 *
 *     answer's header -> judge() --next variant--> 502 of the tap's filter
 *                                                      |
 *     no answer, 502, 504 ----------> done() <---------+
 *                                       |
 *              error page of the twin -> location again -> split -> proxy
 *
 * The way back is nginx's own, an error page that names a location.  Error
 * pages that the operator has set stay what they are, so this one stands in a
 * twin of the location's configuration, which the request has from done() to
 * the redirect; and the location that it names is one with a name that no
 * configuration can spell, and the configuration of the first.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_fallback.h"
#include "http/ngx_http_model_health.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_FALLBACK_NAME   "@ model_fallback "

/*
 * The least that an attempt is given: this part of "timeout=", or so many ms.
 * A first attempt that is silent for as long as all may take ends a few ms
 * before or after that, by nginx's coarser clock.
 */
#define NGX_HTTP_MODEL_FALLBACK_PART   10
#define NGX_HTTP_MODEL_FALLBACK_LEAST  100

/* Seconds of a Retry-After that no number holds; an hour counts at most. */
#define NGX_HTTP_MODEL_FALLBACK_LONG   3600


typedef struct {
    ngx_int_t                  area;         /* "backends" of the zone */
    ngx_array_t                places;       /* ..._place_t */
} ngx_http_model_fallback_main_conf_t;


typedef struct {
    void                     **twin;         /* NULL: no fallback here */
} ngx_http_model_fallback_loc_conf_t;


/* A location with model_fallback, while the configuration is read. */
typedef struct {
    void                     **loc_conf;
    ngx_http_core_srv_conf_t  *cscf;
} ngx_http_model_fallback_place_t;


static ngx_int_t ngx_http_model_fallback_judge(ngx_http_model_exchange_t *x);
static void ngx_http_model_fallback_done(ngx_http_model_exchange_t *x,
    ngx_int_t rc);
static ngx_uint_t ngx_http_model_fallback_silent(ngx_http_model_exchange_t *x,
    ngx_int_t rc);
static ngx_int_t ngx_http_model_fallback_next(ngx_http_model_exchange_t *x,
    ngx_uint_t status, uint32_t avoid);
static ngx_uint_t ngx_http_model_fallback_late(ngx_http_model_exchange_t *x);
static mg_gate_outcome_e ngx_http_model_fallback_outcome(ngx_uint_t status);
static ngx_int_t ngx_http_model_fallback_pause(ngx_http_upstream_t *u);
static ngx_int_t ngx_http_model_fallback_seconds(ngx_str_t *value);

static char *ngx_http_model_fallback(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_model_fallback_statuses(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);
static void *ngx_http_model_fallback_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_model_fallback_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_model_fallback_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_model_fallback_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_fallback_place(ngx_conf_t *cf,
    ngx_http_model_fallback_place_t *place, ngx_uint_t n);
static ngx_int_t ngx_http_model_fallback_named(ngx_conf_t *cf,
    ngx_http_model_fallback_place_t *place, ngx_str_t *name);
static ngx_int_t ngx_http_model_fallback_init_process(ngx_cycle_t *cycle);


#define NGX_HTTP_MODEL_FALLBACK_PARAM(name, read, member, min, max, wrong)    \
    { ngx_string(name "="), read,                                             \
      offsetof(ngx_http_model_fallback_t, member), min, max, wrong }

static const ngx_http_model_param_t  ngx_http_model_fallback_params[] = {

    NGX_HTTP_MODEL_FALLBACK_PARAM("statuses",
        ngx_http_model_fallback_statuses, statuses, 500, 599,
        "is no list of at most 16 of the statuses 408, 409, 425, 429 and 500 "
        "to 599, such as 429,503"),

    NGX_HTTP_MODEL_FALLBACK_PARAM("timeout",
        ngx_http_model_param_time, timeout, 1, 3600000,
        "is no time between 1ms and 1h; give one such as 60s"),

    NGX_HTTP_MODEL_FALLBACK_PARAM("tries",
        ngx_http_model_param_number, tries, 1, 8,
        "is not a number of attempts between 1 and 8"),

    NGX_HTTP_MODEL_FALLBACK_PARAM("budget",
        ngx_http_model_param_number, budget, 0, 100,
        "is no share between 0% and 100%; give one such as 20%"),

    NGX_HTTP_MODEL_FALLBACK_PARAM("breaker",
        ngx_http_model_param_number, failures, 1, 255,
        "is not a number of failures between 1 and 255"),

    NGX_HTTP_MODEL_FALLBACK_PARAM("pause",
        ngx_http_model_param_time, pause_ms, 1, 3600000,
        "is no time between 1ms and 1h; give one such as 10s"),

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static ngx_command_t  ngx_http_model_fallback_commands[] = {

    { ngx_string("model_fallback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_model_fallback,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_fallback_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_fallback_postconfiguration, /* postconfiguration */

    ngx_http_model_fallback_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_model_fallback_create_loc_conf, /* create location conf. */
    ngx_http_model_fallback_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_model_fallback_module = {
    NGX_MODULE_V1,
    &ngx_http_model_fallback_module_ctx,   /* module context */
    ngx_http_model_fallback_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_fallback_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* -- in a request -- */

static ngx_int_t
ngx_http_model_fallback_judge(ngx_http_model_exchange_t *x)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    u = x->request->upstream;
    status = u->headers_in.status_n;

    x->judged = 1;

    ngx_http_model_deadline_lift(x, u);

    if (status < NGX_HTTP_BAD_REQUEST) {

        /* whoever waits for a trial is not to wait for the end of a stream */

        if (x->trying) {
            ngx_http_model_health_leave(x, MG_GATE_OK, 0);

        } else {
            x->owed = 1;
        }

        return NGX_OK;
    }

    ngx_http_model_health_leave(x, ngx_http_model_fallback_outcome(status),
                                ngx_http_model_fallback_pause(u));

    return ngx_http_model_fallback_next(x, status, UINT32_MAX) == NGX_OK
           ? NGX_DECLINED : NGX_OK;
}


static void
ngx_http_model_fallback_done(ngx_http_model_exchange_t *x, ngx_int_t rc)
{
    ngx_http_request_t                  *r;
    ngx_http_model_fallback_loc_conf_t  *flcf;

    r = x->request;

    if (!x->again && !ngx_http_model_fallback_silent(x, rc)) {
        return;
    }

    flcf = ngx_http_get_module_loc_conf(r, ngx_http_model_fallback_module);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "model: inference %V of group \"%*s\" goes to \"%*s\" now",
                  &x->id_text, x->group.name.len, x->group.name.data,
                  x->served.model_id.len, x->served.model_id.data);

    mg_metric_own(ngx_http_model_counters(), FALLBACKS_FAILED, 1);

    /* nothing of the failed answer is left for the next one */

    ngx_http_clean_header(r);
    ngx_str_null(&x->upstream_id);

    r->error_page = 0;
    r->loc_conf = flcf->twin;
}


/*
 * The proxy ends, and judge() has not said what is next.  1: there was no
 * answer, and another variant is chosen.
 */

static ngx_uint_t
ngx_http_model_fallback_silent(ngx_http_model_exchange_t *x, ngx_int_t rc)
{
    uint32_t              failed;
    ngx_uint_t            status;
    ngx_http_request_t   *r;

    r = x->request;
    status = r->upstream->headers_in.status_n;

    /* an answer that "proxy_intercept_errors" has kept from the filters */

    if (!x->judged && status >= NGX_HTTP_BAD_REQUEST
        && rc == (ngx_int_t) status)
    {
        return ngx_http_model_fallback_judge(x) != NGX_OK;
    }

    if ((rc != NGX_HTTP_BAD_GATEWAY && rc != NGX_HTTP_GATEWAY_TIME_OUT)
        || r->connection->error)
    {
        if (!x->judged) {
            ngx_http_model_health_cancel(x);
            x->judged = 1;

        } else if (x->owed) {
            ngx_http_model_health_leave(x, MG_GATE_OK, 0);
        }

        x->owed = 0;

        return 0;
    }

    /* of an answer that was cut, too */

    x->judged = 1;
    x->owed = 0;
    ngx_http_model_health_leave(x, rc == NGX_HTTP_BAD_GATEWAY
                                   ? MG_GATE_UNREACHABLE
                                   : MG_GATE_TIMED_OUT, 0);

    failed = x->backend.index;

    return !x->answered && !r->header_sent
           && ngx_http_model_fallback_next(x, rc, failed) == NGX_OK;
}


/* NGX_OK: x is what comes next; NGX_DECLINED: it is what it was. */

static ngx_int_t
ngx_http_model_fallback_next(ngx_http_model_exchange_t *x, ngx_uint_t status,
    uint32_t avoid)
{
    ngx_uint_t                           i;
    ngx_http_request_t                  *r;
    ngx_http_model_fallback_t           *f;
    ngx_http_model_fallback_loc_conf_t  *flcf;

    r = x->request;
    f = x->fallback;
    flcf = ngx_http_get_module_loc_conf(r, ngx_http_model_fallback_module);

    if (f == NULL || flcf->twin == NULL
        || r->uri_changes < 2 || x->attempts >= f->tries)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < f->n_statuses; i++) {
        if (f->statuses[i] == status) {
            break;
        }
    }

    if (i == f->n_statuses
        || ngx_http_model_fallback_late(x)
        || !ngx_http_model_choice_left(x, avoid))
    {
        return NGX_DECLINED;
    }

    if (!ngx_http_model_health_retry(f->budget)) {
        mg_metric_own(ngx_http_model_counters(), FALLBACKS_REFUSED, 1);
        return NGX_DECLINED;
    }

    if (ngx_http_model_choice_next(r, x, avoid) != NGX_OK) {
        return NGX_DECLINED;
    }

    x->again = 1;

    return NGX_OK;
}


/* 1: there is no time left in which anybody could answer. */

static ngx_uint_t
ngx_http_model_fallback_late(ngx_http_model_exchange_t *x)
{
    int64_t     left;
    ngx_uint_t  least;

    left = (int64_t) x->fallback->timeout * 1000
           - (mg_mono_us() - x->mono_us);

    least = ngx_min(x->fallback->timeout / NGX_HTTP_MODEL_FALLBACK_PART,
                    NGX_HTTP_MODEL_FALLBACK_LEAST);

    return left <= (int64_t) least * 1000;
}


/* What a status says of the server's health. */

static mg_gate_outcome_e
ngx_http_model_fallback_outcome(ngx_uint_t status)
{
    if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
        return MG_GATE_LIMITED;
    }

    return status >= NGX_HTTP_INTERNAL_SERVER_ERROR ? MG_GATE_FAILED
                                                    : MG_GATE_REJECTED;
}


/* Seconds of Retry-After, which means something with some statuses only. */

static ngx_int_t
ngx_http_model_fallback_pause(ngx_http_upstream_t *u)
{
    ngx_int_t         n, most;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (u->headers_in.status_n != NGX_HTTP_TOO_MANY_REQUESTS
        && u->headers_in.status_n != NGX_HTTP_SERVICE_UNAVAILABLE
        && u->headers_in.status_n != 529)
    {
        return 0;
    }

    most = 0;

    for (part = &u->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("retry-after") - 1
                && ngx_memcmp(h[i].lowcase_key, "retry-after", 11) == 0)
            {
                n = ngx_http_model_fallback_seconds(&h[i].value);

            } else if (h[i].key.len == sizeof("retry-after-ms") - 1
                       && ngx_memcmp(h[i].lowcase_key, "retry-after-ms", 14)
                          == 0)
            {
                n = ngx_atoi(h[i].value.data, h[i].value.len);
                n = n > 0 ? n / 1000 + (n % 1000 > 0) : 0;

            } else {
                continue;
            }

            most = ngx_max(most, n);
        }
    }

    return most;
}


static ngx_int_t
ngx_http_model_fallback_seconds(ngx_str_t *value)
{
    size_t     i;
    time_t     t;
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n != NGX_ERROR) {
        return n;
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }
    }

    if (value->len && i == value->len) {

        /* more than fits: longer than anybody is waited for */

        return NGX_HTTP_MODEL_FALLBACK_LONG;
    }

    t = ngx_parse_http_time(value->data, value->len);

    return t == (time_t) NGX_ERROR ? 0 : (ngx_int_t) (t - ngx_time());
}


/* -- the directive -- */

static char *
ngx_http_model_fallback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                  *value;
    ngx_uint_t                  i;
    const char                 *wrong;
    ngx_http_model_fallback_t  *f;
    ngx_http_model_loc_conf_t  *lcf;

    static const ngx_uint_t  statuses[] = { 429, 500, 502, 503, 504, 529 };

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_model_module);

    if (lcf->fallback != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->fallback = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"model_fallback\"; use "
                           "\"off\", or \"on\" and parameters", &value[1]);
        return NGX_CONF_ERROR;
    }

    f = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_fallback_t));
    if (f == NULL) {
        return NGX_CONF_ERROR;
    }

    f->n_statuses = sizeof(statuses) / sizeof(statuses[0]);
    ngx_memcpy(f->statuses, statuses, sizeof(statuses));

    f->timeout = 60000;
    f->tries = 3;
    f->budget = 20;
    f->failures = NGX_HTTP_MODEL_FALLBACK_FAILURES;
    f->pause_ms = NGX_HTTP_MODEL_FALLBACK_PAUSE;

    lcf->fallback = f;

    for (i = 2; i < cf->args->nelts; i++) {
        wrong = "is no parameter of \"model_fallback\"; it takes statuses=, "
                "timeout=, tries=, budget=, breaker= and pause=";

        if (ngx_http_model_param_read(ngx_http_model_fallback_params, f,
                                      &value[i], &wrong)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[i],
                               wrong);
            return NGX_CONF_ERROR;
        }
    }

    f->limits.failures = f->failures;
    f->limits.pause_ms = f->pause_ms;

    return NGX_CONF_OK;
}


/* What another server would answer as well is no reason to ask it. */

static ngx_int_t
ngx_http_model_fallback_statuses(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    ngx_http_model_fallback_t *f = conf;

    u_char     *at, *end, *last;
    ngx_int_t   n;

    last = value->data + value->len;
    f->n_statuses = 0;

    for (at = value->data; at <= last; at = end + 1) {
        end = ngx_strlchr(at, last, ',');
        end = end ? end : last;

        n = ngx_atoi(at, end - at);

        if ((n != 408 && n != 409 && n != 425 && n != 429
             && (n < p->min || n > p->max))
            || f->n_statuses == NGX_HTTP_MODEL_FALLBACK_STATUSES)
        {
            return NGX_ERROR;
        }

        f->statuses[f->n_statuses++] = n;
    }

    return NGX_OK;
}


/* -- configuration -- */

static void *
ngx_http_model_fallback_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_fallback_main_conf_t  *fmcf;

    fmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_fallback_main_conf_t));
    if (fmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&fmcf->places, cf->pool, 4,
                       sizeof(ngx_http_model_fallback_place_t))
        != NGX_OK)
    {
        return NULL;
    }

    return fmcf;
}


static void *
ngx_http_model_fallback_create_loc_conf(ngx_conf_t *cf)
{
    /* twin = NULL is set by ngx_pcalloc() */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_model_fallback_loc_conf_t));
}


/* Core's part of the location is merged already: its module comes first. */

static char *
ngx_http_model_fallback_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_conf_ctx_t                  *ctx;
    ngx_http_model_loc_conf_t            *lcf;
    ngx_http_model_fallback_place_t      *place;
    ngx_http_model_fallback_main_conf_t  *fmcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_model_module);

    if (lcf->fallback == NULL) {
        return NGX_CONF_OK;
    }

    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_fallback_module);

    place = ngx_array_push(&fmcf->places);
    if (place == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx = cf->ctx;

    place->loc_conf = ctx->loc_conf;
    place->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_fallback_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                            i;
    ngx_http_model_main_conf_t           *mcf;
    ngx_http_model_fallback_place_t      *place;
    ngx_http_model_fallback_main_conf_t  *fmcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);
    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_fallback_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    fmcf->area = ngx_http_model_zone_area(cf, mcf->zone, "backends",
                                          sizeof(mg_gates_t));

    if (fmcf->area == NGX_ERROR
        || ngx_http_model_metric_add(cf, ngx_http_model_health_metrics)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    place = fmcf->places.elts;

    for (i = 0; i < fmcf->places.nelts; i++) {
        if (ngx_http_model_fallback_place(cf, &place[i], i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_model_exchange_on_answer(ngx_http_model_fallback_judge,
                                      ngx_http_model_fallback_done);

    return NGX_OK;
}


/* The twin of a location: the same, but for its error pages. */

static ngx_int_t
ngx_http_model_fallback_place(ngx_conf_t *cf,
    ngx_http_model_fallback_place_t *place, ngx_uint_t n)
{
    void                                **twin;
    ngx_str_t                             name;
    ngx_uint_t                            i;
    ngx_array_t                          *pages;
    ngx_http_err_page_t                  *page;
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_model_loc_conf_t            *lcf;
    ngx_http_model_fallback_loc_conf_t   *flcf;

    lcf = place->loc_conf[ngx_http_model_module.ctx_index];

    name.data = ngx_pnalloc(cf->pool, sizeof(NGX_HTTP_MODEL_FALLBACK_NAME)
                                      + NGX_INT_T_LEN);
    pages = ngx_array_create(cf->pool, 8, sizeof(ngx_http_err_page_t));
    twin = ngx_palloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    clcf = ngx_palloc(cf->pool, sizeof(ngx_http_core_loc_conf_t));

    if (name.data == NULL || pages == NULL || twin == NULL || clcf == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, NGX_HTTP_MODEL_FALLBACK_NAME "%ui", n)
               - name.data;

    /* the two that nginx ends a failed attempt with, and those it is given */

    for (i = 0; i < lcf->fallback->n_statuses + 2; i++) {
        page = ngx_array_push(pages);
        if (page == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(page, sizeof(ngx_http_err_page_t));

        /* overwrite = 0: the status is that of what comes next */

        page->status = i == 0 ? NGX_HTTP_BAD_GATEWAY
                       : i == 1 ? NGX_HTTP_GATEWAY_TIME_OUT
                       : (ngx_int_t) lcf->fallback->statuses[i - 2];
        page->value.value = name;
    }

    ngx_memcpy(twin, place->loc_conf, sizeof(void *) * ngx_http_max_module);
    ngx_memcpy(clcf, place->loc_conf[ngx_http_core_module.ctx_index],
               sizeof(ngx_http_core_loc_conf_t));

    /* the operator's own must still be found after this one */

    clcf->error_pages = pages;
    clcf->recursive_error_pages = 1;
    clcf->loc_conf = twin;

    twin[ngx_http_core_module.ctx_index] = clcf;

    flcf = place->loc_conf[ngx_http_model_fallback_module.ctx_index];
    flcf->twin = twin;

    return ngx_http_model_fallback_named(cf, place, &name);
}


/* A named location that is the place itself. */

static ngx_int_t
ngx_http_model_fallback_named(ngx_conf_t *cf,
    ngx_http_model_fallback_place_t *place, ngx_str_t *name)
{
    ngx_uint_t                  n;
    ngx_http_core_loc_conf_t   *clcf, **named;

    n = 0;

    if (place->cscf->named_locations) {
        while (place->cscf->named_locations[n]) {
            n++;
        }
    }

    named = ngx_palloc(cf->pool, sizeof(void *) * (n + 2));
    clcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_core_loc_conf_t));

    if (named == NULL || clcf == NULL) {
        return NGX_ERROR;
    }

    if (n) {
        ngx_memcpy(named, place->cscf->named_locations, sizeof(void *) * n);
    }

    clcf->name = *name;
    clcf->named = 1;
    clcf->loc_conf = place->loc_conf;

    named[n] = clcf;
    named[n + 1] = NULL;

    place->cscf->named_locations = named;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_fallback_init_process(ngx_cycle_t *cycle)
{
    mg_gates_t                           *gates;
    ngx_http_model_main_conf_t           *mcf;
    ngx_http_model_fallback_main_conf_t  *fmcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);

    if (mcf == NULL || mcf->zone == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    fmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_model_fallback_module);

    gates = ngx_http_model_zone_get(mcf->zone, fmcf->area, NULL);

    ngx_http_model_health_init(gates);
    mg_word_set(ngx_http_model_env()->backends, gates);

    return NGX_OK;
}
