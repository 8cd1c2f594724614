/*
 * mg_snap_catalog.c: answers from a catalog snapshot.
 *
 * A list without conditions, or with a provider alone, is arithmetic: the
 * models lie in order.  Type and capability compare two bytes of each model
 * with a mask, 64 models to a word of hits.  A search runs over the blob of
 * folded text for its longest word; each hit names a model, whose text must
 * hold the other words, too.  All ways hand the models of the page, in
 * order, to one collector, which joins neighbours into runs of bytes.
 *
 * Event loop; never allocates, never blocks; every offset was checked when
 * the file was published.
 */

#include "snapshot/mg_snap_catalog_layout.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


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
static void mg_catalog_all(mg_catalog_window_t *w, uint32_t first,
    uint32_t n);
static void mg_catalog_filter(mg_catalog_window_t *w, uint32_t first,
    uint32_t n, mg_sc_key_t mask, mg_sc_key_t want);
static inline uint64_t mg_catalog_hits(const mg_sc_key_t *keys, unsigned n,
    mg_sc_key_t mask, mg_sc_key_t want);
static void mg_catalog_search(mg_catalog_window_t *w, uint32_t first,
    uint32_t n, mg_sc_key_t mask, mg_sc_key_t want,
    const mg_search_t *search);
static void mg_catalog_take(mg_catalog_window_t *w, uint32_t model);
static void mg_catalog_run(mg_catalog_window_t *w, uint32_t first,
    uint32_t n);
static uint32_t mg_catalog_find(const mg_snap_t *s, uint32_t low,
    uint32_t high, mg_str_t id);
static uint32_t mg_catalog_provider_find(const mg_snap_t *s, mg_str_t id);


void
mg_catalog_list(const mg_snap_t *s, const mg_catalog_query_t *q,
    mg_catalog_page_t *page)
{
    uint32_t             first, n;
    mg_search_t          search;
    mg_sc_key_t          mask, want;
    mg_catalog_window_t  w;

    page->total = 0;
    page->count = 0;
    page->n_runs = 0;

    w.snap = s;
    w.models = mg_snap_section(s, MG_SC_MODELS);
    w.page = page;
    w.limit = q->limit < MG_CATALOG_RUNS_MAX ? q->limit
                                             : MG_CATALOG_RUNS_MAX;
    w.skip = (uint64_t) (q->page ? q->page - 1 : 0) * w.limit;
    w.next = UINT32_MAX;

    if (mg_catalog_span(s, q->provider, &first, &n) != MG_OK) {
        return;
    }

    mask = 0;
    want = 0;

    if (q->type >= 0) {
        mask |= MG_SC_KEY_TYPE;
        want |= (mg_sc_key_t) (q->type & MG_SC_KEY_TYPE);
    }

    if (q->capability >= 0 && q->capability < MG_CAP_N) {
        mask |= (mg_sc_key_t) mg_sc_key_cap(q->capability);
        want |= (mg_sc_key_t) mg_sc_key_cap(q->capability);
    }

    mg_search_init(&search, q->search);

    if (search.n != 0) {
        mg_catalog_search(&w, first, n, mask, want, &search);

    } else if (mask != 0) {
        mg_catalog_filter(&w, first, n, mask, want);

    } else {
        mg_catalog_all(&w, first, n);
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


static void
mg_catalog_all(mg_catalog_window_t *w, uint32_t first, uint32_t n)
{
    uint32_t  count;

    w->page->total = n;

    if (w->skip >= n) {
        return;
    }

    count = n - (uint32_t) w->skip;

    mg_catalog_run(w, first + (uint32_t) w->skip,
                   count < w->limit ? count : w->limit);
}


static void
mg_catalog_filter(mg_catalog_window_t *w, uint32_t first, uint32_t n,
    mg_sc_key_t mask, mg_sc_key_t want)
{
    unsigned            width;
    uint32_t            i, total;
    uint64_t            hits;
    const mg_sc_key_t  *keys;

    keys = mg_snap_section(w->snap, MG_SC_KEYS);
    keys += first;

    for (i = 0; i < n; i += width) {
        width = n - i < 64 ? n - i : 64;
        hits = mg_catalog_hits(keys + i, width, mask, want);

        total = w->page->total + (uint32_t) __builtin_popcountll(hits);

        if (total <= w->skip || w->page->count == w->limit) {
            w->page->total = total;
            continue;
        }

        for ( /* void */ ; hits != 0; hits &= hits - 1) {
            mg_catalog_take(w, first + i
                               + (uint32_t) __builtin_ctzll(hits));
        }
    }
}


/* Bit j: of n keys, 64 at most, number j has what is wanted. */

static inline uint64_t
mg_catalog_hits(const mg_sc_key_t *keys, unsigned n, mg_sc_key_t mask,
    mg_sc_key_t want)
{
    unsigned  j;
    uint64_t  hits;

    j = 0;
    hits = 0;

#if defined(__SSE2__)

    __m128i  m, w, low, high;

    m = _mm_set1_epi16((short) mask);
    w = _mm_set1_epi16((short) want);

    for ( /* void */ ; j + 16 <= n; j += 16) {
        low = _mm_loadu_si128((const __m128i *) (keys + j));
        high = _mm_loadu_si128((const __m128i *) (keys + j + 8));

        low = _mm_cmpeq_epi16(_mm_and_si128(low, m), w);
        high = _mm_cmpeq_epi16(_mm_and_si128(high, m), w);

        hits |= (uint64_t) (unsigned)
                    _mm_movemask_epi8(_mm_packs_epi16(low, high))
                << j;
    }

#endif

    for ( /* void */ ; j < n; j++) {
        hits |= (uint64_t) ((keys[j] & mask) == want) << j;
    }

    return hits;
}


static void
mg_catalog_search(mg_catalog_window_t *w, uint32_t first, uint32_t n,
    mg_sc_key_t mask, mg_sc_key_t want, const mg_search_t *search)
{
    size_t              at;
    uint32_t            i, end;
    mg_str_t            blob, text;
    const uint32_t     *texts;
    const mg_sc_key_t  *keys;

    keys = mg_snap_section(w->snap, MG_SC_KEYS);
    texts = mg_snap_section(w->snap, MG_SC_TEXTS);

    i = first;
    end = first + n;

    blob = mg_snap_section_str(w->snap, MG_SC_TEXT);
    blob.len = texts[end];
    at = texts[first];

    while (i < end) {
        at = mg_search_find(blob, at, search->words[0]);

        if (at == blob.len) {
            break;
        }

        while (texts[i + 1] <= at) {
            i++;
        }

        text = mg_str_n(blob.data + texts[i], texts[i + 1] - texts[i]);

        if ((keys[i] & mask) == want && mg_search_rest(search, text)) {
            mg_catalog_take(w, i);
        }

        i++;
        at = texts[i];
    }
}


/* The next match, in the order of models. */

static void
mg_catalog_take(mg_catalog_window_t *w, uint32_t model)
{
    uint32_t  rank;

    rank = w->page->total++;

    if (rank >= w->skip && w->page->count < w->limit) {
        mg_catalog_run(w, model, 1);
    }
}


static void
mg_catalog_run(mg_catalog_window_t *w, uint32_t first, uint32_t n)
{
    mg_str_t            bytes;
    mg_catalog_page_t  *page;

    page = w->page;

    if (n == 0) {
        return;
    }

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
    const mg_sc_meta_t   *meta;
    const mg_sc_model_t  *m;

    meta = mg_sc_meta(s);

    i = mg_catalog_find(s, 0, meta->n_active, id);

    if (i == UINT32_MAX) {
        i = mg_catalog_find(s, meta->n_active, meta->n_models, id);
    }

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    m = mg_snap_section(s, MG_SC_MODELS);

    *item = mg_sc_span(s, MG_SC_ITEMS, m[i].item, m[i + 1].item);
    item->len--;

    *more = mg_sc_span(s, MG_SC_MORE, m[i].more, m[i + 1].more);

    return MG_OK;
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
