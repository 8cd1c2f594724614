/*
 * mg_pg_copy.c: COPY in and out, and the columns of its text format.
 *
 * Rows are built in a mg_buf_t by the helpers here, a column a call, and
 * sent in pieces of any size; the caller ends each row with a line break.
 * The binary format, for those who send much, is mg_pg_row.h.
 *
 * Pool threads; sending blocks.
 */

#include "store/mg_pg_local.h"

#include <stdlib.h>

#include "base/mg_hash.h"
#include "model/mg_catalog.h"


static int mg_pg_copy_rest(mg_pg_t *c, uint64_t *rows, mg_error_t *e);
static inline char *mg_pg_copy_room(mg_buf_t *b, size_t n);
static inline size_t mg_pg_copy_plain(char *out, const char *in, size_t len);
static void mg_pg_copy_null(mg_buf_t *b, int first);


int
mg_pg_copy_begin(mg_pg_t *c, const char *sql, mg_error_t *e)
{
    if (mg_pg_exec_dynamic(c, sql, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    c->copying = 1;

    return MG_OK;
}


int
mg_pg_copy_data(mg_pg_t *c, mg_str_t data, mg_error_t *e)
{
    size_t  n;

    while (data.len > 0) {
        n = data.len < MG_PG_COPY_PIECE ? data.len : MG_PG_COPY_PIECE;

        if (c->dead || PQputCopyData(c->conn, data.data, (int) n) != 1) {
            mg_pg_lost(c);
            return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                                "the connection to the database was lost "
                                "while rows were sent");
        }

        if (mg_pg_flush(c, e) != MG_OK) {
            return MG_ERROR;
        }

        data.data += n;
        data.len -= n;
    }

    return MG_OK;
}


int
mg_pg_copy_end(mg_pg_t *c, const char *error_text, mg_error_t *e)
{
    if (c->conn == NULL || c->dead) {
        c->copying = 0;
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "the connection to the database was lost while "
                            "rows were sent");
    }

    if (PQputCopyEnd(c->conn, error_text) != 1) {
        mg_pg_lost(c);
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "the connection to the database was lost while "
                            "rows were sent");
    }

    if (mg_pg_flush(c, e) != MG_OK) {
        return MG_ERROR;
    }

    c->copying = 0;

    return mg_pg_copy_rest(c, NULL, e);
}


/* What the server says at the end; *rows may be NULL. */

static int
mg_pg_copy_rest(mg_pg_t *c, uint64_t *rows, mg_error_t *e)
{
    int          rc;
    PGresult    *res;
    mg_error_t   lost;

    rc = MG_OK;

    for ( ;; ) {
        lost.kind = MG_E_NONE;
        res = mg_pg_result(c, &lost);

        if (res == NULL) {
            break;
        }

        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            rc = (rc == MG_OK) ? mg_pg_failed(c, res, e) : rc;

        } else if (rows) {
            *rows = strtoull(PQcmdTuples(res), NULL, 10);
        }

        PQclear(res);
    }

    if (lost.kind != MG_E_NONE && rc == MG_OK) {
        rc = MG_ERROR;

        if (e) {
            *e = lost;
        }
    }

    return rc;
}


int
mg_pg_copy_out(mg_pg_t *c, const char *sql, mg_pg_sink_pt sink, void *ctx,
    uint64_t *rows, mg_error_t *e)
{
    int          n, rc;
    char        *data;
    int64_t      until;
    PGresult    *res;
    mg_error_t   why;

    *rows = 0;
    why.kind = MG_E_NONE;

    if (mg_pg_ask(c, sql, e) != MG_OK) {
        return MG_ERROR;
    }

    res = mg_pg_result(c, &why);

    if (res == NULL) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "%s", why.message);
    }

    if (PQresultStatus(res) != PGRES_COPY_OUT) {
        (void) mg_pg_failed(c, res, e);
        PQclear(res);
        (void) mg_pg_copy_rest(c, NULL, NULL);
        return MG_ERROR;
    }

    PQclear(res);

    rc = MG_OK;
    until = mg_mono_us() + (int64_t) mg_pg_patience(c) * 1000;

    for ( ;; ) {
        n = PQgetCopyData(c->conn, &data, 1);

        if (n > 0) {
            rc = (rc == MG_OK) ? sink(ctx, mg_str_n(data, (size_t) n), e)
                               : rc;
            PQfreemem(data);
            continue;
        }

        if (n < 0) {
            break;
        }

        if (mg_pg_input(c, until, &why) != MG_OK) {

            if (rc == MG_OK && e) {
                *e = why;
            }

            return MG_ERROR;
        }
    }

    n = mg_pg_copy_rest(c, rows, rc == MG_OK ? e : NULL);

    return rc == MG_OK ? n : rc;
}


/* -- columns -- */

/* mg_buf_reserve() without a call where there is room, as there mostly is. */

static inline char *
mg_pg_copy_room(mg_buf_t *b, size_t n)
{
    if (n <= b->size - b->len && b->data != NULL && !b->failed) {
        return b->data + b->len;
    }

    return mg_buf_reserve(b, n);
}


static void
mg_pg_copy_null(mg_buf_t *b, int first)
{
    char  *p;

    p = mg_pg_copy_room(b, 3);

    if (p == NULL) {
        return;
    }

    if (!first) {
        *p++ = '\t';
    }

    *p++ = '\\';
    *p++ = 'N';

    b->len = (size_t) (p - b->data);
}


/*
 * Copies bytes that need no escape, in steps of eight: no control character
 * and no backslash is among them.  Returns how many it was.
 */

static inline size_t
mg_pg_copy_plain(char *out, const char *in, size_t len)
{
    size_t    i;
    uint64_t  x, slash, odd;

    for (i = 0; len - i >= 8; i += 8) {
        memcpy(&x, in + i, 8);

        slash = x ^ 0x5c5c5c5c5c5c5c5cULL;
        odd = ((x - 0x2020202020202020ULL) & ~x)
              | ((slash - 0x0101010101010101ULL) & ~slash);

        if (odd & 0x8080808080808080ULL) {
            break;
        }

        memcpy(out + i, &x, 8);
    }

    return i;
}


/* Backslash and what would end a column or row is escaped. */

void
mg_pg_copy_str(mg_buf_t *b, int first, mg_str_t s)
{
    char    c, *p;
    size_t  i;

    if (s.data == NULL) {
        mg_pg_copy_null(b, first);
        return;
    }

    p = mg_pg_copy_room(b, 1 + 2 * s.len);

    if (p == NULL) {
        return;
    }

    if (!first) {
        *p++ = '\t';
    }

    i = mg_pg_copy_plain(p, s.data, s.len);
    p += i;

    for ( /* void */ ; i < s.len; i++) {
        c = s.data[i];

        if (c == '\\' || c == '\n' || c == '\r' || c == '\t') {
            *p++ = '\\';
            c = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
        }

        *p++ = c;
    }

    b->len = (size_t) (p - b->data);
}


void
mg_pg_copy_int(mg_buf_t *b, int first, int64_t n)
{
    char      text[24], *p, *to;
    size_t    len;
    uint64_t  u;

    if (n == MG_UNKNOWN) {
        mg_pg_copy_null(b, first);
        return;
    }

    u = n < 0 ? 0 - (uint64_t) n : (uint64_t) n;
    p = text + sizeof(text);

    do {
        *--p = (char) ('0' + u % 10);
        u /= 10;
    } while (u);

    if (n < 0) {
        *--p = '-';
    }

    if (!first) {
        *--p = '\t';
    }

    len = (size_t) (text + sizeof(text) - p);
    to = mg_pg_copy_room(b, len);

    if (to) {
        memcpy(to, p, len);
        b->len += len;
    }
}


void
mg_pg_copy_tri(mg_buf_t *b, int first, int tri)
{
    if (tri < 0) {
        mg_pg_copy_null(b, first);
        return;
    }

    if (!first) {
        mg_buf_char(b, '\t');
    }

    mg_buf_char(b, tri ? 't' : 'f');
}


void
mg_pg_copy_time(mg_buf_t *b, int first, int64_t us)
{
    char    text[48];
    size_t  n;

    if (us == 0 || us == MG_UNKNOWN) {
        mg_pg_copy_null(b, first);
        return;
    }

    n = mg_pg_time_text(us, text);

    if (!first) {
        mg_buf_char(b, '\t');
    }

    mg_buf_add(b, text, n);
}


void
mg_pg_copy_bytes(mg_buf_t *b, int first, mg_str_t s)
{
    char  *out;

    if (s.data == NULL) {
        mg_pg_copy_null(b, first);
        return;
    }

    if (!first) {
        mg_buf_char(b, '\t');
    }

    mg_buf_add(b, "\\\\x", 3);

    /* and room for the NUL that mg_hex() writes */

    out = mg_buf_reserve(b, 2 * s.len + 1);

    if (out) {
        mg_hex((const uint8_t *) s.data, s.len, out);
        b->len += 2 * s.len;
    }
}
