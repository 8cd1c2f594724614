/*
 * mg_snap_catalog_build.h: the parts of the catalog's builder.
 *
 * The builder (mg_snap_catalog_build.c) collects and sorts; what can be
 * derived from what lies in the sections by then is written by these: the
 * index of words from the texts, the columns and orders from a row for each
 * active model, the document in models.dev's shape from pieces.
 *
 * Private to the room; pool threads; one builder, one thread.
 */

#ifndef MG_SNAP_CATALOG_BUILD_H
#define MG_SNAP_CATALOG_BUILD_H

#include "base/mg_aside.h"
#include "snapshot/mg_snap_catalog_layout.h"


#define MG_CATALOG_PAGE_LIMIT   50      /* the API's default */


/* What filters and orders know of a model. */
typedef struct {
    uint32_t         key;
    mg_sc_modes_t    modes;
    int64_t          context;        /* MG_UNKNOWN ... */
    int64_t          input_price;
    int64_t          output_price;
    int64_t          release_date;   /* 20240731, 20240700 ... */
    int64_t          last_updated;
    int64_t          benchmark;
    int64_t          popularity;
} mg_sc_row_t;


/* Different strings, each with the number of its first occurrence. */
typedef struct {
    mg_str_t        *strings;
    uint32_t        *slots;
    uint32_t         n;
    uint32_t         size;           /* of strings */
    uint32_t         n_slots;
    uint8_t          key[16];
} mg_intern_t;


typedef struct {
    size_t                    off;
    size_t                    len;
} mg_catalog_span_t;


typedef struct {
    mg_str_t                  id;          /* in the arena */
    mg_catalog_span_t         item;
    mg_catalog_span_t         more;
    mg_catalog_span_t         text;
    mg_catalog_span_t         api;         /* active ones only */
    mg_sc_row_t               row;
    uint8_t                   active;
} mg_catalog_entry_t;


/* One result of a benchmark. */
typedef struct {
    mg_str_t                  model;       /* in the arena ... */
    mg_str_t                  date;
    mg_str_t                  name;
    mg_str_t                  json;        /* ... rendered */
} mg_catalog_mark_t;


struct mg_catalog_builder_s {
    uint64_t                  generation;
    mg_arena_t               *arena;

    mg_catalog_entry_t       *entries;
    uint32_t                  n_entries;
    uint32_t                  n_active;
    uint32_t                  entries_size;

    mg_provider_t            *providers;
    uint32_t                  n_providers;
    uint32_t                  providers_size;

    mg_catalog_mark_t        *marks;
    uint32_t                  n_marks;
    uint32_t                  marks_size;

    mg_buf_t                  items;       /* in the order of arrival */
    mg_buf_t                  more;
    mg_buf_t                  text;
    mg_buf_t                  api;
    mg_arena_t               *scratch;     /* for the time of a call */

    mg_buf_t                  sections[MG_SC_N];
    mg_buf_t                  image;
};


void mg_sc_row_fill(mg_sc_row_t *row, const mg_model_t *m);

/*
 * The columns and orders of n rows; texts and titles are written already.
 * Sets meta->known.
 */
int mg_sc_columns_write(mg_buf_t *sections, const mg_sc_row_t *rows,
    uint32_t n, mg_sc_meta_t *meta, mg_error_t *e);

/* Titles, words, grams, typos and postings of n texts. */
int mg_sc_index_write(mg_buf_t *sections, uint32_t n, mg_error_t *e);


/* -- strings (mg_snap_intern.c) -- */

/* MG_ERROR: no random bytes.  A hostile catalog cannot know the key. */
int mg_intern_init(mg_intern_t *t);
void mg_intern_free(mg_intern_t *t);

/* The bytes must live as long as t.  UINT32_MAX: out of memory. */
uint32_t mg_intern_add(mg_intern_t *t, mg_str_t s);

/*
 * Puts the strings in order; *places[number] is the new place of each.  The
 * array is the caller's to free.  Nothing may be added any more.
 */
int mg_intern_sort(mg_intern_t *t, uint32_t **places);


/* -- ready bodies (mg_snap_body.c) -- */

/*
 * The ready bodies and their ends in meta, written while the caller does
 * something else that changes neither items nor providers; end() is called
 * in any case, waits, and says what came of it.
 */
typedef struct {
    mg_catalog_builder_t     *builder;
    mg_sc_meta_t             *meta;
    mg_aside_t                aside;
    mg_error_t                error;
    int                       rc;
} mg_catalog_bodies_t;

void mg_catalog_bodies_begin(mg_catalog_bodies_t *w, mg_catalog_builder_t *b,
    mg_sc_meta_t *meta);
int mg_catalog_bodies_end(mg_catalog_bodies_t *w, mg_error_t *e);


/* -- models.dev's shape (mg_snap_api_json.c) -- */

/* "model id":{...} of a model; a: for the time of the call, then reset. */
void mg_api_json_model(mg_buf_t *b, const mg_model_t *m, mg_arena_t *a);

/* "provider id":{..., "models":{ ; closed by two braces. */
void mg_api_json_provider(mg_buf_t *b, const mg_provider_t *p,
    mg_arena_t *a);


#endif /* MG_SNAP_CATALOG_BUILD_H */
