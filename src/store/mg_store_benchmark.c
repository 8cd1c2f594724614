/*
 * mg_store_benchmark.c: results of benchmarks, by model.
 *
 * What a sync brings is staged and merged by mg_store_sync.c; here they are
 * read, and written by hand.  Scores are numerics: no digit is lost on the
 * way from the source to the answer.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"


/* "m.model_id, ..." in the order of mg_benchmark_t. */
#define MG_BENCHMARK_COLUMNS                                                  \
    "b.model_id, b.name, trim_scale(b.score), b.metric, b.harness, "          \
    "b.variant, b.dataset, b.version, b.url, b.measured_on, b.source"


static const size_t  mg_benchmark_members[] = {
    offsetof(mg_benchmark_t, model_id),
    offsetof(mg_benchmark_t, name),
    offsetof(mg_benchmark_t, score),
    offsetof(mg_benchmark_t, metric),
    offsetof(mg_benchmark_t, harness),
    offsetof(mg_benchmark_t, variant),
    offsetof(mg_benchmark_t, dataset),
    offsetof(mg_benchmark_t, version),
    offsetof(mg_benchmark_t, url),
    offsetof(mg_benchmark_t, date),
    offsetof(mg_benchmark_t, source)
};

#define MG_BENCHMARK_MEMBERS                                                  \
    (sizeof(mg_benchmark_members) / sizeof(mg_benchmark_members[0]))


void
mg_benchmark_select(mg_buf_t *b)
{
    mg_buf_z(b, "select " MG_BENCHMARK_COLUMNS
             " from model.model_benchmarks b ");
}


int
mg_benchmark_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_benchmark_t *b)
{
    unsigned  i;

    for (i = 0; i < MG_BENCHMARK_MEMBERS; i++) {
        if (mg_column_str(r, row, (int) i, a,
                          (mg_str_t *) ((char *) b
                                        + mg_benchmark_members[i]))
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


int
mg_store_benchmarks(mg_pg_t *c, mg_str_t org_id, mg_str_t model,
    mg_arena_t *a, mg_benchmark_t **rows, unsigned *n, mg_error_t *e)
{
    int              i, count;
    mg_buf_t         sql;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, model);
    mg_pg_param_str(&p, mg_store_org(org_id));

    mg_buf_init(&sql, 0);
    mg_benchmark_select(&sql);
    mg_buf_z(&sql, "join model.models_metadata m on m.id = b.model_id "
             "and m.org_id = b.org_id and m.deleted_at is null "
             "where b.model_id = $1 and b.org_id = $2 "
             "order by b.measured_on desc nulls last, b.name, b.id");

    if (mg_store_exec(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    count = mg_pg_rows_count(r);
    *rows = mg_arena_calloc(a, (size_t) (count + 1)
                               * sizeof(mg_benchmark_t));

    for (i = 0; *rows && i < count; i++) {
        if (mg_benchmark_row(r, i, a, &(*rows)[i]) != MG_OK) {
            break;
        }
    }

    mg_pg_rows_free(r);
    *n = (unsigned) i;

    return (*rows && i == count) ? MG_OK : mg_store_memory(e);
}


int
mg_store_benchmark_put(mg_pg_t *c, const mg_actor_t *who,
    const mg_benchmark_t *b, mg_error_t *e)
{
    int              rc;
    uint64_t         n;
    unsigned         i;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_benchmark_check(b, e) != MG_OK) {
        return MG_ERROR;
    }

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));

    /* all but the source, which is a literal */

    for (i = 0; i < MG_BENCHMARK_MEMBERS - 1; i++) {
        mg_pg_param_str(&p, *(const mg_str_t *)
                            ((const char *) b + mg_benchmark_members[i]));
    }

    rc = mg_store_begin(c, e);

    if (rc == MG_OK) {
        rc = mg_pg_exec(c, "insert into model.model_benchmarks as b (org_id, "
                        "model_id, name, score, metric, harness, variant, "
                        "dataset, version, url, measured_on, source) "
                        "select m.org_id, m.id, $3, $4, $5, $6, $7, $8, $9, "
                        "$10, $11, 'manual' from model.models_metadata m "
                        "where m.id = $2 and m.org_id = $1 "
                        "and m.deleted_at is null "
                        "on conflict (model_id, org_id, source, name, "
                        "metric, variant, harness, dataset, version) "
                        "do update set score = excluded.score, "
                        "url = excluded.url, "
                        "measured_on = excluded.measured_on, "
                        "updated_at = now()", &p, &r, e);

        if (rc == MG_OK) {
            n = mg_pg_rows_affected(r);
            mg_pg_rows_free(r);

            if (n == 0) {
                rc = mg_error_set(e, MG_E_NOT_FOUND, "model",
                                  "there is no model \"" MG_STR_FMT "\"",
                                  (int) (b->model_id.len < 256
                                         ? b->model_id.len : 256),
                                  b->model_id.data);
            }
        }

        if (rc == MG_OK) {
            rc = mg_score_infer(c, who->org_id, mg_str_null, b->model_id, 0,
                                a, e);
        }

        rc = mg_store_end(c, rc, e);
    }

    mg_arena_destroy(a);

    return rc;
}
