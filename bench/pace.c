/*
 * pace.c: inference requests at a fixed rate, and how long they took.
 *
 *     pace PORT CONNECTIONS RATE SECONDS TOKEN [KEYS]
 *
 * RATE requests a second are due at equal distances, whatever became of those
 * before; each is sent on a kept connection that is free, else as soon as one
 * is.  It took the time from when it was due until its answer was read, so a
 * server that stands still for a while pays for everybody who came meanwhile.
 * With KEYS, at most 1,000, requests are of so many sessions in turn.  Prints:
 * requests, p50, p99, p99.9, the longest and all together in microseconds, and
 * how many were not answered with 200.
 *
 * Part of the benchmark: one thread, loopback only.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>


#define PACE_MAX      256
#define PACE_BODY     1024
#define PACE_BUFFER   65536


typedef struct {
    int        fd;
    int64_t    due;                /* us; 0: free */
    size_t     len;
    char       in[PACE_BUFFER];
} pace_t;


static pace_t    connections[PACE_MAX];
static int64_t  *times;
static size_t    n_times;
static int       failed;
static char      request[PACE_BODY + 1024];
static int       request_len;
static char     *session;           /* three digits of the request */
static int       keys, turn;


static int64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* Of so many bytes, as the other rows send it. */

static void
prepare(const char *token)
{
    int   room;
    char  body[PACE_BODY + 1], fill[PACE_BODY];

    memset(fill, 'x', sizeof(fill));
    room = PACE_BODY - snprintf(body, sizeof(body), "{\"messages\":[{\"role\":"
                                "\"user\",\"content\":\"\"}],\"model\":"
                                "\"bench\",\"max_tokens\":64}");
    (void) snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\","
                    "\"content\":\"%.*s\"}],\"model\":\"bench\","
                    "\"max_tokens\":64}", room, fill);

    request_len = snprintf(request, sizeof(request),
                           "POST /v1/chat/completions HTTP/1.1\r\n"
                           "Host: gateway\r\nAuthorization: Bearer %s\r\n"
                           "Content-Type: application/json\r\n%s"
                           "Content-Length: %d\r\n\r\n%s", token,
                           keys ? "X-Session-Id: session-000\r\n" : "",
                           PACE_BODY, body);
    session = keys ? strstr(request, "session-000") + 8 : NULL;
}


static void
begin(pace_t *c, int64_t due)
{
    c->due = due;
    c->len = 0;

    if (keys) {
        turn = (turn + 1) % keys;
        session[0] = '0' + turn / 100;
        session[1] = '0' + turn / 10 % 10;
        session[2] = '0' + turn % 10;
    }

    if (write(c->fd, request, request_len) != request_len) {
        perror("pace: write");
        exit(1);
    }
}


/* 1: the answer is there, and the connection is free. */

static int
answered(pace_t *c)
{
    char     *body, *length;
    ssize_t   n;

    n = read(c->fd, c->in + c->len, sizeof(c->in) - 1 - c->len);

    if (n <= 0) {
        fprintf(stderr, "pace: the connection was closed\n");
        exit(1);
    }

    c->len += n;
    c->in[c->len] = '\0';
    body = strstr(c->in, "\r\n\r\n");

    if (body == NULL) {
        return 0;
    }

    length = strcasestr(c->in, "\r\ncontent-length:");

    if (length && length < body) {
        if (c->len < (size_t) (body + 4 - c->in) + atoi(length + 17)) {
            return 0;
        }

    } else if (strcmp(c->in + c->len - 7, "\r\n0\r\n\r\n") != 0) {
        return 0;
    }

    times[n_times++] = now_us() - c->due;
    failed += strncmp(c->in, "HTTP/1.1 200", 12) != 0;
    c->due = 0;

    return 1;
}


/* How long it took, in microseconds. */

static int64_t
pace(int epoll, int n, int rate, int64_t total)
{
    int                 i, k, flying;
    int64_t             begun, sent, due, wait;
    struct timespec     ts;
    struct epoll_event  ev[PACE_MAX];

    begun = now_us();
    flying = 0;
    sent = 0;

    while (sent < total || flying) {
        due = begun + sent * 1000000 / rate;

        for (i = 0; i < n && sent < total && due <= now_us(); i++) {
            if (connections[i].due == 0) {
                begin(&connections[i], due);
                flying++;
                sent++;
                due = begun + sent * 1000000 / rate;
            }
        }

        wait = 100000;

        if (sent < total && flying < n) {
            wait = due - now_us();
            wait = wait > 0 ? wait : 0;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = wait * 1000;
        k = epoll_pwait2(epoll, ev, PACE_MAX, &ts, NULL);

        while (k > 0) {
            flying -= answered(ev[--k].data.ptr);
        }
    }

    return now_us() - begun;
}


static int
ascending(const void *one, const void *two)
{
    int64_t  a = *(const int64_t *) one, b = *(const int64_t *) two;

    return (a > b) - (a < b);
}


int
main(int argc, char **argv)
{
    int                 i, n, epoll, on;
    int64_t             total, took;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    if (argc < 6 || argc > 7 || atoi(argv[2]) < 1 || atoi(argv[2]) > PACE_MAX
        || atoi(argv[3]) < 1 || atoi(argv[4]) < 1)
    {
        fprintf(stderr, "usage: see the first lines of pace.c\n");
        return 1;
    }

    n = atoi(argv[2]);
    total = (int64_t) atoi(argv[3]) * atoi(argv[4]);
    times = calloc(total, sizeof(int64_t));
    epoll = epoll_create1(0);
    on = 1;
    keys = argc > 6 ? atoi(argv[6]) : 0;

    if (keys < 0 || keys > 1000) {
        fprintf(stderr, "pace: KEYS is 0 to 1000\n");
        return 1;
    }

    prepare(argv[5]);

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(atoi(argv[1]));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    for (i = 0; i < n; i++) {
        connections[i].fd = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(connections[i].fd, (struct sockaddr *) &sin, sizeof(sin))
            < 0)
        {
            perror("pace: connect");
            return 1;
        }

        (void) setsockopt(connections[i].fd, IPPROTO_TCP, TCP_NODELAY, &on,
                          sizeof(on));
        ev.events = EPOLLIN;
        ev.data.ptr = &connections[i];
        (void) epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &ev);
    }

    took = pace(epoll, n, atoi(argv[3]), total);
    qsort(times, n_times, sizeof(int64_t), ascending);

    printf("RESULT %zu %lld %lld %lld %lld %lld %d\n", n_times,
           (long long) times[n_times / 2],
           (long long) times[n_times * 99 / 100],
           (long long) times[n_times * 999 / 1000],
           (long long) times[n_times - 1], (long long) took, failed);

    return 0;
}
