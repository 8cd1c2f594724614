/*
 * Bytes of a spool file, as a broken disk or a stranger may leave them: a
 * decoded record must lie within the input, and must come out of a second
 * encoding as it went in.
 */

#include <stdlib.h>

#include "base/mg_error.h"
#include "base/mg_hash.h"
#include "model/mg_record.h"


#define HEAD   16      /* magic, length, checksum */


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
outside(mg_str_t s, const uint8_t *data, size_t size)
{
    return s.len
           && (s.data < (const char *) data
               || s.data + s.len > (const char *) data + size);
}


/* No mutation gets past the checksum by itself: make the head right. */

static void
repair(uint8_t *p, size_t size)
{
    uint32_t  len;
    uint64_t  sum;

    if (size < HEAD || size > MG_RECORD_SIZE_MAX) {
        return;
    }

    len = size;
    sum = mg_sum64(p + HEAD, size - HEAD);

    memcpy(p, size & 2 ? "MGR3" : "MGR4", 4);
    memcpy(p + 4, &len, 4);
    memcpy(p + 8, &sum, 8);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       used, again;
    uint8_t     *copy, *out;
    unsigned     i;
    mg_record_t  r, back;

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);

    if (size & 1) {
        repair(copy, size);
    }

    if (mg_record_decode(copy, size, &r, &used) != MG_OK) {
        free(copy);
        return 0;
    }

    if (used > size) {
        abort();
    }

    for (i = 0; i < MG_RS_N; i++) {
        if (outside(r.str[i], copy, used)) {
            abort();
        }
    }

    if (outside(r.request_body, copy, used)
        || outside(r.response_body, copy, used))
    {
        abort();
    }

    out = malloc(mg_record_size(&r));
    mg_record_encode(&r, out);

    if (mg_record_decode(out, mg_record_size(&r), &back, &again) != MG_OK
        || memcmp(back.id.b, r.id.b, 16) != 0)
    {
        abort();
    }

    free(out);
    free(copy);

    return 0;
}
