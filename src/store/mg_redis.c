/*
 * mg_redis.c: the copy of a snapshot that nodes share.
 *
 * One connection behind a mutex: there are a few calls a second at most.
 * Values are snapshot images; whoever reads one verifies it, so nothing here
 * has to trust what Redis says.  Requests are written from where they lie
 * and answers are read by hiredis, both with poll() and one deadline for the
 * whole call: a time-out of the socket begins anew with each byte.
 *
 * The lock is SET NX PX with a random token, taken in one script with the
 * question whether the copy is there, and given back by compare-and-delete,
 * so that who was too slow does not give back somebody else's.
 *
 * Pool threads; blocks up to the time-outs below.
 */

#include "store/mg_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mg_crypt.h"
#include "base/mg_time.h"
#include "snapshot/mg_snap.h"


#define MG_REDIS_CONNECT_MS     200
#define MG_REDIS_COMMAND_US     300000
#define MG_REDIS_PATIENT_US     2000000
#define MG_REDIS_FILE_US        2000000
#define MG_REDIS_HOLIDAY_US     5000000
#define MG_REDIS_HOLIDAY_MAX    40000000
#define MG_REDIS_CATALOG_S      "900"
#define MG_REDIS_ROUTING_S      "1800"
#define MG_REDIS_KEY_MAX        96

/* Written at once, and the rest between two of them. */
#define MG_REDIS_PIECE          ((size_t) 64 * 1024)
#define MG_REDIS_REST_US        50

/* Beyond this a file is not shared; Redis itself takes 512 MB. */
#define MG_REDIS_VALUE_MAX      (256 * 1024 * 1024)


struct mg_redis_s {
    pthread_mutex_t   mutex;
    char             *host;          /* or the path of a socket */
    int               port;          /* 0: a socket */
    redisContext     *context;
    int64_t           holiday_us;    /* monotonic: not before */
    int64_t           pause_us;      /* the next holiday's length */
    int64_t           command_us;    /* time for a short command */
    pid_t             pid;
};


static redisReply *mg_redis_call(mg_redis_t *r, unsigned n,
    const mg_str_t *args, int64_t patience_us, mg_error_t *e);
static int mg_redis_closed(const redisContext *c);
static int mg_redis_integer(mg_redis_t *r, unsigned n, const mg_str_t *args,
    long long *value, mg_error_t *e);
static int mg_redis_send(mg_redis_t *r, unsigned n, const mg_str_t *args,
    int64_t until, mg_error_t *e);
static int mg_redis_write(mg_redis_t *r, mg_str_t bytes, int64_t until,
    mg_error_t *e);
static redisReply *mg_redis_read(mg_redis_t *r, int64_t until,
    mg_error_t *e);
static int mg_redis_poll(mg_redis_t *r, short events, int64_t until,
    mg_error_t *e);
static int mg_redis_connect(mg_redis_t *r, mg_error_t *e);
static int mg_redis_failed(mg_redis_t *r, const char *what, mg_error_t *e);
static int mg_redis_odd(mg_error_t *e);
static mg_str_t mg_redis_key(char *key, const char *what, unsigned kind,
    uint64_t generation);
static int64_t mg_redis_patience(size_t len);


static const char  mg_redis_claim[] =
    "local n = redis.call('strlen', KEYS[1]) "
    "if n > 0 then return n end "
    "if redis.call('set', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return 0 end "
    "return -1";

static const char  mg_redis_release[] =
    "if redis.call('get', KEYS[1]) == ARGV[1] then "
    "return redis.call('del', KEYS[1]) end "
    "return 0";


mg_redis_t *
mg_redis_create(const char *address)
{
    char        *colon;
    size_t       n;
    mg_redis_t  *r;

    r = calloc(1, sizeof(mg_redis_t));
    if (r == NULL) {
        return NULL;
    }

    if (strncmp(address, "unix:", 5) == 0) {
        r->host = strdup(address + 5);

    } else {
        r->host = strdup(address);
        r->port = 6379;

        colon = r->host ? strrchr(r->host, ':') : NULL;

        if (colon) {
            *colon = '\0';
            r->port = atoi(colon + 1);
        }

        n = r->host ? strlen(r->host) : 0;

        if (n > 2 && r->host[0] == '[' && r->host[n - 1] == ']') {
            r->host[n - 1] = '\0';
            memmove(r->host, r->host + 1, n - 1);
        }
    }

    if (r->host == NULL) {
        free(r);
        return NULL;
    }

    r->pid = getpid();
    r->pause_us = MG_REDIS_HOLIDAY_US;
    r->command_us = MG_REDIS_COMMAND_US;
    (void) pthread_mutex_init(&r->mutex, NULL);

    return r;
}


void
mg_redis_destroy(mg_redis_t *r)
{
    if (r == NULL) {
        return;
    }

    if (r->context) {
        redisFree(r->context);
    }

    (void) pthread_mutex_destroy(&r->mutex);
    free(r->host);
    free(r);
}


int
mg_redis_snap_get(mg_redis_t *r, unsigned kind, uint64_t generation,
    size_t size, mg_buf_t *out, mg_error_t *e)
{
    int          rc;
    char         key[MG_REDIS_KEY_MAX];
    mg_str_t     args[2];
    redisReply  *reply;

    args[0] = mg_str("GET");
    args[1] = mg_redis_key(key, "snap", kind, generation);

    (void) pthread_mutex_lock(&r->mutex);

    reply = mg_redis_call(r, 2, args, mg_redis_patience(size), e);

    if (reply == NULL) {
        rc = MG_ERROR;

    } else if (reply->type == REDIS_REPLY_NIL) {
        rc = MG_DECLINED;

    } else if (reply->type == REDIS_REPLY_STRING) {
        mg_buf_add(out, reply->str, reply->len);
        rc = out->failed ? mg_error_set(e, MG_E_INTERNAL, NULL,
                                        "out of memory")
                         : MG_OK;

    } else {
        rc = mg_redis_odd(e);
    }

    if (reply) {
        freeReplyObject(reply);
    }

    (void) pthread_mutex_unlock(&r->mutex);

    return rc;
}


int
mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    uint64_t old, mg_str_t image, mg_error_t *e)
{
    int          rc;
    char         key[MG_REDIS_KEY_MAX];
    unsigned     n;
    mg_str_t     args[5];
    redisReply  *reply;

    if (image.len > MG_REDIS_VALUE_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "a snapshot of %zu bytes is too large for Redis",
                            image.len);
    }

    args[0] = mg_str("SET");
    args[1] = mg_redis_key(key, "snap", kind, generation);
    args[2] = image;
    args[3] = mg_str("EX");
    args[4] = (kind == MG_SNAP_CATALOG) ? mg_str(MG_REDIS_CATALOG_S)
                                        : mg_str(MG_REDIS_ROUTING_S);

    (void) pthread_mutex_lock(&r->mutex);

    reply = mg_redis_call(r, 5, args, mg_redis_patience(image.len), e);

    if (reply == NULL) {
        rc = MG_ERROR;

    } else {
        rc = (reply->type == REDIS_REPLY_STATUS) ? MG_OK : mg_redis_odd(e);
        freeReplyObject(reply);
    }

    (void) pthread_mutex_unlock(&r->mutex);

    if (rc == MG_OK && old != 0 && old != generation) {
        (void) mg_redis_snap_drop(r, kind, old, &n, NULL);
    }

    return rc;
}


int
mg_redis_snap_drop(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned *n, mg_error_t *e)
{
    int        rc;
    char       key[MG_REDIS_KEY_MAX];
    mg_str_t   args[2];
    long long  value;

    args[0] = mg_str("DEL");
    args[1] = mg_redis_key(key, "snap", kind, generation);

    rc = mg_redis_integer(r, 2, args, &value, e);
    *n = (rc == MG_OK && value > 0);

    return rc;
}


void
mg_redis_patient(mg_redis_t *r, int patient)
{
    (void) pthread_mutex_lock(&r->mutex);

    r->command_us = patient ? MG_REDIS_PATIENT_US : MG_REDIS_COMMAND_US;

    (void) pthread_mutex_unlock(&r->mutex);
}


int
mg_redis_snap_claim(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned expire_ms, mg_redis_lock_t *lock, mg_error_t *e)
{
    char       snap[MG_REDIS_KEY_MAX], name[MG_REDIS_KEY_MAX], ms[16];
    uint8_t    random[16];
    unsigned   i;
    mg_str_t   args[7];
    long long  value;

    memset(lock, 0, sizeof(mg_redis_lock_t));

    if (mg_random(random, sizeof(random)) != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "no random bytes");
    }

    for (i = 0; i < sizeof(random); i++) {
        (void) snprintf(lock->token + 2 * i, 3, "%02x", random[i]);
    }

    lock->kind = kind;
    lock->generation = generation;

    args[0] = mg_str("EVAL");
    args[1] = mg_str_z(mg_redis_claim);
    args[2] = mg_str("2");
    args[3] = mg_redis_key(snap, "snap", kind, generation);
    args[4] = mg_redis_key(name, "lock", kind, generation);
    args[5] = mg_str_z(lock->token);
    args[6].data = ms;
    args[6].len = (size_t) snprintf(ms, sizeof(ms), "%u", expire_ms);

    if (mg_redis_integer(r, 7, args, &value, e) != MG_OK) {
        return MG_ERROR;
    }

    if (value > 0) {
        lock->size = (size_t) value;
        return MG_OK;
    }

    lock->held = (value == 0);

    return lock->held ? MG_DECLINED : MG_AGAIN;
}


void
mg_redis_snap_release(mg_redis_t *r, mg_redis_lock_t *lock)
{
    char       name[MG_REDIS_KEY_MAX];
    mg_str_t   args[5];
    long long  value;

    if (!lock->held) {
        return;
    }

    lock->held = 0;

    args[0] = mg_str("EVAL");
    args[1] = mg_str_z(mg_redis_release);
    args[2] = mg_str("1");
    args[3] = mg_redis_key(name, "lock", lock->kind, lock->generation);
    args[4] = mg_str_z(lock->token);

    (void) mg_redis_integer(r, 5, args, &value, NULL);
}


/* A short command that is answered by a number. */

static int
mg_redis_integer(mg_redis_t *r, unsigned n, const mg_str_t *args,
    long long *value, mg_error_t *e)
{
    int          rc;
    redisReply  *reply;

    *value = 0;

    (void) pthread_mutex_lock(&r->mutex);

    reply = mg_redis_call(r, n, args, r->command_us, e);

    if (reply == NULL) {
        rc = MG_ERROR;

    } else {
        rc = (reply->type == REDIS_REPLY_INTEGER) ? MG_OK : mg_redis_odd(e);
        *value = reply->integer;
        freeReplyObject(reply);
    }

    (void) pthread_mutex_unlock(&r->mutex);

    return rc;
}


/* Under the mutex.  NULL and *e: Redis has failed, or has said no. */

static redisReply *
mg_redis_call(mg_redis_t *r, unsigned n, const mg_str_t *args,
    int64_t patience_us, mg_error_t *e)
{
    int64_t      until;
    redisReply  *reply;

    /* the socket of a parent process is not ours to use or to close */

    if (r->pid != getpid()) {
        r->context = NULL;
        r->pid = getpid();
    }

    if (r->context && mg_redis_closed(r->context)) {
        redisFree(r->context);
        r->context = NULL;
    }

    if (r->context == NULL && mg_redis_connect(r, e) != MG_OK) {
        return NULL;
    }

    until = mg_mono_us() + patience_us;

    if (mg_redis_send(r, n, args, until, e) != MG_OK) {
        return NULL;
    }

    reply = mg_redis_read(r, until, e);

    if (reply == NULL) {
        return NULL;
    }

    r->pause_us = MG_REDIS_HOLIDAY_US;

    if (reply->type == REDIS_REPLY_ERROR) {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL, "Redis says: %.300s",
                            reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* Redis was restarted, or closes what is idle: that is no failure. */

static int
mg_redis_closed(const redisContext *c)
{
    struct pollfd  fds;

    fds.fd = c->fd;
    fds.events = POLLIN;
    fds.revents = 0;

    return poll(&fds, 1, 0) != 0;
}


/* Large arguments are written from where they lie. */

static int
mg_redis_send(mg_redis_t *r, unsigned n, const mg_str_t *args, int64_t until,
    mg_error_t *e)
{
    int       rc;
    mg_buf_t  b;
    unsigned  i;

    rc = MG_OK;
    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "*%u\r\n", n);

    for (i = 0; rc == MG_OK && i < n; i++) {
        mg_buf_printf(&b, "$%zu\r\n", args[i].len);

        if (args[i].len < 4096) {
            mg_buf_str(&b, args[i]);

        } else {
            rc = b.failed ? MG_OK : mg_redis_write(r, mg_buf_view(&b), until,
                                                   e);
            b.len = 0;

            if (rc == MG_OK) {
                rc = mg_redis_write(r, args[i], until, e);
            }
        }

        mg_buf_z(&b, "\r\n");
    }

    if (rc == MG_OK) {
        rc = b.failed ? mg_redis_failed(r, "out of memory", e)
                      : mg_redis_write(r, mg_buf_view(&b), until, e);
    }

    mg_buf_free(&b);

    return rc;
}


/*
 * As long as more comes Redis reads on, in one system call that some kernels
 * do not interrupt: with what is large it would keep its core for
 * milliseconds, and its other clients waiting.
 */

static int
mg_redis_write(mg_redis_t *r, mg_str_t bytes, int64_t until, mg_error_t *e)
{
    ssize_t  n;

    while (bytes.len) {
        n = send(r->context->fd, bytes.data, bytes.len < MG_REDIS_PIECE
                                             ? bytes.len : MG_REDIS_PIECE,
                 MSG_NOSIGNAL);

        if (n > 0) {
            bytes.data += n;
            bytes.len -= (size_t) n;

            if (bytes.len >= MG_REDIS_PIECE) {
                (void) usleep(MG_REDIS_REST_US);
            }

            continue;
        }

        if (n == -1 && errno != EAGAIN && errno != EINTR) {
            return mg_redis_failed(r, strerror(errno), e);
        }

        if (mg_redis_poll(r, POLLOUT, until, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static redisReply *
mg_redis_read(mg_redis_t *r, int64_t until, mg_error_t *e)
{
    void          *reply;
    redisContext  *c;

    c = r->context;

    for ( ;; ) {
        reply = NULL;

        if (redisGetReplyFromReader(c, &reply) != REDIS_OK) {
            (void) mg_redis_failed(r, c->errstr, e);
            return NULL;
        }

        if (reply) {
            return reply;
        }

        if (c->reader->len > MG_REDIS_VALUE_MAX + 1024) {
            (void) mg_redis_failed(r, "an answer that is too large", e);
            return NULL;
        }

        if (mg_redis_poll(r, POLLIN, until, e) != MG_OK) {
            return NULL;
        }

        if (redisBufferRead(c) != REDIS_OK) {
            (void) mg_redis_failed(r, c->errstr, e);
            return NULL;
        }
    }
}


static int
mg_redis_poll(mg_redis_t *r, short events, int64_t until, mg_error_t *e)
{
    int            n;
    int64_t        left;
    struct pollfd  fds;

    left = until - mg_mono_us();

    if (left <= 0) {
        (void) mg_redis_failed(r, "no answer in time", e);

        /* one that refuses costs nothing, one that hangs costs a thread */

        if (r->pause_us < MG_REDIS_HOLIDAY_MAX) {
            r->pause_us *= 2;
        }

        return MG_ERROR;
    }

    fds.fd = r->context->fd;
    fds.events = events;
    fds.revents = 0;

    n = poll(&fds, 1, (int) (left / 1000) + 1);

    if (n == -1 && errno != EINTR) {
        return mg_redis_failed(r, strerror(errno), e);
    }

    return MG_OK;
}


static int
mg_redis_connect(mg_redis_t *r, mg_error_t *e)
{
    int             flags;
    struct timeval  connect;

    if (mg_mono_us() < r->holiday_us) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "Redis is left alone for a while after a "
                            "failure");
    }

    connect.tv_sec = MG_REDIS_CONNECT_MS / 1000;
    connect.tv_usec = MG_REDIS_CONNECT_MS % 1000 * 1000;

    r->context = r->port
                 ? redisConnectWithTimeout(r->host, r->port, connect)
                 : redisConnectUnixWithTimeout(r->host, connect);

    if (r->context == NULL) {
        return mg_redis_failed(r, "out of memory", e);
    }

    if (r->context->err) {
        return mg_redis_failed(r, r->context->errstr, e);
    }

    /* from here on waiting is done by mg_redis_poll() */

    flags = fcntl(r->context->fd, F_GETFL);

    if (flags == -1
        || fcntl(r->context->fd, F_SETFL, flags | O_NONBLOCK) == -1)
    {
        return mg_redis_failed(r, strerror(errno), e);
    }

    r->context->flags &= ~REDIS_BLOCK;

    return MG_OK;
}


/* A context that has failed once is of no use any more. */

static int
mg_redis_failed(mg_redis_t *r, const char *what, mg_error_t *e)
{
    (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL, "Redis: %.300s", what);

    if (r->context) {
        redisFree(r->context);
        r->context = NULL;
    }

    r->holiday_us = mg_mono_us() + r->pause_us;

    return MG_ERROR;
}


static int
mg_redis_odd(mg_error_t *e)
{
    return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                        "Redis: an answer of an unexpected type");
}


static mg_str_t
mg_redis_key(char *key, const char *what, unsigned kind, uint64_t generation)
{
    int  n;

    n = snprintf(key, MG_REDIS_KEY_MAX, "model:%s:%u:%u:%llu", what, kind,
                 (unsigned) MG_SNAP_VERSION, (unsigned long long) generation);

    return mg_str_n(key, (size_t) n);
}


static int64_t
mg_redis_patience(size_t len)
{
    return MG_REDIS_FILE_US
           + (int64_t) (len / (32 * 1024 * 1024)) * 1000000;
}
