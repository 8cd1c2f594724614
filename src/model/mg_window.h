/*
 * mg_window.h: how many of the last ten seconds' requests were of a kind.
 *
 * Two counts a second, in a ring of seconds: all of them, and those of the
 * kind (retries, failures).  A second that has passed out of the window is
 * overwritten when its place is needed and not counted before.
 *
 *     | second, all, some | second, all, some | ... |
 *
 * Belongs to one thread; no locks, no allocation.  All zero: nothing yet.
 */

#ifndef MG_WINDOW_H
#define MG_WINDOW_H

#include <stdint.h>


#define MG_WINDOW_SECONDS   10


typedef struct {
    uint32_t  second;
    uint32_t  all;
    uint32_t  some;
} mg_window_second_t;

typedef struct {
    mg_window_second_t  seconds[MG_WINDOW_SECONDS];
} mg_window_t;


/* now_s: of any clock that does not go back. */
void mg_window_add(mg_window_t *w, uint32_t now_s, uint32_t all,
    uint32_t some);
void mg_window_sum(const mg_window_t *w, uint32_t now_s, uint32_t *all,
    uint32_t *some);

/*
 * 1 if one more of the kind keeps to percent of all, or to least in the
 * window, whatever that is of all; else 0.
 */
int mg_window_room(const mg_window_t *w, uint32_t now_s, unsigned percent,
    unsigned least);


#endif /* MG_WINDOW_H */
