/*
 * ngx_http_model_catalog_served.c: what this gateway serves, /v1/models.
 *
 * What a client may name as "model" are the active groups of its
 * organisation.  They are shown in OpenAI's shape, and in Anthropic's to a
 * request with the header anthropic-version.  OpenAI's list for the default
 * organisation lies ready in the routing snapshot; the others are written
 * from its rows, which lie by organisation and name.
 *
 *     {"object":"list","data":[{"id","object","created","owned_by"}]}
 *     {"data":[{"type","id","display_name","created_at"}],
 *      "has_more","first_id","last_id"}
 *
 * Event loop; one pass over the groups.
 */

#include "http/ngx_http_model_catalog.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "snapshot/mg_snap_routing.h"


#define NGX_HTTP_MODEL_SERVED_LIMIT   20       /* Anthropic's default */
#define NGX_HTTP_MODEL_SERVED_SALT    0x616e7468726f7069


typedef struct {
    mg_snap_t      *snap;
    uint8_t         org[16];
    ngx_uint_t      anthropic;     /* the shape */
    mg_str_t        after;         /* after_id; {NULL, 0}: not asked for */
    mg_str_t        before;
    uint32_t        limit;
    uint32_t        first;         /* of the page, among those shown */
    uint32_t        end;
    uint32_t        total;
} ngx_http_model_served_t;


static ngx_int_t ngx_http_model_served_open(ngx_http_model_ask_t *ask,
    ngx_http_model_served_t *s);
static ngx_int_t ngx_http_model_served_query(ngx_http_model_ask_t *ask,
    ngx_http_model_served_t *s);
static ngx_int_t ngx_http_model_served_page(ngx_http_model_served_t *s,
    mg_error_t *e);
static ngx_int_t ngx_http_model_served_unknown(const char *param,
    mg_str_t id, mg_error_t *e);
static ngx_uint_t ngx_http_model_served_next(ngx_http_model_served_t *s,
    uint32_t *i, mg_routing_group_t *g);
static void ngx_http_model_served_write(ngx_http_model_served_t *s,
    mg_buf_t *b);
static void ngx_http_model_served_item(ngx_http_model_served_t *s,
    mg_jw_t *w, mg_routing_group_t *g);
static uint64_t ngx_http_model_served_salt(ngx_http_model_served_t *s);


ngx_int_t
ngx_http_model_catalog_served(ngx_http_model_ask_t *ask)
{
    mg_buf_t                 b;
    mg_str_t                 plain, gzipped;
    mg_uuid_t                org;
    ngx_http_model_served_t  s;

    if (ngx_http_model_served_open(ask, &s) != NGX_OK
        || ngx_http_model_served_query(ask, &s) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    (void) mg_uuid_parse(mg_str(MG_ORG_DEFAULT), &org);

    if (!s.anthropic && ngx_memcmp(s.org, org.b, 16) == 0) {
        mg_routing_models(s.snap, 0, &plain);
        mg_routing_models(s.snap, 1, &gzipped);

        return ngx_http_model_catalog_ready(ask->request, s.snap, &plain,
                                            &gzipped);
    }

    if (ngx_http_model_served_page(&s, &ask->error) != NGX_OK) {
        return NGX_DECLINED;
    }

    mg_buf_init(&b, 0);
    ngx_http_model_served_write(&s, &b);

    return ngx_http_model_catalog_text(ask->request, s.snap, &b,
                                       ngx_http_model_served_salt(&s));
}


ngx_int_t
ngx_http_model_catalog_served_one(ngx_http_model_ask_t *ask)
{
    mg_jw_t                  w;
    mg_buf_t                 b;
    mg_str_t                 name;
    mg_routing_group_t       g;
    ngx_http_model_served_t  s;

    if (ngx_http_model_served_open(ask, &s) != NGX_OK) {
        return NGX_DECLINED;
    }

    name = ask->path[0].value;

    if (mg_routing_group(s.snap, name, s.org, &g) != MG_OK
        || g.status != MG_GROUP_ACTIVE)
    {
        (void) mg_error_set(&ask->error, MG_E_NOT_FOUND, "model",
                            "there is no model \"%.*s\" here; GET /v1/models "
                            "lists what there is",
                            (int) ngx_min(name.len,
                                          NGX_HTTP_MODEL_CATALOG_CUT),
                            name.data);
        (void) mg_error_code(&ask->error, "model_not_found");

        return NGX_DECLINED;
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    ngx_http_model_served_item(&s, &w, &g);

    return ngx_http_model_catalog_text(ask->request, s.snap, &b,
                                       ngx_http_model_served_salt(&s));
}


/* -- what was asked -- */

static ngx_int_t
ngx_http_model_served_open(ngx_http_model_ask_t *ask,
    ngx_http_model_served_t *s)
{
    ngx_http_request_t          *r;
    ngx_http_model_principal_t  *who;

    static ngx_str_t  vary = ngx_string("anthropic-version");

    r = ask->request;
    ngx_memzero(s, sizeof(ngx_http_model_served_t));

    s->snap = ngx_http_model_catalog_snap(ask, MG_SNAP_ROUTING);

    if (s->snap == NULL
        || ngx_http_model_principal(r, MG_ROLE_NONE, &who, &ask->error)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(s->org, who->org_bytes, 16);

    s->anthropic = (ngx_http_model_answer_sent(r, "anthropic-version")
                    != NULL);

    if (ngx_http_model_answer_header(r, "Vary", &vary) != NGX_OK) {
        (void) mg_error_set(&ask->error, MG_E_INTERNAL, NULL,
                            "out of memory");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* "beta" is what Anthropic's clients send along; it asks for nothing. */

static ngx_int_t
ngx_http_model_served_query(ngx_http_model_ask_t *ask,
    ngx_http_model_served_t *s)
{
    ngx_uint_t    i;
    mg_pair_t    *pair;
    mg_error_t   *e;
    mg_paging_t   paging;

    e = &ask->error;
    s->limit = NGX_HTTP_MODEL_SERVED_LIMIT;

    for (i = 0; i < ask->n_query; i++) {
        pair = &ask->query[i];

        if (!s->anthropic) {
            (void) mg_error_set(e, MG_E_INVALID, pair->name.data,
                                "query parameter \"%s\" is not known here "
                                "without the header anthropic-version",
                                pair->name.data);
            return NGX_DECLINED;
        }

        if (mg_str_eq(pair->name, mg_str("after_id"))) {
            s->after = pair->value;

        } else if (mg_str_eq(pair->name, mg_str("before_id"))) {
            s->before = pair->value;

        } else if (mg_str_eq(pair->name, mg_str("limit"))) {

            if (mg_query_paging(pair, 1, &paging, e) != MG_OK) {
                return NGX_DECLINED;
            }

            s->limit = paging.limit;
        }
    }

    if (s->after.data && s->before.data) {
        (void) mg_error_set(e, MG_E_INVALID, "before_id",
                            "before_id \"%.*s\" stands beside after_id; "
                            "give one of them",
                            (int) ngx_min(s->before.len,
                                          NGX_HTTP_MODEL_CATALOG_CUT),
                            s->before.data);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Which of the groups stand on the page. */

static ngx_int_t
ngx_http_model_served_page(ngx_http_model_served_t *s, mg_error_t *e)
{
    uint32_t            i, after, before;
    mg_routing_group_t  g;

    after = UINT32_MAX;
    before = UINT32_MAX;

    for (i = 0; ngx_http_model_served_next(s, &i, &g); s->total++) {

        if (s->after.data && mg_str_eq(g.name, s->after)) {
            after = s->total;
        }

        if (s->before.data && mg_str_eq(g.name, s->before)) {
            before = s->total;
        }
    }

    if (!s->anthropic) {
        s->end = s->total;
        return NGX_OK;
    }

    if (s->after.data && after == UINT32_MAX) {
        return ngx_http_model_served_unknown("after_id", s->after, e);
    }

    if (s->before.data && before == UINT32_MAX) {
        return ngx_http_model_served_unknown("before_id", s->before, e);
    }

    if (s->before.data) {
        s->end = before;
        s->first = before > s->limit ? before - s->limit : 0;

    } else {
        s->first = s->after.data ? after + 1 : 0;
        s->end = ngx_min(s->first + s->limit, s->total);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_served_unknown(const char *param, mg_str_t id, mg_error_t *e)
{
    (void) mg_error_set(e, MG_E_INVALID, param,
                        "%s \"%.*s\" is no model of this list; give an id "
                        "of the page before", param,
                        (int) ngx_min(id.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        id.data);

    return NGX_DECLINED;
}


/* The next active group of the organisation at or behind *i; 0: none. */

static ngx_uint_t
ngx_http_model_served_next(ngx_http_model_served_t *s, uint32_t *i,
    mg_routing_group_t *g)
{
    while (*i < mg_routing_groups(s->snap)) {
        mg_routing_group_at(s->snap, (*i)++, g);

        if (g->status == MG_GROUP_ACTIVE
            && ngx_memcmp(g->org_bytes, s->org, 16) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* -- answers -- */

static void
ngx_http_model_served_write(ngx_http_model_served_t *s, mg_buf_t *b)
{
    mg_jw_t             w;
    mg_str_t            first, last;
    uint32_t            i, n;
    mg_routing_group_t  g;

    first = mg_str_null;
    last = mg_str_null;

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);

    if (!s->anthropic) {
        mg_jw_z(&w, "object", "list");
    }

    mg_jw_array(&w, "data");

    for (i = 0, n = 0; ngx_http_model_served_next(s, &i, &g); n++) {

        if (n < s->first || n >= s->end) {
            continue;
        }

        ngx_http_model_served_item(s, &w, &g);

        last = g.name;

        if (first.data == NULL) {
            first = last;
        }
    }

    mg_jw_end_array(&w);

    if (s->anthropic) {
        mg_jw_bool(&w, "has_more", s->before.data ? s->first > 0
                                                  : s->end < s->total);
        mg_jw_str(&w, "first_id", first);
        mg_jw_str(&w, "last_id", last);
    }

    mg_jw_end_object(&w);
}


static void
ngx_http_model_served_item(ngx_http_model_served_t *s, mg_jw_t *w,
    mg_routing_group_t *g)
{
    char    text[MG_TIME_LEN + 1];
    size_t  n;

    mg_jw_object(w, NULL);

    if (s->anthropic) {
        n = mg_time_format(g->created_at, text);

        mg_jw_z(w, "type", "model");
        mg_jw_str(w, "id", g->name);
        mg_jw_str(w, "display_name", g->name);
        mg_jw_str(w, "created_at", mg_str_n(text, n));

    } else {
        mg_jw_str(w, "id", g->name);
        mg_jw_z(w, "object", "model");
        mg_jw_int(w, "created", g->created_at / 1000000);
        mg_jw_z(w, "owned_by", "model-gateway");
    }

    mg_jw_end_object(w);
}


/* Answers of one address differ by shape and by organisation. */

static uint64_t
ngx_http_model_served_salt(ngx_http_model_served_t *s)
{
    uint64_t  org[2];

    ngx_memcpy(org, s->org, 16);

    return org[0] ^ org[1]
           ^ (s->anthropic ? NGX_HTTP_MODEL_SERVED_SALT : 0);
}
