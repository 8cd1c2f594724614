/*
 * ngx_http_model_catalog_compare.c: models side by side.
 *
 *     ?ids=a/x,b/y   or   ?ids=a/x&ids=b/y   or both mixed
 *
 * Two to ten models; each must be there, and stand once.  The table is
 * written by mg_compare.c from the texts in the snapshot; members that only
 * say where a model comes from make no row.
 *
 * Event loop; ten texts of some kilobytes each are walked once.
 */

#include "http/ngx_http_model_catalog.h"
#include "model/mg_compare.h"


static ngx_int_t ngx_http_model_compare_ids(ngx_http_model_ask_t *ask,
    mg_compare_model_t *models, ngx_uint_t *n);
static ngx_int_t ngx_http_model_compare_split(mg_str_t list,
    mg_compare_model_t *models, ngx_uint_t *n, mg_error_t *e);


static const char * const  ngx_http_model_compare_skip[] = {
    "source", "sources", "provenance", "details", "benchmarks", NULL
};


ngx_int_t
ngx_http_model_catalog_compare(ngx_http_model_ask_t *ask)
{
    mg_buf_t             b;
    mg_snap_t           *snap;
    ngx_uint_t           i, n;
    mg_compare_model_t   models[MG_COMPARE_MAX], *m;

    snap = ngx_http_model_catalog_snap(ask, MG_SNAP_CATALOG);

    if (snap == NULL
        || ngx_http_model_compare_ids(ask, models, &n) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        m = &models[i];

        if (mg_catalog_model(snap, m->id, &m->item, &m->more) != MG_OK) {
            return ngx_http_model_catalog_missing(&ask->error, "ids",
                                                  "model", m->id);
        }
    }

    mg_buf_init(&b, 0);

    if (mg_compare_write(&b, models, n, ngx_http_model_compare_skip,
                         &ask->error)
        != MG_OK)
    {
        mg_buf_free(&b);
        return NGX_DECLINED;
    }

    return ngx_http_model_catalog_text(ask->request, snap, &b, 0);
}


static ngx_int_t
ngx_http_model_compare_ids(ngx_http_model_ask_t *ask,
    mg_compare_model_t *models, ngx_uint_t *n)
{
    ngx_uint_t  i;

    *n = 0;

    for (i = 0; i < ask->n_query; i++) {
        if (ngx_http_model_compare_split(ask->query[i].value, models, n,
                                         &ask->error)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (*n >= MG_COMPARE_MIN) {
        return NGX_OK;
    }

    (void) mg_error_set(&ask->error, MG_E_INVALID, "ids",
                        "ids names %u models; give %d to %d, as in "
                        "ids=a/x,b/y", (unsigned) *n, MG_COMPARE_MIN,
                        MG_COMPARE_MAX);

    return NGX_DECLINED;
}


/* Empty parts (a comma at the end) are nobody's id and left out. */

static ngx_int_t
ngx_http_model_compare_split(mg_str_t list, mg_compare_model_t *models,
    ngx_uint_t *n, mg_error_t *e)
{
    size_t       len;
    mg_str_t     id;
    ngx_uint_t   i;
    const char  *p, *end, *comma;

    end = list.data + list.len;

    for (p = list.data; p < end; p += len + 1) {
        comma = memchr(p, ',', end - p);
        len = (comma ? comma : end) - p;
        id = mg_str_n(p, len);

        if (len == 0) {
            continue;
        }

        for (i = 0; i < *n; i++) {
            if (mg_str_eq(models[i].id, id)) {
                (void) mg_error_set(e, MG_E_INVALID, "ids",
                                    "ids names \"%.*s\" twice",
                                    (int) ngx_min(len,
                                               NGX_HTTP_MODEL_CATALOG_CUT),
                                    p);
                return NGX_DECLINED;
            }
        }

        if (*n == MG_COMPARE_MAX) {
            (void) mg_error_set(e, MG_E_INVALID, "ids",
                                "ids names more than %d models; give %d to "
                                "%d", MG_COMPARE_MAX, MG_COMPARE_MIN,
                                MG_COMPARE_MAX);
            return NGX_DECLINED;
        }

        models[(*n)++].id = id;
    }

    return NGX_OK;
}
