/*
 * ngx_http_model_choice.c: which variant serves a request, and how.
 *
 * assign.c says which variant the request is given.  One whose backend has
 * no address, or a key that does not open, is passed over for a fallback,
 * then for the champion, then for any other that is no shadow; so is one
 * whose breaker is open where the location has "model_fallback", but rather
 * it than nobody.  The assigned variant stays on record.  For one that an
 * operator has named nobody stands in.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "http/ngx_http_model_attempt.h"
#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_health.h"
#include "http/ngx_http_model_secrets.h"
#include "model/mg_path.h"


#define NGX_HTTP_MODEL_TRACE_MAX    128
#define NGX_HTTP_MODEL_GROUP_SLOTS  16      /* power of two */
#define NGX_HTTP_MODEL_PATH_MAX     128


/* What a known request header is to the gateway. */
typedef enum {
    NGX_HTTP_MODEL_SESSION = 0,
    NGX_HTTP_MODEL_REQUEST_ID,
    NGX_HTTP_MODEL_TRACEPARENT,
    NGX_HTTP_MODEL_CREDENTIAL,
    NGX_HTTP_MODEL_VERSION,
    NGX_HTTP_MODEL_FORCE
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
    ngx_http_model_exchange_t *x, ngx_http_model_wanted_t *w);
static ngx_int_t ngx_http_model_choice_serve(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_uint_t forced);
static ngx_int_t ngx_http_model_choice_others(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t avoid);
static ngx_int_t ngx_http_model_choice_held(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, uint32_t held);
static ngx_int_t ngx_http_model_choice_uri(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_choice_template(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static uintptr_t ngx_http_model_choice_escapes(ngx_str_t *path);


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
    { ngx_string("anthropic-version"), NGX_HTTP_MODEL_VERSION },
    { ngx_string("x-model-variant"), NGX_HTTP_MODEL_FORCE }
};

#define NGX_HTTP_MODEL_HEADERS                                                \
    (sizeof(ngx_http_model_headers) / sizeof(ngx_http_model_headers[0]))

/* Bit n: one of these names has n characters. */
#define NGX_HTTP_MODEL_HEADER_LENGTHS                                         \
    ((1u << 7) | (1u << 10) | (1u << 11) | (1u << 12) | (1u << 14)            \
     | (1u << 15) | (1u << 16) | (1u << 17) | (1u << 19) | (1u << 20)         \
     | (1u << 24))


ngx_int_t
ngx_http_model_choice_make(ngx_http_request_t *r, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p, ngx_http_model_exchange_t **xp,
    mg_error_t *e)
{
    uint32_t                    i;
    mg_snap_t                  *snap;
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

    if (group == NULL || (w->dry_run && group->n_variants == 0)) {
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

    ngx_http_model_choice_headers(r, x, w);

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

    if (ngx_http_model_assign(r, x, w, p, &i, e) != NGX_OK) {
        return NGX_DECLINED;
    }

    mg_routing_variant(snap, &x->group, i, &x->assigned);

    if (w->dry_run) {
        x->dry_run = 1;
        x->fallback = NULL;
        return NGX_OK;
    }

    if (x->forced) {
        x->fallback = NULL;
    }

    if (ngx_http_model_choice_serve(r, x, i, x->forced) == NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_model_choice_others(r, x, UINT32_MAX) == NGX_OK) {
        if (x->held & ((uint32_t) 1 << i)) {
            mg_metric_own(ngx_http_model_counters(), FALLBACKS_OPEN, 1);

        } else {
            mg_metric_own(ngx_http_model_counters(), FALLBACKS_FAILED, 1);
        }

        return NGX_OK;
    }

    if (ngx_http_model_choice_held(r, x, i, x->held) == NGX_OK) {
        return NGX_OK;
    }

    x->served = x->assigned;

    mg_error_set(e, MG_E_UNAVAILABLE, "model",
                 "no server of model \"%.*s\" can be reached: its provider "
                 "has no address or no usable key; the log says which",
                 MG_STR_ARG(x->assigned.model_id));
    (void) mg_error_code(e, "no_backend");

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_model_choice_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_error_t *e)
{
    mg_str_t  served, provider;

    if (x->again) {
        x->again = 0;
        return NGX_OK;
    }

    served = x->served.model_id;
    provider = x->backend.id;

    if (ngx_http_model_choice_others(r, x, UINT32_MAX) == NGX_OK) {
        ngx_http_model_attempt_failed(r, x, served, provider);
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
    x->paused = 0;

    /* there is an answer to give: who asked for a pause is left in peace */

    if (ngx_http_model_choice_others(r, x, avoid) == NGX_OK
        || ngx_http_model_choice_held(r, x, 0, x->held & ~x->paused)
           == NGX_OK)
    {
        ngx_http_model_attempt_failed(r, x, before.served.model_id,
                                      before.backend.id);
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
            && v.role != MG_MEMBER_SHADOW
            && !(v.role == MG_MEMBER_CHALLENGER
                 && x->group.status == MG_GROUP_PAUSED))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_model_choice_shadow(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_http_model_exchange_t *s)
{
    ngx_int_t  rc;

    *s = *x;
    s->gate = NULL;
    s->fallback = NULL;

    mg_routing_variant(s->snap, &s->group, i, &s->served);

    if (s->served.backend >= mg_routing_backends(s->snap)) {
        return NGX_DECLINED;
    }

    mg_routing_backend(s->snap, s->served.backend, &s->backend);

    rc = s->backend.n_addrs ? ngx_http_model_secrets_get(r, s) : NGX_DECLINED;

    x->secrets = s->secrets;

    if (rc != NGX_OK || ngx_http_model_choice_uri(r, s) != NGX_OK) {
        return NGX_DECLINED;
    }

    return NGX_OK;
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
    x->name_start = w->value_start;
    x->name_end = w->value_end;
    x->options_at = w->options_at;
    x->options_null = w->options_null;
    x->options_some = w->options_some;
    x->usage_asked = w->usage_asked;
    x->begun_us = w->begun_us;
    x->mono_us = w->mono_us;
    x->path = r->uri;
    x->args = r->args;

    if (r->headers_in.content_length_n > 0) {
        x->request_bytes = r->headers_in.content_length_n;
    }

    ngx_memcpy(x->token_bytes, p->token_bytes, 16);

    mg_uuid_v7(&x->id, x->begun_us, ngx_http_model_assign_random(10));

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
    ngx_http_model_exchange_t *x, ngx_http_model_wanted_t *w)
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
                    w->session = h[i].value;
                }

            } else if (known->what == NGX_HTTP_MODEL_CREDENTIAL) {
                x->credentials = 1;

            } else if (known->what == NGX_HTTP_MODEL_VERSION) {
                x->versioned = 1;

            } else if (known->what == NGX_HTTP_MODEL_FORCE) {

                /* as credentials are, it is the gateway's alone */

                w->force = h[i].value;
                x->credentials = 1;

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


/* Makes variant i the served one, if it can be. */

static ngx_int_t
ngx_http_model_choice_serve(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_uint_t forced)
{
    ngx_int_t             rc;
    mg_routing_variant_t  v;

    mg_routing_variant(x->snap, &x->group, i, &v);

    x->tried |= (uint32_t) 1 << i;

    if (v.backend >= mg_routing_backends(x->snap)) {
        return NGX_DECLINED;
    }

    x->served = v;
    mg_routing_backend(x->snap, v.backend, &x->backend);

    if (x->backend.n_addrs == 0) {
        ngx_http_model_health_absent(x, x->backend.host.len
                                     ? "its name has no address"
                                     : "it has no base_url");
        return NGX_DECLINED;
    }

    if (ngx_http_model_secrets_get(r, x) != NGX_OK) {
        ngx_http_model_health_absent(x, "its key cannot be opened");
        return NGX_DECLINED;
    }

    if (ngx_http_model_choice_uri(r, x) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = ngx_http_model_health_enter(x, forced);

    if (rc != NGX_OK) {
        x->held |= (uint32_t) 1 << i;
        x->paused |= (uint32_t) (rc == NGX_BUSY) << i;
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

    if (x->forced) {
        return NGX_DECLINED;
    }

    for (round = 0; round < sizeof(order) / sizeof(order[0]); round++) {

        for (i = 0; i < x->group.n_variants; i++) {
            mg_routing_variant(x->snap, &x->group, i, &v);

            /* who pauses a group takes the challengers out */

            if (v.role == MG_MEMBER_CHALLENGER
                && x->group.status == MG_GROUP_PAUSED)
            {
                continue;
            }

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


/* The last resort: these are held back, but there is nobody else. */

static ngx_int_t
ngx_http_model_choice_held(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, uint32_t held)
{
    uint32_t  k;

    if ((held & ((uint32_t) 1 << i))
        && ngx_http_model_choice_serve(r, x, i, 1) == NGX_OK)
    {
        return NGX_OK;
    }

    for (k = 0; k < x->group.n_variants; k++) {
        if ((held & ((uint32_t) 1 << k))
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
    ngx_int_t   rc;
    ngx_str_t   path;
    uintptr_t   escape, escape_name;

    if (x->backend.paths.len) {
        rc = ngx_http_model_choice_template(r, x);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

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


/*
 * The same where the provider has other paths.  Of a path that names the
 * model that name is left out: "/v2/models/infer".  NGX_DECLINED: none of its
 * rows is meant.
 */

static ngx_int_t
ngx_http_model_choice_template(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    u_char     *p;
    size_t      len;
    mg_str_t    path, rest, template;
    ngx_str_t   whole;

    static const ngx_str_t  models = ngx_string("/v2/models");

    whole = x->path;

    if (x->suffix.len) {
        whole.len = models.len + x->suffix.len;
        whole.data = ngx_pnalloc(r->pool, whole.len);
        if (whole.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(whole.data, models.data, models.len);
        ngx_memcpy(p, x->suffix.data, x->suffix.len);
    }

    path = mg_str_n((char *) whole.data, whole.len);
    template = mg_routing_path(x->backend.paths, path, &rest);

    if (template.len == 0) {
        return NGX_DECLINED;
    }

    len = mg_path_size(template, x->served.upstream_model, rest);

    p = ngx_pnalloc(r->pool, x->backend.path.len + len + 1 + x->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    x->uri.data = p;

    p = ngx_cpymem(p, x->backend.path.data, x->backend.path.len);
    len = mg_path_expand(template, x->served.upstream_model, rest,
                         (char *) p);

    if (x->args.len) {
        p[len] = ngx_strlchr(p, p + len, '?') ? '&' : '?';
        p = ngx_cpymem(p + len + 1, x->args.data, x->args.len);

    } else {
        p += len;
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
