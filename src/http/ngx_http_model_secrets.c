/*
 * ngx_http_model_secrets.c: provider keys, opened.
 *
 * What the key is bound to when it is sealed: "org_id/provider_id".  The
 * text that goes into the header is made once: the whole of it for
 * Authorization, of which the bare key is the end.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>

#include "base/mg_uri.h"
#include "http/ngx_http_model_secrets.h"
#include "provider/mg_protocol.h"


#define NGX_HTTP_MODEL_SECRET_SCHEME   "Bearer "


typedef enum {
    NGX_HTTP_MODEL_SECRET_NEW = 0,
    NGX_HTTP_MODEL_SECRET_NONE,
    NGX_HTTP_MODEL_SECRET_OPEN,
    NGX_HTTP_MODEL_SECRET_BAD
} ngx_http_model_secret_e;


typedef struct {
    ngx_http_model_secret_e   state;
    mg_auth_scheme_e          scheme;
    ngx_str_t                 authorization;
    ngx_str_t                 key;          /* the end of it */
} ngx_http_model_secret_t;


struct ngx_http_model_secrets_s {
    size_t                    size;         /* of the mapping */
    uint64_t                  generation;   /* these two: which snapshot */
    int64_t                   built_at;
    ngx_uint_t                rotation;     /* keys of that time */
    ngx_uint_t                refs;         /* requests; 1 while current */
    uint32_t                  n;
    u_char                   *free;         /* room for texts */
    ngx_http_model_secret_t   entries[];
};


static mg_auth_scheme_e ngx_http_model_secrets_scheme(mg_str_t protocol);
static ngx_http_model_secrets_t *ngx_http_model_secrets_of(
    ngx_http_model_main_conf_t *mcf, mg_snap_t *snap);
static ngx_http_model_secrets_t *ngx_http_model_secrets_create(
    ngx_http_model_main_conf_t *mcf, mg_snap_t *snap);
static ngx_uint_t ngx_http_model_secrets_stated(
    ngx_http_model_main_conf_t *mcf, mg_routing_backend_t *b);
static void ngx_http_model_secrets_open(ngx_http_request_t *r,
    ngx_http_model_secrets_t *s, mg_routing_backend_t *b,
    ngx_http_model_secret_t *secret);


static ngx_http_model_secrets_t  *ngx_http_model_secrets_current;
static ngx_uint_t                 ngx_http_model_secrets_rotation;


void
ngx_http_model_secrets_rotate(void)
{
    ngx_http_model_secrets_rotation++;
}


ngx_int_t
ngx_http_model_secrets_get(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_http_model_secret_t     *secret;
    ngx_http_model_secrets_t    *s;
    ngx_http_model_main_conf_t  *mcf;

    ngx_str_null(&x->authorization);
    ngx_str_null(&x->api_key);
    ngx_str_null(&x->key);

    mcf = ngx_http_model_main(r);

    if (x->backend.key_sealed.len == 0 && mcf->secrets == NULL) {
        return NGX_OK;
    }

    s = x->secrets;

    if (s == NULL) {
        s = ngx_http_model_secrets_of(mcf, x->snap);
        if (s == NULL) {
            return NGX_DECLINED;
        }

        s->refs++;
        x->secrets = s;
    }

    if (x->backend.index >= s->n) {
        return NGX_DECLINED;
    }

    secret = &s->entries[x->backend.index];

    if (secret->state == NGX_HTTP_MODEL_SECRET_NEW) {
        ngx_http_model_secrets_open(r, s, &x->backend, secret);
    }

    if (secret->state == NGX_HTTP_MODEL_SECRET_BAD) {
        return NGX_DECLINED;
    }

    if (secret->state == NGX_HTTP_MODEL_SECRET_NONE) {
        return NGX_OK;
    }

    switch (secret->scheme) {

    case MG_AUTH_BEARER:
        x->authorization = secret->authorization;
        break;

    case MG_AUTH_X_API_KEY:
        x->api_key = secret->key;
        break;

    case MG_AUTH_X_GOOG_API_KEY:
        ngx_str_set(&x->key_name, "x-goog-api-key");
        x->key = secret->key;
        break;

    case MG_AUTH_API_KEY:
        ngx_str_set(&x->key_name, "api-key");
        x->key = secret->key;
        break;

    case MG_AUTH_NONE:
        break;
    }

    return NGX_OK;
}


void
ngx_http_model_secrets_release(ngx_http_model_secrets_t *s)
{
    size_t  size;

    if (--s->refs) {
        return;
    }

    size = s->size;

    mg_wipe(s, size);
    (void) munmap(s, size);
}


/*
 * The set of the very file that the request has pinned: an index into
 * another one would be another provider's key.
 */

static ngx_http_model_secrets_t *
ngx_http_model_secrets_of(ngx_http_model_main_conf_t *mcf, mg_snap_t *snap)
{
    ngx_http_model_secrets_t  *s;

    s = ngx_http_model_secrets_current;

    if (s && s->generation == mg_snap_generation(snap)
        && s->built_at == mg_snap_built_at(snap)
        && s->rotation == ngx_http_model_secrets_rotation)
    {
        return s;
    }

    if (s) {
        ngx_http_model_secrets_current = NULL;
        ngx_http_model_secrets_release(s);
    }

    ngx_http_model_secrets_current = ngx_http_model_secrets_create(mcf,
                                                                   snap);

    return ngx_http_model_secrets_current;
}


static ngx_http_model_secrets_t *
ngx_http_model_secrets_create(ngx_http_model_main_conf_t *mcf,
    mg_snap_t *snap)
{
    size_t                     size;
    uint32_t                   i, n;
    mg_routing_backend_t       b;
    ngx_http_model_secrets_t  *s;

    n = mg_routing_backends(snap);
    size = sizeof(ngx_http_model_secrets_t)
           + n * sizeof(ngx_http_model_secret_t);

    for (i = 0; i < n; i++) {
        mg_routing_backend(snap, i, &b);
        size += sizeof(NGX_HTTP_MODEL_SECRET_SCHEME);
        size += ngx_http_model_secrets_stated(mcf, &b) ? MG_SECRET_MAX
                                                       : b.key_sealed.len;
    }

    size = ngx_align(size, ngx_pagesize);

    s = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1,
             0);

    if (s == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "mmap(%uz) for provider keys failed", size);
        return NULL;
    }

    if (madvise(s, size, MADV_DONTDUMP) == -1) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, ngx_errno,
                      "madvise(MADV_DONTDUMP) for provider keys failed");
    }

    s->size = size;
    s->generation = mg_snap_generation(snap);
    s->built_at = mg_snap_built_at(snap);
    s->rotation = ngx_http_model_secrets_rotation;
    s->refs = 1;
    s->n = n;
    s->free = (u_char *) &s->entries[n];

    return s;
}


/* 1: the configuration has a key for it, which is the operator's own. */

static ngx_uint_t
ngx_http_model_secrets_stated(ngx_http_model_main_conf_t *mcf,
    mg_routing_backend_t *b)
{
    return mcf->secrets && mg_str_eq(b->org_id, mg_str(MG_ORG_DEFAULT))
           && mg_secrets_has(mcf->secrets, b->id);
}


static void
ngx_http_model_secrets_open(ngx_http_request_t *r,
    ngx_http_model_secrets_t *s, mg_routing_backend_t *b,
    ngx_http_model_secret_t *secret)
{
    char                          aad[MG_UUID_LEN + MG_PROVIDER_ID_MAX + 2];
    u_char                       *p, *last;
    size_t                        len;
    ngx_int_t                     rc;
    mg_error_t                    e;
    ngx_http_model_main_conf_t   *mcf;

    mcf = ngx_http_model_main(r);
    secret->state = NGX_HTTP_MODEL_SECRET_BAD;

    p = ngx_cpymem(s->free, NGX_HTTP_MODEL_SECRET_SCHEME,
                   sizeof(NGX_HTTP_MODEL_SECRET_SCHEME) - 1);

    if (ngx_http_model_secrets_stated(mcf, b)) {
        rc = mg_secrets_get(mcf->secrets, b->id, (char *) p, &len);

    } else if (b->key_sealed.len == 0) {
        secret->state = NGX_HTTP_MODEL_SECRET_NONE;
        return;

    } else {
        last = ngx_snprintf((u_char *) aad, sizeof(aad), "%*s/%*s",
                            b->org_id.len, b->org_id.data,
                            b->id.len, b->id.data);

        rc = mg_crypt_open(&mcf->key, b->key_sealed,
                           mg_str_n(aad, last - (u_char *) aad), (char *) p,
                           &len, &e);
    }

    if (rc != MG_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "model: the key of provider \"%*s\" cannot be opened: "
                      "%s", b->id.len, b->id.data, e.message);
        return;
    }

    if (!mg_header_ok(mg_str_n((char *) p, len))) {
        mg_wipe(p, len);
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "model: the key of provider \"%*s\" cannot stand in a "
                      "header; set it again", b->id.len, b->id.data);
        return;
    }

    secret->scheme = ngx_http_model_secrets_scheme(b->protocol);

    secret->key.data = p;
    secret->key.len = len;

    secret->authorization.data = s->free;
    secret->authorization.len = p + len - s->free;

    s->free = p + len;
    secret->state = NGX_HTTP_MODEL_SECRET_OPEN;
}


/*
 * Clients may speak what no adapter here reads, such as kserve_v2, and are
 * passed on as they are: the key is a bearer token then.
 */

static mg_auth_scheme_e
ngx_http_model_secrets_scheme(mg_str_t protocol)
{
    const mg_protocol_t  *known;

    known = mg_protocol_find(protocol);

    return known ? known->auth : MG_AUTH_BEARER;
}
