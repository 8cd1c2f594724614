/*
 * mg_call_validate.c: asks for validations: of a provider, of models that
 * are named, of one model, of all providers.
 *
 * Every one of them is a run with a job of its own; one provider has one run
 * at a time, whatever it tests, so that its limits are kept.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_call_local.h"
#include "job/mg_webhook.h"


/* Models that a body may name. */
#define MG_VALIDATE_NAMED_MAX   10000
#define MG_VALIDATE_NAME_MAX    512


typedef struct {
    mg_str_t   models;          /* JSON array */
    mg_str_t   webhook;
} mg_validate_form_t;


typedef struct {
    mg_str_t   providers;       /* JSON array */
} mg_validate_all_t;


static int mg_validate_models_read(const mg_body_field_t *f,
    const mg_json_t *v, mg_arena_t *a, void *to, mg_error_t *e);
static int mg_validate_only(mg_call_t *c, int *only_failed, mg_error_t *e);
static int mg_validate_named(mg_call_t *c, mg_str_t *ids, mg_error_t *e);
static int mg_validate_webhook(mg_call_t *c, mg_str_t url, mg_error_t *e);
static void mg_validate_hear(mg_call_t *c);
static int mg_validate_start(mg_call_t *c, mg_str_t provider,
    int only_failed, mg_str_t ids, mg_error_t *e);
static int mg_validate_conflict(mg_call_t *c, const mg_validation_t *v,
    const mg_error_t *e);
static void mg_validate_begun(mg_call_t *c, mg_jw_t *w,
    const mg_validation_t *v);
static int mg_validate_providers(mg_call_t *c, mg_pg_t *db,
    mg_str_t **providers, unsigned *n, mg_error_t *e);
static int mg_validate_each(mg_call_t *c, mg_pg_t *db, mg_str_t *providers,
    unsigned n, mg_error_t *e);


static const mg_body_field_t  mg_validate_fields[] = {

    { "models", mg_validate_models_read,
      offsetof(mg_validate_form_t, models), 0, 1, MG_VALIDATE_NAMED_MAX,
      NULL, 0 },

    { "webhook", mg_body_string, offsetof(mg_validate_form_t, webhook), 0,
      1, MG_WEBHOOK_URL_MAX, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_validate_all_fields[] = {

    { "providers", mg_body_strings, offsetof(mg_validate_all_t, providers),
      0, 1, 1000, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


/* -- one provider -- */

int
mg_call_validation_start(mg_call_t *c, mg_error_t *e)
{
    int       only_failed;
    mg_str_t  provider, ids;

    if (mg_call_provider(c, &provider, e) != MG_OK
        || mg_validate_only(c, &only_failed, e) != MG_OK
        || mg_validate_named(c, &ids, e) != MG_OK)
    {
        return MG_ERROR;
    }

    if (only_failed && ids.data) {
        return mg_error_set(e, MG_E_INVALID, "models",
                            "models and only=failed exclude each other; give "
                            "one of them");
    }

    return mg_validate_start(c, provider, only_failed, ids, e);
}


static int
mg_validate_only(mg_call_t *c, int *only_failed, mg_error_t *e)
{
    mg_str_t  only;

    only = mg_call_query(c, "only");
    *only_failed = (only.data != NULL);

    if (only.data == NULL || mg_str_eq(only, mg_str("failed"))) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "only",
                        "only \"%.*s\" is not known; give failed, or leave "
                        "it out to test all models", MG_BODY_CUT(only));
}


static int
mg_validate_named(mg_call_t *c, mg_str_t *ids, mg_error_t *e)
{
    const mg_json_t     *json;
    mg_validate_form_t   form;

    memset(&form, 0, sizeof(mg_validate_form_t));
    *ids = mg_str_null;

    if (c->body.len == 0) {
        return MG_OK;
    }

    json = mg_call_json(c, e);

    if (json == NULL
        || mg_body_parse(json, mg_validate_fields, 1, c->arena, &form, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *ids = form.models;

    return form.webhook.data ? mg_validate_webhook(c, form.webhook, e)
                             : MG_OK;
}


/* Where the end of a run is told that named no place itself. */

static void
mg_validate_hear(mg_call_t *c)
{
    if (c->env->webhook && c->who.webhook.data == NULL) {
        c->who.webhook = c->env->webhook->url;
    }
}


/* Whoever receives it must be able to tell that it is ours. */

static int
mg_validate_webhook(mg_call_t *c, mg_str_t url, mg_error_t *e)
{
    if (c->env->webhook == NULL) {
        return mg_error_set(e, MG_E_INVALID, "webhook",
                            "this gateway signs no webhooks; leave it out, "
                            "or configure model_webhook secret_file=");
    }

    c->who.webhook = url;

    return mg_webhook_url(url, e);
}


/* Ids of models are longer, and more, than the strings of other bodies. */

static int
mg_validate_models_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    mg_jw_t              w;
    mg_buf_t             b;
    mg_validate_form_t  *form = to;

    if (v->type != MG_JSON_ARRAY) {
        return mg_body_type_error(f, "an array of ids of models", e);
    }

    if (v->count < f->min || v->count > f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s names %u models; name 1 to %d, or leave it "
                            "out to test all", f->name, (unsigned) v->count,
                            (int) f->max);
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (v = v->child; v; v = v->next) {
        if (v->type != MG_JSON_STRING || v->str.len == 0
            || v->str.len > MG_VALIDATE_NAME_MAX
            || memchr(v->str.data, '\0', v->str.len))
        {
            mg_buf_free(&b);
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s holds something that is no id of a "
                                "model: a string of 1 to %d bytes", f->name,
                                MG_VALIDATE_NAME_MAX);
        }

        mg_jw_str(&w, NULL, v->str);
    }

    mg_jw_end_array(&w);

    form->models = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return form->models.data ? MG_OK : mg_error_set(e, MG_E_INTERNAL, NULL,
                                                    "out of memory");
}


/* -- one model -- */

int
mg_call_validation_model(mg_call_t *c, mg_error_t *e)
{
    char      *slash;
    mg_jw_t    w;
    mg_buf_t   b;
    mg_str_t   id, provider, ids;

    id = mg_call_path(c, "id");
    slash = id.len ? memchr(id.data, '/', id.len) : NULL;
    provider = mg_str_n(id.data, slash ? (size_t) (slash - id.data) : 0);

    if (slash == NULL || !mg_provider_id_ok(provider)) {
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no model \"%.*s\"; give it as "
                            "provider/model", MG_BODY_CUT(id));
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);
    mg_jw_str(&w, NULL, id);
    mg_jw_end_array(&w);

    ids = b.failed ? mg_str_null : mg_arena_dup(c->arena, mg_buf_view(&b));
    mg_buf_free(&b);

    if (ids.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return mg_validate_start(c, provider, 0, ids, e);
}


static int
mg_validate_start(mg_call_t *c, mg_str_t provider, int only_failed,
    mg_str_t ids, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_validation_t   v;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    memset(&v, 0, sizeof(mg_validation_t));
    mg_validate_hear(c);

    rc = ids.data ? mg_store_validation_choose(db, &c->who, provider, ids,
                                               c->arena, &v, e)
                  : mg_store_validation_create(db, &c->who, provider,
                                               only_failed, c->arena, &v, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return mg_validate_conflict(c, &v, e);
    }

    c->location = mg_call_address(c, "/api/v1/validations/", v.id, "");
    c->status = 202;
    c->kick_jobs = 1;
    c->replayed = (v.replayed != 0);

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_validate_begun(c, &w, &v);
    mg_jw_end_object(&w);

    return MG_OK;
}


/* A run that is in the way is named in the answer, with its address. */

static int
mg_validate_conflict(mg_call_t *c, const mg_validation_t *v,
    const mg_error_t *e)
{
    mg_jw_t  w;

    if (e->kind != MG_E_CONFLICT || v->id.len == 0) {
        return MG_ERROR;
    }

    c->location = mg_call_address(c, "/api/v1/validations/", v->id, "");
    c->status = 409;

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_error(&w, e);
    mg_validate_begun(c, &w, v);
    mg_jw_end_object(&w);

    return MG_OK;
}


static void
mg_validate_begun(mg_call_t *c, mg_jw_t *w, const mg_validation_t *v)
{
    mg_jw_str(w, "id", v->id);
    mg_jw_str(w, "provider_id", v->provider_id);
    mg_jw_str(w, "status", mg_job_state_names[v->state]);
    mg_jw_int(w, "total", v->total);
    mg_jw_str(w, "job_id", v->job_id);
    mg_jw_str(w, "status_url",
              mg_call_address(c, "/api/v1/providers/", v->provider_id,
                              "/validation-status"));
}


/* -- all providers -- */

int
mg_call_validation_all(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    unsigned   n;
    mg_pg_t   *db;
    mg_str_t  *providers;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_validate_providers(c, db, &providers, &n, e);

    if (rc == MG_OK) {
        rc = mg_validate_each(c, db, providers, n, e);
    }

    mg_pg_release(db);

    return rc;
}


/* Those that the body names, else all that can be asked. */

static int
mg_validate_providers(mg_call_t *c, mg_pg_t *db, mg_str_t **providers,
    unsigned *n, mg_error_t *e)
{
    unsigned            i;
    mg_lister_t        *listers;
    const mg_json_t    *json;
    mg_validate_all_t   form;

    memset(&form, 0, sizeof(mg_validate_all_t));

    if (c->body.len) {
        json = mg_call_json(c, e);

        if (json == NULL
            || mg_body_parse(json, mg_validate_all_fields, 1, c->arena,
                             &form, e)
               != MG_OK)
        {
            return MG_ERROR;
        }
    }

    if (form.providers.data) {
        json = mg_json_parse(c->arena, form.providers, NULL, e);

        if (json == NULL) {
            return MG_ERROR;
        }

        *n = 0;
        *providers = mg_arena_alloc(c->arena, (json->count + 1)
                                              * sizeof(mg_str_t));

        for (json = json->child; *providers && json; json = json->next) {
            (*providers)[(*n)++] = json->str;
        }

    } else {
        if (mg_store_listers(db, c->who.org_id, c->arena, &listers, n, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        *providers = mg_arena_alloc(c->arena, (*n + 1) * sizeof(mg_str_t));

        for (i = 0; *providers && i < *n; i++) {
            (*providers)[i] = listers[i].id;
        }
    }

    return *providers ? MG_OK : mg_error_set(e, MG_E_INTERNAL, NULL,
                                             "out of memory");
}


/*
 * What cannot be begun is told beside the others, not instead of them; but a
 * key of another request is no matter of one provider.
 */

static int
mg_validate_each(mg_call_t *c, mg_pg_t *db, mg_str_t *providers, unsigned n,
    mg_error_t *e)
{
    int              rc;
    mg_jw_t          w;
    unsigned         i;
    mg_validation_t  v;

    mg_validate_hear(c);

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_jw_array(&w, "validations");

    for (i = 0; i < n; i++) {
        rc = MG_ERROR;
        memset(&v, 0, sizeof(mg_validation_t));

        if (mg_provider_id_ok(providers[i])) {
            rc = mg_store_validation_create(db, &c->who, providers[i], 0,
                                            c->arena, &v, e);

        } else {
            (void) mg_error_set(e, MG_E_NOT_FOUND, "provider",
                                "there is no provider \"%.*s\"",
                                MG_BODY_CUT(providers[i]));
        }

        if (rc != MG_OK
            && ((e->kind != MG_E_NOT_FOUND && e->kind != MG_E_CONFLICT)
                || strcmp(e->param, MG_JOB_ONCE_PARAM) == 0))
        {
            return MG_ERROR;
        }

        mg_jw_object(&w, NULL);

        if (rc != MG_OK) {
            mg_call_write_error(&w, e);
        }

        if (v.id.len) {
            mg_validate_begun(c, &w, &v);

        } else {
            mg_jw_str(&w, "provider_id", providers[i]);
        }

        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);
    mg_jw_end_object(&w);

    c->location = mg_str("/api/v1/validations");
    c->status = 202;
    c->kick_jobs = 1;

    return MG_OK;
}
