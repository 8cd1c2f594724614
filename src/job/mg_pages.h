/*
 * mg_pages.h: the way through a provider's list of models, page by page.
 *
 *     list_path -> page -> next() -> page -> ... -> the last one
 *
 * A list chooses the way itself, so it is watched: a path behind the base
 * URL of bounded length, no page twice, so many pages at most.  Who goes it
 * takes all pages or none: a part of a list does not pass for the whole.
 *
 * One thread; blocks nowhere.
 */

#ifndef MG_PAGES_H
#define MG_PAGES_H

#include "base/mg_buf.h"
#include "client/mg_http.h"
#include "provider/mg_protocol.h"


#define MG_PAGES_MAX        500
#define MG_PAGES_PATH_MAX   2000


typedef struct {
    const mg_protocol_t  *protocol;
    mg_str_t              provider;             /* for messages */
    unsigned              n;                    /* pages that were read */
    uint64_t              seen[MG_PAGES_MAX];   /* sums of their paths */
    mg_buf_t              path;                 /* of the page to be asked */
} mg_pages_t;


/* Begins with the first page; freed with mg_pages_free(). */
void mg_pages_init(mg_pages_t *p, const mg_protocol_t *protocol,
    mg_str_t provider);
void mg_pages_free(mg_pages_t *p);

/*
 * The page of p->path was answered with res.  MG_AGAIN: p->path is that of
 * the next one; MG_OK: there is none; MG_ERROR: it cannot be told, or leads
 * nowhere.  a: for the time of the call.
 */
int mg_pages_next(mg_pages_t *p, const mg_http_response_t *res,
    mg_arena_t *a, mg_error_t *e);


#endif /* MG_PAGES_H */
