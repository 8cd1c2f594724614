/*
 * mg_pg_row.h: rows of COPY ... FROM STDIN in binary format.
 *
 *     signature | row ... | trailer
 *     row:      i16 number of columns | column ...
 *     column:   i32 bytes that follow, -1 for NULL | the bytes
 *
 * Numbers are in network order.  No column is turned into text here and
 * parsed again by the server, which is most of what a row costs in text.
 * The server checks what it is given: text that is not UTF-8 or holds a NUL
 * refuses the COPY with 22021, as it does in text format.
 *
 * Each function writes at p, where the caller has made room, and returns
 * the byte after it.  Plain functions; any thread.
 */

#ifndef MG_PG_ROW_H
#define MG_PG_ROW_H

#include <arpa/inet.h>
#include <endian.h>

#include "base/mg_str.h"
#include "base/mg_time.h"
#include "model/mg_catalog.h"


/* What a column of a fixed length takes at most: a UUID. */
#define MG_PG_ROW_COLUMN     (4 + 16)

/* The server's number of the type of an array's elements. */
#define MG_PG_ROW_TEXT       25

#define MG_PG_ROW_SIGNATURE  "PGCOPY\n\377\r\n\0" "\0\0\0\0\0\0\0\0"
#define MG_PG_ROW_TRAILER    "\377\377"

/* Microseconds from 1970-01-01 to 2000-01-01, the server's epoch. */
#define MG_PG_ROW_EPOCH      946684800000000LL


static inline char *
mg_pg_row_begin(char *p, unsigned columns)
{
    uint16_t  n;

    n = htons((uint16_t) columns);
    memcpy(p, &n, 2);

    return p + 2;
}


static inline char *
mg_pg_row_null(char *p)
{
    memset(p, 0xff, 4);

    return p + 4;
}


/* text or bytea; room for 4 + s.len bytes.  {NULL, 0} is NULL. */

static inline char *
mg_pg_row_str(char *p, mg_str_t s)
{
    uint32_t  n;

    if (s.data == NULL) {
        return mg_pg_row_null(p);
    }

    n = htonl((uint32_t) s.len);
    memcpy(p, &n, 4);
    memcpy(p + 4, s.data, s.len);

    return p + 4 + s.len;
}


/* jsonb, of a text that is known to be JSON; room for 5 + s.len bytes. */

static inline char *
mg_pg_row_json(char *p, mg_str_t s)
{
    uint32_t  n;

    if (s.data == NULL) {
        return mg_pg_row_null(p);
    }

    n = htonl((uint32_t) s.len + 1);
    memcpy(p, &n, 4);
    p[4] = 1;                          /* version of the format */
    memcpy(p + 5, s.data, s.len);

    return p + 5 + s.len;
}


/*
 * text[] of those texts whose bits are set, the first's the lowest; none:
 * NULL.  Room for 24 bytes, and 4 with each text.
 */

static inline char *
mg_pg_row_texts(char *p, const mg_str_t *texts, unsigned n, uint64_t bits)
{
    char      *start;
    uint32_t   head[6], len;
    unsigned   i, count;

    start = p;
    p += sizeof(head);
    count = 0;

    for (i = 0; i < n; i++) {
        if (bits >> i & 1) {
            p = mg_pg_row_str(p, texts[i]);
            count++;
        }
    }

    if (count == 0) {
        return mg_pg_row_null(start);
    }

    len = (uint32_t) (p - start) - 4;

    head[0] = htonl(len);
    head[1] = htonl(1);                /* dimension */
    head[2] = 0;                       /* without a NULL */
    head[3] = htonl(MG_PG_ROW_TEXT);
    head[4] = htonl(count);
    head[5] = htonl(1);                /* its first index */

    memcpy(start, head, sizeof(head));

    return p;
}


/* integer; MG_UNKNOWN: NULL. */

static inline char *
mg_pg_row_int4(char *p, int64_t n)
{
    uint32_t  v[2];

    if (n == MG_UNKNOWN) {
        return mg_pg_row_null(p);
    }

    v[0] = htonl(4);
    v[1] = htonl((uint32_t) n);
    memcpy(p, v, 8);

    return p + 8;
}


/* bigint; MG_UNKNOWN: NULL. */

static inline char *
mg_pg_row_int8(char *p, int64_t n)
{
    uint32_t  len;
    uint64_t  v;

    if (n == MG_UNKNOWN) {
        return mg_pg_row_null(p);
    }

    len = htonl(8);
    v = htobe64((uint64_t) n);
    memcpy(p, &len, 4);
    memcpy(p + 4, &v, 8);

    return p + 12;
}


static inline char *
mg_pg_row_bool(char *p, int set)
{
    uint32_t  len;

    len = htonl(1);
    memcpy(p, &len, 4);
    p[4] = set != 0;

    return p + 5;
}


/* timestamptz of microseconds since 1970; 0 and MG_UNKNOWN: NULL. */

static inline char *
mg_pg_row_time(char *p, int64_t us)
{
    if (us == 0 || us == MG_UNKNOWN) {
        return mg_pg_row_null(p);
    }

    return mg_pg_row_int8(p, us - MG_PG_ROW_EPOCH);
}


/* All zero: NULL. */

static inline char *
mg_pg_row_uuid(char *p, const mg_uuid_t *u)
{
    static const mg_uuid_t  none;

    if (memcmp(u, &none, sizeof(mg_uuid_t)) == 0) {
        return mg_pg_row_null(p);
    }

    return mg_pg_row_str(p, mg_str_n((const char *) u, sizeof(mg_uuid_t)));
}


#endif /* MG_PG_ROW_H */
