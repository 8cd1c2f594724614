/*
 * mg_store_validation_list.c: which models a validation has to test.
 *
 *     provider's list -> COPY -> new sources, merged -> rows of the run
 *                                what is gone, marked
 *
 * A row that has no result and was begun by a worker that was killed may
 * have been asked, so "begun" is raised before anything is asked.  Whoever
 * hands a run over takes it back.  Since that happens to a model twice at
 * most, a run that has begun something has got further: however soon its
 * workers are killed, it comes to an end.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"

#include <pthread.h>

#include "base/mg_jw.h"
#include "store/mg_store_list.h"
#include "store/mg_store_validation_row.h"


/* Fewer models than these may always go; of more at most a fifth at once. */
#define MG_VALIDATION_HELD   "3"


static int mg_validation_add(mg_pg_t *c, const mg_pg_params_t *p,
    const mg_validation_list_t *list, mg_error_t *e);
static int mg_validation_gone(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_lost(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_validation_switch(mg_pg_t *c, const char *active,
    const char *where, const mg_pg_params_t *p, mg_error_t *e);
static int mg_validation_merge(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static void mg_validation_texts(void);
static int mg_validation_stage(mg_pg_t *c, mg_str_t rows, mg_error_t *e);
static int mg_validation_rows(mg_pg_t *c, mg_pg_params_t *p,
    const mg_validation_list_t *list, mg_arena_t *a, mg_error_t *e);
static int mg_validation_begun(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, unsigned begun,
    mg_error_t *e);
static int mg_validation_ids(const mg_validation_model_t *models,
    const mg_validation_model_t **pointers, unsigned n, mg_arena_t *a,
    mg_str_t *json);
static int mg_validation_model_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, void *out);


static mg_buf_t        mg_validation_sources, mg_validation_models;
static pthread_once_t  mg_validation_once = PTHREAD_ONCE_INIT;


int
mg_store_validation_discovered(mg_pg_t *c, mg_str_t id,
    const mg_validation_list_t *list, mg_error_t *e)
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

    rc = mg_store_begin_job(c, e);

    if (rc == MG_OK) {
        if (list) {
            mg_pg_param_str(&p, list->authority);
            rc = mg_validation_add(c, &p, list, e);
            p.n = 1;
        }

        if (rc == MG_OK) {
            rc = mg_validation_rows(c, &p, list, a, e);
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
mg_validation_add(mg_pg_t *c, const mg_pg_params_t *all,
    const mg_validation_list_t *list, mg_error_t *e)
{
    int              many;
    int64_t          back;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    p = *all;
    p.n = 1;
    many = (list->n_rows > MG_STORE_FEW);

    if (mg_validation_stage(c, list->rows, e) != MG_OK
        || (many && mg_store_bulk(c, 1, e) != MG_OK)
        || mg_pg_exec_dynamic(c, "update model.model_sources s "
                              "set active = true, gone_at = null "
                              "from pg_temp.validation_model d, "
                              "model.ai_model_validation_progress v "
                              "where v.id = $1 and s.id = d.id "
                              "and s.id = any (array(select id "
                              "from pg_temp.validation_model)) "
                              "and s.org_id = v.org_id and not s.active "
                              "and s.source = coalesce(d.source, 'provider')",
                              &p, &r, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    back = (int64_t) mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    if ((back
         && mg_validation_switch(c, "true", "(s.id, s.org_id) in "
                                 "(select d.id, v.org_id "
                                 "from pg_temp.validation_model d, "
                                 "model.ai_model_validation_progress v "
                                 "where v.id = $1)", &p, e)
            != MG_OK)
        || mg_store_bulk(c, 0, e) != MG_OK
        || mg_validation_merge(c, &p, e) != MG_OK)
    {
        return MG_ERROR;
    }

    if (list->authority.data == NULL) {
        return MG_OK;
    }

    return many && mg_store_bulk(c, 1, e) != MG_OK
           ? MG_ERROR : mg_validation_gone(c, all, e);
}


/*
 * What the list had and has no longer is marked, unless that is too much of
 * it at once to be believed.
 */

static int
mg_validation_gone(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    int             any;
    mg_pg_rows_t   *r;
    mg_pg_params_t  one;

    if (mg_pg_exec(c, "create temp table if not exists validation_gone "
                   "(id text, org_id uuid) on commit delete rows", NULL,
                   NULL, e)
        != MG_OK
        || mg_pg_exec_dynamic(c, "with known as (select s.id, s.org_id, "
                              "d.id is not null as here "
                              "from model.ai_model_validation_progress v "
                              "join model.model_sources s "
                              "on s.org_id = v.org_id "
                              "and s.provider_id = v.provider_id "
                              "and s.source = $2 "
                              "and s.active is not false "
                              "left join (select distinct id "
                              "from pg_temp.validation_model) d "
                              "on d.id = s.id where v.id = $1), "
                              "n as (select count(*) as n, "
                              "count(*) filter (where not here) as gone "
                              "from known) "
                              "insert into pg_temp.validation_gone "
                              "select k.id, k.org_id from known k, n "
                              "where not k.here and (n.gone < "
                              MG_VALIDATION_HELD " and n.gone < n.n "
                              "or n.gone * 5 <= n.n)", p, &r, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    any = (mg_pg_rows_affected(r) != 0);
    mg_pg_rows_free(r);

    if (any && mg_validation_lost(c, p, e) != MG_OK) {
        return MG_ERROR;
    }

    one = *p;
    one.n = 1;

    return mg_pg_exec_dynamic(c, "update "
                              "model.ai_model_validation_progress v "
                              "set missing_count = (select count(*) "
                              "from pg_temp.validation_gone) "
                              "where v.id = $1", &one, NULL, e);
}


static int
mg_validation_lost(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    if (mg_pg_exec_dynamic(c, "update model.model_sources s "
                           "set active = false, gone_at = now() "
                           "from pg_temp.validation_gone g "
                           "where s.id = g.id and s.org_id = g.org_id "
                           "and s.source = $2 and $1::uuid is not null",
                           p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_validation_switch(c, "false", "(s.id, s.org_id) in "
                                "(select g.id, g.org_id "
                                "from pg_temp.validation_gone g)", NULL, e);
}


/* Models of which all sources together say so now. */

static int
mg_validation_switch(mg_pg_t *c, const char *active, const char *where,
    const mg_pg_params_t *p, mg_error_t *e)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "update model.models_metadata t set active = %s, "
                  "provenance = m.provenance, sources = m.sources, "
                  "updated_at = now() from (", active);
    mg_merge_select(&b, where);
    mg_buf_printf(&b, ") m where t.id = m.id and t.org_id = m.org_id "
                  "and m.active = %s and t.active <> %s", active, active);

    return mg_store_exec(c, &b, p, NULL, e);
}


/*
 * What is new, a block of the list at a time: whoever asks the database
 * something meanwhile waits for a block, not for ten thousand models.
 */

static int
mg_validation_merge(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    int64_t         i, n;
    mg_pg_rows_t   *r;
    mg_pg_params_t  part;

    if (pthread_once(&mg_validation_once, mg_validation_texts) != 0
        || mg_validation_sources.failed || mg_validation_models.failed)
    {
        return mg_store_memory(e);
    }

    if (mg_pg_exec(c, "select pg_relation_size('pg_temp.validation_model') "
                   "/ current_setting('block_size')::bigint", NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    for (i = 0; i < n; i++) {
        part = *p;
        mg_pg_param_int(&part, i);

        if (mg_pg_exec(c, mg_validation_sources.data, &part, &r, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        if (mg_pg_rows_affected(r) != 0
            && mg_pg_exec(c, mg_validation_models.data, &part, NULL, e)
               != MG_OK)
        {
            mg_pg_rows_free(r);
            return MG_ERROR;
        }

        mg_pg_rows_free(r);
    }

    return MG_OK;
}


/*
 * Rows d in block $2.  An id may stand twice, also in blocks apart: the first
 * one counts.
 */
#define MG_VALIDATION_BLOCK                                                   \
    "d.ctid >= ('(' || $2::bigint || ',0)')::tid "                            \
    "and d.ctid < ('(' || $2::bigint + 1 || ',0)')::tid"


/* Texts for mg_pg_exec(), which knows a statement by its address. */

static void
mg_validation_texts(void)
{
    mg_buf_t  *b;

    b = &mg_validation_sources;
    mg_buf_init(b, 0);
    mg_buf_z(b, "insert into model.model_sources (id, org_id, source, rank, ");
    mg_columns_names(b, mg_model_columns, "", MG_COLUMNS_SOURCE);
    mg_buf_printf(b, ") select distinct on (d.id) d.id, v.org_id, "
                  "coalesce(d.source, 'provider'), %d, ", MG_RANK_PROVIDER);
    mg_columns_names(b, mg_model_columns, "d.", MG_COLUMNS_SOURCE);
    mg_buf_printf(b, " from pg_temp.validation_model d, "
                  "model.ai_model_validation_progress v where v.id = $1 "
                  "and d.provider_id = v.provider_id and "
                  MG_VALIDATION_BLOCK " and not exists "
                  "(select from model.models_metadata m where m.id = d.id "
                  "and m.org_id = v.org_id) order by d.id "
                  "on conflict (id, org_id, source) "
                  "do update set fetched_at = now()");
    mg_buf_char(b, '\0');

    b = &mg_validation_models;
    mg_buf_init(b, 0);
    mg_buf_z(b, "insert into model.models_metadata (id, org_id, source, "
             "refreshed_at, provenance, sources, ");
    mg_columns_names(b, mg_model_columns, "", MG_COLUMNS_TABLE);
    mg_buf_z(b, ") select m.id, m.org_id, coalesce(d.source, 'provider'), "
             "now(), m.provenance, m.sources, ");
    mg_columns_names(b, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(b, " from (");
    mg_merge_select(b, "s.id = any (array(select d.id "
                    "from pg_temp.validation_model d where "
                    MG_VALIDATION_BLOCK ")) and s.org_id = (select v.org_id "
                    "from model.ai_model_validation_progress v "
                    "where v.id = $1)");
    mg_buf_printf(b, ") m join (select distinct on (d.id) d.id, d.source, "
                  "d.provider_id from pg_temp.validation_model d where "
                  MG_VALIDATION_BLOCK " order by d.id) d on d.id = m.id "
                  "join model.ai_model_validation_progress v on v.id = $1 "
                  "and v.provider_id = d.provider_id "
                  "order by m.id on conflict do nothing");
    mg_buf_char(b, '\0');
}


static int
mg_validation_stage(mg_pg_t *c, mg_str_t rows, mg_error_t *e)
{
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

    if (rows.len && mg_pg_copy_data(c, rows, e) != MG_OK) {
        (void) mg_pg_copy_end(c, "the list of models is too large", NULL);
        return MG_ERROR;
    }

    return mg_pg_copy_end(c, NULL, e);
}


void
mg_store_validation_row(mg_buf_t *b, const mg_model_t *m)
{
    if (mg_model_check(m, NULL) != MG_OK) {
        return;
    }

    mg_pg_copy_str(b, 1, m->id);
    mg_pg_copy_str(b, 0, m->source);
    mg_columns_copy(b, mg_model_columns, m);
    mg_buf_char(b, '\n');
}


/* The run's list: every active model, unless it has its list already. */

static int
mg_validation_rows(mg_pg_t *c, mg_pg_params_t *p,
    const mg_validation_list_t *list, mg_arena_t *a, mg_error_t *e)
{
    mg_str_t  begun;

    begun = mg_str("[]");

    if (list && mg_validation_ids(list->begun, NULL, list->n_begun, a,
                                  &begun)
                != MG_OK)
    {
        return mg_store_memory(e);
    }

    mg_pg_param_bool(p, list && list->all_begun);
    mg_pg_param_str(p, begun);

    if (mg_pg_exec(c, "insert into model.ai_model_validation_results "
                   "(validation_id, org_id, model_id, begun) "
                   "select v.id, v.org_id, m.id, case when $2 or m.id in "
                   "(select jsonb_array_elements_text($3::jsonb)) "
                   "then 1 else 0 end "
                   "from model.ai_model_validation_progress v "
                   "join model.models_metadata m on m.org_id = v.org_id "
                   "and m.provider_id = v.provider_id and m.active "
                   "and m.deleted_at is null "
                   "where v.id = $1 and not v.only_failed and not v.chosen "
                   "on conflict do nothing", p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    p->n = 1;

    return mg_pg_exec(c, "update model.ai_model_validation_progress v "
                      "set listed = true, total_models = (select count(*) "
                      "from model.ai_model_validation_results t "
                      "where t.validation_id = v.id), "
                      "last_updated_at = now() where v.id = $1", p, NULL, e);
}


/* -- what is left -- */

int
mg_store_validation_pending(mg_pg_t *c, mg_str_t id, mg_arena_t *a,
    mg_validation_model_t **models, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);

    if (mg_pg_exec(c, "select m.id, m.provider_model_id, m.model_type, t.begun "
                   "from model.ai_model_validation_results t "
                   "join model.models_metadata m on m.id = t.model_id "
                   "and m.org_id = t.org_id where t.validation_id = $1 "
                   "and t.result is null and m.deleted_at is null "
                   "order by t.begun, m.id", &p, &r, e)
        != MG_OK
        || mg_store_rows(r, sizeof(mg_validation_model_t),
                         mg_validation_model_row, a, &array, n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *models = array;

    /* those of which a model was deleted meanwhile are no part of it */

    return mg_pg_exec(c, "with d as (delete "
                      "from model.ai_model_validation_results t "
                      "where t.validation_id = $1 and t.result is null "
                      "and not exists (select from model.models_metadata m "
                      "where m.id = t.model_id and m.org_id = t.org_id "
                      "and m.deleted_at is null) returning 1) "
                      "update model.ai_model_validation_progress v "
                      "set total_models = total_models "
                      "- (select count(*) from d) where v.id = $1 "
                      "and exists (select from d)", &p, NULL, e);
}


static int
mg_validation_model_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out)
{
    int                     type;
    mg_str_t                name;
    mg_validation_model_t  *m = out;

    if (mg_column_str(r, row, 0, a, &m->id) != MG_OK) {
        return MG_ERROR;
    }

    /* as a rule the end of the id, which need not be kept twice */

    name = mg_pg_rows_str(r, row, 1);

    if (name.len <= m->id.len
        && memcmp(m->id.data + m->id.len - name.len, name.data, name.len)
           == 0)
    {
        m->provider_model_id = mg_str_n(m->id.data + m->id.len - name.len,
                                        name.len);

    } else if (mg_column_str(r, row, 1, a, &m->provider_model_id) != MG_OK) {
        return MG_ERROR;
    }

    type = mg_model_type_find(mg_pg_rows_str(r, row, 2));

    m->type = (uint8_t) (type < 0 ? MG_TYPE_OTHER : type);
    m->begun = (uint8_t) mg_pg_rows_int(r, row, 3);
    m->active = 1;
    m->listed = 0;

    return MG_OK;
}


int
mg_store_validation_begin(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, mg_error_t *e)
{
    return mg_validation_begun(c, id, models, n, models[0]->begun + 1, e);
}


int
mg_store_validation_leave(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, mg_error_t *e)
{
    return mg_validation_begun(c, id, models, n, 0, e);
}


/* begun: how often they are begun now; 0: once less than they were. */

static int
mg_validation_begun(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, unsigned begun,
    mg_error_t *e)
{
    int              rc;
    mg_str_t         ids;
    mg_arena_t      *a;
    mg_pg_params_t   p;

    a = mg_arena_create(0);

    if (a == NULL
        || mg_validation_ids(NULL, models, n, a, &ids) != MG_OK)
    {
        mg_arena_destroy(a);
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, ids);
    mg_pg_param_int(&p, begun);

    /* an array: against a subquery all rows of the run are read and hashed */

    rc = mg_pg_exec(c, "with job as (update model.jobs j set moved = true "
                    "from model.ai_model_validation_progress v "
                    "where v.id = $1 and j.id = v.job_id and $3 > 0 "
                    "and j.state = 'in_progress' and not j.moved) "
                    "update model.ai_model_validation_results "
                    "set begun = case when $3 > 0 then greatest(begun, $3) "
                    "else greatest(begun - 1, 0) end "
                    "where validation_id = $1 and model_id = any "
                    "(array(select jsonb_array_elements_text($2::jsonb))) "
                    "and ($3 > 0 or result is null)", &p, NULL, e);

    mg_arena_destroy(a);

    return rc;
}


/* Ids of models, or of those that the pointers lead to, as a JSON array. */

static int
mg_validation_ids(const mg_validation_model_t *models,
    const mg_validation_model_t **pointers, unsigned n, mg_arena_t *a,
    mg_str_t *json)
{
    mg_jw_t                       w;
    mg_buf_t                      b;
    unsigned                      i;
    const mg_validation_model_t  *m;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (i = 0; i < n; i++) {
        m = pointers ? pointers[i] : &models[i];
        mg_jw_str(&w, NULL, m->id);
    }

    mg_jw_end_array(&w);

    *json = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return json->data ? MG_OK : MG_ERROR;
}
