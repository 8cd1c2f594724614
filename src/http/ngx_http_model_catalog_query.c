/*
 * ngx_http_model_catalog_query.c: query parameters of the lists of models.
 *
 * One table: name, the lists that take it, how its value is read, and the
 * member of the query that it sets.  The names that the dispatcher allows on
 * a route are made from the same table, so a filter is one row here and one
 * member of mg_catalog_query_t.
 *
 *     ?min_context=128000 -> row "min_context" -> whole number
 *                         -> q->min_context
 *
 * Values are decoded UTF-8 already and stand once each.  What cannot be read
 * is a 400 that names the parameter and shows the value.
 */

#include "http/ngx_http_model_catalog.h"
#include "base/mg_decimal.h"


/* lists that take a parameter; what is in the path is not in the query */
#define NGX_HTTP_MODEL_ON_EVERY        ((1 << NGX_HTTP_MODEL_LIST_N) - 1)
#define NGX_HTTP_MODEL_ON_MIXED        (NGX_HTTP_MODEL_ON_EVERY               \
                                        & ~(1 << NGX_HTTP_MODEL_LIST_PROVIDER))
#define NGX_HTTP_MODEL_ON_OPEN         (NGX_HTTP_MODEL_ON_EVERY               \
                                      & ~(1 << NGX_HTTP_MODEL_LIST_CAPABILITY))

#define NGX_HTTP_MODEL_CONTEXT_MAX     INT64_C(1000000000000)

/* powers of ten from USD per million tokens to femto-USD per token */
#define NGX_HTTP_MODEL_PRICE_SHIFT     9


typedef struct ngx_http_model_param_s  ngx_http_model_param_t;

typedef ngx_int_t (*ngx_http_model_param_pt)(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);

struct ngx_http_model_param_s {
    const char                *name;
    ngx_uint_t                 on;       /* lists that take it */
    ngx_http_model_param_pt    read;     /* NULL: mg_query_paging() does */
    size_t                     offset;   /* of the member */
    const mg_str_t            *values;   /* names of a choice ... */
    ngx_uint_t                 n;        /* ... and their number */
};


static ngx_int_t ngx_http_model_param_text(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_modality(
    const ngx_http_model_param_t *p, mg_str_t value, mg_catalog_query_t *q,
    mg_error_t *e);
static ngx_int_t ngx_http_model_param_search(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_word(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_choice(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_sort(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_count(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);
static ngx_int_t ngx_http_model_param_price(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e);

static ngx_int_t ngx_http_model_param_bad(const ngx_http_model_param_t *p,
    mg_str_t value, const char *why, mg_error_t *e);
static ngx_int_t ngx_http_model_param_long(const ngx_http_model_param_t *p,
    mg_str_t value, mg_error_t *e);
static ngx_int_t ngx_http_model_param_find(const ngx_http_model_param_t *p,
    mg_str_t value, mg_error_t *e);


/* an index is what the member holds */

static const mg_str_t  ngx_http_model_flags[] = {
    mg_str("false"), mg_str("true")
};

static const mg_str_t  ngx_http_model_statuses[] = {
    mg_str("stable"), mg_str("alpha"), mg_str("beta"), mg_str("deprecated")
};


#define NGX_HTTP_MODEL_PARAM(name, on, read)                                  \
    { #name, NGX_HTTP_MODEL_ON_##on, ngx_http_model_param_##read,             \
      offsetof(mg_catalog_query_t, name), NULL, 0 }

#define NGX_HTTP_MODEL_CHOICE(name, on, read, values, n)                      \
    { #name, NGX_HTTP_MODEL_ON_##on, ngx_http_model_param_##read,             \
      offsetof(mg_catalog_query_t, name), values, n }

static const ngx_http_model_param_t  ngx_http_model_params[] = {

    NGX_HTTP_MODEL_CHOICE(capability, OPEN, choice, mg_capability_names,
                          MG_CAP_N),
    NGX_HTTP_MODEL_CHOICE(type, EVERY, choice, mg_model_type_names,
                          MG_TYPE_N),
    NGX_HTTP_MODEL_CHOICE(status, EVERY, word, ngx_http_model_statuses, 4),
    NGX_HTTP_MODEL_CHOICE(open_weights, EVERY, choice, ngx_http_model_flags,
                          2),
    NGX_HTTP_MODEL_CHOICE(available, EVERY, choice, ngx_http_model_flags, 2),
    NGX_HTTP_MODEL_CHOICE(sort, EVERY, sort, mg_catalog_sort_names,
                          MG_SORT_N),

    NGX_HTTP_MODEL_PARAM(provider, MIXED, text),
    NGX_HTTP_MODEL_PARAM(family, EVERY, text),
    NGX_HTTP_MODEL_PARAM(modality, EVERY, modality),
    NGX_HTTP_MODEL_PARAM(search, EVERY, search),
    NGX_HTTP_MODEL_PARAM(min_context, EVERY, count),
    NGX_HTTP_MODEL_PARAM(max_input_price, EVERY, price),
    NGX_HTTP_MODEL_PARAM(max_output_price, EVERY, price),

    { "page", NGX_HTTP_MODEL_ON_EVERY, NULL, 0, NULL, 0 },
    { "limit", NGX_HTTP_MODEL_ON_EVERY, NULL, 0, NULL, 0 }
};

#define NGX_HTTP_MODEL_PARAM_N                                                \
    (sizeof(ngx_http_model_params) / sizeof(ngx_http_model_params[0]))


const char  *ngx_http_model_catalog_names[NGX_HTTP_MODEL_LIST_N]
                                         [NGX_HTTP_MODEL_CATALOG_PARAMS];


void
ngx_http_model_catalog_query_init(void)
{
    ngx_uint_t  i, list, n;

    for (list = 0; list < NGX_HTTP_MODEL_LIST_N; list++) {
        n = 0;

        for (i = 0; i < NGX_HTTP_MODEL_PARAM_N; i++) {
            if (ngx_http_model_params[i].on & (1 << list)) {
                ngx_http_model_catalog_names[list][n++]
                    = ngx_http_model_params[i].name;
            }
        }

        ngx_http_model_catalog_names[list][n] = NULL;
    }
}


ngx_int_t
ngx_http_model_catalog_query(ngx_http_model_ask_t *ask,
    mg_catalog_query_t *q)
{
    ngx_uint_t                     i;
    mg_paging_t                    paging;
    const mg_pair_t               *pair;
    const ngx_http_model_param_t  *p, *last;

    mg_catalog_query_init(q);
    q->sort = MG_SORT_N;

    last = ngx_http_model_params + NGX_HTTP_MODEL_PARAM_N;

    for (i = 0; i < ask->n_query; i++) {
        pair = &ask->query[i];

        /* the dispatcher hands on the very names of the table */

        for (p = ngx_http_model_params; p < last; p++) {
            if (p->name == pair->name.data) {
                break;
            }
        }

        if (p < last && p->read
            && p->read(p, pair->value, q, &ask->error) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (mg_query_paging(ask->query, ask->n_query, &paging, &ask->error)
        != MG_OK)
    {
        return NGX_DECLINED;
    }

    q->page = paging.page;
    q->limit = paging.limit;

    if (q->sort == MG_SORT_N) {
        q->sort = q->search.data ? MG_SORT_RELEVANCE : MG_SORT_ID;
    }

    if (q->sort == MG_SORT_RELEVANCE && q->search.data == NULL) {
        (void) mg_error_set(&ask->error, MG_E_INVALID, "sort",
                            "sort \"relevance\" is the order of a search; "
                            "give search, too");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_model_catalog_capability(mg_str_t name, int *capability,
    mg_error_t *e)
{
    ngx_int_t  n;

    n = ngx_http_model_param_find(&ngx_http_model_params[0], name, e);

    if (n == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    *capability = (int) n;

    return NGX_OK;
}


/* -- readers -- */

static ngx_int_t
ngx_http_model_param_text(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    if (value.len == 0) {
        return ngx_http_model_param_bad(p, value, "is empty; give a value or "
                                        "leave the parameter out", e);
    }

    if (value.len > NGX_HTTP_MODEL_CATALOG_TEXT) {
        return ngx_http_model_param_long(p, value, e);
    }

    *(mg_str_t *) ((char *) q + p->offset) = value;

    return NGX_OK;
}


/*
 * In "image+text->text" the plus that nobody has escaped has come as a
 * blank, in a decoded copy that is this request's own.
 */

static ngx_int_t
ngx_http_model_param_modality(const ngx_http_model_param_t *p,
    mg_str_t value, mg_catalog_query_t *q, mg_error_t *e)
{
    char    *text;
    size_t   i;

    text = (char *) value.data;

    for (i = 0; i < value.len; i++) {
        if (text[i] == ' ') {
            text[i] = '+';
        }
    }

    if (ngx_http_model_param_text(p, value, q, e) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (mg_catalog_modality(value) != MG_OK) {
        return ngx_http_model_param_bad(p, value, "names no modalities; give "
                                        "one such as \"image\", or inputs and "
                                        "outputs such as "
                                        "\"text+image->text\"", e);
    }

    return NGX_OK;
}


/* Who types clears the field, too: nothing but blanks is no search. */

static ngx_int_t
ngx_http_model_param_search(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    size_t  i;

    if (value.len > NGX_HTTP_MODEL_CATALOG_TEXT) {
        return ngx_http_model_param_long(p, value, e);
    }

    for (i = 0; i < value.len; i++) {
        if ((u_char) value.data[i] > ' ') {
            q->search = value;
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_param_word(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    if (ngx_http_model_param_find(p, value, e) == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    *(mg_str_t *) ((char *) q + p->offset) = value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_param_choice(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    ngx_int_t  n;

    n = ngx_http_model_param_find(p, value, e);

    if (n == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    *(int *) ((char *) q + p->offset) = (int) n;

    return NGX_OK;
}


/* A minus before the name turns the order round. */

static ngx_int_t
ngx_http_model_param_sort(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    mg_str_t   name;
    ngx_int_t  n;

    name = value;

    if (name.len && name.data[0] == '-') {
        name.data++;
        name.len--;
        q->descending = 1;
    }

    n = ngx_http_model_param_find(p, name, e);

    if (n == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    q->sort = (int) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_param_count(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    int64_t  n;

    if (value.len > NGX_HTTP_MODEL_CATALOG_TEXT
        || mg_decimal_int64(value, &n) != MG_OK
        || n < 0 || n > NGX_HTTP_MODEL_CONTEXT_MAX)
    {
        return ngx_http_model_param_bad(p, value, "is not a whole number "
                                        "between 0 and 10^12; give tokens, "
                                        "such as 128000", e);
    }

    *(int64_t *) ((char *) q + p->offset) = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_param_price(const ngx_http_model_param_t *p, mg_str_t value,
    mg_catalog_query_t *q, mg_error_t *e)
{
    int64_t  price;

    if (value.len > NGX_HTTP_MODEL_CATALOG_TEXT
        || mg_decimal_parse(value, NGX_HTTP_MODEL_PRICE_SHIFT, &price)
           != MG_OK)
    {
        return ngx_http_model_param_bad(p, value, "is no price; give USD per "
                                        "million tokens, such as 0 or 2.5",
                                        e);
    }

    *(int64_t *) ((char *) q + p->offset) = price;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_param_bad(const ngx_http_model_param_t *p, mg_str_t value,
    const char *why, mg_error_t *e)
{
    (void) mg_error_set(e, MG_E_INVALID, p->name, "%s \"%.*s\" %s", p->name,
                        (int) ngx_min(value.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        value.data, why);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_model_param_long(const ngx_http_model_param_t *p, mg_str_t value,
    mg_error_t *e)
{
    (void) mg_error_set(e, MG_E_INVALID, p->name,
                        "%s \"%.*s...\" has %zu bytes; give at most %d",
                        p->name, NGX_HTTP_MODEL_CATALOG_CUT, value.data,
                        value.len, NGX_HTTP_MODEL_CATALOG_TEXT);

    return NGX_DECLINED;
}


/* Index among the values, or NGX_DECLINED with all that there are. */

static ngx_int_t
ngx_http_model_param_find(const ngx_http_model_param_t *p, mg_str_t value,
    mg_error_t *e)
{
    int         len;
    char        known[256];
    ngx_uint_t  i;

    for (i = 0; i < p->n; i++) {
        if (mg_str_eq(p->values[i], value)) {
            return (ngx_int_t) i;
        }
    }

    len = 0;
    known[0] = '\0';

    for (i = 0; i < p->n && len < (int) sizeof(known) - 40; i++) {
        len += snprintf(known + len, sizeof(known) - len, "%s%.*s",
                        i ? ", " : "", MG_STR_ARG(p->values[i]));
    }

    (void) mg_error_set(e, MG_E_INVALID, p->name,
                        "%s \"%.*s\" is not known; give one of %s", p->name,
                        (int) ngx_min(value.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        value.data, known);

    return NGX_DECLINED;
}
