/*
 * ngx_http_model_zone.c: one shared zone, cut into named areas.
 *
 * The list of areas is collected while the configuration is read.  The
 * zone's init, which runs in the master while old workers may be using the
 * memory, either lays the areas out in new memory (one slab allocation that
 * takes all pages) or compares the layout with what lies there, and never
 * rewrites anything.  Workers find areas by index through the header.
 *
 * Called by the core module and, for areas, by whoever needs one.
 */

#include "ngx/ngx_http_model_zone.h"


#define NGX_HTTP_MODEL_ZONE_MAGIC    0x314e5a4c444f4d4eULL
#define NGX_HTTP_MODEL_ZONE_AREAS    16
#define NGX_HTTP_MODEL_ZONE_NAME     32
#define NGX_HTTP_MODEL_ZONE_ALIGN    128


typedef struct {
    char                             name[NGX_HTTP_MODEL_ZONE_NAME];
    uint64_t                         size;
    uint64_t                         offset;    /* from the header */
} ngx_http_model_zone_entry_t;


/* In shared memory; written once, before the first worker starts. */
typedef struct {
    uint64_t                         magic;
    uint64_t                         room;      /* header included */
    uint64_t                         n;
    ngx_http_model_zone_entry_t      entries[NGX_HTTP_MODEL_ZONE_AREAS];
} ngx_http_model_zone_header_t;


struct ngx_http_model_zone_s {
    ngx_str_t                        name;
    u_char                          *file;      /* of the directive */
    ngx_uint_t                       line;
    ngx_uint_t                       n;
    ngx_http_model_zone_entry_t      wanted[NGX_HTTP_MODEL_ZONE_AREAS];
    ngx_http_model_zone_header_t    *header;    /* shared */
};


static ngx_int_t ngx_http_model_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_model_zone_layout(ngx_http_model_zone_t *z,
    uint64_t room, ngx_http_model_zone_header_t *h, ngx_log_t *log);
static ngx_int_t ngx_http_model_zone_adopt(ngx_http_model_zone_t *z,
    ngx_http_model_zone_header_t *h, ngx_log_t *log);


void *
ngx_http_model_zone_get(ngx_http_model_zone_t *z, ngx_int_t area,
    size_t *size)
{
    ngx_http_model_zone_entry_t  *entry;

    entry = &z->header->entries[area];

    if (size) {
        *size = entry->size;
    }

    return (u_char *) z->header + entry->offset;
}


ngx_http_model_zone_t *
ngx_http_model_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag)
{
    ngx_shm_zone_t         *shm_zone;
    ngx_http_model_zone_t  *z;

    z = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_zone_t));
    if (z == NULL) {
        return NULL;
    }

    shm_zone = ngx_shared_memory_add(cf, name, size, tag);
    if (shm_zone == NULL) {
        return NULL;
    }

    z->name = *name;
    z->file = cf->conf_file->file.name.data;
    z->line = cf->conf_file->line;

    shm_zone->init = ngx_http_model_zone_init;
    shm_zone->data = z;

    return z;
}


ngx_int_t
ngx_http_model_zone_area(ngx_conf_t *cf, ngx_http_model_zone_t *z,
    const char *name, size_t size)
{
    ngx_http_model_zone_entry_t  *entry;

    if (z->n == NGX_HTTP_MODEL_ZONE_AREAS
        || ngx_strlen(name) >= NGX_HTTP_MODEL_ZONE_NAME
        || (z->n > 0 && z->wanted[z->n - 1].size == 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "area \"%s\" does not fit into zone \"%V\" in %s:%ui: "
                      "too many areas, or one behind the area that takes "
                      "the rest", name, &z->name, z->file, z->line);
        return NGX_ERROR;
    }

    entry = &z->wanted[z->n];
    ngx_memcpy(entry->name, name, ngx_strlen(name));
    entry->size = size;

    return z->n++;
}


static ngx_int_t
ngx_http_model_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    uint64_t                       room;
    ngx_log_t                     *log;
    ngx_slab_pool_t               *shpool;
    ngx_http_model_zone_t         *z, *old;
    ngx_http_model_zone_header_t   h;

    z = shm_zone->data;
    old = data;
    log = shm_zone->shm.log;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        return ngx_http_model_zone_adopt(z, old->header, log);
    }

    if (shm_zone->shm.exists) {
        return ngx_http_model_zone_adopt(z, shpool->data, log);
    }

    room = (uint64_t) shpool->pfree * ngx_pagesize;

    if (ngx_http_model_zone_layout(z, room, &h, log) != NGX_OK) {
        return NGX_ERROR;
    }

    z->header = ngx_slab_alloc(shpool, room);
    if (z->header == NULL) {
        return NGX_ERROR;
    }

#if (NGX_DEBUG_MALLOC)
    /* otherwise the pages come from the kernel, zero and not yet touched */
    ngx_memzero(z->header, room);
#endif

    *z->header = h;
    shpool->data = z->header;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_zone_layout(ngx_http_model_zone_t *z, uint64_t room,
    ngx_http_model_zone_header_t *h, ngx_log_t *log)
{
    uint64_t                      offset;
    ngx_uint_t                    i;
    ngx_http_model_zone_entry_t  *entry;

    ngx_memzero(h, sizeof(ngx_http_model_zone_header_t));

    h->magic = NGX_HTTP_MODEL_ZONE_MAGIC;
    h->room = room;
    h->n = z->n;

    offset = sizeof(ngx_http_model_zone_header_t);

    for (i = 0; i < z->n; i++) {
        entry = &h->entries[i];
        *entry = z->wanted[i];

        offset = ngx_align(offset, NGX_HTTP_MODEL_ZONE_ALIGN);
        entry->offset = offset;

        if (entry->size == 0 && offset < room) {
            entry->size = room - offset;
        }

        offset += entry->size;
    }

    if (offset > room) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" is too small in %s:%ui: it has room for "
                      "%uL bytes and needs more than %uL; give it a larger "
                      "size", &z->name, z->file, z->line, room, offset);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Reload: the memory stays as it is, or the new configuration is refused. */

static ngx_int_t
ngx_http_model_zone_adopt(ngx_http_model_zone_t *z,
    ngx_http_model_zone_header_t *h, ngx_log_t *log)
{
    ngx_http_model_zone_header_t  wanted;

    if (h == NULL || h->magic != NGX_HTTP_MODEL_ZONE_MAGIC) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" in %s:%ui holds something else; "
                      "give the zone another name",
                      &z->name, z->file, z->line);
        return NGX_ERROR;
    }

    if (ngx_http_model_zone_layout(z, h->room, &wanted, log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_memcmp(h, &wanted, sizeof(ngx_http_model_zone_header_t)) != 0) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" in %s:%ui is in use with another layout; "
                      "give the zone another name or size",
                      &z->name, z->file, z->line);
        return NGX_ERROR;
    }

    z->header = h;

    return NGX_OK;
}
