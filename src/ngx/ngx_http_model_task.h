/*
 * ngx_http_model_task.h: work that leaves the event loop and comes back.
 *
 * A task is detached: its memory is on the heap and owned by this file from
 * create to the end of done(); a request that waits for it is linked
 * weakly and may go away first (the task is then told through cancel).  A
 * guard timer keeps a leaving worker alive until the task has ended.  All
 * tasks of a worker are in one list, so that the early notice of a quit or
 * reload can raise the cancel flags.
 *
 *     create -> [wait] -> post -> work() on a thread -> done() on the loop
 */

#ifndef _NGX_HTTP_MODEL_TASK_H_INCLUDED_
#define _NGX_HTTP_MODEL_TASK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_http_model_task_s  ngx_http_model_task_t;

struct ngx_http_model_task_s {
    /* Pool thread: data and cancel only. */
    void                 (*work)(ngx_http_model_task_t *t);

    /*
     * Event loop, always called once after work().  r is the waiting
     * request or NULL if none waits any more; with r the return value
     * finalizes it.  data is freed after the call.
     */
    ngx_int_t            (*done)(ngx_http_model_task_t *t,
                             ngx_http_request_t *r);

    /* Before data is freed, on the loop, also if post failed.  May be NULL. */
    void                 (*destroy)(void *data);

    void                  *data;        /* size bytes given to create, zeroed */
    int                    cancel;      /* read with __atomic_load_n */

    /* private */
    ngx_http_request_t    *request;
    ngx_http_cleanup_t    *cleanup;
    ngx_thread_task_t      thread;
    ngx_queue_t            queue;
};


/* NULL when out of memory. */
ngx_http_model_task_t *ngx_http_model_task_create(size_t size);

/* For a task that was never posted. */
void ngx_http_model_task_free(ngx_http_model_task_t *t);

/*
 * NGX_OK, or NGX_BUSY when the queue is full (t is freed): answer 503 with
 * Retry-After.
 */
ngx_int_t ngx_http_model_task_post(ngx_thread_pool_t *pool,
    ngx_http_model_task_t *t);

/*
 * Posts, and makes r wait: returns NGX_DONE for the content handler, or an
 * HTTP status (503, 500).  done() is called with r unless r has gone.
 */
ngx_int_t ngx_http_model_task_wait(ngx_thread_pool_t *pool,
    ngx_http_model_task_t *t, ngx_http_request_t *r);

/*
 * Early notice: raises cancel of every task that no request waits for, and
 * of those that are made from now on without one.  A task with a client
 * goes on: a reload fails no call.
 */
void ngx_http_model_task_cancel_all(void);

/*
 * Tasks whose work() has not returned.  Not 0 in exit_process: threads were
 * left running, so what they use must not be torn down.
 */
ngx_uint_t ngx_http_model_task_pending(void);


#endif /* _NGX_HTTP_MODEL_TASK_H_INCLUDED_ */
