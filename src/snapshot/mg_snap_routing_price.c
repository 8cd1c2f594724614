/*
 * mg_snap_routing_price.c: what the models of groups cost, in the snapshot.
 *
 * A list of prices a model, sorted by organisation and id; variants point to
 * theirs, so the log phase counts without looking anything up.  The lists
 * are of fixed size and lie in the file as mg_cost_count() takes them.
 *
 * Building: pool threads.  The check reads the image alone.
 */

#include <endian.h>
#include <stdlib.h>

#include "base/mg_hash.h"
#include "base/mg_jw.h"
#include "model/mg_price_list.h"
#include "snapshot/mg_snap_routing_build.h"


static int mg_routing_price_cmp(const void *one, const void *two);
static int mg_sr_price_ok(const int64_t *price);


int
mg_routing_builder_prices(mg_routing_builder_t *b, mg_str_t org_id,
    mg_str_t model_id, const mg_cost_prices_t *prices, mg_error_t *e)
{
    mg_buf_t             list;
    mg_routing_price_t  *row;

    row = mg_routing_row_add(b, &b->prices, sizeof(mg_routing_price_t), e);
    if (row == NULL) {
        return MG_ERROR;
    }

    mg_buf_init(&list, 0);
    mg_price_list_write(&list, prices);

    row->org_id = mg_arena_dup(b->arena, org_id);
    row->model_id = mg_arena_dup(b->arena, model_id);
    row->list = mg_arena_dup(b->arena, mg_buf_view(&list));
    row->prices = *prices;
    row->version = mg_price_list_version(row->list);

    mg_buf_free(&list);

    if (row->org_id.data == NULL || row->model_id.data == NULL
        || row->list.data == NULL)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


void
mg_routing_prices_write(mg_routing_builder_t *b)
{
    uint32_t             i;
    mg_routing_price_t  *row;

    if (b->prices.n > 1) {
        qsort(b->prices.rows, b->prices.n, sizeof(void *),
              mg_routing_price_cmp);
    }

    for (i = 0; i < b->prices.n; i++) {
        row = b->prices.rows[i];
        mg_buf_add(&b->sections[MG_SR_PRICES], &row->prices,
                   sizeof(mg_cost_prices_t));
    }
}


int
mg_routing_builder_versions(const mg_routing_builder_t *b, mg_buf_t *out)
{
    char                 version[17];
    mg_jw_t              w;
    uint32_t             i;
    uint64_t             big;
    mg_routing_price_t  *row;

    mg_jw_init(&w, out);
    mg_jw_array(&w, NULL);

    for (i = 0; i < b->prices.n; i++) {
        row = b->prices.rows[i];

        if (row->version == 0) {
            continue;
        }

        big = htobe64(row->version);
        mg_hex((uint8_t *) &big, sizeof(uint64_t), version);

        mg_jw_object(&w, NULL);
        mg_jw_z(&w, "version", version);
        mg_jw_str(&w, "org_id", row->org_id);
        mg_jw_raw(&w, "prices", row->list);
        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);

    return out->failed ? MG_ERROR : MG_OK;
}


uint32_t
mg_routing_prices_find(const mg_routing_builder_t *b, mg_str_t org_id,
    mg_str_t model_id, uint64_t *version)
{
    void                *key, **found;
    mg_routing_price_t   row;

    row.org_id = org_id;
    row.model_id = model_id;
    key = &row;

    found = b->prices.n ? bsearch(&key, b->prices.rows, b->prices.n,
                                  sizeof(void *), mg_routing_price_cmp)
                        : NULL;

    *version = 0;

    if (found == NULL) {
        return MG_SR_NO_PRICES;
    }

    *version = ((const mg_routing_price_t *) *found)->version;

    return (uint32_t) (found - b->prices.rows);
}


static int
mg_routing_price_cmp(const void *one, const void *two)
{
    int                        rc;
    const mg_routing_price_t  *a, *b;

    a = *(void * const *) one;
    b = *(void * const *) two;

    rc = mg_str_cmp(a->org_id, b->org_id);

    return rc ? rc : mg_str_cmp(a->model_id, b->model_id);
}


/* -- check -- */

int
mg_sr_prices_check(const mg_snap_t *s, mg_error_t *e)
{
    int                      ok;
    int64_t                  t;
    uint32_t                 i, n;
    const mg_cost_prices_t  *p;

    n = mg_snap_section_n(s, MG_SR_PRICES);
    p = mg_snap_section(s, MG_SR_PRICES);

    for (i = 0; i < n; i++, p++) {
        ok = mg_sr_price_ok(p->price)
             && p->tiers_n >= 0 && p->tiers_n <= MG_COST_TIERS_MAX;

        for (t = 0; ok && t < p->tiers_n; t++) {
            ok = mg_sr_price_ok(p->tiers[t].price)
                 && p->tiers[t].size >= 0
                 && (t == 0 || p->tiers[t].size > p->tiers[t - 1].size);
        }

        if (!ok) {
            return mg_snap_damaged(s, "price list", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sr_price_ok(const int64_t *price)
{
    unsigned  i;

    for (i = 0; i < MG_COST_PRICES; i++) {
        if (price[i] < 0 && price[i] != MG_UNKNOWN) {
            return 0;
        }
    }

    return 1;
}
