/*
 * mg_call_catalog.c: providers and models that are set by hand.
 *
 * A change reads the row, lays the body over it, checks the whole as a new
 * one would be, and writes it; answers show what was written in the form in
 * which the catalog shows it a moment later.  Keys are sealed here, bound to
 * organisation and provider, and go no further in the clear.
 *
 * Pool threads; blocks on the database.
 */

#include "base/mg_crypt.h"
#include "job/mg_call_local.h"
#include "provider/mg_protocol.h"
#include "snapshot/mg_snap_render.h"


static int mg_call_provider_id(const mg_call_t *c, mg_str_t *id,
    mg_error_t *e);
static int mg_call_provider_seal(mg_call_t *c, mg_provider_t *p,
    mg_str_t api_key, mg_error_t *e);
static int mg_call_provider_check(const mg_provider_t *p, mg_error_t *e);
static int mg_call_provider_lay(mg_call_t *c, mg_pg_t *db, mg_str_t id,
    const mg_json_t *json, mg_provider_t *p, mg_error_t *e);
static int mg_call_provider_read(mg_call_t *c, mg_pg_t *db, mg_str_t id,
    mg_error_t *e);
static int mg_call_model_read(mg_call_t *c, mg_pg_t *db, mg_str_t id,
    mg_error_t *e);


/* -- providers -- */

int
mg_call_provider_create(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_str_t          api_key;
    mg_provider_t     p;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL
        || mg_provider_parse(json, 0, c->arena, &p, &api_key, e) != MG_OK)
    {
        return MG_ERROR;
    }

    p.org_id = c->who.org_id;
    p.source = mg_str("manual");

    if (mg_call_provider_check(&p, e) != MG_OK
        || mg_call_provider_seal(c, &p, api_key, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_provider_create(db, &c->who, &p, e);

    if (rc == MG_OK) {
        rc = mg_call_provider_read(c, db, p.id, e);
    }

    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_created(c, 201, mg_call_address(c, "/api/v1/providers/",
                                                p.id, ""));
    }

    return rc;
}


int
mg_call_provider_patch(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_str_t          id;
    mg_provider_t     p;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL || mg_call_change(json, e) != MG_OK
        || mg_call_provider_id(c, &id, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_call_provider_lay(c, db, id, json, &p, e);

    if (rc == MG_OK) {
        rc = mg_store_provider_update(db, &c->who, &p, e);
    }

    if (rc == MG_OK) {
        rc = mg_call_provider_read(c, db, id, e);
    }

    mg_pg_release(db);

    return rc;
}


/* The provider as it is, with the body laid over it. */

static int
mg_call_provider_lay(mg_call_t *c, mg_pg_t *db, mg_str_t id,
    const mg_json_t *json, mg_provider_t *p, mg_error_t *e)
{
    mg_str_t  api_key;

    if (mg_store_provider_get(db, c->who.org_id, id, c->arena, p, e) != MG_OK
        || mg_provider_parse(json, 1, c->arena, p, &api_key, e) != MG_OK
        || mg_call_provider_check(p, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_call_provider_seal(c, p, api_key, e);
}


int
mg_call_provider_delete(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    mg_pg_t   *db;
    mg_str_t   id;

    if (mg_call_provider_id(c, &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_provider_delete(db, &c->who, id, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        c->status = 204;
    }

    return rc;
}


static int
mg_call_provider_id(const mg_call_t *c, mg_str_t *id, mg_error_t *e)
{
    *id = mg_call_path(c, "provider");

    if (mg_provider_id_ok(*id)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                        "there is no provider \"%.*s\"",
                        (int) (id->len > 80 ? 80 : id->len), id->data);
}


static int
mg_call_provider_check(const mg_provider_t *p, mg_error_t *e)
{
    if (mg_protocol_find(p->protocol) || !mg_str_eq(p->source,
                                                    mg_str("manual")))
    {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "protocol",
                        "protocol \"%.*s\" is not known; give openai for a "
                        "server that speaks OpenAI's API",
                        MG_STR_ARG(p->protocol));
}


static int
mg_call_provider_seal(mg_call_t *c, mg_provider_t *p, mg_str_t api_key,
    mg_error_t *e)
{
    mg_buf_t  sealed;
    mg_str_t  aad;

    if (api_key.len == 0) {
        p->key_sealed = api_key;
        return MG_OK;
    }

    if (c->env->key == NULL || !c->env->key->set) {
        return mg_error_set(e, MG_E_CONFLICT, "api_key",
                            "api_key cannot be stored: no key to seal it is "
                            "configured; set model_secret_key_file");
    }

    aad = mg_arena_printf(c->arena, "%.*s/%.*s", MG_STR_ARG(c->who.org_id),
                          MG_STR_ARG(p->id));

    if (aad.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    mg_buf_init(&sealed, 8192);

    if (mg_crypt_seal(c->env->key, api_key, aad, &sealed, e) != MG_OK) {
        mg_buf_free(&sealed);
        return MG_ERROR;
    }

    p->key_sealed = mg_arena_dup(c->arena, mg_buf_view(&sealed));
    mg_buf_free(&sealed);

    if (p->key_sealed.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


static int
mg_call_provider_read(mg_call_t *c, mg_pg_t *db, mg_str_t id, mg_error_t *e)
{
    mg_provider_t  p;

    if (mg_store_provider_get(db, c->who.org_id, id, c->arena, &p, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_render_provider(&c->out, &p);

    return MG_OK;
}


/* -- models -- */

int
mg_call_model_create(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_model_t        m;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL
        || mg_model_parse(json, 0, c->arena, &m, e) != MG_OK)
    {
        return MG_ERROR;
    }

    m.source = mg_str("manual");

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_model_create(db, &c->who, &m, e);

    if (rc == MG_OK) {
        rc = mg_call_model_read(c, db, m.id, e);
    }

    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_created(c, 201, mg_call_address(c, "/api/v1/models/", m.id,
                                                ""));
    }

    return rc;
}


int
mg_call_model_patch(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_str_t          id;
    mg_model_t        m;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL || mg_call_change(json, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    id = mg_call_path(c, "id");
    rc = mg_store_model_get(db, c->who.org_id, id, c->arena, &m, e);

    if (rc == MG_OK) {
        rc = mg_model_parse(json, 1, c->arena, &m, e);
    }

    if (rc == MG_OK) {
        rc = mg_store_model_update(db, &c->who, &m, e);
    }

    if (rc == MG_OK) {
        rc = mg_call_model_read(c, db, id, e);
    }

    mg_pg_release(db);

    return rc;
}


int
mg_call_model_delete(mg_call_t *c, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_model_delete(db, &c->who, mg_call_path(c, "id"), e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        c->status = 204;
    }

    return rc;
}


static int
mg_call_model_read(mg_call_t *c, mg_pg_t *db, mg_str_t id, mg_error_t *e)
{
    mg_model_t  m;

    if (mg_store_model_get(db, c->who.org_id, id, c->arena, &m, e) != MG_OK) {
        return MG_ERROR;
    }

    /* the members of a single answer stand before the last brace */

    mg_render_model(&c->out, &m);

    if (c->out.len) {
        c->out.len--;
    }

    mg_render_model_more(&c->out, &m);
    mg_buf_char(&c->out, '}');

    return MG_OK;
}
