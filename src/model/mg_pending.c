/*
 * mg_pending.c: records of answers whose last bytes are on their way.
 *
 * The lowest free units are taken first: as a rule one request at a time
 * writes its last bytes, so the same few lines of the processor's cache are
 * used over and over.
 *
 * A mover looks at the word, copies the record, and looks again: if the word
 * has changed, another has moved the record, and the bytes may already be
 * the next owner's.
 */

#include "model/mg_pending.h"

#include "base/mg_error.h"


#define MG_PENDING_LINE   64


_Static_assert(sizeof(mg_pending_t) == MG_PENDING_LINE,
               "the header is a cache line");


#define mg_pending_words(units)                                               \
    (((units) * sizeof(uint64_t) + MG_PENDING_LINE - 1)                       \
     & ~(size_t) (MG_PENDING_LINE - 1))

#define mg_pending_data(p)                                                    \
    ((char *) (p) + sizeof(mg_pending_t) + mg_pending_words((p)->units))

#define mg_pending_run(len)                                                   \
    (((len) + MG_PENDING_UNIT - 1) / MG_PENDING_UNIT)


static uint64_t mg_pending_units(const mg_pending_t *p);
static int mg_pending_copy(mg_pending_t *p, uint64_t i, uint64_t word,
    mg_ring_t *ring);


void
mg_pending_init(mg_pending_t *p, size_t size)
{
    size_t  units;

    units = size / (MG_PENDING_UNIT + sizeof(uint64_t));

    if (units > MG_PENDING_UNITS) {
        units = MG_PENDING_UNITS;
    }

    while (units
           && sizeof(mg_pending_t) + mg_pending_words(units)
              + units * MG_PENDING_UNIT
              > size)
    {
        units--;
    }

    __atomic_store_n(&p->units, units, __ATOMIC_RELEASE);
}


void
mg_pending_open(mg_pending_writer_t *w, mg_pending_t *p, uint32_t pid)
{
    uint64_t  i;

    w->shared = p;
    w->data = mg_pending_data(p);
    w->pid = pid;

    memset(w->free, 0, sizeof(w->free));

    for (i = 0; i < mg_pending_units(p); i++) {
        w->free[i / 64] |= (uint64_t) 1 << (i % 64);
    }
}


void *
mg_pending_take(mg_pending_writer_t *w, size_t len)
{
    size_t    k, n;
    unsigned  i, at;
    uint64_t  starts;

    n = mg_pending_run(len);

    if (w->shared == NULL || n == 0 || n > MG_PENDING_RUN) {
        return NULL;
    }

    for (i = 0; i < MG_PENDING_UNITS / 64; i++) {
        starts = w->free[i];

        for (k = 1; k < n; k++) {
            starts &= starts >> 1;
        }

        if (starts) {
            at = __builtin_ctzll(starts);
            w->free[i] &= ~((((uint64_t) 1 << n) - 1) << at);

            return w->data + (i * 64 + at) * MG_PENDING_UNIT;
        }
    }

    return NULL;
}


void
mg_pending_publish(mg_pending_writer_t *w, void *record, size_t len)
{
    size_t  i;

    i = ((char *) record - w->data) / MG_PENDING_UNIT;

    __atomic_store_n(&w->shared->words[i], (uint64_t) w->pid << 32 | len,
                     __ATOMIC_RELEASE);
}


void
mg_pending_free(mg_pending_writer_t *w, void *record, size_t len)
{
    size_t  i;

    i = ((char *) record - w->data) / MG_PENDING_UNIT;

    __atomic_store_n(&w->shared->words[i], 0, __ATOMIC_RELEASE);

    w->free[i / 64] |= (((uint64_t) 1 << mg_pending_run(len)) - 1) << (i % 64);
}


int
mg_pending_move(mg_pending_t *p, mg_ring_t *ring,
    int (*dead)(uint64_t pid))
{
    uint64_t  i, units, word;

    units = mg_pending_units(p);

    for (i = 0; i < units; i++) {
        word = __atomic_load_n(&p->words[i], __ATOMIC_ACQUIRE);

        if (word == 0 || (dead && !dead(word >> 32))) {
            continue;
        }

        if (mg_pending_run((uint32_t) word) <= units - i
            && mg_pending_copy(p, i, word, ring) != MG_OK)
        {
            return MG_AGAIN;
        }

        (void) __atomic_compare_exchange_n(&p->words[i], &word, 0, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }

    return MG_OK;
}


uint64_t
mg_pending_used(const mg_pending_t *p)
{
    uint64_t  i, sum;

    sum = 0;

    for (i = 0; i < mg_pending_units(p); i++) {
        sum += (uint32_t) __atomic_load_n(&p->words[i], __ATOMIC_ACQUIRE);
    }

    return sum;
}


static uint64_t
mg_pending_units(const mg_pending_t *p)
{
    return __atomic_load_n(&p->units, __ATOMIC_ACQUIRE);
}


static int
mg_pending_copy(mg_pending_t *p, uint64_t i, uint64_t word, mg_ring_t *ring)
{
    void      *out;
    uint32_t   len;
    uint64_t   now;

    now = word;
    len = (uint32_t) word;
    out = mg_ring_reserve(ring, len);

    if (out == NULL) {
        return MG_AGAIN;
    }

    memcpy(out, mg_pending_data(p) + i * MG_PENDING_UNIT, len);

    /* storing it again keeps the copy before the second look */

    if (__atomic_compare_exchange_n(&p->words[i], &now, word, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    {
        mg_ring_commit(ring, len);
    }

    return MG_OK;
}
