/*
 * mg_sync_list.c: what a provider itself says of its models, page by page.
 *
 *     list_path -> page -> models into the staging tables
 *         ^          |
 *         +-- next --+
 *
 * All pages or nothing: a page that fails is the failure of the list, so a
 * part of a list never passes for the whole.  Pages, models and bytes are
 * bounded, and a list that leads to a page twice is refused.
 *
 * Called by the sync job on a model_jobs thread; blocks.
 */

#include "job/mg_sync.h"

#include "job/mg_pages.h"


#define MG_SYNC_MODELS_MAX   100000
#define MG_SYNC_PATH_MAX     2000
#define MG_SYNC_PAGE_MAX     (16 * 1024 * 1024)

/* Requests a minute of a provider whose row says nothing. */
#define MG_SYNC_PER_MINUTE   60


typedef struct {
    mg_sync_t           *s;
    mg_arena_t          *arena;         /* of one page */
    mg_pages_t           pages;
    mg_buf_t             url;
} mg_sync_pages_t;


static int mg_sync_page(mg_sync_pages_t *p, mg_fetch_t *f, mg_error_t *e);
static int mg_sync_page_read(mg_sync_pages_t *p,
    const mg_http_response_t *res, mg_error_t *e);
static int mg_sync_listed(void *ctx, const mg_model_t *m, mg_error_t *e);


int
mg_sync_list(mg_sync_t *s, mg_error_t *e)
{
    int              rc;
    mg_fetch_t       f;
    mg_sync_pages_t  p;

    memset(&p, 0, sizeof(p));
    p.s = s;
    p.arena = mg_arena_create(0);

    if (p.arena == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    mg_buf_init(&p.url, 0);
    mg_pages_init(&p.pages, s->target->probe.protocol, s->scope.provider);

    mg_sync_fetch_init(s, &f, s->scope.provider,
                       s->target->probe.rate_limit
                       ? s->target->probe.rate_limit : MG_SYNC_PER_MINUTE);

    do {
        rc = mg_sync_page(&p, &f, e);
        mg_sync_progress(s, p.pages.n < 10 ? (int) p.pages.n * 10 : 99);
        mg_arena_reset(p.arena);
    } while (rc == MG_AGAIN);

    mg_pages_free(&p.pages);
    mg_buf_free(&p.url);
    mg_arena_destroy(p.arena);

    return rc;
}


/* MG_AGAIN: there is another page. */

static int
mg_sync_page(mg_sync_pages_t *p, mg_fetch_t *f, mg_error_t *e)
{
    int                        rc;
    mg_str_t                   etag;
    mg_sync_t                 *s;
    mg_http_request_t          req;
    mg_http_response_t         res;
    mg_probe_target_t         *t;
    const mg_refresh_conf_t   *conf;

    s = p->s;
    conf = mg_refresh_conf(s->run->env);
    t = &s->target->probe;

    p->url.len = 0;
    mg_buf_str(&p->url, t->base);
    mg_buf_str(&p->url, mg_buf_view(&p->pages.path));

    memset(&req, 0, sizeof(req));
    req.body = mg_str_z(t->protocol->list_body);
    req.method = req.body.len ? "POST" : "GET";
    req.url = mg_buf_view(&p->url);
    req.connect_timeout_ms = t->connect_timeout_ms;
    req.timeout_ms = t->timeout_ms < conf->timeout_ms ? t->timeout_ms
                                                      : conf->timeout_ms;
    req.body_max = MG_SYNC_PAGE_MAX;
    req.allow_private = t->allow_private;
    req.trusted = t->trusted;

    for (req.n_headers = 0; req.n_headers < t->n_headers; req.n_headers++) {
        req.headers[req.n_headers] = t->headers[req.n_headers];
    }

    /* an etag tells of one page, not of those behind it */

    etag = p->pages.protocol->next ? mg_str_null : mg_str_z(s->known);
    rc = mg_fetch(f, &req, etag, &res, e);

    if (rc == MG_DECLINED) {
        s->unchanged = 1;
        return MG_OK;
    }

    if (rc != MG_OK || mg_sync_store(s, e) != MG_OK) {
        s->ours = (rc == MG_OK);
        return MG_ERROR;
    }

    s->counts.bytes += (int64_t) res.body.len;

    if (s->counts.bytes > MG_SYNC_DOCUMENT_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list of provider "
                            "\"" MG_STR_FMT "\" is larger than %d MiB",
                            MG_STR_ARG(s->scope.provider),
                            MG_SYNC_DOCUMENT_MAX / 1024 / 1024);
    }

    if (mg_sync_page_read(p, &res, e) != MG_OK) {
        mg_gate_count(f->gate, MG_GATE_BAD_ANSWER);
        return MG_ERROR;
    }

    if (p->pages.protocol->next == NULL) {
        mg_sync_etag(s, res.etag);
        return MG_OK;
    }

    rc = mg_pages_next(&p->pages, &res, p->arena, e);

    if (rc == MG_AGAIN && mg_run_stop(s->run, e) != MG_OK) {
        return MG_ERROR;
    }

    return rc;
}


static int
mg_sync_page_read(mg_sync_pages_t *p, const mg_http_response_t *res,
    mg_error_t *e)
{
    unsigned     skipped;
    mg_sync_t   *s;
    mg_error_t   bad;

    s = p->s;
    skipped = 0;

    if (p->pages.protocol->list(res->body, p->arena, mg_sync_listed, s,
                                &skipped, &bad)
        == MG_OK)
    {
        s->counts.failed += skipped;
        return MG_OK;
    }

    if (s->ours || bad.kind == MG_E_CANCELLED) {
        *e = bad;
        return MG_ERROR;
    }

    return mg_error_set(e, MG_E_UPSTREAM, NULL, "page %u of the list of "
                        "provider \"" MG_STR_FMT "\" cannot be read: %s",
                        p->pages.n + 1, MG_STR_ARG(s->scope.provider),
                        bad.message);
}


static int
mg_sync_listed(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    char         id[MG_SYNC_PATH_MAX];
    size_t       n;
    mg_model_t   model;
    mg_error_t   bad;
    mg_sync_t   *s = ctx;

    model = *m;
    model.provider_id = s->scope.provider;
    model.source = s->scope.source;

    n = model.provider_id.len + 1 + model.provider_model_id.len;

    if (n > sizeof(id)) {
        mg_sync_skipped(s, model.provider_model_id, "its id is too long");
        return MG_OK;
    }

    memcpy(id, model.provider_id.data, model.provider_id.len);
    id[model.provider_id.len] = '/';
    memcpy(id + model.provider_id.len + 1, model.provider_model_id.data,
           model.provider_model_id.len);
    model.id = mg_str_n(id, n);

    if (mg_model_check(&model, &bad) != MG_OK) {
        mg_sync_skipped(s, model.id, bad.message);
        return MG_OK;
    }

    if (++s->counts.models > MG_SYNC_MODELS_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list has more than "
                            "%d models", MG_SYNC_MODELS_MAX);
    }

    if (mg_run_stop(s->run, e) != MG_OK
        || mg_store_sync_model(s->store, &model, e) != MG_OK)
    {
        s->ours = 1;
        return MG_ERROR;
    }

    return MG_OK;
}
