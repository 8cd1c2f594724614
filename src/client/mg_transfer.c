/*
 * mg_transfer.c: one outbound request as a libcurl easy handle.
 *
 *     start: URL, headers, limits -> easy handle -> multi
 *     curl calls: socket, header lines, body bytes
 *     finish: what came of it -> mg_http_response_t
 *
 * Nothing of the process leaks in: no proxy, no signal, no environment, no
 * cookie, no .netrc.  What comes from the other side is bounded in lines,
 * bytes and time.  Copies of the request's headers are wiped when the
 * transfer ends; no message holds more of a URL than its host.
 *
 * Called by mg_http.c only; memory: buffers of the transfer.
 */

#include "client/mg_transfer.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/mg_crypt.h"
#include "base/mg_time.h"
#include "base/mg_uri.h"
#include "client/mg_address.h"


#define MG_TRANSFER_CONNECT_MS   5000
#define MG_TRANSFER_TIMEOUT_MS   30000
#define MG_TRANSFER_BODY_MAX     (1024 * 1024)
#define MG_TRANSFER_HEADER_BYTES (64 * 1024)
#define MG_TRANSFER_HEADER_LINES 200
#define MG_TRANSFER_HEADERS_MAX  12
#define MG_TRANSFER_RETRY_MAX_S  86400

/* A document that comes slower than this is given up. */
#define MG_TRANSFER_LOW_SPEED    1000
#define MG_TRANSFER_LOW_SPEED_S  20


typedef void (*mg_transfer_header_pt)(mg_transfer_t *t, mg_str_t value);

static void mg_transfer_content_type(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_content_encoding(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_etag(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_link(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_request_id(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_retry_after(mg_transfer_t *t, mg_str_t value);
static void mg_transfer_retry_after_ms(mg_transfer_t *t, mg_str_t value);


static const struct {
    mg_str_t               name;
    mg_transfer_header_pt  handler;
} mg_transfer_headers[] = {
    { mg_str("content-type"), mg_transfer_content_type },
    { mg_str("content-encoding"), mg_transfer_content_encoding },
    { mg_str("etag"), mg_transfer_etag },
    { mg_str("link"), mg_transfer_link },
    { mg_str("x-request-id"), mg_transfer_request_id },
    { mg_str("request-id"), mg_transfer_request_id },
    { mg_str("retry-after"), mg_transfer_retry_after },
    { mg_str("retry-after-ms"), mg_transfer_retry_after_ms }
};


static const struct {
    CURLcode               code;
    mg_error_kind_e        kind;
    const char            *name;
    const char            *what;
} mg_transfer_errors[] = {
    { CURLE_COULDNT_RESOLVE_HOST, MG_E_UNAVAILABLE, "resolve_failed",
      "the name does not resolve" },
    { CURLE_COULDNT_CONNECT, MG_E_UNAVAILABLE, "connect_failed",
      "could not connect" },
    { CURLE_OPERATION_TIMEDOUT, MG_E_TIMEOUT, "timeout",
      "no complete answer in time" },
    { CURLE_FILESIZE_EXCEEDED, MG_E_TOO_LARGE, "answer_too_large",
      "the answer is too large" },
    { CURLE_URL_MALFORMAT, MG_E_INVALID, "invalid_url",
      "the URL is malformed" },
    { CURLE_UNSUPPORTED_PROTOCOL, MG_E_INVALID, "invalid_url",
      "the URL is neither http nor https" },
    { CURLE_PEER_FAILED_VERIFICATION, MG_E_UPSTREAM, "tls_failed",
      "the certificate was not accepted" },
    { CURLE_SSL_CONNECT_ERROR, MG_E_UPSTREAM, "tls_failed",
      "the TLS handshake failed" },
    { CURLE_OUT_OF_MEMORY, MG_E_INTERNAL, "internal_error",
      "out of memory" }
};


/* -- what curl calls -- */

static curl_socket_t
mg_transfer_opensocket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    const void     *ip;
    mg_transfer_t  *t = data;

    (void) purpose;

    if (!t->req.allow_private && !mg_address_public(&address->addr)) {
        ip = (address->family == AF_INET6)
             ? (void *) &((struct sockaddr_in6 *) &address->addr)->sin6_addr
             : (void *) &((struct sockaddr_in *) &address->addr)->sin_addr;

        if (inet_ntop(address->family, ip, t->refused, sizeof(t->refused))
            == NULL)
        {
            t->refused[0] = '?';
        }

        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype|SOCK_CLOEXEC,
                  address->protocol);
}


static size_t
mg_transfer_write(char *data, size_t size, size_t count, void *ctx)
{
    long            status;
    size_t          len;
    mg_transfer_t  *t = ctx;

    len = size * count;

    if (len > t->body_max - t->received) {
        mg_error_set(&t->failure, MG_E_TOO_LARGE, NULL,
                     "\"%s\": the answer is larger than %zu bytes", t->host,
                     t->body_max);
        mg_error_code(&t->failure, "answer_too_large");
        return 0;
    }

    status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);

    if (t->received == 0 && t->req.head) {
        t->req.head(t->req.data, (int) status, mg_str_z(t->content_type),
                    mg_str_z(t->content_encoding));
    }

    t->received += len;

    if (t->req.sink == NULL || (status != 200 && !t->req.inference)) {
        mg_buf_add(&t->body, data, len);
        return t->body.failed ? 0 : len;
    }

    return t->req.sink(t->req.data, data, len, &t->failure) == MG_OK ? len
                                                                     : 0;
}


static size_t
mg_transfer_header(char *data, size_t size, size_t count, void *ctx)
{
    size_t          i, len;
    mg_str_t        name, value;
    const char     *colon;
    mg_transfer_t  *t = ctx;

    len = size * count;
    t->header_bytes += len;

    if (t->header_bytes > MG_TRANSFER_HEADER_BYTES
        || ++t->header_lines > MG_TRANSFER_HEADER_LINES)
    {
        mg_error_set(&t->failure, MG_E_UPSTREAM, NULL,
                     "\"%s\": the answer has more than %d header lines or "
                     "%d bytes of them", t->host, MG_TRANSFER_HEADER_LINES,
                     MG_TRANSFER_HEADER_BYTES);
        return 0;
    }

    /* after an interim answer (1xx) come the real status and headers */

    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        t->content_type[0] = '\0';
        t->content_encoding[0] = '\0';
        t->etag[0] = '\0';
        t->link[0] = '\0';
        t->request_id[0] = '\0';
        t->res.retry_after_s = -1;
        return len;
    }

    colon = memchr(data, ':', len);
    if (colon == NULL) {
        return len;
    }

    name = mg_str_n(data, (size_t) (colon - data));
    value = mg_str_n(colon + 1, len - name.len - 1);

    while (value.len > 0 && (*value.data == ' ' || *value.data == '\t')) {
        value.data++;
        value.len--;
    }

    while (value.len > 0 && (unsigned char) value.data[value.len - 1] <= ' ')
    {
        value.len--;
    }

    for (i = 0; i < sizeof(mg_transfer_headers)
                    / sizeof(mg_transfer_headers[0]); i++)
    {
        if (name.len == mg_transfer_headers[i].name.len
            && strncasecmp(name.data, mg_transfer_headers[i].name.data,
                           name.len) == 0)
        {
            mg_transfer_headers[i].handler(t, value);
        }
    }

    return len;
}


static void
mg_transfer_keep(char *to, size_t size, mg_str_t value)
{
    /* a value that does not fit is of no use cut */

    if (value.len < size) {
        memcpy(to, value.data, value.len);
        to[value.len] = '\0';
    }
}


static void
mg_transfer_content_type(mg_transfer_t *t, mg_str_t value)
{
    mg_transfer_keep(t->content_type, sizeof(t->content_type), value);
}


/* One that is too long is told as "?", which nobody knows. */

static void
mg_transfer_content_encoding(mg_transfer_t *t, mg_str_t value)
{
    mg_transfer_keep(t->content_encoding, sizeof(t->content_encoding),
                     value.len < sizeof(t->content_encoding) ? value
                                                             : mg_str("?"));
}


static void
mg_transfer_etag(mg_transfer_t *t, mg_str_t value)
{
    mg_transfer_keep(t->etag, sizeof(t->etag), value);
}


static void
mg_transfer_link(mg_transfer_t *t, mg_str_t value)
{
    mg_transfer_keep(t->link, sizeof(t->link), value);
}


static void
mg_transfer_request_id(mg_transfer_t *t, mg_str_t value)
{
    mg_transfer_keep(t->request_id, sizeof(t->request_id), value);
}


/* Some servers send two: the larger counts. */

static void
mg_transfer_wait(mg_transfer_t *t, int64_t seconds)
{
    if (seconds < 0) {
        seconds = 0;
    }

    if (seconds > MG_TRANSFER_RETRY_MAX_S) {
        seconds = MG_TRANSFER_RETRY_MAX_S;
    }

    if (seconds > t->res.retry_after_s) {
        t->res.retry_after_s = seconds;
    }
}


/* Digits only; -1 if there is anything else. */

static int64_t
mg_transfer_digits(mg_str_t value)
{
    size_t   i;
    int64_t  n;

    if (value.len == 0 || value.len > 12) {
        return -1;
    }

    for (n = 0, i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return -1;
        }

        n = n * 10 + (value.data[i] - '0');
    }

    return n;
}


static void
mg_transfer_retry_after(mg_transfer_t *t, mg_str_t value)
{
    char     date[64];
    time_t   when;
    int64_t  n;

    n = mg_transfer_digits(value);

    if (n >= 0) {
        mg_transfer_wait(t, n);
        return;
    }

    if (value.len == 0 || value.len >= sizeof(date)) {
        return;
    }

    memcpy(date, value.data, value.len);
    date[value.len] = '\0';

    when = curl_getdate(date, NULL);

    if (when != (time_t) -1) {
        mg_transfer_wait(t, (int64_t) when - mg_now_us() / 1000000);
    }
}


static void
mg_transfer_retry_after_ms(mg_transfer_t *t, mg_str_t value)
{
    int64_t  n;

    n = mg_transfer_digits(value);

    if (n >= 0) {
        mg_transfer_wait(t, (n + 999) / 1000);
    }
}


/* -- one transfer -- */

static void
mg_transfer_wipe_headers(mg_transfer_t *t)
{
    struct curl_slist  *h;

    for (h = t->headers; h; h = h->next) {
        mg_wipe(h->data, strlen(h->data));
    }

    curl_slist_free_all(t->headers);
    t->headers = NULL;
}


static int
mg_transfer_add_header(mg_transfer_t *t, const char *line)
{
    struct curl_slist  *h;

    h = curl_slist_append(t->headers, line);
    if (h == NULL) {
        return mg_error_set(&t->failure, MG_E_INTERNAL, NULL,
                            "out of memory");
    }

    t->headers = h;

    return MG_OK;
}


static int
mg_transfer_add_headers(mg_transfer_t *t, const mg_str_t *headers,
    unsigned n, unsigned max)
{
    int       rc;
    unsigned  i;
    mg_buf_t  line;

    if (n > max) {
        return mg_error_set(&t->failure, MG_E_INVALID, "headers",
                            "%u headers are too many, send at most %u", n,
                            max);
    }

    rc = MG_OK;

    for (i = 0; rc == MG_OK && i < n; i++) {
        if (!mg_header_ok(headers[i])) {
            return mg_error_set(&t->failure, MG_E_INVALID, "headers",
                                "header %u holds a control character",
                                i + 1);
        }

        mg_buf_init(&line, 0);
        mg_buf_reserve(&line, headers[i].len + 1);
        mg_buf_str(&line, headers[i]);
        mg_buf_char(&line, '\0');

        rc = line.failed ? MG_ERROR : mg_transfer_add_header(t, line.data);

        if (line.data) {
            mg_wipe(line.data, line.len);
        }

        mg_buf_free(&line);
    }

    return rc;
}


static int
mg_transfer_set_headers(mg_transfer_t *t)
{
    int  rc;

    /* curl would wait for a 100 before it sends a body */

    rc = mg_transfer_add_header(t, "Expect:");

    if (rc == MG_OK) {
        rc = mg_transfer_add_headers(t, t->req.headers, t->req.n_headers,
                                     MG_TRANSFER_HEADERS_MAX);
    }

    if (rc == MG_OK) {
        rc = mg_transfer_add_headers(t, t->req.more, t->req.n_more,
                                     MG_HTTP_MORE_MAX);
    }

    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);

    return rc;
}


/*
 * The URL as a C string, and its host for messages.  User information is
 * refused: it would be a credential in a place that is logged.
 */

static int
mg_transfer_set_url(mg_transfer_t *t)
{
    size_t       len;
    const char  *p;

    t->url.len = 0;
    t->url.failed = 0;
    mg_buf_str(&t->url, t->req.url);
    mg_buf_char(&t->url, '\0');

    p = t->url.failed ? NULL : strstr(t->url.data, "://");

    if (p == NULL || !mg_header_ok(t->req.url)) {
        return mg_error_set(&t->failure, MG_E_INVALID, "url",
                            "the URL is malformed or too long; it begins "
                            "with http:// or https://");
    }

    p += sizeof("://") - 1;
    len = strcspn(p, "/?#");

    if (len == 0 || len >= sizeof(t->host) || memchr(p, '@', len)) {
        return mg_error_set(&t->failure, MG_E_INVALID, "url",
                            "the URL names no host, or user information "
                            "stands before it");
    }

    memcpy(t->host, p, len);
    t->host[len] = '\0';

    curl_easy_setopt(t->easy, CURLOPT_URL, t->url.data);

    return MG_OK;
}


static void
mg_transfer_set_method(mg_transfer_t *t)
{
    const char  *method;

    method = t->req.method ? t->req.method : "GET";

    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);

    } else if (t->req.body.data) {
        curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->req.body.data);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) t->req.body.len);

        if (strcmp(method, "POST") != 0) {
            curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
        }

    } else if (strcmp(method, "GET") != 0) {
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
    }
}


static void
mg_transfer_set_times(mg_transfer_t *t)
{
    long                held;
    mg_http_request_t  *r;

    r = &t->req;
    held = (long) (t->held_us / 1000);

    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, held
                     + (long) (r->connect_timeout_ms
                               ? r->connect_timeout_ms
                               : MG_TRANSFER_CONNECT_MS));
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, held
                     + (long) (r->timeout_ms ? r->timeout_ms
                                             : MG_TRANSFER_TIMEOUT_MS));
}


void
mg_transfer_hold(mg_transfer_t *t, int64_t us)
{
    t->held_us += us;
    mg_transfer_set_times(t);
}


static void
mg_transfer_set_limits(mg_transfer_t *t)
{
    CURL               *c;
    mg_http_request_t  *r;

    c = t->easy;
    r = &t->req;
    t->body_max = r->body_max ? r->body_max : MG_TRANSFER_BODY_MAX;

    t->held_us = 0;
    mg_transfer_set_times(t);

    curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) t->body_max);

    if (r->inference) {
        return;
    }

    if (r->sink) {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT,
                         (long) MG_TRANSFER_LOW_SPEED);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME,
                         (long) MG_TRANSFER_LOW_SPEED_S);
    }

    if (r->sink || r->gzip) {
        curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip");
    }
}


/* What the proxy would do: HTTP/1.1, addresses and certificates as told. */

static int
mg_transfer_set_inference(mg_transfer_t *t)
{
    CURL  *c;

    c = t->easy;

    if (t->req.trusted) {
        curl_easy_setopt(c, CURLOPT_CAINFO, t->req.trusted);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }

    if (!t->req.inference) {
        return MG_OK;
    }

    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);

    if (t->req.resolve == NULL) {
        return MG_OK;
    }

    t->resolve = curl_slist_append(NULL, t->req.resolve);
    if (t->resolve == NULL) {
        return mg_error_set(&t->failure, MG_E_INTERNAL, NULL,
                            "out of memory");
    }

    curl_easy_setopt(c, CURLOPT_RESOLVE, t->resolve);

    return MG_OK;
}


static void
mg_transfer_set_options(mg_transfer_t *t)
{
    CURL  *c;

    c = t->easy;
    curl_easy_reset(c);

    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "nginx-model-gateway");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->text);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, mg_transfer_opensocket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, mg_transfer_write);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, mg_transfer_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
}


static void
mg_transfer_clear(mg_transfer_t *t)
{
    mg_buf_free(&t->body);
    mg_buf_init(&t->body, 0);
    memset(&t->res, 0, sizeof(t->res));
    memset(&t->failure, 0, sizeof(t->failure));

    t->res.retry_after_s = -1;
    t->received = 0;
    t->header_bytes = 0;
    t->header_lines = 0;
    t->refused[0] = '\0';
    t->host[0] = '\0';
    t->content_type[0] = '\0';
    t->etag[0] = '\0';
    t->link[0] = '\0';
    t->request_id[0] = '\0';
    t->text[0] = '\0';
}


int
mg_transfer_start(mg_transfer_t *t, const mg_http_request_t *req, int fresh)
{
    t->req = *req;
    mg_transfer_clear(t);

    if (t->easy == NULL) {
        t->easy = curl_easy_init();
        if (t->easy == NULL) {
            return mg_error_set(&t->failure, MG_E_INTERNAL, NULL,
                                "out of memory");
        }
    }

    mg_transfer_set_options(t);
    mg_transfer_set_method(t);
    mg_transfer_set_limits(t);
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, (long) fresh);

    if (mg_transfer_set_url(t) != MG_OK
        || mg_transfer_set_inference(t) != MG_OK
        || mg_transfer_set_headers(t) != MG_OK)
    {
        return MG_ERROR;
    }

    if (curl_multi_add_handle(t->multi, t->easy) != CURLM_OK) {
        return mg_error_set(&t->failure, MG_E_INTERNAL, NULL,
                            "\"%s\": the transfer could not be started",
                            t->host);
    }

    t->busy = 1;

    return MG_OK;
}


/* Why it failed: what a callback said, a refused address, curl's code. */

static void
mg_transfer_explain(mg_transfer_t *t, CURLcode code)
{
    unsigned     i;
    mg_error_t  *e;

    e = &t->res.error;

    if (t->failure.kind != MG_E_NONE) {
        *e = t->failure;
        return;
    }

    if (t->refused[0]) {
        mg_error_set(e, MG_E_FORBIDDEN, NULL,
                     "\"%s\" is at \"%s\", which is no public address; "
                     "to reach it, set model_allow_private on", t->host,
                     t->refused);
        mg_error_code(e, "private_address");
        return;
    }

    for (i = 0; i < sizeof(mg_transfer_errors)
                    / sizeof(mg_transfer_errors[0]); i++)
    {
        if (mg_transfer_errors[i].code == code) {
            mg_error_set(e, mg_transfer_errors[i].kind, NULL,
                         "\"%s\": %s (%s)", t->host,
                         mg_transfer_errors[i].what,
                         t->text[0] ? t->text : curl_easy_strerror(code));
            mg_error_code(e, mg_transfer_errors[i].name);
            return;
        }
    }

    mg_error_set(e, MG_E_UPSTREAM, NULL,
                 "\"%s\": the answer was broken off (%s)", t->host,
                 t->text[0] ? t->text : curl_easy_strerror(code));
    mg_error_code(e, "broken_answer");
}


void
mg_transfer_finish(mg_transfer_t *t, CURLcode code)
{
    long         status, port;
    char        *location, *ip;
    curl_off_t   us;

    ip = NULL;
    status = 0;
    port = 0;
    location = NULL;
    us = 0;

    if (t->busy) {
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
        curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &location);
        curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &ip);
        curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_PORT, &port);
        curl_multi_remove_handle(t->multi, t->easy);
        t->busy = 0;
    }

    if (ip && ip[0]) {
        (void) snprintf(t->res.peer, sizeof(t->res.peer),
                        strchr(ip, ':') ? "[%.46s]:%ld" : "%.46s:%ld", ip,
                        port);
    }

    t->res.begun = (int) status;

    if (code != CURLE_OK || t->failure.kind != MG_E_NONE) {
        mg_transfer_explain(t, code);
        status = 0;
    }

    mg_transfer_wipe_headers(t);

    curl_slist_free_all(t->resolve);
    t->resolve = NULL;

    t->res.status = (int) status;
    t->res.latency_us = (int64_t) us;
    t->res.body = mg_buf_view(&t->body);
    t->res.content_type = t->content_type[0] ? mg_str_z(t->content_type)
                                             : mg_str_null;
    t->res.etag = t->etag[0] ? mg_str_z(t->etag) : mg_str_null;
    t->res.link = t->link[0] ? mg_str_z(t->link) : mg_str_null;
    t->res.request_id = mg_str_z(t->request_id);
    t->res.location = mg_str_z(location);
}


void
mg_transfer_free(mg_transfer_t *t)
{
    curl_easy_cleanup(t->easy);
    mg_buf_free(&t->url);
    mg_buf_free(&t->body);
}
