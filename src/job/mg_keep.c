/*
 * mg_keep.c: what exactly one worker of a node looks after.
 *
 *     start: verify what lies in the state folder
 *     step:  files behind the database -> mg_keep_publish.c
 *            (by way of Redis -> mg_keep_share.c)
 *            confirmed or stale -> mg_keep_confirm.c
 *            names of backends -> mg_keep_publish.c
 *            history of syncs; the first one is asked for
 *            steps of canaries -> mg_canary.c
 *            partitions of the coming days; days that are too old
 *            validations that are due -> mg_schedule.c
 *            jobs that wait; the phase
 *
 * Pool thread, one at a time; the zone's words are the only output.
 */

#include <stdio.h>
#include <unistd.h>

#include "job/mg_canary.h"
#include "job/mg_engine.h"
#include "job/mg_keep_local.h"


#define MG_KEEP_HISTORY       (15 * MG_KEEP_SECOND)
#define MG_KEEP_PARTITIONS    (3600 * MG_KEEP_SECOND)

/* Share of the first sync in the progress of readiness: from 10 to 90. */
#define MG_KEEP_PROGRESS      10


static int mg_keep_round(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const int *cancel, mg_error_t *e);
static int mg_keep_rest(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_generations_t *g, const int *cancel, mg_error_t *e);
static int mg_keep_sync(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e);
static int mg_keep_history(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_arena_t *a, mg_error_t *e);
static int mg_keep_first_sync(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_arena_t *a, mg_error_t *e);
static int mg_keep_canaries(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e);
static int mg_keep_partitions(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e);
static void mg_keep_database(const mg_env_t *env, int up,
    const mg_error_t *e);
static void mg_keep_phase(const mg_env_t *env, const mg_keep_t *k);


int
mg_keep_start(const mg_env_t *env, mg_keep_t *k, mg_error_t *e)
{
    int       fd;
    unsigned  i;

    fd = mg_keep_lock(env, NULL, e);

    if (fd == -1) {
        if (e->kind == MG_E_CONFLICT) {
            return MG_ERROR;
        }

        /* a folder that cannot be written to can still be read */

        env->log(MG_LOG_ERROR, "%s; what lies there is used, and nothing "
                 "new is published", e->message);
    }

    if (mg_word_get(env->state->started_us) == 0) {
        mg_word_set(env->state->started_us, (uint64_t) mg_now_us());
    }

    for (i = 0; i < MG_KEEP_KINDS; i++) {
        mg_keep_verify(env, k, i, fd != -1);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    mg_keep_confirm_read(env);
    mg_keep_phase(env, k);

    return MG_OK;
}


int
mg_keep_step(const mg_env_t *env, mg_keep_t *k, const int *cancel,
    mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    k->jobs_waiting = 0;
    k->confirmed = 0;
    k->again_ms = 0;

    if (env->db == NULL) {
        mg_word_set(env->state->routing_compared, 1);
        mg_keep_phase(env, k);
        return MG_OK;
    }

    db = mg_pg_checkout(env->db, e);

    if (db == NULL) {
        mg_keep_database(env, 0, e);
        rc = MG_ERROR;

    } else {
        rc = mg_keep_round(env, k, db, cancel, e);
        mg_pg_release(db);
    }

    if (rc != MG_OK) {
        mg_word_set(env->state->routing_compared, 1);
        mg_metric_add(env->metrics, DATABASE_ERRORS, 1);

        if (!k->confirmed) {
            mg_keep_stale(env, k);
        }
    }

    mg_keep_phase(env, k);

    return rc;
}


/* MG_ERROR: the database is away, or not what it should be. */

static int
mg_keep_round(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const int *cancel, mg_error_t *e)
{
    mg_generations_t  g;

    if (mg_store_generations(db, &g, e) != MG_OK) {
        mg_keep_database(env, 0, e);
        return MG_ERROR;
    }

    mg_keep_database(env, 1, NULL);
    mg_keep_phase(env, k);

    if (mg_keep_rest(env, k, db, &g, cancel, e) == MG_OK) {
        return MG_OK;
    }

    if (e->kind == MG_E_UNAVAILABLE) {
        mg_keep_database(env, 0, e);

    } else if (k->told_us == 0
               || mg_mono_us() - k->told_us > 60 * MG_KEEP_SECOND)
    {
        env->log(MG_LOG_ERROR, "the keeper cannot do its round: %s",
                 e->message);
        k->told_us = mg_mono_us();
    }

    return MG_ERROR;
}


static int
mg_keep_rest(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_generations_t *g, const int *cancel, mg_error_t *e)
{
    int       waiting;
    unsigned  synced;

    synced = k->synced;

    /* ready is who has published what the first sync has brought */

    if (!synced
        && (mg_keep_sync(env, k, db, e) != MG_OK
            || (k->synced && mg_store_generations(db, g, e) != MG_OK)))
    {
        return MG_ERROR;
    }

    /* a promotion does not wait for a large catalog */

    if (mg_keep_publish(env, k, db, MG_KEEP_ROUTING, g, cancel, e) != MG_OK
        || mg_keep_publish(env, k, db, MG_KEEP_CATALOG, g, cancel, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    if (k->failed_us[MG_KEEP_ROUTING] != 0
        || mg_word_get(env->state->routing_generation) == g->routing)
    {
        mg_word_set(env->state->routing_compared, 1);
    }

    if (mg_keep_stop(cancel)) {
        return MG_OK;
    }

    if ((synced && mg_keep_sync(env, k, db, e) != MG_OK)
        || mg_keep_names(env, k, db, cancel, e) != MG_OK
        || mg_keep_canaries(env, k, db, e) != MG_OK
        || mg_keep_partitions(env, k, db, e) != MG_OK
        || mg_keep_retain(env, k, db, e) != MG_OK
        || mg_refresh_round(env, &k->refresh, db, e) != MG_OK
        || mg_schedule_round(env, &k->schedule, db, e) != MG_OK
        || mg_store_job_waiting(db, MG_JOB_KIND_NAMES, &waiting, e) != MG_OK)
    {
        return MG_ERROR;
    }

    k->jobs_waiting = waiting ? 1 : 0;

    return MG_OK;
}


static int
mg_keep_sync(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, mg_error_t *e)
{
    int          rc;
    mg_arena_t  *a;

    if (env->catalog_source == NULL) {
        return MG_OK;
    }

    if (k->synced
        && k->history_us != 0
        && mg_mono_us() - k->history_us < MG_KEEP_HISTORY)
    {
        return MG_OK;
    }

    a = mg_arena_create(0);
    if (a == NULL) {
        return MG_OK;
    }

    rc = mg_keep_history(env, k, db, a, e);

    if (rc == MG_OK && !k->synced) {
        rc = mg_keep_first_sync(env, k, db, a, e);
    }

    mg_arena_destroy(a);

    return rc;
}


static int
mg_keep_history(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_arena_t *a, mg_error_t *e)
{
    unsigned            i, n;
    mg_sync_history_t  *rows;

    if (mg_store_sync_history(db, mg_str_null, mg_str_null, 50, a, &rows, &n,
                              e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    k->history_us = mg_mono_us();

    for (i = 0; i < n; i++) {

        /* the list of one provider is no catalog */

        if (rows[i].provider.len
            || (!mg_str_eq(rows[i].status, mg_str("completed"))
                && !mg_str_eq(rows[i].status, mg_str("unchanged"))))
        {
            continue;
        }

        k->synced = 1;
        mg_word_set(env->state->last_sync_us,
                    (uint64_t) rows[i].completed_at);
        break;
    }

    return MG_OK;
}


/* Asked for once; phase "loading" goes on until that job has ended. */

static int
mg_keep_first_sync(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_arena_t *a, mg_error_t *e)
{
    int         rc;
    mg_job_t    j;
    mg_actor_t  who;

    memset(&j, 0, sizeof(mg_job_t));

    who.org_id = mg_str(MG_ORG_DEFAULT);
    who.token_id = mg_str_null;
    who.once = NULL;
    who.webhook = mg_str_null;

    if (!k->sync_asked) {
        rc = mg_store_job_create(db, &who, "sync", mg_str(MG_JOB_KEY_SYNC),
                                 mg_str(MG_JOB_PAYLOAD_SYNC), a, &j, e);

        if (rc != MG_OK && e->kind != MG_E_CONFLICT) {
            return MG_ERROR;
        }

        k->sync_asked = 1;

        (void) snprintf(k->sync_job, sizeof(k->sync_job), MG_STR_FMT,
                        MG_STR_ARG(j.id));
        return MG_OK;
    }

    if (k->sync_job[0] == '\0') {
        k->synced = 1;
        return MG_OK;
    }

    rc = mg_store_job_get(db, who.org_id, mg_str_z(k->sync_job), a, &j, e);

    if (rc != MG_OK) {
        if (e->kind != MG_E_NOT_FOUND) {
            return MG_ERROR;
        }

        k->synced = 1;
        return MG_OK;
    }

    if (j.state != MG_JOB_PENDING && j.state != MG_JOB_IN_PROGRESS) {
        k->synced = 1;
    }

    if (j.progress > 0 && mg_word_get(env->state->phase) == MG_PHASE_LOADING)
    {
        mg_word_set(env->state->progress,
                    MG_KEEP_PROGRESS + (uint64_t) j.progress * 8 / 10);
    }

    return MG_OK;
}


/* A step is a change like others, which the next round publishes. */

static int
mg_keep_canaries(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e)
{
    int64_t   in_ms;
    unsigned  taken;

    if (mg_canary_round(env, db, &taken, &in_ms, e) != MG_OK) {
        return MG_ERROR;
    }

    if (taken) {
        mg_keep_again(k, 1);

    } else if (in_ms >= 0 && in_ms < MG_KEEP_SECOND / 1000) {
        mg_keep_again(k, (unsigned) in_ms + 1);
    }

    return MG_OK;
}


static int
mg_keep_partitions(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e)
{
    int64_t  now;

    now = mg_mono_us();

    if (k->partitions_us != 0
        && now - k->partitions_us < MG_KEEP_PARTITIONS)
    {
        return MG_OK;
    }

    k->partitions_us = now;

    if (mg_store_partitions(db, e) == MG_OK) {
        return MG_OK;
    }

    if (e->kind == MG_E_UNAVAILABLE) {
        k->partitions_us = 0;
        return MG_ERROR;
    }

    /* once more in a minute */

    k->partitions_us = now - MG_KEEP_PARTITIONS + 60 * MG_KEEP_SECOND;

    env->log(MG_LOG_ERROR, "cannot make the partitions of the coming days: "
             "%s", e->message);

    return MG_OK;
}


/* One line when it goes, one when it returns. */

static void
mg_keep_database(const mg_env_t *env, int up, const mg_error_t *e)
{
    mg_state_t  *s;

    s = env->state;

    if (mg_word_get(s->database_changed_us) != 0
        && mg_word_get(s->database_up) == (uint64_t) up)
    {
        return;
    }

    mg_word_set(s->database_up, (uint64_t) up);
    mg_word_set(s->database_changed_us, (uint64_t) mg_now_us());

    if (up) {
        env->log(MG_LOG_NOTICE, "the database answers");

    } else {
        env->log(MG_LOG_WARN, "the database is away or cannot be used, what "
                 "was published stays in effect: %s", e->message);
    }
}


/* "ready" is set by the event loop of worker 0, when it has mapped both. */

static void
mg_keep_phase(const mg_env_t *env, const mg_keep_t *k)
{
    int          files, asked, first;
    mg_state_t  *s;

    s = env->state;

    if (mg_word_get(s->phase) == MG_PHASE_READY) {
        return;
    }

    files = mg_word_get(s->catalog_built_us) != 0
            && mg_word_get(s->routing_built_us) != 0;

    asked = mg_word_get(s->database_changed_us) != 0;

    /* a catalog that waits for its first sync */

    first = env->db && env->catalog_source
            && !k->synced
            && mg_word_get(s->catalog_models) == 0
            && (mg_word_get(s->database_up) || !asked);

    if (files && !first) {
        mg_word_set(s->progress, 95);
        mg_ready_phase(s, MG_PHASE_FINALIZING);
        return;
    }

    if (!mg_word_get(s->database_up)) {
        mg_word_set(s->progress, 0);
        mg_ready_phase(s, MG_PHASE_CONNECTING);
        return;
    }

    if (mg_word_get(s->progress) < MG_KEEP_PROGRESS) {
        mg_word_set(s->progress, MG_KEEP_PROGRESS);
    }

    mg_ready_phase(s, MG_PHASE_LOADING);
}
