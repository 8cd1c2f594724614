/*
 * mg_store_history.c: what syncs have done, and what may be forgotten.
 *
 * A sync leaves one row, written in its own transaction if it completed (so
 * that there is no row without its effect) and after the rollback if it
 * failed.  A source that had nothing new leaves a row "unchanged".
 *
 * Retention deletes rows that are old, but never the last one of a source
 * that says when it was read and under which ETag; and models that all of
 * their sources have given up for long, unless a group has them or anybody
 * has set something about them by hand.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"


/* Rows that one statement deletes: it must not run into its time-out. */
#define MG_RETAIN_STEP   5000


static int mg_retain_history(mg_pg_t *c, unsigned days, mg_error_t *e);
static int mg_retain_models(mg_pg_t *c, unsigned days, int64_t *removed,
    mg_error_t *e);


int
mg_sync_history(mg_pg_t *c, const mg_sync_scope_t *scope,
    const mg_sync_history_t *h, int64_t providers_changed, mg_arena_t *a,
    mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, scope->source);
    mg_pg_param_str(&p, mg_sync_optional(scope->provider));
    mg_pg_param_str(&p, h->status);
    mg_pg_param_str(&p, h->error);
    mg_pg_param_str(&p, mg_sync_optional(scope->etag));
    mg_pg_param_str(&p, h->fields.data ? h->fields : mg_str("{}"));
    mg_pg_param_time(&p, h->started_at ? h->started_at : mg_now_us());
    mg_pg_param_int(&p, h->counts.added);
    mg_pg_param_int(&p, h->counts.changed);
    mg_pg_param_int(&p, h->counts.removed);
    mg_pg_param_int(&p, h->counts.unchanged);
    mg_pg_param_int(&p, h->counts.failed);
    mg_pg_param_int(&p, h->counts.held);
    mg_pg_param_int(&p, h->counts.providers);
    mg_pg_param_int(&p, providers_changed);
    mg_pg_param_int(&p, h->counts.models);
    mg_pg_param_int(&p, h->counts.benchmarks);
    mg_pg_param_int(&p, h->counts.bytes);

    return mg_pg_exec(c, "insert into model.models_refresh_history "
                      "(source, provider_id, status, error, etag, fields, "
                      "started_at, added, changed, removed, unchanged, "
                      "failed, held, providers, providers_changed, models, "
                      "benchmarks, bytes) values ($1, $2, $3, $4, $5, $6, "
                      "$7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, "
                      "$18)", &p, NULL, e);
}


int
mg_store_sync_unchanged(mg_pg_t *c, const mg_sync_scope_t *scope,
    int64_t started_at, mg_error_t *e)
{
    int                 rc;
    mg_arena_t         *a;
    mg_pg_params_t      p;
    mg_sync_history_t   h;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    memset(&h, 0, sizeof(h));
    h.status = mg_str("unchanged");
    h.started_at = started_at;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, scope->source);
    mg_pg_param_str(&p, mg_sync_optional(scope->provider));

    rc = mg_store_begin_job(c, e);

    if (rc == MG_OK) {
        rc = mg_pg_exec(c, "update model.providers "
                        "set last_synced_at = clock_timestamp() "
                        "where org_id = " MG_SYNC_ORG " and active "
                        "and case when $2::text is null then source = $1 "
                        "else id = $2 end", &p, NULL, e);

        if (rc == MG_OK) {
            rc = mg_sync_history(c, scope, &h, 0, a, e);
        }

        rc = mg_store_end(c, rc, e);
    }

    mg_arena_destroy(a);

    return rc;
}


int
mg_store_sync_history(mg_pg_t *c, mg_str_t source, mg_str_t provider,
    unsigned limit, mg_arena_t *a, mg_sync_history_t **rows, unsigned *n,
    mg_error_t *e)
{
    int                 i, count;
    unsigned            k;
    mg_pg_rows_t       *r;
    mg_pg_params_t      p;
    mg_sync_history_t  *h;

    static const size_t  strings[] = {
        offsetof(mg_sync_history_t, id),
        offsetof(mg_sync_history_t, source),
        offsetof(mg_sync_history_t, provider),
        offsetof(mg_sync_history_t, status),
        offsetof(mg_sync_history_t, error),
        offsetof(mg_sync_history_t, etag),
        offsetof(mg_sync_history_t, fields)
    };

    static const size_t  numbers[] = {
        offsetof(mg_sync_history_t, counts.added),
        offsetof(mg_sync_history_t, counts.changed),
        offsetof(mg_sync_history_t, counts.removed),
        offsetof(mg_sync_history_t, counts.unchanged),
        offsetof(mg_sync_history_t, counts.failed),
        offsetof(mg_sync_history_t, counts.held),
        offsetof(mg_sync_history_t, counts.providers),
        offsetof(mg_sync_history_t, counts.models),
        offsetof(mg_sync_history_t, counts.benchmarks),
        offsetof(mg_sync_history_t, counts.bytes)
    };

    const unsigned  n_strings = sizeof(strings) / sizeof(strings[0]);
    const unsigned  n_numbers = sizeof(numbers) / sizeof(numbers[0]);

    mg_pg_params_init(&p, a);
    mg_pg_param_int(&p, limit);
    mg_pg_param_str(&p, mg_sync_optional(source));
    mg_pg_param_str(&p, mg_sync_optional(provider));

    if (mg_pg_exec(c, "select id, source, provider_id, status, error, etag, "
                   "fields, added, changed, removed, unchanged, failed, "
                   "held, providers, models, benchmarks, bytes, started_at, "
                   "completed_at from model.models_refresh_history "
                   "where ($2::text is null or source = $2) "
                   "and ($3::text is null or provider_id = $3) "
                   "order by started_at desc, id limit $1", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    count = mg_pg_rows_count(r);
    h = mg_arena_calloc(a, (size_t) (count + 1) * sizeof(mg_sync_history_t));
    *rows = h;
    *n = 0;

    for (i = 0; h && i < count; i++, h++) {
        for (k = 0; k < n_strings; k++) {
            if (mg_column_str(r, i, (int) k, a,
                              (mg_str_t *) ((char *) h + strings[k]))
                != MG_OK)
            {
                goto done;
            }
        }

        for (k = 0; k < n_numbers; k++) {
            *(int64_t *) ((char *) h + numbers[k])
                = mg_pg_rows_int(r, i, (int) (n_strings + k));
        }

        h->started_at = mg_pg_rows_time(r, i, (int) (n_strings + n_numbers));
        h->completed_at = mg_pg_rows_time(r, i,
                                          (int) (n_strings + n_numbers + 1));
        *n = (unsigned) i + 1;
    }

done:

    mg_pg_rows_free(r);

    return (*rows && *n == (unsigned) count) ? MG_OK : mg_store_memory(e);
}


/* -- retention -- */

int
mg_store_catalog_retain(mg_pg_t *c, unsigned history_days,
    unsigned gone_days, int64_t *removed, mg_error_t *e)
{
    *removed = 0;

    if (mg_retain_history(c, history_days, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_retain_models(c, gone_days, removed, e);
}


/* The last row of a source that tells something stays. */

static int
mg_retain_history(mg_pg_t *c, unsigned days, mg_error_t *e)
{
    uint64_t        n;
    mg_pg_rows_t   *r;
    mg_pg_params_t  p;

    do {
        mg_pg_params_init(&p, NULL);
        mg_pg_param_int(&p, days);
        mg_pg_param_int(&p, MG_RETAIN_STEP);

        if (mg_pg_exec(c, "delete from model.models_refresh_history "
                       "where id in (select h.id "
                       "from model.models_refresh_history h "
                       "where h.started_at < now() - make_interval(days => "
                       "$1::integer) and exists (select "
                       "from model.models_refresh_history l "
                       "where l.source = h.source and l.provider_id "
                       "is not distinct from h.provider_id "
                       "and l.status in ('completed', h.status) "
                       "and l.started_at > h.started_at) limit $2)",
                       &p, &r, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        n = mg_pg_rows_affected(r);
        mg_pg_rows_free(r);

    } while (n == MG_RETAIN_STEP);

    return MG_OK;
}


static int
mg_retain_models(mg_pg_t *c, unsigned days, int64_t *removed, mg_error_t *e)
{
    int              rc;
    int64_t          n;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    do {
        mg_pg_params_init(&p, NULL);
        mg_pg_param_int(&p, days);
        mg_pg_param_int(&p, MG_RETAIN_STEP);

        if (mg_store_begin_job(c, e) != MG_OK) {
            return MG_ERROR;
        }

        /* what lists without authority say stays: they may list it again */

        n = 0;
        rc = mg_pg_exec(c, "with gone as (select m.id, m.org_id "
                        "from model.models_metadata m "
                        "where not m.active and m.deleted_at is null "
                        "and m.source <> 'manual' "
                        "and m.manual_fields = '{}' "
                        "and (select max(s.gone_at) from model.model_sources "
                        "s where s.id = m.id and s.org_id = m.org_id) "
                        "< now() - make_interval(days => $1::integer) "
                        "and not exists (select "
                        "from model.model_group_memberships g "
                        "where g.model_id = m.id and g.org_id = m.org_id) "
                        "order by m.id limit $2), "
                        "said as (delete from model.model_sources s "
                        "using gone g where s.id = g.id "
                        "and s.org_id = g.org_id and (s.active is not null "
                        "or s.source = 'inferred')), "
                        "d as (delete from model.models_metadata m "
                        "using gone g where m.id = g.id "
                        "and m.org_id = g.org_id returning m.id) "
                        "select count(*) from d", &p, &r, e);

        if (rc == MG_OK) {
            n = mg_pg_rows_int(r, 0, 0);
            mg_pg_rows_free(r);
        }

        if (mg_store_end(c, rc, e) != MG_OK) {
            return MG_ERROR;
        }

        *removed += n;

    } while (n == MG_RETAIN_STEP);

    return MG_OK;
}
