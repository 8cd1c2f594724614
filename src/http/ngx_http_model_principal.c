/*
 * ngx_http_model_principal.c: who asks.
 *
 * A token is looked up in the pinned routing snapshot by its SHA-256, so no
 * request waits for the database and a revocation is in effect as soon as
 * the next file is mapped.  Hashing is the dearest part of it, so a worker
 * remembers which digest a token had:
 *
 *     slot = a keyed SipHash of the token (128 bits) -> SHA-256, entry
 *
 * under a random key of its own; neither tokens nor anything that a token
 * could be guessed from stay in memory.  The entry that the digest led to is
 * remembered too, for as long as the same snapshot is current, since a
 * revocation comes with another one.  The verdict itself is never remembered
 * beyond the request: expiry is looked at anew.
 *
 * Event loop only.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/mg_hash.h"
#include "http/ngx_http_model_core.h"
#include "snapshot/mg_snap_routing.h"


#define NGX_HTTP_MODEL_TOKEN_MAX     512
#define NGX_HTTP_MODEL_TOKEN_SLOTS   256     /* power of two */


typedef struct {
    uint64_t                     hash[2];
    uint8_t                      sha256[32];

    mg_snap_t                   *snap;       /* in which the token is ... */
    uint64_t                     serial;     /* ... as long as this stands */
    mg_routing_token_t           token;
    u_char                       org[MG_UUID_LEN + 1];
} ngx_http_model_digest_t;


typedef struct {
    uint8_t                      key[16];
    ngx_http_model_digest_t      slots[NGX_HTTP_MODEL_TOKEN_SLOTS];
    unsigned                     keyed:1;
} ngx_http_model_digests_t;


/* Data of a cleanup of r->pool: survives an internal redirect. */
typedef struct {
    ngx_http_model_principal_t   principal;
    mg_error_t                  *error;      /* NULL: the token is good */
} ngx_http_model_identity_t;


static ngx_http_model_identity_t *ngx_http_model_principal_find(
    ngx_http_request_t *r);
static void ngx_http_model_principal_cleanup(void *data);
static ngx_int_t ngx_http_model_principal_token(ngx_http_request_t *r,
    ngx_str_t *token);
static void ngx_http_model_principal_trim(ngx_str_t *value, size_t skip);
static void ngx_http_model_principal_nobody(
    ngx_http_model_principal_t *p);
static ngx_int_t ngx_http_model_principal_resolve(ngx_http_request_t *r,
    ngx_http_model_principal_t *p, mg_error_t *e);
static ngx_int_t ngx_http_model_principal_lookup(mg_snap_t *snap,
    ngx_str_t *token, ngx_http_model_digest_t **dp);
static ngx_http_model_digest_t *ngx_http_model_principal_digest(
    ngx_str_t *token);
static ngx_int_t ngx_http_model_principal_refuse(ngx_http_request_t *r,
    mg_error_t *e);


static ngx_http_model_digests_t  ngx_http_model_digests;


ngx_int_t
ngx_http_model_principal(ngx_http_request_t *r, mg_role_e need,
    ngx_http_model_principal_t **p, mg_error_t *e)
{
    ngx_http_model_identity_t  *id;

    id = ngx_http_model_principal_find(r->main);

    if (id == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_DECLINED;
    }

    *p = &id->principal;

    /* where none is needed, a placeholder is as good as none */

    if (id->error && need != MG_ROLE_NONE) {
        *e = *id->error;
        return ngx_http_model_principal_refuse(r, e);
    }

    if (mg_role_allows(id->principal.role, need)) {
        return NGX_OK;
    }

    if (id->principal.role == MG_ROLE_NONE) {
        mg_error_set(e, MG_E_UNAUTHENTICATED, NULL,
                     "this needs a token of role \"%s\"; send it as "
                     "Authorization: Bearer TOKEN",
                     mg_role_names[need].data);
        return ngx_http_model_principal_refuse(r, e);
    }

    mg_error_set(e, MG_E_FORBIDDEN, NULL,
                 "the token has role \"%s\", this needs \"%s\"",
                 mg_role_names[id->principal.role].data,
                 mg_role_names[need].data);

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_model_principal_again(ngx_http_request_t *r, mg_role_e need)
{
    mg_snap_t                *snap;
    ngx_str_t                 token;
    ngx_http_model_digest_t  *d;

    snap = ngx_http_model_snap_current(MG_SNAP_ROUTING);

    if (snap == NULL) {
        return NGX_OK;
    }

    if (ngx_http_model_principal_token(r, &token) != NGX_OK
        || token.len > NGX_HTTP_MODEL_TOKEN_MAX
        || ngx_http_model_principal_lookup(snap, &token, &d) != NGX_OK
        || (d->token.expires_at && d->token.expires_at <= mg_now_us())
        || !mg_role_allows(d->token.role, need))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Made at the first question of a request; NULL when out of memory. */

static ngx_http_model_identity_t *
ngx_http_model_principal_find(ngx_http_request_t *r)
{
    mg_error_t                  e;
    ngx_pool_cleanup_t         *cln;
    ngx_http_model_identity_t  *id;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_model_principal_cleanup) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_model_identity_t));
    if (cln == NULL) {
        return NULL;
    }

    id = cln->data;
    id->error = NULL;
    ngx_memzero(&id->principal, sizeof(ngx_http_model_principal_t));

    if (ngx_http_model_principal_resolve(r, &id->principal, &e) != NGX_OK) {
        id->error = ngx_palloc(r->pool, sizeof(mg_error_t));

        if (id->error == NULL) {
            return NULL;
        }

        *id->error = e;
        ngx_http_model_principal_nobody(&id->principal);
    }

    cln->handler = ngx_http_model_principal_cleanup;

    return id;
}


static void
ngx_http_model_principal_cleanup(void *data)
{
    ngx_http_model_identity_t  *id;

    id = data;
    id->principal.role = MG_ROLE_NONE;
}


/* NGX_DECLINED: none was sent; NGX_ERROR: two, and nobody knows which. */

static ngx_int_t
ngx_http_model_principal_token(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *key;

    h = r->headers_in.authorization;

    if (h && h->value.len > 7
        && (ngx_memcmp(h->value.data, "Bearer ", 7) == 0
            || ngx_strncasecmp(h->value.data, (u_char *) "Bearer ", 7) == 0))
    {
        *token = h->value;
        ngx_http_model_principal_trim(token, 7);
        return NGX_OK;
    }

    key = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 9
                || ngx_strncmp(h[i].lowcase_key, "x-api-key", 9) != 0)
            {
                continue;
            }

            if (key) {
                return NGX_ERROR;
            }

            key = &h[i];
        }
    }

    if (key == NULL) {
        return NGX_DECLINED;
    }

    *token = key->value;
    ngx_http_model_principal_trim(token, 0);

    return token->len ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_model_principal_trim(ngx_str_t *value, size_t skip)
{
    value->data += skip;
    value->len -= skip;

    while (value->len && *value->data == ' ') {
        value->data++;
        value->len--;
    }

    while (value->len && value->data[value->len - 1] == ' ') {
        value->len--;
    }
}


/* Without a token: the default organisation and no role. */

static void
ngx_http_model_principal_nobody(ngx_http_model_principal_t *p)
{
    mg_uuid_t  org;

    (void) mg_uuid_parse(mg_str(MG_ORG_DEFAULT), &org);

    ngx_memzero(p, sizeof(ngx_http_model_principal_t));

    p->role = MG_ROLE_NONE;
    ngx_str_set(&p->org_id, MG_ORG_DEFAULT);
    ngx_memcpy(p->org_bytes, org.b, 16);
}


static ngx_int_t
ngx_http_model_principal_resolve(ngx_http_request_t *r,
    ngx_http_model_principal_t *p, mg_error_t *e)
{
    mg_snap_t                *snap;
    ngx_int_t                 rc;
    ngx_str_t                 token;
    ngx_http_model_digest_t  *d;

    rc = ngx_http_model_principal_token(r, &token);

    if (rc == NGX_DECLINED) {
        ngx_http_model_principal_nobody(p);
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        mg_error_set(e, MG_E_INVALID, "x-api-key",
                     "x-api-key was sent more than once; send one token");
        return NGX_DECLINED;
    }

    snap = ngx_http_model_snap(r, MG_SNAP_ROUTING);

    if (snap == NULL) {
        mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                     "tokens cannot be checked yet, the gateway is still "
                     "loading; try again in a moment");
        return NGX_DECLINED;
    }

    if (token.len > NGX_HTTP_MODEL_TOKEN_MAX) {
        goto invalid;
    }

    if (ngx_http_model_principal_lookup(snap, &token, &d) != NGX_OK) {
        goto invalid;
    }

    if (d->token.expires_at && d->token.expires_at <= mg_now_us()) {
        mg_error_set(e, MG_E_UNAUTHENTICATED, NULL,
                     "the token has expired; ask for a new one");
        goto failed;
    }

    /* the mapping is pinned by the request, so its strings live as long */

    p->role = d->token.role;
    p->token_id.len = d->token.id.len;
    p->token_id.data = (u_char *) d->token.id.data;
    ngx_memcpy(p->token_bytes, d->token.id_bytes, 16);
    ngx_memcpy(p->org_bytes, d->token.org_bytes, 16);

    p->org_id.len = MG_UUID_LEN;
    p->org_id.data = ngx_pnalloc(r->pool, MG_UUID_LEN + 1);

    if (p->org_id.data == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_DECLINED;
    }

    ngx_memcpy(p->org_id.data, d->org, MG_UUID_LEN + 1);

    return NGX_OK;

invalid:

    mg_error_set(e, MG_E_UNAUTHENTICATED, NULL,
                 "the token is not known to this gateway, or was revoked");

failed:

    mg_metric_add(ngx_http_model_counters(), AUTH_FAILED, 1);

    return NGX_DECLINED;
}


/* The entry of a token in a snapshot: *dp, until the next call. */

static ngx_int_t
ngx_http_model_principal_lookup(mg_snap_t *snap, ngx_str_t *token,
    ngx_http_model_digest_t **dp)
{
    uint64_t                  serial;
    mg_uuid_t                 org;
    ngx_http_model_digest_t  *d;

    d = ngx_http_model_principal_digest(token);
    *dp = d;

    /* no snapshot is mapped in the place of another without a new serial */

    serial = ngx_http_model_snap_serial(MG_SNAP_ROUTING);

    if (d->snap == snap && d->serial == serial) {
        return NGX_OK;
    }

    d->snap = NULL;

    if (mg_routing_token(snap, d->sha256, &d->token) != MG_OK) {
        return NGX_DECLINED;
    }

    d->snap = snap;
    d->serial = serial;

    ngx_memcpy(org.b, d->token.org_bytes, 16);
    mg_uuid_format(&org, (char *) d->org);

    return NGX_OK;
}


static ngx_http_model_digest_t *
ngx_http_model_principal_digest(ngx_str_t *token)
{
    uint64_t                   h[2];
    ngx_http_model_digest_t   *slot;
    ngx_http_model_digests_t  *all;

    all = &ngx_http_model_digests;

    if (!all->keyed) {
        if (mg_random(all->key, sizeof(all->key)) != MG_OK) {

            /* one slot, and nothing in it that could be taken for a match */

            slot = &all->slots[0];
            slot->snap = NULL;
            mg_sha256(mg_str_n((char *) token->data, token->len),
                      slot->sha256);

            return slot;
        }

        ngx_memzero(all->slots, sizeof(all->slots));
        all->keyed = 1;
    }

    mg_siphash128(all->key, token->data, token->len, h);

    slot = &all->slots[h[0] & (NGX_HTTP_MODEL_TOKEN_SLOTS - 1)];

    if (slot->hash[0] != h[0] || slot->hash[1] != h[1]) {
        mg_sha256(mg_str_n((char *) token->data, token->len), slot->sha256);
        slot->hash[0] = h[0];
        slot->hash[1] = h[1];
        slot->snap = NULL;
    }

    return slot;
}


/* A 401 says how to authenticate (RFC 6750, 3). */

static ngx_int_t
ngx_http_model_principal_refuse(ngx_http_request_t *r, mg_error_t *e)
{
    ngx_table_elt_t  *h;

    if (e->kind != MG_E_UNAUTHENTICATED || r->headers_out.www_authenticate) {
        return NGX_DECLINED;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_DECLINED;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "WWW-Authenticate");
    ngx_str_set(&h->value, "Bearer realm=\"model\"");
    ngx_http_model_header_last(h);

    r->headers_out.www_authenticate = h;

    return NGX_DECLINED;
}
