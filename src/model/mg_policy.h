/*
 * mg_policy.h: what "traffic_config" of a group says.
 *
 *     {"canary":  {"model_id": "p/m", "steps": [
 *                  {"percentage": 1, "minutes": 30}, {"percentage": 100}]},
 *      "shadow":  {"percentage": 10},
 *      "records": {"retention_days": 90, "archive": true,
 *                  "request_body": true, "response_body": false,
 *                  "max_bytes": 16384, "redact": ["user", "email"]},
 *      "validation": {"eject": true}}
 *
 * Every member may be left out; an unknown one is an error that names it.
 * The row of the group keeps the text; the routing snapshot what the data
 * plane needs of it; jobs read the rest.
 *
 * Plain data; strings belong to an arena; any thread; never blocks.
 */

#ifndef MG_POLICY_H
#define MG_POLICY_H

#include "base/mg_json.h"


#define MG_POLICY_STEPS_MAX      32
#define MG_POLICY_REDACT_MAX     16
#define MG_POLICY_REDACT_LEN     64            /* of one member's name */

#define MG_POLICY_BODY_DEFAULT   16384
#define MG_POLICY_BODY_MAX       65536
#define MG_POLICY_DAYS_MAX       3650

#define MG_POLICY_SHARE_ALL      10000         /* hundredths of a percent */


/* A share of the challenger, and for how long; the last one stays. */
typedef struct {
    uint32_t           share;                  /* hundredths of a percent */
    int64_t            seconds;                /* 0 in the last one */
} mg_policy_step_t;


/* What of bodies is kept, bits of mg_policy_t.bodies. */
enum {
    MG_POLICY_REQUEST_BODY = 1,
    MG_POLICY_RESPONSE_BODY = 2
};


typedef struct {
    mg_str_t           canary_model;           /* absent: the only
                                                  challenger */
    uint32_t           n_steps;                /* 0: no schedule */
    mg_policy_step_t   steps[MG_POLICY_STEPS_MAX];
    uint32_t           shadow_share;           /* of the requests; all of
                                                  them unless stated */
    int64_t            retention_days;         /* 0: for ever */
    unsigned           archive:1;              /* dump a day before it is
                                                  dropped */
    unsigned           eject:1;                /* served without members that
                                                  a validation found
                                                  unavailable */
    unsigned           bodies;                 /* bits; 0: none is kept */
    uint32_t           body_max;               /* bytes of each */
    uint32_t           n_redact;               /* members whose values are
                                                  not kept */
    mg_str_t           redact[MG_POLICY_REDACT_MAX];
} mg_policy_t;


/* What holds where a group says nothing. */
void mg_policy_init(mg_policy_t *p);

/*
 * text: the JSON object of traffic_config, or absent.  MG_OK, or MG_ERROR
 * with param naming the member.  Strings are copied into a.
 */
int mg_policy_parse(mg_str_t text, mg_arena_t *a, mg_policy_t *p,
    mg_error_t *e);

/* The same for a value that is parsed already. */
int mg_policy_read(const mg_json_t *json, mg_arena_t *a, mg_policy_t *p,
    mg_error_t *e);

/*
 * The step of the schedule that comes after "taken" of them: its index, below
 * n_steps.  A schedule that begins (taken 0) passes over the steps that give
 * less than share, what the challenger has: it never takes anything away.
 */
unsigned mg_policy_next(const mg_policy_t *p, unsigned taken,
    uint32_t share);


#endif /* MG_POLICY_H */
