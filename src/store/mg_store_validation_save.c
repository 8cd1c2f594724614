/*
 * mg_store_validation_save.c: validations, carried on.
 *
 * Counts are computed from the rows each time: they add up whatever happened
 * in between, and a result that is written twice counts once.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"
#include "store/mg_store_validation_row.h"

#include "base/mg_jw.h"


/* Bytes of a provider's words that are kept. */
#define MG_VALIDATION_ERROR_MAX   2000


static int mg_validation_write(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_health(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_count(mg_pg_t *c, mg_str_t id, mg_str_t current,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
static int mg_validation_json(const mg_validation_result_t *results,
    unsigned n, mg_arena_t *a, mg_str_t *json);
static void mg_validation_text(mg_buf_t *b, mg_str_t s, size_t max);
static int mg_validation_add(mg_pg_t *c, const mg_pg_params_t *p,
    const mg_model_t *models, unsigned n, mg_error_t *e);
static int mg_validation_merge(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_stage(mg_pg_t *c, const mg_model_t *models,
    unsigned n, mg_error_t *e);
static int mg_validation_list(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);


/* -- results -- */

int
mg_store_validation_save(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, mg_str_t current,
    mg_validation_t *v, mg_arena_t *a, mg_error_t *e)
{
    int             rc;
    mg_str_t        json;
    mg_pg_params_t  p;

    if (n == 0) {
        return mg_validation_count(c, id, current, a, v, e);
    }

    if (mg_validation_json(results, n, a, &json) != MG_OK) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, json);

    rc = mg_store_begin(c, e);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_validation_write(c, &p, e);

    if (rc == MG_OK) {
        rc = mg_validation_health(c, &p, e);
    }

    if (rc == MG_OK) {
        rc = mg_validation_count(c, id, current, a, v, e);
    }

    return mg_store_end(c, rc, e);
}


static int
mg_validation_write(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    return mg_pg_exec(c, "insert into model.ai_model_validation_results as t "
                      "(validation_id, org_id, model_id, available, "
                      "latency_us, status_code, error_class, error, "
                      "tested_at) "
                      "select distinct on (r.model_id) v.id, v.org_id, "
                      "r.model_id, r.available, r.latency_us, "
                      "r.status_code, r.error_class, r.error, "
                      "coalesce(r.tested_at, now()) "
                      "from model.ai_model_validation_progress v, "
                      "jsonb_to_recordset($2::jsonb) r (model_id text, "
                      "available boolean, latency_us bigint, "
                      "status_code integer, error_class text, error text, "
                      "tested_at timestamptz) "
                      "where v.id = $1 "
                      "order by r.model_id, r.tested_at desc "
                      "on conflict (validation_id, model_id) do update "
                      "set available = excluded.available, "
                      "latency_us = excluded.latency_us, "
                      "status_code = excluded.status_code, "
                      "error_class = excluded.error_class, "
                      "error = excluded.error, "
                      "tested_at = excluded.tested_at", p, NULL, e);
}


/* Only what has changed is written: each such statement is a generation. */

static int
mg_validation_health(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    return mg_pg_exec(c, "update model.models_metadata m "
                      "set health_status = r.health, updated_at = now() "
                      "from (select model_id, case when available "
                      "then 'available' else 'unavailable' end as health "
                      "from jsonb_to_recordset($2::jsonb) "
                      "x (model_id text, available boolean)) r, "
                      "model.ai_model_validation_progress v "
                      "where v.id = $1 and m.id = r.model_id "
                      "and m.org_id = v.org_id "
                      "and m.health_status <> r.health", p, NULL, e);
}


static int
mg_validation_count(mg_pg_t *c, mg_str_t id, mg_str_t current,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, current.len ? current : mg_str_null);

    return mg_validation_one(c, "update model.ai_model_validation_progress v "
                             "set validated_count = n.yes + n.no, "
                             "available_count = n.yes, "
                             "unavailable_count = n.no, "
                             "total_models = greatest(v.total_models, "
                             "n.yes + n.no), "
                             "current_model_id = $2, "
                             "last_updated_at = now() "
                             "from (select "
                             "count(*) filter (where available) as yes, "
                             "count(*) filter (where not available) as no "
                             "from model.ai_model_validation_results "
                             "where validation_id = $1) n where v.id = $1 "
                             "returning " MG_VALIDATION_COLUMNS, &p, a, v,
                             e);
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
        mg_jw_bool(&w, "available", r->available != 0);

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

    rc = mg_store_begin(c, e);

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
                    "last_updated_at = now() "
                    "where id = $1 and status in ('pending', 'in_progress')",
                    &p, NULL, e);

    if (rc == MG_OK && state == MG_JOB_COMPLETED) {
        p.n = 1;
        rc = mg_pg_exec(c, "update model.providers p "
                        "set last_validated_at = now() "
                        "from model.ai_model_validation_progress v "
                        "where v.id = $1 and p.id = v.provider_id "
                        "and p.org_id = v.org_id", &p, NULL, e);
    }

    rc = mg_store_end(c, rc, e);
    mg_arena_destroy(a);

    return rc;
}


/* -- discovery -- */

int
mg_store_validation_discovered(mg_pg_t *c, mg_str_t id,
    const mg_model_t *models, unsigned n, mg_error_t *e)
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

    rc = mg_store_begin(c, e);

    if (rc == MG_OK) {
        rc = n ? mg_validation_add(c, &p, models, n, e) : MG_OK;

        if (rc == MG_OK) {
            rc = mg_validation_list(c, &p, e);
        }

        rc = mg_store_end(c, rc, e);
    }

    mg_arena_destroy(a);

    return rc;
}


/*
 * New models of the provider; entries of other providers are passed over, and
 * of those that are known only the word of the provider that had given them
 * up is taken back.
 */

static int
mg_validation_add(mg_pg_t *c, const mg_pg_params_t *p,
    const mg_model_t *models, unsigned n, mg_error_t *e)
{
    mg_buf_t  b;

    if (mg_validation_stage(c, models, n, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_exec_dynamic(c, "update model.model_sources s "
                           "set active = true, gone_at = null "
                           "from pg_temp.validation_model d, "
                           "model.ai_model_validation_progress v "
                           "where v.id = $1 and s.id = d.id "
                           "and s.org_id = v.org_id and not s.active "
                           "and s.source = coalesce(d.source, 'provider')",
                           p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.model_sources "
             "(id, org_id, source, rank, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_SOURCE);
    mg_buf_printf(&b, ") select d.id, v.org_id, "
                  "coalesce(d.source, 'provider'), %d, ", MG_RANK_PROVIDER);
    mg_columns_names(&b, mg_model_columns, "d.", MG_COLUMNS_SOURCE);
    mg_buf_z(&b, " from pg_temp.validation_model d, "
             "model.ai_model_validation_progress v where v.id = $1 "
             "and d.provider_id = v.provider_id and not exists "
             "(select from model.models_metadata m where m.id = d.id "
             "and m.org_id = v.org_id) on conflict do nothing");

    if (mg_store_exec(c, &b, p, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_validation_merge(c, p, e);
}


static int
mg_validation_merge(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    mg_buf_t     b;
    const char  *listed;

    listed = "(s.id, s.org_id) in (select d.id, v.org_id "
             "from pg_temp.validation_model d, "
             "model.ai_model_validation_progress v where v.id = $1)";

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.models_metadata t set active = true, "
             "provenance = m.provenance, sources = m.sources, "
             "updated_at = now() from (");
    mg_merge_select(&b, listed);
    mg_buf_z(&b, ") m where t.id = m.id and t.org_id = m.org_id "
             "and m.active and not t.active");

    if (mg_store_exec(c, &b, p, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.models_metadata (id, org_id, source, "
             "refreshed_at, provenance, sources, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_TABLE);
    mg_buf_z(&b, ") select m.id, m.org_id, coalesce(d.source, 'provider'), "
             "now(), m.provenance, m.sources, ");
    mg_columns_names(&b, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(&b, " from (");
    mg_merge_select(&b, listed);
    mg_buf_z(&b, ") m join (select distinct on (id) id, source, provider_id "
             "from pg_temp.validation_model order by id) d on d.id = m.id "
             "join model.ai_model_validation_progress v on v.id = $1 "
             "and v.provider_id = d.provider_id "
             "order by m.id on conflict do nothing");

    return mg_store_exec(c, &b, p, NULL, e);
}


static int
mg_validation_stage(mg_pg_t *c, const mg_model_t *models, unsigned n,
    mg_error_t *e)
{
    int       rc;
    unsigned  i;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "create temp table if not exists validation_model "
             "(id text, source text, ");
    mg_columns_each(&b, mg_model_columns, ", ", "% #", 0, MG_COLUMNS_STAGE);
    mg_buf_z(&b, ") on commit delete rows");

    if (mg_store_exec(c, &b, NULL, NULL, e) != MG_OK
        || mg_pg_copy_begin(c, "copy pg_temp.validation_model from stdin", e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);

    for (i = 0; i < n; i++) {
        if (mg_model_check(&models[i], NULL) != MG_OK) {
            continue;
        }

        mg_pg_copy_str(&b, 1, models[i].id);
        mg_pg_copy_str(&b, 0, models[i].source);
        mg_columns_copy(&b, mg_model_columns, &models[i]);
        mg_buf_char(&b, '\n');
    }

    rc = b.failed ? mg_store_memory(e)
                  : mg_pg_copy_data(c, mg_buf_view(&b), e);
    mg_buf_free(&b);

    if (rc != MG_OK) {
        (void) mg_pg_copy_end(c, "the list of models is too large", NULL);
        return MG_ERROR;
    }

    return mg_pg_copy_end(c, NULL, e);
}


/* The run's list: every active model, unless it is of those that failed. */

static int
mg_validation_list(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    if (mg_pg_exec(c, "insert into model.ai_model_validation_results "
                   "(validation_id, org_id, model_id) "
                   "select v.id, v.org_id, m.id "
                   "from model.ai_model_validation_progress v "
                   "join model.models_metadata m on m.org_id = v.org_id "
                   "and m.provider_id = v.provider_id and m.active "
                   "and m.deleted_at is null "
                   "where v.id = $1 and not v.only_failed "
                   "on conflict do nothing", p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_pg_exec(c, "update model.ai_model_validation_progress v "
                      "set total_models = (select count(*) "
                      "from model.ai_model_validation_results t "
                      "where t.validation_id = v.id), "
                      "last_updated_at = now() where v.id = $1", p, NULL,
                      e);
}
