/*
 * mg_snap_catalog.h: the catalog as a file.
 *
 * Models lie sorted by id, so a provider's are one run.  Each has a fixed
 * record (type, capability mask, offsets), its list item as rendered JSON
 * that ends in a comma, and what a single-model answer adds behind it; a
 * page of neighbours is therefore one run of bytes, sent as it lies there.
 * One blob of folded search text (id, name, family) is searched for words
 * as a whole.  Ready bodies (identity and gzip) are kept for the answers
 * that are asked for most: the provider list and the first page.
 *
 * Builder: pool threads.  Queries: event loop, no allocation.
 */

#ifndef MG_SNAP_CATALOG_H
#define MG_SNAP_CATALOG_H

#include "model/mg_catalog.h"
#include "snapshot/mg_snap.h"


/* -- building -- */

typedef struct mg_catalog_builder_s  mg_catalog_builder_t;

mg_catalog_builder_t *mg_catalog_builder_create(uint64_t generation);
void mg_catalog_builder_destroy(mg_catalog_builder_t *b);

/* In any order; the structs are copied.  MG_ERROR: out of memory. */
int mg_catalog_builder_provider(mg_catalog_builder_t *b,
    const mg_provider_t *p, mg_error_t *e);
int mg_catalog_builder_model(mg_catalog_builder_t *b, const mg_model_t *m,
    mg_error_t *e);

/* The complete image; owned by the builder. */
int mg_catalog_builder_finish(mg_catalog_builder_t *b, mg_str_t *image,
    mg_error_t *e);


/* -- queries -- */

typedef struct {
    mg_str_t   provider;        /* {NULL,0}: any */
    int        capability;      /* mg_capability_e, -1: any */
    int        type;            /* mg_model_type_e, -1: any */
    mg_str_t   search;          /* words, any case; {NULL,0}: none */
    uint32_t   page;            /* from 1 */
    uint32_t   limit;           /* 1..1000 */
} mg_catalog_query_t;


#define MG_CATALOG_RUNS_MAX   1000

/*
 * An answer is a list of byte runs in the mapping; every run is a sequence
 * of list items, each followed by a comma (drop the very last one).
 */
typedef struct {
    uint32_t   total;           /* models that match */
    uint32_t   count;           /* models on this page */
    uint32_t   n_runs;
    mg_str_t   runs[MG_CATALOG_RUNS_MAX];
} mg_catalog_page_t;


/*
 * Active models only.  Always succeeds; an unknown provider matches
 * nothing.  Worker time is bounded: one pass over the records or the search
 * blob.
 */
void mg_catalog_list(const mg_snap_t *s, const mg_catalog_query_t *q,
    mg_catalog_page_t *page);

/*
 * One model by id.  MG_OK with *item (its list item without the comma) and
 * *more (what follows in a single-model answer, begins with a comma or is
 * empty, to be put before item's closing brace); MG_DECLINED if unknown.
 */
int mg_catalog_model(const mg_snap_t *s, mg_str_t id, mg_str_t *item,
    mg_str_t *more);

/* One provider's JSON object by id; MG_DECLINED if unknown. */
int mg_catalog_provider(const mg_snap_t *s, mg_str_t id, mg_str_t *json);

/* The same by place in the order of ids; i: below mg_catalog_providers(). */
mg_str_t mg_catalog_provider_at(const mg_snap_t *s, uint32_t i);

/* Ready bodies, complete documents. */
typedef enum {
    MG_CATALOG_BODY_PROVIDERS = 0,     /* GET /api/v1/providers */
    MG_CATALOG_BODY_FIRST_PAGE,        /* GET /api/v1/models */
    MG_CATALOG_BODY_N
} mg_catalog_body_e;

void mg_catalog_body(const mg_snap_t *s, mg_catalog_body_e which, int gzip,
    mg_str_t *body);

uint32_t mg_catalog_models(const mg_snap_t *s);      /* active ones */
uint32_t mg_catalog_providers(const mg_snap_t *s);


#endif /* MG_SNAP_CATALOG_H */
