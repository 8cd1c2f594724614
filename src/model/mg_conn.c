/*
 * mg_conn.c: connections of clients, counted over the workers of a node.
 *
 * Counted first, and taken back if it was one too many, so that a limit holds
 * whoever asks at the same time.
 */

#include "model/mg_conn.h"

#include "base/mg_pid.h"


static mg_conn_e mg_conn_check(const mg_conn_t *c, size_t client,
    uint64_t max, uint64_t max_client);
static int mg_conn_bury(const mg_conn_t *c);


void
mg_conn_begin(const mg_conn_t *c, uint64_t pid)
{
    size_t           i;
    mg_conn_cell_t  *own;

    own = c->own;

    /* a number that a dead worker had before us */

    for (i = 0; i < c->n; i++) {
        if (__atomic_load_n(&c->cells[i].pid, __ATOMIC_RELAXED) == pid) {
            __atomic_store_n(&c->cells[i].pid, 0, __ATOMIC_RELAXED);
        }
    }

    __atomic_store_n(&own->pid, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&own->all, 0, __ATOMIC_RELAXED);

    for (i = 0; i < MG_CONN_CLIENTS; i++) {
        __atomic_store_n(&own->clients[i], 0, __ATOMIC_RELAXED);
    }

    __atomic_store_n(&own->pid, pid, __ATOMIC_SEQ_CST);
}


mg_conn_e
mg_conn_enter(const mg_conn_t *c, size_t client, uint64_t max,
    uint64_t max_client)
{
    mg_conn_e  rc;

    if (__atomic_load_n(&c->own->clients[client], __ATOMIC_RELAXED)
        >= max_client)
    {
        return MG_CONN_CLIENT;
    }

    (void) __atomic_add_fetch(&c->own->all, 1, __ATOMIC_SEQ_CST);
    (void) __atomic_add_fetch(&c->own->clients[client], 1, __ATOMIC_SEQ_CST);

    rc = mg_conn_check(c, client, max, max_client);

    if (rc != MG_CONN_OK && mg_conn_bury(c)) {
        rc = mg_conn_check(c, client, max, max_client);
    }

    if (rc != MG_CONN_OK) {
        mg_conn_leave(c, client);
    }

    return rc;
}


void
mg_conn_leave(const mg_conn_t *c, size_t client)
{
    (void) __atomic_sub_fetch(&c->own->all, 1, __ATOMIC_SEQ_CST);
    (void) __atomic_sub_fetch(&c->own->clients[client], 1, __ATOMIC_SEQ_CST);
}


static mg_conn_e
mg_conn_check(const mg_conn_t *c, size_t client, uint64_t max,
    uint64_t max_client)
{
    size_t           i;
    uint64_t         all, clients;
    mg_conn_cell_t  *cell;

    all = 0;
    clients = 0;

    for (i = 0; i < c->n; i++) {
        cell = &c->cells[i];

        if (__atomic_load_n(&cell->pid, __ATOMIC_SEQ_CST)) {
            all += __atomic_load_n(&cell->all, __ATOMIC_SEQ_CST);
            clients += __atomic_load_n(&cell->clients[client],
                                       __ATOMIC_SEQ_CST);
        }
    }

    return (all > max) ? MG_CONN_FULL
                       : (clients > max_client) ? MG_CONN_CLIENT : MG_CONN_OK;
}


/* Cells of the dead are nobody's; 1: there was one. */

static int
mg_conn_bury(const mg_conn_t *c)
{
    int              found;
    size_t           i;
    uint64_t         pid;
    mg_conn_cell_t  *cell;

    found = 0;

    for (i = 0; i < c->n; i++) {
        cell = &c->cells[i];
        pid = __atomic_load_n(&cell->pid, __ATOMIC_SEQ_CST);

        if (pid && cell != c->own && mg_pid_gone(pid)
            && __atomic_compare_exchange_n(&cell->pid, &pid, 0, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED))
        {
            found = 1;
        }
    }

    return found;
}
