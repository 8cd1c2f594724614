/*
 * What a list of models has delivered, kept for a closer look: a helper for
 * the tests of protocols and sources.
 *
 *     listed_list(&l, protocol, text);       a provider's list
 *     listed_source(&l, "litellm", text, 7); a document, 7 bytes at a time
 *     m = listed_get(&l, "openai/gpt-4o");   never NULL, MG_UNKNOWN if absent
 *     listed_free(&l);
 *
 * Strings are copied: a source forgets each entry behind the next.
 */

#ifndef LISTED_H
#define LISTED_H

#include "tap.h"

#include <stdlib.h>

#include "provider/mg_protocol.h"
#include "provider/mg_source.h"


#define LISTED_MAX  512


typedef struct {
    mg_arena_t      *arena;
    int              rc;
    mg_error_t       error;
    unsigned         skipped;
    char             reason[256];      /* of the last that was skipped */
    unsigned         types[MG_TYPE_N];
    unsigned         n;
    unsigned         n_benchmarks;
    unsigned         stop_after;       /* models; 0: never */
    mg_model_t       models[LISTED_MAX];
    mg_benchmark_t   benchmarks[LISTED_MAX];
    mg_model_t       none;
} listed_t;


/* The strings of a struct that are looked at, as offsets. */

static inline void
listed_copy(listed_t *l, void *to, const size_t *strings, size_t n)
{
    size_t     i;
    mg_str_t  *s;

    for (i = 0; i < n; i++) {
        s = (mg_str_t *) ((char *) to + strings[i]);

        if (s->data) {
            *s = mg_arena_dup(l->arena, *s);
        }
    }
}


static inline int
listed_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    listed_t  *l = ctx;

    static const size_t  strings[] = {
        offsetof(mg_model_t, id),
        offsetof(mg_model_t, provider_id),
        offsetof(mg_model_t, provider_model_id),
        offsetof(mg_model_t, name),
        offsetof(mg_model_t, description),
        offsetof(mg_model_t, family),
        offsetof(mg_model_t, version),
        offsetof(mg_model_t, status),
        offsetof(mg_model_t, price_tiers),
        offsetof(mg_model_t, release_date),
        offsetof(mg_model_t, last_updated),
        offsetof(mg_model_t, knowledge),
        offsetof(mg_model_t, deprecation_date),
        offsetof(mg_model_t, modalities_in),
        offsetof(mg_model_t, modalities_out),
        offsetof(mg_model_t, tags),
        offsetof(mg_model_t, extra),
        offsetof(mg_model_t, source),
        offsetof(mg_model_t, source_model_id)
    };

    if (l->n == LISTED_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "more than %d models",
                            LISTED_MAX);
    }

    l->types[m->type]++;
    l->models[l->n] = *m;
    listed_copy(l, &l->models[l->n++], strings,
                sizeof(strings) / sizeof(size_t));

    if (l->n == l->stop_after) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "enough");
    }

    return MG_OK;
}


static inline int
listed_benchmark(void *ctx, const mg_benchmark_t *b, mg_error_t *e)
{
    listed_t  *l = ctx;

    static const size_t  strings[] = {
        offsetof(mg_benchmark_t, model_id),
        offsetof(mg_benchmark_t, name),
        offsetof(mg_benchmark_t, score),
        offsetof(mg_benchmark_t, metric),
        offsetof(mg_benchmark_t, variant),
        offsetof(mg_benchmark_t, version),
        offsetof(mg_benchmark_t, url),
        offsetof(mg_benchmark_t, date),
        offsetof(mg_benchmark_t, source)
    };

    (void) e;

    l->benchmarks[l->n_benchmarks] = *b;
    listed_copy(l, &l->benchmarks[l->n_benchmarks++], strings,
                sizeof(strings) / sizeof(size_t));

    return MG_OK;
}


static inline void
listed_skipped(void *ctx, mg_str_t id, const char *reason)
{
    listed_t  *l = ctx;

    (void) id;

    l->skipped++;
    snprintf(l->reason, sizeof(l->reason), "%s", reason);
}


static inline void
listed_init(listed_t *l)
{
    memset(l, 0, sizeof(listed_t));
    mg_model_init(&l->none);
    l->arena = mg_arena_create(0);
}


static inline void
listed_free(listed_t *l)
{
    mg_arena_destroy(l->arena);
}


static inline int
listed_list(listed_t *l, const mg_protocol_t *p, mg_str_t text)
{
    listed_init(l);
    l->rc = p->list(text, l->arena, listed_model, l, &l->skipped, &l->error);

    return l->rc;
}


/* piece: bytes fed at a time, 0 for all at once. */

static inline int
listed_feed(listed_t *l, const char *name, mg_str_t text, size_t piece)
{
    void               *d;
    size_t              n;
    const mg_source_t  *s;

    static const mg_source_handler_t  handler = {
        .model = listed_model,
        .benchmark = listed_benchmark,
        .skipped = listed_skipped
    };

    s = mg_source_find(mg_str_z(name));
    d = s ? s->create(&handler, l) : NULL;
    l->rc = d ? MG_OK : MG_ERROR;

    while (l->rc == MG_OK && text.len > 0) {
        n = (piece && piece < text.len) ? piece : text.len;
        l->rc = s->feed(d, text.data, n, &l->error);
        text = mg_str_n(text.data + n, text.len - n);
    }

    if (l->rc == MG_OK) {
        l->rc = s->finish(d, &l->error);
    }

    if (d) {
        s->destroy(d);
    }

    return l->rc;
}


static inline int
listed_source(listed_t *l, const char *name, mg_str_t text, size_t piece)
{
    listed_init(l);

    return listed_feed(l, name, text, piece);
}


/* By the whole id, or by the provider's own in a list. */

static inline const mg_model_t *
listed_get(const listed_t *l, const char *id)
{
    unsigned           i;
    const mg_model_t  *m;

    for (i = 0; i < l->n; i++) {
        m = &l->models[i];

        if (mg_str_eq(m->id.data ? m->id : m->provider_model_id,
                      mg_str_z(id)))
        {
            return m;
        }
    }

    fail("%s is listed", id);

    return &l->none;
}


/* A string of a model for is_str(): NULL if it is absent. */

static inline const char *
listed_z(mg_str_t s)
{
    return s.data;
}


static inline mg_str_t
listed_slurp(const char *path)
{
    FILE         *f;
    size_t        n;
    static char   text[1024 * 1024];

    f = fopen(path, "rb");

    if (f == NULL) {
        fail("%s is there", path);
        return mg_str("");
    }

    n = fread(text, 1, sizeof(text), f);
    fclose(f);

    return mg_str_n(text, n);
}


#endif /* LISTED_H */
