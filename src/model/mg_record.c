/*
 * mg_record.c: the wire form of an inference record.
 *
 * A record is written and read on the same machine, so numbers are in its
 * byte order; the layout is the struct below, each part of which is a run of
 * fields of mg_record_t, and changes only together with MG_RECORD_MAGIC.
 * What came later is at its end, so a record that an earlier release has
 * spooled is the same with less of it.
 *
 * Strings come from clients and providers: bytes that PostgreSQL would refuse
 * (NUL, broken UTF-8) and control characters become '?' on the way in, so
 * that no record can fail the batch that it travels in.  Bodies are long:
 * they go through as they are, and whoever stores them has them made fit.
 */

#include "model/mg_record.h"

#include "base/mg_error.h"
#include "base/mg_hash.h"
#include "model/mg_policy.h"


#define MG_RECORD_MAGIC    0x3452474d    /* "MGR4" */
#define MG_RECORD_BEFORE   0x3352474d    /* "MGR3": still read */


/* The highest bit of each of eight bytes. */
#define MG_RECORD_HIGH     0x8080808080808080ULL


/* Bytes of the fields of a record from one up to another, without that. */
#define mg_record_run(from, to)                                               \
    (offsetof(mg_record_t, to) - offsetof(mg_record_t, from))


/* In a file it lies anywhere. */
typedef struct __attribute__((packed)) {
    uint32_t  magic;
    uint32_t  len;
    uint64_t  checksum;       /* of all that follows */

    char      begun[mg_record_run(id, usage.cache_write_5m)];
    char      ended[mg_record_run(cost_nano, price_version)];

    /* so far a record of MG_RECORD_BEFORE */

    char      parts[mg_record_run(usage.cache_write_5m, cost_nano)];
    char      more[mg_record_run(price_version, str)];
} mg_record_wire_t;


#define MG_RECORD_HEAD      offsetof(mg_record_wire_t, begun)

#define MG_RECORD_OLD_SIZE  offsetof(mg_record_wire_t, parts)
#define MG_RECORD_OLD_N     16           /* strings */


#define mg_record_save(w, part, r, field)                                     \
    memcpy((w)->part, (const char *) (r) + offsetof(mg_record_t, field),      \
           sizeof((w)->part))

#define mg_record_load(w, part, r, field)                                     \
    memcpy((char *) (r) + offsetof(mg_record_t, field), (w)->part,            \
           sizeof((w)->part))


_Static_assert(sizeof(((mg_record_wire_t *) 0)->begun) == 192, "as it was");
_Static_assert(MG_RECORD_OLD_SIZE == 232, "as it was");
_Static_assert(sizeof(mg_record_wire_t) == 304, "as it was");
_Static_assert(MG_RS_ATTEMPTS == MG_RECORD_OLD_N, "the last of the strings");
_Static_assert(sizeof(mg_record_wire_t) + MG_RS_N * sizeof(uint16_t)
               + MG_RECORD_OLD_N * MG_RECORD_STRING_MAX
               + MG_RECORD_ATTEMPTS_MAX
               + 2 * (sizeof(uint32_t) + MG_RECORD_BODY_MAX)
               <= MG_RECORD_SIZE_MAX, "the longest has room");


typedef uint8_t  mg_record_step_t __attribute__((vector_size(16)));


/* Where the strings of a record begin, and how many there are. */
typedef struct {
    uint32_t  len;            /* of all */
    uint32_t  fixed;
    uint32_t  strings;
    size_t    room;           /* for bytes of strings, and for bodies */
} mg_record_shape_t;


static void mg_record_fixed_put(const mg_record_t *r, mg_record_wire_t *w);
static char *mg_record_strings_put(char *p, const mg_record_t *r);
static void mg_record_strings_clean(char *p);
static char *mg_record_body_put(char *p, mg_str_t body);
static int mg_record_read(const void *data, size_t len, mg_record_t *r,
    size_t *used, int sealed);
static int mg_record_look(const void *data, size_t len,
    mg_record_shape_t *shape);
static const char *mg_record_string(const char *p, size_t *room, mg_str_t *s);
static int mg_record_begun(const void *data, size_t len);
static void mg_record_fixed_get(mg_record_t *r, const mg_record_wire_t *w);
static const char *mg_record_body_get(const char *p, const char *end,
    mg_str_t *body);
static size_t mg_record_cut(mg_str_t s, size_t max);
static size_t mg_record_fit(mg_str_t s, unsigned i);
static void mg_record_clean(char *out, size_t len);
static inline mg_record_step_t mg_record_plain(char *out, const char *in,
    size_t len);
static inline uint64_t mg_record_odd(uint64_t x);
static size_t mg_record_sequence(const uint8_t *p, size_t len);


void
mg_record_init(mg_record_t *r)
{
    memset(r, 0, sizeof(mg_record_t));

    mg_usage_clear(&r->usage);

    r->bucket = -1;
    r->ttft_us = -1;
    r->upstream_us = -1;
    r->cost_nano = MG_TOKENS_UNKNOWN;
}


size_t
mg_record_size(const mg_record_t *r)
{
    size_t    n, all, longest;
    unsigned  i;

    all = sizeof(mg_record_wire_t) + MG_RS_N * sizeof(uint16_t);
    longest = 0;

    for (i = 0; i < MG_RS_N; i++) {
        n = r->str[i].len;
        all += n;
        longest = n > longest ? n : longest;
    }

    if (longest > MG_RECORD_STRING_MAX) {

        for (i = 0; i < MG_RS_N; i++) {
            all -= r->str[i].len - mg_record_fit(r->str[i], i);
        }
    }

    if (r->bodies == 0) {
        return all;
    }

    if (r->bodies & MG_POLICY_REQUEST_BODY) {
        all += sizeof(uint32_t)
               + mg_record_cut(r->request_body, MG_RECORD_BODY_MAX);
    }

    if (r->bodies & MG_POLICY_RESPONSE_BODY) {
        all += sizeof(uint32_t)
               + mg_record_cut(r->response_body, MG_RECORD_BODY_MAX);
    }

    return all;
}


void
mg_record_encode(const mg_record_t *r, void *out)
{
    mg_record_put(r, out);
    mg_record_seal(out);
}


void
mg_record_seal(void *wire)
{
    char      *p;
    uint32_t   len;
    uint64_t   sum;

    p = wire;

    memcpy(&len, p + offsetof(mg_record_wire_t, len), sizeof(uint32_t));

    sum = mg_sum64(p + MG_RECORD_HEAD, len - MG_RECORD_HEAD);

    memcpy(p + offsetof(mg_record_wire_t, checksum), &sum, sizeof(uint64_t));
}


void
mg_record_put(const mg_record_t *r, void *out)
{
    char              *p;
    mg_record_wire_t  *w;

    w = out;

    mg_record_fixed_put(r, w);

    p = mg_record_strings_put((char *) (w + 1), r);

    if (r->bodies & MG_POLICY_REQUEST_BODY) {
        p = mg_record_body_put(p, r->request_body);
    }

    if (r->bodies & MG_POLICY_RESPONSE_BODY) {
        p = mg_record_body_put(p, r->response_body);
    }

    w->len = p - (char *) out;
}


/* Few records have a string that is to be looked at more closely. */

static char *
mg_record_strings_put(char *p, const mg_record_t *r)
{
    char              *start;
    size_t             n;
    uint16_t           len;
    uint64_t           half[2];
    unsigned           i;
    mg_record_step_t   odd;

    start = p;
    odd = (mg_record_step_t) { 0 };

    for (i = 0; i < MG_RS_N; i++) {
        n = mg_record_fit(r->str[i], i);
        len = n;

        memcpy(p, &len, sizeof(uint16_t));
        p += sizeof(uint16_t);

        odd |= mg_record_plain(p, r->str[i].data, n);
        p += n;
    }

    memcpy(half, &odd, sizeof(half));

    if ((half[0] | half[1]) & MG_RECORD_HIGH) {
        mg_record_strings_clean(start);
    }

    return p;
}


static void
mg_record_strings_clean(char *p)
{
    unsigned  i;
    uint16_t  len;

    for (i = 0; i < MG_RS_N; i++) {
        memcpy(&len, p, sizeof(uint16_t));
        p += sizeof(uint16_t);

        mg_record_clean(p, len);
        p += len;
    }
}


static char *
mg_record_body_put(char *p, mg_str_t body)
{
    size_t    n;
    uint32_t  len;

    n = mg_record_cut(body, MG_RECORD_BODY_MAX);
    len = n;

    memcpy(p, &len, sizeof(uint32_t));
    p += sizeof(uint32_t);

    if (n) {
        memcpy(p, body.data, n);
    }

    return p + n;
}


void
mg_record_renew(const mg_record_t *r, const void *wire, void *out)
{
    mg_record_wire_t        *w;
    const mg_record_wire_t  *old;

    w = out;
    old = wire;

    mg_record_fixed_put(r, w);

    w->len = old->len;

    memcpy(w + 1, old + 1, w->len - sizeof(mg_record_wire_t));
}


/* All that has a fixed place, but for the length. */

static void
mg_record_fixed_put(const mg_record_t *r, mg_record_wire_t *w)
{
    w->magic = MG_RECORD_MAGIC;
    w->checksum = 0;

    mg_record_save(w, begun, r, id);
    mg_record_save(w, ended, r, cost_nano);
    mg_record_save(w, parts, r, usage.cache_write_5m);
    mg_record_save(w, more, r, price_version);
}


int
mg_record_decode(const void *data, size_t len, mg_record_t *r, size_t *used)
{
    return mg_record_read(data, len, r, used, 1);
}


int
mg_record_get(const void *data, size_t len, mg_record_t *r)
{
    size_t  used;

    return mg_record_read(data, len, r, &used, 0) == MG_OK
           ? MG_OK : MG_ERROR;
}


int
mg_record_refer(const void *data, size_t len, mg_record_ref_t *ref)
{
    const char         *p;
    mg_record_shape_t   shape;

    if (mg_record_look(data, len, &shape) != MG_OK) {
        return MG_ERROR;
    }

    p = data;

    if (mg_record_string(p + shape.fixed, &shape.room, &ref->table) == NULL) {
        return MG_ERROR;
    }

    ref->wire = mg_str_n(p, shape.len);

    return MG_OK;
}


static int
mg_record_read(const void *data, size_t len, mg_record_t *r, size_t *used,
    int sealed)
{
    int                      rc;
    unsigned                 i;
    const char              *p, *end;
    mg_record_shape_t        shape;
    const mg_record_wire_t  *w;

    rc = mg_record_look(data, len, &shape);

    if (rc != MG_OK) {
        return rc;
    }

    w = data;
    p = data;
    end = p + shape.len;

    if (sealed
        && mg_sum64(p + MG_RECORD_HEAD, shape.len - MG_RECORD_HEAD)
           != w->checksum)
    {
        return MG_ERROR;
    }

    mg_record_fixed_get(r, w);

    p += shape.fixed;

    for (i = 0; i < shape.strings; i++) {
        p = mg_record_string(p, &shape.room, &r->str[i]);

        if (p == NULL) {
            return MG_ERROR;
        }
    }

    r->request_body = mg_str_null;
    r->response_body = mg_str_null;

    if (r->bodies & MG_POLICY_REQUEST_BODY) {
        p = mg_record_body_get(p, end, &r->request_body);
    }

    if (p && (r->bodies & MG_POLICY_RESPONSE_BODY)) {
        p = mg_record_body_get(p, end, &r->response_body);
    }

    if (p != end) {
        return MG_ERROR;
    }

    *used = shape.len;

    return MG_OK;
}


/* MG_AGAIN: len is too short for it. */

static int
mg_record_look(const void *data, size_t len, mg_record_shape_t *shape)
{
    size_t                   least;
    const mg_record_wire_t  *w;

    if (len < MG_RECORD_OLD_SIZE) {

        /* what is there of the magic must be right even so */

        return mg_record_begun(data, len) ? MG_AGAIN : MG_ERROR;
    }

    w = data;

    if (w->magic == MG_RECORD_MAGIC) {
        shape->fixed = sizeof(mg_record_wire_t);
        shape->strings = MG_RS_N;

    } else if (w->magic == MG_RECORD_BEFORE) {
        shape->fixed = MG_RECORD_OLD_SIZE;
        shape->strings = MG_RECORD_OLD_N;

    } else {
        return MG_ERROR;
    }

    shape->len = w->len;
    least = shape->fixed + shape->strings * sizeof(uint16_t);

    if (shape->len < least || shape->len > MG_RECORD_SIZE_MAX) {
        return MG_ERROR;
    }

    shape->room = shape->len - least;

    return len < shape->len ? MG_AGAIN : MG_OK;
}


/* What follows it; NULL: it goes beyond the end. */

static const char *
mg_record_string(const char *p, size_t *room, mg_str_t *s)
{
    uint16_t  n;

    memcpy(&n, p, sizeof(uint16_t));
    p += sizeof(uint16_t);

    if (n > *room) {
        return NULL;
    }

    *room -= n;
    *s = mg_str_n(p, n);

    return p + n;
}


/* Too little to be one, but as much as there is of a magic. */

static int
mg_record_begun(const void *data, size_t len)
{
    size_t          i, n;
    const uint32_t  magic[2] = { MG_RECORD_MAGIC, MG_RECORD_BEFORE };

    n = len < sizeof(uint32_t) ? len : sizeof(uint32_t);

    for (i = 0; i < 2; i++) {
        if (memcmp(data, &magic[i], n) == 0) {
            return 1;
        }
    }

    return 0;
}


/* What a record of MG_RECORD_BEFORE does not say is unknown. */

static void
mg_record_fixed_get(mg_record_t *r, const mg_record_wire_t *w)
{
    if (w->magic == MG_RECORD_BEFORE) {
        mg_record_init(r);

    } else {
        mg_record_load(w, parts, r, usage.cache_write_5m);
        mg_record_load(w, more, r, price_version);
    }

    mg_record_load(w, begun, r, id);
    mg_record_load(w, ended, r, cost_nano);
}


/* What follows it; NULL: it goes beyond the end. */

static const char *
mg_record_body_get(const char *p, const char *end, mg_str_t *body)
{
    uint32_t  n;

    if ((size_t) (end - p) < sizeof(uint32_t)) {
        return NULL;
    }

    memcpy(&n, p, sizeof(uint32_t));
    p += sizeof(uint32_t);

    if (n > (size_t) (end - p)) {
        return NULL;
    }

    *body = mg_str_n(p, n);

    return p + n;
}


/* Bytes of a string that are kept. */

static size_t
mg_record_fit(mg_str_t s, unsigned i)
{
    if (s.len <= MG_RECORD_STRING_MAX) {
        return s.len;
    }

    if (i != MG_RS_ATTEMPTS) {
        return mg_record_cut(s, MG_RECORD_STRING_MAX);
    }

    /* half an array is none */

    return s.len <= MG_RECORD_ATTEMPTS_MAX ? s.len : 0;
}


/* Bytes of s that are kept; never half of a UTF-8 sequence. */

static size_t
mg_record_cut(mg_str_t s, size_t max)
{
    size_t  n;

    if (s.len <= max) {
        return s.len;
    }

    n = max;

    while (n > 0 && max - n < 3 && ((uint8_t) s.data[n] & 0xc0) == 0x80) {
        n--;
    }

    return n;
}


/* Of what was put as it is: whatever may not stay becomes '?'. */

static void
mg_record_clean(char *out, size_t len)
{
    size_t    i, n;
    uint8_t  *p;

    p = (uint8_t *) out;

    for (i = 0; i < len; i += n) {

        if (p[i] >= 0x20 && p[i] < 0x7f) {
            n = 1;
            continue;
        }

        n = mg_record_sequence(p + i, len - i);

        if (n == 0) {
            p[i] = '?';
            n = 1;
        }
    }
}


void
mg_record_text(char *out, mg_str_t in)
{
    size_t          i, n;
    uint64_t        x;
    const uint8_t  *p;

    p = (const uint8_t *) in.data;

    for (i = 0; i < in.len; i += n) {

        if (in.len - i >= 8) {
            memcpy(&x, p + i, 8);

            if (mg_record_odd(x) == 0) {
                memcpy(out + i, &x, 8);
                n = 8;
                continue;
            }
        }

        n = 1;

        if ((p[i] >= 0x20 && p[i] < 0x7f)
            || p[i] == '\n' || p[i] == '\r' || p[i] == '\t')
        {
            out[i] = in.data[i];
            continue;
        }

        n = mg_record_sequence(p + i, in.len - i);

        if (n == 0) {
            out[i] = '?';
            n = 1;
            continue;
        }

        memcpy(out + i, p + i, n);
    }
}


/*
 * Copies in steps of 16 bytes (eight or four, if there are less), of which
 * the last overlap.  The highest bit of a byte of what it returns: one of
 * those that were there is no printable ASCII.
 */

static inline mg_record_step_t
mg_record_plain(char *out, const char *in, size_t len)
{
    size_t            i, at;
    uint32_t          a, b;
    uint64_t          half[2];
    mg_record_step_t  x, odd;

    odd = (mg_record_step_t) { 0 };

    if (len >= sizeof(x)) {

        for (i = 0; i < len; i += sizeof(x)) {
            at = i < len - sizeof(x) ? i : len - sizeof(x);
            memcpy(&x, in + at, sizeof(x));
            memcpy(out + at, &x, sizeof(x));
            odd |= (x + 0x01) | (x - 0x20);
        }

        return odd;
    }

    if (len >= 8) {
        memcpy(&half[0], in, 8);
        memcpy(&half[1], in + len - 8, 8);
        memcpy(out, &half[0], 8);
        memcpy(out + len - 8, &half[1], 8);

    } else if (len >= 4) {
        memcpy(&a, in, 4);
        memcpy(&b, in + len - 4, 4);
        memcpy(out, &a, 4);
        memcpy(out + len - 4, &b, 4);

        half[0] = (uint64_t) a << 32 | b;
        half[1] = half[0];

    } else {

        for (i = 0; i < len; i++) {
            out[i] = in[i];
            odd[i] = ((uint8_t) in[i] + 0x01) | ((uint8_t) in[i] - 0x20);
        }

        return odd;
    }

    memcpy(&x, half, sizeof(x));

    return (x + 0x01) | (x - 0x20);
}


/*
 * The highest bit of a byte: it is above 0x7e, or below 0x20, or there is
 * such a one before it.
 */

static inline uint64_t
mg_record_odd(uint64_t x)
{
    return ((x + 0x0101010101010101ULL) | (x - 0x2020202020202020ULL))
           & MG_RECORD_HIGH;
}


/* Length of a well-formed multi-byte sequence (Unicode table 3-7), or 0. */

static size_t
mg_record_sequence(const uint8_t *p, size_t len)
{
    size_t   n, i;
    uint8_t  low, high;

    low = 0x80;
    high = 0xbf;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        low = (p[0] == 0xe0) ? 0xa0 : 0x80;
        high = (p[0] == 0xed) ? 0x9f : 0xbf;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        low = (p[0] == 0xf0) ? 0x90 : 0x80;
        high = (p[0] == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if (len < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}
