/*
 * mg_breaker.c: one word, one function that moves it.
 *
 * Only what happens in a state that it belongs to counts: the answer of a
 * request that was under way when the breaker opened neither closes it nor
 * opens it for longer.
 *
 * Called on the event loops of all workers; touches the word only.
 */

#include "model/mg_breaker.h"

#include "model/mg_ready.h"


#define MG_BREAKER_TIME_MASK   ((UINT64_C(1) << 48) - 1)

/* How long the one that tries may take before another one does. */
#define MG_BREAKER_TRY_MS      30000

/* Doublings of the pause at most. */
#define MG_BREAKER_TIMES       3


typedef struct {
    mg_breaker_state_e   state;
    unsigned             failures;
    unsigned             opened;
    uint64_t             until_ms;
} mg_breaker_t;


static int mg_breaker_next(mg_breaker_t *b, mg_breaker_event_e event,
    const mg_breaker_limits_t *l, uint64_t now_ms);
static int mg_breaker_ask(mg_breaker_t *b, uint64_t now_ms);
static int mg_breaker_open(mg_breaker_t *b, const mg_breaker_limits_t *l,
    uint64_t now_ms);
static mg_breaker_t mg_breaker_unpack(uint64_t word);
static uint64_t mg_breaker_pack(const mg_breaker_t *b);


const mg_str_t  mg_breaker_state_names[MG_BREAKER_N] = {
    mg_str("closed"),
    mg_str("open"),
    mg_str("half_open")
};


int
mg_breaker_move(uint64_t *word, mg_breaker_event_e event,
    const mg_breaker_limits_t *l, uint64_t now_ms)
{
    int           rc;
    uint64_t      seen, wanted;
    mg_breaker_t  b;

    seen = mg_word_get(*word);

    do {
        b = mg_breaker_unpack(seen);
        rc = mg_breaker_next(&b, event, l, now_ms);
        wanted = mg_breaker_pack(&b);

    } while (wanted != seen
             && !__atomic_compare_exchange_n(word, &seen, wanted, 0,
                                             __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE));

    return rc;
}


mg_breaker_state_e
mg_breaker_state(uint64_t word)
{
    return mg_breaker_unpack(word).state;
}


static int
mg_breaker_next(mg_breaker_t *b, mg_breaker_event_e event,
    const mg_breaker_limits_t *l, uint64_t now_ms)
{
    switch (event) {

    case MG_BREAKER_ASK:
        return mg_breaker_ask(b, now_ms);

    case MG_BREAKER_WELL:
        if (b->state == MG_BREAKER_CLOSED) {
            b->failures = 0;
        }

        return MG_OK;

    case MG_BREAKER_ILL:
        if (b->state == MG_BREAKER_CLOSED) {
            b->failures += (b->failures < 255);

            if (b->failures >= l->failures) {
                return mg_breaker_open(b, l, now_ms);
            }
        }

        return MG_OK;

    case MG_BREAKER_SICK:
        return b->state == MG_BREAKER_CLOSED ? mg_breaker_open(b, l, now_ms)
                                             : MG_OK;

    case MG_BREAKER_TRIED_WELL:
        memset(b, 0, sizeof(mg_breaker_t));
        return MG_OK;

    case MG_BREAKER_TRIED_ILL:
        return b->state == MG_BREAKER_HALF_OPEN ? mg_breaker_open(b, l, now_ms)
                                                : MG_OK;

    case MG_BREAKER_TRIED_NOTHING:
        if (b->state == MG_BREAKER_HALF_OPEN) {
            b->state = MG_BREAKER_OPEN;
            b->until_ms = now_ms;
        }
    }

    return MG_OK;
}


static int
mg_breaker_ask(mg_breaker_t *b, uint64_t now_ms)
{
    if (b->state == MG_BREAKER_CLOSED) {
        return MG_OK;
    }

    if (b->until_ms > now_ms) {
        return MG_DECLINED;
    }

    b->state = MG_BREAKER_HALF_OPEN;
    b->until_ms = now_ms + MG_BREAKER_TRY_MS;

    return MG_AGAIN;
}


static int
mg_breaker_open(mg_breaker_t *b, const mg_breaker_limits_t *l,
    uint64_t now_ms)
{
    b->state = MG_BREAKER_OPEN;
    b->failures = 0;
    b->until_ms = now_ms + ((uint64_t) l->pause_ms << b->opened);
    b->opened += (b->opened < MG_BREAKER_TIMES);

    return MG_AGAIN;
}


static mg_breaker_t
mg_breaker_unpack(uint64_t word)
{
    mg_breaker_t  b;

    b.state = (mg_breaker_state_e) (word >> 62);
    b.failures = (unsigned) (word >> 54) & 0xff;
    b.opened = (unsigned) (word >> 48) & 0x3f;
    b.until_ms = word & MG_BREAKER_TIME_MASK;

    return b;
}


static uint64_t
mg_breaker_pack(const mg_breaker_t *b)
{
    return (uint64_t) b->state << 62 | (uint64_t) b->failures << 54
           | (uint64_t) b->opened << 48 | (b->until_ms & MG_BREAKER_TIME_MASK);
}
