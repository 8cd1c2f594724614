/*
 * ngx_http_model_api_module.c: the dispatcher of the control plane.
 *
 * One table of routes, made when a worker starts, of two kinds: those that
 * the event loop answers from a snapshot or the zone (registered with core),
 * and calls that run on a thread of model_db (mg_call_routes).  Rows are
 * sorted by how specific their pattern is, so the first that matches is the
 * one that is meant.  Method, role, query parameters and body are checked
 * against the row here, once for all.
 *
 *     path -> row -> method -> role -> query -> body? -> answer | thread
 *
 * In a location that error_page leads to, the same directive puts nginx's own
 * errors (413, 429, 502 ...) into the one error shape.
 *
 * Event loop.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_uri.h"
#include "http/ngx_http_model_api.h"


#define NGX_HTTP_MODEL_API_METHODS   4


/* All methods of one pattern. */

typedef struct {
    const char                    *pattern;
    size_t                         prefix;   /* bytes before the first "{" */
    ngx_uint_t                     exact;    /* there is none */
    ngx_uint_t                     weight;
    const ngx_http_model_route_t  *ask;      /* GET on the event loop */
    const mg_call_route_t         *calls[NGX_HTTP_MODEL_API_METHODS];
} ngx_http_model_api_row_t;


typedef struct {
    ngx_uint_t                     status;
    mg_error_kind_e                kind;
    const char                    *code;
    const char                    *text;
} ngx_http_model_api_status_t;


static char *ngx_http_model_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_model_api_init_process(ngx_cycle_t *cycle);
static ngx_http_model_api_row_t *ngx_http_model_api_row(
    const char *pattern);
static int ngx_libc_cdecl ngx_http_model_api_compare(const void *one,
    const void *two);

static ngx_int_t ngx_http_model_api_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_api_run(ngx_http_model_ask_t *ask,
    ngx_http_model_api_row_t *row);
static ngx_int_t ngx_http_model_api_status(ngx_http_request_t *r);
static ngx_http_model_api_row_t *ngx_http_model_api_find(
    ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_api_method(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_api_allow(ngx_http_request_t *r,
    ngx_http_model_api_row_t *row, mg_error_t *e);
static ngx_int_t ngx_http_model_api_authorize(ngx_http_request_t *r,
    mg_role_e role, ngx_http_model_principal_t **who, mg_error_t *e);
static ngx_int_t ngx_http_model_api_query(ngx_http_model_ask_t *ask,
    const char * const *known);
static ngx_int_t ngx_http_model_api_pair(ngx_http_model_ask_t *ask,
    const char * const *known, mg_str_t name, mg_str_t value);
static mg_str_t ngx_http_model_api_known(const char * const *known,
    mg_str_t name, ngx_uint_t *many);
static ngx_int_t ngx_http_model_api_decode(ngx_pool_t *pool, mg_str_t in,
    mg_str_t *out);


/* index of the bit of a method: MG_GET, MG_POST, MG_PATCH, MG_DELETE */

static const char  *ngx_http_model_api_methods[NGX_HTTP_MODEL_API_METHODS] = {
    "GET, HEAD", "POST", "PATCH", "DELETE"
};


static ngx_http_model_api_status_t  ngx_http_model_api_statuses[] = {

    { 400, MG_E_INVALID, "bad_request",
      "the request is malformed, or its headers are too large (nginx's "
      "large_client_header_buffers); check its first line and its headers: "
      "Authorization, If-Match and their like may be sent once only" },

    { 401, MG_E_UNAUTHENTICATED, "unauthenticated",
      "credentials are needed" },

    { 403, MG_E_FORBIDDEN, "forbidden",
      "this is not allowed from here" },

    { 404, MG_E_NOT_FOUND, "not_found",
      "there is nothing at this address" },

    { 405, MG_E_METHOD, "method_not_allowed",
      "this method is not allowed here" },

    { 408, MG_E_INVALID, "request_timeout",
      "the request did not arrive in time; send it again" },

    { 411, MG_E_INVALID, "length_required",
      "the request has no Content-Length; send one" },

    { 413, MG_E_TOO_LARGE, "too_large",
      "the body is larger than client_max_body_size allows here" },

    { 414, MG_E_INVALID, "uri_too_long",
      "the address is too long" },

    { 415, MG_E_MEDIA_TYPE, "unsupported_media_type",
      "this content type is not taken here" },

    { 429, MG_E_INVALID, "rate_limited",
      "too many requests; wait and try again" },

    { 431, MG_E_INVALID, "headers_too_large",
      "the headers are too large" },

    { 500, MG_E_INTERNAL, "internal_error",
      "the gateway failed; its error log says why" },

    { 501, MG_E_INVALID, "not_implemented",
      "this Transfer-Encoding is not known; send chunked, or a "
      "Content-Length" },

    { 502, MG_E_UPSTREAM, "bad_gateway",
      "the server behind the gateway gave no usable answer" },

    { 503, MG_E_UNAVAILABLE, "unavailable",
      "this cannot be served now; try again" },

    { 504, MG_E_TIMEOUT, "gateway_timeout",
      "the server behind the gateway did not answer in time" },

    { 0, MG_E_INTERNAL, "error",
      "the request failed" }
};


/* rows of this worker, most specific first */

static ngx_array_t  ngx_http_model_api_rows;


static ngx_command_t  ngx_http_model_api_commands[] = {

    { ngx_string("model_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_model_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_api_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_api_module = {
    NGX_MODULE_V1,
    &ngx_http_model_api_module_ctx,        /* module context */
    ngx_http_model_api_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_api_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* -- the request -- */

static ngx_int_t
ngx_http_model_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_model_ask_t       ask;
    ngx_http_model_api_row_t  *row;

    if (ngx_http_model_answer_request_id(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->internal && r->err_status >= NGX_HTTP_SPECIAL_RESPONSE) {
        return ngx_http_model_api_status(r);
    }

    ask.request = r;
    ask.n_path = 0;
    ask.n_query = 0;

    row = ngx_http_model_api_find(&ask);
    rc = row ? ngx_http_model_api_run(&ask, row) : NGX_DECLINED;

    if (rc == NGX_DECLINED) {
        return ngx_http_model_answer_error(r, &ask.error);
    }

    return rc;
}


static ngx_int_t
ngx_http_model_api_run(ngx_http_model_ask_t *ask,
    ngx_http_model_api_row_t *row)
{
    ngx_int_t                      rc, method;
    ngx_http_request_t            *r;
    const mg_call_route_t         *call;
    const ngx_http_model_route_t  *open;
    ngx_http_model_principal_t    *who;

    r = ask->request;
    method = ngx_http_model_api_method(r);

    open = (method == 0) ? row->ask : NULL;
    call = (method != NGX_DECLINED) ? row->calls[method] : NULL;

    if (open == NULL && call == NULL) {
        return ngx_http_model_api_allow(r, row, &ask->error);
    }

    rc = ngx_http_model_api_authorize(r, open ? open->role : call->role,
                                      open ? NULL : &who, &ask->error);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->args.len) {
        rc = ngx_http_model_api_query(ask, open ? open->query : call->query);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (open == NULL) {
        return ngx_http_model_api_call(ask, call, who);
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        (void) mg_error_set(&ask->error, MG_E_INVALID, NULL,
                            "this call takes no body; leave it out");
        return NGX_DECLINED;
    }

    return open->handler(ask);
}


/*
 * An error of nginx itself that error_page has sent here; the stock header
 * filter keeps the status.
 */

static ngx_int_t
ngx_http_model_api_status(ngx_http_request_t *r)
{
    mg_error_t                    e;
    ngx_http_model_api_status_t  *s;

    for (s = ngx_http_model_api_statuses; s->status; s++) {
        if (s->status == r->err_status) {
            break;
        }
    }

    ngx_memzero(&e, sizeof(mg_error_t));

    (void) mg_error_set(&e, s->kind, NULL, "%s", s->text);
    (void) mg_error_code(&e, s->code);

    return ngx_http_model_answer_error(r, &e);
}


static ngx_http_model_api_row_t *
ngx_http_model_api_find(ngx_http_model_ask_t *ask)
{
    mg_str_t                   path;
    ngx_uint_t                 i;
    ngx_http_request_t        *r;
    ngx_http_model_api_row_t  *row;

    r = ask->request;
    path = mg_str_n((char *) r->uri.data, r->uri.len);

    if (!mg_utf8_ok(path)) {
        (void) mg_error_set(&ask->error, MG_E_INVALID, NULL,
                            "the path is not valid UTF-8");
        return NULL;
    }

    row = ngx_http_model_api_rows.elts;

    for (i = 0; i < ngx_http_model_api_rows.nelts; i++) {

        if (path.len < row[i].prefix
            || (row[i].exact && path.len != row[i].prefix)
            || ngx_memcmp(path.data, row[i].pattern, row[i].prefix) != 0)
        {
            continue;
        }

        if (row[i].exact) {
            ask->n_path = 0;
            return &row[i];
        }

        if (mg_route_match(row[i].pattern, path, ask->path, &ask->n_path)) {
            return &row[i];
        }
    }

    (void) mg_error_set(&ask->error, MG_E_NOT_FOUND, NULL,
                        "there is nothing at \"%.*s\"",
                        (int) ngx_min(path.len, NGX_HTTP_MODEL_API_CUT),
                        path.data);

    return NULL;
}


static ngx_int_t
ngx_http_model_api_method(ngx_http_request_t *r)
{
    switch (r->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return 0;

    case NGX_HTTP_POST:
        return 1;

    case NGX_HTTP_PATCH:
        return 2;

    case NGX_HTTP_DELETE:
        return 3;

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_model_api_allow(ngx_http_request_t *r, ngx_http_model_api_row_t *row,
    mg_error_t *e)
{
    u_char      *p;
    ngx_str_t    allow;
    ngx_uint_t   i;

    allow.data = ngx_pnalloc(r->pool, sizeof("GET, HEAD, POST, PATCH, DELETE"));
    if (allow.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = allow.data;

    for (i = 0; i < NGX_HTTP_MODEL_API_METHODS; i++) {
        if (row->calls[i] || (i == 0 && row->ask)) {
            p = ngx_sprintf(p, "%s%s", p == allow.data ? "" : ", ",
                            ngx_http_model_api_methods[i]);
        }
    }

    allow.len = p - allow.data;

    if (ngx_http_model_answer_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) mg_error_set(e, MG_E_METHOD, NULL,
                        "method %.*s is not allowed here; allowed: %.*s",
                        (int) ngx_min(r->method_name.len, 20),
                        r->method_name.data, (int) allow.len, allow.data);

    return NGX_DECLINED;
}


/*
 * Reads may be open to all by "model_auth off"; writes never are.  What the
 * data plane may read is open to those who may look at everything, what it
 * may write to those who may write.  An
 * answer that needs no role does not wait for the first snapshot.  who NULL:
 * the answer does not depend on who asks, so where no role is needed nobody
 * looks for a token.
 */

static ngx_int_t
ngx_http_model_api_authorize(ngx_http_request_t *r, mg_role_e role,
    ngx_http_model_principal_t **who, mg_error_t *e)
{
    ngx_int_t                    rc;
    ngx_http_model_loc_conf_t   *mlcf;
    ngx_http_model_principal_t  *nobody;

    if (role == MG_ROLE_NONE) {
        if (who) {
            *who = NULL;
        }

        return NGX_OK;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);

    if ((r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        && mlcf->auth == NGX_HTTP_MODEL_AUTH_OFF)
    {
        if (who == NULL) {
            return NGX_OK;
        }

        role = MG_ROLE_NONE;
    }

    if (who == NULL) {
        who = &nobody;
    }

    rc = ngx_http_model_principal(r, role, who, e);

    if (rc == NGX_DECLINED && role == MG_ROLE_INFERENCE
        && e->kind == MG_E_FORBIDDEN)
    {
        rc = ngx_http_model_principal(r,
                                      (r->method & (NGX_HTTP_GET
                                                    |NGX_HTTP_HEAD))
                                      ? MG_ROLE_VIEWER : MG_ROLE_OPERATOR,
                                      who, e);
    }

    return rc;
}


/* -- query parameters -- */

static ngx_int_t
ngx_http_model_api_query(ngx_http_model_ask_t *ask,
    const char * const *known)
{
    mg_str_t             cursor, name, value;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ask->request;
    cursor = mg_str_n((char *) r->args.data, r->args.len);

    while (mg_query_next(&cursor, &name, &value)) {

        if (name.len == 0 && value.len == 0) {
            continue;
        }

        rc = ngx_http_model_api_pair(ask, known, name, value);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_api_pair(ngx_http_model_ask_t *ask, const char * const *known,
    mg_str_t name, mg_str_t value)
{
    char         param[64];
    mg_str_t     k;
    mg_pair_t   *pair;
    ngx_uint_t   i, many;
    ngx_pool_t  *pool;
    mg_error_t  *e;

    e = &ask->error;
    pool = ask->request->pool;

    if (ngx_http_model_api_decode(pool, name, &name) != NGX_OK
        || ngx_http_model_api_decode(pool, value, &value) != NGX_OK)
    {
        (void) mg_error_set(e, MG_E_INVALID, NULL,
                            "the query string holds a bad percent escape, a "
                            "NUL or invalid UTF-8; encode it as UTF-8");
        return NGX_DECLINED;
    }

    k = ngx_http_model_api_known(known, name, &many);

    if (k.data == NULL) {
        (void) snprintf(param, sizeof(param), "%.*s",
                        (int) ngx_min(name.len, sizeof(param) - 1),
                        name.data);
        (void) mg_error_set(e, MG_E_INVALID, param,
                            "query parameter \"%.*s\" is not known here",
                            (int) ngx_min(name.len, NGX_HTTP_MODEL_API_CUT),
                            name.data);
        return NGX_DECLINED;
    }

    for (i = 0; !many && i < ask->n_query; i++) {
        if (ask->query[i].name.data == k.data) {
            (void) mg_error_set(e, MG_E_INVALID, k.data,
                                "query parameter \"%.*s\" is given twice",
                                MG_STR_ARG(k));
            return NGX_DECLINED;
        }
    }

    if (ask->n_query == MG_CALL_QUERY_MAX) {
        (void) snprintf(param, sizeof(param), "%.*s", MG_STR_ARG(k));
        (void) mg_error_set(e, MG_E_INVALID, param,
                            "query parameter \"%.*s\" is given more than %d "
                            "times", MG_STR_ARG(k), MG_CALL_QUERY_MAX);
        return NGX_DECLINED;
    }

    pair = &ask->query[ask->n_query++];
    pair->name = k;
    pair->value = value;

    return NGX_OK;
}


/* The row's own text of a name, or {NULL, 0}; a star: may stand often. */

static mg_str_t
ngx_http_model_api_known(const char * const *known, mg_str_t name,
    ngx_uint_t *many)
{
    mg_str_t  k;

    for ( /* void */ ; known && *known; known++) {
        k = mg_str_z(*known);
        *many = (k.data[k.len - 1] == '*');
        k.len -= *many;

        if (mg_str_eq(k, name)) {
            return k;
        }
    }

    return mg_str_null;
}


/* Percent escapes, and a plus sign for a space as forms send it. */

static ngx_int_t
ngx_http_model_api_decode(ngx_pool_t *pool, mg_str_t in, mg_str_t *out)
{
    char    *plain, *decoded;
    size_t   i, len;

    for (i = 0; i < in.len; i++) {
        if (in.data[i] == '%' || in.data[i] == '+') {
            break;
        }
    }

    if (i == in.len) {
        *out = in;
        return mg_utf8_ok(in) ? NGX_OK : NGX_ERROR;
    }

    plain = ngx_pnalloc(pool, 2 * in.len + 1);
    if (plain == NULL) {
        return NGX_ERROR;
    }

    decoded = plain + in.len;

    for (i = 0; i < in.len; i++) {
        plain[i] = (in.data[i] == '+') ? ' ' : in.data[i];
    }

    if (mg_uri_decode(mg_str_n(plain, in.len), decoded, &len) != MG_OK) {
        return NGX_ERROR;
    }

    *out = mg_str_n(decoded, len);

    return mg_utf8_ok(*out) ? NGX_OK : NGX_ERROR;
}


/* -- configuration, and the table of a worker -- */

static char *
ngx_http_model_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_model_loc_conf_t  *mlcf;

    (void) cmd;
    (void) conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_model_module);

    if (clcf->handler == ngx_http_model_api_handler) {
        return "is duplicate";
    }

    clcf->handler = ngx_http_model_api_handler;
    mlcf->control = 1;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_api_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                   i, method;
    const mg_call_route_t       *call;
    ngx_http_model_route_t      *route;
    ngx_http_model_api_row_t    *row;
    ngx_http_model_main_conf_t  *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);

    if (mmcf == NULL) {
        return NGX_OK;
    }

    if (ngx_array_init(&ngx_http_model_api_rows, cycle->pool, 48,
                       sizeof(ngx_http_model_api_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    route = mmcf->routes.elts;

    for (i = 0; i < mmcf->routes.nelts; i++) {
        row = ngx_http_model_api_row(route[i].pattern);
        if (row == NULL) {
            return NGX_ERROR;
        }

        row->ask = &route[i];
    }

    for (call = mg_call_routes; call->pattern; call++) {
        row = ngx_http_model_api_row(call->pattern);
        if (row == NULL) {
            return NGX_ERROR;
        }

        for (method = 0; !(call->method & (1U << method)); method++) {
            /* void */
        }

        row->calls[method] = call;
    }

    ngx_qsort(ngx_http_model_api_rows.elts, ngx_http_model_api_rows.nelts,
              sizeof(ngx_http_model_api_row_t), ngx_http_model_api_compare);

    return NGX_OK;
}


static ngx_http_model_api_row_t *
ngx_http_model_api_row(const char *pattern)
{
    ngx_uint_t                 i;
    ngx_http_model_api_row_t  *row;

    row = ngx_http_model_api_rows.elts;

    for (i = 0; i < ngx_http_model_api_rows.nelts; i++) {
        if (ngx_strcmp(row[i].pattern, pattern) == 0) {
            return &row[i];
        }
    }

    row = ngx_array_push(&ngx_http_model_api_rows);
    if (row == NULL) {
        return NULL;
    }

    ngx_memzero(row, sizeof(ngx_http_model_api_row_t));

    row->pattern = pattern;
    row->prefix = strcspn(pattern, "{");
    row->exact = (pattern[row->prefix] == '\0');
    row->weight = mg_route_weight(pattern);

    return row;
}


static int ngx_libc_cdecl
ngx_http_model_api_compare(const void *one, const void *two)
{
    const ngx_http_model_api_row_t  *a = one;
    const ngx_http_model_api_row_t  *b = two;

    return (a->weight < b->weight) - (a->weight > b->weight);
}
