/*
 * ngx_http_model_compat.h: all that differs between nginx versions.
 *
 * 1.23.0 gave ngx_table_elt_t a link to the next header of the same name;
 * whoever pushes a header clears it with ngx_http_model_header_last().
 */

#ifndef _NGX_HTTP_MODEL_COMPAT_H_INCLUDED_
#define _NGX_HTTP_MODEL_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <nginx.h>


#if (nginx_version >= 1023000)
#define ngx_http_model_header_last(h)   ((h)->next = NULL)
#else
#define ngx_http_model_header_last(h)
#endif


#endif /* _NGX_HTTP_MODEL_COMPAT_H_INCLUDED_ */
