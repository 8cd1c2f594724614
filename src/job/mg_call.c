/*
 * mg_call.c: the table of control-plane calls and what they share.
 *
 * To add a call: a handler in a file mg_call_<noun>.c, its prototype in
 * mg_call_local.h, and a row here.  The api module does the rest: methods,
 * roles, query parameters and bodies are checked against the row before a
 * thread sees the call.
 */

#include "base/mg_etag.h"
#include "base/mg_hash.h"
#include "base/mg_time.h"
#include "job/mg_call_local.h"


static int64_t mg_call_version(const mg_etag_t *tag);


static const char * const  mg_call_none[] = { NULL };
static const char * const  mg_call_paged[] = { "page", "limit", NULL };
static const char * const  mg_call_refresh[] = {
    "provider", "source", "force", NULL
};
static const char * const  mg_call_history[] = {
    "provider", "source", "limit", NULL
};
static const char * const  mg_call_only[] = { "only", NULL };
static const char * const  mg_call_status_of[] = {
    "status", "page", "limit", NULL
};
static const char * const  mg_call_runs[] = {
    "provider", "status", "page", "limit", NULL
};
static const char * const  mg_call_results[] = {
    "result", "page", "limit", NULL
};
static const char * const  mg_call_kinds[] = {
    "kind", "status", "state", "key", "since", "page", "limit", NULL
};
static const char * const  mg_call_audit[] = {
    "variant", "assigned", "requested", "role", "provider", "kind",
    "error_class", "token_id", "request_id", "trace_id", "key_hash",
    "status", "min_latency_ms", "error", "stream", "truncated", "forced",
    "dry_run", "since", "until", "after", "limit", "format", NULL
};
static const char * const  mg_call_window_of[] = {
    "since", "until", NULL
};
static const char * const  mg_call_hint[] = { "group", NULL };


#define MG_CALL_ROUTE(method, pattern, role, query, body, handler)            \
    { MG_##method, "/api/v1/" pattern, MG_ROLE_##role, mg_call_##query,       \
      body, mg_call_##handler }


const mg_call_route_t  mg_call_routes[] = {

    MG_CALL_ROUTE(POST,   "model-groups", OPERATOR, none, 1,
                  group_create),
    MG_CALL_ROUTE(GET,    "model-groups", VIEWER, paged, 0,
                  group_list),
    MG_CALL_ROUTE(GET,    "model-groups/{group*}", VIEWER, none, 0,
                  group_get),
    MG_CALL_ROUTE(PATCH,  "model-groups/{group*}", OPERATOR, none, 1,
                  group_patch),
    MG_CALL_ROUTE(DELETE, "model-groups/{group*}", OPERATOR, none, 0,
                  group_delete),
    MG_CALL_ROUTE(POST,   "model-groups/{group*}/models", OPERATOR, none, 1,
                  group_assign),
    MG_CALL_ROUTE(DELETE, "model-groups/{group*}/models/{id*}", OPERATOR,
                  none, 0, group_remove),
    MG_CALL_ROUTE(POST,   "model-groups/{group*}/promote", OPERATOR, none,
                  MG_CALL_BODY_OPTIONAL, group_promote),
    MG_CALL_ROUTE(POST,   "model-groups/{group*}/rollback", OPERATOR, none,
                  0, group_rollback),
    MG_CALL_ROUTE(GET,    "model-groups/{group*}/events", VIEWER, paged, 0,
                  group_events),
    MG_CALL_ROUTE(GET,    "model-groups/{group*}/inferences", VIEWER, audit,
                  0, inference_list),
    MG_CALL_ROUTE(GET,    "model-groups/{group*}/performance", VIEWER,
                  window_of, 0, performance),

    MG_CALL_ROUTE(GET,    "inferences/{id}", VIEWER, hint, 0,
                  inference_get),
    MG_CALL_ROUTE(POST,   "inferences/{id}/feedback", INFERENCE, none, 1,
                  feedback_put),

    MG_CALL_ROUTE(POST,   "model-groups/{group*}/retain", OPERATOR, none, 0,
                  retain_start),

    MG_CALL_ROUTE(POST,   "providers", ADMIN, none, 1,
                  provider_create),
    MG_CALL_ROUTE(PATCH,  "providers/{provider}", ADMIN, none, 1,
                  provider_patch),
    MG_CALL_ROUTE(DELETE, "providers/{provider}", ADMIN, none, 0,
                  provider_delete),

    MG_CALL_ROUTE(POST,   "models", OPERATOR, none, 1,
                  model_create),
    MG_CALL_ROUTE(PATCH,  "models/{id*}", OPERATOR, none, 1,
                  model_patch),
    MG_CALL_ROUTE(DELETE, "models/{id*}", OPERATOR, none, 0,
                  model_delete),

    MG_CALL_ROUTE(POST,   "models/refresh", OPERATOR, refresh, 0,
                  refresh_start),
    MG_CALL_ROUTE(GET,    "models/refresh/status", VIEWER, history, 0,
                  refresh_status),

    MG_CALL_ROUTE(POST,   "cache/flush", ADMIN, none, 0,
                  cache_flush),

    MG_CALL_ROUTE(POST,   "tokens", ADMIN, none, 1,
                  token_create),
    MG_CALL_ROUTE(GET,    "tokens", ADMIN, paged, 0,
                  token_list),
    MG_CALL_ROUTE(DELETE, "tokens/{id}", ADMIN, none, 0,
                  token_delete),

    MG_CALL_ROUTE(POST,   "providers/{provider}/validate-models", OPERATOR,
                  only, MG_CALL_BODY_OPTIONAL, validation_start),
    MG_CALL_ROUTE(POST,   "models/{id*}/validate", OPERATOR, none, 0,
                  validation_model),
    MG_CALL_ROUTE(GET,    "providers/{provider}/validation-status", VIEWER,
                  none, 0, validation_status),
    MG_CALL_ROUTE(GET,    "providers/{provider}/validations", VIEWER,
                  status_of, 0, validation_list),
    MG_CALL_ROUTE(POST,   "validations", OPERATOR, none,
                  MG_CALL_BODY_OPTIONAL, validation_all),
    MG_CALL_ROUTE(GET,    "validations", VIEWER, runs, 0,
                  validation_history),
    MG_CALL_ROUTE(GET,    "validations/{id}", VIEWER, results, 0,
                  validation_get),
    MG_CALL_ROUTE(POST,   "validations/{id}/cancel", OPERATOR, none, 0,
                  validation_cancel),

    MG_CALL_ROUTE(GET,    "jobs", VIEWER, kinds, 0,
                  job_list),
    MG_CALL_ROUTE(GET,    "jobs/{id}", VIEWER, none, 0,
                  job_get),
    MG_CALL_ROUTE(POST,   "jobs/{id}/cancel", OPERATOR, none, 0,
                  job_cancel),

    { 0, NULL, MG_ROLE_NONE, NULL, 0, NULL }
};


/* -- what was asked -- */

mg_str_t
mg_call_path(const mg_call_t *c, const char *name)
{
    unsigned  i;

    for (i = 0; i < c->n_path; i++) {
        if (mg_str_eq(c->path[i].name, mg_str_z(name))) {
            return c->path[i].value;
        }
    }

    return mg_str_null;
}


mg_str_t
mg_call_query(const mg_call_t *c, const char *name)
{
    unsigned  i;

    for (i = 0; i < c->n_query; i++) {
        if (mg_str_eq(c->query[i].name, mg_str_z(name))) {
            return c->query[i].value;
        }
    }

    return mg_str_null;
}


int
mg_call_once(mg_call_t *c, mg_error_t *e)
{
    char          hex[2 * 32 + 1];
    uint8_t       digest[32];
    mg_sha256_t  *h;

    if (c->once.key.len == 0) {
        return MG_OK;
    }

    h = mg_sha256_begin();

    if (h) {
        mg_sha256_add(h, c->target);
        mg_sha256_add(h, mg_str("\n"));
        mg_sha256_add(h, c->body);
        mg_sha256_end(h, digest);

        mg_hex(digest, sizeof(digest), hex);
        c->once.hash = mg_arena_dup(c->arena, mg_str_z(hex));
    }

    if (c->once.hash.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    c->who.once = &c->once;

    return MG_OK;
}


int
mg_call_if_match(mg_call_t *c, mg_str_t sent, mg_error_t *e)
{
    int           rc;
    int64_t       version;
    unsigned      n;
    mg_str_t      list;
    mg_etag_t     tag;
    mg_expect_t  *expect;

    if (mg_str_eq(sent, mg_str("*"))) {
        return MG_OK;
    }

    if (mg_call_path(c, "group").data == NULL) {
        return mg_error_set(e, MG_E_INVALID, "If-Match",
                            "If-Match \"%.*s\": only groups have versions; "
                            "leave it out here", MG_BODY_CUT(sent));
    }

    expect = mg_arena_calloc(c->arena, sizeof(mg_expect_t));
    if (expect == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    list = sent;

    for (n = 0; (rc = mg_etag_next(&list, &tag)) == MG_OK; n++) {

        if (n == MG_EXPECT_MAX) {
            return mg_error_set(e, MG_E_INVALID, "If-Match",
                                "If-Match names more than %d entity tags; "
                                "send the ETag of the last answer",
                                MG_EXPECT_MAX);
        }

        version = mg_call_version(&tag);

        if (version > 0) {
            expect->version[expect->n++] = version;
        }
    }

    if (rc == MG_ERROR || n == 0) {
        return mg_error_set(e, MG_E_INVALID, "If-Match",
                            "If-Match \"%.*s\" is no list of entity tags such "
                            "as \"7\"; send the ETag of the last answer",
                            MG_BODY_CUT(sent));
    }

    c->expect = expect;

    return MG_OK;
}


/* 0: no tag that a group has ever had. */

static int64_t
mg_call_version(const mg_etag_t *tag)
{
    size_t    i;
    int64_t   version;
    mg_str_t  s;

    s = tag->opaque;
    version = 0;

    if (tag->weak || s.len == 0 || s.len > 18 || s.data[0] == '0') {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        version = version * 10 + (s.data[i] - '0');
    }

    return version;
}


int
mg_call_paging(const mg_call_t *c, mg_paging_t *p, mg_error_t *e)
{
    p->total = 0;

    return mg_query_paging(c->query, c->n_query, p, e);
}


const mg_json_t *
mg_call_json(mg_call_t *c, mg_error_t *e)
{
    mg_json_limits_t  limits;

    memset(&limits, 0, sizeof(limits));
    limits.total = MG_CALL_BODY_MAX;
    limits.string = 256 * 1024;
    limits.members = 20000;

    return mg_json_parse(c->arena, c->body, &limits, e);
}


int
mg_call_change(const mg_json_t *json, mg_error_t *e)
{
    if (json->type == MG_JSON_OBJECT && json->count == 0) {
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "the body names nothing to change; send at least "
                            "one member");
    }

    return MG_OK;
}


int
mg_call_uuid(const mg_call_t *c, const char *name, const char *what,
    mg_str_t *id, mg_error_t *e)
{
    mg_uuid_t  u;

    *id = mg_call_path(c, name);

    if (mg_uuid_parse(*id, &u) == MG_OK) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_NOT_FOUND, name,
                        "there is no %s \"%.*s\"; its id is a UUID", what,
                        (int) (id->len > 80 ? 80 : id->len), id->data);
}


mg_pg_t *
mg_call_db(mg_call_t *c, mg_error_t *e)
{
    if (c->env->db == NULL) {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "no database is configured; set model_database");
        return NULL;
    }

    return mg_pg_checkout(c->env->db, e);
}


/* -- what is answered -- */

void
mg_call_writer(mg_call_t *c, mg_jw_t *w)
{
    mg_jw_init(w, &c->out);
}


void
mg_call_list_begin(mg_call_t *c, mg_jw_t *w, const char *name)
{
    mg_call_writer(c, w);
    mg_jw_object(w, NULL);
    mg_jw_array(w, name);
}


void
mg_call_list_end(mg_jw_t *w, const mg_paging_t *p)
{
    mg_jw_end_array(w);

    mg_jw_object(w, "pagination");
    mg_jw_int(w, "page", p->page);
    mg_jw_int(w, "limit", p->limit);
    mg_jw_int(w, "total", (int64_t) p->total);
    mg_jw_int(w, "total_pages",
              (int64_t) ((p->total + p->limit - 1) / p->limit));
    mg_jw_end_object(w);

    mg_jw_end_object(w);
}


void
mg_call_write_time(mg_jw_t *w, const char *key, int64_t us)
{
    char  text[MG_TIME_LEN + 1];

    if (us == 0 || us == MG_UNKNOWN) {
        mg_jw_null(w, key);
        return;
    }

    mg_time_format(us, text);
    mg_jw_z(w, key, text);
}


void
mg_call_write_int(mg_jw_t *w, const char *key, int64_t n)
{
    if (n == MG_UNKNOWN) {
        mg_jw_null(w, key);
        return;
    }

    mg_jw_int(w, key, n);
}


void
mg_call_write_error(mg_jw_t *w, const mg_error_t *e)
{
    mg_jw_object(w, "error");
    mg_jw_z(w, "message", e->message);
    mg_jw_z(w, "type", mg_error_type(e->kind));

    if (e->param[0]) {
        mg_jw_z(w, "param", e->param);

    } else {
        mg_jw_null(w, "param");
    }

    mg_jw_z(w, "code", e->code);
    mg_jw_end_object(w);
}


mg_str_t
mg_call_address(mg_call_t *c, const char *before, mg_str_t id,
    const char *after)
{
    char           *p, *start;
    size_t          i, size;
    unsigned char   ch;

    static const char  hex[] = "0123456789ABCDEF";

    size = strlen(before) + 3 * id.len + strlen(after);
    start = mg_arena_alloc(c->arena, size + 1);

    if (start == NULL) {
        return mg_str_null;
    }

    p = start;
    memcpy(p, before, strlen(before));
    p += strlen(before);

    for (i = 0; i < id.len; i++) {
        ch = (unsigned char) id.data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || (ch && strchr("-._~/:@", ch)))
        {
            *p++ = (char) ch;
            continue;
        }

        *p++ = '%';
        *p++ = hex[ch >> 4];
        *p++ = hex[ch & 15];
    }

    memcpy(p, after, strlen(after));
    p += strlen(after);

    return mg_str_n(start, p - start);
}


void
mg_call_created(mg_call_t *c, int status, mg_str_t location)
{
    c->status = status;
    c->location = location;
}
