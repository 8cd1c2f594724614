/*
 * What would break: a record changes between the log phase and the table,
 * a damaged one is believed, bytes from a client make PostgreSQL refuse a
 * whole batch, or what was spooled before an upgrade is lost by it.
 */

#include <stdlib.h>

#include "base/mg_error.h"
#include "base/mg_hash.h"
#include "model/mg_policy.h"
#include "model/mg_record.h"
#include "tap.h"


static uint64_t  room[MG_RECORD_SIZE_MAX / 8 + 1];


static void
fill(mg_record_t *r)
{
    unsigned  i;

    static char  names[MG_RS_N][16];

    mg_record_init(r);

    memset(r->id.b, 1, 16);
    memset(r->group_id.b, 2, 16);
    memset(r->org_id.b, 3, 16);
    memset(r->token_id.b, 4, 16);
    memset(r->key_hash, 5, 16);

    r->created_at = 1781438400123456;
    r->key_source = 2;
    r->usage_source = MG_USAGE_PARTIAL;
    r->stream = 1;
    r->truncated = 1;
    r->status = 499;
    r->upstream_status = 200;
    r->bucket = 9999;
    r->attempts = 3;
    r->latency_us = 1234567890123;
    r->ttft_us = 0;
    r->upstream_us = 77;
    r->request_bytes = 1;
    r->response_bytes = INT64_MAX;
    r->usage.input = 10;
    r->usage.audio_out = 20;
    r->usage.cache_write_5m = 30;
    r->usage.cache_write_1h = 0;
    r->usage.marks = MG_USAGE_FROM_TOTAL;
    r->cost_nano = 0;
    r->kind = MG_RECORD_SHADOW;
    r->flags = MG_RECORD_FORCED;
    r->cost_reason = 3;
    r->price_version = UINT64_MAX - 1;
    memset(r->shadow_of.b, 6, 16);
    memset(r->span_id, 7, 8);

    for (i = 0; i < MG_RS_N; i++) {
        snprintf(names[i], sizeof(names[i]), "string %u", i);
        r->str[i] = mg_str_z(names[i]);
    }
}


static void
round_trip(void)
{
    size_t       used, size;
    unsigned     i, same;
    mg_record_t  r, back;

    fill(&r);
    size = mg_record_size(&r);
    mg_record_encode(&r, room);

    is_int(mg_record_decode(room, size, &back, &used), MG_OK, "decoded");
    is_int(used, size, "as long as it was said to be");

    is_mem(back.id.b, 16, r.id.b, 16, "id");
    is_mem(back.group_id.b, 16, r.group_id.b, 16, "group");
    is_mem(back.org_id.b, 16, r.org_id.b, 16, "organisation");
    is_mem(back.token_id.b, 16, r.token_id.b, 16, "token");
    is_mem(back.key_hash, 16, r.key_hash, 16, "hash of the key");
    is_mem(&back.usage, sizeof(mg_usage_t), &r.usage, sizeof(mg_usage_t),
           "usage");

    ok(back.created_at == r.created_at && back.latency_us == r.latency_us
       && back.ttft_us == 0 && back.upstream_us == 77
       && back.request_bytes == 1 && back.response_bytes == INT64_MAX
       && back.cost_nano == 0, "64-bit figures");
    ok(back.key_source == 2 && back.usage_source == MG_USAGE_PARTIAL
       && back.stream == 1 && back.truncated == 1 && back.status == 499
       && back.upstream_status == 200 && back.bucket == 9999
       && back.attempts == 3, "smaller figures");

    ok(back.kind == MG_RECORD_SHADOW && back.flags == MG_RECORD_FORCED
       && back.cost_reason == 3 && back.price_version == UINT64_MAX - 1
       && back.bodies == 0, "what is said of its kind and cost");
    is_mem(back.shadow_of.b, 16, r.shadow_of.b, 16, "what it is a copy of");
    is_mem(back.span_id, 8, r.span_id, 8, "span");
    ok(back.request_body.data == NULL && back.response_body.data == NULL,
       "no bodies");

    for (i = 0, same = 0; i < MG_RS_N; i++) {
        same += mg_str_eq(back.str[i], r.str[i]);
    }

    is_int(same, MG_RS_N, "all strings");

    mg_record_init(&r);
    mg_record_encode(&r, room);
    is_int(mg_record_decode(room, mg_record_size(&r), &back, &used), MG_OK,
           "a record of which nothing is known");
    ok(back.bucket == -1 && back.ttft_us == -1 && back.upstream_us == -1
       && back.cost_nano == MG_TOKENS_UNKNOWN
       && back.usage.input == MG_TOKENS_UNKNOWN, "unknown stays unknown");
}


static void
long_strings(void)
{
    char         text[3000];
    size_t       used, size;
    unsigned     i;
    mg_record_t  r, back;

    memset(text, 'a', sizeof(text));
    memcpy(text + MG_RECORD_STRING_MAX - 1, "\xe2\x82\xac", 3);

    mg_record_init(&r);
    r.str[MG_RS_PATH] = mg_str_n(text, sizeof(text));
    mg_record_encode(&r, room);
    mg_record_decode(room, mg_record_size(&r), &back, &used);

    is_int(back.str[MG_RS_PATH].len, MG_RECORD_STRING_MAX - 1,
           "cut before the character that does not fit");

    for (i = 0; i < MG_RS_N; i++) {
        r.str[i] = mg_str_n(text, sizeof(text));
    }

    size = mg_record_size(&r);
    ok(size <= MG_RECORD_SIZE_MAX, "all of them: %d bytes", (int) size);

    mg_record_encode(&r, room);
    is_int(mg_record_decode(room, size, &back, &used), MG_OK, "and decoded");
    is_int(back.str[MG_RS_ATTEMPTS].len, 0, "half an array is left out");

    r.str[MG_RS_ATTEMPTS].len = MG_RECORD_ATTEMPTS_MAX;
    memset(text, '1', sizeof(text));
    size = mg_record_size(&r);
    mg_record_encode(&r, room);
    is_int(mg_record_decode(room, size, &back, &used), MG_OK, "a whole one");
    is_int(used, size, "of that size");
    is_int(back.str[MG_RS_ATTEMPTS].len, MG_RECORD_ATTEMPTS_MAX, "is kept");
}


static void
bodies(void)
{
    char             *text;
    char              clean[64];
    size_t            used, size;
    mg_record_t       r, back;
    mg_record_ref_t   ref;

    text = malloc(2 * MG_RECORD_BODY_MAX);
    memset(text, 'b', 2 * MG_RECORD_BODY_MAX);
    memcpy(text + MG_RECORD_BODY_MAX - 2, "\xe2\x82\xac", 3);

    fill(&r);
    r.bodies = MG_POLICY_REQUEST_BODY|MG_POLICY_RESPONSE_BODY;
    r.request_body = mg_str_n(text, 2 * MG_RECORD_BODY_MAX);
    r.response_body = mg_str("a\0b\r\n\xff");
    r.response_body.len = 6;

    size = mg_record_size(&r);
    ok(size <= MG_RECORD_SIZE_MAX, "both bodies: %d bytes", (int) size);
    mg_record_encode(&r, room);
    is_int(mg_record_decode(room, size, &back, &used), MG_OK, "decoded");
    is_int(used, size, "as long as it was said to be");
    is_int(back.request_body.len, MG_RECORD_BODY_MAX - 2,
           "cut before the character that does not fit");
    is_mem(back.response_body.data, back.response_body.len, "a\0b\r\n\xff", 6,
           "the other one as it was");

    r.bodies = MG_POLICY_RESPONSE_BODY;
    r.response_body = mg_str_null;
    size = mg_record_size(&r);
    mg_record_encode(&r, room);
    is_int(mg_record_decode(room, size, &back, &used), MG_OK,
           "an empty one alone");
    ok(back.request_body.data == NULL && back.response_body.data
       && back.response_body.len == 0, "is empty, not absent");

    mg_record_put(&r, room);
    is_int(mg_record_get(room, size, &back), MG_OK, "in a ring");
    is_int(mg_record_refer(room, size, &ref), MG_OK, "and looked at there");
    ok(ref.wire.data == (char *) room && ref.wire.len == size
       && mg_str_eq(ref.table, r.str[MG_RS_TABLE]), "its place, its table");
    is_int(mg_record_decode(room, size, &back, &used), MG_ERROR,
           "not fit for a file");
    mg_record_seal(room);
    is_int(mg_record_decode(room, size, &back, &used), MG_OK,
           "but for its checksum");
    ((char *) room)[size - 4]++;
    is_int(mg_record_get(room, size, &back), MG_ERROR,
           "a length beyond the end");
    is_int(mg_record_refer(room, size, &ref), MG_OK,
           "is not seen before the rest is read");
    is_int(mg_record_refer(room, size - 1, &ref), MG_ERROR, "half of it");
    ((char *) room)[0]++;
    is_int(mg_record_refer(room, size, &ref), MG_ERROR, "another magic");

    mg_record_text(clean, mg_str_n("{\"a\":\n\t\"\xe2\x82\xac \x01\xff\0"
                                   " plain text \xf0\x9f\x98\x80\"}\xe2", 34));
    is_mem(clean, 34, "{\"a\":\n\t\"\xe2\x82\xac ??? plain text "
           "\xf0\x9f\x98\x80\"}?", 34, "as a database takes it");

    free(text);
}


/* A spool is read by another release: what is where is for ever. */

static void
places(void)
{
    char         *p;
    unsigned      i;
    mg_record_t   r;

#define at(offset, field)  { #field, offset, &r.field, sizeof(r.field) }

    const struct {
        const char  *name;
        size_t       offset;
        const void  *data;
        size_t       len;
    } fields[] = {
        at(16, id), at(32, group_id), at(48, org_id), at(64, token_id),
        at(80, key_hash), at(96, created_at), at(104, latency_us),
        at(112, ttft_us), at(120, upstream_us), at(128, request_bytes),
        at(136, response_bytes), at(144, usage.input),
        at(200, usage.audio_out), at(208, cost_nano), at(216, bucket),
        at(220, attempts), at(224, status), at(226, upstream_status),
        at(228, key_source), at(229, usage_source), at(230, stream),
        at(231, truncated), at(232, usage.cache_write_5m),
        at(256, usage.marks), at(264, price_version), at(272, shadow_of),
        at(288, span_id), at(296, kind), at(297, flags), at(298, cost_reason),
        at(299, bodies)
    };

#undef at

    fill(&r);
    mg_record_encode(&r, room);
    p = (char *) room;

    is_mem(p, 4, "MGR4", 4, "magic");

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        is_mem(p + fields[i].offset, fields[i].len, fields[i].data,
               fields[i].len, "%s at %zu", fields[i].name, fields[i].offset);
    }

    is_mem(p + 300, 4, "\0\0\0\0", 4, "nothing");
    is_mem(p + 304, 10, "\x08\0string 0", 10, "the first string");
}


/* What the release before has left in a spool. */

static void
before(void)
{
    char         *p, *old;
    size_t        size, used;
    uint32_t      len;
    uint64_t      sum;
    unsigned      i, same;
    mg_record_t   r, back;

    enum { HEAD = 16, OLD = 232, NEW = 304, STRINGS = 16 };

    fill(&r);
    size = mg_record_size(&r);
    mg_record_encode(&r, room);
    p = (char *) room;

    /* without the fields that came later and without the last string */

    len = size - (NEW - OLD) - 2 - r.str[STRINGS].len;
    old = malloc(len);
    memcpy(old, p, OLD);
    memcpy(old + OLD, p + NEW, len - OLD);
    memcpy(old, "MGR3", 4);
    memcpy(old + 4, &len, 4);
    sum = mg_sum64(old + HEAD, len - HEAD);
    memcpy(old + 8, &sum, 8);

    is_int(mg_record_decode(old, len, &back, &used), MG_OK, "decoded");
    is_int(used, len, "all of it");
    is_mem(back.id.b, 16, r.id.b, 16, "id");
    ok(back.status == 499 && back.usage.input == 10
       && back.usage.audio_out == 20, "figures");

    for (i = 0, same = 0; i < STRINGS; i++) {
        same += mg_str_eq(back.str[i], r.str[i]);
    }

    is_int(same, STRINGS, "strings");
    ok(back.kind == MG_RECORD_INFERENCE && back.flags == 0
       && back.price_version == 0 && back.bodies == 0
       && back.usage.cache_write_5m == MG_TOKENS_UNKNOWN
       && back.usage.marks == 0 && back.str[MG_RS_ATTEMPTS].len == 0,
       "what it does not say is unknown");

    for (i = 0, same = 0; i < len; i++) {
        same += (mg_record_decode(old, i, &back, &used) == MG_AGAIN);
    }

    is_int(same, len, "every shorter piece asks for more");

    old[len - 1] ^= 1;
    is_int(mg_record_decode(old, len, &back, &used), MG_ERROR, "damaged");

    free(old);
}


static void
hostile_strings(void)
{
    size_t       used;
    unsigned     i;
    mg_record_t  r, back;

    static const struct {
        mg_str_t     in;
        const char  *out;
        const char  *what;
    } cases[] = {
        { { "a\0b", 3 }, "a?b", "NUL" },
        { { "a\r\nSet-Cookie: x", 16 }, "a??Set-Cookie: x", "line breaks" },
        { { "\xff\xfe" "ok", 4 }, "??ok", "no UTF-8 at all" },
        { { "\xc0\xaf", 2 }, "??", "overlong" },
        { { "\xed\xa0\x80", 3 }, "???", "surrogate" },
        { { "\xf4\x90\x80\x80", 4 }, "????", "beyond Unicode" },
        { { "ab\xe2\x82", 4 }, "ab??", "cut in the middle" },
        { { "\x7f", 1 }, "?", "DEL" },
        { { "\xf0\x9f\x98\x80 \xe2\x82\xac \xc3\xa9", 11 },
          "\xf0\x9f\x98\x80 \xe2\x82\xac \xc3\xa9", "good UTF-8 is kept" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mg_record_init(&r);
        r.str[MG_RS_PATH] = cases[i].in;
        mg_record_encode(&r, room);
        mg_record_decode(room, mg_record_size(&r), &back, &used);

        is_mem(back.str[MG_RS_PATH].data, back.str[MG_RS_PATH].len,
               cases[i].out, strlen(cases[i].out), "%s", cases[i].what);
    }
}


/* Wherever in a string of whatever length it is. */

static void
odd_bytes(void)
{
    char         text[40];
    size_t       len, at, used;
    unsigned     good, all;
    mg_record_t  r, back;

    good = 0;
    all = 0;

    for (len = 1; len <= sizeof(text); len++) {

        for (at = 0; at < len; at++) {
            memset(text, '~', len);
            text[at] = (at & 1) ? '\x7f' : '\x1f';

            mg_record_init(&r);
            r.str[MG_RS_PATH] = mg_str_n(text, len);
            r.str[MG_RS_CLIENT] = mg_str("~");
            mg_record_encode(&r, room);
            mg_record_decode(room, mg_record_size(&r), &back, &used);

            text[at] = '?';
            good += mg_str_eq(back.str[MG_RS_PATH], r.str[MG_RS_PATH])
                    && mg_str_eq(back.str[MG_RS_CLIENT], mg_str("~"));
            all++;
        }
    }

    is_int(good, all, "an odd byte in any place is found, and it alone");
}


static void
damaged(void)
{
    int          rc;
    char        *p;
    size_t       size, i, used;
    unsigned     short_ok, caught;
    mg_record_t  r, back;

    fill(&r);
    size = mg_record_size(&r);
    mg_record_encode(&r, room);
    p = (char *) room;

    for (i = 0, short_ok = 0; i < size; i++) {
        short_ok += (mg_record_decode(p, i, &back, &used) == MG_AGAIN);
    }

    is_int(short_ok, size, "every shorter piece asks for more");

    for (i = 0, caught = 0; i < size; i++) {
        p[i] ^= 0x10;
        rc = mg_record_decode(p, size, &back, &used);
        caught += (rc != MG_OK);
        p[i] ^= 0x10;
    }

    is_int(caught, size, "every changed byte is noticed");
    is_int(mg_record_decode("junk", 4, &back, &used), MG_ERROR,
           "something else");
}


int
main(void)
{
    round_trip();
    long_strings();
    bodies();
    hostile_strings();
    odd_bytes();
    damaged();
    places();
    before();

    return done_testing();
}
