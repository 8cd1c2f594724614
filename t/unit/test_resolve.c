/*
 * What would break: names that nobody answers, each of which takes its time,
 * keep others from being asked for when their time is over, so that a provider
 * that moves is not followed; or a name of which nothing is known has to wait
 * for the renewal of those that are.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "snapshot/mg_snap_resolve.h"
#include "tap.h"


#define DARK          90            /* names that get no answer */
#define DARK_MS       25            /* which each is waited for */
#define TTL           1             /* s, of one that gets one */
#define ASKED         2             /* times within these */
#define AGAIN_MS      200           /* so long until a dark one is due */
#define HEADER        12


static int  fd;
static int  dark;                   /* asked for since the last answer */
static int  most;                   /* of that, from the second one on */
static int  answered;
static int  asked_new;              /* "gnu.test" */


/* "A" of a name that begins with "g" is 127.0.0.1. */

static void *
serve(void *data)
{
    ssize_t             n;
    uint8_t             msg[600];
    socklen_t           len;
    struct sockaddr_in  from;
    const uint8_t       tail[] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, TTL, 0, 4,
                                   127, 0, 0, 1 };

    for ( ;; ) {
        len = sizeof(from);
        n = recvfrom(fd, msg, 512, 0, (struct sockaddr *) &from, &len);

        if (n < HEADER + 6) {
            return data;
        }

        if (msg[HEADER + 1] != 'g') {
            if (msg[n - 3] == 1) {
                (void) __atomic_add_fetch(&dark, 1, __ATOMIC_RELAXED);
            }

            continue;
        }

        msg[2] |= 0x80;

        if (msg[n - 3] == 1) {
            msg[7] = 1;
            memcpy(msg + n, tail, sizeof(tail));
            n += sizeof(tail);

            if (answered >= 2 && dark > most) {
                most = dark;
            }

            if (msg[HEADER + 2] == 'n') {
                __atomic_store_n(&asked_new, 1 + dark, __ATOMIC_RELEASE);
            }

            __atomic_store_n(&dark, 0, __ATOMIC_RELAXED);
            __atomic_add_fetch(&answered, 1, __ATOMIC_RELEASE);
        }

        (void) sendto(fd, msg, n, 0, (struct sockaddr *) &from, len);
    }
}


static void
listen_at(mg_dns_server_t *server)
{
    char                text[32];
    socklen_t           len;
    mg_error_t          e;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(sin);
    fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd == -1 || bind(fd, (struct sockaddr *) &sin, len) != 0
        || getsockname(fd, (struct sockaddr *) &sin, &len) != 0)
    {
        fail("a socket");
        exit(done_testing());
    }

    (void) snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(sin.sin_port));
    (void) mg_dns_server(mg_str_z(text), server, &e);
}


static void
turns(void)
{
    char               name[16];
    int                i;
    mg_error_t         e;
    pthread_t          thread;
    mg_resolved_t      found;
    mg_resolve_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.n_servers = 1;
    conf.timeout_ms = DARK_MS;
    conf.again_ms = AGAIN_MS;
    listen_at(&conf.servers[0]);
    mg_resolve_configure(&conf);

    (void) pthread_create(&thread, NULL, serve, NULL);
    mg_resolve_round();

    if (mg_resolve_start(&e) != MG_OK) {
        fail("%s", e.message);
        exit(done_testing());
    }

    /* no answer in time is none: asked again, on a machine that stood still */

    while (mg_resolve(mg_str("good.test"), 80, 0, &found) != MG_OK) {
        usleep(1000);
    }

    is_int(found.n, 1, "a name has its address");

    /* a build waits for a second at most, the thread asks on */

    for (i = 0; i < DARK; i++) {
        (void) snprintf(name, sizeof(name), "dark%d.test", i);
        (void) mg_resolve(mg_str_z(name), 80, 0, &found);
    }

    is_int(found.n, 0, "others have none");

    while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) < 5) {
        usleep(1000);
    }

    ok(most > 0, "these are asked for all the time");
    ok(most <= ASKED * (TTL * 1000 / DARK_MS + 2),
       "but %d at most before the one whose time is over", most);

    i = __atomic_load_n(&dark, __ATOMIC_RELAXED);
    (void) mg_resolve(mg_str("gnu.test"), 80, 0, &found);

    while (__atomic_load_n(&asked_new, __ATOMIC_ACQUIRE) == 0) {
        usleep(1000);
    }

    i = __atomic_load_n(&asked_new, __ATOMIC_RELAXED) - 1 - i;
    ok(i < DARK, "a new one is asked for soon, after %d of them", i);

    mg_resolve_end();
    mg_resolve_stop();
    (void) shutdown(fd, SHUT_RDWR);
    (void) pthread_join(thread, NULL);
    (void) close(fd);
}


int
main(void)
{
    turns();

    return done_testing();
}
