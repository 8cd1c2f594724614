/*
 * mg_share.h: how much of a queue each variant holds.
 *
 * A server that hangs fills whatever queue it is given.  So none of several
 * variants may have more than half of one that they share, and the others
 * always find room; a variant that is alone may have all of it.  "Several"
 * are those that asked for room within an hour: the second one to come meets
 * what the first has filled while it was alone, which is over with the
 * deadlines of that.
 *
 *     slots[64]: key | when it last asked | jobs | bytes
 *
 * A slot is given to another variant when it holds nothing.  Where more than
 * 64 hold something, the next ones share a slot with others.
 *
 * One thread; no memory of its own, never blocks.
 */

#ifndef MG_SHARE_H
#define MG_SHARE_H

#include <stddef.h>
#include <stdint.h>


#define MG_SHARE_SLOTS     64
#define MG_SHARE_SEEN_US   ((int64_t) 3600 * 1000000)


typedef enum {
    MG_SHARE_ROOM = 0,
    MG_SHARE_NO_JOBS,
    MG_SHARE_NO_BYTES
} mg_share_room_e;


typedef struct {
    uint64_t           key;
    int64_t            seen_us;          /* mg_mono_us(); 0: never used */
    unsigned           jobs;
    size_t             bytes;
} mg_share_slot_t;


/* Zeroed but for the limits. */
typedef struct {
    unsigned           jobs_max;
    size_t             bytes_max;
    unsigned           jobs;             /* of all */
    size_t             bytes;
    unsigned           several;          /* 1: nobody is alone */
    mg_share_slot_t    slots[MG_SHARE_SLOTS];
} mg_share_t;


/* Half of a limit where several share it, at least 1. */
#define mg_share_most(max, several)                                           \
    ((several) ? ((max) + 1) / 2 : (max))

/* The slot of a variant that asks; "several" is right afterwards. */
unsigned mg_share_find(mg_share_t *t, uint64_t key, int64_t now_us);

/* May the slot's variant have one more job of so many bytes? */
mg_share_room_e mg_share_room(const mg_share_t *t, unsigned slot,
    size_t bytes);

/* It has one, and gives it back; neither asks for room. */
void mg_share_take(mg_share_t *t, unsigned slot, size_t bytes);
void mg_share_give(mg_share_t *t, unsigned slot, size_t bytes);


#endif /* MG_SHARE_H */
