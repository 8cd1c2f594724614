/*
 * Snapshot images with a right checksum and anything else wrong: whatever
 * verifies must be safe to ask everything, without a read outside of its
 * bytes.
 *
 * Input: one byte of mode, then patches of a good image, eight bytes each
 * (where, how wide, what), or the bytes of a whole image.
 */

#include <stdlib.h>

#include "base/mg_hash.h"
#include "snap_sample.h"
#include "snapshot/mg_snap_layout.h"


#define PATCH   8


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static uint64_t  eaten;


/* Touches each byte, so that the sanitizer sees where it lies. */

static void
eat(mg_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        eaten += (unsigned char) s.data[i];
    }
}


static void
ask_catalog(const mg_snap_t *s)
{
    int                 capability, type;
    uint32_t            i, page_no;
    mg_str_t            a, b;
    mg_catalog_page_t   page;
    mg_catalog_query_t  q;

    static const char  *ids[] = {
        "ab/zeta", "ab/gone", "ab/Alpha/Big:1@x~y", "", "zz", "ab", "none"
    };

    static const char  *searches[] = { "", "a", "zeta one", "e t h", "~y" };

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (mg_catalog_model(s, mg_str_z(ids[i]), &a, &b) == MG_OK) {
            eat(a);
            eat(b);
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

    for (i = 0; i < 5 * 3 * 3 * 3; i++) {
        capability = (int) (i % 3) - 1;
        type = (int) (i / 3 % 3) - 1;

        memset(&q, 0, sizeof(mg_catalog_query_t));
        q.provider = i / 9 % 3 == 1 ? mg_str("ab") : mg_str_null;
        q.capability = capability;
        q.type = type;
        q.search = mg_str_z(searches[i / 27]);
        q.limit = i / 9 % 3 == 2 ? 2 : 1000;

        for (page_no = 1; page_no < 4; page_no++) {
            q.page = page_no;
            mg_catalog_list(s, &q, &page);

            for (uint32_t j = 0; j < page.n_runs; j++) {
                eat(page.runs[j]);

                if (page.runs[j].data[page.runs[j].len - 1] != ',') {
                    abort();
                }
            }
        }
    }

    eaten += mg_catalog_models(s) + mg_catalog_providers(s);
}


static void
ask_routing(const mg_snap_t *s)
{
    uint8_t               bytes[32];
    uint32_t              i, n;
    mg_str_t              body;
    mg_routing_group_t    g;
    mg_routing_token_t    t;
    mg_routing_backend_t  b;
    mg_routing_variant_t  v;

    memset(bytes, 0, sizeof(bytes));
    bytes[15] = 2;

    for (n = 0; n < 3; n++) {
        if (mg_routing_group(s, n == 2 ? mg_str("x") : mg_str("assistant"),
                             n ? bytes : NULL, &g)
            != MG_OK)
        {
            continue;
        }

        eat(g.id);
        eat(g.org_id);
        eat(g.name);
        eat(g.table);

        for (i = 0; g.n_ranges != 0 && i < MG_SPLIT_BUCKETS; i += 7) {
            if (mg_split_variant(g.ranges, g.n_ranges, i) >= g.n_variants) {
                abort();
            }
        }

        for (i = 0; i < g.n_variants; i++) {
            mg_routing_variant(s, &g, i, &v);
            eat(v.model_id);
            eat(v.upstream_model);

            if (v.backend != UINT32_MAX
                && v.backend >= mg_routing_backends(s))
            {
                abort();
            }
        }
    }

    for (i = 0; i < mg_routing_backends(s); i++) {
        mg_routing_backend(s, i, &b);
        eat(b.id);
        eat(b.org_id);
        eat(b.protocol);
        eat(b.scheme);
        eat(b.host);
        eat(b.host_port);
        eat(b.path);
        eat(b.key_sealed);

        for (n = 0; n < b.n_addrs; n++) {
            eat(mg_str_n((const char *) &b.addrs[n], b.addr_lens[n]));
        }
    }

    memset(bytes, 0xab, sizeof(bytes));

    if (mg_routing_token(s, bytes, &t) == MG_OK) {
        eat(t.id);
    }

    mg_routing_models(s, 0, &body);
    eat(body);
    mg_routing_models(s, 1, &body);
    eat(body);

    eaten += mg_routing_groups(s);
}


static void
patch(char *image, size_t len, const uint8_t *data, size_t size)
{
    size_t    at, width;
    uint32_t  where;

    for ( /* void */ ; size >= PATCH; data += PATCH, size -= PATCH) {
        memcpy(&where, data, 3);
        at = (where & 0xffffff) % len;

        /* offsets and lengths are four bytes wide, at multiples of four */

        width = data[3] & 4 ? 4 : 1;
        at -= width == 4 ? at % 4 : 0;

        if (data[3] & 8) {
            image[at] = (char) (image[at] + (int8_t) data[4]);

        } else {
            memcpy(image + at, data + 4, width);
        }
    }
}


static void
frame(char *image, size_t len)
{
    size_t            skip;
    mg_checksum_t     c;
    mg_snap_header_t  h;

    skip = offsetof(mg_snap_header_t, checksum) + sizeof(uint64_t);

    memcpy(&h, image, sizeof(h));
    h.magic = MG_SNAP_MAGIC;
    h.version = MG_SNAP_VERSION;
    h.header_len = sizeof(h);
    h.file_len = len;
    memcpy(image, &h, sizeof(h));

    mg_checksum_init(&c);
    mg_checksum_add(&c, image + skip, len - skip);
    h.checksum = mg_checksum_end(&c);
    memcpy(image, &h, sizeof(h));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             *image;
    size_t            len;
    unsigned          kind;
    mg_snap_t         s;
    static mg_str_t   good[3];

    if (good[1].data == NULL) {
        good[MG_SNAP_CATALOG] = sample_catalog(1);
        good[MG_SNAP_ROUTING] = sample_routing(1);
    }

    if (size == 0) {
        return 0;
    }

    kind = data[0] & 1 ? MG_SNAP_CATALOG : MG_SNAP_ROUTING;
    len = data[0] & 2 ? size - 1 : good[kind].len;

    /* just its size: a byte more is an overflow */

    image = malloc(len ? len : 1);

    if (data[0] & 2) {
        memcpy(image, data + 1, len);

    } else {
        memcpy(image, good[kind].data, len);
        patch(image, len, data + 1, size - 1);
    }

    if (len >= sizeof(mg_snap_header_t)) {
        frame(image, len);
    }

    if (mg_snap_verify(mg_str_n(image, len), kind, NULL) == MG_OK) {
        memset(&s, 0, sizeof(mg_snap_t));
        s.base = image;
        s.size = len;
        s.header = (const void *) image;

        if (kind == MG_SNAP_CATALOG) {
            ask_catalog(&s);

        } else {
            ask_routing(&s);
        }
    }

    free(image);

    return 0;
}
