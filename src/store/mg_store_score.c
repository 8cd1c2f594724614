/*
 * mg_store_score.c: the three scores of a model, from what is known of it.
 *
 *     model_benchmarks               -> benchmark     -+
 *     what the Hub's list says       -> popularity     +-> model_sources,
 *     results of our own validation  -> reliability   -+   "inferred"
 *
 * Thousandths of 0 to 100, null where nothing is known.  They are what the
 * source "inferred" says of a model, of the rank of a guess, so the merge
 * shows them where nobody states a score.  One statement computes all of
 * them and writes what is another; of models that come out as they were
 * nothing is written, and no generation is raised.
 *
 * After a validation a provider's models are scored some at a time, each
 * time in a transaction of its own: of ten thousand all at once would keep
 * everybody else who writes to the catalog waiting for seconds.
 *
 * Pool threads; blocks.  All within the caller's transaction.
 */

#include "store/mg_store_sync.h"


/* Newest results of a model that count, from so many runs at most. */
#define MG_SCORE_RESULTS   "20"
#define MG_SCORE_RUNS      "100"

/* Models that mg_store_score_next() takes at a time. */
#define MG_SCORE_STEP      "500"


/* Which models; each {NULL, 0}: all. */
typedef struct {
    mg_str_t   org_id;
    mg_str_t   provider;
    mg_str_t   model;
    mg_str_t   after, last;     /* ids between these, with the latter */
    int        validated;       /* reliability, too */
} mg_score_scope_t;


static int mg_score_step(mg_pg_t *c, mg_score_scope_t *scope, mg_arena_t *a,
    mg_error_t *e);
static int mg_score_last(mg_pg_t *c, mg_score_scope_t *scope, mg_arena_t *a,
    mg_error_t *e);
static int mg_score_write(mg_pg_t *c, const mg_score_scope_t *scope,
    mg_arena_t *a, mg_error_t *e);
static int mg_score_changed(mg_pg_t *c, const mg_score_scope_t *scope,
    mg_arena_t *a, int64_t *n, mg_error_t *e);
static int mg_score_merge(mg_pg_t *c, int few, mg_error_t *e);


/*
 * A result counts if its metric says that it is in percent, or is one of
 * those that are given in percent and the score is no fraction.  Of several
 * results of one benchmark the mean is taken first.
 */

#define MG_SCORE_BENCHMARK                                                    \
    "select b.model_id, round(avg(b.score) * 1000) as score from ("           \
    "select r.model_id, avg(r.score) as score "                               \
    "from model.model_benchmarks r where r.org_id = $1 "                      \
    "and r.score between 0 and 100 and (r.metric ~* '%|percent' "             \
    "or (r.score > 1 and r.metric ~* '^(accuracy|pass[@^]|exact.match|"       \
    "success.rate|resolve|win.rate)')) "                                      \
    "and ($3::text is null or r.model_id = $3) "                              \
    "and ($5::text is null or r.model_id > $5) "                              \
    "and ($6::text is null or r.model_id <= $6) "                             \
    "group by r.model_id, r.name) b group by b.model_id"


/* A hundred million downloads a month, a hundred thousand likes: 100. */

#define MG_SCORE_POPULARITY                                                   \
    "select p.id, round(least(100, case when p.downloads is null "            \
    "then 20 * log(1 + p.likes) when p.likes is null "                        \
    "then 12.5 * log(1 + p.downloads) else 10 * log(1 + p.likes) "            \
    "+ 6.25 * log(1 + p.downloads) end) * 1000) as score from ("              \
    "select s.id, case when s.details ->> 'likes' ~ '^[0-9]{1,15}$' "         \
    "then (s.details ->> 'likes')::numeric end as likes, "                    \
    "case when s.details ->> 'downloads' ~ '^[0-9]{1,15}$' "                  \
    "then (s.details ->> 'downloads')::numeric end as downloads "             \
    "from model.model_sources s where s.org_id = $1 "                         \
    "and s.source = 'huggingface-hub') p "                                    \
    "where coalesce(p.likes, p.downloads) is not null"


/* What a key or this gateway cannot do is not the model's fault. */

#define MG_SCORE_RELIABILITY                                                  \
    "select r.model_id, round(avg(case when r.available then 100000 "         \
    "else 0 end)) as score from (select t.model_id, t.available, "            \
    "row_number() over (partition by t.model_id "                             \
    "order by t.tested_at desc nulls last) as n "                             \
    "from (select v.id, row_number() over (partition by v.provider_id "       \
    "order by v.created_at desc) as n "                                       \
    "from model.ai_model_validation_progress v where $4::boolean "            \
    "and v.org_id = $1 and ($2::text is null or v.provider_id = $2)) v "      \
    "join model.ai_model_validation_results t on t.validation_id = v.id "     \
    "and ($5::text is null or t.model_id > $5) "                              \
    "and ($6::text is null or t.model_id <= $6) "                             \
    "and t.available is not null and t.error_class is distinct from 'auth' "  \
    "and t.error_class is distinct from 'unsupported' "                       \
    "where v.n <= " MG_SCORE_RUNS ") r where r.n <= " MG_SCORE_RESULTS        \
    " group by r.model_id"


int
mg_score_infer(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t model, int validated, mg_arena_t *a, mg_error_t *e)
{
    mg_score_scope_t  scope;

    memset(&scope, 0, sizeof(scope));
    scope.org_id = org_id;
    scope.provider = provider;
    scope.model = model;
    scope.validated = validated;

    if (mg_merge_adopt(c, org_id, mg_str_null, model, a, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_score_write(c, &scope, a, e);
}


int
mg_store_score_next(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t *after, mg_arena_t *a, mg_error_t *e)
{
    int               rc;
    mg_score_scope_t  scope;

    memset(&scope, 0, sizeof(scope));
    scope.org_id = org_id;
    scope.provider = provider;
    scope.after = *after;
    scope.validated = 1;

    if (mg_store_begin_job(c, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_store_end(c, mg_score_step(c, &scope, a, e), e);

    if (rc == MG_OK && scope.last.data == NULL) {
        return MG_DECLINED;
    }

    *after = scope.last;

    return rc;
}


static int
mg_score_step(mg_pg_t *c, mg_score_scope_t *scope, mg_arena_t *a,
    mg_error_t *e)
{
    if (mg_score_last(c, scope, a, e) != MG_OK) {
        return MG_ERROR;
    }

    if (scope->last.data == NULL) {
        return MG_OK;
    }

    if (scope->after.data == NULL
        && mg_merge_adopt(c, scope->org_id, scope->provider, mg_str_null, a,
                          e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_score_write(c, scope, a, e);
}


/* Up to which model a step goes; {NULL, 0}: there is none. */

static int
mg_score_last(mg_pg_t *c, mg_score_scope_t *scope, mg_arena_t *a,
    mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(scope->org_id));
    mg_pg_param_str(&p, scope->provider);
    mg_pg_param_str(&p, scope->after);

    if (mg_pg_exec(c, "select max(n.id) from (select m.id "
                   "from model.models_metadata m where m.org_id = $1 "
                   "and m.provider_id = $2 and m.deleted_at is null "
                   "and ($3::text is null or m.id > $3) "
                   "order by m.id limit " MG_SCORE_STEP ") n", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_column_str(r, 0, 0, a, &scope->last);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


static int
mg_score_write(mg_pg_t *c, const mg_score_scope_t *scope, mg_arena_t *a,
    mg_error_t *e)
{
    int64_t  n;

    if (mg_pg_exec(c, "create temp table if not exists score_changed "
                   "(id text, org_id uuid) on commit delete rows", NULL,
                   NULL, e)
        != MG_OK
        || mg_score_changed(c, scope, a, &n, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return n ? mg_score_merge(c, n <= MG_STORE_FEW, e) : MG_OK;
}


/* Writes what "inferred" says, and the ids of which it is another. */

static int
mg_score_changed(mg_pg_t *c, const mg_score_scope_t *scope, mg_arena_t *a,
    int64_t *n, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    /* what is grouped is computed once, whatever the plan is */

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(scope->org_id));
    mg_pg_param_str(&p, scope->provider.len ? scope->provider : mg_str_null);
    mg_pg_param_str(&p, scope->model.len ? scope->model : mg_str_null);
    mg_pg_param_bool(&p, scope->validated != 0);
    mg_pg_param_str(&p, scope->after);
    mg_pg_param_str(&p, scope->last);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "with b as materialized (" MG_SCORE_BENCHMARK "), "
             "r as materialized (" MG_SCORE_RELIABILITY "), "
             "scored as (select m.id, m.org_id, m.provider_id, "
             "b.score as benchmark_score, p.score as popularity_score, "
             "case when $4::boolean then r.score else o.reliability_score "
             "end as reliability_score from model.models_metadata m "
             "left join model.model_sources o on o.id = m.id "
             "and o.org_id = m.org_id and o.source = 'inferred' "
             "left join b on b.model_id = m.id "
             "left join (" MG_SCORE_POPULARITY ") p on p.id = m.id "
             "left join r on r.model_id = m.id "
             "where m.org_id = $1 and m.deleted_at is null "
             "and ($2::text is null or m.provider_id = $2) "
             "and ($3::text is null or m.id = $3) "
             "and ($5::text is null or m.id > $5) "
             "and ($6::text is null or m.id <= $6)), "
             "known as (select * from scored where num_nonnulls("
             "benchmark_score, popularity_score, reliability_score) > 0), "
             "said as (insert into model.model_sources as t (id, org_id, "
             "source, rank, provider_id, benchmark_score, popularity_score, "
             "reliability_score) select k.id, k.org_id, 'inferred', ");
    mg_buf_printf(&b, "%d", MG_RANK_INFERRED);
    mg_buf_z(&b, ", k.provider_id, k.benchmark_score, k.popularity_score, "
             "k.reliability_score from known k order by k.id "
             "on conflict (id, org_id, source) do update "
             "set benchmark_score = excluded.benchmark_score, "
             "popularity_score = excluded.popularity_score, "
             "reliability_score = excluded.reliability_score, "
             "fetched_at = now() where (t.benchmark_score, "
             "t.popularity_score, t.reliability_score) is distinct from "
             "(excluded.benchmark_score, excluded.popularity_score, "
             "excluded.reliability_score) returning t.id, t.org_id), "
             "gone as (delete from model.model_sources t using scored w "
             "where t.source = 'inferred' and t.id = w.id "
             "and t.org_id = w.org_id and num_nonnulls(w.benchmark_score, "
             "w.popularity_score, w.reliability_score) = 0 "
             "returning t.id, t.org_id) insert into pg_temp.score_changed "
             "select id, org_id from said union all "
             "select id, org_id from gone");

    return mg_store_write(c, &b, &p, n, e);
}


/* Of the catalog's rows the scores alone: the rest is its sources' affair. */

static int
mg_score_merge(mg_pg_t *c, int few, mg_error_t *e)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.models_metadata t "
             "set benchmark_score = m.benchmark_score, "
             "popularity_score = m.popularity_score, "
             "reliability_score = m.reliability_score, "
             "provenance = m.provenance, sources = m.sources, "
             "updated_at = now() from (");
    mg_merge_select(&b, few ? "s.id = any (array(select g.id "
                              "from pg_temp.score_changed g)) "
                              "and s.org_id = any (array(select g.org_id "
                              "from pg_temp.score_changed g))"
                            : "(s.id, s.org_id) in (select g.id, g.org_id "
                              "from pg_temp.score_changed g)");
    mg_buf_z(&b, ") m where t.id = m.id and t.org_id = m.org_id "
             "and t.deleted_at is null and (t.benchmark_score, "
             "t.popularity_score, t.reliability_score, t.provenance, "
             "t.sources) is distinct from (m.benchmark_score, "
             "m.popularity_score, m.reliability_score, m.provenance, "
             "m.sources)");

    if (mg_store_write(c, &b, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_pg_exec(c, "truncate pg_temp.score_changed", NULL, NULL, e);
}
