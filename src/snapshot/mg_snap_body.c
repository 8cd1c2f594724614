/*
 * mg_snap_body.c: the answers that lie ready in a catalog snapshot.
 *
 * Whole documents, each as it is and as gzip: the list of providers, the
 * first page of models, and the catalog in models.dev's shape.  What workers
 * send for them are bytes of the file.  One that would be larger than all
 * reason is left out (its length is 0) rather than that the catalog could
 * not be published at all.
 *
 * Called by the builder when the sections of records are written; pool
 * threads; appends to the section of bodies.
 */

#include "base/mg_gzip.h"
#include "base/mg_priority.h"
#include "snapshot/mg_snap_catalog_build.h"
#include "snapshot/mg_snap_render.h"


#define MG_CATALOG_GZIP_LEVEL   6

/* Above this a body is compressed faster and less, ... */
#define MG_CATALOG_GZIP_LARGE   ((size_t) 16 * 1024 * 1024)
#define MG_CATALOG_GZIP_FAST    1

/* ... and above this it is not kept ready. */
#define MG_CATALOG_BODY_MAX     ((size_t) 128 * 1024 * 1024)


typedef void (*mg_catalog_body_pt)(const mg_catalog_builder_t *b,
    mg_buf_t *body);

static void mg_catalog_bodies_run(void *data);
static int mg_catalog_bodies_write(mg_catalog_builder_t *b,
    mg_sc_meta_t *meta, mg_error_t *e);
static void mg_catalog_first_page(const mg_catalog_builder_t *b,
    mg_buf_t *body);
static void mg_catalog_provider_list(const mg_catalog_builder_t *b,
    mg_buf_t *body);
static void mg_catalog_api_json(const mg_catalog_builder_t *b,
    mg_buf_t *body);


/* In the order of mg_catalog_body_e. */
static const mg_catalog_body_pt  mg_catalog_body_writers[] = {
    mg_catalog_provider_list,
    mg_catalog_first_page,
    mg_catalog_api_json
};


/*
 * Compressing takes as long as the index and the columns together, and both
 * only read what the builder has by then: so they go side by side.
 */

void
mg_catalog_bodies_begin(mg_catalog_bodies_t *w, mg_catalog_builder_t *b,
    mg_sc_meta_t *meta)
{
    w->builder = b;
    w->meta = meta;

    mg_aside_begin(&w->aside, mg_catalog_bodies_run, w);
}


int
mg_catalog_bodies_end(mg_catalog_bodies_t *w, mg_error_t *e)
{
    mg_aside_end(&w->aside);

    if (w->rc != MG_OK && e) {
        *e = w->error;
    }

    return w->rc;
}


static void
mg_catalog_bodies_run(void *data)
{
    mg_catalog_bodies_t  *w;

    w = data;
    w->rc = mg_catalog_bodies_write(w->builder, w->meta, &w->error);
}


static int
mg_catalog_bodies_write(mg_catalog_builder_t *b, mg_sc_meta_t *meta,
    mg_error_t *e)
{
    int       rc, level;
    unsigned  i;
    mg_buf_t  body, *out;

    out = &b->sections[MG_SC_BODIES];
    mg_buf_init(&body, MG_SNAP_SIZE_MAX);
    rc = MG_OK;

    for (i = 0; i < MG_CATALOG_BODY_N && rc == MG_OK; i++) {
        body.len = 0;
        mg_catalog_body_writers[i](b, &body);

        if (body.failed) {
            rc = mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
            break;
        }

        if (body.len <= MG_CATALOG_BODY_MAX) {
            mg_buf_str(out, mg_buf_view(&body));
        }

        meta->bodies[2 * i + 1] = (uint32_t) out->len;

        if (body.len <= MG_CATALOG_BODY_MAX) {
            level = body.len < MG_CATALOG_GZIP_LARGE ? MG_CATALOG_GZIP_LEVEL
                                                     : MG_CATALOG_GZIP_FAST;
            rc = mg_gzip(out, mg_buf_view(&body), level, e);
        }

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


static void
mg_catalog_api_json(const mg_catalog_builder_t *b, mg_buf_t *body)
{
    uint32_t                   i, j;
    mg_sc_provider_t          *p;
    const mg_catalog_entry_t  *entry;

    mg_buf_char(body, '{');

    if (b->sections[MG_SC_PROVIDERS].failed) {
        return;
    }

    p = (mg_sc_provider_t *) (void *) b->sections[MG_SC_PROVIDERS].data;

    for (i = 0; i < b->n_providers; i++) {
        if (i != 0) {
            mg_buf_char(body, ',');
        }

        mg_api_json_provider(body, &b->providers[i], b->scratch);

        for (j = p[i].first; j < p[i].first + p[i].n; j++) {
            if (j != p[i].first) {
                mg_buf_char(body, ',');
            }

            mg_priority_breathe();

            entry = &b->entries[j];
            mg_buf_add(body, b->api.data + entry->api.off, entry->api.len);
        }

        mg_buf_z(body, "}}");
    }

    mg_buf_char(body, '}');
}
