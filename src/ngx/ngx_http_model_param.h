/*
 * ngx_http_model_param.h: name=value parameters of a directive, by a table.
 *
 * A row names a parameter, where its value goes and what to say when the
 * value is none that it takes.  The message follows the parameter in quotes:
 * "queue=x" is not a number between 1 and 1000000.
 *
 * While the configuration is read.
 */

#ifndef _NGX_HTTP_MODEL_PARAM_H_INCLUDED_
#define _NGX_HTTP_MODEL_PARAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct ngx_http_model_param_s  ngx_http_model_param_t;

struct ngx_http_model_param_s {
    ngx_str_t     name;            /* with its "=" */

    /* NGX_OK, or NGX_ERROR: say what is wrong. */
    ngx_int_t   (*read)(void *conf, const ngx_http_model_param_t *p,
                    ngx_str_t *value);

    size_t        offset;          /* in conf */
    ngx_int_t     min;
    ngx_int_t     max;
    const char   *wrong;
};


/*
 * Reads text, "name=value", into conf.  rows end with a name of no length.
 * NGX_OK; NGX_DECLINED: there is no such row; NGX_ERROR with *wrong.
 */
ngx_int_t ngx_http_model_param_read(const ngx_http_model_param_t *rows,
    void *conf, ngx_str_t *text, const char **wrong);


/* -- for rows; the first three write an ngx_uint_t -- */

/* Where max is 100 a percent sign may follow. */
ngx_int_t ngx_http_model_param_number(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);

/* Milliseconds. */
ngx_int_t ngx_http_model_param_time(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);

/* Bytes. */
ngx_int_t ngx_http_model_param_size(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);

/* An ngx_str_t that is not empty. */
ngx_int_t ngx_http_model_param_text(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);


/*
 * Completes the path of a file that workers will read, and looks whether it
 * is there; NGX_CONF_ERROR: it is told what is wrong.
 */
char *ngx_http_model_param_file(ngx_conf_t *cf, ngx_str_t *path);


#endif /* _NGX_HTTP_MODEL_PARAM_H_INCLUDED_ */
