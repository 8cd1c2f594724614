/*
 * If this breaks, a request reaches the wrong call: a model whose id holds
 * slashes is not found, /models/refresh is taken for a model, a page number
 * overflows, or a caller is told 404 where 400 would have named the mistake.
 */

#include <stdio.h>

#include "job/mg_call.h"
#include "tap.h"


typedef struct {
    const char  *pattern;
    const char  *path;
    int          match;
    const char  *one;
    const char  *two;
} route_t;


static const route_t  routes[] = {
    { "/health", "/health", 1, NULL, NULL },
    { "/health", "/health/", 0, NULL, NULL },
    { "/health", "/healt", 0, NULL, NULL },
    { "/health", "", 0, NULL, NULL },
    { "/v1/models", "/v1/Models", 0, NULL, NULL },

    { "/p/{id}", "/p/x", 1, "x", NULL },
    { "/p/{id}", "/p/", 0, NULL, NULL },
    { "/p/{id}", "/p/x/", 0, NULL, NULL },
    { "/p/{id}", "/p/x/y", 0, NULL, NULL },
    { "/p/{id}/models", "/p/x/models", 1, "x", NULL },
    { "/p/{id}/models", "/p/models", 0, NULL, NULL },

    { "/m/{id*}", "/m/openai/gpt-4o", 1, "openai/gpt-4o", NULL },
    { "/m/{id*}", "/m/a/b:free@x~Y/z", 1, "a/b:free@x~Y/z", NULL },
    { "/m/{id*}", "/m/", 0, NULL, NULL },
    { "/m/{id*}/benchmarks", "/m/a/b/benchmarks", 1, "a/b", NULL },
    { "/m/{id*}/benchmarks", "/m/a/b", 0, NULL, NULL },

    { "/g/{g*}/models/{id*}", "/g/chat/models/a/b", 1, "chat", "a/b" },
    { "/g/{g*}/models/{id*}", "/g/team/chat/models/a/models/b", 1,
      "team/chat", "a/models/b" },
    { "/g/{g*}/models", "/g/team/chat/models", 1, "team/chat", NULL },
    { "/g/{g*}/models", "/g/models", 0, NULL, NULL },

    { NULL, NULL, 0, NULL, NULL }
};


typedef struct {
    const char  *name;
    const char  *value;
    int          page;
    int          limit;
    const char  *error;
} paging_t;


static const paging_t  pagings[] = {
    { "other", "x", 1, 50, NULL },
    { "page", "1", 1, 50, NULL },
    { "page", "1000000", 1000000, 50, NULL },
    { "limit", "1000", 1, 1000, NULL },
    { "limit", "007", 1, 7, NULL },
    { "page", "0", 0, 0, "page \"0\" is not" },
    { "page", "", 0, 0, "page \"\" is not" },
    { "page", "-1", 0, 0, "page \"-1\" is not" },
    { "page", "1.5", 0, 0, "page \"1.5\" is not" },
    { "page", " 1", 0, 0, "page \" 1\" is not" },
    { "page", "1000001", 0, 0, "between 1 and 1000000" },
    { "page", "4294967297", 0, 0, "between 1 and 1000000" },
    { "page", "99999999999999999999", 0, 0, "between 1 and 1000000" },
    { "limit", "0", 0, 0, "between 1 and 1000" },
    { "limit", "1001", 0, 0, "limit \"1001\" is not" },
    { "limit", "1' or '1'='1", 0, 0, "limit \"1' or '1'='1\" is not" },
    { "limit", "\x01\xff", 0, 0, "limit \"??\" is not" },
    { NULL, NULL, 0, 0, NULL }
};


static void
is_param(const mg_pair_t *p, const char *want, const char *path)
{
    is_mem(p->value.data, p->value.len, want, strlen(want),
           "\"%s\": {%.*s} is %s", path, MG_STR_ARG(p->name), want);
}


static void
test_match(void)
{
    int             match;
    unsigned        n;
    mg_pair_t       params[MG_CALL_PARAMS_MAX];
    const route_t  *r;

    for (r = routes; r->pattern; r++) {
        match = mg_route_match(r->pattern, mg_str_z(r->path), params, &n);
        is_int(match, r->match, "%s %s \"%s\"", r->pattern,
               r->match ? "takes" : "leaves", r->path);

        if (match && r->one && ok(n >= 1, "at least one parameter")) {
            is_param(&params[0], r->one, r->path);
        }

        if (match && r->two && ok(n == 2, "two parameters")) {
            is_param(&params[1], r->two, r->path);
        }
    }

    ok(mg_route_match("/a/{one}/{two}", mg_str("/a/b/c"), params, &n),
       "two segments");
    is_mem(params[1].name.data, params[1].name.len, "two", 3,
           "a name is what stands between the braces");

    ok(mg_route_match("/a/{one*}", mg_str("/a/b"), params, &n), "starred");
    is_mem(params[0].name.data, params[0].name.len, "one", 3,
           "without the star");
}


static void
test_weight(void)
{
    ok(mg_route_weight("/api/v1/models/refresh")
       > mg_route_weight("/api/v1/models/{id*}"),
       "a literal outweighs a name");
    ok(mg_route_weight("/g/{g*}/models/{id*}")
       > mg_route_weight("/g/{g*}/models"),
       "the longer literal outweighs the shorter");
    ok(mg_route_weight("/g/{g*}/models") > mg_route_weight("/g/{g*}"),
       "a suffix outweighs none");
    is_int(mg_route_weight("/a{name*}b"), 3, "names weigh nothing");
}


static void
test_long(void)
{
    char       path[8192];
    size_t     i;
    unsigned   n;
    mg_pair_t  params[MG_CALL_PARAMS_MAX];

    memcpy(path, "/g/", 3);

    for (i = 3; i + 7 <= sizeof(path); i += 7) {
        memcpy(path + i, "/model/", 7);
    }

    is_int(mg_route_match("/g/{g*}/models/{id*}", mg_str_n(path, i), params,
                          &n),
           0, "8 KB of near misses match nothing");
    is_int(mg_route_match("/g/{g*}", mg_str_n(path, i), params, &n), 1,
           "8 KB are one parameter");
    is_int(params[0].value.len, i - 3, "all of it");

    is_int(mg_route_match("/n/{a}", mg_str("/n/x\0y"), params, &n), 1,
           "a NUL is a byte like others");
    is_int(params[0].value.len, 3, "and does not end the value");
}


static void
test_paging(void)
{
    int              rc;
    mg_pair_t        pair;
    mg_error_t       e;
    mg_paging_t      paging;
    const paging_t  *p;

    for (p = pagings; p->name; p++) {
        pair.name = mg_str_z(p->name);
        pair.value = mg_str_z(p->value);
        rc = mg_query_paging(&pair, 1, &paging, &e);

        if (p->error) {
            is_int(rc, MG_ERROR, "%s=%s is refused", p->name, p->value);
            is_str(e.param, p->name, "it names %s", p->name);
            like(e.message, p->error, "and says why");
            continue;
        }

        is_int(rc, MG_OK, "%s=%s is taken", p->name, p->value);
        is_int(paging.page, p->page, "page");
        is_int(paging.limit, p->limit, "limit");
    }

    is_int(mg_query_paging(NULL, 0, &paging, &e), MG_OK, "nothing asked");
    is_int(paging.limit, 50, "50 a page by default");
}


int
main(void)
{
    test_match();
    test_weight();
    test_long();
    test_paging();

    return done_testing();
}
