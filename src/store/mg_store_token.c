/*
 * mg_store_token.c: API tokens, by their SHA-256.
 *
 * A revoked token keeps its row, so that records which carry its id can be
 * explained; it is no longer listed and no longer routed.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"
#include "store/mg_store_list.h"


#define MG_TOKEN_COLUMNS                                                      \
    "id, name, role, created_at, expires_at, last_used_at"


static int mg_token_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);


int
mg_store_token_create(mg_pg_t *c, const mg_actor_t *who, mg_str_t name,
    mg_role_e role, int64_t expires_at, const uint8_t sha256[32],
    mg_arena_t *a, mg_token_row_t *t, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, name);
    mg_pg_param_str(&p, mg_role_names[role]);
    mg_pg_param_time(&p, expires_at);
    mg_pg_param_bytes(&p, mg_str_n((const char *) sha256, 32));
    mg_pg_param_str(&p, who->token_id);

    if (mg_pg_exec(c, "insert into model.api_tokens (org_id, name, role, "
                   "expires_at, sha256, created_by) "
                   "values ($1, $2, $3, $4, $5, $6) "
                   "returning " MG_TOKEN_COLUMNS, &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_token_row(r, 0, a, t);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_token_list(mg_pg_t *c, mg_str_t org_id, mg_paging_t *paging,
    mg_arena_t *a, mg_token_row_t **rows, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) from model.api_tokens "
        "where org_id = $1 and revoked_at is null",

        "select " MG_TOKEN_COLUMNS " from model.api_tokens "
        "where org_id = $1 and revoked_at is null "
        "order by created_at desc, id limit $2 offset $3",

        sizeof(mg_token_row_t),
        mg_token_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


int
mg_store_token_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, id);

    rc = mg_pg_exec(c, "update model.api_tokens set revoked_at = now() "
                    "where org_id = $1 and id = $2 and revoked_at is null",
                    &p, &r, e);

    if (rc == MG_OK) {
        if (mg_pg_rows_affected(r) == 0) {
            rc = mg_error_set(e, MG_E_NOT_FOUND, "id",
                              "there is no token \"%.*s\"", MG_STR_ARG(id));
        }

        mg_pg_rows_free(r);
    }

    mg_arena_destroy(a);

    return rc;
}


static int
mg_token_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    mg_token_row_t  *t = out;

    if (mg_column_str(r, row, 0, a, &t->id) != MG_OK
        || mg_column_str(r, row, 1, a, &t->name) != MG_OK)
    {
        return MG_ERROR;
    }

    t->role = mg_role_find(mg_pg_rows_str(r, row, 2));
    t->created_at = mg_pg_rows_time(r, row, 3);
    t->expires_at = mg_pg_rows_time(r, row, 4);
    t->last_used_at = mg_pg_rows_time(r, row, 5);

    return MG_OK;
}
