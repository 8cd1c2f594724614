/*
 * mg_snap_catalog.h: the catalog as a file.
 *
 * Models lie sorted by id, so a provider's are one run.  Each has its list
 * item as rendered JSON that ends in a comma, and what a single-model answer
 * adds behind it; a page of neighbours is therefore one run of bytes, sent
 * as it lies there.  Filters read columns of fixed width, sorts follow
 * orders that the builder has made, searches an index of the words in id,
 * name and family.  Ready bodies (identity and gzip) are kept for whole
 * documents and for what is asked for most.
 *
 * Builder: pool threads.  Queries: event loop, no allocation; lists use
 * static memory, so one thread of a process at a time.
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
/* Of a model that is given before or after; without one it is left out. */
int mg_catalog_builder_benchmark(mg_catalog_builder_t *b,
    const mg_benchmark_t *r, mg_error_t *e);

/* The complete image; owned by the builder.  Once: nothing may follow. */
int mg_catalog_builder_finish(mg_catalog_builder_t *b, mg_str_t *image,
    mg_error_t *e);


/* -- queries -- */

/*
 * Orders of a list; what is unknown comes last in either direction, equals
 * by id.  By relevance: rank of a search, the default of one.
 */
typedef enum {
    MG_SORT_ID = 0,
    MG_SORT_RELEVANCE,
    MG_SORT_NAME,
    MG_SORT_RELEASE_DATE,
    MG_SORT_UPDATED,            /* the source's last_updated */
    MG_SORT_INPUT_PRICE,
    MG_SORT_OUTPUT_PRICE,
    MG_SORT_CONTEXT,
    MG_SORT_BENCHMARK,
    MG_SORT_POPULARITY,
    MG_SORT_N
} mg_catalog_sort_e;

/* "id", "relevance", "name", "release_date", ...; index of a name, or -1. */
extern const mg_str_t  mg_catalog_sort_names[MG_SORT_N];
int mg_catalog_sort_find(mg_str_t name);


typedef struct {
    mg_str_t   provider;        /* {NULL,0}: any */
    mg_str_t   family;          /* whole, any case */
    mg_str_t   modality;        /* one of an input or output ("image"), or
                                   both in one word: image+text->text */
    mg_str_t   status;          /* alpha, beta, deprecated, "stable": none
                                   stated; {NULL,0}: any */
    mg_str_t   search;          /* words, any case; {NULL,0}: none */
    int        capability;      /* mg_capability_e, -1: any */
    int        type;            /* mg_model_type_e, -1: any */
    int        open_weights;    /* 1, 0, -1: any */
    int        available;       /* health: 1 available, 0 not; -1: any */
    int64_t    min_context;     /* tokens; MG_UNKNOWN: any */
    int64_t    max_input_price; /* femto-USD per token; MG_UNKNOWN: any; a
                                   model without the price never matches */
    int64_t    max_output_price;
    int        sort;            /* mg_catalog_sort_e */
    unsigned   descending:1;
    uint32_t   page;            /* from 1 */
    uint32_t   limit;           /* 1..1000 */
} mg_catalog_query_t;

/* Nothing asked: every filter any, sort by id, page 1, limit 50. */
void mg_catalog_query_init(mg_catalog_query_t *q);

/* MG_OK: all names of a modality are known; MG_DECLINED.  Any thread. */
int mg_catalog_modality(mg_str_t modality);


#define MG_CATALOG_RUNS_MAX   1000

/*
 * An answer is a list of byte runs in the mapping; every run is a sequence
 * of list items, each followed by a comma (drop the very last one).
 */
typedef struct {
    uint32_t   total;           /* models that match */
    uint32_t   count;           /* models on this page */
    uint32_t   n_runs;
    unsigned   approximate:1;   /* no model held every word: these come near */
    unsigned   at_least:1;      /* more models may match: a search is given
                                  up that would take too long */
    mg_str_t   runs[MG_CATALOG_RUNS_MAX];
} mg_catalog_page_t;


/*
 * Active models only.  Always succeeds; an unknown provider, family,
 * modality or status matches nothing.  A search without any hit in the whole
 * catalog gives what comes near.  Worker time is bounded by some passes over
 * a bit a model and by what a search may look at; the same query of the same
 * file has the same answer.
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

/*
 * The benchmarks of a model as a JSON array, without the blanks around it;
 * "[]" if there are none; MG_DECLINED if the model is unknown.
 */
int mg_catalog_benchmarks(const mg_snap_t *s, mg_str_t id, mg_str_t *json);

/* Ready bodies, complete documents. */
typedef enum {
    MG_CATALOG_BODY_PROVIDERS = 0,     /* GET /api/v1/providers */
    MG_CATALOG_BODY_FIRST_PAGE,        /* GET /api/v1/models */
    MG_CATALOG_BODY_API_JSON,          /* GET /api.json, models.dev's shape */
    MG_CATALOG_BODY_N
} mg_catalog_body_e;

/* Length 0: the document is too large (128 MiB) to be kept ready. */
void mg_catalog_body(const mg_snap_t *s, mg_catalog_body_e which, int gzip,
    mg_str_t *body);

uint32_t mg_catalog_models(const mg_snap_t *s);      /* active ones */
uint32_t mg_catalog_providers(const mg_snap_t *s);


#endif /* MG_SNAP_CATALOG_H */
