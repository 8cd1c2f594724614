/*
 * mg_validate_list.c: the provider's own list of models, beside the probes.
 *
 *     answers -> listed[] -> extra[] are asked at once
 *                  |
 *                  +-> 30 ms later: stored; the run's list is read again
 *
 * Storing a thousand new models takes the database a while, in which the
 * first requests are under way already.  So models that the list adds to a
 * fresh run are asked before they are stored, and their verdicts are held
 * back until the database has said which of them belong to the run: a model
 * that was switched off by hand does not, and its verdict is dropped.  A
 * run that is resumed waits for the database's word.
 *
 * Called by the validation job; one thread; settling blocks.
 */

#include "job/mg_validate.h"

#include <stdlib.h>

#include "base/mg_time.h"


/* Of all pages of a list. */
#define MG_VALIDATE_LISTED_MAX  100000

/* Lets the first requests out before the database is asked. */
#define MG_VALIDATE_SETTLE_US   30000


/* Ids in order. */
typedef struct {
    mg_str_t   *ids;
    unsigned    n;
} mg_validate_ids_t;


static int
mg_validate_id_cmp(const void *one, const void *two)
{
    return mg_str_cmp(*(const mg_str_t *) one, *(const mg_str_t *) two);
}


static int
mg_validate_model_cmp(const void *one, const void *two)
{
    const mg_validation_model_t  *a = one, *b = two;

    return mg_str_cmp(a->id, b->id);
}


/* Freed with free(set->ids). */

static int
mg_validate_ids(const mg_validation_model_t *models, unsigned n,
    mg_validate_ids_t *set)
{
    unsigned  i;

    set->n = n;
    set->ids = malloc((n + 1) * sizeof(mg_str_t));

    if (set->ids == NULL) {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        set->ids[i] = models[i].id;
    }

    qsort(set->ids, n, sizeof(mg_str_t), mg_validate_id_cmp);

    return MG_OK;
}


static int
mg_validate_has(const mg_validate_ids_t *set, mg_str_t id)
{
    return bsearch(&id, set->ids, set->n, sizeof(mg_str_t),
                   mg_validate_id_cmp)
           != NULL;
}


/* -- the answer -- */

static int
mg_validate_grow(mg_validate_t *v)
{
    unsigned                size;
    mg_validation_model_t  *models;

    if (v->n_listed < v->size_listed) {
        return MG_OK;
    }

    size = v->size_listed ? v->size_listed * 2 : 128;

    models = mg_arena_alloc(v->run->arena,
                            size * sizeof(mg_validation_model_t));
    if (models == NULL) {
        return MG_ERROR;
    }

    if (v->n_listed) {
        memcpy(models, v->listed,
               v->n_listed * sizeof(mg_validation_model_t));
    }

    v->listed = models;
    v->size_listed = size;

    return MG_OK;
}


/* Of an entry the store gets all, the run keeps what it needs. */

static int
mg_validate_entry(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    mg_model_t              copy;
    mg_error_t              bad;
    mg_validate_t          *v = ctx;
    mg_validation_model_t  *to;

    if (v->n_listed >= MG_VALIDATE_LISTED_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "it has more than %d "
                            "models", MG_VALIDATE_LISTED_MAX);
    }

    copy = *m;
    copy.provider_id = v->provider_id;
    copy.id = mg_arena_printf(v->run->arena, MG_STR_FMT "/" MG_STR_FMT,
                              MG_STR_ARG(copy.provider_id),
                              MG_STR_ARG(copy.provider_model_id));

    if (copy.id.data == NULL || mg_validate_grow(v) != MG_OK) {
        v->no_memory = 1;
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "out of memory");
    }

    if (mg_model_check(&copy, &bad) != MG_OK) {
        v->skipped++;
        return MG_OK;
    }

    mg_store_validation_row(&v->rows, &copy);

    to = &v->listed[v->n_listed++];
    to->id = copy.id;
    to->provider_model_id = mg_str_n(copy.id.data + v->provider_id.len + 1,
                                     copy.id.len - v->provider_id.len - 1);
    to->type = (uint8_t) copy.type;
    to->begun = 0;
    to->active = (copy.active != 0);
    to->listed = 1;

    return MG_OK;
}


/* Why there is no list, in words without the key. */

static void
mg_validate_reason(mg_validate_t *v, mg_str_t words)
{
    v->n_listed = 0;
    v->rows.len = 0;
    v->verdicts.phase = "testing";
    v->reason = mg_probe_redact(mg_arena_dup(v->run->arena, words),
                                v->target.probe.secret, v->run->arena);

    v->env->log(MG_LOG_WARN, "validation " MG_STR_FMT ": " MG_STR_FMT
                "; only models that are known are tested",
                MG_STR_ARG(v->id), MG_STR_ARG(v->reason));
}


static void
mg_validate_refused(mg_validate_t *v, const mg_http_response_t *res)
{
    mg_str_t    message;
    mg_model_t  none;

    mg_model_init(&none);
    none.type = MG_TYPE_CHAT;

    v->target.probe.protocol->judge(&none, res->status, res->body,
                                    v->run->arena, &message);

    message = mg_arena_printf(v->run->arena, "the provider's list of models "
                              "was answered with status %d: " MG_STR_FMT,
                              res->status, MG_STR_ARG(message));
    mg_validate_reason(v, message);
}


/* The models of the list that are not among those to be asked, asked. */

static int
mg_validate_add_extra(mg_validate_t *v)
{
    unsigned           i;
    mg_validate_ids_t  known;

    v->extra = mg_arena_alloc(v->run->arena, (v->n_listed + 1)
                                             * sizeof(mg_validation_model_t));

    if (v->extra == NULL
        || mg_validate_ids(v->models, v->n, &known) != MG_OK)
    {
        return MG_ERROR;
    }

    for (i = 0; i < v->n_listed; i++) {
        if (v->listed[i].active && !mg_validate_has(&known, v->listed[i].id)
            && (i == 0 || !mg_str_eq(v->listed[i].id, v->listed[i - 1].id)))
        {
            v->extra[v->n_extra++] = v->listed[i];
        }
    }

    free(known.ids);

    v->total += v->n_extra;
    v->verdicts.hold = 1;

    return mg_probes_add(v->probes, v->extra, v->n_extra);
}


/* The list is complete: who of those that are to be tested is on it? */

static int
mg_validate_mark(mg_validate_t *v, mg_validation_model_t *models, unsigned n)
{
    unsigned           i;
    mg_validate_ids_t  listed;

    if (mg_validate_ids(v->listed, v->n_listed, &listed) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        models[i].listed = (mg_validate_has(&listed, models[i].id) != 0);
    }

    free(listed.ids);

    return MG_OK;
}


void
mg_validate_listed(void *ctx, const mg_http_response_t *res)
{
    int             rc;
    mg_str_t        words;
    unsigned        skipped;
    mg_arena_t     *page;
    mg_error_t      e;
    mg_validate_t  *v = ctx;

    if (res->status == 0) {
        mg_validate_reason(v, mg_str_z(res->error.message));
        return;
    }

    if (res->status != 200) {
        mg_validate_refused(v, res);
        return;
    }

    skipped = 0;
    page = mg_arena_create(0);

    if (page == NULL) {
        v->no_memory = 1;
        return;
    }

    rc = v->target.probe.protocol->list(res->body, page, mg_validate_entry, v,
                                        &skipped, &e);

    if (rc != MG_OK) {
        mg_arena_destroy(page);
        words = mg_arena_printf(v->run->arena, "the provider's list of "
                                "models cannot be read: %s", e.message);
        mg_validate_reason(v, words);
        return;
    }

    v->skipped += skipped;

    mg_arena_reset(page);
    rc = mg_pages_next(&v->pages, res, page, &e);
    mg_arena_destroy(page);

    if (rc == MG_AGAIN) {
        if (mg_probes_add_list(v->probes, mg_buf_view(&v->pages.path))
            != MG_OK)
        {
            v->no_memory = 1;
        }

        return;
    }

    if (rc != MG_OK) {
        mg_validate_reason(v, mg_str_z(e.message));
        return;
    }

    v->has_list = 1;
    v->verdicts.phase = "testing";

    /* a list may name a model for each of its versions */

    if (v->n_listed) {
        qsort(v->listed, v->n_listed, sizeof(mg_validation_model_t),
              mg_validate_model_cmp);
    }

    if (v->rows.failed || mg_validate_mark(v, v->models, v->n) != MG_OK) {
        v->no_memory = 1;
        return;
    }

    if (v->fixed) {
        return;
    }

    v->settle_us = mg_mono_us() + MG_VALIDATE_SETTLE_US;

    if (v->before == 0 && !v->killed && mg_validate_add_extra(v) != MG_OK) {
        v->no_memory = 1;
    }
}


/* -- settling -- */

/* Stores the list and reads what has no result in the database yet. */

static int
mg_validate_store(mg_validate_t *v, mg_validation_model_t **models,
    unsigned *n, mg_error_t *e)
{
    int                    rc;
    mg_pg_t               *db;
    mg_arena_t            *a;
    mg_validation_list_t   list;

    memset(&list, 0, sizeof(list));

    db = mg_pg_checkout_job(v->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    a = v->run->arena;

    /* an empty list is no list: nothing is gone because of it */

    list.rows = mg_buf_view(&v->rows);
    list.n_rows = v->n_listed;
    list.authority = (v->target.probe.protocol->authority && v->n_listed)
                     ? v->target.probe.protocol->name : mg_str_null;
    list.all_begun = v->killed;
    list.begun = v->extra;
    list.n_begun = v->n_begun;

    rc = mg_store_validation_discovered(db, v->id, &list, e);
    mg_buf_free(&v->rows);

    if (rc == MG_OK) {
        rc = mg_store_validation_pending(db, v->id, a, models, n, e);
    }

    if (rc == MG_OK) {
        rc = mg_store_validation_get(db, v->run->job.org_id, v->id, a,
                                     &v->row, e);
    }

    mg_pg_release(db);

    return rc;
}


static void
mg_validate_drop_extra(mg_validate_t *v, const mg_validate_ids_t *belong)
{
    unsigned  i;

    for (i = 0; i < v->n_extra; i++) {
        if (!mg_validate_has(belong, v->extra[i].id)) {
            v->extra[i].active = 0;
            mg_verdict_drop(&v->verdicts, v->extra[i].id);
        }
    }
}


/*
 * What belongs to the run and is not being asked: moved to the front.  After
 * the loss of a worker it may have been asked already, by that one.
 */

static unsigned
mg_validate_missing(mg_validate_t *v, mg_validation_model_t *models,
    unsigned n, const mg_validate_ids_t *known,
    const mg_validate_ids_t *extra)
{
    unsigned  i, missing;

    for (missing = 0, i = 0; i < n; i++) {
        if (!mg_validate_has(known, models[i].id)
            && !mg_validate_has(extra, models[i].id))
        {
            models[missing] = models[i];
            models[missing++].begun = v->killed;
        }
    }

    return missing;
}


static int
mg_validate_compare(mg_validate_t *v, mg_validation_model_t *models,
    unsigned n)
{
    int                rc;
    unsigned           missing;
    mg_validate_ids_t  known, extra, belong;

    memset(&known, 0, sizeof(known));
    memset(&extra, 0, sizeof(extra));
    memset(&belong, 0, sizeof(belong));

    rc = MG_ERROR;

    if (mg_validate_ids(v->models, v->n, &known) == MG_OK
        && mg_validate_ids(v->extra, v->n_extra, &extra) == MG_OK
        && mg_validate_ids(models, n, &belong) == MG_OK
        && mg_validate_mark(v, models, n) == MG_OK)
    {
        mg_validate_drop_extra(v, &belong);

        missing = mg_validate_missing(v, models, n, &known, &extra);
        rc = mg_probes_add(v->probes, models, missing);
    }

    free(known.ids);
    free(extra.ids);
    free(belong.ids);

    return rc;
}


int
mg_validate_settle(mg_validate_t *v, mg_error_t *e)
{
    unsigned                n;
    mg_validation_model_t  *models;

    if (v->no_memory) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory for the "
                            "models of a validation");
    }

    if (v->settle_us == 0) {
        return MG_OK;
    }

    v->settle_us = 0;

    if (mg_validate_store(v, &models, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_validate_compare(v, models, n) != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    v->total = v->row.total;
    v->verdicts.hold = 0;

    return MG_OK;
}
