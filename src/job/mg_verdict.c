/*
 * mg_verdict.c: batches of verdicts, saved by time and by number.
 *
 * The store recomputes the counts from the rows with every save, so the
 * same batch saved twice (the connection was lost after the commit) does
 * no harm.  A batch that has grown while the database was away is saved in
 * pieces.  Strings of the batch live in an arena that is reset when the
 * batch is empty, which it is after nearly every save.
 *
 * Called by the validation job; one thread.
 */

#include "job/mg_verdict.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mg_time.h"


#define MG_VERDICT_BATCH        200
#define MG_VERDICT_PIECE        500

/* Less than what is promised: a save takes a moment, and so does a tick. */
#define MG_VERDICT_SAVE_US      180000

#define MG_VERDICT_DELAY_US     250000
#define MG_VERDICT_DELAY_MAX_US 2000000
#define MG_VERDICT_AWAY_US      60000000
#define MG_VERDICT_WAIT_US      50000

/*
 * Of more than a few, which are many within two seconds, the catalog is told
 * with the save, in steps.
 */
#define MG_VERDICT_FEW          32

/* From one time that the catalog is told to the next. */
#define MG_VERDICT_SLOT_US      2000000

#define mg_verdict_slot()       (mg_now_us() / MG_VERDICT_SLOT_US)


int
mg_verdict_init(mg_verdict_t *v, mg_run_t *run, mg_str_t id, mg_error_t *e)
{
    memset(v, 0, sizeof(mg_verdict_t));

    v->run = run;
    v->id = id;
    v->saved_us = mg_mono_us();
    v->told_slot = mg_verdict_slot();
    v->untold_us = INT64_MAX;
    mg_rate_begin(&v->rate, v->saved_us);
    v->delay_us = MG_VERDICT_DELAY_US;
    v->texts = mg_arena_create(0);
    v->scratch = mg_arena_create(0);

    if (v->texts == NULL || v->scratch == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


void
mg_verdict_done(mg_verdict_t *v)
{
    mg_arena_destroy(v->texts);
    mg_arena_destroy(v->scratch);
    free(v->results);
    v->results = NULL;
}


static int
mg_verdict_grow(mg_verdict_t *v)
{
    unsigned                 size;
    mg_validation_result_t  *results;

    if (v->n < v->size) {
        return MG_OK;
    }

    size = v->size ? v->size * 2 : MG_VERDICT_PIECE;

    results = realloc(v->results, size * sizeof(mg_validation_result_t));
    if (results == NULL) {
        return MG_ERROR;
    }

    v->results = results;
    v->size = size;

    return MG_OK;
}


static int
mg_verdict_dup(mg_verdict_t *v, mg_str_t *s)
{
    if (s->data == NULL) {
        return MG_OK;
    }

    *s = mg_arena_dup(v->texts, *s);

    return s->data ? MG_OK : MG_ERROR;
}


int
mg_verdict_add(mg_verdict_t *v, const mg_validation_result_t *r,
    mg_error_t *e)
{
    mg_validation_result_t  copy;

    copy = *r;

    if (mg_verdict_grow(v) != MG_OK
        || mg_verdict_dup(v, &copy.model_id) != MG_OK
        || mg_verdict_dup(v, &copy.error_class) != MG_OK
        || mg_verdict_dup(v, &copy.error) != MG_OK)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory for the "
                            "results of a validation");
    }

    v->results[v->n++] = copy;

    if (r->unverified) {
        v->unverified++;
        mg_metric_add(v->run->env->metrics, VALIDATED_UNVERIFIED, 1);

    } else if (r->available) {
        v->available++;
        mg_metric_add(v->run->env->metrics, VALIDATED_AVAILABLE, 1);

    } else {
        v->unavailable++;
        mg_metric_add(v->run->env->metrics, VALIDATED_UNAVAILABLE, 1);
    }

    return MG_OK;
}


void
mg_verdict_drop(mg_verdict_t *v, mg_str_t model_id)
{
    unsigned  i;

    for (i = 0; i < v->n; i++) {
        if (mg_str_eq(v->results[i].model_id, model_id)) {
            v->unverified -= (v->results[i].unverified != 0);
            v->available -= (v->results[i].available != 0);
            v->unavailable -= (!v->results[i].available
                               && !v->results[i].unverified);
            v->results[i] = v->results[--v->n];
            return;
        }
    }
}


int64_t
mg_verdict_count(const mg_verdict_t *v)
{
    return v->available + v->unavailable + v->unverified;
}


/*
 * After a save of n that the catalog was not told of.  What fails is done next
 * time, or by the end of the run.
 */

static void
mg_verdict_tell(mg_verdict_t *v, mg_pg_t *db, unsigned n)
{
    unsigned    i;
    mg_error_t  e;

    for (i = 0; i < n; i++) {
        if (v->results[i].tested_at < v->untold_us) {
            v->untold_us = v->results[i].tested_at;
        }
    }

    if (v->untold_us == INT64_MAX || mg_verdict_slot() == v->told_slot) {
        return;
    }

    v->told_slot = mg_verdict_slot();

    if (mg_store_validation_health(db, v->id, v->untold_us, v->scratch, &e)
        == MG_OK)
    {
        v->untold_us = INT64_MAX;
    }
}


/*
 * One piece of the batch, or just the current model.  The connection is taken
 * for this alone: a worker may have more runs than connections.
 */

static int
mg_verdict_save_piece(mg_verdict_t *v, mg_error_t *e)
{
    int                   rc;
    int64_t               now;
    mg_pg_t              *db;
    unsigned              n;
    mg_validation_t       row;
    mg_validation_news_t  news;

    db = mg_pg_checkout_job(v->run->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    n = v->hold ? 0 : v->n < MG_VERDICT_PIECE ? v->n : MG_VERDICT_PIECE;
    now = mg_mono_us();

    news.current = v->current;
    news.phase = v->phase;
    news.estimated_s = mg_rate_left(&v->rate, now, mg_verdict_count(v),
                                    v->left);

    /* what the provider's list will bring is not known either */

    if (news.estimated_s < 0
        || (v->left <= 0 && strcmp(v->phase, "discovering") == 0))
    {
        news.estimated_s = MG_UNKNOWN;
    }

    mg_arena_reset(v->scratch);

    rc = mg_store_validation_save(db, v->id, v->results, n,
                                  n > MG_VERDICT_FEW, &news, &row, v->scratch,
                                  e);

    if (rc == MG_OK) {
        mg_verdict_tell(v, db, n > MG_VERDICT_FEW ? 0 : n);
    }

    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    v->shown = v->phase;

    if (n == 0) {
        return MG_OK;
    }

    v->run->moved = 1;
    v->n -= n;

    if (v->n == 0) {
        mg_arena_reset(v->texts);
        return MG_OK;
    }

    memmove(v->results, v->results + n,
            v->n * sizeof(mg_validation_result_t));

    return MG_OK;
}


/* MG_DECLINED: the database is away, but not for long yet. */

static int
mg_verdict_save(mg_verdict_t *v, mg_error_t *e)
{
    int      rc;
    int64_t  now;

    rc = MG_OK;

    do {
        rc = mg_verdict_save_piece(v, e);
    } while (rc == MG_OK && v->n > 0 && !v->hold);

    now = mg_mono_us();

    if (rc == MG_OK) {
        v->saved_us = now;
        v->failed_us = 0;
        v->delay_us = MG_VERDICT_DELAY_US;
        return MG_OK;
    }

    if (e->kind != MG_E_UNAVAILABLE && e->kind != MG_E_TIMEOUT) {
        return MG_ERROR;
    }

    if (v->failed_us == 0) {
        v->failed_us = now;
        v->run->env->log(MG_LOG_WARN, "validation " MG_STR_FMT ": results "
                         "are kept in memory until the database is back: "
                         "%s", MG_STR_ARG(v->id), e->message);
    }

    if (now - v->failed_us > MG_VERDICT_AWAY_US) {
        return MG_ERROR;
    }

    v->retry_us = now + v->delay_us;
    v->delay_us = (v->delay_us * 2 < MG_VERDICT_DELAY_MAX_US)
                  ? v->delay_us * 2 : MG_VERDICT_DELAY_MAX_US;

    return MG_DECLINED;
}


int
mg_verdict_step(mg_verdict_t *v, mg_error_t *e)
{
    int      due;
    int64_t  now;

    now = mg_mono_us();
    mg_rate_add(&v->rate, now, mg_verdict_count(v));

    if (v->failed_us) {
        due = (now >= v->retry_us);

    } else {
        due = (now - v->saved_us >= MG_VERDICT_SAVE_US
               || v->phase != v->shown
               || (v->n >= MG_VERDICT_BATCH && !v->hold));
    }

    if (!due) {
        return MG_OK;
    }

    return (mg_verdict_save(v, e) == MG_ERROR) ? MG_ERROR : MG_OK;
}


int
mg_verdict_flush(mg_verdict_t *v, int patient, mg_error_t *e)
{
    int  rc;

    if (v->n == 0) {
        return MG_OK;
    }

    for ( ;; ) {
        rc = mg_verdict_save(v, e);

        if (rc != MG_DECLINED) {
            return rc;
        }

        if (!patient) {
            return MG_ERROR;
        }

        while (mg_mono_us() < v->retry_us) {
            if (mg_run_stop(v->run, e) != MG_OK) {
                return MG_ERROR;
            }

            usleep(MG_VERDICT_WAIT_US);
        }
    }
}
