/*
 * mg_str.h: a counted byte string, the currency of every room.
 *
 * A mg_str_t never owns its bytes and is never NUL-terminated by contract;
 * who made it says how long the bytes live (an arena, a mapped snapshot, a
 * request buffer).  {NULL, 0} is "absent", {"", 0} is "empty".
 *
 * Called from everywhere; touches nothing; never blocks; any thread.
 */

#ifndef MG_STR_H
#define MG_STR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>


typedef struct {
    const char  *data;
    size_t       len;
} mg_str_t;


#define mg_str(lit)      ((mg_str_t) { "" lit, sizeof(lit) - 1 })
#define mg_str_null      ((mg_str_t) { NULL, 0 })
#define MG_STR_FMT       "%.*s"
#define MG_STR_ARG(s)    (int) (s).len, (s).data


static inline mg_str_t
mg_str_n(const char *data, size_t len)
{
    return (mg_str_t) { data, len };
}


static inline mg_str_t
mg_str_z(const char *z)
{
    return (mg_str_t) { z, z ? strlen(z) : 0 };
}


static inline int
mg_str_eq(mg_str_t a, mg_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


/* Byte order, shorter first among equal prefixes: the order of ids in files. */

static inline int
mg_str_cmp(mg_str_t a, mg_str_t b)
{
    int     rc;
    size_t  n;

    n = a.len < b.len ? a.len : b.len;
    rc = n ? memcmp(a.data, b.data, n) : 0;

    if (rc != 0) {
        return rc;
    }

    return (a.len > b.len) - (a.len < b.len);
}


#endif /* MG_STR_H */
