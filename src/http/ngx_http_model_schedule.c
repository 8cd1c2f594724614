/*
 * ngx_http_model_schedule.c: the directive model_validate.
 *
 *     model_validate on interval=1d jitter=1h providers=openai,my-vllm;
 *
 * One table of parameters.  Ids of providers are checked for their shape
 * only: which there are is in the database, and may change.
 *
 * Master, while the configuration is read; memory: of the configuration.
 */

#include "http/ngx_http_model_schedule.h"

#include "model/mg_catalog.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_SCHEDULE_INTERVAL   86400
#define NGX_HTTP_MODEL_SCHEDULE_JITTER     3600
#define NGX_HTTP_MODEL_SCHEDULE_MAX        (366 * 86400)


static ngx_int_t ngx_http_model_schedule_time(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);
static ngx_int_t ngx_http_model_schedule_providers(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);


static const ngx_http_model_param_t  ngx_http_model_schedule_params[] = {

    { ngx_string("interval="), ngx_http_model_schedule_time,
      offsetof(ngx_http_model_schedule_conf_t, interval),
      1, NGX_HTTP_MODEL_SCHEDULE_MAX,
      "is no time between 1s and 366d; give one such as 1d" },

    { ngx_string("jitter="), ngx_http_model_schedule_time,
      offsetof(ngx_http_model_schedule_conf_t, jitter),
      0, NGX_HTTP_MODEL_SCHEDULE_MAX,
      "is no time between 0s and 366d; give one such as 1h" },

    { ngx_string("providers="), ngx_http_model_schedule_providers,
      offsetof(ngx_http_model_schedule_conf_t, providers), 0, 0,
      "is neither \"all\" nor ids of providers with commas between them" },

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


char *
ngx_http_model_schedule_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                       *value;
    ngx_uint_t                       i;
    const char                      *wrong;
    ngx_http_model_schedule_conf_t  *scf;

    scf = (ngx_http_model_schedule_conf_t *) ((u_char *) conf + cmd->offset);

    if (scf->file) {
        return "is duplicate";
    }

    value = cf->args->elts;
    scf->file = cf->conf_file->file.name.data;
    scf->line = cf->conf_file->line;
    scf->interval = NGX_HTTP_MODEL_SCHEDULE_INTERVAL;
    scf->jitter = NGX_HTTP_MODEL_SCHEDULE_JITTER;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        scf->conf.on = 1;

    } else if (ngx_strcmp(value[1].data, "off") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is neither \"on\" nor \"off\", with "
                           "which \"%V\" begins", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        wrong = "is no parameter of \"model_validate\"; it takes interval=, "
                "jitter= and providers=";

        if (ngx_http_model_param_read(ngx_http_model_schedule_params, scf,
                                      &value[i], &wrong)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[i],
                               wrong);
            return NGX_CONF_ERROR;
        }
    }

    scf->conf.interval_s = (unsigned) scf->interval;
    scf->conf.jitter_s = (unsigned) scf->jitter;
    scf->conf.providers = scf->providers.len
                          ? mg_str_n((char *) scf->providers.data,
                                     scf->providers.len)
                          : mg_str_null;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_schedule_time(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, 1);

    if (n < p->min || n > p->max) {
        return NGX_ERROR;
    }

    *(ngx_uint_t *) ((u_char *) conf + p->offset) = (ngx_uint_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_schedule_providers(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value)
{
    u_char  *start, *end, *s;

    if (value->len == 3 && ngx_strncmp(value->data, "all", 3) == 0) {
        return NGX_OK;
    }

    start = value->data;
    end = value->data + value->len;

    for (s = start; s <= end; s++) {

        if (s < end && *s != ',') {
            continue;
        }

        if (!mg_provider_id_ok(mg_str_n((char *) start, s - start))) {
            return NGX_ERROR;
        }

        start = s + 1;
    }

    *(ngx_str_t *) ((u_char *) conf + p->offset) = *value;

    return NGX_OK;
}


ngx_int_t
ngx_http_model_schedule_check(ngx_conf_t *cf,
    ngx_http_model_schedule_conf_t *scf)
{
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (scf->file == NULL || mcf->database.len) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"model_validate\" needs "
                  "\"model_database\", where the results are kept, in "
                  "%s:%ui", scf->file, scf->line);

    return NGX_ERROR;
}
