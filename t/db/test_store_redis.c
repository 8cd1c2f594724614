/*
 * Redis: if this breaks, a node is given another snapshot than was put, two
 * nodes build at once or none does, somebody's lock is given back by another
 * one, or a node waits for a Redis that is not there, hangs, trickles or
 * talks nonsense.  Images are any bytes, and large; the address of a private
 * Redis is in MODEL_TEST_REDIS, without it the test is skipped.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "snapshot/mg_snap.h"
#include "store/mg_redis.h"
#include "tap.h"


#define NODES     20
#define SIZE      (3 * 1024 * 1024 + 17)


typedef struct {
    const char  *what;
    const char  *answer;         /* to each command; NULL: none */
    unsigned     pause_ms;       /* between its bytes */
    int          is_down;        /* Redis is left alone afterwards */
} fake_t;


static const char  *address;
static char        *image;
static unsigned     builders, waiters, takers;


/* A connection that a server which stood still for a moment does not end. */

static mg_redis_t *
patient(void)
{
    mg_redis_t  *r;

    r = mg_redis_create(address);
    mg_redis_patient(r, 1);

    return r;
}


/* -- a real one -- */

static void
test_copies(void)
{
    unsigned     n;
    mg_buf_t     b;
    mg_error_t   e;
    mg_redis_t  *r;

    mg_buf_init(&b, 0);
    r = patient();

    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, 0, &b, &e), MG_DECLINED,
           "not there");
    is_int(mg_redis_snap_put(r, MG_SNAP_CATALOG, 7, 0, mg_str_n(image, SIZE),
                             &e), MG_OK, "put");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, SIZE, &b, &e), MG_OK,
           "got");
    is_mem(b.data, b.len, image, SIZE, "every byte");
    is_int(mg_redis_snap_get(r, MG_SNAP_ROUTING, 7, 0, &b, &e), MG_DECLINED,
           "another kind");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 8, 0, &b, &e), MG_DECLINED,
           "another generation");

    is_int(mg_redis_snap_put(r, MG_SNAP_CATALOG, 8, 7, mg_str("x"), &e),
           MG_OK, "the next one");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, 0, &b, &e), MG_DECLINED,
           "takes the place of the old one");
    is_int(mg_redis_snap_drop(r, MG_SNAP_CATALOG, 8, &n, &e), MG_OK, "drop");
    is_uint(n, 1, "it was there");
    is_int(mg_redis_snap_drop(r, MG_SNAP_CATALOG, 8, &n, &e), MG_OK,
           "drop again");
    is_uint(n, 0, "it was not");

    mg_redis_destroy(r);
    mg_buf_free(&b);
}


static void
test_lock(void)
{
    unsigned         n;
    mg_error_t       e;
    mg_redis_t      *one, *two;
    mg_redis_lock_t  a, b, old;

    one = patient();
    two = patient();

    is_int(mg_redis_snap_claim(one, MG_SNAP_CATALOG, 20, 5000, &a, &e),
           MG_DECLINED, "nobody builds: this one does");
    is_int(mg_redis_snap_claim(two, MG_SNAP_CATALOG, 20, 5000, &b, &e),
           MG_AGAIN, "another one waits");
    mg_redis_snap_release(two, &b);
    is_int(mg_redis_snap_claim(two, MG_SNAP_CATALOG, 20, 5000, &b, &e),
           MG_AGAIN, "who waits gives nothing back");
    is_int(mg_redis_snap_claim(two, MG_SNAP_ROUTING, 20, 5000, &b, &e),
           MG_DECLINED, "each kind has a lock of its own");
    mg_redis_snap_release(two, &b);

    (void) mg_redis_snap_put(one, MG_SNAP_CATALOG, 20, 0, mg_str("abc"), &e);
    mg_redis_snap_release(one, &a);
    is_int(mg_redis_snap_claim(two, MG_SNAP_CATALOG, 20, 5000, &b, &e),
           MG_OK, "it is there");
    is_uint(b.size, 3, "and how large it is");
    (void) mg_redis_snap_drop(one, MG_SNAP_CATALOG, 20, &n, &e);

    /* too slow: somebody else has it by now */

    is_int(mg_redis_snap_claim(one, MG_SNAP_CATALOG, 21, 50, &old, &e),
           MG_DECLINED, "a lock for 50 ms");
    (void) usleep(80000);
    is_int(mg_redis_snap_claim(two, MG_SNAP_CATALOG, 21, 5000, &b, &e),
           MG_DECLINED, "goes to another one then");
    mg_redis_snap_release(one, &old);
    is_int(mg_redis_snap_claim(one, MG_SNAP_CATALOG, 21, 5000, &a, &e),
           MG_AGAIN, "who was too slow does not give it back");
    mg_redis_snap_release(two, &b);
    is_int(mg_redis_snap_claim(one, MG_SNAP_CATALOG, 21, 5000, &a, &e),
           MG_DECLINED, "its owner does");
    mg_redis_snap_release(one, &a);

    mg_redis_destroy(one);
    mg_redis_destroy(two);
}


/* One of many nodes that start at once. */

static void *
node(void *data)
{
    int              i, rc;
    mg_buf_t         b;
    mg_error_t       e;
    mg_redis_t      *r;
    mg_redis_lock_t  lock;

    (void) data;

    r = patient();
    mg_buf_init(&b, 0);

    for ( ;; ) {
        rc = mg_redis_snap_claim(r, MG_SNAP_CATALOG, 30, 5000, &lock, &e);

        if (rc != MG_AGAIN) {
            break;
        }

        __atomic_fetch_add(&waiters, 1, __ATOMIC_RELAXED);
        (void) usleep(5000);
    }

    if (rc == MG_DECLINED) {
        __atomic_fetch_add(&builders, 1, __ATOMIC_RELAXED);

        for (i = 0; i < 2000; i++) {
            if (__atomic_load_n(&waiters, __ATOMIC_RELAXED)) {
                break;
            }

            (void) usleep(1000);
        }
        (void) mg_redis_snap_put(r, MG_SNAP_CATALOG, 30, 0,
                                 mg_str_n(image, SIZE), &e);
        mg_redis_snap_release(r, &lock);

    } else if (rc == MG_OK
               && mg_redis_snap_get(r, MG_SNAP_CATALOG, 30, lock.size, &b,
                                    &e)
                  == MG_OK
               && b.len == SIZE && memcmp(b.data, image, SIZE) == 0)
    {
        __atomic_fetch_add(&takers, 1, __ATOMIC_RELAXED);
    }

    mg_buf_free(&b);
    mg_redis_destroy(r);

    return NULL;
}


static void
test_nodes(void)
{
    unsigned   i, n;
    pthread_t  threads[NODES];

    for (i = 0, n = 0; i < NODES; i++) {
        n += (pthread_create(&threads[i], NULL, node, NULL) == 0);
    }

    for (i = 0; i < n; i++) {
        (void) pthread_join(threads[i], NULL);
    }

    is_uint(n, NODES, "%u nodes", n);
    is_uint(builders, 1, "one has built");
    is_uint(takers, NODES - 1, "the others have taken what it made");
    ok(waiters > 0, "and have waited for it");
}


/* -- those that are none -- */

static void
answer(int fd, const fake_t *f)
{
    char         buf[65536];
    const char  *p;

    while (read(fd, buf, sizeof(buf)) > 0) {

        for (p = f->answer; p && *p; p++) {
            if (write(fd, p, 1) != 1) {
                return;
            }

            if (f->pause_ms) {
                (void) usleep(f->pause_ms * 1000);
            }
        }
    }
}


/* The server is a process of its own; its pid. */

static pid_t
fake_start(const char *path, const fake_t *f)
{
    int                 fd, s;
    pid_t               pid;
    struct sockaddr_un  un;

    memset(&un, 0, sizeof(un));
    un.sun_family = AF_UNIX;
    (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == -1 || bind(fd, (struct sockaddr *) &un, sizeof(un)) == -1
        || listen(fd, 8) == -1)
    {
        return -1;
    }

    pid = fork();

    if (pid == 0) {
        for ( ;; ) {
            s = accept(fd, NULL, NULL);
            answer(s, f);
            (void) close(s);
        }
    }

    (void) close(fd);

    return pid;
}


static void
test_fakes(void)
{
    int              rc;
    char             path[64], url[80];
    pid_t            pid;
    int64_t          begun, took;
    unsigned         i;
    mg_buf_t         b;
    mg_error_t       e;
    mg_redis_t      *r;
    mg_redis_lock_t  lock;

    static const fake_t  fakes[] = {
        { "one that never answers", NULL, 0, 1 },
        { "one that trickles", "$100000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
          50, 1 },
        { "no Redis", "HTTP/1.1 400 Bad Request\r\n\r\n", 0, 1 },
        { "an absurd length", "$99999999999999\r\n", 0, 1 },
        { "a negative one", "$-7\r\n", 0, 1 },
        { "a full one", "-OOM command not allowed\r\n", 0, 0 },
        { "one that loads", "-LOADING Redis is loading\r\n", 0, 0 },
        { "another type", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", 0, 0 },
        { "a text", "+OK\r\n", 0, 0 }
    };

    (void) snprintf(path, sizeof(path), "/tmp/model-redis-%d",
                    (int) getpid());
    (void) snprintf(url, sizeof(url), "unix:%s", path);
    mg_buf_init(&b, 0);

    for (i = 0; i < sizeof(fakes) / sizeof(fakes[0]); i++) {
        pid = fake_start(path, &fakes[i]);
        r = mg_redis_create(url);
        mg_redis_patient(r, !fakes[i].is_down);
        begun = mg_mono_us();

        rc = mg_redis_snap_claim(r, MG_SNAP_CATALOG, 1, 1000, &lock, &e);
        is_int(rc, MG_ERROR, "%s: no lock", fakes[i].what);
        ok(!lock.held, "%s: none is held", fakes[i].what);

        /* a text is not what GET answers either */

        rc = mg_redis_snap_get(r, MG_SNAP_CATALOG, 1, 0, &b, &e);
        is_int(rc, MG_ERROR, "%s: no copy", fakes[i].what);

        took = mg_mono_us() - begun;
        ok(took < 10000000, "%s: %ld ms", fakes[i].what,
           (long) (took / 1000));
        ok((strstr(e.message, "left alone") != NULL) == fakes[i].is_down,
           "%s: %s", fakes[i].what, e.message);

        mg_redis_destroy(r);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        (void) unlink(path);
    }

    mg_buf_free(&b);
}


static void
test_absent(void)
{
    int          i;
    int64_t      start;
    mg_buf_t     b;
    mg_error_t   e;
    mg_redis_t  *r;

    mg_buf_init(&b, 0);
    r = mg_redis_create("unix:/nowhere/redis.sock");
    is_int(mg_redis_snap_get(r, MG_SNAP_CATALOG, 7, 0, &b, &e), MG_ERROR,
           "no Redis");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");

    start = mg_mono_us();

    for (i = 0; i < 1000; i++) {
        (void) mg_redis_snap_put(r, MG_SNAP_CATALOG, 7, 0, mg_str("x"), &e);
    }

    ok(mg_mono_us() - start < 1000000, "and is left alone for a while");

    mg_redis_destroy(r);
    mg_buf_free(&b);
}


int
main(void)
{
    size_t  i;

    (void) signal(SIGPIPE, SIG_IGN);
    address = getenv("MODEL_TEST_REDIS");

    if (address == NULL) {
        printf("1..0 # SKIP MODEL_TEST_REDIS is not set\n");
        return 0;
    }

    image = malloc(SIZE);

    for (i = 0; i < SIZE; i++) {
        image[i] = (char) (i * 7 + i / 251);
    }

    test_copies();
    test_lock();
    test_nodes();
    test_fakes();
    test_absent();

    free(image);

    return done_testing();
}
