/*
 * mg_share.c: how much of a queue each variant holds.
 *
 * A worker has a handful of shadow variants: all slots are looked at for each
 * copy, which costs less than the copy's first header.
 */

#include "client/mg_share.h"


unsigned
mg_share_find(mg_share_t *t, uint64_t key, int64_t now_us)
{
    unsigned                i, found, idle;
    const mg_share_slot_t  *s;

    found = MG_SHARE_SLOTS;
    idle = MG_SHARE_SLOTS;
    t->several = 0;

    for (i = 0; i < MG_SHARE_SLOTS; i++) {
        s = &t->slots[i];

        if (s->seen_us && s->key == key) {
            found = i;
            continue;
        }

        t->several |= (s->seen_us && now_us - s->seen_us < MG_SHARE_SEEN_US);

        if (s->jobs == 0
            && (idle == MG_SHARE_SLOTS
                || s->seen_us < t->slots[idle].seen_us))
        {
            idle = i;
        }
    }

    if (found == MG_SHARE_SLOTS) {
        found = idle < MG_SHARE_SLOTS ? idle
                                      : (unsigned) (key % MG_SHARE_SLOTS);
        t->slots[found].key = key;
    }

    t->slots[found].seen_us = now_us;

    return found;
}


mg_share_room_e
mg_share_room(const mg_share_t *t, unsigned slot, size_t bytes)
{
    const mg_share_slot_t  *s;

    s = &t->slots[slot];

    if (t->jobs >= t->jobs_max
        || s->jobs >= mg_share_most(t->jobs_max, t->several))
    {
        return MG_SHARE_NO_JOBS;
    }

    /* what was taken may be larger than what was asked for */

    if (t->bytes > t->bytes_max || bytes > t->bytes_max - t->bytes) {
        return MG_SHARE_NO_BYTES;
    }

    /* one large job is no reason to send none */

    if (s->bytes
        && s->bytes + bytes > mg_share_most(t->bytes_max, t->several))
    {
        return MG_SHARE_NO_BYTES;
    }

    return MG_SHARE_ROOM;
}


void
mg_share_take(mg_share_t *t, unsigned slot, size_t bytes)
{
    t->jobs++;
    t->bytes += bytes;
    t->slots[slot].jobs++;
    t->slots[slot].bytes += bytes;
}


void
mg_share_give(mg_share_t *t, unsigned slot, size_t bytes)
{
    t->jobs--;
    t->bytes -= bytes;
    t->slots[slot].jobs--;
    t->slots[slot].bytes -= bytes;
}
