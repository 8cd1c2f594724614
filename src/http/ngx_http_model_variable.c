/*
 * ngx_http_model_variable.c: $model_..., views of the exchange.
 *
 * None is cached: a fallback changes what is served, and usage and times
 * are known at the end only.  Without an exchange all are empty, but for
 * $model_scheme, which proxy_pass needs to make sense of its address.
 * $model_authorization and $model_api_key are secrets: for
 * proxy_set_header, never for a log.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_choice.h"
#include "model/mg_trace.h"


typedef enum {
    NGX_HTTP_MODEL_VAR_REQUESTED = 0,
    NGX_HTTP_MODEL_VAR_GROUP,
    NGX_HTTP_MODEL_VAR_ASSIGNED,
    NGX_HTTP_MODEL_VAR_VARIANT,
    NGX_HTTP_MODEL_VAR_ROLE,
    NGX_HTTP_MODEL_VAR_UPSTREAM_MODEL,
    NGX_HTTP_MODEL_VAR_SCHEME,
    NGX_HTTP_MODEL_VAR_HOST,
    NGX_HTTP_MODEL_VAR_URI,
    NGX_HTTP_MODEL_VAR_INFERENCE_ID,
    NGX_HTTP_MODEL_VAR_TRACEPARENT,
    NGX_HTTP_MODEL_VAR_TRACE_ID,
    NGX_HTTP_MODEL_VAR_AUTHORIZATION,
    NGX_HTTP_MODEL_VAR_API_KEY,
    NGX_HTTP_MODEL_VAR_BUCKET,
    NGX_HTTP_MODEL_VAR_INPUT_TOKENS,
    NGX_HTTP_MODEL_VAR_OUTPUT_TOKENS,
    NGX_HTTP_MODEL_VAR_COST,
    NGX_HTTP_MODEL_VAR_TTFT
} ngx_http_model_var_e;


static ngx_int_t ngx_http_model_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_model_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_model_variable_trace(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_model_variable_cost(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_model_variable_ttft(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_model_variable_set(ngx_http_variable_value_t *v,
    const void *data, size_t len);


static ngx_http_variable_t  ngx_http_model_variables[] = {

    { ngx_string("model_requested"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_REQUESTED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_group"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_GROUP, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_assigned"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_ASSIGNED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_variant"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_VARIANT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_role"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_ROLE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_upstream_model"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_UPSTREAM_MODEL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_scheme"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_SCHEME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_host"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_HOST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_uri"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_URI, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_inference_id"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_INFERENCE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_traceparent"), NULL, ngx_http_model_variable_trace,
      NGX_HTTP_MODEL_VAR_TRACEPARENT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_trace_id"), NULL, ngx_http_model_variable_trace,
      NGX_HTTP_MODEL_VAR_TRACE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_authorization"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_AUTHORIZATION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_api_key"), NULL, ngx_http_model_variable_text,
      NGX_HTTP_MODEL_VAR_API_KEY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_bucket"), NULL, ngx_http_model_variable_number,
      NGX_HTTP_MODEL_VAR_BUCKET, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_input_tokens"), NULL, ngx_http_model_variable_number,
      NGX_HTTP_MODEL_VAR_INPUT_TOKENS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_output_tokens"), NULL,
      ngx_http_model_variable_number,
      NGX_HTTP_MODEL_VAR_OUTPUT_TOKENS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_cost"), NULL, ngx_http_model_variable_cost,
      NGX_HTTP_MODEL_VAR_COST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("model_ttft"), NULL, ngx_http_model_variable_ttft,
      NGX_HTTP_MODEL_VAR_TTFT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_model_variable_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_model_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    mg_str_t                    s;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r->main);

    if (x == NULL) {
        if (data == NGX_HTTP_MODEL_VAR_SCHEME) {
            return ngx_http_model_variable_set(v, "http", 4);
        }

        v->not_found = 1;
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_MODEL_VAR_REQUESTED:
        return ngx_http_model_variable_set(v, x->requested.data,
                                           x->requested.len);

    case NGX_HTTP_MODEL_VAR_GROUP:
        s = x->group.name;
        break;

    case NGX_HTTP_MODEL_VAR_ASSIGNED:
        s = x->assigned.model_id;
        break;

    case NGX_HTTP_MODEL_VAR_VARIANT:
        s = x->served.model_id;
        break;

    case NGX_HTTP_MODEL_VAR_ROLE:
        s = x->served.model_id.len ? mg_member_role_names[x->served.role]
                                   : mg_str_null;
        break;

    case NGX_HTTP_MODEL_VAR_UPSTREAM_MODEL:
        s = x->served.upstream_model;
        break;

    case NGX_HTTP_MODEL_VAR_SCHEME:
        s = x->backend.scheme.len ? x->backend.scheme : mg_str("http");
        break;

    case NGX_HTTP_MODEL_VAR_HOST:
        s = x->backend.host_port;
        break;

    case NGX_HTTP_MODEL_VAR_URI:
        return ngx_http_model_variable_set(v, x->uri.data, x->uri.len);

    case NGX_HTTP_MODEL_VAR_INFERENCE_ID:
        return ngx_http_model_variable_set(v, x->id_text.data,
                                           x->id_text.len);

    case NGX_HTTP_MODEL_VAR_AUTHORIZATION:
        return ngx_http_model_variable_set(v, x->authorization.data,
                                           x->authorization.len);

    default: /* NGX_HTTP_MODEL_VAR_API_KEY */
        return ngx_http_model_variable_set(v, x->api_key.data,
                                           x->api_key.len);
    }

    return ngx_http_model_variable_set(v, s.data, s.len);
}


static ngx_int_t
ngx_http_model_variable_trace(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r->main);

    if (x == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ngx_http_model_variable_span(r->main, x) != NGX_OK) {
        return NGX_ERROR;
    }

    if (data == NGX_HTTP_MODEL_VAR_TRACE_ID) {
        return ngx_http_model_variable_set(v,
                                           x->trace_out.data + MG_TRACE_ID_AT,
                                           MG_TRACE_ID_LEN);
    }

    return ngx_http_model_variable_set(v, x->trace_out.data,
                                       x->trace_out.len);
}


/* The gateway's span, in the client's trace; without that in the inference. */

ngx_int_t
ngx_http_model_variable_span(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    mg_trace_t  t;
    ngx_uint_t  own;

    if (x->trace_out.len) {
        return NGX_OK;
    }

    x->trace_out.data = ngx_pnalloc(r->pool, MG_TRACE_LEN + 1);
    if (x->trace_out.data == NULL) {
        return NGX_ERROR;
    }

    x->trace_out.len = MG_TRACE_LEN;

    own = mg_trace_read(&t, mg_str_n((char *) x->traceparent.data,
                                     x->traceparent.len))
          != MG_OK;

    if (own) {
        ngx_memcpy(t.trace, x->id.b, MG_TRACE_BYTES);
        t.flags = 1;
    }

    /* the random half of the id: another request has another span */

    ngx_memcpy(t.span, x->id.b + sizeof(x->id.b) - sizeof(t.span),
               sizeof(t.span));

    ngx_memcpy(x->span_id, t.span, sizeof(t.span));
    mg_trace_write(&t, (char *) x->trace_out.data);

    if (own) {
        x->traceparent = x->trace_out;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    int64_t                     n;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r->main);

    if (x == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (data == NGX_HTTP_MODEL_VAR_BUCKET) {
        n = x->bucket;

    } else if (x->reader == NULL) {
        n = MG_TOKENS_UNKNOWN;

    } else if (data == NGX_HTTP_MODEL_VAR_INPUT_TOKENS) {
        n = x->reader->usage.input;

    } else {
        n = x->reader->usage.output;
    }

    /* unknown is empty, not zero */

    if (n < 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_model_variable_set(v, p, ngx_sprintf(p, "%L", n) - p);
}


/* USD with a resolution of a nano-USD; empty where it is not known. */

static ngx_int_t
ngx_http_model_variable_cost(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    int64_t                     nano;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r->main);
    nano = x ? ngx_http_model_exchange_cost(x, NULL) : MG_COST_UNKNOWN;

    if (nano == MG_COST_UNKNOWN) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000000000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_model_variable_set(v, p,
                  ngx_sprintf(p, "%L.%09L", nano / 1000000000,
                              nano % 1000000000)
                  - p);
}


/* Seconds with a resolution of a microsecond. */

static ngx_int_t
ngx_http_model_variable_ttft(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r->main);

    if (x == NULL || x->ttft_us < 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_model_variable_set(v, p,
                  ngx_sprintf(p, "%L.%06L", x->ttft_us / 1000000,
                              x->ttft_us % 1000000)
                  - p);
}


static ngx_int_t
ngx_http_model_variable_set(ngx_http_variable_value_t *v, const void *data,
    size_t len)
{
    v->data = (u_char *) data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
