/*
 * ngx_http_model_topic.c: what is watched, and the timer that looks.
 *
 *     every 20 ms while somebody watches: ring -> topics -> messages
 *     pump: those who wait are answered, those who are behind are told; at
 *     most 1 ms at a time, then the event loop goes round once
 *     leave: the pump goes on with sending away, until nobody is left
 *
 * The state of a topic comes from the ring; where the ring cannot say (nobody
 * has run since the start, something was missed) the database is asked, once
 * a topic and worker, however many wait for the answer; few are asked for at
 * a time, since calls of the API wait in the same queue.  A topic of which
 * nothing was heard for 5 s is asked for, too: notifications are a hint, and
 * do not come through every pooler.
 *
 * Event loop, but for ngx_http_model_topic_work().
 */

#include "http/ngx_http_model_events.h"
#include "base/mg_arena.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "store/mg_store_event.h"


#define NGX_HTTP_MODEL_TOPIC_TICK     20      /* ms */
#define NGX_HTTP_MODEL_TOPIC_SLICE    1000    /* us */
#define NGX_HTTP_MODEL_TOPIC_POLL     5000    /* ms of silence */
#define NGX_HTTP_MODEL_TOPIC_AGAIN    500     /* ms between questions */
#define NGX_HTTP_MODEL_TOPIC_ASKING   4       /* questions at a time */
#define NGX_HTTP_MODEL_TOPIC_STUCK    200     /* ms for a writer */
#define NGX_HTTP_MODEL_TOPIC_READY    1000    /* ms, readiness unchanged */
#define NGX_HTTP_MODEL_TOPIC_BEATS    64      /* in a row */
#define NGX_HTTP_MODEL_TOPIC_ARENA    (256 * 1024)
#define NGX_HTTP_MODEL_TOPIC_HERD     32      /* that come again together */
#define NGX_HTTP_MODEL_TOPIC_GUARD    1000    /* ms; keeps the loop running */


typedef struct {
    ngx_thread_pool_t           *pool;
    ngx_queue_t                  topics;
    ngx_event_t                  timer;
    ngx_event_t                  pump;
    ngx_connection_t             dumb;        /* timer's data: has an fd */
    uint64_t                     next;        /* read last */
    uint64_t                     gaps;
    ngx_msec_t                   stuck;       /* since when; 0: it is not */
    ngx_uint_t                   asking;      /* questions under way */
    ngx_uint_t                   sent;        /* away, while leaving */
    ngx_http_model_message_t    *bye;         /* of those sent away now */
    mg_buf_t                     ready;       /* the object sent last */
    unsigned                     active:1;
    unsigned                     leaving:1;
} ngx_http_model_topics_t;


/* A question; its data crosses to a thread. */
typedef struct {
    u_char                       name[NGX_HTTP_MODEL_TOPIC_LEN];
    size_t                       len;
    ngx_msec_t                   begun;
    mg_arena_t                  *arena;
    mg_str_t                     text;        /* in arena */
    uint64_t                     id;
    int                          rc;
    mg_error_t                   error;
} ngx_http_model_question_t;


static void ngx_http_model_topic_timer(ngx_event_t *ev);
static void ngx_http_model_topic_hear(ngx_http_model_topics_t *ts);
static ngx_int_t ngx_http_model_topic_stuck(ngx_http_model_topics_t *ts);
static void ngx_http_model_topic_missed(ngx_http_model_topics_t *ts);
static ngx_http_model_topic_t *ngx_http_model_topic_find(u_char *name,
    size_t len);
static void ngx_http_model_topic_state(ngx_http_model_topic_t *t,
    uint64_t id, mg_str_t text);
static void ngx_http_model_topic_ready(ngx_http_model_topic_t *t);
static void ngx_http_model_topic_set(ngx_http_model_topic_t *t,
    ngx_http_model_message_t *m);
static void ngx_http_model_topic_ask(ngx_http_model_topic_t *t);
static void ngx_http_model_topic_work(ngx_http_model_task_t *task);
static ngx_int_t ngx_http_model_topic_answered(ngx_http_model_task_t *task,
    ngx_http_request_t *r);
static void ngx_http_model_topic_destroy(void *data);
static void ngx_http_model_topic_sweep(ngx_http_model_topics_t *ts);
static void ngx_http_model_topic_pump(ngx_event_t *ev);
static ngx_uint_t ngx_http_model_topic_serve(ngx_http_model_topic_t *t,
    int64_t until);
static void ngx_http_model_topic_part(ngx_http_model_topics_t *ts);
static ngx_uint_t ngx_http_model_topic_empty(ngx_http_model_topics_t *ts,
    ngx_http_model_topic_t *t, int64_t until);


static ngx_http_model_topics_t  ngx_http_model_topics;


void
ngx_http_model_topic_init(ngx_cycle_t *cycle, ngx_thread_pool_t *pool)
{
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    ngx_queue_init(&ts->topics);
    mg_buf_init(&ts->ready, 0);

    ts->pool = pool;
    ts->active = 1;

    ts->dumb.fd = (ngx_socket_t) -1;

    ts->timer.handler = ngx_http_model_topic_timer;
    ts->timer.data = &ts->dumb;
    ts->timer.log = cycle->log;
    ts->timer.cancelable = 1;

    ts->pump.handler = ngx_http_model_topic_pump;
    ts->pump.data = &ts->dumb;
    ts->pump.log = cycle->log;
}


ngx_http_model_topic_t *
ngx_http_model_topic_get(u_char *name, size_t len)
{
    mg_env_t                 *env;
    mg_event_t                e;
    ngx_http_model_topic_t   *t;
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;
    env = ngx_http_model_env();

    if (!ts->active || ts->leaving || env == NULL) {
        return NULL;
    }

    t = ngx_http_model_topic_find(name, len);
    if (t) {
        return t;
    }

    t = ngx_calloc(sizeof(ngx_http_model_topic_t), ngx_cycle->log);
    if (t == NULL) {
        return NULL;
    }

    ngx_queue_init(&t->waiting);
    ngx_queue_init(&t->watchers);

    t->len = len;
    ngx_memcpy(t->name, name, len);
    t->heard = ngx_current_msec;

    if (ngx_queue_empty(&ts->topics)) {

        /* nobody has read on meanwhile */

        ts->gaps = mg_word_get(env->events->gaps);
        ts->next = mg_word_get(env->events->next);
        ts->stuck = 0;
    }

    ngx_queue_insert_tail(&ts->topics, &t->queue);

    if (len == 0) {
        ngx_http_model_topic_ready(t);

    } else if (mg_event_last(env->events, mg_str_n((char *) name, len), &e)
               == MG_OK)
    {
        ngx_http_model_topic_state(t, e.id, e.text);

    } else {
        ngx_http_model_topic_ask(t);
    }

    return t;
}


void
ngx_http_model_topic_wake(void)
{
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    if (!ts->pump.posted) {
        ngx_post_event(&ts->pump, &ngx_posted_events);
    }

    if (!ts->timer.timer_set) {
        ngx_add_timer(&ts->timer, NGX_HTTP_MODEL_TOPIC_TICK);
    }
}


void
ngx_http_model_topic_leave(void)
{
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    if (!ts->active || ts->leaving) {
        return;
    }

    ts->leaving = 1;

    if (ts->pump.posted) {
        ngx_delete_posted_event(&ts->pump);
    }

    if (ts->timer.timer_set) {
        ngx_del_timer(&ts->timer);
    }

    ts->timer.cancelable = 0;

    ngx_http_model_topic_part(ts);
}


/* -- the timer -- */

static void
ngx_http_model_topic_timer(ngx_event_t *ev)
{
    mg_env_t                 *env;
    ngx_msec_t                silent;
    ngx_queue_t              *q, *next;
    ngx_http_model_topic_t   *t;
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    if (ts->leaving) {
        ngx_add_timer(&ts->timer, NGX_HTTP_MODEL_TOPIC_GUARD);
        return;
    }

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    env = ngx_http_model_env();

    ngx_http_model_topic_sweep(ts);

    if (ngx_queue_empty(&ts->topics)) {
        return;
    }

    ngx_http_model_topic_hear(ts);

    for (q = ngx_queue_head(&ts->topics);
         q != ngx_queue_sentinel(&ts->topics);
         q = next)
    {
        next = ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_http_model_topic_t, queue);

        if (t->len == 0) {
            ngx_http_model_topic_ready(t);
            continue;
        }

        silent = ngx_current_msec - t->heard;

        if (env->db && !t->asking
            && ts->asking < NGX_HTTP_MODEL_TOPIC_ASKING
            && (t->missed || silent >= NGX_HTTP_MODEL_TOPIC_POLL)
            && ngx_current_msec - t->asked >= NGX_HTTP_MODEL_TOPIC_AGAIN)
        {
            ngx_http_model_topic_ask(t);

            /* the next place is for one that has waited longer */

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&ts->topics, q);
        }
    }

    ngx_http_model_watcher_beats(NGX_HTTP_MODEL_TOPIC_BEATS);

    ngx_http_model_topic_wake();
}


/* Reads on in the ring. */

static void
ngx_http_model_topic_hear(ngx_http_model_topics_t *ts)
{
    int                      rc;
    int64_t                  until;
    uint64_t                 last, gaps;
    mg_event_t               e;
    mg_events_t             *ring;
    ngx_http_model_topic_t  *t;

    ring = ngx_http_model_env()->events;
    gaps = mg_word_get(ring->gaps);
    last = mg_word_get(ring->next);
    until = mg_mono_us() + NGX_HTTP_MODEL_TOPIC_SLICE;

    if (gaps != ts->gaps) {
        ts->gaps = gaps;
        ngx_http_model_topic_missed(ts);
    }

    if (last - ts->next > MG_EVENT_SLOTS) {
        ts->next = last - MG_EVENT_SLOTS / 2;
        ngx_http_model_topic_missed(ts);
    }

    while (ts->next < last && mg_mono_us() <= until) {
        rc = mg_event_read(ring, ts->next + 1, &e);

        if (rc == MG_AGAIN && ngx_http_model_topic_stuck(ts) == NGX_AGAIN) {
            return;
        }

        ts->next++;
        ts->stuck = 0;

        if (rc != MG_OK) {
            ngx_http_model_topic_missed(ts);
            continue;
        }

        t = ngx_http_model_topic_find((u_char *) e.topic.data, e.topic.len);

        if (t && e.id > t->id) {
            ngx_http_model_topic_state(t, e.id, e.text);
        }
    }
}


/* NGX_AGAIN: whoever writes this slot may still come to its end. */

static ngx_int_t
ngx_http_model_topic_stuck(ngx_http_model_topics_t *ts)
{
    if (ts->stuck == 0) {
        ts->stuck = ngx_current_msec ? ngx_current_msec : 1;
    }

    return (ngx_current_msec - ts->stuck < NGX_HTTP_MODEL_TOPIC_STUCK)
           ? NGX_AGAIN : NGX_DECLINED;
}


static void
ngx_http_model_topic_missed(ngx_http_model_topics_t *ts)
{
    ngx_queue_t             *q;
    ngx_http_model_topic_t  *t;

    for (q = ngx_queue_head(&ts->topics);
         q != ngx_queue_sentinel(&ts->topics);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_model_topic_t, queue);
        t->missed = (t->len != 0);
    }
}


static ngx_http_model_topic_t *
ngx_http_model_topic_find(u_char *name, size_t len)
{
    ngx_queue_t             *q, *topics;
    ngx_http_model_topic_t  *t;

    topics = &ngx_http_model_topics.topics;

    for (q = ngx_queue_head(topics);
         q != ngx_queue_sentinel(topics);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_model_topic_t, queue);

        if (t->len == len && ngx_memcmp(t->name, name, len) == 0) {
            return t;
        }
    }

    return NULL;
}


static void
ngx_http_model_topic_state(ngx_http_model_topic_t *t, uint64_t id,
    mg_str_t text)
{
    char  number[NGX_INT64_LEN + 1];

    (void) snprintf(number, sizeof(number), "%llu", (unsigned long long) id);

    t->id = id;
    t->heard = ngx_current_msec;

    ngx_http_model_topic_set(t, ngx_http_model_message_state(mg_str_z(number),
                                                             text, 0));
}


/*
 * At each change, and each second besides.  The id of the last object lets a
 * client that comes again with it be told that nothing more comes.
 */

static void
ngx_http_model_topic_ready(ngx_http_model_topic_t *t)
{
    mg_jw_t                   w;
    mg_buf_t                  b;
    mg_ready_t                ready;
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_ready_write(&w, ngx_http_model_env()->state, mg_now_us(), &ready);

    if (b.failed
        || (t->message
            && ngx_current_msec - t->heard < NGX_HTTP_MODEL_TOPIC_READY
            && mg_str_eq(mg_buf_view(&b), mg_buf_view(&ts->ready))))
    {
        mg_buf_free(&b);
        return;
    }

    mg_buf_free(&ts->ready);
    ts->ready = b;
    t->heard = ngx_current_msec;

    ngx_http_model_topic_set(t,
              ngx_http_model_message_state(ready.ready ? mg_str("ready")
                                                       : mg_str_null,
                                           mg_buf_view(&b), ready.ready));
}


/* m NULL: out of memory; the next event has all that this one had. */

static void
ngx_http_model_topic_set(ngx_http_model_topic_t *t,
    ngx_http_model_message_t *m)
{
    if (m == NULL) {
        return;
    }

    ngx_http_model_message_release(t->message);

    t->message = m;
    t->serial++;
    t->known = 1;
    t->failed = 0;

    ngx_http_model_topic_wake();
}


/* Topics that nobody watches any more. */

static void
ngx_http_model_topic_sweep(ngx_http_model_topics_t *ts)
{
    ngx_queue_t             *q, *next;
    ngx_http_model_topic_t  *t;

    for (q = ngx_queue_head(&ts->topics);
         q != ngx_queue_sentinel(&ts->topics);
         q = next)
    {
        next = ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_http_model_topic_t, queue);

        if (ngx_queue_empty(&t->waiting) && ngx_queue_empty(&t->watchers)) {
            ngx_queue_remove(&t->queue);
            ngx_http_model_message_release(t->message);
            ngx_free(t);
        }
    }
}


/* -- the question -- */

static void
ngx_http_model_topic_ask(ngx_http_model_topic_t *t)
{
    ngx_http_model_task_t      *task;
    ngx_http_model_question_t  *question;

    if (ngx_http_model_env()->db == NULL) {
        t->failed = 1;
        t->known = 1;
        (void) mg_error_set(&t->error, MG_E_UNAVAILABLE, NULL,
                            "this gateway has no database; configure "
                            "model_database");
        return;
    }

    /* the timer asks when others have been answered */

    t->missed = 1;

    if (ngx_http_model_topics.asking >= NGX_HTTP_MODEL_TOPIC_ASKING) {
        return;
    }

    t->asked = ngx_current_msec;

    task = ngx_http_model_task_create(sizeof(ngx_http_model_question_t));
    if (task == NULL) {
        return;
    }

    question = task->data;
    question->len = t->len;
    question->begun = ngx_current_msec;
    ngx_memcpy(question->name, t->name, t->len);

    task->work = ngx_http_model_topic_work;
    task->done = ngx_http_model_topic_answered;
    task->destroy = ngx_http_model_topic_destroy;

    /* a full queue: the timer asks again */

    if (ngx_http_model_task_post(ngx_http_model_topics.pool, task) == NGX_OK) {
        ngx_http_model_topics.asking++;
        t->asking = 1;
        t->missed = 0;
    }
}


/* Pool thread. */

static void
ngx_http_model_topic_work(ngx_http_model_task_t *task)
{
    mg_pg_t                    *db;
    mg_str_t                    org, provider;
    const char                 *space;
    ngx_http_model_question_t  *question;

    question = task->data;
    question->rc = MG_ERROR;

    org = mg_str_n((char *) question->name, question->len);
    space = memchr(org.data, ' ', org.len);
    org.len = (size_t) (space - org.data);
    provider = mg_str_n(space + 1, question->len - org.len - 1);

    question->arena = mg_arena_create(NGX_HTTP_MODEL_TOPIC_ARENA);
    if (question->arena == NULL) {
        (void) mg_error_set(&question->error, MG_E_INTERNAL, NULL,
                            "out of memory");
        return;
    }

    db = mg_pg_checkout(ngx_http_model_env()->db, &question->error);
    if (db == NULL) {
        return;
    }

    question->rc = mg_store_event_validation(db, org, provider,
                                             question->arena,
                                             &question->text, &question->id,
                                             &question->error);
    mg_pg_release(db);
}


static ngx_int_t
ngx_http_model_topic_answered(ngx_http_model_task_t *task,
    ngx_http_request_t *r)
{
    ngx_http_model_topic_t     *t;
    ngx_http_model_question_t  *question;

    ngx_http_model_topics.asking--;

    if (ngx_http_model_topics.leaving) {
        return NGX_OK;
    }

    question = task->data;
    t = ngx_http_model_topic_find(question->name, question->len);

    if (t == NULL) {
        return NGX_OK;
    }

    t->asking = 0;

    if (question->rc != MG_OK) {
        t->missed = (question->error.kind != MG_E_NOT_FOUND);

        if (!t->missed || t->message == NULL) {
            t->known = 1;
            t->failed = 1;
            t->error = question->error;
        }

    } else if (question->text.len && t->id != question->id
               && (question->id > t->id
                   || (ngx_msec_int_t) (question->begun - t->heard) > 0))
    {
        ngx_http_model_topic_state(t, question->id, question->text);

    } else {
        t->known = 1;
        t->failed = 0;
    }

    t->heard = ngx_current_msec;
    ngx_http_model_topic_wake();

    return NGX_OK;
}


static void
ngx_http_model_topic_destroy(void *data)
{
    ngx_http_model_question_t  *question = data;

    if (question->arena) {
        mg_arena_destroy(question->arena);
    }
}


/* -- the pump -- */

static void
ngx_http_model_topic_pump(ngx_event_t *ev)
{
    int64_t                   until;
    ngx_queue_t              *q;
    ngx_http_model_topics_t  *ts;

    ts = &ngx_http_model_topics;

    if (ts->leaving) {
        ngx_http_model_topic_part(ts);
        return;
    }

    until = mg_mono_us() + NGX_HTTP_MODEL_TOPIC_SLICE;

    for (q = ngx_queue_head(&ts->topics);
         q != ngx_queue_sentinel(&ts->topics);
         q = ngx_queue_next(q))
    {
        if (ngx_http_model_topic_serve(ngx_queue_data(q,
                                             ngx_http_model_topic_t, queue),
                                       until))
        {
            /*
             * the others have their turn in between, other topics theirs
             * before this one goes on
             */

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&ts->topics, q);

            ngx_post_event(&ts->pump, &ngx_posted_next_events);
            return;
        }
    }
}


/* 1: time is up. */

static ngx_uint_t
ngx_http_model_topic_serve(ngx_http_model_topic_t *t, int64_t until)
{
    ngx_queue_t               *q;
    ngx_http_model_watcher_t  *w;

    while (t->known && !ngx_queue_empty(&t->waiting)) {

        if (mg_mono_us() > until) {
            return 1;
        }

        w = ngx_queue_data(ngx_queue_head(&t->waiting),
                           ngx_http_model_watcher_t, queue);
        ngx_http_model_watcher_open(w);
    }

    while (!ngx_queue_empty(&t->watchers)) {
        q = ngx_queue_head(&t->watchers);
        w = ngx_queue_data(q, ngx_http_model_watcher_t, queue);

        if ((!t->failed || t->error.kind != MG_E_NOT_FOUND)
            && (t->message == NULL || w->serial == t->serial))
        {
            break;
        }

        if (mg_mono_us() > until) {
            return 1;
        }

        if (t->failed && t->error.kind == MG_E_NOT_FOUND) {
            ngx_http_model_watcher_end(w, NGX_OK);
            continue;
        }

        w->serial = t->serial;
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&t->watchers, q);

        (void) ngx_http_model_watcher_send(w, t->message);
    }

    return 0;
}


/* -- the end -- */

/*
 * A worker that leaves sends everybody away, 1 ms at a time: requests of all
 * kinds go on in it.  Its guard is a timer that it waits for.
 */

static void
ngx_http_model_topic_part(ngx_http_model_topics_t *ts)
{
    int64_t       until;
    ngx_queue_t  *q;

    until = mg_mono_us() + NGX_HTTP_MODEL_TOPIC_SLICE;

    for (q = ngx_queue_head(&ts->topics);
         q != ngx_queue_sentinel(&ts->topics);
         q = ngx_queue_next(q))
    {
        if (ngx_http_model_topic_empty(ts, ngx_queue_data(q,
                                             ngx_http_model_topic_t, queue),
                                       until))
        {
            ngx_post_event(&ts->pump, &ngx_posted_next_events);

            if (!ts->timer.timer_set) {
                ngx_add_timer(&ts->timer, NGX_HTTP_MODEL_TOPIC_GUARD);
            }

            return;
        }
    }

    ngx_http_model_message_release(ts->bye);
    ts->bye = NULL;

    if (ts->timer.timer_set) {
        ngx_del_timer(&ts->timer);
    }
}


/* 1: time is up. */

static ngx_uint_t
ngx_http_model_topic_empty(ngx_http_model_topics_t *ts,
    ngx_http_model_topic_t *t, int64_t until)
{
    ngx_queue_t               *q;
    ngx_http_model_watcher_t  *w;

    while (!ngx_queue_empty(&t->waiting)) {

        if (mg_mono_us() > until) {
            return 1;
        }

        w = ngx_queue_data(ngx_queue_head(&t->waiting),
                           ngx_http_model_watcher_t, queue);

        t->failed = 1;
        (void) mg_error_set(&t->error, MG_E_UNAVAILABLE, NULL,
                            "the gateway reloads; connect again");
        ngx_http_model_watcher_open(w);
    }

    while (!ngx_queue_empty(&t->watchers)) {

        if (mg_mono_us() > until) {
            return 1;
        }

        q = ngx_queue_head(&t->watchers);
        w = ngx_queue_data(q, ngx_http_model_watcher_t, queue);

        if (ts->sent++ % NGX_HTTP_MODEL_TOPIC_HERD == 0) {
            ngx_http_model_message_release(ts->bye);
            ts->bye = ngx_http_model_message_end(500 + ngx_random() % 3000,
                                                 MG_WS_RESTART,
                                                 mg_str("service restart"));
        }

        if (ts->bye) {
            (void) ngx_http_model_watcher_send(w, ts->bye);
        }

        /* one that takes nothing is not waited for */

        if (ngx_queue_head(&t->watchers) == q) {
            ngx_http_model_watcher_end(w, NGX_ERROR);
        }
    }

    return 0;
}
