/*
 * mg_snap_routing.c: look-ups in a routing snapshot.
 *
 * What the data plane asks for each request: a group by name, a token by
 * digest (one hash and a few steps each), then variants and backends by
 * index.  Results point into the mapping.
 *
 * Event loop; never allocates, never blocks; indices were checked when the
 * file was published.
 */

#include "base/mg_hash.h"
#include "base/mg_time.h"
#include "model/mg_path.h"
#include "snapshot/mg_snap_routing_layout.h"


static mg_str_t mg_routing_str(const mg_snap_t *s, mg_snap_ref_t ref);


/* -- groups -- */

int
mg_routing_group(const mg_snap_t *s, mg_str_t name, const uint8_t *org_bytes,
    mg_routing_group_t *g)
{
    uint32_t   i;
    mg_uuid_t  org;

    if (name.len == 0 || name.len > MG_GROUP_NAME_MAX) {
        return MG_DECLINED;
    }

    if (org_bytes == NULL) {
        if (mg_uuid_parse(mg_str(MG_ORG_DEFAULT), &org) != MG_OK) {
            return MG_DECLINED;
        }

        org_bytes = org.b;
    }

    i = mg_sr_group_find(s, org_bytes, name);

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    mg_routing_group_at(s, i, g);

    return MG_OK;
}


void
mg_routing_group_at(const mg_snap_t *s, uint32_t i, mg_routing_group_t *g)
{
    const mg_sr_group_t     *row;
    const mg_split_range_t  *ranges;

    row = mg_snap_section(s, MG_SR_GROUPS);
    row += i;

    ranges = mg_snap_section(s, MG_SR_RANGES);

    g->id = mg_routing_str(s, row->id);
    g->org_id = mg_routing_str(s, row->org_id);
    g->name = mg_routing_str(s, row->name);
    g->table = mg_routing_str(s, row->table);

    memcpy(g->id_bytes, row->id_bytes, 16);
    memcpy(g->org_bytes, row->org_bytes, 16);
    memcpy(g->salt, row->salt, MG_SPLIT_SALT_LEN);

    g->created_at = row->created_at;
    g->status = (mg_group_status_e) row->status;
    g->strategy = (mg_strategy_e) row->strategy;
    g->n_variants = row->n_variants;
    g->first_variant = row->first_variant;
    g->n_ranges = row->n_ranges;
    g->ranges = ranges + row->first_range;
    g->shadow_share = row->shadow_share;
    g->bodies = row->bodies;
    g->body_max = row->body_max;
    g->redact = mg_routing_str(s, row->redact);
}


void
mg_routing_variant(const mg_snap_t *s, const mg_routing_group_t *g,
    uint32_t i, mg_routing_variant_t *v)
{
    const mg_sr_variant_t   *row;
    const mg_cost_prices_t  *prices;

    row = mg_snap_section(s, MG_SR_VARIANTS);
    row += g->first_variant + i;
    prices = mg_snap_section(s, MG_SR_PRICES);

    v->model_id = mg_routing_str(s, row->model_id);
    v->upstream_model = mg_routing_str(s, row->upstream_model);
    v->role = (mg_member_role_e) row->role;
    v->share = row->share;
    v->backend = row->backend;
    v->prices = row->prices == MG_SR_NO_PRICES ? NULL : prices + row->prices;
    v->price_version = row->price_version;
}


uint32_t
mg_routing_groups(const mg_snap_t *s)
{
    return mg_snap_section_n(s, MG_SR_GROUPS);
}


void
mg_routing_models(const mg_snap_t *s, int gzip, mg_str_t *body)
{
    *body = mg_snap_section_str(s, gzip ? MG_SR_MODELS_GZIP : MG_SR_MODELS);
}


/* -- backends -- */

uint32_t
mg_routing_backends(const mg_snap_t *s)
{
    return mg_snap_section_n(s, MG_SR_BACKENDS);
}


void
mg_routing_backend(const mg_snap_t *s, uint32_t i, mg_routing_backend_t *b)
{
    const uint32_t                 *lens;
    const mg_sr_backend_t          *row;
    const struct sockaddr_storage  *addrs;

    row = mg_snap_section(s, MG_SR_BACKENDS);
    row += i;

    addrs = mg_snap_section(s, MG_SR_ADDRS);
    lens = mg_snap_section(s, MG_SR_ADDR_LENS);

    b->id = mg_routing_str(s, row->id);
    b->org_id = mg_routing_str(s, row->org_id);
    b->protocol = mg_routing_str(s, row->protocol);
    b->scheme = mg_routing_str(s, row->scheme);
    b->host = mg_routing_str(s, row->host);
    b->host_port = mg_routing_str(s, row->host_port);
    b->path = mg_routing_str(s, row->path);
    b->key_sealed = mg_routing_str(s, row->key_sealed);
    b->headers = mg_routing_str(s, row->headers);
    b->paths = mg_routing_str(s, row->paths);
    b->probe = mg_routing_str(s, row->probe);
    b->stream_usage = row->stream_usage;

    b->index = i;
    b->identity = row->identity;
    b->connect_timeout_ms = row->connect_timeout_ms;
    b->read_timeout_ms = row->read_timeout_ms;

    b->n_addrs = row->n_addrs;
    b->addrs = addrs + row->first_addr;
    b->addr_lens = lens + row->first_addr;
}


int
mg_routing_header(mg_str_t *headers, mg_str_t *name, mg_str_t *value)
{
    const char  *p, *colon, *end, *last;

    if (headers->len == 0) {
        return 0;
    }

    p = headers->data;
    last = p + headers->len;

    end = memchr(p, '\n', headers->len);
    end = end ? end : last;

    *headers = mg_str_n(end, (size_t) (last - end));

    if (headers->len) {
        headers->data++;
        headers->len--;
    }

    colon = memchr(p, ':', (size_t) (end - p));

    if (colon == NULL || colon == p || end - colon < 2) {
        return 0;
    }

    *name = mg_str_n(p, (size_t) (colon - p));
    *value = mg_str_n(colon + 2, (size_t) (end - colon - 2));

    return 1;
}


mg_str_t
mg_routing_path(mg_str_t paths, mg_str_t path, mg_str_t *rest)
{
    return mg_path_find(paths, path, rest);
}


/* -- tokens -- */

int
mg_routing_token(const mg_snap_t *s, const uint8_t sha256[32],
    mg_routing_token_t *t)
{
    uint32_t              i;
    const mg_sr_token_t  *row;

    i = mg_sr_token_find(s, sha256);

    if (i == UINT32_MAX) {
        return MG_DECLINED;
    }

    row = mg_snap_section(s, MG_SR_TOKENS);
    row += i;

    t->id = mg_routing_str(s, row->id);
    memcpy(t->id_bytes, row->id_bytes, 16);
    memcpy(t->org_bytes, row->org_bytes, 16);
    t->role = (mg_role_e) row->role;
    t->expires_at = row->expires_at;

    return MG_OK;
}


/* -- hash tables -- */

uint64_t
mg_sr_group_hash(const uint8_t key[16], const uint8_t org_bytes[16],
    mg_str_t name)
{
    uint8_t  text[16 + MG_GROUP_NAME_MAX];

    memcpy(text, org_bytes, 16);
    memcpy(text + 16, name.data, name.len);

    return mg_siphash(key, text, 16 + name.len);
}


uint64_t
mg_sr_token_hash(const uint8_t key[16], const uint8_t sha256[32])
{
    return mg_siphash(key, sha256, 32);
}


uint32_t
mg_sr_group_find(const mg_snap_t *s, const uint8_t org_bytes[16],
    mg_str_t name)
{
    uint32_t              n, slot;
    const uint32_t       *slots;
    const mg_sr_meta_t   *meta;
    const mg_sr_group_t  *rows;

    meta = mg_snap_section(s, MG_SR_META);
    rows = mg_snap_section(s, MG_SR_GROUPS);
    slots = mg_snap_section(s, MG_SR_GROUP_SLOTS);
    n = mg_snap_section_n(s, MG_SR_GROUP_SLOTS);

    slot = (uint32_t) mg_sr_group_hash(meta->key, org_bytes, name) & (n - 1);

    while (slots[slot] != 0) {

        if (memcmp(rows[slots[slot] - 1].org_bytes, org_bytes, 16) == 0
            && mg_str_eq(mg_routing_str(s, rows[slots[slot] - 1].name), name))
        {
            return slots[slot] - 1;
        }

        slot = (slot + 1) & (n - 1);
    }

    return UINT32_MAX;
}


uint32_t
mg_sr_token_find(const mg_snap_t *s, const uint8_t sha256[32])
{
    uint32_t              n, slot;
    const uint32_t       *slots;
    const mg_sr_meta_t   *meta;
    const mg_sr_token_t  *rows;

    meta = mg_snap_section(s, MG_SR_META);
    rows = mg_snap_section(s, MG_SR_TOKENS);
    slots = mg_snap_section(s, MG_SR_TOKEN_SLOTS);
    n = mg_snap_section_n(s, MG_SR_TOKEN_SLOTS);

    slot = (uint32_t) mg_sr_token_hash(meta->key, sha256) & (n - 1);

    while (slots[slot] != 0) {

        if (memcmp(rows[slots[slot] - 1].sha256, sha256, 32) == 0) {
            return slots[slot] - 1;
        }

        slot = (slot + 1) & (n - 1);
    }

    return UINT32_MAX;
}


static mg_str_t
mg_routing_str(const mg_snap_t *s, mg_snap_ref_t ref)
{
    return mg_snap_ref_str(s, MG_SR_STRINGS, ref);
}
