/*
 * Scores that are inferred: if this breaks, a list is sorted by scores that
 * nobody measured, a score that was set by hand is lost, or each sync and
 * each validation makes every node build a catalog that is the same.
 */

#include "sync.h"


static const char *
score(const char *name)
{
    return db_text("select coalesce(%s::text, 'none') "
                   "from model.models_metadata where id = '" ONE "'", name);
}


static void
told(const char *name, const char *value, const char *metric)
{
    mg_benchmark_t  b;

    memset(&b, 0, sizeof(b));
    b.model_id = mg_str(ONE);
    b.name = mg_str_z(name);
    b.score = mg_str_z(value);
    b.metric = metric ? mg_str_z(metric) : mg_str_null;

    ok(mg_store_benchmark_put(db, &db_actor, &b, &db_error) == MG_OK,
       "%s of %s is put: %s", value, name, db_error.message);
}


static void
list(void)
{
    mg_model_t        m;
    mg_store_sync_t  *s;

    s = begin(&dev);
    db_model_init(&m, "acme", "one");
    add(s, &m);
    db_model_init(&m, "acme", "two");
    add(s, &m);
    (void) end(s, 1);
}


static void
test_benchmark(void)
{
    int64_t  raised;

    list();
    is_str(score("benchmark_score"), "none", "nothing is known");

    told("Elo", "1280", "rating");
    told("Loss", "0.4", NULL);
    told("MMLU", "0.88", "accuracy");
    is_str(score("benchmark_score"), "none",
           "ratings, fractions and what has no unit are not percent");

    told("MMLU", "80", "accuracy (%)");
    told("MMLU", "90", "percent");
    told("SWE", "40.5", "pass@1");
    is_str(score("benchmark_score"), "62750",
           "the mean of benchmarks, each the mean of its results");
    is_str(db_text("select concat(provenance ->> 'benchmark_score', ' ', "
                   "provenance ->> 'context_length') "
                   "from model.models_metadata where id = '" ONE "'"),
           "inferred ", "it is a guess, as the provenance says");
    is_str(db_text("select rank from model.model_sources where id = '" ONE
                   "' and source = 'inferred'"), "40", "of the last rank");

    raised = db_raised("catalog");
    told("SWE", "40.5", "pass@1");
    list();
    is_int(db_raised("catalog"), raised, "the same again is no generation");
}


static void
test_popularity(void)
{
    mg_model_t        m;
    mg_store_sync_t  *s;

    static const mg_sync_scope_t  hub = {
        .source = mg_str("huggingface-hub"),
        .rank = MG_RANK_LIST
    };

    s = begin(&hub);
    db_model_init(&m, "acme", "one");
    m.extra = mg_str("{\"downloads\": 999999, \"likes\": 99}");
    add(s, &m);
    db_model_init(&m, "acme", "two");
    m.extra = mg_str("{\"downloads\": -1, \"likes\": \"many\"}");
    add(s, &m);
    (void) end(s, 1);

    is_str(score("popularity_score"), "57500",
           "10 * log(1 + likes) + 6.25 * log(1 + downloads)");
    is_str(db_text("select popularity_score is null "
                   "from model.models_metadata where id = 'acme/two'"), "t",
           "odd values are unknown");
    is_str(score("benchmark_score"), "62750", "the others stay");

    s = begin(&hub);
    db_model_init(&m, "acme", "one");
    m.extra = mg_str("{\"downloads\": 999999999999999}");
    add(s, &m);
    (void) end(s, 0);
    is_str(score("popularity_score"), "100000", "there is an upper end");
}


/* What the job does that a run leaves behind when it ends. */

static void
scores(void)
{
    int       rc;
    mg_str_t  after;

    after = mg_str_null;

    do {
        rc = mg_store_score_next(db, mg_str_null, mg_str("acme"), &after,
                                 db_arena, &db_error);
    } while (rc == MG_OK);

    if (rc != MG_DECLINED) {
        fail("scores: %s", db_error.message);
    }

    is_str(db_text("select max(id) = '%.*s' from model.models_metadata "
                   "where provider_id = 'acme' and deleted_at is null",
                   MG_STR_ARG(after)),
           "t", "up to the last model");
}


/* One run over the provider; model "one" answers, or why it does not. */

static void
run(const char *error_class)
{
    char                     sql[400];
    const char              *id;
    mg_validation_t          v;
    mg_validation_news_t     news = { { NULL, 0 }, NULL, MG_UNKNOWN };
    mg_validation_result_t   r;

    id = db_text("insert into model.ai_model_validation_progress "
                 "(provider_id, status) values ('acme', 'in_progress') "
                 "returning id");

    (void) snprintf(sql, sizeof(sql), "insert into "
                    "model.ai_model_validation_results (validation_id, "
                    "model_id) values ('%s', '" ONE "')", id);
    ok(db_run(sql), "a run");

    memset(&r, 0, sizeof(r));
    r.model_id = mg_str(ONE);
    r.available = (error_class == NULL);
    r.error_class = error_class ? mg_str_z(error_class) : mg_str_null;

    if (mg_store_validation_save(db, mg_str_z(id), &r, 1, 0, &news, &v,
                                 db_arena, &db_error)
        != MG_OK
        || mg_store_validation_state(db, mg_str_z(id), MG_JOB_COMPLETED, 1,
                                     mg_str_null, &db_error)
           != MG_OK)
    {
        fail("run: %s", db_error.message);
    }

    (void) snprintf(sql, sizeof(sql), "select count(*) from model.jobs "
                    "where kind = 'score' and key = '%s' and payload "
                    "->> 'provider_id' = 'acme'", id);
    is_str(db_text("%s", sql), "1", "its scores are asked for");
    scores();
}


static void
test_reliability(void)
{
    int      i;
    int64_t  raised;

    is_str(score("reliability_score"), "none", "nobody has asked it");

    run(NULL);
    is_str(score("reliability_score"), "100000", "it has answered");
    run("timeout");
    is_str(score("reliability_score"), "50000", "one of two");
    run("auth");
    run("unsupported");
    is_str(score("reliability_score"), "50000",
           "a bad key or what cannot be asked is not its fault");
    is_str(db_text("select reliability_score is null "
                   "from model.models_metadata where id = 'acme/two'"), "t",
           "another one was not asked");

    for (i = 0; i < 20; i++) {
        run(NULL);
    }

    is_str(score("reliability_score"), "100000", "the last 20 count");

    raised = db_raised("catalog");
    run(NULL);
    is_int(db_raised("catalog"), raised + 1,
           "the same: only when it was validated has changed");

    list();
    is_str(score("reliability_score"), "100000", "a sync leaves it alone");
}


static void
test_by_hand(void)
{
    mg_model_t  m;

    ok(mg_store_model_get(db, mg_str_null, mg_str(ONE), db_arena, &m,
                          &db_error) == MG_OK, "read");
    m.benchmark_score = 12345;
    ok(mg_store_model_update(db, &db_actor, &m, &db_error) == MG_OK,
       "a score is set by hand");
    told("MMLU", "10", "percent");
    is_str(score("benchmark_score"), "12345", "and stays");
    is_str(score("popularity_score"), "100000", "the others are as inferred");

    ok(db_run("delete from model.model_benchmarks")
       && db_run("delete from model.model_sources "
                 "where source = 'huggingface-hub'"), "all of it is gone");
    list();
    is_str(db_text("select concat_ws(' ', benchmark_score, popularity_score, "
                   "reliability_score) from model.model_sources "
                   "where id = '" ONE "' and source = 'inferred'"), "100000",
           "what nobody says any more is unknown again");
    is_str(score("popularity_score"), "none", "and does not show");
}


/* The list of a provider cannot tell, a pattern of its name can. */

static void
test_guess(void)
{
    mg_model_t        m;
    mg_store_sync_t  *s;

    s = begin(&dev);
    db_model_init(&m, "acme", "vectors");
    m.type = MG_TYPE_EMBEDDING;
    m.type_inferred = 1;
    add(s, &m);
    (void) end(s, 0);

    s = begin(&own);
    m.type = MG_TYPE_CHAT;
    add(s, &m);
    (void) end(s, 0);

    is_str(db_text("select concat(model_type, ' ', provenance ->> "
                   "'model_type') from model.models_metadata "
                   "where id = 'acme/vectors'"), "embedding inferred",
           "a guess by a pattern counts before the one that is left");

    s = begin(&own);
    m.type_inferred = 0;
    add(s, &m);
    (void) end(s, 0);
    is_str(db_text("select model_type from model.models_metadata "
                   "where id = 'acme/vectors'"), "chat",
           "but not before what is stated");
}


/* The list of acme, with its first n models. */

static const char *
few(int n)
{
    int               i;
    char              name[8];
    mg_model_t        m;
    mg_store_sync_t  *s;

    s = begin(&own);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "f%d", i);
        db_model_init(&m, "acme", name);
        add(s, &m);
    }

    return end(s, 1);
}


static void
test_few(void)
{
    ok(db_run("delete from model.model_sources where source = 'openai'"),
       "a list that was never read");

    is_str(few(4), "4 0 0 0 0 0", "four models");
    is_str(few(3), "0 0 1 3 0 0", "one of four may go");
    is_str(few(0), "0 0 0 0 0 3", "all that are left may not");
    is_str(few(1), "0 0 2 1 0 0", "two may, though they are two of three");
    is_str(few(0), "0 0 0 0 0 1", "the only one may not");
}


int
main(void)
{
    db_start();
    test_benchmark();
    test_popularity();
    test_reliability();
    test_by_hand();
    test_guess();
    test_few();

    return db_done();
}
