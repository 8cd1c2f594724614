/*
 * ngx_http_model_snap.h: the mapped snapshots of a worker.
 *
 * For the core module itself: the others call ngx_http_model_snap(), which
 * pins a map to their request.
 */

#ifndef _NGX_HTTP_MODEL_SNAP_H_INCLUDED_
#define _NGX_HTTP_MODEL_SNAP_H_INCLUDED_


#include "http/ngx_http_model_core.h"


/* Maps what the zone calls published; event loop.  1: both are mapped. */
ngx_uint_t ngx_http_model_snap_refresh(void);

/* exit_process: unmaps what is left. */
void ngx_http_model_snap_exit(void);


#endif /* _NGX_HTTP_MODEL_SNAP_H_INCLUDED_ */
