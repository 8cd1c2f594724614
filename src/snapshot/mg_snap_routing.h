/*
 * mg_snap_routing.h: groups, backends and tokens as a file.
 *
 * Everything the data plane decides by: active and paused groups with
 * their members and bucket ranges, the backend of each member with its
 * addresses resolved, API tokens by SHA-256, and the /v1/models document.
 * Two hash tables (open addressing, SipHash with a key in the header) find
 * a group by name and a token by digest.  Provider keys lie here sealed.
 *
 * Builder: pool threads (resolving names blocks).  Queries: event loop, no
 * allocation; results point into the mapping.
 */

#ifndef MG_SNAP_ROUTING_H
#define MG_SNAP_ROUTING_H

#include <sys/socket.h>

#include "model/mg_catalog.h"
#include "model/mg_cost.h"
#include "model/mg_group.h"
#include "model/mg_role.h"
#include "snapshot/mg_snap.h"


#define MG_BACKEND_ADDRS_MAX   16      /* MG_RESOLVE_ADDRS_MAX */


/* -- building -- */

typedef struct {
    mg_str_t     id;               /* UUID text */
    mg_str_t     org_id;
    mg_role_e    role;
    uint8_t      sha256[32];
    int64_t      expires_at;       /* us since 1970, 0 never */
} mg_token_t;


typedef struct mg_routing_builder_s  mg_routing_builder_t;

mg_routing_builder_t *mg_routing_builder_create(uint64_t generation);
void mg_routing_builder_destroy(mg_routing_builder_t *b);

/*
 * A provider that members use: base_url, protocol, key_sealed, headers and
 * timeouts are read; a header that may not be sent is left out.  Its name is
 * resolved here (blocking).  A name that does not resolve or a URL that does
 * not parse makes a backend without addresses, counted in *unresolved, no
 * error.  A provider without base_url is kept
 * too (no addresses).
 */
int mg_routing_builder_provider(mg_routing_builder_t *b,
    const mg_provider_t *p, unsigned *unresolved, mg_error_t *e);

/* What a model of members costs; one that is not given has no prices. */
int mg_routing_builder_prices(mg_routing_builder_t *b, mg_str_t org_id,
    mg_str_t model_id, const mg_cost_prices_t *prices, mg_error_t *e);

/*
 * Appends the price lists as a JSON array of {"version", "org_id", "prices"};
 * those without a price are left out.  MG_ERROR: out of memory.
 */
int mg_routing_builder_versions(const mg_routing_builder_t *b, mg_buf_t *out);

/* After its providers.  Members whose provider is unknown get no backend. */
int mg_routing_builder_group(mg_routing_builder_t *b, const mg_group_t *g,
    mg_error_t *e);
int mg_routing_builder_token(mg_routing_builder_t *b, const mg_token_t *t,
    mg_error_t *e);
int mg_routing_builder_finish(mg_routing_builder_t *b, mg_str_t *image,
    mg_error_t *e);


/* -- queries -- */

typedef struct {
    mg_str_t                 id;             /* provider id */
    mg_str_t                 org_id;         /* UUID text */
    mg_str_t                 protocol;
    mg_str_t                 scheme;         /* "http" or "https" */
    mg_str_t                 host;           /* for SNI and verification */
    mg_str_t                 host_port;      /* for the Host header */
    mg_str_t                 path;           /* base path, no final slash */
    mg_str_t                 key_sealed;     /* {NULL,0}: no key */
    mg_str_t                 headers;        /* "Name: value\n" ..., for
                                                mg_routing_header() */
    mg_str_t                 paths;          /* "/v1/x\t/template\n" ...,
                                                for mg_routing_path() */
    mg_str_t                 probe;          /* path of its health check */
    int32_t                  stream_usage;   /* asked for: 1, 0; -1: as the
                                                protocol has it */
    uint32_t                 index;          /* 0.. among the backends */
    uint64_t                 identity;       /* hash of scheme, host, port:
                                                key of kept connections */
    int64_t                  connect_timeout_ms;    /* MG_UNKNOWN: default */
    int64_t                  read_timeout_ms;
    uint32_t                 n_addrs;
    const struct sockaddr_storage  *addrs;   /* n_addrs of them */
    const uint32_t          *addr_lens;
} mg_routing_backend_t;


typedef struct {
    mg_str_t                 model_id;       /* provider/model */
    mg_str_t                 upstream_model; /* what the backend calls it */
    mg_member_role_e         role;
    uint32_t                 share;          /* hundredths of a percent */
    uint32_t                 backend;        /* UINT32_MAX: none */
    const mg_cost_prices_t  *prices;         /* NULL: nobody states any */
    uint64_t                 price_version;  /* 0: nobody states any */
} mg_routing_variant_t;


typedef struct {
    mg_str_t                 id;             /* UUID text */
    mg_str_t                 org_id;
    mg_str_t                 name;
    mg_str_t                 table;          /* inference_... */
    uint8_t                  id_bytes[16];
    uint8_t                  org_bytes[16];
    uint8_t                  salt[MG_SPLIT_SALT_LEN];
    int64_t                  created_at;     /* us since 1970 */
    mg_group_status_e        status;
    mg_strategy_e            strategy;
    uint32_t                 n_variants;
    uint32_t                 first_variant;  /* for mg_routing_variant() */
    uint32_t                 n_ranges;
    const mg_split_range_t  *ranges;
    uint32_t                 shadow_share;   /* hundredths of a percent; 0:
                                                no shadows */
    uint32_t                 bodies;         /* MG_POLICY_*_BODY */
    uint32_t                 body_max;
    mg_str_t                 redact;         /* names, each ends with NUL */
} mg_routing_group_t;


typedef struct {
    mg_str_t                 id;
    uint8_t                  id_bytes[16];
    uint8_t                  org_bytes[16];
    mg_role_e                role;
    int64_t                  expires_at;
} mg_routing_token_t;


/*
 * Groups are found by name within an organisation; org_bytes NULL means
 * the default one.  MG_OK or MG_DECLINED.
 */
int mg_routing_group(const mg_snap_t *s, mg_str_t name,
    const uint8_t *org_bytes, mg_routing_group_t *g);

/* i: 0 .. g->n_variants - 1. */
void mg_routing_variant(const mg_snap_t *s, const mg_routing_group_t *g,
    uint32_t i, mg_routing_variant_t *v);

uint32_t mg_routing_backends(const mg_snap_t *s);
void mg_routing_backend(const mg_snap_t *s, uint32_t i,
    mg_routing_backend_t *b);

/*
 * The next header of a backend: *headers starts as the member and moves on.
 * 1 with name and value, 0 at the end.
 */
int mg_routing_header(mg_str_t *headers, mg_str_t *name, mg_str_t *value);

/*
 * The template for a request's path: the row of the longest prefix that path
 * has, or {NULL, 0}.  rest: what follows the prefix.
 */
mg_str_t mg_routing_path(mg_str_t paths, mg_str_t path, mg_str_t *rest);

int mg_routing_token(const mg_snap_t *s, const uint8_t sha256[32],
    mg_routing_token_t *t);

/* GET /v1/models in OpenAI's shape: the active groups. */
void mg_routing_models(const mg_snap_t *s, int gzip, mg_str_t *body);

uint32_t mg_routing_groups(const mg_snap_t *s);

/*
 * The same groups by place, an organisation's together and by name; i: below
 * mg_routing_groups().
 */
void mg_routing_group_at(const mg_snap_t *s, uint32_t i,
    mg_routing_group_t *g);


#endif /* MG_SNAP_ROUTING_H */
