/*
 * mg_rate.h: how long the rest takes at the rate of the last seconds.
 *
 * Work of many equal pieces says how many are done; the time for what is
 * left follows from what was done within a window of some seconds, or since
 * the beginning when nothing was done in it.
 *
 * Plain data; one thread at a time; never blocks.
 */

#ifndef MG_RATE_H
#define MG_RATE_H

#include "base/mg_str.h"


#define MG_RATE_SAMPLES   16         /* one a second */


typedef struct {
    int64_t    at_us[MG_RATE_SAMPLES];
    int64_t    done[MG_RATE_SAMPLES];
    uint32_t   n;                    /* samples so far */
} mg_rate_t;


/* Begins to measure: nothing is done.  now_us of mg_mono_us(). */
void mg_rate_begin(mg_rate_t *r, int64_t now_us);

/* Often; a sample is taken when it is time. */
void mg_rate_add(mg_rate_t *r, int64_t now_us, int64_t done);

/* Seconds for "left" more pieces; -1: nothing was measured yet. */
int64_t mg_rate_left(const mg_rate_t *r, int64_t now_us, int64_t done,
    int64_t left);


#endif /* MG_RATE_H */
