/*
 * mg_target.c: a provider's row and its protocol -> a target of requests.
 *
 *     Content-Type, Accept | the protocol's | the provider's own | the key
 *
 * A header that the provider's row has replaces the protocol's of that name:
 * whoever set it wants another version.
 *
 * Called by the validation and the sync job; touches the target only.
 */

#include "job/mg_target.h"

#include <strings.h>

#include "base/mg_crypt.h"
#include "base/mg_json.h"
#include "base/mg_uri.h"
#include "model/mg_path.h"


/* Headers of the provider's own, beside those that are always sent. */
#define MG_TARGET_HEADERS_MAX   8


/* What stands before the key, by mg_auth_scheme_e. */
static const mg_str_t  mg_target_schemes[] = {
    [MG_AUTH_BEARER] = mg_str("Authorization: Bearer "),
    [MG_AUTH_X_API_KEY] = mg_str("x-api-key: "),
    [MG_AUTH_X_GOOG_API_KEY] = mg_str("x-goog-api-key: "),
    [MG_AUTH_API_KEY] = mg_str("api-key: "),
    [MG_AUTH_NONE] = mg_str("Authorization: Bearer ")
};


static int mg_target_url(const mg_provider_t *p, mg_probe_target_t *t,
    mg_error_t *e);
static int mg_target_headers(const mg_provider_t *p, mg_arena_t *a,
    mg_probe_target_t *t, mg_error_t *e);
static void mg_target_protocol(mg_probe_target_t *t);
static int mg_target_key(const mg_env_t *env, mg_str_t org_id,
    const mg_provider_t *p, mg_arena_t *a, mg_target_t *t, mg_error_t *e);
static void mg_target_key_add(mg_target_t *t, size_t scheme, size_t len);


/* The smaller of two limits, of which the first may be unknown. */

static unsigned
mg_target_least(int64_t own, unsigned most)
{
    return (own > 0 && own < (int64_t) most) ? (unsigned) own : most;
}


int
mg_target_open(const mg_env_t *env, mg_str_t org_id, const mg_provider_t *p,
    mg_arena_t *a, mg_target_t *target, mg_error_t *e)
{
    mg_probe_target_t  *t;

    memset(target, 0, sizeof(mg_target_t));
    t = &target->probe;
    t->protocol = mg_protocol_find(p->protocol);

    if (t->protocol == NULL) {
        return mg_error_set(e, MG_E_INVALID, "protocol", "protocol \""
                            MG_STR_FMT "\" of provider \"" MG_STR_FMT "\" is "
                            "not known; give openai for a server that "
                            "speaks OpenAI's API", MG_STR_ARG(p->protocol),
                            MG_STR_ARG(p->id));
    }

    if (mg_target_url(p, t, e) != MG_OK
        || mg_target_headers(p, a, t, e) != MG_OK
        || mg_target_key(env, org_id, p, a, target, e) != MG_OK)
    {
        return MG_ERROR;
    }

    t->paths = mg_path_lines(a, p->paths);
    t->concurrency = mg_target_least(p->max_concurrency,
                                     env->validate_concurrency);
    t->timeout_ms = mg_target_least(p->read_timeout_ms,
                                    env->validate_timeout_ms);
    t->connect_timeout_ms = mg_target_least(p->connect_timeout_ms,
                                            t->timeout_ms);
    t->rate_limit = p->rate_limit > 0 ? p->rate_limit : 0;
    t->allow_private = env->allow_private;
    t->trusted = env->trusted;
    t->hosts = env->hosts;
    t->host_max = env->validate_host_concurrency;

    return MG_OK;
}


void
mg_target_close(mg_target_t *t)
{
    mg_wipe(t->key, sizeof(t->key));
    t->probe.secret = mg_str_null;
    t->probe.n_headers = 0;
}


static int
mg_target_url(const mg_provider_t *p, mg_probe_target_t *t, mg_error_t *e)
{
    mg_url_t  url;

    t->base = p->base_url;

    if (t->base.len == 0) {
        return mg_error_set(e, MG_E_INVALID, "base_url", "provider \""
                            MG_STR_FMT "\" has no base URL; set base_url so "
                            "that it can be asked", MG_STR_ARG(p->id));
    }

    if (mg_url_parse(t->base, &url, "base_url", e) != MG_OK) {
        return MG_ERROR;
    }

    t->host = url.host_port.len ? url.host_port : url.host;

    while (t->base.len > 0 && t->base.data[t->base.len - 1] == '/') {
        t->base.len--;
    }

    return MG_OK;
}


/* The provider's own headers are an object of strings. */

static int
mg_target_headers(const mg_provider_t *p, mg_arena_t *a,
    mg_probe_target_t *t, mg_error_t *e)
{
    mg_str_t          line;
    const mg_json_t  *doc, *m;

    t->headers[0] = mg_str("Content-Type: application/json");
    t->headers[1] = mg_str("Accept: application/json");
    t->n_headers = 2;

    if (p->headers.len) {
        doc = mg_json_parse(a, p->headers, NULL, e);
        if (doc == NULL) {
            return MG_ERROR;
        }

        for (m = doc->child; m; m = m->next) {
            if (t->n_headers >= 2 + MG_TARGET_HEADERS_MAX) {
                return mg_error_set(e, MG_E_INVALID, "headers", "provider \""
                                    MG_STR_FMT "\" has more than %d headers",
                                    MG_STR_ARG(p->id),
                                    MG_TARGET_HEADERS_MAX);
            }

            line = mg_arena_printf(a, MG_STR_FMT ": " MG_STR_FMT,
                                   MG_STR_ARG(m->key), MG_STR_ARG(m->str));

            if (m->type == MG_JSON_STRING && line.data) {
                t->headers[t->n_headers++] = line;
            }
        }
    }

    mg_target_protocol(t);

    return MG_OK;
}


static void
mg_target_protocol(mg_probe_target_t *t)
{
    size_t               name;
    unsigned             i;
    const char * const  *h;

    for (h = t->protocol->headers; h && *h; h++) {
        name = strcspn(*h, ":") + 1;

        for (i = 0; i < t->n_headers; i++) {
            if (t->headers[i].len >= name
                && strncasecmp(t->headers[i].data, *h, name) == 0)
            {
                break;
            }
        }

        /* one place is kept for the key */

        if (i == t->n_headers && i < MG_PROBE_HEADERS_MAX - 1) {
            t->headers[t->n_headers++] = mg_str_z(*h);
        }
    }
}


static int
mg_target_key(const mg_env_t *env, mg_str_t org_id, const mg_provider_t *p,
    mg_arena_t *a, mg_target_t *t, mg_error_t *e)
{
    int       rc;
    size_t    len;
    mg_str_t  aad, scheme;

    scheme = mg_target_schemes[t->probe.protocol->auth];
    memcpy(t->key, scheme.data, scheme.len);

    /* what the configuration says is the default organisation's */

    if (env->secrets && mg_str_eq(org_id, mg_str(MG_ORG_DEFAULT))
        && mg_secrets_get(env->secrets, p->id, t->key + scheme.len, &len)
           == MG_OK)
    {
        mg_target_key_add(t, scheme.len, len);
        return MG_OK;
    }

    if (p->key_sealed.len == 0) {
        return MG_OK;
    }

    if (env->key == NULL || !env->key->set) {
        return mg_error_set(e, MG_E_INVALID, NULL, "the key of provider \""
                            MG_STR_FMT "\" is sealed; set "
                            "model_secret_key_file to open it",
                            MG_STR_ARG(p->id));
    }

    if (p->key_sealed.len > MG_TARGET_KEY_MAX) {
        return mg_error_set(e, MG_E_INVALID, NULL, "the key of provider \""
                            MG_STR_FMT "\" is longer than %d bytes",
                            MG_STR_ARG(p->id), MG_TARGET_KEY_MAX);
    }

    aad = mg_arena_printf(a, MG_STR_FMT "/" MG_STR_FMT, MG_STR_ARG(org_id),
                          MG_STR_ARG(p->id));
    rc = mg_crypt_open(env->key, p->key_sealed, aad, t->key + scheme.len,
                       &len, e);

    if (rc == MG_OK) {
        mg_target_key_add(t, scheme.len, len);
    }

    return rc;
}


static void
mg_target_key_add(mg_target_t *t, size_t scheme, size_t len)
{
    t->probe.secret = mg_str_n(t->key + scheme, len);
    t->probe.headers[t->probe.n_headers++] = mg_str_n(t->key, scheme + len);
}


int
mg_target_path(const mg_probe_target_t *t, mg_str_t model, mg_buf_t *url)
{
    int        rc;
    char      *to;
    mg_buf_t   asked;
    mg_str_t   rest, template;

    if (t->paths.len == 0) {
        return MG_OK;
    }

    mg_buf_init(&asked, 0);
    mg_buf_z(&asked, "/v1");
    mg_buf_add(&asked, url->data + t->base.len, url->len - t->base.len);

    template = mg_path_find(t->paths, mg_buf_view(&asked), &rest);
    rc = MG_OK;

    if (template.len) {
        url->len = t->base.len;
        to = mg_buf_reserve(url, mg_path_size(template, model, rest));

        if (to == NULL) {
            rc = MG_ERROR;

        } else {
            url->len += mg_path_expand(template, model, rest, to);
        }
    }

    mg_buf_free(&asked);

    return rc;
}
