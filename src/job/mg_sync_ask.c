/*
 * mg_sync_ask.c: the payload of a sync, and the key that lets one run.
 *
 *     {"source": "litellm"}                     key sync:litellm
 *     {"source": "litellm", "after": "ID"}      the same; see mg_refresh.c
 *     {"provider": "openai", "force": true}     key sync:provider:openai
 *     {}                                        key sync:all
 *
 * Where a source is read from is configuration, never part of the payload:
 * who may start a sync may not choose what the gateway fetches.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_sync.h"


int
mg_sync_ask(mg_pg_t *db, const mg_actor_t *who, const mg_sync_ask_t *ask,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int       rc;
    mg_jw_t   w;
    mg_buf_t  b;
    mg_str_t  key;

    if (ask->provider.data) {
        key = mg_arena_printf(a, "sync:provider:" MG_STR_FMT,
                              MG_STR_ARG(ask->provider));

    } else if (ask->source.data) {
        key = mg_arena_printf(a, "sync:" MG_STR_FMT,
                              MG_STR_ARG(ask->source));

    } else {
        key = mg_str("sync:all");
    }

    mg_buf_init(&b, 4096);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);

    if (ask->source.data) {
        mg_jw_str(&w, "source", ask->source);
    }

    if (ask->provider.data) {
        mg_jw_str(&w, "provider", ask->provider);
    }

    if (ask->force) {
        mg_jw_bool(&w, "force", 1);
    }

    if (ask->scheduled) {
        mg_jw_str(&w, "after", ask->after);
    }

    mg_jw_end_object(&w);

    if (b.failed || key.data == NULL) {
        mg_buf_free(&b);
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = mg_store_job_create(db, who, "sync", key, mg_buf_view(&b), a, j, e);
    mg_buf_free(&b);

    return rc;
}


int
mg_sync_ask_parse(mg_arena_t *a, mg_str_t payload, mg_sync_ask_t *ask,
    mg_error_t *e)
{
    const mg_json_t  *doc;

    memset(ask, 0, sizeof(mg_sync_ask_t));

    doc = mg_json_parse(a, payload, NULL, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    ask->source = mg_json_str(doc, "source");
    ask->provider = mg_json_str(doc, "provider");
    ask->after = mg_json_str(doc, "after");
    ask->scheduled = (ask->after.data != NULL);
    ask->force = (mg_json_tri(mg_json_get(doc, "force")) == 1);

    return MG_OK;
}


mg_str_t
mg_sync_last(const mg_sync_history_t *rows, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (!mg_str_eq(rows[i].status, mg_str("failed"))) {
            return rows[i].id;
        }
    }

    return mg_str("");
}
