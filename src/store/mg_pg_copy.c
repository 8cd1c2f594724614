/*
 * mg_pg_copy.c: COPY ... FROM STDIN in text format.
 *
 * Rows are built in a mg_buf_t by the helpers here, a column a call, and
 * sent in pieces of any size; the caller ends each row with a line break.
 * Numbers are written by hand: a batch of records has 30 of them a row.
 *
 * Pool threads; sending blocks.
 */

#include "store/mg_pg_local.h"

#include "base/mg_hash.h"
#include "model/mg_catalog.h"


/* What is sent before the socket is asked to take it. */
#define MG_PG_COPY_PIECE   (64 * 1024)


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
    int          rc;
    PGresult    *res;
    mg_error_t   lost;

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
    rc = MG_OK;

    for ( ;; ) {
        lost.kind = MG_E_NONE;
        res = mg_pg_result(c, &lost);

        if (res == NULL) {
            break;
        }

        if (PQresultStatus(res) != PGRES_COMMAND_OK && rc == MG_OK) {
            rc = mg_pg_failed(c, res, e);
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


/* -- columns -- */

static void
mg_pg_copy_null(mg_buf_t *b, int first)
{
    if (first) {
        mg_buf_add(b, "\\N", 2);

    } else {
        mg_buf_add(b, "\t\\N", 3);
    }
}


/*
 * Backslash and what would end a column or row is escaped.  Bytes that need
 * nothing are added in runs.
 */

void
mg_pg_copy_str(mg_buf_t *b, int first, mg_str_t s)
{
    char         c, pair[2];
    const char  *p, *end, *run;

    if (s.data == NULL) {
        mg_pg_copy_null(b, first);
        return;
    }

    if (!first) {
        mg_buf_char(b, '\t');
    }

    pair[0] = '\\';
    end = s.data + s.len;
    run = s.data;

    for (p = s.data; p < end; p++) {
        c = *p;

        if (c != '\\' && c != '\n' && c != '\r' && c != '\t') {
            continue;
        }

        mg_buf_add(b, run, (size_t) (p - run));
        pair[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
        mg_buf_add(b, pair, 2);
        run = p + 1;
    }

    mg_buf_add(b, run, (size_t) (end - run));
}


void
mg_pg_copy_int(mg_buf_t *b, int first, int64_t n)
{
    char      text[24], *p;
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

    mg_buf_add(b, p, (size_t) (text + sizeof(text) - p));
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
