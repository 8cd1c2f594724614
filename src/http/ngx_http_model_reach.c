/*
 * ngx_http_model_reach.c: how servers of providers are found and watched.
 *
 * Two threads of worker 0: one asks for host names when their time is over,
 * one sends health checks.  Both end on the early notice, so that a worker
 * which leaves probes nothing any more, and are joined in exit_process.
 *
 * Event loop.
 */

#include "http/ngx_http_model_reach.h"


char *
ngx_http_model_reach_resolver(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_int_t           n;
    ngx_str_t          *value, s;
    ngx_uint_t          i;
    mg_error_t          e;
    mg_resolve_conf_t  *resolver;

    resolver = &mcf->resolver;

    if (resolver->n_servers) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "valid=", 6) == 0) {
            s.data = value[i].data + 6;
            s.len = value[i].len - 6;
            n = ngx_parse_time(&s, 1);

            if (n == NGX_ERROR || n < 1) {
                goto invalid;
            }

            resolver->valid_s = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;
            n = ngx_parse_time(&s, 0);

            if (n == NGX_ERROR || n < 1 || n > 60000) {
                goto invalid;
            }

            resolver->timeout_ms = n;
            continue;
        }

        if (resolver->n_servers == MG_DNS_SERVERS_MAX) {
            goto invalid;
        }

        if (mg_dns_server(mg_str_n((char *) value[i].data, value[i].len),
                          &resolver->servers[resolver->n_servers++], &e)
            != MG_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", e.message);
            return NGX_CONF_ERROR;
        }
    }

    return resolver->n_servers ? NGX_CONF_OK : "names no name server";

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; \"%V\" takes up to four "
                       "name servers, valid=TIME and timeout=TIME of at most "
                       "60s", &value[i], &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_model_reach_probe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_int_t         n;
    ngx_str_t        *value, s;
    unsigned         *number;
    ngx_uint_t        i, time;
    mg_watch_conf_t  *probe;

    probe = &mcf->probe;

    if (probe->interval_ms) {
        return "is duplicate";
    }

    probe->interval_ms = 10000;
    probe->timeout_ms = 2000;
    probe->rise = 1;
    probe->fall = 3;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        probe->on = 1;

    } else if (ngx_strcmp(value[1].data, "off") != 0) {
        i = 1;
        goto invalid;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        time = 0;

        if (ngx_strncmp(value[i].data, "interval=", 9) == 0) {
            number = &probe->interval_ms;
            time = 1;

        } else if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            number = &probe->timeout_ms;
            time = 1;

        } else if (ngx_strncmp(value[i].data, "rise=", 5) == 0) {
            number = &probe->rise;

        } else if (ngx_strncmp(value[i].data, "fall=", 5) == 0) {
            number = &probe->fall;

        } else {
            goto invalid;
        }

        s.data = (u_char *) ngx_strchr(value[i].data, '=') + 1;
        s.len = value[i].data + value[i].len - s.data;

        n = time ? ngx_parse_time(&s, 0) : ngx_atoi(s.data, s.len);

        if (n < (time ? 100 : 1) || n > (time ? 3600000 : 1000)) {
            goto invalid;
        }

        *number = n;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; \"%V\" takes on or off, "
                       "interval=TIME and timeout=TIME of 100ms to 1h, "
                       "rise=1..1000 and fall=1..1000", &value[i],
                       &cmd->name);

    return NGX_CONF_ERROR;
}


void
ngx_http_model_reach_init(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf)
{
    mg_error_t  e;

    if (mg_resolve_start(&e) != MG_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "model: no thread looks after host names, the keeper "
                      "does: %s", e.message);
    }

    if (mcf->probe.on
        && mg_watch_start(ngx_http_model_env(), &mcf->probe, &e) != MG_OK)
    {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "model: nothing is probed: %s", e.message);
    }
}


void
ngx_http_model_reach_leave(void)
{
    mg_resolve_end();
    mg_watch_end();
}


void
ngx_http_model_reach_exit(void)
{
    mg_watch_stop();
    mg_resolve_stop();
}
