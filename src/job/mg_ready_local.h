/*
 * mg_ready_local.h: what the files of mg_ready_probe.h share; private.
 *
 * A list is a copy of what the routing file says, made anew when another
 * file says something else.  One server of it has one request under way at
 * most, whose buffers lie here.
 *
 * The thread of mg_ready_probe.c; freed by it.
 */

#ifndef MG_READY_LOCAL_H
#define MG_READY_LOCAL_H

#include "job/mg_ready_probe.h"
#include "job/mg_target.h"
#include "provider/mg_health.h"


typedef enum {
    MG_READY_HEALTH = 0,           /* the server, of itself */
    MG_READY_PROOF,                /* a generation */
    MG_READY_PULL
} mg_ready_step_e;


typedef struct {
    char                    name[MG_GATE_NAME_MAX + 1];
    mg_provider_t           provider;      /* as far as a target needs it */
    mg_str_t                paths;
    uint64_t                identity;
    mg_model_t              model;         /* that is asked */
    uint32_t                share;         /* of it, to choose by */
    mg_load_t              *load;          /* NULL: nobody knows of it */
    const mg_health_ask_t  *health;        /* NULL: is not asked */
    mg_str_t                health_url;
    mg_ready_step_e         step;          /* that comes next */
    int64_t                 due_us;        /* monotonic */
    unsigned                failed;        /* in a row, by no fault of load */
    int                     said;          /* class that was logged last */
    unsigned                busy:1;
    unsigned                listed:1;      /* the list is its proof */
    unsigned                pulled:1;

    /* of the request that is under way */
    mg_arena_t             *arena;
    mg_target_t             target;
    mg_buf_t                url;
    mg_buf_t                body;
    mg_buf_t                line;          /* of a pull, incomplete */
    int                     progress;      /* of a pull */
} mg_ready_server_t;


typedef struct {
    mg_arena_t             *arena;         /* strings */
    mg_ready_server_t      *servers;       /* calloc()ed */
    unsigned                n;
    uint64_t                digest;        /* of what it says */
} mg_ready_list_t;


/* -- mg_ready_list.c -- */

/*
 * What is to be waited for by the files that are published.  MG_DECLINED:
 * there is no routing file; MG_ERROR: out of memory.
 */
int mg_ready_list(const mg_env_t *env, const mg_ready_conf_t *conf,
    mg_ready_list_t *list);
void mg_ready_list_free(mg_ready_list_t *list);


/* -- mg_ready_past.c -- */

/* How long those took earlier, from the file of that folder. */
void mg_ready_past_read(const char *dir, const mg_ready_list_t *list);

/*
 * Adds how long those took that are ready, unless it was no time at all.
 * MG_ERROR with *e: it could not be written.
 */
int mg_ready_past_write(const char *dir, const mg_ready_list_t *list,
    mg_error_t *e);


#endif /* MG_READY_LOCAL_H */
