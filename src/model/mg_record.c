/*
 * mg_record.c: the wire form of an inference record.
 *
 * A record is written and read on the same machine, so numbers are in its
 * byte order; the layout is the struct below, without holes, and changes
 * only together with MG_RECORD_MAGIC.  What came later is at its end, so a
 * record that an earlier release has spooled is the same with less of it.
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


typedef struct {
    uint32_t  magic;
    uint32_t  len;
    uint64_t  checksum;       /* of all that follows */

    uint8_t   id[16];
    uint8_t   group_id[16];
    uint8_t   org_id[16];
    uint8_t   token_id[16];
    uint8_t   key_hash[16];
    int64_t   created_at;
    int64_t   latency_us;
    int64_t   ttft_us;
    int64_t   upstream_us;
    int64_t   request_bytes;
    int64_t   response_bytes;
    int64_t   usage[8];
    int64_t   cost_nano;
    int32_t   bucket;
    int32_t   attempts;
    uint16_t  status;
    uint16_t  upstream_status;
    uint8_t   key_source;
    uint8_t   usage_source;
    uint8_t   stream;
    uint8_t   truncated;

    /* so far a record of MG_RECORD_BEFORE */

    int64_t   parts[4];       /* the rest of the usage */
    uint64_t  price_version;
    uint8_t   shadow_of[16];
    uint8_t   span_id[8];
    uint8_t   kind;
    uint8_t   flags;
    uint8_t   cost_reason;
    uint8_t   bodies;
    uint32_t  reserved;       /* 0 */
} mg_record_wire_t;


#define MG_RECORD_HEAD      offsetof(mg_record_wire_t, id)

#define MG_RECORD_OLD_SIZE  offsetof(mg_record_wire_t, parts)
#define MG_RECORD_OLD_N     16           /* strings */


_Static_assert(MG_RECORD_OLD_SIZE == 232, "as it was");
_Static_assert(sizeof(mg_record_wire_t) == 304, "no holes in the wire form");
_Static_assert(offsetof(mg_usage_t, cache_write_5m) == 64,
               "eight figures of usage");
_Static_assert(sizeof(mg_usage_t) == 96, "and four of their parts");
_Static_assert(MG_RS_ATTEMPTS == MG_RECORD_OLD_N, "the last of the strings");
_Static_assert(sizeof(mg_record_wire_t) + MG_RS_N * sizeof(uint16_t)
               + MG_RECORD_OLD_N * MG_RECORD_STRING_MAX
               + MG_RECORD_ATTEMPTS_MAX
               + 2 * (sizeof(uint32_t) + MG_RECORD_BODY_MAX)
               <= MG_RECORD_SIZE_MAX, "the longest has room");


/* Where the strings of a record begin, and how many there are. */
typedef struct {
    uint32_t  len;            /* of all */
    uint32_t  fixed;
    uint32_t  strings;
} mg_record_shape_t;


/* What a record of MG_RECORD_BEFORE leaves open. */

static const mg_record_wire_t  mg_record_unsaid = {
    .parts = { MG_TOKENS_UNKNOWN, MG_TOKENS_UNKNOWN, MG_TOKENS_UNKNOWN, 0 }
};


static void mg_record_figures(const mg_record_t *r, mg_record_wire_t *w);
static char *mg_record_body_put(char *p, mg_str_t body);
static int mg_record_read(const void *data, size_t len, mg_record_t *r,
    size_t *used, int sealed);
static int mg_record_look(const void *data, size_t len,
    mg_record_shape_t *shape);
static const char *mg_record_string(const char *p, const char *end,
    mg_str_t *s);
static int mg_record_begun(const void *data, size_t len);
static void mg_record_fixed(const mg_record_wire_t *w, mg_record_t *r);
static const char *mg_record_body_get(const char *p, const char *end,
    mg_str_t *body);
static size_t mg_record_cut(mg_str_t s, size_t max);
static size_t mg_record_fit(mg_str_t s, unsigned i);
static void mg_record_clean(char *out, const char *in, size_t len);
static int mg_record_plain(char *out, const char *in, size_t len);
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
    size_t             n;
    uint16_t           len;
    unsigned           i;
    mg_record_wire_t  *w;

    w = out;

    mg_record_figures(r, w);

    p = (char *) (w + 1);

    for (i = 0; i < MG_RS_N; i++) {
        n = mg_record_fit(r->str[i], i);
        len = n;

        memcpy(p, &len, sizeof(uint16_t));
        p += sizeof(uint16_t);

        mg_record_clean(p, r->str[i].data, n);
        p += n;
    }

    if (r->bodies & MG_POLICY_REQUEST_BODY) {
        p = mg_record_body_put(p, r->request_body);
    }

    if (r->bodies & MG_POLICY_RESPONSE_BODY) {
        p = mg_record_body_put(p, r->response_body);
    }

    w->len = p - (char *) out;
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

    mg_record_figures(r, w);

    w->len = old->len;

    memcpy(w + 1, old + 1, w->len - sizeof(mg_record_wire_t));
}


/* All that has a fixed place, but for the length. */

static void
mg_record_figures(const mg_record_t *r, mg_record_wire_t *w)
{
    w->magic = MG_RECORD_MAGIC;
    w->checksum = 0;

    memcpy(w->id, r->id.b, 16);
    memcpy(w->group_id, r->group_id.b, 16);
    memcpy(w->org_id, r->org_id.b, 16);
    memcpy(w->token_id, r->token_id.b, 16);
    memcpy(w->key_hash, r->key_hash, 16);
    memcpy(w->shadow_of, r->shadow_of.b, 16);
    memcpy(w->span_id, r->span_id, 8);
    memcpy(w->usage, &r->usage, sizeof(w->usage));
    memcpy(w->parts, &r->usage.cache_write_5m, sizeof(w->parts));

    w->created_at = r->created_at;
    w->latency_us = r->latency_us;
    w->ttft_us = r->ttft_us;
    w->upstream_us = r->upstream_us;
    w->request_bytes = r->request_bytes;
    w->response_bytes = r->response_bytes;
    w->cost_nano = r->cost_nano;
    w->bucket = r->bucket;
    w->attempts = r->attempts;
    w->status = r->status;
    w->upstream_status = r->upstream_status;
    w->key_source = r->key_source;
    w->usage_source = r->usage_source;
    w->stream = r->stream;
    w->truncated = r->truncated;
    w->price_version = r->price_version;
    w->kind = r->kind;
    w->flags = r->flags;
    w->cost_reason = r->cost_reason;
    w->bodies = r->bodies;
    w->reserved = 0;
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

    if (mg_record_string(p + shape.fixed, p + shape.len, &ref->table)
        == NULL)
    {
        return MG_ERROR;
    }

    ref->wire = mg_str_n(p, shape.len);

    return MG_OK;
}


static int
mg_record_read(const void *data, size_t len, mg_record_t *r, size_t *used,
    int sealed)
{
    int                 rc;
    unsigned            i;
    const char         *p, *end;
    mg_record_wire_t    w;
    mg_record_shape_t   shape;

    rc = mg_record_look(data, len, &shape);

    if (rc != MG_OK) {
        return rc;
    }

    p = data;
    end = p + shape.len;

    memcpy(&w, p, shape.fixed);
    memcpy((char *) &w + shape.fixed,
           (const char *) &mg_record_unsaid + shape.fixed,
           sizeof(mg_record_wire_t) - shape.fixed);

    if (sealed
        && mg_sum64(p + MG_RECORD_HEAD, shape.len - MG_RECORD_HEAD)
           != w.checksum)
    {
        return MG_ERROR;
    }

    mg_record_fixed(&w, r);

    p += shape.fixed;

    for (i = 0; i < MG_RS_N; i++) {

        if (i >= shape.strings) {
            r->str[i] = mg_str_null;
            continue;
        }

        p = mg_record_string(p, end, &r->str[i]);

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
    uint32_t  head[2];           /* magic, len */

    if (len < MG_RECORD_OLD_SIZE) {

        /* what is there of the magic must be right even so */

        return mg_record_begun(data, len) ? MG_AGAIN : MG_ERROR;
    }

    memcpy(head, data, sizeof(head));

    if (head[0] == MG_RECORD_MAGIC) {
        shape->fixed = sizeof(mg_record_wire_t);
        shape->strings = MG_RS_N;

    } else if (head[0] == MG_RECORD_BEFORE) {
        shape->fixed = MG_RECORD_OLD_SIZE;
        shape->strings = MG_RECORD_OLD_N;

    } else {
        return MG_ERROR;
    }

    shape->len = head[1];

    if (shape->len < shape->fixed + shape->strings * sizeof(uint16_t)
        || shape->len > MG_RECORD_SIZE_MAX)
    {
        return MG_ERROR;
    }

    return len < shape->len ? MG_AGAIN : MG_OK;
}


/* What follows it; NULL: it goes beyond the end. */

static const char *
mg_record_string(const char *p, const char *end, mg_str_t *s)
{
    uint16_t  n;

    if ((size_t) (end - p) < sizeof(uint16_t)) {
        return NULL;
    }

    memcpy(&n, p, sizeof(uint16_t));
    p += sizeof(uint16_t);

    if (n > end - p) {
        return NULL;
    }

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


static void
mg_record_fixed(const mg_record_wire_t *w, mg_record_t *r)
{
    memcpy(r->id.b, w->id, 16);
    memcpy(r->group_id.b, w->group_id, 16);
    memcpy(r->org_id.b, w->org_id, 16);
    memcpy(r->token_id.b, w->token_id, 16);
    memcpy(r->shadow_of.b, w->shadow_of, 16);
    memcpy(r->key_hash, w->key_hash, 16);
    memcpy(r->span_id, w->span_id, 8);
    memcpy(&r->usage, w->usage, sizeof(w->usage));
    memcpy(&r->usage.cache_write_5m, w->parts, sizeof(w->parts));

    r->created_at = w->created_at;
    r->latency_us = w->latency_us;
    r->ttft_us = w->ttft_us;
    r->upstream_us = w->upstream_us;
    r->request_bytes = w->request_bytes;
    r->response_bytes = w->response_bytes;
    r->cost_nano = w->cost_nano;
    r->bucket = w->bucket;
    r->attempts = w->attempts;
    r->status = w->status;
    r->upstream_status = w->upstream_status;
    r->key_source = w->key_source;
    r->usage_source = w->usage_source;
    r->stream = w->stream;
    r->truncated = w->truncated;
    r->price_version = w->price_version;
    r->kind = w->kind;
    r->flags = w->flags;
    r->cost_reason = w->cost_reason;
    r->bodies = w->bodies;
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


static void
mg_record_clean(char *out, const char *in, size_t len)
{
    size_t          i, n;
    const uint8_t  *p;

    if (mg_record_plain(out, in, len)) {
        return;
    }

    p = (const uint8_t *) in;

    for (i = 0; i < len; i += n) {

        if (p[i] >= 0x20 && p[i] < 0x7f) {
            out[i] = in[i];
            n = 1;
            continue;
        }

        n = mg_record_sequence(p + i, len - i);

        if (n == 0) {
            out[i] = '?';
            n = 1;
            continue;
        }

        memcpy(out + i, in + i, n);
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
 * Copies in steps of eight bytes (four, if there are less), of which the
 * last overlap; 1 if all were printable ASCII.
 */

static int
mg_record_plain(char *out, const char *in, size_t len)
{
    size_t    i;
    uint32_t  a, b;
    uint64_t  x, odd;

    odd = 0;

    if (len >= 8) {

        for (i = 0; i < len - 8; i += 8) {
            memcpy(&x, in + i, 8);
            memcpy(out + i, &x, 8);
            odd |= mg_record_odd(x);
        }

        memcpy(&x, in + len - 8, 8);
        memcpy(out + len - 8, &x, 8);

        return (odd | mg_record_odd(x)) == 0;
    }

    if (len >= 4) {
        memcpy(&a, in, 4);
        memcpy(&b, in + len - 4, 4);
        memcpy(out, &a, 4);
        memcpy(out + len - 4, &b, 4);

        return mg_record_odd((uint64_t) a << 32 | b) == 0;
    }

    for (i = 0; i < len; i++) {
        out[i] = in[i];
        odd |= mg_record_odd((uint8_t) in[i] | 0x2020202020202000ULL);
    }

    return odd == 0;
}


/* The highest bit of each byte: it is above 0x7e, or below 0x20. */

static inline uint64_t
mg_record_odd(uint64_t x)
{
    return (x | (x + 0x0101010101010101ULL)
            | ((x - 0x2020202020202020ULL) & ~x))
           & 0x8080808080808080ULL;
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
