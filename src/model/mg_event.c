/*
 * mg_event.c: the ring of recent events.
 *
 * A writer takes a number, which is its slot's for as long as the ring does
 * not come round; it takes back what the slot has published before it changes
 * a byte.  Readers copy, and then look whether the number still stands.  All
 * of it is done in words of 64 bits, so that no access is a race.
 *
 * Called by the listener (writes) and by the event loops (read).
 */

#include "model/mg_event.h"

#include "base/mg_hash.h"
#include "model/mg_ready.h"


#define MG_EVENT_ID_MAX   20     /* digits */


static uint64_t mg_event_sum(const mg_event_t *e, uint64_t number);
static void mg_event_copy(const mg_event_slot_t *s, mg_event_t *e, size_t n);


uint64_t
mg_event_hash(mg_str_t topic)
{
    return mg_sum64(topic.data, topic.len);
}


int
mg_event_write(mg_events_t *r, uint64_t id, mg_str_t topic, mg_str_t text)
{
    size_t            i, n;
    char             *p;
    uint64_t          number;
    mg_event_t        e;
    mg_event_slot_t  *s;

    if (topic.len > MG_EVENT_BYTES || text.len > MG_EVENT_BYTES - topic.len) {
        mg_event_gap(r);
        return MG_DECLINED;
    }

    n = (topic.len + text.len + sizeof(uint64_t) - 1) / sizeof(uint64_t);

    if (n) {
        e.words[n - 1] = 0;
    }

    p = (char *) e.words;
    memcpy(p, topic.data, topic.len);
    memcpy(p + topic.len, text.data, text.len);

    e.id = id;
    e.gaps = mg_word_get(r->gaps);
    e.topic = mg_str_n(p, topic.len);
    e.text = mg_str_n(p + topic.len, text.len);

    number = __atomic_add_fetch(&r->next, 1, __ATOMIC_ACQ_REL);
    s = &r->slots[number & (MG_EVENT_SLOTS - 1)];

    __atomic_store_n(&s->number, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    __atomic_store_n(&s->id, id, __ATOMIC_RELAXED);
    __atomic_store_n(&s->sum, mg_event_sum(&e, number), __ATOMIC_RELAXED);
    __atomic_store_n(&s->hash, mg_event_hash(topic), __ATOMIC_RELAXED);
    __atomic_store_n(&s->gaps, e.gaps, __ATOMIC_RELAXED);
    __atomic_store_n(&s->topic_len, topic.len, __ATOMIC_RELAXED);
    __atomic_store_n(&s->text_len, text.len, __ATOMIC_RELAXED);

    for (i = 0; i < n; i++) {
        __atomic_store_n(&s->words[i], e.words[i], __ATOMIC_RELAXED);
    }

    mg_word_set(s->number, number);

    return MG_OK;
}


void
mg_event_hear(mg_events_t *r, mg_str_t payload)
{
    size_t       i;
    uint64_t     id;
    mg_str_t     topic, text;
    const char  *end;

    id = 0;

    for (i = 0; i < payload.len && i < MG_EVENT_ID_MAX; i++) {
        if (payload.data[i] < '0' || payload.data[i] > '9') {
            break;
        }

        id = id * 10 + (uint64_t) (payload.data[i] - '0');
    }

    if (i == 0 || i == payload.len || payload.data[i] != ' ') {
        mg_event_gap(r);
        return;
    }

    i++;
    end = memchr(payload.data + i, '\n', payload.len - i);

    if (end == NULL) {
        mg_event_gap(r);
        return;
    }

    topic = mg_str_n(payload.data + i, (size_t) (end - payload.data) - i);
    text = mg_str_n(end + 1, payload.len - i - topic.len - 1);

    (void) mg_event_write(r, id, topic, text);
}


void
mg_event_gap(mg_events_t *r)
{
    (void) __atomic_add_fetch(&r->gaps, 1, __ATOMIC_RELEASE);
}


int
mg_event_read(const mg_events_t *r, uint64_t number, mg_event_t *e)
{
    size_t                  topic, text, n;
    uint64_t                seen, sum;
    const mg_event_slot_t  *s;

    s = &r->slots[number & (MG_EVENT_SLOTS - 1)];
    seen = mg_word_get(s->number);

    if (seen != number) {
        return (seen > number || mg_word_get(r->next)
                                 >= number + MG_EVENT_SLOTS)
               ? MG_DECLINED : MG_AGAIN;
    }

    e->id = __atomic_load_n(&s->id, __ATOMIC_RELAXED);
    e->gaps = __atomic_load_n(&s->gaps, __ATOMIC_RELAXED);
    sum = __atomic_load_n(&s->sum, __ATOMIC_RELAXED);
    topic = __atomic_load_n(&s->topic_len, __ATOMIC_RELAXED);
    text = __atomic_load_n(&s->text_len, __ATOMIC_RELAXED);

    if (topic > MG_EVENT_BYTES || text > MG_EVENT_BYTES - topic) {
        return MG_DECLINED;
    }

    n = (topic + text + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    mg_event_copy(s, e, n);

    e->topic = mg_str_n((char *) e->words, topic);
    e->text = mg_str_n((char *) e->words + topic, text);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (__atomic_load_n(&s->number, __ATOMIC_RELAXED) != number
        || mg_event_sum(e, number) != sum)
    {
        return MG_DECLINED;
    }

    return MG_OK;
}


int
mg_event_last(const mg_events_t *r, mg_str_t topic, mg_event_t *e)
{
    uint64_t                number, hash, end;
    const mg_event_slot_t  *s;

    hash = mg_event_hash(topic);
    number = mg_word_get(r->next);
    end = (number > MG_EVENT_SLOTS) ? number - MG_EVENT_SLOTS : 0;

    for ( /* void */ ; number > end; number--) {
        s = &r->slots[number & (MG_EVENT_SLOTS - 1)];

        if (mg_word_get(s->number) != number) {

            /* being written: this may be the one */

            return MG_DECLINED;
        }

        if (__atomic_load_n(&s->hash, __ATOMIC_RELAXED) != hash) {
            continue;
        }

        if (mg_event_read(r, number, e) != MG_OK) {
            return MG_DECLINED;
        }

        if (mg_str_eq(e->topic, topic)) {
            return e->gaps == mg_word_get(r->gaps) ? MG_OK : MG_DECLINED;
        }
    }

    return MG_DECLINED;
}


static void
mg_event_copy(const mg_event_slot_t *s, mg_event_t *e, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        e->words[i] = __atomic_load_n(&s->words[i], __ATOMIC_RELAXED);
    }
}


/* Of everything that is in the slot. */

static uint64_t
mg_event_sum(const mg_event_t *e, uint64_t number)
{
    uint64_t  sum;

    sum = mg_sum64(e->words, e->topic.len + e->text.len);

    return sum ^ (number * 0x9e3779b97f4a7c15ULL)
           ^ ((e->id + e->gaps) * 0xc2b2ae3d27d4eb4fULL)
           ^ ((uint64_t) e->topic.len << 32);
}
