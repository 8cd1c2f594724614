/*
 * mg_snap_routing_layout.h: the sections of a routing snapshot.
 *
 *     group slots  -> groups   -> variants -> backends -> addresses
 *                              -> ranges
 *     token slots  -> tokens
 *
 * Slots are open addressing with linear steps, a power of two and at least
 * twice as many as entries, so that a search always meets an empty one.  A
 * slot holds an index plus one.  The hash key is taken from the content: it
 * cannot be guessed from outside, and equal content gives equal files.
 *
 * Private to the room.
 */

#ifndef MG_SNAP_ROUTING_LAYOUT_H
#define MG_SNAP_ROUTING_LAYOUT_H

#include "snapshot/mg_snap_layout.h"
#include "snapshot/mg_snap_resolve.h"
#include "snapshot/mg_snap_routing.h"


typedef enum {
    MG_SR_META = 0,          /* one mg_sr_meta_t */
    MG_SR_GROUPS,            /* mg_sr_group_t by organisation and name */
    MG_SR_VARIANTS,          /* mg_sr_variant_t, a group's together */
    MG_SR_PRICES,            /* mg_cost_prices_t, a model each */
    MG_SR_RANGES,            /* mg_split_range_t, a group's together */
    MG_SR_BACKENDS,          /* mg_sr_backend_t by organisation and id */
    MG_SR_ADDRS,             /* struct sockaddr_storage */
    MG_SR_ADDR_LENS,         /* uint32_t, an address each */
    MG_SR_TOKENS,            /* mg_sr_token_t by digest */
    MG_SR_GROUP_SLOTS,       /* uint32_t */
    MG_SR_TOKEN_SLOTS,       /* uint32_t */
    MG_SR_MODELS,            /* the /v1/models document */
    MG_SR_MODELS_GZIP,
    MG_SR_STRINGS,           /* bytes of all references */
    MG_SR_N
} mg_sr_section_e;


#define MG_SR_NO_BACKEND       UINT32_MAX
#define MG_SR_NO_PRICES        UINT32_MAX
#define MG_SR_TIMEOUT_MAX_MS   86400000


typedef struct {
    uint8_t          key[16];        /* of both hash tables */
} mg_sr_meta_t;


typedef struct {
    int64_t          created_at;     /* us since 1970 */
    mg_snap_ref_t    id;
    mg_snap_ref_t    org_id;
    mg_snap_ref_t    name;
    mg_snap_ref_t    table;
    uint8_t          id_bytes[16];
    uint8_t          org_bytes[16];
    uint8_t          salt[MG_SPLIT_SALT_LEN];
    uint32_t         status;
    uint32_t         strategy;
    uint32_t         first_variant;
    uint32_t         n_variants;
    uint32_t         first_range;
    uint32_t         n_ranges;
    mg_snap_ref_t    redact;         /* names, each ends with NUL */
    uint32_t         shadow_share;
    uint32_t         bodies;
    uint32_t         body_max;
    uint32_t         reserved;
} mg_sr_group_t;


typedef struct {
    mg_snap_ref_t    model_id;
    mg_snap_ref_t    upstream_model;
    uint32_t         role;
    uint32_t         share;
    uint32_t         backend;        /* or MG_SR_NO_BACKEND */
    uint32_t         prices;         /* or MG_SR_NO_PRICES */
    uint64_t         price_version;  /* 0: no price is stated */
} mg_sr_variant_t;


typedef struct {
    uint64_t         identity;
    int64_t          connect_timeout_ms;
    int64_t          read_timeout_ms;
    mg_snap_ref_t    id;
    mg_snap_ref_t    org_id;
    mg_snap_ref_t    protocol;
    mg_snap_ref_t    scheme;
    mg_snap_ref_t    host;
    mg_snap_ref_t    host_port;
    mg_snap_ref_t    path;
    mg_snap_ref_t    key_sealed;
    mg_snap_ref_t    headers;
    mg_snap_ref_t    paths;
    mg_snap_ref_t    probe;
    int32_t          stream_usage;   /* -1, 0, 1 */
    uint32_t         reserved;       /* 0 */
    uint32_t         first_addr;
    uint32_t         n_addrs;
} mg_sr_backend_t;


typedef struct {
    int64_t          expires_at;
    mg_snap_ref_t    id;
    uint8_t          id_bytes[16];
    uint8_t          org_bytes[16];
    uint8_t          sha256[32];
    uint32_t         role;
    uint32_t         reserved;
} mg_sr_token_t;


/* Where a search for a group or a token begins; any slot count. */
uint64_t mg_sr_group_hash(const uint8_t key[16], const uint8_t org_bytes[16],
    mg_str_t name);
uint64_t mg_sr_token_hash(const uint8_t key[16], const uint8_t sha256[32]);

/* Index in the section, or UINT32_MAX; name.len <= MG_GROUP_NAME_MAX. */
uint32_t mg_sr_group_find(const mg_snap_t *s, const uint8_t org_bytes[16],
    mg_str_t name);
uint32_t mg_sr_token_find(const mg_snap_t *s, const uint8_t sha256[32]);


/* Whether the price lists are such as mg_cost_count() may be given. */
int mg_sr_prices_check(const mg_snap_t *s, mg_error_t *e);


#endif /* MG_SNAP_ROUTING_LAYOUT_H */
