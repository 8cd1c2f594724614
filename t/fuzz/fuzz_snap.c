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
#include "snap_ask.h"
#include "snap_sample.h"


#define PATCH   8


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
ask_routing(const mg_snap_t *s)
{
    uint8_t               bytes[32];
    uint32_t              i, n;
    mg_str_t              body;
    mg_routing_group_t    g;
    mg_str_t              name, value;
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
        eat(b.headers);

        while (mg_routing_header(&b.headers, &name, &value)) {
            eat(name);
            eat(value);
        }

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

    asked_bytes += mg_routing_groups(s);
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
    mg_snap_header_t  h;

    skip = offsetof(mg_snap_header_t, checksum) + sizeof(uint64_t);

    memcpy(&h, image, sizeof(h));
    h.magic = MG_SNAP_MAGIC;
    h.version = MG_SNAP_VERSION;
    h.header_len = sizeof(h);
    h.file_len = len;
    memcpy(image, &h, sizeof(h));

    h.checksum = mg_sum64(image + skip, len - skip);
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
        s = ask_view(mg_str_n(image, len));

        if (kind == MG_SNAP_CATALOG) {
            ask_catalog(&s);

        } else {
            ask_routing(&s);
        }
    }

    free(image);

    return 0;
}
