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


int
main(void)
{
    db_start();
    test_begin();

    return db_done();
}
