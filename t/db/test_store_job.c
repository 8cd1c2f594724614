/*
 * Jobs and validations: if this breaks, a job is run twice or never, one that
 * was handed over is lost, a validation's counts do not add up, or its
 * readers wait for a worker that was killed.
 */

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

    ok(mg_store_job_waiting(db, &waiting, &e) == MG_OK && waiting,
       "something waits");
    ok(mg_store_job_claim(db, "A", db_arena, &k, &e) == MG_OK
       && mg_str_eq(k.id, j.id), "claimed by A");
    is_int(k.state, MG_JOB_IN_PROGRESS, "in progress");
    is_int(k.attempt, 1, "first attempt");
    ok(k.started_at > 0, "started");
    ok(mg_store_job_claim(other, "B", db_arena, &l, &e) == MG_DECLINED,
       "B gets nothing");
    ok(mg_store_job_waiting(db, &waiting, &e) == MG_OK && !waiting,
       "nothing waits");

    /* a claim that is not committed is passed over, not waited for */

    (void) job("before it");
    l = job("named");
    ok(mg_store_job_claim_one(db, "A", k.id, db_arena, &j, &e)
       == MG_DECLINED, "one that runs is not claimed again");
    ok(mg_store_job_claim_one(db, "A", l.id, db_arena, &j, &e) == MG_OK
       && mg_str_eq(j.id, l.id), "one is claimed by its id");
    ok(mg_store_job_claim_one(other, "B", l.id, db_arena, &j, &e)
       == MG_DECLINED, "by one worker");
    ok(mg_store_job_end(db, &l, "A", MG_JOB_COMPLETED, mg_str_null,
                        mg_str_null, &e) == MG_OK, "it ends");
    ok(mg_store_job_claim(db, "A", db_arena, &l, &e) == MG_OK
       && mg_store_job_end(db, &l, "A", MG_JOB_COMPLETED, mg_str_null,
                           mg_str_null, &e) == MG_OK,
       "the one before it comes after");

    (void) job("two");
    l = job("three");
    (void) mg_pg_begin(other, &e);
    ok(mg_store_job_claim(other, "B", db_arena, &j, &e) == MG_OK, "B has two");
    ok(mg_store_job_claim(db, "A", db_arena, &j, &e) == MG_OK
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

    ok(mg_store_job_heartbeat(db, &k, "A", 40, &cancel, &e) == MG_OK
       && !cancel, "a beat");
    is_int(db_int("select progress from model.jobs where key = 'one'"), 40,
           "writes progress");
    ok(mg_store_job_heartbeat(db, &k, "B", 40, &cancel, &e) == MG_DECLINED,
       "not B's");
    lose(&k);
    ok(mg_store_job_claim(other, "B", db_arena, &l, &e) == MG_OK
       && mg_str_eq(l.id, k.id) && l.attempt == 2,
       "a lease that ran out is B's");
    ok(mg_store_job_heartbeat(db, &k, "A", 50, &cancel, &e) == MG_DECLINED,
       "A hears that it is not its any more");
    ok(mg_store_job_end(db, &k, "A", MG_JOB_COMPLETED, mg_str_null,
                        mg_str_null, &e) == MG_DECLINED, "and cannot end it");
    ok(mg_store_job_end(other, &l, "B", MG_JOB_PENDING, mg_str_null,
                        mg_str_null, &e) == MG_OK, "B hands it over");
    ok(mg_store_job_claim(db, "A", db_arena, &k, &e) == MG_OK
       && k.attempt == 2, "which costs no attempt");
}


static void
test_cancel(void)
{
    int       cancel;
    mg_job_t  j, k;

    ok(mg_store_job_claim(db, "A", db_arena, &j, &db_error) == MG_OK, "two");
    ok(mg_store_job_cancel(db, mg_str_null, j.id, db_arena, &k, &db_error)
       == MG_OK && k.state == MG_JOB_IN_PROGRESS && k.cancel_requested,
       "a running job is asked");
    ok(mg_store_job_heartbeat(db, &j, "A", -1, &cancel, &db_error) == MG_OK
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

    db_run("update model.jobs set state = 'cancelled', lease_until = null, "
           "completed_at = now() where state in ('pending', 'in_progress')");
    (void) job("doomed");

    for (i = 1; i <= 3; i++) {
        ok(mg_store_job_claim(db, "A", db_arena, &j, &db_error) == MG_OK
           && j.attempt == i, "attempt %u", i);
        lose(&j);
    }

    ok(mg_store_job_claim(db, "A", db_arena, &j, &db_error) == MG_DECLINED,
       "no fourth");
    is_str(db_text("select state || ': ' || error from model.jobs "
                   "where key = 'doomed'"),
           "failed: the worker was lost in each of 3 attempts", "it failed");

    ok(mg_store_job_list(db, mg_str_null, mg_str("sync"), &paging, db_arena,
                         &list, &n, &db_error) == MG_OK && n == 2,
       "a page of jobs");
    is_int(paging.total, 7, "of all");
    is_str(db_z(list[0].key), "doomed", "the newest first");
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


static void
test_validation(void)
{
    unsigned                i, n;
    mg_job_t                j;
    mg_model_t              found[3], *models;
    mg_error_t              e;
    mg_paging_t             paging = { 1, 10, 0 };
    mg_validation_t         v, w;
    mg_validation_result_t  r[3], *results;

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

    v = validation(0);
    is_int(v.state, MG_JOB_PENDING, "pending");
    is_int(v.total, 2, "what is known so far");
    ok(v.job_id.len == 36, "has a job");
    ok(mg_store_validation_create(db, &db_actor, mg_str("demo"), 0, db_arena,
                                  &w, &e) == MG_ERROR
       && e.kind == MG_E_CONFLICT && mg_str_eq(v.id, w.id),
       "one at a time, and says which");

    ok(mg_store_job_claim(db, "A", db_arena, &j, &e) == MG_OK
       && mg_str_eq(j.id, v.job_id), "its job is claimed");
    like(db_z(j.payload), db_z(v.id), "the payload names the run");
    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &v, &e)
       == MG_OK && v.state == MG_JOB_IN_PROGRESS && v.started_at > 0
       && v.total == 0, "the run has begun, its list is not made");

    for (i = 0; i < 3; i++) {
        db_model_init(&found[i], i == 2 ? "alien" : "demo",
                      i == 0 ? "a" : "new/1");
        found[i].source = mg_str("openai");
    }

    ok(mg_store_validation_discovered(db, v.id, found, 3, &e) == MG_OK,
       "discovered: %s", e.message);
    is_int(db_int("select count(*) from model.models_metadata "
                  "where provider_id = 'demo' and source = 'openai'"), 1,
           "one is new");
    ok(mg_store_validation_discovered(db, v.id, found, 3, &e) == MG_OK,
       "once more changes nothing");
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

    ok(mg_store_validation_save(db, v.id, r, 2, mg_str("demo/new/1"), &w,
                                db_arena, &e) == MG_OK, "two results: %s",
       e.message);
    is_int(w.validated, 2, "validated");
    is_int(w.available, 1, "available");
    is_int(w.unavailable, 1, "unavailable");
    is_int(w.total, 3, "of three");
    is_str(db_z(w.current_model_id), "demo/new/1", "current");
    ok(mg_store_validation_save(db, v.id, r, 2, mg_str("demo/new/1"), &w,
                                db_arena, &e) == MG_OK && w.validated == 2,
       "the same results count once");
    is_str(db_text("select string_agg(health_status, ' ' order by id) from "
                   "model.models_metadata where provider_id = 'demo' "
                   "and active"), "available unavailable unknown", "health");

    /* handed over, taken up: only the rest is left */

    ok(mg_store_job_end(db, &j, "A", MG_JOB_PENDING, mg_str_null, mg_str_null,
                        &e) == MG_OK, "handed over");
    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &w, &e)
       == MG_OK && w.state == MG_JOB_PENDING && w.validated == 2,
       "the run waits with its job");
    ok(mg_store_job_claim(db, "B", db_arena, &j, &e) == MG_OK, "taken up");
    ok(mg_store_validation_pending(db, v.id, db_arena, &models, &n, &e)
       == MG_OK && n == 1 && mg_str_eq(models[0].id, mg_str("demo/new/1")),
       "one is left");

    r[2].model_id = mg_str("demo/new/1");
    r[2].available = 1;
    ok(mg_store_validation_save(db, v.id, &r[2], 1, mg_str_null, &w, db_arena,
                                &e) == MG_OK && w.validated == 3, "the last");
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

    ok(mg_store_validation_results(db, v.id, &paging, db_arena, &results, &n,
                                   &e) == MG_OK && n == 3
       && paging.total == 3, "results");
    is_str(db_z(results[0].model_id), "demo/b", "what failed first");
    is_int(results[0].latency_us, -1, "latency unknown");
    is_int(results[1].latency_us, 1500, "latency");
    is_int(results[1].status_code, 200, "status");
    like(db_z(results[0].error), "no \"answer\"?", "the provider's words");
}


static void
test_retry(void)
{
    unsigned          n;
    mg_job_t          j;
    mg_model_t       *models;
    mg_error_t        e;
    mg_validation_t   v;

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

    /* a worker that is killed too often ends the run too */

    v = validation(0);

    while (mg_store_job_claim(db, "A", db_arena, &j, &e) == MG_OK) {
        lose(&j);
    }

    ok(mg_store_validation_get(db, mg_str_null, v.id, db_arena, &v, &e)
       == MG_OK && v.state == MG_JOB_FAILED && v.error.len > 0,
       "a run whose workers were killed has failed");
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
    test_validation();
    test_retry();
    mg_pg_release(other);

    return db_done();
}
