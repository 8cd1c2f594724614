/*
 * mg_pg.c: the pool of connections.
 *
 *     slots[max]: closed -> connected, idle -> checked out -> idle ...
 *
 * A mutex guards the slots and the holiday; connecting is done outside of
 * it, by the thread that has checked the slot out, so one slow connect holds
 * up nobody else.  An idle connection whose server has gone shows it by
 * becoming readable: that is looked at before it is handed out.
 *
 * Jobs may wait long for one another's locks, each with a connection: they do
 * not get the last ones.
 *
 * Pool threads; mg_pg_pool_up() from anywhere.
 */

#include "store/mg_pg_local.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


#define MG_PG_MAX                  8
#define MG_PG_MAX_LIMIT            64
#define MG_PG_KEPT                 4         /* not for jobs, at most */
#define MG_PG_CONNECT_S            3
#define MG_PG_STATEMENT_MS         10000
#define MG_PG_WAIT_S               2         /* for a free connection */
#define MG_PG_HOLIDAY_US           1000000
#define MG_PG_GRACE_MS             3000      /* beyond the server's time-out */
#define MG_PG_KEYWORDS_MAX         64
#define MG_PG_SETTINGS_MAX         1024


struct mg_pg_pool_s {
    pthread_mutex_t   mutex;
    pthread_cond_t    free;
    mg_pg_options_t   options;
    char             *conninfo;
    char             *application;
    unsigned          max;
    int64_t           holiday_us;      /* monotonic; no connects before */
    int               up;              /* atomic */
    pid_t             pid;             /* whose connections they are */
    mg_pg_t          *slots;
};


static int mg_pg_is_alive(mg_pg_t *c);
static mg_pg_t *mg_pg_get(mg_pg_pool_t *p, unsigned keep, mg_error_t *e);
static mg_pg_t *mg_pg_take(mg_pg_pool_t *p, unsigned keep, mg_error_t *e);
static int mg_pg_rests(mg_pg_pool_t *p, mg_error_t *e);
static mg_pg_t *mg_pg_find(mg_pg_pool_t *p, unsigned keep);
static int mg_pg_open(mg_pg_t *c, mg_error_t *e);
static void mg_pg_close(mg_pg_t *c);
static void mg_pg_disown(mg_pg_pool_t *p);
static void mg_pg_settings(const mg_pg_options_t *o,
    const PQconninfoOption *user, char *out);
static unsigned mg_pg_keywords(const PQconninfoOption *user,
    const char **keywords, const char **values, unsigned n);


mg_pg_pool_t *
mg_pg_pool_create(const mg_pg_options_t *o)
{
    unsigned            i;
    mg_pg_pool_t       *p;
    pthread_condattr_t  attr;

    p = calloc(1, sizeof(mg_pg_pool_t));
    if (p == NULL) {
        return NULL;
    }

    p->max = o->max ? o->max : MG_PG_MAX;

    if (p->max > MG_PG_MAX_LIMIT) {
        p->max = MG_PG_MAX_LIMIT;
    }

    p->conninfo = strdup(o->conninfo);
    p->application = strdup(o->application ? o->application : "nginx");
    p->slots = calloc(p->max, sizeof(mg_pg_t));

    if (p->conninfo == NULL || p->application == NULL || p->slots == NULL) {
        free(p->conninfo);
        free(p->application);
        free(p->slots);
        free(p);
        return NULL;
    }

    for (i = 0; i < p->max; i++) {
        p->slots[i].pool = p;
    }

    p->options = *o;
    p->options.conninfo = p->conninfo;
    p->options.application = p->application;
    p->pid = getpid();

    (void) pthread_mutex_init(&p->mutex, NULL);
    (void) pthread_condattr_init(&attr);
    (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void) pthread_cond_init(&p->free, &attr);
    (void) pthread_condattr_destroy(&attr);

    return p;
}


void
mg_pg_pool_destroy(mg_pg_pool_t *p)
{
    unsigned  i;

    if (p == NULL) {
        return;
    }

    if (p->pid != getpid()) {
        mg_pg_disown(p);
    }

    for (i = 0; i < p->max; i++) {
        mg_pg_close(&p->slots[i]);
    }

    (void) pthread_cond_destroy(&p->free);
    (void) pthread_mutex_destroy(&p->mutex);
    free(p->slots);
    free(p->application);
    free(p->conninfo);
    free(p);
}


int
mg_pg_pool_up(const mg_pg_pool_t *p)
{
    return __atomic_load_n(&p->up, __ATOMIC_RELAXED);
}


mg_pg_t *
mg_pg_checkout(mg_pg_pool_t *p, mg_error_t *e)
{
    return mg_pg_get(p, 0, e);
}


mg_pg_t *
mg_pg_checkout_job(mg_pg_pool_t *p, mg_error_t *e)
{
    return mg_pg_get(p, p->max / 2 < MG_PG_KEPT ? p->max / 2 : MG_PG_KEPT,
                     e);
}


/* keep: so many are left to others. */

static mg_pg_t *
mg_pg_get(mg_pg_pool_t *p, unsigned keep, mg_error_t *e)
{
    mg_pg_t  *c;

    c = mg_pg_take(p, keep, e);
    if (c == NULL) {
        return NULL;
    }

    if (c->conn && !mg_pg_is_alive(c)) {
        mg_pg_close(c);
    }

    if (c->conn == NULL) {

        if (mg_pg_rests(p, e)) {
            mg_pg_release(c);
            return NULL;
        }

        if (mg_pg_open(c, e) != MG_OK) {
            mg_pg_lost(c);
            mg_pg_release(c);
            return NULL;
        }
    }

    __atomic_store_n(&p->up, 1, __ATOMIC_RELAXED);

    return c;
}


/* Marks a slot as busy; waits until one is free. */

static mg_pg_t *
mg_pg_take(mg_pg_pool_t *p, unsigned keep, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *c;
    struct timespec   until;

    (void) clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += MG_PG_WAIT_S;

    rc = 0;
    (void) pthread_mutex_lock(&p->mutex);

    if (p->pid != getpid()) {
        mg_pg_disown(p);
    }

    for ( ;; ) {
        c = mg_pg_find(p, keep);

        if (c || rc != 0) {
            break;
        }

        rc = pthread_cond_timedwait(&p->free, &p->mutex, &until);
    }

    if (c) {
        c->busy = 1;

    } else {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "no database connection became free within %d s; "
                            "try again, or raise the number of connections "
                            "(%u)", MG_PG_WAIT_S, p->max);
    }

    (void) pthread_mutex_unlock(&p->mutex);

    return c;
}


/* 1 and *e during the second after a failure. */

static int
mg_pg_rests(mg_pg_pool_t *p, mg_error_t *e)
{
    int64_t  until;

    (void) pthread_mutex_lock(&p->mutex);
    until = p->holiday_us;
    (void) pthread_mutex_unlock(&p->mutex);

    if (mg_mono_us() >= until) {
        return 0;
    }

    (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                        "the database is away; try again in a second");

    return 1;
}


/* A free slot, one that is connected first. */

static mg_pg_t *
mg_pg_find(mg_pg_pool_t *p, unsigned keep)
{
    mg_pg_t   *c;
    unsigned   i, n;

    c = NULL;

    for (i = 0, n = 0; i < p->max; i++) {

        if (p->slots[i].busy) {
            continue;
        }

        n++;

        if (c == NULL || (p->slots[i].conn && !c->conn)) {
            c = &p->slots[i];
        }
    }

    return n > keep ? c : NULL;
}


void
mg_pg_release(mg_pg_t *c)
{
    mg_pg_pool_t  *p;

    p = c->pool;
    c->opening = NULL;

    if (c->conn && !c->dead) {

        if (c->copying) {
            c->dead = 1;

        } else if (PQtransactionStatus(c->conn) != PQTRANS_IDLE) {
            mg_pg_rollback(c);
        }
    }

    if (c->dead || (c->conn && PQstatus(c->conn) != CONNECTION_OK)) {
        mg_pg_close(c);
    }

    (void) pthread_mutex_lock(&p->mutex);
    c->busy = 0;
    (void) pthread_cond_broadcast(&p->free);    /* it is not for each */
    (void) pthread_mutex_unlock(&p->mutex);
}


void
mg_pg_lost(mg_pg_t *c)
{
    mg_pg_pool_t  *p;

    p = c->pool;
    c->dead = 1;

    (void) pthread_mutex_lock(&p->mutex);
    p->holiday_us = mg_mono_us() + MG_PG_HOLIDAY_US;
    (void) pthread_mutex_unlock(&p->mutex);

    __atomic_store_n(&p->up, 0, __ATOMIC_RELAXED);
}


void
mg_pg_took(const mg_pg_t *c, int64_t since_us)
{
    if (c->pool->options.durations) {
        mg_histogram_add(c->pool->options.durations,
                         mg_mono_us() - since_us);
    }
}


int
mg_pg_patience(const mg_pg_t *c)
{
    unsigned  ms;

    ms = c->pool->options.statement_timeout_ms;

    return (int) (ms ? ms : MG_PG_STATEMENT_MS) + MG_PG_GRACE_MS;
}


/*
 * What waits to be read on an idle connection is its end, or last words
 * before it.  Rarely it is a changed setting: a new connection is cheap.
 */

static int
mg_pg_is_alive(mg_pg_t *c)
{
    struct pollfd  pfd;

    pfd.fd = PQsocket(c->conn);
    pfd.events = POLLIN;
    pfd.revents = 0;

    return pfd.fd != -1 && poll(&pfd, 1, 0) == 0
           && PQstatus(c->conn) == CONNECTION_OK;
}


static int
mg_pg_open(mg_pg_t *c, mg_error_t *e)
{
    c->dead = 0;
    c->copying = 0;
    c->n_statements = 0;
    memset(c->statements, 0, sizeof(c->statements));

    c->conn = mg_pg_connect(&c->pool->options, e);

    return c->conn ? MG_OK : MG_ERROR;
}


static void
mg_pg_close(mg_pg_t *c)
{
    if (c->conn) {
        PQfinish(c->conn);
        c->conn = NULL;
    }

    c->dead = 0;
    c->copying = 0;
}


/*
 * After a fork: the sockets are the parent's as well, so nothing may be sent
 * on them, not even a good-bye.
 */

static void
mg_pg_disown(mg_pg_pool_t *p)
{
    unsigned  i;

    for (i = 0; i < p->max; i++) {
        if (p->slots[i].conn) {
            (void) close(PQsocket(p->slots[i].conn));
            p->slots[i].conn = NULL;
        }

        p->slots[i].busy = 0;
    }

    p->pid = getpid();
}


PGconn *
mg_pg_connect(const mg_pg_options_t *o, mg_error_t *e)
{
    char               options[MG_PG_SETTINGS_MAX], timeout[16];
    char               words[256];
    char              *error;
    PGconn            *conn;
    unsigned           n;
    const char        *keywords[MG_PG_KEYWORDS_MAX];
    const char        *values[MG_PG_KEYWORDS_MAX];
    PQconninfoOption  *user;

    error = NULL;
    user = PQconninfoParse(o->conninfo, &error);

    if (user == NULL) {
        PQfreemem(error);
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "the database's conninfo cannot be read; write "
                            "it as \"host=/run/postgresql dbname=model\" or "
                            "as a postgresql:// URL");
        return NULL;
    }

    mg_pg_settings(o, user, options);

    (void) snprintf(timeout, sizeof(timeout), "%u",
                    o->connect_timeout_s ? o->connect_timeout_s
                                         : MG_PG_CONNECT_S);

    n = 0;

#define MG_PG_KEYWORD(k, v)  keywords[n] = k; values[n] = v; n++

    MG_PG_KEYWORD("connect_timeout", timeout);
    MG_PG_KEYWORD("keepalives", "1");
    MG_PG_KEYWORD("keepalives_idle", "5");
    MG_PG_KEYWORD("keepalives_interval", "2");
    MG_PG_KEYWORD("keepalives_count", "3");
    MG_PG_KEYWORD("tcp_user_timeout", "10000");
    MG_PG_KEYWORD("application_name", o->application);

    n = mg_pg_keywords(user, keywords, values, n);

    /* not for the user to change: rows are read as these say */

    MG_PG_KEYWORD("options", options);
    MG_PG_KEYWORD("client_encoding", "UTF8");
    MG_PG_KEYWORD(NULL, NULL);

#undef MG_PG_KEYWORD

    conn = PQconnectdbParams(keywords, values, 0);
    PQconninfoFree(user);

    if (conn == NULL) {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL, "out of memory");
        return NULL;
    }

    if (PQstatus(conn) != CONNECTION_OK || PQsetnonblocking(conn, 1) != 0) {
        mg_pg_words(PQerrorMessage(conn), words, sizeof(words));
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "the database cannot be reached: %s", words);
        PQfinish(conn);
        return NULL;
    }

    return conn;
}


/*
 * Settings of the session: the user's options, and ours behind them, since
 * the last one counts.
 */

static void
mg_pg_settings(const mg_pg_options_t *o, const PQconninfoOption *user,
    char *out)
{
    unsigned     ms;
    const char  *own;

    own = "";

    for ( /* void */ ; user->keyword; user++) {
        if (user->val && strcmp(user->keyword, "options") == 0
            && strlen(user->val) < MG_PG_SETTINGS_MAX / 2)
        {
            own = user->val;
        }
    }

    ms = o->statement_timeout_ms ? o->statement_timeout_ms
                                 : MG_PG_STATEMENT_MS;

    (void) snprintf(out, MG_PG_SETTINGS_MAX,
                    "%s -c statement_timeout=%u -c lock_timeout=%u "
                    "-c idle_in_transaction_session_timeout=%u "
                    "-c timezone=UTC -c datestyle=ISO "
                    "-c bytea_output=hex -c client_min_messages=error",
                    own, ms, ms / 2 + 1, ms * 2);
}


/* What the user has set; of a keyword that occurs twice the last counts. */

static unsigned
mg_pg_keywords(const PQconninfoOption *user, const char **keywords,
    const char **values, unsigned n)
{
    for ( /* void */ ; user->keyword; user++) {

        if (user->val == NULL || n + 3 >= MG_PG_KEYWORDS_MAX) {
            continue;
        }

        keywords[n] = user->keyword;
        values[n] = user->val;
        n++;
    }

    return n;
}


void
mg_pg_words(const char *text, char *out, size_t size)
{
    size_t  n;

    n = 0;

    for ( /* void */ ; *text && n + 1 < size; text++) {

        if ((unsigned char) *text >= ' ') {
            out[n++] = *text;

        } else if (n > 0 && out[n - 1] != ' ') {
            out[n++] = ' ';
        }
    }

    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }

    out[n] = '\0';
}
