/*
 * Connections: if this breaks, a value reaches SQL in another form than it
 * was given, an error shows what it must not, or a thread hangs when the
 * database goes away.
 */

#include <pthread.h>
#include <unistd.h>

#include "db.h"


static void
test_params(void)
{
    uint8_t          bytes[256];
    unsigned         i;
    mg_str_t         s;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    static const char  evil[] = "a'b\"c\\d\n\t; drop table x; -- "
                                "%s $1 \xc3\xa9";

    for (i = 0; i < 256; i++) {
        bytes[i] = (uint8_t) i;
    }

    mg_pg_params_init(&p, db_arena);
    mg_pg_param_str(&p, mg_str_z(evil));
    mg_pg_param_str(&p, mg_str_null);
    mg_pg_param_int(&p, INT64_MAX);
    mg_pg_param_int(&p, MG_UNKNOWN);
    mg_pg_param_bool(&p, 1);
    mg_pg_param_bool(&p, -1);
    mg_pg_param_time(&p, 1767225600123456LL);
    mg_pg_param_time(&p, 0);
    mg_pg_param_bytes(&p, mg_str_n((char *) bytes, sizeof(bytes)));

    ok(mg_pg_exec(db, "select $1::text, $2::text, $3::bigint, $4::bigint, "
                  "$5::boolean, $6::boolean, $7::timestamptz, "
                  "$8::timestamptz, $9::bytea, ''::text", &p, &r, &db_error)
       == MG_OK, "nine parameters");

    is_str(db_z(mg_pg_rows_str(r, 0, 0)), evil, "text comes back as it was");
    ok(mg_pg_rows_str(r, 0, 1).data == NULL, "absent is null");
    ok(mg_pg_rows_str(r, 0, 9).data != NULL, "empty is not null");
    is_int(mg_pg_rows_int(r, 0, 2), INT64_MAX, "largest number");
    is_int(mg_pg_rows_int(r, 0, 3), MG_UNKNOWN, "unknown is null");
    is_int(mg_pg_rows_tri(r, 0, 4), 1, "true");
    is_int(mg_pg_rows_tri(r, 0, 5), -1, "unknown boolean is null");
    is_int(mg_pg_rows_time(r, 0, 6), 1767225600123456LL,
           "time keeps its microseconds");
    is_int(mg_pg_rows_time(r, 0, 7), 0, "no time is null");

    s = mg_pg_rows_bytes(r, 0, 8, db_arena);
    is_mem(s.data, s.len, bytes, sizeof(bytes), "all bytes");
    mg_pg_rows_free(r);

    mg_pg_params_init(&p, db_arena);
    mg_pg_param_str(&p, mg_str_n("a\0b", 3));
    ok(mg_pg_exec(db, "select $1::text", &p, NULL, &db_error) == MG_ERROR,
       "a NUL in a text is refused");
    is_int(db_error.kind, MG_E_INVALID, "as invalid");

    is_str(mg_pg_ident(db_arena, "mo\"del", mg_str("x\"; drop--")).data,
           "\"mo\"\"del\".\"x\"\"; drop--\"", "identifiers are quoted");
}


static void
test_errors(void)
{
    db_run("create temp table t (a int primary key, secret text "
           "check (secret <> 'hush'))");
    db_run("insert into t values (1, 'xyzzy')");

    ok(db_refused("insert into t values (1, 'xyzzy')", "23505"), "unique");
    is_int(db_error.kind, MG_E_CONFLICT, "is a conflict");
    unlike(db_error.message, "xyzzy", "the message shows no row");

    ok(db_refused("insert into t values (2, 'hush')", "23514"), "check");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");
    unlike(db_error.message, "hush", "the message shows no row");

    ok(db_refused("select 'x'::uuid", "22P02"), "data");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");

    db_run("set statement_timeout = 50");
    ok(db_refused("select pg_sleep(5)", "57014"), "a slow statement");
    is_int(db_error.kind, MG_E_TIMEOUT, "is a time-out");
    db_run("reset statement_timeout");

    ok(mg_pg_begin(db, &db_error) == MG_OK, "begin");
    (void) db_refused("select 1/0", "22012");
    ok(mg_pg_commit(db, &db_error) == MG_ERROR,
       "a failed transaction does not commit");
    is_str(db_text("select 1"), "1", "and the connection goes on");
    is_str(db_text("show client_encoding"), "UTF8", "client_encoding");
    is_str(db_text("show statement_timeout"), "10s", "statement_timeout");
    is_str(db_text("show application_name"), "store-test",
           "application_name");
}


/* BEGIN and PREPARE travel with a statement: each may be what fails. */

static int
counted(void)
{
    int            n;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(db, "select count(*) from k", NULL, &r, &db_error)
        != MG_OK)
    {
        return -1;
    }

    n = (int) mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    return n;
}


static void
test_begin(void)
{
    int  i;

    static const char  *put = "insert into k values (1)";
    static const char  *no = "insert into nowhere values (1)";

    db_run("create temp table k (a int primary key)");

    ok(mg_pg_begin(db, &db_error) == MG_OK
       && mg_pg_commit(db, &db_error) == MG_OK, "nothing is committed");

    ok(mg_pg_begin(db, &db_error) == MG_OK
       && mg_pg_exec(db, put, NULL, NULL, &db_error) == MG_OK,
       "a statement that is new to the connection begins a transaction");
    mg_pg_rollback(db);
    is_int(counted(), 0, "which can be taken back");

    for (i = 0; i < 2; i++) {
        ok(mg_pg_begin(db, &db_error) == MG_OK
           && mg_pg_exec(db, put, NULL, NULL, &db_error)
              == (i ? MG_ERROR : MG_OK), "and one that it knows, %d", i);
        is_str(mg_pg_sqlstate(db), i ? "23505" : "00000", "fails, or not");
        is_int(mg_pg_commit(db, &db_error), i ? MG_ERROR : MG_OK,
               "and so does its commit");
    }

    is_int(counted(), 1, "what was committed is there");

    for (i = 0; i < 2; i++) {
        ok(mg_pg_begin(db, &db_error) == MG_OK
           && mg_pg_exec(db, no, NULL, NULL, &db_error) == MG_ERROR,
           "a statement that cannot be prepared, %d", i);
        is_str(mg_pg_sqlstate(db), "42P01", "says why");
        like(db_error.message, "nowhere", "in words");
        mg_pg_rollback(db);
    }

    ok(mg_pg_exec(db, no, NULL, NULL, &db_error) == MG_ERROR,
       "nor is it without a transaction");
    is_str(mg_pg_sqlstate(db), "42P01", "and says why");

    db_run("create temp table nowhere (a int)");
    ok(mg_pg_exec(db, no, NULL, NULL, &db_error) == MG_OK,
       "it is prepared when it can be");

    ok(mg_pg_begin(db, &db_error) == MG_OK
       && mg_pg_copy_begin(db, "copy k from stdin", &db_error) == MG_OK
       && mg_pg_copy_data(db, mg_str("7\n"), &db_error) == MG_OK
       && mg_pg_copy_end(db, NULL, &db_error) == MG_OK, "rows in bulk");
    is_int(counted(), 2, "are seen by the one who sent them");
    mg_pg_rollback(db);
    is_int(counted(), 1, "and taken back with the transaction");
}


/* Text of COPY: the same bytes come back. */

static void
test_copy(void)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    db_run("create temp table c (i bigint, s text, n text, b boolean, "
           "t timestamptz, y bytea)");

    mg_pg_copy_int(&b, 1, INT64_MIN + 1);
    mg_pg_copy_str(&b, 0, mg_str("tab\tline\nback\\slash\r\\N \\."));
    mg_pg_copy_str(&b, 0, mg_str_null);
    mg_pg_copy_tri(&b, 0, 0);
    mg_pg_copy_time(&b, 0, 1767225600000001LL);
    mg_pg_copy_bytes(&b, 0, mg_str_n("\0\\\n\xff", 4));
    mg_buf_char(&b, '\n');

    ok(mg_pg_copy_begin(db, "copy c from stdin", &db_error) == MG_OK
       && mg_pg_copy_data(db, mg_buf_view(&b), &db_error) == MG_OK
       && mg_pg_copy_end(db, NULL, &db_error) == MG_OK, "copy");

    is_str(db_text("select count(*) from c where i = -9223372036854775807 "
                   "and n is null and not b "
                   "and t = '2026-01-01 00:00:00.000001+00' "
                   "and y = '\\x005c0aff'::bytea "
                   "and s = E'tab\\tline\\nback\\\\slash\\r\\\\N \\\\.'"),
           "1", "all columns as they were");

    ok(mg_pg_copy_begin(db, "copy c from stdin", &db_error) == MG_OK
       && mg_pg_copy_data(db, mg_buf_view(&b), &db_error) == MG_OK
       && mg_pg_copy_end(db, "enough", &db_error) == MG_ERROR,
       "a copy that is given up");
    is_str(db_text("select count(*) from c"), "1", "leaves no row");

    mg_buf_free(&b);
}


static void *
checkout_thread(void *data)
{
    (void) data;

    return mg_pg_checkout(db_pool, &db_error);
}


/*
 * Eight connections and no more; who waits gets the one that is given back.
 * Jobs leave four of them: without that, jobs that wait for one another keep
 * the API from the database.
 */

static void
test_pool(void)
{
    void       *got;
    int64_t     start;
    mg_pg_t    *c[8];
    unsigned    i;
    pthread_t   t;
    mg_error_t  e;

    c[0] = db;

    for (i = 1; i < 4; i++) {
        c[i] = mg_pg_checkout_job(db_pool, &e);
    }

    ok(c[3] != NULL, "a job gets the fourth connection");
    ok(mg_pg_checkout_job(db_pool, &e) == NULL, "but not the fifth");

    for (i = 4; i < 8; i++) {
        c[i] = mg_pg_checkout(db_pool, &e);
    }

    ok(c[7] != NULL, "eight connections");

    start = mg_mono_us();
    ok(mg_pg_checkout(db_pool, &e) == NULL, "not nine");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
    ok(mg_mono_us() - start > 1000000, "after a wait");

    (void) pthread_create(&t, NULL, checkout_thread, NULL);
    usleep(50000);
    mg_pg_release(c[7]);
    (void) pthread_join(t, &got);
    ok(got == c[7], "a waiter gets what is given back");

    ok(mg_pg_begin(c[7], &e) == MG_OK
       && mg_pg_exec(c[7], "select 1", NULL, NULL, &e) == MG_OK,
       "a transaction left open");

    for (i = 1; i < 8; i++) {
        mg_pg_release(c[i]);
    }

    is_int(db_int("select count(*) from pg_stat_activity "
                  "where state like 'idle in transaction%%' "
                  "and datname = current_database()"), 0,
           "is rolled back when the connection is given back");
}


static void
test_lost(void)
{
    int              n;
    int64_t          start;
    mg_pg_t         *c;
    mg_error_t       e;
    mg_pg_pool_t    *p;
    mg_pg_options_t  o;

    ok(mg_pg_pool_up(db_pool), "the database is up");

    /* killed while it is idle: the next one to ask gets a new one */

    c = mg_pg_checkout(db_pool, &e);
    n = (int) db_int("select count(pg_terminate_backend(pid)) "
                     "from pg_stat_activity where pid <> pg_backend_pid() "
                     "and datname = current_database()");
    ok(n > 0, "connections killed");
    usleep(100000);

    ok(mg_pg_exec(c, "select 1", NULL, NULL, &e) == MG_ERROR,
       "a killed connection fails");
    is_int(e.kind, MG_E_UNAVAILABLE, "as unavailable");
    ok(!mg_pg_pool_up(db_pool), "the pool says so");

    start = mg_mono_us();
    mg_pg_release(c);
    c = mg_pg_checkout(db_pool, &e);
    ok(c == NULL && mg_mono_us() - start < 500000,
       "for a second nobody tries");

    usleep(1100000);
    c = mg_pg_checkout(db_pool, &e);
    ok(c != NULL && mg_pg_exec(c, "select 1", NULL, NULL, &e) == MG_OK,
       "then a new one is made");
    ok(mg_pg_pool_up(db_pool), "and the pool is up");
    mg_pg_release(c);

    o = db_options();
    o.conninfo = "host=/nowhere dbname=x password=sesame";
    p = mg_pg_pool_create(&o);
    ok(mg_pg_checkout(p, &e) == NULL, "nothing listens");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
    unlike(e.message, "sesame", "the password is not shown");
    mg_pg_pool_destroy(p);

    o.conninfo = "this is = no conninfo sesame";
    p = mg_pg_pool_create(&o);
    ok(mg_pg_checkout(p, &e) == NULL, "a conninfo that cannot be read");
    unlike(e.message, "sesame", "is not shown either");
    mg_pg_pool_destroy(p);
}


/* A server that stops without closing anything. */

static void
test_stopped(void)
{
    pid_t            pid;
    int64_t          start;
    mg_pg_t         *c;
    mg_error_t       e;
    mg_pg_rows_t    *r;
    mg_pg_pool_t    *p;
    mg_pg_options_t  o;

    o = db_options();
    o.statement_timeout_ms = 100;
    p = mg_pg_pool_create(&o);
    c = mg_pg_checkout(p, &e);

    while (mg_pg_exec(c, "select pg_backend_pid()", NULL, &r, &e) != MG_OK) {
        diag("%s", e.message);
        mg_pg_release(c);
        c = mg_pg_checkout(p, &e);
    }

    pid = (pid_t) mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    if (kill(pid, SIGSTOP) != 0) {
        diag("the server's processes are another user's: not stopped");

    } else {
        start = mg_mono_us();
        ok(mg_pg_exec(c, "select 1", NULL, NULL, &e) == MG_ERROR,
           "no answer comes");
        is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
        ok(mg_mono_us() - start > 100000, "after the time-out");
        (void) kill(pid, SIGCONT);
    }

    mg_pg_release(c);
    mg_pg_pool_destroy(p);
}


/* Every change is heard once however many statements it has. */

static void
test_listen(void)
{
    int                n, i;
    mg_error_t         e;
    mg_pg_options_t    o;
    mg_pg_listener_t  *l;

    o = db_options();
    l = mg_pg_listener_open(&o, "model_generation", &e);
    ok(l != NULL && mg_pg_listener_fd(l) >= 0, "a listener");
    is_int(mg_pg_listener_read(l), 0, "hears nothing yet");

    db_run("insert into model.providers (id, name) values ('heard', 'x'), "
           "('heard2', 'x')");

    for (n = 0, i = 0; n == 0 && i < 2000; i++) {
        usleep(10000);
        n = mg_pg_listener_read(l);
    }

    is_int(n, 2, "an insert is heard as catalog and as routing");
    db_run("delete from model.providers");
    db_run("select pg_terminate_backend(pid) from pg_stat_activity "
           "where query like 'listen %' and pid <> pg_backend_pid()");

    for (i = 0; n >= 0 && i < 2000; i++) {
        usleep(10000);
        n = mg_pg_listener_read(l);
    }

    is_int(n, -1, "a lost connection is seen");
    is_int(mg_pg_listener_fd(l), -1, "and has no socket");
    mg_pg_listener_close(l);
}


int
main(void)
{
    db_start();
    test_params();
    test_errors();
    test_begin();
    test_copy();
    test_pool();
    test_lost();
    test_stopped();
    test_listen();

    return db_done();
}
