/*
 * mg_document.c: streams a document of entries through a table.
 *
 *     bytes -> stream -> one entry as nodes -> mg_field tables -> finish()
 *           -> complete, check, seen before? -> model() -> more()
 *
 * Two arenas: one for the entry at hand, reset with each, and one for the
 * ids seen so far, which live as long as the document.  Of two entries with
 * one id the first stays, since it has been handed on already; the second is
 * reported.
 *
 * Called by the sync job on a pool thread; touches only its own memory.
 */

#include "provider/mg_document.h"

#include <stdlib.h>

#include "provider/mg_keyset.h"


#define MG_DOCUMENT_TOTAL   (64 * 1024 * 1024)
#define MG_DOCUMENT_NODES   (1024 * 1024)        /* of one entry */
#define MG_DOCUMENT_STRING  (1024 * 1024)
#define MG_DOCUMENT_DEPTH   32
#define MG_DOCUMENT_ARENA   (64 * 1024 * 1024)


typedef struct {
    const mg_document_kind_t   *kind;
    mg_source_handler_t         handler;
    void                       *ctx;
    mg_json_stream_t           *stream;
    mg_arena_t                 *names;        /* of the whole document */
    mg_arena_t                 *arena;        /* of one entry */
    mg_keyset_t                 ids;
    unsigned                    number;       /* of entries so far */
    unsigned                    found:1;      /* the container was there */
} mg_document_t;


static mg_json_want_e mg_document_enter(void *ctx, unsigned depth,
    mg_str_t key, mg_json_type_e type);
static int mg_document_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e);


static const mg_json_handler_t  mg_document_callbacks = {
    .enter = mg_document_enter,
    .value = mg_document_value
};


void *
mg_document_create(const mg_document_kind_t *kind,
    const mg_source_handler_t *h, void *ctx)
{
    mg_document_t     *d;
    mg_json_limits_t   limits;

    d = calloc(1, sizeof(mg_document_t));
    if (d == NULL) {
        return NULL;
    }

    limits.depth = MG_DOCUMENT_DEPTH;
    limits.members = MG_DOCUMENT_NODES;
    limits.string = MG_DOCUMENT_STRING;
    limits.total = MG_DOCUMENT_TOTAL;

    d->kind = kind;
    d->handler = *h;
    d->ctx = ctx;
    d->names = mg_arena_create(MG_DOCUMENT_ARENA);
    d->arena = mg_arena_create(MG_DOCUMENT_ARENA);
    d->stream = mg_json_stream_create(&mg_document_callbacks, d, &limits);

    if (d->names == NULL || d->arena == NULL || d->stream == NULL
        || mg_keyset_init(&d->ids) != MG_OK)
    {
        mg_document_destroy(d);
        return NULL;
    }

    return d;
}


void
mg_document_destroy(void *document)
{
    mg_document_t  *d = document;

    if (d == NULL) {
        return;
    }

    if (d->stream) {
        mg_json_stream_destroy(d->stream);
    }

    mg_arena_destroy(d->arena);
    mg_arena_destroy(d->names);
    free(d);
}


int
mg_document_feed(void *document, const char *data, size_t len,
    mg_error_t *e)
{
    mg_document_t  *d = document;

    return mg_json_stream_feed(d->stream, data, len, e);
}


int
mg_document_finish(void *document, mg_error_t *e)
{
    mg_document_t  *d = document;

    if (mg_json_stream_finish(d->stream, e) != MG_OK) {
        return MG_ERROR;
    }

    if (!d->found) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the document is not "
                            "that of source \"" MG_STR_FMT "\": there is no "
                            "%s %s%s", MG_STR_ARG(d->kind->source),
                            d->kind->container == MG_JSON_ARRAY ? "array"
                                                                : "object",
                            d->kind->member ? "under " : "at the top",
                            d->kind->member ? d->kind->member : "");
    }

    return MG_OK;
}


/* -- the document -- */

/* 1 where the container of the entries begins. */

static int
mg_document_is_container(const mg_document_t *d, unsigned depth,
    mg_str_t key, mg_json_type_e type)
{
    const char  *member;

    member = d->kind->member;

    if (type != d->kind->container || depth != (member ? 1 : 0)) {
        return 0;
    }

    return member == NULL || mg_str_eq(key, mg_str_z(member));
}


static mg_json_want_e
mg_document_enter(void *ctx, unsigned depth, mg_str_t key,
    mg_json_type_e type)
{
    mg_document_t  *d = ctx;

    if (mg_document_is_container(d, depth, key, type)) {
        d->found = 1;
        return MG_JSON_DESCEND;
    }

    if (depth == 0) {
        return (d->kind->member && type == MG_JSON_OBJECT) ? MG_JSON_DESCEND
                                                           : MG_JSON_SKIP;
    }

    return (depth == (d->kind->member ? 2 : 1)) ? MG_JSON_CAPTURE
                                                : MG_JSON_SKIP;
}


static void
mg_document_skip(mg_document_t *d, mg_str_t id, const char *reason)
{
    mg_str_t  name;

    name = id.len ? id : mg_arena_printf(d->arena, "entry %u", d->number);

    if (d->handler.skipped) {
        d->handler.skipped(d->ctx, name, reason);
    }
}


/* MG_DECLINED: reported or not, the entry is passed over. */

static int
mg_document_translate(mg_document_t *d, mg_str_t key, const mg_json_t *v,
    mg_entry_t **x)
{
    int           rc;
    void        **seen;
    mg_str_t      id;
    mg_error_t    bad;
    mg_model_t   *m;
    const char   *reason;

    *x = mg_entry_read(v, d->kind->fields, d->arena);
    if (*x == NULL) {
        return MG_ERROR;
    }

    m = &(*x)->model;
    reason = NULL;
    rc = d->kind->finish(*x, key, v, d->arena, &reason);

    if (rc == MG_DECLINED && reason) {
        mg_document_skip(d, key.data ? key : m->provider_model_id, reason);
    }

    if (rc != MG_OK) {
        return rc;
    }

    m->id = mg_arena_printf(d->arena, MG_STR_FMT "/" MG_STR_FMT,
                            MG_STR_ARG(m->provider_id),
                            MG_STR_ARG(m->provider_model_id));

    if (m->id.data == NULL
        || mg_entry_complete(*x, d->kind->source, d->arena) != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_model_check(m, &bad) != MG_OK) {
        mg_document_skip(d, m->id, bad.message);
        return MG_DECLINED;
    }

    id = m->id;
    rc = mg_keyset_add(&d->ids, d->names, &id, &seen);

    if (rc == MG_DECLINED) {
        mg_document_skip(d, m->id, "the model is listed twice, the first is "
                         "kept");
    }

    return rc;
}


static int
mg_document_entry(mg_document_t *d, mg_str_t key, const mg_json_t *v,
    mg_error_t *e)
{
    mg_entry_t  *x;

    mg_arena_reset(d->arena);
    d->number++;

    if (v->type != MG_JSON_OBJECT) {
        mg_document_skip(d, key, "the entry is not an object");
        return MG_OK;
    }

    switch (mg_document_translate(d, key, v, &x)) {

    case MG_OK:
        break;

    case MG_DECLINED:
        return MG_OK;

    default:
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the document of source "
                            "\"" MG_STR_FMT "\" needs more than %d MiB of "
                            "memory", MG_STR_ARG(d->kind->source),
                            MG_DOCUMENT_ARENA / 1024 / 1024);
    }

    if (d->handler.model(d->ctx, &x->model, e) != MG_OK) {
        return MG_ERROR;
    }

    return d->kind->more
           ? d->kind->more(x, v, d->arena, &d->handler, d->ctx, e) : MG_OK;
}


/* Entries, and scalars beside the container, which say nothing. */

static int
mg_document_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e)
{
    mg_document_t  *d = ctx;

    return (depth == (d->kind->member ? 2 : 1))
           ? mg_document_entry(d, key, v, e) : MG_OK;
}
