/*
 * ngx_http_model_events.h: streams of state, from a ring to many readers.
 *
 *     ring in the zone --+
 *     database (once) ---+-> topic -> message -> watcher, watcher, ...
 *     state words -------+            (bytes made once, counted)
 *
 * A topic is what is watched: the validations of one provider, or readiness.
 * It has one message, its state; who is late gets the last one and no older.
 * A watcher is a request that stays: server-sent events through nginx's
 * filters, or a WebSocket on the bare connection.  One timer a worker looks at
 * the ring; a watcher costs no timer, no query and no copy of a message.
 *
 * For the files of the events module; event loop only, but for the fetch.
 */

#ifndef _NGX_HTTP_MODEL_EVENTS_H_INCLUDED_
#define _NGX_HTTP_MODEL_EVENTS_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "job/mg_webhook.h"
#include "base/mg_ws.h"
#include "model/mg_conn.h"


/* ORG, a space, a provider's id. */
#define NGX_HTTP_MODEL_TOPIC_LEN      160

/* Bytes of pongs and the like that a client may leave unread. */
#define NGX_HTTP_MODEL_SOCKET_REPLY   4096


extern ngx_module_t  ngx_http_model_events_module;


/* model_events. */
typedef struct {
    ngx_int_t                     area;       /* of the zone */
    ngx_uint_t                    connections;
    ngx_uint_t                    per_client;
    ngx_msec_t                    heartbeat;
    ngx_msec_t                    timeout;    /* of a reader that blocks */
    mg_webhook_conf_t             webhook;    /* secrets NULL: none */
} ngx_http_model_events_conf_t;


typedef enum {
    NGX_HTTP_MODEL_SSE = 0,
    NGX_HTTP_MODEL_SOCKET,
    NGX_HTTP_MODEL_FORMS
} ngx_http_model_form_e;


/* Immutable, in both forms; freed with its last reference. */
typedef struct {
    ngx_uint_t                    refs;
    ngx_uint_t                    last;       /* the stream ends with it */
    ngx_str_t                     form[NGX_HTTP_MODEL_FORMS];
} ngx_http_model_message_t;


typedef struct {
    ngx_queue_t                   queue;      /* of all topics */
    ngx_queue_t                   waiting;    /* watchers, not answered yet */
    ngx_queue_t                   watchers;   /* served last: at the end */
    ngx_http_model_message_t     *message;    /* NULL: no state yet */
    uint64_t                      serial;     /* raised with each message */
    uint64_t                      id;         /* event of the message */
    ngx_msec_t                    heard;      /* last event or answer */
    ngx_msec_t                    asked;      /* last question */
    mg_error_t                    error;      /* why those who wait fail */
    size_t                        len;        /* 0: readiness */
    u_char                        name[NGX_HTTP_MODEL_TOPIC_LEN];
    unsigned                      known:1;    /* watchers may be answered */
    unsigned                      failed:1;   /* with error */
    unsigned                      asking:1;
    unsigned                      missed:1;   /* ask as soon as possible */
} ngx_http_model_topic_t;


/* In r->pool, and the context of its request. */
typedef struct {
    ngx_queue_t                   queue;      /* of its topic */
    ngx_queue_t                   beats;      /* next due first */
    ngx_queue_t                   tokens;     /* looked at last: at the end */
    ngx_http_request_t           *request;
    ngx_http_model_topic_t       *topic;      /* NULL: it has been let go */
    ngx_http_model_events_conf_t *conf;
    ngx_http_model_message_t     *message;    /* being sent */
    ngx_msec_t                    due;        /* of its heartbeat */
    uint64_t                      serial;     /* of the topic, sent last */
    uint64_t                      seen;       /* Last-Event-ID */
    uint64_t                      routing;    /* when its token was good */
    ngx_uint_t                    client;     /* counter of its address */
    ngx_str_t                     accept;     /* Sec-WebSocket-Accept */
    ngx_buf_t                     buf;        /* server-sent events */
    ngx_chain_t                   out;
    size_t                        sent;       /* WebSocket: of message */
    mg_ws_t                      *ws;         /* while a frame is cut */
    mg_buf_t                      reply;      /* pongs, a close */
    size_t                        replied;    /* bytes of reply sent */
    ngx_uint_t                    frames;     /* since the heartbeat */
    ngx_uint_t                    cause;      /* mg_metric_e of its end */
    ngx_http_model_form_e         form;
    unsigned                      protocol:1; /* it asked for "model" */
    unsigned                      open:1;     /* the answer has begun */
    unsigned                      behind:1;   /* send the state when free */
    unsigned                      pinged:1;   /* silent since the ping */
    unsigned                      closing:1;  /* end when reply is sent */
    unsigned                      token:1;    /* looked at again */
} ngx_http_model_watcher_t;


/* -- topics (ngx_http_model_topic.c) -- */

void ngx_http_model_topic_init(ngx_cycle_t *cycle, ngx_thread_pool_t *pool);

/* Early notice: everybody is sent away, nobody is let in any more. */
void ngx_http_model_topic_leave(void);

/*
 * The topic of that name; made, and its state looked for, if nobody watches
 * it yet.  len 0: readiness.  NULL when out of memory or leaving.
 */
ngx_http_model_topic_t *ngx_http_model_topic_get(u_char *name, size_t len);

/* Those that wait are answered soon. */
void ngx_http_model_topic_wake(void);


/* -- messages (ngx_http_model_message.c) -- */

/*
 * A state: an SSE event with that id (empty: none), a text frame.  last: the
 * frame is followed by a close with code 1000.  NULL when out of memory.
 */
ngx_http_model_message_t *ngx_http_model_message_state(mg_str_t id,
    mg_str_t json, ngx_uint_t last);

/* A heartbeat; a comment, and a ping. */
ngx_http_model_message_t *ngx_http_model_message_beat(void);

/* The last words to a stream: retry in ms, and a close frame. */
ngx_http_model_message_t *ngx_http_model_message_end(ngx_uint_t retry,
    unsigned code, mg_str_t reason);

void ngx_http_model_message_release(ngx_http_model_message_t *m);


/* -- watchers (ngx_http_model_watcher.c) -- */

/* cells: NGX_HTTP_MODEL_SLOTS of them, one for each worker. */
void ngx_http_model_watcher_init(mg_conn_cell_t *cells);

/*
 * Makes r a watcher and returns what the content handler returns: NGX_DONE,
 * or NGX_DECLINED with *e, or a status.
 */
ngx_int_t ngx_http_model_watcher_add(ngx_http_request_t *r,
    ngx_http_model_events_conf_t *conf, ngx_http_model_watcher_t *proto,
    u_char *topic, size_t len, mg_error_t *e);

/* Answers one that waits: begins the stream, or refuses. */
void ngx_http_model_watcher_open(ngx_http_model_watcher_t *w);

/*
 * Sends m when nothing is under way; else remembers to send the state.
 * NGX_OK, or NGX_DONE: w has ended and is gone.
 */
ngx_int_t ngx_http_model_watcher_send(ngx_http_model_watcher_t *w,
    ngx_http_model_message_t *m);

/* Goes on with what is under way; as above. */
ngx_int_t ngx_http_model_watcher_next(ngx_http_model_watcher_t *w);

/*
 * The end, after which w is gone.  rc NGX_OK: the stream ends as it should;
 * NGX_ERROR: the connection is cut.
 */
void ngx_http_model_watcher_end(ngx_http_model_watcher_t *w, ngx_int_t rc);

/* Heartbeats that are due, tokens that may be void; at most so many. */
void ngx_http_model_watcher_beats(ngx_uint_t max);


/* -- WebSocket (ngx_http_model_socket.c) -- */

/*
 * Checks the handshake and fills in the members of w that it needs.  NGX_OK,
 * or NGX_DECLINED with *e.  A token among the protocols becomes the request's.
 */
ngx_int_t ngx_http_model_socket_check(ngx_http_request_t *r,
    ngx_http_model_watcher_t *w, mg_error_t *e);

/* 101; NGX_OK, or NGX_ERROR. */
ngx_int_t ngx_http_model_socket_open(ngx_http_model_watcher_t *w);

/* Reads what came with the handshake, and from then on; w may end. */
void ngx_http_model_socket_read(ngx_http_request_t *r);

/*
 * Sends what can be sent; NGX_OK: all of it; NGX_AGAIN; NGX_ERROR: w is to
 * end.
 */
ngx_int_t ngx_http_model_socket_flush(ngx_http_model_watcher_t *w);

/* Frees what w holds. */
void ngx_http_model_socket_free(ngx_http_model_watcher_t *w);


#endif /* _NGX_HTTP_MODEL_EVENTS_H_INCLUDED_ */
