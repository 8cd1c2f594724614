/*
 * mg_pg.h: connections to PostgreSQL, for pool threads.
 *
 * One pool a process: an array of connections behind a mutex, checked out
 * for one piece of work and given back.  Each has a statement time-out, a
 * lock time-out and keepalives in its conninfo, because a worker's
 * environment is empty.  After a failed connect the pool answers
 * MG_E_UNAVAILABLE at once for a second (a "holiday") instead of letting
 * every thread wait for its own connect time-out.
 *
 * Blocks: pool threads only.  All parameters travel apart from the text.
 */

#ifndef MG_PG_H
#define MG_PG_H

#include "base/mg_arena.h"
#include "base/mg_buf.h"
#include "base/mg_error.h"
#include "base/mg_time.h"
#include "model/mg_histogram.h"


typedef struct mg_pg_pool_s  mg_pg_pool_t;
typedef struct mg_pg_s       mg_pg_t;


typedef struct {
    const char  *conninfo;              /* kept by the pool as a copy */
    const char  *application;           /* application_name */
    unsigned     max;                   /* connections; 0: 8 */
    unsigned     connect_timeout_s;     /* 0: 3 */
    unsigned     statement_timeout_ms;  /* 0: 10,000 */
    mg_histogram_t  *durations;         /* of statements; NULL: not kept */
} mg_pg_options_t;


/* Connects nothing yet.  NULL when out of memory. */
mg_pg_pool_t *mg_pg_pool_create(const mg_pg_options_t *o);

/* After all threads are gone (exit_process). */
void mg_pg_pool_destroy(mg_pg_pool_t *p);

/* 1 if the last attempt to reach the database succeeded; any thread. */
int mg_pg_pool_up(const mg_pg_pool_t *p);

/*
 * A live connection, or NULL and *e (MG_E_UNAVAILABLE: database away, or no
 * connection free within 2 s).
 */
mg_pg_t *mg_pg_checkout(mg_pg_pool_t *p, mg_error_t *e);

/*
 * The same for a job, which nobody waits for: it leaves a half of the pool,
 * four at most, to those that somebody does wait for.
 */
mg_pg_t *mg_pg_checkout_job(mg_pg_pool_t *p, mg_error_t *e);

/* Gives it back; an open transaction is rolled back, a dead one closed. */
void mg_pg_release(mg_pg_t *c);


/* -- statements -- */

#define MG_PG_PARAMS_MAX   48

/* Parameters are text unless binary is set; {NULL, 0} is SQL NULL. */
typedef struct {
    unsigned     n;
    const char  *value[MG_PG_PARAMS_MAX];
    int          len[MG_PG_PARAMS_MAX];
    int          format[MG_PG_PARAMS_MAX];
    char         scratch[MG_PG_PARAMS_MAX][48];   /* numbers, NUL ends */
    mg_arena_t  *arena;                           /* copies that need a NUL */
    unsigned     failed;                          /* 0, or one of these: */
} mg_pg_params_t;

#define MG_PG_PARAM_NUL      1    /* a text holds NUL: exec says MG_E_INVALID */
#define MG_PG_PARAM_MEMORY   2    /* no memory, or too many */

void mg_pg_params_init(mg_pg_params_t *p, mg_arena_t *arena);
void mg_pg_param_str(mg_pg_params_t *p, mg_str_t s);
void mg_pg_param_z(mg_pg_params_t *p, const char *z);
void mg_pg_param_int(mg_pg_params_t *p, int64_t n);   /* MG_UNKNOWN: NULL */
void mg_pg_param_bool(mg_pg_params_t *p, int tri);    /* -1: NULL */
void mg_pg_param_time(mg_pg_params_t *p, int64_t us); /* 0: NULL */
void mg_pg_param_bytes(mg_pg_params_t *p, mg_str_t s);


typedef struct mg_pg_rows_s  mg_pg_rows_t;

/*
 * Runs one statement (prepared on first use on this connection, keyed by
 * the address of the text, so sql must be a literal).  p may be NULL.  rows
 * may be NULL; else the caller frees them with mg_pg_rows_free().  Errors
 * are translated: 23505 unique, 23503 foreign key -> MG_E_CONFLICT, 22xxx
 * and 23514 -> MG_E_INVALID, 57014 -> MG_E_TIMEOUT, P0002 -> NOT_FOUND,
 * connection trouble -> MG_E_UNAVAILABLE, else MG_E_INTERNAL.  SQLSTATE is
 * kept: mg_pg_sqlstate().
 */
int mg_pg_exec(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e);

/* Text that is made at run time (quoted identifiers); never prepared. */
int mg_pg_exec_dynamic(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e);

/*
 * The same in two halves, so that the database works on the next answer
 * while the last one is read: every ask is followed by its answer before
 * anything else is asked, even if that is no longer wanted.
 */
int mg_pg_ask(mg_pg_t *c, const char *sql, mg_error_t *e);
int mg_pg_answer(mg_pg_t *c, mg_pg_rows_t **rows, mg_error_t *e);

const char *mg_pg_sqlstate(const mg_pg_t *c);

/*
 * Nothing is sent before there is a statement, so what is wrong with the
 * database is told by that one.
 */
int mg_pg_begin(mg_pg_t *c, mg_error_t *e);
int mg_pg_begin_snapshot(mg_pg_t *c, mg_error_t *e);  /* REPEATABLE READ,
                                                         READ ONLY */
int mg_pg_commit(mg_pg_t *c, mg_error_t *e);
void mg_pg_rollback(mg_pg_t *c);

int mg_pg_rows_count(const mg_pg_rows_t *r);
uint64_t mg_pg_rows_affected(const mg_pg_rows_t *r);
mg_str_t mg_pg_rows_str(const mg_pg_rows_t *r, int row, int col);
int64_t mg_pg_rows_int(const mg_pg_rows_t *r, int row, int col);
int mg_pg_rows_tri(const mg_pg_rows_t *r, int row, int col);
int64_t mg_pg_rows_time(const mg_pg_rows_t *r, int row, int col);
/* bytea, decoded into the arena. */
mg_str_t mg_pg_rows_bytes(const mg_pg_rows_t *r, int row, int col,
    mg_arena_t *a);
void mg_pg_rows_free(mg_pg_rows_t *r);

/* The one function that quotes an identifier ("schema"."table" by parts). */
mg_str_t mg_pg_ident(mg_arena_t *a, const char *schema, mg_str_t name);


/* -- COPY ... FROM STDIN, and TO STDOUT -- */

/*
 * Bytes that are sent at once.  With the five of libpq in front they are whole
 * blocks of 8 KB, and only those leave without a system call of their own for
 * the rest.
 */
#define MG_PG_COPY_PIECE   (64 * 1024 - 5)

int mg_pg_copy_begin(mg_pg_t *c, const char *sql, mg_error_t *e);
/* Rows as text made with the helpers below, or binary as of mg_pg_row.h. */
int mg_pg_copy_data(mg_pg_t *c, mg_str_t data, mg_error_t *e);
/* error_text NULL: finish; else abort. */
int mg_pg_copy_end(mg_pg_t *c, const char *error_text, mg_error_t *e);

/*
 * COPY ... TO STDOUT.  sink gets what comes, in pieces of the server's
 * choice; once it has returned MG_ERROR the rest is passed over, since the
 * connection is still of use.  *rows: how many there were.
 */
typedef int (*mg_pg_sink_pt)(void *ctx, mg_str_t data, mg_error_t *e);

int mg_pg_copy_out(mg_pg_t *c, const char *sql, mg_pg_sink_pt sink,
    void *ctx, uint64_t *rows, mg_error_t *e);

/* Columns of a row; first != 0 leaves out the tab; {NULL, 0} is \N. */
void mg_pg_copy_str(mg_buf_t *b, int first, mg_str_t s);
void mg_pg_copy_int(mg_buf_t *b, int first, int64_t n);  /* MG_UNKNOWN: \N */
void mg_pg_copy_tri(mg_buf_t *b, int first, int tri);
void mg_pg_copy_time(mg_buf_t *b, int first, int64_t us);
void mg_pg_copy_bytes(mg_buf_t *b, int first, mg_str_t s);


/* -- LISTEN, for the listener's own connection (not from the pool) -- */

typedef struct mg_pg_listener_s  mg_pg_listener_t;

/* Connects (blocking), LISTENs on channel.  NULL and *e on failure. */
mg_pg_listener_t *mg_pg_listener_open(const mg_pg_options_t *o,
    const char *channel, mg_error_t *e);

/*
 * LISTENs on another channel, too, whose notifications are not counted by
 * mg_pg_listener_read(): it calls heard with their payloads.
 */
int mg_pg_listener_also(mg_pg_listener_t *l, const char *channel,
    void (*heard)(void *ctx, mg_str_t payload), void *ctx, mg_error_t *e);

/* The socket to poll; -1 if the connection is gone. */
int mg_pg_listener_fd(const mg_pg_listener_t *l);

/*
 * Reads what has arrived, never blocks.  Number of notifications, or -1
 * when the connection is lost.
 */
int mg_pg_listener_read(mg_pg_listener_t *l);

void mg_pg_listener_close(mg_pg_listener_t *l);


#endif /* MG_PG_H */
