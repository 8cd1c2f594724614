/*
 * mg_store_lab.c: what a source says of models, whoever serves them, and the
 * results of benchmarks.
 *
 * Some lists know a model as "lab/model".  The catalog has models of
 * providers: the same model under many ids.  A name stands for the model
 * with just this id, for those whose provider calls them "lab/model" as
 * aggregators do, and for those whose provider calls them "model"; case does
 * not count.  Of several names for one model the first of these wins.
 *
 * Pool threads; blocks.  Within the transaction of a sync.
 */

#include "store/mg_store_sync.h"


/* The two parts that make a result the same as another. */
#define MG_RESULT_KEY(t)                                                      \
    t ".name, coalesce(" t ".metric, ''), coalesce(" t ".variant, ''), "      \
    "coalesce(" t ".harness, ''), coalesce(" t ".dataset, ''), "              \
    "coalesce(" t ".version, '')"


static const char *mg_sync_lab_of(const mg_column_t *col);
static int mg_sync_lab_match(mg_store_sync_t *s, mg_error_t *e);
static int mg_sync_result_brake(mg_store_sync_t *s, int *held,
    mg_error_t *e);


int
mg_sync_labs(mg_store_sync_t *s, mg_error_t *e)
{
    int64_t             n;
    mg_buf_t            b;
    const mg_column_t  *col;

    if (!s->scope.labs) {
        return MG_OK;
    }

    if (mg_sync_lab_match(s, e) != MG_OK) {
        return MG_ERROR;
    }

    /* rows of the catalog's models behind those of the list, then instead */

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "update pg_temp.sync_model set seq = seq - %lld",
                  (long long) s->models.seq);

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into pg_temp.sync_model (seq, id, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_STAGE);
    mg_buf_z(&b, ") select row_number() over (order by k.id), k.id");

    for (col = mg_model_columns; col->name; col++) {
        if (col->sets & MG_COLUMNS_STAGE) {
            mg_buf_printf(&b, ", %s.%s", mg_sync_lab_of(col), col->name);
        }
    }

    mg_buf_z(&b, " from pg_temp.sync_match k "
             "join pg_temp.sync_model s on s.id = k.source_model_id");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    s->models.seq = n;

    return mg_pg_exec_dynamic(s->c, "delete from pg_temp.sync_model "
                              "where seq <= 0", NULL, NULL, e);
}


/* What a model is called is the catalog's, all else the list's. */

static const char *
mg_sync_lab_of(const mg_column_t *col)
{
    unsigned  i;

    static const char * const  names[] = {
        "provider_id", "provider_model_id", "source_model_id"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(col->name, names[i]) == 0) {
            return "k";
        }
    }

    return "s";
}


static int
mg_sync_lab_match(mg_store_sync_t *s, mg_error_t *e)
{
    mg_buf_t  b;

    if (mg_pg_exec(s->c, "create temp table sync_match ("
                   "source_model_id text, "
                   "id text, provider_id text, provider_model_id text) "
                   "on commit drop", NULL, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "with names as (select id, lower(id) as whole, "
             "lower(substr(id, strpos(id, '/') + 1)) as part "
             "from (select id from pg_temp.sync_model "
             "union select id from pg_temp.sync_result) n), "
             "known as (select m.id, m.provider_id, m.provider_model_id, "
             "lower(m.provider_model_id) as name "
             "from model.models_metadata m where m.org_id = " MG_SYNC_ORG
             " and m.deleted_at is null), "
             "pairs as (select n.id as staged, k.id, k.provider_id, "
             "k.provider_model_id, 1 as place "
             "from names n join known k on k.id = n.id "
             "union all select n.id, k.id, k.provider_id, "
             "k.provider_model_id, 2 "
             "from names n join known k on k.name = n.whole "
             "union all select n.id, k.id, k.provider_id, "
             "k.provider_model_id, 3 "
             "from names n join known k on k.name = n.part) "
             "insert into pg_temp.sync_match "
             "select distinct on (p.id) p.staged, p.id, p.provider_id, "
             "p.provider_model_id from pairs p "
             "order by p.id, p.place, p.staged");

    return mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e);
}


/* -- results of benchmarks -- */

int
mg_sync_results(mg_store_sync_t *s, int complete, int64_t *changed,
    mg_error_t *e)
{
    int       held;
    int64_t   written, added, gone;
    mg_buf_t  b;

    *changed = 0;
    gone = 0;

    if (s->scope.provider.len && s->results.seq == 0) {
        return MG_OK;
    }

    /* once each, of models that are there; the first of equals counts */

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "create temp table sync_told on commit drop as "
             "select distinct on (m.id, " MG_RESULT_KEY("r") ") "
             "m.id as model_id, r.name, r.metric, r.variant, r.harness, "
             "r.dataset, r.version, r.url, r.measured_on, "
             "r.score::numeric as score from pg_temp.sync_result r ");
    mg_buf_z(&b, s->scope.labs
                 ? "join pg_temp.sync_match m on m.source_model_id = r.id "
                 : "join model.models_metadata m on m.id = r.id "
                   "and m.org_id = " MG_SYNC_ORG
                   " and m.deleted_at is null ");
    mg_buf_z(&b, "order by m.id, " MG_RESULT_KEY("r") ", r.seq");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.model_benchmarks t set score = r.score, "
             "url = r.url, measured_on = r.measured_on, updated_at = now() "
             "from pg_temp.sync_told r where t.model_id = r.model_id "
             "and t.org_id = " MG_SYNC_ORG " and t.source = $1 "
             "and (" MG_RESULT_KEY("t") ") = (" MG_RESULT_KEY("r") ") "
             "and (t.score, t.url, t.measured_on) is distinct from "
             "(r.score, r.url, r.measured_on)");

    if (mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, &written, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_sync_result_brake(s, &held, e) != MG_OK) {
        return MG_ERROR;
    }

    if (complete && !held) {
        mg_buf_init(&b, 0);
        mg_buf_z(&b, "delete from model.model_benchmarks t "
                 "where t.source = $1 and t.org_id = " MG_SYNC_ORG
                 " and ($2::text is null or starts_with(t.model_id, "
                 "$2 || '/')) and not exists "
                 "(select from pg_temp.sync_told r "
                 "where r.model_id = t.model_id "
                 "and (" MG_RESULT_KEY("t") ") = (" MG_RESULT_KEY("r") "))");

        if (mg_sync_run(s, &b, MG_SYNC_WITH_BOTH, &gone, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.model_benchmarks (org_id, model_id, "
             "source, name, metric, variant, harness, dataset, version, url, "
             "measured_on, score) select " MG_SYNC_ORG ", r.model_id, $1, "
             "r.name, r.metric, r.variant, r.harness, r.dataset, r.version, "
             "r.url, r.measured_on, r.score from pg_temp.sync_told r "
             "where not exists (select from model.model_benchmarks t "
             "where t.model_id = r.model_id and t.org_id = " MG_SYNC_ORG
             " and t.source = $1 "
             "and (" MG_RESULT_KEY("t") ") = (" MG_RESULT_KEY("r") "))");

    if (mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, &added, e) != MG_OK) {
        return MG_ERROR;
    }

    *changed = written + added + gone;

    return MG_OK;
}


/* A list that has lost many of its results is not believed, as of models. */

static int
mg_sync_result_brake(mg_store_sync_t *s, int *held, mg_error_t *e)
{
    mg_buf_t         b;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    *held = 0;

    if (s->scope.force) {
        return MG_OK;
    }

    mg_pg_params_init(&p, s->arena);
    mg_pg_param_str(&p, s->scope.source);
    mg_pg_param_str(&p, mg_sync_optional(s->scope.provider));
    mg_pg_param_int(&p, mg_sync_shrink(&s->scope));

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "select count(*) filter (where r.model_id is null) * 100 "
             "> count(*) * $3::bigint from model.model_benchmarks t "
             "left join pg_temp.sync_told r on r.model_id = t.model_id "
             "and (" MG_RESULT_KEY("t") ") = (" MG_RESULT_KEY("r") ") "
             "where t.source = $1 and t.org_id = " MG_SYNC_ORG
             " and ($2::text is null or starts_with(t.model_id, "
             "$2 || '/'))");

    if (mg_store_exec(s->c, &b, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    *held = mg_pg_rows_tri(r, 0, 0) == 1;
    mg_pg_rows_free(r);

    return MG_OK;
}
