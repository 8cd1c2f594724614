/*
 * models.c: a server of many models, each of which takes the same time.
 *
 *     models PORT MODELS MS LIST_MS
 *
 * GET lists model-1, model-2, ... after LIST_MS; any POST is answered, MS
 * milliseconds after its last byte was read, with one token of chat.  So what
 * a client takes for N requests, C at once, cannot be less than MS times N / C
 * rounded up, and what the server adds to that is its time for a request,
 * some ten microseconds.  SIGUSR1: from now on there is no such model, 404, and
 * with the next one there is again.
 *
 * Requests that wait are a queue for each of the two times: who came first
 * is due first.
 *
 * Part of the benchmark: one thread, loopback only.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>


#define MODELS_BUFFER   8192


typedef struct peer_s  peer_t;

struct peer_s {
    int        fd;
    int        waits;              /* in a queue */
    int        gone;               /* closed meanwhile */
    int64_t    due;                /* us */
    peer_t    *next;               /* in the queue */
    size_t     len;
    char       in[MODELS_BUFFER];
};


typedef struct {
    int64_t    pause;              /* us */
    peer_t    *first;
    peer_t   **last;
    char      *answer;
    size_t     len;
} queue_t;


static int      epoll;
static queue_t  tests, lists, other;    /* other: of tests, its answer */

static volatile sig_atomic_t  turned;


static int64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
turn(int signo)
{
    (void) signo;
    turned = 1;
}


/* Tests are answered as they were not before. */

static void
turn_over(void)
{
    queue_t  q;

    turned = 0;
    q = tests;
    tests.answer = other.answer;
    tests.len = other.len;
    other.answer = q.answer;
    other.len = q.len;
}


static void
prepare(queue_t *q, int ms, const char *status, char *body, size_t len)
{
    q->pause = (int64_t) ms * 1000;
    q->last = &q->first;
    q->answer = malloc(len + 128);
    q->len = sprintf(q->answer, "HTTP/1.1 %s\r\nContent-Type: "
                     "application/json\r\nContent-Length: %zu\r\n\r\n",
                     status, len);
    memcpy(q->answer + q->len, body, len);
    q->len += len;
}


static void
prepare_both(int models, int ms, int list_ms)
{
    int     i;
    char   *list;
    size_t  len;

    static char  test[] =
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,"
        "\"model\":\"m\",\"choices\":[{\"index\":0,\"finish_reason\":"
        "\"length\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"}}],"
        "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,"
        "\"total_tokens\":2}}";

    static char  none[] =
        "{\"error\":{\"message\":\"The model does not exist\",\"type\":"
        "\"invalid_request_error\",\"code\":\"model_not_found\"}}";

    prepare(&tests, ms, "200 OK", test, sizeof(test) - 1);
    prepare(&other, ms, "404 Not Found", none, sizeof(none) - 1);

    list = malloc(128 + (size_t) models * 96);
    len = sprintf(list, "{\"object\":\"list\",\"data\":[");

    for (i = 1; i <= models; i++) {
        len += sprintf(list + len, "%s{\"id\":\"model-%d\",\"object\":"
                       "\"model\",\"created\":1735689600,\"owned_by\":"
                       "\"bench\"}", i > 1 ? "," : "", i);
    }

    len += sprintf(list + len, "]}");
    prepare(&lists, list_ms, "200 OK", list, len);
    free(list);
}


static void
leave(peer_t *p)
{
    (void) epoll_ctl(epoll, EPOLL_CTL_DEL, p->fd, NULL);
    close(p->fd);
    p->gone = 1;

    if (!p->waits) {
        free(p);
    }
}


static void
answer(queue_t *q, peer_t *p)
{
    size_t   sent;
    ssize_t  n;

    p->waits = 0;

    if (p->gone) {
        free(p);
        return;
    }

    /* only the list may not fit in the socket: nobody else waits then */

    for (sent = 0; sent < q->len; sent += n > 0 ? n : 0) {
        n = write(p->fd, q->answer + sent, q->len - sent);

        if (n < 0 && errno != EAGAIN) {
            leave(p);
            return;
        }
    }
}


/* us until the next one is due. */

static int64_t
due(queue_t *q)
{
    int64_t   now;
    peer_t   *p;

    for (p = q->first; p && p->due <= (now = now_us()); p = q->first) {
        q->first = p->next;

        if (q->first == NULL) {
            q->last = &q->first;
        }

        answer(q, p);
    }

    return p ? p->due - now : 1000000;
}


static void
wait_in(queue_t *q, peer_t *p)
{
    p->len = 0;
    p->waits = 1;
    p->due = now_us() + q->pause;
    p->next = NULL;
    *q->last = p;
    q->last = &p->next;
}


static void
receive(peer_t *p)
{
    char     *body, *length;
    ssize_t   n;

    n = read(p->fd, p->in + p->len, sizeof(p->in) - 1 - p->len);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            leave(p);
        }

        return;
    }

    p->len += n;
    p->in[p->len] = '\0';
    body = strstr(p->in, "\r\n\r\n");

    if (body == NULL) {
        return;
    }

    if (memcmp(p->in, "GET ", 4) == 0) {
        wait_in(&lists, p);
        return;
    }

    length = strcasestr(p->in, "content-length:");

    if (length
        && p->len >= (size_t) (body + 4 - p->in) + atoi(length + 15))
    {
        wait_in(&tests, p);
    }
}


static void
welcome(int listener)
{
    int                  fd, on;
    peer_t              *p;
    struct epoll_event   ev;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        on = 1;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        p = calloc(1, sizeof(peer_t));
        p->fd = fd;
        ev.events = EPOLLIN;
        ev.data.ptr = p;
        (void) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
    }
}


static int
listen_at(int port)
{
    int                 fd, on;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    on = 1;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) < 0
        || listen(fd, 1024) < 0)
    {
        perror("models: listen");
        exit(1);
    }

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);

    return fd;
}


int
main(int argc, char **argv)
{
    int                 i, n, listener;
    int64_t             a, b;
    struct timespec     wait;
    struct epoll_event  ev[256];

    if (argc != 5) {
        fprintf(stderr, "usage: see the first lines of models.c\n");
        return 2;
    }

    epoll = epoll_create1(0);
    prepare_both(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    listener = listen_at(atoi(argv[1]));
    (void) signal(SIGUSR1, turn);

    for ( ;; ) {
        if (turned) {
            turn_over();
        }

        a = due(&tests);
        b = due(&lists);
        a = a < b ? a : b;
        wait.tv_sec = a / 1000000;
        wait.tv_nsec = a % 1000000 * 1000;
        n = epoll_pwait2(epoll, ev, 256, &wait, NULL);

        for (i = 0; i < n; i++) {
            if (ev[i].data.ptr) {
                receive(ev[i].data.ptr);

            } else {
                welcome(listener);
            }
        }
    }
}
