/*
 * mg_ring.c: a byte ring in shared memory, one writer, one reader.
 *
 * Every record has a frame of 8 bytes in front of it and is padded to a
 * multiple of 8, so a frame never wraps:
 *
 *     | u32 length | u32 mark | length bytes | 0..7 bytes of padding |
 *
 * A record that does not fit before the end of the data leaves a filler
 * there (its own mark) and begins at offset 0.  The filler is published by
 * mg_ring_reserve() itself, so mg_ring_commit() never has to remember it.
 *
 * head is written by the writer alone, tail by readers alone; both are
 * single words, loaded with acquire and stored with release.
 */

#include "model/mg_ring.h"


#define MG_RING_MARK      0x52474d31    /* a record */
#define MG_RING_FILLER    0x46474d31    /* nothing up to the end of data */
#define MG_RING_MIN       4096
#define MG_RING_ALIGN     8
#define MG_RING_LINE      64           /* of the processor's cache */


typedef struct {
    uint32_t  len;
    uint32_t  mark;
} mg_ring_frame_t;


_Static_assert(sizeof(mg_ring_t) == 64, "the ring header is a cache line");
_Static_assert(sizeof(mg_ring_frame_t) == MG_RING_ALIGN, "a frame is a word");


#define mg_ring_data(r)    ((char *) (r) + sizeof(mg_ring_t))

#define mg_ring_space(len)                                                    \
    (sizeof(mg_ring_frame_t)                                                  \
     + (((len) + MG_RING_ALIGN - 1) & ~(size_t) (MG_RING_ALIGN - 1)))


static uint64_t mg_ring_load(const uint64_t *word);


size_t
mg_ring_fit(size_t room)
{
    size_t  size;

    if (room < MG_RING_MIN) {
        return 0;
    }

    size = MG_RING_MIN;

    while (size <= room / 2) {
        size *= 2;
    }

    return sizeof(mg_ring_t) + size;
}


void
mg_ring_init(mg_ring_t *r, size_t size)
{
    __atomic_store_n(&r->size, size - sizeof(mg_ring_t), __ATOMIC_RELEASE);
}


void *
mg_ring_reserve(mg_ring_t *r, size_t len)
{
    size_t            need, rest;
    uint64_t          head, pos;
    mg_ring_frame_t  *f;

    head = r->head;
    pos = head & (r->size - 1);
    need = mg_ring_space(len);
    rest = r->size - pos;

    if (len > UINT32_MAX || need > r->size
        || (need > rest ? need + rest : need)
           > r->size - (head - mg_ring_load(&r->tail)))
    {
        __atomic_fetch_add(&r->dropped, 1, __ATOMIC_RELAXED);
        return NULL;
    }

    if (need > rest) {
        f = (mg_ring_frame_t *) (mg_ring_data(r) + pos);
        f->len = 0;
        f->mark = MG_RING_FILLER;

        __atomic_store_n(&r->head, head + rest, __ATOMIC_RELEASE);
        pos = 0;
    }

    return mg_ring_data(r) + pos + sizeof(mg_ring_frame_t);
}


void
mg_ring_commit(mg_ring_t *r, size_t len)
{
    mg_ring_frame_t  *f;

    f = (mg_ring_frame_t *) (mg_ring_data(r) + (r->head & (r->size - 1)));
    f->len = len;
    f->mark = MG_RING_MARK;

    __atomic_store_n(&r->written, r->written + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&r->head, r->head + mg_ring_space(len), __ATOMIC_RELEASE);
}


void
mg_ring_warm(const mg_ring_t *r, size_t len)
{
    size_t       at, rest;
    uint64_t     pos;
    const char  *p;

    pos = r->head & (r->size - 1);
    rest = r->size - pos;
    p = mg_ring_data(r) + pos;

    if (len > rest) {
        len = rest;
    }

    for (at = 0; at < len; at += MG_RING_LINE) {
        __builtin_prefetch(p + at, 1);
    }
}


uint64_t
mg_ring_used(const mg_ring_t *r)
{
    uint64_t  tail;

    tail = mg_ring_load(&r->tail);

    return mg_ring_load(&r->head) - tail;
}


uint64_t
mg_ring_begin(const mg_ring_t *r)
{
    return mg_ring_load(&r->tail);
}


int
mg_ring_next(const mg_ring_t *r, uint64_t *cursor, mg_str_t *record)
{
    uint64_t                head, pos;
    const mg_ring_frame_t  *f;

    head = mg_ring_load(&r->head);

    while (*cursor < head) {
        pos = *cursor & (r->size - 1);
        f = (const mg_ring_frame_t *) (mg_ring_data(r) + pos);

        if (f->mark == MG_RING_FILLER) {
            *cursor += r->size - pos;
            continue;
        }

        if (f->mark != MG_RING_MARK
            || mg_ring_space(f->len) > head - *cursor
            || mg_ring_space(f->len) > r->size - pos)
        {
            /* memory that no writer of ours has left: give it up */
            *cursor = head;
            break;
        }

        record->data = (const char *) (f + 1);
        record->len = f->len;
        *cursor += mg_ring_space(f->len);

        return 1;
    }

    return 0;
}


void
mg_ring_consume(mg_ring_t *r, uint64_t cursor)
{
    uint64_t  tail;

    /* forwards only: a reader that comes late must not bring bytes back */

    tail = mg_ring_load(&r->tail);

    while (tail < cursor
           && !__atomic_compare_exchange_n(&r->tail, &tail, cursor, 0,
                                           __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
    {
        /* tail was loaded anew */
    }
}


static uint64_t
mg_ring_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
