/*
 * mg_ping.h: the smallest request that proves a model alive, and its answer.
 *
 * A protocol has one row for each type of model that it can ask: where, with
 * which body, and which member a good answer holds.  An answer is believed
 * only if it holds what was asked for: gateways answer 200 with an error
 * inside.
 *
 * Any thread; never blocks; pure.
 */

#ifndef MG_PING_H
#define MG_PING_H

#include "base/mg_jw.h"
#include "provider/mg_protocol.h"


typedef struct {
    mg_model_type_e     type;
    const char         *path;       /* behind the base URL; NULL ends */
    void              (*body)(mg_jw_t *w, mg_str_t id);
    const char         *member;     /* of the answer; not empty */
} mg_ping_t;


/* The row for models of that type, or NULL. */
const mg_ping_t *mg_ping_find(const mg_ping_t *rows, mg_model_type_e type);

/*
 * Path and {"model": id, ...} by the row of m's type, see mg_protocol_t.
 * MG_DECLINED: no row.
 */
int mg_ping_build(const mg_ping_t *rows, const mg_model_t *m, mg_buf_t *path,
    mg_buf_t *body);

/* See mg_protocol_t.  A type without a row is judged by the first row. */
mg_probe_class_e mg_ping_judge(const mg_ping_t *rows, const mg_model_t *m,
    int status, mg_str_t body, mg_arena_t *a, mg_str_t *message);

/* "messages": one of a user, as OpenAI, Anthropic and others want it. */
void mg_ping_messages(mg_jw_t *w);

/* The probe and the judge of a protocol whose types are these rows. */
#define MG_PING_DEFINE(probe, judge, rows)                                    \
    static int                                                                \
    probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body)                \
    {                                                                         \
        return mg_ping_build(rows, m, path, body);                            \
    }                                                                         \
                                                                              \
    static mg_probe_class_e                                                   \
    judge(const mg_model_t *m, int status, mg_str_t body, mg_arena_t *a,      \
        mg_str_t *message)                                                    \
    {                                                                         \
        return mg_ping_judge(rows, m, status, body, a, message);              \
    }


#endif /* MG_PING_H */
