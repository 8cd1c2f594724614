/*
 * mg_snap_routing_build.h: what the builder of routing snapshots holds.
 *
 * One file collects rows into it, another writes the image from it.
 * Everything lies in the arena of the builder.
 *
 * Private to the room.
 */

#ifndef MG_SNAP_ROUTING_BUILD_H
#define MG_SNAP_ROUTING_BUILD_H

#include "snapshot/mg_snap_routing_layout.h"


typedef struct {
    mg_provider_t           provider;    /* what of it is served, copied */
    mg_str_t                scheme;
    mg_str_t                host;
    mg_str_t                host_port;
    mg_str_t                path;
    uint64_t                identity;
    mg_resolved_t           found;
} mg_routing_source_t;


typedef struct {
    mg_str_t                org_id;
    mg_str_t                model_id;
    mg_cost_prices_t        prices;
    mg_str_t                list;        /* the same as text */
    uint64_t                version;
} mg_routing_price_t;


/* a growing array of pointers into the arena */

typedef struct {
    void                  **rows;
    uint32_t                n;
    uint32_t                size;
} mg_routing_rows_t;


struct mg_routing_builder_s {
    uint64_t                generation;
    mg_arena_t             *arena;
    mg_routing_rows_t       sources;     /* mg_routing_source_t */
    mg_routing_rows_t       groups;      /* mg_group_t */
    mg_routing_rows_t       tokens;      /* mg_token_t */
    mg_routing_rows_t       prices;      /* mg_routing_price_t */
    mg_buf_t                sections[MG_SR_N];
    mg_buf_t                image;
};


/* A row of size bytes, cleared; NULL with *e. */
void *mg_routing_row_add(mg_routing_builder_t *b, mg_routing_rows_t *rows,
    size_t size, mg_error_t *e);

/* Sorts the price lists and writes their section. */
void mg_routing_prices_write(mg_routing_builder_t *b);

/*
 * Place of a model's list in the section, or MG_SR_NO_PRICES; its version, 0
 * if it states no price.
 */
uint32_t mg_routing_prices_find(const mg_routing_builder_t *b,
    mg_str_t org_id, mg_str_t model_id, uint64_t *version);


#endif /* MG_SNAP_ROUTING_BUILD_H */
