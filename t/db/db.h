/*
 * What the tests of the store share: a pool on the database that
 * MODEL_TEST_CONNINFO names, one connection of it, one arena that lives as
 * long as the test, and small questions to the database.  The database is
 * the test's own, migrated and otherwise empty.  Without the variable a test
 * is skipped.
 */

#ifndef DB_H
#define DB_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/mg_store.h"
#include "store/mg_store_column.h"
#include "tap.h"


static mg_pg_pool_t  *db_pool;
static mg_pg_t       *db;
static mg_arena_t    *db_arena;
static mg_error_t     db_error;
static mg_actor_t     db_actor = { mg_str(MG_ORG_DEFAULT), { NULL, 0 },
                                    NULL, { NULL, 0 } };


/* the options of the pool, for a second one or a listener */

TAP_UNUSED static mg_pg_options_t
db_options(void)
{
    mg_pg_options_t  o;

    memset(&o, 0, sizeof(o));
    o.conninfo = getenv("MODEL_TEST_CONNINFO");
    o.application = "store-test";

    return o;
}


TAP_UNUSED static void
db_start(void)
{
    mg_pg_options_t  o;

    (void) signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);

    o = db_options();

    if (o.conninfo == NULL) {
        printf("1..0 # SKIP MODEL_TEST_CONNINFO is not set\n");
        exit(0);
    }

    db_pool = mg_pg_pool_create(&o);
    db_arena = mg_arena_create(0);
    db = mg_pg_checkout(db_pool, &db_error);

    if (db == NULL) {
        printf("Bail out!  %s\n", db_error.message);
        exit(1);
    }
}


TAP_UNUSED static int
db_done(void)
{
    mg_pg_release(db);
    mg_pg_pool_destroy(db_pool);
    mg_arena_destroy(db_arena);

    return done_testing();
}


/* the first column of the first row, "" for none; text made by printf */

TAP_UNUSED static const char *
db_text(const char *fmt, ...)
{
    char           sql[4096];
    va_list        args;
    mg_str_t       s;
    mg_pg_rows_t  *r;

    va_start(args, fmt);
    (void) vsnprintf(sql, sizeof(sql), fmt, args);
    va_end(args);

    if (mg_pg_exec_dynamic(db, sql, NULL, &r, &db_error) != MG_OK) {
        diag("%s: %s", sql, db_error.message);
        return "ERROR";
    }

    s = mg_pg_rows_count(r) ? mg_pg_rows_str(r, 0, 0) : mg_str_null;
    s = mg_arena_dup(db_arena, s.data ? s : mg_str(""));
    mg_pg_rows_free(r);

    return s.data;
}


#define db_int(...)  atoll(db_text(__VA_ARGS__))


/* how often a generation was raised */

TAP_UNUSED static int64_t
db_raised(const char *name)
{
    return db_int("select raised from model.catalog_generation "
                  "where name = '%s'", name);
}


/* a statement that must work */

TAP_UNUSED static int
db_run(const char *sql)
{
    if (mg_pg_exec_dynamic(db, sql, NULL, NULL, &db_error) != MG_OK) {
        diag("%s: %s", sql, db_error.message);
        return 0;
    }

    return 1;
}


/* the statement fails with this SQLSTATE */

TAP_UNUSED static int
db_refused(const char *sql, const char *state)
{
    if (mg_pg_exec_dynamic(db, sql, NULL, NULL, &db_error) == MG_OK) {
        diag("not refused: %s", sql);
        return 0;
    }

    if (strcmp(mg_pg_sqlstate(db), state) != 0) {
        diag("%s: %s", mg_pg_sqlstate(db), db_error.message);
        return 0;
    }

    return 1;
}


TAP_UNUSED static const char *
db_z(mg_str_t s)
{
    return s.data ? mg_arena_dup(db_arena, s).data : NULL;
}


/* a provider and some models of it, by hand */

TAP_UNUSED static void
db_provider(const char *id)
{
    mg_provider_t  p;

    mg_provider_init(&p);
    p.id = mg_str_z(id);
    p.name = mg_str_z(id);
    p.protocol = mg_str("openai");
    p.base_url = mg_str("http://127.0.0.1:9/v1");

    ok(mg_store_provider_create(db, &db_actor, &p, &db_error) == MG_OK,
       "provider %s", id);
}


TAP_UNUSED static void
db_model_init(mg_model_t *m, const char *provider, const char *name)
{
    mg_model_init(m);
    m->id = mg_arena_printf(db_arena, "%s/%s", provider, name);
    m->provider_id = mg_str_z(provider);
    m->provider_model_id = mg_str_z(name);
    m->name = mg_str_z(name);
    m->type = MG_TYPE_CHAT;
}


TAP_UNUSED static void
db_model(const char *provider, const char *name)
{
    mg_model_t  m;

    db_model_init(&m, provider, name);

    if (mg_store_model_create(db, &db_actor, &m, &db_error) != MG_OK) {
        fail("model %s: %s", name, db_error.message);
    }
}


#endif /* DB_H */
