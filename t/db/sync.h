/*
 * What the tests of syncs share: three kinds of sources, and a list of them
 * that is put together entry by entry.  models.dev adds and is an authority,
 * "openai" is the list of the provider acme, "models.dev-models" knows models
 * by their labs.  Each list begins with the provider acme.
 */

#ifndef SYNC_H
#define SYNC_H

#include "db.h"


#define ONE  "acme/one"


TAP_UNUSED static const mg_sync_scope_t  dev = {
    .source = mg_str("models.dev"),
    .rank = MG_RANK_MODELS_DEV,
    .creates = 1,
    .authority = 1
};

TAP_UNUSED static const mg_sync_scope_t  own = {
    .source = mg_str("openai"),
    .provider = mg_str("acme"),
    .rank = MG_RANK_PROVIDER,
    .creates = 1,
    .authority = 1,
    .etag = mg_str("\"v1\"")
};

TAP_UNUSED static const mg_sync_scope_t  by_lab = {
    .source = mg_str("models.dev-models"),
    .rank = MG_RANK_LIST,
    .labs = 1
};


TAP_UNUSED static mg_store_sync_t *
begin(const mg_sync_scope_t *scope)
{
    mg_provider_t     p;
    mg_store_sync_t  *s;

    s = mg_store_sync_begin(db, scope, &db_error);

    mg_provider_init(&p);
    p.id = mg_str("acme");
    p.name = mg_str("Acme");
    p.extra = mg_str("{\"country\": \"fr\"}");

    if (s == NULL || mg_store_sync_provider(s, &p, &db_error) != MG_OK) {
        fail("begin: %s", db_error.message);
    }

    return s;
}


TAP_UNUSED static void
add(mg_store_sync_t *s, const mg_model_t *m)
{
    if (mg_store_sync_model(s, m, &db_error) != MG_OK) {
        fail("model: %s", db_error.message);
    }
}


TAP_UNUSED static void
add_named(mg_store_sync_t *s, const char *name)
{
    mg_model_t  m;

    db_model_init(&m, "acme", name);
    add(s, &m);
}


/* "added changed removed unchanged failed held" */

TAP_UNUSED static const char *
end(mg_store_sync_t *s, int complete)
{
    mg_sync_counts_t  c;

    memset(&c, 0, sizeof(c));

    if (mg_store_sync_commit(s, complete, mg_now_us(), &c, &db_error)
        != MG_OK)
    {
        fail("commit: %s", db_error.message);
    }

    return mg_arena_printf(db_arena, "%d %d %d %d %d %d", (int) c.added,
                           (int) c.changed, (int) c.removed,
                           (int) c.unchanged, (int) c.failed,
                           (int) c.held).data;
}


TAP_UNUSED static const char *
column(const char *name)
{
    return db_text("select %s from model.models_metadata where id = '"
                   ONE "'", name);
}


TAP_UNUSED static mg_model_t
stored(const char *id)
{
    mg_model_t  m;

    if (mg_store_model_get(db, mg_str_null, mg_str_z(id), db_arena, &m,
                           &db_error)
        != MG_OK)
    {
        fail("%s: %s", id, db_error.message);
        mg_model_init(&m);
        m.provenance = mg_str("");
        m.sources = mg_str("");
    }

    return m;
}


/* what models.dev says of acme/one */

TAP_UNUSED static void
dev_says(mg_model_t *m)
{
    db_model_init(m, "acme", "one");
    m->name = mg_str("One");
    m->description = mg_str("A model.");
    m->context = 1000;
    m->price[MG_PRICE_INPUT] = 2000000000LL;
    m->price[MG_PRICE_OUTPUT] = 4000000000LL;
    m->price_tiers = mg_str("[{\"tier\":{\"type\":\"context\",\"size\":1},"
                            "\"input\":9}]");
    m->caps[MG_CAP_VISION] = 1;
    m->extra = mg_str("{\"cost\":{\"x\":1},\"both\":\"dev\"}");
    m->type_inferred = 1;
}


#endif /* SYNC_H */
