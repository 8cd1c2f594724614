/*
 * mg_health.c: what a model server says of itself while it loads.
 *
 *     llama.cpp   503 {"error": {"message": "Loading model", ...}}
 *                 200 {"status": "ok"}
 *     vLLM, ...   200 or 503 without a body
 *     Ollama      200 {"models": [{"name", "model", ...}]}    in memory
 *                 {"status": "pulling ...", "total", "completed"}
 *
 * Progress is a member of that name, as a fraction or as percent.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_health.h"

#include <stdlib.h>


#define MG_HEALTH_NUMBER   32

/* Below this a piece of a pull is a manifest or a template. */
#define MG_HEALTH_PIECE    1000000


static void mg_health_ollama(mg_str_t model, int status, mg_str_t body,
    mg_arena_t *a, mg_health_t *h);
static int mg_health_same(mg_str_t listed, mg_str_t model);
static int mg_health_percent(const mg_json_t *doc);


static const mg_health_ask_t  mg_health_asks[] = {
    { mg_str("openai"), "/health", 1, mg_health_read },
    { mg_str("ollama"), "/api/ps", 0, mg_health_ollama },
    { { NULL, 0 }, NULL, 0, NULL }
};


const mg_health_ask_t *
mg_health_find(mg_str_t protocol)
{
    const mg_health_ask_t  *ask;

    if (protocol.len == 0) {
        protocol = mg_str("openai");
    }

    for (ask = mg_health_asks; ask->path; ask++) {
        if (mg_str_eq(ask->protocol, protocol)) {
            return ask;
        }
    }

    return NULL;
}


/* llama.cpp's "no slot available" is a 503 of a server that is busy. */

void
mg_health_read(mg_str_t model, int status, mg_str_t body, mg_arena_t *a,
    mg_health_t *h)
{
    const mg_json_t  *doc;

    (void) model;

    h->progress = -1;

    if (status >= 200 && status < 300) {
        h->state = MG_HEALTH_WELL;
        return;
    }

    if (status != 503) {
        h->state = MG_HEALTH_NONE;
        return;
    }

    h->state = MG_HEALTH_LOADING;
    doc = body.len ? mg_json_parse(a, body, NULL, NULL) : NULL;

    if (doc == NULL) {
        return;
    }

    if (mg_str_eq(mg_json_str(doc, "status"), mg_str("no slot available"))) {
        h->state = MG_HEALTH_WELL;
        return;
    }

    h->progress = mg_health_percent(doc);

    if (h->progress < 0) {
        h->progress = mg_health_percent(mg_json_get(doc, "error"));
    }
}


/*
 * A model that is not in memory is brought there by the first request, so
 * that it is asked for all the same.
 */

static void
mg_health_ollama(mg_str_t model, int status, mg_str_t body, mg_arena_t *a,
    mg_health_t *h)
{
    const mg_json_t  *doc, *models, *m;

    mg_health_read(model, status, mg_str_null, a, h);

    if (h->state != MG_HEALTH_WELL) {
        return;
    }

    h->state = MG_HEALTH_NONE;
    doc = mg_json_parse(a, body, NULL, NULL);
    models = mg_json_get(doc, "models");

    for (m = models ? models->child : NULL; m; m = m->next) {
        if (mg_health_same(mg_json_str(m, "model"), model)
            || mg_health_same(mg_json_str(m, "name"), model))
        {
            h->state = MG_HEALTH_WELL;
            return;
        }
    }
}


/* Without a tag it is the tag "latest". */

static int
mg_health_same(mg_str_t listed, mg_str_t model)
{
    mg_str_t  latest = mg_str(":latest");

    if (mg_str_eq(listed, model)) {
        return 1;
    }

    return listed.len == model.len + latest.len
           && memcmp(listed.data, model.data, model.len) == 0
           && memcmp(listed.data + model.len, latest.data, latest.len) == 0;
}


static int
mg_health_percent(const mg_json_t *doc)
{
    char              text[MG_HEALTH_NUMBER];
    double            n;
    const mg_json_t  *v;

    v = mg_json_get(doc, "progress");

    if (v == NULL || v->type != MG_JSON_NUMBER || v->str.len >= sizeof(text))
    {
        return -1;
    }

    memcpy(text, v->str.data, v->str.len);
    text[v->str.len] = '\0';

    n = strtod(text, NULL);

    if (n <= 1.0) {
        n *= 100.0;
    }

    return (n >= 0.0 && n <= 100.0) ? (int) n : -1;
}


int
mg_health_pull(mg_str_t line, mg_arena_t *a, int *progress)
{
    int               percent;
    int64_t           total, completed;
    mg_str_t          status;
    const mg_json_t  *doc;

    doc = mg_json_parse(a, line, NULL, NULL);
    status = mg_json_str(doc, "status");

    if (status.len == 0) {
        return MG_ERROR;
    }

    if (mg_str_eq(status, mg_str("success"))) {
        return MG_OK;
    }

    if (mg_json_int64(mg_json_get(doc, "total"), &total) == MG_OK
        && mg_json_int64(mg_json_get(doc, "completed"), &completed) == MG_OK
        && total >= MG_HEALTH_PIECE && completed >= 0 && completed <= total)
    {
        percent = (int) ((double) completed * 100.0 / (double) total);
        *progress = percent > *progress ? percent : *progress;
    }

    return MG_AGAIN;
}
