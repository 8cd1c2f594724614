/*
 * mg_gate.c: token bucket, circuit breaker and outcomes of one source.
 *
 * The bucket is one number, the time at which all tokens in use will be
 * back: a request is let through while that time is less than a bucketful
 * ahead, and moves it on by the time of one token (the generic cell rate
 * algorithm).  The bucket holds a tenth of a minute's requests.
 *
 * The breaker is one word as well:
 *
 *     | failures in a row: 8 | times opened: 8 | not before, ms: 48 |
 *
 * It is closed while there are few failures.  Open, it lets one request try
 * when its time is over, by moving that time on: should whoever won die, the
 * next one tries after that.
 *
 * Called by the HTTP client's threads of all workers; touches the slot only.
 */

#include "model/mg_gate.h"

#include <stdio.h>

#include "base/mg_hash.h"
#include "model/mg_catalog.h"
#include "model/mg_ready.h"


#define MG_GATE_OTHERS        (MG_GATE_SLOTS - 1)

#define MG_GATE_MINUTE_US     INT64_C(60000000)
#define MG_GATE_BURST         10             /* one in so many of a minute's */

#define MG_GATE_FAILURES      5
#define MG_GATE_OPEN_MS       60000
#define MG_GATE_OPEN_TIMES    5              /* doublings of that at most */

/* How long the one that tries may take before another one does. */
#define MG_GATE_TRY_MS        30000

#define MG_GATE_TIME_MASK     ((UINT64_C(1) << 48) - 1)


typedef struct {
    unsigned   failures;
    unsigned   opened;
    uint64_t   until_ms;
} mg_gate_breaker_t;


const mg_str_t  mg_gate_outcome_names[MG_GATE_N] = {
    mg_str("ok"),
    mg_str("not_modified"),
    mg_str("rejected"),
    mg_str("rate_limited"),
    mg_str("failed"),
    mg_str("unreachable"),
    mg_str("timeout"),
    mg_str("bad_answer"),
    mg_str("refused"),
    mg_str("breaker_open")
};


/* What an outcome says of the source's health. */
typedef enum {
    MG_GATE_NOTHING = 0,
    MG_GATE_WELL,
    MG_GATE_ILL
} mg_gate_health_e;

static const mg_gate_health_e  mg_gate_health[MG_GATE_N] = {
    [MG_GATE_OK] = MG_GATE_WELL,
    [MG_GATE_NOT_MODIFIED] = MG_GATE_WELL,
    [MG_GATE_REJECTED] = MG_GATE_WELL,
    [MG_GATE_LIMITED] = MG_GATE_NOTHING,
    [MG_GATE_FAILED] = MG_GATE_ILL,
    [MG_GATE_UNREACHABLE] = MG_GATE_ILL,
    [MG_GATE_TIMED_OUT] = MG_GATE_ILL,
    [MG_GATE_BAD_ANSWER] = MG_GATE_NOTHING,
    [MG_GATE_REFUSED] = MG_GATE_NOTHING,
    [MG_GATE_OPEN] = MG_GATE_NOTHING
};


static uint64_t mg_gate_key(const uint64_t *name);
static int mg_gate_cas(uint64_t *word, uint64_t *seen, uint64_t value);
static mg_gate_breaker_t mg_gate_unpack(uint64_t word);
static uint64_t mg_gate_pack(const mg_gate_breaker_t *b);
static unsigned mg_gate_threshold(const mg_gate_limits_t *l);
static int mg_gate_try(mg_gate_t *g, const mg_gate_limits_t *l,
    int64_t now_us, int64_t *wait_us);
static int mg_gate_token(mg_gate_t *g, unsigned per_minute, int64_t now_us,
    int64_t *wait_us);
static void mg_gate_failed(mg_gate_t *g, const mg_gate_limits_t *l,
    int64_t now_us);


/* -- slots -- */

size_t
mg_gate_name(mg_str_t id, mg_str_t org_id, char *out)
{
    char    text[MG_GATE_NAME_MAX + 1];
    size_t  len;

    if (mg_str_eq(org_id, mg_str(MG_ORG_DEFAULT))) {
        (void) snprintf(text, sizeof(text), "%.*s", MG_STR_ARG(id));

    } else {
        (void) snprintf(text, sizeof(text), "%.*s@%.*s",
                        (int) (id.len < 55 ? id.len : 55), id.data,
                        (int) (org_id.len < 8 ? org_id.len : 8),
                        org_id.data);
    }

    len = strlen(text);
    memcpy(out, text, len);

    return len;
}


mg_gate_t *
mg_gate_find(mg_gates_t *gates, mg_str_t name)
{
    unsigned    i, n, at;
    uint64_t    key, seen, bytes[MG_GATE_NAME_MAX / 8];
    mg_gate_t  *g;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, name.data,
           name.len < sizeof(bytes) ? name.len : sizeof(bytes));

    key = mg_gate_key(bytes);
    at = (unsigned) (key % MG_GATE_OTHERS);

    for (n = 0; n < MG_GATE_OTHERS; n++) {
        g = &gates->slots[(at + n) % MG_GATE_OTHERS];
        seen = mg_word_get(g->key);

        if (seen == 0 && mg_gate_cas(&g->key, &seen, key)) {
            seen = key;
        }

        if (seen == key) {

            /* always: who took the slot may have died before this */

            for (i = 0; i < MG_GATE_NAME_MAX / 8; i++) {
                mg_word_set(g->name[i], bytes[i]);
            }

            return g;
        }
    }

    return &gates->slots[MG_GATE_OTHERS];
}


int
mg_gate_server(mg_gate_t *g, uint64_t server)
{
    uint64_t  before;

    before = mg_word_get(g->server);

    if (before == server) {
        return 0;
    }

    /* the word last: who dies before it leaves this to the next one */

    if (before) {
        mg_word_set(g->breaker, 0);
        mg_word_set(g->hold, 0);
    }

    mg_word_set(g->server, server);

    return before != 0;
}


/* Never 0. */

static uint64_t
mg_gate_key(const uint64_t *name)
{
    uint64_t  key;

    key = mg_sum64(name, MG_GATE_NAME_MAX);

    return key ? key : 1;
}


/* 1 if the word was *seen and is value now; else *seen is what it is. */

static int
mg_gate_cas(uint64_t *word, uint64_t *seen, uint64_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}


int
mg_gate_view(const mg_gates_t *gates, unsigned i, int64_t now_us,
    mg_gate_view_t *v)
{
    unsigned           n;
    uint64_t           key, sum, bytes[MG_GATE_NAME_MAX / 8];
    const mg_gate_t   *g;
    mg_gate_breaker_t  b;

    g = &gates->slots[i];
    key = mg_word_get(g->key);
    memset(v, 0, sizeof(mg_gate_view_t));

    for (n = 0; n < MG_GATE_NAME_MAX / 8; n++) {
        bytes[n] = mg_word_get(g->name[n]);
    }

    if (i == MG_GATE_OTHERS) {
        memcpy(v->name, "other", sizeof("other"));

    } else if (key == 0 || key != mg_gate_key(bytes)) {
        return 0;

    } else {
        memcpy(v->name, bytes, sizeof(bytes));
    }

    for (sum = 0, n = 0; n < MG_GATE_N; n++) {
        v->outcomes[n] = mg_word_get(g->outcomes[n]);
        sum += v->outcomes[n];
    }

    b = mg_gate_unpack(mg_word_get(g->breaker));
    v->open = (b.opened > 0 && b.until_ms > (uint64_t) now_us / 1000);

    return i != MG_GATE_OTHERS || sum > 0;
}


/* -- before a request -- */

int
mg_gate_enter(mg_gate_t *g, const mg_gate_limits_t *l, int64_t now_us,
    int64_t *wait_us)
{
    int                rc;
    int64_t            hold;
    mg_gate_breaker_t  b;

    *wait_us = 0;
    b = mg_gate_unpack(mg_word_get(g->breaker));

    if (b.failures >= mg_gate_threshold(l)
        && b.until_ms > (uint64_t) now_us / 1000)
    {
        *wait_us = (int64_t) b.until_ms * 1000 - now_us;
        mg_gate_count(g, MG_GATE_OPEN);
        return MG_DECLINED;
    }

    hold = (int64_t) mg_word_get(g->hold);

    if (hold > now_us) {
        *wait_us = hold - now_us;
        return MG_AGAIN;
    }

    rc = mg_gate_token(g, l->per_minute, now_us, wait_us);

    if (rc == MG_OK) {
        rc = mg_gate_try(g, l, now_us, wait_us);
    }

    return rc;
}


static int
mg_gate_token(mg_gate_t *g, unsigned per_minute, int64_t now_us,
    int64_t *wait_us)
{
    int64_t   token, bucket, back;
    uint64_t  seen;

    if (per_minute == 0) {
        return MG_OK;
    }

    token = MG_GATE_MINUTE_US / per_minute;
    bucket = token * (per_minute / MG_GATE_BURST);

    if (bucket < token) {
        bucket = token;
    }

    seen = mg_word_get(g->bucket);

    for ( ;; ) {
        back = (int64_t) seen;

        if (back < now_us) {
            back = now_us;
        }

        /* a limit that was lowered leaves a time that is far ahead */

        if (back > now_us + MG_GATE_MINUTE_US) {
            back = now_us + MG_GATE_MINUTE_US;
        }

        if (back + token > now_us + bucket) {
            *wait_us = back + token - now_us - bucket;
            return MG_AGAIN;
        }

        if (mg_gate_cas(&g->bucket, &seen, (uint64_t) (back + token))) {
            return MG_OK;
        }
    }
}


/* Of those that find the time over, one may try. */

static int
mg_gate_try(mg_gate_t *g, const mg_gate_limits_t *l, int64_t now_us,
    int64_t *wait_us)
{
    uint64_t           seen;
    mg_gate_breaker_t  b;

    seen = mg_word_get(g->breaker);
    b = mg_gate_unpack(seen);

    if (b.failures < mg_gate_threshold(l)) {
        return MG_OK;
    }

    if (b.until_ms <= (uint64_t) now_us / 1000) {
        b.until_ms = (uint64_t) now_us / 1000 + MG_GATE_TRY_MS;

        if (mg_gate_cas(&g->breaker, &seen, mg_gate_pack(&b))) {
            return MG_OK;
        }
    }

    *wait_us = MG_GATE_TRY_MS * 1000;
    mg_gate_count(g, MG_GATE_OPEN);

    return MG_DECLINED;
}


/* -- after it -- */

void
mg_gate_leave(mg_gate_t *g, const mg_gate_limits_t *l,
    mg_gate_outcome_e outcome, int64_t retry_after_s, int64_t now_us)
{
    uint64_t  hold, seen;

    mg_gate_count(g, outcome);

    if (mg_gate_health[outcome] == MG_GATE_WELL) {
        mg_word_set(g->breaker, 0);

    } else if (mg_gate_health[outcome] == MG_GATE_ILL) {
        mg_gate_failed(g, l, now_us);
    }

    if (retry_after_s <= 0
        || (outcome != MG_GATE_LIMITED && outcome != MG_GATE_FAILED))
    {
        return;
    }

    /* of two pauses the longer one holds */

    hold = (uint64_t) (now_us + retry_after_s * 1000000);
    seen = mg_word_get(g->hold);

    while (seen < hold && !mg_gate_cas(&g->hold, &seen, hold)) {
        /* void */
    }
}


void
mg_gate_count(mg_gate_t *g, mg_gate_outcome_e outcome)
{
    (void) mg_word_add(g->outcomes[outcome], 1);
}


static void
mg_gate_failed(mg_gate_t *g, const mg_gate_limits_t *l, int64_t now_us)
{
    uint64_t           seen, open_ms;
    mg_gate_breaker_t  b;

    seen = mg_word_get(g->breaker);

    do {
        b = mg_gate_unpack(seen);
        b.failures += (b.failures < 255);

        if (b.failures < mg_gate_threshold(l)) {
            continue;
        }

        open_ms = (uint64_t) (l->open_ms ? l->open_ms : MG_GATE_OPEN_MS)
                  << b.opened;
        b.opened += (b.opened < MG_GATE_OPEN_TIMES);
        b.until_ms = (uint64_t) now_us / 1000 + open_ms;

    } while (!mg_gate_cas(&g->breaker, &seen, mg_gate_pack(&b)));
}


static unsigned
mg_gate_threshold(const mg_gate_limits_t *l)
{
    return l->failures ? l->failures : MG_GATE_FAILURES;
}


static mg_gate_breaker_t
mg_gate_unpack(uint64_t word)
{
    mg_gate_breaker_t  b;

    b.failures = (unsigned) (word >> 56);
    b.opened = (unsigned) (word >> 48) & 0xff;
    b.until_ms = word & MG_GATE_TIME_MASK;

    return b;
}


static uint64_t
mg_gate_pack(const mg_gate_breaker_t *b)
{
    return (uint64_t) b->failures << 56 | (uint64_t) b->opened << 48
           | (b->until_ms & MG_GATE_TIME_MASK);
}
