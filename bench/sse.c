/*
 * sse.c: streams of tokens with the time in them, and who measures it.
 *
 *     sse server PORT TOKENS MS
 *     sse client PORT STREAMS TURNS TOKENS MS TOKEN
 *
 * The server answers each POST with an OpenAI chat stream: a role chunk at
 * once, then TOKENS chunks MS milliseconds apart; with "include_usage":true
 * in the body it adds what the API adds then.  Each chunk carries the
 * monotonic time at which it was written, as its "system_fingerprint".
 *
 * The client keeps STREAMS connections, each with TURNS streams one after the
 * other, and prints for all of them, in microseconds: time to the first chunk
 * (p50, p99), age of a chunk when it arrives (p50, p99, max), streams, and
 * how many were not, byte for byte but for the times, what a server sends to
 * a client that asked for no usage.
 *
 * Part of the benchmark: one thread, loopback only.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>


#define SSE_MAX      1024
#define SSE_DIGITS   16
#define SSE_BUFFER   65536


typedef struct {
    int        fd;
    int        busy;               /* server: a stream runs */
    int        usage;              /* server: it was asked for */
    int        turn;
    int        token;
    int64_t    due;                /* us */
    int64_t    begun;
    size_t     len;
    size_t     at;                 /* client: matched of the expected bytes */
    int        first;
    int        bad;
    char       in[SSE_BUFFER];
} sse_t;


static sse_t   *sse[SSE_MAX];
static int      epoll;
static int      tokens, pause_ms;
static char     expected[1 << 20];
static size_t   expected_len;


static int64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* One chunk: -1 the role, tokens the end; stamp < 0: digits as '#'. */

static int
chunk(char *out, int i, int64_t stamp, int usage)
{
    int          n;
    char         time[SSE_DIGITS + 1], delta[64];
    const char  *finish;

    if (stamp < 0) {
        memset(time, '#', SSE_DIGITS);
        time[SSE_DIGITS] = '\0';

    } else {
        snprintf(time, sizeof(time), "%016llu",
                 (unsigned long long) stamp % 10000000000000000ULL);
    }

    finish = "null";

    if (i < 0) {
        strcpy(delta, "{\"role\":\"assistant\",\"content\":\"\"}");

    } else if (i < tokens) {
        snprintf(delta, sizeof(delta), "{\"content\":\" word%d\"}", i);

    } else {
        strcpy(delta, "{}");
        finish = "\"stop\"";
    }

    n = sprintf(out, "data: {\"id\":\"chatcmpl-1\",\"object\":"
                "\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
                "\"system_fingerprint\":\"%s\",\"choices\":[{\"index\":0,"
                "\"delta\":%s,\"finish_reason\":%s}]%s}\n\n", time, delta,
                finish, usage ? ",\"usage\":null" : "");

    if (i < tokens) {
        return n;
    }

    if (usage) {
        n += sprintf(out + n, "data: {\"id\":\"chatcmpl-1\",\"object\":"
                     "\"chat.completion.chunk\",\"created\":1,\"model\":"
                     "\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
                     "\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n",
                     tokens, tokens + 9);
    }

    return n + sprintf(out + n, "data: [DONE]\n\n");
}


static void
nonblocking(int fd)
{
    int  on;

    on = 1;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}


static void
watch(sse_t *s)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN;
    ev.data.ptr = s;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev);
}


static sse_t *
fresh(int fd)
{
    int  i;

    for (i = 0; i < SSE_MAX; i++) {
        if (sse[i] == NULL) {
            sse[i] = calloc(1, sizeof(sse_t));
            sse[i]->fd = fd;
            nonblocking(fd);
            watch(sse[i]);
            return sse[i];
        }
    }

    close(fd);
    return NULL;
}


static void
gone(sse_t *s)
{
    int  i;

    for (i = 0; i < SSE_MAX; i++) {
        if (sse[i] == s) {
            sse[i] = NULL;
        }
    }

    close(s->fd);
    free(s);
}


/* -- server -- */

static void
server_send(sse_t *s, int i)
{
    int   n, head;
    char  out[2048], text[1536];

    head = 0;

    if (i < 0) {
        head = sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: "
                       "text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                       "\r\n");
    }

    n = chunk(text, i, now_us(), s->usage);
    n = head + sprintf(out + head, "%x\r\n%.*s\r\n%s", n, n, text,
                       i == tokens ? "0\r\n\r\n" : "");

    if (write(s->fd, out, n) != n) {
        gone(s);
        return;
    }

    s->token = i + 1;
    s->due += (int64_t) pause_ms * 1000;
    s->busy = (i < tokens);
}


static void
server_read(sse_t *s)
{
    char     *body, *length;
    ssize_t   n;

    n = read(s->fd, s->in + s->len, sizeof(s->in) - 1 - s->len);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            gone(s);
        }

        return;
    }

    s->len += n;
    s->in[s->len] = '\0';
    body = strstr(s->in, "\r\n\r\n");
    length = strcasestr(s->in, "content-length:");

    if (body == NULL || length == NULL
        || s->len < (size_t) (body + 4 - s->in) + atoi(length + 15))
    {
        return;
    }

    s->usage = (strstr(body, "\"include_usage\":true") != NULL);
    s->len = 0;
    s->due = now_us();
    server_send(s, -1);
}


static void
server(int port)
{
    int                 listener, on, i, n;
    int64_t             now, next;
    struct timespec     wait;
    struct sockaddr_in  sin;
    struct epoll_event  ev[256];

    listener = socket(AF_INET, SOCK_STREAM, 0);
    on = 1;
    (void) setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (bind(listener, (struct sockaddr *) &sin, sizeof(sin)) < 0
        || listen(listener, 1024) < 0)
    {
        perror("sse: listen");
        exit(1);
    }

    nonblocking(listener);
    ev[0].events = EPOLLIN;
    ev[0].data.ptr = NULL;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev[0]);

    for ( ;; ) {
        now = now_us();
        next = now + 1000000;

        for (i = 0; i < SSE_MAX; i++) {
            if (sse[i] && sse[i]->busy && sse[i]->due <= now) {
                server_send(sse[i], sse[i]->token);
            }

            if (sse[i] && sse[i]->busy && sse[i]->due < next) {
                next = sse[i]->due;
            }
        }

        now = now_us();
        next = next > now ? next - now : 0;
        wait.tv_sec = next / 1000000;
        wait.tv_nsec = next % 1000000 * 1000;
        n = epoll_pwait2(epoll, ev, 256, &wait, NULL);

        for (i = 0; i < n; i++) {
            if (ev[i].data.ptr) {
                server_read(ev[i].data.ptr);
                continue;
            }

            while ((on = accept(listener, NULL, NULL)) >= 0) {
                (void) fresh(on);
            }
        }
    }
}


/* -- client -- */

static int64_t  *firsts, *ages;
static size_t    n_firsts, n_ages;
static int       running, mismatched, finished;


static void
client_send(sse_t *s, const char *token)
{
    int   n;
    char  out[1024], body[256];

    n = snprintf(body, sizeof(body), "{\"model\":\"bench\",\"stream\":true,"
                 "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    n = snprintf(out, sizeof(out), "POST /v1/chat/completions HTTP/1.1\r\n"
                 "Host: a\r\nAuthorization: Bearer %s\r\nContent-Type: "
                 "application/json\r\nContent-Length: %d\r\n\r\n%s", token, n,
                 body);

    s->len = 0;
    s->at = 0;
    s->first = 0;
    s->bad = 0;
    s->turn--;
    s->begun = now_us();

    if (write(s->fd, out, n) != n) {
        perror("sse: write");
        exit(1);
    }
}


/* Body bytes against the template; '#' stands for a digit of a time. */

static void
client_match(sse_t *s, const char *p, size_t len)
{
    int64_t         now;
    const char     *e;
    static char     digits[SSE_DIGITS + 1];
    static sse_t   *of;
    size_t          n;

    now = now_us();

    if (!s->first) {
        s->first = 1;
        firsts[n_firsts++] = now - s->begun;
    }

    for (n = 0; n < len; n++, s->at++) {
        e = &expected[s->at];

        if (s->at >= expected_len || (*e != '#' && *e != p[n])) {
            s->bad = 1;
            return;
        }

        if (*e != '#') {
            continue;
        }

        if (e[-1] != '#') {
            of = s;
            memset(digits, 0, sizeof(digits));
        }

        if (of == s) {
            digits[strlen(digits)] = p[n];

            if (strlen(digits) == SSE_DIGITS) {
                ages[n_ages++] = now - atoll(digits);
                of = NULL;
            }
        }
    }
}


/* 1: the stream has ended. */

static int
client_parse(sse_t *s, int *in_body)
{
    char    *p, *line;
    size_t   size, used;

    p = s->in;

    if (!*in_body) {
        line = strstr(p, "\r\n\r\n");

        if (line == NULL) {
            return 0;
        }

        if (strncmp(p, "HTTP/1.1 200", 12) != 0) {
            fprintf(stderr, "sse: %.300s\n", p);
            exit(1);
        }

        *in_body = 1;
        p = line + 4;
    }

    for ( ;; ) {
        line = strstr(p, "\r\n");

        if (line == NULL) {
            break;
        }

        size = strtoul(p, NULL, 16);

        if ((size_t) (s->in + s->len - line) < 2 + size + 2) {
            break;
        }

        if (size == 0) {
            return 1;
        }

        client_match(s, line + 2, size);
        p = line + 2 + size + 2;
    }

    used = p - s->in;
    memmove(s->in, p, s->len - used + 1);
    s->len -= used;

    return 0;
}


static void
client_read(sse_t *s, const char *token)
{
    ssize_t  n;

    n = read(s->fd, s->in + s->len, sizeof(s->in) - 1 - s->len);

    if (n <= 0) {
        fprintf(stderr, "sse: the connection was closed\n");
        exit(1);
    }

    s->len += n;
    s->in[s->len] = '\0';

    if (!client_parse(s, &s->busy)) {
        return;
    }

    finished++;
    mismatched += (s->bad || s->at != expected_len);
    s->busy = 0;

    if (s->turn > 0) {
        client_send(s, token);
        return;
    }

    running--;
}


static int
ascending(const void *one, const void *two)
{
    int64_t  a = *(const int64_t *) one, b = *(const int64_t *) two;

    return (a > b) - (a < b);
}


static void
client(int port, int streams, int turns, const char *token)
{
    int                  i, n, fd, begun;
    sse_t               *s;
    int64_t              now, due, apart;
    struct sockaddr_in   sin;
    struct epoll_event   ev[256];

    firsts = calloc((size_t) streams * turns, sizeof(int64_t));
    ages = calloc((size_t) streams * turns * (tokens + 2), sizeof(int64_t));

    for (i = -1; i <= tokens; i++) {
        expected_len += chunk(expected + expected_len, i, -1, 0);
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    /* they begin one after the other over the length of a stream */

    apart = (int64_t) tokens * pause_ms * 1000 / streams;
    due = now_us();

    for (begun = 0, running = streams; running > 0; /* void */) {
        now = now_us();

        if (begun < streams && now >= due) {
            due += apart;
            fd = socket(AF_INET, SOCK_STREAM, 0);

            if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) < 0) {
                perror("sse: connect");
                exit(1);
            }

            s = fresh(fd);
            s->turn = turns;
            client_send(s, token);
            begun++;
        }

        n = epoll_wait(epoll, ev, 256, begun < streams ? 1 : 1000);

        while (n > 0) {
            client_read(ev[--n].data.ptr, token);
        }
    }

    qsort(firsts, n_firsts, sizeof(int64_t), ascending);
    qsort(ages, n_ages, sizeof(int64_t), ascending);

    printf("RESULT %lld %lld %lld %lld %lld %d %d\n",
           (long long) firsts[n_firsts / 2],
           (long long) firsts[n_firsts * 99 / 100],
           (long long) ages[n_ages / 2], (long long) ages[n_ages * 99 / 100],
           (long long) ages[n_ages - 1], finished, mismatched);
}


int
main(int argc, char **argv)
{
    epoll = epoll_create1(0);

    if (argc == 5 && strcmp(argv[1], "server") == 0) {
        tokens = atoi(argv[3]);
        pause_ms = atoi(argv[4]);
        server(atoi(argv[2]));

    } else if (argc == 8 && strcmp(argv[1], "client") == 0) {
        tokens = atoi(argv[5]);
        pause_ms = atoi(argv[6]);
        client(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), argv[7]);
        return 0;
    }

    fprintf(stderr, "usage: see the first lines of sse.c\n");
    return 1;
}
