/*
 * mg_job_validate.c: which models of a provider answer?
 *
 *     load -> known models without a result -> ask, save -> finish
 *                  provider's own list  ---------^
 *
 * The run's row (ai_model_validation_progress) and its list of models are
 * in the database, so a run that is taken up by another worker goes on with
 * what has no result yet: nothing is validated twice but what was in
 * flight, and nothing more than twice, however often workers are killed: what
 * two of them had begun is unverified.  The provider's list is asked for
 * together with the first models; a provider that refuses it (401, 404) is
 * validated by the models that the
 * catalog knows, and the reason is kept.
 *
 * The key is opened for this run only, lies in one buffer that is wiped at
 * the end, and is taken out of whatever words the provider answers with.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_engine.h"

#include <unistd.h>

#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "job/mg_validate.h"


#define MG_VALIDATE_WAIT_US       50000
#define MG_VALIDATE_AWAY_US       60000000
#define MG_VALIDATE_STOP_US       2000000


/* Begun by so many workers that were lost: it is not asked again. */
#define MG_VALIDATE_BEGUN_MAX     2

/* Models that may be begun and without a verdict; there are fewer. */
#define MG_VALIDATE_OPEN_MAX      4096


static void mg_validate_started(void *ctx, const mg_validation_model_t *m);
static int mg_validate_begin_models(void *ctx,
    const mg_validation_model_t **models, unsigned n, mg_error_t *e);
static int mg_validate_known(void *ctx, const mg_validation_model_t *m);
static int mg_validate_verdict(void *ctx, const mg_validation_model_t *m,
    const mg_validation_result_t *r, mg_error_t *e);
static int mg_validate_tick(void *ctx, mg_error_t *e);


static const mg_probe_handler_t  mg_validate_handler = {
    mg_validate_started,
    mg_validate_begin_models,
    mg_validate_known,
    mg_validate_verdict,
    mg_validate_listed,
    mg_validate_tick
};


/* -- load: the run, the provider, its key -- */

static int
mg_validate_payload(mg_validate_t *v, mg_error_t *e)
{
    mg_json_t  *payload;

    payload = mg_json_parse(v->run->arena, v->run->job.payload, NULL, e);
    if (payload == NULL) {
        return MG_ERROR;
    }

    v->id = mg_json_str(payload, "validation_id");
    v->provider_id = mg_json_str(payload, "provider_id");

    if (v->id.len == 0 || v->provider_id.len == 0) {
        return mg_error_set(e, MG_E_INVALID, "payload", "the payload of a "
                            "validation needs \"validation_id\" and "
                            "\"provider_id\"");
    }

    return MG_OK;
}


static int
mg_validate_rows(mg_validate_t *v, mg_error_t *e)
{
    int          rc;
    mg_pg_t     *db;
    mg_str_t     org;
    mg_arena_t  *a;

    db = mg_pg_checkout_job(v->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    a = v->run->arena;
    org = v->run->job.org_id;

    rc = mg_store_validation_get(db, org, v->id, a, &v->row, e);

    if (rc == MG_OK) {
        rc = mg_store_provider_get(db, org, v->provider_id, a, &v->provider,
                                   e);
    }

    if (rc == MG_OK) {
        rc = mg_store_validation_state(db, v->id, MG_JOB_IN_PROGRESS,
                                       MG_UNKNOWN, mg_str_null, e);
    }

    mg_pg_release(db);

    return rc;
}


static int
mg_validate_load(mg_validate_t *v, mg_error_t *e)
{
    if (mg_validate_rows(v, e) != MG_OK) {
        return MG_ERROR;
    }

    /* whoever leaves in order says so in the row */

    v->killed = !mg_str_eq(v->row.phase, mg_str("waiting"));
    v->fixed = (v->row.only_failed || v->row.chosen);

    return mg_target_open(v->env, v->run->job.org_id, &v->provider,
                          v->run->arena, &v->target, e);
}


/* -- ask -- */

/* What is still to be asked, by the database. */

static int
mg_validate_pending(mg_validate_t *v, mg_error_t *e)
{
    int          rc;
    mg_pg_t     *db;
    mg_arena_t  *a;

    db = mg_pg_checkout_job(v->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    a = v->run->arena;
    rc = MG_OK;

    /*
     * Begins with the models that are known.  A run over given models has
     * its list from the beginning, a resumed one from before.
     */

    if (!v->row.listed) {
        rc = mg_store_validation_discovered(db, v->id, NULL, e);
    }

    if (rc == MG_OK) {
        rc = mg_store_validation_pending(db, v->id, a, &v->models, &v->n, e);
    }

    mg_pg_release(db);

    v->before = v->row.validated;
    v->total = v->before + v->n;

    if (v->before > 0) {

        /* the worker before may not have told the catalog of them */

        v->verdicts.untold_us = 0;
    }

    return rc;
}


/* What two workers had begun when they were lost. */

static int
mg_validate_interrupted(mg_validate_t *v, mg_error_t *e)
{
    unsigned                i;
    mg_validation_result_t  r;

    memset(&r, 0, sizeof(r));
    r.unverified = 1;
    r.latency_us = -1;
    r.error_class = mg_str("interrupted");
    r.error = mg_str("its test was interrupted twice by the loss of a "
                     "worker; validate it alone to test it again");

    for (i = 0; i < v->n; i++) {
        if (v->models[i].begun < MG_VALIDATE_BEGUN_MAX) {
            continue;
        }

        v->models[i].active = 0;
        r.model_id = v->models[i].id;
        r.tested_at = mg_now_us();

        if (mg_verdict_add(&v->verdicts, &r, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static void
mg_validate_started(void *ctx, const mg_validation_model_t *m)
{
    mg_validate_t  *v = ctx;

    v->verdicts.current = m->id;
}


/*
 * Before anything is asked the database knows of it.  What the list has just
 * added gets there with the list, see mg_validate_settle().
 */

static int
mg_validate_begin_models(void *ctx, const mg_validation_model_t **models,
    unsigned n, mg_error_t *e)
{
    int             rc;
    mg_pg_t        *db;
    mg_validate_t  *v = ctx;

    if (v->verdicts.hold && models[0] >= v->extra
        && models[0] < v->extra + v->n_extra)
    {
        v->n_begun = (unsigned) (models[n - 1] - v->extra) + 1;
        return MG_OK;
    }

    db = mg_pg_checkout_job(v->env->db, e);

    if (db == NULL) {
        return MG_DECLINED;
    }

    rc = mg_store_validation_begin(db, v->id, models, n, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        return MG_OK;
    }

    /* the verdicts' saves know how long the database may be away */

    return (e->kind == MG_E_UNAVAILABLE || e->kind == MG_E_TIMEOUT)
           ? MG_DECLINED : MG_ERROR;
}


static int
mg_validate_known(void *ctx, const mg_validation_model_t *m)
{
    const mg_validate_t  *v = ctx;

    if (m->listed) {
        return 1;
    }

    return (v->has_list && v->n_listed
            && v->target.probe.protocol->authority) ? 0 : -1;
}


static int
mg_validate_verdict(void *ctx, const mg_validation_model_t *m,
    const mg_validation_result_t *r, mg_error_t *e)
{
    mg_validate_t  *v = ctx;

    /* found out meanwhile not to belong to the run */

    if (!m->active) {
        return MG_OK;
    }

    return mg_verdict_add(&v->verdicts, r, e);
}


static int
mg_validate_tick(void *ctx, mg_error_t *e)
{
    int64_t         done;
    mg_validate_t  *v = ctx;

    done = v->before + mg_verdict_count(&v->verdicts);
    v->verdicts.left = v->total - done;

    if (v->total > 0) {
        v->run->progress = (int) (done * 100 / v->total);
    }

    if (mg_run_stop(v->run, e) != MG_OK) {
        return MG_ERROR;
    }

    if ((v->no_memory || v->settle_us)
        && mg_mono_us() >= v->settle_us
        && mg_validate_settle(v, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_verdict_step(&v->verdicts, e);
}


static int
mg_validate_probe(mg_validate_t *v, mg_error_t *e)
{
    int         rc;
    mg_error_t  saved;

    do {
        rc = mg_probes_run(v->probes, e);

        /* all was asked before the list was stored: that may add some */

    } while (rc == MG_OK && v->settle_us
             && (rc = mg_validate_settle(v, e)) == MG_OK);

    if (rc == MG_OK) {
        v->verdicts.left = 0;
        v->verdicts.phase = "finishing";

        return mg_verdict_flush(&v->verdicts, 1, e);
    }

    /*
     * What has a verdict is not asked again, however the run ended; but
     * those that wait for the database's word on their models are.
     */

    if (!v->run->lost && !v->verdicts.hold) {
        (void) mg_verdict_flush(&v->verdicts, 0, &saved);
    }

    return MG_ERROR;
}


/* -- finish -- */

static void
mg_validate_result(mg_validate_t *v)
{
    mg_jw_t        w;
    mg_buf_t       b;
    mg_verdict_t  *d;

    d = &v->verdicts;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "validation_id", v->id);
    mg_jw_str(&w, "provider_id", v->provider_id);
    mg_jw_int(&w, "total", v->total);
    mg_jw_int(&w, "validated_before", v->before);
    mg_jw_int(&w, "available", d->available);
    mg_jw_int(&w, "unavailable", d->unavailable);
    mg_jw_int(&w, "unverified", d->unverified);

    if (v->has_list) {
        mg_jw_int(&w, "listed", v->n_listed);
        mg_jw_int(&w, "skipped", v->skipped);

    } else {
        mg_jw_null(&w, "listed");
    }

    mg_jw_str(&w, "list_error", v->reason);
    mg_jw_end_object(&w);

    if (!b.failed) {
        v->run->result = mg_arena_dup(v->run->arena, mg_buf_view(&b));
    }

    mg_buf_free(&b);
}


/*
 * Whoever goes on finds what this run had begun as it was before; what an
 * earlier worker had begun, and this one has not, stays begun.
 */

static void
mg_validate_leave(mg_validate_t *v)
{
    unsigned                       n;
    mg_pg_t                       *db;
    mg_error_t                     e;
    const mg_validation_model_t  **models;

    models = mg_arena_alloc(v->run->arena, MG_VALIDATE_OPEN_MAX
                                           * sizeof(models[0]));
    if (models == NULL || v->probes == NULL) {
        return;
    }

    n = mg_probes_open(v->probes, models, MG_VALIDATE_OPEN_MAX);
    if (n == 0) {
        return;
    }

    db = mg_pg_checkout_job(v->env->db, &e);

    if (db) {
        (void) mg_store_validation_leave(db, v->id, models, n, &e);
        mg_pg_release(db);
    }
}


/*
 * The run's row into the state that the job will have.  With the database
 * away this is tried for a minute, but only shortly when the run is to
 * stop, and once when another worker goes on anyway.
 */

static int
mg_validate_end(mg_validate_t *v, mg_job_state_e state, mg_str_t error,
    mg_error_t *e)
{
    int          rc;
    int64_t      until;
    mg_pg_t     *db;
    mg_error_t   stop;

    until = mg_mono_us() + (mg_run_stop(v->run, e) == MG_OK
                            ? MG_VALIDATE_AWAY_US : MG_VALIDATE_STOP_US);

    for ( ;; ) {
        rc = MG_ERROR;
        db = mg_pg_checkout_job(v->env->db, e);

        if (db) {
            rc = mg_store_validation_state(db, v->id, state, MG_UNKNOWN,
                                           error, e);
            mg_pg_release(db);
        }

        if (rc == MG_OK || e->kind != MG_E_UNAVAILABLE
            || mg_mono_us() > until || state == MG_JOB_PENDING)
        {
            return rc;
        }

        usleep(MG_VALIDATE_WAIT_US);

        if (mg_run_stop(v->run, &stop) != MG_OK
            && until > mg_mono_us() + MG_VALIDATE_STOP_US)
        {
            until = mg_mono_us() + MG_VALIDATE_STOP_US;
        }
    }
}


/*
 * Is the provider's own list to be read?  For given models only if there is
 * one that nobody can ask, of which the list is all that tells.
 */

static int
mg_validate_wants_list(mg_validate_t *v)
{
    int                   rc;
    mg_buf_t              path, body;
    unsigned              i;
    mg_model_t            m;
    const mg_protocol_t  *protocol;

    protocol = v->target.probe.protocol;

    if (protocol->list_path == NULL || !v->fixed) {
        return protocol->list_path != NULL;
    }

    for (rc = MG_OK, i = 0; rc != MG_DECLINED && i < v->n; i++) {
        mg_buf_init(&path, 0);
        mg_buf_init(&body, 0);
        mg_model_init(&m);
        m.provider_model_id = v->models[i].provider_model_id;
        m.type = (mg_model_type_e) v->models[i].type;

        rc = protocol->probe(&m, &path, &body);

        mg_buf_free(&path);
        mg_buf_free(&body);
    }

    return rc == MG_DECLINED;
}


static int
mg_validate_begin(mg_validate_t *v, mg_error_t *e)
{
    if (mg_validate_load(v, e) != MG_OK || mg_validate_pending(v, e) != MG_OK)
    {
        return MG_ERROR;
    }

    v->probes = mg_probes_create(&v->target.probe, &mg_validate_handler, v);
    v->verdicts.phase = "testing";

    if (v->probes && mg_validate_wants_list(v)) {
        v->verdicts.phase = "discovering";
        mg_pages_init(&v->pages, v->target.probe.protocol, v->provider_id);

        if (mg_probes_add_list(v->probes, mg_buf_view(&v->pages.path))
            != MG_OK)
        {
            mg_probes_destroy(v->probes);
            v->probes = NULL;
        }
    }

    if (v->probes == NULL
        || mg_probes_add(v->probes, v->models, v->n) != MG_OK)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return mg_validate_interrupted(v, e);
}


static int
mg_validate_work(mg_validate_t *v, mg_error_t *e)
{
    if (mg_validate_begin(v, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_validate_probe(v, e) != MG_OK) {
        return MG_ERROR;
    }

    if (v->total == 0 && v->reason.data) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "no model of provider \""
                            MG_STR_FMT "\" is known, and " MG_STR_FMT,
                            MG_STR_ARG(v->provider_id),
                            MG_STR_ARG(v->reason));
    }

    return MG_OK;
}


int
mg_job_validate(mg_run_t *run, mg_error_t *e)
{
    int             rc;
    mg_str_t        error;
    mg_error_t      ended;
    mg_validate_t   v;
    mg_job_state_e  state;

    memset(&v, 0, sizeof(v));
    v.run = run;
    v.env = run->env;
    mg_buf_init(&v.rows, 0);

    rc = mg_validate_payload(&v, e);
    if (rc != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_verdict_init(&v.verdicts, run, v.id, e);

    if (rc == MG_OK) {
        rc = mg_validate_work(&v, e);
    }

    state = mg_run_outcome(run, rc, e);

    if (!run->lost && state == MG_JOB_PENDING) {
        mg_validate_leave(&v);
    }

    mg_probes_destroy(v.probes);
    mg_pages_free(&v.pages);
    mg_buf_free(&v.rows);
    mg_target_close(&v.target);

    if (!run->lost) {
        error = (state == MG_JOB_COMPLETED) ? v.reason
                                            : mg_str_z(e->message);

        if (mg_validate_end(&v, state, error, &ended) != MG_OK
            && rc == MG_OK)
        {
            *e = ended;
            rc = MG_ERROR;
        }
    }

    mg_validate_result(&v);
    mg_verdict_done(&v.verdicts);

    return rc;
}
