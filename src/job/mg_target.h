/*
 * mg_target.h: how a provider is spoken to: base URL, headers, key, limits.
 *
 * Made from the provider's row and its protocol, for a validation and for
 * the refresh of its list.  The key is opened into one buffer, which is
 * wiped by mg_target_close(); it stands nowhere else in the clear.
 *
 * Pool threads; does not block.
 */

#ifndef MG_TARGET_H
#define MG_TARGET_H

#include "job/mg_env.h"
#include "job/mg_probe.h"


#define MG_TARGET_KEY_MAX   4096


typedef struct {
    mg_probe_target_t   probe;
    char                key[MG_TARGET_KEY_MAX + 64];   /* a header line */
} mg_target_t;


/*
 * p and a live as long as the target.  MG_ERROR names the provider and what
 * to set; close it all the same.
 */
int mg_target_open(const mg_env_t *env, mg_str_t org_id,
    const mg_provider_t *p, mg_arena_t *a, mg_target_t *t, mg_error_t *e);
void mg_target_close(mg_target_t *t);

/*
 * Brings a URL behind the base to where clients' requests go, whose paths
 * begin with /v1; model: what the provider calls it.  MG_ERROR when out of
 * memory.
 */
int mg_target_path(const mg_probe_target_t *t, mg_str_t model,
    mg_buf_t *url);


#endif /* MG_TARGET_H */
