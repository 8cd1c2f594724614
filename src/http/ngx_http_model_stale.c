/*
 * ngx_http_model_stale.c: says of an answer how old the catalog may be.
 *
 * The keeper raises a word in the zone while the database is away or what it
 * has become cannot be built, and keeps the time at which file and database
 * were last found equal, over restarts too.  Answers carry then
 *
 *     Age: 754
 *     Warning: 110 - "Response is Stale"
 *
 * (RFC 9111, 5.1; RFC 7234, 5.5.1).  While all is well it costs one load.
 *
 * Event loop; handlers of the catalog call it before they answer.
 */

#include "http/ngx_http_model_core.h"
#include "base/mg_time.h"


ngx_int_t
ngx_http_model_stale_headers(ngx_http_request_t *r)
{
    int64_t    seconds;
    mg_env_t  *env;
    ngx_str_t  age;

    static ngx_str_t  warning = ngx_string("110 - \"Response is Stale\"");

    env = ngx_http_model_env();

    if (env == NULL || !mg_word_get(env->state->catalog_stale)) {
        return NGX_OK;
    }

    seconds = mg_ready_stale(env->state, mg_now_us());

    /* it came back between the two looks */

    if (seconds < 0) {
        return NGX_OK;
    }

    age.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (age.data == NULL) {
        return NGX_ERROR;
    }

    age.len = ngx_sprintf(age.data, "%L", seconds) - age.data;

    mg_metric_add(ngx_http_model_counters(), CATALOG_STALE, 1);

    if (ngx_http_model_answer_header(r, "Age", &age) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_model_answer_header(r, "Warning", &warning);
}
