/*
 * mg_health.h: what a model server says of itself while it loads.
 *
 * Servers that load models answer long before they can generate, each in its
 * own way: llama.cpp with 503 and, in some builds, how far it is; vLLM, TGI
 * and SGLang with 200 or 503; Ollama with the models that are in memory, and
 * with a line for each piece while it pulls one.  None of it proves a model:
 * that is the protocol's probe.
 *
 * Pure translation; any thread; never blocks.
 */

#ifndef MG_HEALTH_H
#define MG_HEALTH_H

#include "base/mg_json.h"


typedef enum {
    MG_HEALTH_NONE = 0,      /* the server has no such call */
    MG_HEALTH_LOADING,
    MG_HEALTH_WELL           /* worth a first generation */
} mg_health_e;

typedef struct {
    mg_health_e   state;
    int           progress;  /* 0..100, -1: it says none */
} mg_health_t;


typedef struct {
    mg_str_t      protocol;
    const char   *path;
    unsigned      server:1;  /* the path is the server's, not behind the
                                base URL */

    /* An answer, whatever its status; model: what the server calls it. */
    void        (*read)(mg_str_t model, int status, mg_str_t body,
                    mg_arena_t *a, mg_health_t *h);
} mg_health_ask_t;


/* The row of a protocol; NULL: such servers are asked for a generation. */
const mg_health_ask_t *mg_health_find(mg_str_t protocol);

/* What any server means by the status of a health check, and its body. */
void mg_health_read(mg_str_t model, int status, mg_str_t body, mg_arena_t *a,
    mg_health_t *h);

/*
 * A line of Ollama's pull.  MG_OK: it is done; MG_AGAIN: it goes on, and
 * *progress is raised if the line says how far; MG_ERROR: it says why not,
 * or is no such line.
 */
int mg_health_pull(mg_str_t line, mg_arena_t *a, int *progress);


#endif /* MG_HEALTH_H */
