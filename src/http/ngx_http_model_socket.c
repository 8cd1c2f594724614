/*
 * ngx_http_model_socket.c: a WebSocket on the connection of a request.
 *
 *     GET with Upgrade -> checks -> 101 -> frames, past nginx's filters
 *
 * RFC 6455, 4.2.  HTTP/1.1 only: over HTTP/2 nginx knows no extended CONNECT,
 * and a client is told so.  A browser cannot send a token in a header here, so
 * it may come as a protocol, "bearer.TOKEN", beside "model", which is the one
 * that is answered.  Without a token a page of another origin is refused:
 * where reading is open to a network, it is not open to every page that
 * somebody in that network looks at.
 *
 * Memory for reading is only there while a client's frame is incomplete.
 * Clients that send, or leave, all at once are read for 1 ms in a turn of the
 * event loop, and the others in the next ones.
 *
 * Event loop.
 */

#include "http/ngx_http_model_events.h"
#include "base/mg_time.h"


#define NGX_HTTP_MODEL_SOCKET_READ      2048
#define NGX_HTTP_MODEL_SOCKET_ROUNDS    16      /* reads in a row */
#define NGX_HTTP_MODEL_SOCKET_FRAMES    1000    /* in a heartbeat */
#define NGX_HTTP_MODEL_SOCKET_SLICE     1000    /* us */


typedef struct {
    ngx_event_t   turn;        /* posted: others were read in this one */
    int64_t       until;
} ngx_http_model_sockets_t;


static ngx_int_t ngx_http_model_socket_upgrade(ngx_http_request_t *r,
    mg_error_t *e);
static ngx_uint_t ngx_http_model_socket_listed(ngx_str_t *list,
    const char *token);
static void ngx_http_model_socket_protocols(ngx_http_request_t *r,
    ngx_http_model_watcher_t *w);
static ngx_int_t ngx_http_model_socket_bearer(ngx_http_request_t *r,
    u_char *token, size_t len);
static ngx_uint_t ngx_http_model_socket_later(ngx_connection_t *c);
static void ngx_http_model_socket_turn(ngx_event_t *ev);
static ngx_int_t ngx_http_model_socket_feed(ngx_http_model_watcher_t *w,
    u_char *data, size_t len);
static ngx_int_t ngx_http_model_socket_send(ngx_connection_t *c, u_char *data,
    size_t len, size_t *sent);


static ngx_http_model_sockets_t  ngx_http_model_sockets;


/* -- the handshake -- */

ngx_int_t
ngx_http_model_socket_check(ngx_http_request_t *r,
    ngx_http_model_watcher_t *w, mg_error_t *e)
{
    u_char     *accept;
    ngx_str_t  *key;

    if (ngx_http_model_socket_upgrade(r, e) != NGX_OK) {
        return NGX_DECLINED;
    }

    key = ngx_http_model_answer_sent(r, "Sec-WebSocket-Key");

    accept = ngx_pnalloc(r->pool, MG_WS_ACCEPT_LEN + 1);
    if (accept == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_DECLINED;
    }

    if (key == NULL
        || mg_ws_accept(mg_str_n((char *) key->data, key->len),
                        (char *) accept)
           != MG_OK)
    {
        (void) mg_error_set(e, MG_E_INVALID, "Sec-WebSocket-Key",
                            "Sec-WebSocket-Key is not the base64 of 16 "
                            "bytes");
        return NGX_DECLINED;
    }

    w->form = NGX_HTTP_MODEL_SOCKET;
    w->accept.data = accept;
    w->accept.len = MG_WS_ACCEPT_LEN;

    ngx_http_model_socket_protocols(r, w);

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_socket_upgrade(ngx_http_request_t *r, mg_error_t *e)
{
    ngx_str_t  *upgrade, *connection, *version;

    static ngx_str_t  known = ngx_string("13");
    static ngx_str_t  websocket = ngx_string("websocket");

    if (r->http_version != NGX_HTTP_VERSION_11) {
        (void) mg_error_set(e, MG_E_UPGRADE, NULL,
                            "a WebSocket is opened over HTTP/1.1 here, this "
                            "is HTTP/%u.%u; connect with HTTP/1.1, or read "
                            "the same events as a stream of server-sent "
                            "events",
                            (unsigned) (r->http_version / 1000),
                            (unsigned) (r->http_version % 1000));
        return NGX_DECLINED;
    }

    upgrade = ngx_http_model_answer_sent(r, "Upgrade");
    connection = ngx_http_model_answer_sent(r, "Connection");

    if (r->method != NGX_HTTP_GET
        || upgrade == NULL
        || !ngx_http_model_socket_listed(upgrade, "websocket")
        || connection == NULL
        || !ngx_http_model_socket_listed(connection, "upgrade"))
    {
        (void) mg_error_set(e, MG_E_UPGRADE, NULL,
                            "this is a WebSocket; send GET with Connection: "
                            "Upgrade and Upgrade: websocket");
        (void) ngx_http_model_answer_header(r, "Upgrade", &websocket);
        return NGX_DECLINED;
    }

    version = ngx_http_model_answer_sent(r, "Sec-WebSocket-Version");

    if (version == NULL || version->len != known.len
        || ngx_memcmp(version->data, known.data, known.len) != 0)
    {
        (void) mg_error_set(e, MG_E_UPGRADE, "Sec-WebSocket-Version",
                            "Sec-WebSocket-Version is not 13, the only one "
                            "that is spoken here");
        (void) ngx_http_model_answer_header(r, "Sec-WebSocket-Version",
                                            &known);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Members of a list of tokens, in any case. */

static ngx_uint_t
ngx_http_model_socket_listed(ngx_str_t *list, const char *token)
{
    u_char  *p, *end, *last;
    size_t   len;

    len = ngx_strlen(token);
    last = list->data + list->len;

    for (p = list->data; p < last; p = end + 1) {

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) >= len
            && ngx_strncasecmp(p, (u_char *) token, len) == 0)
        {
            for (p += len; p < end && (*p == ' ' || *p == '\t'); p++) {
                /* void */
            }

            if (p == end) {
                return 1;
            }
        }
    }

    return 0;
}


/* "model", and "bearer.TOKEN" unless the request has a token already. */

static void
ngx_http_model_socket_protocols(ngx_http_request_t *r,
    ngx_http_model_watcher_t *w)
{
    u_char     *p, *end, *last, *stop;
    ngx_str_t  *sent;

    sent = ngx_http_model_answer_sent(r, "Sec-WebSocket-Protocol");

    if (sent == NULL) {
        return;
    }

    w->protocol = ngx_http_model_socket_listed(sent, "model");
    last = sent->data + sent->len;

    for (p = sent->data; p < last; p = end + 1) {

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        for (stop = end; stop > p && stop[-1] == ' '; stop--) { /* void */ }

        if (stop - p > 7 && ngx_memcmp(p, "bearer.", 7) == 0
            && r->headers_in.authorization == NULL)
        {
            (void) ngx_http_model_socket_bearer(r, p + 7, stop - p - 7);
            return;
        }
    }
}


/* As if it had come where tokens come. */

static ngx_int_t
ngx_http_model_socket_bearer(ngx_http_request_t *r, u_char *token, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Authorization");
    h->lowcase_key = (u_char *) "authorization";
    ngx_http_model_header_last(h);

    h->value.data = ngx_pnalloc(r->pool, sizeof("Bearer ") + len);
    if (h->value.data == NULL) {
        h->hash = 0;
        return NGX_ERROR;
    }

    h->value.len = ngx_sprintf(h->value.data, "Bearer %*s%Z", len, token)
                   - h->value.data - 1;

    r->headers_in.authorization = h;

    return NGX_OK;
}


ngx_int_t
ngx_http_model_socket_open(ngx_http_model_watcher_t *w)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    static ngx_str_t  websocket = ngx_string("websocket");
    static ngx_str_t  protocol = ngx_string("model");

    r = w->request;
    r->keepalive = 0;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");

    if (ngx_http_model_answer_header(r, "Upgrade", &websocket) != NGX_OK
        || ngx_http_model_answer_header(r, "Sec-WebSocket-Accept",
                                        &w->accept)
           != NGX_OK
        || (w->protocol
            && ngx_http_model_answer_header(r, "Sec-WebSocket-Protocol",
                                            &protocol)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    /* frames go past the filters: nothing may be left in them */

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR
        || r->connection->buffered)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* -- reading -- */

void
ngx_http_model_socket_read(ngx_http_request_t *r)
{
    u_char                     data[NGX_HTTP_MODEL_SOCKET_READ];
    size_t                     len;
    ssize_t                    n;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_connection_t          *c;
    ngx_http_model_watcher_t  *w;

    c = r->connection;
    w = ngx_http_get_module_ctx(r, ngx_http_model_events_module);

    if (ngx_http_model_socket_later(c)) {
        return;
    }

    for (i = 0; i < NGX_HTTP_MODEL_SOCKET_ROUNDS; i++) {

        len = r->header_in->last - r->header_in->pos;

        if (len) {
            rc = ngx_http_model_socket_feed(w, r->header_in->pos, len);
            r->header_in->pos = r->header_in->last;

        } else {
            n = c->recv(c, data, sizeof(data));

            if (n == NGX_AGAIN) {
                if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                    ngx_http_model_watcher_end(w, NGX_ERROR);
                }

                return;
            }

            if (n == 0 || n == NGX_ERROR) {
                w->cause = MG_M_STREAMS_LEFT;
                ngx_http_model_watcher_end(w, NGX_ERROR);
                return;
            }

            rc = ngx_http_model_socket_feed(w, data, n);
        }

        if (rc == NGX_DONE) {
            return;
        }
    }

    ngx_post_event(c->read, &ngx_posted_next_events);
}


/* 1: this turn has had its share, c is read in another one. */

static ngx_uint_t
ngx_http_model_socket_later(ngx_connection_t *c)
{
    ngx_http_model_sockets_t  *ss;

    ss = &ngx_http_model_sockets;

    if (!ss->turn.posted) {
        ss->turn.handler = ngx_http_model_socket_turn;
        ss->turn.log = ngx_cycle->log;
        ss->until = mg_mono_us() + NGX_HTTP_MODEL_SOCKET_SLICE;

        ngx_post_event(&ss->turn, &ngx_posted_next_events);

        return 0;
    }

    if (mg_mono_us() <= ss->until) {
        return 0;
    }

    ngx_post_event(c->read, &ngx_posted_next_events);

    return 1;
}


/* Not posted any more, which is what matters. */

static void
ngx_http_model_socket_turn(ngx_event_t *ev)
{
    ev->ready = 0;
}


/* NGX_OK, or NGX_DONE: w has ended. */

static ngx_int_t
ngx_http_model_socket_feed(ngx_http_model_watcher_t *w, u_char *data,
    size_t len)
{
    int         rc;
    ngx_uint_t  frames;

    if (w->closing) {
        return NGX_OK;
    }

    if (w->ws == NULL) {
        w->ws = mg_ws_create();
        if (w->ws == NULL) {
            ngx_http_model_watcher_end(w, NGX_ERROR);
            return NGX_DONE;
        }
    }

    frames = mg_ws_frames(w->ws);
    rc = mg_ws_feed(w->ws, (char *) data, len, &w->reply);
    frames = mg_ws_frames(w->ws) - frames;

    if (rc == MG_ERROR) {

        /* replies that nobody takes, as a rule */

        w->cause = MG_M_STREAMS_BAD;
        ngx_http_model_watcher_end(w, NGX_ERROR);
        return NGX_DONE;
    }

    if (frames) {
        w->pinged = 0;
        w->frames += frames;
    }

    if (rc == MG_DECLINED) {
        w->closing = 1;
        w->cause = mg_ws_closed(w->ws) ? MG_M_STREAMS_LEFT
                                       : MG_M_STREAMS_BAD;

    } else if (w->frames > NGX_HTTP_MODEL_SOCKET_FRAMES) {
        w->closing = 1;
        w->cause = MG_M_STREAMS_BAD;
        (void) mg_ws_close(&w->reply, MG_WS_POLICY,
                           mg_str("too many frames"));
    }

    if (mg_ws_idle(w->ws)) {
        mg_ws_free(w->ws);
        w->ws = NULL;
    }

    if (w->reply.len == 0 && !w->closing) {
        return NGX_OK;
    }

    return ngx_http_model_watcher_next(w);
}


/* -- writing -- */

ngx_int_t
ngx_http_model_socket_flush(ngx_http_model_watcher_t *w)
{
    ngx_int_t          rc;
    ngx_str_t         *frame;
    ngx_connection_t  *c;

    c = w->request->connection;

    if (w->message) {
        frame = &w->message->form[NGX_HTTP_MODEL_SOCKET];
        rc = ngx_http_model_socket_send(c, frame->data, frame->len, &w->sent);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (w->reply.len) {
        rc = ngx_http_model_socket_send(c, (u_char *) w->reply.data,
                                        w->reply.len, &w->replied);
        if (rc != NGX_OK) {
            return rc;
        }

        mg_buf_free(&w->reply);
        mg_buf_init(&w->reply, NGX_HTTP_MODEL_SOCKET_REPLY);
        w->replied = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_socket_send(ngx_connection_t *c, u_char *data, size_t len,
    size_t *sent)
{
    ssize_t  n;

    while (*sent < len) {
        n = c->send(c, data + *sent, len - *sent);

        if (n == NGX_AGAIN || n == NGX_ERROR) {
            return n;
        }

        *sent += n;
    }

    return NGX_OK;
}


void
ngx_http_model_socket_free(ngx_http_model_watcher_t *w)
{
    mg_ws_free(w->ws);
    w->ws = NULL;

    mg_buf_free(&w->reply);
}
