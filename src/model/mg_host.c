/*
 * mg_host.c: requests of jobs at one host, counted in shared memory.
 *
 * Who wants one more writes it into its word first and adds up all words
 * then: of two that did so at the same moment at least one sees both and
 * takes it back, so the bound is never passed.
 *
 * Words are taken by compare-and-swap and written by their owner alone; one
 * whose time is over is taken by the next run.  An owner that comes back
 * after such a time (its process was stopped) finds another tag and takes a
 * new word.  So does one whose word was freed in the moment between taking
 * it and writing its pid.
 */

#include "model/mg_host.h"

#include <unistd.h>

#include "base/mg_hash.h"
#include "base/mg_pid.h"
#include "model/mg_ready.h"


/* A run that was not heard of for so long is gone. */
#define MG_HOST_ALIVE_S   15

#define mg_host_until(w)  ((w) >> 32)
#define mg_host_held(w)   ((unsigned) ((w) & 0xffff))
#define mg_host_tag(w)    ((uint16_t) ((w) >> 16))


static int mg_host_take(mg_host_run_t *r, int64_t now_s);
static void mg_host_write(mg_host_run_t *r, int64_t now_s);
static void mg_host_free_dead(mg_host_run_t *r, int64_t now_s);
static unsigned mg_host_sum(const mg_host_run_t *r, int64_t now_s,
    unsigned *runs);


void
mg_host_begin(mg_host_run_t *r, mg_hosts_t *hosts, mg_str_t name,
    unsigned max)
{
    char      lower[256];
    size_t    i, n;
    uint64_t  key, free;
    unsigned  at, tries;

    static uint16_t  tags;

    memset(r, 0, sizeof(mg_host_run_t));
    r->max = max ? max : 1;
    r->index = MG_HOST_RUNS;

    if (hosts == NULL) {
        return;
    }

    n = name.len < sizeof(lower) ? name.len : sizeof(lower);

    for (i = 0; i < n; i++) {
        lower[i] = (name.data[i] >= 'A' && name.data[i] <= 'Z')
                   ? (char) (name.data[i] | 0x20) : name.data[i];
    }

    key = mg_sum64(lower, n) | 1;
    at = (unsigned) (key % MG_HOST_SLOTS);

    /* with all slots taken by other names the first one is shared */

    r->host = &hosts->slots[at];

    for (tries = 0; tries < MG_HOST_SLOTS; tries++) {
        free = 0;

        if (mg_word_get(hosts->slots[at].key) == key
            || __atomic_compare_exchange_n(&hosts->slots[at].key, &free, key,
                                           0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE)
            || free == key)
        {
            r->host = &hosts->slots[at];
            break;
        }

        at = (at + 1) % MG_HOST_SLOTS;
    }

    r->tag = (uint16_t) (__atomic_add_fetch(&tags, 1, __ATOMIC_RELAXED)
                         ^ (uint16_t) getpid());
}


/* A word of our own; 0: all are taken by runs that live. */

static int
mg_host_take(mg_host_run_t *r, int64_t now_s)
{
    uint64_t  old, word;
    unsigned  i;

    word = ((uint64_t) (now_s + MG_HOST_ALIVE_S) << 32)
           | ((uint64_t) r->tag << 16) | r->held;

    for (i = 0; i < MG_HOST_RUNS; i++) {
        old = mg_word_get(r->host->runs[i]);

        if ((int64_t) mg_host_until(old) < now_s
            && __atomic_compare_exchange_n(&r->host->runs[i], &old, word, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_ACQUIRE))
        {
            mg_word_set(r->host->pids[i], (uint64_t) getpid());
            r->index = i;
            return 1;
        }
    }

    return 0;
}


static void
mg_host_write(mg_host_run_t *r, int64_t now_s)
{
    __atomic_store_n(&r->host->runs[r->index],
                     ((uint64_t) (now_s + MG_HOST_ALIVE_S) << 32)
                     | ((uint64_t) r->tag << 16) | r->held,
                     __ATOMIC_SEQ_CST);
}


/* Once a second: it asks the kernel for each run that is there. */

static void
mg_host_free_dead(mg_host_run_t *r, int64_t now_s)
{
    uint64_t  word, pid;
    unsigned  i;

    if (r->freed_s == now_s) {
        return;
    }

    r->freed_s = now_s;

    for (i = 0; i < MG_HOST_RUNS; i++) {
        word = mg_word_get(r->host->runs[i]);
        pid = mg_word_get(r->host->pids[i]);

        if (i != r->index && (int64_t) mg_host_until(word) >= now_s && pid
            && mg_pid_gone(pid))
        {
            (void) __atomic_compare_exchange_n(&r->host->runs[i], &word, 0, 0,
                                               __ATOMIC_SEQ_CST,
                                               __ATOMIC_ACQUIRE);
        }
    }
}


static unsigned
mg_host_sum(const mg_host_run_t *r, int64_t now_s, unsigned *runs)
{
    uint64_t  word;
    unsigned  i, n;

    n = 0;
    *runs = 0;

    for (i = 0; i < MG_HOST_RUNS; i++) {
        word = __atomic_load_n(&r->host->runs[i], __ATOMIC_SEQ_CST);

        if ((int64_t) mg_host_until(word) >= now_s) {
            n += mg_host_held(word);
            (*runs)++;
        }
    }

    return n;
}


int
mg_host_enter(mg_host_run_t *r, int64_t now_us)
{
    int64_t   now_s;
    unsigned  sum, runs, fair;

    if (r->host == NULL) {
        return 1;
    }

    now_s = now_us / 1000000;

    if (r->index < MG_HOST_RUNS
        && mg_host_tag(mg_word_get(r->host->runs[r->index])) != r->tag)
    {
        r->index = MG_HOST_RUNS;
    }

    if (r->index == MG_HOST_RUNS && !mg_host_take(r, now_s)) {
        mg_host_free_dead(r, now_s);
        return 0;
    }

    r->held++;
    mg_host_write(r, now_s);

    sum = mg_host_sum(r, now_s, &runs);
    fair = (r->max + runs - 1) / (runs ? runs : 1);

    if (sum <= r->max && r->held <= fair) {
        return 1;
    }

    r->held--;
    mg_host_write(r, now_s);
    mg_host_free_dead(r, now_s);

    return 0;
}


void
mg_host_leave(mg_host_run_t *r, int64_t now_us)
{
    if (r->host == NULL || r->held == 0) {
        return;
    }

    r->held--;
    mg_host_renew(r, now_us);
}


void
mg_host_renew(mg_host_run_t *r, int64_t now_us)
{
    if (r->host == NULL || r->index == MG_HOST_RUNS) {
        return;
    }

    if (mg_host_tag(mg_word_get(r->host->runs[r->index])) == r->tag) {
        mg_host_write(r, now_us / 1000000);
    }
}


void
mg_host_end(mg_host_run_t *r)
{
    if (r->host && r->index < MG_HOST_RUNS
        && mg_host_tag(mg_word_get(r->host->runs[r->index])) == r->tag)
    {
        mg_word_set(r->host->runs[r->index], 0);
    }

    r->index = MG_HOST_RUNS;
    r->host = NULL;
}
