/*
 * mg_rate.c: samples of how much was done, in a ring.
 *
 * Sample 0 is the beginning; it is kept beside the ring's window, so that
 * work that stands still for a while has an estimate all the same, one that
 * grows with the time that it stands still.
 */

#include "model/mg_rate.h"


#define MG_RATE_STEP_US   1000000


void
mg_rate_begin(mg_rate_t *r, int64_t now_us)
{
    memset(r, 0, sizeof(mg_rate_t));

    r->at_us[0] = now_us;
    r->n = 1;
}


/* Slot of sample i: the first one stays, the others go round. */

static unsigned
mg_rate_slot(uint32_t i)
{
    return i == 0 ? 0 : 1 + (i - 1) % (MG_RATE_SAMPLES - 1);
}


void
mg_rate_add(mg_rate_t *r, int64_t now_us, int64_t done)
{
    unsigned  slot;

    if (r->n == 0) {
        mg_rate_begin(r, now_us);
    }

    if (now_us - r->at_us[mg_rate_slot(r->n - 1)] < MG_RATE_STEP_US) {
        return;
    }

    slot = mg_rate_slot(r->n++);
    r->at_us[slot] = now_us;
    r->done[slot] = done;
}


int64_t
mg_rate_left(const mg_rate_t *r, int64_t now_us, int64_t done, int64_t left)
{
    double    seconds;
    unsigned  slot;
    uint32_t  oldest;

    if (left <= 0) {
        return 0;
    }

    if (r->n == 0 || done <= 0) {
        return -1;
    }

    oldest = (r->n < MG_RATE_SAMPLES) ? 0 : r->n - MG_RATE_SAMPLES + 1;
    slot = mg_rate_slot(oldest);

    if (done <= r->done[slot]) {
        slot = 0;
    }

    seconds = (double) (now_us - r->at_us[slot]) / 1000000
              / (double) (done - r->done[slot]) * (double) left;

    return (int64_t) (seconds + 0.999);
}
