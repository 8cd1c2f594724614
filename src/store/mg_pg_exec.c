/*
 * mg_pg_exec.c: runs statements and translates what goes wrong.
 *
 * A statement's text is a literal, so its address is its identity: a small
 * table a connection maps it to a prepared statement.  Messages carry the
 * server's primary text alone: its DETAIL shows whole rows, and those may
 * hold what nobody should read.
 *
 * Pool threads; blocks up to the statement time-out and a grace.
 */

#include "store/mg_pg_local.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>


typedef struct {
    const char       *sqlstate;       /* a prefix */
    mg_error_kind_e   kind;
} mg_pg_kind_t;


static int mg_pg_run(mg_pg_t *c, const char *sql, int prepared,
    const mg_pg_params_t *p, mg_pg_rows_t **rows, mg_error_t *e);
static int mg_pg_send(mg_pg_t *c, const char *sql, int prepared,
    const mg_pg_params_t *p, mg_error_t *e);
static int mg_pg_lives(const mg_pg_t *c, mg_error_t *e);
static int mg_pg_opening(mg_pg_t *c, mg_error_t *e);
static int mg_pg_send_plain(mg_pg_t *c, const char *sql,
    const mg_pg_params_t *p);
static unsigned mg_pg_statement(const mg_pg_t *c, const char *sql);
static int mg_pg_send_prepared(mg_pg_t *c, const char *sql, unsigned i,
    const mg_pg_params_t *p);
static int mg_pg_answers(mg_pg_t *c, const char *sql, mg_pg_rows_t **rows,
    mg_error_t *e);
static int mg_pg_collect(mg_pg_t *c, mg_pg_rows_t **rows, mg_error_t *e);
static int mg_pg_poll(mg_pg_t *c, short events, int64_t until,
    mg_error_t *e);
static int mg_pg_gone(mg_pg_t *c, mg_error_t *e);
static int mg_pg_params_ok(const mg_pg_params_t *p, mg_error_t *e);


/* The first prefix that matches counts. */

static const mg_pg_kind_t  mg_pg_kinds[] = {
    { "23505", MG_E_CONFLICT },         /* unique */
    { "23503", MG_E_CONFLICT },         /* foreign key */
    { "23514", MG_E_INVALID },          /* check */
    { "23502", MG_E_INVALID },          /* not null */
    { "22",    MG_E_INVALID },          /* data */
    { "57014", MG_E_TIMEOUT },          /* statement time-out */
    { "55P03", MG_E_TIMEOUT },          /* lock time-out */
    { "P0002", MG_E_NOT_FOUND },
    { "08",    MG_E_UNAVAILABLE },      /* connection */
    { "57P",   MG_E_UNAVAILABLE },      /* shutdown, crash */
    { "25P03", MG_E_UNAVAILABLE },      /* idle in transaction for too long */
    { "53",    MG_E_UNAVAILABLE },      /* disk, memory, connections */
    { "40",    MG_E_UNAVAILABLE },      /* deadlock, serialization */
    { "25006", MG_E_UNAVAILABLE },      /* a standby: read only */
    { "42P01", MG_E_INTERNAL },
    { "",      MG_E_INTERNAL }
};


int
mg_pg_exec(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e)
{
    return mg_pg_run(c, sql, 1, p, rows, e);
}


int
mg_pg_exec_dynamic(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e)
{
    return mg_pg_run(c, sql, 0, p, rows, e);
}


static int
mg_pg_run(mg_pg_t *c, const char *sql, int prepared, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e)
{
    int      rc;
    int64_t  begun;

    begun = mg_mono_us();

    rc = mg_pg_send(c, sql, prepared, p, e);

    if (rc == MG_OK) {
        rc = mg_pg_answers(c, sql, rows, e);
    }

    mg_pg_took(c, begun);

    return rc;
}


int
mg_pg_ask(mg_pg_t *c, const char *sql, mg_error_t *e)
{
    return mg_pg_send(c, sql, 0, NULL, e);
}


int
mg_pg_answer(mg_pg_t *c, mg_pg_rows_t **rows, mg_error_t *e)
{
    int      rc;
    int64_t  begun;

    begun = mg_mono_us();
    rc = mg_pg_collect(c, rows, e);
    mg_pg_took(c, begun);

    return rc;
}


const char *
mg_pg_sqlstate(const mg_pg_t *c)
{
    return c->sqlstate;
}


/* It goes out with the first statement, which saves its way there and back. */

int
mg_pg_begin(mg_pg_t *c, mg_error_t *e)
{
    c->opening = "begin";

    return mg_pg_lives(c, e);
}


int
mg_pg_begin_snapshot(mg_pg_t *c, mg_error_t *e)
{
    c->opening = "begin isolation level repeatable read, read only";

    return mg_pg_lives(c, e);
}


/* A commit of a failed transaction is a rollback: that must not pass. */

int
mg_pg_commit(mg_pg_t *c, mg_error_t *e)
{
    if (c->opening) {
        c->opening = NULL;
        return mg_pg_lives(c, e);
    }

    if (c->conn && PQtransactionStatus(c->conn) == PQTRANS_INERROR) {
        mg_pg_rollback(c);
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the transaction had failed before its commit");
    }

    return mg_pg_exec_dynamic(c, "commit", NULL, NULL, e);
}


void
mg_pg_rollback(mg_pg_t *c)
{
    char        state[sizeof(c->sqlstate)];
    mg_error_t  e;

    c->opening = NULL;

    if (c->conn == NULL || c->dead
        || PQtransactionStatus(c->conn) == PQTRANS_IDLE)
    {
        return;
    }

    /* the caller wants to know why it failed, not how this went */

    memcpy(state, c->sqlstate, sizeof(state));

    if (mg_pg_exec_dynamic(c, "rollback", NULL, NULL, &e) != MG_OK) {
        c->dead = 1;
    }

    memcpy(c->sqlstate, state, sizeof(state));
}


static int
mg_pg_send(mg_pg_t *c, const char *sql, int prepared,
    const mg_pg_params_t *p, mg_error_t *e)
{
    int       ok;
    unsigned  i;

    memcpy(c->sqlstate, "00000", sizeof("00000"));

    if (mg_pg_lives(c, e) != MG_OK || mg_pg_params_ok(p, e) != MG_OK) {
        return MG_ERROR;
    }

    i = prepared ? mg_pg_statement(c, sql) : MG_PG_STATEMENTS;

    if (i < MG_PG_STATEMENTS) {
        ok = mg_pg_send_prepared(c, sql, i, p);

    } else if (mg_pg_opening(c, e) != MG_OK) {
        return MG_ERROR;

    } else {
        ok = mg_pg_send_plain(c, sql, p);
    }

    if (!ok) {
        return mg_pg_gone(c, e);
    }

    return mg_pg_flush(c, e);
}


static int
mg_pg_lives(const mg_pg_t *c, mg_error_t *e)
{
    if (c->conn && !c->dead) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                        "the connection to the database was lost");
}


/* COPY may not be part of a pipeline, so a BEGIN is sent before it. */

static int
mg_pg_opening(mg_pg_t *c, mg_error_t *e)
{
    const char  *opening;

    opening = c->opening;
    c->opening = NULL;

    return opening ? mg_pg_exec_dynamic(c, opening, NULL, NULL, e) : MG_OK;
}


static int
mg_pg_params_ok(const mg_pg_params_t *p, mg_error_t *e)
{
    if (p == NULL || p->failed == 0) {
        return MG_OK;
    }

    if (p->failed == MG_PG_PARAM_NUL) {
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "a text holds a NUL character (\\u0000), which "
                            "cannot be stored; leave it out");
    }

    return mg_error_set(e, MG_E_INTERNAL, NULL,
                        "parameters of a statement: out of memory");
}


static int
mg_pg_send_plain(mg_pg_t *c, const char *sql, const mg_pg_params_t *p)
{
    return PQsendQueryParams(c->conn, sql, p ? (int) p->n : 0, NULL,
                             p ? p->value : NULL, p ? p->len : NULL,
                             p ? p->format : NULL, 0);
}


/* The slot it has, or would have; MG_PG_STATEMENTS: the table is full. */

static unsigned
mg_pg_statement(const mg_pg_t *c, const char *sql)
{
    uint64_t  h;
    unsigned  i;

    h = (uint64_t) (uintptr_t) sql * 0x9e3779b97f4a7c15ULL;
    i = (unsigned) (h >> 32) & (MG_PG_STATEMENTS - 1);

    while (c->statements[i] && c->statements[i] != sql) {
        i = (i + 1) & (MG_PG_STATEMENTS - 1);
    }

    return c->statements[i] || c->n_statements < MG_PG_STATEMENTS / 2
           ? i : MG_PG_STATEMENTS;
}


/*
 * BEGIN, where one waits, and PREPARE, where the connection does not know the
 * statement, travel with it: one way there and back for all.
 */

static int
mg_pg_send_prepared(mg_pg_t *c, const char *sql, unsigned i,
    const mg_pg_params_t *p)
{
    int   pipeline;
    char  name[16];

    (void) snprintf(name, sizeof(name), "mg%u", i);

    c->preparing = c->statements[i] ? MG_PG_STATEMENTS : i;
    c->opened = (c->opening != NULL);

    pipeline = (c->opened || c->preparing < MG_PG_STATEMENTS);

    if (pipeline && !PQenterPipelineMode(c->conn)) {
        return 0;
    }

    if (c->opened && !mg_pg_send_plain(c, c->opening, NULL)) {
        return 0;
    }

    c->opening = NULL;

    if (c->preparing < MG_PG_STATEMENTS
        && !PQsendPrepare(c->conn, name, sql, 0, NULL))
    {
        return 0;
    }

    return PQsendQueryPrepared(c->conn, name, p ? (int) p->n : 0,
                               p ? p->value : NULL, p ? p->len : NULL,
                               p ? p->format : NULL, 0)
           && (!pipeline || PQpipelineSync(c->conn));
}


/* Of a statement and of what travelled with it. */

static int
mg_pg_answers(mg_pg_t *c, const char *sql, mg_pg_rows_t **rows,
    mg_error_t *e)
{
    int        rc;
    PGresult  *res;

    if (PQpipelineStatus(c->conn) == PQ_PIPELINE_OFF) {
        return mg_pg_collect(c, rows, e);
    }

    rc = c->opened ? mg_pg_collect(c, NULL, e) : MG_OK;

    if (!c->dead && c->preparing < MG_PG_STATEMENTS) {

        /* behind an error it is passed over, and says so */

        if (mg_pg_collect(c, NULL, rc == MG_OK ? e : NULL) == MG_OK) {
            c->statements[c->preparing] = sql;
            c->n_statements++;

        } else {
            rc = MG_ERROR;
        }
    }

    if (!c->dead
        && mg_pg_collect(c, rc == MG_OK ? rows : NULL, rc == MG_OK ? e : NULL)
           != MG_OK)
    {
        rc = MG_ERROR;
    }

    /* behind them all comes one result that says that they are all */

    res = c->dead ? NULL : mg_pg_result(c, NULL);
    PQclear(res);

    if (!c->dead && PQexitPipelineMode(c->conn) == 0) {
        return mg_pg_gone(c, rc == MG_OK ? e : NULL);
    }

    return c->dead ? MG_ERROR : rc;
}


/* All results of one statement; the first error counts. */

static int
mg_pg_collect(mg_pg_t *c, mg_pg_rows_t **rows, mg_error_t *e)
{
    int              rc;
    PGresult        *res, *last;
    mg_error_t       lost;
    ExecStatusType   status;

    rc = MG_OK;
    last = NULL;

    for ( ;; ) {
        lost.kind = MG_E_NONE;
        res = mg_pg_result(c, &lost);

        if (res == NULL) {
            break;
        }

        status = PQresultStatus(res);

        if (status == PGRES_PIPELINE_ABORTED) {
            rc = MG_ERROR;

        } else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK
                   && status != PGRES_COPY_IN && rc == MG_OK)
        {
            rc = mg_pg_failed(c, res, e);
        }

        PQclear(last);
        last = res;

        if (status == PGRES_COPY_IN) {
            break;
        }
    }

    if (lost.kind != MG_E_NONE && rc == MG_OK) {
        rc = MG_ERROR;

        if (e) {
            *e = lost;
        }
    }

    if (rc == MG_OK && rows) {
        *rows = (mg_pg_rows_t *) last;

    } else {
        PQclear(last);
    }

    return rc;
}


PGresult *
mg_pg_result(mg_pg_t *c, mg_error_t *e)
{
    int64_t  until;

    until = mg_mono_us() + (int64_t) mg_pg_patience(c) * 1000;

    while (PQisBusy(c->conn)) {
        if (mg_pg_input(c, until, e) != MG_OK) {
            return NULL;
        }
    }

    return PQgetResult(c->conn);
}


int
mg_pg_input(mg_pg_t *c, int64_t until, mg_error_t *e)
{
    if (mg_pg_poll(c, POLLIN, until, e) != MG_OK) {
        return MG_ERROR;
    }

    return PQconsumeInput(c->conn) ? MG_OK : mg_pg_gone(c, e);
}


int
mg_pg_flush(mg_pg_t *c, mg_error_t *e)
{
    int      rc;
    int64_t  until;

    until = mg_mono_us() + (int64_t) mg_pg_patience(c) * 1000;

    for ( ;; ) {
        rc = PQflush(c->conn);

        if (rc == 0) {
            return MG_OK;
        }

        if (rc < 0) {
            return mg_pg_gone(c, e);
        }

        /* the server may want to say something before it takes more */

        if (mg_pg_poll(c, POLLIN|POLLOUT, until, e) != MG_OK) {
            return MG_ERROR;
        }

        if (PQconsumeInput(c->conn) == 0) {
            return mg_pg_gone(c, e);
        }
    }
}


static int
mg_pg_poll(mg_pg_t *c, short events, int64_t until, mg_error_t *e)
{
    int            rc;
    int64_t        left;
    struct pollfd  pfd;

    for ( ;; ) {
        left = (until - mg_mono_us() + 999) / 1000;

        if (left <= 0) {
            mg_pg_lost(c);
            return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                                "the database did not answer within %d ms",
                                mg_pg_patience(c));
        }

        pfd.fd = PQsocket(c->conn);
        pfd.events = events;
        pfd.revents = 0;

        rc = poll(&pfd, 1, (int) left);

        if (rc > 0) {
            return MG_OK;
        }

        if (rc < 0 && errno != EINTR) {
            return mg_pg_gone(c, e);
        }
    }
}


static int
mg_pg_gone(mg_pg_t *c, mg_error_t *e)
{
    char  words[256];

    mg_pg_words(PQerrorMessage(c->conn), words, sizeof(words));
    mg_pg_lost(c);
    memcpy(c->sqlstate, "08006", sizeof("08006"));

    return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                        "the connection to the database was lost: %s", words);
}


int
mg_pg_failed(mg_pg_t *c, const PGresult *res, mg_error_t *e)
{
    char                 words[400];
    const char          *state, *text;
    const mg_pg_kind_t  *k;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (state == NULL || strlen(state) != 5) {
        return mg_pg_gone(c, e);
    }

    memcpy(c->sqlstate, state, sizeof(c->sqlstate));

    for (k = mg_pg_kinds; strncmp(state, k->sqlstate, strlen(k->sqlstate));
         k++)
    {
        /* void */
    }

    if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0) {
        mg_pg_lost(c);
    }

    /* a migration, or a pooler in between, has made our plans worthless */

    if (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0
        || strcmp(state, "25P03") == 0)
    {
        c->dead = 1;
    }

    mg_pg_words(text ? text : "unknown error", words, sizeof(words));

    if (k->kind == MG_E_INTERNAL || k->kind == MG_E_UNAVAILABLE) {
        return mg_error_set(e, k->kind, NULL, "the database says: %s (%s)",
                            words, state);
    }

    return mg_error_set(e, k->kind, NULL, "%s", words);
}
