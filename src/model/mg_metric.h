/*
 * mg_metric.h: every counter of the gateway, in one table.
 *
 * A counter is a 64-bit word in shared memory, one array for each worker
 * slot, added up when /metrics is read: workers never share a cache line.
 * Worker and pool threads add with relaxed atomics.  A dead worker's array
 * stays: counters only grow.
 *
 * To add one: a line in MG_METRICS.  label is the rendered label set.
 */

#ifndef MG_METRIC_H
#define MG_METRIC_H

#include "base/mg_buf.h"
#include "model/mg_ready.h"


#define MG_METRICS(X)                                                         \
    X(CATALOG_REQUESTS,    "nginx_model_catalog_requests_total", "",          \
      "Catalog requests answered from the snapshot.")                         \
    X(CATALOG_NOT_MODIFIED, "nginx_model_catalog_not_modified_total", "",     \
      "Catalog requests answered with 304.")                                  \
    X(API_CALLS,           "nginx_model_api_calls_total", "",                 \
      "Control-plane calls that ran on a pool thread.")                       \
    X(API_REJECTED,        "nginx_model_api_rejected_total", "",              \
      "Control-plane calls refused because the queue was full.")              \
    X(AUTH_FAILED,         "nginx_model_auth_failed_total", "",               \
      "Requests refused for want of a valid token.")                          \
    X(SPLIT_REQUESTS,      "nginx_model_split_requests_total", "",            \
      "Requests that the split decided.")                                     \
    X(SPLIT_REJECTED,      "nginx_model_split_rejected_total", "",            \
      "Data-plane requests refused before a provider was asked.")             \
    X(TAP_LOST,            "nginx_model_tap_lost_total", "",                  \
      "Responses whose usage the tap gave up reading.")                       \
    X(KEEPALIVE_HITS,      "nginx_model_keepalive_hits_total", "",            \
      "Upstream connections reused.")                                         \
    X(KEEPALIVE_MISSES,    "nginx_model_keepalive_misses_total", "",          \
      "Upstream connections opened.")                                         \
    X(RECORDS_WRITTEN,     "nginx_model_records_total",                       \
      "outcome=\"stored\"", "Inference records by outcome.")                  \
    X(RECORDS_SPOOLED,     "nginx_model_records_total",                       \
      "outcome=\"spooled\"", "Inference records by outcome.")                 \
    X(RECORDS_REPLAYED,    "nginx_model_records_total",                       \
      "outcome=\"replayed\"", "Inference records by outcome.")                \
    X(RECORDS_DROPPED,     "nginx_model_records_total",                       \
      "outcome=\"dropped\"", "Inference records by outcome.")                 \
    X(SNAPSHOT_BUILDS,     "nginx_model_snapshot_builds_total",               \
      "outcome=\"built\"", "Snapshot files by where they came from.")         \
    X(SNAPSHOT_REDIS,      "nginx_model_snapshot_builds_total",               \
      "outcome=\"redis\"", "Snapshot files by where they came from.")         \
    X(SNAPSHOT_FAILED,     "nginx_model_snapshot_builds_total",               \
      "outcome=\"failed\"", "Snapshot files by where they came from.")        \
    X(SNAPSHOT_MAPS,       "nginx_model_snapshot_maps_total", "",             \
      "Snapshot files mapped by workers.")                                    \
    X(SNAPSHOT_UNMAPS,     "nginx_model_snapshot_unmaps_total", "",           \
      "Mapped snapshot files given back; the rest is in use.")                \
    X(SYNC_RUNS,           "nginx_model_sync_runs_total",                     \
      "outcome=\"completed\"", "Catalog syncs by outcome.")                   \
    X(SYNC_FAILED,         "nginx_model_sync_runs_total",                     \
      "outcome=\"failed\"", "Catalog syncs by outcome.")                      \
    X(VALIDATED_AVAILABLE, "nginx_model_validated_models_total",              \
      "result=\"available\"", "Models tested by validations.")                \
    X(VALIDATED_UNAVAILABLE, "nginx_model_validated_models_total",            \
      "result=\"unavailable\"", "Models tested by validations.")              \
    X(JOBS_CLAIMED,        "nginx_model_jobs_claimed_total", "",              \
      "Jobs that a pool thread took on.")                                     \
    X(DATABASE_ERRORS,     "nginx_model_database_errors_total", "",           \
      "Database connections or statements that failed.")


typedef enum {
#define MG_METRIC_ENUM(id, name, label, help)   MG_M_##id,
    MG_METRICS(MG_METRIC_ENUM)
#undef MG_METRIC_ENUM
    MG_M_N
} mg_metric_e;


typedef struct {
    uint64_t  n[MG_M_N];
} __attribute__((aligned(64))) mg_metrics_t;


#define mg_metric_add(m, id, v)   mg_word_add((m)->n[MG_M_##id], (v))


/* Prometheus text format 0.0.4 of the sum over n_slots arrays. */
void mg_metrics_write(mg_buf_t *b, const mg_metrics_t *slots,
    unsigned n_slots);


#endif /* MG_METRIC_H */
