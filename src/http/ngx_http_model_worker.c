/*
 * ngx_http_model_worker.c: the core of the family in a worker.
 *
 * One environment for pool threads, made in init_process and taken down in
 * exit_process, when core's thread pools have gone.
 *
 *     early notice: hooks, keeper, cancel flags -> tasks end, guards go ->
 *     thread pools -> exit_process: listener, maps, database, Redis,
 *     libraries
 *
 * The environment stays readable for the modules that come after this one.
 * Event loop, but for the log function.
 */

#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_keeper.h"
#include "http/ngx_http_model_reach.h"
#include "http/ngx_http_model_rotate.h"
#include "http/ngx_http_model_snap.h"
#include "http/ngx_http_model_worker.h"
#include "client/mg_http.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/eventfd.h>


#define NGX_HTTP_MODEL_LOG_LINE      1024
#define NGX_HTTP_MODEL_FILES_MORE    256     /* beside connections */


typedef struct {
    mg_env_t                     env;
    ngx_http_model_main_conf_t  *conf;
    unsigned                     ready:1;    /* env may be used */
} ngx_http_model_worker_t;


static void ngx_http_model_worker_files(ngx_cycle_t *cycle);
static void ngx_http_model_worker_thread(void);
static ngx_int_t ngx_http_model_env_init(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf, mg_env_t *env);
static mg_metrics_t *ngx_http_model_env_metrics(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf);
static void ngx_http_model_env_log(mg_log_level_e level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void ngx_http_model_leave(void *data);


static ngx_http_model_worker_t  ngx_http_model_worker;
static mg_metrics_t             ngx_http_model_scratch;


mg_env_t *
ngx_http_model_env(void)
{
    return ngx_http_model_worker.ready ? &ngx_http_model_worker.env : NULL;
}


mg_metrics_t *
ngx_http_model_counters(void)
{
    if (ngx_http_model_worker.ready) {
        return ngx_http_model_worker.env.metrics;
    }

    return &ngx_http_model_scratch;
}


void
ngx_http_model_hook_run(ngx_http_model_hook_e when)
{
    ngx_uint_t              i;
    ngx_http_model_hook_t  *hook;

    if (ngx_http_model_worker.conf == NULL) {
        return;
    }

    hook = ngx_http_model_worker.conf->hooks.elts;

    for (i = 0; i < ngx_http_model_worker.conf->hooks.nelts; i++) {
        if (hook[i].when == when) {
            hook[i].handler();
        }
    }
}


ngx_int_t
ngx_http_model_worker_init(ngx_cycle_t *cycle)
{
    ngx_http_model_worker_t     *w;
    ngx_http_model_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);

    if (mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    w = &ngx_http_model_worker;
    w->conf = mcf;

    ngx_http_model_worker_files(cycle);
    ngx_http_model_worker_thread();

    if (ngx_http_model_env_init(cycle, mcf, &w->env) != NGX_OK) {
        return NGX_ERROR;
    }

    w->ready = 1;

    if (ngx_process == NGX_PROCESS_WORKER
        && ngx_http_model_notice_early(cycle, ngx_http_model_leave, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_model_rotate_init(mcf);

    if (ngx_worker == 0) {
        ngx_http_model_reach_init(cycle, mcf);

        return ngx_http_model_keeper_init(cycle, mcf->db_pool);
    }

    return NGX_OK;
}


/*
 * Linux doubles a process's table of files when it is full, and in a process
 * with threads whoever opened the file waits 5 to 20 ms meanwhile, so the
 * event loop would in accept().  The table is made as large as it may get
 * while nobody waits: 8 bytes a file.
 */

static void
ngx_http_model_worker_files(ngx_cycle_t *cycle)
{
    int            fd, last;
    ngx_uint_t     n;
    struct rlimit  limit;

    n = cycle->connection_n + NGX_HTTP_MODEL_FILES_MORE;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && n >= limit.rlim_cur) {
        n = limit.rlim_cur - 1;
    }

    fd = eventfd(0, EFD_CLOEXEC);

    if (fd == -1) {
        return;
    }

    last = fcntl(fd, F_DUPFD_CLOEXEC, (int) n);

    if (last != -1) {
        (void) close(last);
    }

    (void) close(fd);
}


/*
 * In a process with threads glibc makes the caller of recv(), writev() and the
 * like one that may be cancelled at any point, and takes that back after the
 * call, with an atomic exchange each: 25 ns a call.  One that is such all along
 * has nothing to change; nobody cancels the event loop, which refuses it, too.
 */

static void
ngx_http_model_worker_thread(void)
{
    (void) pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    (void) pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}


static ngx_int_t
ngx_http_model_env_init(ngx_cycle_t *cycle, ngx_http_model_main_conf_t *mcf,
    mg_env_t *env)
{
    ngx_memzero(env, sizeof(mg_env_t));

    env->state_dir = (char *) mcf->state_path.data;
    env->key = &mcf->key;
    env->secrets = mcf->secrets;
    env->catalog_source = (char *) mcf->catalog_source.data;
    env->trusted = (char *) mcf->trusted.data;
    env->state = ngx_http_model_zone_get(mcf->zone, mcf->state_area, NULL);
    env->metrics = ngx_http_model_env_metrics(cycle, mcf);
    env->gates = ngx_http_model_zone_get(mcf->zone, mcf->gates_area, NULL);
    env->peaks = ngx_http_model_zone_get(mcf->zone, mcf->peaks_area, NULL);
    env->events = ngx_http_model_zone_get(mcf->zone, mcf->events_area, NULL);
    env->validate_concurrency = mcf->validate_concurrency;
    env->validate_host_concurrency = mcf->validate_host;
    env->hosts = ngx_http_model_zone_get(mcf->zone, mcf->hosts_area, NULL);
    env->validate_timeout_ms = mcf->validate_timeout;
    env->allow_private = mcf->allow_private;
    env->log = ngx_http_model_env_log;

    /* the host name has no NUL behind it */

    (void) snprintf(env->owner, sizeof(env->owner), "%.*s:%ld:%ld",
                    (int) ngx_min(cycle->hostname.len, 48),
                    cycle->hostname.data, (long) ngx_pid, (long) ngx_time());

    mg_resolve_configure(&mcf->resolver);

    if (mg_http_global_init() != MG_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "model: cannot initialize libcurl");
        return NGX_ERROR;
    }

    if (mcf->database.len) {
        env->db_options.conninfo = (char *) mcf->database.data;
        env->db_options.application = "nginx-model";
        env->db_options.max = mcf->database_connections;
        env->db_options.statement_timeout_ms = mcf->database_timeout;
        env->db_options.durations = &env->metrics->h[MG_H_DATABASE_QUERY];

        env->db = mg_pg_pool_create(&env->db_options);
        if (env->db == NULL) {
            return NGX_ERROR;
        }
    }

    if (mcf->redis.len) {
        env->redis = mg_redis_create((char *) mcf->redis.data);
        if (env->redis == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static mg_metrics_t *
ngx_http_model_env_metrics(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf)
{
    ngx_uint_t     slot;
    mg_metrics_t  *metrics;

    metrics = ngx_http_model_zone_get(mcf->zone, mcf->metrics_area, NULL);
    slot = ngx_process_slot;

    if (slot >= NGX_HTTP_MODEL_SLOTS) {
        slot = NGX_HTTP_MODEL_SLOTS - 1;
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "model: process slot %i is beyond the %d slots of the "
                      "zone, counters are shared with other workers",
                      ngx_process_slot, NGX_HTTP_MODEL_SLOTS);
    }

    return &metrics[slot];
}


/* Pool threads and the listener, too: touches nothing but the log file. */

static void
ngx_http_model_env_log(mg_log_level_e level, const char *fmt, ...)
{
    char        *p, line[NGX_HTTP_MODEL_LOG_LINE];
    va_list      args;
    ngx_uint_t   n;

    static const ngx_uint_t  levels[] = {
        NGX_LOG_ERR, NGX_LOG_WARN, NGX_LOG_NOTICE, NGX_LOG_INFO
    };

    n = levels[level];

    if (ngx_cycle->log->log_level < n) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);

    for (p = line; *p; p++) {
        if ((u_char) *p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }

    ngx_log_error(n, ngx_cycle->log, 0, "model: %s", line);
}


/* Early notice of quit or reload: the worker still serves what it has. */

static void
ngx_http_model_leave(void *data)
{
    ngx_http_model_hook_run(NGX_HTTP_MODEL_HOOK_LEAVE);
    ngx_http_model_keeper_leave();
    ngx_http_model_reach_leave();
    ngx_http_model_task_cancel_all();
}


void
ngx_http_model_worker_exit(ngx_cycle_t *cycle)
{
    mg_env_t                 *env;
    ngx_http_model_worker_t  *w;

    w = &ngx_http_model_worker;
    env = &w->env;

    if (!w->ready) {
        return;
    }

    ngx_http_model_hook_run(NGX_HTTP_MODEL_HOOK_EXIT);
    ngx_http_model_keeper_exit();
    ngx_http_model_reach_exit();

    if (ngx_http_model_task_pending()) {

        /* a full queue kept nginx from joining: threads are still at work */

        return;
    }

    ngx_http_model_snap_exit();

    if (env->db) {
        mg_pg_pool_destroy(env->db);
        env->db = NULL;
    }

    if (env->redis) {
        mg_redis_destroy(env->redis);
        env->redis = NULL;
    }

    mg_http_global_done();
}
