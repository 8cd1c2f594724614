/*
 * mg_peak.c: estimates of latency by address, one word each.
 *
 * A probe's word:
 *
 *     | state: 2 | in a row that say otherwise: 14 | holds until, ms: 48 |
 *
 * Called by the balancer and by the thread that probes; touches cells only.
 */

#include "model/mg_peak.h"

#include "base/mg_hash.h"
#include "model/mg_ready.h"


#define MG_PEAK_STEPS        16
#define MG_PEAK_TIME_MASK    ((UINT64_C(1) << 48) - 1)


static uint64_t mg_peak_decayed(uint64_t us, uint32_t ms);
static int mg_peak_cas(uint64_t *word, uint64_t *seen, uint64_t value);
static uint64_t mg_peak_pack(uint64_t us, uint64_t now_ms);


uint64_t
mg_peak_key(uint64_t identity, const void *sockaddr, size_t len)
{
    uint64_t  key;

    key = mg_sum64(sockaddr, len) ^ identity;

    return key ? key : 1;
}


mg_peak_t *
mg_peak_find(mg_peaks_t *peaks, uint64_t key, uint64_t now_ms)
{
    unsigned    n;
    uint64_t    seen, word;
    mg_peak_t  *p;

    p = mg_peak_look(peaks, key);

    if (p != NULL) {
        return p;
    }

    for (n = 0; n < MG_PEAK_STEPS; n++) {
        p = &peaks->cells[(key + n) & (MG_PEAK_CELLS - 1)];
        seen = mg_word_get(p->key);
        word = mg_word_get(p->estimate);

        if (seen == key) {
            return p;
        }

        if (seen != 0
            && (uint32_t) now_ms - (uint32_t) word < MG_PEAK_OLD_MS)
        {
            continue;
        }

        if (mg_peak_cas(&p->key, &seen, key)) {
            mg_word_set(p->estimate, (uint32_t) now_ms);
            mg_word_set(p->avoid, 0);
            mg_word_set(p->probe, 0);
            return p;
        }

        if (seen == key) {
            return p;
        }
    }

    return NULL;
}


mg_peak_t *
mg_peak_look(mg_peaks_t *peaks, uint64_t key)
{
    unsigned    n;
    mg_peak_t  *p;

    for (n = 0; n < MG_PEAK_STEPS; n++) {
        p = &peaks->cells[(key + n) & (MG_PEAK_CELLS - 1)];

        if (mg_word_get(p->key) == key) {
            return p;
        }
    }

    return NULL;
}


/* Halved for each MG_PEAK_HALF_MS; straight lines between these points. */

static uint64_t
mg_peak_decayed(uint64_t us, uint32_t ms)
{
    unsigned  halves;

    halves = ms / MG_PEAK_HALF_MS;

    if (halves >= 32) {
        return 0;
    }

    us >>= halves;

    return us - us * (ms % MG_PEAK_HALF_MS) / (2 * MG_PEAK_HALF_MS);
}


static uint64_t
mg_peak_pack(uint64_t us, uint64_t now_ms)
{
    if (us > MG_PEAK_MOST_US) {
        us = MG_PEAK_MOST_US;
    }

    return us << 32 | (uint32_t) now_ms;
}


/* 1 if the word was *seen and is value now; else *seen is what it is. */

static int
mg_peak_cas(uint64_t *word, uint64_t *seen, uint64_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}


uint32_t
mg_peak_now(const mg_peak_t *p, uint64_t now_ms)
{
    uint64_t  word;

    word = mg_word_get(p->estimate);

    return (uint32_t) mg_peak_decayed(word >> 32,
                                      (uint32_t) now_ms - (uint32_t) word);
}


uint64_t
mg_peak_cost(const mg_peak_t *p, unsigned under_way, uint64_t now_ms)
{
    uint64_t  us;

    us = mg_peak_now(p, now_ms);

    if (us == 0) {
        return under_way ? (uint64_t) MG_PEAK_MOST_US * (under_way + 1) : 0;
    }

    return us * (under_way + 1);
}


void
mg_peak_answered(mg_peak_t *p, uint64_t us, uint64_t now_ms)
{
    uint32_t  ms;
    uint64_t  seen, old, next;

    us = us ? us : 1;
    seen = mg_word_get(p->estimate);

    do {
        old = seen >> 32;
        ms = (uint32_t) now_ms - (uint32_t) seen;

        next = (us >= old) ? us : us + mg_peak_decayed(old - us, ms);

        /*
         * many answers within a moment move it no further than one does, and
         * steps too small to be seen add up
         */

        if (next == old && (ms == 0 || us < old)) {
            return;
        }

    } while (!mg_peak_cas(&p->estimate, &seen, mg_peak_pack(next, now_ms)));
}


void
mg_peak_failed(mg_peak_t *p, uint64_t us, uint64_t now_ms)
{
    uint64_t  old;

    /* what fails at once must not look fast */

    old = mg_peak_now(p, now_ms);

    if (us < MG_PEAK_FAILED_US) {
        us = MG_PEAK_FAILED_US;
    }

    mg_peak_answered(p, us < 2 * old ? 2 * old : us, now_ms);
}


void
mg_peak_avoid(mg_peak_t *p, unsigned ms, uint64_t now_ms)
{
    mg_word_set(p->avoid, ms ? now_ms + ms : 0);
}


int
mg_peak_avoided(const mg_peak_t *p, uint64_t now_ms)
{
    return mg_word_get(p->avoid) > now_ms
           || mg_peak_state(p, now_ms) == MG_PEAK_DOWN;
}


/* -- probes -- */

int
mg_peak_probed(mg_peak_t *p, int well, unsigned rise, unsigned fall,
    unsigned stale_ms, uint64_t now_ms)
{
    int              moved;
    uint64_t         word, until;
    unsigned         row;
    mg_peak_state_e  state, said;

    word = mg_word_get(p->probe);
    state = (mg_peak_state_e) (word >> 62);
    row = (unsigned) (word >> 48) & 0x3fff;
    said = well ? MG_PEAK_UP : MG_PEAK_DOWN;

    moved = 0;
    row = (state == said) ? 0 : row + 1;

    /* an address is as good as up until its probes say otherwise */

    if (state == MG_PEAK_UNPROBED && said == MG_PEAK_UP) {
        state = MG_PEAK_UP;
        row = 0;

    } else if (row >= (well ? rise : fall) && row > 0) {
        state = said;
        row = 0;
        moved = 1;
    }

    until = (now_ms + stale_ms) & MG_PEAK_TIME_MASK;

    mg_word_set(p->probe, (uint64_t) state << 62
                          | (uint64_t) (row & 0x3fff) << 48 | until);

    return moved;
}


mg_peak_state_e
mg_peak_state(const mg_peak_t *p, uint64_t now_ms)
{
    uint64_t  word;

    word = mg_word_get(p->probe);

    if ((word & MG_PEAK_TIME_MASK) <= now_ms) {
        return MG_PEAK_UNPROBED;
    }

    return (mg_peak_state_e) (word >> 62);
}
