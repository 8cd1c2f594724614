/*
 * ngx_http_model_catalog_module.c: what is answered from the snapshots.
 *
 * A page of models is a list of byte runs in the mapped file, sent as they
 * lie there between two short pieces of text; whole documents that are asked
 * for most lie in the file ready, as they are and gzipped.  No database, no
 * lock, no allocation that grows with the catalog.  The validator is the
 * file's generation and a hash of the query.
 *
 *     {"models":[ | run | run | ... | ],"pagination":{...}}
 *
 * Event loop; the file is pinned by the request.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_hash.h"
#include "http/ngx_http_model_core.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"


#define NGX_HTTP_MODEL_CATALOG_CUT    80     /* bytes quoted in messages */


/* A run of a page on its way out. */
typedef struct {
    ngx_buf_t      buf;
    ngx_chain_t    link;
} ngx_http_model_catalog_piece_t;


static ngx_int_t ngx_http_model_catalog_preconfiguration(ngx_conf_t *cf);

static ngx_int_t ngx_http_model_catalog_models(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_model(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_providers(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_provider(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_provider_models(
    ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_served(ngx_http_model_ask_t *ask);

static mg_snap_t *ngx_http_model_catalog_snap(ngx_http_model_ask_t *ask,
    unsigned kind);
static ngx_int_t ngx_http_model_catalog_query(ngx_http_model_ask_t *ask,
    mg_catalog_query_t *q);
static ngx_int_t ngx_http_model_catalog_unknown(mg_error_t *e,
    const char *param, mg_str_t value, const mg_str_t *names, ngx_uint_t n);
static ngx_int_t ngx_http_model_catalog_missing(mg_error_t *e,
    const char *what, mg_str_t id);
static ngx_int_t ngx_http_model_catalog_page(ngx_http_model_ask_t *ask,
    mg_snap_t *snap, mg_catalog_query_t *q);
static ngx_int_t ngx_http_model_catalog_provider_page(ngx_http_request_t *r,
    mg_snap_t *snap, mg_catalog_query_t *q);
static ngx_int_t ngx_http_model_catalog_end(ngx_http_request_t *r,
    mg_snap_t *snap, mg_catalog_query_t *q, uint32_t total, ngx_chain_t *out);
static ngx_int_t ngx_http_model_catalog_ready(ngx_http_request_t *r,
    mg_snap_t *snap, mg_str_t *plain, mg_str_t *gzipped);
static ngx_int_t ngx_http_model_catalog_send(ngx_http_request_t *r,
    mg_snap_t *snap, ngx_chain_t *out, off_t total, ngx_uint_t gzip);
static ngx_chain_t *ngx_http_model_catalog_link(ngx_http_request_t *r,
    ngx_chain_t **last, const char *data, size_t len);


static const char * const  ngx_http_model_catalog_filters[] = {
    "provider", "type", "capability", "search", "page", "limit", NULL
};

static const char * const  ngx_http_model_catalog_paged[] = {
    "page", "limit", NULL
};

static const char * const  ngx_http_model_catalog_none[] = { NULL };


static const ngx_http_model_route_t  ngx_http_model_catalog_routes[] = {

    { "/api/v1/models", MG_ROLE_VIEWER,
      ngx_http_model_catalog_filters, ngx_http_model_catalog_models },

    { "/api/v1/models/{id*}", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_model },

    { "/api/v1/providers", MG_ROLE_VIEWER,
      ngx_http_model_catalog_paged, ngx_http_model_catalog_providers },

    { "/api/v1/providers/{provider}", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_provider },

    { "/api/v1/providers/{provider}/models", MG_ROLE_VIEWER,
      ngx_http_model_catalog_paged, ngx_http_model_catalog_provider_models },

    { "/v1/models", MG_ROLE_INFERENCE,
      ngx_http_model_catalog_none, ngx_http_model_catalog_served },

    { NULL, MG_ROLE_NONE, NULL, NULL }
};


static ngx_http_module_t  ngx_http_model_catalog_module_ctx = {
    ngx_http_model_catalog_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_catalog_module = {
    NGX_MODULE_V1,
    &ngx_http_model_catalog_module_ctx,    /* module context */
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


/* -- routes -- */

static ngx_int_t
ngx_http_model_catalog_models(ngx_http_model_ask_t *ask)
{
    mg_str_t             plain, gzipped;
    mg_snap_t           *snap;
    mg_catalog_query_t   q;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (ask->n_query == 0) {
        mg_catalog_body(snap, MG_CATALOG_BODY_FIRST_PAGE, 0, &plain);
        mg_catalog_body(snap, MG_CATALOG_BODY_FIRST_PAGE, 1, &gzipped);

        return ngx_http_model_catalog_ready(ask->request, snap, &plain,
                                            &gzipped);
    }

    if (ngx_http_model_catalog_query(ask, &q) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_model_catalog_page(ask, snap, &q);
}


static ngx_int_t
ngx_http_model_catalog_model(ngx_http_model_ask_t *ask)
{
    mg_str_t             item, more;
    mg_snap_t           *snap;
    ngx_chain_t         *out, *last;
    ngx_http_request_t  *r;

    r = ask->request;
    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_model(snap, ask->path[0].value, &item, &more) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "model",
                                              ask->path[0].value);
    }

    /* what only this answer has stands before the closing brace */

    last = NULL;
    out = ngx_http_model_catalog_link(r, &last, item.data, item.len - 1);

    if (out == NULL
        || (more.len
            && ngx_http_model_catalog_link(r, &last, more.data, more.len)
               == NULL)
        || ngx_http_model_catalog_link(r, &last, "}", 1) == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_catalog_send(r, snap, out, item.len + more.len, 0);
}


static ngx_int_t
ngx_http_model_catalog_providers(ngx_http_model_ask_t *ask)
{
    mg_str_t            plain, gzipped;
    mg_snap_t          *snap;
    mg_catalog_query_t  q;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (ask->n_query) {
        if (ngx_http_model_catalog_query(ask, &q) != NGX_OK) {
            return NGX_DECLINED;
        }

        return ngx_http_model_catalog_provider_page(ask->request, snap, &q);
    }

    mg_catalog_body(snap, MG_CATALOG_BODY_PROVIDERS, 0, &plain);
    mg_catalog_body(snap, MG_CATALOG_BODY_PROVIDERS, 1, &gzipped);

    return ngx_http_model_catalog_ready(ask->request, snap, &plain, &gzipped);
}


static ngx_int_t
ngx_http_model_catalog_provider(ngx_http_model_ask_t *ask)
{
    mg_str_t      json;
    mg_snap_t    *snap;
    ngx_chain_t  *out, *last;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_provider(snap, ask->path[0].value, &json) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "provider",
                                              ask->path[0].value);
    }

    last = NULL;
    out = ngx_http_model_catalog_link(ask->request, &last, json.data,
                                      json.len);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_catalog_send(ask->request, snap, out, json.len, 0);
}


static ngx_int_t
ngx_http_model_catalog_provider_models(ngx_http_model_ask_t *ask)
{
    mg_str_t             json;
    mg_snap_t           *snap;
    mg_catalog_query_t   q;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_provider(snap, ask->path[0].value, &json) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "provider",
                                              ask->path[0].value);
    }

    if (ngx_http_model_catalog_query(ask, &q) != NGX_OK) {
        return NGX_DECLINED;
    }

    q.provider = ask->path[0].value;

    return ngx_http_model_catalog_page(ask, snap, &q);
}


/* What this gateway serves: the groups, in OpenAI's shape. */

static ngx_int_t
ngx_http_model_catalog_served(ngx_http_model_ask_t *ask)
{
    mg_str_t    plain, gzipped;
    mg_snap_t  *snap;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_ROUTING);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    mg_routing_models(snap, 0, &plain);
    mg_routing_models(snap, 1, &gzipped);

    return ngx_http_model_catalog_ready(ask->request, snap, &plain, &gzipped);
}


/* -- what was asked -- */

static mg_snap_t *
ngx_http_model_catalog_snap(ngx_http_model_ask_t *ask, unsigned kind)
{
    mg_snap_t  *snap;

    mg_metric_add(ngx_http_model_counters(), CATALOG_REQUESTS, 1);

    snap = ngx_http_model_snap(ask->request, kind);

    if (snap == NULL) {
        (void) mg_error_set(&ask->error, MG_E_UNAVAILABLE, NULL,
                            "the catalog is not loaded yet; see "
                            "/api/v1/admin/ready and try again");
    }

    return snap;
}


static ngx_int_t
ngx_http_model_catalog_query(ngx_http_model_ask_t *ask,
    mg_catalog_query_t *q)
{
    mg_str_t      value;
    ngx_uint_t    i;
    mg_error_t   *e;
    mg_paging_t   paging;

    e = &ask->error;

    q->provider = mg_str_null;
    q->search = mg_str_null;
    q->capability = -1;
    q->type = -1;

    for (i = 0; i < ask->n_query; i++) {
        value = ask->query[i].value;

        switch (ask->query[i].name.data[0]) {

        case 'c':
            q->capability = mg_capability_find(value);

            if (q->capability == -1) {
                return ngx_http_model_catalog_unknown(e, "capability", value,
                                             mg_capability_names, MG_CAP_N);
            }

            break;

        case 't':
            q->type = mg_model_type_find(value);

            if (q->type == -1) {
                return ngx_http_model_catalog_unknown(e, "type", value,
                                            mg_model_type_names, MG_TYPE_N);
            }

            break;

        case 's':
            q->search = value;
            break;

        case 'p':
            if (ask->query[i].name.data[1] == 'r') {
                q->provider = value;
            }

            break;
        }
    }

    if (mg_query_paging(ask->query, ask->n_query, &paging, e) != MG_OK) {
        return NGX_DECLINED;
    }

    q->page = paging.page;
    q->limit = paging.limit;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_catalog_unknown(mg_error_t *e, const char *param,
    mg_str_t value, const mg_str_t *names, ngx_uint_t n)
{
    int         len;
    char        known[200];
    ngx_uint_t  i;

    len = 0;
    known[0] = '\0';

    for (i = 0; i < n && len < (int) sizeof(known) - 40; i++) {
        len += snprintf(known + len, sizeof(known) - len, "%s%.*s",
                        i ? ", " : "", MG_STR_ARG(names[i]));
    }

    (void) mg_error_set(e, MG_E_INVALID, param,
                        "%s \"%.*s\" is not known; give one of %s", param,
                        (int) ngx_min(value.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        value.data, known);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_model_catalog_missing(mg_error_t *e, const char *what, mg_str_t id)
{
    (void) mg_error_set(e, MG_E_NOT_FOUND, "id",
                        "there is no %s \"%.*s\" in the catalog", what,
                        (int) ngx_min(id.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        id.data);

    return NGX_DECLINED;
}


/* -- answers -- */

static ngx_int_t
ngx_http_model_catalog_page(ngx_http_model_ask_t *ask, mg_snap_t *snap,
    mg_catalog_query_t *q)
{
    ngx_uint_t                       i;
    ngx_chain_t                     *out, *last;
    ngx_http_request_t              *r;
    ngx_http_model_catalog_piece_t  *piece;

    /* 16 KB; used within one call of one event loop */
    static mg_catalog_page_t  page;

    r = ask->request;

    mg_catalog_list(snap, q, &page);

    last = NULL;
    out = ngx_http_model_catalog_link(r, &last, "{\"models\":[",
                                      sizeof("{\"models\":[") - 1);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a page may have as many runs as items: one allocation for all */

    piece = ngx_pcalloc(r->pool,
                     page.n_runs * sizeof(ngx_http_model_catalog_piece_t));
    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < page.n_runs; i++) {
        piece[i].buf.pos = (u_char *) page.runs[i].data;
        piece[i].buf.last = piece[i].buf.pos + page.runs[i].len;
        piece[i].buf.memory = 1;
        piece[i].link.buf = &piece[i].buf;

        last->next = &piece[i].link;
        last = last->next;
    }

    /* each item ends in a comma, the very last one must not */

    if (page.n_runs) {
        last->buf->last--;
    }

    return ngx_http_model_catalog_end(r, snap, q, page.total, out);
}


/* Some of the providers: there are few, and few ask for less than all. */

static ngx_int_t
ngx_http_model_catalog_provider_page(ngx_http_request_t *r, mg_snap_t *snap,
    mg_catalog_query_t *q)
{
    uint32_t      i, total, end;
    mg_str_t      item;
    ngx_chain_t  *out, *last;

    total = mg_catalog_providers(snap);

    last = NULL;
    out = ngx_http_model_catalog_link(r, &last, "{\"providers\":[",
                                      sizeof("{\"providers\":[") - 1);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* page and limit are bounded: their product is below 2^31 */

    i = (q->page - 1) * q->limit;
    end = ngx_min(total, i + q->limit);

    for ( /* void */ ; i < end; i++) {
        item = mg_catalog_provider_at(snap, i);

        if (ngx_http_model_catalog_link(r, &last, item.data, item.len) == NULL
            || (i + 1 < end
                && ngx_http_model_catalog_link(r, &last, ",", 1) == NULL))
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_model_catalog_end(r, snap, q, total, out);
}


/* Closes a list that was asked for by page, and sends it. */

static ngx_int_t
ngx_http_model_catalog_end(ngx_http_request_t *r, mg_snap_t *snap,
    mg_catalog_query_t *q, uint32_t total, ngx_chain_t *out)
{
    u_char       *p;
    off_t         size;
    size_t        len;
    ngx_chain_t  *cl, *last;

    p = ngx_pnalloc(r->pool, 128);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = ngx_sprintf(p, "],\"pagination\":{\"page\":%uD,\"limit\":%uD,"
                      "\"total\":%uD,\"total_pages\":%uD}}",
                      q->page, q->limit, total,
                      (total + q->limit - 1) / q->limit)
          - p;

    size = len;

    for (cl = out, last = out; cl; cl = cl->next) {
        size += cl->buf->last - cl->buf->pos;
        last = cl;
    }

    if (ngx_http_model_catalog_link(r, &last, (char *) p, len) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_catalog_send(r, snap, out, size, 0);
}


/* A whole document that lies in the file, as it is and gzipped. */

static ngx_int_t
ngx_http_model_catalog_ready(ngx_http_request_t *r, mg_snap_t *snap,
    mg_str_t *plain, mg_str_t *gzipped)
{
    mg_str_t     *body;
    ngx_uint_t    gzip;
    ngx_chain_t  *out, *last;

    static ngx_str_t  vary = ngx_string("Accept-Encoding");

    gzip = gzipped->len && ngx_http_model_answer_accepts_gzip(r);
    body = gzip ? gzipped : plain;

    if (!gzip
        && ngx_http_model_answer_header(r, "Vary", &vary) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = NULL;
    out = ngx_http_model_catalog_link(r, &last, body->data, body->len);

    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_catalog_send(r, snap, out, body->len, gzip);
}


static ngx_int_t
ngx_http_model_catalog_send(ngx_http_request_t *r, mg_snap_t *snap,
    ngx_chain_t *out, off_t total, ngx_uint_t gzip)
{
    uint64_t   variant;
    ngx_int_t  rc;
    ngx_str_t  etag;

    static const uint8_t  key[16];

    /*
     * The size tells files of one generation apart when the database was
     * made anew and counts from the beginning.
     */

    variant = mg_snap_size(snap);

    if (r->args.len) {
        variant ^= mg_siphash(key, r->args.data, r->args.len);
    }

    ngx_http_model_answer_etag(r, &etag, mg_snap_generation(snap), variant,
                               gzip);

    rc = ngx_http_model_answer_chain(r, NGX_HTTP_OK, out, total, &etag, gzip);

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        mg_metric_add(ngx_http_model_counters(), CATALOG_NOT_MODIFIED, 1);
    }

    return rc;
}


/* Bytes of the file, the binary or the pool as one more buffer. */

static ngx_chain_t *
ngx_http_model_catalog_link(ngx_http_request_t *r, ngx_chain_t **last,
    const char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    b->pos = (u_char *) data;
    b->last = b->pos + len;
    b->memory = 1;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    if (*last) {
        (*last)->next = cl;
    }

    *last = cl;

    return cl;
}


/* -- init -- */

static ngx_int_t
ngx_http_model_catalog_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_model_route_add(cf, ngx_http_model_catalog_routes);
}
