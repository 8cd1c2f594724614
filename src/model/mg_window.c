/*
 * mg_window.c: counts of the last ten seconds.
 *
 * Called for each request of the data plane (add), and when something has
 * gone wrong (sum, room); touches the window only.
 */

#include "model/mg_window.h"


void
mg_window_add(mg_window_t *w, uint32_t now_s, uint32_t all, uint32_t some)
{
    mg_window_second_t  *s;

    s = &w->seconds[now_s % MG_WINDOW_SECONDS];

    if (s->second != now_s) {
        s->second = now_s;
        s->all = 0;
        s->some = 0;
    }

    s->all += all;
    s->some += some;
}


void
mg_window_sum(const mg_window_t *w, uint32_t now_s, uint32_t *all,
    uint32_t *some)
{
    unsigned                   i;
    const mg_window_second_t  *s;

    *all = 0;
    *some = 0;

    for (i = 0; i < MG_WINDOW_SECONDS; i++) {
        s = &w->seconds[i];

        if (now_s - s->second < MG_WINDOW_SECONDS) {
            *all += s->all;
            *some += s->some;
        }
    }
}


int
mg_window_room(const mg_window_t *w, uint32_t now_s, unsigned percent,
    unsigned least)
{
    uint32_t  all, some;

    mg_window_sum(w, now_s, &all, &some);

    return some < least
           || ((uint64_t) some + 1) * 100 <= (uint64_t) all * percent;
}
