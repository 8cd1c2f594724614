/*
 * mg_etag.h: entity tags of conditional requests (RFC 9110, 8.8.3).
 *
 *     If-Match: "7", W/"8", "5f-1"
 *
 * A list is walked tag by tag; nothing is copied, tags point into the list.
 * What a tag means, and "*", is the caller's business.
 *
 * Any thread; never blocks; touches nothing.
 */

#ifndef MG_ETAG_H
#define MG_ETAG_H

#include "base/mg_error.h"


typedef struct {
    mg_str_t   opaque;          /* what stands between the quotes */
    unsigned   weak:1;          /* W/ */
} mg_etag_t;


/*
 * The next tag; list starts at the whole value and moves.  Elements that are
 * empty are passed over, as a recipient has to.  MG_DECLINED at the end,
 * MG_ERROR where no list of tags goes on.
 */
int mg_etag_next(mg_str_t *list, mg_etag_t *tag);


#endif /* MG_ETAG_H */
