/*
 * mg_ready.c: names of the phases, the guess how long they last, and how
 * stale the catalog is.
 *
 * While loading, the time that is left follows from the time that has gone
 * and the progress made in it; where neither says anything, a fixed guess
 * per phase stands in, small enough that a client asks again soon.
 *
 * Called by the handlers of readiness in every worker; reads the words of
 * shared memory once each; never blocks.
 */

#include "model/mg_ready.h"


#define MG_READY_ESTIMATE_MAX   600     /* seconds */
#define MG_READY_CONNECTING     10
#define MG_READY_LOADING        5


const mg_str_t  mg_phase_names[MG_PHASE_N] = {
    mg_str("connecting"),
    mg_str("loading"),
    mg_str("finalizing"),
    mg_str("ready")
};


unsigned
mg_ready_estimate(const mg_state_t *s, int64_t now_us)
{
    double    left;
    int64_t   started;
    uint64_t  phase, progress;

    phase = mg_word_get(s->phase);

    if (phase == MG_PHASE_CONNECTING) {
        return MG_READY_CONNECTING;
    }

    if (phase != MG_PHASE_LOADING) {
        return 1;
    }

    progress = mg_word_get(s->progress);
    started = (int64_t) mg_word_get(s->started_us);

    if (progress == 0 || started <= 0 || started >= now_us) {
        return MG_READY_LOADING;
    }

    if (progress >= 100) {
        return 1;
    }

    left = (double) (now_us - started) / 1e6 * (double) (100 - progress)
           / (double) progress;

    if (left >= MG_READY_ESTIMATE_MAX) {
        return MG_READY_ESTIMATE_MAX;
    }

    return 1 + (unsigned) left;
}


int64_t
mg_ready_stale(const mg_state_t *s, int64_t now_us)
{
    int64_t  confirmed;

    if (!mg_word_get(s->catalog_stale)) {
        return -1;
    }

    confirmed = (int64_t) mg_word_get(s->catalog_confirmed_us);

    /* a clock that was turned back */

    if (confirmed >= now_us) {
        return 0;
    }

    return (now_us - confirmed) / 1000000;
}
