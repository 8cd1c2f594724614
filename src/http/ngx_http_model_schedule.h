/*
 * ngx_http_model_schedule.h: the directive model_validate.
 *
 * For the job module, which has the directive.  Parsed when the line is read;
 * what comes of it is the plain struct that pool threads see
 * (mg_schedule.h).
 */

#ifndef _NGX_HTTP_MODEL_SCHEDULE_H_INCLUDED_
#define _NGX_HTTP_MODEL_SCHEDULE_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "job/mg_schedule.h"


typedef struct {
    mg_schedule_t            conf;         /* for the workers */
    ngx_uint_t               interval;     /* s */
    ngx_uint_t               jitter;       /* s */
    ngx_str_t                providers;
    u_char                  *file;         /* where the directive stands ... */
    ngx_uint_t               line;         /* ... NULL: nowhere */
} ngx_http_model_schedule_conf_t;


/* cmd->offset: of an ngx_http_model_schedule_conf_t in conf, all zero. */
char *ngx_http_model_schedule_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* When all directives were read: what needs what. */
ngx_int_t ngx_http_model_schedule_check(ngx_conf_t *cf,
    ngx_http_model_schedule_conf_t *scf);


#endif /* _NGX_HTTP_MODEL_SCHEDULE_H_INCLUDED_ */
