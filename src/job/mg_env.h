/*
 * mg_env.h: what work on a pool thread is given to work with.
 *
 * One struct a worker process, filled when the worker starts and not
 * changed until it ends; everything in it may be used by several threads
 * at once.  Shared-memory members are atomics (mg_word_*).
 */

#ifndef MG_ENV_H
#define MG_ENV_H

#include "base/mg_crypt.h"
#include "model/mg_event.h"
#include "model/mg_gate.h"
#include "model/mg_host.h"
#include "model/mg_metric.h"
#include "model/mg_peak.h"
#include "model/mg_ready.h"
#include "model/mg_ring.h"
#include "model/mg_secret.h"
#include "store/mg_pg.h"
#include "store/mg_redis.h"


typedef enum {
    MG_LOG_ERROR = 0,
    MG_LOG_WARN,
    MG_LOG_NOTICE,
    MG_LOG_INFO
} mg_log_level_e;


typedef struct {
    mg_pg_pool_t          *db;               /* NULL: no model_database */
    mg_pg_options_t        db_options;       /* for the listener */
    mg_redis_t            *redis;            /* NULL: none configured */
    const char            *state_dir;        /* no trailing slash */
    const mg_crypt_key_t  *key;              /* key->set 0: none configured */
    mg_secrets_t          *secrets;          /* model_secret; NULL: none */
    const char            *catalog_source;   /* file or URL; NULL: none */
    const char            *trusted;          /* file of certificates that
                                                providers are verified with;
                                                NULL: the system's */
    mg_state_t            *state;            /* shared memory */
    mg_metrics_t          *metrics;          /* this worker's slot */
    mg_gates_t            *gates;            /* outbound calls; shared */
    mg_gates_t            *backends;         /* their breakers; shared; set
                                                with mg_word_set() when the
                                                threads may already run */
    mg_peaks_t            *peaks;            /* addresses of backends;
                                                shared */
    mg_events_t           *events;           /* recent ones; shared */
    const struct mg_webhook_conf_s
                          *webhook;          /* model_webhook; NULL: none */
    const struct mg_refresh_conf_s
                          *refresh;          /* model_refresh; NULL: only on
                                                demand, see mg_refresh.h */
    const struct mg_schedule_s
                          *schedule;         /* model_validate; NULL: only on
                                                demand, see mg_schedule.h */
    unsigned               jobs_history_days;  /* of ended jobs; 0: all */
    unsigned               validate_concurrency;  /* 64 */
    unsigned               validate_timeout_ms;   /* 30,000 */
    unsigned               validate_host_concurrency;  /* of all runs at a
                                                host */
    mg_hosts_t            *hosts;            /* their requests; shared; NULL:
                                                not bounded */
    unsigned               allow_private:1;  /* jobs may reach loopback and
                                                private addresses */
    char                   owner[96];        /* node:pid:start, for leases */

    /* Thread-safe; one line; never a secret. */
    void                 (*log)(mg_log_level_e level, const char *fmt, ...)
                               __attribute__((format(printf, 2, 3)));
} mg_env_t;


#endif /* MG_ENV_H */
