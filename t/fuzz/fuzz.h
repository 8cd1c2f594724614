/*
 * fuzz.h: what the fuzz targets share.
 *
 * A target is one function that libFuzzer calls with each input; a broken
 * promise ends it with the line that broke.  A piece of the input is copied
 * into memory of its exact size before it is fed, so that ASan sees a reader
 * that looks behind its end.
 */

#ifndef FUZZ_H
#define FUZZ_H

#include "base/mg_str.h"

#include <stdio.h>
#include <stdlib.h>


#define fuzz_check(cond)                                                      \
    if (!(cond)) {                                                            \
        fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__,      \
                #cond);                                                       \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* The caller frees it. */

static inline char *
fuzz_piece(mg_str_t s)
{
    char  *p;

    p = malloc(s.len ? s.len : 1);
    fuzz_check(p != NULL);

    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    return p;
}


/* 1 if the bytes of part stand in s. */

static inline int
fuzz_has(mg_str_t s, const char *part)
{
    size_t  i, n;

    n = strlen(part);

    for (i = 0; i + n <= s.len; i++) {
        if (memcmp(s.data + i, part, n) == 0) {
            return 1;
        }
    }

    return 0;
}


#endif /* FUZZ_H */
