/*
 * Syncs: if this breaks, a document that has not changed raises a generation,
 * a price of nobody becomes 0, what an operator has set is overwritten, or
 * one bad entry keeps the whole catalog from being refreshed.
 */

#include "db.h"
#include "provider/mg_models_dev.h"


#define DOCUMENT  "conf/models.dev/api.json"


static char    *document;
static size_t   document_len;

static const mg_sync_scope_t  models_dev = {
    .source = mg_str("models.dev"),
    .rank = MG_RANK_MODELS_DEV,
    .creates = 1,
    .authority = 1,
    .etag = mg_str("W/\"1\"")
};

static const mg_sync_scope_t  small = {
    .source = mg_str("small"),
    .rank = MG_RANK_LIST,
    .creates = 1,
    .authority = 1,
    .force = 1
};


static int
on_provider(void *ctx, const mg_provider_t *p, mg_error_t *e)
{
    return mg_store_sync_provider(ctx, p, e);
}


static int
on_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    return mg_store_sync_model(ctx, m, e);
}


static const mg_source_handler_t  handler = {
    .provider = on_provider,
    .model = on_model
};


static int
read_document(void)
{
    FILE  *f;

    document = malloc(16 * 1024 * 1024);
    f = fopen(DOCUMENT, "r");

    if (f == NULL) {
        return 0;
    }

    document_len = fread(document, 1, 16 * 1024 * 1024, f);
    (void) fclose(f);

    return document_len > 0;
}


/* the whole document; the time of the database's part in ms */

static int64_t
sync_document(mg_sync_counts_t *counts)
{
    int64_t           start;
    void             *d;
    mg_store_sync_t  *s;

    memset(counts, 0, sizeof(mg_sync_counts_t));
    counts->bytes = (int64_t) document_len;

    s = mg_store_sync_begin(db, &models_dev, &db_error);
    if (s == NULL) {
        fail("begin: %s", db_error.message);
        return 0;
    }

    d = mg_models_dev_create(&handler, s);
    ok(mg_models_dev_feed(d, document, document_len, &db_error) == MG_OK
       && mg_models_dev_finish(d, &db_error) == MG_OK, "the document is read");
    mg_models_dev_destroy(d);

    start = mg_mono_us();

    if (mg_store_sync_commit(s, 1, mg_now_us(), counts, &db_error) != MG_OK) {
        fail("commit: %s", db_error.message);
    }

    return (mg_mono_us() - start) / 1000;
}


static void
is_counts(const mg_sync_counts_t *c, int64_t added, int64_t changed,
    int64_t removed, int64_t unchanged, int64_t failed, const char *what)
{
    is_int(c->added, added, "%s: added", what);
    is_int(c->changed, changed, "%s: changed", what);
    is_int(c->removed, removed, "%s: removed", what);
    is_int(c->unchanged, unchanged, "%s: unchanged", what);
    is_int(c->failed, failed, "%s: failed", what);
}


static void
test_document(void)
{
    int64_t             ms, catalog, routing, raised;
    unsigned            n;
    mg_sync_counts_t    c;
    mg_sync_history_t  *h;

    if (!ok(read_document(), "the bundled document")) {
        return;
    }

    raised = db_raised("catalog");
    ms = sync_document(&c);
    diag("first load: %d ms in the database", (int) ms);
    is_counts(&c, 5269, 0, 0, 0, 0, "first load");
    is_int(c.providers, 145, "providers");
    ok(db_raised("catalog") - raised <= 4, "few generations for all of it");

    is_int(db_int("select count(*) from model.models_metadata "
                  "where active and source = 'models.dev'"), 5269, "rows");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where price_input is null"), 375, "no price is null");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where price_input = 0 and price_output = 0"), 436,
           "a price of 0 is 0");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_model_id ~ '[/]'"), 2931,
           "ids with a slash");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where not (details ? 'reasoning_options') is not true "
                  "and details ? 'reasoning_options'"), 1619,
           "what no column holds is kept");

    catalog = db_raised("catalog");
    routing = db_raised("routing");
    ms = sync_document(&c);
    diag("second load: %d ms in the database", (int) ms);
    is_counts(&c, 0, 0, 0, 5269, 0, "second load");
    is_int(db_raised("catalog"), catalog, "raises no generation");
    is_int(db_raised("routing"), routing, "of neither kind");
    is_int(db_int("select count(*) from model.providers "
                  "where last_synced_at > created_at"), 145,
           "but says when the source was seen");

    ok(mg_store_sync_history(db, mg_str_null, mg_str_null, 10, db_arena, &h,
                             &n, &db_error) == MG_OK
       && n == 2, "two rows of history");
    is_int(h[0].counts.unchanged, 5269, "the newest first");
    is_int(h[1].counts.added, 5269, "then the first");
    is_str(db_z(h[0].status), "completed", "status");
    is_int(h[0].counts.bytes, document_len, "bytes");
    ok(h[0].completed_at >= h[0].started_at, "times");
}


/* What operators set stays, field by field or as a whole. */

static void
test_by_hand(void)
{
    mg_model_t        m;
    mg_provider_t     p;
    mg_sync_counts_t  c;
    const mg_str_t    id = mg_str("anthropic/claude-opus-4-7");

    if (mg_store_model_get(db, mg_str_null, id, db_arena, &m, &db_error)
        != MG_OK)
    {
        fail("%s", db_error.message);
        return;
    }

    m.price[MG_PRICE_INPUT] = 4250000000LL;
    m.family = mg_str("house");
    ok(mg_store_model_update(db, &db_actor, &m, &db_error) == MG_OK,
       "a price by hand");
    is_str(db_text("select manual_fields::text from model.models_metadata "
                   "where id = 'anthropic/claude-opus-4-7'"),
           "{family,price_input}", "is noted");

    ok(mg_store_model_delete(db, &db_actor, mg_str("openai/gpt-4o"),
                             &db_error) == MG_OK, "a model is deleted");
    ok(mg_store_provider_delete(db, &db_actor, mg_str("groq"), &db_error)
       == MG_OK, "a provider is deleted");

    mg_provider_init(&p);
    p.id = mg_str("openai");
    p.name = mg_str("Ours");
    p.base_url = mg_str("http://10.0.0.1/v1");
    p.protocol = mg_str("openai");
    ok(mg_store_provider_create(db, &db_actor, &p, &db_error) == MG_OK,
       "a provider is taken over");

    db_run("update model.models_metadata set name = 'drifted', "
           "price_output = 1 where id = 'anthropic/claude-opus-4-7'");
    db_run("update model.models_metadata set context_length = null, "
           "active = false where id = 'mistral/codestral-latest'");

    (void) sync_document(&c);
    is_counts(&c, 0, 2, 0, 5267, 0, "after changes by hand");

    is_str(db_text("select family || ' ' || price_input || ' ' || (name = "
                   "'drifted') || ' ' || (price_output = 1) "
                   "from model.models_metadata "
                   "where id = 'anthropic/claude-opus-4-7'"),
           "house 4250000000 false false",
           "fields by hand stay, the others are refreshed");
    is_str(db_text("select active from model.models_metadata "
                   "where id = 'mistral/codestral-latest'"), "t",
           "what the source lists again is active again");
    ok(mg_store_model_get(db, mg_str_null, mg_str("openai/gpt-4o"), db_arena,
                          &m, &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "deleted stays deleted");
    is_str(db_text("select name || ' ' || source || ' ' || (doc is not null) "
                   "from model.providers where id = 'openai'"),
           "Ours manual true", "a provider that was taken over stays");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'groq' and deleted_at is null"), 0,
           "models of a deleted provider stay away");
}


static mg_store_sync_t *
sync_begin(void)
{
    mg_provider_t     p;
    mg_store_sync_t  *s;

    s = mg_store_sync_begin(db, &small, &db_error);

    mg_provider_init(&p);
    p.id = mg_str("small");
    p.name = mg_str("Small");

    if (s == NULL || mg_store_sync_provider(s, &p, &db_error) != MG_OK) {
        fail("begin: %s", db_error.message);
    }

    return s;
}


static void
sync_end(mg_store_sync_t *s, int complete, mg_sync_counts_t *c)
{
    memset(c, 0, sizeof(mg_sync_counts_t));

    if (mg_store_sync_commit(s, complete, mg_now_us(), c, &db_error)
        != MG_OK)
    {
        fail("commit: %s", db_error.message);
    }
}


static void
test_entries(void)
{
    unsigned           i;
    mg_model_t         m;
    mg_store_sync_t   *s;
    mg_sync_counts_t   c;

    /* the same id three times: the first wins, others fill its gaps */

    s = sync_begin();
    db_model_init(&m, "small", "twice");
    m.name = mg_str("First");
    m.caps[MG_CAP_VISION] = 0;
    m.extra = mg_str("{\"b\": 1, \"a\": [2]}");
    (void) mg_store_sync_model(s, &m, &db_error);
    db_model_init(&m, "small", "twice");
    m.name = mg_str("Second");
    m.caps[MG_CAP_VISION] = 1;
    m.context = 1000;
    (void) mg_store_sync_model(s, &m, &db_error);
    m.context = 2000;
    m.output_limit = 7;
    (void) mg_store_sync_model(s, &m, &db_error);

    db_model_init(&m, "small", "a/b:c@d~E");
    (void) mg_store_sync_model(s, &m, &db_error);

    /* entries that cannot be stored, among some that can */

    for (i = 0; i < 40; i++) {
        db_model_init(&m, "small", mg_arena_printf(db_arena, "m%u", i).data);

        if (i == 7) {
            m.extra = mg_str("{\"nul\": \"\\u0000\"}");
        }

        if (i == 23) {
            m.extra = mg_str("{\"huge\": 1e999999}");
        }

        if (i == 39) {
            m.tags = mg_str("no json");
        }

        (void) mg_store_sync_model(s, &m, &db_error);
    }

    db_model_init(&m, "small", "bad id ");
    (void) mg_store_sync_model(s, &m, &db_error);
    db_model_init(&m, "nobody", "orphan");
    (void) mg_store_sync_model(s, &m, &db_error);

    sync_end(s, 1, &c);
    is_counts(&c, 39, 0, 0, 0, 5, "entries");
    is_str(db_text("select concat_ws(' ', name, supports_vision, "
                   "context_length, output_limit, details) "
                   "from model.models_metadata where id = 'small/twice'"),
           "First t 1000 7 {\"a\": [2], \"b\": 1}", "duplicates are united");

    /* other order of members, other numbers for the same: no change */

    s = sync_begin();
    db_model_init(&m, "small", "twice");
    m.name = mg_str("First");
    m.caps[MG_CAP_VISION] = 1;
    m.context = 1000;
    m.output_limit = 7;
    m.extra = mg_str("{\"a\":[2.0],\"b\":1}");
    (void) mg_store_sync_model(s, &m, &db_error);
    sync_end(s, 0, &c);
    is_counts(&c, 0, 0, 0, 1, 0, "another order");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'small' and active"), 39,
           "a partial list removes nothing");

    s = sync_begin();
    m.price[MG_PRICE_INPUT] = 0;
    (void) mg_store_sync_model(s, &m, &db_error);
    sync_end(s, 1, &c);
    is_counts(&c, 0, 1, 38, 0, 0, "a complete list");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'small' and not active"), 38,
           "marks what is gone, and keeps the rows");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where source = 'models.dev' and not active "
                  "and deleted_at is null"), 0,
           "other sources are left alone");
}


static void
test_failure(void)
{
    int64_t            raised;
    mg_pg_t           *c;
    mg_model_t         m;
    mg_error_t         e;
    mg_store_sync_t   *s;
    mg_sync_counts_t   counts;

    memset(&counts, 0, sizeof(counts));
    counts.bytes = 12;
    raised = db_raised("catalog");

    s = sync_begin();
    c = mg_pg_checkout(db_pool, &e);
    ok(mg_store_sync_begin(c, &small, &e) == NULL
       && e.kind == MG_E_CONFLICT, "two syncs of a source exclude each other");

    db_model_init(&m, "small", "never");
    (void) mg_store_sync_model(s, &m, &db_error);
    mg_store_sync_abort(s, mg_now_us(), &counts, "truncated at byte 12");

    is_str(db_text("select status || ': ' || error || ' ' || bytes "
                   "from model.models_refresh_history "
                   "order by started_at desc limit 1"),
           "failed: truncated at byte 12 12", "a failure has its row");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where id = 'small/never'"), 0, "and no others");
    is_int(db_raised("catalog"), raised, "and no generation");

    s = mg_store_sync_begin(c, &small, &e);
    ok(s != NULL, "the next one may begin");
    mg_store_sync_abort(s, mg_now_us(), &counts, "enough");
    mg_pg_release(c);
}


int
main(void)
{
    db_start();
    test_document();
    test_by_hand();
    test_entries();
    test_failure();
    free(document);

    return db_done();
}
