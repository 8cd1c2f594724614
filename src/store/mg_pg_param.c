/*
 * mg_pg_param.c: parameters of statements, and the rows they return.
 *
 * Everything travels as text but byte strings, which travel as they are.
 * mg_pg_rows_t is libpq's PGresult under a name that other rooms may know.
 *
 * Pool threads; never blocks.
 */

#include "store/mg_pg_local.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mg_hash.h"
#include "model/mg_catalog.h"


static const PGresult *mg_pg_rows_result(const mg_pg_rows_t *r);


void
mg_pg_params_init(mg_pg_params_t *p, mg_arena_t *arena)
{
    p->n = 0;
    p->failed = 0;
    p->arena = arena;
}


static void
mg_pg_param_add(mg_pg_params_t *p, const char *value, size_t len, int format)
{
    if (p->n == MG_PG_PARAMS_MAX || len > INT_MAX) {
        p->failed = MG_PG_PARAM_MEMORY;
        return;
    }

    p->value[p->n] = value;
    p->len[p->n] = (int) len;
    p->format[p->n] = format;
    p->n++;
}


void
mg_pg_param_str(mg_pg_params_t *p, mg_str_t s)
{
    mg_str_t  copy;

    if (s.data == NULL) {
        mg_pg_param_add(p, NULL, 0, 0);
        return;
    }

    if (memchr(s.data, '\0', s.len)) {
        p->failed = MG_PG_PARAM_NUL;
    }

    copy = mg_arena_dup(p->arena, s);

    if (copy.data == NULL) {
        p->failed = MG_PG_PARAM_MEMORY;
    }

    mg_pg_param_add(p, copy.data, copy.len, 0);
}


void
mg_pg_param_z(mg_pg_params_t *p, const char *z)
{
    mg_pg_param_add(p, z, z ? strlen(z) : 0, 0);
}


void
mg_pg_param_int(mg_pg_params_t *p, int64_t n)
{
    int    len;
    char  *buf;

    if (n == MG_UNKNOWN || p->n == MG_PG_PARAMS_MAX) {
        mg_pg_param_add(p, NULL, 0, 0);
        return;
    }

    buf = p->scratch[p->n];
    len = snprintf(buf, sizeof(p->scratch[0]), "%lld", (long long) n);

    mg_pg_param_add(p, buf, (size_t) len, 0);
}


void
mg_pg_param_bool(mg_pg_params_t *p, int tri)
{
    mg_pg_param_z(p, tri < 0 ? NULL : tri ? "t" : "f");
}


void
mg_pg_param_time(mg_pg_params_t *p, int64_t us)
{
    int    len;
    char  *buf;

    if (us == 0 || us == MG_UNKNOWN || p->n == MG_PG_PARAMS_MAX) {
        mg_pg_param_add(p, NULL, 0, 0);
        return;
    }

    buf = p->scratch[p->n];
    len = (int) mg_pg_time_text(us, buf);

    mg_pg_param_add(p, buf, (size_t) len, 0);
}


void
mg_pg_param_bytes(mg_pg_params_t *p, mg_str_t s)
{
    mg_pg_param_add(p, s.data, s.len, 1);
}


/*
 * mg_time_format() writes milliseconds; the database keeps microseconds, and
 * a key that loses some would not be found again.
 */

size_t
mg_pg_time_text(int64_t us, char *out)
{
    size_t   len, i;
    int64_t  rest;

    rest = us % 1000000;

    if (rest < 0) {
        rest += 1000000;
    }

    len = mg_time_format(us, out);

    /* 2026-06-14T12:00:00 and then the fraction, however long it was */

    len = len < 19 ? len : 19;

    out[len] = '.';

    for (i = len + 6; i > len; i--) {
        out[i] = (char) ('0' + rest % 10);
        rest /= 10;
    }

    out[len + 7] = 'Z';
    out[len + 8] = '\0';

    return len + 8;
}


/* -- rows -- */

static const PGresult *
mg_pg_rows_result(const mg_pg_rows_t *r)
{
    return (const PGresult *) r;
}


int
mg_pg_rows_count(const mg_pg_rows_t *r)
{
    return PQntuples(mg_pg_rows_result(r));
}


uint64_t
mg_pg_rows_affected(const mg_pg_rows_t *r)
{
    return strtoull(PQcmdTuples((PGresult *) r), NULL, 10);
}


mg_str_t
mg_pg_rows_str(const mg_pg_rows_t *r, int row, int col)
{
    const PGresult  *res;

    res = mg_pg_rows_result(r);

    if (PQgetisnull(res, row, col)) {
        return mg_str_null;
    }

    return mg_str_n(PQgetvalue(res, row, col),
                    (size_t) PQgetlength(res, row, col));
}


int64_t
mg_pg_rows_int(const mg_pg_rows_t *r, int row, int col)
{
    const PGresult  *res;

    res = mg_pg_rows_result(r);

    if (PQgetisnull(res, row, col)) {
        return MG_UNKNOWN;
    }

    return strtoll(PQgetvalue(res, row, col), NULL, 10);
}


int
mg_pg_rows_tri(const mg_pg_rows_t *r, int row, int col)
{
    const PGresult  *res;

    res = mg_pg_rows_result(r);

    if (PQgetisnull(res, row, col)) {
        return -1;
    }

    return PQgetvalue(res, row, col)[0] == 't';
}


int64_t
mg_pg_rows_time(const mg_pg_rows_t *r, int row, int col)
{
    int64_t   us;
    mg_str_t  s;

    s = mg_pg_rows_str(r, row, col);

    if (s.data == NULL || mg_time_parse(s, &us) != MG_OK) {
        return 0;
    }

    return us;
}


mg_str_t
mg_pg_rows_bytes(const mg_pg_rows_t *r, int row, int col, mg_arena_t *a)
{
    char      *out;
    mg_str_t   s;

    s = mg_pg_rows_str(r, row, col);

    if (s.len < 2 || s.data[0] != '\\' || s.data[1] != 'x') {
        return mg_str_null;
    }

    s.data += 2;
    s.len -= 2;

    out = mg_arena_alloc(a, s.len / 2 + 1);

    if (out == NULL
        || mg_unhex(s, (uint8_t *) out, s.len / 2) != MG_OK)
    {
        return mg_str_null;
    }

    return mg_str_n(out, s.len / 2);
}


void
mg_pg_rows_free(mg_pg_rows_t *r)
{
    PQclear((PGresult *) r);
}


/* -- identifiers -- */

mg_str_t
mg_pg_ident(mg_arena_t *a, const char *schema, mg_str_t name)
{
    char    *out, *p;
    size_t   i, n;

    n = schema ? strlen(schema) : 0;

    out = mg_arena_alloc(a, 2 * (n + name.len) + 6);
    if (out == NULL) {
        return mg_str_null;
    }

    p = out;

    if (schema) {
        *p++ = '"';

        for (i = 0; i < n; i++) {
            if (schema[i] == '"') {
                *p++ = '"';
            }

            *p++ = schema[i];
        }

        *p++ = '"';
        *p++ = '.';
    }

    *p++ = '"';

    for (i = 0; i < name.len; i++) {

        /* no name holds NUL; with one the text would end here */

        if (name.data[i] == '\0') {
            continue;
        }

        if (name.data[i] == '"') {
            *p++ = '"';
        }

        *p++ = name.data[i];
    }

    *p++ = '"';
    *p = '\0';

    return mg_str_n(out, (size_t) (p - out));
}
