/*
 * ngx_http_model_backend_module.c: the balancer of upstream { model_backend }.
 *
 * Its servers are not in the configuration: each request brings the
 * addresses of its exchange's backend, resolved when the snapshot was
 * built.  A worker keeps idle connections and TLS sessions by address and
 * by identity (scheme, host, port), in the book of ngx_http_model_address.h,
 * so that two hosts behind one address never share either, and no key goes
 * to the wrong one.  Idle connections also hang in one queue for all
 * addresses; the oldest goes when there are more than keepalive=N.  One timer
 * sweeps that queue from its old end: a timer for each connection would cost
 * two more operations on nginx's tree with every request.
 *
 * Everything is allocated with the configuration and private to a worker.
 * Event loop only.
 */

#include "http/ngx_http_model_address.h"
#include "http/ngx_http_model_choice.h"


typedef struct {
    ngx_uint_t                         used;
    ngx_uint_t                         max_idle;
    ngx_uint_t                         requests;
    ngx_msec_t                         timeout;

    ngx_queue_t                        idle;       /* newest first */
    ngx_queue_t                        unused;     /* items */
    ngx_event_t                        sweep;
    ngx_connection_t                   dumb;       /* sweep's data: has fd */

    ngx_http_model_book_t             *book;
} ngx_http_model_backend_conf_t;


/* An idle connection; c->data points here. */
typedef struct {
    ngx_queue_t                        queue;      /* idle or unused */
    ngx_queue_t                        peer;       /* address->idle */
    ngx_connection_t                  *connection;
    ngx_http_model_backend_conf_t     *conf;
    ngx_msec_t                         since;
} ngx_http_model_idle_t;


/* Of a request: peer.data. */
typedef struct {
    ngx_http_model_backend_conf_t     *conf;
    ngx_http_upstream_t               *upstream;
    ngx_http_model_exchange_t         *exchange;
    const mg_routing_backend_t        *backend;
    ngx_pool_t                        *pool;
    uint32_t                           tried;      /* bit n: address n */
    ngx_http_model_address_t          *address;    /* the current one */
    void                             (*finalize)(ngx_http_request_t *r,
                                         ngx_int_t rc);
} ngx_http_model_peer_t;


static ngx_int_t ngx_http_model_backend_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_model_backend_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static void ngx_http_model_backend_finalize(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_model_backend_get(ngx_peer_connection_t *pc,
    void *data);
static ngx_http_model_address_t *ngx_http_model_backend_pick(
    ngx_http_model_peer_t *bp);
static void ngx_http_model_backend_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_int_t ngx_http_model_backend_keep(ngx_http_model_peer_t *bp,
    ngx_peer_connection_t *pc, ngx_uint_t state);
static ngx_connection_t *ngx_http_model_backend_reuse(
    ngx_http_model_idle_t *item);
static void ngx_http_model_backend_dummy(ngx_event_t *ev);
static void ngx_http_model_backend_idle(ngx_event_t *ev);
static void ngx_http_model_backend_arm(ngx_http_model_backend_conf_t *bcf,
    ngx_msec_t delay);
static void ngx_http_model_backend_sweep(ngx_event_t *ev);
static void ngx_http_model_backend_drop(ngx_http_model_idle_t *item);
static void ngx_http_model_backend_leave(ngx_http_model_address_t *a);
static void ngx_http_model_backend_close(ngx_connection_t *c);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_model_backend_set_session(
    ngx_peer_connection_t *pc, void *data);
static void ngx_http_model_backend_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif

static char *ngx_http_model_backend(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_model_backend_params(ngx_conf_t *cf,
    ngx_http_model_backend_conf_t *bcf);
static void *ngx_http_model_backend_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_backend_postconfiguration(ngx_conf_t *cf);


static ngx_command_t  ngx_http_model_backend_commands[] = {

    { ngx_string("model_backend"),
      NGX_HTTP_UPS_CONF|NGX_CONF_ANY,
      ngx_http_model_backend,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_backend_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_backend_postconfiguration, /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_model_backend_create_conf,    /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_backend_module = {
    NGX_MODULE_V1,
    &ngx_http_model_backend_module_ctx,    /* module context */
    ngx_http_model_backend_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_model_backend_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_uint_t                      i;
    ngx_http_model_idle_t          *item;
    ngx_http_model_backend_conf_t  *bcf;

    bcf = ngx_http_conf_upstream_srv_conf(us, ngx_http_model_backend_module);

#if (NGX_HTTP_UPSTREAM_ZONE)
    if (us->shm_zone) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"zone\" has no meaning beside \"model_backend\" in "
                      "upstream \"%V\" in %s:%ui; remove it",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }
#endif

    ngx_queue_init(&bcf->idle);
    ngx_queue_init(&bcf->unused);

    item = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_model_idle_t) * bcf->max_idle);
    bcf->book = ngx_http_model_book_create(cf->pool,
                                           ngx_http_model_backend_leave);

    if (item == NULL || bcf->book == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < bcf->max_idle; i++) {
        ngx_queue_insert_head(&bcf->unused, &item[i].queue);
        item[i].conf = bcf;
    }

    us->peer.init = ngx_http_model_backend_init;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_backend_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t        *u;
    ngx_http_model_peer_t      *bp;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r);

    if (x == NULL || x->backend.n_addrs == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "model: \"model_backend\" was asked for a request that "
                      "\"model_split\" has not decided");
        return NGX_ERROR;
    }

    ngx_http_model_header_restore(r, x);

    bp = ngx_palloc(r->pool, sizeof(ngx_http_model_peer_t));
    if (bp == NULL) {
        return NGX_ERROR;
    }

    u = r->upstream;

    bp->conf = ngx_http_conf_upstream_srv_conf(us,
                                               ngx_http_model_backend_module);
    bp->upstream = u;
    bp->exchange = x;
    bp->backend = &x->backend;
    bp->pool = r->pool;
    bp->tried = 0;
    bp->address = NULL;

    u->peer.data = bp;
    u->peer.get = ngx_http_model_backend_get;
    u->peer.free = ngx_http_model_backend_free;
    u->peer.tries = x->backend.n_addrs;
#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_http_model_backend_set_session;
    u->peer.save_session = ngx_http_model_backend_save_session;
#endif

    bp->finalize = u->finalize_request;
    u->finalize_request = ngx_http_model_backend_finalize;

    x->judged = 0;
    x->owed = 0;

    return ngx_http_model_deadline_set(r, x);
}


/* The proxy is done, before its connection is given back. */

static void
ngx_http_model_backend_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_model_peer_t  *bp;

    bp = r->upstream->peer.data;
    bp->finalize(r, rc);

    ngx_http_model_exchange_done(bp->exchange, rc);

    /* another proxy may follow, with a configuration that is not ours */

    bp->exchange->read_timeout = 0;
}


static ngx_int_t
ngx_http_model_backend_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_model_peer_t *bp = data;

    ngx_str_t                 *name;
    ngx_queue_t               *q;
    ngx_http_model_idle_t     *item;
    ngx_http_model_address_t  *a;

    pc->cached = 0;
    pc->connection = NULL;

    a = ngx_http_model_backend_pick(bp);

    if (a == NULL) {
        return NGX_BUSY;
    }

    /* logs read the name after the address may have left the book */

    name = ngx_palloc(bp->pool, sizeof(ngx_str_t) + a->name_len);
    if (name == NULL) {
        return NGX_ERROR;
    }

    name->len = a->name_len;
    name->data = (u_char *) (name + 1);
    ngx_memcpy(name->data, a->name, a->name_len);

    a->refs++;
    bp->address = a;

    ngx_http_model_deadline_next(bp->exchange, bp->upstream);

    pc->sockaddr = (struct sockaddr *) &a->sockaddr;
    pc->socklen = a->socklen;
    pc->name = name;

    if (ngx_queue_empty(&a->idle)) {
        mg_metric_own(ngx_http_model_counters(), KEEPALIVE_MISSES, 1);
        return NGX_OK;
    }

    q = ngx_queue_head(&a->idle);
    item = ngx_queue_data(q, ngx_http_model_idle_t, peer);

    pc->connection = ngx_http_model_backend_reuse(item);
    pc->connection->log = pc->log;
    pc->connection->read->log = pc->log;
    pc->connection->write->log = pc->log;
    pc->connection->pool->log = pc->log;
    pc->cached = 1;

    mg_metric_own(ngx_http_model_counters(), KEEPALIVE_HITS, 1);

    return NGX_DONE;
}


/* The next address; NULL: the book has no room. */

static ngx_http_model_address_t *
ngx_http_model_backend_pick(ngx_http_model_peer_t *bp)
{
    const mg_routing_backend_t  *b;

    b = bp->backend;

    if (b->n_addrs == 1) {
        return ngx_http_model_book_find(bp->conf->book, b->identity,
                                        &b->addrs[0], b->addr_lens[0]);
    }

    /*
     * all were tried, and nginx asks again: a kept connection turned out to
     * be stale, which says nothing about the server
     */

    if (bp->tried == ((uint32_t) 1 << b->n_addrs) - 1) {
        bp->tried = 0;
    }

    return ngx_http_model_balance_choose(bp->conf->book, b, &bp->tried);
}


static void
ngx_http_model_backend_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_model_peer_t *bp = data;

    ngx_http_model_address_t  *a;

    a = bp->address;

    if (a) {
        if (bp->backend->n_addrs > 1) {
            ngx_http_model_balance_note(a, bp->upstream, state);
        }

        if (!(state & NGX_PEER_FAILED) && pc->connection
            && ngx_http_model_backend_keep(bp, pc, state) == NGX_OK)
        {
            pc->connection = NULL;
        }

        a->refs--;
        bp->address = NULL;
    }

    if (pc->tries) {
        pc->tries--;
    }
}


/* NGX_OK: the connection waits for another request. */

static ngx_int_t
ngx_http_model_backend_keep(ngx_http_model_peer_t *bp,
    ngx_peer_connection_t *pc, ngx_uint_t state)
{
    ngx_queue_t                    *q;
    ngx_connection_t               *c;
    ngx_http_model_idle_t          *item;
    ngx_http_model_backend_conf_t  *bcf;

    c = pc->connection;
    bcf = bp->conf;

    if (bcf->max_idle == 0
        || !bp->upstream->keepalive
        || !bp->upstream->request_body_sent
        || c->read->eof || c->read->error || c->read->timedout
        || c->write->error || c->write->timedout
        || c->requests >= bcf->requests
        || ngx_terminate || ngx_exiting
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_queue_empty(&bcf->unused)) {
        q = ngx_queue_last(&bcf->idle);
        ngx_http_model_backend_drop(ngx_queue_data(q, ngx_http_model_idle_t,
                                                   queue));
    }

    q = ngx_queue_head(&bcf->unused);
    item = ngx_queue_data(q, ngx_http_model_idle_t, queue);

    ngx_queue_remove(q);
    ngx_queue_insert_head(&bcf->idle, q);
    ngx_queue_insert_head(&bp->address->idle, &item->peer);

    item->connection = c;
    item->since = ngx_current_msec;

    if (!bcf->sweep.timer_set) {
        ngx_http_model_backend_arm(bcf, bcf->timeout);
    }

    c->read->delayed = 0;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->handler = ngx_http_model_backend_dummy;
    c->read->handler = ngx_http_model_backend_idle;

    c->data = item;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;

    if (c->read->ready) {
        ngx_http_model_backend_idle(c->read);
    }

    return NGX_OK;
}


static ngx_connection_t *
ngx_http_model_backend_reuse(ngx_http_model_idle_t *item)
{
    ngx_connection_t  *c;

    c = item->connection;

    ngx_queue_remove(&item->peer);
    ngx_queue_remove(&item->queue);
    ngx_queue_insert_head(&item->conf->unused, &item->queue);

    item->connection = NULL;

    c->idle = 0;
    c->sent = 0;
    c->data = NULL;

    return c;
}


static void
ngx_http_model_backend_dummy(ngx_event_t *ev)
{
    /* an idle connection has nothing to write */
}


/* The server closes it, it was idle for too long, or the worker leaves. */

static void
ngx_http_model_backend_idle(ngx_event_t *ev)
{
    int                n;
    char               byte[1];
    ngx_connection_t  *c;

    c = ev->data;

    if (!c->close) {

        n = recv(c->fd, byte, 1, MSG_PEEK);

        if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
            ev->ready = 0;

            if (ngx_handle_read_event(ev, 0) == NGX_OK) {
                return;
            }
        }
    }

    ngx_http_model_backend_drop(c->data);
}


static void
ngx_http_model_backend_arm(ngx_http_model_backend_conf_t *bcf,
    ngx_msec_t delay)
{
    bcf->dumb.fd = (ngx_socket_t) -1;
    bcf->dumb.data = bcf;

    bcf->sweep.handler = ngx_http_model_backend_sweep;
    bcf->sweep.data = &bcf->dumb;
    bcf->sweep.log = ngx_cycle->log;
    bcf->sweep.cancelable = 1;

    ngx_add_timer(&bcf->sweep, delay);
}


/* Closes what has been idle for keepalive_timeout, the oldest first. */

static void
ngx_http_model_backend_sweep(ngx_event_t *ev)
{
    ngx_msec_t                      idle;
    ngx_connection_t               *dumb;
    ngx_http_model_idle_t          *item;
    ngx_http_model_backend_conf_t  *bcf;

    dumb = ev->data;
    bcf = dumb->data;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    while (!ngx_queue_empty(&bcf->idle)) {
        item = ngx_queue_data(ngx_queue_last(&bcf->idle),
                              ngx_http_model_idle_t, queue);
        idle = ngx_current_msec - item->since;

        if (idle < bcf->timeout) {
            ngx_http_model_backend_arm(bcf, bcf->timeout - idle);
            return;
        }

        ngx_http_model_backend_drop(item);
    }
}


static void
ngx_http_model_backend_drop(ngx_http_model_idle_t *item)
{
    ngx_connection_t  *c;

    c = ngx_http_model_backend_reuse(item);

    ngx_http_model_backend_close(c);
}


/* The book needs the place of an address: its connections go. */

static void
ngx_http_model_backend_leave(ngx_http_model_address_t *a)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&a->idle)) {
        q = ngx_queue_head(&a->idle);
        ngx_http_model_backend_drop(ngx_queue_data(q, ngx_http_model_idle_t,
                                                   peer));
    }
}


static void
ngx_http_model_backend_close(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->ssl->handler = ngx_http_model_backend_close;
            return;
        }
    }

#endif

    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_model_backend_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_model_peer_t *bp = data;

    if (bp->address == NULL || bp->address->session == NULL) {
        return NGX_OK;
    }

    return ngx_ssl_set_session(pc->connection, bp->address->session);
}


static void
ngx_http_model_backend_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_model_peer_t *bp = data;

    ngx_ssl_session_t  *session;

    if (bp->address == NULL) {
        return;
    }

    session = ngx_ssl_get_session(pc->connection);

    if (session == NULL) {
        return;
    }

    if (bp->address->session) {
        ngx_ssl_free_session(bp->address->session);
    }

    bp->address->session = session;
}

#endif


static char *
ngx_http_model_backend(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_backend_conf_t *bcf = conf;

    ngx_http_upstream_server_t    *server;
    ngx_http_upstream_srv_conf_t  *uscf;

    if (bcf->used) {
        return "is duplicate";
    }

    bcf->used = 1;

    if (ngx_http_model_backend_params(cf, bcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (uscf->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"model_backend\" is a balancer of its own; "
                           "remove the other one from this upstream");
        return NGX_CONF_ERROR;
    }

    uscf->peer.init_upstream = ngx_http_model_backend_init_upstream;

    /* nginx refuses an upstream block in which no server stands */

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    ngx_str_set(&server->name, "model_backend");

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_backend_params(ngx_conf_t *cf,
    ngx_http_model_backend_conf_t *bcf)
{
    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "keepalive=", 10) == 0) {
            n = ngx_atoi(value[i].data + 10, value[i].len - 10);

            if (n < 0 || n > 65535) {
                goto invalid;
            }

            bcf->max_idle = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "keepalive_timeout=", 18) == 0) {
            s.data = value[i].data + 18;
            s.len = value[i].len - 18;
            n = ngx_parse_time(&s, 0);

            if (n == NGX_ERROR || n < 1) {
                goto invalid;
            }

            bcf->timeout = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "keepalive_requests=", 19) == 0) {
            n = ngx_atoi(value[i].data + 19, value[i].len - 19);

            if (n < 1) {
                goto invalid;
            }

            bcf->requests = n;
            continue;
        }

        goto invalid;
    }

    return NGX_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; \"model_backend\" takes "
                       "keepalive=0..65535, keepalive_timeout=TIME and "
                       "keepalive_requests=NUMBER", &value[i]);

    return NGX_ERROR;
}


static void *
ngx_http_model_backend_create_conf(ngx_conf_t *cf)
{
    ngx_http_model_backend_conf_t  *bcf;

    bcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_backend_conf_t));
    if (bcf == NULL) {
        return NULL;
    }

    /* used = 0 is set by ngx_pcalloc() */

    bcf->max_idle = 64;
    bcf->timeout = 60000;
    bcf->requests = 10000;

    return bcf;
}


/* Whoever wraps this balancer would keep connections by address alone. */

static ngx_int_t
ngx_http_model_backend_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_model_backend_conf_t   *bcf;
    ngx_http_upstream_main_conf_t   *umcf;

    if (ngx_http_model_metric_add(cf, ngx_http_model_balance_metrics)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        bcf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                              ngx_http_model_backend_module);

        if (bcf && bcf->used
            && uscfp[i]->peer.init != ngx_http_model_backend_init)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"model_backend\" in upstream \"%V\" in %s:%ui "
                          "cannot be combined with \"keepalive\" or another "
                          "balancer; use \"model_backend keepalive=N\"",
                          &uscfp[i]->host, uscfp[i]->file_name,
                          uscfp[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
