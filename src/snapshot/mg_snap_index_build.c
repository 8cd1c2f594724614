/*
 * mg_snap_index_build.c: the search index of a catalog, from its texts.
 *
 *     texts -> words, each once per model            (interned, sorted)
 *           -> postings: word -> models              (counted, then filled)
 *           -> grams: 1 to 3 bytes -> words          (radix sort of pairs)
 *           -> typos: words by falling frequency
 *           -> titles in order
 *
 * A word in many models has a set (a bit a model) instead of a list, so the
 * work of a query is bounded by the number of models over 64 for each.  A
 * gram whose words add up to more than a quarter of the models has such a
 * set, too, or a search for one letter would gather nearly everything.
 *
 * All that is written depends on the texts alone.  Pool threads; what is
 * allocated here is freed here.
 */

#include "base/mg_block.h"
#include "base/mg_priority.h"
#include "base/mg_sort.h"
#include "snapshot/mg_snap_catalog_build.h"


#define MG_INDEX_RADIX_BITS    13            /* two passes: 26 bits */
#define MG_INDEX_RADIX         (1u << MG_INDEX_RADIX_BITS)

/* A misspelt word is compared with so many of the most frequent. */
#define MG_INDEX_TYPOS_MAX     (128 * 1024)
#define MG_INDEX_TYPO_LETTERS  3
#define MG_INDEX_TYPO_LEN      32

/* Room for u32s: a buffer that was never filled has no bytes at all. */
#define mg_index_u32(buf)      ((uint32_t *) (void *) (buf)->data)


typedef struct {
    mg_buf_t        *sections;
    uint32_t         n;              /* active models */
    mg_intern_t      words;
    uint32_t        *places;         /* word's number -> place in order */
    uint32_t        *counts;         /* place -> models that hold it */
    mg_buf_t         tokens;         /* u32, words of each model in turn */
    mg_buf_t         ends;           /* u32, where a model's tokens end */
    mg_buf_t         seen;           /* u32, number -> last model + 1 */
} mg_index_t;


typedef struct {
    mg_str_t         title;
    uint64_t         head;           /* its first letters, to compare */
    uint32_t         entry;
} mg_index_title_t;


typedef struct {
    uint32_t         word;
    uint32_t         n;
} mg_index_count_t;


static int mg_index_titles(mg_index_t *x);
static uint64_t mg_index_head(mg_str_t title);
static int mg_index_title_cmp(const void *one, const void *two);
static int mg_index_tokens(mg_index_t *x);
static int mg_index_model(mg_index_t *x, uint32_t model, mg_str_t text);
static int mg_index_words(mg_index_t *x);
static int mg_index_postings(mg_index_t *x);
static void mg_index_fill(mg_index_t *x, uint32_t *next);
static int mg_index_grams(mg_index_t *x);
static int mg_index_pairs(mg_index_t *x, mg_buf_t *pairs);
static int mg_index_radix(mg_buf_t *pairs, unsigned shift);
static void mg_index_gram_end(mg_index_t *x, mg_sc_gram_t *g);
static void mg_index_set_add(const mg_index_t *x, uint32_t word,
    uint64_t *set);
static int mg_index_typos(mg_index_t *x);
static int mg_index_count_cmp(const void *one, const void *two);


int
mg_sc_index_write(mg_buf_t *sections, uint32_t n, mg_error_t *e)
{
    int         rc;
    mg_index_t  x;

    memset(&x, 0, sizeof(mg_index_t));

    x.sections = sections;
    x.n = n;

    mg_buf_init(&x.tokens, MG_SNAP_SIZE_MAX);
    mg_buf_init(&x.ends, MG_SNAP_SIZE_MAX);
    mg_buf_init(&x.seen, MG_SNAP_SIZE_MAX);

    rc = mg_intern_init(&x.words);

    if (rc == MG_OK
        && (mg_index_titles(&x) != MG_OK
            || mg_index_tokens(&x) != MG_OK
            || mg_index_words(&x) != MG_OK
            || mg_index_postings(&x) != MG_OK
            || mg_index_grams(&x) != MG_OK
            || mg_index_typos(&x) != MG_OK))
    {
        rc = MG_ERROR;
    }

    mg_buf_free(&x.tokens);
    mg_buf_free(&x.ends);
    mg_buf_free(&x.seen);
    mg_intern_free(&x.words);
    mg_block_free(x.places);
    mg_block_free(x.counts);

    if (rc != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "out of memory for the search index");
    }

    return MG_OK;
}


static mg_str_t
mg_index_text(const mg_index_t *x, uint32_t i)
{
    const uint32_t  *texts;

    texts = mg_index_u32(&x->sections[MG_SC_TEXTS]);

    return mg_str_n(x->sections[MG_SC_TEXT].data + texts[i],
                    texts[i + 1] - texts[i]);
}


/* -- titles -- */

static int
mg_index_titles(mg_index_t *x)
{
    size_t             n;
    unsigned           which;
    uint32_t           i;
    mg_str_t           title;
    mg_index_title_t  *list;

    list = mg_block_alloc(((size_t) x->n * MG_SC_TITLE_N + 1)
                  * sizeof(mg_index_title_t));
    if (list == NULL) {
        return MG_ERROR;
    }

    n = 0;

    for (i = 0; i < x->n; i++) {
        for (which = 0; which < MG_SC_TITLE_N; which++) {
            title = mg_sc_title(mg_index_text(x, i), which);

            if (title.len != 0) {
                list[n].title = title;
                list[n].head = mg_index_head(title);
                list[n++].entry = i * MG_SC_TITLE_N + which;
            }
        }
    }

    mg_sort(list, n, sizeof(mg_index_title_t), mg_index_title_cmp);

    for (i = 0; i < n; i++) {
        mg_buf_add(&x->sections[MG_SC_TITLES], &list[i].entry,
                   sizeof(uint32_t));
    }

    mg_block_free(list);

    return MG_OK;
}


/* Eight letters of a title as one number, in the order of titles. */

static uint64_t
mg_index_head(mg_str_t title)
{
    size_t         i;
    uint64_t       head;
    unsigned       n, gap;
    unsigned char  c;

    head = 0;
    gap = 0;
    n = 0;

    for (i = 0; i < title.len && n < 8; i++) {
        c = (unsigned char) title.data[i];

        if (!mg_sc_is_letter(c)) {
            gap = (n != 0);
            continue;
        }

        if (gap) {
            gap = 0;
            c = 1;
            i--;
        }

        head = head << 8 | c;
        n++;
    }

    return n == 0 ? 0 : head << (8 * (8 - n));
}


static int
mg_index_title_cmp(const void *one, const void *two)
{
    int                      rc;
    const mg_index_title_t  *a = one, *b = two;

    if (a->head != b->head) {
        return a->head < b->head ? -1 : 1;
    }

    rc = mg_sc_title_cmp(a->title, b->title, 0);

    return rc ? rc : (a->entry > b->entry) - (a->entry < b->entry);
}


/* -- words -- */

static int
mg_index_tokens(mg_index_t *x)
{
    uint32_t  i, end;

    for (i = 0; i < x->n; i++) {
        mg_priority_breathe();

        if (mg_index_model(x, i, mg_index_text(x, i)) != MG_OK) {
            return MG_ERROR;
        }

        end = (uint32_t) (x->tokens.len / sizeof(uint32_t));
        mg_buf_add(&x->ends, &end, sizeof(uint32_t));
    }

    return (x->tokens.failed || x->ends.failed) ? MG_ERROR : MG_OK;
}


static int
mg_index_model(mg_index_t *x, uint32_t model, mg_str_t text)
{
    size_t    at;
    uint32_t  number, none, *seen;
    mg_str_t  word;

    at = 0;
    none = 0;

    while (mg_sc_word_next(text, &at, &word)) {
        number = mg_intern_add(&x->words, word);

        if (number == UINT32_MAX) {
            return MG_ERROR;
        }

        if (number == x->seen.len / sizeof(uint32_t)) {
            mg_buf_add(&x->seen, &none, sizeof(uint32_t));

            if (x->seen.failed) {
                return MG_ERROR;
            }
        }

        seen = mg_index_u32(&x->seen) + number;

        if (*seen != model + 1) {
            *seen = model + 1;
            mg_buf_add(&x->tokens, &number, sizeof(uint32_t));
        }
    }

    return MG_OK;
}


static int
mg_index_words(mg_index_t *x)
{
    size_t           i, n;
    const uint32_t  *tokens;

    if (mg_intern_sort(&x->words, &x->places) != MG_OK) {
        return MG_ERROR;
    }

    x->counts = mg_block_calloc(x->words.n + 1, sizeof(uint32_t));
    if (x->counts == NULL) {
        return MG_ERROR;
    }

    tokens = mg_index_u32(&x->tokens);
    n = x->tokens.len / sizeof(uint32_t);

    for (i = 0; i < n; i++) {
        x->counts[x->places[tokens[i]]]++;
    }

    for (i = 0; i < x->words.n; i++) {
        mg_buf_str(&x->sections[MG_SC_WORD_TEXT], x->words.strings[i]);
    }

    return MG_OK;
}


/* -- postings -- */

/* Sets lie at even places: they are read 64 bits at a time. */

static int
mg_index_postings(mg_index_t *x)
{
    size_t         total;
    uint32_t       i, set_words, *next;
    mg_buf_t      *postings;
    mg_sc_word_t   w;

    next = mg_block_alloc((x->words.n + 1) * sizeof(uint32_t));
    if (next == NULL) {
        return MG_ERROR;
    }

    set_words = 2 * mg_sc_set_words(x->n);
    w.text = 0;
    total = 0;

    for (i = 0; i <= x->words.n; i++) {
        w.n = x->counts[i];

        if (mg_sc_is_set(w.n, x->n)) {
            total += total & 1;
        }

        w.posting = (uint32_t) total;
        next[i] = w.posting;
        mg_buf_add(&x->sections[MG_SC_WORDS], &w, sizeof(mg_sc_word_t));

        if (i == x->words.n) {
            break;
        }

        w.text += (uint32_t) x->words.strings[i].len;
        total += mg_sc_is_set(w.n, x->n) ? set_words : w.n;
    }

    total += total & 1;
    postings = &x->sections[MG_SC_POSTINGS];

    if (mg_buf_reserve(postings, total * sizeof(uint32_t)) == NULL
        || x->sections[MG_SC_WORDS].failed)
    {
        mg_block_free(next);
        return MG_ERROR;
    }

    memset(postings->data, 0, total * sizeof(uint32_t));
    postings->len = total * sizeof(uint32_t);

    mg_index_fill(x, next);
    mg_block_free(next);

    return MG_OK;
}


/* Models come in order, so each list rises. */

static void
mg_index_fill(mg_index_t *x, uint32_t *next)
{
    uint64_t        *set;
    uint32_t         i, j, end, place, *postings;
    const uint32_t  *ends, *tokens;

    postings = mg_index_u32(&x->sections[MG_SC_POSTINGS]);
    tokens = mg_index_u32(&x->tokens);
    ends = mg_index_u32(&x->ends);

    for (i = 0, j = 0; i < x->n; i++) {
        mg_priority_breathe();

        for (end = ends[i]; j < end; j++) {
            place = x->places[tokens[j]];

            if (mg_sc_is_set(x->counts[place], x->n)) {
                set = (void *) (postings + next[place]);
                set[i / 64] |= 1ULL << i % 64;

            } else {
                postings[next[place]++] = i;
            }
        }
    }
}


/* -- grams -- */

static int
mg_index_grams(mg_index_t *x)
{
    size_t           i, n;
    uint32_t         word;
    mg_buf_t         pairs, *grams, *words;
    mg_sc_gram_t     g;
    const uint64_t  *p;

    mg_buf_init(&pairs, 2 * MG_SNAP_SIZE_MAX);

    if (mg_index_pairs(x, &pairs) != MG_OK
        || mg_index_radix(&pairs, 32) != MG_OK
        || mg_index_radix(&pairs, 32 + MG_INDEX_RADIX_BITS) != MG_OK)
    {
        mg_buf_free(&pairs);
        return MG_ERROR;
    }

    grams = &x->sections[MG_SC_GRAMS];
    words = &x->sections[MG_SC_GRAM_WORDS];
    p = (const void *) pairs.data;
    n = pairs.len / sizeof(uint64_t);

    for (i = 0; i < n; i++) {
        if (i == 0 || p[i] >> 32 != p[i - 1] >> 32) {
            mg_priority_breathe();

            if (i != 0) {
                mg_index_gram_end(x, &g);
            }

            g.gram = (uint32_t) (p[i] >> 32);
            g.first = (uint32_t) (words->len / sizeof(uint32_t));

        } else if (p[i] == p[i - 1]) {
            continue;
        }

        word = (uint32_t) p[i];
        mg_buf_add(words, &word, sizeof(uint32_t));
    }

    if (n != 0) {
        mg_index_gram_end(x, &g);
    }

    /* the one that closes */

    g.gram = UINT32_MAX;
    g.first = (uint32_t) (words->len / sizeof(uint32_t));
    g.set = MG_SNAP_ABSENT;
    mg_buf_add(grams, &g, sizeof(mg_sc_gram_t));

    mg_buf_free(&pairs);

    return (words->failed || grams->failed) ? MG_ERROR : MG_OK;
}


static int
mg_index_pairs(mg_index_t *x, mg_buf_t *pairs)
{
    size_t    at;
    mg_str_t  s;
    unsigned  len;
    uint64_t  pair;
    uint32_t  i;

    for (i = 0; i < x->words.n; i++) {
        s = x->words.strings[i];

        for (len = 1; len <= 3; len++) {
            for (at = 0; at + len <= s.len; at++) {
                pair = (uint64_t) mg_sc_gram(s.data + at, len) << 32 | i;
                mg_buf_add(pairs, &pair, sizeof(uint64_t));
            }
        }
    }

    return pairs->failed ? MG_ERROR : MG_OK;
}


/* By the digit at shift; equals stay as they are. */

static int
mg_index_radix(mg_buf_t *pairs, unsigned shift)
{
    size_t           i, n, sum, count, *places;
    uint64_t        *to;
    const uint64_t  *from;

    n = pairs->len / sizeof(uint64_t);

    to = mg_block_alloc(n * sizeof(uint64_t) + 1);
    places = mg_block_calloc(MG_INDEX_RADIX, sizeof(size_t));

    if (to == NULL || places == NULL) {
        mg_block_free(to);
        mg_block_free(places);
        return MG_ERROR;
    }

    from = (const void *) pairs->data;

    for (i = 0; i < n; i++) {
        places[from[i] >> shift & (MG_INDEX_RADIX - 1)]++;
    }

    for (i = 0, sum = 0; i < MG_INDEX_RADIX; i++) {
        count = places[i];
        places[i] = sum;
        sum += count;
    }

    for (i = 0; i < n; i++) {
        to[places[from[i] >> shift & (MG_INDEX_RADIX - 1)]++] = from[i];
    }

    if (n != 0) {
        memcpy(pairs->data, to, n * sizeof(uint64_t));
    }

    mg_block_free(to);
    mg_block_free(places);

    return MG_OK;
}


/* Its words are written; whether it gets a set of models besides. */

static void
mg_index_gram_end(mg_index_t *x, mg_sc_gram_t *g)
{
    char            *room;
    size_t           bytes;
    uint32_t         i, n;
    uint64_t         total;
    mg_buf_t        *postings;
    const uint32_t  *words;

    g->set = MG_SNAP_ABSENT;
    postings = &x->sections[MG_SC_POSTINGS];
    n = (uint32_t) (x->sections[MG_SC_GRAM_WORDS].len / sizeof(uint32_t));
    words = mg_index_u32(&x->sections[MG_SC_GRAM_WORDS]);

    for (i = g->first, total = 0; i < n; i++) {
        total += x->counts[words[i]];
    }

    if (n - g->first > 1 && total > x->n / 4) {
        bytes = mg_sc_set_words(x->n) * sizeof(uint64_t);
        room = mg_buf_reserve(postings, bytes);

        if (room != NULL) {
            memset(room, 0, bytes);
            g->set = (uint32_t) (postings->len / sizeof(uint32_t));
            postings->len += bytes;

            for (i = g->first; i < n; i++) {
                mg_index_set_add(x, words[i], (void *) room);
            }
        }
    }

    mg_buf_add(&x->sections[MG_SC_GRAMS], g, sizeof(mg_sc_gram_t));
}


static void
mg_index_set_add(const mg_index_t *x, uint32_t word, uint64_t *set)
{
    uint32_t             i;
    const uint32_t      *list;
    const uint64_t      *other;
    const mg_sc_word_t  *w;

    w = (const void *) x->sections[MG_SC_WORDS].data;
    w += word;
    list = mg_index_u32(&x->sections[MG_SC_POSTINGS]) + w->posting;

    if (mg_sc_is_set(w->n, x->n)) {
        other = (const void *) list;

        for (i = 0; i < mg_sc_set_words(x->n); i++) {
            set[i] |= other[i];
        }

        return;
    }

    for (i = 0; i < w->n; i++) {
        set[list[i] / 64] |= 1ULL << list[i] % 64;
    }
}


/* -- typos -- */

/* Numbers are not misspelt, they are others; nor are very short words. */

static int
mg_index_typos(mg_index_t *x)
{
    size_t             j;
    uint32_t           i, n;
    mg_str_t           s;
    unsigned           letters;
    mg_sc_typo_t       typo;
    mg_index_count_t  *list;

    list = mg_block_alloc((x->words.n + 1) * sizeof(mg_index_count_t));
    if (list == NULL) {
        return MG_ERROR;
    }

    for (i = 0, n = 0; i < x->words.n; i++) {
        s = x->words.strings[i];

        for (j = 0, letters = 0; j < s.len; j++) {
            letters += (s.data[j] < '0' || s.data[j] > '9');
        }

        if (letters >= MG_INDEX_TYPO_LETTERS && s.len <= MG_INDEX_TYPO_LEN) {
            list[n].word = i;
            list[n++].n = x->counts[i];
        }
    }

    mg_sort(list, n, sizeof(mg_index_count_t), mg_index_count_cmp);

    for (i = 0; i < n && i < MG_INDEX_TYPOS_MAX; i++) {
        typo.word = list[i].word;
        typo.letters = mg_sc_letters(x->words.strings[typo.word]);
        mg_buf_add(&x->sections[MG_SC_TYPOS], &typo, sizeof(mg_sc_typo_t));
    }

    mg_block_free(list);

    return MG_OK;
}


static int
mg_index_count_cmp(const void *one, const void *two)
{
    const mg_index_count_t  *a = one, *b = two;

    if (a->n != b->n) {
        return a->n > b->n ? -1 : 1;
    }

    return (a->word > b->word) - (a->word < b->word);
}
