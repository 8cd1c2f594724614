/*
 * mg_snap_routing_check.c: whether a routing snapshot holds what it says.
 *
 * Its own check behind the frame's: references within the strings, runs of
 * variants, ranges and addresses within their sections, numbers within
 * their enums, splits that cover each bucket once, addresses of a family
 * that connect() takes, and hash tables in which each row is found and an
 * empty slot ends each search.
 *
 * Pool threads; reads the image alone.
 */

#include <netinet/in.h>

#include "model/mg_policy.h"
#include "snapshot/mg_snap_routing_layout.h"


static int mg_sr_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_groups_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_policy_ok(const mg_snap_t *s, const mg_sr_group_t *g);
static int mg_sr_ranges_ok(const mg_split_range_t *r, uint32_t n,
    uint32_t n_variants);
static int mg_sr_variants_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_backends_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_timeout_ok(int64_t ms);
static int mg_sr_addrs_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_tokens_check(const mg_snap_t *s, mg_error_t *e);
static int mg_sr_slots_check(const mg_snap_t *s, unsigned section,
    uint32_t n_rows, mg_error_t *e);
static int mg_sr_found_check(const mg_snap_t *s, mg_error_t *e);


static const uint32_t  mg_sr_elements[MG_SR_N] = {
    sizeof(mg_sr_meta_t),
    sizeof(mg_sr_group_t),
    sizeof(mg_sr_variant_t),
    sizeof(mg_cost_prices_t),
    sizeof(mg_split_range_t),
    sizeof(mg_sr_backend_t),
    sizeof(struct sockaddr_storage),
    sizeof(uint32_t),
    sizeof(mg_sr_token_t),
    sizeof(uint32_t),
    sizeof(uint32_t),
    1,
    1,
    1
};


const mg_snap_kind_t  mg_snap_routing_kind = {
    MG_SNAP_ROUTING,
    MG_SNAP_ROUTING_FILE,
    MG_SR_N,
    mg_sr_elements,
    mg_sr_check
};


static int
mg_sr_check(const mg_snap_t *s, mg_error_t *e)
{
    if (mg_snap_section_n(s, MG_SR_META) != 1) {
        return mg_snap_damaged(s, "meta section", 0, e);
    }

    if (mg_sr_groups_check(s, e) != MG_OK
        || mg_sr_variants_check(s, e) != MG_OK
        || mg_sr_prices_check(s, e) != MG_OK
        || mg_sr_backends_check(s, e) != MG_OK
        || mg_sr_addrs_check(s, e) != MG_OK
        || mg_sr_tokens_check(s, e) != MG_OK
        || mg_sr_slots_check(s, MG_SR_GROUP_SLOTS,
                             mg_snap_section_n(s, MG_SR_GROUPS), e)
           != MG_OK
        || mg_sr_slots_check(s, MG_SR_TOKEN_SLOTS,
                             mg_snap_section_n(s, MG_SR_TOKENS), e)
           != MG_OK
        || mg_sr_found_check(s, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_sr_groups_check(const mg_snap_t *s, mg_error_t *e)
{
    size_t                   strings;
    uint32_t                 i, n;
    const mg_sr_group_t     *g;
    const mg_split_range_t  *ranges;

    strings = mg_snap_section_len(s, MG_SR_STRINGS);
    n = mg_snap_section_n(s, MG_SR_GROUPS);
    g = mg_snap_section(s, MG_SR_GROUPS);
    ranges = mg_snap_section(s, MG_SR_RANGES);

    for (i = 0; i < n; i++, g++) {

        if (!mg_snap_ref_ok(g->id, strings)
            || !mg_snap_ref_ok(g->org_id, strings)
            || !mg_snap_ref_ok(g->name, strings)
            || !mg_snap_ref_ok(g->table, strings)
            || g->name.len == 0 || g->name.len > MG_GROUP_NAME_MAX
            || (g->status != MG_GROUP_ACTIVE && g->status != MG_GROUP_PAUSED)
            || g->strategy >= MG_STRATEGY_N
            || g->n_variants > MG_GROUP_MEMBERS_MAX
            || !mg_sr_policy_ok(s, g)
            || !mg_snap_span_ok(g->first_variant, g->n_variants,
                                mg_snap_section_n(s, MG_SR_VARIANTS)))
        {
            return mg_snap_damaged(s, "group", i, e);
        }

        if (!mg_snap_span_ok(g->first_range, g->n_ranges,
                             mg_snap_section_n(s, MG_SR_RANGES))
            || !mg_sr_ranges_ok(ranges + g->first_range, g->n_ranges,
                                g->n_variants))
        {
            return mg_snap_damaged(s, "split of group", i, e);
        }
    }

    return MG_OK;
}


/* Names to redact are read as strings that end with NUL. */

static int
mg_sr_policy_ok(const mg_snap_t *s, const mg_sr_group_t *g)
{
    mg_str_t  redact;

    if (!mg_snap_ref_ok(g->redact, mg_snap_section_len(s, MG_SR_STRINGS))
        || g->shadow_share > MG_POLICY_SHARE_ALL
        || (g->bodies & ~(uint32_t) (MG_POLICY_REQUEST_BODY
                                     |MG_POLICY_RESPONSE_BODY)) != 0
        || g->body_max > MG_POLICY_BODY_MAX)
    {
        return 0;
    }

    redact = mg_snap_ref_str(s, MG_SR_STRINGS, g->redact);

    return redact.len == 0 || redact.data[redact.len - 1] == '\0';
}


static int
mg_sr_ranges_ok(const mg_split_range_t *r, uint32_t n, uint32_t n_variants)
{
    uint32_t  i, next;

    if (n == 0) {
        return 1;
    }

    if (n > MG_SPLIT_RANGES_MAX) {
        return 0;
    }

    for (i = 0, next = 0; i < n; i++) {
        if (r[i].first != next || r[i].last < r[i].first
            || r[i].last >= MG_SPLIT_BUCKETS || r[i].variant >= n_variants)
        {
            return 0;
        }

        next = r[i].last + 1u;
    }

    return next == MG_SPLIT_BUCKETS;
}


static int
mg_sr_variants_check(const mg_snap_t *s, mg_error_t *e)
{
    size_t                  strings;
    uint32_t                i, n;
    const mg_sr_variant_t  *v;

    strings = mg_snap_section_len(s, MG_SR_STRINGS);
    n = mg_snap_section_n(s, MG_SR_VARIANTS);
    v = mg_snap_section(s, MG_SR_VARIANTS);

    for (i = 0; i < n; i++, v++) {

        if (!mg_snap_ref_ok(v->model_id, strings)
            || !mg_snap_ref_ok(v->upstream_model, strings)
            || v->role >= MG_MEMBER_N
            || v->share > MG_SPLIT_BUCKETS
            || (v->backend >= mg_snap_section_n(s, MG_SR_BACKENDS)
                && v->backend != MG_SR_NO_BACKEND)
            || (v->prices >= mg_snap_section_n(s, MG_SR_PRICES)
                && v->prices != MG_SR_NO_PRICES))
        {
            return mg_snap_damaged(s, "variant", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sr_backends_check(const mg_snap_t *s, mg_error_t *e)
{
    size_t                  strings;
    uint32_t                i, n;
    const mg_sr_backend_t  *b;

    strings = mg_snap_section_len(s, MG_SR_STRINGS);
    n = mg_snap_section_n(s, MG_SR_BACKENDS);
    b = mg_snap_section(s, MG_SR_BACKENDS);

    for (i = 0; i < n; i++, b++) {

        if (!mg_snap_ref_ok(b->id, strings)
            || !mg_snap_ref_ok(b->org_id, strings)
            || !mg_snap_ref_ok(b->protocol, strings)
            || !mg_snap_ref_ok(b->scheme, strings)
            || !mg_snap_ref_ok(b->host, strings)
            || !mg_snap_ref_ok(b->host_port, strings)
            || !mg_snap_ref_ok(b->path, strings)
            || !mg_snap_ref_ok(b->key_sealed, strings)
            || !mg_snap_ref_ok(b->headers, strings)
            || !mg_snap_ref_ok(b->paths, strings)
            || !mg_snap_ref_ok(b->probe, strings)
            || !mg_sr_timeout_ok(b->connect_timeout_ms)
            || !mg_sr_timeout_ok(b->read_timeout_ms)
            || b->n_addrs > MG_BACKEND_ADDRS_MAX
            || !mg_snap_span_ok(b->first_addr, b->n_addrs,
                                mg_snap_section_n(s, MG_SR_ADDRS)))
        {
            return mg_snap_damaged(s, "backend", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sr_timeout_ok(int64_t ms)
{
    return ms == MG_UNKNOWN || (ms >= 1 && ms <= MG_SR_TIMEOUT_MAX_MS);
}


static int
mg_sr_addrs_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t                        i, n, want;
    const uint32_t                 *lens;
    const struct sockaddr_storage  *addrs;

    n = mg_snap_section_n(s, MG_SR_ADDRS);
    addrs = mg_snap_section(s, MG_SR_ADDRS);
    lens = mg_snap_section(s, MG_SR_ADDR_LENS);

    if (mg_snap_section_n(s, MG_SR_ADDR_LENS) != n) {
        return mg_snap_damaged(s, "number of addresses", n, e);
    }

    for (i = 0; i < n; i++) {
        want = 0;

        if (addrs[i].ss_family == AF_INET) {
            want = sizeof(struct sockaddr_in);

        } else if (addrs[i].ss_family == AF_INET6) {
            want = sizeof(struct sockaddr_in6);
        }

        if (want == 0 || lens[i] != want) {
            return mg_snap_damaged(s, "address", i, e);
        }
    }

    return MG_OK;
}


static int
mg_sr_tokens_check(const mg_snap_t *s, mg_error_t *e)
{
    size_t                strings;
    uint32_t              i, n;
    const mg_sr_token_t  *t;

    strings = mg_snap_section_len(s, MG_SR_STRINGS);
    n = mg_snap_section_n(s, MG_SR_TOKENS);
    t = mg_snap_section(s, MG_SR_TOKENS);

    for (i = 0; i < n; i++, t++) {
        if (!mg_snap_ref_ok(t->id, strings)
            || t->role == MG_ROLE_NONE || t->role >= MG_ROLE_N)
        {
            return mg_snap_damaged(s, "token", i, e);
        }
    }

    return MG_OK;
}


/* As many slots are taken as there are rows, and half of all stay empty. */

static int
mg_sr_slots_check(const mg_snap_t *s, unsigned section, uint32_t n_rows,
    mg_error_t *e)
{
    uint32_t         i, n, used;
    const uint32_t  *slots;

    n = mg_snap_section_n(s, section);
    slots = mg_snap_section(s, section);

    if (n < 2 || (n & (n - 1)) != 0 || n_rows > n / 2) {
        return mg_snap_damaged(s, "number of slots", n, e);
    }

    for (i = 0, used = 0; i < n; i++) {
        used += (slots[i] != 0);

        if (slots[i] > n_rows) {
            return mg_snap_damaged(s, "slot", i, e);
        }
    }

    if (used != n_rows) {
        return mg_snap_damaged(s, "number of used slots", used, e);
    }

    return MG_OK;
}


/* Each row is what a search for it finds: none is hidden, none is twice. */

static int
mg_sr_found_check(const mg_snap_t *s, mg_error_t *e)
{
    uint32_t              i, n;
    const mg_sr_group_t  *g;
    const mg_sr_token_t  *t;

    n = mg_snap_section_n(s, MG_SR_GROUPS);
    g = mg_snap_section(s, MG_SR_GROUPS);

    for (i = 0; i < n; i++) {
        if (mg_sr_group_find(s, g[i].org_bytes,
                             mg_snap_ref_str(s, MG_SR_STRINGS, g[i].name))
            != i)
        {
            return mg_snap_damaged(s, "slot of group", i, e);
        }
    }

    n = mg_snap_section_n(s, MG_SR_TOKENS);
    t = mg_snap_section(s, MG_SR_TOKENS);

    for (i = 0; i < n; i++) {
        if (mg_sr_token_find(s, t[i].sha256) != i) {
            return mg_snap_damaged(s, "slot of token", i, e);
        }
    }

    return MG_OK;
}
