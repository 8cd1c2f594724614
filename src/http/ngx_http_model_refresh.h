/*
 * ngx_http_model_refresh.h: the directive model_refresh.
 *
 * For the job module, which has the directive: what a refresh may do is
 * configuration of its jobs.  Parsed when the line is read, checked against
 * the other directives when all were; what comes of it is the plain struct
 * that pool threads see (mg_refresh.h).
 */

#ifndef _NGX_HTTP_MODEL_REFRESH_H_INCLUDED_
#define _NGX_HTTP_MODEL_REFRESH_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "job/mg_refresh.h"


typedef struct {
    mg_refresh_conf_t        conf;         /* initialized by the owner */
    u_char                  *file;         /* where the directive stands ... */
    ngx_uint_t               line;         /* ... NULL: nowhere */
} ngx_http_model_refresh_conf_t;


/* cmd->offset: of an ngx_http_model_refresh_conf_t in conf. */
char *ngx_http_model_refresh_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * When all directives were read: what needs what.  Settles where sources are
 * read from.
 */
ngx_int_t ngx_http_model_refresh_check(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf);


#endif /* _NGX_HTTP_MODEL_REFRESH_H_INCLUDED_ */
