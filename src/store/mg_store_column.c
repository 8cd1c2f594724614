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


/* Room for a generated statement. */
#define MG_COLUMN_SQL_MAX   65536


#define MG_MODEL_COLUMN(name, kind, member)                                   \
    { name, MG_COLUMN_##kind, offsetof(mg_model_t, member), 1 }

#define MG_MODEL_CAP(name, cap)                                               \
    { "supports_" name, MG_COLUMN_CAP,                                        \
      offsetof(mg_model_t, caps) + MG_CAP_##cap * sizeof(int8_t), 1 }

#define MG_MODEL_PRICE(name, index)                                           \
    { "price_" name, MG_COLUMN_INT,                                           \
      offsetof(mg_model_t, price) + MG_PRICE_##index * sizeof(int64_t), 1 }

const mg_column_t  mg_model_columns[] = {
    MG_MODEL_COLUMN("provider_id", STR, provider_id),
    MG_MODEL_COLUMN("provider_model_id", STR, provider_model_id),
    MG_MODEL_COLUMN("name", STR, name),
    MG_MODEL_COLUMN("family", STR, family),
    MG_MODEL_COLUMN("status", STR, status),
    MG_MODEL_COLUMN("model_type", TYPE, type),
    MG_MODEL_CAP("vision", VISION),
    MG_MODEL_CAP("function_calling", FUNCTION_CALLING),
    MG_MODEL_CAP("streaming", STREAMING),
    MG_MODEL_CAP("json_mode", JSON_MODE),
    MG_MODEL_CAP("image_generation", IMAGE_GENERATION),
    MG_MODEL_CAP("audio", AUDIO),
    MG_MODEL_CAP("code_generation", CODE_GENERATION),
    MG_MODEL_CAP("reasoning", REASONING),
    MG_MODEL_COLUMN("attachment", TRI, attachment),
    MG_MODEL_COLUMN("temperature", TRI, temperature),
    MG_MODEL_COLUMN("open_weights", TRI, open_weights),
    MG_MODEL_COLUMN("active", TRI, active),
    MG_MODEL_COLUMN("context_length", INT, context),
    MG_MODEL_COLUMN("input_limit", INT, input_limit),
    MG_MODEL_COLUMN("output_limit", INT, output_limit),
    MG_MODEL_PRICE("input", INPUT),
    MG_MODEL_PRICE("output", OUTPUT),
    MG_MODEL_PRICE("cache_read", CACHE_READ),
    MG_MODEL_PRICE("cache_write", CACHE_WRITE),
    MG_MODEL_PRICE("reasoning", REASONING),
    MG_MODEL_PRICE("input_audio", INPUT_AUDIO),
    MG_MODEL_PRICE("output_audio", OUTPUT_AUDIO),
    MG_MODEL_COLUMN("release_date", STR, release_date),
    MG_MODEL_COLUMN("last_updated", STR, last_updated),
    MG_MODEL_COLUMN("knowledge", STR, knowledge),
    MG_MODEL_COLUMN("modalities_input", JSON, modalities_in),
    MG_MODEL_COLUMN("modalities_output", JSON, modalities_out),
    MG_MODEL_COLUMN("tags", JSON, tags),
    MG_MODEL_COLUMN("details", JSON, extra),
    { NULL, MG_COLUMN_STR, 0, 0 }
};


#define MG_PROVIDER_COLUMN(name, kind, sync)                                  \
    { #name, MG_COLUMN_##kind, offsetof(mg_provider_t, name), sync }

const mg_column_t  mg_provider_columns[] = {
    MG_PROVIDER_COLUMN(name, STR, 1),
    MG_PROVIDER_COLUMN(protocol, STR, 1),
    MG_PROVIDER_COLUMN(base_url, STR, 1),
    MG_PROVIDER_COLUMN(doc, STR, 1),
    MG_PROVIDER_COLUMN(npm, STR, 1),
    MG_PROVIDER_COLUMN(env, JSON, 1),
    MG_PROVIDER_COLUMN(active, TRI, 1),
    MG_PROVIDER_COLUMN(headers, JSON, 0),
    MG_PROVIDER_COLUMN(connect_timeout_ms, INT, 0),
    MG_PROVIDER_COLUMN(read_timeout_ms, INT, 0),
    MG_PROVIDER_COLUMN(rate_limit, INT, 0),
    MG_PROVIDER_COLUMN(max_concurrency, INT, 0),
    { NULL, MG_COLUMN_STR, 0, 0 }
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
    int sync_only)
{
    const char         *sep;
    const mg_column_t  *col;

    sep = "";

    for (col = cols; col->name; col++) {
        if (sync_only && !col->sync) {
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
    const char *format, unsigned first, int sync_only)
{
    unsigned            n;
    const char         *p;
    const mg_column_t  *col;

    n = 0;

    for (col = cols; col->name; col++) {
        if (sync_only && !col->sync) {
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


void
mg_columns_copy(mg_buf_t *b, const mg_column_t *cols, const void *row,
    int sync_only)
{
    const char         *p;
    const mg_column_t  *col;

    for (col = cols; col->name; col++) {
        if (sync_only && !col->sync) {
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
            mg_pg_copy_str(b, 0,
                           mg_model_type_names[*(const mg_model_type_e *) p]);
            break;
        }
    }
}


void
mg_columns_param(mg_pg_params_t *params, const mg_column_t *cols,
    const void *row)
{
    const char         *p;
    const mg_column_t  *col;

    for (col = cols; col->name; col++) {
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
            mg_pg_param_str(params,
                            mg_model_type_names[*(const mg_model_type_e *) p]);
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

    for (c = cols; c->name; c++, col++) {
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
    mg_columns_names(b, mg_model_columns, "m.", 0);
    mg_buf_z(b, ", m.health_status, m.source, m.created_at, m.updated_at, "
             "m.refreshed_at");
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
        || mg_column_str(r, row, col + 1, a, &m->source) != MG_OK)
    {
        return MG_ERROR;
    }

    health = mg_pg_rows_str(r, row, col);

    for (i = 0; i < sizeof(mg_health_names) / sizeof(mg_str_t); i++) {
        if (mg_str_eq(mg_health_names[i], health)) {
            m->health = mg_health_names[i];
        }
    }

    m->created_at = mg_pg_rows_time(r, row, col + 2);
    m->updated_at = mg_pg_rows_time(r, row, col + 3);
    m->refreshed_at = mg_pg_rows_time(r, row, col + 4);

    return MG_OK;
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
    mg_columns_names(b, mg_provider_columns, "p.", 0);
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
mg_store_lock(mg_pg_t *c, mg_error_t *e)
{
    return mg_pg_exec(c, "select model.lock_generation()", NULL, NULL, e);
}


int
mg_store_begin(mg_pg_t *c, mg_error_t *e)
{
    if (mg_pg_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_store_lock(c, e) != MG_OK) {
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
