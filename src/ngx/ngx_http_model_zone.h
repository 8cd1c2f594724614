/*
 * ngx_http_model_zone.h: one shared zone, cut into named areas.
 *
 * Modules ask for areas while the configuration is read; the zone's init
 * lays them out one after the other behind a header that lists names and
 * sizes.  On reload the old memory is adopted if the list is the same, a
 * changed list is refused with file and line.  New memory is zero: every
 * area must mean "nothing yet" when it is all zero.
 *
 *     | slab pool | header: magic, n, {name, size, offset} | area | ... |
 *
 * Per-worker areas are arrays of NGX_HTTP_MODEL_SLOTS, indexed by
 * ngx_process_slot.  The one lock is shpool->mutex.
 */

#ifndef _NGX_HTTP_MODEL_ZONE_H_INCLUDED_
#define _NGX_HTTP_MODEL_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_MODEL_SLOTS   64


typedef struct ngx_http_model_zone_s  ngx_http_model_zone_t;


/* At configuration time; one zone a configuration. */
ngx_http_model_zone_t *ngx_http_model_zone_add(ngx_conf_t *cf,
    ngx_str_t *name, size_t size, void *tag);

/*
 * size 0: share what the fixed areas leave (only the last area may).
 * Returns an index >= 0, or NGX_ERROR.
 */
ngx_int_t ngx_http_model_zone_area(ngx_conf_t *cf, ngx_http_model_zone_t *z,
    const char *name, size_t size);

/* In a worker; *size may be NULL. */
void *ngx_http_model_zone_get(ngx_http_model_zone_t *z, ngx_int_t area,
    size_t *size);


#endif /* _NGX_HTTP_MODEL_ZONE_H_INCLUDED_ */
