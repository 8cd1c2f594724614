/*
 * mg_metric.h: every counter and histogram of the gateway, in two tables.
 *
 * A counter is a 64-bit word in shared memory, one array for each worker
 * slot, added up when /metrics is read: workers never share a cache line.
 * Worker and pool threads add with relaxed atomics.  A dead worker's array
 * stays: counters only grow.  Histograms lie behind the counters.
 *
 * To add one: a line in MG_METRICS or MG_HISTOGRAMS.  label is the rendered
 * label set; lines of one name follow each other.
 */

#ifndef MG_METRIC_H
#define MG_METRIC_H

#include "base/mg_buf.h"
#include "model/mg_histogram.h"
#include "model/mg_ready.h"


#define MG_METRICS(X)                                                         \
    X(CATALOG_REQUESTS,    "nginx_model_catalog_requests_total", "",          \
      "Catalog requests answered from the snapshot.")                         \
    X(CATALOG_NOT_MODIFIED, "nginx_model_catalog_not_modified_total", "",     \
      "Catalog requests answered with 304.")                                  \
    X(CATALOG_STALE,       "nginx_model_catalog_stale_answers_total", "",     \
      "Catalog answers that said that they may be stale.")                    \
    X(L1_HITS,             "nginx_model_cache_hits_total", "layer=\"l1\"",    \
      "Catalog lookups that found what they wanted, by layer.")               \
    X(L2_HITS,             "nginx_model_cache_hits_total", "layer=\"l2\"",    \
      "Catalog lookups that found what they wanted, by layer.")               \
    X(L3_HITS,             "nginx_model_cache_hits_total", "layer=\"l3\"",    \
      "Catalog lookups that found what they wanted, by layer.")               \
    X(L1_MISSES,           "nginx_model_cache_misses_total", "layer=\"l1\"",  \
      "Catalog lookups that did not, by layer.")                              \
    X(L2_MISSES,           "nginx_model_cache_misses_total", "layer=\"l2\"",  \
      "Catalog lookups that did not, by layer.")                              \
    X(L3_MISSES,           "nginx_model_cache_misses_total", "layer=\"l3\"",  \
      "Catalog lookups that did not, by layer.")                              \
    X(L2_ERRORS,           "nginx_model_redis_errors_total", "",              \
      "Calls of Redis that failed or were too slow.")                         \
    X(L2_WAITS,            "nginx_model_redis_waits_total", "",               \
      "Snapshots that another node was building and that were waited for.")   \
    X(CACHE_FLUSHES,       "nginx_model_cache_flushes_total", "",             \
      "Flushes of the caches that operators have asked for.")                 \
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
    X(FALLBACKS_FAILED,    "nginx_model_fallbacks_total",                     \
      "cause=\"failure\"",                                                    \
      "Requests that went to another variant than they were to.")             \
    X(FALLBACKS_OPEN,      "nginx_model_fallbacks_total",                     \
      "cause=\"breaker\"",                                                    \
      "Requests that went to another variant than they were to.")             \
    X(FALLBACKS_REFUSED,   "nginx_model_fallbacks_refused_total", "",         \
      "Failed requests for which the budget of retries had no room.")         \
    X(SHADOW_QUEUED,       "nginx_model_shadow_queued_total", "",             \
      "Copies of requests that were taken on for shadow variants.")           \
    X(SHADOW_ANSWERED,     "nginx_model_shadow_requests_total",               \
      "outcome=\"answered\"",                                                 \
      "Copies that were sent to shadow variants.")                            \
    X(SHADOW_FAILED,       "nginx_model_shadow_requests_total",               \
      "outcome=\"failed\"", "Copies that were sent to shadow variants.")      \
    X(SHADOW_NO_QUEUE,     "nginx_model_shadow_dropped_total",                \
      "cause=\"queue\"", "Copies that were not sent.")                        \
    X(SHADOW_NO_MEMORY,    "nginx_model_shadow_dropped_total",                \
      "cause=\"memory\"", "Copies that were not sent.")                       \
    X(SHADOW_LARGE,        "nginx_model_shadow_dropped_total",                \
      "cause=\"body\"", "Copies that were not sent.")                         \
    X(SHADOW_NO_BACKEND,   "nginx_model_shadow_dropped_total",                \
      "cause=\"backend\"", "Copies that were not sent.")                      \
    X(SHADOW_EXPIRED,      "nginx_model_shadow_dropped_total",                \
      "cause=\"deadline\"", "Copies that were not sent.")                     \
    X(SHADOW_SHUTDOWN,     "nginx_model_shadow_dropped_total",                \
      "cause=\"shutdown\"", "Copies that were not sent.")                     \
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
    X(RECORD_BODIES_DROPPED, "nginx_model_record_bodies_dropped_total", "",   \
      "Records kept without their bodies, for which there was no room.")      \
    X(RECORDS_UNCOVERED,   "nginx_model_records_uncovered_total", "",         \
      "Answers whose record a kill at their last byte would have cost.")      \
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
    X(TRANSFORM_ENTRIES,   "nginx_model_transform_entries_total", "",         \
      "Entries of catalog sources that were read.")                           \
    X(TRANSFORM_ERRORS,    "nginx_model_transform_errors_total", "",          \
      "Entries of catalog sources that could not be made into models.")       \
    X(VALIDATED_AVAILABLE, "nginx_model_validated_models_total",              \
      "result=\"available\"", "Models tested by validations.")                \
    X(VALIDATED_UNAVAILABLE, "nginx_model_validated_models_total",            \
      "result=\"unavailable\"", "Models tested by validations.")              \
    X(VALIDATED_UNVERIFIED, "nginx_model_validated_models_total",             \
      "result=\"unverified\"", "Models tested by validations.")               \
    X(EVENTS_HEARD,        "nginx_model_events_heard_total", "",              \
      "Changes of state that a node's listener heard of.")                    \
    X(STREAMS_SSE,         "nginx_model_streams_opened_total",                \
      "transport=\"sse\"", "Streams of events that were begun.")              \
    X(STREAMS_SOCKET,      "nginx_model_streams_opened_total",                \
      "transport=\"websocket\"", "Streams of events that were begun.")        \
    X(STREAMS_ENDED,       "nginx_model_streams_closed_total",                \
      "cause=\"end\"", "Streams that ended; those opened and not closed "     \
      "are open, or their worker was killed.")                                \
    X(STREAMS_LEFT,        "nginx_model_streams_closed_total",                \
      "cause=\"client\"", "Streams that ended; those opened and not closed "  \
      "are open, or their worker was killed.")                                \
    X(STREAMS_SLOW,        "nginx_model_streams_closed_total",                \
      "cause=\"slow\"", "Streams that ended; those opened and not closed "    \
      "are open, or their worker was killed.")                                \
    X(STREAMS_SILENT,      "nginx_model_streams_closed_total",                \
      "cause=\"silent\"", "Streams that ended; those opened and not closed "  \
      "are open, or their worker was killed.")                                \
    X(STREAMS_BAD,         "nginx_model_streams_closed_total",                \
      "cause=\"protocol\"", "Streams that ended; those opened and not "       \
      "closed are open, or their worker was killed.")                         \
    X(STREAMS_VOID,        "nginx_model_streams_closed_total",                \
      "cause=\"token\"", "Streams that ended; those opened and not closed "   \
      "are open, or their worker was killed.")                                \
    X(STREAMS_REFUSED,     "nginx_model_streams_refused_total", "",           \
      "Streams refused for want of room, or because one client had many.")    \
    X(STREAM_MESSAGES,     "nginx_model_stream_messages_total", "",           \
      "Messages given to streams, heartbeats included.")                      \
    X(JOBS_CLAIMED,        "nginx_model_jobs_claimed_total", "",              \
      "Jobs that a pool thread took on.")                                     \
    X(JOBS_RETRIED,        "nginx_model_jobs_retried_total", "",              \
      "Attempts that failed and are followed by another one.")                \
    X(JOBS_HANDED_OVER,    "nginx_model_jobs_handed_over_total", "",          \
      "Jobs given back by a worker that leaves, or that may run no longer.")  \
    X(JOBS_LOST,           "nginx_model_jobs_lost_total", "",                 \
      "Jobs whose lease was another worker's before they ended.")             \
    X(DATABASE_ERRORS,     "nginx_model_database_errors_total", "",           \
      "Database connections or statements that failed.")


typedef enum {
#define MG_METRIC_ENUM(id, name, label, help)   MG_M_##id,
    MG_METRICS(MG_METRIC_ENUM)
#undef MG_METRIC_ENUM
    MG_M_N
} mg_metric_e;


#define MG_HISTOGRAMS(X)                                                      \
    X(CATALOG_REQUEST,     "nginx_model_catalog_request_duration_seconds",    \
      "", "Catalog requests, from the look at the snapshot to the end.")      \
    X(DATABASE_QUERY,      "nginx_model_database_query_duration_seconds",     \
      "", "Statements, from sending one to its last row.")                    \
    X(REBUILD_CATALOG,     "nginx_model_rebuild_duration_seconds",            \
      "kind=\"catalog\",source=\"database\"",                                 \
      "Making and publishing a snapshot file.")                               \
    X(ADOPT_CATALOG,       "nginx_model_rebuild_duration_seconds",            \
      "kind=\"catalog\",source=\"redis\"",                                    \
      "Making and publishing a snapshot file.")                               \
    X(REBUILD_ROUTING,     "nginx_model_rebuild_duration_seconds",            \
      "kind=\"routing\",source=\"database\"",                                 \
      "Making and publishing a snapshot file.")                               \
    X(ADOPT_ROUTING,       "nginx_model_rebuild_duration_seconds",            \
      "kind=\"routing\",source=\"redis\"",                                    \
      "Making and publishing a snapshot file.")


typedef enum {
#define MG_HISTOGRAM_ENUM(id, name, label, help)   MG_H_##id,
    MG_HISTOGRAMS(MG_HISTOGRAM_ENUM)
#undef MG_HISTOGRAM_ENUM
    MG_H_N
} mg_histogram_e;


typedef struct {
    uint64_t        n[MG_M_N];
    mg_histogram_t  h[MG_H_N];
} __attribute__((aligned(64))) mg_metrics_t;


#define mg_metric_add(m, id, v)   mg_word_add((m)->n[MG_M_##id], (v))

/*
 * For a counter that only the event loop adds to: one writer needs no locked
 * instruction.
 */
#define mg_metric_own(m, id, v)                                               \
    mg_word_set((m)->n[MG_M_##id], (m)->n[MG_M_##id] + (v))

/* us: how long it took. */
#define mg_metric_took(m, id, us)                                             \
    mg_histogram_add(&(m)->h[MG_H_##id], (us))


/* Prometheus text format 0.0.4 of the sum over n_slots arrays. */
void mg_metrics_write(mg_buf_t *b, const mg_metrics_t *slots,
    unsigned n_slots);

/* The value of a label, escaped; the quotes are the caller's. */
void mg_metric_label(mg_buf_t *b, mg_str_t value);


#endif /* MG_METRIC_H */
