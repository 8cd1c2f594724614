/*
 * mg_event.h: what has happened lately, for all workers of a node.
 *
 * A fixed ring in shared memory.  Worker 0's listener writes what it hears
 * from the database, every worker reads on from the number that it has read
 * last: that nothing has come costs one word.
 *
 *     | next | gaps | slot | slot | ...     slot = number modulo the slots
 *
 *     slot: number | id | sum | hash and length of topic | length | bytes
 *
 * A slot is published by its number, written last, and is whole only if its
 * sum says so: a writer that is killed, or overtaken while it sleeps, misleads
 * nobody.  Two writers (a reload) write the same events twice; who reads goes
 * by id.  Who cannot read on has missed something and asks the database, as
 * after each reconnect of the listener, which raises gaps.
 *
 * Zero is a ring in which nothing has happened.  Any thread; never blocks.
 */

#ifndef MG_EVENT_H
#define MG_EVENT_H

#include "base/mg_error.h"


#define MG_EVENT_SLOTS   512     /* a power of two */
#define MG_EVENT_WORDS   249     /* 64 bits each: topic and text of one */
#define MG_EVENT_BYTES   (MG_EVENT_WORDS * sizeof(uint64_t))


/* All members are accessed as atomic words. */
typedef struct {
    uint64_t             number;     /* from 1; 0: being written */
    uint64_t             id;
    uint64_t             sum;
    uint64_t             hash;       /* mg_event_hash() of the topic */
    uint64_t             gaps;       /* of the ring, when it was written */
    uint64_t             topic_len;
    uint64_t             text_len;
    uint64_t             words[MG_EVENT_WORDS];
} mg_event_slot_t;


typedef struct {
    uint64_t             next;       /* number that was given out last */
    uint64_t             gaps;       /* raised when events may be missing */
    uint64_t             reserved[6];
    mg_event_slot_t      slots[MG_EVENT_SLOTS];
} mg_events_t;


typedef struct {
    uint64_t             id;         /* grows with the states of a topic */
    uint64_t             gaps;
    mg_str_t             topic;      /* in words */
    mg_str_t             text;       /* in words */
    uint64_t             words[MG_EVENT_WORDS];
} mg_event_t;


uint64_t mg_event_hash(mg_str_t topic);

/*
 * MG_OK; MG_DECLINED: topic and text are longer than MG_EVENT_BYTES, gaps is
 * raised instead.
 */
int mg_event_write(mg_events_t *r, uint64_t id, mg_str_t topic,
    mg_str_t text);

/*
 * The payload of a notification: "ID ORG PROVIDER\nTEXT", whose topic is
 * "ORG PROVIDER".  What is none raises gaps.
 */
void mg_event_hear(mg_events_t *r, mg_str_t payload);

/* The listener was away. */
void mg_event_gap(mg_events_t *r);

/*
 * The event of that number.  MG_OK; MG_AGAIN: it is being written, or its
 * writer is dead; MG_DECLINED: it was overwritten.
 */
int mg_event_read(const mg_events_t *r, uint64_t number, mg_event_t *e);

/*
 * The last event of a topic: MG_OK; MG_DECLINED: it is not there any more, or
 * a later one may have been missed.
 */
int mg_event_last(const mg_events_t *r, mg_str_t topic, mg_event_t *e);


#endif /* MG_EVENT_H */
