/*
 * ngx_http_model_choice.c: which variant serves a request, and how.
 *
 * The sticky key is the first of these that is not empty:
 *
 *     model_split_key | a session header | "user" of the body | the token
 *
 * and without any the bucket is drawn at random.  Keys are not stored:
 * records carry a keyed hash under the group's salt.
 *
 * A variant whose backend has no address, or a key that does not open, is
 * passed over for a fallback, then for the champion, then for any other that
 * is no shadow; so is one whose breaker is open where the location has
 * "model_fallback", but rather it than nobody.  The assigned variant stays on
 * record.  A paused group serves its champion only.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/mg_hash.h"
#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_health.h"
#include "http/ngx_http_model_secrets.h"
#include "model/mg_split.h"


#define NGX_HTTP_MODEL_RANDOM       4096
#define NGX_HTTP_MODEL_KEY_HEADER   1
#define NGX_HTTP_MODEL_KEY_BODY     2
#define NGX_HTTP_MODEL_KEY_TOKEN    3
#define NGX_HTTP_MODEL_TRACE_MAX    128
#define NGX_HTTP_MODEL_GROUP_SLOTS  16      /* power of two */
#define NGX_HTTP_MODEL_PATH_MAX     128


/* What a known request header is to the gateway. */
typedef enum {
    NGX_HTTP_MODEL_SESSION = 0,
    NGX_HTTP_MODEL_REQUEST_ID,
    NGX_HTTP_MODEL_TRACEPARENT,
    NGX_HTTP_MODEL_CREDENTIAL,
    NGX_HTTP_MODEL_VERSION
} ngx_http_model_header_e;


typedef struct {
    ngx_str_t                  name;       /* lower case */
    ngx_http_model_header_e    what;
} ngx_http_model_header_t;


/* A group that was asked for before, with the snapshot that it is from. */
typedef struct {
    mg_snap_t                 *snap;
    uint64_t                   serial;     /* valid as long as this stands */
    mg_routing_group_t         group;
} ngx_http_model_group_slot_t;


static mg_routing_group_t *ngx_http_model_choice_group(mg_snap_t *snap,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p, mg_error_t *e);
static mg_routing_group_t *ngx_http_model_choice_lookup(mg_snap_t *snap,
    mg_str_t name, const uint8_t *org_bytes);
static ngx_int_t ngx_http_model_choice_start(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p);
static void ngx_http_model_choice_headers(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_str_t *session);
static ngx_int_t ngx_http_model_choice_key(ngx_http_model_exchange_t *x,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    ngx_str_t *session, ngx_str_t *key);
static uint32_t ngx_http_model_choice_variant(ngx_http_model_exchange_t *x,
    ngx_str_t *key);
static uint32_t ngx_http_model_choice_champion(ngx_http_model_exchange_t *x);
static void ngx_http_model_choice_hash(ngx_http_model_exchange_t *x,
    ngx_str_t *key);
static ngx_int_t ngx_http_model_choice_serve(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_uint_t forced);
static ngx_int_t ngx_http_model_choice_others(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t avoid);
static ngx_int_t ngx_http_model_choice_held(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i);
static ngx_int_t ngx_http_model_choice_uri(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static uintptr_t ngx_http_model_choice_escapes(ngx_str_t *path);
static u_char *ngx_http_model_choice_random(size_t n);


/* Session headers in the order in which they are believed. */

static const ngx_http_model_header_t  ngx_http_model_headers[] = {
    { ngx_string("x-session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("x-claude-code-session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("helicone-session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("agent-session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("x-litellm-session-id"), NGX_HTTP_MODEL_SESSION },
    { ngx_string("x-request-id"), NGX_HTTP_MODEL_REQUEST_ID },
    { ngx_string("traceparent"), NGX_HTTP_MODEL_TRACEPARENT },
    { ngx_string("api-key"), NGX_HTTP_MODEL_CREDENTIAL },
    { ngx_string("x-goog-api-key"), NGX_HTTP_MODEL_CREDENTIAL },
    { ngx_string("proxy-authorization"), NGX_HTTP_MODEL_CREDENTIAL },
    { ngx_string("anthropic-version"), NGX_HTTP_MODEL_VERSION }
};

#define NGX_HTTP_MODEL_HEADERS                                                \
    (sizeof(ngx_http_model_headers) / sizeof(ngx_http_model_headers[0]))

/* Bit n: one of these names has n characters. */
#define NGX_HTTP_MODEL_HEADER_LENGTHS                                         \
    ((1u << 7) | (1u << 10) | (1u << 11) | (1u << 12) | (1u << 14)            \
     | (1u << 16) | (1u << 17) | (1u << 19) | (1u << 20) | (1u << 24))


ngx_int_t
ngx_http_model_choice_make(ngx_http_request_t *r, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p, ngx_http_model_exchange_t **xp,
    mg_error_t *e)
{
    uint32_t                    i;
    mg_snap_t                  *snap;
    ngx_str_t                   key, session;
    mg_routing_group_t         *group;
    ngx_http_model_loc_conf_t  *lcf;
    ngx_http_model_exchange_t  *x;

    *xp = NULL;

    snap = ngx_http_model_snap(r, MG_SNAP_ROUTING);

    if (snap == NULL) {
        mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                     "the gateway is still loading its model groups; try "
                     "again in a moment");
        (void) mg_error_code(e, "not_ready");
        return NGX_DECLINED;
    }

    group = ngx_http_model_choice_group(snap, w, p, e);

    if (group == NULL) {
        return NGX_DECLINED;
    }

    x = ngx_http_model_exchange_create(r);
    if (x == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_DECLINED;
    }

    x->snap = snap;
    x->group = *group;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);
    x->fallback = lcf->fallback;

    ngx_str_null(&session);
    ngx_http_model_choice_headers(r, x, &session);

    if (ngx_http_model_choice_start(r, x, w, p) != NGX_OK) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_DECLINED;
    }

    *xp = x;

    if (x->group.n_variants == 0) {
        mg_error_set(e, MG_E_UNAVAILABLE, "model",
                     "model group \"%.*s\" has no models yet; assign some",
                     MG_STR_ARG(x->group.name));
        (void) mg_error_code(e, "no_backend");
        return NGX_DECLINED;
    }

    if (ngx_http_model_choice_key(x, w, p, &session, &key) == NGX_OK) {
        ngx_http_model_choice_hash(x, &key);
    }

    i = ngx_http_model_choice_variant(x, &key);

    mg_routing_variant(snap, &x->group, i, &x->assigned);

    if (ngx_http_model_choice_serve(r, x, i, 0) == NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_model_choice_others(r, x, UINT32_MAX) == NGX_OK) {
        if (x->held & ((uint32_t) 1 << i)) {
            mg_metric_own(ngx_http_model_counters(), FALLBACKS_OPEN, 1);
        }

        return NGX_OK;
    }

    if (ngx_http_model_choice_held(r, x, i) == NGX_OK) {
        return NGX_OK;
    }

    x->served = x->assigned;

    mg_error_set(e, MG_E_UNAVAILABLE, "model",
                 "no server of model \"%.*s\" can be reached: its provider "
                 "has no address or no usable key",
                 MG_STR_ARG(x->assigned.model_id));
    (void) mg_error_code(e, "no_backend");

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_model_choice_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_error_t *e)
{
    if (x->again) {
        x->again = 0;
        return NGX_OK;
    }

    if (ngx_http_model_choice_others(r, x, UINT32_MAX) == NGX_OK) {
        return NGX_OK;
    }

    mg_error_set(e, MG_E_UPSTREAM, "model",
                 "model \"%.*s\" failed and group \"%.*s\" has nothing left "
                 "to fall back to", MG_STR_ARG(x->served.model_id),
                 MG_STR_ARG(x->group.name));

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_model_choice_next(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t avoid)
{
    ngx_http_model_exchange_t  before;

    before = *x;
    x->held = 0;

    if (ngx_http_model_choice_others(r, x, avoid) == NGX_OK) {
        return NGX_OK;
    }

    before.tried = x->tried;
    before.secrets = x->secrets;

    *x = before;

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_model_choice_left(ngx_http_model_exchange_t *x, uint32_t avoid)
{
    uint32_t              i;
    mg_routing_variant_t  v;

    for (i = 0; i < x->group.n_variants; i++) {
        mg_routing_variant(x->snap, &x->group, i, &v);

        if (!(x->tried & ((uint32_t) 1 << i)) && v.backend != avoid
            && v.role != MG_MEMBER_SHADOW)
        {
            return 1;
        }
    }

    return 0;
}


/* Valid until the next call; NULL: there is none, see *e. */

static mg_routing_group_t *
ngx_http_model_choice_group(mg_snap_t *snap, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p, mg_error_t *e)
{
    mg_str_t             name;
    mg_routing_group_t  *g;

    name = mg_str_n((char *) w->model.data, w->model.len);

    g = ngx_http_model_choice_lookup(snap, name,
                         p->role == MG_ROLE_NONE ? NULL : p->org_bytes);

    if (g && (g->status == MG_GROUP_ACTIVE || g->status == MG_GROUP_PAUSED)) {
        return g;
    }

    mg_error_set(e, MG_E_NOT_FOUND, "model",
                 "the model \"%.*s\" does not exist or is not active; "
                 "GET /v1/models lists what there is", MG_STR_ARG(name));
    (void) mg_error_code(e, "model_not_found");

    return NULL;
}


/* A worker remembers the groups of late, so that few names are hashed. */

static mg_routing_group_t *
ngx_http_model_choice_lookup(mg_snap_t *snap, mg_str_t name,
    const uint8_t *org_bytes)
{
    uint64_t                      serial;
    ngx_http_model_group_slot_t  *slot;

    static ngx_http_model_group_slot_t  slots[NGX_HTTP_MODEL_GROUP_SLOTS];

    slot = &slots[(name.len + (u_char) name.data[name.len - 1])
                  & (NGX_HTTP_MODEL_GROUP_SLOTS - 1)];

    /* no snapshot is mapped in the place of another without a new serial */

    serial = ngx_http_model_snap_serial(MG_SNAP_ROUTING);

    if (slot->snap == snap && slot->serial == serial
        && org_bytes && ngx_memcmp(slot->group.org_bytes, org_bytes, 16) == 0
        && mg_str_eq(slot->group.name, name))
    {
        return &slot->group;
    }

    slot->snap = NULL;

    if (mg_routing_group(snap, name, org_bytes, &slot->group) != MG_OK) {
        return NULL;
    }

    slot->snap = snap;
    slot->serial = serial;

    return &slot->group;
}


static ngx_int_t
ngx_http_model_choice_start(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p)
{
    x->requested = w->model;
    x->suffix = w->suffix;
    x->stream = w->stream;
    x->begun_us = w->begun_us;
    x->mono_us = w->mono_us;
    x->path = r->uri;
    x->args = r->args;

    if (r->headers_in.content_length_n > 0) {
        x->request_bytes = r->headers_in.content_length_n;
    }

    ngx_memcpy(x->token_bytes, p->token_bytes, 16);

    mg_uuid_v7(&x->id, x->begun_us, ngx_http_model_choice_random(10));

    x->id_text.len = MG_UUID_LEN;
    x->id_text.data = ngx_pnalloc(r->pool, MG_UUID_LEN + 1);
    if (x->id_text.data == NULL) {
        return NGX_ERROR;
    }

    mg_uuid_format(&x->id, (char *) x->id_text.data);

    return NGX_OK;
}


/* One pass over the request's headers for all that is of interest. */

static void
ngx_http_model_choice_headers(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_str_t *session)
{
    ngx_uint_t                      i, n, best;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    const ngx_http_model_header_t  *known;

    best = NGX_HTTP_MODEL_HEADERS;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len > 24
                || !(NGX_HTTP_MODEL_HEADER_LENGTHS & (1u << h[i].key.len))
                || h[i].value.len == 0)
            {
                continue;
            }

            for (n = 0; n < NGX_HTTP_MODEL_HEADERS; n++) {
                known = &ngx_http_model_headers[n];

                if (known->name.len == h[i].key.len
                    && ngx_memcmp(known->name.data, h[i].lowcase_key,
                                  h[i].key.len)
                       == 0)
                {
                    break;
                }
            }

            if (n == NGX_HTTP_MODEL_HEADERS) {
                continue;
            }

            if (known->what == NGX_HTTP_MODEL_SESSION) {
                if (n < best) {
                    best = n;
                    *session = h[i].value;
                }

            } else if (known->what == NGX_HTTP_MODEL_CREDENTIAL) {
                x->credentials = 1;

            } else if (known->what == NGX_HTTP_MODEL_VERSION) {
                x->versioned = 1;

            } else if (h[i].value.len > NGX_HTTP_MODEL_TRACE_MAX) {
                continue;

            } else if (known->what == NGX_HTTP_MODEL_REQUEST_ID) {
                x->request_id = h[i].value;

            } else {
                x->traceparent = h[i].value;
            }
        }
    }
}


/* NGX_DECLINED: there is no key. */

static ngx_int_t
ngx_http_model_choice_key(ngx_http_model_exchange_t *x,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    ngx_str_t *session, ngx_str_t *key)
{
    if (w->key.len) {
        *key = w->key;
        x->key_source = NGX_HTTP_MODEL_KEY_HEADER;
        return NGX_OK;
    }

    if (session->len) {
        *key = *session;
        x->key_source = NGX_HTTP_MODEL_KEY_HEADER;
        return NGX_OK;
    }

    if (w->user.len) {
        *key = w->user;
        x->key_source = NGX_HTTP_MODEL_KEY_BODY;
        return NGX_OK;
    }

    if (p->token_id.len) {
        *key = p->token_id;
        x->key_source = NGX_HTTP_MODEL_KEY_TOKEN;
        return NGX_OK;
    }

    ngx_str_null(key);
    x->key_source = 0;

    return NGX_DECLINED;
}


static void
ngx_http_model_choice_hash(ngx_http_model_exchange_t *x, ngx_str_t *key)
{
    uint8_t     salt[MG_SPLIT_SALT_LEN];
    uint64_t    h[2];
    ngx_uint_t  i;

    /* other keys than the bucket's, so that a hash tells no bucket */

    for (i = 0; i < MG_SPLIT_SALT_LEN; i++) {
        salt[i] = x->group.salt[i] ^ 0x5c;
    }

    mg_siphash128(salt, key->data, key->len, h);

    ngx_memcpy(x->key_hash, h, 16);
}


static uint32_t
ngx_http_model_choice_variant(ngx_http_model_exchange_t *x, ngx_str_t *key)
{
    uint32_t  i, bucket, word;

    if (x->group.status == MG_GROUP_PAUSED || x->group.n_ranges == 0) {
        return ngx_http_model_choice_champion(x);
    }

    if (key->len) {
        bucket = mg_split_bucket(x->group.salt,
                                 mg_str_n((char *) key->data, key->len));

    } else {
        ngx_memcpy(&word, ngx_http_model_choice_random(sizeof(word)),
                   sizeof(word));
        bucket = ((uint64_t) word * MG_SPLIT_BUCKETS) >> 32;
    }

    x->bucket = bucket;

    i = mg_split_variant(x->group.ranges, x->group.n_ranges, bucket);

    return i < x->group.n_variants ? i : ngx_http_model_choice_champion(x);
}


static uint32_t
ngx_http_model_choice_champion(ngx_http_model_exchange_t *x)
{
    uint32_t              i;
    mg_routing_variant_t  v;

    for (i = 0; i < x->group.n_variants; i++) {
        mg_routing_variant(x->snap, &x->group, i, &v);

        if (v.role == MG_MEMBER_CHAMPION) {
            return i;
        }
    }

    return 0;
}


/* Makes variant i the served one, if it can be. */

static ngx_int_t
ngx_http_model_choice_serve(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_uint_t forced)
{
    mg_routing_variant_t  v;

    mg_routing_variant(x->snap, &x->group, i, &v);

    x->tried |= (uint32_t) 1 << i;

    if (v.backend >= mg_routing_backends(x->snap)) {
        return NGX_DECLINED;
    }

    x->served = v;
    mg_routing_backend(x->snap, v.backend, &x->backend);

    if (x->backend.n_addrs == 0
        || ngx_http_model_secrets_get(r, x) != NGX_OK
        || ngx_http_model_choice_uri(r, x) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_model_health_enter(x, forced) != NGX_OK) {
        x->held |= (uint32_t) 1 << i;
        x->tried &= ~((uint32_t) 1 << i);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Fallbacks in their order, then champion and others; each at most once. */

static ngx_int_t
ngx_http_model_choice_others(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t avoid)
{
    uint32_t              i;
    ngx_uint_t            round;
    mg_routing_variant_t  v;

    static const mg_member_role_e  order[] = {
        MG_MEMBER_FALLBACK, MG_MEMBER_CHAMPION, MG_MEMBER_CHALLENGER
    };

    for (round = 0; round < sizeof(order) / sizeof(order[0]); round++) {

        for (i = 0; i < x->group.n_variants; i++) {
            mg_routing_variant(x->snap, &x->group, i, &v);

            if (v.role == order[round] && v.backend != avoid
                && !((x->tried | x->held) & ((uint32_t) 1 << i))
                && ngx_http_model_choice_serve(r, x, i, 0) == NGX_OK)
            {
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


/* The last resort: a breaker is open, but there is nobody else. */

static ngx_int_t
ngx_http_model_choice_held(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i)
{
    uint32_t  k;

    if ((x->held & ((uint32_t) 1 << i))
        && ngx_http_model_choice_serve(r, x, i, 1) == NGX_OK)
    {
        return NGX_OK;
    }

    for (k = 0; k < x->group.n_variants; k++) {
        if ((x->held & ((uint32_t) 1 << k))
            && ngx_http_model_choice_serve(r, x, k, 1) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* $model_uri: what the provider is asked for, escaped, with arguments. */

static ngx_int_t
ngx_http_model_choice_uri(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    u_char     *p;
    size_t      len;
    mg_str_t    name;
    ngx_str_t   path;
    uintptr_t   escape, escape_name;

    path = x->path;
    name = mg_str_null;
    escape_name = 0;

    if (x->suffix.len) {
        ngx_str_set(&path, "/v2/models/");
        name = x->served.upstream_model;
        escape_name = ngx_escape_uri(NULL, (u_char *) name.data, name.len,
                                     NGX_ESCAPE_URI_COMPONENT);

    } else if (path.len >= 3 && ngx_memcmp(path.data, "/v1", 3) == 0
               && (path.len == 3 || path.data[3] == '/'))
    {
        path.data += 3;
        path.len -= 3;
    }

    escape = ngx_http_model_choice_escapes(&path);

    len = x->backend.path.len + path.len + 2 * escape
          + name.len + 2 * escape_name + x->suffix.len
          + 1 + x->args.len + 1;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    x->uri.data = p;

    p = ngx_cpymem(p, x->backend.path.data, x->backend.path.len);

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, path.data, path.len, NGX_ESCAPE_URI);

    } else {
        p = ngx_cpymem(p, path.data, path.len);
    }

    if (x->suffix.len) {
        p = (u_char *) ngx_escape_uri(p, (u_char *) name.data, name.len,
                                      NGX_ESCAPE_URI_COMPONENT);
        p = ngx_cpymem(p, x->suffix.data, x->suffix.len);
    }

    if (p == x->uri.data) {
        *p++ = '/';
    }

    if (x->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, x->args.data, x->args.len);
    }

    x->uri.len = p - x->uri.data;

    return NGX_OK;
}


/* How many characters must be escaped; clients ask for the same few paths. */

static uintptr_t
ngx_http_model_choice_escapes(ngx_str_t *path)
{
    uintptr_t  n;

    static u_char  plain[NGX_HTTP_MODEL_PATH_MAX];
    static size_t  plain_len;

    if (path->len && path->len == plain_len
        && ngx_memcmp(path->data, plain, plain_len) == 0)
    {
        return 0;
    }

    n = ngx_escape_uri(NULL, path->data, path->len, NGX_ESCAPE_URI);

    if (n == 0 && path->len <= sizeof(plain)) {
        ngx_memcpy(plain, path->data, path->len);
        plain_len = path->len;
    }

    return n;
}


/* From a buffer of the worker: a system call each few hundred requests. */

static u_char *
ngx_http_model_choice_random(size_t n)
{
    static u_char  bytes[NGX_HTTP_MODEL_RANDOM];
    static size_t  used = NGX_HTTP_MODEL_RANDOM;

    if (used + n > NGX_HTTP_MODEL_RANDOM) {
        if (mg_random(bytes, sizeof(bytes)) != MG_OK) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "model: the system gives no random bytes");
        }

        used = 0;
    }

    used += n;

    return bytes + used - n;
}
