/*
 * ngx_http_model_refresh.c: the directive model_refresh.
 *
 *     model_refresh on interval=1h sources=models.dev,litellm
 *                   url.litellm=https://mirror.example/prices.json;
 *
 * One table of parameters, each with what reads it; a reader returns what is
 * wrong with the value, and the line says so.  What depends on other
 * directives is checked when all were read, and names the line then.
 *
 * Master, while the configuration is read; memory: of the configuration.
 */

#include "http/ngx_http_model_refresh.h"


typedef struct ngx_http_model_refresh_param_s
    ngx_http_model_refresh_param_t;

/* A parameter of model_refresh. */
struct ngx_http_model_refresh_param_s {
    ngx_str_t                name;         /* with its "=" or "." */
    char                  *(*handler)(ngx_conf_t *cf,
                                 ngx_http_model_refresh_conf_t *rcf,
                                 ngx_http_model_refresh_param_t *param,
                                 ngx_str_t *value);
    size_t                   offset;       /* in mg_refresh_conf_t */
    ngx_str_t                unit;         /* of a number, may be left out */
    ngx_int_t                step;         /* of a time: seconds; 0: it is
                                              one of milliseconds */
    ngx_int_t                min;
    ngx_int_t                max;
    char                    *wrong;        /* what to say otherwise */
};


static char *ngx_http_model_refresh_param(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf, ngx_str_t *text);
static char *ngx_http_model_refresh_time(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value);
static char *ngx_http_model_refresh_number(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value);
static char *ngx_http_model_refresh_sources(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value);
static char *ngx_http_model_refresh_url(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value);
static mg_refresh_source_t *ngx_http_model_refresh_source(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf, ngx_str_t *name);
static void ngx_http_model_refresh_unknown(ngx_conf_t *cf, ngx_str_t *name);


#define NGX_HTTP_MODEL_REFRESH_TIME(name, member, step, min, max, wrong)      \
    { ngx_string(name "="), ngx_http_model_refresh_time,                      \
      offsetof(mg_refresh_conf_t, member), ngx_null_string, step, min, max,   \
      wrong }

#define NGX_HTTP_MODEL_REFRESH_NUMBER(name, member, unit, min, max, wrong)    \
    { ngx_string(name "="), ngx_http_model_refresh_number,                    \
      offsetof(mg_refresh_conf_t, member), ngx_string(unit), 0, min, max,     \
      wrong }

static ngx_http_model_refresh_param_t  ngx_http_model_refresh_params[] = {

    NGX_HTTP_MODEL_REFRESH_TIME("interval", interval_s, 1, 1, 366 * 86400,
        "is no time between 1s and 366d; give one such as 1h"),

    NGX_HTTP_MODEL_REFRESH_TIME("jitter", jitter_s, 1, 0, 366 * 86400,
        "is no time between 0s and 366d; give one such as 10m"),

    NGX_HTTP_MODEL_REFRESH_TIME("history", history_days, 86400, 1, 36500,
        "is not a number of whole days, from 1d; give one such as 90d"),

    NGX_HTTP_MODEL_REFRESH_TIME("gone", gone_days, 86400, 1, 36500,
        "is not a number of whole days, from 1d; give one such as 30d"),

    NGX_HTTP_MODEL_REFRESH_TIME("pause", pause_ms, 0, 100, 3600000,
        "is no time between 100ms and 1h; give one such as 60s"),

    NGX_HTTP_MODEL_REFRESH_TIME("timeout", timeout_ms, 0, 100, 3600000,
        "is no time between 100ms and 1h; give one such as 2m"),

    NGX_HTTP_MODEL_REFRESH_NUMBER("shrink", shrink, "%", 1, 100,
        "is not between 1% and 100%; give a share such as 20%"),

    NGX_HTTP_MODEL_REFRESH_NUMBER("rate", per_minute, "r/m", 1, 60000,
        "is not between 1r/m and 60000r/m, requests a minute; give one such "
        "as 100r/m"),

    NGX_HTTP_MODEL_REFRESH_NUMBER("breaker", failures, "", 1, 100,
        "is not between 1 and 100; give a number such as 5"),

    { ngx_string("sources="), ngx_http_model_refresh_sources, 0,
      ngx_null_string, 0, 0, 0, NULL },

    { ngx_string("url."), ngx_http_model_refresh_url, 0,
      ngx_null_string, 0, 0, 0, NULL }
};


char *
ngx_http_model_refresh_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_model_refresh_conf_t  *rcf;

    rcf = (ngx_http_model_refresh_conf_t *) ((u_char *) conf + cmd->offset);

    if (rcf->file) {
        return "is duplicate";
    }

    value = cf->args->elts;
    rcf->file = cf->conf_file->file.name.data;
    rcf->line = cf->conf_file->line;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        rcf->conf.on = 1;

    } else if (ngx_strcmp(value[1].data, "off") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is neither \"on\" nor \"off\", with "
                           "which \"%V\" begins", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_model_refresh_param(cf, rcf, &value[i]) != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_model_refresh_param(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf, ngx_str_t *text)
{
    char                            *rv;
    ngx_str_t                        value;
    ngx_uint_t                       i;
    ngx_http_model_refresh_param_t  *param;

    for (i = 0; i < sizeof(ngx_http_model_refresh_params)
                    / sizeof(ngx_http_model_refresh_params[0]); i++)
    {
        param = &ngx_http_model_refresh_params[i];

        if (ngx_strncmp(text->data, param->name.data, param->name.len) != 0) {
            continue;
        }

        value.data = text->data + param->name.len;
        value.len = text->len - param->name.len;
        rv = param->handler(cf, rcf, param, &value);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of \"model_refresh\" %s", text, rv);
            rv = NGX_CONF_ERROR;
        }

        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"model_refresh\" has no parameter \"%V\"; it has "
                       "interval=, jitter=, sources=, url.SOURCE=, shrink=, "
                       "history=, gone=, rate=, breaker=, pause= and "
                       "timeout=", text);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_model_refresh_set(ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_int_t n)
{
    if (n < param->min || n > param->max) {
        return param->wrong;
    }

    *(unsigned *) ((u_char *) &rcf->conf + param->offset) = (unsigned) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_model_refresh_time(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, param->step != 0);

    if (n == NGX_ERROR || (param->step && n % param->step)) {
        return param->wrong;
    }

    return ngx_http_model_refresh_set(rcf, param,
                                      param->step ? n / param->step : n);
}


static char *
ngx_http_model_refresh_number(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value)
{
    size_t  len;

    len = value->len;

    if (len > param->unit.len
        && ngx_strncmp(value->data + len - param->unit.len, param->unit.data,
                       param->unit.len) == 0)
    {
        len -= param->unit.len;
    }

    return ngx_http_model_refresh_set(rcf, param,
                                      ngx_atoi(value->data, len));
}


/* A place for a source in the list; those that have only a URL are behind. */

static mg_refresh_source_t *
ngx_http_model_refresh_source(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf, ngx_str_t *name)
{
    ngx_uint_t            i;
    const mg_source_t    *source;
    mg_refresh_source_t  *s;

    source = mg_source_find(mg_str_n((char *) name->data, name->len));

    if (source == NULL) {
        ngx_http_model_refresh_unknown(cf, name);
        return NULL;
    }

    for (i = 0; i < MG_REFRESH_SOURCES_MAX; i++) {
        s = &rcf->conf.sources[i];

        if (s->source == NULL || s->source == source) {
            s->source = source;
            return s;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"model_refresh\" names more than %d sources",
                       MG_REFRESH_SOURCES_MAX);

    return NULL;
}


static void
ngx_http_model_refresh_unknown(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char             *p;
    u_char              names[512];
    const mg_source_t  *s;

    p = names;

    for (s = mg_sources; s->name.data; s++) {
        p = ngx_slprintf(p, names + sizeof(names), "%s%*s",
                         p == names ? "" : ", ", s->name.len, s->name.data);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "source \"%V\" of \"model_refresh\" is not known; "
                       "there are providers, %*s", name, (size_t) (p - names),
                       names);
}


static char *
ngx_http_model_refresh_sources(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value)
{
    u_char               *p, *end;
    ngx_str_t             name;
    mg_refresh_source_t  *s;

    end = value->data + value->len;

    for (p = value->data; p <= end; p = name.data + name.len + 1) {
        name.data = p;

        while (p < end && *p != ',') {
            p++;
        }

        name.len = p - name.data;

        if (name.len == sizeof("providers") - 1
            && ngx_strncmp(name.data, "providers", name.len) == 0)
        {
            rcf->conf.providers = 1;
            continue;
        }

        s = ngx_http_model_refresh_source(cf, rcf, &name);

        if (s == NULL) {
            return NGX_CONF_ERROR;
        }

        if (s->used) {
            return "names a source twice";
        }

        s->used = 1;
    }

    return NGX_CONF_OK;
}


/* SOURCE=URL or SOURCE=FILE */

static char *
ngx_http_model_refresh_url(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf,
    ngx_http_model_refresh_param_t *param, ngx_str_t *value)
{
    u_char               *p;
    ngx_str_t             name, from;
    mg_refresh_source_t  *s;

    p = ngx_strlchr(value->data, value->data + value->len, '=');

    if (p == NULL || p + 1 == value->data + value->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"url.%V\" of \"model_refresh\" has no URL; "
                           "write url.SOURCE=https://HOST/PATH", value);
        return NGX_CONF_ERROR;
    }

    name.data = value->data;
    name.len = p - value->data;
    from.data = p + 1;
    from.len = value->data + value->len - from.data;

    if (name.len == sizeof(MG_REFRESH_MODELS_DEV) - 1
        && ngx_strncmp(name.data, MG_REFRESH_MODELS_DEV, name.len) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "where models.dev is read from is said by "
                           "\"model_catalog_source\"; give \"%V\" there",
                           &from);
        return NGX_CONF_ERROR;
    }

    s = ngx_http_model_refresh_source(cf, rcf, &name);

    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strncasecmp(from.data, (u_char *) "http://", 7) != 0
        && ngx_strncasecmp(from.data, (u_char *) "https://", 8) != 0
        && ngx_conf_full_name(cf->cycle, &from, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    s->from = (char *) from.data;

    return NGX_CONF_OK;
}


/* What can be said when all directives were read. */

ngx_int_t
ngx_http_model_refresh_check(ngx_conf_t *cf,
    ngx_http_model_refresh_conf_t *rcf)
{
    ngx_uint_t                   i, n;
    const char                  *missing;
    mg_refresh_conf_t           *conf;
    mg_refresh_source_t          s;
    ngx_http_model_main_conf_t  *mcf;

    if (rcf->file == NULL) {
        return NGX_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);
    conf = &rcf->conf;
    missing = NULL;

    if (mcf->database.len == 0) {
        missing = "needs \"model_database\", where the catalog is kept";
    }

    for (n = 0, i = 0; i < MG_REFRESH_SOURCES_MAX; i++) {
        s = conf->sources[i];

        if (s.source == NULL) {
            break;
        }

        if (!s.used) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"model_refresh\" gives a URL for \"%s\", which "
                          "is not among its sources; add it to sources= in "
                          "%s:%ui", s.source->name.data, rcf->file,
                          rcf->line);
            return NGX_ERROR;
        }

        if (s.from == NULL) {
            s.from = s.source->url;
        }

        if (ngx_strcmp(s.source->name.data, MG_REFRESH_MODELS_DEV) == 0) {
            s.from = (char *) mcf->catalog_source.data;
            missing = s.from ? missing
                             : "has the source models.dev, whose place is "
                               "said by \"model_catalog_source\"; set that";
        }

        conf->sources[n++] = s;
    }

    conf->n_sources = (unsigned) n;

    if (conf->on && n == 0 && !conf->providers
        && mcf->catalog_source.len == 0)
    {
        missing = "has nothing to read; set \"model_catalog_source\" or "
                  "sources=";
    }

    if (missing == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"model_refresh\" %s in "
                  "%s:%ui", missing, rcf->file, rcf->line);

    return NGX_ERROR;
}
