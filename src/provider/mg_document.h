/*
 * mg_document.h: a public list of models as a stream of entries.
 *
 * An object keyed by model or an array, at the top or under one member.  The
 * document is never in memory as a whole: one entry at a time is built,
 * translated by the table of its kind, handed on and forgotten.  An entry
 * that cannot be used is reported and passed over.
 *
 * A source is a mg_document_kind_t and a create(); feed, finish and destroy
 * are the same for all, see mg_source.h.
 *
 * Any thread; never blocks; one thread at a time.
 */

#ifndef MG_DOCUMENT_H
#define MG_DOCUMENT_H

#include "provider/mg_entry.h"
#include "provider/mg_source.h"


typedef struct {
    mg_str_t            source;      /* its name in the table of sources */
    const char         *member;      /* where the entries are; NULL: the top */
    mg_json_type_e      container;   /* MG_JSON_OBJECT or MG_JSON_ARRAY */
    const mg_field_t   *fields;

    /*
     * Sets provider_id and provider_model_id and whatever no table can say.
     * key: of the entry in an object; v: the entry.  MG_DECLINED: it is not
     * a model of the catalog; if that is worth a report, *reason says why.
     * MG_ERROR: the arena is full.
     */
    int               (*finish)(mg_entry_t *x, mg_str_t key,
                            const mg_json_t *v, mg_arena_t *a,
                            const char **reason);

    /* What an entry tells beside the model, after it; may be NULL. */
    int               (*more)(const mg_entry_t *x, const mg_json_t *v,
                            mg_arena_t *a, const mg_source_handler_t *h,
                            void *ctx, mg_error_t *e);
} mg_document_kind_t;


/* NULL when out of memory; kind is static, the handler outlives the rest. */
void *mg_document_create(const mg_document_kind_t *kind,
    const mg_source_handler_t *h, void *ctx);
int mg_document_feed(void *document, const char *data, size_t len,
    mg_error_t *e);
int mg_document_finish(void *document, mg_error_t *e);
void mg_document_destroy(void *document);


#endif /* MG_DOCUMENT_H */
