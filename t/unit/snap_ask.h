/*
 * Everything that the queries of a catalog can be brought to read, each byte
 * of it touched, so that a sanitizer sees where it lies: for images that
 * verified although something in them was changed.
 */

#ifndef SNAP_ASK_H
#define SNAP_ASK_H

#include <stdio.h>
#include <stdlib.h>

#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_layout.h"


#define ASK_UNUSED     __attribute__((unused))
#define ASK_SEARCHES   11


static uint64_t  asked_bytes;


static ASK_UNUSED void
eat(mg_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        asked_bytes += (unsigned char) s.data[i];
    }
}


/* An image in memory, as a mapped one is. */

static ASK_UNUSED mg_snap_t
ask_view(mg_str_t image)
{
    mg_snap_t  s;

    memset(&s, 0, sizeof(mg_snap_t));
    s.base = image.data;
    s.size = image.len;
    s.header = (const void *) image.data;
    s.fd = -1;

    return s;
}


/* What a builder has, verified; it owns the bytes. */

static ASK_UNUSED mg_snap_t
ask_build(mg_catalog_builder_t *b)
{
    mg_str_t    image;
    mg_error_t  e;

    if (mg_catalog_builder_finish(b, &image, &e) != MG_OK
        || mg_snap_verify(image, MG_SNAP_CATALOG, &e) != MG_OK)
    {
        printf("Bail out! %s\n", e.message);
        exit(1);
    }

    return ask_view(image);
}


static ASK_UNUSED void
ask_lists(const mg_snap_t *s)
{
    uint32_t            i, j;
    mg_catalog_query_t  q;

    static mg_catalog_page_t  page;

    static const char  *searches[ASK_SEARCHES] = {
        NULL, "zeta", "ab/zeta", "a", "e o", "/", "zet-one", "one tab",
        "zeto", "alpha/big:1@x~y", "thre3"
    };

    for (i = 0; i < 3 * ASK_SEARCHES; i++) {
        mg_catalog_query_init(&q);

        q.search = mg_str_z(searches[i % ASK_SEARCHES]);
        q.sort = (int) (i % MG_SORT_N);
        q.descending = i / MG_SORT_N == 1;
        q.provider = i % 5 == 4 ? mg_str("ab") : mg_str_null;
        q.capability = i % 7 == 6 ? MG_CAP_VISION : -1;
        q.page = 1 + i % 2;
        q.limit = i % 2 ? 2 : 1000;

        if (i / ASK_SEARCHES == 2) {
            q.family = i % 2 ? mg_str("zeta") : mg_str_null;
            q.modality = i % 3 ? mg_str("image") : mg_str_null;
            q.min_context = i % 5 ? 1 : MG_UNKNOWN;
            q.max_input_price = INT64_MAX;
        }

        mg_catalog_list(s, &q, &page);

        for (j = 0; j < page.n_runs; j++) {
            eat(page.runs[j]);

            if (page.runs[j].data[page.runs[j].len - 1] != ',') {
                abort();
            }
        }
    }
}


static ASK_UNUSED void
ask_catalog(const mg_snap_t *s)
{
    uint32_t  i;
    mg_str_t  a, b;

    static const char  *ids[] = {
        "ab/zeta", "ab/gone", "ab/Alpha/Big:1@x~y", "", "zz", "ab", "none"
    };

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (mg_catalog_model(s, mg_str_z(ids[i]), &a, &b) == MG_OK) {
            eat(a);
            eat(b);
            (void) mg_catalog_benchmarks(s, mg_str_z(ids[i]), &a);
            eat(a);
        }

        if (mg_catalog_provider(s, mg_str_z(ids[i]), &a) == MG_OK) {
            eat(a);
        }
    }

    for (i = 0; i < mg_catalog_providers(s); i++) {
        eat(mg_catalog_provider_at(s, i));
    }

    for (i = 0; i < 2 * MG_CATALOG_BODY_N; i++) {
        mg_catalog_body(s, (mg_catalog_body_e) (i / 2), i % 2, &a);
        eat(a);
    }

    ask_lists(s);

    asked_bytes += mg_catalog_models(s) + mg_catalog_providers(s);
}


#endif /* SNAP_ASK_H */
