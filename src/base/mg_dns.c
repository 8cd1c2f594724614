/*
 * mg_dns.c: questions to a name server.
 *
 *     header: id, flags, counts | question | answers | ...
 *
 * Names within a message may point back into it; each step must go back, so
 * it ends.  They are compared as they are on the wire, in lower case.  The
 * socket is connected, so that nobody else can answer; the id is random, and
 * the kernel draws the port.
 *
 * Called by whoever resolves names; touches nothing else.
 */

#include "base/mg_dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "base/mg_crypt.h"
#include "base/mg_time.h"


#define MG_DNS_HEADER        12
#define MG_DNS_UDP_MAX       4096
#define MG_DNS_TCP_MAX       65535
#define MG_DNS_CNAME         5
#define MG_DNS_IN            1
#define MG_DNS_CNAMES_MAX    8
#define MG_DNS_RECORDS_MAX   256
#define MG_DNS_PORT          53

#define MG_DNS_QR            0x8000
#define MG_DNS_TC            0x0200
#define MG_DNS_RD            0x0100
#define MG_DNS_RCODE         0x000f
#define MG_DNS_NXDOMAIN      3

/* So long after the first try a query is sent once more, of the time-out. */
#define MG_DNS_AGAIN(ms)     ((ms) / 3)


/* A name as it is on the wire, in lower case. */
typedef struct {
    uint8_t          bytes[MG_DNS_NAME_MAX + 1];
    size_t           len;
} mg_dns_name_t;


typedef struct {
    mg_dns_name_t    owner;
    uint16_t         type;
    uint16_t         class;
    uint32_t         ttl;
    const uint8_t   *data;
    size_t           len;
} mg_dns_record_t;


/* One of the two questions. */
typedef struct {
    uint8_t          query[MG_DNS_QUERY_MAX];
    size_t           len;
    int              rc;         /* MG_AGAIN: no answer yet */
} mg_dns_question_t;


static uint16_t mg_dns_u16(const uint8_t *p);
static int mg_dns_name(const uint8_t *msg, size_t len, size_t *at,
    mg_dns_name_t *name);
static int mg_dns_record(const uint8_t *msg, size_t len, size_t *at,
    mg_dns_record_t *r);
static int mg_dns_same(const mg_dns_name_t *a, const mg_dns_name_t *b);
static int mg_dns_header(const uint8_t *msg, size_t len,
    const uint8_t *query, size_t query_len);
static int mg_dns_alias(const uint8_t *msg, size_t len, size_t answers,
    mg_dns_name_t *name, uint32_t *ttl);
static int mg_dns_collect(const uint8_t *msg, size_t len, size_t answers,
    const mg_dns_name_t *name, uint16_t type, uint32_t ttl,
    mg_dns_answer_t *out);
static void mg_dns_add(const mg_dns_record_t *r, mg_dns_answer_t *out);
static int mg_dns_server_ask(const mg_dns_server_t *server,
    mg_dns_question_t *q, unsigned timeout_ms, mg_dns_answer_t *out);
static int mg_dns_send(int fd, const mg_dns_question_t *q);
static void mg_dns_server_take(const mg_dns_server_t *server,
    mg_dns_question_t *q, const uint8_t *msg, size_t len, int64_t until,
    mg_dns_answer_t *out);
static int mg_dns_server_left(const mg_dns_question_t *q);
static ssize_t mg_dns_tcp(const mg_dns_server_t *server,
    const mg_dns_question_t *q, uint8_t *out, int64_t until);
static int mg_dns_tcp_all(int fd, uint8_t *data, size_t len, short events,
    int64_t until);
static int mg_dns_wait(int fd, short events, int64_t until);


/* -- the wire -- */

size_t
mg_dns_query(uint8_t *out, uint16_t id, uint16_t type, const char *name)
{
    size_t       len, label;
    uint8_t     *p;
    const char  *dot;

    len = strlen(name);

    if (len && name[len - 1] == '.') {
        len--;
    }

    if (len == 0 || len > MG_DNS_NAME_MAX - 2) {
        return 0;
    }

    memset(out, 0, MG_DNS_HEADER);
    out[0] = (uint8_t) (id >> 8);
    out[1] = (uint8_t) id;
    out[2] = MG_DNS_RD >> 8;
    out[5] = 1;

    p = out + MG_DNS_HEADER;

    while (len) {
        dot = memchr(name, '.', len);
        label = dot ? (size_t) (dot - name) : len;

        if (label == 0 || label > 63 || label + 1 == len) {
            return 0;
        }

        *p++ = (uint8_t) label;
        memcpy(p, name, label);
        p += label;

        label += (dot != NULL);
        name += label;
        len -= label;
    }

    *p++ = 0;
    *p++ = (uint8_t) (type >> 8);
    *p++ = (uint8_t) type;
    *p++ = 0;
    *p++ = MG_DNS_IN;

    return (size_t) (p - out);
}


static uint16_t
mg_dns_u16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}


/* Reads a name at *at, which moves behind it; MG_ERROR: it is damaged. */

static int
mg_dns_name(const uint8_t *msg, size_t len, size_t *at, mg_dns_name_t *name)
{
    size_t   i, next, pos, least;
    uint8_t  n;

    name->len = 0;
    pos = *at;
    least = pos;
    next = 0;

    for ( ;; ) {
        if (pos >= len) {
            return MG_ERROR;
        }

        n = msg[pos];

        if ((n & 0xc0) == 0xc0) {
            if (pos + 1 >= len) {
                return MG_ERROR;
            }

            next = next ? next : pos + 2;
            pos = mg_dns_u16(msg + pos) & 0x3fff;

            if (pos >= least) {
                return MG_ERROR;
            }

            least = pos;
            continue;
        }

        if (n > 63 || pos + 1 + n > len
            || name->len + 1 + n > MG_DNS_NAME_MAX)
        {
            return MG_ERROR;
        }

        name->bytes[name->len++] = n;

        for (i = 1; i <= n; i++) {
            name->bytes[name->len] = msg[pos + i];

            if (msg[pos + i] >= 'A' && msg[pos + i] <= 'Z') {
                name->bytes[name->len] |= 0x20;
            }

            name->len++;
        }

        pos += 1 + (size_t) n;

        if (n == 0) {
            *at = next ? next : pos;
            return MG_OK;
        }
    }
}


static int
mg_dns_record(const uint8_t *msg, size_t len, size_t *at,
    mg_dns_record_t *r)
{
    const uint8_t  *p;

    if (mg_dns_name(msg, len, at, &r->owner) != MG_OK || len - *at < 10) {
        return MG_ERROR;
    }

    p = msg + *at;

    r->type = mg_dns_u16(p);
    r->class = mg_dns_u16(p + 2);
    r->ttl = (uint32_t) mg_dns_u16(p + 4) << 16 | mg_dns_u16(p + 6);
    r->len = mg_dns_u16(p + 8);
    r->data = p + 10;

    /* RFC 2181: a sign is no time */

    if (r->ttl > INT32_MAX) {
        r->ttl = 0;
    }

    *at += 10;

    if (len - *at < r->len) {
        return MG_ERROR;
    }

    *at += r->len;

    return MG_OK;
}


static int
mg_dns_same(const mg_dns_name_t *a, const mg_dns_name_t *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}


int
mg_dns_read(const uint8_t *msg, size_t len, const uint8_t *query,
    size_t query_len, mg_dns_answer_t *out)
{
    int            rc;
    size_t         at, answers;
    uint16_t       type;
    uint32_t       ttl;
    mg_dns_name_t  asked, name;

    rc = mg_dns_header(msg, len, query, query_len);

    if (rc != MG_OK) {
        return rc;
    }

    at = MG_DNS_HEADER;
    answers = MG_DNS_HEADER;

    if (mg_dns_name(query, query_len, &at, &asked) != MG_OK
        || mg_dns_name(msg, len, &answers, &name) != MG_OK
        || !mg_dns_same(&asked, &name)
        || len - answers < 4 || query_len - at < 4
        || memcmp(msg + answers, query + at, 4) != 0)
    {
        return MG_INVALID_ANSWER;
    }

    type = mg_dns_u16(query + at);
    answers += 4;
    ttl = INT32_MAX;

    rc = mg_dns_alias(msg, len, answers, &name, &ttl);

    return rc == MG_OK ? mg_dns_collect(msg, len, answers, &name, type, ttl,
                                        out)
                       : rc;
}


static int
mg_dns_header(const uint8_t *msg, size_t len, const uint8_t *query,
    size_t query_len)
{
    uint16_t  flags;

    if (len < MG_DNS_HEADER || query_len < MG_DNS_HEADER
        || memcmp(msg, query, 2) != 0)
    {
        return MG_INVALID_ANSWER;
    }

    flags = mg_dns_u16(msg + 2);

    if (!(flags & MG_DNS_QR) || mg_dns_u16(msg + 4) != 1
        || mg_dns_u16(msg + 6) > MG_DNS_RECORDS_MAX)
    {
        return MG_INVALID_ANSWER;
    }

    switch (flags & MG_DNS_RCODE) {

    case 0:
        return (flags & MG_DNS_TC) ? MG_AGAIN : MG_OK;

    case MG_DNS_NXDOMAIN:
        return MG_DECLINED;

    default:
        return MG_ERROR;
    }
}


/* Follows CNAMEs, in whatever order they come, to the name they lead to. */

static int
mg_dns_alias(const uint8_t *msg, size_t len, size_t answers,
    mg_dns_name_t *name, uint32_t *ttl)
{
    size_t           at, target;
    unsigned         i, n, steps;
    mg_dns_record_t  r;

    n = mg_dns_u16(msg + 6);

    for (steps = 0; steps < MG_DNS_CNAMES_MAX; steps++) {
        at = answers;

        for (i = 0; i < n; i++) {
            if (mg_dns_record(msg, len, &at, &r) != MG_OK) {
                return MG_INVALID_ANSWER;
            }

            if (r.type == MG_DNS_CNAME && r.class == MG_DNS_IN
                && mg_dns_same(&r.owner, name))
            {
                break;
            }
        }

        if (i == n) {
            return MG_OK;
        }

        target = (size_t) (r.data - msg);

        if (mg_dns_name(msg, len, &target, name) != MG_OK
            || target != (size_t) (r.data - msg) + r.len)
        {
            return MG_INVALID_ANSWER;
        }

        *ttl = r.ttl < *ttl ? r.ttl : *ttl;
    }

    /* in a circle, or longer than anybody needs */

    return MG_ERROR;
}


static int
mg_dns_collect(const uint8_t *msg, size_t len, size_t answers,
    const mg_dns_name_t *name, uint16_t type, uint32_t ttl,
    mg_dns_answer_t *out)
{
    size_t           at, size;
    unsigned         i, n, found, before;
    mg_dns_record_t  r;

    at = answers;
    before = out->n;
    found = 0;
    n = mg_dns_u16(msg + 6);
    size = (type == MG_DNS_A) ? 4 : 16;

    for (i = 0; i < n; i++) {
        if (mg_dns_record(msg, len, &at, &r) != MG_OK) {
            return MG_INVALID_ANSWER;
        }

        if (r.type != type || r.class != MG_DNS_IN || r.len != size
            || !mg_dns_same(&r.owner, name))
        {
            continue;
        }

        found++;
        ttl = r.ttl < ttl ? r.ttl : ttl;

        if (out->n < MG_DNS_ADDRS_MAX) {
            mg_dns_add(&r, out);
        }
    }

    if (found == 0) {
        return MG_DECLINED;
    }

    if (before == 0 || ttl < out->ttl) {
        out->ttl = ttl;
    }

    return MG_OK;
}


static void
mg_dns_add(const mg_dns_record_t *r, mg_dns_answer_t *out)
{
    struct sockaddr_in       *in;
    struct sockaddr_in6      *in6;
    struct sockaddr_storage  *ss;

    ss = &out->addrs[out->n++];
    memset(ss, 0, sizeof(struct sockaddr_storage));

    if (r->type == MG_DNS_A) {
        in = (struct sockaddr_in *) ss;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, r->data, 4);

    } else {
        in6 = (struct sockaddr_in6 *) ss;
        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, r->data, 16);
    }
}


/* -- servers -- */

int
mg_dns_server(mg_str_t text, mg_dns_server_t *server, mg_error_t *e)
{
    char                  host[64];
    long                  port;
    size_t                len;
    const char           *end, *p, *last;
    struct sockaddr_in   *in;
    struct sockaddr_in6  *in6;

    memset(server, 0, sizeof(mg_dns_server_t));

    in = (struct sockaddr_in *) &server->addr;
    in6 = (struct sockaddr_in6 *) &server->addr;

    p = text.data;
    last = p + text.len;
    end = NULL;
    port = MG_DNS_PORT;

    if (text.len && *p == '[') {
        p++;
        end = memchr(p, ']', (size_t) (last - p));
        len = end ? (size_t) (end - p) : 0;
        end = end ? end + 1 : last;

    } else {
        end = text.len ? memchr(p, ':', text.len) : NULL;
        end = end ? end : last;
        len = (size_t) (end - p);
    }

    if (len == 0 || len >= sizeof(host)) {
        goto invalid;
    }

    memcpy(host, p, len);
    host[len] = '\0';

    if (end < last) {
        if (*end != ':' || last - end > 6 || last - end < 2) {
            goto invalid;
        }

        for (port = 0, p = end + 1; p < last; p++) {
            if (*p < '0' || *p > '9') {
                goto invalid;
            }

            port = port * 10 + (*p - '0');
        }

        if (port < 1 || port > 65535) {
            goto invalid;
        }
    }

    if (text.data[0] != '['
        && inet_pton(AF_INET, host, &in->sin_addr) == 1)
    {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t) port);
        server->len = sizeof(struct sockaddr_in);
        return MG_OK;
    }

    if (text.data[0] == '['
        && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1)
    {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t) port);
        server->len = sizeof(struct sockaddr_in6);
        return MG_OK;
    }

invalid:

    return mg_error_set(e, MG_E_INVALID, NULL, "\"" MG_STR_FMT "\" is no "
                        "address of a name server; give an IP address with "
                        "or without a port, such as 127.0.0.1:53 or [::1]",
                        MG_STR_ARG(text));
}


int
mg_dns_ask(const mg_dns_server_t *servers, unsigned n, const char *name,
    unsigned timeout_ms, mg_dns_answer_t *out)
{
    int                rc;
    int64_t            begun;
    unsigned           i, silent;
    uint16_t           ids[2];
    mg_dns_question_t  q[2];

    rc = MG_ERROR;
    silent = 0;

    for (i = 0; rc == MG_ERROR && i < n; i++) {
        memset(out, 0, sizeof(mg_dns_answer_t));

        if (mg_random(ids, sizeof(ids)) != MG_OK) {
            return MG_ERROR;
        }

        /* two that differ, so that an answer names its question */

        ids[1] = (ids[1] == ids[0]) ? (uint16_t) (ids[0] + 1) : ids[1];

        q[0].len = mg_dns_query(q[0].query, ids[0], MG_DNS_A, name);
        q[1].len = mg_dns_query(q[1].query, ids[1], MG_DNS_AAAA, name);

        if (q[0].len == 0) {
            return MG_DECLINED;
        }

        begun = mg_mono_us();
        rc = mg_dns_server_ask(&servers[i], q, timeout_ms, out);

        if (rc == MG_ERROR
            && mg_mono_us() - begun >= (int64_t) timeout_ms * 1000)
        {
            silent |= 1u << i;
        }
    }

    out->silent = silent;

    return rc;
}


static int
mg_dns_server_ask(const mg_dns_server_t *server, mg_dns_question_t *q,
    unsigned timeout_ms, mg_dns_answer_t *out)
{
    int      fd, sent;
    int64_t  begun, until, again;
    uint8_t  msg[MG_DNS_UDP_MAX];
    ssize_t  n;

    q[0].rc = MG_AGAIN;
    q[1].rc = MG_AGAIN;

    begun = mg_mono_us();
    until = begun + (int64_t) timeout_ms * 1000;

    fd = socket(server->addr.ss_family, SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK,
                0);

    if (fd == -1) {
        return MG_ERROR;
    }

    if (connect(fd, (const struct sockaddr *) &server->addr, server->len)
        == -1)
    {
        (void) close(fd);
        return MG_ERROR;
    }

    for (sent = 0; mg_dns_server_left(q); /* void */ ) {

        again = begun + sent * (int64_t) MG_DNS_AGAIN(timeout_ms) * 1000;

        if (sent < 2 && mg_mono_us() >= again) {
            if (mg_dns_send(fd, q) != MG_OK) {
                break;
            }

            sent++;
            continue;
        }

        if (mg_dns_wait(fd, POLLIN, sent < 2 ? again : until) != MG_OK) {
            if (mg_mono_us() >= until) {
                break;
            }

            continue;
        }

        n = recv(fd, msg, sizeof(msg), 0);

        if (n > 0) {
            mg_dns_server_take(server, q, msg, (size_t) n, until, out);

        } else if (n == -1 && errno != EAGAIN && errno != EINTR) {

            /* nobody listens there */

            break;
        }
    }

    (void) close(fd);

    if (out->n) {
        return MG_OK;
    }

    return (q[0].rc == MG_DECLINED && q[1].rc == MG_DECLINED) ? MG_DECLINED
                                                              : MG_ERROR;
}


/* MG_ERROR: nobody listens there, as an answer to the first has told. */

static int
mg_dns_send(int fd, const mg_dns_question_t *q)
{
    int  i;

    for (i = 0; i < 2; i++) {
        if (q[i].rc == MG_AGAIN
            && send(fd, q[i].query, q[i].len, MSG_NOSIGNAL) == -1
            && errno != EAGAIN && errno != EINTR)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static void
mg_dns_server_take(const mg_dns_server_t *server, mg_dns_question_t *q,
    const uint8_t *msg, size_t len, int64_t until, mg_dns_answer_t *out)
{
    int      i, rc;
    ssize_t  n;
    uint8_t  whole[MG_DNS_TCP_MAX];

    for (i = 0; i < 2; i++) {
        if (q[i].rc != MG_AGAIN) {
            continue;
        }

        rc = mg_dns_read(msg, len, q[i].query, q[i].len, out);

        if (rc == MG_AGAIN) {
            n = mg_dns_tcp(server, &q[i], whole, until);
            rc = n > 0 ? mg_dns_read(whole, (size_t) n, q[i].query,
                                     q[i].len, out)
                       : MG_ERROR;
            rc = (rc == MG_AGAIN || rc == MG_INVALID_ANSWER) ? MG_ERROR : rc;
        }

        if (rc != MG_INVALID_ANSWER) {
            q[i].rc = rc;
            return;
        }
    }
}


static int
mg_dns_server_left(const mg_dns_question_t *q)
{
    return q[0].rc == MG_AGAIN || q[1].rc == MG_AGAIN;
}


/* Length of the answer, or -1. */

static ssize_t
mg_dns_tcp(const mg_dns_server_t *server, const mg_dns_question_t *q,
    uint8_t *out, int64_t until)
{
    int      fd, rc;
    size_t   len;
    uint8_t  query[MG_DNS_QUERY_MAX + 2];

    fd = socket(server->addr.ss_family,
                SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    if (fd == -1) {
        return -1;
    }

    query[0] = (uint8_t) (q->len >> 8);
    query[1] = (uint8_t) q->len;
    memcpy(query + 2, q->query, q->len);

    rc = connect(fd, (const struct sockaddr *) &server->addr, server->len);
    rc = (rc == -1 && errno != EINPROGRESS) ? MG_ERROR : MG_OK;
    len = 0;

    if (rc == MG_OK) {
        rc = mg_dns_tcp_all(fd, query, q->len + 2, POLLOUT, until);
    }

    if (rc == MG_OK) {
        rc = mg_dns_tcp_all(fd, out, 2, POLLIN, until);
    }

    if (rc == MG_OK) {
        len = mg_dns_u16(out);
        rc = mg_dns_tcp_all(fd, out, len, POLLIN, until);
    }

    (void) close(fd);

    return rc == MG_OK ? (ssize_t) len : -1;
}


/* Sends or receives all of it. */

static int
mg_dns_tcp_all(int fd, uint8_t *data, size_t len, short events,
    int64_t until)
{
    ssize_t  n;

    while (len) {
        if (mg_dns_wait(fd, events, until) != MG_OK) {
            return MG_ERROR;
        }

        n = (events == POLLOUT) ? send(fd, data, len, MSG_NOSIGNAL)
                                : recv(fd, data, len, 0);

        if (n == 0
            || (n == -1 && errno != EAGAIN && errno != EINTR))
        {
            return MG_ERROR;
        }

        if (n > 0) {
            data += n;
            len -= (size_t) n;
        }
    }

    return MG_OK;
}


/* MG_ERROR: the time is over. */

static int
mg_dns_wait(int fd, short events, int64_t until)
{
    int64_t        rest;
    struct pollfd  p;

    rest = until - mg_mono_us();

    if (rest <= 0) {
        return MG_ERROR;
    }

    p.fd = fd;
    p.events = events;
    p.revents = 0;

    return poll(&p, 1, (int) (rest / 1000) + 1) > 0 ? MG_OK : MG_ERROR;
}
