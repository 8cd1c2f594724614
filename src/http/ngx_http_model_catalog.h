/*
 * ngx_http_model_catalog.h: what the files of the catalog module share.
 *
 *     ngx_http_model_catalog_module.c    routes and lists
 *     ngx_http_model_catalog_query.c     parameters -> mg_catalog_query_t
 *     ngx_http_model_catalog_compare.c   models side by side
 *     ngx_http_model_catalog_served.c    /v1/models, what clients may name
 *     ngx_http_model_catalog_send.c      bodies, validators
 *     ngx_http_model_catalog_keep.c      pages that are asked for again
 *
 * Event loop only; all pointers into a snapshot are pinned by the request.
 */

#ifndef _NGX_HTTP_MODEL_CATALOG_H_INCLUDED_
#define _NGX_HTTP_MODEL_CATALOG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ngx_http_model_core.h"
#include "snapshot/mg_snap_catalog.h"


#define NGX_HTTP_MODEL_CATALOG_CUT      80    /* bytes quoted in messages */
#define NGX_HTTP_MODEL_CATALOG_TEXT     256   /* of a parameter, bytes */
#define NGX_HTTP_MODEL_CATALOG_PARAMS   16    /* of a list, and a NULL */


/* Lists of models; a parameter says on which it may stand. */
typedef enum {
    NGX_HTTP_MODEL_LIST_ALL = 0,     /* /api/v1/models */
    NGX_HTTP_MODEL_LIST_CAPABILITY,  /* .../capability/{capability} */
    NGX_HTTP_MODEL_LIST_PROVIDER,    /* /api/v1/providers/{p}/models */
    NGX_HTTP_MODEL_LIST_N
} ngx_http_model_list_e;


/* A run of bytes on its way out: a buffer and its link in one piece. */
typedef struct {
    ngx_buf_t      buf;
    ngx_chain_t    link;
} ngx_http_model_piece_t;


/* -- parameters (ngx_http_model_catalog_query.c) -- */

/* Allowed names of each list, filled from the table of parameters. */
extern const char
    *ngx_http_model_catalog_names[NGX_HTTP_MODEL_LIST_N]
                                 [NGX_HTTP_MODEL_CATALOG_PARAMS];

/* Fills the names; before the first request, at configuration. */
void ngx_http_model_catalog_query_init(void);

/* NGX_OK, or NGX_DECLINED with ask->error that names the parameter. */
ngx_int_t ngx_http_model_catalog_query(ngx_http_model_ask_t *ask,
    mg_catalog_query_t *q);

/* "vision" -> its index; NGX_DECLINED with *e that lists what there is. */
ngx_int_t ngx_http_model_catalog_capability(mg_str_t name, int *capability,
    mg_error_t *e);


/* -- routes -- */

ngx_int_t ngx_http_model_catalog_compare(ngx_http_model_ask_t *ask);
ngx_int_t ngx_http_model_catalog_served(ngx_http_model_ask_t *ask);
ngx_int_t ngx_http_model_catalog_served_one(ngx_http_model_ask_t *ask);


/* -- answers (ngx_http_model_catalog_send.c) -- */

/* Counts the request; NULL with ask->error set: none is mapped yet. */
mg_snap_t *ngx_http_model_catalog_snap(ngx_http_model_ask_t *ask,
    unsigned kind);

/* 404 that names what was looked for; returns NGX_DECLINED. */
ngx_int_t ngx_http_model_catalog_missing(mg_error_t *e, const char *param,
    const char *what, mg_str_t id);

/*
 * n pieces in one block of r->pool, linked in order; their bytes are set
 * with the next function.  NULL: out of memory.
 */
ngx_http_model_piece_t *ngx_http_model_catalog_pieces(ngx_http_request_t *r,
    ngx_uint_t n);
void ngx_http_model_catalog_piece(ngx_http_model_piece_t *piece,
    const char *data, size_t len);

/*
 * Sends a chain of memory under a validator made of the file's generation,
 * the query and salt (what else tells answers apart; 0).
 */
ngx_int_t ngx_http_model_catalog_send(ngx_http_request_t *r, mg_snap_t *snap,
    ngx_chain_t *out, off_t total, uint64_t salt);

/* The same for what a writer has made; frees b in every case. */
ngx_int_t ngx_http_model_catalog_text(ngx_http_request_t *r, mg_snap_t *snap,
    mg_buf_t *b, uint64_t salt);

/*
 * A whole document that lies in the file, as it is and, where the client
 * takes that, gzipped (gzipped may be empty).  Ranges are served.
 */
ngx_int_t ngx_http_model_catalog_ready(ngx_http_request_t *r,
    mg_snap_t *snap, mg_str_t *plain, mg_str_t *gzipped);


/* -- pages that are asked for again (ngx_http_model_catalog_keep.c) -- */

/* A worker ends: its pages are given back. */
void ngx_http_model_catalog_keep_exit(ngx_cycle_t *cycle);

/*
 * What this request asks for, if it was kept since snap was mapped: one
 * buffer in a file of the worker.  NULL otherwise; then *slot is not NULL if
 * the page should be handed to ngx_http_model_catalog_keep() once it is
 * made, within the same call of the event loop.
 */
ngx_chain_t *ngx_http_model_catalog_kept(ngx_http_request_t *r,
    mg_snap_t *snap, void **slot);

/* A thread writes a copy; nothing happens if the page is too small. */
void ngx_http_model_catalog_keep(ngx_http_request_t *r, void *slot,
    ngx_chain_t *out, off_t total);


#endif /* _NGX_HTTP_MODEL_CATALOG_H_INCLUDED_ */
