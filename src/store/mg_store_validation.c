/*
 * mg_store_validation.c: runs of validations, made.
 *
 * A run's list is its rows in ai_model_validation_results; a row without a
 * result is still to be tested, so a run that was interrupted goes on with
 * what the table says.  A run that retries what failed, or tests models that
 * were named, has its list from the beginning; any other gets it when it is
 * begun (mg_store_validation_list.c).
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_job_row.h"
#include "store/mg_store_validation_row.h"

#include <unistd.h>

#include "base/mg_crypt.h"
#include "base/mg_jw.h"


/* For a job whose run has ended: its row follows that of the run. */
#define MG_VALIDATION_TRIES    10
#define MG_VALIDATION_WAIT_US  20000


/* What is to be tested. */
typedef struct {
    mg_str_t   provider;
    mg_str_t   ids;             /* JSON array; {NULL, 0}: not named */
    int        only_failed;
} mg_validation_ask_t;


static int mg_validation_make(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_replay(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
static int mg_validation_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_job(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_insert(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_taken(const mg_validation_ask_t *ask,
    mg_error_t *e);
static int mg_validation_retry(mg_pg_t *c, const mg_validation_ask_t *ask,
    const mg_pg_params_t *p, mg_error_t *e);
static int mg_validation_named(mg_pg_t *c, const mg_validation_ask_t *ask,
    mg_pg_params_t *p, mg_error_t *e);
static int mg_validation_running(mg_pg_t *c, mg_str_t org_id,
    mg_str_t provider, mg_arena_t *a, mg_validation_t *v, mg_error_t *e);


int
mg_store_validation_create(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    mg_validation_ask_t  ask;

    ask.provider = provider;
    ask.ids = mg_str_null;
    ask.only_failed = only_failed;

    return mg_validation_make(c, who, &ask, a, v, e);
}


int
mg_store_validation_choose(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, mg_str_t ids, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    mg_validation_ask_t  ask;

    ask.provider = provider;
    ask.ids = ids;
    ask.only_failed = 0;

    return mg_validation_make(c, who, &ask, a, v, e);
}


static int
mg_validation_make(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    int         rc;
    unsigned    tries;
    mg_error_t  why;

    memset(v, 0, sizeof(mg_validation_t));

    rc = mg_validation_replay(c, who, ask->provider, a, v, e);

    if (rc != MG_DECLINED) {
        return rc;
    }

    for (tries = 1; /* void */ ; tries++) {

        if (mg_pg_begin(c, e) != MG_OK) {
            return MG_ERROR;
        }

        rc = mg_store_end(c, mg_validation_create(c, who, ask, a, v, &why),
                          &why);

        if (rc == MG_OK) {
            return MG_OK;
        }

        memset(v, 0, sizeof(mg_validation_t));

        /* the same request, sent twice at the same time */

        if (why.kind == MG_E_CONFLICT
            && mg_validation_replay(c, who, ask->provider, a, v, NULL)
               == MG_OK)
        {
            return MG_OK;
        }

        if (why.kind != MG_E_CONFLICT || strcmp(why.param, "provider") != 0) {
            break;
        }

        /*
         * Outside of the transaction: one that is there may end meanwhile.
         * Where there is none any more, its job is about to end.
         */

        if (mg_validation_running(c, mg_store_org(who->org_id),
                                  ask->provider, a, v, NULL)
            == MG_OK || tries == MG_VALIDATION_TRIES)
        {
            break;
        }

        (void) usleep(MG_VALIDATION_WAIT_US);
    }

    if (e) {
        *e = why;
    }

    return MG_ERROR;
}


/* MG_DECLINED: the request is a new one. */

static int
mg_validation_replay(mg_pg_t *c, const mg_actor_t *who, mg_str_t provider,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    int             rc;
    mg_job_t        j;
    mg_pg_params_t  p;

    rc = mg_store_job_replay(c, who, "validate", provider, a, &j, e);

    if (rc != MG_OK) {
        return rc;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, j.id);

    rc = mg_validation_one(c, "select " MG_VALIDATION_COLUMNS " "
                           MG_VALIDATION_FROM "where v.job_id = $1", &p, a, v,
                           e);
    v->replayed = 1;

    return rc;
}


/*
 * Somebody waits for this beside runs that keep the database busy, so most
 * runs are made with two statements; a list that is known is a third and a
 * fourth.
 */

static int
mg_validation_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    int             rc;
    mg_pg_params_t  p;

    if (mg_validation_job(c, who, ask, a, v, e) != MG_OK
        || mg_validation_insert(c, who, ask, a, v, e) != MG_OK)
    {
        return MG_ERROR;
    }

    if (!v->listed) {
        return MG_OK;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, v->id);

    rc = ask->only_failed ? mg_validation_retry(c, ask, &p, e)
                          : mg_validation_named(c, ask, &p, e);
    if (rc != MG_OK) {
        return MG_ERROR;
    }

    p.n = 1;

    return mg_validation_one(c, "update model.ai_model_validation_progress v "
                             "set total_models = (select count(*) "
                             "from model.ai_model_validation_results t "
                             "where t.validation_id = v.id) where v.id = $1 "
                             "returning " MG_VALIDATION_COLUMNS, &p, a, v, e);
}


/* Its job comes first, and names the run: v->id and v->job_id. */

static int
mg_validation_job(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    char       text[MG_UUID_LEN + 1];
    mg_jw_t    w;
    mg_buf_t   b;
    mg_job_t   j;
    uint8_t    random[10];
    mg_str_t   payload;
    mg_uuid_t  id;

    if (mg_random(random, sizeof(random)) != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the system has no random bytes");
    }

    mg_uuid_v7(&id, mg_now_us(), random);
    mg_uuid_format(&id, text);

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "validation_id", mg_str_z(text));
    mg_jw_str(&w, "provider_id", ask->provider);
    mg_jw_bool(&w, "only_failed", ask->only_failed != 0);
    mg_jw_end_object(&w);

    v->id = mg_arena_dup(a, mg_str_z(text));
    payload = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    if (v->id.data == NULL || payload.data == NULL) {
        return mg_store_memory(e);
    }

    if (mg_store_job_create(c, who, "validate", ask->provider, payload, a,
                            &j, e)
        != MG_OK)
    {
        return e->kind == MG_E_CONFLICT
               && strcmp(e->param, MG_JOB_ONCE_PARAM) != 0
               ? mg_validation_taken(ask, e) : MG_ERROR;
    }

    if (j.replayed) {
        return mg_error_set(e, MG_E_CONFLICT, MG_JOB_ONCE_PARAM,
                            "the request was sent twice at the same time");
    }

    v->job_id = j.id;

    return MG_OK;
}


static int
mg_validation_insert(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, ask->provider);
    mg_pg_param_bool(&p, ask->only_failed);
    mg_pg_param_bool(&p, ask->ids.data != NULL);
    mg_pg_param_str(&p, who->webhook);
    mg_pg_param_str(&p, v->id);
    mg_pg_param_str(&p, v->job_id);

    /* the total is what the answer to the client can say now */

    if (mg_validation_one(c, "insert into model.ai_model_validation_progress "
                          "as v (id, job_id, org_id, provider_id, "
                          "only_failed, chosen, listed, webhook, "
                          "total_models) "
                          "select $6::uuid, $7::uuid, p.org_id, p.id, $3, $4, "
                          "$3 or $4, $5, (select count(*) "
                          "from model.models_metadata m "
                          "where m.org_id = p.org_id "
                          "and m.provider_id = p.id and m.active "
                          "and m.deleted_at is null) "
                          "from model.providers p where p.org_id = $1 "
                          "and p.id = $2 and p.deleted_at is null "
                          "returning " MG_VALIDATION_COLUMNS, &p, a, v, e)
        == MG_OK)
    {
        return MG_OK;
    }

    if (strcmp(mg_pg_sqlstate(c), "23505") == 0) {
        return mg_validation_taken(ask, e);
    }

    if (e->kind == MG_E_NOT_FOUND) {
        return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                            "there is no provider \"%.*s\"",
                            MG_STR_ARG(ask->provider));
    }

    return MG_ERROR;
}


static int
mg_validation_taken(const mg_validation_ask_t *ask, mg_error_t *e)
{
    return mg_error_set(e, MG_E_CONFLICT, "provider",
                        "a validation of provider \"%.*s\" is running; wait "
                        "for its end or cancel it",
                        MG_STR_ARG(ask->provider));
}


/* The list of a run over what failed in the last one that was run. */

static int
mg_validation_retry(mg_pg_t *c, const mg_validation_ask_t *ask,
    const mg_pg_params_t *p, mg_error_t *e)
{
    uint64_t       n;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "insert into model.ai_model_validation_results "
                   "(validation_id, org_id, model_id) "
                   "select v.id, v.org_id, m.id "
                   "from model.ai_model_validation_progress v "
                   "join model.models_metadata m on m.org_id = v.org_id "
                   "and m.provider_id = v.provider_id and m.active "
                   "and m.deleted_at is null "
                   "where v.id = $1 and m.health_status = 'unavailable'",
                   p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, "only",
                            "no model of provider \"%.*s\" has failed; "
                            "leave out only=failed to validate all",
                            MG_STR_ARG(ask->provider));
    }

    return MG_OK;
}


/* A model of the provider of run v that is there. */
#define MG_VALIDATION_OF(m)                                                   \
    "and " m ".org_id = v.org_id and " m ".provider_id = v.provider_id "      \
    "and " m ".active and " m ".deleted_at is null "


/* The list of a run over models that were named. */

static int
mg_validation_named(mg_pg_t *c, const mg_validation_ask_t *ask,
    mg_pg_params_t *p, mg_error_t *e)
{
    mg_str_t       id;
    mg_pg_rows_t  *r;

    mg_pg_param_str(p, ask->ids);

    /*
     * One that was named twice is one.  Two joins, as no index serves a choice
     * of two spellings: 10,000 names of 10,000 models would take minutes.
     */

    if (mg_pg_exec(c, "with named as (select n.id, "
                   "coalesce(m.id, s.id) as model_id, v.id "
                   "as run, v.org_id from "
                   "model.ai_model_validation_progress v cross join "
                   "jsonb_array_elements_text($2::jsonb) n (id) "
                   "left join model.models_metadata m on m.id = n.id "
                   MG_VALIDATION_OF("m")
                   "left join model.models_metadata s "
                   "on s.id = v.provider_id || '/' || n.id "
                   MG_VALIDATION_OF("s") "where v.id = $1), "
                   "listed as (insert into "
                   "model.ai_model_validation_results "
                   "(validation_id, org_id, model_id) "
                   "select distinct run, org_id, model_id from named "
                   "where model_id is not null) "
                   "select id from named where model_id is null "
                   "order by id limit 1", p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return MG_OK;
    }

    id = mg_pg_rows_str(r, 0, 0);
    (void) mg_error_set(e, MG_E_NOT_FOUND, "models",
                        "provider \"%.*s\" has no active model \"%.*s\"",
                        MG_STR_ARG(ask->provider),
                        (int) (id.len > 200 ? 200 : id.len), id.data);
    mg_pg_rows_free(r);

    return MG_ERROR;
}


static int
mg_validation_running(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, provider);

    return mg_validation_one(c, "select " MG_VALIDATION_COLUMNS " "
                             MG_VALIDATION_FROM "where v.org_id = $1 "
                             "and v.provider_id = $2 "
                             "and v.status in ('pending', 'in_progress')",
                             &p, a, v, e);
}
