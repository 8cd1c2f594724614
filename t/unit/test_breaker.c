/*
 * Breaks when a backend that fails is asked on and on, one that has recovered
 * is never asked again, more than one request tries at a time, a worker that
 * died while it tried leaves the breaker half-open for good, or retries may
 * be more than their share of the requests.
 */

#include "tap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/mg_breaker.h"
#include "model/mg_window.h"


static const mg_breaker_limits_t  limits = { 3, 1000 };


static int
move(uint64_t *word, mg_breaker_event_e event, uint64_t now_ms)
{
    return mg_breaker_move(word, event, &limits, now_ms);
}


static void
test_open(void)
{
    uint64_t  w;

    w = 0;
    is_int(move(&w, MG_BREAKER_ASK, 1), MG_OK, "closed at first");
    is_int(move(&w, MG_BREAKER_ILL, 1), MG_OK, "one failure");
    is_int(move(&w, MG_BREAKER_ILL, 1), MG_OK, "two");
    is_int(move(&w, MG_BREAKER_WELL, 1), MG_OK, "a success between");
    ok(w == 0, "nothing is known again");
    is_int(move(&w, MG_BREAKER_ILL, 1), MG_OK, "one");
    is_int(move(&w, MG_BREAKER_ILL, 1), MG_OK, "two");
    is_int(move(&w, MG_BREAKER_ILL, 5), MG_AGAIN, "the third opens it");
    is_int(mg_breaker_state(w), MG_BREAKER_OPEN, "open");
    is_int(move(&w, MG_BREAKER_ILL, 6), MG_OK, "a fourth changes nothing");
    is_int(move(&w, MG_BREAKER_WELL, 6), MG_OK, "nor does a late answer");
    is_int(move(&w, MG_BREAKER_ASK, 1004), MG_DECLINED, "for its pause");

    w = 0;
    is_int(move(&w, MG_BREAKER_SICK, 1), MG_AGAIN, "a share opens at once");
}


static void
test_half_open(void)
{
    uint64_t  w;

    w = 0;
    (void) move(&w, MG_BREAKER_SICK, 0);

    is_int(move(&w, MG_BREAKER_ASK, 1000), MG_AGAIN, "one tries");
    is_int(mg_breaker_state(w), MG_BREAKER_HALF_OPEN, "half-open");
    is_int(move(&w, MG_BREAKER_ASK, 1000), MG_DECLINED, "only one");
    is_int(move(&w, MG_BREAKER_WELL, 1000), MG_OK, "the word of another");
    is_int(mg_breaker_state(w), MG_BREAKER_HALF_OPEN, "does not close it");
    is_int(move(&w, MG_BREAKER_TRIED_ILL, 1500), MG_AGAIN, "open again");
    is_int(move(&w, MG_BREAKER_ASK, 3499), MG_DECLINED, "for twice the time");
    is_int(move(&w, MG_BREAKER_ASK, 3500), MG_AGAIN, "the next one tries");
    is_int(move(&w, MG_BREAKER_TRIED_NOTHING, 3600), MG_OK, "its client left");
    is_int(move(&w, MG_BREAKER_ASK, 3600), MG_AGAIN, "the next one, at once");
    is_int(move(&w, MG_BREAKER_ASK, 33599), MG_DECLINED, "it has died");
    is_int(move(&w, MG_BREAKER_ASK, 33600), MG_AGAIN, "another one tries");
    is_int(move(&w, MG_BREAKER_TRIED_WELL, 33700), MG_OK, "with success");
    ok(w == 0, "closed, as if nothing had been");
}


/* Processes that ask at the same time: one of them tries. */

static void
test_many(void)
{
    int        i, status, tries;
    pid_t      pids[8];
    uint64_t  *w;

    w = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    (void) move(w, MG_BREAKER_SICK, 0);

    for (i = 0; i < 8; i++) {
        pids[i] = fork();

        if (pids[i] == 0) {
            for (tries = 0, i = 0; i < 10000; i++) {
                tries += (move(w, MG_BREAKER_ASK, 1000) == MG_AGAIN);
            }

            _exit(tries);
        }
    }

    for (tries = 0, i = 0; i < 8; i++) {
        (void) waitpid(pids[i], &status, 0);
        tries += WEXITSTATUS(status);
    }

    is_int(tries, 1, "one of 80000 tries");
    (void) munmap(w, 4096);
}


static void
test_window(void)
{
    unsigned     i;
    uint32_t     all, some;
    mg_window_t  w;

    memset(&w, 0, sizeof(mg_window_t));

    for (i = 0; i < 2; i++) {
        is_int(mg_window_room(&w, 100, 20, 2), 1, "the least is always there");
        mg_window_add(&w, 100, 0, 1);
    }

    is_int(mg_window_room(&w, 100, 20, 2), 0, "and no more");

    mg_window_add(&w, 105, 15, 0);
    is_int(mg_window_room(&w, 105, 20, 2), 1, "a fifth of 15 is 3");
    mg_window_add(&w, 105, 0, 1);
    is_int(mg_window_room(&w, 105, 20, 2), 0, "not 4");
    is_int(mg_window_room(&w, 110, 20, 2), 1, "the first two are forgotten");

    mg_window_sum(&w, 114, &all, &some);
    is_int(all, 15, "still there");
    mg_window_sum(&w, 115, &all, &some);
    is_int(all + some, 0, "ten seconds later they are gone");
    mg_window_add(&w, 125, 1, 1);
    mg_window_sum(&w, 125, &all, &some);
    is_int(all, 1, "a place is used again");
    is_int(some, 1, "for both counts");
}


int
main(void)
{
    test_open();
    test_half_open();
    test_many();
    test_window();

    return done_testing();
}
