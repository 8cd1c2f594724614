/*
 * mg_http.h: outbound HTTP for jobs, many at once through one thread.
 *
 * A client is one libcurl multi handle with reusable easy handles; run()
 * drives up to "concurrency" requests and calls back for each as it ends,
 * so a validation of a thousand models needs one thread.  Every request has
 * a connect and a total time-out and a byte cap; only http and https, no
 * proxy from the environment; a redirect is an answer, it is not followed
 * here, so credentials never reach another host; private and link-local
 * addresses are refused unless allowed.  The cancel flag is looked at every
 * 50 ms.  Limits, retries and conditional requests: mg_fetch.h.
 *
 * Blocks: pool threads only.  One client belongs to one thread.
 */

#ifndef MG_HTTP_H
#define MG_HTTP_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


#define MG_HTTP_MORE_MAX   128
#define MG_HTTP_PEER_MAX   64


typedef struct mg_http_s  mg_http_t;


typedef struct {
    const char  *method;             /* "GET", "POST" */
    mg_str_t     url;
    mg_str_t     body;               /* lives until the response */
    mg_str_t     headers[12];        /* "name: value" */
    unsigned     n_headers;
    unsigned     connect_timeout_ms; /* 0: 5,000 */
    unsigned     timeout_ms;         /* 0: 30,000 */
    size_t       body_max;           /* 0: 1 MiB */
    unsigned     allow_private:1;    /* loopback and private addresses */
    unsigned     gzip:1;             /* ask for it; with a sink always asked */
    unsigned     inference:1;        /* see head below */
    void        *data;               /* the caller's */

    /*
     * Gets the bytes of a 200 as they come instead of collecting them (64
     * MiB documents; body_max caps what comes out of gzip, too).  Bodies of
     * other statuses are collected.  MG_ERROR with *e stops the transfer.
     * May be NULL.
     */
    int        (*sink)(void *data, const char *bytes, size_t len,
                   mg_error_t *e);

    /*
     * For an inference: the sink, which it needs, gets the bytes of every
     * status, as slowly as they come and never compressed, and head() is
     * called before the first of them.  The rest is for it alone and lives
     * until the response: more headers, up to MG_HTTP_MORE_MAX; where the
     * host is ("name:port:address,..."), NULL: the resolver is asked.
     */
    void       (*head)(void *data, int status, mg_str_t content_type,
                   mg_str_t content_encoding);
    mg_str_t    *more;
    unsigned     n_more;
    const char  *resolve;

    /* File of certificates to trust, NULL: the system's; for any request. */
    const char  *trusted;
} mg_http_request_t;


typedef struct {
    int          status;             /* 0: no answer, see error */
    int          begun;              /* also of an answer that failed later */
    mg_str_t     body;               /* until the callback returns */
    mg_str_t     content_type;       /* also when the body failed later */
    mg_str_t     etag;
    mg_str_t     link;               /* Link header, of pages; one at most */
    mg_str_t     location;           /* of a redirect, as an absolute URL */
    mg_str_t     request_id;         /* the server's own, in a header */
    int64_t      retry_after_s;      /* -1: not sent; at most a day */
    int64_t      latency_us;
    char         peer[MG_HTTP_PEER_MAX];     /* address:port; "" none */

    /*
     * MG_E_NONE when answered.  UNAVAILABLE: not resolved or connected,
     * UPSTREAM: broken off or not HTTP, TIMEOUT, TOO_LARGE, FORBIDDEN: a
     * private address, INVALID: URL or header, CANCELLED, or what the sink
     * set.  Names the host, never a header.
     */
    mg_error_t   error;
} mg_http_response_t;


/*
 * cancel: polled; may be NULL.  concurrency: transfers at once, 1..1024.
 * NULL when out of memory.
 */
mg_http_t *mg_http_create(unsigned concurrency, const int *cancel);
void mg_http_destroy(mg_http_t *h);

/*
 * One request from beginning to end.  The response lives until the next;
 * *res is filled when MG_ERROR is returned, too.  tick as in mg_http_many_t,
 * may be NULL.
 */
int mg_http_fetch(mg_http_t *h, const mg_http_request_t *req,
    mg_http_response_t *res, int (*tick)(void *ctx, mg_error_t *e),
    void *ctx, mg_error_t *e);

/*
 * Many.  next() fills *req and returns 1, 0 when there is no more for now,
 * -1 when there will be none; done() is called once for each.  tick() is
 * called at least every 200 ms, may be NULL, and stops everything with
 * MG_ERROR (transfers are cut, done() gets MG_E_CANCELLED).
 */
typedef struct {
    int    (*next)(void *ctx, mg_http_request_t *req);
    void   (*done)(void *ctx, const mg_http_request_t *req,
               const mg_http_response_t *res);
    int    (*tick)(void *ctx, mg_error_t *e);
} mg_http_many_t;

int mg_http_run(mg_http_t *h, const mg_http_many_t *many, void *ctx,
    mg_error_t *e);

/*
 * How long run() may sleep before it looks at next() and at the cancel flag
 * again, instead of 50 ms; and what makes it look at once, on any thread.
 */
void mg_http_sleep(mg_http_t *h, unsigned ms);
void mg_http_wake(mg_http_t *h);

/* Once a process, before any thread uses the client. */
int mg_http_global_init(void);
void mg_http_global_done(void);


#endif /* MG_HTTP_H */
