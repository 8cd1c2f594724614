/*
 * watch.c: many WebSocket watchers of one run, and how soon they hear.
 *
 *     watch PORT PATH TOKEN WATCHERS EVENTS
 *
 * Opens the WebSockets, says "open N" on standard output, and reads frames
 * until each watcher has had EVENTS of them that hold "stamp-NANOSECONDS", the
 * realtime at which the database row was written, or none has come for 5 s: a
 * watcher that is late hears of the last of two rows only.  Prints, in
 * microseconds, p50, p99 and the maximum of the ages at which they arrived,
 * how many frames there were, how many watchers were lost, and how many had
 * the last event that any had.  Pings are answered.
 *
 * Part of the benchmark: one thread, loopback only.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>


#define WATCH_BUFFER   4096
#define WATCH_IDLE     5000      /* ms without an event: give up */


typedef struct {
    int       fd;
    unsigned  len;
    unsigned  events;
    int64_t   last;          /* time in its last event */
    char      data[WATCH_BUFFER];
} watch_t;


static watch_t   *watchers;
static uint32_t  *ages;
static unsigned   n_ages, n_lost, want;
static int64_t    newest, heard;       /* last event; when one came */


static int64_t
watch_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}


static void
watch_die(const char *what)
{
    fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
watch_open(watch_t *w, int port, const char *path, const char *token)
{
    int                 n, len;
    char                text[1024];
    struct sockaddr_in  to;

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t) port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    w->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (w->fd == -1
        || connect(w->fd, (struct sockaddr *) &to, sizeof(to)) == -1)
    {
        watch_die("connect");
    }

    len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                   "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Authorization: Bearer %s\r\n\r\n", path, token);

    if (write(w->fd, text, (size_t) len) != len) {
        watch_die("write");
    }

    /* the head, byte by byte: frames may follow at once */

    for (n = 0; n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0; n++) {
        if (n == sizeof(text) || read(w->fd, text + n, 1) != 1) {
            watch_die("no answer");
        }
    }

    if (memcmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "watch: %.*s\n", n, text);
        exit(1);
    }

    (void) fcntl(w->fd, F_SETFL, O_NONBLOCK);
}


static void
watch_frame(watch_t *w, int opcode, const char *text, unsigned len,
    int64_t now)
{
    char        *p, head[6 + 125];
    static char  line[WATCH_BUFFER];

    if (opcode == 9) {
        memcpy(head, "\x8a\x80\0\0\0\0", 6);
        (void) !write(w->fd, head, 6);
        return;
    }

    memcpy(line, text, len);
    line[len] = '\0';
    p = strstr(line, "stamp-");

    if (opcode == 1 && p && w->events < want) {
        w->events++;
        w->last = atoll(p + 6);
        ages[n_ages++] = (uint32_t) ((now - w->last) / 1000);

        heard = now;

        if (w->last > newest) {
            newest = w->last;
        }
    }
}


static void
watch_read(watch_t *w)
{
    int64_t         now;
    ssize_t         n;
    unsigned        head, len, at;
    unsigned char  *p;

    n = read(w->fd, w->data + w->len, sizeof(w->data) - 1 - w->len);
    now = watch_now();

    if (n <= 0) {
        n_lost++;
        (void) close(w->fd);
        w->fd = -1;
        return;
    }

    w->len += (unsigned) n;

    for (at = 0; w->len - at >= 2; at += head + len) {
        p = (unsigned char *) w->data + at;
        head = 2;
        len = p[1];

        if (len == 126) {
            if (w->len - at < 4) {
                break;
            }

            head = 4;
            len = (unsigned) p[2] << 8 | p[3];
        }

        if (w->len - at < head + len) {
            break;
        }

        watch_frame(w, p[0] & 15, w->data + at + head, len, now);
    }

    w->len -= at;
    memmove(w->data, w->data + at, w->len);
}


static int
watch_compare(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


int
main(int argc, char **argv)
{
    int                 ep, n, i;
    unsigned            count, k;
    struct epoll_event  ev, events[256];

    if (argc != 6) {
        fprintf(stderr, "watch PORT PATH TOKEN WATCHERS EVENTS\n");
        return 2;
    }

    count = (unsigned) atoi(argv[4]);
    want = (unsigned) atoi(argv[5]);
    watchers = calloc(count, sizeof(watch_t));
    ages = calloc((size_t) count * want, sizeof(uint32_t));
    ep = epoll_create1(0);

    if (watchers == NULL || ages == NULL || ep == -1) {
        watch_die("start");
    }

    for (k = 0; k < count; k++) {
        watch_open(&watchers[k], atoi(argv[1]), argv[2], argv[3]);
        ev.events = EPOLLIN;
        ev.data.ptr = &watchers[k];
        (void) epoll_ctl(ep, EPOLL_CTL_ADD, watchers[k].fd, &ev);
    }

    printf("open %u\n", count);
    fflush(stdout);

    heard = watch_now() + 15000000000LL;

    while (n_ages < count * want
           && watch_now() - heard < WATCH_IDLE * 1000000LL)
    {
        n = epoll_wait(ep, events, 256, 1000);

        if (n == -1 && errno != EINTR) {
            break;
        }

        for (i = 0; i < n; i++) {
            watch_read(events[i].data.ptr);
        }
    }

    if (n_ages == 0) {
        printf("0 0 0 0 %u 0\n", n_lost);
        return 1;
    }

    for (k = 0, n = 0; k < count; k++) {
        n += (watchers[k].last == newest);
    }

    qsort(ages, n_ages, sizeof(uint32_t), watch_compare);
    printf("%u %u %u %u %u %d\n", ages[n_ages / 2],
           ages[(size_t) n_ages * 99 / 100], ages[n_ages - 1], n_ages, n_lost,
           n);

    return 0;
}
