/*
 * If this breaks, a question to the audit trail means other records than its
 * parameters say, names no window of time or one without end, or a value that
 * can match nothing reaches the database.
 */

#include <stdlib.h>

#include "base/mg_time.h"
#include "job/mg_call_inference.h"
#include "tap.h"


#define NOW      1718366400000000LL       /* 2024-06-14T12:00:00Z */
#define HOUR     3600000000LL
#define AFTER    "01901667-7f80-7000-8000-000000000001"


static mg_call_t    call;
static mg_error_t   error;


/* "name=value&name=value" as the api module would fill the call */

static void
asked(const char *query)
{
    size_t       n;
    const char  *end;

    call.n_query = 0;
    mg_arena_reset(call.arena);

    while (*query) {
        n = strcspn(query, "=");
        end = query + n + 1 + strcspn(query + n + 1, "&");

        call.query[call.n_query].name = mg_str_n(query, n);
        call.query[call.n_query].value = mg_str_n(query + n + 1,
                                                  end - query - n - 1);
        call.n_query++;

        query = *end ? end + 1 : end;
    }
}


static int
parse(const char *query, mg_inference_filter_t *f, mg_format_e *format)
{
    asked(query);
    memset(&error, 0, sizeof(error));

    return mg_call_filter(&call, NOW, f, format, &error);
}


static void
test_values(void)
{
    mg_format_e            format;
    mg_inference_filter_t  f;

    ok(parse("", &f, &format) == MG_OK, "nothing asked");
    is_int(format, MG_FORMAT_JSON, "JSON");
    is_int(f.limit, 50, "limit");
    is_int(f.until, NOW, "until now");
    is_int(f.since, NOW - 7 * 24 * HOUR, "a week");
    is_int(f.error, -1, "no flag");
    ok(f.served.data == NULL && f.after.data == NULL, "no text");
    is_int(f.status_from, 0, "no status");

    ok(parse("status=5xx&error=true&stream=false&variant=a/b:c"
             "&min_latency_ms=250&role=fallback&kind=shadow&format=csv",
             &f, &format)
       == MG_OK, "much asked");
    is_int(f.status_from, 500, "from");
    is_int(f.status_to, 599, "to");
    is_int(f.error, 1, "true");
    is_int(f.stream, 0, "false");
    is_int(f.truncated, -1, "not asked");
    is_mem(f.served.data, f.served.len, "a/b:c", 5, "text");
    is_int(f.min_latency_us, 250000, "latency");
    is_mem(f.role.data, f.role.len, "fallback", 8, "role");
    is_mem(f.kind.data, f.kind.len, "shadow", 6, "kind");
    is_int(format, MG_FORMAT_CSV, "CSV");
    is_int(f.limit, 1000, "limit of an export");

    ok(parse("status=429&format=ndjson&limit=10000", &f, &format) == MG_OK,
       "an export");
    is_int(f.status_from, 429, "from");
    is_int(f.status_to, 429, "to");
    is_int(f.limit, 10000, "limit");
}


static void
test_windows(void)
{
    mg_uuid_t              id;
    mg_format_e            format;
    mg_inference_filter_t  f;

    ok(parse("since=2024-06-14T10:00:00Z", &f, &format) == MG_OK, "since");
    is_int(f.since, NOW - 2 * HOUR, "since");
    is_int(f.until, NOW, "until now");

    ok(parse("since=2024-01-01T00:00:00Z", &f, &format) == MG_OK,
       "since long ago");
    is_int(f.until - f.since, MG_INFERENCE_WINDOW_US, "as far as it goes");

    ok(parse("until=2024-06-01T00:00:00Z", &f, &format) == MG_OK, "until");
    is_int(f.until - f.since, 7 * 24 * HOUR, "a week before");

    ok(parse("until=2024-06-14T12:00:00%2B00:00", &f, &format) == MG_ERROR,
       "not decoded twice");

    ok(mg_uuid_parse(mg_str(AFTER), &id) == MG_OK, "an id");
    ok(parse("after=" AFTER, &f, &format) == MG_OK, "after");
    is_mem(f.after.data, f.after.len, AFTER, MG_UUID_LEN, "it is");
    ok(f.until > mg_uuid_time(&id) && f.until <= NOW, "until then");
    is_int(f.until - f.since, 7 * 24 * HOUR, "a week before");

    ok(parse("since=2024-05-14T12:00:00Z&until=2024-06-14T12:00:00Z", &f,
             &format)
       == MG_OK, "31 days");
    ok(parse("since=2024-05-14T11:59:59Z&until=2024-06-14T12:00:00Z", &f,
             &format)
       == MG_ERROR, "and not a second more");
    is_str(error.param, "since", "names it");
}


static void
test_refused(void)
{
    size_t                 i;
    mg_format_e            format;
    mg_inference_filter_t  f;

    static const struct {
        const char  *query, *param, *says;
    } cases[] = {
        { "status=", "status", "empty" },
        { "status=0xx", "status", "0xx" },
        { "status=6xx", "status", "6xx" },
        { "status=99", "status", "99" },
        { "status=600", "status", "600" },
        { "status=0200", "status", "0200" },
        { "role=boss", "role", "champion, challenger, shadow, fallback" },
        { "kind=all", "kind", "inference, shadow" },
        { "stream=TRUE", "stream", "true or false" },
        { "token_id=abc", "token_id", "no UUID" },
        { "key_hash=abc", "key_hash", "32 hexadecimal" },
        { "trace_id=0AF7651916CD43DD8448EB211C80319C", "trace_id", "lower" },
        { "trace_id=zaf7651916cd43dd8448eb211c80319c", "trace_id", "32" },
        { "min_latency_ms=86400001", "min_latency_ms", "86400000" },
        { "min_latency_ms=1.5", "min_latency_ms", "1.5" },
        { "since=2024-06-14", "since", "RFC 3339" },
        { "since=1969-06-14T00:00:00Z", "since", "RFC 3339" },
        { "since=2024-06-15T00:00:00Z", "since", "before until" },
        { "after=x", "after", "next" },
        { "after=0190163d-8694-4def-ae2f-a9b7a8a37b2c", "after", "next" },
        { "after=ffffffff-ffff-7fff-bfff-ffffffffffff", "after", "next" },
        { "limit=0", "limit", "between 1 and 1000" },
        { "limit=1001", "limit", "between 1 and 1000" },
        { "limit=10001&format=csv", "limit", "between 1 and 10000" },
        { "limit=4294967297", "limit", "4294967297" },
        { "limit=18446744073709551617", "limit", "between" },
        { "format=xml", "format", "json, csv, ndjson" },
        { "format=", "format", "json, csv, ndjson" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(parse(cases[i].query, &f, &format) == MG_ERROR, "%s",
           cases[i].query);
        is_str(error.param, cases[i].param, "names it");
        like(error.message, cases[i].says, "and says why");
        is_int(error.kind, MG_E_INVALID, "400");
    }
}


static void
test_long(void)
{
    ok(mg_call_long_begin(&error) == MG_OK, "one");
    ok(mg_call_long_begin(&error) == MG_OK, "two");
    ok(mg_call_long_begin(&error) == MG_ERROR, "no third");
    is_int(error.kind, MG_E_UNAVAILABLE, "503");

    mg_call_long_end();
    ok(mg_call_long_begin(&error) == MG_OK, "one has ended");

    mg_call_long_end();
    mg_call_long_end();
}


int
main(void)
{
    memset(&call, 0, sizeof(call));
    call.arena = mg_arena_create(0);

    test_values();
    test_windows();
    test_refused();
    test_long();

    mg_arena_destroy(call.arena);

    return done_testing();
}
