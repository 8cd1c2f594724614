/*
 * mg_store_column.c: the tables of columns, and what is generated from them.
 *
 * Statements are built in a mg_buf_t from names that stand here as literals;
 * values always travel as parameters or as COPY data.  Rows are read into
 * structs by the same tables, in the order in which they were selected.
 *
 * Pool threads; what takes a connection blocks.
 */

#include "store/mg_store_column.h"

#include <stddef.h>

#include "base/mg_jw.h"


static mg_str_t mg_column_type_name(const char *p);
static int mg_column_known(const mg_column_t *col, const void *row);
static int mg_store_begin_by(mg_pg_t *c, const char *lock, mg_error_t *e);


#define MG_STORE_LOCK   "select model.lock_generation()"

#define MG_MODEL_IDENTITY                                                     \
    (MG_COLUMNS_TABLE|MG_COLUMNS_STAGE)

#define MG_MODEL_STATED                                                       \
    (MG_COLUMNS_TABLE|MG_COLUMNS_STAGE|MG_COLUMNS_SOURCE|MG_COLUMNS_MERGED)

/* said beside a model, kept with what its source says */
#define MG_MODEL_ASIDE                                                        \
    (MG_COLUMNS_STAGE|MG_COLUMNS_SOURCE)

#define MG_MODEL_AT(member)   offsetof(mg_model_t, member)

#define MG_MODEL_SAME(name, kind)                                             \
    { #name, #name, MG_COLUMN_##kind, MG_MODEL_AT(name), MG_MODEL_STATED }

#define MG_MODEL_CAP(name, cap)                                               \
    { "supports_" name, "capabilities." name, MG_COLUMN_CAP,                  \
      MG_MODEL_AT(caps) + MG_CAP_##cap * sizeof(int8_t), MG_MODEL_STATED }

#define MG_MODEL_LIMIT(name, member, at)                                      \
    { name, "limits." member, MG_COLUMN_INT, MG_MODEL_AT(at),                 \
      MG_MODEL_STATED }

#define MG_MODEL_PRICE(name, index)                                           \
    { "price_" name, "pricing." name, MG_COLUMN_INT,                          \
      MG_MODEL_AT(price) + MG_PRICE_##index * sizeof(int64_t),                \
      MG_MODEL_STATED }

#define MG_MODEL_JSON(name, member, at)                                       \
    { name, member, MG_COLUMN_JSON, MG_MODEL_AT(at), MG_MODEL_STATED }

const mg_column_t  mg_model_columns[] = {

    { "provider_id", NULL, MG_COLUMN_STR, MG_MODEL_AT(provider_id),
      MG_MODEL_IDENTITY|MG_COLUMNS_SOURCE },

    { "provider_model_id", NULL, MG_COLUMN_STR,
      MG_MODEL_AT(provider_model_id), MG_MODEL_IDENTITY },

    MG_MODEL_SAME(name, STR),
    MG_MODEL_SAME(description, STR),
    MG_MODEL_SAME(family, STR),
    MG_MODEL_SAME(version, STR),
    MG_MODEL_SAME(status, STR),

    { "model_type", "type", MG_COLUMN_TYPE, MG_MODEL_AT(type),
      MG_MODEL_STATED },

    MG_MODEL_CAP("vision", VISION),
    MG_MODEL_CAP("function_calling", FUNCTION_CALLING),
    MG_MODEL_CAP("streaming", STREAMING),
    MG_MODEL_CAP("json_mode", JSON_MODE),
    MG_MODEL_CAP("image_generation", IMAGE_GENERATION),
    MG_MODEL_CAP("audio", AUDIO),
    MG_MODEL_CAP("code_generation", CODE_GENERATION),
    MG_MODEL_CAP("reasoning", REASONING),
    MG_MODEL_SAME(attachment, TRI),
    MG_MODEL_SAME(temperature, TRI),
    MG_MODEL_SAME(open_weights, TRI),
    MG_MODEL_SAME(active, TRI),
    MG_MODEL_LIMIT("context_length", "context", context),
    MG_MODEL_LIMIT("input_limit", "input", input_limit),
    MG_MODEL_LIMIT("output_limit", "output", output_limit),
    MG_MODEL_PRICE("input", INPUT),
    MG_MODEL_PRICE("output", OUTPUT),
    MG_MODEL_PRICE("cache_read", CACHE_READ),
    MG_MODEL_PRICE("cache_write", CACHE_WRITE),
    MG_MODEL_PRICE("reasoning", REASONING),
    MG_MODEL_PRICE("input_audio", INPUT_AUDIO),
    MG_MODEL_PRICE("output_audio", OUTPUT_AUDIO),
    MG_MODEL_JSON("price_tiers", "price_tiers", price_tiers),
    MG_MODEL_SAME(benchmark_score, INT),
    MG_MODEL_SAME(popularity_score, INT),
    MG_MODEL_SAME(reliability_score, INT),
    MG_MODEL_SAME(release_date, STR),
    MG_MODEL_SAME(last_updated, STR),
    MG_MODEL_SAME(knowledge, STR),
    MG_MODEL_SAME(deprecation_date, STR),
    MG_MODEL_JSON("modalities_input", "modalities.input", modalities_in),
    MG_MODEL_JSON("modalities_output", "modalities.output", modalities_out),
    MG_MODEL_JSON("tags", "tags", tags),
    MG_MODEL_JSON("details", "details", extra),

    { "source_model_id", NULL, MG_COLUMN_STR, MG_MODEL_AT(source_model_id),
      MG_MODEL_ASIDE },

    { "name_inferred", NULL, MG_COLUMN_TRI, MG_MODEL_AT(name_inferred),
      MG_MODEL_ASIDE },

    { "type_inferred", NULL, MG_COLUMN_TRI, MG_MODEL_AT(type_inferred),
      MG_MODEL_ASIDE },

    { NULL, NULL, MG_COLUMN_STR, 0, 0 }
};


#define MG_PROVIDER_COLUMN(name, kind, sets)                                  \
    { #name, #name, MG_COLUMN_##kind, offsetof(mg_provider_t, name), sets }

#define MG_PROVIDER_STATED   (MG_COLUMNS_TABLE|MG_COLUMNS_STAGE)

const mg_column_t  mg_provider_columns[] = {
    MG_PROVIDER_COLUMN(name, STR, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(protocol, STR, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(base_url, STR, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(doc, STR, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(npm, STR, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(env, JSON, MG_PROVIDER_STATED),

    { "details", "details", MG_COLUMN_JSON, offsetof(mg_provider_t, extra),
      MG_PROVIDER_STATED },

    MG_PROVIDER_COLUMN(active, TRI, MG_PROVIDER_STATED),
    MG_PROVIDER_COLUMN(headers, JSON, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(paths, JSON, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(probe, STR, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(stream_usage, TRI, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(connect_timeout_ms, INT, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(read_timeout_ms, INT, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(rate_limit, INT, MG_COLUMNS_TABLE),
    MG_PROVIDER_COLUMN(max_concurrency, INT, MG_COLUMNS_TABLE),
    { NULL, NULL, MG_COLUMN_STR, 0, 0 }
};


static const char * const  mg_column_types[] = {
    "text", "jsonb", "boolean", "boolean", "bigint", "text"
};


const char *
mg_column_type(const mg_column_t *col)
{
    return mg_column_types[col->kind];
}


void
mg_columns_names(mg_buf_t *b, const mg_column_t *cols, const char *prefix,
    unsigned set)
{
    const char         *sep;
    const mg_column_t  *col;

    sep = "";

    for (col = cols; col->name; col++) {
        if (!(col->sets & set)) {
            continue;
        }

        mg_buf_z(b, sep);
        mg_buf_z(b, prefix);
        mg_buf_z(b, col->name);
        sep = ", ";
    }
}


void
mg_columns_each(mg_buf_t *b, const mg_column_t *cols, const char *sep,
    const char *format, unsigned first, unsigned set)
{
    unsigned            n;
    const char         *p;
    const mg_column_t  *col;

    n = 0;

    for (col = cols; col->name; col++) {
        if (!(col->sets & set)) {
            continue;
        }

        if (n > 0) {
            mg_buf_z(b, sep);
        }

        for (p = format; *p; p++) {
            switch (*p) {

            case '%':
                mg_buf_z(b, col->name);
                break;

            case '#':
                mg_buf_z(b, mg_column_type(col));
                break;

            case '$':
                mg_buf_printf(b, "$%u", first + n);
                break;

            default:
                mg_buf_char(b, *p);
            }
        }

        n++;
    }
}


/* A type that is none is not stated. */

static mg_str_t
mg_column_type_name(const char *p)
{
    mg_model_type_e  type;

    type = *(const mg_model_type_e *) p;

    return type == MG_TYPE_OTHER ? mg_str_null : mg_model_type_names[type];
}


void
mg_columns_copy(mg_buf_t *b, const mg_column_t *cols, const void *row)
{
    const char         *p;
    const mg_column_t  *col;

    for (col = cols; col->name; col++) {
        if (!(col->sets & MG_COLUMNS_STAGE)) {
            continue;
        }

        p = (const char *) row + col->offset;

        switch (col->kind) {

        case MG_COLUMN_STR:
        case MG_COLUMN_JSON:
            mg_pg_copy_str(b, 0, *(const mg_str_t *) p);
            break;

        case MG_COLUMN_TRI:
        case MG_COLUMN_CAP:
            mg_pg_copy_tri(b, 0, *(const int8_t *) p);
            break;

        case MG_COLUMN_INT:
            mg_pg_copy_int(b, 0, *(const int64_t *) p);
            break;

        case MG_COLUMN_TYPE:
            mg_pg_copy_str(b, 0, mg_column_type_name(p));
            break;
        }
    }
}


void
mg_columns_param(mg_pg_params_t *params, const mg_column_t *cols,
    const void *row, unsigned set)
{
    const char         *p;
    const mg_column_t  *col;

    for (col = cols; col->name; col++) {
        if (!(col->sets & set)) {
            continue;
        }

        p = (const char *) row + col->offset;

        switch (col->kind) {

        case MG_COLUMN_STR:
        case MG_COLUMN_JSON:
            mg_pg_param_str(params, *(const mg_str_t *) p);
            break;

        case MG_COLUMN_TRI:
        case MG_COLUMN_CAP:
            mg_pg_param_bool(params, *(const int8_t *) p);
            break;

        case MG_COLUMN_INT:
            mg_pg_param_int(params, *(const int64_t *) p);
            break;

        case MG_COLUMN_TYPE:
            mg_pg_param_str(params, set == MG_COLUMNS_SOURCE
                ? mg_column_type_name(p)
                : mg_model_type_names[*(const mg_model_type_e *) p]);
            break;
        }
    }
}


int
mg_columns_read(const mg_pg_rows_t *r, int row, int col,
    const mg_column_t *cols, mg_arena_t *a, void *out)
{
    int                 type;
    char               *p;
    const mg_column_t  *c;

    for (c = cols; c->name; c++) {
        if (!(c->sets & MG_COLUMNS_TABLE)) {
            continue;
        }

        p = (char *) out + c->offset;

        switch (c->kind) {

        case MG_COLUMN_STR:
        case MG_COLUMN_JSON:
            if (mg_column_str(r, row, col, a, (mg_str_t *) p) != MG_OK) {
                return MG_ERROR;
            }

            break;

        case MG_COLUMN_TRI:
        case MG_COLUMN_CAP:
            *(int8_t *) p = (int8_t) mg_pg_rows_tri(r, row, col);
            break;

        case MG_COLUMN_INT:
            *(int64_t *) p = mg_pg_rows_int(r, row, col);
            break;

        case MG_COLUMN_TYPE:
            type = mg_model_type_find(mg_pg_rows_str(r, row, col));
            *(mg_model_type_e *) p = type < 0 ? MG_TYPE_OTHER
                                              : (mg_model_type_e) type;
            break;
        }

        col++;
    }

    return col;
}


int
mg_column_str(const mg_pg_rows_t *r, int row, int col, mg_arena_t *a,
    mg_str_t *s)
{
    *s = mg_pg_rows_str(r, row, col);

    if (a == NULL || s->data == NULL) {
        return MG_OK;
    }

    *s = mg_arena_dup(a, *s);

    return s->data ? MG_OK : MG_ERROR;
}


/* -- whole rows -- */

static const mg_str_t  mg_health_names[] = {
    mg_str("unknown"), mg_str("available"), mg_str("unavailable")
};


void
mg_model_select(mg_buf_t *b)
{
    mg_buf_z(b, "m.id, ");
    mg_columns_names(b, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(b, ", m.health_status, m.source, m.sources, m.provenance, "
             "m.created_at, m.updated_at, m.refreshed_at");
}


int
mg_model_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, mg_model_t *m)
{
    int       col;
    size_t    i;
    mg_str_t  health;

    mg_model_init(m);

    if (mg_column_str(r, row, 0, a, &m->id) != MG_OK) {
        return MG_ERROR;
    }

    col = mg_columns_read(r, row, 1, mg_model_columns, a, m);

    if (col == MG_ERROR
        || mg_column_str(r, row, col + 1, a, &m->source) != MG_OK
        || mg_column_str(r, row, col + 2, a, &m->sources) != MG_OK
        || mg_column_str(r, row, col + 3, a, &m->provenance) != MG_OK
        || (a && mg_model_provenance(m, a) != MG_OK))
    {
        return MG_ERROR;
    }

    health = mg_pg_rows_str(r, row, col);

    for (i = 0; i < sizeof(mg_health_names) / sizeof(mg_str_t); i++) {
        if (mg_str_eq(mg_health_names[i], health)) {
            m->health = mg_health_names[i];
        }
    }

    m->created_at = mg_pg_rows_time(r, row, col + 4);
    m->updated_at = mg_pg_rows_time(r, row, col + 5);
    m->refreshed_at = mg_pg_rows_time(r, row, col + 6);

    return MG_OK;
}


int
mg_model_provenance(mg_model_t *m, mg_arena_t *a)
{
    mg_jw_t             w;
    mg_buf_t            b;
    mg_str_t            who;
    mg_json_t          *named;
    const mg_column_t  *col;

    /* what somebody else has written there may be too much */

    named = mg_json_parse(a, m->provenance, NULL, NULL);
    if (named == NULL) {
        m->provenance = mg_str("{}");
        return MG_OK;
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);

    for (col = mg_model_columns; col->name; col++) {
        if (col->member == NULL) {
            continue;
        }

        who = mg_json_str(named, col->name);

        if (who.data == NULL && mg_column_known(col, m)) {
            who = mg_json_str(named, "*");
        }

        if (who.data) {
            mg_jw_str(&w, col->member, who);
        }
    }

    mg_jw_end_object(&w);

    m->provenance = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return m->provenance.data ? MG_OK : MG_ERROR;
}


static int
mg_column_known(const mg_column_t *col, const void *row)
{
    const char  *p;

    p = (const char *) row + col->offset;

    switch (col->kind) {

    case MG_COLUMN_STR:
    case MG_COLUMN_JSON:
        return ((const mg_str_t *) p)->data != NULL;

    case MG_COLUMN_TRI:
    case MG_COLUMN_CAP:
        return *(const int8_t *) p != -1;

    case MG_COLUMN_INT:
        return *(const int64_t *) p != MG_UNKNOWN;

    default:
        return *(const mg_model_type_e *) p != MG_TYPE_OTHER;
    }
}


int
mg_model_rows(mg_pg_rows_t *r, mg_arena_t *a, mg_model_t **models,
    unsigned *n, mg_error_t *e)
{
    int  i, count;

    count = mg_pg_rows_count(r);
    *models = mg_arena_alloc(a, (size_t) (count + 1) * sizeof(mg_model_t));

    for (i = 0; *models && i < count; i++) {
        if (mg_model_row(r, i, a, &(*models)[i]) != MG_OK) {
            break;
        }
    }

    mg_pg_rows_free(r);
    *n = (unsigned) i;

    return (*models && i == count) ? MG_OK : mg_store_memory(e);
}


void
mg_provider_select(mg_buf_t *b, int with_key)
{
    mg_buf_z(b, "select p.id, p.org_id, ");
    mg_columns_names(b, mg_provider_columns, "p.", MG_COLUMNS_TABLE);
    mg_buf_z(b, ", p.source, ");
    mg_buf_z(b, with_key ? "c.key_sealed" : "null");
    mg_buf_z(b, ", c.key_hint, n.total, n.available, n.unavailable, "
             "n.unknown, p.last_synced_at, p.last_validated_at "
             "from model.providers p "
             "left join model.provider_credentials c "
             "on c.provider_id = p.id and c.org_id = p.org_id "
             "and c.name = 'default' "
             "left join lateral (select count(*) as total, "
             "count(*) filter (where health_status = 'available') "
             "as available, "
             "count(*) filter (where health_status = 'unavailable') "
             "as unavailable, "
             "count(*) filter (where health_status = 'unknown') as unknown "
             "from model.models_metadata m "
             "where m.provider_id = p.id and m.org_id = p.org_id "
             "and m.active and m.deleted_at is null) n on true ");
}


int
mg_provider_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_provider_t *p)
{
    int  col;

    mg_provider_init(p);

    col = mg_columns_read(r, row, 2, mg_provider_columns, a, p);

    if (col == MG_ERROR
        || mg_column_str(r, row, 0, a, &p->id) != MG_OK
        || mg_column_str(r, row, 1, a, &p->org_id) != MG_OK
        || mg_column_str(r, row, col, a, &p->source) != MG_OK
        || mg_column_str(r, row, col + 2, a, &p->key_hint) != MG_OK)
    {
        return MG_ERROR;
    }

    if (a && mg_pg_rows_str(r, row, col + 1).data) {
        p->key_sealed = mg_pg_rows_bytes(r, row, col + 1, a);

        if (p->key_sealed.data == NULL) {
            return MG_ERROR;
        }
    }

    p->total = mg_pg_rows_int(r, row, col + 3);
    p->available = mg_pg_rows_int(r, row, col + 4);
    p->unavailable = mg_pg_rows_int(r, row, col + 5);
    p->unknown = mg_pg_rows_int(r, row, col + 6);
    p->last_synced_at = mg_pg_rows_time(r, row, col + 7);
    p->last_validated_at = mg_pg_rows_time(r, row, col + 8);

    return MG_OK;
}


/* -- what all files of the room need -- */

mg_str_t
mg_store_org(mg_str_t org_id)
{
    return org_id.len ? org_id : mg_str(MG_ORG_DEFAULT);
}


int
mg_store_memory(mg_error_t *e)
{
    return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
}


void
mg_store_page(mg_pg_params_t *p, const mg_paging_t *paging)
{
    mg_pg_param_int(p, paging->limit);
    mg_pg_param_int(p, ((int64_t) paging->page - 1) * paging->limit);
}


int
mg_store_exec(mg_pg_t *c, mg_buf_t *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e)
{
    int  rc;

    mg_buf_char(sql, '\0');

    rc = sql->failed ? mg_store_memory(e)
                     : mg_pg_exec_dynamic(c, sql->data, p, rows, e);

    mg_buf_free(sql);

    return rc;
}


int
mg_store_write(mg_pg_t *c, mg_buf_t *sql, const mg_pg_params_t *p,
    int64_t *n, mg_error_t *e)
{
    mg_pg_rows_t  *r;

    if (mg_store_exec(c, sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n) {
        *n = (int64_t) mg_pg_rows_affected(r);
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_lock(mg_pg_t *c, mg_error_t *e)
{
    return mg_pg_exec(c, MG_STORE_LOCK, NULL, NULL, e);
}


/*
 * A table that has just been filled has no statistics, and a nested loop over
 * all models is the one plan that must not be taken.  A plan that has one all
 * the same (there is a single row) looks so dear then that it would be
 * compiled, which takes longer than it runs.  Over few, a plan that was made
 * while a table was small, and reads all of it, must not be the one that is
 * kept.
 */

int
mg_store_bulk(mg_pg_t *c, int on, mg_error_t *e)
{
    return mg_pg_exec(c, on ? "select set_config('enable_nestloop', 'off', "
                              "true), set_config('enable_seqscan', 'on', "
                              "true), set_config('jit', 'off', true)"
                            : "select set_config('enable_nestloop', 'on', "
                              "true), set_config('enable_seqscan', 'off', "
                              "true), set_config('jit', 'off', true)",
                      NULL, NULL, e);
}


int
mg_store_begin(mg_pg_t *c, mg_error_t *e)
{
    return mg_store_begin_by(c, MG_STORE_LOCK, e);
}


int
mg_store_begin_job(mg_pg_t *c, mg_error_t *e)
{
    return mg_store_begin_by(c, "select set_config('model.nobody_waits', "
                             "'on', true), model.lock_generation()", e);
}


static int
mg_store_begin_by(mg_pg_t *c, const char *lock, mg_error_t *e)
{
    if (mg_pg_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_exec(c, lock, NULL, NULL, e) != MG_OK) {
        mg_pg_rollback(c);
        return MG_ERROR;
    }

    return MG_OK;
}


int
mg_store_end(mg_pg_t *c, int rc, mg_error_t *e)
{
    if (rc == MG_OK) {
        rc = mg_pg_commit(c, e);
    }

    if (rc != MG_OK) {
        mg_pg_rollback(c);
    }

    return rc;
}
