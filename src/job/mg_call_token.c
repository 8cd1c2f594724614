/*
 * mg_call_token.c: API tokens.
 *
 * A token is mgw_ and 32 random bytes in base64url.  It is shown in the
 * answer that creates it and never again: the database holds its SHA-256.
 *
 * Pool threads; blocks on the database.
 */

#include <stddef.h>

#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "job/mg_call_local.h"
#include "model/mg_body.h"


#define MG_TOKEN_PREFIX        "mgw_"
#define MG_TOKEN_PREFIX_LEN    4
#define MG_TOKEN_RANDOM        32
#define MG_TOKEN_LEN           47        /* 4 + 43 */
#define MG_TOKEN_NAME_MAX      128


typedef struct {
    mg_str_t  name;
    int       role;                      /* index of mg_token_roles */
    int64_t   expires_at;
} mg_token_body_t;


static int mg_token_make(char token[MG_TOKEN_LEN + 1], mg_error_t *e);
static void mg_token_write(mg_jw_t *w, const mg_token_row_t *t,
    mg_str_t token);


/* all roles but "none", which no token has */

static const mg_str_t  mg_token_roles[] = {
    mg_str("inference"),
    mg_str("viewer"),
    mg_str("operator"),
    mg_str("admin")
};


static const mg_body_field_t  mg_token_fields[] = {

    { "name", mg_body_string, offsetof(mg_token_body_t, name),
      MG_BODY_REQUIRED, 1, MG_TOKEN_NAME_MAX, NULL, 0 },

    { "role", mg_body_name, offsetof(mg_token_body_t, role),
      MG_BODY_REQUIRED, 0, 0, mg_token_roles, 4 },

    { "expires_at", mg_body_time, offsetof(mg_token_body_t, expires_at),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


int
mg_call_token_create(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    char              token[MG_TOKEN_LEN + 1];
    mg_jw_t           w;
    mg_pg_t          *db;
    uint8_t           sha256[32];
    mg_token_row_t    row;
    mg_token_body_t   body;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL) {
        return MG_ERROR;
    }

    memset(&body, 0, sizeof(mg_token_body_t));

    if (mg_body_parse(json, mg_token_fields, 0, c->arena, &body, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (body.expires_at && body.expires_at <= mg_now_us()) {
        return mg_error_set(e, MG_E_INVALID, "expires_at",
                            "expires_at lies in the past; give a time to "
                            "come, or leave it out");
    }

    if (mg_token_make(token, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_sha256(mg_str_n(token, MG_TOKEN_LEN), sha256);

    db = mg_call_db(c, e);

    if (db == NULL) {
        mg_wipe(token, sizeof(token));
        return MG_ERROR;
    }

    rc = mg_store_token_create(db, &c->who, body.name,
                               mg_role_find(mg_token_roles[body.role]),
                               body.expires_at, sha256, c->arena, &row, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_writer(c, &w);
        mg_token_write(&w, &row, mg_str_n(token, MG_TOKEN_LEN));
        mg_call_created(c, 201, mg_call_address(c, "/api/v1/tokens/",
                                                row.id, ""));
    }

    mg_wipe(token, sizeof(token));

    return rc;
}


int
mg_call_token_list(mg_call_t *c, mg_error_t *e)
{
    int              rc;
    mg_jw_t          w;
    mg_pg_t         *db;
    unsigned         i, n;
    mg_paging_t      paging;
    mg_token_row_t  *rows;

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_token_list(db, c->who.org_id, &paging, c->arena, &rows, &n,
                             e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "tokens");

    for (i = 0; i < n; i++) {
        mg_token_write(&w, &rows[i], mg_str_null);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


int
mg_call_token_delete(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    mg_pg_t   *db;
    mg_str_t   id;

    if (mg_call_uuid(c, "id", "token", &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_token_delete(db, &c->who, id, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        c->status = 204;
    }

    return rc;
}


static int
mg_token_make(char token[MG_TOKEN_LEN + 1], mg_error_t *e)
{
    char              *p;
    uint8_t            random[MG_TOKEN_RANDOM + 1];
    unsigned           i;
    uint32_t           bits;
    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    if (mg_random(random, MG_TOKEN_RANDOM) != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the system gave no random bytes");
    }

    random[MG_TOKEN_RANDOM] = 0;

    memcpy(token, MG_TOKEN_PREFIX, MG_TOKEN_PREFIX_LEN);
    p = token + MG_TOKEN_PREFIX_LEN;

    /* 33 bytes make 44 characters; the last stands for padding alone */

    for (i = 0; i < MG_TOKEN_RANDOM + 1; i += 3) {
        bits = (uint32_t) random[i] << 16 | (uint32_t) random[i + 1] << 8
               | random[i + 2];

        *p++ = alphabet[bits >> 18];
        *p++ = alphabet[(bits >> 12) & 63];
        *p++ = alphabet[(bits >> 6) & 63];
        *p++ = alphabet[bits & 63];
    }

    token[MG_TOKEN_LEN] = '\0';
    mg_wipe(random, sizeof(random));

    return MG_OK;
}


static void
mg_token_write(mg_jw_t *w, const mg_token_row_t *t, mg_str_t token)
{
    mg_jw_object(w, NULL);
    mg_jw_str(w, "id", t->id);
    mg_jw_str(w, "name", t->name);
    mg_jw_str(w, "role", mg_role_names[t->role]);
    mg_call_write_time(w, "created_at", t->created_at);
    mg_call_write_time(w, "expires_at", t->expires_at);
    mg_call_write_time(w, "last_used_at", t->last_used_at);

    if (token.len) {
        mg_jw_str(w, "token", token);
    }

    mg_jw_end_object(w);
}
