/*
 * mg_store_retain.c: days of inference tables that are too old.
 *
 *     due -> attach what is to stay -> detach -> copy in pieces -> drop
 *
 * What may go is decided by the functions of the schema, which look at the
 * group's own policy, its last one if it was deleted: nothing here could drop
 * a day that a group keeps.  A
 * detached day changes no more, so it is copied in short statements, each
 * from the last id of the one before.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"


static int mg_retain_last(mg_pg_t *c, mg_str_t table, mg_str_t after,
    unsigned limit, mg_arena_t *a, mg_str_t *last, mg_error_t *e);
static int mg_retain_names(const mg_pg_rows_t *r, mg_arena_t *a,
    mg_str_t **names, unsigned *n);


int
mg_store_retain_due(mg_pg_t *c, mg_arena_t *a, mg_retain_due_t **rows,
    unsigned *n, mg_error_t *e)
{
    int               i, count;
    mg_pg_rows_t     *r;
    mg_retain_due_t  *due;

    if (mg_pg_exec(c, "select group_id, org_id from model.retention_due()",
                   NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    count = mg_pg_rows_count(r);
    due = mg_arena_alloc(a, (size_t) (count + 1) * sizeof(mg_retain_due_t));

    for (i = 0; due && i < count; i++) {
        if (mg_column_str(r, i, 0, a, &due[i].group_id) != MG_OK
            || mg_column_str(r, i, 1, a, &due[i].org_id) != MG_OK)
        {
            break;
        }
    }

    mg_pg_rows_free(r);
    *rows = due;
    *n = (unsigned) count;

    return (due && i == count) ? MG_OK : mg_store_memory(e);
}


int
mg_store_retain_owner(mg_pg_t *c, mg_str_t org_id, mg_str_t group_id,
    mg_arena_t *a, mg_retain_owner_t *owner, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, group_id);

    if (mg_pg_exec(c, "select inference_table, traffic_config "
                   "from model.inference_owners where org_id = $1::uuid "
                   "and group_id = $2::uuid", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "group", "there is no model "
                            "group \"" MG_STR_FMT "\", and no table of it",
                            MG_STR_ARG(group_id));
    }

    owner->group_id = group_id;

    rc = (mg_column_str(r, 0, 0, a, &owner->table) == MG_OK
          && mg_column_str(r, 0, 1, a, &owner->traffic_config) == MG_OK)
         ? MG_OK : MG_ERROR;

    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_retain_detach(mg_pg_t *c, mg_str_t group_id, mg_arena_t *a,
    mg_str_t **names, unsigned *n, int64_t *attached, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, group_id);

    if (mg_pg_exec(c, "select model.attach_inference_days($1::uuid)", &p, &r,
                   e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *attached = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    if (mg_pg_exec(c, "select unnest(model.detach_inference_days($1::uuid))",
                   &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_retain_names(r, a, names, n);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


static int
mg_retain_names(const mg_pg_rows_t *r, mg_arena_t *a, mg_str_t **names,
    unsigned *n)
{
    int        i, count;
    mg_str_t  *list;

    count = mg_pg_rows_count(r);
    list = mg_arena_alloc(a, (size_t) (count + 1) * sizeof(mg_str_t));

    if (list == NULL) {
        return MG_ERROR;
    }

    for (i = 0; i < count; i++) {
        if (mg_column_str(r, i, 0, a, &list[i]) != MG_OK) {
            return MG_ERROR;
        }
    }

    *names = list;
    *n = (unsigned) count;

    return MG_OK;
}


int
mg_store_retain_part(mg_pg_t *c, mg_str_t table, mg_str_t day, mg_arena_t *a,
    int64_t *part, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, table);
    mg_pg_param_str(&p, day);

    if (mg_pg_exec(c, "select model.inference_part($1, $2::date)", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *part = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    return MG_OK;
}


/* The last id of the piece that is copied next; absent: there is none. */

static int
mg_retain_last(mg_pg_t *c, mg_str_t table, mg_str_t after, unsigned limit,
    mg_arena_t *a, mg_str_t *last, mg_error_t *e)
{
    int              rc;
    mg_buf_t         sql;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, after);

    mg_buf_init(&sql, 0);
    mg_buf_printf(&sql, "select inference_id from (select inference_id "
                  "from %.*s where $1::uuid is null or inference_id > $1::uuid "
                  "order by inference_id limit %u) piece "
                  "order by inference_id desc limit 1", MG_STR_ARG(table),
                  limit);

    if (mg_store_exec(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    *last = mg_str_null;
    rc = mg_pg_rows_count(r) ? mg_column_str(r, 0, 0, a, last) : MG_OK;
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_retain_copy(mg_pg_t *c, mg_str_t name, mg_str_t *after,
    unsigned limit, mg_pg_sink_pt sink, void *ctx, mg_arena_t *a,
    uint64_t *rows, mg_error_t *e)
{
    int        rc;
    mg_str_t   table, last;
    mg_buf_t   sql;
    mg_uuid_t  id;

    *rows = 0;
    table = mg_pg_ident(a, "model", name);

    if (table.data == NULL) {
        return mg_store_memory(e);
    }

    if (mg_retain_last(c, table, *after, limit, a, &last, e) != MG_OK) {
        return MG_ERROR;
    }

    if (last.data == NULL && after->data) {
        return MG_DECLINED;
    }

    /* COPY takes no parameters: only what is a UUID comes into its text */

    if ((after->data && mg_uuid_parse(*after, &id) != MG_OK)
        || (last.data && mg_uuid_parse(last, &id) != MG_OK))
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "an id is no UUID");
    }

    mg_buf_init(&sql, 0);
    mg_buf_printf(&sql, "copy (select * from %.*s", MG_STR_ARG(table));

    if (last.data) {
        mg_buf_printf(&sql, " where inference_id <= '%.*s'",
                      MG_STR_ARG(last));
    }

    if (after->data) {
        mg_buf_printf(&sql, " and inference_id > '%.*s'",
                      MG_STR_ARG(*after));
    }

    mg_buf_printf(&sql, " order by inference_id) to stdout "
                  "(format csv, header %s)", after->data ? "off" : "on");
    mg_buf_add(&sql, "", 1);

    rc = sql.failed ? mg_store_memory(e)
                    : mg_pg_copy_out(c, sql.data, sink, ctx, rows, e);

    mg_buf_free(&sql);

    if (rc == MG_OK) {
        *after = last;
    }

    return (rc == MG_OK && last.data == NULL) ? MG_DECLINED : rc;
}


int
mg_store_retain_count(mg_pg_t *c, mg_str_t name, mg_arena_t *a,
    int64_t *rows, mg_error_t *e)
{
    mg_buf_t       sql;
    mg_str_t       table;
    mg_pg_rows_t  *r;

    table = mg_pg_ident(a, "model", name);

    mg_buf_init(&sql, 0);
    mg_buf_printf(&sql, "select count(*) from %.*s", MG_STR_ARG(table));

    if (mg_store_exec(c, &sql, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_retain_drop(mg_pg_t *c, mg_str_t group_id, mg_str_t name,
    const mg_retain_file_t *file, mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, group_id);
    mg_pg_param_str(&p, name);
    mg_pg_param_int(&p, file ? file->rows : MG_UNKNOWN);
    mg_pg_param_str(&p, file ? file->name : mg_str_null);
    mg_pg_param_int(&p, file ? file->bytes : MG_UNKNOWN);
    mg_pg_param_str(&p, file ? file->sha256 : mg_str_null);
    mg_pg_param_str(&p, file ? file->node : mg_str_null);

    return mg_pg_exec(c, "select model.drop_inference_day($1::uuid, $2, "
                      "$3::bigint, $4, $5::bigint, $6, $7)", &p, NULL, e);
}
