/*
 * ngx_http_model_assign.c: which variant of its group a request is given.
 *
 * By the sticky key, which is the first of these that is not empty:
 *
 *     model_split_key | a session header | the body's "user",
 *     "metadata.user_id", "prompt_cache_key", "session_id" | the token
 *
 * Without any the bucket is drawn at random, and no key is on record.  Keys
 * are not stored: records carry a keyed hash under the group's salt.  An
 * operator may name the variant instead, in X-Model-Variant: such a request
 * has no bucket.  A paused group gives all to its champion.
 *
 * Event loop only; no memory.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/mg_hash.h"
#include "http/ngx_http_model_choice.h"
#include "model/mg_split.h"


#define NGX_HTTP_MODEL_RANDOM       4096

/* As in mg_record_t. */
#define NGX_HTTP_MODEL_KEY_NONE     0
#define NGX_HTTP_MODEL_KEY_HEADER   1
#define NGX_HTTP_MODEL_KEY_BODY     2
#define NGX_HTTP_MODEL_KEY_TOKEN    3


static void ngx_http_model_assign_key(ngx_http_model_exchange_t *x,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    ngx_str_t *key);
static void ngx_http_model_assign_hash(ngx_http_model_exchange_t *x,
    ngx_str_t *key);
static ngx_int_t ngx_http_model_assign_forced(ngx_http_model_exchange_t *x,
    ngx_str_t *wanted, uint32_t *variant, mg_error_t *e);
static uint32_t ngx_http_model_assign_bucket(ngx_http_model_exchange_t *x,
    ngx_str_t *key);
static uint32_t ngx_http_model_assign_champion(ngx_http_model_exchange_t *x);


ngx_int_t
ngx_http_model_assign(ngx_http_request_t *r, ngx_http_model_exchange_t *x,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    uint32_t *variant, mg_error_t *e)
{
    ngx_str_t  key;

    ngx_http_model_assign_key(x, w, p, &key);

    if (key.len) {
        ngx_http_model_assign_hash(x, &key);
    }

    if (w->force.len && !w->dry_run) {

        x->forced = 1;

        if (ngx_http_model_principal(r, MG_ROLE_OPERATOR, &p, e) != NGX_OK) {
            return NGX_DECLINED;
        }

        return ngx_http_model_assign_forced(x, &w->force, variant, e);
    }

    *variant = ngx_http_model_assign_bucket(x, &key);

    return NGX_OK;
}


static void
ngx_http_model_assign_key(ngx_http_model_exchange_t *x,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    ngx_str_t *key)
{
    if (w->key.len) {
        *key = w->key;
        x->key_source = NGX_HTTP_MODEL_KEY_HEADER;

    } else if (w->session.len) {
        *key = w->session;
        x->key_source = NGX_HTTP_MODEL_KEY_HEADER;

    } else if (w->user.len) {
        *key = w->user;
        x->key_source = NGX_HTTP_MODEL_KEY_BODY;

    } else if (p->token_id.len) {
        *key = p->token_id;
        x->key_source = NGX_HTTP_MODEL_KEY_TOKEN;

    } else {
        ngx_str_null(key);
        x->key_source = NGX_HTTP_MODEL_KEY_NONE;
    }
}


static void
ngx_http_model_assign_hash(ngx_http_model_exchange_t *x, ngx_str_t *key)
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


/* wanted: a member's model, or a role that only one of them has. */

static ngx_int_t
ngx_http_model_assign_forced(ngx_http_model_exchange_t *x, ngx_str_t *wanted,
    uint32_t *variant, mg_error_t *e)
{
    uint32_t              i, n;
    mg_str_t              name;
    mg_routing_variant_t  v;

    name = mg_str_n((char *) wanted->data, wanted->len);
    n = 0;

    for (i = 0; i < x->group.n_variants; i++) {
        mg_routing_variant(x->snap, &x->group, i, &v);

        if (mg_str_eq(v.model_id, name)) {
            *variant = i;
            return NGX_OK;
        }

        if (mg_str_eq(mg_member_role_names[v.role], name)) {
            *variant = i;
            n++;
        }
    }

    if (n == 1) {
        return NGX_OK;
    }

    if (n == 0) {
        mg_error_set(e, MG_E_INVALID, "X-Model-Variant",
                     "\"%.*s\" is neither a model of group \"%.*s\" nor the "
                     "role of one; name a member of the group",
                     (int) ngx_min(name.len, 256), name.data,
                     MG_STR_ARG(x->group.name));

    } else {
        mg_error_set(e, MG_E_INVALID, "X-Model-Variant",
                     "group \"%.*s\" has %u models with the role \"%.*s\"; "
                     "name one of them", MG_STR_ARG(x->group.name),
                     (unsigned) n, MG_STR_ARG(name));
    }

    return NGX_DECLINED;
}


static uint32_t
ngx_http_model_assign_bucket(ngx_http_model_exchange_t *x, ngx_str_t *key)
{
    uint32_t  i, bucket, word;

    if (x->group.status == MG_GROUP_PAUSED || x->group.n_ranges == 0) {
        return ngx_http_model_assign_champion(x);
    }

    if (key->len) {
        bucket = mg_split_bucket(x->group.salt,
                                 mg_str_n((char *) key->data, key->len));

    } else {
        ngx_memcpy(&word, ngx_http_model_assign_random(sizeof(word)),
                   sizeof(word));
        bucket = ((uint64_t) word * MG_SPLIT_BUCKETS) >> 32;
    }

    x->bucket = bucket;

    i = mg_split_variant(x->group.ranges, x->group.n_ranges, bucket);

    return i < x->group.n_variants ? i : ngx_http_model_assign_champion(x);
}


static uint32_t
ngx_http_model_assign_champion(ngx_http_model_exchange_t *x)
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


u_char *
ngx_http_model_assign_random(size_t n)
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
