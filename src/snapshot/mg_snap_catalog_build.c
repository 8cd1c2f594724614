/*
 * mg_snap_catalog_build.c: collects models and providers, writes the image.
 *
 * A model is rendered the moment it comes, into three heaps of bytes (item,
 * rest, search text) in the order of arrival; an entry remembers where.  At
 * the end entries are sorted and the heaps are copied out in that order.
 * Providers are few: they are copied and rendered last, so that one whose
 * counts nobody gave gets them from its models.
 *
 * Equal content gives equal bytes: nothing random, no order of arrival.
 *
 * Pool threads; one builder, one thread; all memory is the builder's.
 */

#include <stdlib.h>

#include "base/mg_gzip.h"
#include "snapshot/mg_snap_catalog_layout.h"
#include "snapshot/mg_snap_render.h"


#define MG_CATALOG_PAGE_LIMIT   50      /* the API's default */
#define MG_CATALOG_GZIP_LEVEL   6


typedef enum {
    MG_HEALTH_UNKNOWN = 0,
    MG_HEALTH_AVAILABLE,
    MG_HEALTH_UNAVAILABLE,
    MG_HEALTH_N
} mg_catalog_health_e;


typedef struct {
    size_t                    off;
    size_t                    len;
} mg_catalog_span_t;


typedef struct {
    mg_str_t                  id;          /* in the arena */
    mg_catalog_span_t         item;
    mg_catalog_span_t         more;
    mg_catalog_span_t         text;
    mg_sc_key_t               key;
    uint8_t                   active;
    uint8_t                   health;      /* mg_catalog_health_e */
} mg_catalog_entry_t;


struct mg_catalog_builder_s {
    uint64_t                  generation;
    mg_arena_t               *arena;

    mg_catalog_entry_t       *entries;
    uint32_t                  n_entries;
    uint32_t                  n_active;
    uint32_t                  entries_size;

    mg_provider_t            *providers;
    uint32_t                  n_providers;
    uint32_t                  providers_size;

    mg_buf_t                  items;       /* in the order of arrival */
    mg_buf_t                  more;
    mg_buf_t                  text;

    mg_buf_t                  sections[MG_SC_N];
    mg_buf_t                  image;
};


static int mg_catalog_grow(void **array, uint32_t *size, uint32_t n,
    size_t element, mg_error_t *e);
static int mg_catalog_provider_copy(mg_arena_t *a, mg_provider_t *to,
    const mg_provider_t *from);
static int mg_catalog_model_ok(const mg_model_t *m, mg_error_t *e);
static void mg_catalog_fold(mg_buf_t *b, mg_str_t s);
static int mg_catalog_sort(mg_catalog_builder_t *b, mg_error_t *e);
static int mg_catalog_entry_cmp(const void *one, const void *two);
static int mg_catalog_active_cmp(const void *one, const void *two);
static int mg_catalog_provider_cmp(const void *one, const void *two);
static void mg_catalog_models_write(mg_catalog_builder_t *b);
static void mg_catalog_providers_write(mg_catalog_builder_t *b);
static uint32_t mg_catalog_run_find(const mg_catalog_builder_t *b,
    mg_str_t provider, uint32_t *n);
static void mg_catalog_count(const mg_catalog_builder_t *b, uint32_t first,
    uint32_t n, mg_provider_t *p);
static int mg_catalog_bodies_write(mg_catalog_builder_t *b,
    mg_sc_meta_t *meta, mg_error_t *e);
static void mg_catalog_first_page(const mg_catalog_builder_t *b,
    mg_buf_t *body);
static void mg_catalog_provider_list(const mg_catalog_builder_t *b,
    mg_buf_t *body);


mg_catalog_builder_t *
mg_catalog_builder_create(uint64_t generation)
{
    unsigned               i;
    mg_catalog_builder_t  *b;

    b = calloc(1, sizeof(mg_catalog_builder_t));
    if (b == NULL) {
        return NULL;
    }

    b->generation = generation;

    mg_buf_init(&b->items, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->more, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->text, MG_SNAP_SIZE_MAX);
    mg_buf_init(&b->image, MG_SNAP_SIZE_MAX);

    for (i = 0; i < MG_SC_N; i++) {
        mg_buf_init(&b->sections[i], MG_SNAP_SIZE_MAX);
    }

    b->arena = mg_arena_create(0);
    if (b->arena == NULL) {
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
    mg_buf_free(&b->text);
    mg_buf_free(&b->more);
    mg_buf_free(&b->items);

    mg_arena_destroy(b->arena);

    free(b->providers);
    free(b->entries);
    free(b);
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

    p = wanted > *size ? realloc(*array, wanted * element) : NULL;
    if (p == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    *array = p;
    *size = wanted;

    return MG_OK;
}


/* Only what the list shows: neither keys nor headers get near the file. */

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
        offsetof(mg_provider_t, source),
        offsetof(mg_provider_t, key_hint)
    };

    mg_str_t        *copy;
    const mg_str_t  *s;

    *to = *from;
    to->org_id = mg_str_null;
    to->npm = mg_str_null;
    to->env = mg_str_null;
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
    unsigned             i;
    mg_catalog_entry_t  *entry;

    if (mg_catalog_model_ok(m, e) != MG_OK) {
        return MG_ERROR;
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
    memset(entry, 0, sizeof(mg_catalog_entry_t));

    entry->id = mg_arena_dup(b->arena, m->id);
    entry->active = (m->active == 1);
    entry->key = (mg_sc_key_t) m->type;

    if (mg_str_eq(m->health, mg_str("available"))) {
        entry->health = MG_HEALTH_AVAILABLE;

    } else if (mg_str_eq(m->health, mg_str("unavailable"))) {
        entry->health = MG_HEALTH_UNAVAILABLE;
    }

    for (i = 0; i < MG_CAP_N; i++) {
        if (m->caps[i] == 1) {
            entry->key |= (mg_sc_key_t) mg_sc_key_cap(i);
        }
    }

    entry->item.off = b->items.len;
    mg_render_model(&b->items, m);
    mg_buf_char(&b->items, ',');
    entry->item.len = b->items.len - entry->item.off;

    entry->more.off = b->more.len;
    mg_render_model_more(&b->more, m);
    entry->more.len = b->more.len - entry->more.off;

    entry->text.off = b->text.len;
    mg_catalog_fold(&b->text, m->id);
    mg_catalog_fold(&b->text, m->name);
    mg_catalog_fold(&b->text, m->family);
    entry->text.len = b->text.len - entry->text.off;

    if (entry->id.data == NULL || b->items.failed || b->more.failed
        || b->text.failed)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    b->n_entries++;
    b->n_active += entry->active;

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
    char    *p;
    size_t   i;

    p = mg_buf_reserve(b, s.len + 1);
    if (p == NULL) {
        return;
    }

    for (i = 0; i < s.len; i++) {
        p[i] = (char) mg_sc_fold((unsigned char) s.data[i]);
    }

    p[s.len] = '\n';
    b->len += s.len + 1;
}


int
mg_catalog_builder_finish(mg_catalog_builder_t *b, mg_str_t *image,
    mg_error_t *e)
{
    unsigned      i;
    mg_sc_meta_t  meta;

    for (i = 0; i < MG_SC_N; i++) {
        b->sections[i].len = 0;
    }

    if (mg_catalog_sort(b, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_catalog_models_write(b);
    mg_catalog_providers_write(b);

    memset(&meta, 0, sizeof(mg_sc_meta_t));
    meta.n_models = b->n_entries;
    meta.n_active = b->n_active;
    meta.n_providers = b->n_providers;
    meta.page_limit = MG_CATALOG_PAGE_LIMIT;

    if (mg_catalog_bodies_write(b, &meta, e) != MG_OK) {
        return MG_ERROR;
    }

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

    if (b->n_providers > 1) {
        qsort(b->providers, b->n_providers, sizeof(mg_provider_t),
              mg_catalog_provider_cmp);
    }

    for (i = 1; i < b->n_providers; i++) {
        if (mg_str_eq(b->providers[i - 1].id, b->providers[i].id)) {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "provider \"%.*s\" stands twice in the "
                                "catalog", MG_STR_ARG(b->providers[i].id));
        }
    }

    if (b->n_entries > 1) {
        qsort(b->entries, b->n_entries, sizeof(mg_catalog_entry_t),
              mg_catalog_entry_cmp);
    }

    for (i = 1; i < b->n_entries; i++) {
        if (mg_str_eq(b->entries[i - 1].id, b->entries[i].id)) {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "model \"%.*s\" stands twice in the catalog",
                                MG_STR_ARG(b->entries[i].id));
        }
    }

    if (b->n_active != b->n_entries) {
        qsort(b->entries, b->n_entries, sizeof(mg_catalog_entry_t),
              mg_catalog_active_cmp);
    }

    return MG_OK;
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
        at = (uint32_t) s[MG_SC_TEXT].len;

        mg_buf_add(&s[MG_SC_MODELS], &m, sizeof(mg_sc_model_t));

        if (i <= b->n_active) {
            mg_buf_add(&s[MG_SC_TEXTS], &at, sizeof(uint32_t));
        }

        if (i == b->n_entries) {
            break;
        }

        entry = &b->entries[i];

        mg_buf_add(&s[MG_SC_KEYS], &entry->key, sizeof(mg_sc_key_t));
        mg_buf_str(&s[MG_SC_IDS], entry->id);
        mg_buf_add(&s[MG_SC_ITEMS], b->items.data + entry->item.off,
                   entry->item.len);
        mg_buf_add(&s[MG_SC_MORE], b->more.data + entry->more.off,
                   entry->more.len);

        if (entry->active) {
            mg_buf_add(&s[MG_SC_TEXT], b->text.data + entry->text.off,
                       entry->text.len);
        }
    }
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
    int64_t   seen[MG_HEALTH_N] = { 0, 0, 0 };

    for (i = first; i < first + n; i++) {
        seen[b->entries[i].health]++;
    }

    p->total = n;
    p->available = seen[MG_HEALTH_AVAILABLE];
    p->unavailable = seen[MG_HEALTH_UNAVAILABLE];
    p->unknown = seen[MG_HEALTH_UNKNOWN];
}


static int
mg_catalog_bodies_write(mg_catalog_builder_t *b, mg_sc_meta_t *meta,
    mg_error_t *e)
{
    int       rc;
    unsigned  i;
    mg_buf_t  body, *out;

    out = &b->sections[MG_SC_BODIES];
    mg_buf_init(&body, MG_SNAP_SIZE_MAX);
    rc = MG_OK;

    for (i = 0; i < MG_CATALOG_BODY_N && rc == MG_OK; i++) {
        body.len = 0;

        if (i == MG_CATALOG_BODY_PROVIDERS) {
            mg_catalog_provider_list(b, &body);

        } else {
            mg_catalog_first_page(b, &body);
        }

        if (body.failed) {
            rc = mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
            break;
        }

        mg_buf_str(out, mg_buf_view(&body));
        meta->bodies[2 * i + 1] = (uint32_t) out->len;

        rc = mg_gzip(out, mg_buf_view(&body), MG_CATALOG_GZIP_LEVEL, e);
        meta->bodies[2 * i + 2] = (uint32_t) out->len;
    }

    mg_buf_free(&body);

    return rc;
}


static void
mg_catalog_first_page(const mg_catalog_builder_t *b, mg_buf_t *body)
{
    uint32_t        n;
    mg_sc_model_t  *m;

    n = b->n_active < MG_CATALOG_PAGE_LIMIT ? b->n_active
                                            : MG_CATALOG_PAGE_LIMIT;

    mg_buf_z(body, "{\"models\":[");

    /* items end in a comma; the last one's is left out */

    if (n != 0 && !b->sections[MG_SC_MODELS].failed) {
        m = (mg_sc_model_t *) (void *) b->sections[MG_SC_MODELS].data;
        mg_buf_add(body, b->sections[MG_SC_ITEMS].data, m[n].item - 1);
    }

    mg_render_list_end(body, 1, MG_CATALOG_PAGE_LIMIT, b->n_active);
}


/* All of them on one page. */

static void
mg_catalog_provider_list(const mg_catalog_builder_t *b, mg_buf_t *body)
{
    uint32_t           i;
    mg_sc_provider_t  *p;

    mg_buf_z(body, "{\"providers\":[");

    if (b->sections[MG_SC_PROVIDERS].failed) {
        return;
    }

    p = (mg_sc_provider_t *) (void *) b->sections[MG_SC_PROVIDERS].data;

    for (i = 0; i < b->n_providers; i++) {
        if (i != 0) {
            mg_buf_char(body, ',');
        }

        mg_buf_add(body,
                   b->sections[MG_SC_PROVIDER_ITEMS].data + p[i].item,
                   p[i + 1].item - p[i].item);
    }

    mg_render_list_end(body, 1, b->n_providers, b->n_providers);
}
