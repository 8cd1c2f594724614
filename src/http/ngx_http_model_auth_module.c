/*
 * ngx_http_model_auth_module.c: the access phase of model_auth.
 *
 * A location that names a role ("model_auth viewer") is closed to everybody
 * else, whatever serves it: static files, proxy_pass, or a handler of this
 * family.  Without the directive, and with "off", the phase lets everybody
 * pass, and the handlers of the family ask for the role that each call
 * needs.  Under "satisfy any" only the status is given, so that the other
 * rules of the location may still open it.
 */

#include "http/ngx_http_model_core.h"


static ngx_int_t ngx_http_model_auth_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_auth_postconfiguration(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_model_auth_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_auth_postconfiguration, /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_model_auth_module_ctx,       /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_model_auth_handler(ngx_http_request_t *r)
{
    mg_error_t                   e;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_model_loc_conf_t   *lcf;
    ngx_http_model_principal_t  *p;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);

    if (lcf->auth >= MG_ROLE_N || lcf->auth == MG_ROLE_NONE) {
        return NGX_DECLINED;
    }

    if (ngx_http_model_principal(r, lcf->auth, &p, &e) == NGX_OK) {
        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY || r != r->main) {
        return mg_error_status(e.kind);
    }

    ngx_http_finalize_request(r, ngx_http_model_answer_error(r, &e));

    return NGX_DONE;
}


static ngx_int_t
ngx_http_model_auth_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_model_auth_handler;

    return NGX_OK;
}
