/*
 * The merge of what several sources say: if this breaks, a public list
 * overwrites what a provider says of itself or what an operator has set, a
 * value stays though nobody states it any longer, half a list empties the
 * catalog, or nobody can tell where a price comes from.
 */

#include "sync.h"


static const mg_sync_scope_t  prices = {
    .source = mg_str("litellm"),
    .rank = MG_RANK_LIST
};


static void
test_precedence(void)
{
    int64_t           raised;
    mg_model_t        m;
    mg_store_sync_t  *s;

    s = begin(&dev);
    dev_says(&m);
    add(s, &m);
    add_named(s, "two");
    is_str(end(s, 1), "2 0 0 0 0 0", "models.dev adds");
    is_str(db_text("select details from model.providers where id = 'acme'"),
           "{\"country\": \"fr\"}", "more of a provider");
    is_str(column("provenance"),
           "{\"*\": \"models.dev\", \"model_type\": \"inferred\"}",
           "one source, and a guess");

    /* its own list: fewer fields, a higher rank, a made-up name */

    s = begin(&own);
    db_model_init(&m, "acme", "one");
    m.name_inferred = 1;
    m.type = MG_TYPE_OTHER;
    m.context = 800;
    m.price[MG_PRICE_INPUT] = 0;
    m.deprecation_date = mg_str("2027-01");
    m.popularity_score = 71400;
    m.source_model_id = mg_str("one-2026");
    m.extra = mg_str("{\"both\":\"own\",\"owned_by\":\"acme\"}");
    add(s, &m);
    add_named(s, "new");
    is_str(end(s, 0), "1 1 0 0 0 0", "its provider's list");
    is_str(column("concat_ws('|', name, context_length, price_input, "
                  "price_output, model_type, deprecation_date, "
                  "popularity_score, price_tiers, source)"),
           "One|800|0|4000000000|chat|2027-01|71400|[{\"tier\": {\"size\": 1,"
           " \"type\": \"context\"}, \"input\": 9}]|models.dev",
           "field by field; 0 is stated, unknown is not");
    is_str(column("details"), "{\"both\": \"own\", \"cost\": {\"x\": 1}, "
           "\"owned_by\": \"acme\"}", "details are united");

    m = stored(ONE);
    is_str(db_z(m.provenance),
           "{\"name\":\"models.dev\",\"description\":\"models.dev\","
           "\"type\":\"inferred\",\"capabilities.vision\":\"models.dev\","
           "\"active\":\"openai\",\"limits.context\":\"openai\","
           "\"pricing.input\":\"openai\",\"pricing.output\":\"models.dev\","
           "\"price_tiers\":\"models.dev\",\"popularity_score\":\"openai\","
           "\"deprecation_date\":\"openai\",\"details\":\"openai\"}",
           "and each known one has its source");
    like(m.sources.data, "\"openai\": {\"id\": \"one-2026\", \"fetched_at\": "
         "\"20", "with the source's name for it, and when");
    like(m.sources.data, "\"models.dev\": {\"id\": \"one\"", "of both");
    is_str(db_text("select provider_id || ' ' || etag || ' ' || fields "
                   "from model.models_refresh_history "
                   "where source = 'openai'"),
           "acme \"v1\" {\"details\": 1, \"price_input\": 1, "
           "\"context_length\": 1, \"deprecation_date\": 1, "
           "\"popularity_score\": 1}", "changes are counted by field");

    /* a lower source never overwrites a higher one, in whatever order */

    raised = db_raised("catalog");
    s = begin(&dev);
    dev_says(&m);
    m.context = 999;
    add(s, &m);
    add_named(s, "two");
    is_str(end(s, 1), "0 0 0 2 0 0", "hidden values are no change");
    is_str(column("context_length"), "800", "the provider's word stays");

    /* the higher source stops stating: the next one shows through */

    s = begin(&own);
    db_model_init(&m, "acme", "one");
    m.name_inferred = 1;
    m.type = MG_TYPE_OTHER;
    add(s, &m);
    add_named(s, "new");
    is_str(end(s, 1), "0 1 0 1 0 0", "less is stated");
    is_str(column("concat_ws('|', context_length, price_input, "
                  "coalesce(deprecation_date, 'none'), details)"),
           "999|2000000000|none|{\"both\": \"dev\", \"cost\": {\"x\": 1}}",
           "the next one shows through");
    ok(db_raised("catalog") > raised, "a generation was raised");
}


/* Lists that complete: they add nothing, and take back what they had said. */

static void
test_completes(void)
{
    mg_model_t        m;
    mg_store_sync_t  *s;

    s = begin(&prices);
    db_model_init(&m, "acme", "one");
    m.price[MG_PRICE_INPUT] = 1;
    m.price[MG_PRICE_REASONING] = 7000000000LL;
    add(s, &m);
    db_model_init(&m, "acme", "later");
    m.knowledge = mg_str("2026-01");
    add(s, &m);
    db_model_init(&m, "nobody", "x");
    add(s, &m);
    is_str(end(s, 1), "0 1 0 0 0 0", "a list of prices");
    is_str(column("price_input || ' ' || price_reasoning"),
           "2000000000 7000000000", "fills what nobody else states");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where id in ('acme/later', 'nobody/x')"), 0,
           "and adds nothing");

    s = begin(&dev);
    dev_says(&m);
    add(s, &m);
    add_named(s, "two");
    add_named(s, "later");
    is_str(end(s, 1), "1 1 0 1 0 0", "a model comes later");
    is_str(db_text("select knowledge from model.models_metadata "
                   "where id = 'acme/later'"), "2026-01",
           "and what was known of it shows");

    s = begin(&prices);
    db_model_init(&m, "acme", "later");
    m.knowledge = mg_str("2026-01");
    add(s, &m);
    is_str(end(s, 0), "0 0 0 1 0 0", "half of the list");
    is_str(column("price_reasoning"), "7000000000", "takes nothing back");

    s = begin(&prices);
    add(s, &m);
    is_str(end(s, 1), "0 1 0 1 0 1",
           "two of acme's go, the only one of another is held");
    is_str(column("coalesce(price_reasoning::text, 'none')"), "none",
           "what it says no longer is gone");
    is_str(column("active"), "t", "the model is not");
}


static void
test_by_hand(void)
{
    mg_model_t        m;
    mg_store_sync_t  *s;

    m = stored(ONE);
    m.price[MG_PRICE_OUTPUT] = 5;
    m.description = mg_str_null;
    ok(mg_store_model_update(db, &db_actor, &m, &db_error) == MG_OK,
       "two fields by hand");
    is_str(column("manual_fields"), "{description,price_output}", "noted");

    /* every source says otherwise, in a higher and in a lower rank */

    s = begin(&own);
    db_model_init(&m, "acme", "one");
    m.price[MG_PRICE_OUTPUT] = 6;
    m.description = mg_str("ours");
    add(s, &m);
    add_named(s, "new");
    (void) end(s, 1);

    s = begin(&dev);
    dev_says(&m);
    m.context = 4321;
    add(s, &m);
    add_named(s, "two");
    add_named(s, "later");
    (void) end(s, 1);

    m = stored(ONE);
    is_int(m.price[MG_PRICE_OUTPUT], 5, "the price stays");
    ok(m.description.data == NULL, "and so does what is to be unknown");
    is_int(m.context, 4321, "all else is refreshed");
    like(m.provenance.data, "\"pricing.output\":\"manual\"", "by whom");
    like(m.provenance.data, "\"description\":\"manual\"", "unknown, too");

    m.description = mg_str("By hand.");
    ok(mg_store_model_update(db, &db_actor, &m, &db_error) == MG_OK,
       "unknown no more");
    is_str(column("description"), "By hand.", "another value");
    is_str(column("manual_fields"), "{description,price_output}",
           "the same fields");

    /* made by hand: what it leaves open, others may fill */

    db_model_init(&m, "acme", "ours");
    m.context = 10;
    m.name_inferred = 1;
    m.type = MG_TYPE_OTHER;
    ok(mg_store_model_create(db, &db_actor, &m, &db_error) == MG_OK,
       "a model by hand");

    s = begin(&dev);
    dev_says(&m);
    add(s, &m);
    add_named(s, "two");
    add_named(s, "later");
    db_model_init(&m, "acme", "ours");
    m.name = mg_str("Theirs");
    m.context = 20;
    m.knowledge = mg_str("2025");
    add(s, &m);
    is_str(end(s, 1), "0 2 0 2 0 0", "is listed, too");
    is_str(db_text("select concat_ws(' ', name, model_type, context_length, "
                   "knowledge, source) from model.models_metadata "
                   "where id = 'acme/ours'"), "Theirs chat 10 2025 manual",
           "what was set stays, what was open is filled");

    ok(mg_store_model_delete(db, &db_actor, mg_str("acme/ours"), &db_error)
       == MG_OK, "deleted");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where id = 'acme/ours' and deleted_at is not null"), 1,
           "is hidden: a source lists it");
    ok(mg_store_model_create(db, &db_actor, &m, &db_error) == MG_OK,
       "made again");
    is_str(db_text("select name || ' ' || context_length "
                   "from model.models_metadata where id = 'acme/ours'"),
           "Theirs 20", "with what it says now");

    /* a row that somebody has written past the sources */

    db_run("insert into model.models_metadata (id, provider_id, "
           "provider_model_id, name, family) "
           "values ('acme/sql', 'acme', 'sql', 'By SQL', 'f')");
    m = stored("acme/sql");
    m.context = 5;
    ok(mg_store_model_update(db, &db_actor, &m, &db_error) == MG_OK,
       "a row of SQL is changed");
    is_str(db_text("select concat_ws(' ', name, family, context_length) "
                   "from model.models_metadata where id = 'acme/sql'"),
           "By SQL f 5", "and keeps what it had");
}


/* Twenty models of one provider, less some. */

static const char *
sync_many(const mg_sync_scope_t *scope, unsigned n, int complete)
{
    char              name[16];
    unsigned          i;
    mg_model_t        m;
    mg_provider_t     p;
    mg_store_sync_t  *s;

    s = mg_store_sync_begin(db, scope, &db_error);
    if (s == NULL) {
        return db_error.message;
    }

    mg_provider_init(&p);
    p.id = mg_str("many");
    p.name = mg_str("Many");

    if (n > 0) {
        (void) mg_store_sync_provider(s, &p, &db_error);
    }

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "m%u", i);
        db_model_init(&m, "many", name);
        add(s, &m);
    }

    p.id = mg_str("stays");
    p.name = mg_str("Stays");
    (void) mg_store_sync_provider(s, &p, &db_error);
    db_model_init(&m, "stays", "m");
    add(s, &m);

    return end(s, complete);
}


static void
test_shrink(void)
{
    mg_sync_scope_t  scope;

    memset(&scope, 0, sizeof(scope));
    scope.source = mg_str("many");
    scope.rank = MG_RANK_LIST;
    scope.creates = 1;
    scope.authority = 1;

    is_str(sync_many(&scope, 20, 1), "21 0 0 0 0 0", "twenty models");
    is_str(sync_many(&scope, 10, 0), "0 0 0 11 0 0",
           "half a list removes nothing");
    is_str(sync_many(&scope, 16, 1), "0 0 4 17 0 0",
           "a fifth may go at once");
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'many' and not active"), 4,
           "inactive, not deleted");
    is_str(sync_many(&scope, 12, 1), "0 0 0 13 0 4", "a quarter is held");
    is_str(sync_many(&scope, 0, 1), "0 0 0 1 0 16",
           "and so is a provider that is gone");
    is_str(db_text("select active from model.providers where id = 'many'"),
           "t", "it stays with its models");
    is_str(db_text("select held from model.models_refresh_history "
                   "order by started_at desc limit 1"), "16",
           "the history says it");

    scope.shrink = 30;
    is_str(sync_many(&scope, 12, 1), "0 0 4 13 0 0", "another share");
    scope.shrink = 0;
    is_str(sync_many(&scope, 16, 1), "0 4 0 13 0 0", "they come back");
    is_str(db_text("select count(*) from model.model_sources "
                   "where source = 'many' and gone_at is not null"), "4",
           "but for those that are still away");

    scope.force = 1;
    is_str(sync_many(&scope, 0, 1), "0 0 16 1 0 0", "forced");
    is_str(db_text("select active from model.providers where id = 'many'"),
           "f", "the provider is gone, too");
}


/* The word of a higher authority on what exists counts. */

static void
test_existence(void)
{
    mg_sync_scope_t   o;
    mg_store_sync_t  *s;

    o = own;
    o.force = 1;

    s = begin(&o);
    add_named(s, "one");
    add_named(s, "new");
    add_named(s, "two");
    (void) end(s, 1);

    s = begin(&o);
    add_named(s, "one");
    add_named(s, "new");
    is_str(end(s, 1), "0 0 1 2 0 0", "its provider drops a model");
    is_str(db_text("select active from model.models_metadata "
                   "where id = 'acme/two'"), "f",
           "it is gone, though models.dev lists it");

    s = begin(&o);
    add_named(s, "one");
    add_named(s, "new");
    add_named(s, "two");
    is_str(end(s, 1), "0 1 0 2 0 0", "and offers it again");
}


/* -- what may be forgotten, history -- */

static void
test_retention(void)
{
    int64_t             removed;
    unsigned            n;
    mg_sync_scope_t     o;
    mg_sync_history_t  *h;

    o = own;
    o.etag = mg_str("\"v2\"");
    ok(mg_store_sync_unchanged(db, &o, mg_now_us(), &db_error) == MG_OK,
       "nothing new");
    ok(mg_store_sync_history(db, mg_str("openai"), mg_str("acme"), 2,
                             db_arena, &h, &n, &db_error) == MG_OK && n == 2,
       "history of one list");
    is_str(db_z(h[0].status), "unchanged", "of which the newest");
    is_str(db_z(h[0].etag), "\"v2\"", "with its ETag");
    is_str(db_z(h[1].provider), "acme", "provider");
    is_str(db_z(h[1].fields), "{\"active\": 1}", "and fields");

    db_run("update model.models_refresh_history "
           "set started_at = started_at - interval '40 days' "
           "where source in ('openai', 'litellm')");
    db_run("insert into model.models_refresh_history (source, status, "
           "started_at, error) values "
           "('dead', 'failed', now() - interval '50 days', 'x'), "
           "('dead', 'failed', now() - interval '45 days', 'y')");

    /* inactive for long, but ... */

    db_run("update model.model_sources set gone_at = now() "
           "- interval '40 days' where gone_at is not null");
    db_run("insert into model.model_groups (name, salt) "
           "values ('keeps', decode(md5('x'), 'hex'))");
    db_run("insert into model.model_group_memberships (group_id, model_id, "
           "role, traffic_percentage, buckets) select id, 'many/m1', "
           "'champion', 100, '{[0,10000)}' from model.model_groups");
    db_run("update model.models_metadata set manual_fields = '{name}' "
           "where id = 'many/m2'");
    db_run("update model.models_metadata set deleted_at = now() "
           "where id = 'many/m3'");
    db_run("update model.model_sources set gone_at = now() "
           "where id = 'many/m4'");

    ok(mg_store_catalog_retain(db, 30, 30, &removed, &db_error) == MG_OK,
       "retention");
    is_int(removed, 16, "models that are gone");
    is_str(db_text("select string_agg(id, ' ' order by id) "
                   "from model.models_metadata where provider_id = 'many'"),
           "many/m1 many/m2 many/m3 many/m4",
           "not those of a group, set by hand, hidden, or gone just now");
    is_int(db_int("select count(*) from model.model_sources "
                  "where provider_id = 'many'"), 4, "nor what is said of");
    is_str(db_text("select string_agg(source || ' ' || status, ', ' "
                   "order by source, status) "
                   "from model.models_refresh_history where source in "
                   "('openai', 'litellm', 'dead')"),
           "dead failed, litellm completed, openai completed, "
           "openai unchanged", "the last rows of each list stay");
}


int
main(void)
{
    db_start();
    test_precedence();
    test_completes();
    test_by_hand();
    test_shrink();
    test_existence();
    test_retention();

    return db_done();
}
