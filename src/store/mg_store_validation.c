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


/* For a job whose run has ended, 3 s: its row follows that of the run. */
#define MG_VALIDATION_TRIES    150
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
static int mg_validation_lists(const mg_validation_ask_t *ask);
static int mg_validation_insert(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_why(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_error_t *e);
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

        if (mg_validation_create(c, who, ask, a, v, &why) == MG_OK) {
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
 * runs are made with one statement, which is a transaction of its own; a list
 * that is known is a second and a third.
 */

static int
mg_validation_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    int             rc;
    mg_pg_params_t  p;

    if (!mg_validation_lists(ask)) {
        return mg_validation_insert(c, who, ask, a, v, e);
    }

    if (mg_pg_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_validation_insert(c, who, ask, a, v, e) != MG_OK) {
        return mg_store_end(c, MG_ERROR, e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, v->id);

    rc = ask->only_failed ? mg_validation_retry(c, ask, &p, e)
                          : mg_validation_named(c, ask, &p, e);
    p.n = 1;

    if (rc == MG_OK) {
        rc = mg_validation_one(c, "update model.ai_model_validation_progress "
                               "v set total_models = (select count(*) "
                               "from model.ai_model_validation_results t "
                               "where t.validation_id = v.id) "
                               "where v.id = $1 "
                               "returning " MG_VALIDATION_COLUMNS, &p, a, v,
                               e);
    }

    return mg_store_end(c, rc, e);
}


/* What is to be tested is known beforehand. */

static int
mg_validation_lists(const mg_validation_ask_t *ask)
{
    return ask->only_failed || ask->ids.data != NULL;
}


/* The run and its job, which names it, or neither. */

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
    mg_pg_param_str(&p, who->token_id);
    mg_pg_param_int(&p, mg_store_job_priority(who));
    mg_pg_param_str(&p, who->once ? who->once->key : mg_str_null);
    mg_pg_param_str(&p, who->once ? who->once->hash : mg_str_null);

    /* the total is what the answer to the client can say now */

    if (mg_validation_one(c, "with p as (select org_id, id, "
                          "gen_random_uuid() as run from model.providers "
                          "where org_id = $1 and id = $2 "
                          "and deleted_at is null), "
                          "j as (insert into model.jobs (org_id, kind, key, "
                          "payload, token_id, priority, idempotency_key, "
                          "idempotency_hash) "
                          "select p.org_id, 'validate', p.id, "
                          "jsonb_build_object('validation_id', p.run, "
                          "'provider_id', p.id, 'only_failed', $3::boolean), "
                          "$6::uuid, $7::integer, $8, $9 from p "
                          "on conflict do nothing returning id) "
                          "insert into model.ai_model_validation_progress "
                          "as v (id, job_id, org_id, provider_id, "
                          "only_failed, chosen, listed, webhook, "
                          "total_models) "
                          "select p.run, j.id, p.org_id, p.id, $3, $4, "
                          "$3 or $4, $5, (select count(*) "
                          "from model.models_metadata m "
                          "where m.org_id = p.org_id "
                          "and m.provider_id = p.id and m.active "
                          "and m.deleted_at is null) from j cross join p "
                          "returning " MG_VALIDATION_COLUMNS, &p, a, v, e)
        == MG_OK)
    {
        return MG_OK;
    }

    if (strcmp(mg_pg_sqlstate(c), "23505") == 0) {
        return mg_validation_taken(ask, e);
    }

    return e->kind == MG_E_NOT_FOUND ? mg_validation_why(c, who, ask, a, e)
                                     : MG_ERROR;
}


/* Why there is no run: what was sent before, no provider, another run. */

static int
mg_validation_why(mg_pg_t *c, const mg_actor_t *who,
    const mg_validation_ask_t *ask, mg_arena_t *a, mg_error_t *e)
{
    int              there;
    mg_job_t         j;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    switch (mg_store_job_replay(c, who, "validate", ask->provider, a, &j,
                                e))
    {
    case MG_OK:
        return mg_error_set(e, MG_E_CONFLICT, MG_JOB_ONCE_PARAM,
                            "the request was sent twice at the same time");

    case MG_ERROR:
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, ask->provider);

    if (mg_pg_exec(c, "select from model.providers where org_id = $1 "
                   "and id = $2 and deleted_at is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    there = (mg_pg_rows_count(r) != 0);
    mg_pg_rows_free(r);

    return there ? mg_validation_taken(ask, e)
                 : mg_error_set(e, MG_E_NOT_FOUND, "provider",
                                "there is no provider \"%.*s\"",
                                MG_STR_ARG(ask->provider));
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
