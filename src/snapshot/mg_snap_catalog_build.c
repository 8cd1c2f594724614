/*
 * mg_snap_catalog_build.c: collects models and providers, writes the image.
 *
 * A model is rendered the moment it comes, into heaps of bytes (item, rest,
 * models.dev's shape, search text) in the order of arrival; an entry
 * remembers where.  At the end entries are sorted and the heaps are copied
 * out in that order, and columns and index are derived.  Results of
 * benchmarks wait until their model has its place.  Providers are few: they
 * are copied and rendered last, so that one whose counts nobody gave gets
 * them from its models.
 *
 * Equal content gives equal bytes: nothing random, no order of arrival.
 *
 * Pool threads; one builder, one thread; all memory is the builder's.
 */

#include "base/mg_block.h"
#include "base/mg_priority.h"
#include "base/mg_sort.h"
#include "snapshot/mg_snap_catalog_build.h"
#include "snapshot/mg_snap_render.h"


static int mg_catalog_grow(void **array, uint32_t *size, uint32_t n,
    size_t element, mg_error_t *e);
static int mg_catalog_provider_copy(mg_arena_t *a, mg_provider_t *to,
    const mg_provider_t *from);
static int mg_catalog_model_render(mg_catalog_builder_t *b,
    mg_catalog_entry_t *entry, const mg_model_t *m);
static mg_catalog_span_t mg_catalog_span_end(const mg_buf_t *b, size_t from);
static int mg_catalog_model_ok(const mg_model_t *m, mg_error_t *e);
static void mg_catalog_fold(mg_buf_t *b, mg_str_t s);
static int mg_catalog_sort(mg_catalog_builder_t *b, mg_error_t *e);
static int mg_catalog_entry_cmp(const void *one, const void *two);
static int mg_catalog_active_cmp(const void *one, const void *two);
static int mg_catalog_provider_cmp(const void *one, const void *two);
static int mg_catalog_mark_cmp(const void *one, const void *two);
static void mg_catalog_models_write(mg_catalog_builder_t *b);
static void mg_catalog_marks_write(const mg_catalog_builder_t *b,
    mg_str_t model, mg_buf_t *more);
static int mg_catalog_columns_write(mg_catalog_builder_t *b,
    mg_sc_meta_t *meta, mg_error_t *e);
static void mg_catalog_providers_write(mg_catalog_builder_t *b);
static uint32_t mg_catalog_run_find(const mg_catalog_builder_t *b,
    mg_str_t provider, uint32_t *n);
static void mg_catalog_count(const mg_catalog_builder_t *b, uint32_t first,
    uint32_t n, mg_provider_t *p);


mg_catalog_builder_t *
mg_catalog_builder_create(uint64_t generation)
{
    unsigned               i;
    mg_catalog_builder_t  *b;

    b = mg_block_calloc(1, sizeof(mg_catalog_builder_t));
    if (b == NULL) {
        return NULL;
    }

    b->generation = generation;

    mg_buf_init(&b->items, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->more, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->text, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->api, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->image, MG_SNAP_SIZE_MAX);

    for (i = 0; i < MG_SC_N; i++) {
        mg_buf_init(&b->sections[i], MG_SNAP_SIZE_MAX);
    }

    b->arena = mg_arena_create(MG_SNAP_SIZE_MAX);
    b->scratch = mg_arena_create(0);

    if (b->arena == NULL || b->scratch == NULL) {
        mg_catalog_builder_destroy(b);
        return NULL;
    }

    return b;
}


void
mg_catalog_builder_destroy(mg_catalog_builder_t *b)
{
    unsigned  i;

    if (b == NULL) {
        return;
    }

    for (i = 0; i < MG_SC_N; i++) {
        mg_buf_free(&b->sections[i]);
    }

    mg_buf_free(&b->image);
    mg_buf_free(&b->api);
    mg_buf_free(&b->text);
    mg_buf_free(&b->more);
    mg_buf_free(&b->items);

    mg_arena_destroy(b->scratch);
    mg_arena_destroy(b->arena);

    mg_block_free(b->marks);
    mg_block_free(b->providers);
    mg_block_free(b->entries);
    mg_block_free(b);
}


int
mg_catalog_builder_provider(mg_catalog_builder_t *b, const mg_provider_t *p,
    mg_error_t *e)
{
    void  *array;

    if (p->id.len == 0) {
        return mg_error_set(e, MG_E_INTERNAL, "id", "a provider has no id");
    }

    array = b->providers;

    if (mg_catalog_grow(&array, &b->providers_size, b->n_providers,
                        sizeof(mg_provider_t), e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    b->providers = array;

    if (mg_catalog_provider_copy(b->arena, &b->providers[b->n_providers], p)
        != MG_OK)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    b->n_providers++;

    return MG_OK;
}


static int
mg_catalog_grow(void **array, uint32_t *size, uint32_t n, size_t element,
    mg_error_t *e)
{
    void      *p;
    uint32_t   wanted;

    if (n < *size) {
        return MG_OK;
    }

    wanted = *size ? *size * 2 : 256;

    p = wanted > *size ? mg_block_resize(*array, wanted * element) : NULL;
    if (p == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    *array = p;
    *size = wanted;

    return MG_OK;
}


/* Only what is shown to anybody: neither keys nor headers get near the file. */

static int
mg_catalog_provider_copy(mg_arena_t *a, mg_provider_t *to,
    const mg_provider_t *from)
{
    unsigned  i;

    static const size_t  members[] = {
        offsetof(mg_provider_t, id),
        offsetof(mg_provider_t, name),
        offsetof(mg_provider_t, protocol),
        offsetof(mg_provider_t, base_url),
        offsetof(mg_provider_t, doc),
        offsetof(mg_provider_t, npm),
        offsetof(mg_provider_t, env),
        offsetof(mg_provider_t, extra),
        offsetof(mg_provider_t, paths),
        offsetof(mg_provider_t, probe),
        offsetof(mg_provider_t, source),
        offsetof(mg_provider_t, key_hint)
    };

    mg_str_t        *copy;
    const mg_str_t  *s;

    *to = *from;
    to->org_id = mg_str_null;
    to->headers = mg_str_null;
    to->key_sealed = mg_str_null;

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        s = (const mg_str_t *) ((const char *) from + members[i]);
        copy = (mg_str_t *) ((char *) to + members[i]);

        if (s->data == NULL) {
            continue;
        }

        *copy = mg_arena_dup(a, *s);

        if (copy->data == NULL) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


int
mg_catalog_builder_model(mg_catalog_builder_t *b, const mg_model_t *m,
    mg_error_t *e)
{
    void                *array;
    mg_catalog_entry_t  *entry;

    if (mg_catalog_model_ok(m, e) != MG_OK) {
        return MG_ERROR;
    }

    if (m->active == 1 && b->n_active == MG_SC_ACTIVE_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "the catalog has more than %u active models; "
                            "deactivate some", MG_SC_ACTIVE_MAX);
    }

    array = b->entries;

    if (mg_catalog_grow(&array, &b->entries_size, b->n_entries,
                        sizeof(mg_catalog_entry_t), e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    b->entries = array;
    entry = &b->entries[b->n_entries];

    if (mg_catalog_model_render(b, entry, m) != MG_OK) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    b->n_entries++;
    b->n_active += entry->active;

    return MG_OK;
}


static int
mg_catalog_model_render(mg_catalog_builder_t *b, mg_catalog_entry_t *entry,
    const mg_model_t *m)
{
    size_t  from;

    memset(entry, 0, sizeof(mg_catalog_entry_t));

    entry->id = mg_arena_dup(b->arena, m->id);
    entry->active = (m->active == 1);
    mg_sc_row_fill(&entry->row, m);

    from = b->items.len;
    mg_render_model(&b->items, m);
    mg_buf_char(&b->items, ',');
    entry->item = mg_catalog_span_end(&b->items, from);

    from = b->more.len;
    mg_render_model_more(&b->more, m);
    entry->more = mg_catalog_span_end(&b->more, from);

    if (entry->active) {
        from = b->text.len;
        mg_catalog_fold(&b->text, m->id);
        mg_catalog_fold(&b->text, m->name);
        mg_catalog_fold(&b->text, m->family);
        entry->text = mg_catalog_span_end(&b->text, from);

        from = b->api.len;
        mg_api_json_model(&b->api, m, b->scratch);
        entry->api = mg_catalog_span_end(&b->api, from);
    }

    return (entry->id.data == NULL || b->items.failed || b->more.failed
            || b->text.failed || b->api.failed)
           ? MG_ERROR : MG_OK;
}


static mg_catalog_span_t
mg_catalog_span_end(const mg_buf_t *b, size_t from)
{
    return (mg_catalog_span_t) { from, b->len - from };
}


int
mg_catalog_builder_benchmark(mg_catalog_builder_t *b,
    const mg_benchmark_t *r, mg_error_t *e)
{
    void               *array;
    mg_buf_t            json;
    mg_catalog_mark_t  *mark;

    array = b->marks;

    if (mg_catalog_grow(&array, &b->marks_size, b->n_marks,
                        sizeof(mg_catalog_mark_t), e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    b->marks = array;
    mark = &b->marks[b->n_marks];

    mg_buf_init(&json, 0);
    mg_render_benchmark(&json, r);

    mark->model = mg_arena_dup(b->arena, r->model_id);
    mark->date = r->date.data ? mg_arena_dup(b->arena, r->date)
                              : mg_str("");
    mark->name = r->name.data ? mg_arena_dup(b->arena, r->name)
                              : mg_str("");
    mark->json = json.failed ? mg_str_null
                             : mg_arena_dup(b->arena, mg_buf_view(&json));

    mg_buf_free(&json);

    if (mark->model.data == NULL || mark->date.data == NULL
        || mark->name.data == NULL || mark->json.data == NULL)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    b->n_marks++;

    return MG_OK;
}


static int
mg_catalog_model_ok(const mg_model_t *m, mg_error_t *e)
{
    size_t  n;

    n = m->provider_id.len;

    if ((unsigned) m->type >= MG_TYPE_N) {
        return mg_error_set(e, MG_E_INTERNAL, "type",
                            "model \"%.*s\" has type %u, which is unknown",
                            MG_STR_ARG(m->id), (unsigned) m->type);
    }

    if (n == 0 || m->id.len <= n + 1
        || memcmp(m->id.data, m->provider_id.data, n) != 0
        || m->id.data[n] != '/')
    {
        return mg_error_set(e, MG_E_INTERNAL, "id",
                            "model \"%.*s\" does not begin with its provider "
                            "\"%.*s\" and a slash", MG_STR_ARG(m->id),
                            MG_STR_ARG(m->provider_id));
    }

    return MG_OK;
}


/* A line of its own, so that no word is found across two of them. */

static void
mg_catalog_fold(mg_buf_t *b, mg_str_t s)
{
    char  *p;

    p = mg_buf_reserve(b, s.len + 1);
    if (p == NULL) {
        return;
    }

    mg_sc_fold(p, s);
    p[s.len] = '\n';
    b->len += s.len + 1;
}


int
mg_catalog_builder_finish(mg_catalog_builder_t *b, mg_str_t *image,
    mg_error_t *e)
{
    int                  rc;
    unsigned             i;
    mg_sc_meta_t         meta;
    mg_catalog_bodies_t  bodies;

    if (mg_catalog_sort(b, e) != MG_OK) {
        return MG_ERROR;
    }

    memset(&meta, 0, sizeof(mg_sc_meta_t));

    mg_catalog_models_write(b);
    mg_catalog_providers_write(b);

    /* as large as the file together: nobody needs them any more */

    mg_buf_free(&b->items);
    mg_buf_free(&b->more);
    mg_buf_free(&b->text);

    for (i = 0; i < MG_SC_N; i++) {
        if (b->sections[i].failed) {
            return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        }
    }

    mg_catalog_bodies_begin(&bodies, b, &meta);

    rc = mg_sc_index_write(b->sections, b->n_active, e);

    if (rc == MG_OK) {
        rc = mg_catalog_columns_write(b, &meta, e);
    }

    if (mg_catalog_bodies_end(&bodies, rc == MG_OK ? e : NULL) != MG_OK
        || rc != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_free(&b->api);

    meta.n_models = b->n_entries;
    meta.n_active = b->n_active;
    meta.n_providers = b->n_providers;
    meta.page_limit = MG_CATALOG_PAGE_LIMIT;

    mg_buf_add(&b->sections[MG_SC_META], &meta, sizeof(mg_sc_meta_t));

    if (mg_snap_assemble(&mg_snap_catalog_kind, b->generation, b->sections,
                         &b->image, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *image = mg_buf_view(&b->image);

    return MG_OK;
}


/* By id, to see what stands twice; then the active ones to the front. */

static int
mg_catalog_sort(mg_catalog_builder_t *b, mg_error_t *e)
{
    uint32_t  i;

    mg_sort(b->providers, b->n_providers, sizeof(mg_provider_t),
            mg_catalog_provider_cmp);

    for (i = 1; i < b->n_providers; i++) {
        if (mg_str_eq(b->providers[i - 1].id, b->providers[i].id)) {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "provider \"%.*s\" stands twice in the "
                                "catalog", MG_STR_ARG(b->providers[i].id));
        }
    }

    mg_sort(b->entries, b->n_entries, sizeof(mg_catalog_entry_t),
            mg_catalog_entry_cmp);

    for (i = 1; i < b->n_entries; i++) {
        if (mg_str_eq(b->entries[i - 1].id, b->entries[i].id)) {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "model \"%.*s\" stands twice in the catalog",
                                MG_STR_ARG(b->entries[i].id));
        }
    }

    if (b->n_active != b->n_entries) {
        mg_sort(b->entries, b->n_entries, sizeof(mg_catalog_entry_t),
                mg_catalog_active_cmp);
    }

    mg_sort(b->marks, b->n_marks, sizeof(mg_catalog_mark_t),
            mg_catalog_mark_cmp);

    return MG_OK;
}


/* A model's together, the newest first, those without a date last. */

static int
mg_catalog_mark_cmp(const void *one, const void *two)
{
    int                       rc;
    const mg_catalog_mark_t  *a = one, *b = two;

    rc = mg_str_cmp(a->model, b->model);

    if (rc == 0) {
        rc = mg_str_cmp(b->date, a->date);
    }

    if (rc == 0) {
        rc = mg_str_cmp(a->name, b->name);
    }

    return rc ? rc : mg_str_cmp(a->json, b->json);
}


static int
mg_catalog_entry_cmp(const void *one, const void *two)
{
    const mg_catalog_entry_t  *a = one, *b = two;

    return mg_str_cmp(a->id, b->id);
}


static int
mg_catalog_active_cmp(const void *one, const void *two)
{
    const mg_catalog_entry_t  *a = one, *b = two;

    if (a->active != b->active) {
        return a->active ? -1 : 1;
    }

    return mg_str_cmp(a->id, b->id);
}


static int
mg_catalog_provider_cmp(const void *one, const void *two)
{
    const mg_provider_t  *a = one, *b = two;

    return mg_str_cmp(a->id, b->id);
}


static void
mg_catalog_models_write(mg_catalog_builder_t *b)
{
    uint32_t             i, at;
    mg_buf_t            *s;
    mg_sc_model_t        m;
    mg_catalog_entry_t  *entry;

    s = b->sections;

    for (i = 0; i <= b->n_entries; i++) {
        m.id = (uint32_t) s[MG_SC_IDS].len;
        m.item = (uint32_t) s[MG_SC_ITEMS].len;
        m.more = (uint32_t) s[MG_SC_MORE].len;
        m.marks = m.more;
        at = (uint32_t) s[MG_SC_TEXT].len;

        if (i <= b->n_active) {
            mg_buf_add(&s[MG_SC_TEXTS], &at, sizeof(uint32_t));
        }

        if (i == b->n_entries) {
            mg_buf_add(&s[MG_SC_MODELS], &m, sizeof(mg_sc_model_t));
            break;
        }

        mg_priority_breathe();

        entry = &b->entries[i];

        mg_buf_str(&s[MG_SC_IDS], entry->id);
        mg_buf_add(&s[MG_SC_ITEMS], b->items.data + entry->item.off,
                   entry->item.len);
        mg_buf_add(&s[MG_SC_MORE], b->more.data + entry->more.off,
                   entry->more.len);

        mg_buf_z(&s[MG_SC_MORE], ",\"benchmarks\":");
        m.marks = (uint32_t) s[MG_SC_MORE].len;
        mg_catalog_marks_write(b, entry->id, &s[MG_SC_MORE]);
        mg_buf_add(&s[MG_SC_MODELS], &m, sizeof(mg_sc_model_t));

        if (entry->active) {
            mg_buf_add(&s[MG_SC_TEXT], b->text.data + entry->text.off,
                       entry->text.len);
        }
    }
}


static void
mg_catalog_marks_write(const mg_catalog_builder_t *b, mg_str_t model,
    mg_buf_t *more)
{
    uint32_t  i, low, high, middle;

    low = 0;
    high = b->n_marks;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (mg_str_cmp(b->marks[middle].model, model) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    mg_buf_char(more, '[');

    for (i = low; i < b->n_marks; i++) {
        if (!mg_str_eq(b->marks[i].model, model)) {
            break;
        }

        if (i != low) {
            mg_buf_char(more, ',');
        }

        mg_buf_str(more, b->marks[i].json);
    }

    mg_buf_char(more, ']');
}


static int
mg_catalog_columns_write(mg_catalog_builder_t *b, mg_sc_meta_t *meta,
    mg_error_t *e)
{
    int           rc;
    uint32_t      i;
    mg_sc_row_t  *rows;

    rows = mg_block_alloc((b->n_active + 1) * sizeof(mg_sc_row_t));
    if (rows == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    for (i = 0; i < b->n_active; i++) {
        rows[i] = b->entries[i].row;
    }

    rc = mg_sc_columns_write(b->sections, rows, b->n_active, meta, e);
    mg_block_free(rows);

    return rc;
}


static void
mg_catalog_providers_write(mg_catalog_builder_t *b)
{
    uint32_t           i;
    mg_buf_t          *s;
    mg_provider_t     *p;
    mg_sc_provider_t   row;

    s = b->sections;

    for (i = 0; i <= b->n_providers; i++) {
        row.id = (uint32_t) s[MG_SC_PROVIDER_IDS].len;
        row.item = (uint32_t) s[MG_SC_PROVIDER_ITEMS].len;
        row.first = 0;
        row.n = 0;

        if (i < b->n_providers) {
            p = &b->providers[i];
            row.first = mg_catalog_run_find(b, p->id, &row.n);

            if (p->total == MG_UNKNOWN) {
                mg_catalog_count(b, row.first, row.n, p);
            }

            mg_buf_str(&s[MG_SC_PROVIDER_IDS], p->id);
            mg_render_provider(&s[MG_SC_PROVIDER_ITEMS], p);
        }

        mg_buf_add(&s[MG_SC_PROVIDERS], &row, sizeof(mg_sc_provider_t));
    }
}


/*
 * Ids that begin with provider and slash are neighbours; the first is found
 * by halving.  Returns its index and sets *n.
 */

static uint32_t
mg_catalog_run_find(const mg_catalog_builder_t *b, mg_str_t provider,
    uint32_t *n)
{
    int       rc;
    uint32_t  low, high, middle;
    mg_str_t  id, head;

    low = 0;
    high = b->n_active;

    while (low < high) {
        middle = low + (high - low) / 2;
        id = b->entries[middle].id;

        head = mg_str_n(id.data, id.len < provider.len ? id.len
                                                        : provider.len);
        rc = mg_str_cmp(head, provider);

        if (rc == 0 && (id.len == provider.len
                        || (unsigned char) id.data[provider.len] < '/'))
        {
            rc = -1;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    for (high = low; high < b->n_active; high++) {
        id = b->entries[high].id;

        if (id.len <= provider.len || id.data[provider.len] != '/'
            || memcmp(id.data, provider.data, provider.len) != 0)
        {
            break;
        }
    }

    *n = high - low;

    return low;
}


static void
mg_catalog_count(const mg_catalog_builder_t *b, uint32_t first, uint32_t n,
    mg_provider_t *p)
{
    uint32_t  i;

    p->total = n;
    p->available = 0;
    p->unavailable = 0;

    for (i = first; i < first + n; i++) {
        p->available += !!(b->entries[i].row.key & MG_SC_KEY_AVAILABLE);
        p->unavailable += !!(b->entries[i].row.key & MG_SC_KEY_UNAVAILABLE);
    }

    p->unknown = p->total - p->available - p->unavailable;
}
