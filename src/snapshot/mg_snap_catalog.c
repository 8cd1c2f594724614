/*
 * mg_snap_catalog.c: answers from a catalog snapshot.
 *
 *     provider, filters, search  ->  a set of models, a bit each
 *     sort                       ->  the order in which the set is read
 *
 * A list without conditions is arithmetic: the models lie in order.
 * Otherwise the set is made first, so the total is known, and then read only
 * as far as the page: by id 64 models at a time, by another key along the
 * order that the file holds, by relevance rank after rank.  All ways hand
 * the models of the page to one collector, which joins neighbours into runs
 * of bytes.
 *
 * Event loop, one thread of a process: the sets are static.  Never
 * allocates, never blocks; every offset was checked when the file was
 * published.
 */

#include "snapshot/mg_snap_catalog_layout.h"


/* the window of matches that make the page */

typedef struct {
    const mg_snap_t      *snap;
    const mg_sc_model_t  *models;
    mg_catalog_page_t    *page;
    uint64_t              skip;          /* matches before the page */
    uint32_t              limit;
    uint32_t              next;          /* model behind the last run */
} mg_catalog_window_t;


static int mg_catalog_span(const mg_snap_t *s, mg_str_t provider,
    uint32_t *first, uint32_t *n);
static const uint64_t *mg_catalog_conditions(const mg_snap_t *s,
    const mg_filter_t *f, uint32_t first, uint32_t n);
static void mg_catalog_search(mg_catalog_window_t *w,
    const mg_catalog_query_t *q, const mg_search_t *search,
    const uint64_t *set);
static void mg_catalog_sorted(mg_catalog_window_t *w,
    const mg_catalog_query_t *q, const uint64_t *set);
static uint32_t mg_catalog_count(const mg_snap_t *s, const uint64_t *set);
static void mg_catalog_all(mg_catalog_window_t *w, uint32_t n);
static void mg_catalog_by_id(mg_catalog_window_t *w, const uint64_t *set);
static void mg_catalog_by_id_falling(mg_catalog_window_t *w,
    const uint64_t *set);
static void mg_catalog_rising(mg_catalog_window_t *w, const uint32_t *order,
    uint32_t n, const uint64_t *set);
static void mg_catalog_falling(mg_catalog_window_t *w, const uint32_t *order,
    uint32_t n, const uint64_t *set);
static inline int mg_catalog_take(mg_catalog_window_t *w, uint32_t model);
static void mg_catalog_run(mg_catalog_window_t *w, uint32_t first,
    uint32_t n);
static uint32_t mg_catalog_find(const mg_snap_t *s, uint32_t low,
    uint32_t high, mg_str_t id);
static uint32_t mg_catalog_any(const mg_snap_t *s, mg_str_t id);
static uint32_t mg_catalog_provider_find(const mg_snap_t *s, mg_str_t id);


/* What the filters let pass. */
static uint64_t  mg_catalog_set[mg_sc_set_words(MG_SC_ACTIVE_MAX)];


void
mg_catalog_list(const mg_snap_t *s, const mg_catalog_query_t *q,
    mg_catalog_page_t *page)
{
    uint32_t             first, n;
    mg_filter_t          filter;
    mg_search_t          search;
    const uint64_t      *set;
    mg_catalog_window_t  w;

    page->total = 0;
    page->count = 0;
    page->n_runs = 0;
    page->approximate = 0;
    page->at_least = 0;

    w.snap = s;
    w.models = mg_snap_section(s, MG_SC_MODELS);
    w.page = page;
    w.limit = q->limit < MG_CATALOG_RUNS_MAX ? q->limit
                                             : MG_CATALOG_RUNS_MAX;
    w.skip = (uint64_t) (q->page ? q->page - 1 : 0) * w.limit;
    w.next = UINT32_MAX;

    if (mg_catalog_span(s, q->provider, &first, &n) != MG_OK
        || mg_filter_init(&filter, s, q) != MG_OK)
    {
        return;
    }

    mg_search_init(&search, q->search);
    set = mg_catalog_conditions(s, &filter, first, n);

    if (search.n != 0) {
        mg_catalog_search(&w, q, &search, set);
        return;
    }

    page->total = mg_catalog_count(s, set);

    if (w.skip < page->total && w.limit != 0) {
        mg_catalog_sorted(&w, q, set);
    }
}


/* The models that come into question at all: [first, first + n). */

static int
mg_catalog_span(const mg_snap_t *s, mg_str_t provider, uint32_t *first,
    uint32_t *n)
{
    uint32_t                 i;
    const mg_sc_provider_t  *providers;

    if (provider.data == NULL) {
        *first = 0;
        *n = mg_sc_meta(s)->n_active;
        return MG_OK;
    }

    i = mg_catalog_provider_find(s, provider);
    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    providers = mg_snap_section(s, MG_SC_PROVIDERS);

    *first = providers[i].first;
    *n = providers[i].n;

    return MG_OK;
}


/* NULL: all of them. */

static const uint64_t *
mg_catalog_conditions(const mg_snap_t *s, const mg_filter_t *f,
    uint32_t first, uint32_t n)
{
    uint32_t  n_active;

    n_active = mg_sc_meta(s)->n_active;

    if (n == n_active && f->mask == 0 && !f->columns) {
        return NULL;
    }

    memset(mg_catalog_set, 0, mg_sc_set_words(n_active) * sizeof(uint64_t));
    mg_filter_run(f, s, first, n, mg_catalog_set);

    return mg_catalog_set;
}


static void
mg_catalog_search(mg_catalog_window_t *w, const mg_catalog_query_t *q,
    const mg_search_t *search, const uint64_t *set)
{
    unsigned            i;
    uint32_t            j, n;
    uint64_t           *all;
    mg_catalog_page_t  *page;
    mg_search_found_t   found;

    page = w->page;
    mg_search_run(search, w->snap, set, &found);

    page->approximate = found.approximate;
    page->at_least = found.at_least;

    for (i = 0; i < MG_SEARCH_RANKS; i++) {
        page->total += mg_catalog_count(w->snap, found.ranks[i]);
    }

    if (w->skip >= page->total || w->limit == 0) {
        return;
    }

    if (q->sort == MG_SORT_RELEVANCE) {
        for (i = 0; i < MG_SEARCH_RANKS && page->count < w->limit; i++) {
            mg_catalog_by_id(w, found.ranks[i]);
        }

        return;
    }

    n = mg_sc_set_words(mg_sc_meta(w->snap)->n_active);
    all = found.ranks[0];

    for (i = 1; i < MG_SEARCH_RANKS; i++) {
        for (j = 0; j < n; j++) {
            all[j] |= found.ranks[i][j];
        }
    }

    mg_catalog_sorted(w, q, all);
}


static void
mg_catalog_sorted(mg_catalog_window_t *w, const mg_catalog_query_t *q,
    const uint64_t *set)
{
    uint32_t         n;
    const uint32_t  *order;

    n = mg_sc_meta(w->snap)->n_active;

    if (q->sort < MG_SORT_NAME || q->sort >= MG_SORT_N) {

        if (q->sort == MG_SORT_ID && q->descending) {
            mg_catalog_by_id_falling(w, set);

        } else if (set == NULL) {
            mg_catalog_all(w, n);

        } else {
            mg_catalog_by_id(w, set);
        }

        return;
    }

    order = mg_snap_section(w->snap, MG_SC_ORDERS);
    order += (size_t) (q->sort - MG_SORT_NAME) * n;
    n = mg_sc_meta(w->snap)->known[q->sort - MG_SORT_NAME];

    if (q->descending) {
        mg_catalog_falling(w, order, n, set);

    } else {
        mg_catalog_rising(w, order, n, set);
    }

    /* what is unknown */

    mg_catalog_rising(w, order + n, mg_sc_meta(w->snap)->n_active - n, set);
}


static uint32_t
mg_catalog_count(const mg_snap_t *s, const uint64_t *set)
{
    uint32_t  i, n, total;

    if (set == NULL) {
        return mg_sc_meta(s)->n_active;
    }

    n = mg_sc_set_words(mg_sc_meta(s)->n_active);

    for (i = 0, total = 0; i < n; i++) {
        total += (uint32_t) __builtin_popcountll(set[i]);
    }

    return total;
}


static void
mg_catalog_all(mg_catalog_window_t *w, uint32_t n)
{
    uint32_t  count;

    count = n - (uint32_t) w->skip;

    mg_catalog_run(w, (uint32_t) w->skip,
                   count < w->limit ? count : w->limit);
}


static void
mg_catalog_by_id(mg_catalog_window_t *w, const uint64_t *set)
{
    uint32_t  i, n, count;
    uint64_t  hits;

    n = mg_sc_set_words(mg_sc_meta(w->snap)->n_active);

    for (i = 0; i < n; i++) {
        hits = set[i];

        if (w->skip != 0) {
            count = (uint32_t) __builtin_popcountll(hits);

            if (count <= w->skip) {
                w->skip -= count;
                continue;
            }
        }

        for ( /* void */ ; hits != 0; hits &= hits - 1) {
            if (mg_catalog_take(w, i * 64
                                   + (uint32_t) __builtin_ctzll(hits)))
            {
                return;
            }
        }
    }
}


static void
mg_catalog_by_id_falling(mg_catalog_window_t *w, const uint64_t *set)
{
    uint32_t  i;

    for (i = mg_sc_meta(w->snap)->n_active; i-- > 0; /* void */ ) {
        if ((set == NULL || (set[i / 64] >> i % 64 & 1))
            && mg_catalog_take(w, i))
        {
            return;
        }
    }
}


static void
mg_catalog_rising(mg_catalog_window_t *w, const uint32_t *order, uint32_t n,
    const uint64_t *set)
{
    uint32_t  i, model;

    for (i = 0; i < n; i++) {
        model = order[i] & MG_SC_ORDER_MODEL;

        if ((set == NULL || (set[model / 64] >> model % 64 & 1))
            && mg_catalog_take(w, model))
        {
            return;
        }
    }
}


/* From the end a step at a time; within a step equals go by id. */

static void
mg_catalog_falling(mg_catalog_window_t *w, const uint32_t *order, uint32_t n,
    const uint64_t *set)
{
    uint32_t  first, end;

    for (end = n; end > 0 && w->page->count < w->limit; end = first) {
        first = end - 1;

        while (first > 0 && !(order[first] & MG_SC_ORDER_STEP)) {
            first--;
        }

        mg_catalog_rising(w, order + first, end - first, set);
    }
}


/* The next match; 1 if the page is full. */

static inline int
mg_catalog_take(mg_catalog_window_t *w, uint32_t model)
{
    if (w->skip != 0) {
        w->skip--;
        return 0;
    }

    if (w->page->count < w->limit) {
        mg_catalog_run(w, model, 1);
    }

    return w->page->count == w->limit;
}


static void
mg_catalog_run(mg_catalog_window_t *w, uint32_t first, uint32_t n)
{
    mg_str_t            bytes;
    mg_catalog_page_t  *page;

    page = w->page;

    bytes = mg_sc_span(w->snap, MG_SC_ITEMS, w->models[first].item,
                       w->models[first + n].item);

    if (w->next == first) {
        page->runs[page->n_runs - 1].len += bytes.len;

    } else {
        page->runs[page->n_runs++] = bytes;
    }

    page->count += n;
    w->next = first + n;
}


int
mg_catalog_model(const mg_snap_t *s, mg_str_t id, mg_str_t *item,
    mg_str_t *more)
{
    uint32_t              i;
    const mg_sc_model_t  *m;

    i = mg_catalog_any(s, id);

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    m = mg_snap_section(s, MG_SC_MODELS);

    *item = mg_sc_span(s, MG_SC_ITEMS, m[i].item, m[i + 1].item);
    item->len--;

    *more = mg_sc_span(s, MG_SC_MORE, m[i].more, m[i + 1].more);

    return MG_OK;
}


/* Among the active ones, then among the others. */

static uint32_t
mg_catalog_any(const mg_snap_t *s, mg_str_t id)
{
    uint32_t             i;
    const mg_sc_meta_t  *meta;

    meta = mg_sc_meta(s);
    i = mg_catalog_find(s, 0, meta->n_active, id);

    if (i == UINT32_MAX) {
        i = mg_catalog_find(s, meta->n_active, meta->n_models, id);
    }

    return i;
}


/* Index of the id among the models [low, high), or UINT32_MAX. */

static uint32_t
mg_catalog_find(const mg_snap_t *s, uint32_t low, uint32_t high, mg_str_t id)
{
    int       rc;
    uint32_t  middle;

    while (low < high) {
        middle = low + (high - low) / 2;
        rc = mg_str_cmp(mg_sc_id(s, middle), id);

        if (rc == 0) {
            return middle;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return UINT32_MAX;
}


int
mg_catalog_provider(const mg_snap_t *s, mg_str_t id, mg_str_t *json)
{
    uint32_t  i;

    i = mg_catalog_provider_find(s, id);

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    *json = mg_catalog_provider_at(s, i);

    return MG_OK;
}


mg_str_t
mg_catalog_provider_at(const mg_snap_t *s, uint32_t i)
{
    const mg_sc_provider_t  *p;

    p = mg_snap_section(s, MG_SC_PROVIDERS);

    return mg_sc_span(s, MG_SC_PROVIDER_ITEMS, p[i].item, p[i + 1].item);
}


int
mg_catalog_benchmarks(const mg_snap_t *s, mg_str_t id, mg_str_t *json)
{
    uint32_t              i;
    const mg_sc_model_t  *m;

    i = mg_catalog_any(s, id);

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    m = mg_snap_section(s, MG_SC_MODELS);

    *json = mg_sc_span(s, MG_SC_MORE, m[i].marks, m[i + 1].more);

    return MG_OK;
}


static uint32_t
mg_catalog_provider_find(const mg_snap_t *s, mg_str_t id)
{
    int       rc;
    uint32_t  low, high, middle;

    low = 0;
    high = mg_sc_meta(s)->n_providers;

    while (low < high) {
        middle = low + (high - low) / 2;
        rc = mg_str_cmp(mg_sc_provider_id(s, middle), id);

        if (rc == 0) {
            return middle;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return UINT32_MAX;
}


void
mg_catalog_body(const mg_snap_t *s, mg_catalog_body_e which, int gzip,
    mg_str_t *body)
{
    unsigned         i;
    const uint32_t  *bodies;

    bodies = mg_sc_meta(s)->bodies;
    i = 2 * (unsigned) which + (gzip != 0);

    *body = mg_sc_span(s, MG_SC_BODIES, bodies[i], bodies[i + 1]);
}


uint32_t
mg_catalog_models(const mg_snap_t *s)
{
    return mg_sc_meta(s)->n_active;
}


uint32_t
mg_catalog_providers(const mg_snap_t *s)
{
    return mg_sc_meta(s)->n_providers;
}
