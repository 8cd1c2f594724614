/*
 * mg_snap_index_check.c: whether columns, orders and index hold together.
 *
 * What a query follows without looking: models in orders, postings, titles;
 * words in grams and typos; families; sets, which have no bit behind the
 * last model.  Words, grams, families and titles are searched by halving, so
 * they must be in order.  An order must be each model once.
 *
 * Pool threads; reads the image, and allocates a bit a model.
 */

#include <stdlib.h>

#include "snapshot/mg_snap_catalog_layout.h"


typedef struct {
    const mg_snap_t  *snap;
    mg_error_t       *e;
    uint32_t          n;                 /* active models */
    uint32_t          postings;
    uint64_t         *seen;
} mg_index_check_t;


static int mg_index_columns(const mg_index_check_t *c);
static int mg_index_orders(const mg_index_check_t *c);
static int mg_index_order(const mg_index_check_t *c, const uint32_t *order,
    uint32_t known);
static int mg_index_titles(const mg_index_check_t *c);
static int mg_index_words(const mg_index_check_t *c);
static int mg_index_posting(const mg_index_check_t *c,
    const mg_sc_word_t *w);
static int mg_index_set(const mg_index_check_t *c, uint32_t posting);
static int mg_index_grams(const mg_index_check_t *c);
static int mg_index_typos(const mg_index_check_t *c);


int
mg_sc_index_check(const mg_snap_t *s, mg_error_t *e)
{
    int               rc;
    mg_index_check_t  c;

    c.snap = s;
    c.e = e;
    c.n = mg_sc_meta(s)->n_active;
    c.postings = mg_snap_section_n(s, MG_SC_POSTINGS);
    c.seen = malloc((mg_sc_set_words(c.n) + 1) * sizeof(uint64_t));

    if (c.seen == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = MG_OK;

    if (mg_index_columns(&c) != MG_OK
        || mg_index_orders(&c) != MG_OK
        || mg_index_titles(&c) != MG_OK
        || mg_index_words(&c) != MG_OK
        || mg_index_grams(&c) != MG_OK
        || mg_index_typos(&c) != MG_OK)
    {
        rc = MG_ERROR;
    }

    free(c.seen);

    return rc;
}


static int
mg_index_columns(const mg_index_check_t *c)
{
    uint32_t          i, n;
    mg_str_t          text;
    const uint32_t   *keys, *family, *families;
    const mg_snap_t  *s;

    s = c->snap;

    if (mg_snap_section_n(s, MG_SC_KEYS) != c->n
        || mg_snap_section_n(s, MG_SC_MODES) != c->n
        || mg_snap_section_n(s, MG_SC_FAMILY) != c->n
        || mg_snap_section_n(s, MG_SC_CONTEXT) != c->n
        || mg_snap_section_n(s, MG_SC_INPUT_PRICE) != c->n
        || mg_snap_section_n(s, MG_SC_OUTPUT_PRICE) != c->n
        || mg_snap_section_n(s, MG_SC_ORDERS)
           != (uint64_t) c->n * MG_SC_ORDER_N
        || mg_snap_section_n(s, MG_SC_FAMILIES) == 0)
    {
        return mg_snap_damaged(s, "number of columns", c->n, c->e);
    }

    n = mg_snap_section_n(s, MG_SC_FAMILIES) - 1;
    families = mg_snap_section(s, MG_SC_FAMILIES);
    text = mg_snap_section_str(s, MG_SC_FAMILY_TEXT);

    if (families[0] != 0 || families[n] != text.len) {
        return mg_snap_damaged(s, "family", n, c->e);
    }

    for (i = 0; i < n; i++) {
        if (families[i] >= families[i + 1] || families[i + 1] > text.len
            || (i != 0
                && mg_str_cmp(mg_sc_span(s, MG_SC_FAMILY_TEXT,
                                         families[i - 1], families[i]),
                              mg_sc_span(s, MG_SC_FAMILY_TEXT, families[i],
                                         families[i + 1]))
                   >= 0))
        {
            return mg_snap_damaged(s, "family", i, c->e);
        }
    }

    keys = mg_snap_section(s, MG_SC_KEYS);
    family = mg_snap_section(s, MG_SC_FAMILY);

    for (i = 0; i < c->n; i++) {
        if ((keys[i] & MG_SC_KEY_TYPE) >= MG_TYPE_N
            || (keys[i] & MG_SC_KEY_STATUS)
               >= mg_sc_key_status(MG_SC_STATUS_N)
            || (family[i] >= n && family[i] != MG_SNAP_ABSENT))
        {
            return mg_snap_damaged(s, "columns of model", i, c->e);
        }
    }

    return MG_OK;
}


static int
mg_index_orders(const mg_index_check_t *c)
{
    uint32_t         i, known;
    const uint32_t  *order;

    order = mg_snap_section(c->snap, MG_SC_ORDERS);

    for (i = 0; i < MG_SC_ORDER_N; i++) {
        known = mg_sc_meta(c->snap)->known[i];

        if (known > c->n
            || mg_index_order(c, order + (size_t) i * c->n, known) != MG_OK)
        {
            return mg_snap_damaged(c->snap, "order", i, c->e);
        }
    }

    return MG_OK;
}


/* Each model once; among equals and among the unknown they rise. */

static int
mg_index_order(const mg_index_check_t *c, const uint32_t *order,
    uint32_t known)
{
    unsigned  step;
    uint32_t  i, model;

    memset(c->seen, 0, mg_sc_set_words(c->n) * sizeof(uint64_t));

    for (i = 0; i < c->n; i++) {
        model = order[i] & MG_SC_ORDER_MODEL;
        step = (order[i] & MG_SC_ORDER_STEP) != 0;

        if (model >= c->n
            || (c->seen[model / 64] >> model % 64 & 1)
            || (step && i >= known)
            || (!step && i == 0 && known != 0)
            || (!step && i != 0 && i != known
                && model < (order[i - 1] & MG_SC_ORDER_MODEL)))
        {
            return MG_ERROR;
        }

        c->seen[model / 64] |= 1ULL << model % 64;
    }

    return MG_OK;
}


static int
mg_index_titles(const mg_index_check_t *c)
{
    int              rc;
    uint32_t         i, n;
    mg_str_t         title, last;
    const uint32_t  *titles;

    titles = mg_snap_section(c->snap, MG_SC_TITLES);
    n = mg_snap_section_n(c->snap, MG_SC_TITLES);
    last = mg_str_null;

    for (i = 0; i < n; i++) {
        if (titles[i] / MG_SC_TITLE_N >= c->n) {
            return mg_snap_damaged(c->snap, "title", i, c->e);
        }

        title = mg_sc_title(mg_sc_text(c->snap, titles[i] / MG_SC_TITLE_N),
                            titles[i] % MG_SC_TITLE_N);
        rc = i ? mg_sc_title_cmp(last, title, 0) : -1;

        if (title.len == 0
            || rc > 0 || (rc == 0 && titles[i - 1] >= titles[i]))
        {
            return mg_snap_damaged(c->snap, "title", i, c->e);
        }

        last = title;
    }

    return MG_OK;
}


static int
mg_index_words(const mg_index_check_t *c)
{
    uint32_t             i, n;
    mg_str_t             text;
    const mg_sc_word_t  *w;

    n = mg_snap_section_n(c->snap, MG_SC_WORDS);
    text = mg_snap_section_str(c->snap, MG_SC_WORD_TEXT);
    w = mg_snap_section(c->snap, MG_SC_WORDS);

    if (n-- == 0 || w[0].text != 0 || w[n].text != text.len) {
        return mg_snap_damaged(c->snap, "words", n, c->e);
    }

    for (i = 0; i < n; i++) {
        if (w[i].text >= w[i + 1].text || w[i + 1].text > text.len
            || mg_index_posting(c, &w[i]) != MG_OK)
        {
            return mg_snap_damaged(c->snap, "word", i, c->e);
        }

        if (i != 0
            && mg_str_cmp(mg_sc_word(c->snap, i - 1), mg_sc_word(c->snap, i))
               >= 0)
        {
            return mg_snap_damaged(c->snap, "order of word", i, c->e);
        }
    }

    return MG_OK;
}


static int
mg_index_posting(const mg_index_check_t *c, const mg_sc_word_t *w)
{
    uint32_t         i;
    const uint32_t  *list;

    if (w->n == 0 || w->n > c->n) {
        return MG_ERROR;
    }

    if (mg_sc_is_set(w->n, c->n)) {
        return mg_index_set(c, w->posting);
    }

    if (!mg_snap_span_ok(w->posting, w->n, c->postings)) {
        return MG_ERROR;
    }

    list = mg_snap_section(c->snap, MG_SC_POSTINGS);
    list += w->posting;

    for (i = 0; i < w->n; i++) {
        if (list[i] >= c->n || (i != 0 && list[i] <= list[i - 1])) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_index_set(const mg_index_check_t *c, uint32_t posting)
{
    uint32_t         n;
    const uint64_t  *set;

    n = mg_sc_set_words(c->n);

    if (posting % 2 != 0
        || !mg_snap_span_ok(posting, 2 * n, c->postings))
    {
        return MG_ERROR;
    }

    set = (const void *) ((const uint32_t *)
                          mg_snap_section(c->snap, MG_SC_POSTINGS)
                          + posting);

    return (c->n % 64 != 0 && set[n - 1] >> c->n % 64 != 0) ? MG_ERROR
                                                            : MG_OK;
}


static int
mg_index_grams(const mg_index_check_t *c)
{
    uint32_t             i, j, n, words, n_words;
    const uint32_t      *list;
    const mg_sc_gram_t  *g;

    n = mg_snap_section_n(c->snap, MG_SC_GRAMS);
    words = mg_snap_section_n(c->snap, MG_SC_GRAM_WORDS);
    n_words = mg_snap_section_n(c->snap, MG_SC_WORDS) - 1;
    g = mg_snap_section(c->snap, MG_SC_GRAMS);
    list = mg_snap_section(c->snap, MG_SC_GRAM_WORDS);

    if (n-- == 0 || g[0].first != 0 || g[n].first != words) {
        return mg_snap_damaged(c->snap, "grams", n, c->e);
    }

    for (i = 0; i < n; i++) {
        if (g[i].gram >= g[i + 1].gram || g[i].first >= g[i + 1].first
            || g[i + 1].first > words
            || (g[i].set != MG_SNAP_ABSENT
                && mg_index_set(c, g[i].set) != MG_OK))
        {
            return mg_snap_damaged(c->snap, "gram", i, c->e);
        }

        for (j = g[i].first; j < g[i + 1].first; j++) {
            if (list[j] >= n_words
                || (j != g[i].first && list[j] <= list[j - 1]))
            {
                return mg_snap_damaged(c->snap, "gram", i, c->e);
            }
        }
    }

    return MG_OK;
}


static int
mg_index_typos(const mg_index_check_t *c)
{
    uint32_t             i, n;
    const mg_sc_typo_t  *typos;

    typos = mg_snap_section(c->snap, MG_SC_TYPOS);
    n = mg_snap_section_n(c->snap, MG_SC_TYPOS);

    for (i = 0; i < n; i++) {
        if (typos[i].word >= mg_snap_section_n(c->snap, MG_SC_WORDS) - 1) {
            return mg_snap_damaged(c->snap, "typo", i, c->e);
        }
    }

    return MG_OK;
}
