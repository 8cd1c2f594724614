/*
 * mg_time.c: clocks, timestamps as text, UUIDs.
 *
 * Dates are counted with the proleptic Gregorian calendar in integers: no
 * time zone file, no locale, no static buffer, and nothing of libc that is
 * not thread-safe.
 *
 * Any thread; touches nothing but the caller's memory.
 */

#include "base/mg_time.h"
#include "base/mg_error.h"
#include "base/mg_hash.h"

#include <time.h>


#define MG_US_SECOND    ((int64_t) 1000000)
#define MG_US_DAY       ((int64_t) 86400 * MG_US_SECOND)

/* what four digits of a year can say */
#define MG_TIME_MIN     (-(int64_t) 719528 * MG_US_DAY)
#define MG_TIME_MAX     ((int64_t) 2932897 * MG_US_DAY - 1)


typedef struct {
    const char  *p;
    const char  *end;
} mg_time_text_t;


static int64_t mg_clock(clockid_t id);
static int64_t mg_days_from_civil(int y, int m, int d);
static void mg_civil_from_days(int64_t days, int *y, int *m, int *d);
static int mg_month_days(int y, int m);
static int mg_time_digits(mg_time_text_t *t, int n, int max, int *out);
static int mg_time_is(mg_time_text_t *t, char c);
static int mg_time_fraction(mg_time_text_t *t, int64_t *us);
static int mg_time_zone(mg_time_text_t *t, int64_t *us);
static char *mg_time_put(char *p, int n, int value);


int64_t
mg_now_us(void)
{
    return mg_clock(CLOCK_REALTIME) / 1000;
}


int64_t
mg_mono_us(void)
{
    return mg_clock(CLOCK_MONOTONIC) / 1000;
}


int64_t
mg_cpu_ns(void)
{
    return mg_clock(CLOCK_THREAD_CPUTIME_ID);
}


size_t
mg_time_format(int64_t us, char out[MG_TIME_LEN + 1])
{
    int       y, m, d;
    char     *p;
    int64_t   days, rest;

    us = (us < MG_TIME_MIN) ? MG_TIME_MIN : us;
    us = (us > MG_TIME_MAX) ? MG_TIME_MAX : us;

    days = us / MG_US_DAY;
    rest = us % MG_US_DAY;

    if (rest < 0) {
        rest += MG_US_DAY;
        days--;
    }

    mg_civil_from_days(days, &y, &m, &d);

    p = mg_time_put(out, 4, y);
    *p++ = '-';
    p = mg_time_put(p, 2, m);
    *p++ = '-';
    p = mg_time_put(p, 2, d);
    *p++ = 'T';
    p = mg_time_put(p, 2, (int) (rest / (3600 * MG_US_SECOND)));
    *p++ = ':';
    p = mg_time_put(p, 2, (int) (rest / (60 * MG_US_SECOND) % 60));
    *p++ = ':';
    p = mg_time_put(p, 2, (int) (rest / MG_US_SECOND % 60));
    *p++ = '.';
    p = mg_time_put(p, 3, (int) (rest / 1000 % 1000));
    *p++ = 'Z';
    *p = '\0';

    return (size_t) (p - out);
}


int
mg_time_parse(mg_str_t s, int64_t *us)
{
    int             y, mo, d, h, mi, sec;
    int64_t         frac, zone;
    mg_time_text_t  t;

    t.p = s.data;
    t.end = s.len ? s.data + s.len : s.data;

    if (mg_time_digits(&t, 4, 9999, &y) != MG_OK
        || !mg_time_is(&t, '-')
        || mg_time_digits(&t, 2, 12, &mo) != MG_OK
        || !mg_time_is(&t, '-')
        || mg_time_digits(&t, 2, 31, &d) != MG_OK
        || mo == 0 || d == 0 || d > mg_month_days(y, mo))
    {
        return MG_ERROR;
    }

    if (!mg_time_is(&t, 'T') && !mg_time_is(&t, 't') && !mg_time_is(&t, ' ')) {
        return MG_ERROR;
    }

    /* 60 is a leap second; it is counted as the first of the next minute */

    if (mg_time_digits(&t, 2, 23, &h) != MG_OK
        || !mg_time_is(&t, ':')
        || mg_time_digits(&t, 2, 59, &mi) != MG_OK
        || !mg_time_is(&t, ':')
        || mg_time_digits(&t, 2, 60, &sec) != MG_OK
        || mg_time_fraction(&t, &frac) != MG_OK
        || mg_time_zone(&t, &zone) != MG_OK
        || t.p != t.end)
    {
        return MG_ERROR;
    }

    *us = mg_days_from_civil(y, mo, d) * MG_US_DAY
          + (h * 3600 + mi * 60 + sec) * MG_US_SECOND + frac - zone;

    return MG_OK;
}


void
mg_uuid_v7(mg_uuid_t *u, int64_t us, const uint8_t rnd[10])
{
    uint64_t  ms, high, low;

    ms = us > 0 ? (uint64_t) us / 1000 : 0;

    /* as two words: what is read again at once waits for smaller stores */

    high = ms << 16 | 0x7000 | (uint64_t) (rnd[0] & 0x0f) << 8 | rnd[1];
    memcpy(&low, rnd + 2, 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low = (low & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
#else
    high = __builtin_bswap64(high);
    low = (low & 0xffffffffffffff3fULL) | 0x80;
#endif

    memcpy(u->b, &high, 8);
    memcpy(u->b + 8, &low, 8);
}


void
mg_uuid_format(const mg_uuid_t *u, char out[MG_UUID_LEN + 1])
{
    char  hex[2 * sizeof(u->b) + 1];

    mg_hex(u->b, sizeof(u->b), hex);

    memcpy(out, hex, 8);
    out[8] = '-';
    memcpy(out + 9, hex + 8, 4);
    out[13] = '-';
    memcpy(out + 14, hex + 12, 4);
    out[18] = '-';
    memcpy(out + 19, hex + 16, 4);
    out[23] = '-';
    memcpy(out + 24, hex + 20, 4);
    memcpy(out + 28, hex + 24, 8);
    out[MG_UUID_LEN] = '\0';
}


int
mg_uuid_parse(mg_str_t s, mg_uuid_t *u)
{
    size_t  i, n;
    char    hex[32];

    if (s.len != MG_UUID_LEN) {
        return MG_ERROR;
    }

    for (i = 0, n = 0; i < MG_UUID_LEN; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s.data[i] != '-') {
                return MG_ERROR;
            }

            continue;
        }

        hex[n++] = s.data[i];
    }

    return mg_unhex(mg_str_n(hex, n), u->b, sizeof(u->b));
}


int64_t
mg_uuid_time(const mg_uuid_t *u)
{
    int       i;
    uint64_t  ms;

    if (u->b[6] >> 4 != 7) {
        return 0;
    }

    for (i = 0, ms = 0; i < 6; i++) {
        ms = ms << 8 | u->b[i];
    }

    return (int64_t) ms * 1000;
}


static int64_t
mg_clock(clockid_t id)
{
    struct timespec  ts;

    clock_gettime(id, &ts);

    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


/*
 * Days since 1970-01-01.  The year is made to begin in March, so that the
 * leap day is its last day; 146097 days are 400 years, 719468 the days from
 * 0000-03-01 to 1970-01-01.
 */

static int64_t
mg_days_from_civil(int y, int m, int d)
{
    int64_t  era, year, day;

    y -= (m <= 2);
    era = (y >= 0 ? y : y - 399) / 400;
    year = y - era * 400;
    day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}


static void
mg_civil_from_days(int64_t days, int *y, int *m, int *d)
{
    int64_t  era, day, year, month;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day = days - era * 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= year * 365 + year / 4 - year / 100;
    month = (5 * day + 2) / 153;

    *d = (int) (day - (153 * month + 2) / 5 + 1);
    *m = (int) (month < 10 ? month + 3 : month - 9);
    *y = (int) (year + era * 400 + (*m <= 2));
}


static int
mg_month_days(int y, int m)
{
    static const uint8_t  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)) {
        return 29;
    }

    return days[m - 1];
}


static int
mg_time_digits(mg_time_text_t *t, int n, int max, int *out)
{
    int  value;

    if (t->end - t->p < n) {
        return MG_ERROR;
    }

    for (value = 0; n > 0; n--, t->p++) {

        if (*t->p < '0' || *t->p > '9') {
            return MG_ERROR;
        }

        value = value * 10 + (*t->p - '0');
    }

    *out = value;

    return value <= max ? MG_OK : MG_ERROR;
}


static int
mg_time_is(mg_time_text_t *t, char c)
{
    if (t->p < t->end && *t->p == c) {
        t->p++;
        return 1;
    }

    return 0;
}


/* Any number of digits; what is finer than a microsecond is cut off. */

static int
mg_time_fraction(mg_time_text_t *t, int64_t *us)
{
    int64_t      unit;
    const char  *start;

    *us = 0;

    if (!mg_time_is(t, '.')) {
        return MG_OK;
    }

    unit = MG_US_SECOND / 10;

    for (start = t->p;
         t->p < t->end && *t->p >= '0' && *t->p <= '9';
         t->p++)
    {
        *us += (*t->p - '0') * unit;
        unit /= 10;
    }

    return t->p > start ? MG_OK : MG_ERROR;
}


/* Z, +HH, +HH:MM, +HHMM or PostgreSQL's +HH:MM:SS. */

static int
mg_time_zone(mg_time_text_t *t, int64_t *us)
{
    int  sign, h, m, s;

    *us = 0;

    if (mg_time_is(t, 'Z') || mg_time_is(t, 'z')) {
        return MG_OK;
    }

    if (mg_time_is(t, '+')) {
        sign = 1;

    } else if (mg_time_is(t, '-')) {
        sign = -1;

    } else {
        return MG_ERROR;
    }

    if (mg_time_digits(t, 2, 23, &h) != MG_OK) {
        return MG_ERROR;
    }

    m = 0;
    s = 0;

    if (t->p < t->end) {
        (void) mg_time_is(t, ':');

        if (mg_time_digits(t, 2, 59, &m) != MG_OK) {
            return MG_ERROR;
        }
    }

    if (mg_time_is(t, ':') && mg_time_digits(t, 2, 59, &s) != MG_OK) {
        return MG_ERROR;
    }

    *us = sign * (h * 3600 + m * 60 + s) * MG_US_SECOND;

    return MG_OK;
}


static char *
mg_time_put(char *p, int n, int value)
{
    int  i;

    for (i = n - 1; i >= 0; i--) {
        p[i] = (char) ('0' + value % 10);
        value /= 10;
    }

    return p + n;
}
