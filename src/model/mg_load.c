/*
 * mg_load.c: how a model server comes up.
 *
 * A server that says how far it is tells by that how long it will take; of
 * one that says nothing the time that it took earlier is taken, which an
 * overdue one stretches, so that the time that is left never is nothing.
 *
 * Cells are taken by compare and swap: at a reload two worker processes may
 * look for one at the same time.
 */

#include "model/mg_load.h"

#include "base/mg_hash.h"


/* Before it is worth anything to reckon with: percent, microseconds. */
#define MG_LOAD_TOLD_MIN   2
#define MG_LOAD_OVER_MIN   1000000

/* What a server that has not proved anything is shown as at most. */
#define MG_LOAD_MOST       99


static mg_load_t *mg_load_take(mg_loads_t *loads, uint64_t key,
    const uint64_t *name, int used, int64_t now_us);
static uint64_t mg_load_key(const uint64_t *name, uint64_t identity);


mg_load_t *
mg_load_find(mg_loads_t *loads, mg_str_t name, uint64_t identity,
    int64_t now_us)
{
    unsigned    i;
    uint64_t    key, bytes[MG_GATE_NAME_MAX / 8];
    mg_load_t  *l;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, name.data,
           name.len < MG_GATE_NAME_MAX ? name.len : MG_GATE_NAME_MAX);

    key = mg_load_key(bytes, identity);

    for (i = 0; i < MG_LOAD_CELLS; i++) {
        if (mg_word_get(loads->cells[i].key) == key) {
            return &loads->cells[i];
        }
    }

    l = mg_load_take(loads, key, bytes, 0, now_us);

    return l ? l : mg_load_take(loads, key, bytes, 1, now_us);
}


/* used: what is not listed may be taken, too. */

static mg_load_t *
mg_load_take(mg_loads_t *loads, uint64_t key, const uint64_t *name, int used,
    int64_t now_us)
{
    unsigned    i, k;
    uint64_t    seen;
    mg_load_t  *l;

    for (i = 0; i < MG_LOAD_CELLS; i++) {
        l = &loads->cells[(key + i) % MG_LOAD_CELLS];
        seen = used ? mg_word_get(l->key) : 0;

        if ((used && mg_word_get(l->listed))
            || !__atomic_compare_exchange_n(&l->key, &seen, key, 0,
                                            __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE))
        {
            if (seen == key) {
                return l;
            }

            continue;
        }

        mg_word_set(l->phase, MG_PHASE_CONNECTING);
        mg_word_set(l->progress, MG_LOAD_UNTOLD);
        mg_word_set(l->since_us, (uint64_t) now_us);
        mg_word_set(l->expected_us, 0);
        mg_word_set(l->took_us, 0);

        for (k = 0; k < MG_GATE_NAME_MAX / 8; k++) {
            mg_word_set(l->name[k], name[k]);
        }

        /* before another one is looked for: it is not to take this one */

        mg_word_set(l->listed, 1);

        return l;
    }

    return NULL;
}


static uint64_t
mg_load_key(const uint64_t *name, uint64_t identity)
{
    uint64_t  words[MG_GATE_NAME_MAX / 8 + 1], key;

    memcpy(words, name, MG_GATE_NAME_MAX);
    words[MG_GATE_NAME_MAX / 8] = identity;

    key = mg_sum64(words, sizeof(words));

    return key ? key : 1;
}


void
mg_load_list(mg_loads_t *loads, mg_load_t * const *listed, unsigned n)
{
    unsigned  i, k;

    for (i = 0; i < MG_LOAD_CELLS; i++) {

        for (k = 0; k < n; k++) {
            if (listed[k] == &loads->cells[i]) {
                break;
            }
        }

        mg_word_set(loads->cells[i].listed, k < n);
    }
}


int
mg_load_seen(mg_load_t *l, mg_phase_e phase, int progress, int64_t now_us)
{
    int64_t  took;

    if (mg_word_get(l->phase) == MG_PHASE_READY) {
        return 0;
    }

    if (phase != MG_PHASE_READY) {
        mg_word_set(l->progress, progress < 0 || progress > 100
                                 ? MG_LOAD_UNTOLD : (uint64_t) progress);
        mg_word_set(l->phase, phase);
        return 0;
    }

    took = now_us - (int64_t) mg_word_get(l->since_us);

    mg_word_set(l->took_us, took > 0 ? (uint64_t) took : 0);
    mg_word_set(l->progress, 100);
    mg_word_set(l->phase, MG_PHASE_READY);

    return 1;
}


unsigned
mg_load_progress(const mg_load_t *l, int64_t now_us)
{
    int64_t   passed;
    uint64_t  told, expected, percent;

    if (mg_word_get(l->phase) == MG_PHASE_READY) {
        return 100;
    }

    told = mg_word_get(l->progress);

    if (told != MG_LOAD_UNTOLD) {
        return told > MG_LOAD_MOST ? MG_LOAD_MOST : (unsigned) told;
    }

    expected = mg_word_get(l->expected_us);
    passed = now_us - (int64_t) mg_word_get(l->since_us);

    if (expected == 0 || passed <= 0) {
        return 0;
    }

    percent = (uint64_t) passed / (expected / 100 + 1);

    return percent > MG_LOAD_MOST ? MG_LOAD_MOST : (unsigned) percent;
}


int64_t
mg_load_left(const mg_load_t *l, int64_t now_us)
{
    int64_t   passed, left, expected;
    uint64_t  told;

    if (mg_word_get(l->phase) == MG_PHASE_READY) {
        return 0;
    }

    passed = now_us - (int64_t) mg_word_get(l->since_us);
    passed = passed > 0 ? passed : 0;
    told = mg_word_get(l->progress);

    if (told != MG_LOAD_UNTOLD && told >= MG_LOAD_TOLD_MIN) {
        return (int64_t) ((double) passed * (double) (100 - told)
                          / (double) told);
    }

    expected = (int64_t) mg_word_get(l->expected_us);

    if (expected == 0) {
        return -1;
    }

    left = expected - passed;

    return left < MG_LOAD_OVER_MIN ? MG_LOAD_OVER_MIN + passed / 10 : left;
}


int
mg_load_sum(mg_load_t * const *loads, unsigned n, mg_state_t *s,
    int64_t now_us, int64_t wall_us)
{
    int       known;
    int64_t   left, most;
    unsigned  i, ready;
    uint64_t  progress, phase, lowest;

    known = 1;
    most = 0;
    ready = 0;
    progress = 0;
    lowest = MG_PHASE_READY;

    for (i = 0; i < n; i++) {

        if (loads[i] == NULL) {
            lowest = MG_PHASE_CONNECTING;
            known = 0;
            continue;
        }

        phase = mg_word_get(loads[i]->phase);
        left = mg_load_left(loads[i], now_us);
        progress += mg_load_progress(loads[i], now_us);

        ready += (phase == MG_PHASE_READY);
        lowest = phase < lowest ? phase : lowest;
        known = known && left >= 0;
        most = left > most ? left : most;
    }

    mg_word_set(s->servers, n);
    mg_word_set(s->servers_ready, ready);
    mg_word_set(s->servers_phase, lowest);
    mg_word_set(s->servers_progress, n ? progress / n : 100);
    mg_word_set(s->servers_until_us, known ? (uint64_t) (wall_us + most) : 0);

    return ready == n;
}


int
mg_load_name(const mg_load_t *l, char out[MG_GATE_NAME_MAX + 1])
{
    unsigned  i;
    uint64_t  bytes[MG_GATE_NAME_MAX / 8];

    if (mg_word_get(l->key) == 0 || mg_word_get(l->listed) == 0) {
        return 0;
    }

    for (i = 0; i < MG_GATE_NAME_MAX / 8; i++) {
        bytes[i] = mg_word_get(l->name[i]);
    }

    memcpy(out, bytes, MG_GATE_NAME_MAX);
    out[MG_GATE_NAME_MAX] = '\0';

    return 1;
}
