/*
 * ngx_http_model_task.c: work that leaves the event loop and comes back.
 *
 *     | ngx_http_model_task_t | pad to 16 | data |    one block, on the heap
 *
 * Two things keep a task apart from the request that waits for it: the
 * request's cleanup, which cuts the link and raises cancel when the request
 * is freed, and the guard timer on the task's own event, which keeps the
 * loop of a leaving worker running, since a running task alone would not.
 * A task that lost its request makes its guard cancelable: nobody waits.
 *
 * The list of tasks is the event loop's; threads see data and cancel only.
 */

#include "ngx/ngx_http_model_task.h"


#define NGX_HTTP_MODEL_TASK_GUARD   60000    /* ms; armed again and again */


typedef struct {
    ngx_queue_t   tasks;
    int           pending;       /* atomic: posted, work() not returned */
    unsigned      leaving:1;
} ngx_http_model_tasks_t;


static void ngx_http_model_task_thread(void *data, ngx_log_t *log);
static void ngx_http_model_task_event(ngx_event_t *ev);
static void ngx_http_model_task_abandon(void *data);


static ngx_http_model_tasks_t  ngx_http_model_tasks;


ngx_http_model_task_t *
ngx_http_model_task_create(size_t size)
{
    size_t                  head;
    ngx_http_model_task_t  *t;

    head = ngx_align(sizeof(ngx_http_model_task_t), 16);

    t = ngx_calloc(head + size, ngx_cycle->log);
    if (t == NULL) {
        return NULL;
    }

    t->data = (u_char *) t + head;

    return t;
}


void
ngx_http_model_task_free(ngx_http_model_task_t *t)
{
    if (t->destroy) {
        t->destroy(t->data);
    }

    ngx_free(t);
}


ngx_int_t
ngx_http_model_task_post(ngx_thread_pool_t *pool, ngx_http_model_task_t *t)
{
    ngx_http_model_tasks_t  *tasks;

    tasks = &ngx_http_model_tasks;

    if (tasks->tasks.prev == NULL) {
        ngx_queue_init(&tasks->tasks);
    }

    t->thread.ctx = t;
    t->thread.handler = ngx_http_model_task_thread;
    t->thread.event.handler = ngx_http_model_task_event;
    t->thread.event.data = t;
    t->thread.event.log = ngx_cycle->log;

    if (tasks->leaving && t->request == NULL) {
        t->cancel = 1;
    }

    (void) __atomic_add_fetch(&tasks->pending, 1, __ATOMIC_RELAXED);

    if (ngx_thread_task_post(pool, &t->thread) != NGX_OK) {
        (void) __atomic_sub_fetch(&tasks->pending, 1, __ATOMIC_RELAXED);
        ngx_http_model_task_free(t);
        return NGX_BUSY;
    }

    ngx_queue_insert_tail(&tasks->tasks, &t->queue);
    ngx_add_timer(&t->thread.event, NGX_HTTP_MODEL_TASK_GUARD);

    return NGX_OK;
}


ngx_int_t
ngx_http_model_task_wait(ngx_thread_pool_t *pool, ngx_http_model_task_t *t,
    ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_http_model_task_free(t);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    t->request = r;
    t->cleanup = cln;

    if (ngx_http_model_task_post(pool, t) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln->handler = ngx_http_model_task_abandon;
    cln->data = t;

    /* so that a client that leaves is noticed before the task ends */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    return NGX_DONE;
}


void
ngx_http_model_task_cancel_all(void)
{
    ngx_queue_t             *q;
    ngx_http_model_task_t   *t;
    ngx_http_model_tasks_t  *tasks;

    tasks = &ngx_http_model_tasks;
    tasks->leaving = 1;

    if (tasks->tasks.prev == NULL) {
        return;
    }

    for (q = ngx_queue_head(&tasks->tasks);
         q != ngx_queue_sentinel(&tasks->tasks);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_model_task_t, queue);

        if (t->request == NULL) {
            __atomic_store_n(&t->cancel, 1, __ATOMIC_RELAXED);
        }
    }
}


ngx_uint_t
ngx_http_model_task_pending(void)
{
    return __atomic_load_n(&ngx_http_model_tasks.pending, __ATOMIC_ACQUIRE);
}


static void
ngx_http_model_task_thread(void *data, ngx_log_t *log)
{
    ngx_http_model_task_t  *t;

    t = data;
    t->work(t);

    (void) __atomic_sub_fetch(&ngx_http_model_tasks.pending, 1,
                              __ATOMIC_RELEASE);
}


/* The guard timer, or the completion: nginx marks the first as timed out. */

static void
ngx_http_model_task_event(ngx_event_t *ev)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_model_task_t  *t;

    t = ev->data;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_HTTP_MODEL_TASK_GUARD);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_queue_remove(&t->queue);

    r = t->request;

    if (r == NULL) {
        (void) t->done(t, NULL);
        ngx_http_model_task_free(t);
        return;
    }

    c = r->connection;
    t->cleanup->handler = NULL;

    ngx_http_set_log_request(c->log, r);

    rc = t->done(t, r);

    ngx_http_model_task_free(t);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* The waiting request is being freed; its client may have gone. */

static void
ngx_http_model_task_abandon(void *data)
{
    ngx_http_model_task_t  *t = data;

    t->request = NULL;
    t->cleanup = NULL;
    t->thread.event.cancelable = 1;

    __atomic_store_n(&t->cancel, 1, __ATOMIC_RELAXED);
}
