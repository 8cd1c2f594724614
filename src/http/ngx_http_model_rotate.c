/*
 * ngx_http_model_rotate.c: keys of providers from files, and their rotation.
 *
 *     master: reads each secret, as root -> workers inherit the table
 *     worker: timer (2 s) -> task on model_db looks at the files
 *             -> done: requests to come get the new keys -> timer again
 *
 * Each worker looks for itself: keys lie in no shared memory.
 *
 * Event loop, but for the work of the task.
 */

#include "http/ngx_http_model_rotate.h"
#include "http/ngx_http_model_secrets.h"


#define NGX_HTTP_MODEL_ROTATE_STEP   2000     /* ms between two looks */


typedef struct {
    mg_secrets_t        *secrets;
    ngx_thread_pool_t   *pool;
    ngx_event_t          timer;
    ngx_connection_t     dumb;       /* timer's data: has an fd */
} ngx_http_model_rotate_t;


/* Data of the task. */
typedef struct {
    ngx_uint_t           changed;
} ngx_http_model_rotate_look_t;


static void ngx_http_model_rotate_cleanup(void *data);
static void ngx_http_model_rotate_timer(ngx_event_t *ev);
static void ngx_http_model_rotate_work(ngx_http_model_task_t *t);
static ngx_int_t ngx_http_model_rotate_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);


static ngx_http_model_rotate_t  ngx_http_model_rotate;


void
ngx_http_model_rotate_init(ngx_http_model_main_conf_t *mcf)
{
    unsigned                  files;
    ngx_http_model_rotate_t  *rotate;

    rotate = &ngx_http_model_rotate;

    if (mcf->secrets == NULL
        || mg_secrets_count(mcf->secrets, &files) == 0 || files == 0)
    {
        return;
    }

    rotate->secrets = mcf->secrets;
    rotate->pool = mcf->db_pool;

    rotate->dumb.fd = (ngx_socket_t) -1;
    rotate->timer.handler = ngx_http_model_rotate_timer;
    rotate->timer.data = &rotate->dumb;
    rotate->timer.log = ngx_cycle->log;
    rotate->timer.cancelable = 1;

    ngx_add_timer(&rotate->timer, NGX_HTTP_MODEL_ROTATE_STEP);
}


static void
ngx_http_model_rotate_timer(ngx_event_t *ev)
{
    ngx_http_model_task_t  *t;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    t = ngx_http_model_task_create(sizeof(ngx_http_model_rotate_look_t));

    if (t) {
        t->work = ngx_http_model_rotate_work;
        t->done = ngx_http_model_rotate_done;
    }

    if (t == NULL
        || ngx_http_model_task_post(ngx_http_model_rotate.pool, t) != NGX_OK)
    {
        ngx_add_timer(ev, NGX_HTTP_MODEL_ROTATE_STEP);
    }
}


/* Pool thread. */

static void
ngx_http_model_rotate_work(ngx_http_model_task_t *t)
{
    int                            rc;
    mg_env_t                      *env;
    unsigned                       i, n, files;
    mg_error_t                     e;
    mg_secrets_t                  *secrets;
    ngx_http_model_rotate_look_t  *look;

    look = t->data;
    env = ngx_http_model_env();
    secrets = ngx_http_model_rotate.secrets;
    n = mg_secrets_count(secrets, &files);

    for (i = 0; i < n && !__atomic_load_n(&t->cancel, __ATOMIC_RELAXED); i++)
    {
        rc = mg_secrets_refresh(secrets, i, &e);

        if (rc == MG_OK) {
            look->changed++;

        } else if (rc == MG_ERROR) {
            env->log(MG_LOG_ERROR, "%s; the last key stays in use",
                     e.message);
        }
    }
}


static ngx_int_t
ngx_http_model_rotate_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    ngx_http_model_rotate_look_t  *look;

    look = t->data;

    if (look->changed) {
        ngx_http_model_secrets_rotate();

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "model: %ui keys of providers were rotated",
                      look->changed);
    }

    if (!ngx_exiting && !ngx_terminate && !ngx_quit) {
        ngx_add_timer(&ngx_http_model_rotate.timer,
                      NGX_HTTP_MODEL_ROTATE_STEP);
    }

    return NGX_OK;
}


char *
ngx_http_model_rotate_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_str_t           *value, path;
    mg_str_t             source;
    mg_error_t           e;
    ngx_pool_cleanup_t  *cln;

    value = cf->args->elts;

    if (mcf->secrets == NULL) {
        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        mcf->secrets = mg_secrets_create();
        if (mcf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }

        cln->handler = ngx_http_model_rotate_cleanup;
        cln->data = mcf->secrets;
    }

    /* "nginx -s" looks for the pid alone; the shell may not have the key */

    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_CONF_OK;
    }

    source = mg_str_n((char *) value[2].data, value[2].len);

    if (value[2].len > 5 && ngx_strncmp(value[2].data, "file:", 5) == 0) {
        path.data = value[2].data + 5;
        path.len = value[2].len - 5;

        if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        source.len = 5 + path.len;
        source.data = (char *) ngx_pnalloc(cf->pool, source.len + 1);
        if (source.data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_sprintf((u_char *) source.data, "file:%V%Z", &path);
    }

    if (mg_secrets_add(mcf->secrets,
                       mg_str_n((char *) value[1].data, value[1].len),
                       source, &e)
        != MG_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", e.message);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_model_rotate_cleanup(void *data)
{
    mg_secrets_destroy(data);
}
