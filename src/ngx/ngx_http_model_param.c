/*
 * ngx_http_model_param.c: name=value parameters of a directive, by a table.
 *
 * Each reader checks its value against the row's bounds before it writes, so
 * a parameter that was refused leaves the configuration as it was.
 */

#include "ngx/ngx_http_model_param.h"


static ngx_int_t ngx_http_model_param_put(void *conf,
    const ngx_http_model_param_t *p, ngx_int_t n);


#define ngx_http_model_param_at(conf, p)                                      \
    ((void *) ((char *) (conf) + (p)->offset))


ngx_int_t
ngx_http_model_param_read(const ngx_http_model_param_t *rows, void *conf,
    ngx_str_t *text, const char **wrong)
{
    ngx_str_t                      value;
    const ngx_http_model_param_t  *p;

    for (p = rows; p->name.len; p++) {

        if (text->len < p->name.len
            || ngx_strncmp(text->data, p->name.data, p->name.len) != 0)
        {
            continue;
        }

        value.data = text->data + p->name.len;
        value.len = text->len - p->name.len;

        if (p->read(conf, p, &value) == NGX_OK) {
            return NGX_OK;
        }

        *wrong = p->wrong;

        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_model_param_number(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    size_t  len;

    len = value->len;

    if (p->max == 100 && len && value->data[len - 1] == '%') {
        len--;
    }

    return ngx_http_model_param_put(conf, p, ngx_atoi(value->data, len));
}


ngx_int_t
ngx_http_model_param_time(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    return ngx_http_model_param_put(conf, p, ngx_parse_time(value, 0));
}


ngx_int_t
ngx_http_model_param_size(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    return ngx_http_model_param_put(conf, p, ngx_parse_size(value));
}


ngx_int_t
ngx_http_model_param_text(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    if (value->len == 0) {
        return NGX_ERROR;
    }

    *(ngx_str_t *) ngx_http_model_param_at(conf, p) = *value;

    return NGX_OK;
}


/* NGX_ERROR, for what was no number, is below every row's least. */

static ngx_int_t
ngx_http_model_param_put(void *conf, const ngx_http_model_param_t *p,
    ngx_int_t n)
{
    if (n < p->min || n > p->max) {
        return NGX_ERROR;
    }

    *(ngx_uint_t *) ngx_http_model_param_at(conf, p) = (ngx_uint_t) n;

    return NGX_OK;
}


char *
ngx_http_model_param_file(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_str_t        *directive;
    ngx_file_info_t   fi;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_file_info(path->data, &fi) == NGX_FILE_ERROR
        || !ngx_is_file(&fi))
    {
        directive = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" of \"%V\" is no file that can be read",
                           path, directive);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
