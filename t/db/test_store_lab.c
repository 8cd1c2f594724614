/*
 * Models by the names of their labs, and benchmarks: if this breaks, a result
 * is shown of a model that it is not about, or twice, or goes because half a
 * list came.
 */

#include "sync.h"


static void
result(mg_store_sync_t *s, const char *model, const char *name,
    const char *score, const char *metric)
{
    mg_benchmark_t  b;

    memset(&b, 0, sizeof(b));
    b.model_id = mg_str_z(model);
    b.name = mg_str_z(name);
    b.score = mg_str_z(score);
    b.metric = metric ? mg_str_z(metric) : mg_str_null;
    b.date = mg_str("2026-02");

    if (mg_store_sync_benchmark(s, &b, &db_error) != MG_OK) {
        fail("benchmark: %s", db_error.message);
    }
}


static void
test_labs(void)
{
    mg_model_t        m;
    mg_provider_t     p;
    mg_store_sync_t  *s;

    s = begin(&dev);
    mg_provider_init(&p);
    p.id = mg_str("router");
    p.name = mg_str("Router");
    (void) mg_store_sync_provider(s, &p, &db_error);
    db_model_init(&m, "router", "Lab/Big");
    add(s, &m);
    db_model_init(&m, "router", "big");
    add(s, &m);
    db_model_init(&m, "router", "bigger");
    add(s, &m);
    (void) end(s, 0);

    s = mg_store_sync_begin(db, &by_lab, &db_error);
    db_model_init(&m, "lab", "big");
    m.version = mg_str("3");
    m.caps[MG_CAP_REASONING] = 1;
    add(s, &m);
    db_model_init(&m, "lab", "nowhere");
    add(s, &m);
    result(s, "lab/big", "MMLU", "88.70", "accuracy");
    result(s, "lab/big", "MMLU", "12", "accuracy");
    result(s, "lab/big", "MMLU", "0.5", NULL);
    result(s, "lab/big", "Elo", "-3", NULL);
    result(s, "lab/nowhere", "MMLU", "1", NULL);
    result(s, "lab/big", "Bad", "1e9999", NULL);
    result(s, "lab/big", "Bad", "NaN", NULL);
    result(s, "lab/big", "", "1", NULL);
    is_str(end(s, 1), "0 2 0 0 3 0", "a model of a lab");
    is_str(db_text("select string_agg(concat_ws(' ', id, version, "
                   "supports_reasoning, sources #>> "
                   "'{models.dev-models,id}'), ', ' order by id) "
                   "from model.models_metadata where provider_id = "
                   "'router'"),
           "router/Lab/Big 3 t lab/big, router/big 3 t lab/big, "
           "router/bigger", "is every provider's model of that name");
    is_str(db_text("select string_agg(concat_ws(' ', name, score, metric), "
                   "', ' order by name, score desc) "
                   "from model.model_benchmarks where model_id = "
                   "'router/big'"),
           "Elo -3, MMLU 88.70 accuracy, MMLU 0.5",
           "with its results, the first of equals");
}


static void
test_benchmarks(void)
{
    int64_t           raised;
    unsigned          n;
    mg_benchmark_t    b;
    mg_benchmark_t   *rows;
    mg_store_sync_t  *s;

    raised = db_raised("catalog");
    s = mg_store_sync_begin(db, &by_lab, &db_error);
    result(s, "lab/big", "MMLU", "88.7", "accuracy");
    result(s, "lab/big", "MMLU", "0.50", NULL);
    result(s, "lab/big", "Elo", "-3.0", NULL);
    (void) end(s, 0);
    is_int(db_raised("catalog"), raised, "the same results, no generation");

    s = mg_store_sync_begin(db, &by_lab, &db_error);
    result(s, "lab/big", "MMLU", "90", "accuracy");
    result(s, "lab/big", "Elo", "-3", NULL);
    (void) end(s, 1);
    is_str(db_text("select string_agg(score::text, ' ' order by score) "
                   "from model.model_benchmarks "
                   "where model_id = 'router/big'"), "-3 0.5 90",
           "one changes, a third that is missing is held");
    ok(db_raised("catalog") > raised, "which is a change of the catalog");

    memset(&b, 0, sizeof(b));
    b.model_id = mg_str("router/big");
    b.name = mg_str("House");
    b.score = mg_str("1.500");
    b.url = mg_str("https://example.net/");
    b.date = mg_str("2026-03-01");
    ok(mg_store_benchmark_put(db, &db_actor, &b, &db_error) == MG_OK,
       "by hand: %s", db_error.message);
    b.score = mg_str("2");
    ok(mg_store_benchmark_put(db, &db_actor, &b, &db_error) == MG_OK,
       "once more");
    ok(mg_store_benchmarks(db, mg_str_null, b.model_id, db_arena, &rows, &n,
                           &db_error) == MG_OK && n == 4, "four results");
    is_str(db_z(rows[0].score), "2", "the newest first, put once");
    is_str(db_z(rows[0].source), "manual", "by hand");
    is_str(db_z(rows[0].url), "https://example.net/", "where");
    is_str(db_z(rows[3].name), "MMLU", "in order");

    s = mg_store_sync_begin(db, &(mg_sync_scope_t) {
            .source = by_lab.source, .rank = by_lab.rank, .labs = 1,
            .force = 1 }, &db_error);
    result(s, "lab/big", "Elo", "-3", NULL);
    (void) end(s, 1);
    is_str(db_text("select string_agg(name, ' ' order by name) "
                   "from model.model_benchmarks "
                   "where model_id = 'router/big'"), "Elo House",
           "forced; what was put by hand stays");

    b.model_id = mg_str("router/none");
    ok(mg_store_benchmark_put(db, &db_actor, &b, &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "of a model that is not there");
    b.model_id = mg_str("router/big");
    b.score = mg_str("1; drop");
    ok(mg_store_benchmark_put(db, &db_actor, &b, &db_error) == MG_ERROR
       && db_error.kind == MG_E_INVALID, "not a number");
    is_str(db_error.param, "score", "names the member");
    ok(mg_store_benchmarks(db, mg_str_null, mg_str("router/none"), db_arena,
                           &rows, &n, &db_error) == MG_OK && n == 0,
       "of an unknown model: none");
}


int
main(void)
{
    db_start();
    test_labs();
    test_benchmarks();

    return db_done();
}
