/*
 * mg_call.h: a control-plane call, run on a pool thread while its client
 * waits.
 *
 * The api module fills the input (copies, so the request may go away), posts
 * the call to model_db, and sends what the call has put into status,
 * headers and body; MG_ERROR becomes the one error shape.  mg_call_routes
 * is the table of all such calls, by method and pattern.
 *
 * Patterns: {name} takes one path segment, {name*} takes the rest up to what
 * follows it in the pattern (model ids hold slashes).
 */

#ifndef MG_CALL_H
#define MG_CALL_H

#include "job/mg_env.h"
#include "store/mg_store.h"


#define MG_CALL_PARAMS_MAX   4
#define MG_CALL_QUERY_MAX    24
#define MG_CALL_BODY_MAX     (1024 * 1024)

/* What a route says of its body. */
#define MG_CALL_BODY_NONE       0
#define MG_CALL_BODY_NEEDED     1
#define MG_CALL_BODY_OPTIONAL   2


/* Bits of a method; the api module maps nginx's. */
#define MG_GET      1
#define MG_POST     2
#define MG_PATCH    4
#define MG_DELETE   8


typedef struct {
    mg_str_t   name;
    mg_str_t   value;             /* decoded */
} mg_pair_t;


typedef struct mg_call_s  mg_call_t;

struct mg_call_s {
    /* in; bytes live as long as the call */
    const mg_env_t  *env;
    mg_arena_t      *arena;
    mg_actor_t       who;
    mg_role_e        role;
    unsigned         method;
    mg_pair_t        path[MG_CALL_PARAMS_MAX];
    unsigned         n_path;
    mg_pair_t        query[MG_CALL_QUERY_MAX];
    unsigned         n_query;
    mg_str_t         body;        /* raw; {NULL, 0} without one */
    unsigned         respond_async:1;     /* Prefer: respond-async */
    mg_str_t         target;      /* path and query as they were sent */
    mg_once_t        once;        /* Idempotency-Key; hash: mg_call_once() */
    mg_expect_t     *expect;      /* If-Match; NULL: any version */
    const int       *cancel;      /* the client has gone */

    /* out */
    int              status;      /* 200 when left 0 */
    mg_buf_t         out;         /* JSON; empty with 204 */
    mg_str_t         location;    /* header, in the arena */
    mg_str_t         link;        /* the same */
    mg_str_t         file;        /* name to save the answer under */
    const char      *type;        /* content type; NULL: JSON */
    int64_t          version;     /* ETag "version" when not 0 */
    int64_t          retry_after_s;       /* 0: none */
    unsigned         kick_jobs:1; /* a job was made: wake the engine */
    unsigned         replayed:1;  /* by an earlier request of the same kind */
};


typedef int (*mg_call_pt)(mg_call_t *c, mg_error_t *e);


typedef struct {
    unsigned             method;
    const char          *pattern;
    mg_role_e            role;        /* least role */
    const char * const  *query;       /* allowed parameters, NULL ends */
    unsigned             body;        /* MG_CALL_BODY_* */
    mg_call_pt           handler;
} mg_call_route_t;

/* Ends with pattern == NULL. */
extern const mg_call_route_t  mg_call_routes[];


/* {NULL, 0} if the pattern has no such name / it was not sent. */
mg_str_t mg_call_path(const mg_call_t *c, const char *name);
mg_str_t mg_call_query(const mg_call_t *c, const char *name);

/*
 * With an Idempotency-Key: hashes what is asked for, so that the same request
 * is known again, and puts it into c->who.  For the api module, when the body
 * is there.  MG_ERROR: out of memory.
 */
int mg_call_once(mg_call_t *c, mg_error_t *e);

/*
 * If-Match as it was sent: the versions that it names, into c->expect.  Tags
 * are compared strongly; what is no version of a group, and what is weak,
 * never matches.  MG_ERROR: no list of at most MG_EXPECT_MAX tags, or a call
 * that knows no versions.
 */
int mg_call_if_match(mg_call_t *c, mg_str_t sent, mg_error_t *e);

/* page and limit with the contract's bounds; MG_ERROR names the member. */
int mg_call_paging(const mg_call_t *c, mg_paging_t *p, mg_error_t *e);


/*
 * The same for any list of pairs (routes on the event loop).  p->total is
 * not touched.
 */
int mg_query_paging(const mg_pair_t *query, unsigned n, mg_paging_t *p,
    mg_error_t *e);

/*
 * Matches a path against a pattern and fills params (not decoded further;
 * room for MG_CALL_PARAMS_MAX).  A {name*} that is not last takes as little
 * as it can.  1 or 0.  Used for all routes, those on the event loop too.
 */
int mg_route_match(const char *pattern, mg_str_t path, mg_pair_t *params,
    unsigned *n_params);

/*
 * How specific a pattern is: its literal bytes.  Of several patterns that
 * match a path the one of most weight is meant, so /models/refresh comes
 * before /models/{id*}.
 */
unsigned mg_route_weight(const char *pattern);


#endif /* MG_CALL_H */
