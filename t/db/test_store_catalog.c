/*
 * Providers, models and tokens by hand, and the generations: if this breaks,
 * a key gets lost or shows up where it must not, a revoked token goes on, or
 * nodes do not hear of a change (or hear of changes that are none).
 */

#include "base/mg_hash.h"
#include "db.h"
#include "store/mg_store_column.h"


static void
test_provider(void)
{
    mg_str_t       sealed;
    mg_provider_t  p, q;

    sealed = mg_str("\x01" "0123456789ab\0\n\\xff and a ciphertext, tag");

    mg_provider_init(&p);
    p.id = mg_str("mine");
    p.name = mg_str("Mine");
    p.protocol = mg_str("openai");
    p.base_url = mg_str("https://h/v1");
    p.headers = mg_str("{\"X-Team\":\"a\\\"b\"}");
    p.read_timeout_ms = 5000;
    p.key_sealed = sealed;
    p.key_hint = mg_str("cdef");

    ok(mg_store_provider_create(db, &db_actor, &p, &db_error) == MG_OK,
       "created: %s", db_error.message);
    ok(mg_store_provider_create(db, &db_actor, &p, &db_error) == MG_ERROR
       && db_error.kind == MG_E_CONFLICT, "once");

    ok(mg_store_provider_get(db, mg_str_null, mg_str("mine"), db_arena, &q,
                             &db_error) == MG_OK, "read");
    is_str(db_z(q.org_id), MG_ORG_DEFAULT, "organisation");
    is_mem(q.key_sealed.data, q.key_sealed.len, sealed.data, sealed.len,
           "the sealed key, byte by byte");
    is_str(db_z(q.key_hint), "cdef", "its hint");
    is_int(q.read_timeout_ms, 5000, "a number");
    is_int(q.connect_timeout_ms, MG_UNKNOWN, "a number that nobody set");
    is_int(q.total, 0, "no models");
    is_str(db_z(q.source), "manual", "source");

    q.name = mg_str("Ours");
    q.key_sealed = mg_str_null;
    q.key_hint = mg_str_null;
    ok(mg_store_provider_update(db, &db_actor, &q, &db_error) == MG_OK,
       "changed");
    ok(mg_store_provider_get(db, mg_str_null, mg_str("mine"), db_arena, &q,
                             &db_error) == MG_OK
       && q.key_sealed.len == sealed.len, "without a key the old one stays");
    is_str(db_z(q.name), "Ours", "name");

    q.id = mg_str("nobody");
    ok(mg_store_provider_update(db, &db_actor, &q, &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "an unknown one");
}


static void
test_model(void)
{
    unsigned     n;
    mg_model_t   m, o;
    mg_model_t  *list;

    db_model_init(&m, "mine", "a/b:c@d~E");
    m.caps[MG_CAP_VISION] = 1;
    m.caps[MG_CAP_AUDIO] = 0;
    m.price[MG_PRICE_INPUT] = 0;
    m.price[MG_PRICE_OUTPUT] = 1750000000LL;
    m.context = 99999999;
    m.modalities_in = mg_str("[\"text\", \"image\"]");
    m.modalities_out = mg_str("[\"text\"]");
    m.tags = mg_str("[\"a'b\"]");
    m.extra = mg_str("{\"tiers\": [1.50, null]}");
    m.release_date = mg_str("2024-07");

    ok(mg_store_model_create(db, &db_actor, &m, &db_error) == MG_OK,
       "created: %s", db_error.message);
    ok(mg_store_model_create(db, &db_actor, &m, &db_error) == MG_ERROR
       && db_error.kind == MG_E_CONFLICT, "once");
    ok(mg_store_model_get(db, mg_str_null, m.id, db_arena, &o, &db_error)
       == MG_OK, "read");
    is_int(o.caps[MG_CAP_VISION], 1, "a capability");
    is_int(o.caps[MG_CAP_AUDIO], 0, "one that is not there");
    is_int(o.caps[MG_CAP_REASONING], -1, "one that nobody knows");
    is_int(o.price[MG_PRICE_INPUT], 0, "a price of 0");
    is_int(o.price[MG_PRICE_REASONING], MG_UNKNOWN, "no price");
    is_int(o.context, 99999999, "context");
    is_str(db_z(o.tags), "[\"a'b\"]", "tags");
    is_str(db_z(o.extra), "{\"tiers\": [1.50, null]}", "details");
    is_str(db_z(o.release_date), "2024-07", "a short date");
    is_str(db_z(o.health), "unknown", "health");
    is_int(o.type, MG_TYPE_CHAT, "type");
    is_str(db_text("select modality from model.models_metadata"),
           "image+text->text", "modality");

    o.price[MG_PRICE_INPUT] = MG_UNKNOWN;
    ok(mg_store_model_update(db, &db_actor, &o, &db_error) == MG_OK,
       "changed");
    ok(mg_store_model_get(db, mg_str_null, m.id, db_arena, &o, &db_error)
       == MG_OK && o.price[MG_PRICE_INPUT] == MG_UNKNOWN,
       "a price is taken back");

    db_model_init(&m, "nobody", "x");
    ok(mg_store_model_create(db, &db_actor, &m, &db_error) == MG_ERROR,
       "of an unknown provider");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");
    like(db_error.message, "\"nobody\"", "and says which");

    db_model("mine", "second");
    ok(mg_store_provider_models(db, mg_str_null, mg_str("mine"), db_arena,
                                &list, &n, &db_error) == MG_OK && n == 2,
       "two models of the provider");

    ok(mg_store_model_delete(db, &db_actor, mg_str("mine/second"), &db_error)
       == MG_OK, "deleted");
    ok(mg_store_model_delete(db, &db_actor, mg_str("mine/second"), &db_error)
       == MG_ERROR && db_error.kind == MG_E_NOT_FOUND, "once");
}


/* sql raises these generations so often */

static void
raises(const char *sql, int64_t catalog, int64_t routing, const char *what)
{
    int64_t  c, r;

    c = db_raised("catalog");
    r = db_raised("routing");

    if (!db_run(sql)) {
        fail("%s", what);
        return;
    }

    is_int(db_raised("catalog") - c, catalog, "catalog: %s", what);
    is_int(db_raised("routing") - r, routing, "routing: %s", what);
}


/* Who waits for a change raises both numbers, a job only one. */

static void
test_awaited(void)
{
    int64_t           before;
    mg_error_t        e;
    mg_generations_t  g;

    ok(mg_store_generations(db, &g, &e) == MG_OK
       && g.awaited == g.catalog, "somebody waits: %s", e.message);
    before = (int64_t) g.catalog;

    ok(mg_store_begin_job(db, &e) == MG_OK
       && mg_pg_exec(db, "update model.models_metadata set name = 'job'",
                     NULL, NULL, &e) == MG_OK
       && mg_store_end(db, MG_OK, &e) == MG_OK, "a job: %s", e.message);
    ok(mg_store_generations(db, &g, &e) == MG_OK
       && (int64_t) g.awaited == before && (int64_t) g.catalog > before,
       "for its change nobody does");

    raises("update model.models_metadata set name = 'hand'", 1, 0,
           "somebody else in the same session");
    ok(mg_store_generations(db, &g, &e) == MG_OK
       && g.awaited == g.catalog, "waits again");
}


static void
test_generations(void)
{
    int64_t  g;

    g = db_int("select generation from model.catalog_generation "
               "where name = 'catalog'");

    raises("insert into model.models_metadata (id, provider_id, "
           "provider_model_id, name) select 'mine/m' || i, 'mine', 'm' || i, "
           "'x' from generate_series(1, 100) i", 1, 0, "a hundred models");
    ok(db_int("select generation from model.catalog_generation "
              "where name = 'catalog'") > g, "the number grows");

    raises("update model.models_metadata set name = 'y'", 1, 0, "new names");
    raises("update model.models_metadata set name = 'y'", 0, 0,
           "the same names");
    raises("update model.models_metadata set name = 'z' where false", 0, 0,
           "no row");
    raises("update model.models_metadata set refreshed_at = now(), "
           "updated_at = now()", 0, 0, "only times");
    raises("update model.models_metadata set health_status = 'available' "
           "where id = 'mine/m1'", 1, 0, "health");
    raises("update model.providers set last_synced_at = now()", 0, 0,
           "last sync");
    raises("update model.providers set last_validated_at = now()", 1, 1,
           "last validation");
    raises("update model.providers set base_url = 'http://x'", 1, 1,
           "an address");
    raises("update model.provider_credentials set updated_at = now()", 0, 0,
           "a key's time");
    raises("update model.provider_credentials set key_sealed = "
           "key_sealed || '\\x00'::bytea", 0, 1, "a key");
    raises("insert into model.model_groups (name, salt) values ('g', "
           "decode(md5('x'), 'hex'))", 0, 1, "a group");
    raises("insert into model.model_group_memberships (group_id, model_id, "
           "role, traffic_percentage) select id, 'mine/m1', 'champion', 100 "
           "from model.model_groups", 0, 1, "a member");
    raises("update model.models_metadata set active = false "
           "where id in ('mine/m1', 'mine/m2')", 1, 1, "a member's model");
    raises("update model.models_metadata set health_status = 'unavailable' "
           "where id = 'mine/m1'", 1, 0, "a member's health");
    raises("insert into model.api_tokens (name, role, sha256) values ('t', "
           "'viewer', sha256('x'))", 0, 1, "a token");
    raises("update model.api_tokens set last_used_at = now()", 0, 0,
           "a token is used");
    raises("update model.api_tokens set revoked_at = now()", 0, 1,
           "a token is revoked");
    raises("insert into model.jobs (kind) values ('sync')", 0, 0, "a job");
    raises("delete from model.model_groups", 0, 2,
           "a group goes, with its member");
    raises("delete from model.models_metadata where id like 'mine/m%'", 1, 0,
           "models go");
}


static void
test_token(void)
{
    uint8_t         digest[32];
    unsigned        n;
    mg_paging_t     paging = { 1, 10, 0 };
    mg_token_row_t  t, *list;

    mg_sha256(mg_str("a token"), digest);
    db_run("delete from model.api_tokens");

    ok(mg_store_token_create(db, &db_actor, mg_str("o'brien"),
                             MG_ROLE_OPERATOR, 1893456000000000LL, digest,
                             db_arena, &t, &db_error) == MG_OK, "created");
    is_int(t.role, MG_ROLE_OPERATOR, "role");
    is_int(t.expires_at, 1893456000000000LL, "expiry");
    ok(mg_store_token_create(db, &db_actor, mg_str("x"), MG_ROLE_VIEWER, 0,
                             digest, db_arena, &t, &db_error) == MG_ERROR
       && db_error.kind == MG_E_CONFLICT, "a digest belongs to one");
    ok(mg_store_token_list(db, mg_str_null, &paging, db_arena, &list, &n,
                           &db_error) == MG_OK && n == 1, "listed");
    ok(mg_store_token_delete(db, &db_actor, list[0].id, &db_error) == MG_OK,
       "revoked");
    ok(mg_store_token_delete(db, &db_actor, list[0].id, &db_error)
       == MG_ERROR && db_error.kind == MG_E_NOT_FOUND, "once");
    ok(mg_store_token_list(db, mg_str_null, &paging, db_arena, &list, &n,
                           &db_error) == MG_OK && n == 0, "no longer listed");

    is_int(db_int("select length(model.create_token('cli', 'admin', "
                  "sha256('cli'))::text)"), 36, "create_token");
    ok(db_refused("select model.create_token('cli', 'root', sha256('r'))",
                  "23514"), "an unknown role");
    like(db_error.message, "\"root\"", "is named");
}


static void
test_delete(void)
{
    mg_provider_t  p;

    ok(mg_store_provider_delete(db, &db_actor, mg_str("mine"), &db_error)
       == MG_OK, "the provider goes: %s", db_error.message);
    is_int(db_int("select count(*) from model.models_metadata"), 0,
           "with its models");
    is_int(db_int("select count(*) from model.provider_credentials"), 0,
           "and its key");
    ok(mg_store_provider_get(db, mg_str_null, mg_str("mine"), db_arena, &p,
                             &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "is not found");
}


static void
test_used(void)
{
    db_provider("used");
    db_model("used", "m");
    db_run("insert into model.model_groups (name, salt) values ('user', "
           "decode(md5('x'), 'hex'))");
    db_run("insert into model.model_group_memberships (group_id, model_id, "
           "role, traffic_percentage) select id, 'used/m', 'champion', 100 "
           "from model.model_groups");

    ok(mg_store_model_delete(db, &db_actor, mg_str("used/m"), &db_error)
       == MG_ERROR && db_error.kind == MG_E_CONFLICT, "a member's model");
    like(db_error.message, "\"user\"", "names the group");
    ok(mg_store_provider_delete(db, &db_actor, mg_str("used"), &db_error)
       == MG_ERROR && db_error.kind == MG_E_CONFLICT, "and its provider");
}


/* The snapshot has what is active, and the counts. */

static void
test_snapshot(void)
{
    mg_str_t               image;
    uint64_t               generation;
    mg_generations_t       g;
    mg_catalog_builder_t  *b;

    db_run("insert into model.models_metadata (id, provider_id, "
           "provider_model_id, name) select 'used/n' || i, 'used', 'n' || i, "
           "'x' from generate_series(1, 9001) i");

    ok(mg_store_generations(db, &g, &db_error) == MG_OK, "generations");
    ok(mg_store_catalog_read(db, &b, &generation, &db_error) == MG_OK,
       "more models than one piece: %s", db_error.message);
    is_uint(generation, g.catalog, "at its generation");
    ok(mg_catalog_builder_finish(b, &image, &db_error) == MG_OK
       && mg_snap_verify(image, MG_SNAP_CATALOG, &db_error) == MG_OK,
       "make a snapshot: %s", db_error.message);
    mg_catalog_builder_destroy(b);
    is_str(db_text("select 1"), "1", "the connection goes on");
}


int
main(void)
{
    db_start();
    test_provider();
    test_model();
    test_generations();
    test_awaited();
    test_token();
    test_delete();
    test_used();
    test_snapshot();

    return db_done();
}
