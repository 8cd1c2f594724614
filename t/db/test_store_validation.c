/*
 * Validations of thousands of models: if this breaks, a run gets slower with
 * what the database has learned of the runs before it, until most of its
 * time goes into notes of what it is about to do.
 */

#include <stdio.h>

#include "db.h"


/* Of results, in this transaction: through an index, and one after another. */

static int64_t
rows_read(void)
{
    return db_int("select pg_stat_get_xact_tuples_fetched(t) "
                  "+ pg_stat_get_xact_tuples_returned(t) from (values "
                  "('model.ai_model_validation_results'::regclass)) x (t)");
}


/*
 * 64 models are begun by their names and not by reading all rows of the run,
 * also where a history of large runs has turned the planner against loops.
 */

static void
test_begin(void)
{
    unsigned                       i;
    int64_t                        before, read;
    char                           names[64][16];
    mg_error_t                     e;
    mg_str_t                       run;
    mg_validation_model_t          models[64];
    const mg_validation_model_t   *begun[64];

    db_run("insert into model.ai_model_validation_progress "
           "(provider_id, status, error) select 'demo', 'failed', n::text "
           "from generate_series(1, 2) n");
    db_run("insert into model.ai_model_validation_results "
           "(validation_id, model_id) select v.id, 'demo/m-' || n "
           "from model.ai_model_validation_progress v, "
           "generate_series(1, 10000) n where v.error ~ '^[0-9]+$'");
    db_run("analyze model.ai_model_validation_results");

    run = mg_str_z(db_text("select id from model.ai_model_validation_progress "
                           "where error = '2'"));

    for (i = 0; i < 64; i++) {
        (void) snprintf(names[i], sizeof(names[i]), "demo/m-%u", 1 + i * 150);
        memset(&models[i], 0, sizeof(mg_validation_model_t));
        models[i].id = mg_str_z(names[i]);
        begun[i] = &models[i];
    }

    db_run("begin");
    db_run("set local enable_nestloop = off");

    /* from the sixth time on the plan is one for all */

    for (i = 0; i < 8; i++) {
        before = rows_read();
        ok(mg_store_validation_begin(db, run, begun, 64, &e) == MG_OK,
           "64 of 10000 models are begun, time %u", i + 1);
        read = rows_read() - before;
        ok(read <= 64 * 3, "by reading few rows: %d", (int) read);
    }

    is_int(db_int("select count(*) from model.ai_model_validation_results "
                  "where begun = 1"), 64, "these and no others");
    db_run("rollback");
}


/* Of models and what sources say of them, by all transactions. */

static int64_t
models_read(void)
{
    db_run("select pg_stat_force_next_flush()");

    return db_int("select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) "
                  "from pg_stat_all_tables where relid in "
                  "('model.models_metadata'::regclass, "
                  "'model.model_sources'::regclass)");
}


/* A provider beside one that has ten thousand models, and a run of it. */

static mg_str_t
crowd(void)
{
    mg_validation_t  v;

    db_provider("small");
    db_provider("demo");
    db_run("insert into model.models_metadata (id, provider_id, "
           "provider_model_id, name) select 'demo/m-' || n, 'demo', "
           "'m-' || n, n from generate_series(1, 10000) n");
    db_run("insert into model.model_sources (id, source, rank, provider_id) "
           "select id, 'openai', 3, provider_id from model.models_metadata");
    is_int(db_int("select count(*) from model.models_metadata"), 10000,
           "models of others");

    if (mg_store_validation_create(db, &db_actor, mg_str("small"), 0,
                                   db_arena, &v, &db_error) != MG_OK)
    {
        fail("create: %s", db_error.message);
    }

    return v.id;
}


static void
list_make(mg_validation_list_t *list, mg_buf_t *rows, unsigned n)
{
    char        name[16];
    unsigned    i;
    mg_model_t  m;

    mg_buf_init(rows, 0);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "s-%u", i % (n - 1));
        db_model_init(&m, "small", name);
        m.source = mg_str("openai");
        mg_store_validation_row(rows, &m);
    }

    memset(list, 0, sizeof(mg_validation_list_t));
    list->rows = mg_buf_view(rows);
    list->n_rows = n;
    list->authority = mg_str("openai");
}


static const char *
health(const char *id)
{
    char  sql[128];

    (void) snprintf(sql, sizeof(sql), "select health_status "
                    "from model.models_metadata where id = '%s'", id);

    return db_text(sql);
}


/*
 * A list of few and the results of few cost few reads, whoever has how many
 * models beside them; the first and the last of a list may be one, also where
 * it is stored in parts.
 */

static void
test_few(void)
{
    unsigned                i;
    int64_t                 before, read;
    mg_str_t                run;
    mg_buf_t                rows;
    mg_error_t              e;
    mg_validation_t         v;
    mg_validation_list_t    list;
    mg_validation_news_t    news = { { NULL, 0 }, NULL, MG_UNKNOWN };
    mg_validation_result_t  r;

    run = crowd();

    list_make(&list, &rows, 4);
    before = models_read();

    ok(mg_store_validation_discovered(db, run, &list, &e) == MG_OK,
       "a list of four: %s", e.message);
    mg_buf_free(&rows);

    read = models_read() - before;
    ok(read <= 500, "by reading few models: %d", (int) read);
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'small'"), 3, "two of them are one");

    list_make(&list, &rows, 1000);
    ok(mg_store_validation_discovered(db, run, &list, &e) == MG_OK,
       "a list of a thousand: %s", e.message);
    mg_buf_free(&rows);
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'small'"), 999, "two of them are one");

    memset(&r, 0, sizeof(r));
    r.model_id = mg_str("small/s-1");
    r.latency_us = 1000;
    r.tested_at = mg_now_us();

    for (i = 0; i < 8; i++) {
        r.available = !r.available;
        before = models_read();
        ok(mg_store_validation_save(db, run, &r, 1, 0, &news, &v, db_arena, &e)
           == MG_OK, "a result, time %u: %s", i + 1, e.message);
        read = models_read() - before;
        ok(read <= 50, "by reading few models: %d", (int) read);
    }

    is_int(v.validated, 1, "counted once");

    /* the catalog is told now and then */

    is_str(health("small/s-1"), "unknown", "its health is not told yet");
    ok(mg_store_validation_health(db, run, r.tested_at + 5000, db_arena, &e)
       == MG_OK, "later results: %s", e.message);
    is_str(health("small/s-1"), "unknown", "are none");
    before = models_read();
    ok(mg_store_validation_health(db, run, r.tested_at, db_arena, &e)
       == MG_OK, "results since then: %s", e.message);
    read = models_read() - before;
    ok(read <= 50, "by reading few models: %d", (int) read);
    is_str(health("small/s-1"), "unavailable", "its health");

    r.available = 1;
    before = models_read();
    ok(mg_store_validation_save(db, run, &r, 1, 1, &news, &v, db_arena, &e)
       == MG_OK, "one of many: %s", e.message);
    read = models_read() - before;
    ok(read <= 50, "by reading few models: %d", (int) read);
    is_str(health("small/s-1"), "available", "its health is told with it");

    r.available = 0;
    ok(mg_store_validation_save(db, run, &r, 1, 0, &news, &v, db_arena, &e)
       == MG_OK, "another one: %s", e.message);
    ok(mg_store_validation_state(db, run, MG_JOB_COMPLETED, MG_UNKNOWN,
                                 mg_str_null, &e) == MG_OK, "the end");
    is_str(health("small/s-1"), "unavailable", "has told of all");
    r.available = 1;

    /* a group may have to be served without it */

    db_run("insert into model.model_groups (name, salt) values ('user', "
           "decode(md5('x'), 'hex'))");
    db_run("insert into model.model_group_memberships (group_id, model_id, "
           "role, traffic_percentage) select id, 'small/s-2', 'champion', 100 "
           "from model.model_groups");
    r.model_id = mg_str("small/s-2");
    before = models_read();
    ok(mg_store_validation_save(db, run, &r, 1, 0, &news, &v, db_arena, &e)
       == MG_OK, "a member of a group: %s", e.message);
    read = models_read() - before;
    ok(read <= 50, "by reading few models: %d", (int) read);
    is_str(health("small/s-2"), "available", "the catalog is told at once");
}


int
main(void)
{
    db_start();
    test_begin();
    test_few();

    return db_done();
}
