/*
 * mg_snap_column.c: what filters read and what lists are sorted by.
 *
 * A column is an array of one width, so that a filter goes through it
 * without a branch: flags as bits of one word, modalities as two sets of
 * bits, numbers as they are, the family as the place of its name in a sorted
 * list.  An order is an array of models; where the value differs from the
 * one before, the high bit is set, so that the same array gives the falling
 * order, too, with equals still by id.
 *
 * Builder, pool threads; the tables of names are read by queries.
 */

#include "base/mg_block.h"
#include "base/mg_sort.h"
#include "snapshot/mg_snap_catalog_build.h"


/* A value to sort by, with its model. */
typedef struct {
    int64_t    value;
    uint32_t   model;
} mg_sc_pair_t;


static uint32_t mg_sc_modes_read(mg_str_t list);
static int64_t mg_sc_date_read(mg_str_t date);
static void mg_sc_numbers_write(mg_buf_t *sections, const mg_sc_row_t *rows,
    uint32_t n);
static int mg_sc_families_write(mg_buf_t *sections, uint32_t n);
static mg_str_t mg_sc_family(const mg_buf_t *sections, uint32_t i);
static uint32_t mg_sc_order_number(mg_buf_t *out, const mg_sc_row_t *rows,
    uint32_t n, size_t offset, mg_sc_pair_t *pairs);
static uint32_t mg_sc_order_name(const mg_buf_t *sections, mg_buf_t *out,
    uint8_t *named);
static void mg_sc_order_rest(mg_buf_t *out, uint32_t n,
    const uint8_t *named);
static int mg_sc_pair_cmp(const void *one, const void *two);


const mg_str_t  mg_sc_mode_names[] = {
    mg_str("text"),
    mg_str("image"),
    mg_str("audio"),
    mg_str("video"),
    mg_str("pdf"),
    mg_str("file"),
    mg_str("embedding"),
    mg_str("embeddings"),
    mg_str("rerank"),
    mg_str("score"),
    mg_str("speech"),
    mg_str("transcription"),
    mg_str("tabular"),
    mg_str("code"),
    mg_str("music"),
    mg_str("3d"),
    mg_str("tool"),
    mg_str("document"),
    mg_str_null
};


/* In the order of the numbers that stand in keys. */
static const mg_str_t  mg_sc_status_names[] = {
    mg_str("stable"),
    mg_str("alpha"),
    mg_str("beta"),
    mg_str("deprecated")
};


/* In the order of mg_catalog_sort_e behind the name. */
static const size_t  mg_sc_order_values[] = {
    offsetof(mg_sc_row_t, release_date),
    offsetof(mg_sc_row_t, last_updated),
    offsetof(mg_sc_row_t, input_price),
    offsetof(mg_sc_row_t, output_price),
    offsetof(mg_sc_row_t, context),
    offsetof(mg_sc_row_t, benchmark),
    offsetof(mg_sc_row_t, popularity)
};


uint32_t
mg_sc_mode_find(mg_str_t name)
{
    unsigned  i;

    for (i = 0; mg_sc_mode_names[i].data != NULL; i++) {
        if (mg_str_eq(mg_sc_mode_names[i], name)) {
            return 1u << i;
        }
    }

    return 0;
}


unsigned
mg_sc_status_find(mg_str_t name)
{
    unsigned  i;

    if (name.data == NULL) {
        return MG_SC_STATUS_STABLE;
    }

    for (i = 0; i < MG_SC_STATUS_OTHER; i++) {
        if (mg_str_eq(mg_sc_status_names[i], name)) {
            return i;
        }
    }

    return MG_SC_STATUS_OTHER;
}


void
mg_sc_row_fill(mg_sc_row_t *row, const mg_model_t *m)
{
    unsigned  i;

    row->key = (uint32_t) m->type
               | mg_sc_key_status(mg_sc_status_find(m->status));

    for (i = 0; i < MG_CAP_N; i++) {
        if (m->caps[i] == 1) {
            row->key |= mg_sc_key_cap(i);
        }
    }

    if (m->open_weights != -1) {
        row->key |= m->open_weights ? MG_SC_KEY_OPEN : MG_SC_KEY_CLOSED;
    }

    if (mg_str_eq(m->health, mg_str("available"))) {
        row->key |= MG_SC_KEY_AVAILABLE;

    } else if (mg_str_eq(m->health, mg_str("unavailable"))) {
        row->key |= MG_SC_KEY_UNAVAILABLE;
    }

    row->modes.in = mg_sc_modes_read(m->modalities_in);
    row->modes.out = mg_sc_modes_read(m->modalities_out);

    row->context = m->context;
    row->input_price = m->price[MG_PRICE_INPUT];
    row->output_price = m->price[MG_PRICE_OUTPUT];
    row->release_date = mg_sc_date_read(m->release_date);
    row->last_updated = mg_sc_date_read(m->last_updated);
    row->benchmark = m->benchmark_score;
    row->popularity = m->popularity_score;
}


/* A JSON array of names; what holds an escape is no name of the table. */

static uint32_t
mg_sc_modes_read(mg_str_t list)
{
    size_t    i, start;
    unsigned  inside;
    uint32_t  modes;

    modes = 0;
    start = 0;
    inside = 0;

    for (i = 0; i < list.len; i++) {
        if (list.data[i] == '\\') {
            i++;
            continue;
        }

        if (list.data[i] != '"') {
            continue;
        }

        if (inside) {
            modes |= mg_sc_mode_find(mg_str_n(list.data + start, i - start));
        }

        inside = !inside;
        start = i + 1;
    }

    return modes;
}


/* 2024, 2024-07 or 2024-07-31 as a number of eight digits. */

static int64_t
mg_sc_date_read(mg_str_t date)
{
    size_t   i;
    int64_t  n;

    if (date.len != 4 && date.len != 7 && date.len < 10) {
        return MG_UNKNOWN;
    }

    n = 0;

    for (i = 0; i < date.len && i < 10; i++) {
        if (i == 4 || i == 7) {
            if (date.data[i] != '-') {
                return MG_UNKNOWN;
            }

            continue;
        }

        if (date.data[i] < '0' || date.data[i] > '9') {
            return MG_UNKNOWN;
        }

        n = n * 10 + (date.data[i] - '0');
    }

    for ( /* void */ ; i < 10; i += 3) {
        n *= 100;
    }

    return n;
}


int
mg_sc_columns_write(mg_buf_t *sections, const mg_sc_row_t *rows, uint32_t n,
    mg_sc_meta_t *meta, mg_error_t *e)
{
    unsigned       i;
    uint8_t       *named;
    mg_sc_pair_t  *pairs;

    pairs = mg_block_alloc((n + 1) * sizeof(mg_sc_pair_t));
    named = mg_block_calloc(n + 1, 1);

    if (pairs == NULL || named == NULL
        || mg_sc_families_write(sections, n) != MG_OK)
    {
        mg_block_free(pairs);
        mg_block_free(named);
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    mg_sc_numbers_write(sections, rows, n);

    meta->known[0] = mg_sc_order_name(sections, &sections[MG_SC_ORDERS],
                                      named);
    mg_sc_order_rest(&sections[MG_SC_ORDERS], n, named);

    for (i = 1; i < MG_SC_ORDER_N; i++) {
        meta->known[i] = mg_sc_order_number(&sections[MG_SC_ORDERS], rows, n,
                                            mg_sc_order_values[i - 1], pairs);
    }

    mg_block_free(pairs);
    mg_block_free(named);

    return MG_OK;
}


static void
mg_sc_numbers_write(mg_buf_t *sections, const mg_sc_row_t *rows, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        mg_buf_add(&sections[MG_SC_KEYS], &rows[i].key, sizeof(uint32_t));
        mg_buf_add(&sections[MG_SC_MODES], &rows[i].modes,
                   sizeof(mg_sc_modes_t));
        mg_buf_add(&sections[MG_SC_CONTEXT], &rows[i].context,
                   sizeof(int64_t));
        mg_buf_add(&sections[MG_SC_INPUT_PRICE], &rows[i].input_price,
                   sizeof(int64_t));
        mg_buf_add(&sections[MG_SC_OUTPUT_PRICE], &rows[i].output_price,
                   sizeof(int64_t));
    }
}


static int
mg_sc_families_write(mg_buf_t *sections, uint32_t n)
{
    int          rc;
    uint32_t     i, at, *places, *column;
    mg_str_t     family;
    mg_intern_t  t;

    places = NULL;
    rc = mg_intern_init(&t);

    for (i = 0; i < n && rc == MG_OK; i++) {
        family = mg_sc_family(sections, i);

        if (family.len != 0 && mg_intern_add(&t, family) == UINT32_MAX) {
            rc = MG_ERROR;
        }
    }

    /* numbers go by arrival: the same strings in the same order once more */

    for (i = 0; i < n && rc == MG_OK; i++) {
        family = mg_sc_family(sections, i);
        at = family.len ? mg_intern_add(&t, family) : MG_SNAP_ABSENT;
        mg_buf_add(&sections[MG_SC_FAMILY], &at, sizeof(uint32_t));
    }

    if (rc == MG_OK) {
        rc = mg_intern_sort(&t, &places);
    }

    if (rc == MG_OK && !sections[MG_SC_FAMILY].failed) {
        column = (void *) sections[MG_SC_FAMILY].data;

        for (i = 0; i < n; i++) {
            column[i] = (column[i] == MG_SNAP_ABSENT) ? MG_SNAP_ABSENT
                                                      : places[column[i]];
        }

        for (i = 0; i <= t.n; i++) {
            at = (uint32_t) sections[MG_SC_FAMILY_TEXT].len;
            mg_buf_add(&sections[MG_SC_FAMILIES], &at, sizeof(uint32_t));

            if (i < t.n) {
                mg_buf_str(&sections[MG_SC_FAMILY_TEXT], t.strings[i]);
            }
        }
    }

    mg_block_free(places);
    mg_intern_free(&t);

    return rc;
}


/* The last line of a text. */

static mg_str_t
mg_sc_family(const mg_buf_t *sections, uint32_t i)
{
    size_t           n;
    const char      *p;
    const uint32_t  *texts;

    texts = (const void *) sections[MG_SC_TEXTS].data;
    p = sections[MG_SC_TEXT].data + texts[i + 1] - 1;

    for (n = 0; p[-1 - (ptrdiff_t) n] != '\n'; n++) { /* void */ }

    return mg_str_n(p - n, n);
}


/* Returns how many of the values are known. */

static uint32_t
mg_sc_order_number(mg_buf_t *out, const mg_sc_row_t *rows, uint32_t n,
    size_t offset, mg_sc_pair_t *pairs)
{
    int64_t   value;
    uint32_t  i, model, known, rest;

    known = 0;
    rest = n;

    /* unknown ones from the end, so in reverse */

    for (i = 0; i < n; i++) {
        value = *(const int64_t *) ((const char *) &rows[i] + offset);

        if (value != MG_UNKNOWN) {
            pairs[known].value = value;
            pairs[known++].model = i;

        } else {
            pairs[--rest].model = i;
        }
    }

    mg_sort(pairs, known, sizeof(mg_sc_pair_t), mg_sc_pair_cmp);

    for (i = 0; i < n; i++) {
        model = pairs[i < known ? i : n - 1 - (i - known)].model;

        if (i < known && (i == 0 || pairs[i].value != pairs[i - 1].value)) {
            model |= MG_SC_ORDER_STEP;
        }

        mg_buf_add(out, &model, sizeof(uint32_t));
    }

    return known;
}


static int
mg_sc_pair_cmp(const void *one, const void *two)
{
    const mg_sc_pair_t  *a = one, *b = two;

    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }

    return (a->model > b->model) - (a->model < b->model);
}


/* Titles are in order: those that are names, as they come. */

static uint32_t
mg_sc_order_name(const mg_buf_t *sections, mg_buf_t *out, uint8_t *named)
{
    size_t           i, n;
    uint32_t         known, model;
    mg_str_t         name, last;
    const char      *text;
    const uint32_t  *texts, *titles;

    text = sections[MG_SC_TEXT].data;
    texts = (const void *) sections[MG_SC_TEXTS].data;
    titles = (const void *) sections[MG_SC_TITLES].data;
    n = sections[MG_SC_TITLES].len / sizeof(uint32_t);

    known = 0;
    last = mg_str_null;

    for (i = 0; i < n; i++) {
        if (titles[i] % MG_SC_TITLE_N != MG_SC_TITLE_NAME) {
            continue;
        }

        model = titles[i] / MG_SC_TITLE_N;
        name = mg_sc_title(mg_str_n(text + texts[model],
                                    texts[model + 1] - texts[model]),
                           MG_SC_TITLE_NAME);
        named[model] = 1;

        if (known++ == 0 || mg_sc_title_cmp(last, name, 0) != 0) {
            model |= MG_SC_ORDER_STEP;
        }

        mg_buf_add(out, &model, sizeof(uint32_t));
        last = name;
    }

    return known;
}


static void
mg_sc_order_rest(mg_buf_t *out, uint32_t n, const uint8_t *named)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (!named[i]) {
            mg_buf_add(out, &i, sizeof(uint32_t));
        }
    }
}
