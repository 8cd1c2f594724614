/*
 * Paths and query values as anybody may send them, against every pattern of
 * the table and some that are worse: what a pattern takes must lie within
 * the path, and whatever was matched must be put together again by filling
 * the pattern with its parameters.
 */

#include <stdlib.h>

#include "job/mg_call.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char * const  patterns[] = {
    "/health",
    "/api/v1/models/{id*}",
    "/api/v1/models/{id*}/benchmarks",
    "/api/v1/model-groups/{group*}/models/{id*}",
    "/api/v1/providers/{provider}/models",
    "/{a}/{b}/{c}/{d}",
    "{a*}a{b*}",
    NULL
};


/* The path that pattern and parameters stand for; 1 if it is this one. */

static int
same(const char *pattern, mg_str_t path, const mg_pair_t *params, unsigned n)
{
    size_t       at;
    unsigned     i;
    const char  *p;

    i = 0;
    at = 0;

    for (p = pattern; *p; p++) {

        if (*p != '{') {
            if (at == path.len || path.data[at++] != *p) {
                return 0;
            }

            continue;
        }

        if (i == n || params[i].value.data != path.data + at
            || params[i].value.len == 0)
        {
            return 0;
        }

        at += params[i++].value.len;
        p = strchr(p, '}');
    }

    return at == path.len && i == n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy;
    unsigned      i, n;
    mg_str_t      path;
    mg_pair_t     params[MG_CALL_PARAMS_MAX];
    mg_error_t    e;
    mg_paging_t   paging;

    if (size > 4096) {
        return 0;
    }

    /* a block of its own, so that one byte too far is seen */

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    path = mg_str_n(copy, size);

    for (i = 0; patterns[i]; i++) {
        if (mg_route_match(patterns[i], path, params, &n)
            && !same(patterns[i], path, params, n))
        {
            abort();
        }
    }

    params[0].name = mg_str("page");
    params[0].value = path;
    params[1].name = mg_str("limit");
    params[1].value = path;

    if (mg_query_paging(params, 2, &paging, &e) == MG_OK
        && (paging.page < 1 || paging.limit < 1 || paging.limit > 1000))
    {
        abort();
    }

    free(copy);

    return 0;
}
