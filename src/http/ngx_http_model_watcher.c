/*
 * ngx_http_model_watcher.c: a request that stays and is told.
 *
 *     add -> waiting -> open -> send, send, ... -> end
 *                         |       ^    |
 *                         |       +- blocked: the write event, or time-out
 *                         +-> refused
 *
 * One message is under way at a time; what comes meanwhile is remembered by
 * one bit and answered with the state of that moment.  A reader that takes
 * nothing for "timeout" is cut, one that answers no ping is cut at the next.
 * A cleanup of r->pool takes a watcher out of everything, whoever ends its
 * request.
 *
 * Event loop.
 */

#include "http/ngx_http_model_events.h"


typedef struct {
    ngx_queue_t                  beats;
    ngx_queue_t                  tokens;
    ngx_http_model_message_t    *beat;
    mg_conn_t                    conn;
    mg_conn_cell_t               alone;       /* no cell in the zone */
} ngx_http_model_watchers_t;


static ngx_int_t ngx_http_model_watcher_limit(ngx_http_request_t *r,
    ngx_http_model_events_conf_t *conf, ngx_uint_t client, mg_error_t *e);
static void ngx_http_model_watcher_cleanup(void *data);
static void ngx_http_model_watcher_release(ngx_http_model_watcher_t *w);
static ngx_int_t ngx_http_model_watcher_begin(ngx_http_model_watcher_t *w);
static ngx_int_t ngx_http_model_watcher_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_watcher_preface(ngx_http_model_watcher_t *w);
static void ngx_http_model_watcher_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_watcher_flush(ngx_http_model_watcher_t *w,
    ngx_chain_t *in);
static ngx_int_t ngx_http_model_watcher_settle(ngx_http_model_watcher_t *w,
    ngx_int_t rc);
static void ngx_http_model_watcher_check(ngx_http_model_watchers_t *ws,
    ngx_uint_t max);
static ngx_int_t ngx_http_model_watcher_void(ngx_http_model_watcher_t *w);


static ngx_http_model_watchers_t  ngx_http_model_watchers;


void
ngx_http_model_watcher_init(mg_conn_cell_t *cells)
{
    ngx_http_model_watchers_t  *ws;

    ws = &ngx_http_model_watchers;

    ngx_queue_init(&ws->beats);
    ngx_queue_init(&ws->tokens);

    if (ngx_process_slot < NGX_HTTP_MODEL_SLOTS) {
        ws->conn.cells = cells;
        ws->conn.own = &cells[ngx_process_slot];
        ws->conn.n = NGX_HTTP_MODEL_SLOTS;

    } else {
        ws->conn.cells = &ws->alone;
        ws->conn.own = &ws->alone;
        ws->conn.n = 1;
    }

    mg_conn_begin(&ws->conn, (uint64_t) ngx_pid);
}


ngx_int_t
ngx_http_model_watcher_add(ngx_http_request_t *r,
    ngx_http_model_events_conf_t *conf, ngx_http_model_watcher_t *proto,
    u_char *topic, size_t len, mg_error_t *e)
{
    ngx_uint_t                  client;
    ngx_pool_cleanup_t         *cln;
    ngx_http_model_topic_t     *t;
    ngx_http_model_watcher_t   *w;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_model_watcher_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    client = mg_event_hash(mg_str_n((char *) r->connection->addr_text.data,
                                    r->connection->addr_text.len))
             & (MG_CONN_CLIENTS - 1);

    if (ngx_http_model_watcher_limit(r, conf, client, e) != NGX_OK) {
        return NGX_DECLINED;
    }

    t = ngx_http_model_topic_get(topic, len);

    if (t == NULL) {
        mg_conn_leave(&ngx_http_model_watchers.conn, client);
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "streams are not served now; connect again");
        return NGX_DECLINED;
    }

    w = cln->data;
    *w = *proto;

    w->request = r;
    w->conf = conf;
    w->topic = t;
    w->client = client;
    w->routing = ngx_http_model_snap_serial(MG_SNAP_ROUTING);

    mg_buf_init(&w->reply, NGX_HTTP_MODEL_SOCKET_REPLY);

    ngx_queue_insert_tail(&t->waiting, &w->queue);

    cln->handler = ngx_http_model_watcher_cleanup;

    /* a snapshot must not be held as long as somebody watches */

    ngx_http_model_snap_unpin(r);
    ngx_http_set_ctx(r, w, ngx_http_model_events_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    ngx_http_model_topic_wake();

    return NGX_DONE;
}


static ngx_int_t
ngx_http_model_watcher_limit(ngx_http_request_t *r,
    ngx_http_model_events_conf_t *conf, ngx_uint_t client, mg_error_t *e)
{
    static ngx_str_t  retry = ngx_string("10");

    switch (mg_conn_enter(&ngx_http_model_watchers.conn, client,
                          conf->connections, conf->per_client))
    {
    case MG_CONN_OK:
        return NGX_OK;

    case MG_CONN_FULL:
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "%u streams are open, which is the most that "
                            "this node serves; poll instead, or try again",
                            (unsigned) conf->connections);
        break;

    default:
        (void) mg_error_set(e, MG_E_LIMITED, NULL,
                            "your address has %u streams open, which is the "
                            "most for one; close some",
                            (unsigned) conf->per_client);
        break;
    }

    mg_metric_add(ngx_http_model_counters(), STREAMS_REFUSED, 1);
    (void) ngx_http_model_answer_header(r, "Retry-After", &retry);

    return NGX_DECLINED;
}


static void
ngx_http_model_watcher_cleanup(void *data)
{
    ngx_http_model_watcher_t *w = data;

    if (w->open) {
        mg_word_add(ngx_http_model_counters()->n[w->cause
                                                 ? w->cause
                                                 : MG_M_STREAMS_LEFT], 1);
    }

    ngx_http_model_watcher_release(w);

    ngx_http_model_message_release(w->message);
    ngx_http_model_socket_free(w);
}


/* Out of all lists; its message may still be on its way. */

static void
ngx_http_model_watcher_release(ngx_http_model_watcher_t *w)
{
    if (w->topic == NULL) {
        return;
    }

    ngx_queue_remove(&w->queue);

    if (w->open) {
        ngx_queue_remove(&w->beats);

        if (w->token) {
            ngx_queue_remove(&w->tokens);
        }
    }

    w->topic = NULL;
    mg_conn_leave(&ngx_http_model_watchers.conn, w->client);
}


/* -- the answer begins -- */

void
ngx_http_model_watcher_open(ngx_http_model_watcher_t *w)
{
    ngx_int_t                 rc;
    mg_error_t                e;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_model_topic_t   *t;

    r = w->request;
    c = r->connection;
    t = w->topic;

    if (t->failed) {
        e = t->error;
        ngx_http_model_watcher_release(w);
        ngx_http_finalize_request(r, ngx_http_model_answer_error(r, &e));
        ngx_http_run_posted_requests(c);
        return;
    }

    rc = ngx_http_model_watcher_begin(w);

    if (rc != NGX_AGAIN) {
        ngx_http_model_watcher_release(w);
        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (w->form == NGX_HTTP_MODEL_SOCKET) {

        /* what the client has sent behind its handshake; may end w */

        r->read_event_handler = ngx_http_model_socket_read;
        ngx_post_event(c->read, &ngx_posted_events);
    }

    w->serial = t->serial;

    if (t->message == NULL || (w->seen && w->seen == t->id)) {
        (void) ngx_http_model_watcher_settle(w,
                                          ngx_http_model_watcher_preface(w));
        return;
    }

    (void) ngx_http_model_watcher_send(w, t->message);
}


/* NGX_AGAIN: the stream is open; else what its request is to end with. */

static ngx_int_t
ngx_http_model_watcher_begin(ngx_http_model_watcher_t *w)
{
    ngx_int_t                   rc;
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_model_watchers_t  *ws;

    r = w->request;
    c = r->connection;
    ws = &ngx_http_model_watchers;

    rc = (w->form == NGX_HTTP_MODEL_SOCKET)
         ? ngx_http_model_socket_open(w) : ngx_http_model_watcher_header(r);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(c) != NGX_OK) {
        return NGX_ERROR;
    }

    w->open = 1;
    w->due = ngx_current_msec + w->conf->heartbeat;
    r->write_event_handler = ngx_http_model_watcher_write;

    ngx_queue_remove(&w->queue);
    ngx_queue_insert_tail(&w->topic->watchers, &w->queue);
    ngx_queue_insert_tail(&ws->beats, &w->beats);

    if (w->token) {
        ngx_queue_insert_tail(&ws->tokens, &w->tokens);
    }

    mg_word_add(ngx_http_model_counters()->n[w->form == NGX_HTTP_MODEL_SOCKET
                                             ? MG_M_STREAMS_SOCKET
                                             : MG_M_STREAMS_SSE], 1);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_model_watcher_header(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  no_buffer = ngx_string("no");

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_http_clear_content_length(r);

    if (ngx_http_model_answer_header(r, "Cache-Control", &no_store) != NGX_OK
        || ngx_http_model_answer_header(r, "X-Accel-Buffering", &no_buffer)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    /* HEAD: done */

    return r->header_only ? NGX_DECLINED : NGX_OK;
}


/* A first line, so that the header goes out when there is no state yet. */

static ngx_int_t
ngx_http_model_watcher_preface(ngx_http_model_watcher_t *w)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    static u_char  preface[] = ":\n\n";

    if (w->form == NGX_HTTP_MODEL_SOCKET) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(w->request->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = preface;
    b->last = preface + sizeof(preface) - 1;
    b->memory = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_model_watcher_flush(w, &out);
}


/* -- sending -- */

ngx_int_t
ngx_http_model_watcher_send(ngx_http_model_watcher_t *w,
    ngx_http_model_message_t *m)
{
    ngx_int_t  rc;

    if (w->message || w->reply.len || w->closing) {
        w->behind = 1;
        return NGX_OK;
    }

    w->behind = 0;
    w->message = m;
    m->refs++;

    mg_metric_own(ngx_http_model_counters(), STREAM_MESSAGES, 1);

    if (w->form == NGX_HTTP_MODEL_SOCKET) {
        w->sent = 0;
        rc = ngx_http_model_socket_flush(w);

    } else {
        ngx_memzero(&w->buf, sizeof(ngx_buf_t));

        w->buf.start = w->buf.pos = m->form[NGX_HTTP_MODEL_SSE].data;
        w->buf.end = w->buf.last = w->buf.pos
                                   + m->form[NGX_HTTP_MODEL_SSE].len;
        w->buf.memory = 1;
        w->buf.flush = 1;

        w->out.buf = &w->buf;
        w->out.next = NULL;

        rc = ngx_http_model_watcher_flush(w, &w->out);
    }

    return ngx_http_model_watcher_settle(w, rc);
}


/* NGX_OK: all has been taken; NGX_AGAIN; NGX_ERROR. */

static ngx_int_t
ngx_http_model_watcher_flush(ngx_http_model_watcher_t *w, ngx_chain_t *in)
{
    ngx_http_request_t  *r;

    r = w->request;

    if (ngx_http_output_filter(r, in) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if ((w->message && ngx_buf_size(&w->buf)) || r->connection->buffered) {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/* rc: of a flush.  NGX_OK, or NGX_DONE: w has ended. */

static ngx_int_t
ngx_http_model_watcher_settle(ngx_http_model_watcher_t *w, ngx_int_t rc)
{
    ngx_uint_t    last;
    ngx_event_t  *wev;

    wev = w->request->connection->write;

    if (rc == NGX_AGAIN) {

        if (!wev->timer_set) {
            ngx_add_timer(wev, w->conf->timeout);
        }

        if (ngx_handle_write_event(wev, 0) == NGX_OK) {
            return NGX_OK;
        }

        rc = NGX_ERROR;
    }

    if (rc == NGX_ERROR) {
        ngx_http_model_watcher_end(w, NGX_ERROR);
        return NGX_DONE;
    }

    /* the timer of "limit_rate" is to fire: it lets the next message go */

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    last = w->closing || (w->message && w->message->last);

    ngx_http_model_message_release(w->message);
    w->message = NULL;

    if (last) {
        ngx_http_model_watcher_end(w, NGX_OK);
        return NGX_DONE;
    }

    if (w->behind && w->topic->message) {
        w->serial = w->topic->serial;
        return ngx_http_model_watcher_send(w, w->topic->message);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_model_watcher_next(ngx_http_model_watcher_t *w)
{
    ngx_int_t  rc;

    rc = (w->form == NGX_HTTP_MODEL_SOCKET)
         ? ngx_http_model_socket_flush(w)
         : ngx_http_model_watcher_flush(w, NULL);

    return ngx_http_model_watcher_settle(w, rc);
}


static void
ngx_http_model_watcher_write(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_model_watcher_t  *w;

    wev = r->connection->write;
    w = ngx_http_get_module_ctx(r, ngx_http_model_events_module);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "model: a stream's client takes nothing");
        w->cause = MG_M_STREAMS_SLOW;
        r->connection->timedout = 1;
        ngx_http_model_watcher_end(w, NGX_ERROR);
        return;
    }

    if (wev->delayed) {
        return;
    }

    if (w->message || w->reply.len || r->connection->buffered) {
        (void) ngx_http_model_watcher_next(w);
    }
}


/* -- the end -- */

void
ngx_http_model_watcher_end(ngx_http_model_watcher_t *w, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = w->request;
    c = r->connection;

    ngx_http_model_watcher_release(w);

    if (rc == NGX_OK && w->cause == 0) {
        w->cause = MG_M_STREAMS_ENDED;
    }

    if (c->write->timer_set && !c->write->delayed) {
        ngx_del_timer(c->write);
    }

    if (rc == NGX_OK && w->form == NGX_HTTP_MODEL_SSE) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);

        /* a worker that leaves waits for nobody */

        if (rc == NGX_AGAIN && ngx_exiting) {
            rc = NGX_ERROR;
        }
    }

    if (w->form == NGX_HTTP_MODEL_SOCKET) {

        /* so that the close frame is not lost in a reset */

        r->lingering_close = !ngx_exiting;
    }

    ngx_http_finalize_request(r, rc == NGX_AGAIN ? NGX_OK : rc);
    ngx_http_run_posted_requests(c);
}


/* -- heartbeats, tokens -- */

void
ngx_http_model_watcher_beats(ngx_uint_t max)
{
    ngx_uint_t                  n;
    ngx_queue_t                *q;
    ngx_http_model_watcher_t   *w;
    ngx_http_model_watchers_t  *ws;

    ws = &ngx_http_model_watchers;

    if (ws->beat == NULL) {
        ws->beat = ngx_http_model_message_beat();
    }

    ngx_http_model_watcher_check(ws, max);

    for (n = 0; n < max && !ngx_queue_empty(&ws->beats); n++) {
        q = ngx_queue_head(&ws->beats);
        w = ngx_queue_data(q, ngx_http_model_watcher_t, beats);

        if ((ngx_msec_int_t) (w->due - ngx_current_msec) > 0
            || ws->beat == NULL)
        {
            return;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ws->beats, q);

        w->due = ngx_current_msec + w->conf->heartbeat;
        w->frames = 0;

        if (w->message || w->reply.len) {
            continue;                  /* its write event has a time-out */
        }

        if (ngx_http_model_watcher_void(w) == NGX_DONE) {
            continue;
        }

        if (w->pinged) {
            ngx_log_error(NGX_LOG_INFO, w->request->connection->log, 0,
                          "model: a WebSocket's client answers no ping");
            w->cause = MG_M_STREAMS_SILENT;
            ngx_http_model_watcher_end(w, NGX_ERROR);
            continue;
        }

        w->pinged = (w->form == NGX_HTTP_MODEL_SOCKET);
        (void) ngx_http_model_watcher_send(w, ws->beat);
    }
}


/* Another routing snapshot may have come without the token; time passes. */

static void
ngx_http_model_watcher_check(ngx_http_model_watchers_t *ws, ngx_uint_t max)
{
    uint64_t                   serial;
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_model_watcher_t  *w;

    if (ngx_queue_empty(&ws->tokens)
        || ngx_http_model_snap_current(MG_SNAP_ROUTING) == NULL)
    {
        return;
    }

    serial = ngx_http_model_snap_serial(MG_SNAP_ROUTING);

    for (n = 0; n < max && !ngx_queue_empty(&ws->tokens); n++) {
        q = ngx_queue_head(&ws->tokens);
        w = ngx_queue_data(q, ngx_http_model_watcher_t, tokens);

        if (w->routing == serial) {
            return;
        }

        w->routing = serial;
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ws->tokens, q);

        (void) ngx_http_model_watcher_void(w);
    }
}


/* NGX_DONE: the token was not good any more, and w has ended. */

static ngx_int_t
ngx_http_model_watcher_void(ngx_http_model_watcher_t *w)
{
    ngx_http_model_message_t  *m;

    if (!w->token
        || ngx_http_model_principal_again(w->request, MG_ROLE_VIEWER)
           == NGX_OK)
    {
        return NGX_OK;
    }

    w->cause = MG_M_STREAMS_VOID;

    m = (w->message || w->reply.len)
        ? NULL : ngx_http_model_message_end(60000, MG_WS_POLICY,
                                            mg_str("the token is not valid "
                                                   "any more"));

    if (m == NULL) {
        ngx_http_model_watcher_end(w, NGX_ERROR);
        return NGX_DONE;
    }

    (void) ngx_http_model_watcher_send(w, m);
    ngx_http_model_message_release(m);

    return NGX_DONE;
}
