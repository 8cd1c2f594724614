/*
 * mg_route.c: paths against patterns, and the two parameters of every list.
 *
 *     /api/v1/model-groups/{group*}/models/{id*}
 *
 * A pattern is literal text and {names}; {name} takes one segment, {name*}
 * takes slashes too, as little as lets the rest of the pattern match.  Both
 * take at least one byte.  A path is at most as long as nginx's header
 * buffers, and a pattern has at most two starred names, the second one last,
 * so matching is linear in the path.
 *
 * Any thread; never blocks, never allocates.
 */

#include "job/mg_call.h"


#define MG_ROUTE_PAGE_MAX        1000000
#define MG_ROUTE_LIMIT_MAX       1000
#define MG_ROUTE_LIMIT_DEFAULT   50


static int mg_route_rest(const char *pattern, mg_str_t path,
    mg_pair_t *params, unsigned *n_params);
static int mg_route_param(const char *pattern, mg_str_t path,
    mg_pair_t *params, unsigned *n_params);
static int mg_query_number(mg_str_t value, const char *name, uint32_t max,
    uint32_t *n, mg_error_t *e);


int
mg_route_match(const char *pattern, mg_str_t path, mg_pair_t *params,
    unsigned *n_params)
{
    *n_params = 0;

    return mg_route_rest(pattern, path, params, n_params);
}


static int
mg_route_rest(const char *pattern, mg_str_t path, mg_pair_t *params,
    unsigned *n_params)
{
    while (*pattern != '\0') {

        if (*pattern == '{') {
            return mg_route_param(pattern, path, params, n_params);
        }

        if (path.len == 0 || *pattern != path.data[0]) {
            return 0;
        }

        pattern++;
        path.data++;
        path.len--;
    }

    return path.len == 0;
}


static int
mg_route_param(const char *pattern, mg_str_t path, mg_pair_t *params,
    unsigned *n_params)
{
    size_t       take;
    unsigned     i, star;
    const char  *end;

    i = *n_params;
    end = strchr(pattern, '}');

    if (end == NULL || i == MG_CALL_PARAMS_MAX) {
        return 0;
    }

    star = (end[-1] == '*');
    params[i].name = mg_str_n(pattern + 1, end - pattern - 1 - star);

    for (take = 1; take <= path.len; take++) {

        if (!star && path.data[take - 1] == '/') {
            return 0;
        }

        if (star && end[1] == '\0') {
            take = path.len;
        }

        params[i].value = mg_str_n(path.data, take);
        *n_params = i + 1;

        if (mg_route_rest(end + 1,
                          mg_str_n(path.data + take, path.len - take),
                          params, n_params))
        {
            return 1;
        }
    }

    return 0;
}


unsigned
mg_route_weight(const char *pattern)
{
    unsigned     n;
    const char  *p;

    n = 0;

    for (p = pattern; *p; p++) {
        if (*p == '{') {
            p = strchr(p, '}');

            if (p == NULL) {
                break;
            }

            continue;
        }

        n++;
    }

    return n;
}


int
mg_query_paging(const mg_pair_t *query, unsigned n, mg_paging_t *p,
    mg_error_t *e)
{
    unsigned  i;

    p->page = 1;
    p->limit = MG_ROUTE_LIMIT_DEFAULT;

    for (i = 0; i < n; i++) {

        if (mg_str_eq(query[i].name, mg_str("page"))
            && mg_query_number(query[i].value, "page", MG_ROUTE_PAGE_MAX,
                               &p->page, e)
               != MG_OK)
        {
            return MG_ERROR;
        }

        if (mg_str_eq(query[i].name, mg_str("limit"))
            && mg_query_number(query[i].value, "limit", MG_ROUTE_LIMIT_MAX,
                               &p->limit, e)
               != MG_OK)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_query_number(mg_str_t value, const char *name, uint32_t max, uint32_t *n,
    mg_error_t *e)
{
    size_t    i;
    uint32_t  v;

    v = 0;

    for (i = 0; i < value.len && i < 9; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            break;
        }

        v = v * 10 + (uint32_t) (value.data[i] - '0');
    }

    if (i == 0 || i != value.len || v < 1 || v > max) {
        return mg_error_set(e, MG_E_INVALID, name,
                            "%s \"%.*s\" is not a whole number between 1 and "
                            "%u", name,
                            (int) (value.len > 80 ? 80 : value.len),
                            value.data ? value.data : "", (unsigned) max);
    }

    *n = v;

    return MG_OK;
}
