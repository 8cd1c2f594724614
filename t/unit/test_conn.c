/*
 * What would break: a client takes more connections than it may by asking
 * another worker, or is refused for ever what a worker held that was killed.
 *
 * Workers are processes here, too: one is killed with SIGKILL while it holds
 * connections.
 */

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/mg_conn.h"
#include "tap.h"


#define CELLS   3


static mg_conn_cell_t  *cells;


static mg_conn_t
test_worker(size_t i)
{
    mg_conn_t  c;

    c.cells = cells;
    c.own = &cells[i];
    c.n = CELLS;

    return c;
}


/* A process that lives until it is killed. */

static pid_t
test_child(void)
{
    pid_t  pid;

    pid = fork();

    while (pid == 0) {
        (void) pause();
    }

    return pid;
}


static void
test_limits(void)
{
    pid_t      pid;
    mg_conn_t  a, b;

    a = test_worker(0);
    b = test_worker(1);

    mg_conn_begin(&a, (uint64_t) getpid());
    pid = test_child();
    mg_conn_begin(&b, (uint64_t) pid);

    ok(mg_conn_enter(&a, 7, 5, 2) == MG_CONN_OK, "the first of a client");
    ok(mg_conn_enter(&b, 7, 5, 2) == MG_CONN_OK, "one in another worker");
    ok(mg_conn_enter(&a, 7, 5, 2) == MG_CONN_CLIENT, "no third one here");
    ok(mg_conn_enter(&b, 7, 5, 2) == MG_CONN_CLIENT, "nor there");
    ok(mg_conn_enter(&b, 8, 5, 2) == MG_CONN_OK, "another client");
    ok(mg_conn_enter(&b, 8, 5, 2) == MG_CONN_OK, "twice");
    ok(mg_conn_enter(&a, 4095, 5, 2) == MG_CONN_OK, "a last one");
    ok(mg_conn_enter(&a, 0, 5, 2) == MG_CONN_FULL, "the node is full");

    mg_conn_leave(&b, 7);
    ok(mg_conn_enter(&a, 7, 5, 2) == MG_CONN_OK, "a place that is free");
    ok(cells[0].all + cells[1].all == 5 && cells[0].clients[0] == 0,
       "what was refused is not counted");

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
}


static void
test_killed(void)
{
    pid_t      pid;
    mg_conn_t  a, b;

    a = test_worker(0);
    b = test_worker(2);
    pid = test_child();

    mg_conn_begin(&a, (uint64_t) getpid());
    mg_conn_begin(&b, (uint64_t) pid);

    (void) mg_conn_enter(&b, 9, 100, 3);
    (void) mg_conn_enter(&b, 9, 100, 3);
    (void) mg_conn_enter(&b, 9, 100, 3);

    ok(mg_conn_enter(&a, 9, 100, 3) == MG_CONN_CLIENT,
       "a worker that lives holds what it has");

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    ok(mg_conn_enter(&a, 9, 100, 3) == MG_CONN_OK,
       "what one held that was killed is free");
    ok(cells[2].pid == 0, "its cell is nobody's");
}


static void
test_heirs(void)
{
    mg_conn_t  a, b;

    a = test_worker(0);
    b = test_worker(1);

    mg_conn_begin(&a, (uint64_t) getpid());
    (void) mg_conn_enter(&a, 1, 10, 10);
    mg_conn_begin(&a, (uint64_t) getpid());
    ok(cells[0].all == 0 && cells[0].clients[1] == 0,
       "who takes over a cell begins with zeros");

    (void) mg_conn_enter(&a, 1, 10, 10);
    mg_conn_begin(&b, (uint64_t) getpid());
    ok(cells[0].pid == 0 && mg_conn_enter(&b, 1, 10, 1) == MG_CONN_OK,
       "a pid that comes again has one cell");
}


int
main(void)
{
    cells = mmap(NULL, CELLS * sizeof(mg_conn_cell_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (cells == MAP_FAILED) {
        return 1;
    }

    test_limits();
    test_killed();
    test_heirs();

    return done_testing();
}
