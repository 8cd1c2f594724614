/*
 * mg_store_merge.c: what all sources say of a model, in one row.
 *
 *     model_sources   a row a source ---+
 *                     ordered by rank   +--> models_metadata, a row a model
 *
 * Of each column the first value that is not null counts, in the order of
 * ranks; so when a source stops stating something the next one shows
 * through.  What was set by hand is a source like any other, of rank 0, that
 * can also say "unknown".  A type that was guessed from a name counts only
 * where nobody states one, and of guesses "chat" last: it is what is left
 * when no pattern fits.  Members of "details" are united, unless they were set
 * by hand.
 *
 * The statements are generated from the table of columns; a sync runs them
 * over thousands of models, a call by hand over one.
 *
 * Pool threads; blocks.  All within the caller's transaction.
 */

#include "store/mg_store_sync.h"


/* What is the same within one model, of its group of rows x. */
#define MG_MERGE_MODEL_ID  "substr(x.id, length(min(x.provider_id)) + 2)"


/* How a column is merged that is not just the first that is known. */
typedef struct {
    const char  *name;          /* NULL: the rule for all others */
    const char  *aggregate;     /* model.AGGREGATE(column) ... */
    const char  *better;        /* ... of rows such that, if there are any */
    const char  *inferred;      /* these rows have a guess */
    const char  *likely;        /* of guesses rather these values of x */
    const char  *otherwise;     /* for a column that is never null */
} mg_merge_rule_t;


static void mg_merge_column(mg_buf_t *b, const mg_column_t *col);
static const mg_merge_rule_t *mg_merge_rule(const mg_column_t *col);
static void mg_merge_provenance(mg_buf_t *b);
static void mg_merge_most(mg_buf_t *b);
static void mg_merge_params(mg_pg_params_t *p, mg_arena_t *a, mg_str_t org_id,
    mg_str_t id);


static const mg_merge_rule_t  mg_merge_rules[] = {
    { "name", "first_known", "not x.name_inferred", "x.name_inferred",
      NULL, MG_MERGE_MODEL_ID },
    { "model_type", "first_known", "not x.type_inferred", "x.type_inferred",
      "x.model_type <> 'chat'", "'other'" },
    { "active", "first_known", NULL, NULL, NULL, "true" },
    { "details", "united", "x.rank = 0", NULL, NULL, NULL },
    { NULL, "first_known", NULL, NULL, NULL, NULL }
};


void
mg_merge_select(mg_buf_t *b, const char *where)
{
    const mg_column_t  *col;

    mg_buf_z(b, "select x.id, x.org_id, min(x.provider_id) as provider_id, "
             MG_MERGE_MODEL_ID " as provider_model_id");

    for (col = mg_model_columns; col->name; col++) {
        if (col->sets & MG_COLUMNS_MERGED) {
            mg_merge_column(b, col);
        }
    }

    mg_merge_provenance(b);

    mg_buf_printf(b, ", jsonb_object_agg(x.source, jsonb_build_object('id', "
                  "coalesce(x.source_model_id, substr(x.id, "
                  "length(x.provider_id) + 2)), 'fetched_at', "
                  "to_char(x.fetched_at at time zone 'UTC', "
                  "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))) as sources "
                  "from (select s.* from model.model_sources s where %s "
                  "order by s.id, s.org_id, s.rank, s.source) x "
                  "group by x.id, x.org_id", where);
}


static void
mg_merge_column(mg_buf_t *b, const mg_column_t *col)
{
    const char             *name;
    const mg_merge_rule_t  *rule;

    name = col->name;
    rule = mg_merge_rule(col);

    mg_buf_printf(b, ", case when '%s' = any (model.first_known(x.nulls)) "
                  "then null else coalesce(", name);

    if (rule->better) {
        mg_buf_printf(b, "model.first_known(x.%s) filter (where %s), ", name,
                      rule->better);
    }

    if (rule->likely) {
        mg_buf_printf(b, "model.first_known(x.%s) filter (where %s), ", name,
                      rule->likely);
    }

    mg_buf_printf(b, "model.%s(x.%s)", rule->aggregate, name);

    if (rule->otherwise) {
        mg_buf_printf(b, ", %s", rule->otherwise);
    }

    mg_buf_printf(b, ") end as %s", name);
}


static const mg_merge_rule_t *
mg_merge_rule(const mg_column_t *col)
{
    const mg_merge_rule_t  *rule;

    for (rule = mg_merge_rules; rule->name; rule++) {
        if (strcmp(rule->name, col->name) == 0) {
            break;
        }
    }

    return rule;
}


/*
 * "*": the source that states most; by name only the columns of others.  Most
 * models have one source, and then this is all.
 */

static void
mg_merge_provenance(mg_buf_t *b)
{
    const char             *sep;
    const mg_column_t      *col;
    const mg_merge_rule_t  *rule;

    mg_buf_z(b, ", case when count(*) = 1 then jsonb_build_object('*', "
             "min(x.source)) || jsonb_strip_nulls(jsonb_build_object(");
    sep = "";

    for (rule = mg_merge_rules; rule->name; rule++) {
        if (rule->inferred) {
            mg_buf_printf(b, "%s'%s', case when bool_or(%s "
                          "and x.%s is not null) then 'inferred' end", sep,
                          rule->name, rule->inferred, rule->name);
            sep = ", ";
        }
    }

    mg_buf_z(b, ")) else jsonb_strip_nulls(jsonb_build_object('*', ");
    mg_merge_most(b);

    for (col = mg_model_columns; col->name; col++) {
        if (!(col->sets & MG_COLUMNS_MERGED)) {
            continue;
        }

        rule = mg_merge_rule(col);

        mg_buf_printf(b, ", '%s', nullif(coalesce(model.first_known(x.source)"
                      " filter (where (x.%s is not null and %s) "
                      "or '%s' = any (x.nulls)), case when count(x.%s) > 0 "
                      "then 'inferred' end), ", col->name, col->name,
                      rule->inferred ? rule->better : "true", col->name,
                      col->name);
        mg_merge_most(b);
        mg_buf_char(b, ')');
    }

    mg_buf_z(b, ")) end as provenance");
}


static void
mg_merge_most(mg_buf_t *b)
{
    mg_buf_z(b, "(array_agg(x.source order by num_nonnulls(");
    mg_columns_names(b, mg_model_columns, "x.", MG_COLUMNS_MERGED);
    mg_buf_z(b, ") desc, x.rank, x.source))[1]");
}


void
mg_merge_assign(mg_buf_t *b)
{
    mg_buf_z(b, "update model.models_metadata t set ");
    mg_columns_each(b, mg_model_columns, ", ", "% = m.%", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(b, ", provenance = m.provenance, sources = m.sources, "
             "updated_at = now()");
}


/* -- one model -- */

int
mg_merge_adopt(mg_pg_t *c, mg_str_t org_id, mg_str_t provider, mg_str_t id,
    mg_arena_t *a, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    mg_merge_params(&p, a, org_id, id);
    mg_pg_param_str(&p, provider);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.model_sources (id, org_id, source, "
             "provider_id, fetched_at, gone_at, rank, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_MERGED);
    mg_buf_printf(&b, ") select m.id, m.org_id, m.source, m.provider_id, "
                  "m.updated_at, case when not m.active then m.updated_at "
                  "end, case m.source when 'manual' then %d "
                  "when 'models.dev' then %d else %d end, ",
                  MG_RANK_MANUAL, MG_RANK_MODELS_DEV, MG_RANK_PROVIDER);
    mg_columns_names(&b, mg_model_columns, "m.", MG_COLUMNS_MERGED);
    mg_buf_z(&b, " from model.models_metadata m where m.org_id = $2 "
             "and ($1::text is null or m.id = $1) "
             "and ($3::text is null or m.provider_id = $3) and not exists "
             "(select from model.model_sources s where s.id = m.id "
             "and s.org_id = m.org_id)");

    return mg_store_write(c, &b, &p, NULL, e);
}


int
mg_merge_state(mg_pg_t *c, mg_str_t org_id, const mg_model_t *m,
    mg_arena_t *a, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    mg_merge_params(&p, a, org_id, m->id);
    mg_columns_param(&p, mg_model_columns, m, MG_COLUMNS_SOURCE);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.model_sources (id, org_id, source, rank, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_SOURCE);
    mg_buf_z(&b, ") values ($1, $2, 'manual', 0, ");
    mg_columns_each(&b, mg_model_columns, ", ", "$", 3, MG_COLUMNS_SOURCE);
    mg_buf_z(&b, ") on conflict (id, org_id, source) do update set ");
    mg_columns_each(&b, mg_model_columns, ", ", "% = excluded.%", 0,
                    MG_COLUMNS_SOURCE);
    mg_buf_z(&b, ", nulls = null, fetched_at = now()");

    return mg_store_write(c, &b, &p, NULL, e);
}


int
mg_merge_patch(mg_pg_t *c, mg_str_t org_id, const mg_model_t *m,
    mg_arena_t *a, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    mg_merge_params(&p, a, org_id, m->id);
    mg_columns_param(&p, mg_model_columns, m, MG_COLUMNS_MERGED);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "with v as (select $1::text as id, $2::uuid as org_id, ");
    mg_columns_each(&b, mg_model_columns, ", ", "$::# as %", 3,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, ") insert into model.model_sources as t "
             "(id, org_id, source, rank, provider_id, nulls, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_MERGED);
    mg_buf_z(&b, ") select d.id, d.org_id, 'manual', 0, d.provider_id, "
             "array_remove(array[");
    mg_columns_each(&b, mg_model_columns, ", ", "case when v.% is null "
                    "and d.% is not null then '%' end", 0, MG_COLUMNS_MERGED);
    mg_buf_z(&b, "], null), ");
    mg_columns_each(&b, mg_model_columns, ", ",
                    "case when v.% is distinct from d.% then v.% end", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, " from v join model.models_metadata d on d.id = v.id "
             "and d.org_id = v.org_id and d.deleted_at is null where (");
    mg_columns_names(&b, mg_model_columns, "v.", MG_COLUMNS_MERGED);
    mg_buf_z(&b, ") is distinct from (");
    mg_columns_names(&b, mg_model_columns, "d.", MG_COLUMNS_MERGED);
    mg_buf_z(&b, ") on conflict (id, org_id, source) do update set ");
    mg_columns_each(&b, mg_model_columns, ", ",
                    "% = case when '%' = any (excluded.nulls) then null "
                    "else coalesce(excluded.%, t.%) end", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, ", fetched_at = now(), nulls = array("
             "select distinct f from unnest(t.nulls || excluded.nulls) f "
             "where f <> all (array_remove(array[");
    mg_columns_each(&b, mg_model_columns, ", ",
                    "case when excluded.% is not null then '%' end", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, "], null)))");

    return mg_store_write(c, &b, &p, NULL, e);
}


int
mg_merge_insert(mg_pg_t *c, mg_str_t org_id, mg_str_t id, const char *source,
    mg_arena_t *a, int64_t *n, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    mg_merge_params(&p, a, org_id, id);
    mg_pg_param_z(&p, source);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "insert into model.models_metadata as t (id, org_id, "
             "source, provenance, sources, ");
    mg_columns_names(&b, mg_model_columns, "", MG_COLUMNS_TABLE);
    mg_buf_z(&b, ") select m.id, m.org_id, $3, m.provenance, m.sources, ");
    mg_columns_names(&b, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(&b, " from (");
    mg_merge_select(&b, "s.id = $1 and s.org_id = $2");
    mg_buf_z(&b, ") m on conflict (id, org_id) do update set ");
    mg_columns_each(&b, mg_model_columns, ", ", "% = excluded.%", 0,
                    MG_COLUMNS_TABLE);
    mg_buf_z(&b, ", source = excluded.source, "
             "provenance = excluded.provenance, sources = excluded.sources, "
             "manual_fields = '{}', health_status = 'unknown', "
             "deleted_at = null, updated_at = now() "
             "where t.deleted_at is not null");

    return mg_store_write(c, &b, &p, n, e);
}


int
mg_merge_update(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    int64_t *n, mg_error_t *e)
{
    mg_buf_t        b;
    mg_pg_params_t  p;

    mg_merge_params(&p, a, org_id, id);

    mg_buf_init(&b, 0);
    mg_merge_assign(&b);
    mg_buf_z(&b, ", manual_fields = case "
             "when t.source = 'manual' then t.manual_fields else "
             "coalesce((select array_agg(f order by f) "
             "from model.model_sources s, unnest(s.nulls || array[");
    mg_columns_each(&b, mg_model_columns, ", ",
                    "case when s.% is not null then '%' end", 0,
                    MG_COLUMNS_MERGED);
    mg_buf_z(&b, "]) f where s.id = t.id and s.org_id = t.org_id "
             "and s.source = 'manual' and f is not null), '{}') end from (");
    mg_merge_select(&b, "s.id = $1 and s.org_id = $2");
    mg_buf_z(&b, ") m where t.id = m.id and t.org_id = m.org_id "
             "and t.deleted_at is null");

    return mg_store_write(c, &b, &p, n, e);
}


static void
mg_merge_params(mg_pg_params_t *p, mg_arena_t *a, mg_str_t org_id,
    mg_str_t id)
{
    mg_pg_params_init(p, a);
    mg_pg_param_str(p, id);
    mg_pg_param_str(p, mg_store_org(org_id));
}
