/*
 * mg_call_filter.c: which inferences are meant.
 *
 *     ?variant=openai/gpt-x&status=5xx&since=2026-06-14T00:00:00Z
 *
 * One row a parameter: its name, the member of the filter that it fills, and
 * the function that checks it, so that a value that can match nothing is a
 * 400 that says why and never reaches the database.
 *
 * Any thread; never blocks.
 */

#include <stddef.h>
#include <stdio.h>

#include "base/mg_hash.h"
#include "base/mg_time.h"
#include "job/mg_call_inference.h"


#define MG_FILTER_TEXT_MAX        512
#define MG_FILTER_LATENCY_MAX     (24LL * 3600 * 1000)

/* 2020-01-01: nothing is older. */
#define MG_FILTER_OLDEST_US       (1577836800LL * 1000000)

#define MG_FILTER_LIMIT_JSON      50
#define MG_FILTER_LIMIT_EXPORT    1000
#define MG_FILTER_MAX_JSON        1000
#define MG_FILTER_MAX_EXPORT      10000


typedef struct mg_filter_row_s  mg_filter_row_t;

/* value is not empty; to: the member. */
typedef int (*mg_filter_read_pt)(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);

struct mg_filter_row_s {
    const char          *name;
    size_t               offset;
    mg_filter_read_pt    read;
    const mg_str_t      *names;
    unsigned             n;
};


static int mg_filter_text(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_name(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_uuid(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_hex(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_flag(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_status(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_latency(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e);
static int mg_filter_format(const mg_call_t *c, mg_format_e *format,
    mg_error_t *e);
static int mg_filter_limit(const mg_call_t *c, mg_format_e format,
    unsigned *limit, mg_error_t *e);
static int mg_filter_after(const mg_call_t *c, mg_inference_filter_t *f,
    int64_t *at, mg_error_t *e);
static int mg_filter_time(const mg_call_t *c, const char *name, int64_t *us,
    mg_error_t *e);
static int mg_filter_number(mg_str_t value, int64_t max, int64_t *n);


static const mg_str_t  mg_filter_kinds[] = {
    { "inference", 9 }, { "shadow", 6 }
};

static const mg_str_t  mg_filter_formats[MG_FORMAT_N] = {
    { "json", 4 }, { "csv", 3 }, { "ndjson", 6 }
};


#define mg_filter(member)  offsetof(mg_inference_filter_t, member)

static const mg_filter_row_t  mg_filter_rows[] = {
    { "variant", mg_filter(served), mg_filter_text, NULL, 0 },
    { "assigned", mg_filter(assigned), mg_filter_text, NULL, 0 },
    { "requested", mg_filter(requested), mg_filter_text, NULL, 0 },
    { "role", mg_filter(role), mg_filter_name, mg_member_role_names,
      MG_MEMBER_N },
    { "provider", mg_filter(provider), mg_filter_text, NULL, 0 },
    { "kind", mg_filter(kind), mg_filter_name, mg_filter_kinds, 2 },
    { "error_class", mg_filter(error_class), mg_filter_text, NULL, 0 },
    { "token_id", mg_filter(token_id), mg_filter_uuid, NULL, 0 },
    { "request_id", mg_filter(request_id), mg_filter_text, NULL, 0 },
    { "trace_id", mg_filter(trace_id), mg_filter_hex, NULL, 0 },
    { "key_hash", mg_filter(key_hash), mg_filter_hex, NULL, 0 },
    { "status", mg_filter(status_from), mg_filter_status, NULL, 0 },
    { "min_latency_ms", mg_filter(min_latency_us), mg_filter_latency, NULL,
      0 },
    { "error", mg_filter(error), mg_filter_flag, NULL, 0 },
    { "stream", mg_filter(stream), mg_filter_flag, NULL, 0 },
    { "truncated", mg_filter(truncated), mg_filter_flag, NULL, 0 },
    { "forced", mg_filter(forced), mg_filter_flag, NULL, 0 },
    { "dry_run", mg_filter(dry_run), mg_filter_flag, NULL, 0 }
};


int
mg_call_filter(const mg_call_t *c, int64_t now, mg_inference_filter_t *f,
    mg_format_e *format, mg_error_t *e)
{
    size_t                  i;
    int64_t                 at;
    mg_str_t                value;
    const mg_filter_row_t  *row;

    memset(f, 0, sizeof(mg_inference_filter_t));
    f->error = f->stream = f->truncated = f->forced = f->dry_run = -1;

    for (i = 0; i < sizeof(mg_filter_rows) / sizeof(mg_filter_rows[0]); i++) {
        row = &mg_filter_rows[i];
        value = mg_call_query(c, row->name);

        if (value.data == NULL) {
            continue;
        }

        if (value.len == 0) {
            return mg_error_set(e, MG_E_INVALID, row->name,
                                "%s is empty; give a value, or leave it out",
                                row->name);
        }

        if (row->read(row, value, f, (char *) f + row->offset, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    if (mg_filter_format(c, format, e) != MG_OK
        || mg_filter_limit(c, *format, &f->limit, e) != MG_OK
        || mg_filter_after(c, f, &at, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_call_window(c, now, at ? at : now, MG_INFERENCE_SINCE_US,
                          &f->since, &f->until, e);
}


int
mg_call_window(const mg_call_t *c, int64_t now, int64_t from, int64_t span,
    int64_t *since, int64_t *until, mg_error_t *e)
{
    if (mg_filter_time(c, "since", since, e) != MG_OK
        || mg_filter_time(c, "until", until, e) != MG_OK)
    {
        return MG_ERROR;
    }

    if (*until == 0) {
        *until = *since ? *since + MG_INFERENCE_WINDOW_US : from;
        *until = *until < now ? *until : now;
    }

    if (*since == 0) {
        *since = (from < *until ? from : *until) - span;
    }

    if (*since >= *until) {
        return mg_error_set(e, MG_E_INVALID, "since",
                            "since is not before until (now, unless it is "
                            "given)");
    }

    if (*until - *since > MG_INFERENCE_WINDOW_US) {
        return mg_error_set(e, MG_E_INVALID, "since",
                            "since and until are more than %d days apart; "
                            "ask for one window after the other",
                            MG_INFERENCE_WINDOW_DAYS);
    }

    return MG_OK;
}


/* -- readers -- */

static int
mg_filter_text(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    (void) f;

    if (value.len > MG_FILTER_TEXT_MAX) {
        return mg_error_set(e, MG_E_INVALID, row->name,
                            "%s is %zu bytes long; at most %d are allowed",
                            row->name, value.len, MG_FILTER_TEXT_MAX);
    }

    *(mg_str_t *) to = value;

    return MG_OK;
}


static int
mg_filter_name(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    int       len;
    char      known[100];
    unsigned  i;

    (void) f;

    len = 0;

    for (i = 0; i < row->n; i++) {
        if (mg_str_eq(row->names[i], value)) {
            *(mg_str_t *) to = row->names[i];
            return MG_OK;
        }

        len += snprintf(known + len, sizeof(known) - len, "%s%s",
                        i ? ", " : "", row->names[i].data);
    }

    return mg_error_set(e, MG_E_INVALID, row->name,
                        "%s \"%.*s\" is not known; give one of %s",
                        row->name, (int) (value.len > 80 ? 80 : value.len),
                        value.data, known);
}


static int
mg_filter_uuid(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    mg_uuid_t  id;

    (void) f;

    if (mg_uuid_parse(value, &id) != MG_OK) {
        return mg_error_set(e, MG_E_INVALID, row->name,
                            "%s \"%.*s\" is no UUID", row->name,
                            (int) (value.len > 80 ? 80 : value.len),
                            value.data);
    }

    *(mg_str_t *) to = value;

    return MG_OK;
}


/* 16 bytes in lower case, as records have them. */

static int
mg_filter_hex(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    size_t   i;
    uint8_t  bytes[16];

    (void) f;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] >= 'A' && value.data[i] <= 'Z') {
            break;
        }
    }

    if (i < value.len || mg_unhex(value, bytes, sizeof(bytes)) != MG_OK) {
        return mg_error_set(e, MG_E_INVALID, row->name,
                            "%s \"%.*s\" is not 32 hexadecimal digits in "
                            "lower case", row->name,
                            (int) (value.len > 80 ? 80 : value.len),
                            value.data);
    }

    *(mg_str_t *) to = value;

    return MG_OK;
}


static int
mg_filter_flag(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    (void) f;

    *(int *) to = mg_str_eq(value, mg_str("true"));

    if (*(int *) to || mg_str_eq(value, mg_str("false"))) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, row->name,
                        "%s \"%.*s\" is not true or false", row->name,
                        (int) (value.len > 80 ? 80 : value.len), value.data);
}


/* 429, or all of a class: 5xx. */

static int
mg_filter_status(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    int64_t  n;

    (void) to;

    if (value.len == 3 && value.data[0] >= '1' && value.data[0] <= '5'
        && value.data[1] == 'x' && value.data[2] == 'x')
    {
        f->status_from = (value.data[0] - '0') * 100;
        f->status_to = f->status_from + 99;
        return MG_OK;
    }

    if (value.len == 3 && mg_filter_number(value, 599, &n) == MG_OK
        && n >= 100)
    {
        f->status_from = n;
        f->status_to = n;
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, row->name,
                        "status \"%.*s\" is no HTTP status; give one such as "
                        "429, or a class such as 5xx",
                        (int) (value.len > 80 ? 80 : value.len), value.data);
}


static int
mg_filter_latency(const mg_filter_row_t *row, mg_str_t value,
    mg_inference_filter_t *f, void *to, mg_error_t *e)
{
    int64_t  n;

    (void) f;

    if (mg_filter_number(value, MG_FILTER_LATENCY_MAX, &n) != MG_OK) {
        return mg_error_set(e, MG_E_INVALID, row->name,
                            "%s \"%.*s\" is not a whole number between 0 and "
                            "%lld", row->name,
                            (int) (value.len > 80 ? 80 : value.len),
                            value.data, MG_FILTER_LATENCY_MAX);
    }

    *(int64_t *) to = n * 1000;

    return MG_OK;
}


/* -- what is no condition -- */

static int
mg_filter_format(const mg_call_t *c, mg_format_e *format, mg_error_t *e)
{
    mg_str_t         name;
    mg_filter_row_t  row;

    name = mg_call_query(c, "format");
    *format = MG_FORMAT_JSON;

    if (name.data == NULL) {
        return MG_OK;
    }

    memset(&row, 0, sizeof(mg_filter_row_t));
    row.name = "format";
    row.names = mg_filter_formats;
    row.n = MG_FORMAT_N;

    if (mg_filter_name(&row, name, NULL, &name, e) != MG_OK) {
        return MG_ERROR;
    }

    while (!mg_str_eq(mg_filter_formats[*format], name)) {
        (*format)++;
    }

    return MG_OK;
}


static int
mg_filter_limit(const mg_call_t *c, mg_format_e format, unsigned *limit,
    mg_error_t *e)
{
    int64_t   n, max;
    mg_str_t  value;

    value = mg_call_query(c, "limit");
    max = MG_FILTER_MAX_JSON;
    *limit = MG_FILTER_LIMIT_JSON;

    if (format != MG_FORMAT_JSON) {
        max = MG_FILTER_MAX_EXPORT;
        *limit = MG_FILTER_LIMIT_EXPORT;
    }

    if (value.data == NULL) {
        return MG_OK;
    }

    if (mg_filter_number(value, max, &n) != MG_OK || n == 0) {
        return mg_error_set(e, MG_E_INVALID, "limit",
                            "limit \"%.*s\" is not a whole number between 1 "
                            "and %d", (int) (value.len > 80 ? 80 : value.len),
                            value.data, (int) max);
    }

    *limit = (unsigned) n;

    return MG_OK;
}


static int
mg_filter_after(const mg_call_t *c, mg_inference_filter_t *f, int64_t *at,
    mg_error_t *e)
{
    char       text[MG_UUID_LEN + 1];
    mg_str_t   value;
    mg_uuid_t  id;

    value = mg_call_query(c, "after");
    *at = 0;

    if (value.data == NULL) {
        return MG_OK;
    }

    if (mg_uuid_parse(value, &id) != MG_OK
        || mg_call_inference_time(&id) == 0)
    {
        return mg_error_set(e, MG_E_INVALID, "after",
                            "after \"%.*s\" is no id of an inference; give "
                            "\"next\" of the last page",
                            (int) (value.len > 80 ? 80 : value.len),
                            value.data);
    }

    mg_uuid_format(&id, text);
    f->after = mg_arena_dup(c->arena, mg_str_n(text, MG_UUID_LEN));

    if (f->after.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    *at = mg_call_inference_time(&id) + 1000;

    return MG_OK;
}


int64_t
mg_call_inference_time(const mg_uuid_t *id)
{
    int64_t  at;

    at = mg_uuid_time(id);

    if (id->b[6] >> 4 != 7 || at < MG_FILTER_OLDEST_US
        || at > mg_now_us() + MG_DAY_US)
    {
        return 0;
    }

    return at;
}


static int
mg_filter_time(const mg_call_t *c, const char *name, int64_t *us,
    mg_error_t *e)
{
    mg_str_t  value;

    value = mg_call_query(c, name);
    *us = 0;

    if (value.data == NULL) {
        return MG_OK;
    }

    if (mg_time_parse(value, us) == MG_OK && *us > 0) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, name,
                        "%s \"%.*s\" is no time; give RFC 3339, such as "
                        "2026-06-14T12:00:00Z (a plus sign as %%2B)", name,
                        (int) (value.len > 80 ? 80 : value.len), value.data);
}


static int
mg_filter_number(mg_str_t value, int64_t max, int64_t *n)
{
    size_t  i;

    *n = 0;

    for (i = 0; i < value.len && i < 12; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return MG_ERROR;
        }

        *n = *n * 10 + (value.data[i] - '0');
    }

    return i && i == value.len && *n <= max ? MG_OK : MG_ERROR;
}
