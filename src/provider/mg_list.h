/*
 * mg_list.h: reads one page of a provider's list of models.
 *
 * All lists are alike: an array of objects under some name, or nothing but
 * the array.  A protocol says under which name, gives the table of members,
 * and a function for what no table can say.  Real lists hold the same id
 * twice: the first wins member by member, a later one fills what the first
 * leaves open, and it is counted as skipped.
 *
 * Pages: a protocol finds the token of the next one in the document.
 *
 * Any thread; never blocks; touches nothing but the arena.
 */

#ifndef MG_LIST_H
#define MG_LIST_H

#include "provider/mg_entry.h"
#include "provider/mg_protocol.h"


#define MG_LIST_ARRAYS  4

typedef struct {
    mg_str_t            source;          /* name of the protocol */
    const char         *arrays[MG_LIST_ARRAYS];    /* the first is the usual */
    const char         *server;          /* whose base URL it should be */
    const mg_field_t   *fields;

    /*
     * Finishes one entry; v: its object.  MG_DECLINED: the entry is skipped.
     * MG_ERROR: the arena is full.  May be NULL.
     */
    int               (*finish)(mg_entry_t *x, const mg_json_t *v,
                            mg_arena_t *a);
} mg_list_t;


/* The list of a protocol, see mg_protocol_t; at most 16 MiB. */
int mg_list_read(const mg_list_t *l, mg_str_t body, mg_arena_t *a,
    mg_list_model_pt model, void *ctx, unsigned *skipped, mg_error_t *e);

/* mg_list_read() of one list as the list() of its protocol. */
#define MG_LIST_DEFINE(name, entries)                                         \
    static int                                                                \
    name(mg_str_t body, mg_arena_t *a, mg_list_model_pt model, void *ctx,     \
        unsigned *skipped, mg_error_t *e)                                     \
    {                                                                         \
        return mg_list_read(&entries, body, a, model, ctx, skipped, e);       \
    }

/* A page as a document, with the limits of lists; NULL with *e. */
const mg_json_t *mg_list_parse(mg_str_t body, mg_arena_t *a, mg_error_t *e);

/*
 * The path of the next page: path, which has a query, and one more parameter
 * with that value, encoded.  MG_DECLINED: token is empty, there is none.
 */
int mg_list_page(const char *path, const char *parameter, mg_str_t token,
    mg_arena_t *a, mg_str_t *next, mg_error_t *e);

/* The same with the token that stands in a member of the page. */
int mg_list_next(mg_str_t body, const char *member, const char *path,
    const char *parameter, mg_arena_t *a, mg_str_t *next, mg_error_t *e);

/*
 * The same from a URL that the list names: path with the URL's query.  Host
 * and path of the URL are not followed.  MG_DECLINED: there is no query.
 */
int mg_list_query(const char *path, mg_str_t url, mg_arena_t *a,
    mg_str_t *next, mg_error_t *e);


#endif /* MG_LIST_H */
