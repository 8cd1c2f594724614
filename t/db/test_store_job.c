/*
 * Jobs and validations: if this breaks, a job is run twice or never, one that
 * was handed over is lost, a validation's counts do not add up, or its
 * readers wait for a worker that was killed.
 */

#include <pthread.h>
#include <unistd.h>

#include "db.h"


static mg_pg_t  *other;      /* another worker's connection */


static mg_job_t
job(const char *key)
{
    mg_job_t  j;

    memset(&j, 0, sizeof(j));

    if (mg_store_job_create(db, &db_actor, "sync", mg_str_z(key),
                            mg_str("{\"source\":\"models.dev\"}"), db_arena,
                            &j, &db_error) != MG_OK)
    {
        fail("create: %s", db_error.message);
    }

    return j;
}


static int
claim_one(mg_pg_t *c, const char *owner, mg_str_t id, mg_job_t *j)
{
    return mg_store_job_claim_one(c, owner, mg_str_null, id, db_arena, j,
                                  &db_error);
}


static int
claim(mg_pg_t *c, const char *owner, mg_job_t *j)
{
    return mg_store_job_claim(c, owner, mg_str_null, db_arena, j, &db_error);
}


static void
lose(mg_job_t *j)
{
    (void) db_text("update model.jobs set lease_until = now() - interval "
                   "'1 s' where id = '%s'", db_z(j->id));
}


/* The drawing of mg_job.h, arrow by arrow. */

static void
test_states(void)
{
    int          from, to, may;
    char         sql[1024];
    mg_error_t   e;
    const char  *a, *b;

    for (from = 0; from < MG_JOB_N; from++) {
        for (to = 0; to < MG_JOB_N; to++) {

            if (from == to) {
                continue;
            }

            a = mg_job_state_names[from].data;
            b = mg_job_state_names[to].data;

            (void) mg_pg_begin(db, &e);
            db_run("insert into model.jobs (kind) values ('arrow')");

            if (from != MG_JOB_PENDING && from != MG_JOB_CANCELLED) {
                db_run("update model.jobs set state = 'in_progress', "
                       "lease_until = now() where kind = 'arrow'");
            }

            if (from > MG_JOB_IN_PROGRESS) {
                (void) snprintf(sql, sizeof(sql), "update model.jobs set "
                                "state = '%s', lease_until = null, "
                                "completed_at = now() where kind = 'arrow'",
                                a);
                db_run(sql);
            }

            (void) snprintf(sql, sizeof(sql), "update model.jobs "
                            "set state = '%s', lease_until = case '%s' when "
                            "'in_progress' then now() end, "
                            "completed_at = case when '%s' in ('pending', "
                            "'in_progress') then null else now() end "
                            "where kind = 'arrow'", b, b, b);

            may = (mg_pg_exec_dynamic(db, sql, NULL, NULL, &e) == MG_OK);
            is_int(may, mg_job_state_may(from, to), "%s -> %s", a, b);
            mg_pg_rollback(db);
        }
    }

    ok(db_refused("insert into model.jobs (kind, state, completed_at) "
                  "values ('x', 'completed', now())", "23514"),
       "a job begins as pending");
}


static void
test_claim(void)
{
    int         waiting, cancel;
    mg_job_t    j, k, l;
    mg_error_t  e;

    j = job("one");
    is_int(j.state, MG_JOB_PENDING, "pending");
    is_str(db_z(j.payload), "{\"source\": \"models.dev\"}", "payload");
    is_int(j.progress, -1, "no progress");

    ok(mg_store_job_create(db, &db_actor, "sync", mg_str("one"), mg_str_null,
                           db_arena, &k, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT, "one at a time with a key");
    ok(mg_str_eq(k.id, j.id), "and says which is there");

    ok(mg_store_job_waiting(db, mg_str_null, &waiting, &e) == MG_OK && waiting,
       "something waits");
    ok(claim(db, "A", &k) == MG_OK
       && mg_str_eq(k.id, j.id), "claimed by A");
    is_int(k.state, MG_JOB_IN_PROGRESS, "in progress");
    is_int(k.attempt, 1, "first attempt");
    ok(k.started_at > 0, "started");
    ok(claim(other, "B", &l) == MG_DECLINED,
       "B gets nothing");
    ok(mg_store_job_waiting(db, mg_str_null, &waiting, &e) == MG_OK && !waiting,
       "nothing waits");

    /* a claim that is not committed is passed over, not waited for */

    (void) job("before it");
    l = job("named");
    ok(claim_one(db, "A", k.id, &j)
       == MG_DECLINED, "one that runs is not claimed again");
    ok(claim_one(db, "A", l.id, &j) == MG_OK
       && mg_str_eq(j.id, l.id), "one is claimed by its id");
    ok(claim_one(other, "B", l.id, &j)
       == MG_DECLINED, "by one worker");
    ok(mg_store_job_end(db, &l, "A", MG_JOB_COMPLETED, mg_str_null,
                        mg_str_null, &e) == MG_OK, "it ends");
    ok(claim(db, "A", &l) == MG_OK
       && mg_store_job_end(db, &l, "A", MG_JOB_COMPLETED, mg_str_null,
                           mg_str_null, &e) == MG_OK,
       "the one before it comes after");

    (void) job("two");
    l = job("three");
    (void) mg_pg_begin(other, &e);
    ok(claim(other, "B", &j) == MG_OK, "B has two");
    ok(claim(db, "A", &j) == MG_OK
       && mg_str_eq(j.id, l.id), "A goes on to three");
    mg_pg_rollback(other);
    ok(mg_store_job_end(db, &j, "A", MG_JOB_COMPLETED,
                        mg_str("{\"n\": 1}"), mg_str_null, &e) == MG_OK,
       "three ends");
    ok(mg_store_job_get(db, mg_str_null, j.id, db_arena, &j, &e) == MG_OK
       && j.state == MG_JOB_COMPLETED && j.progress == 100
       && j.completed_at > 0, "completed");
    is_str(db_z(j.result), "{\"n\": 1}", "result");

    /* leases */

    ok(mg_store_job_heartbeat(db, &k, "A", 40, 0, &cancel, &e) == MG_OK
       && !cancel, "a beat");
    is_int(db_int("select progress from model.jobs where key = 'one'"), 40,
           "writes progress");
    ok(mg_store_job_heartbeat(db, &k, "B", 40, 0, &cancel, &e) == MG_DECLINED,
       "not B's");
    lose(&k);
    ok(claim(other, "B", &l) == MG_OK
       && mg_str_eq(l.id, k.id) && l.attempt == 2,
       "a lease that ran out is B's");
    ok(mg_store_job_heartbeat(db, &k, "A", 50, 0, &cancel, &e) == MG_DECLINED,
       "A hears that it is not its any more");
    ok(mg_store_job_end(db, &k, "A", MG_JOB_COMPLETED, mg_str_null,
                        mg_str_null, &e) == MG_DECLINED, "and cannot end it");
    ok(mg_store_job_end(other, &l, "B", MG_JOB_PENDING, mg_str_null,
                        mg_str_null, &e) == MG_OK, "B hands it over");
    ok(claim(db, "A", &k) == MG_OK
       && k.attempt == 2, "which costs no attempt");
}


static void
test_cancel(void)
{
    int       cancel;
    mg_job_t  j, k;

    ok(claim(db, "A", &j) == MG_OK, "two");
    ok(mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &k, &db_error)
       == MG_OK && k.state == MG_JOB_IN_PROGRESS && k.cancel_requested,
       "a running job is asked");
    ok(mg_store_job_heartbeat(db, &j, "A", -1, 0, &cancel, &db_error) == MG_OK
       && cancel, "and hears it");
    ok(mg_store_job_end(db, &j, "A", MG_JOB_CANCELLED, mg_str_null,
                        mg_str("asked"), &db_error) == MG_OK, "ends");
    ok(mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &k, &db_error)
       == MG_ERROR && db_error.kind == MG_E_CONFLICT, "has ended");

    j = job("four");
    ok(mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &k, &db_error)
       == MG_OK && k.state == MG_JOB_CANCELLED, "a pending one ends at once");
    ok(mg_store_job_cancel(db, mg_str_null, mg_str(MG_ORG_DEFAULT), db_arena,
                           &k, &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "an unknown one");
}


/* Workers that die in it end a job after three attempts. */

static void
test_lost(void)
{
    unsigned     i, n;
    mg_job_t     j, *list;
    mg_paging_t  paging = { 1, 2, 0 };

    mg_job_filter_t  filter;

    memset(&filter, 0, sizeof(filter));
    filter.kind = mg_str("sync");
    filter.state = -1;

    db_run("update model.jobs set state = 'cancelled', lease_until = null, "
           "completed_at = now() where state in ('pending', 'in_progress')");
    (void) job("doomed");

    for (i = 1; i <= 3; i++) {
        ok(claim(db, "A", &j) == MG_OK
           && j.attempt == i, "attempt %u", i);
        lose(&j);
    }

    ok(claim(db, "A", &j) == MG_DECLINED,
       "no fourth");
    is_str(db_text("select state || ': ' || error from model.jobs "
                   "where key = 'doomed'"),
           "failed: the worker was lost in each of 3 attempts", "it failed");

    ok(mg_store_job_list(db, mg_str_null, &filter, &paging, db_arena, &list,
                         &n, &db_error) == MG_OK && n == 2,
       "a page of jobs");
    is_int(paging.total, 7, "of all");
    is_str(db_z(list[0].key), "doomed", "the newest first");

    filter.state = MG_JOB_FAILED;
    ok(mg_store_job_list(db, mg_str_null, &filter, &paging, db_arena, &list,
                         &n, &db_error) == MG_OK && n == 1,
       "one of them failed");
    filter.key = mg_str("doomed");
    filter.since = list[0].created_at;
    ok(mg_store_job_list(db, mg_str_null, &filter, &paging, db_arena, &list,
                         &n, &db_error) == MG_OK && n == 1,
       "with that key, since then");
    filter.since++;
    ok(mg_store_job_list(db, mg_str_null, &filter, &paging, db_arena, &list,
                         &n, &db_error) == MG_OK && n == 0, "not later");
}


static void
end_all(void)
{
    db_run("update model.jobs set state = 'cancelled', lease_until = null, "
           "completed_at = now() where state in ('pending', 'in_progress')");
}


static mg_job_t
ask(const char *kind, int priority, int64_t wait_us)
{
    mg_job_t      j;
    mg_job_ask_t  a;

    memset(&a, 0, sizeof(a));
    memset(&j, 0, sizeof(j));
    a.kind = kind;
    a.priority = priority;
    a.wait_us = wait_us;

    if (mg_store_job_ask(db, &db_actor, &a, db_arena, &j, &db_error)
        != MG_OK)
    {
        fail("ask: %s", db_error.message);
    }

    return j;
}


/* Who is next: by kind, by time, by priority, by age. */

static void
test_order(void)
{
    int         i, waiting;
    mg_job_t    j, jobs[4];
    mg_error_t  e;

    end_all();
    jobs[3] = ask("sync", 0, 0);
    jobs[0] = ask("sync", 50, 0);
    jobs[1] = ask("retain", 10, 0);
    jobs[2] = ask("sync", 10, 0);
    (void) ask("sync", 100, 3600 * INT64_C(1000000));
    (void) ask("dream", 100, 0);

    for (i = 0; i < 4; i++) {
        ok(mg_store_job_claim(db, "A", mg_str(",sync,retain"), db_arena, &j,
                              &e) == MG_OK && mg_str_eq(j.id, jobs[i].id),
           "number %d", i);
        is_int(j.priority, jobs[i].priority, "with its priority");
    }

    ok(mg_store_job_claim(db, "A", mg_str(",sync,retain"), db_arena, &j, &e)
       == MG_DECLINED, "neither what is later nor what nobody here knows");
    ok(mg_store_job_waiting(db, mg_str("sync,retain"), &waiting, &e) == MG_OK
       && !waiting, "so nothing waits");
    ok(mg_store_job_waiting(db, mg_str("dream"), &waiting, &e) == MG_OK
       && waiting, "but for those who know it");

    /* a lost one of a kind that is not known is not buried either */

    ok(mg_store_job_claim(db, "A", mg_str("dream"), db_arena, &j, &e)
       == MG_OK, "one of them has it");
    db_run("update model.jobs set attempt = 3, lease_until = now() "
           "- interval '1 s' where kind = 'dream'");
    ok(mg_store_job_claim(db, "A", mg_str("sync,retain"), db_arena, &j, &e)
       == MG_DECLINED, "and is killed for the last time");
    is_str(db_text("select state from model.jobs where kind = 'dream'"),
           "in_progress", "which is left to those who know it");
}


static void
test_retry(void)
{
    int         i, cancel;
    mg_job_t    j, k;
    mg_error_t  e;

    end_all();
    j = ask("sync", 0, 0);
    ok(claim(db, "A", &k) == MG_OK
       && mg_str_eq(j.id, k.id), "begun");
    ok(mg_store_job_retry(db, &k, "B", 1000000, 0, mg_str("no"), &e)
       == MG_DECLINED, "not by B");
    ok(mg_store_job_retry(db, &k, "A", 60 * INT64_C(1000000), 0,
                          mg_str("away"), &e) == MG_OK, "another attempt");
    ok(mg_store_job_get(db, mg_str_null, j.id, db_arena, &k, &e) == MG_OK
       && k.state == MG_JOB_PENDING && k.attempt == 1, "costs one");
    is_str(db_z(k.error), "away", "says why");
    is_int((k.run_after - k.updated_at) / 1000000, 60, "and when");
    ok(claim(db, "A", &k)
       == MG_DECLINED, "not before");

    db_run("update model.jobs set run_after = now() where kind = 'sync' "
           "and state = 'pending'");
    ok(claim(db, "A", &k) == MG_OK
       && k.attempt == 2, "then");

    /* it was to be cancelled: nobody has to begin it for that */

    ok(mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &j, &e) == MG_OK
       && mg_store_job_retry(db, &k, "A", 1, 0, mg_str("away"), &e) == MG_OK
       && mg_store_job_get(db, mg_str_null, j.id, db_arena, &k, &e) == MG_OK
       && k.state == MG_JOB_CANCELLED && k.completed_at > 0,
       "cancelled instead of tried again");

    j = ask("sync", 0, 0);
    ok(claim(db, "A", &k) == MG_OK
       && mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &j, &e)
          == MG_OK
       && mg_store_job_end(db, &k, "A", MG_JOB_PENDING, mg_str_null,
                           mg_str_null, &e) == MG_OK
       && mg_store_job_get(db, mg_str_null, j.id, db_arena, &k, &e) == MG_OK
       && k.state == MG_JOB_CANCELLED, "or handed over");

    /* killed again and again, but it gets further each time */

    j = ask("sync", 0, 0);

    for (i = 0; i < 10; i++) {
        if (claim(db, "A", &k)
            != MG_OK
            || k.attempt != 1
            || mg_store_job_heartbeat(db, &k, "A", i, 1, &cancel, &e)
               != MG_OK)
        {
            break;
        }

        lose(&k);
    }

    is_int(i, 10, "a job that moves on is not given up");
    ok(claim(db, "A", &k) == MG_OK
       && k.attempt == 1, "and when it does not");
    lose(&k);
    ok(claim(db, "A", &k) == MG_OK
       && k.attempt == 2, "attempts count");
}


/* The same request, once more. */

static void
test_once(void)
{
    mg_job_t    j, k;
    mg_once_t   once = { mg_str("k-1"), mg_str("hash-1") };
    mg_actor_t  who;
    mg_error_t  e;

    end_all();
    who = db_actor;
    who.once = &once;

    ok(mg_store_job_create(db, &who, "sync", mg_str("s"), mg_str_null,
                           db_arena, &j, &e) == MG_OK && !j.replayed,
       "made");
    ok(mg_store_job_create(db, &who, "sync", mg_str("s"), mg_str_null,
                           db_arena, &k, &e) == MG_OK && k.replayed
       && mg_str_eq(j.id, k.id), "the same request, the same job");
    ok(mg_store_job_create(db, &db_actor, "sync", mg_str("s"), mg_str_null,
                           db_arena, &k, &e) == MG_ERROR
       && mg_str_eq(j.id, k.id), "another request finds it running");

    end_all();
    ok(mg_store_job_create(db, &who, "sync", mg_str("s"), mg_str_null,
                           db_arena, &k, &e) == MG_OK && k.replayed
       && k.state == MG_JOB_CANCELLED, "also after its end");
    ok(mg_store_job_create(db, &who, "sync", mg_str("t"), mg_str_null,
                           db_arena, &k, &e) == MG_OK && !k.replayed,
       "a request may make one for each of several keys");
    ok(mg_store_job_create(db, &who, "retain", mg_str("s"), mg_str_null,
                           db_arena, &k, &e) == MG_OK && !k.replayed,
       "and one of each kind");

    once.hash = mg_str("hash-2");
    ok(mg_store_job_create(db, &who, "sync", mg_str("u"), mg_str_null,
                           db_arena, &k, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && k.id.len == 0
       && strcmp(e.param, MG_JOB_ONCE_PARAM) == 0,
       "another request with the key is refused: %s", e.message);
    ok(mg_store_job_replay(db, &who, "sync", mg_str_null, db_arena, &k, &e)
       == MG_ERROR, "and is not answered for it");

    db_run("update model.jobs set created_at = now() - interval '25 h' "
           "where idempotency_key = 'k-1'");
    ok(mg_store_job_create(db, &who, "sync", mg_str("u"), mg_str_null,
                           db_arena, &k, &e) == MG_OK && !k.replayed,
       "a day later the key is free");
    is_int(db_int("select count(*) from model.jobs "
                  "where idempotency_key = 'k-1' and kind = 'sync'"), 1,
           "the old ones have lost it");
}


/* One that is old goes, one that runs stays. */

static void
test_retire(void)
{
    int64_t     n;
    mg_error_t  e;

    end_all();
    (void) ask("sync", 0, 0);
    db_run("update model.jobs set created_at = now() - interval '40 days'");
    db_run("update model.jobs set completed_at = now() "
           "- interval '29 days' where state = 'cancelled'");
    ok(mg_store_job_retire(db, 30, &n, &e) == MG_OK && n == 0,
       "nothing is old enough");
    db_run("update model.jobs set completed_at = now() "
           "- interval '31 days' where kind = 'retain'");
    ok(mg_store_job_retire(db, 30, &n, &e) == MG_OK && n > 0
       && db_int("select count(*) from model.jobs where kind = 'retain'")
          == 0, "what is, goes");
    db_run("update model.jobs set completed_at = now() "
           "- interval '31 days' where state = 'cancelled'");
    ok(mg_store_job_retire(db, 30, &n, &e) == MG_OK, "%s", e.message);
    is_int(db_int("select count(*) from model.jobs "
                  "where state = 'pending'"), 1, "what waits stays");
}


/* -- validations -- */

static mg_validation_t
validation(int only_failed)
{
    mg_validation_t  v;

    memset(&v, 0, sizeof(v));

    if (mg_store_validation_create(db, &db_actor, mg_str("demo"), only_failed,
                                   db_arena, &v, &db_error) != MG_OK)
    {
        fail("create: %s", db_error.message);
    }

    return v;
}


/* A list that has a known model, a new one, and one of somebody else. */

static void
list_rows(mg_buf_t *rows)
{
    unsigned    i;
    mg_model_t  found;

    mg_buf_init(rows, 0);

    for (i = 0; i < 3; i++) {
        db_model_init(&found, i == 2 ? "alien" : "demo",
                      i == 0 ? "a" : "new/1");
        found.source = mg_str("openai");
        mg_store_validation_row(rows, &found);
    }
}


static void
test_validation_none(void)
{
    mg_error_t       e;
    mg_validation_t  v;

    db_provider("demo");
    db_model("demo", "a");
    db_model("demo", "b");
    db_run("insert into model.models_metadata (id, provider_id, "
           "provider_model_id, name, active) values ('demo/old', 'demo', "
           "'old', 'x', false)");

    ok(mg_store_validation_create(db, &db_actor, mg_str("nobody"), 0,
                                  db_arena, &v, &e) == MG_ERROR
       && e.kind == MG_E_NOT_FOUND, "an unknown provider");
    ok(mg_store_validation_latest(db, mg_str_null, mg_str("demo"), db_arena,
                                  &v, &e) == MG_ERROR
       && e.kind == MG_E_NOT_FOUND, "nothing yet");
}


static void
test_validation(void)
{
    unsigned                n;
    mg_job_t                j;
    mg_buf_t                rows;
    mg_error_t              e;
    mg_paging_t             paging = { 1, 10, 0 };
    mg_validation_t         v, w;
    mg_validation_list_t    list;
    mg_validation_model_t  *models;
    mg_validation_news_t    news = { mg_str("demo/new/1"), "testing", 7 };
    mg_validation_result_t  r[3], *results;

    v = validation(0);
    is_int(v.state, MG_JOB_PENDING, "pending");
    is_int(v.total, 2, "what is known so far");
    ok(v.job_id.len == 36, "has a job");
    ok(mg_store_validation_create(db, &db_actor, mg_str("demo"), 0, db_arena,
                                  &w, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && mg_str_eq(v.id, w.id),
       "one at a time, and says which");

    ok(claim(db, "A", &j) == MG_OK
       && mg_str_eq(j.id, v.job_id), "its job is claimed");
    like(db_z(j.payload), db_z(v.id), "the payload names the run");
    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &v, &e)
       == MG_OK && v.state == MG_JOB_IN_PROGRESS && v.started_at > 0
       && !v.listed, "the run has begun, its list is not made");

    list_rows(&rows);

    memset(&list, 0, sizeof(list));
    list.rows = mg_buf_view(&rows);

    ok(mg_store_validation_discovered(db, v.id, &list, &e) == MG_OK,
       "discovered: %s", e.message);
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'demo' and source = 'openai'"), 1,
           "one is new");
    ok(mg_store_validation_discovered(db, v.id, &list, &e) == MG_OK,
       "once more changes nothing");
    mg_buf_free(&rows);
    ok(mg_store_validation_pending(db, v.id, db_arena, &models, &n, &e)
       == MG_OK && n == 3, "three to test");

    memset(r, 0, sizeof(r));
    r[0].model_id = mg_str("demo/a");
    r[0].available = 1;
    r[0].latency_us = 1500;
    r[0].status_code = 200;
    r[0].tested_at = mg_now_us();
    r[1].model_id = mg_str("demo/b");
    r[1].latency_us = -1;
    r[1].error_class = mg_str("timeout");
    r[1].error = mg_str_n("no \"answer\"\0 \xff in time", 22);

    ok(mg_store_validation_save(db, v.id, r, 2, 0, &news, &w, db_arena,
                                &e) == MG_OK, "two results: %s",
       e.message);
    is_int(w.validated, 2, "validated");
    is_int(w.available, 1, "available");
    is_int(w.unavailable, 1, "unavailable");
    is_int(w.total, 3, "of three");
    is_str(db_z(w.current_model_id), "demo/new/1", "current");
    is_str(db_z(w.phase), "testing", "phase");
    is_int(w.estimated_s, 7, "what is left");
    ok(mg_store_validation_save(db, v.id, r, 2, 0, &news, &w, db_arena,
                                &e) == MG_OK && w.validated == 2,
       "the same results count once");
    ok(mg_store_validation_health(db, v.id, 0, db_arena, &e) == MG_OK,
       "the catalog is told: %s", e.message);
    is_str(db_text("select string_agg(health_status, ' ' order by id) from "
                   "model.models_metadata where provider_id = 'demo' "
                   "and active"), "available unavailable unknown", "health");

    /* handed over, taken up: only the rest is left */

    ok(mg_store_job_end(db, &j, "A", MG_JOB_PENDING, mg_str_null, mg_str_null,
                        &e) == MG_OK, "handed over");
    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &w, &e)
       == MG_OK && w.state == MG_JOB_PENDING && w.validated == 2,
       "the run waits with its job");
    ok(claim(db, "B", &j) == MG_OK, "taken up");
    ok(mg_store_validation_pending(db, v.id, db_arena, &models, &n, &e)
       == MG_OK && n == 1 && mg_str_eq(models[0].id, mg_str("demo/new/1")),
       "one is left");

    r[2].model_id = mg_str("demo/new/1");
    r[2].unverified = 1;
    news.current = mg_str_null;
    ok(mg_store_validation_save(db, v.id, &r[2], 1, 0, &news, &w, db_arena, &e)
       == MG_OK && w.validated == 3 && w.unverified == 1
       && w.available == 1, "the last, which nobody asked");
    ok(!db_run("update model.ai_model_validation_progress "
               "set validated_count = 2, available_count = 0"),
       "counts that are not those of the rows are refused");
    ok(mg_store_validation_state(db, v.id, MG_JOB_COMPLETED, MG_UNKNOWN,
                                 mg_str_null, &e) == MG_OK
       && mg_store_job_end(db, &j, "B", MG_JOB_COMPLETED, mg_str_null,
                           mg_str_null, &e) == MG_OK, "completed");
    ok(mg_store_validation_latest(db, mg_str_null, mg_str("demo"), db_arena,
                                  &w, &e) == MG_OK
       && w.state == MG_JOB_COMPLETED && w.completed_at > 0
       && w.current_model_id.data == NULL, "as the run says");
    is_int(db_int("select count(*) from model.providers "
                  "where last_validated_at is not null"), 1,
           "and the provider");

    ok(mg_store_validation_results(db, v.id, mg_str_null, &paging, db_arena,
                                   &results, &n, &e) == MG_OK && n == 3
       && paging.total == 3, "results");
    is_str(db_z(results[0].model_id), "demo/b", "what failed first");
    is_int(results[0].latency_us, -1, "latency unknown");
    ok(results[1].unverified && !results[1].available, "then unverified");
    is_int(results[2].latency_us, 1500, "latency");
    is_int(results[2].status_code, 200, "status");
    like(db_z(results[0].error), "no \"answer\"?", "the provider's words");
}


static void
test_validation_retry(void)
{
    unsigned                n;
    mg_job_t                j;
    mg_once_t               once = { mg_str("k-2"), mg_str("hash") };
    mg_error_t              e;
    mg_validation_t         v, w;
    mg_validation_model_t  *models;

    v = validation(1);
    is_int(v.total, 1, "only what failed");
    ok(mg_store_validation_pending(db, v.id, db_arena, &models, &n, &e)
       == MG_OK && n == 1 && mg_str_eq(models[0].id, mg_str("demo/b")),
       "is to be tested");

    ok(mg_store_job_cancel(db, mg_str_null, v.job_id, db_arena, &j, &e)
       == MG_OK, "cancelled before it began");
    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &v, &e)
       == MG_OK && v.state == MG_JOB_CANCELLED && v.completed_at > 0,
       "ends with its job");

    db_run("update model.models_metadata set health_status = 'available'");
    ok(mg_store_validation_create(db, &db_actor, mg_str("demo"), 1, db_arena,
                                  &v, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && v.id.len == 0, "nothing has failed");
    is_int(db_int("select count(*) from model.ai_model_validation_progress"),
           2, "leaves no run behind");

    /* a request that is sent twice */

    db_actor.once = &once;
    v = validation(0);
    ok(!v.replayed, "a run");
    w = validation(0);
    ok(w.replayed && mg_str_eq(v.id, w.id), "that is asked for twice");
    (void) mg_store_job_cancel(db, mg_str_null, v.job_id, db_arena, &j, &e);
    w = validation(0);
    ok(w.replayed && mg_str_eq(v.id, w.id) && w.state == MG_JOB_CANCELLED,
       "also when it has ended");
    once.hash = mg_str("other");
    ok(mg_store_validation_create(db, &db_actor, mg_str("demo"), 0, db_arena,
                                  &w, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && w.id.len == 0, "not twice the key");
    db_actor.once = NULL;

    /* a worker that is killed too often ends the run too */

    v = validation(0);

    while (claim(db, "A", &j) == MG_OK) {
        lose(&j);
    }

    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &v, &e)
       == MG_OK && v.state == MG_JOB_FAILED && v.error.len > 0,
       "a run whose workers were killed has failed");
}


/* A run ends a moment before its job: then the next one can be asked for. */

static void *
end_soon(void *data)
{
    mg_error_t  e;

    usleep(50000);
    (void) mg_store_job_end(other, data, "A", MG_JOB_COMPLETED, mg_str_null,
                            mg_str_null, &e);
    return NULL;
}


static void
test_validation_next(void)
{
    mg_job_t         j;
    pthread_t        t;
    mg_error_t       e;
    mg_validation_t  v, w;

    end_all();
    v = validation(0);
    ok(claim_one(db, "A", v.job_id, &j) == MG_OK
       && mg_store_validation_state(db, v.id, MG_JOB_IN_PROGRESS, 1,
                                    mg_str_null, &e) == MG_OK, "a run");

    ok(mg_store_validation_create(db, &db_actor, mg_str("demo"), 0, db_arena,
                                  &w, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && mg_str_eq(w.id, v.id),
       "is in the way of another one");

    ok(mg_store_validation_state(db, v.id, MG_JOB_COMPLETED, MG_UNKNOWN,
                                 mg_str_null, &e) == MG_OK,
       "until it has ended");

    (void) pthread_create(&t, NULL, end_soon, &j);
    w = validation(0);
    (void) pthread_join(t, NULL);
    ok(w.id.len == 36 && !mg_str_eq(w.id, v.id), "the next one is made");
    (void) mg_store_job_cancel(db, mg_str_null, w.job_id, db_arena, &j, &e);
}


/* By the database's clock. */

static void
test_due(void)
{
    unsigned              n;
    mg_error_t            e;
    mg_validation_due_t  *due;

    db_run("update model.providers set base_url = 'http://x', "
           "source = 'manual'");
    db_run("update model.ai_model_validation_progress "
           "set created_at = now() - interval '1 h' "
           "- case when only_failed then interval '0' "
           "else interval '1 s' end");

    ok(mg_store_validation_due(db, mg_str_null, 3700, 0, db_arena, &due, &n,
                               &e) == MG_OK && n == 0, "not yet");
    ok(mg_store_validation_due(db, mg_str_null, 3600, 0, db_arena, &due, &n,
                               &e) == MG_OK && n == 1
       && due[0].last.len == 36, "after an hour");
    is_str(db_z(due[0].provider_id), "demo", "who");
    ok(mg_store_validation_due(db, mg_str("a,demo"), 3600, 0, db_arena, &due,
                               &n, &e) == MG_OK && n == 1, "by its id");
    ok(mg_store_validation_due(db, mg_str("demo2"), 3600, 0, db_arena, &due,
                               &n, &e) == MG_OK && n == 0, "not another's");
    ok(mg_store_validation_due(db, mg_str_null, 3000, 1000000, db_arena,
                               &due, &n, &e) == MG_OK, "with a jitter");

    (void) validation(0);
    ok(mg_store_validation_due(db, mg_str_null, 1, 0, db_arena, &due, &n, &e)
       == MG_OK && n == 0, "not while it runs");
}


int
main(void)
{
    db_start();
    other = mg_pg_checkout(db_pool, &db_error);
    test_states();
    test_claim();
    test_cancel();
    test_lost();
    test_order();
    test_retry();
    test_once();
    test_retire();
    end_all();
    test_validation_none();
    test_validation();
    test_validation_retry();
    test_due();
    test_validation_next();
    mg_pg_release(other);

    return db_done();
}
