/*
 * mg_pg_local.h: what the files mg_pg*.c share.
 *
 *     mg_pg.c         the pool, connecting, giving back
 *     mg_pg_exec.c    statements, errors, transactions
 *     mg_pg_param.c   parameters and rows
 *     mg_pg_copy.c    COPY
 *     mg_pg_listen.c  LISTEN
 *
 * All waiting is done here, with poll() and a deadline: a server that stops
 * without closing its socket costs a thread its time-out, not its life.
 */

#ifndef MG_PG_LOCAL_H
#define MG_PG_LOCAL_H

#include <libpq-fe.h>
#include <sys/types.h>

#include "store/mg_pg.h"


#define MG_PG_STATEMENTS   512     /* prepared ones a connection, power of 2 */


struct mg_pg_s {
    mg_pg_pool_t  *pool;
    PGconn        *conn;           /* NULL: closed */
    unsigned       busy;           /* checked out; under the pool's mutex,
                                      so no bit of the word below */
    unsigned       dead:1;         /* to be closed */
    unsigned       copying:1;
    unsigned       opened:1;       /* BEGIN is in what was sent last */
    char           sqlstate[6];
    const char    *opening;        /* BEGIN, until there is a statement */
    unsigned       preparing;      /* slot of what was sent last, if new */
    unsigned       n_statements;

    /* open addressing; a slot's number is the statement's name */
    const char    *statements[MG_PG_STATEMENTS];
};


/* -- mg_pg.c -- */

/*
 * Connects with the options laid over the user's conninfo.  NULL and *e
 * (MG_E_UNAVAILABLE, without the conninfo).  Blocks up to the time-out.
 */
PGconn *mg_pg_connect(const mg_pg_options_t *o, mg_error_t *e);

/* Milliseconds that an answer may take, of the pool's options. */
int mg_pg_patience(const mg_pg_t *c);

/* A statement has taken from then (mg_mono_us()) until now. */
void mg_pg_took(const mg_pg_t *c, int64_t since_us);

/* The connection is of no use any more; the pool rests for a second. */
void mg_pg_lost(mg_pg_t *c);

/* libpq's or the server's words without line breaks, for messages. */
void mg_pg_words(const char *text, char *out, size_t size);


/* -- mg_pg_param.c -- */

/* timestamptz with microseconds and a NUL, room for 48; the length. */
size_t mg_pg_time_text(int64_t us, char *out);


/* -- mg_pg_exec.c -- */

/*
 * Waits for the next result of what was sent.  NULL with *e set when the
 * connection is lost or the deadline has passed; NULL and MG_E_NONE at the
 * end of the results.
 */
PGresult *mg_pg_result(mg_pg_t *c, mg_error_t *e);

/*
 * Waits until the server says something, at most until then (mg_mono_us()),
 * and takes it in.  MG_ERROR when the connection is lost.
 */
int mg_pg_input(mg_pg_t *c, int64_t until, mg_error_t *e);

/* Sends everything that is queued; MG_ERROR when the connection is lost. */
int mg_pg_flush(mg_pg_t *c, mg_error_t *e);

/* Translates a result that is an error; returns MG_ERROR. */
int mg_pg_failed(mg_pg_t *c, const PGresult *res, mg_error_t *e);


#endif /* MG_PG_LOCAL_H */
