/*
 * A small HTTP server for unit tests: loopback, a port that the system
 * picks, one thread a connection.  A test gives a table of path prefixes and
 * handlers, ended by one with prefix NULL that answers all the rest.  A
 * handler returns 1 to keep the connection, 0 to close it.  Counters say how
 * many connections and requests there were, and how many at once: a request
 * is in work until the first byte of its answer leaves, since its client may
 * send the next one before this thread runs again.
 */

#ifndef LOOPBACK_H
#define LOOPBACK_H


#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>


#define LOOPBACK_UNUSED  __attribute__((unused))


typedef struct {
    int           fd;
    char          in[65536];        /* the request, NUL at the end */
    size_t        len;
    char          path[256];
    const char   *body;
} peer_t;


typedef struct {
    const char   *prefix;
    int         (*handler)(peer_t *p);
} route_t;


static struct {
    const route_t  *routes;
    pthread_t       thread;
    int             fd;
    int             port;
    int             connections;    /* accepted */
    int             open;           /* connections now */
    int             busy;           /* requests in work */
    int             most;           /* of these at once */
    int             requests;
} server;


static __thread int  in_work;       /* this thread's request is in busy */


static void
leave_work(void)
{
    if (in_work) {
        in_work = 0;
        __atomic_sub_fetch(&server.busy, 1, __ATOMIC_RELAXED);
    }
}


static void
say(int fd, const void *data, size_t len)
{
    ssize_t      n;
    const char  *p = data;

    leave_work();

    while (len > 0) {
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return;
        }

        p += n;
        len -= (size_t) n;
    }
}


static LOOPBACK_UNUSED void
answer(int fd, const char *status, const char *headers, const char *body)
{
    int   n;
    char  head[8192];

    n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
                 "%s\r\n", status, strlen(body), headers);
    say(fd, head, (size_t) n);
    say(fd, body, strlen(body));
}


static LOOPBACK_UNUSED void
nap(int ms)
{
    usleep((useconds_t) ms * 1000);
}


/* Sleeps, but not longer than the other side waits; 0: it has gone. */

static LOOPBACK_UNUSED int
nap_while_open(peer_t *p, int ms)
{
    char           c;
    struct pollfd  pfd;

    pfd.fd = p->fd;
    pfd.events = POLLIN;

    return poll(&pfd, 1, ms) == 0
           || recv(p->fd, &c, 1, MSG_PEEK|MSG_DONTWAIT) > 0;
}


static int
serve(peer_t *p)
{
    const route_t  *r;

    for (r = server.routes; r->prefix; r++) {
        if (strncmp(p->path, r->prefix, strlen(r->prefix)) == 0) {
            break;
        }
    }

    return r->handler(p);
}


/* One request with its body; 0 at the end of the connection. */

static int
hear(peer_t *p)
{
    char     *end, *line;
    size_t    want;
    ssize_t   n;

    p->len = 0;

    for ( ;; ) {
        n = recv(p->fd, p->in + p->len, sizeof(p->in) - 1 - p->len, 0);

        if (n <= 0) {
            return 0;
        }

        p->len += (size_t) n;
        p->in[p->len] = '\0';

        end = strstr(p->in, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }

        for (want = 0, line = p->in; line < end;
             line = strstr(line, "\r\n") + 2)
        {
            if (strncasecmp(line, "content-length:", 15) == 0) {
                want = (size_t) atol(line + 15);
            }
        }

        p->body = end + 4;

        if (p->len >= (size_t) (p->body - p->in) + want) {
            return sscanf(p->in, "%*s %255s", p->path) == 1;
        }
    }
}


static void
count_most(int busy)
{
    int  most;

    most = __atomic_load_n(&server.most, __ATOMIC_RELAXED);

    while (busy > most
           && !__atomic_compare_exchange_n(&server.most, &most, busy, 0,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))
    {
        /* void */
    }
}


static void *
attend(void *data)
{
    int      more;
    peer_t  *p = data;

    do {
        more = hear(p);

        if (more) {
            __atomic_add_fetch(&server.requests, 1, __ATOMIC_RELAXED);
            in_work = 1;
            count_most(__atomic_add_fetch(&server.busy, 1,
                                          __ATOMIC_RELAXED));
            more = serve(p);
            leave_work();
        }
    } while (more);

    close(p->fd);
    free(p);
    __atomic_sub_fetch(&server.open, 1, __ATOMIC_RELAXED);

    return NULL;
}


static void *
welcome(void *data)
{
    int        fd, on;
    peer_t    *p;
    pthread_t  t;

    (void) data;

    while ((fd = accept(server.fd, NULL, NULL)) != -1) {
        __atomic_add_fetch(&server.connections, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&server.open, 1, __ATOMIC_RELAXED);
        p = calloc(1, sizeof(peer_t));
        p->fd = fd;
        on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        if (pthread_create(&t, NULL, attend, p) != 0) {
            abort();
        }

        pthread_detach(t);
    }

    return NULL;
}


static void
server_start(const route_t *routes)
{
    socklen_t           len;
    struct sockaddr_in  in;

    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(in);

    server.routes = routes;
    server.fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (bind(server.fd, (struct sockaddr *) &in, len) == -1
        || listen(server.fd, 512) == -1
        || getsockname(server.fd, (struct sockaddr *) &in, &len) == -1
        || pthread_create(&server.thread, NULL, welcome, NULL) != 0)
    {
        perror("the test's server");
        exit(2);
    }

    server.port = ntohs(in.sin_port);
}


/* Stops listening and waits until the connections that are left end. */

static void
server_stop(void)
{
    int  i;

    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);

    for (i = 0; i < 1000 && __atomic_load_n(&server.open, __ATOMIC_RELAXED);
         i++)
    {
        nap(10);
    }
}


#endif /* LOOPBACK_H */
