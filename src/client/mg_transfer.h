/*
 * mg_transfer.h: one outbound request, from its options to its answer.
 *
 * The inside of the HTTP client: an easy handle of libcurl with the buffers
 * of one request, used again and again.  Private to this room; everybody
 * else sees mg_http.h.
 *
 * One thread at a time; does not block by itself.
 */

#ifndef MG_TRANSFER_H
#define MG_TRANSFER_H

#include <netinet/in.h>

#include <curl/curl.h>

#include "client/mg_http.h"


typedef struct mg_transfer_s  mg_transfer_t;

struct mg_transfer_s {
    mg_transfer_t       *next;           /* in the client's free list */
    CURLM               *multi;
    CURL                *easy;           /* made with the first request */
    struct curl_slist   *headers;
    struct curl_slist   *resolve;
    mg_http_request_t    req;
    mg_http_response_t   res;
    mg_buf_t             url;
    mg_buf_t             body;
    mg_error_t           failure;        /* of a callback, goes before
                                            curl's */
    int64_t              held_us;        /* see mg_transfer_hold() */
    size_t               body_max;
    size_t               received;
    size_t               header_bytes;
    unsigned             header_lines;
    unsigned             busy:1;         /* in the multi */
    char                 refused[INET6_ADDRSTRLEN];
    char                 host[256];
    char                 content_type[128];
    char                 content_encoding[32];
    char                 etag[256];
    char                 link[1024];
    char                 request_id[256];
    char                 text[CURL_ERROR_SIZE];
};


/*
 * Hands *req to the multi.  fresh: through a connection of its own.
 * MG_ERROR: the failure is set, nothing was begun; finish it all the same.
 */
int mg_transfer_start(mg_transfer_t *t, const mg_http_request_t *req,
    int fresh);

/*
 * Its thread was elsewhere for so long, and could not see an answer: that time
 * is not the server's, and the limits of time move.
 */
void mg_transfer_hold(mg_transfer_t *t, int64_t us);

/*
 * Takes it out of the multi and fills t->res.  code is what curl said; a
 * failure that was set before goes before it.
 */
void mg_transfer_finish(mg_transfer_t *t, CURLcode code);

void mg_transfer_free(mg_transfer_t *t);


#endif /* MG_TRANSFER_H */
