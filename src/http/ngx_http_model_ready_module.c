/*
 * ngx_http_model_ready_module.c: is it alive, and how far has it come.
 *
 * Both answers are made from the state words in the zone, which worker 0
 * keeps; they ask nobody, and need no token: who asks is a load balancer.
 *
 *     /health               200 while the worker lives
 *     /api/v1/admin/ready   200 when ready, else 425 with Retry-After
 *
 * Ready stays ready when the database goes away: what can be served from the
 * snapshots is served.  The answer says so and how old they are.
 *
 * Event loop.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "http/ngx_http_model_core.h"


#define NGX_HTTP_MODEL_READY_BODY   2048


static ngx_int_t ngx_http_model_ready_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_ready_health(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_ready_status(ngx_http_model_ask_t *ask);
static void ngx_http_model_ready_write(mg_jw_t *w, const mg_state_t *s);
static void ngx_http_model_ready_write_wait(mg_jw_t *w, const mg_state_t *s,
    ngx_uint_t seconds);
static void ngx_http_model_ready_stale(mg_jw_t *w, const mg_state_t *s);
static void ngx_http_model_ready_age(mg_jw_t *w, const char *key,
    uint64_t built_us);
static const mg_state_t *ngx_http_model_ready_state(void);
static ngx_int_t ngx_http_model_ready_send(ngx_http_request_t *r,
    ngx_uint_t status, mg_buf_t *b);


static const char * const  ngx_http_model_ready_none[] = { NULL };


static const ngx_http_model_route_t  ngx_http_model_ready_routes[] = {

    { "/health", MG_ROLE_NONE,
      ngx_http_model_ready_none, ngx_http_model_ready_health },

    { "/api/v1/admin/ready", MG_ROLE_NONE,
      ngx_http_model_ready_none, ngx_http_model_ready_status },

    { NULL, MG_ROLE_NONE, NULL, NULL }
};


static const char  *ngx_http_model_ready_messages[MG_PHASE_N] = {
    "Waiting for the database",
    "AI models are still loading",
    "AI models are loaded and being published",
    "All systems ready"
};


static ngx_http_module_t  ngx_http_model_ready_module_ctx = {
    ngx_http_model_ready_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_ready_module = {
    NGX_MODULE_V1,
    &ngx_http_model_ready_module_ctx,      /* module context */
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
ngx_http_model_ready_health(ngx_http_model_ask_t *ask)
{
    mg_jw_t            w;
    mg_buf_t           b;
    const mg_state_t  *s;

    s = ngx_http_model_ready_state();

    mg_buf_init(&b, NGX_HTTP_MODEL_READY_BODY);
    mg_jw_init(&w, &b);

    mg_jw_object(&w, NULL);
    mg_jw_z(&w, "status", "ok");
    mg_jw_bool(&w, "ready", mg_word_get(s->phase) == MG_PHASE_READY);
    mg_jw_z(&w, "database", mg_word_get(s->database_up) ? "up" : "away");
    mg_jw_end_object(&w);

    return ngx_http_model_ready_send(ask->request, NGX_HTTP_OK, &b);
}


static ngx_int_t
ngx_http_model_ready_status(ngx_http_model_ask_t *ask)
{
    mg_jw_t            w;
    mg_buf_t           b;
    ngx_str_t          retry;
    ngx_uint_t         ready, seconds;
    const mg_state_t  *s;

    s = ngx_http_model_ready_state();
    ready = (mg_word_get(s->phase) == MG_PHASE_READY);
    seconds = ready ? 0 : mg_ready_estimate(s, mg_now_us());

    if (!ready) {
        retry.data = ngx_pnalloc(ask->request->pool, NGX_INT_T_LEN);
        if (retry.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        retry.len = ngx_sprintf(retry.data, "%ui", seconds) - retry.data;

        if (ngx_http_model_answer_header(ask->request, "Retry-After", &retry)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    mg_buf_init(&b, NGX_HTTP_MODEL_READY_BODY);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);

    if (ready) {
        ngx_http_model_ready_write(&w, s);

    } else {
        ngx_http_model_ready_write_wait(&w, s, seconds);
    }

    mg_jw_end_object(&w);

    return ngx_http_model_ready_send(ask->request, ready ? NGX_HTTP_OK : 425,
                                     &b);
}


static void
ngx_http_model_ready_write(mg_jw_t *w, const mg_state_t *s)
{
    mg_jw_z(w, "status", "ready");
    mg_jw_z(w, "message", ngx_http_model_ready_messages[MG_PHASE_READY]);
    mg_jw_bool(w, "ready", 1);
    mg_jw_bool(w, "models_loaded", mg_word_get(s->catalog_serial) != 0);
    mg_jw_int(w, "models", (int64_t) mg_word_get(s->catalog_models));
    mg_jw_z(w, "database", mg_word_get(s->database_up) ? "up" : "away");
    ngx_http_model_ready_age(w, "catalog_age_seconds",
                             mg_word_get(s->catalog_built_us));
    ngx_http_model_ready_age(w, "routing_age_seconds",
                             mg_word_get(s->routing_built_us));
    ngx_http_model_ready_stale(w, s);
}


static void
ngx_http_model_ready_write_wait(mg_jw_t *w, const mg_state_t *s,
    ngx_uint_t seconds)
{
    uint64_t  phase;

    phase = mg_word_get(s->phase);

    if (phase >= MG_PHASE_N) {
        phase = MG_PHASE_CONNECTING;
    }

    mg_jw_z(w, "status", "initializing");
    mg_jw_z(w, "message", ngx_http_model_ready_messages[phase]);
    mg_jw_bool(w, "ready", 0);
    mg_jw_int(w, "progress", (int64_t) mg_word_get(s->progress));
    mg_jw_int(w, "estimated_seconds", (int64_t) seconds);
    mg_jw_str(w, "phase", mg_phase_names[phase]);
    mg_jw_z(w, "type", "initialization");
    mg_jw_z(w, "database", mg_word_get(s->database_up) ? "up" : "away");
}


/* What answers of the catalog say by their headers. */

static void
ngx_http_model_ready_stale(mg_jw_t *w, const mg_state_t *s)
{
    int64_t  seconds;

    seconds = mg_ready_stale(s, mg_now_us());

    mg_jw_bool(w, "stale", seconds >= 0);

    if (seconds >= 0) {
        mg_jw_int(w, "stale_seconds", seconds);
    }
}


static void
ngx_http_model_ready_age(mg_jw_t *w, const char *key, uint64_t built_us)
{
    int64_t  age;

    if (built_us == 0) {
        mg_jw_null(w, key);
        return;
    }

    age = (mg_now_us() - (int64_t) built_us) / 1000000;
    mg_jw_int(w, key, age > 0 ? age : 0);
}


/* Without a zone nothing has ever been ready. */

static const mg_state_t *
ngx_http_model_ready_state(void)
{
    mg_env_t  *env;

    static const mg_state_t  nothing;

    env = ngx_http_model_env();

    return (env && env->state) ? env->state : &nothing;
}


static ngx_int_t
ngx_http_model_ready_send(ngx_http_request_t *r, ngx_uint_t status,
    mg_buf_t *b)
{
    ngx_str_t  body;

    body.len = b->len;
    body.data = b->failed ? NULL : ngx_pnalloc(r->pool, b->len);

    if (body.data) {
        ngx_memcpy(body.data, b->data, b->len);
    }

    mg_buf_free(b);

    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_answer_json(r, status, &body);
}


static ngx_int_t
ngx_http_model_ready_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_model_route_add(cf, ngx_http_model_ready_routes);
}
