/*
 * mg_store_inference.h: the audit trail, read.
 *
 * Inferences lie in one table a group, partitioned by day.  Their ids are
 * UUIDs of version 7, made of the time at which the request came, so the
 * order of the ids is the order of time, pages are cut at an id, and an id
 * alone tells the day to look in.
 *
 *     group -> table        id -> day -> table
 *
 * Every question names a window of time of at most MG_INFERENCE_WINDOW_US
 * and has a statement time-out of its own: a question takes a few hundred
 * locks at most, and no more time than that.
 *
 * Pool threads; blocks.
 */

#ifndef MG_STORE_INFERENCE_H
#define MG_STORE_INFERENCE_H

#include "store/mg_store.h"


#define MG_INFERENCE_WINDOW_DAYS   31
#define MG_INFERENCE_TIMEOUT_MS    5000

#define MG_DAY_US                  (24LL * 3600 * 1000000)
#define MG_INFERENCE_WINDOW_US     (MG_INFERENCE_WINDOW_DAYS * MG_DAY_US)

/*
 * How far created_at may be from the time in an id.  They are made of one
 * reading of the clock; the rest is for rows that came by other ways.
 */
#define MG_INFERENCE_APART_US      1000000LL


/* Where the inferences of a group are. */
typedef struct {
    mg_str_t   group_id;
    mg_str_t   group_name;
    mg_str_t   table;
} mg_inference_source_t;


/* What a value of a row is; it travels as PostgreSQL's text. */
typedef enum {
    MG_CELL_TEXT = 0,
    MG_CELL_WORD,           /* text of the gateway's own: a UUID, hex */
    MG_CELL_NUMBER,
    MG_CELL_BOOL,
    MG_CELL_TIME,
    MG_CELL_JSON
} mg_cell_e;


/* Sets of columns. */
#define MG_INFERENCE_LISTED   1       /* in lists */
#define MG_INFERENCE_WHOLE    2       /* in the answer about one */
#define MG_INFERENCE_PRIVATE  4       /* not for a viewer */


typedef struct {
    const char   *name;     /* of the member; NULL ends the table */
    const char   *sql;      /* NULL: the column of that name */
    mg_cell_e     kind;
    unsigned      sets;
} mg_inference_column_t;

extern const mg_inference_column_t  mg_inference_columns[];

/*
 * 1 if a column is of a set; private_too 0: and not private.  Rows have the
 * columns for which this holds, in their order.
 */
int mg_inference_column_in(const mg_inference_column_t *col, unsigned set,
    int private_too);


typedef struct {
    /* exact; {NULL, 0}: any */
    mg_str_t   served, assigned, requested, role, provider, kind;
    mg_str_t   error_class, token_id, request_id, trace_id;
    mg_str_t   key_hash;               /* 32 hex digits, lower case */

    int64_t    status_from, status_to; /* both included; 0: any */
    int64_t    min_latency_us;         /* 0: any */
    int        error, stream, truncated, forced, dry_run;    /* -1: any */

    int64_t    since, until;           /* until is not included */
    mg_str_t   after;                  /* id of the last one seen */
    unsigned   limit;
} mg_inference_filter_t;


/*
 * A read-only transaction with MG_INFERENCE_TIMEOUT_MS for each statement
 * (or less, if the connection has less); ended with mg_store_end().
 */
int mg_store_inference_begin(mg_pg_t *c, mg_error_t *e);

/* The lowest id of that time, of MG_UUID_LEN characters. */
mg_str_t mg_store_inference_bound(int64_t us, char out[MG_UUID_LEN + 1]);

/* ref: UUID or name, of a deleted group too.  MG_E_NOT_FOUND. */
int mg_store_inference_source(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_arena_t *a, mg_inference_source_t *s, mg_error_t *e);

/*
 * A page, newest first.  MG_E_TIMEOUT if it takes too long.  The caller
 * frees the rows.
 */
int mg_store_inferences(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_inference_filter_t *f,
    int private_too, mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e);

/*
 * In which table an inference of this organisation is; group: of this one
 * only, or {NULL, 0}.  MG_E_NOT_FOUND.  In no transaction.  *cancel is
 * looked at between statements; may be NULL.
 */
int mg_store_inference_find(mg_pg_t *c, mg_str_t org_id, const mg_uuid_t *id,
    mg_str_t group, const int *cancel, mg_arena_t *a,
    mg_inference_source_t *s, mg_error_t *e);

/* The one (MG_E_NOT_FOUND), and the shadows of it. */
int mg_store_inference_get(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_uuid_t *id, int private_too,
    mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e);
int mg_store_inference_shadows(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_uuid_t *id, int private_too,
    mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e);

/*
 * For the other files that read the audit trail: the quoted name of a table,
 * and parameters that begin with the organisation as $1.
 */
int mg_store_inference_params(mg_str_t org_id,
    const mg_inference_source_t *s, mg_arena_t *a, mg_pg_params_t *p,
    mg_str_t *table, mg_error_t *e);

/* Runs text made at run time, freed here; a time-out says what to do. */
int mg_store_inference_ask(mg_pg_t *c, mg_buf_t *sql,
    const mg_pg_params_t *p, mg_pg_rows_t **rows, mg_error_t *e);


/* -- feedback (mg_store_feedback.c) -- */

#define MG_FEEDBACK_MAX       100         /* of one inference */
#define MG_FEEDBACK_REWARD    1000000     /* at most, and at least below 0 */
#define MG_FEEDBACK_SCALE     6           /* digits of a reward */


typedef struct {
    mg_str_t   id;
    mg_str_t   source, name;
    mg_str_t   reward;        /* a JSON number; {NULL, 0}: none */
    mg_str_t   label, comment;
    mg_str_t   token_id;
    int64_t    created_at, updated_at;
    unsigned   made:1;        /* out: it was not there before */
} mg_feedback_t;


/*
 * Of the same source and name it replaces what was said.  MG_E_CONFLICT
 * when the inference has MG_FEEDBACK_MAX already.  Own transaction.
 */
int mg_store_feedback_put(mg_pg_t *c, const mg_actor_t *who,
    const mg_uuid_t *inference, mg_arena_t *a, mg_feedback_t *f,
    mg_error_t *e);

/* All of an inference, oldest first. */
int mg_store_feedback_list(mg_pg_t *c, mg_str_t org_id,
    const mg_uuid_t *inference, mg_arena_t *a, mg_feedback_t **rows,
    unsigned *n, mg_error_t *e);


/* -- performance (mg_store_performance.c) -- */

#define MG_PERFORMANCE_QUANTILES  4       /* 0.5, 0.9, 0.95, 0.99 */
#define MG_PERFORMANCE_ROWS       256
#define MG_PERFORMANCE_LABELS     1000

/* Which requests are meant. */
typedef enum {
    MG_PART_SPLIT = 0,        /* what the split decided */
    MG_PART_FORCED,
    MG_PART_DRY_RUN,
    MG_PART_SHADOW,
    MG_PART_N
} mg_part_e;

extern const mg_str_t  mg_part_names[MG_PART_N];


/* Counts and sums; what nobody knows is MG_UNKNOWN. */
typedef struct {
    mg_part_e  part;
    unsigned   served:1;      /* by the variant that served; 0: assigned */
    mg_str_t   model_id;
    int64_t    requests, errors, diverted, truncated, client_closed;
    int64_t    streams, measured;
    int64_t    latency_mean_us, latency_us[MG_PERFORMANCE_QUANTILES];
    int64_t    ttft_mean_us, ttft_us[MG_PERFORMANCE_QUANTILES];
    int64_t    input_tokens, cache_read_tokens, cache_write_tokens;
    int64_t    output_tokens, reasoning_tokens, usage_known;
    int64_t    cost_nano_usd, cost_known;
} mg_performance_t;


/* Of one variant by assignment and one name; label {NULL, 0}: all. */
typedef struct {
    mg_str_t   model_id, name, label;
    int64_t    count, rewards;
    mg_str_t   mean, deviation;    /* of the rewards, decimals; absent */
} mg_performance_feedback_t;


/* All of a group between since and until, in a transaction of the caller. */
int mg_store_performance(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, int64_t since, int64_t until,
    mg_arena_t *a, mg_performance_t **rows, unsigned *n, mg_error_t *e);

/* What was said of those that the split has decided. */
int mg_store_performance_feedback(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, int64_t since, int64_t until,
    mg_arena_t *a, mg_performance_feedback_t **rows, unsigned *n,
    mg_error_t *e);


#endif /* MG_STORE_INFERENCE_H */
