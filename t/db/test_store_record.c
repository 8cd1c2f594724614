/*
 * Inference records: if this breaks, a record is lost, stored twice, or
 * stored with another meaning than it was made with.  Batches go into the
 * tables of two groups, over the fast way and the slow one, into days that
 * have a partition and days that have none, and into tables that are gone.
 */

#include "base/mg_crypt.h"
#include "db.h"
#include "model/mg_cost.h"
#include "model/mg_policy.h"


#define BATCH  4000


static mg_group_t    group[2];
static mg_record_t   records[BATCH];


static void
record(mg_record_t *r, const mg_group_t *g, int64_t us)
{
    uint8_t  rnd[10];

    (void) mg_random(rnd, sizeof(rnd));
    mg_record_init(r);
    mg_uuid_v7(&r->id, us, rnd);
    (void) mg_uuid_parse(g->id, &r->group_id);
    (void) mg_uuid_parse(mg_str(MG_ORG_DEFAULT), &r->org_id);
    r->created_at = us;
    r->status = 200;
    r->attempts = 1;
    r->latency_us = 1234567;
    r->str[MG_RS_TABLE] = g->inference_table;
    r->str[MG_RS_GROUP] = g->name;
    r->str[MG_RS_MODEL_SERVED] = mg_str("demo/a");
}


static int64_t
rows(unsigned i)
{
    return db_int("select count(*) from model.%s",
                  db_z(group[i].inference_table));
}


/*
 * In their wire form, but with the bytes that mg_record_put() would clean;
 * the one at "cut", if there is such, without its last byte.
 */

static int
put(unsigned n, unsigned cut, uint64_t *stored)
{
    int               rc;
    char             *wire;
    size_t            size;
    unsigned          i, k;
    mg_arena_t       *a;
    mg_record_t       back;
    mg_record_ref_t  *refs;

    a = mg_arena_create(0);
    refs = mg_arena_alloc(a, (n + 1) * sizeof(mg_record_ref_t));

    for (i = 0; i < n; i++) {
        size = mg_record_size(&records[i]);
        wire = mg_arena_alloc(a, size);

        mg_record_put(&records[i], wire);
        (void) mg_record_get(wire, size, &back);

        for (k = 0; k < MG_RS_N; k++) {
            if (back.str[k].len) {
                memcpy((char *) back.str[k].data, records[i].str[k].data,
                       back.str[k].len);
            }
        }

        (void) mg_record_refer(wire, size, &refs[i]);
        refs[i].wire.len -= (i == cut);
    }

    rc = mg_store_records(db, refs, n, stored, &db_error);

    mg_arena_destroy(a);

    return rc;
}


static uint64_t
store(unsigned n)
{
    uint64_t  stored;

    if (put(n, n, &stored) != MG_OK) {
        fail("store: %s", db_error.message);
        return 0;
    }

    return stored;
}


static void
test_columns(void)
{
    mg_record_t  *r = &records[0];

    record(r, &group[0], mg_now_us());
    r->bucket = 17;
    memset(r->key_hash, 0xab, sizeof(r->key_hash));
    r->key_source = 2;
    r->usage_source = MG_USAGE_PARTIAL;
    r->stream = 1;
    r->usage.input = 10;
    r->usage.output = 0;
    r->cost_nano = 42;
    r->ttft_us = 99;
    r->str[MG_RS_PATH] = mg_str("/v1/a\tb\\c'\"\n;");
    r->str[MG_RS_CLIENT] = mg_str("::1");

    is_uint(store(1), 1, "one record");
    is_str(db_text("select concat_ws(' ', bucket, key_hash, key_source, "
                   "usage_source, stream, truncated, input_tokens, "
                   "output_tokens, cost_nano_usd, ttft_us, status, client, "
                   "model_served, org_id) from model.%s",
                   db_z(group[0].inference_table)),
           "17 \\xabababababababababababababababab body partial t f 10 0 42 "
           "99 200 ::1 demo/a " MG_ORG_DEFAULT, "its columns");
    is_str(db_text("select path from model.%s",
                   db_z(group[0].inference_table)), "/v1/a\tb\\c'\"\n;",
           "text that is hard on COPY");
    is_int(db_int("select count(*) from model.%s where upstream_status is "
                  "null and upstream_us is null and token_id is null and "
                  "reasoning_tokens is null and error_class is null and "
                  "model_requested is null",
                  db_z(group[0].inference_table)), 1, "unknown is null");

    is_str(db_text("select concat_ws(' ', kind, forced, dry_run) from "
                   "model.%s where num_nonnulls(shadow_of, attempt_log, "
                   "trace_id, span_id, cache_write_5m_tokens, "
                   "cache_write_1h_tokens, tool_input_tokens, usage_marks, "
                   "price_version, cost_unknown, request_body, "
                   "response_body, explanation) = 0",
                   db_z(group[0].inference_table)), "inference f f",
           "a client's, and nothing more is said");

    record(r, &group[0], mg_now_us());
    is_uint(store(1), 1, "a bare one");
    is_int(db_int("select count(*) from model.%s where bucket is null and "
                  "key_hash is null and key_source is null and usage_source "
                  "is null and cost_nano_usd is null and ttft_us is null",
                  db_z(group[0].inference_table)), 1, "is null all over");
    (void) db_text("truncate model.%s", db_z(group[0].inference_table));
}


/* What a record may say besides. */

static void
test_more(void)
{
    char         *body;
    unsigned      i;
    mg_record_t  *r = &records[0];

    static const char * const  bad[] = {
        "[{\"a\":1},", "{}", "[\"\\u0000\"]", "[\"\\ud83d\"]", "null",
        "[1] [2]"
    };

    record(r, &group[0], mg_now_us());
    r->kind = MG_RECORD_SHADOW;
    memset(r->shadow_of.b, 0x11, 16);
    r->flags = MG_RECORD_FORCED|MG_RECORD_DRY_RUN;
    memset(r->span_id, 0xab, 8);
    r->usage.cache_write_5m = 5;
    r->usage.cache_write_1h = 0;
    r->usage.tool_input = 7;
    r->usage.marks = MG_USAGE_FROM_TOTAL|MG_USAGE_AUDIO_CACHED;
    r->price_version = 0x00ff;
    r->cost_reason = MG_COST_NO_PRICE;
    r->str[MG_RS_ATTEMPTS] = mg_str("[{\"status\":503,\"u\":\"\\u00e9\"}]");
    r->str[MG_RS_TRACEPARENT] =
        mg_str("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    r->bodies = MG_POLICY_REQUEST_BODY|MG_POLICY_RESPONSE_BODY;
    r->request_body = mg_str_n("{\"a\":\t1}\0\xff\n", 11);
    r->response_body = mg_str("");

    is_uint(store(1), 1, "one that says all");
    is_str(db_text("select concat_ws(' ', kind, shadow_of, forced, dry_run, "
                   "span_id, cache_write_5m_tokens, cache_write_1h_tokens, "
                   "tool_input_tokens, usage_marks, price_version, "
                   "cost_unknown) from model.%s",
                   db_z(group[0].inference_table)),
           "shadow 11111111-1111-1111-1111-111111111111 t t abababababababab "
           "5 0 7 {output_from_total,audio_partly_cached} "
           "00000000000000ff no_price",
           "its columns");
    is_str(db_text("select trace_id from model.%s",
                   db_z(group[0].inference_table)),
           "0af7651916cd43dd8448eb211c80319c", "the trace");
    is_str(db_text("select attempt_log from model.%s",
                   db_z(group[0].inference_table)),
           "[{\"u\": \"\xc3\xa9\", \"status\": 503}]", "the attempts");
    is_str(db_text("select request_body from model.%s",
                   db_z(group[0].inference_table)), "{\"a\":\t1}??\n",
           "a body, as text that a database takes");
    is_str(db_text("select coalesce(response_body, 'absent') from model.%s",
                   db_z(group[0].inference_table)), "", "an empty one");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        record(r, &group[0], mg_now_us());
        r->str[MG_RS_ATTEMPTS] = mg_str_z(bad[i]);
        r->str[MG_RS_TRACEPARENT] = mg_str_z(i % 2 ? "00-xyz" : "00-"
            "0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01-----");
        is_uint(store(1), 1, "attempts %s", bad[i]);
    }

    is_int(db_int("select count(*) from model.%s where attempt_log is null "
                  "and trace_id is null", db_z(group[0].inference_table)),
           sizeof(bad) / sizeof(bad[0]), "are left out");

    /* bodies of more than what is sent at once */

    body = malloc(MG_RECORD_BODY_MAX);
    memset(body, 'x', MG_RECORD_BODY_MAX);

    for (i = 1; i < 9; i++) {
        record(&records[i], &group[0], mg_now_us());
        records[i].bodies = MG_POLICY_REQUEST_BODY;
        records[i].request_body = mg_str_n(body, MG_RECORD_BODY_MAX);
    }

    record(r, &group[0], mg_now_us());
    is_uint(store(9), 9, "eight with long bodies, and one");
    is_int(db_int("select count(*) from model.%s "
                  "where length(request_body) = 65536",
                  db_z(group[0].inference_table)), 8, "all of them");

    free(body);
    (void) db_text("truncate model.%s", db_z(group[0].inference_table));
}


static void
test_batch(void)
{
    int64_t   now, start;
    unsigned  i;

    now = mg_now_us();

    for (i = 0; i < BATCH; i++) {
        record(&records[i], &group[i % 2], now + i);
    }

    start = mg_mono_us();
    is_uint(store(BATCH), BATCH, "a batch for two groups");
    diag("%d records in %d ms", BATCH, (int) (mg_mono_us() - start) / 1000);
    is_int(rows(0), BATCH / 2, "half of it here");
    is_int(rows(1), BATCH / 2, "and half there");

    is_uint(store(BATCH), 0, "the same again stores nothing");
    is_int(rows(0), BATCH / 2, "and changes nothing");

    for (i = 0; i < 10; i++) {
        record(&records[i], &group[0], now - 1000 - i);
    }

    records[10] = records[9];
    is_uint(store(20), 10, "ten new ones, twins and old ones among them");
    is_int(rows(0), BATCH / 2 + 10, "are stored once");
    is_uint(store(0), 0, "nothing is nothing");
}


/* Days that no partition was made for. */

static void
test_partitions(void)
{
    int64_t  now, day;

    now = mg_now_us();
    day = 86400LL * 1000000;

    record(&records[0], &group[0], now + 8 * day);
    record(&records[1], &group[0], now - 30 * day);
    record(&records[2], &group[0], now + 7 * day);
    is_uint(store(3), 3, "records of far days");
    is_int(db_int("select count(*) from only model.inference_%s_default",
                  db_z(group[0].id) + 28), 2,
           "lie in the default partition, if there is none for them");

    /* tomorrow: a day more is made, and takes what waits for it */

    ok(db_int("select model.make_inference_partition('%s', 'inference_%s', "
              "(now() at time zone 'UTC')::date + 8)::int",
              db_z(group[0].inference_table), db_z(group[0].id) + 28) == 1,
       "the eighth day is made");
    is_int(db_int("select count(*) from only model.inference_%s_default",
                  db_z(group[0].id) + 28), 1, "its record has moved");
    is_int(rows(0), BATCH / 2 + 13, "none is lost");

    (void) db_text("drop table model.inference_%s_p%s", db_z(group[1].id)
                   + 28, db_text("select to_char((now() at time zone 'UTC') "
                                 "+ interval '5 days', 'YYYYMMDD')"));
    ok(mg_store_partitions(db, &db_error) == MG_OK, "partitions are kept");
    is_int(db_int("select count(*) from pg_inherits "
                  "where inhparent = 'model.%s'::regclass",
                  db_z(group[1].inference_table)), 10, "all of them");
    ok(mg_store_partitions(db, &db_error) == MG_OK, "once more");

    like(db_text("explain (format json) select * from model.%s "
                 "where created_at > now() - interval '1 hour' "
                 "and created_at < now()", db_z(group[0].inference_table)),
         "_p", "days are pruned");
}


/* A table that somebody dropped, a name that is none. */

static void
test_unassigned(void)
{
    int64_t     now;
    mg_group_t  gone;

    now = mg_now_us();
    gone = group[1];
    gone.inference_table = mg_str("inference_gone_00000000");
    record(&records[0], &gone, now);
    record(&records[1], &group[0], now);
    gone.inference_table = mg_str("x\"; drop table model.jobs; --");
    record(&records[2], &gone, now);
    gone.inference_table = mg_str_null;
    record(&records[3], &gone, now);

    is_uint(store(4), 4, "records without a table");
    is_int(db_int("select count(*) from model.inference_unassigned"), 3,
           "are kept apart");
    is_int(rows(0), BATCH / 2 + 14, "the others go where they belong");
    is_uint(store(4), 0, "and once");
}


/* One record that cannot be stored fails its batch, with a reason. */

static void
test_refused(void)
{
    uint64_t  stored;

    record(&records[0], &group[0], mg_now_us());
    record(&records[1], &group[0], mg_now_us());
    records[1].str[MG_RS_PATH] = mg_str("\xff\xfe");

    ok(put(2, 2, &stored) == MG_ERROR, "bytes that are no text");
    is_int(db_error.kind, MG_E_INVALID, "are invalid");
    is_uint(stored, 0, "nothing is stored");

    records[1].str[MG_RS_PATH] = mg_str("/");
    ok(put(2, 1, &stored) == MG_ERROR, "a record that is cut off");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");
    is_uint(stored, 0, "nothing is stored");
    is_uint(store(1), 1, "the other one is, alone");
}


int
main(void)
{
    unsigned  i;

    db_start();

    for (i = 0; i < 2; i++) {
        memset(&group[i], 0, sizeof(mg_group_t));
        group[i].name = i ? mg_str("two") : mg_str("one");
        ok(mg_store_group_create(db, &db_actor, db_arena, &group[i],
                                 &db_error) == MG_OK, "group %u", i);
    }

    test_columns();
    test_more();
    test_batch();
    test_partitions();
    test_unassigned();
    test_refused();

    return db_done();
}
