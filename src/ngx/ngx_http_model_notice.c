/*
 * ngx_http_model_notice.c: two ways to be called back by the event loop.
 *
 * The early notice is a connection without a socket that is marked idle: a
 * worker that begins to leave closes idle connections first, which calls
 * its read handler.  The wake-up is an eventfd in the event loop,
 * level-triggered, read empty before the handler is called.
 *
 * Both belong to the worker that made them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <sys/eventfd.h>

#include "ngx/ngx_http_model_notice.h"


typedef struct {
    ngx_http_model_notice_pt   handler;
    void                      *data;
} ngx_http_model_notice_t;


struct ngx_http_model_wake_s {
    ngx_connection_t          *connection;
    ngx_http_model_notice_pt   handler;
    void                      *data;
    int                        fd;
};


static void ngx_http_model_notice_handler(ngx_event_t *ev);
static void ngx_http_model_wake_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_model_notice_early(ngx_cycle_t *cycle,
    ngx_http_model_notice_pt handler, void *data)
{
    ngx_connection_t         *c;
    ngx_http_model_notice_t  *n;

    n = ngx_palloc(cycle->pool, sizeof(ngx_http_model_notice_t));
    if (n == NULL) {
        return NGX_ERROR;
    }

    /* no socket stands behind it: 0 is only not -1 */

    c = ngx_get_connection(0, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    n->handler = handler;
    n->data = data;

    c->idle = 1;
    c->data = n;
    c->read->handler = ngx_http_model_notice_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    return NGX_OK;
}


static void
ngx_http_model_notice_handler(ngx_event_t *ev)
{
    ngx_connection_t         *c;
    ngx_http_model_notice_t  *n;

    c = ev->data;

    if (!c->close) {
        return;
    }

    n = c->data;

    /* without the second line the connection counts as an open socket */

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
    c->idle = 0;

    n->handler(n->data);
}


ngx_http_model_wake_t *
ngx_http_model_wake_create(ngx_cycle_t *cycle,
    ngx_http_model_notice_pt handler, void *data)
{
    ngx_connection_t       *c;
    ngx_http_model_wake_t  *w;

    w = ngx_calloc(sizeof(ngx_http_model_wake_t), cycle->log);
    if (w == NULL) {
        return NULL;
    }

    w->handler = handler;
    w->data = data;

    w->fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (w->fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "eventfd() failed");
        ngx_free(w);
        return NULL;
    }

    c = ngx_get_connection(w->fd, cycle->log);
    if (c == NULL) {
        goto failed;
    }

    c->data = w;
    c->read->handler = ngx_http_model_wake_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        goto failed;
    }

    w->connection = c;

    return w;

failed:

    (void) close(w->fd);
    ngx_free(w);

    return NULL;
}


void
ngx_http_model_wake_ring(ngx_http_model_wake_t *w)
{
    ssize_t   n;
    uint64_t  one;

    one = 1;

    /* EAGAIN is a full counter: the loop is to be woken anyway */

    do {
        n = write(w->fd, &one, sizeof(uint64_t));
    } while (n == -1 && errno == EINTR);
}


static void
ngx_http_model_wake_handler(ngx_event_t *ev)
{
    ssize_t                 n;
    uint64_t                count;
    ngx_connection_t       *c;
    ngx_http_model_wake_t  *w;

    c = ev->data;
    w = c->data;

    do {
        n = read(w->fd, &count, sizeof(uint64_t));
    } while (n == -1 && ngx_errno == NGX_EINTR);

    if (n == sizeof(uint64_t)) {
        w->handler(w->data);
    }
}


void
ngx_http_model_wake_destroy(ngx_http_model_wake_t *w)
{
    ngx_connection_t  *c;

    c = w->connection;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    (void) close(w->fd);
    ngx_free(w);
}
