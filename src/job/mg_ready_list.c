/*
 * mg_ready_list.c: which model servers readiness waits for.
 *
 *     routing file: groups -> variants -> backend, once each
 *                   the variant with the largest share is the one asked
 *     catalog file: what type of model that is
 *
 * A provider that the configuration names and no group uses stands in the
 * list without a cell: nobody can say where it is, so it is not ready.
 *
 * Thread of mg_ready_probe.c; reads files, keeps no mapping.
 */

#include "job/mg_ready_local.h"

#include <stdlib.h>

#include "base/mg_hash.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"


static void mg_ready_list_group(mg_ready_list_t *list, const mg_snap_t *s,
    const mg_routing_group_t *g, const mg_ready_conf_t *conf,
    mg_ready_server_t **places);
static int mg_ready_list_wanted(const mg_ready_conf_t *conf,
    const mg_routing_backend_t *b);
static void mg_ready_list_backend(mg_arena_t *a, mg_ready_server_t *sv,
    const mg_routing_backend_t *b);
static mg_str_t mg_ready_list_headers(mg_arena_t *a, mg_str_t headers);
static void mg_ready_list_health(mg_arena_t *a, mg_ready_server_t *sv,
    const mg_routing_backend_t *b);
static void mg_ready_list_missing(mg_ready_list_t *list,
    const mg_ready_conf_t *conf);
static void mg_ready_list_types(const mg_env_t *env, mg_ready_list_t *list);
static uint64_t mg_ready_list_digest(const mg_ready_list_t *list);
static void mg_ready_list_print(mg_buf_t *b, const mg_ready_server_t *sv);


int
mg_ready_list(const mg_env_t *env, const mg_ready_conf_t *conf,
    mg_ready_list_t *list)
{
    uint32_t             i, n;
    mg_snap_t           *s;
    mg_error_t           e;
    mg_ready_server_t  **places;
    mg_routing_group_t   g;

    memset(list, 0, sizeof(mg_ready_list_t));

    if (mg_snap_open(&s, env->state_dir, MG_SNAP_ROUTING, 0, &e) != MG_OK) {
        return MG_DECLINED;
    }

    n = mg_routing_backends(s);
    places = calloc(n + 1, sizeof(mg_ready_server_t *));
    list->servers = calloc(n + conf->n_names + 1, sizeof(mg_ready_server_t));
    list->arena = mg_arena_create(0);

    if (places == NULL || list->servers == NULL || list->arena == NULL) {
        free(places);
        mg_ready_list_free(list);
        mg_snap_close(s);
        return MG_ERROR;
    }

    for (i = 0; i < mg_routing_groups(s); i++) {
        mg_routing_group_at(s, i, &g);

        if (conf->which != MG_READY_MEMBERS || g.status == MG_GROUP_ACTIVE) {
            mg_ready_list_group(list, s, &g, conf, places);
        }
    }

    free(places);
    mg_snap_close(s);

    mg_ready_list_missing(list, conf);
    mg_ready_list_types(env, list);
    list->digest = mg_ready_list_digest(list);

    return MG_OK;
}


void
mg_ready_list_free(mg_ready_list_t *list)
{
    mg_arena_destroy(list->arena);
    free(list->servers);
    memset(list, 0, sizeof(mg_ready_list_t));
}


/* A shadow is nobody's answer: it is not waited for. */

static void
mg_ready_list_group(mg_ready_list_t *list, const mg_snap_t *s,
    const mg_routing_group_t *g, const mg_ready_conf_t *conf,
    mg_ready_server_t **places)
{
    uint32_t               i;
    mg_ready_server_t     *sv;
    mg_routing_backend_t   b;
    mg_routing_variant_t   v;

    for (i = 0; i < g->n_variants; i++) {
        mg_routing_variant(s, g, i, &v);

        if (v.backend == UINT32_MAX || v.role == MG_MEMBER_SHADOW) {
            continue;
        }

        mg_routing_backend(s, v.backend, &b);

        if (!mg_ready_list_wanted(conf, &b)) {
            continue;
        }

        sv = places[v.backend];

        if (sv == NULL) {
            sv = &list->servers[list->n++];
            places[v.backend] = sv;
            mg_ready_list_backend(list->arena, sv, &b);

        } else if (v.share <= sv->share) {
            continue;
        }

        sv->share = v.share;
        sv->model.id = mg_arena_dup(list->arena, v.model_id);
        sv->model.provider_model_id = mg_arena_dup(list->arena,
                                                   v.upstream_model);
    }
}


static int
mg_ready_list_wanted(const mg_ready_conf_t *conf,
    const mg_routing_backend_t *b)
{
    unsigned  i;

    if (conf->which != MG_READY_NAMED) {
        return 1;
    }

    for (i = 0; i < conf->n_names; i++) {
        if (mg_str_eq(conf->names[i], b->id)
            && mg_str_eq(b->org_id, mg_str(MG_ORG_DEFAULT)))
        {
            return 1;
        }
    }

    return 0;
}


static void
mg_ready_list_backend(mg_arena_t *a, mg_ready_server_t *sv,
    const mg_routing_backend_t *b)
{
    mg_provider_t  *p;

    p = &sv->provider;

    sv->name[mg_gate_name(b->id, b->org_id, sv->name)] = '\0';
    sv->said = -1;
    sv->identity = b->identity;
    sv->paths = mg_arena_dup(a, b->paths);

    p->id = mg_arena_dup(a, b->id);
    p->org_id = mg_arena_dup(a, b->org_id);
    p->protocol = mg_arena_dup(a, b->protocol);
    p->key_sealed = mg_arena_dup(a, b->key_sealed);
    p->headers = mg_ready_list_headers(a, b->headers);
    p->connect_timeout_ms = b->connect_timeout_ms;
    p->read_timeout_ms = MG_UNKNOWN;

    if (b->host_port.len) {
        p->base_url = mg_arena_printf(a, MG_STR_FMT "://" MG_STR_FMT
                                      MG_STR_FMT, MG_STR_ARG(b->scheme),
                                      MG_STR_ARG(b->host_port),
                                      MG_STR_ARG(b->path));
    }

    mg_ready_list_health(a, sv, b);
}


/* As the provider's row has them, an object. */

static mg_str_t
mg_ready_list_headers(mg_arena_t *a, mg_str_t headers)
{
    mg_jw_t   w;
    mg_buf_t  b;
    mg_str_t  name, value, text;

    if (headers.len == 0) {
        return mg_str_null;
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);

    while (mg_routing_header(&headers, &name, &value)) {
        mg_jw_key(&w, name);
        mg_jw_str(&w, NULL, value);
    }

    mg_jw_end_object(&w);

    text = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return text;
}


/* A path that the provider's row states goes before the protocol's. */

static void
mg_ready_list_health(mg_arena_t *a, mg_ready_server_t *sv,
    const mg_routing_backend_t *b)
{
    mg_str_t  path;

    static const mg_health_ask_t  stated = {
        { NULL, 0 }, "", 1, mg_health_read
    };

    if (b->host_port.len) {
        sv->health = b->probe.len ? &stated : mg_health_find(b->protocol);
    }

    if (sv->health == NULL) {
        return;
    }

    path = b->probe.len ? b->probe : mg_str_z(sv->health->path);

    sv->health_url = mg_arena_printf(a, MG_STR_FMT "://" MG_STR_FMT
                                     MG_STR_FMT MG_STR_FMT,
                                     MG_STR_ARG(b->scheme),
                                     MG_STR_ARG(b->host_port),
                                     sv->health->server ? 0
                                                        : (int) b->path.len,
                                     b->path.data, MG_STR_ARG(path));
}


static void
mg_ready_list_missing(mg_ready_list_t *list, const mg_ready_conf_t *conf)
{
    unsigned            i, k;
    mg_ready_server_t  *sv;

    for (i = 0; i < conf->n_names; i++) {

        for (k = 0; k < list->n; k++) {
            if (mg_str_eq(list->servers[k].provider.id, conf->names[i])) {
                break;
            }
        }

        if (k == list->n) {
            sv = &list->servers[list->n++];
            sv->provider.id = conf->names[i];
            sv->name[mg_gate_name(conf->names[i], mg_str(MG_ORG_DEFAULT),
                                  sv->name)] = '\0';
        }
    }
}


/* Of a model that the catalog does not have, chat is the best guess. */

static void
mg_ready_list_types(const mg_env_t *env, mg_ready_list_t *list)
{
    int               type;
    unsigned          i;
    mg_str_t          item, more;
    mg_snap_t        *s;
    mg_error_t        e;
    mg_model_t       *m;
    const mg_json_t  *doc;

    if (mg_snap_open(&s, env->state_dir, MG_SNAP_CATALOG, 0, &e) != MG_OK) {
        s = NULL;
    }

    for (i = 0; i < list->n; i++) {
        m = &list->servers[i].model;
        m->type = MG_TYPE_CHAT;
        m->active = 1;

        if (s == NULL || mg_catalog_model(s, m->id, &item, &more) != MG_OK) {
            continue;
        }

        doc = mg_json_parse(list->arena, item, NULL, &e);
        type = mg_model_type_find(mg_json_str(doc, "type"));

        if (type >= 0) {
            m->type = (mg_model_type_e) type;
        }
    }

    if (s) {
        mg_snap_close(s);
    }
}


static uint64_t
mg_ready_list_digest(const mg_ready_list_t *list)
{
    uint64_t  digest;
    unsigned  i;
    mg_buf_t  b;

    mg_buf_init(&b, 0);

    for (i = 0; i < list->n; i++) {
        mg_ready_list_print(&b, &list->servers[i]);
    }

    digest = b.failed ? 0 : mg_sum64(b.data, b.len);
    mg_buf_free(&b);

    return digest;
}


static void
mg_ready_list_print(mg_buf_t *b, const mg_ready_server_t *sv)
{
    unsigned  i;

    const mg_str_t  parts[] = {
        mg_str_z(sv->name), sv->provider.protocol, sv->provider.base_url,
        sv->provider.headers, sv->provider.key_sealed, sv->paths,
        sv->model.provider_model_id, sv->health_url,
        mg_model_type_names[sv->model.type]
    };

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        mg_buf_str(b, parts[i]);
        mg_buf_char(b, '\n');
    }
}
