/*
 * What would break: a search leaves out a model that holds every word or
 * shows one that does not, a total that is wrong, ranks out of order, a
 * filter or sort that differs from going through the models one by one, a
 * misspelt word that finds nothing, a number taken for another.
 */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mg_json.h"
#include "snap_ask.h"
#include "tap.h"


#define MODELS     1500
#define QUERIES    1500
#define SORTED     400


typedef struct {
    char          id[96];
    char          name[96];
    char          family[32];
    char          text[256];
    mg_model_t    m;
} item_t;


static item_t    items[MODELS];
static uint32_t  random_state = 12345;


static uint32_t
any(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;

    return (random_state >> 8) % n;
}


/* The id of each item of a page, joined by blanks. */

static const char *
ids(const mg_catalog_page_t *page)
{
    size_t        i;
    mg_buf_t      b;
    const char   *p, *q;
    static char  *out;

    mg_buf_init(&b, 0);

    for (i = 0; i < page->n_runs; i++) {
        p = page->runs[i].data;

        while ((p = memmem(p, (size_t) (page->runs[i].data
                                        + page->runs[i].len - p),
                           "{\"id\":\"", 7))
               != NULL)
        {
            p += 7;
            q = strchr(p, '"');
            mg_buf_add(&b, p, (size_t) (q - p));
            mg_buf_char(&b, ' ');
            p = q;
        }
    }

    mg_buf_char(&b, '\0');
    free(out);
    out = strdup(b.data);
    mg_buf_free(&b);

    return out;
}


/* -- the models -- */

static void
make(item_t *x, unsigned i)
{
    char        *p;
    unsigned     n;
    mg_model_t  *m;

    static const char  *words[] = {
        "llama", "gpt", "claude", "mini", "Sonnet", "70b", "7b", "instruct",
        "4o", "llama3", "code", "coder", "x", "v2", "pro", "3.5", "turbo",
        "vision", "\xc3\xa9t\xc3\xa9"
    };

    static const char  *marks[] = { "-", "-", ".", "/", ":", "--" };
    static const char  *modes[] = {
        "[\"text\"]", "[\"text\",\"image\"]", "[\"audio\"]", NULL
    };
    static const char  *dates[] = {
        "2024", "2024-07", "2024-07-31", "2023-12-01", "soon", NULL
    };

#define WORD   words[any(sizeof(words) / sizeof(words[0]))]

    n = (unsigned) snprintf(x->id, sizeof(x->id), "p%u/%s", i % 7, WORD);

    for (p = x->id + n; any(4) != 0 && n < 60; n = strlen(x->id)) {
        snprintf(x->id + n, sizeof(x->id) - n, "%s%s", marks[any(6)], WORD);
    }

    n = (unsigned) strlen(x->id);
    snprintf(x->id + n, sizeof(x->id) - n, "-%u", i);
    (void) p;

    snprintf(x->name, sizeof(x->name), "%s %s%s%s", WORD, WORD,
             any(2) ? " " : marks[any(6)], any(3) ? WORD : "(New)");
    snprintf(x->family, sizeof(x->family), "%s", any(5) ? WORD : "");

    m = &x->m;
    mg_model_init(m);
    m->id = mg_str_z(x->id);
    m->provider_id = mg_str_n(x->id, 2);
    m->provider_model_id = mg_str_z(x->id + 3);
    m->name = mg_str_z(x->name);
    m->family = x->family[0] ? mg_str_z(x->family) : mg_str_null;
    m->type = (mg_model_type_e) any(MG_TYPE_N);
    m->caps[MG_CAP_VISION] = (int8_t) ((int) any(3) - 1);
    m->open_weights = (int8_t) ((int) any(3) - 1);
    m->health = any(3) == 0 ? mg_str("available")
                : any(2) ? mg_str("unavailable") : mg_str("unknown");
    m->status = any(3) ? mg_str_null : any(2) ? mg_str("beta")
                                              : mg_str("deprecated");
    m->modalities_in = mg_str_z(modes[any(4)]);
    m->modalities_out = mg_str_z(modes[any(4)]);
    m->release_date = mg_str_z(dates[any(6)]);
    m->last_updated = mg_str_z(dates[any(6)]);
    m->context = any(4) ? (int64_t) any(9) * 1000 : MG_UNKNOWN;
    m->price[MG_PRICE_INPUT] = any(4) ? (int64_t) any(9) : MG_UNKNOWN;
    m->price[MG_PRICE_OUTPUT] = any(4) ? (int64_t) any(900000) : MG_UNKNOWN;
    m->benchmark_score = any(4) ? (int64_t) any(100001) : MG_UNKNOWN;
    m->popularity_score = any(2) ? (int64_t) any(3) : MG_UNKNOWN;

    snprintf(x->text, sizeof(x->text), "%s\n%s\n%s\n", x->id, x->name,
             x->family);

    for (p = x->text; *p; p++) {
        *p = (char) (*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    }
}


static int
by_id(const void *one, const void *two)
{
    return strcmp(((const item_t *) one)->id, ((const item_t *) two)->id);
}


/* -- the plain way -- */

static int
letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
           || (unsigned char) c >= 0x80;
}


/* Letters with one blank for whatever stands between them. */

static void
plain(char *out, const char *p, size_t n)
{
    size_t  i, j;

    for (i = 0, j = 0; i < n; i++) {
        if (letter(p[i])) {
            out[j++] = p[i];

        } else if (j != 0 && out[j - 1] != ' ') {
            out[j++] = ' ';
        }
    }

    j -= (j != 0 && out[j - 1] == ' ');
    out[j] = '\0';
}


static int
title_rank(const char *text, const char *search)
{
    int          rank, i;
    char         want[256], have[256];
    size_t       n[4];
    const char  *titles[4], *end;

    plain(want, search, strlen(search));

    if (want[0] == '\0') {
        return 9;
    }

    end = strchr(text, '\n');
    titles[0] = text;
    titles[1] = strchr(text, '/') + 1;

    for (titles[2] = end; titles[2][-1] != '/'; titles[2]--) { /* void */ }

    for (i = 0; i < 3; i++) {
        n[i] = (size_t) (end - titles[i]);
    }

    titles[3] = end + 1;
    n[3] = (size_t) (strchr(end + 1, '\n') - titles[3]);

    for (rank = 9, i = 0; i < 4; i++) {
        plain(have, titles[i], n[i]);

        if (strcmp(have, want) == 0) {
            return 0;
        }

        if (strncmp(have, want, strlen(want)) == 0) {
            rank = 1;
        }
    }

    return rank;
}


/* A word within another asks for nothing more. */

static int
within_another(const char *search, const char *word)
{
    char  words[256], *other, *save;

    snprintf(words, sizeof(words), "%s", search);

    for (other = strtok_r(words, " ", &save); other;
         other = strtok_r(NULL, " ", &save))
    {
        if (strlen(other) > strlen(word) && strstr(other, word)) {
            return 1;
        }
    }

    return 0;
}


/* 0 best, 3 worst, 9 does not hold every word */

static int
rank_of(const item_t *x, const char *search)
{
    int          rank, starts, title;
    char         words[256], *word, *save;
    const char  *at;

    snprintf(words, sizeof(words), "%s", search);
    rank = 2;

    for (word = strtok_r(words, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
    {
        at = strstr(x->text, word);

        if (at == NULL) {
            return 9;
        }

        starts = within_another(search, word);

        for ( /* void */ ; at; at = strstr(at + 1, word)) {
            starts |= at == x->text || !letter(at[-1]) || !letter(word[0]);
        }

        rank = starts ? rank : 3;
    }

    title = title_rank(x->text, search);

    return title < rank ? title : rank;
}


static int
has_mode(mg_str_t list, const char *mode)
{
    char  quoted[16];

    snprintf(quoted, sizeof(quoted), "\"%s\"", mode);

    return list.len
           && memmem(list.data, list.len, quoted, strlen(quoted)) != NULL;
}


static int
passes(const item_t *x, const mg_catalog_query_t *q)
{
    const mg_model_t  *m;

    m = &x->m;

    if ((q->provider.data && !mg_str_eq(q->provider, m->provider_id))
        || (q->type >= 0 && (int) m->type != q->type)
        || (q->capability >= 0 && m->caps[q->capability] != 1)
        || (q->open_weights >= 0 && m->open_weights != q->open_weights)
        || (q->available == 1 && !mg_str_eq(m->health, mg_str("available")))
        || (q->available == 0
            && !mg_str_eq(m->health, mg_str("unavailable")))
        || (q->min_context != MG_UNKNOWN
            && (m->context == MG_UNKNOWN || m->context < q->min_context))
        || (q->max_input_price != MG_UNKNOWN
            && (m->price[MG_PRICE_INPUT] == MG_UNKNOWN
                || m->price[MG_PRICE_INPUT] > q->max_input_price))
        || (q->max_output_price != MG_UNKNOWN
            && (m->price[MG_PRICE_OUTPUT] == MG_UNKNOWN
                || m->price[MG_PRICE_OUTPUT] > q->max_output_price)))
    {
        return 0;
    }

    if (q->family.data
        && (m->family.len != q->family.len
            || strncasecmp(m->family.data, q->family.data, q->family.len)))
    {
        return 0;
    }

    if (q->status.data
        && !mg_str_eq(q->status, m->status.data ? m->status
                                                : mg_str("stable")))
    {
        return 0;
    }

    if (mg_str_eq(q->modality, mg_str("image"))) {
        return has_mode(m->modalities_in, "image")
               || has_mode(m->modalities_out, "image");
    }

    if (mg_str_eq(q->modality, mg_str("text+image->audio"))) {
        return has_mode(m->modalities_in, "image")
               && has_mode(m->modalities_in, "text")
               && has_mode(m->modalities_out, "audio");
    }

    return 1;
}


static int64_t
date_of(mg_str_t s)
{
    if (s.data == NULL || s.data[0] != '2') {
        return MG_UNKNOWN;
    }

    return atoi(s.data) * 10000 + (s.len > 4 ? atoi(s.data + 5) * 100 : 0)
           + (s.len > 7 ? atoi(s.data + 8) : 0);
}


static int64_t
value_of(const item_t *x, int sort)
{
    const mg_model_t  *m;

    m = &x->m;

    switch (sort) {

    case MG_SORT_RELEASE_DATE:
        return date_of(m->release_date);

    case MG_SORT_UPDATED:
        return date_of(m->last_updated);

    case MG_SORT_INPUT_PRICE:
        return m->price[MG_PRICE_INPUT];

    case MG_SORT_OUTPUT_PRICE:
        return m->price[MG_PRICE_OUTPUT];

    case MG_SORT_CONTEXT:
        return m->context;

    case MG_SORT_BENCHMARK:
        return m->benchmark_score;

    default:
        return m->popularity_score;
    }
}


/* What before() goes by; items are in the order of ids. */
static const mg_catalog_query_t  *asked;
static int                        ranks[MODELS];


static int
before(const void *one, const void *two)
{
    int            a, b, rc;
    char           x[256], y[256];
    int64_t        v, w;
    const item_t  *i, *j;

    a = *(const int *) one;
    b = *(const int *) two;
    i = &items[a];
    j = &items[b];
    rc = 0;

    if (asked->sort == MG_SORT_RELEVANCE) {
        rc = (ranks[a] > ranks[b]) - (ranks[a] < ranks[b]);

    } else if (asked->sort == MG_SORT_NAME) {
        plain(x, i->text + strlen(i->id) + 1, strlen(i->name));
        plain(y, j->text + strlen(j->id) + 1, strlen(j->name));
        rc = strcmp(x, y);
        rc = asked->descending ? -rc : rc;

    } else if (asked->sort != MG_SORT_ID) {
        v = value_of(i, asked->sort);
        w = value_of(j, asked->sort);

        if ((v == MG_UNKNOWN) != (w == MG_UNKNOWN)) {
            return v == MG_UNKNOWN ? 1 : -1;
        }

        rc = (v > w) - (v < w);
        rc = asked->descending ? -rc : rc;

    } else if (asked->descending) {
        return b - a;
    }

    return rc ? rc : a - b;
}


/* 1 if the answer is what the plain way gives. */

static int
right(const mg_snap_t *s, const mg_catalog_query_t *q, unsigned *n)
{
    int                       i, rank, found[MODELS], elsewhere;
    char                      search[256];
    mg_buf_t                  want;
    uint64_t                  skip;
    static mg_catalog_page_t  page;

    snprintf(search, sizeof(search), MG_STR_FMT, (int) q->search.len,
             q->search.data ? q->search.data : "");
    *n = 0;
    elsewhere = 0;

    for (i = 0; i < MODELS; i++) {
        rank = rank_of(&items[i], search);
        elsewhere |= (rank != 9);

        if (rank != 9 && passes(&items[i], q)) {
            ranks[i] = rank;
            found[(*n)++] = i;
        }
    }

    asked = q;
    qsort(found, *n, sizeof(int), before);

    mg_buf_init(&want, 0);
    skip = (uint64_t) (q->page - 1) * q->limit;

    for (i = (int) skip; i < (int) *n && i < (int) (skip + q->limit); i++) {
        mg_buf_z(&want, items[found[i]].id);
        mg_buf_char(&want, ' ');
    }

    mg_buf_char(&want, '\0');
    mg_catalog_list(s, q, &page);

    /* what comes near is for when nobody holds every word */

    rank = page.approximate ? !elsewhere
           : page.total == *n && !page.at_least
             && strcmp(ids(&page), want.data) == 0;

    if (!rank) {
        diag("search \"%s\" sort %d%s page %u of %u: %u of %u", search,
             q->sort, q->descending ? " falling" : "", q->page, q->limit,
             page.total, *n);
        diag("got  %.300s", ids(&page));
        diag("want %.300s", want.data);
    }

    mg_buf_free(&want);

    return rank;
}


/* -- tests -- */

static void
random_search(char *out, size_t size)
{
    size_t       n, from, len;
    unsigned     words;
    const char  *text;

    n = 0;
    out[0] = '\0';

    for (words = 1 + any(3); words > 0; words--) {
        text = items[any(MODELS)].text;
        from = any((uint32_t) strlen(text));
        len = 1 + any(any(3) ? 4 : 14);

        for ( /* void */ ; len > 0 && text[from] > ' ' && n + 2 < size;
              len--)
        {
            out[n++] = text[from++];
        }

        out[n++] = ' ';
    }

    out[n - 1] = '\0';
}


static void
random_filter(mg_catalog_query_t *q)
{
    static const char  *families[] = { "LLAMA", "gpt", "nosuch", "3.5" };
    static const char  *statuses[] = { "stable", "beta", "deprecated" };
    static const char  *modes[] = { "image", "text+image->audio" };

    switch (any(12)) {

    case 0:
        q->provider = mg_str("p3");
        break;

    case 1:
        q->type = MG_TYPE_CHAT;
        break;

    case 2:
        q->capability = MG_CAP_VISION;
        break;

    case 3:
        q->open_weights = (int) any(2);
        break;

    case 4:
        q->available = (int) any(2);
        break;

    case 5:
        q->min_context = any(9) * 1000;
        break;

    case 6:
        q->max_input_price = any(9);
        break;

    case 7:
        q->max_output_price = any(900000);
        break;

    case 8:
        q->family = mg_str_z(families[any(4)]);
        break;

    case 9:
        q->status = mg_str_z(statuses[any(3)]);
        break;

    case 10:
        q->modality = mg_str_z(modes[any(2)]);
        break;

    default:
        break;
    }
}


static void
against_plain(void)
{
    char                   search[256];
    unsigned               i, n, held, found;
    mg_snap_t              s;
    mg_error_t             e;
    mg_provider_t          p;
    mg_catalog_query_t     q;
    mg_catalog_builder_t  *b;

    for (i = 0; i < MODELS; i++) {
        make(&items[i], i);
    }

    b = mg_catalog_builder_create(1);

    for (i = 0; i < 7; i++) {
        snprintf(search, sizeof(search), "p%u", i);
        mg_provider_init(&p);
        p.id = mg_str_z(search);
        (void) mg_catalog_builder_provider(b, &p, &e);
    }

    for (i = 0; i < MODELS; i++) {
        (void) mg_catalog_builder_model(b, &items[i].m, &e);
    }

    s = ask_build(b);

    /* the strings of a model point into its own item */

    qsort(items, MODELS, sizeof(item_t), by_id);

    for (i = 0; i < MODELS; i++) {
        items[i].m.provider_id = mg_str_n(items[i].id, 2);
        items[i].m.family = items[i].family[0] ? mg_str_z(items[i].family)
                                               : mg_str_null;
    }

    for (i = 0, held = 0, found = 0; i < QUERIES; i++) {
        mg_catalog_query_init(&q);
        random_search(search, sizeof(search));
        q.search = mg_str_z(search);
        q.sort = any(4) ? MG_SORT_RELEVANCE : (int) any(MG_SORT_N);
        q.descending = q.sort != MG_SORT_RELEVANCE && any(2);
        q.limit = any(2) ? 1000 : 1 + any(7);
        q.page = any(2) ? 1 : 1 + any(5);

        if (any(2)) {
            random_filter(&q);
        }

        held += (unsigned) right(&s, &q, &n);
        found += (n != 0);
    }

    is_int(held, QUERIES, "every search as by going through all");
    ok(found > QUERIES / 3, "%u of them found something", found);

    for (i = 0, held = 0, found = 0; i < SORTED; i++) {
        mg_catalog_query_init(&q);
        q.sort = (int) (i % MG_SORT_N);
        q.descending = q.sort != MG_SORT_RELEVANCE && i / MG_SORT_N % 2;
        q.limit = any(2) ? 1000 : 1 + any(40);
        q.page = any(2) ? 1 : 1 + any(5);

        if (q.sort == MG_SORT_RELEVANCE) {
            q.sort = MG_SORT_ID;
        }

        for (n = i / 20 % 4; n > 0; n--) {
            random_filter(&q);
        }

        held += (unsigned) right(&s, &q, &n);
        found += (n != 0);
    }

    is_int(held, SORTED, "every filter and sort as by going through all");
    ok(found > SORTED / 2, "%u of them found something", found);

    mg_catalog_builder_destroy(b);
}


static void
put(mg_catalog_builder_t *b, const char *id, const char *name)
{
    mg_error_t  e;
    mg_model_t  m;

    mg_model_init(&m);
    m.id = mg_str_z(id);
    m.provider_id = mg_str_n(id, (size_t) (strchr(id, '/') - id));
    m.provider_model_id = mg_str_z(strchr(id, '/') + 1);
    m.name = mg_str_z(name);

    if (mg_catalog_builder_model(b, &m, &e) != MG_OK) {
        diag("%s", e.message);
        exit(1);
    }
}


static void
misspelt(void)
{
    unsigned               i;
    mg_snap_t              s;
    mg_error_t             e;
    mg_provider_t          p;
    mg_catalog_query_t     q;
    mg_catalog_builder_t  *b;

    static mg_catalog_page_t  page;

    static const struct {
        const char  *search;
        const char  *found;
        unsigned     approximate;
    } table[] = {
        { "claude sonnet", "a/claude-sonnet-4 ", 0 },
        { "claud sonet", "a/claude-sonnet-4 ", 1 },
        { "CLUADE", "a/claude-haiku a/claude-sonnet-4 ", 1 },
        { "clyde", "", 0 },
        { "haikku", "a/claude-haiku ", 1 },
        { "sonbit", "a/claude-sonnet-4 ", 1 },
        { "sunbat", "", 0 },
        { "gtp", "o/gpt-4o o/gpt-4o-mini ", 1 },
        { "gpt4o", "o/gpt-4o o/gpt-4o-mini ", 1 },
        { "gpt-4o-mni", "o/gpt-4o-mini ", 1 },
        { "gpt-5", "", 0 },
        { "5o", "", 0 },
        { "llama 71b", "", 0 },
        { "lama", "m/llama-70b ", 0 },
        { "xama", "", 0 },
        { "llamma 70b", "m/llama-70b ", 1 },
        { "???", "", 0 },
        { "4o", "o/gpt-4o o/gpt-4o-mini ", 0 },
        { "gpt 4o", "o/gpt-4o o/gpt-4o-mini ", 0 },
        { "o/gpt-4o-mini", "o/gpt-4o-mini ", 0 },
        { "mini gpt", "o/gpt-4o-mini ", 0 },
        { "sonnets four", "", 0 },
        { "\xc3\x89T\xc3\x89 \xd0\xaf\xce\xa9", "z/\xc3\xa9t\xc3\xa9 ", 0 },
        { "\xd1\x8f\xcf\x89", "z/\xc3\xa9t\xc3\xa9 ", 0 }
    };

    b = mg_catalog_builder_create(1);
    put(b, "a/claude-sonnet-4", "Claude Sonnet 4");
    put(b, "a/claude-haiku", "Claude Haiku");
    put(b, "o/gpt-4o-mini", "GPT-4o mini");
    put(b, "o/gpt-4o", "GPT-4o");
    put(b, "m/llama-70b", "Llama 70B");
    put(b, "z/\xc3\xa9t\xc3\xa9", "\xc3\x89t\xc3\xa9 \xd1\x8f\xce\xa9");

    mg_provider_init(&p);
    p.id = mg_str("o");
    (void) mg_catalog_builder_provider(b, &p, &e);

    s = ask_build(b);

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        mg_catalog_query_init(&q);
        q.search = mg_str_z(table[i].search);
        q.sort = MG_SORT_RELEVANCE;
        mg_catalog_list(&s, &q, &page);

        is_str(ids(&page), table[i].found, "\"%s\"", table[i].search);
        is_int(page.approximate, table[i].approximate, "... %s",
               table[i].approximate ? "comes near" : "as it is");
    }

    mg_catalog_query_init(&q);
    q.search = mg_str("claude");
    q.provider = mg_str("o");
    mg_catalog_list(&s, &q, &page);
    is_int(page.total, 0, "held elsewhere: nothing comes near instead");
    q.search = mg_str("claude-haiku");
    mg_catalog_list(&s, &q, &page);
    is_int(page.total, 0, "of several pieces, too");
    q.search = mg_str("gtp");
    mg_catalog_list(&s, &q, &page);
    is_int(page.total, 2, "held nowhere: what comes near among those");
    q.type = MG_TYPE_CHAT;
    mg_catalog_list(&s, &q, &page);
    is_int(page.total, 0, "that pass");
    is_int(page.approximate, 0, "and says so");

    mg_catalog_builder_destroy(b);
}


/* The best ranks come first even where not all is looked at. */

static void
bounded(void)
{
    char                   id[64], first[128];
    unsigned               i;
    mg_snap_t              s;
    mg_catalog_query_t     q;
    mg_catalog_builder_t  *b;

    static mg_catalog_page_t  page;

    b = mg_catalog_builder_create(1);

    for (i = 0; i < 20000; i++) {
        snprintf(id, sizeof(id), "p/m%05u", i);
        put(b, id, i == 19999 ? "xy-yz" : "A word wxy-yz of it");
    }

    s = ask_build(b);
    mg_catalog_query_init(&q);
    q.sort = MG_SORT_RELEVANCE;

    q.search = mg_str("xy word");
    mg_catalog_list(&s, &q, &page);
    is_int(page.total, 19999, "words of one piece: however many hold them");
    is_int(page.at_least, 0, "all of them");

    q.search = mg_str("xy-yz");
    q.limit = 2;
    mg_catalog_list(&s, &q, &page);
    is_int(page.at_least, 1, "of several: says that there may be more");
    ok(page.total > 10000 && page.total < 20000, "than %u", page.total);
    snprintf(first, sizeof(first), "%s", ids(&page));
    is_str(first, "p/m19999 p/m00000 ", "the best first");

    i = page.total;
    mg_catalog_list(&s, &q, &page);
    ok(page.total == i && strcmp(ids(&page), first) == 0,
       "the same once more");

    q.search = mg_str("m0001 xy-yz");
    mg_catalog_list(&s, &q, &page);
    ok(page.total == 10 && !page.at_least, "few candidates: all");

    mg_catalog_builder_destroy(b);
}


static void
names(void)
{
    int  i, held;

    for (i = 0, held = 0; i < MG_SORT_N; i++) {
        held += (mg_catalog_sort_find(mg_catalog_sort_names[i]) == i);
    }

    is_int(held, MG_SORT_N, "every sort is found by its name");
    is_int(mg_catalog_sort_find(mg_str("price")), -1, "no such sort");
    is_int(mg_catalog_sort_find(mg_str_null), -1, "no name");
}


int
main(void)
{
    names();
    misspelt();
    against_plain();
    bounded();

    return done_testing();
}
