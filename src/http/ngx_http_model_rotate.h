/*
 * ngx_http_model_rotate.h: keys of providers from files, and their rotation.
 *
 * For the core module itself: the directive, and a timer in each worker that
 * has the files looked at by a pool thread.  Event loop.
 */

#ifndef _NGX_HTTP_MODEL_ROTATE_H_INCLUDED_
#define _NGX_HTTP_MODEL_ROTATE_H_INCLUDED_


#include "http/ngx_http_model_core.h"


/* The directive "model_secret provider file:/path | env:NAME". */
char *ngx_http_model_rotate_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* init_process; nothing happens where no secret is a file. */
void ngx_http_model_rotate_init(ngx_http_model_main_conf_t *mcf);


#endif /* _NGX_HTTP_MODEL_ROTATE_H_INCLUDED_ */
