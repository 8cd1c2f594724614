/*
 * test_time.c: base/mg_time.h.
 *
 * What would break: timestamps that PostgreSQL or a client sent are off by a
 * zone or a leap day, ids do not sort by time.
 */

#include "base/mg_time.h"
#include "base/mg_error.h"
#include "tap.h"

#include <time.h>


static void
test_parse(void)
{
    size_t   i;
    char     out[MG_TIME_LEN + 1];
    int64_t  us;

    static const struct {
        const char  *in;
        const char  *out;        /* NULL: refused */
    } cases[] = {
        { "2026-06-14T12:00:00Z", "2026-06-14T12:00:00.000Z" },
        { "2026-06-14t12:00:00.5z", "2026-06-14T12:00:00.500Z" },
        { "2026-06-14T12:00:00.123456Z", "2026-06-14T12:00:00.123Z" },
        { "2026-06-14T12:00:00.1234567890123Z", "2026-06-14T12:00:00.123Z" },
        { "2026-06-14 12:00:00.5+00", "2026-06-14T12:00:00.500Z" },
        { "2026-06-14 12:00:00+05:30", "2026-06-14T06:30:00.000Z" },
        { "2026-06-14 12:00:00-0130", "2026-06-14T13:30:00.000Z" },
        { "1890-01-01 00:00:00+00:53:28", "1889-12-31T23:06:32.000Z" },
        { "2024-02-29T23:59:60Z", "2024-03-01T00:00:00.000Z" },
        { "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z" },
        { "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z" },
        { "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z" },
        { "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z" },
        { "1900-02-29T00:00:00Z", NULL },
        { "2026-02-30T00:00:00Z", NULL },
        { "2026-13-01T00:00:00Z", NULL },
        { "2026-00-01T00:00:00Z", NULL },
        { "2026-06-00T00:00:00Z", NULL },
        { "2026-06-14T24:00:00Z", NULL },
        { "2026-06-14T12:60:00Z", NULL },
        { "2026-06-14T12:00:61Z", NULL },
        { "2026-06-14T12:00:00", NULL },
        { "2026-06-14T12:00:00.Z", NULL },
        { "2026-06-14T12:00:00Zx", NULL },
        { "2026-06-14T12:00:00+", NULL },
        { "2026-06-14T12:00:00+5", NULL },
        { "2026-06-14", NULL },
        { "infinity", NULL },
        { "0044-03-15 00:00:00+00 BC", NULL },
        { "", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        if (cases[i].out == NULL) {
            is_int(mg_time_parse(mg_str_z(cases[i].in), &us), MG_ERROR,
                   "\"%s\" is refused", cases[i].in);
            continue;
        }

        if (ok(mg_time_parse(mg_str_z(cases[i].in), &us) == MG_OK,
               "\"%s\" is read", cases[i].in))
        {
            is_int(mg_time_format(us, out), strlen(cases[i].out), "length");
            is_str(out, cases[i].out, "and written");
        }
    }

    mg_time_parse(mg_str("1970-01-01T00:00:01.000002Z"), &us);
    is_int(us, 1000002, "microseconds are kept");

    mg_time_format(INT64_MAX, out);
    is_str(out, "9999-12-31T23:59:59.999Z", "the far future is bounded");
    mg_time_format(INT64_MIN, out);
    is_str(out, "0000-01-01T00:00:00.000Z", "the far past, too");
}


/* every day of 800 years against libc */

static void
test_calendar(void)
{
    char       out[MG_TIME_LEN + 1], want[MG_TIME_LEN + 1];
    size_t     bad;
    time_t     t;
    int64_t    us;
    struct tm  tm;

    for (bad = 0, t = -86400LL * 365 * 400; t < 86400LL * 365 * 400;
         t += 86400)
    {
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        mg_time_format((int64_t) t * 1000000, out);

        bad += (strcmp(out, want) != 0)
               || mg_time_parse(mg_str_z(want), &us) != MG_OK
               || us != (int64_t) t * 1000000;
    }

    is_int(bad, 0, "800 years of days agree with libc");
}


static void
test_uuid(void)
{
    char       text[MG_UUID_LEN + 1];
    uint8_t    rnd[10];
    mg_uuid_t  a, b;

    static const uint8_t  example[] = {
        0xfc, 0xc3, 0xd8, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f
    };

    /* the example of RFC 9562, appendix A.6 */

    mg_uuid_v7(&a, 1645557742000999, example);
    mg_uuid_format(&a, text);
    is_str(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "version 7");
    is_int(mg_uuid_time(&a), 1645557742000000, "its milliseconds");

    is_int(mg_uuid_parse(mg_str_z(text), &b), MG_OK, "parse");
    is_mem(&b, 16, &a, 16, "the same bytes");

    memset(rnd, 0, sizeof(rnd));
    mg_uuid_v7(&b, 1645557742001000, rnd);
    ok(memcmp(&a, &b, 16) < 0, "a later one sorts behind");

    is_int(mg_uuid_parse(mg_str("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &b),
           MG_OK, "upper case");
    is_int(mg_uuid_parse(mg_str("017f22e279b0-7cc3-98c4-dc0c0c07398f0"), &b),
           MG_ERROR, "dashes elsewhere");
    is_int(mg_uuid_parse(mg_str("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"), &b),
           MG_ERROR, "no hex digit");
    is_int(mg_uuid_parse(mg_str_null, &b), MG_ERROR, "nothing");

    mg_uuid_parse(mg_str("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), &b);
    is_int(mg_uuid_time(&b), 0, "another version has no time");
}


static void
test_clocks(void)
{
    int64_t  one, two;

    one = mg_mono_us();
    two = mg_mono_us();
    ok(two >= one, "monotonic time does not go back");
    ok(mg_now_us() > 1700000000000000, "wall clock in microseconds");
    ok(mg_cpu_ns() > 0, "CPU time of the thread");
}


int
main(void)
{
    test_parse();
    test_calendar();
    test_uuid();
    test_clocks();

    return done_testing();
}
