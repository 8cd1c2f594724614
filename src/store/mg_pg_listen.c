/*
 * mg_pg_listen.c: the one connection that only listens.
 *
 * Its thread polls the socket itself, together with whatever wakes it up to
 * leave; here are only the steps.  A notification of the first channel is a
 * hint: who hears one looks at the generations.  Those of another one carry
 * what there is to say.
 *
 * The listener's own thread.
 */

#include "store/mg_pg_local.h"

#include <stdio.h>
#include <stdlib.h>


struct mg_pg_listener_s {
    PGconn       *conn;
    const char   *also;        /* the other channel */
    void        (*heard)(void *ctx, mg_str_t payload);
    void         *ctx;
};


static int mg_pg_listener_listen(mg_pg_listener_t *l, const char *channel,
    mg_error_t *e);


mg_pg_listener_t *
mg_pg_listener_open(const mg_pg_options_t *o, const char *channel,
    mg_error_t *e)
{
    mg_pg_listener_t  *l;

    l = calloc(1, sizeof(mg_pg_listener_t));
    if (l == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NULL;
    }

    l->conn = mg_pg_connect(o, e);
    if (l->conn == NULL) {
        free(l);
        return NULL;
    }

    if (mg_pg_listener_listen(l, channel, e) != MG_OK) {
        mg_pg_listener_close(l);
        return NULL;
    }

    return l;
}


int
mg_pg_listener_also(mg_pg_listener_t *l, const char *channel,
    void (*heard)(void *ctx, mg_str_t payload), void *ctx, mg_error_t *e)
{
    l->also = channel;
    l->heard = heard;
    l->ctx = ctx;

    return mg_pg_listener_listen(l, channel, e);
}


static int
mg_pg_listener_listen(mg_pg_listener_t *l, const char *channel,
    mg_error_t *e)
{
    char       sql[160], words[256];
    char      *quoted;
    PGresult  *res;

    quoted = PQescapeIdentifier(l->conn, channel, strlen(channel));
    if (quoted == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "\"%s\" is no name of a channel", channel);
    }

    (void) snprintf(sql, sizeof(sql), "listen %s", quoted);
    PQfreemem(quoted);

    /* the server's statement time-out bounds this */

    res = PQexec(l->conn, sql);

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        mg_pg_words(PQerrorMessage(l->conn), words, sizeof(words));
        PQclear(res);
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "cannot listen on channel \"%s\": %s", channel,
                            words);
    }

    PQclear(res);

    return MG_OK;
}


int
mg_pg_listener_fd(const mg_pg_listener_t *l)
{
    return PQstatus(l->conn) == CONNECTION_OK ? PQsocket(l->conn) : -1;
}


int
mg_pg_listener_read(mg_pg_listener_t *l)
{
    int        n;
    PGnotify  *notify;

    if (PQconsumeInput(l->conn) == 0 || PQstatus(l->conn) != CONNECTION_OK) {
        return -1;
    }

    n = 0;

    while ((notify = PQnotifies(l->conn)) != NULL) {

        if (l->also && strcmp(notify->relname, l->also) == 0) {
            l->heard(l->ctx, mg_str_z(notify->extra));

        } else {
            n++;
        }

        PQfreemem(notify);
    }

    return n;
}


void
mg_pg_listener_close(mg_pg_listener_t *l)
{
    if (l == NULL) {
        return;
    }

    PQfinish(l->conn);
    free(l);
}
