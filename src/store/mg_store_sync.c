/*
 * mg_store_sync.c: a source's whole list into the catalog, in one
 * transaction.
 *
 *     sync_model -> model_sources      what this source says now
 *                -> models_metadata    the merge of what all of them say
 *
 * The comparisons are joins over normalised columns: rows that say the same
 * are not written, so loading a document twice changes nothing and raises no
 * generation.  The merge is compared for every model of the list, so a row
 * of the catalog that somebody has changed past the sources is put right.
 *
 * A model that the list has no longer is marked inactive if its source is an
 * authority on what exists, and what a source without authority no longer
 * says is forgotten; but never more at once than a share of the models of a
 * provider (a few are no share): those removals are held, counted, and done
 * when forced.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"

#include <stdio.h>

#include "base/mg_jw.h"


#define MG_SYNC_COLUMNS_MAX   64

/* Fewer removals of a provider are believed, unless they are all of it. */
#define MG_SYNC_HELD_MIN      3


/* What was merged. */
typedef struct {
    int64_t   added;
    int64_t   changed;
    int64_t   removed;                        /* no longer active */
    int64_t   fields[MG_SYNC_COLUMNS_MAX];    /* in the order of the table */
} mg_sync_merged_t;


static int mg_sync_apply(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e);
static int mg_sync_providers(mg_store_sync_t *s, int64_t *changed,
    mg_error_t *e);
static int mg_sync_orphans(mg_store_sync_t *s, mg_error_t *e);
static int mg_sync_said(mg_store_sync_t *s, mg_error_t *e);
static int mg_sync_gone(mg_store_sync_t *s, int64_t *held, mg_error_t *e);
static int mg_sync_withdraw(mg_store_sync_t *s, mg_error_t *e);
static int mg_sync_merge(mg_store_sync_t *s, const char *table, int creates,
    int64_t last, mg_sync_merged_t *m, mg_error_t *e);
static int mg_sync_merge_count(mg_store_sync_t *s, mg_sync_merged_t *m,
    mg_error_t *e);
static int mg_sync_merge_write(mg_store_sync_t *s, mg_sync_merged_t *m,
    mg_error_t *e);
static int mg_sync_providers_gone(mg_store_sync_t *s, int64_t *n,
    mg_error_t *e);
static int mg_sync_known(mg_store_sync_t *s, int64_t *n, mg_error_t *e);
static int mg_sync_fields(mg_store_sync_t *s, const mg_sync_merged_t *m,
    int64_t results, mg_str_t *json);


int
mg_store_sync_commit(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e)
{
    int  rc;

    if (mg_sync_flush(s, &s->providers, e) != MG_OK
        || mg_sync_flush(s, &s->models, e) != MG_OK
        || mg_sync_flush(s, &s->results, e) != MG_OK
        || mg_sync_unite(s, &s->providers, e) != MG_OK
        || mg_sync_unite(s, &s->models, e) != MG_OK
        || mg_pg_begin(s->c, e) != MG_OK)
    {
        mg_sync_free(s);
        return MG_ERROR;
    }

    rc = mg_store_end(s->c, mg_sync_apply(s, complete, started_at, counts, e),
                      e);
    mg_sync_free(s);

    return rc;
}


void
mg_store_sync_etag(mg_store_sync_t *s, mg_str_t etag)
{
    s->scope.etag = etag;
}


void
mg_store_sync_abort(mg_store_sync_t *s, int64_t started_at,
    const mg_sync_counts_t *counts, const char *error)
{
    mg_sync_history_t  h;

    mg_pg_rollback(s->c);

    memset(&h, 0, sizeof(h));
    h.status = mg_str("failed");
    h.error = mg_str_z(error);
    h.started_at = started_at;
    h.counts = *counts;

    if (error) {
        (void) mg_sync_history(s->c, &s->scope, &h, 0, s->arena, NULL);
    }

    mg_sync_free(s);
}


/*
 * Within the transaction.  Removals are looked for before anything is
 * written: their share is one of what there was.
 */

static int
mg_sync_apply(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e)
{
    int64_t            providers, gone, results, known;
    mg_sync_merged_t   staged, missing;
    mg_sync_history_t  h;

    memset(&staged, 0, sizeof(staged));
    memset(&missing, 0, sizeof(missing));
    memset(&h, 0, sizeof(h));

    gone = 0;
    counts->held = 0;

    if (mg_store_lock(s->c, e) != MG_OK
        || mg_store_bulk(s->c, 1, e) != MG_OK
        || mg_merge_adopt(s->c, mg_str_null, mg_str_null, mg_str_null,
                          s->arena, e)
           != MG_OK
        || mg_sync_providers(s, &providers, e) != MG_OK
        || mg_sync_orphans(s, e) != MG_OK
        || mg_sync_labs(s, e) != MG_OK
        || (complete && mg_sync_gone(s, &counts->held, e) != MG_OK)
        || mg_sync_said(s, e) != MG_OK
        || (complete && mg_sync_withdraw(s, e) != MG_OK)
        || mg_sync_merge(s, "pg_temp.sync_model", s->scope.creates,
                         s->models.seq, &staged, e)
           != MG_OK
        || (complete && mg_sync_merge(s, "pg_temp.sync_gone", 0, s->missing,
                                      &missing, e)
                        != MG_OK)
        || (complete && mg_sync_providers_gone(s, &gone, e) != MG_OK)
        || mg_sync_known(s, &known, e) != MG_OK
        || mg_sync_results(s, complete, &results, e) != MG_OK
        || (s->scope.provider.len == 0
            && mg_score_infer(s->c, mg_str_null, mg_str_null, mg_str_null, 0,
                              s->arena, e)
               != MG_OK))
    {
        return MG_ERROR;
    }

    counts->added = staged.added;
    counts->changed = staged.changed + missing.changed;
    counts->removed = staged.removed + missing.removed;
    counts->unchanged = known - staged.added - staged.changed
                        - staged.removed;
    counts->failed += s->failed;
    counts->providers = s->providers.staged;
    counts->models = s->models.staged;
    counts->benchmarks = s->results.staged;

    for (known = 0; known < MG_SYNC_COLUMNS_MAX; known++) {
        staged.fields[known] += missing.fields[known];
    }

    h.status = mg_str("completed");
    h.started_at = started_at;
    h.counts = *counts;

    if (mg_sync_fields(s, &staged, results, &h.fields) != MG_OK) {
        return mg_store_memory(e);
    }

    return mg_sync_history(s->c, &s->scope, &h, providers + gone, s->arena,
                           e);
}


/* -- providers -- */

/*
 * Of providers there is one description: by hand, or of the source that has
 * made the row.  What was set by hand is laid over the staged rows.
 */

static int
mg_sync_providers(mg_store_sync_t *s, int64_t *changed, mg_error_t *e)
{
    int64_t   updated, added;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update pg_temp.sync_provider s set ");
    mg_columns_each(&b, mg_provider_columns, ", ",
                    "% = case when '%' = any (t.manual_fields) "
                    "then t.% else s.% end", 0, MG_COLUMNS_STAGE);
    mg_buf_z(&b, " from model.providers t where t.id = s.id "
             "and t.org_id = " MG_SYNC_ORG " and t.manual_fields <> '{}'");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.providers t set ");
    mg_columns_each(&b, mg_provider_columns, ", ", "% = s.%", 0,
                    MG_COLUMNS_STAGE);
    mg_buf_z(&b, ", updated_at = now() from pg_temp.sync_provider s "
             "where t.id = s.id and t.org_id = " MG_SYNC_ORG
             " and t.source = $1 and t.deleted_at is null and (");
    mg_columns_names(&b, mg_provider_columns, "t.", MG_COLUMNS_STAGE);
    mg_buf_z(&b, ") is distinct from (");
    mg_columns_names(&b, mg_provider_columns, "s.", MG_COLUMNS_STAGE);
    mg_buf_char(&b, ')');

    if (mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, &updated, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.providers (id, org_id, source, ");
    mg_columns_names(&b, mg_provider_columns, "", MG_COLUMNS_STAGE);
    mg_buf_z(&b, ") select s.id, " MG_SYNC_ORG ", $1, ");
    mg_columns_names(&b, mg_provider_columns, "s.", MG_COLUMNS_STAGE);
    mg_buf_z(&b, " from pg_temp.sync_provider s where not exists "
             "(select from model.providers t where t.id = s.id "
             "and t.org_id = " MG_SYNC_ORG ") order by s.id");

    if (mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, &added, e) != MG_OK) {
        return MG_ERROR;
    }

    *changed = updated + added;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.providers p set last_synced_at = now() "
             "where p.org_id = " MG_SYNC_ORG " and p.id in "
             "(select s.id from pg_temp.sync_provider s "
             "union all select $1::text)");

    return mg_sync_run(s, &b, MG_SYNC_WITH_PROVIDER, NULL, e);
}


/*
 * Those that the list has no longer; but not while one of their models stays
 * because its removal was held.
 */

static int
mg_sync_providers_gone(mg_store_sync_t *s, int64_t *n, mg_error_t *e)
{
    mg_buf_t  b;

    if (!s->scope.authority || s->scope.provider.len) {
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.providers t set active = false, "
             "updated_at = now() where t.source = $1 and t.active "
             "and t.org_id = " MG_SYNC_ORG " and t.deleted_at is null "
             "and not 'active' = any (t.manual_fields) and not exists "
             "(select from pg_temp.sync_provider s where s.id = t.id) "
             "and not exists (select from model.model_sources m "
             "where m.provider_id = t.id and m.org_id = t.org_id "
             "and m.source = $1 and m.active)");

    return mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, n, e);
}


/* -- what this source says -- */

/* A model is added only to a provider that somebody has described. */

static int
mg_sync_orphans(mg_store_sync_t *s, mg_error_t *e)
{
    int64_t   n;
    mg_buf_t  b;

    if (!s->scope.creates) {
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "delete from pg_temp.sync_model s where not exists "
             "(select from model.providers p where p.id = s.provider_id "
             "and p.org_id = " MG_SYNC_ORG ")");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    s->failed += n;
    s->models.staged -= n;

    return MG_OK;
}


static int
mg_sync_said(mg_store_sync_t *s, mg_error_t *e)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.model_sources t set ");
    mg_columns_each(&b, mg_model_columns, ", ", "% = s.%", 0,
                    MG_COLUMNS_SOURCE);
    mg_buf_printf(&b, ", rank = %d, fetched_at = now(), gone_at = null "
                  "from pg_temp.sync_model s where t.id = s.id "
                  "and t.org_id = " MG_SYNC_ORG " and t.source = $1 and (",
                  (int) s->scope.rank);
    mg_columns_names(&b, mg_model_columns, "t.", MG_COLUMNS_SOURCE);
    mg_buf_z(&b, ", t.rank) is distinct from (");
    mg_columns_names(&b, mg_model_columns, "s.", MG_COLUMNS_SOURCE);
    mg_buf_printf(&b, ", %d) and s.seq > $2 and s.seq <= $3",
                  (int) s->scope.rank);

    if (mg_sync_steps(s, &b, s->models.seq, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.model_sources (id, org_id, source, "
             "rank, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_SOURCE);
    mg_buf_printf(&b, ") select s.id, " MG_SYNC_ORG ", $1, %d, ",
                  (int) s->scope.rank);
    mg_columns_names(&b, mg_model_columns, "s.", MG_COLUMNS_SOURCE);
    mg_buf_z(&b, " from pg_temp.sync_model s where s.seq > $2 "
             "and s.seq <= $3 and not exists "
             "(select from model.model_sources t where t.id = s.id "
             "and t.org_id = " MG_SYNC_ORG " and t.source = $1) "
             "order by s.id");

    return mg_sync_steps(s, &b, s->models.seq, e);
}


/* What it has said, and no longer says; less what is not believed. */

static int
mg_sync_gone(mg_store_sync_t *s, int64_t *held, mg_error_t *e)
{
    mg_buf_t     b;
    const char  *listed;

    listed = "t.source = $1 and t.org_id = " MG_SYNC_ORG
             " and t.active is not false "
             "and ($2::text is null or t.provider_id = $2)";

    if (mg_pg_exec(s->c, "create temp table sync_gone (seq bigint, id text, "
                   "provider_id text) on commit drop", NULL, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "insert into pg_temp.sync_gone "
                  "select row_number() over (), t.id, t.provider_id "
                  "from model.model_sources t where %s and not exists "
                  "(select from pg_temp.sync_model s where s.id = t.id)",
                  listed);

    if (mg_sync_run(s, &b, MG_SYNC_WITH_BOTH, &s->missing, e) != MG_OK) {
        return MG_ERROR;
    }

    if (s->missing == 0 || s->scope.force) {
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "with n as (select t.provider_id, count(*) as n "
                  "from model.model_sources t where %s "
                  "group by t.provider_id), g as (select g.provider_id, "
                  "count(*) as n from pg_temp.sync_gone g "
                  "group by g.provider_id) delete from pg_temp.sync_gone x "
                  "using n, g where n.provider_id = g.provider_id "
                  "and x.provider_id = g.provider_id "
                  "and g.n * 100 > n.n * %u and (g.n >= %d or g.n = n.n)",
                  listed, mg_sync_shrink(&s->scope), MG_SYNC_HELD_MIN);

    return mg_sync_run(s, &b, MG_SYNC_WITH_BOTH, held, e);
}


static int
mg_sync_withdraw(mg_store_sync_t *s, mg_error_t *e)
{
    mg_buf_t  b;

    if (s->missing == 0) {
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, s->scope.authority
                 ? "update model.model_sources t set active = false, "
                   "gone_at = now() from pg_temp.sync_gone g "
                 : "delete from model.model_sources t "
                   "using pg_temp.sync_gone g ");
    mg_buf_z(&b, "where t.id = g.id and t.source = $1 "
             "and t.org_id = " MG_SYNC_ORG);

    return mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, NULL, e);
}


/* -- what all of them say -- */

/*
 * Merges the models that the table names, some thousand at a time, and
 * writes the rows that come out otherwise than they are.
 */

static int
mg_sync_merge(mg_store_sync_t *s, const char *table, int creates,
    int64_t last, mg_sync_merged_t *m, mg_error_t *e)
{
    int       rc;
    char      where[256];
    int64_t   seq, n;
    mg_buf_t  b, fill;

    if (last == 0) {
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "create temp table if not exists sync_merged "
             "on commit drop as select false as fresh, m.* from (");
    mg_merge_select(&b, "false");
    mg_buf_z(&b, ") m with no data");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    (void) snprintf(where, sizeof(where), "s.org_id = " MG_SYNC_ORG
                    " and s.id in (select g.id from %s g where g.seq > $1 "
                    "and g.seq <= $2)", table);

    mg_buf_init(&fill, 0);
    mg_buf_z(&fill, "insert into pg_temp.sync_merged "
             "select t.id is null, m.* from (");
    mg_merge_select(&fill, where);
    mg_buf_printf(&fill, ") m left join model.models_metadata t "
                  "on t.id = m.id and t.org_id = m.org_id "
                  "where case when t.id is null then %s "
                  "else t.deleted_at is null and (",
                  creates ? "exists (select from model.providers p "
                            "where p.id = m.provider_id "
                            "and p.org_id = m.org_id "
                            "and p.deleted_at is null)" : "false");
    mg_columns_names(&fill, mg_model_columns, "t.", MG_COLUMNS_MERGED);
    mg_buf_z(&fill, ", t.provenance, t.sources) is distinct from (");
    mg_columns_names(&fill, mg_model_columns, "m.", MG_COLUMNS_MERGED);
    mg_buf_z(&fill, ", m.provenance, m.sources) end");
    mg_buf_char(&fill, '\0');

    rc = fill.failed ? mg_store_memory(e) : MG_OK;

    for (seq = 0; rc == MG_OK && seq < last; seq += MG_SYNC_STEP) {
        rc = mg_sync_step(s, fill.data, 0, seq, &n, e);

        if (rc == MG_OK && n > 0) {
            rc = mg_sync_merge_write(s, m, e);
        }
    }

    mg_buf_free(&fill);

    return rc;
}


static int
mg_sync_merge_write(mg_store_sync_t *s, mg_sync_merged_t *m, mg_error_t *e)
{
    int64_t   added;
    mg_buf_t  b;

    if (mg_sync_merge_count(s, m, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_merge_assign(&b);
    mg_buf_z(&b, ", refreshed_at = now() "
             "from pg_temp.sync_merged m where not m.fresh "
             "and t.id = m.id and t.org_id = m.org_id");

    if (mg_sync_run(s, &b, MG_SYNC_PLAIN, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.models_metadata (id, org_id, source, "
             "refreshed_at, provenance, sources, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_TABLE);
    mg_buf_z(&b, ") select m.id, m.org_id, $1, now(), m.provenance, "
             "m.sources, ");
    mg_columns_names(&b, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(&b, " from pg_temp.sync_merged m where m.fresh order by m.id");

    if (mg_sync_run(s, &b, MG_SYNC_WITH_SOURCE, &added, e) != MG_OK) {
        return MG_ERROR;
    }

    m->added += added;

    return mg_pg_exec(s->c, "truncate pg_temp.sync_merged", NULL, NULL, e);
}


/* A row of which only the provenance differs has not changed. */

static int
mg_sync_merge_count(mg_store_sync_t *s, mg_sync_merged_t *m, mg_error_t *e)
{
    int                 i;
    mg_buf_t            b;
    mg_pg_rows_t       *r;
    const mg_column_t  *col;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "select count(*) filter (where t.active "
             "and not m.active), count(*) filter (where (t.active "
             "and not m.active) is not true and (");
    mg_columns_names(&b, mg_model_columns, "t.", MG_COLUMNS_MERGED);
    mg_buf_z(&b, ") is distinct from (");
    mg_columns_names(&b, mg_model_columns, "m.", MG_COLUMNS_MERGED);
    mg_buf_z(&b, ")), ");
    mg_columns_each(&b, mg_model_columns, ", ",
                    "count(*) filter (where t.% is distinct from m.%)", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, " from pg_temp.sync_merged m join model.models_metadata t "
             "on t.id = m.id and t.org_id = m.org_id where not m.fresh");

    if (mg_store_exec(s->c, &b, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    m->removed += mg_pg_rows_int(r, 0, 0);
    m->changed += mg_pg_rows_int(r, 0, 1);

    for (i = 0, col = mg_model_columns; col->name; col++) {
        if (col->sets & MG_COLUMNS_MERGED) {
            m->fields[i] += mg_pg_rows_int(r, 0, i + 2);
            i++;
        }
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


/* -- for the history -- */

/* Entries of the list that the catalog has. */

static int
mg_sync_known(mg_store_sync_t *s, int64_t *n, mg_error_t *e)
{
    mg_pg_rows_t  *r;

    *n = s->models.staged;

    if (s->scope.creates) {
        return MG_OK;
    }

    if (mg_pg_exec_dynamic(s->c, "select count(*) from pg_temp.sync_model s "
                           "join model.models_metadata m on m.id = s.id "
                           "and m.org_id = " MG_SYNC_ORG, NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *n = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    return MG_OK;
}


static int
mg_sync_fields(mg_store_sync_t *s, const mg_sync_merged_t *m,
    int64_t results, mg_str_t *json)
{
    unsigned            i;
    mg_jw_t             w;
    mg_buf_t            b;
    const mg_column_t  *col;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);

    for (i = 0, col = mg_model_columns; col->name; col++) {
        if (!(col->sets & MG_COLUMNS_MERGED)) {
            continue;
        }

        if (m->fields[i]) {
            mg_jw_int(&w, col->name, m->fields[i]);
        }

        i++;
    }

    if (results) {
        mg_jw_int(&w, "benchmarks", results);
    }

    mg_jw_end_object(&w);

    *json = b.failed ? mg_str_null : mg_arena_dup(s->arena, mg_buf_view(&b));
    mg_buf_free(&b);

    return json->data ? MG_OK : MG_ERROR;
}


/* -- statements -- */

int
mg_sync_steps(mg_store_sync_t *s, mg_buf_t *sql, int64_t last, mg_error_t *e)
{
    int      rc;
    int64_t  seq;

    mg_buf_char(sql, '\0');
    rc = sql->failed ? mg_store_memory(e) : MG_OK;

    for (seq = 0; rc == MG_OK && seq < last; seq += MG_SYNC_STEP) {
        rc = mg_sync_step(s, sql->data, 1, seq, NULL, e);
    }

    mg_buf_free(sql);

    return rc;
}


int
mg_sync_step(mg_store_sync_t *s, const char *sql, int with_source,
    int64_t seq, int64_t *n, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, s->arena);

    if (with_source) {
        mg_pg_param_str(&p, s->scope.source);
    }

    mg_pg_param_int(&p, seq);
    mg_pg_param_int(&p, seq + MG_SYNC_STEP);

    if (mg_pg_exec_dynamic(s->c, sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n) {
        *n = (int64_t) mg_pg_rows_affected(r);
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_sync_run(mg_store_sync_t *s, mg_buf_t *sql, unsigned with, int64_t *n,
    mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, s->arena);

    if (with & MG_SYNC_WITH_SOURCE) {
        mg_pg_param_str(&p, s->scope.source);
    }

    if (with & MG_SYNC_WITH_PROVIDER) {
        mg_pg_param_str(&p, mg_sync_optional(s->scope.provider));
    }

    return mg_store_write(s->c, sql, &p, n, e);
}
