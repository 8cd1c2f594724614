/*
 * mg_snap_routing_write.c: sorted rows become the routing image.
 *
 * Sorted, so that equal content gives equal bytes; then strings, variants,
 * ranges and addresses are laid out and the hash tables filled.  The key of
 * the tables is a digest of the rows themselves, digests of tokens among
 * them.  A row that stands twice is refused with its name.
 *
 * Pool threads; works on the builder alone.
 */

#include <stdlib.h>

#include "base/mg_gzip.h"
#include "base/mg_hash.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "model/mg_policy.h"
#include "snapshot/mg_snap_routing_build.h"


#define MG_ROUTING_GZIP_LEVEL   6


static int mg_routing_sort(mg_routing_builder_t *b, mg_error_t *e);
static int mg_routing_source_cmp(const void *one, const void *two);
static int mg_routing_group_cmp(const void *one, const void *two);
static int mg_routing_token_cmp(const void *one, const void *two);
static void mg_routing_backends_write(mg_routing_builder_t *b);
static int mg_routing_groups_write(mg_routing_builder_t *b, mg_error_t *e);
static void mg_routing_policy_write(mg_routing_builder_t *b,
    const mg_group_t *g, mg_sr_group_t *row);
static void mg_routing_members_write(mg_routing_builder_t *b,
    const mg_group_t *g);
static uint32_t mg_routing_backend_find(const mg_routing_builder_t *b,
    mg_str_t org_id, mg_str_t provider);
static int mg_routing_tokens_write(mg_routing_builder_t *b, mg_error_t *e);
static void mg_routing_key_write(mg_routing_builder_t *b);
static int mg_routing_slots_write(mg_routing_builder_t *b, mg_error_t *e);
static uint32_t *mg_routing_slots_create(mg_buf_t *out, uint32_t n,
    uint32_t *n_slots);
static void mg_routing_slot_take(uint32_t *slots, uint32_t n_slots,
    uint64_t hash, uint32_t row);
static int mg_routing_models_write(mg_routing_builder_t *b, mg_error_t *e);


int
mg_routing_builder_finish(mg_routing_builder_t *b, mg_str_t *image,
    mg_error_t *e)
{
    unsigned  i;

    for (i = 0; i < MG_SR_N; i++) {
        b->sections[i].len = 0;
    }

    if (mg_routing_sort(b, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_routing_backends_write(b);
    mg_routing_prices_write(b);

    if (mg_routing_groups_write(b, e) != MG_OK
        || mg_routing_tokens_write(b, e) != MG_OK
        || mg_routing_models_write(b, e) != MG_OK)
    {
        return MG_ERROR;
    }

    for (i = 0; i < MG_SR_N; i++) {
        if (b->sections[i].failed) {
            return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        }
    }

    mg_routing_key_write(b);

    if (mg_routing_slots_write(b, e) != MG_OK
        || mg_snap_assemble(&mg_snap_routing_kind, b->generation,
                            b->sections, &b->image, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *image = mg_buf_view(&b->image);

    return MG_OK;
}


static int
mg_routing_sort(mg_routing_builder_t *b, mg_error_t *e)
{
    uint32_t              i, n;
    mg_group_t           *g;
    mg_routing_source_t  *source;

    n = b->sources.n;

    if (n > 1) {
        qsort(b->sources.rows, n, sizeof(void *), mg_routing_source_cmp);
    }

    for (i = 1; i < n; i++) {
        if (mg_routing_source_cmp(&b->sources.rows[i - 1],
                                  &b->sources.rows[i])
            == 0)
        {
            source = b->sources.rows[i];
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "provider \"%.*s\" stands twice",
                                MG_STR_ARG(source->provider.id));
        }
    }

    n = b->groups.n;

    if (n > 1) {
        qsort(b->groups.rows, n, sizeof(void *), mg_routing_group_cmp);
    }

    for (i = 1; i < n; i++) {
        if (mg_routing_group_cmp(&b->groups.rows[i - 1], &b->groups.rows[i])
            == 0)
        {
            g = b->groups.rows[i];
            return mg_error_set(e, MG_E_INTERNAL, "name",
                                "group \"%.*s\" stands twice",
                                MG_STR_ARG(g->name));
        }
    }

    n = b->tokens.n;

    if (n > 1) {
        qsort(b->tokens.rows, n, sizeof(void *), mg_routing_token_cmp);
    }

    for (i = 1; i < n; i++) {
        if (mg_routing_token_cmp(&b->tokens.rows[i - 1], &b->tokens.rows[i])
            == 0)
        {
            return mg_error_set(e, MG_E_INTERNAL, NULL,
                                "two tokens have the same digest");
        }
    }

    return MG_OK;
}


static int
mg_routing_source_cmp(const void *one, const void *two)
{
    int                          rc;
    const mg_routing_source_t   *a, *b;

    a = *(const mg_routing_source_t * const *) one;
    b = *(const mg_routing_source_t * const *) two;

    rc = mg_str_cmp(a->provider.org_id, b->provider.org_id);

    return rc ? rc : mg_str_cmp(a->provider.id, b->provider.id);
}


static int
mg_routing_group_cmp(const void *one, const void *two)
{
    int                rc;
    const mg_group_t  *a, *b;

    a = *(const mg_group_t * const *) one;
    b = *(const mg_group_t * const *) two;

    rc = mg_str_cmp(a->org_id, b->org_id);

    return rc ? rc : mg_str_cmp(a->name, b->name);
}


static int
mg_routing_token_cmp(const void *one, const void *two)
{
    const mg_token_t  *a, *b;

    a = *(const mg_token_t * const *) one;
    b = *(const mg_token_t * const *) two;

    return memcmp(a->sha256, b->sha256, 32);
}


static void
mg_routing_backends_write(mg_routing_builder_t *b)
{
    uint32_t              i;
    mg_buf_t             *s, *strings;
    mg_sr_backend_t       row;
    mg_routing_source_t  *from;

    s = b->sections;
    strings = &s[MG_SR_STRINGS];

    for (i = 0; i < b->sources.n; i++) {
        from = b->sources.rows[i];
        memset(&row, 0, sizeof(mg_sr_backend_t));

        row.identity = from->identity;
        row.connect_timeout_ms = from->provider.connect_timeout_ms;
        row.read_timeout_ms = from->provider.read_timeout_ms;
        row.stream_usage = from->provider.stream_usage;

        row.id = mg_snap_ref_add(strings, from->provider.id);
        row.org_id = mg_snap_ref_add(strings, from->provider.org_id);
        row.protocol = mg_snap_ref_add(strings, from->provider.protocol);
        row.scheme = mg_snap_ref_add(strings, from->scheme);
        row.host = mg_snap_ref_add(strings, from->host);
        row.host_port = mg_snap_ref_add(strings, from->host_port);
        row.path = mg_snap_ref_add(strings, from->path);
        row.key_sealed = mg_snap_ref_add(strings, from->provider.key_sealed);
        row.headers = mg_snap_ref_add(strings, from->provider.headers);
        row.paths = mg_snap_ref_add(strings, from->provider.paths);
        row.probe = mg_snap_ref_add(strings, from->provider.probe);

        row.first_addr = (uint32_t) (s[MG_SR_ADDR_LENS].len
                                     / sizeof(uint32_t));
        row.n_addrs = from->found.n;

        mg_buf_add(&s[MG_SR_ADDRS], from->found.addrs,
                   from->found.n * sizeof(struct sockaddr_storage));
        mg_buf_add(&s[MG_SR_ADDR_LENS], from->found.lens,
                   from->found.n * sizeof(uint32_t));
        mg_buf_add(&s[MG_SR_BACKENDS], &row, sizeof(mg_sr_backend_t));
    }
}


static int
mg_routing_groups_write(mg_routing_builder_t *b, mg_error_t *e)
{
    uint32_t        i;
    mg_buf_t       *s, *strings;
    mg_uuid_t       id, org;
    mg_group_t     *g;
    mg_sr_group_t   row;

    s = b->sections;
    strings = &s[MG_SR_STRINGS];

    for (i = 0; i < b->groups.n; i++) {
        g = b->groups.rows[i];
        memset(&row, 0, sizeof(mg_sr_group_t));

        if (mg_uuid_parse(g->id, &id) != MG_OK
            || mg_uuid_parse(g->org_id, &org) != MG_OK)
        {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "id \"%.*s\" or org_id \"%.*s\" of a group "
                                "is no UUID", MG_STR_ARG(g->id),
                                MG_STR_ARG(g->org_id));
        }

        memcpy(row.id_bytes, id.b, 16);
        memcpy(row.org_bytes, org.b, 16);
        memcpy(row.salt, g->salt, MG_SPLIT_SALT_LEN);

        row.id = mg_snap_ref_add(strings, g->id);
        row.org_id = mg_snap_ref_add(strings, g->org_id);
        row.name = mg_snap_ref_add(strings, g->name);
        row.table = mg_snap_ref_add(strings, g->inference_table);

        row.created_at = g->created_at;
        row.status = g->status;
        row.strategy = g->strategy;

        mg_routing_policy_write(b, g, &row);

        row.first_variant = (uint32_t) (s[MG_SR_VARIANTS].len
                                        / sizeof(mg_sr_variant_t));
        row.n_variants = g->n_members;
        row.first_range = (uint32_t) (s[MG_SR_RANGES].len
                                      / sizeof(mg_split_range_t));
        row.n_ranges = g->n_ranges;

        mg_routing_members_write(b, g);
        mg_buf_add(&s[MG_SR_RANGES], g->ranges,
                   g->n_ranges * sizeof(mg_split_range_t));
        mg_buf_add(&s[MG_SR_GROUPS], &row, sizeof(mg_sr_group_t));
    }

    return MG_OK;
}


/*
 * The policy of a row that was stored before its members were checked is
 * the usual one: nothing that nobody asked for in these words is kept.
 */

static void
mg_routing_policy_write(mg_routing_builder_t *b, const mg_group_t *g,
    mg_sr_group_t *row)
{
    char         redact[MG_POLICY_REDACT_MAX * (MG_POLICY_REDACT_LEN + 1)];
    size_t       len;
    uint32_t     i;
    mg_error_t   e;
    mg_policy_t  p;

    (void) mg_policy_parse(g->traffic_config, b->arena, &p, &e);

    row->bodies = p.bodies;
    row->body_max = p.body_max;

    for (i = 0; i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_SHADOW) {
            row->shadow_share = p.shadow_share;
        }
    }

    for (i = 0, len = 0; i < p.n_redact; i++) {
        memcpy(redact + len, p.redact[i].data, p.redact[i].len);
        len += p.redact[i].len;
        redact[len++] = '\0';
    }

    row->redact = mg_snap_ref_add(&b->sections[MG_SR_STRINGS],
                                  len ? mg_str_n(redact, len) : mg_str_null);
}


static void
mg_routing_members_write(mg_routing_builder_t *b, const mg_group_t *g)
{
    uint32_t          i;
    mg_buf_t         *strings;
    mg_str_t          id, provider, upstream;
    const char       *slash;
    mg_sr_variant_t   row;

    strings = &b->sections[MG_SR_STRINGS];

    for (i = 0; i < g->n_members; i++) {
        id = g->members[i].model_id;
        memset(&row, 0, sizeof(mg_sr_variant_t));

        slash = id.len ? memchr(id.data, '/', id.len) : NULL;
        provider = mg_str_null;
        upstream = id;

        if (slash != NULL) {
            provider = mg_str_n(id.data, (size_t) (slash - id.data));
            upstream = mg_str_n(slash + 1, id.len - provider.len - 1);
        }

        row.model_id = mg_snap_ref_add(strings, id);
        row.upstream_model = mg_snap_ref_add(strings, upstream);
        row.role = g->members[i].role;
        row.share = g->members[i].share;
        row.backend = mg_routing_backend_find(b, g->org_id, provider);
        row.prices = mg_routing_prices_find(b, g->org_id, id,
                                            &row.price_version);

        mg_buf_add(&b->sections[MG_SR_VARIANTS], &row,
                   sizeof(mg_sr_variant_t));
    }
}


/* The organisation's own provider, or the default organisation's. */

static uint32_t
mg_routing_backend_find(const mg_routing_builder_t *b, mg_str_t org_id,
    mg_str_t provider)
{
    uint32_t               i, found;
    mg_routing_source_t   *from;

    found = MG_SR_NO_BACKEND;

    for (i = 0; i < b->sources.n; i++) {
        from = b->sources.rows[i];

        if (!mg_str_eq(from->provider.id, provider)) {
            continue;
        }

        if (mg_str_eq(from->provider.org_id, org_id)) {
            return i;
        }

        if (mg_str_eq(from->provider.org_id, mg_str(MG_ORG_DEFAULT))) {
            found = i;
        }
    }

    return found;
}


static int
mg_routing_tokens_write(mg_routing_builder_t *b, mg_error_t *e)
{
    uint32_t        i;
    mg_uuid_t       id, org;
    mg_token_t     *t;
    mg_sr_token_t   row;

    for (i = 0; i < b->tokens.n; i++) {
        t = b->tokens.rows[i];
        memset(&row, 0, sizeof(mg_sr_token_t));

        if (mg_uuid_parse(t->id, &id) != MG_OK
            || mg_uuid_parse(t->org_id, &org) != MG_OK)
        {
            return mg_error_set(e, MG_E_INTERNAL, "id",
                                "id \"%.*s\" or org_id \"%.*s\" of a token "
                                "is no UUID", MG_STR_ARG(t->id),
                                MG_STR_ARG(t->org_id));
        }

        row.id = mg_snap_ref_add(&b->sections[MG_SR_STRINGS], t->id);
        memcpy(row.id_bytes, id.b, 16);
        memcpy(row.org_bytes, org.b, 16);
        memcpy(row.sha256, t->sha256, 32);
        row.role = t->role;
        row.expires_at = t->expires_at;

        mg_buf_add(&b->sections[MG_SR_TOKENS], &row, sizeof(mg_sr_token_t));
    }

    return MG_OK;
}


/* -- hash tables -- */

static void
mg_routing_key_write(mg_routing_builder_t *b)
{
    unsigned      i;
    uint8_t       digest[2][32];
    mg_sr_meta_t  meta;

    mg_sha256(mg_buf_view(&b->sections[MG_SR_STRINGS]), digest[0]);
    mg_sha256(mg_buf_view(&b->sections[MG_SR_TOKENS]), digest[1]);

    for (i = 0; i < sizeof(meta.key); i++) {
        meta.key[i] = digest[0][i] ^ digest[1][i];
    }

    mg_buf_add(&b->sections[MG_SR_META], &meta, sizeof(mg_sr_meta_t));
}


static int
mg_routing_slots_write(mg_routing_builder_t *b, mg_error_t *e)
{
    uint32_t              i, n, *slots;
    const mg_sr_meta_t   *meta;
    const mg_sr_group_t  *groups;
    const mg_sr_token_t  *tokens;

    meta = (const void *) b->sections[MG_SR_META].data;
    groups = (const void *) b->sections[MG_SR_GROUPS].data;
    tokens = (const void *) b->sections[MG_SR_TOKENS].data;

    slots = mg_routing_slots_create(&b->sections[MG_SR_GROUP_SLOTS],
                                    b->groups.n, &n);

    for (i = 0; slots != NULL && i < b->groups.n; i++) {
        mg_routing_slot_take(slots, n,
            mg_sr_group_hash(meta->key, groups[i].org_bytes,
                             ((mg_group_t *) b->groups.rows[i])->name), i);
    }

    slots = mg_routing_slots_create(&b->sections[MG_SR_TOKEN_SLOTS],
                                    b->tokens.n, &n);

    for (i = 0; slots != NULL && i < b->tokens.n; i++) {
        mg_routing_slot_take(slots, n,
            mg_sr_token_hash(meta->key, tokens[i].sha256), i);
    }

    if (b->sections[MG_SR_META].failed
        || b->sections[MG_SR_GROUP_SLOTS].failed
        || b->sections[MG_SR_TOKEN_SLOTS].failed)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


/* NULL without memory: the buffer then says that it failed. */

static uint32_t *
mg_routing_slots_create(mg_buf_t *out, uint32_t n, uint32_t *n_slots)
{
    char      *p;
    uint32_t   slots;

    for (slots = 2; slots < 2 * (uint64_t) n; slots *= 2) { /* void */ }

    p = mg_buf_reserve(out, slots * sizeof(uint32_t));

    if (p != NULL) {
        memset(p, 0, slots * sizeof(uint32_t));
        out->len = slots * sizeof(uint32_t);
    }

    *n_slots = slots;

    return (uint32_t *) (void *) p;
}


static void
mg_routing_slot_take(uint32_t *slots, uint32_t n_slots, uint64_t hash,
    uint32_t row)
{
    uint32_t  slot;

    slot = (uint32_t) hash & (n_slots - 1);

    while (slots[slot] != 0) {
        slot = (slot + 1) & (n_slots - 1);
    }

    slots[slot] = row + 1;
}


/*
 * GET /v1/models: the default organisation's active groups, by name; names
 * of other tenants are nobody's business.
 */

static int
mg_routing_models_write(mg_routing_builder_t *b, mg_error_t *e)
{
    mg_jw_t       w;
    uint32_t      i;
    mg_buf_t     *out;
    mg_group_t   *g;

    out = &b->sections[MG_SR_MODELS];

    mg_jw_init(&w, out);
    mg_jw_object(&w, NULL);
    mg_jw_z(&w, "object", "list");
    mg_jw_array(&w, "data");

    for (i = 0; i < b->groups.n; i++) {
        g = b->groups.rows[i];

        if (g->status != MG_GROUP_ACTIVE
            || !mg_str_eq(g->org_id, mg_str(MG_ORG_DEFAULT)))
        {
            continue;
        }

        mg_jw_object(&w, NULL);
        mg_jw_str(&w, "id", g->name);
        mg_jw_z(&w, "object", "model");
        mg_jw_int(&w, "created", g->created_at / 1000000);
        mg_jw_z(&w, "owned_by", "model-gateway");
        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);
    mg_jw_end_object(&w);

    if (out->failed) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return mg_gzip(&b->sections[MG_SR_MODELS_GZIP], mg_buf_view(out),
                   MG_ROUTING_GZIP_LEVEL, e);
}
