/*
 * mg_redis.c: the copy of a snapshot that nodes share.
 *
 * One connection behind a mutex: there are a few calls a minute.  After any
 * failure it is closed and Redis is left alone for a while.  Values are
 * snapshot images; whoever reads one verifies it, so nothing here has to
 * trust what Redis says.
 *
 * Pool threads; blocks up to the time-outs below.
 */

#include "store/mg_redis.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "snapshot/mg_snap.h"


#define MG_REDIS_CONNECT_MS    200
#define MG_REDIS_COMMAND_MS    2000
#define MG_REDIS_HOLIDAY_US    5000000
#define MG_REDIS_KEEP_S        900
#define MG_REDIS_KEY_MAX       96


struct mg_redis_s {
    pthread_mutex_t   mutex;
    char             *host;          /* or the path of a socket */
    int               port;          /* 0: a socket */
    redisContext     *context;
    int64_t           holiday_us;    /* monotonic */
    pid_t             pid;
};


static redisReply *mg_redis_call(mg_redis_t *r, int argc, const char **argv,
    const size_t *lens, mg_error_t *e);
static int mg_redis_connect(mg_redis_t *r, mg_error_t *e);
static int mg_redis_failed(mg_redis_t *r, const char *what, mg_error_t *e);
static size_t mg_redis_key(char *key, unsigned kind, uint64_t generation);


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
    mg_buf_t *out, mg_error_t *e)
{
    int          rc;
    char         key[MG_REDIS_KEY_MAX];
    size_t       lens[2];
    redisReply  *reply;
    const char  *argv[2];

    argv[0] = "GET";
    lens[0] = 3;
    argv[1] = key;
    lens[1] = mg_redis_key(key, kind, generation);

    (void) pthread_mutex_lock(&r->mutex);

    reply = mg_redis_call(r, 2, argv, lens, e);

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
        rc = mg_redis_failed(r, "an answer of an unexpected type", e);
    }

    if (reply) {
        freeReplyObject(reply);
    }

    (void) pthread_mutex_unlock(&r->mutex);

    return rc;
}


int
mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    mg_str_t image, mg_error_t *e)
{
    int          rc;
    char         key[MG_REDIS_KEY_MAX], seconds[16];
    size_t       lens[5];
    redisReply  *reply;
    const char  *argv[5];

    argv[0] = "SET";
    lens[0] = 3;
    argv[1] = key;
    lens[1] = mg_redis_key(key, kind, generation);
    argv[2] = image.data;
    lens[2] = image.len;
    argv[3] = "EX";
    lens[3] = 2;
    argv[4] = seconds;
    lens[4] = (size_t) snprintf(seconds, sizeof(seconds), "%d",
                                MG_REDIS_KEEP_S);

    (void) pthread_mutex_lock(&r->mutex);

    reply = mg_redis_call(r, 5, argv, lens, e);
    rc = MG_OK;

    if (reply == NULL) {
        rc = MG_ERROR;

    } else {

        if (reply->type != REDIS_REPLY_STATUS) {
            rc = mg_redis_failed(r, "the value was not taken", e);
        }

        freeReplyObject(reply);
    }

    (void) pthread_mutex_unlock(&r->mutex);

    return rc;
}


/* Under the mutex.  NULL and *e: the connection is closed. */

static redisReply *
mg_redis_call(mg_redis_t *r, int argc, const char **argv, const size_t *lens,
    mg_error_t *e)
{
    redisReply  *reply;

    /* the socket of a parent process is not ours to use or to close */

    if (r->pid != getpid()) {
        r->context = NULL;
        r->pid = getpid();
    }

    if (r->context == NULL && mg_redis_connect(r, e) != MG_OK) {
        return NULL;
    }

    reply = redisCommandArgv(r->context, argc, argv, lens);

    if (reply == NULL) {
        (void) mg_redis_failed(r, r->context->errstr, e);
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        (void) mg_redis_failed(r, reply->str, e);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


static int
mg_redis_connect(mg_redis_t *r, mg_error_t *e)
{
    struct timeval  connect, command;

    if (mg_mono_us() < r->holiday_us) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "Redis is left alone for a while after a "
                            "failure");
    }

    connect.tv_sec = MG_REDIS_CONNECT_MS / 1000;
    connect.tv_usec = MG_REDIS_CONNECT_MS % 1000 * 1000;
    command.tv_sec = MG_REDIS_COMMAND_MS / 1000;
    command.tv_usec = MG_REDIS_COMMAND_MS % 1000 * 1000;

    r->context = r->port
                 ? redisConnectWithTimeout(r->host, r->port, connect)
                 : redisConnectUnixWithTimeout(r->host, connect);

    if (r->context == NULL) {
        return mg_redis_failed(r, "out of memory", e);
    }

    if (r->context->err) {
        return mg_redis_failed(r, r->context->errstr, e);
    }

    if (redisSetTimeout(r->context, command) != REDIS_OK) {
        return mg_redis_failed(r, "time-outs cannot be set", e);
    }

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

    r->holiday_us = mg_mono_us() + MG_REDIS_HOLIDAY_US;

    return MG_ERROR;
}


static size_t
mg_redis_key(char *key, unsigned kind, uint64_t generation)
{
    return (size_t) snprintf(key, MG_REDIS_KEY_MAX,
                             "model:snap:%u:%u:%llu", kind,
                             (unsigned) MG_SNAP_VERSION,
                             (unsigned long long) generation);
}
