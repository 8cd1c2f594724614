/*
 * mg_refresh.h: from where, how often and within which limits the catalog
 * is renewed.
 *
 * The struct is what the directive model_refresh says; it is made when the
 * configuration is read and not changed.  mg_refresh_round() is the
 * schedule: it asks for a job when a source is due.  Which source was read
 * when is in the database (models_refresh_history), and a job carries the
 * row after which it was asked for, so that of several nodes that find the
 * same source due at the same time one reads it.
 *
 * Configuration: any thread.  The round: keeper's thread of worker 0.
 */

#ifndef MG_REFRESH_H
#define MG_REFRESH_H

#include "job/mg_env.h"
#include "provider/mg_source.h"


#define MG_REFRESH_SOURCES_MAX   16
#define MG_REFRESH_MODELS_DEV    "models.dev"


typedef struct {
    const mg_source_t        *source;
    const char               *from;        /* URL or path of a file */
    unsigned                  used:1;      /* named in sources= */
} mg_refresh_source_t;


typedef struct mg_refresh_conf_s  mg_refresh_conf_t;

struct mg_refresh_conf_s {
    unsigned                  on:1;        /* by itself, not only when asked */
    unsigned                  providers:1; /* and the lists of providers */
    unsigned                  interval_s;
    unsigned                  jitter_s;
    unsigned                  shrink;      /* percent, as mg_sync_scope_t */
    unsigned                  history_days;
    unsigned                  gone_days;
    unsigned                  per_minute;  /* 0: the source's own limit */
    unsigned                  failures;    /* that open the breaker */
    unsigned                  pause_ms;    /* how long it is open at first */
    unsigned                  timeout_ms;  /* of one document */
    unsigned                  n_sources;
    mg_refresh_source_t       sources[MG_REFRESH_SOURCES_MAX];
};


/* What is in effect: the directive's, or the defaults without one. */
const mg_refresh_conf_t *mg_refresh_conf(const mg_env_t *env);

/* The defaults; no source. */
void mg_refresh_conf_init(mg_refresh_conf_t *conf);

/*
 * A source by its name if it is configured; models.dev is, when
 * model_catalog_source is set.  0 if it is not, else 1 and *s.
 */
int mg_refresh_source(const mg_env_t *env, mg_str_t name,
    mg_refresh_source_t *s);

/* All that are configured; returns their number, 0..MG_REFRESH_SOURCES_MAX. */
unsigned mg_refresh_sources(const mg_env_t *env, mg_refresh_source_t *list);


/* -- the schedule -- */

/* Zeroed at the start; belongs to the keeper. */
typedef struct {
    int64_t    looked_us;                  /* last look at the history */
    int64_t    retained_us;                /* last time old rows went */
} mg_refresh_round_t;

/*
 * Asks for what is due and, once an hour, removes what is too old.  MG_OK,
 * also when nothing is configured; MG_ERROR when the database is away.
 */
int mg_refresh_round(const mg_env_t *env, mg_refresh_round_t *r, mg_pg_t *db,
    mg_error_t *e);


#endif /* MG_REFRESH_H */
