/*
 * mg_store_validation_save.c: validations, carried on.
 *
 * Counts are computed from the rows each time: they add up whatever happened
 * in between, and a result that is written twice counts once.  The catalog is
 * told of many results at once, of few now and then, and of the rest when the
 * run ends, by a trigger: each time it is told of something it is built anew.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"
#include "store/mg_store_validation_row.h"

#include "base/mg_jw.h"


/* Bytes of a provider's words that are kept. */
#define MG_VALIDATION_ERROR_MAX   2000

/*
 * Results of a statement: who asks the database something meanwhile waits for
 * one of them, not for all that has come in since the last time.
 */
#define MG_VALIDATION_STEP        32


static int mg_validation_some(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, int tell,
    mg_arena_t *a, mg_error_t *e);
static int mg_validation_write(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_health(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_count(mg_pg_t *c, mg_pg_params_t *p, mg_arena_t *a,
    mg_validation_t *v, mg_error_t *e);
static int mg_validation_json(const mg_validation_result_t *results,
    unsigned n, mg_arena_t *a, mg_str_t *json);
static void mg_validation_text(mg_buf_t *b, mg_str_t s, size_t max);
static int mg_validation_completed(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);


/* -- results -- */

/* Parameters of what both statements that change a run's row say of it. */

static void
mg_validation_news(mg_pg_params_t *p, mg_str_t id,
    const mg_validation_news_t *news, mg_arena_t *a)
{
    mg_pg_params_init(p, a);
    mg_pg_param_str(p, id);
    mg_pg_param_str(p, news->current.len ? news->current : mg_str_null);
    mg_pg_param_z(p, news->phase);
    mg_pg_param_int(p, news->estimated_s);
}


#define MG_VALIDATION_NEWS                                                    \
    "current_model_id = $2, phase = coalesce($3, v.phase), "                  \
    "estimated_seconds = $4, last_updated_at = now() "


int
mg_store_validation_save(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, int tell,
    const mg_validation_news_t *news, mg_validation_t *v, mg_arena_t *a,
    mg_error_t *e)
{
    int             rc;
    unsigned        i;
    mg_pg_params_t  row;

    mg_validation_news(&row, id, news, a);

    if (n == 0) {
        return mg_validation_one(c, "update "
                                 "model.ai_model_validation_progress v set "
                                 MG_VALIDATION_NEWS "where v.id = $1 "
                                 "returning " MG_VALIDATION_COLUMNS, &row, a,
                                 v, e);
    }

    rc = mg_store_begin_job(c, e);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; rc == MG_OK && i < n; i += MG_VALIDATION_STEP) {
        rc = mg_validation_some(c, id, results + i,
                                n - i < MG_VALIDATION_STEP
                                ? n - i : MG_VALIDATION_STEP, tell, a, e);
    }

    if (rc == MG_OK) {
        rc = mg_validation_count(c, &row, a, v, e);
    }

    return mg_store_end(c, rc, e);
}


static int
mg_validation_some(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, int tell,
    mg_arena_t *a, mg_error_t *e)
{
    mg_str_t        json;
    mg_pg_params_t  p;

    if (mg_validation_json(results, n, a, &json) != MG_OK) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, json);

    if (mg_validation_write(c, &p, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_pg_param_bool(&p, tell);

    return mg_validation_health(c, &p, e);
}


static int
mg_validation_write(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    return mg_pg_exec(c, "insert into model.ai_model_validation_results as t "
                      "(validation_id, org_id, model_id, result, available, "
                      "latency_us, status_code, error_class, error, "
                      "tested_at) "
                      "select distinct on (r.model_id) v.id, v.org_id, "
                      "r.model_id, r.result, "
                      "case r.result when 'available' then true "
                      "when 'unavailable' then false end, r.latency_us, "
                      "r.status_code, r.error_class, r.error, "
                      "coalesce(r.tested_at, now()) "
                      "from model.ai_model_validation_progress v, "
                      "jsonb_to_recordset($2::jsonb) r (model_id text, "
                      "result text, latency_us bigint, "
                      "status_code integer, error_class text, error text, "
                      "tested_at timestamptz) "
                      "where v.id = $1 "
                      "order by r.model_id, r.tested_at desc "
                      "on conflict (validation_id, model_id) do update "
                      "set result = excluded.result, "
                      "available = excluded.available, "
                      "latency_us = excluded.latency_us, "
                      "status_code = excluded.status_code, "
                      "error_class = excluded.error_class, "
                      "error = excluded.error, "
                      "tested_at = excluded.tested_at", p, NULL, e);
}


/*
 * Of all, or of members of groups: these may have to be served without them.
 * Only what has changed is written: each such statement is a generation.  Of
 * what nobody asked nothing is known: it is not what it was before either.  An
 * array: against a join all models of the organisation are read.
 */

static int
mg_validation_health(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    return mg_pg_exec(c, "update model.models_metadata m "
                      "set health_status = r.health, updated_at = now() "
                      "from (select model_id, case result "
                      "when 'unverified' then 'unknown' else result end "
                      "as health from jsonb_to_recordset($2::jsonb) "
                      "x (model_id text, result text)) r, "
                      "model.ai_model_validation_progress v "
                      "where v.id = $1 and m.id = r.model_id "
                      "and m.org_id = v.org_id and m.id = any (array("
                      "select jsonb_array_elements($2::jsonb) "
                      "->> 'model_id')) "
                      "and m.health_status <> r.health "
                      "and ($3 or exists (select "
                      "from model.model_group_memberships g "
                      "where g.model_id = m.id and g.org_id = m.org_id))", p,
                      NULL, e);
}


int
mg_store_validation_health(mg_pg_t *c, mg_str_t id, int64_t since,
    mg_arena_t *a, mg_error_t *e)
{
    int             rc;
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);

    /* times of results are stored in whole milliseconds */

    mg_pg_param_int(&p, since / 1000);

    if (mg_store_begin_job(c, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_pg_exec(c, "select model.tell_validation($1, "
                    "'epoch'::timestamptz "
                    "+ $2::bigint * interval '1 millisecond')", &p, NULL, e);

    return mg_store_end(c, rc, e);
}


static int
mg_validation_count(mg_pg_t *c, mg_pg_params_t *p, mg_arena_t *a,
    mg_validation_t *v, mg_error_t *e)
{
    return mg_validation_one(c, "update model.ai_model_validation_progress v "
                             "set validated_count = n.yes + n.no + n.none, "
                             "available_count = n.yes, "
                             "unavailable_count = n.no, "
                             "unverified_count = n.none, "
                             "total_models = greatest(v.total_models, "
                             "n.yes + n.no + n.none), "
                             MG_VALIDATION_NEWS
                             "from (select count(*) "
                             "filter (where result = 'available') as yes, "
                             "count(*) filter "
                             "(where result = 'unavailable') as no, "
                             "count(*) filter "
                             "(where result = 'unverified') as none "
                             "from model.ai_model_validation_results "
                             "where validation_id = $1) n where v.id = $1 "
                             "returning " MG_VALIDATION_COLUMNS, p, a, v, e);
}


static int
mg_validation_json(const mg_validation_result_t *results, unsigned n,
    mg_arena_t *a, mg_str_t *json)
{
    char                            time[MG_TIME_LEN + 1];
    mg_jw_t                         w;
    mg_buf_t                        b, text;
    unsigned                        i;
    const mg_validation_result_t   *r;

    mg_buf_init(&b, 0);
    mg_buf_init(&text, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (i = 0; i < n; i++) {
        r = &results[i];

        mg_jw_object(&w, NULL);
        mg_jw_str(&w, "model_id", r->model_id);
        mg_jw_z(&w, "result", r->unverified ? "unverified"
                              : r->available ? "available" : "unavailable");

        if (r->latency_us >= 0) {
            mg_jw_int(&w, "latency_us", r->latency_us);
        }

        if (r->status_code > 0) {
            mg_jw_int(&w, "status_code", r->status_code);
        }

        if (r->error_class.len) {
            mg_jw_str(&w, "error_class", r->error_class);
        }

        if (r->error.len) {
            text.len = 0;
            mg_validation_text(&text, r->error, MG_VALIDATION_ERROR_MAX);
            mg_jw_str(&w, "error", mg_buf_view(&text));
        }

        if (r->tested_at > 0) {
            (void) mg_time_format(r->tested_at, time);
            mg_jw_z(&w, "tested_at", time);
        }

        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);

    *json = (b.failed || text.failed) ? mg_str_null
                                      : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&text);
    mg_buf_free(&b);

    return json->data ? MG_OK : MG_ERROR;
}


/* NUL is valid in JSON and refused by the database. */

static void
mg_validation_text(mg_buf_t *b, mg_str_t s, size_t max)
{
    size_t  i;

    for (i = 0; i < s.len && i < max; i++) {
        mg_buf_char(b, s.data[i] == '\0' ? '?' : s.data[i]);
    }
}


int
mg_store_validation_state(mg_pg_t *c, mg_str_t id, mg_job_state_e state,
    int64_t total, mg_str_t error, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_params_t   p;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, mg_job_state_names[state]);
    mg_pg_param_int(&p, total < 0 ? MG_UNKNOWN : total);
    mg_pg_param_str(&p, error.len ? error : mg_str_null);

    rc = mg_store_begin_job(c, e);

    if (rc != MG_OK) {
        mg_arena_destroy(a);
        return MG_ERROR;
    }

    /* what has ended stays as it ended; the note of its last model goes */

    rc = mg_pg_exec(c, "update model.ai_model_validation_progress "
                    "set status = $2, "
                    "total_models = coalesce($3, total_models), "
                    "error = case when $2 = 'pending' then error "
                    "else coalesce($4, error) end, "
                    "started_at = case when $2 = 'pending' then started_at "
                    "else coalesce(started_at, now()) end, "
                    "completed_at = case when $2 in ('completed', 'failed', "
                    "'cancelled') then now() end, "
                    "current_model_id = case when $2 = 'in_progress' "
                    "then current_model_id end, "
                    "phase = case when $2 = 'in_progress' "
                    "then 'discovering' else phase end, "
                    "last_updated_at = now() "
                    "where id = $1 and status in ('pending', 'in_progress')",
                    &p, NULL, e);

    if (rc == MG_OK && state == MG_JOB_COMPLETED) {
        p.n = 1;
        rc = mg_validation_completed(c, &p, e);
    }

    rc = mg_store_end(c, rc, e);
    mg_arena_destroy(a);

    return rc;
}


/* Scoring thousands of models takes a while: it is a job of its own. */

static int
mg_validation_completed(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    if (mg_pg_exec(c, "update model.providers p "
                   "set last_validated_at = now() "
                   "from model.ai_model_validation_progress v "
                   "where v.id = $1 and p.id = v.provider_id "
                   "and p.org_id = v.org_id", p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_pg_exec(c, "insert into model.jobs (org_id, kind, key, payload) "
                      "select v.org_id, 'score', v.id::text, "
                      "jsonb_build_object('provider_id', v.provider_id) "
                      "from model.ai_model_validation_progress v "
                      "where v.id = $1 and v.validated_count > 0 "
                      "on conflict do nothing", p, NULL, e);
}
