/*
 * ngx_http_model_catalog_module.c: what is answered from the snapshots.
 *
 * A page of models is a list of byte runs in the mapped file, sent as they
 * lie there between two short pieces of text; whole documents that are asked
 * for most lie in the file ready, as they are and gzipped.  No database, no
 * lock, no allocation that grows with the catalog.
 *
 *     {"models":[ | run | run | ... | ],"pagination":{...}}
 *
 * Here are the routes and the lists; the header names the other files.
 *
 * Event loop; the file is pinned by the request.
 */

#include "http/ngx_http_model_catalog.h"
#include "base/mg_jw.h"


#define NGX_HTTP_MODEL_CATALOG_END   160   /* what closes a list, bytes */


static ngx_int_t ngx_http_model_catalog_preconfiguration(ngx_conf_t *cf);

static ngx_int_t ngx_http_model_catalog_list(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_model(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_benchmarks(
    ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_providers(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_provider(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_catalog_document(ngx_http_model_ask_t *ask);

static ngx_int_t ngx_http_model_catalog_narrow(ngx_http_model_ask_t *ask,
    mg_snap_t *snap, mg_catalog_query_t *q);
static ngx_int_t ngx_http_model_catalog_body(ngx_http_request_t *r,
    mg_snap_t *snap, mg_catalog_body_e which);
static ngx_int_t ngx_http_model_catalog_page(ngx_http_request_t *r,
    mg_snap_t *snap, mg_catalog_query_t *q, void *slot);
static ngx_int_t ngx_http_model_catalog_provider_page(ngx_http_request_t *r,
    mg_snap_t *snap, mg_paging_t *paging);
static ngx_int_t ngx_http_model_catalog_end(ngx_http_request_t *r,
    ngx_http_model_piece_t *piece, const mg_paging_t *paging,
    const mg_catalog_page_t *page);
static off_t ngx_http_model_catalog_size(ngx_chain_t *out);


static const char * const  ngx_http_model_catalog_paged[] = {
    "page", "limit", NULL
};

static const char * const  ngx_http_model_catalog_ids[] = { "ids*", NULL };

static const char * const  ngx_http_model_catalog_cursor[] = {
    "limit", "after_id", "before_id", "beta", NULL
};

static const char * const  ngx_http_model_catalog_none[] = { NULL };


static const ngx_http_model_route_t  ngx_http_model_catalog_routes[] = {

    { "/api/v1/models", MG_ROLE_VIEWER,
      ngx_http_model_catalog_names[NGX_HTTP_MODEL_LIST_ALL],
      ngx_http_model_catalog_list },

    { "/api/v1/models/capability/{capability}", MG_ROLE_VIEWER,
      ngx_http_model_catalog_names[NGX_HTTP_MODEL_LIST_CAPABILITY],
      ngx_http_model_catalog_list },

    { "/api/v1/models/compare", MG_ROLE_VIEWER,
      ngx_http_model_catalog_ids, ngx_http_model_catalog_compare },

    { "/api/v1/models/{id*}", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_model },

    { "/api/v1/models/{id*}/benchmarks", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_benchmarks },

    { "/api/v1/providers", MG_ROLE_VIEWER,
      ngx_http_model_catalog_paged, ngx_http_model_catalog_providers },

    { "/api/v1/providers/{provider}", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_provider },

    { "/api/v1/providers/{provider}/models", MG_ROLE_VIEWER,
      ngx_http_model_catalog_names[NGX_HTTP_MODEL_LIST_PROVIDER],
      ngx_http_model_catalog_list },

    { "/api.json", MG_ROLE_VIEWER,
      ngx_http_model_catalog_none, ngx_http_model_catalog_document },

    { "/v1/models", MG_ROLE_INFERENCE,
      ngx_http_model_catalog_cursor, ngx_http_model_catalog_served },

    { "/v1/models/{id*}", MG_ROLE_INFERENCE,
      ngx_http_model_catalog_none, ngx_http_model_catalog_served_one },

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
    ngx_http_model_catalog_keep_exit,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* -- models -- */

/* All of them, those of a capability, and those of a provider. */

static ngx_int_t
ngx_http_model_catalog_list(ngx_http_model_ask_t *ask)
{
    void                *slot;
    mg_snap_t           *snap;
    ngx_chain_t         *kept;
    mg_catalog_query_t   q;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (ask->n_path == 0 && ask->n_query == 0) {
        return ngx_http_model_catalog_body(ask->request, snap,
                                           MG_CATALOG_BODY_FIRST_PAGE);
    }

    kept = ngx_http_model_catalog_kept(ask->request, snap, &slot);

    if (kept) {
        return ngx_http_model_catalog_send(ask->request, snap, kept,
                                           ngx_buf_size(kept->buf), 0);
    }

    if (ngx_http_model_catalog_query(ask, &q) != NGX_OK
        || ngx_http_model_catalog_narrow(ask, snap, &q) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_model_catalog_page(ask->request, snap, &q, slot);
}


/* What the path says about the list. */

static ngx_int_t
ngx_http_model_catalog_narrow(ngx_http_model_ask_t *ask, mg_snap_t *snap,
    mg_catalog_query_t *q)
{
    mg_str_t    json;
    mg_pair_t  *path;

    if (ask->n_path == 0) {
        return NGX_OK;
    }

    path = &ask->path[0];

    if (mg_str_eq(path->name, mg_str("capability"))) {
        return ngx_http_model_catalog_capability(path->value, &q->capability,
                                                 &ask->error);
    }

    if (mg_catalog_provider(snap, path->value, &json) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "id", "provider",
                                              path->value);
    }

    q->provider = path->value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_catalog_page(ngx_http_request_t *r, mg_snap_t *snap,
    mg_catalog_query_t *q, void *slot)
{
    off_t                    total;
    ngx_uint_t               i;
    mg_paging_t              paging;
    ngx_http_model_piece_t  *piece;

    /* 16 KB; used within one call of one event loop */
    static mg_catalog_page_t  page;

    mg_catalog_list(snap, q, &page);

    piece = ngx_http_model_catalog_pieces(r, page.n_runs + 2);
    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_model_catalog_piece(&piece[0], "{\"models\":[",
                                 sizeof("{\"models\":[") - 1);

    for (i = 0; i < page.n_runs; i++) {
        ngx_http_model_catalog_piece(&piece[i + 1], page.runs[i].data,
                                     page.runs[i].len);
    }

    /* each item ends in a comma, the very last one must not */

    if (page.n_runs) {
        piece[i].buf.last--;
    }

    paging.page = q->page;
    paging.limit = q->limit;
    paging.total = page.total;

    if (ngx_http_model_catalog_end(r, &piece[i + 1], &paging, &page)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    total = ngx_http_model_catalog_size(&piece->link);

    if (slot) {
        ngx_http_model_catalog_keep(r, slot, &piece->link, total);
    }

    return ngx_http_model_catalog_send(r, snap, &piece->link, total, 0);
}


static ngx_int_t
ngx_http_model_catalog_model(ngx_http_model_ask_t *ask)
{
    mg_str_t                 item, more;
    mg_snap_t               *snap;
    ngx_http_model_piece_t  *piece;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_model(snap, ask->path[0].value, &item, &more) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "id", "model",
                                              ask->path[0].value);
    }

    piece = ngx_http_model_catalog_pieces(ask->request, 3);
    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what only this answer has stands before the closing brace */

    ngx_http_model_catalog_piece(&piece[0], item.data, item.len - 1);
    ngx_http_model_catalog_piece(&piece[1], more.data, more.len);
    ngx_http_model_catalog_piece(&piece[2], "}", 1);

    if (more.len == 0) {
        piece[0].link.next = &piece[2].link;
    }

    return ngx_http_model_catalog_send(ask->request, snap, &piece->link,
                                       item.len + more.len, 0);
}


static ngx_int_t
ngx_http_model_catalog_benchmarks(ngx_http_model_ask_t *ask)
{
    mg_jw_t     w;
    mg_str_t    id, json;
    mg_buf_t    b;
    mg_snap_t  *snap;

    id = ask->path[0].value;
    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_benchmarks(snap, id, &json) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "id", "model",
                                              id);
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "model_id", id);
    mg_jw_raw(&w, "benchmarks", json);
    mg_jw_end_object(&w);

    return ngx_http_model_catalog_text(ask->request, snap, &b, 0);
}


/* -- providers -- */

static ngx_int_t
ngx_http_model_catalog_providers(ngx_http_model_ask_t *ask)
{
    mg_snap_t    *snap;
    mg_paging_t   paging;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (ask->n_query == 0) {
        return ngx_http_model_catalog_body(ask->request, snap,
                                           MG_CATALOG_BODY_PROVIDERS);
    }

    if (mg_query_paging(ask->query, ask->n_query, &paging, &ask->error)
        != MG_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_model_catalog_provider_page(ask->request, snap, &paging);
}


static ngx_int_t
ngx_http_model_catalog_provider_page(ngx_http_request_t *r, mg_snap_t *snap,
    mg_paging_t *paging)
{
    uint32_t                 i, total, first, end;
    mg_str_t                 item;
    ngx_http_model_piece_t  *head, *piece;

    total = mg_catalog_providers(snap);
    paging->total = total;

    /* page and limit are bounded: their product is below 2^31 */

    first = ngx_min(total, (paging->page - 1) * paging->limit);
    end = ngx_min(total, first + paging->limit);

    head = ngx_http_model_catalog_pieces(r, 2 * (end - first) + 2);
    if (head == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    piece = head;
    ngx_http_model_catalog_piece(piece++, "{\"providers\":[",
                                 sizeof("{\"providers\":[") - 1);

    for (i = first; i < end; i++) {
        item = mg_catalog_provider_at(snap, i);

        if (i > first) {
            ngx_http_model_catalog_piece(piece++, ",", 1);
        }

        ngx_http_model_catalog_piece(piece++, item.data, item.len);
    }

    if (ngx_http_model_catalog_end(r, piece, paging, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_catalog_send(r, snap, &head->link,
                                 ngx_http_model_catalog_size(&head->link), 0);
}


static ngx_int_t
ngx_http_model_catalog_provider(ngx_http_model_ask_t *ask)
{
    mg_str_t                 json;
    mg_snap_t               *snap;
    ngx_http_model_piece_t  *piece;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    if (mg_catalog_provider(snap, ask->path[0].value, &json) != MG_OK) {
        return ngx_http_model_catalog_missing(&ask->error, "id", "provider",
                                              ask->path[0].value);
    }

    piece = ngx_http_model_catalog_pieces(ask->request, 1);
    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_model_catalog_piece(piece, json.data, json.len);

    return ngx_http_model_catalog_send(ask->request, snap, &piece->link,
                                       json.len, 0);
}


/* -- documents -- */

/* The catalog in models.dev's own shape. */

static ngx_int_t
ngx_http_model_catalog_document(ngx_http_model_ask_t *ask)
{
    mg_str_t    body;
    mg_snap_t  *snap;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL) {
        return NGX_DECLINED;
    }

    mg_catalog_body(snap, MG_CATALOG_BODY_API_JSON, 0, &body);

    if (body.len == 0) {
        (void) mg_error_set(&ask->error, MG_E_UNAVAILABLE, NULL,
                            "the catalog is too large for one document; "
                            "page through /api/v1/models instead");
        return NGX_DECLINED;
    }

    return ngx_http_model_catalog_body(ask->request, snap,
                                       MG_CATALOG_BODY_API_JSON);
}


static ngx_int_t
ngx_http_model_catalog_body(ngx_http_request_t *r, mg_snap_t *snap,
    mg_catalog_body_e which)
{
    mg_str_t  plain, gzipped;

    mg_catalog_body(snap, which, 0, &plain);
    mg_catalog_body(snap, which, 1, &gzipped);

    return ngx_http_model_catalog_ready(r, snap, &plain, &gzipped);
}


/* -- ends of lists -- */

/* Makes piece the last one: the bracket and where the page stands. */

static ngx_int_t
ngx_http_model_catalog_end(ngx_http_request_t *r,
    ngx_http_model_piece_t *piece, const mg_paging_t *paging,
    const mg_catalog_page_t *page)
{
    u_char  *p, *last;

    p = ngx_pnalloc(r->pool, NGX_HTTP_MODEL_CATALOG_END);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(p, "],\"pagination\":{\"page\":%uD,\"limit\":%uD,"
                       "\"total\":%uL,\"total_pages\":%uL%s%s}}",
                       paging->page, paging->limit, (uint64_t) paging->total,
                       ((uint64_t) paging->total + paging->limit - 1)
                       / paging->limit,
                       page && page->approximate ? ",\"approximate\":true"
                                                 : "",
                       page && page->at_least ? ",\"at_least\":true" : "");

    ngx_http_model_catalog_piece(piece, (char *) p, last - p);
    piece->link.next = NULL;

    return NGX_OK;
}


static off_t
ngx_http_model_catalog_size(ngx_chain_t *out)
{
    off_t  total;

    for (total = 0; out; out = out->next) {
        total += ngx_buf_size(out->buf);
    }

    return total;
}


/* -- init -- */

static ngx_int_t
ngx_http_model_catalog_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_catalog_query_init();

    return ngx_http_model_route_add(cf, ngx_http_model_catalog_routes);
}
