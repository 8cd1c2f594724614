/*
 * mg_snap_catalog_check.c: whether a catalog snapshot holds what it says.
 *
 * Its own check behind the frame's: whatever a query follows (offsets,
 * order of ids, runs of providers, ends of items, bodies) is looked at
 * here, once, so that no query looks again.  The rules are those of the
 * layout: offsets only rise and end at the end of their section, ids rise
 * strictly, a provider's run is exactly the models that bear its name.
 *
 * Pool threads; reads the image alone.
 */

#include "base/mg_priority.h"
#include "snapshot/mg_snap_catalog_layout.h"


static int mg_sc_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_meta_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_offsets_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_models_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_texts_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_providers_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sc_bears(mg_str_t id, mg_str_t provider);
static int mg_sc_object_ok(mg_str_t json);


/* In the order of mg_sc_section_e. */
static const uint32_t  mg_sc_elements[MG_SC_N] = {
    sizeof(mg_sc_meta_t),

    sizeof(uint32_t),
    sizeof(mg_sc_modes_t),
    sizeof(uint32_t),
    sizeof(int64_t),
    sizeof(int64_t),
    sizeof(int64_t),
    sizeof(uint32_t),
    sizeof(uint32_t),
    1,

    sizeof(mg_sc_model_t),
    sizeof(mg_sc_provider_t),
    1,
    1,
    1,
    1,
    1,

    sizeof(uint32_t),
    1,
    sizeof(uint32_t),
    sizeof(mg_sc_word_t),
    1,
    sizeof(mg_sc_gram_t),
    sizeof(uint32_t),
    sizeof(mg_sc_typo_t),
    sizeof(uint32_t),

    1
};


const mg_snap_kind_t  mg_snap_catalog_kind = {
    MG_SNAP_CATALOG,
    MG_SNAP_CATALOG_FILE,
    MG_SC_N,
    mg_sc_elements,
    mg_sc_check
};


static int
mg_sc_check(const mg_snap_t *s, mg_error_t *e)
{
    if (mg_sc_meta_check(s, e) != MG_OK
        || mg_sc_offsets_check(s, e) != MG_OK
        || mg_sc_models_check(s, e) != MG_OK
        || mg_sc_texts_check(s, e) != MG_OK
        || mg_sc_providers_check(s, e) != MG_OK
        || mg_sc_index_check(s, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_sc_meta_check(const mg_snap_t *s, mg_error_t *e)
{
    unsigned             i;
    const mg_sc_meta_t  *meta;

    if (mg_snap_section_n(s, MG_SC_META) != 1) {
        return mg_snap_damaged(s, "meta section", 0, e);
    }

    meta = mg_sc_meta(s);

    if (meta->n_active > meta->n_models
        || meta->n_active > MG_SC_ACTIVE_MAX
        || mg_snap_section_n(s, MG_SC_MODELS) != meta->n_models + 1ULL
        || mg_snap_section_n(s, MG_SC_TEXTS) != meta->n_active + 1ULL
        || mg_snap_section_n(s, MG_SC_PROVIDERS) != meta->n_providers + 1ULL)
    {
        return mg_snap_damaged(s, "number of models", meta->n_models, e);
    }

    for (i = 0; i < 2 * MG_CATALOG_BODY_N; i++) {
        if (meta->bodies[i] > meta->bodies[i + 1]) {
            return mg_snap_damaged(s, "body", i, e);
        }
    }

    if (meta->bodies[0] != 0
        || meta->bodies[i] != mg_snap_section_len(s, MG_SC_BODIES))
    {
        return mg_snap_damaged(s, "body", i, e);
    }

    return MG_OK;
}


/* Each offset at or behind the one before, the last at the section's end. */

static int
mg_sc_offsets_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t                 i, n;
    const mg_sc_model_t     *m;
    const mg_sc_provider_t  *p;

    n = mg_sc_meta(s)->n_models;
    m = mg_snap_section(s, MG_SC_MODELS);

    for (i = 0; i < n; i++) {
        if (m[i].id > m[i + 1].id || m[i].item > m[i + 1].item
            || m[i].more > m[i].marks || m[i].marks > m[i + 1].more)
        {
            return mg_snap_damaged(s, "model", i, e);
        }
    }

    if (m[0].id != 0 || m[0].item != 0 || m[0].more != 0
        || m[n].id != mg_snap_section_len(s, MG_SC_IDS)
        || m[n].item != mg_snap_section_len(s, MG_SC_ITEMS)
        || m[n].more != mg_snap_section_len(s, MG_SC_MORE))
    {
        return mg_snap_damaged(s, "model", n, e);
    }

    n = mg_sc_meta(s)->n_providers;
    p = mg_snap_section(s, MG_SC_PROVIDERS);

    for (i = 0; i < n; i++) {
        if (p[i].id > p[i + 1].id || p[i].item > p[i + 1].item) {
            return mg_snap_damaged(s, "provider", i, e);
        }
    }

    if (p[0].id != 0 || p[0].item != 0
        || p[n].id != mg_snap_section_len(s, MG_SC_PROVIDER_IDS)
        || p[n].item != mg_snap_section_len(s, MG_SC_PROVIDER_ITEMS))
    {
        return mg_snap_damaged(s, "provider", n, e);
    }

    return MG_OK;
}


static int
mg_sc_models_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t              i;
    mg_str_t              item, more, marks;
    const mg_sc_meta_t   *meta;
    const mg_sc_model_t  *m;

    meta = mg_sc_meta(s);
    m = mg_snap_section(s, MG_SC_MODELS);

    for (i = 0; i < meta->n_models; i++) {
        mg_priority_breathe();

        item = mg_sc_span(s, MG_SC_ITEMS, m[i].item, m[i + 1].item);
        more = mg_sc_span(s, MG_SC_MORE, m[i].more, m[i + 1].more);
        marks = mg_sc_span(s, MG_SC_MORE, m[i].marks, m[i + 1].more);

        if (m[i].id == m[i + 1].id
            || item.len == 0 || item.data[item.len - 1] != ','
            || !mg_sc_object_ok(mg_str_n(item.data, item.len - 1))
            || more.data[0] != ',' || marks.len < 2
            || marks.data[0] != '[' || marks.data[marks.len - 1] != ']')
        {
            return mg_snap_damaged(s, "model", i, e);
        }

        if (i != 0 && i != meta->n_active
            && mg_str_cmp(mg_sc_id(s, i - 1), mg_sc_id(s, i)) >= 0)
        {
            return mg_snap_damaged(s, "order of model", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sc_texts_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t         i, n;
    mg_str_t         blob;
    const uint32_t  *texts;

    n = mg_sc_meta(s)->n_active;
    texts = mg_snap_section(s, MG_SC_TEXTS);
    blob = mg_snap_section_str(s, MG_SC_TEXT);

    if (texts[0] != 0 || texts[n] != blob.len) {
        return mg_snap_damaged(s, "search text", n, e);
    }

    /* a line break at the end of each: no word reaches into the next */

    for (i = 0; i < n; i++) {
        if (texts[i] >= texts[i + 1] || texts[i + 1] > blob.len
            || blob.data[texts[i + 1] - 1] != '\n')
        {
            return mg_snap_damaged(s, "search text", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sc_providers_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t                 i, j, end, n_active;
    mg_str_t                 id;
    const mg_sc_provider_t  *p;

    n_active = mg_sc_meta(s)->n_active;
    p = mg_snap_section(s, MG_SC_PROVIDERS);

    for (i = 0; i < mg_sc_meta(s)->n_providers; i++) {
        id = mg_sc_provider_id(s, i);

        if (id.len == 0 || !mg_snap_span_ok(p[i].first, p[i].n, n_active)
            || !mg_sc_object_ok(mg_sc_span(s, MG_SC_PROVIDER_ITEMS,
                                           p[i].item, p[i + 1].item)))
        {
            return mg_snap_damaged(s, "provider", i, e);
        }

        if (i != 0 && mg_str_cmp(mg_sc_provider_id(s, i - 1), id) >= 0) {
            return mg_snap_damaged(s, "order of provider", i, e);
        }

        end = p[i].first + p[i].n;

        for (j = p[i].first; j < end; j++) {
            if (!mg_sc_bears(mg_sc_id(s, j), id)) {
                return mg_snap_damaged(s, "run of provider", i, e);
            }
        }

        if ((p[i].first > 0 && mg_sc_bears(mg_sc_id(s, p[i].first - 1), id))
            || (end < n_active && mg_sc_bears(mg_sc_id(s, end), id)))
        {
            return mg_snap_damaged(s, "run of provider", i, e);
        }
    }

    return MG_OK;
}


/* 1 if the id begins with the provider's and a slash. */

static int
mg_sc_bears(mg_str_t id, mg_str_t provider)
{
    return id.len > provider.len + 1 && id.data[provider.len] == '/'
           && memcmp(id.data, provider.data, provider.len) == 0;
}


static int
mg_sc_object_ok(mg_str_t json)
{
    return json.len >= 2 && json.data[0] == '{'
           && json.data[json.len - 1] == '}';
}
