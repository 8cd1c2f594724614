/*
 * mg_record.h: one inference, as the audit trail keeps it.
 *
 * Made in the log phase, carried as bytes through ring and spool, written
 * to the group's table.  The wire form is the same in both places, but for
 * the checksum, which is for files only:
 *
 *     u32 magic | u32 length of all | u64 checksum of the rest | fixed
 *     fields of mg_record_t | for each string: u16 length, bytes
 *     | for each body that is kept: u32 length, bytes
 *
 * so a reader recognises a record that a killed writer left half-done in a
 * file; a ring shows none to its reader before it is complete.
 * Strings longer than MG_RECORD_STRING_MAX are cut at a character, and
 * MG_RS_ATTEMPTS is left out if it is longer than MG_RECORD_ATTEMPTS_MAX.
 *
 * Plain functions; event loop (encode) and pool threads (decode).
 */

#ifndef MG_RECORD_H
#define MG_RECORD_H

#include "base/mg_time.h"
#include "model/mg_usage.h"


#define MG_RECORD_STRING_MAX   512
#define MG_RECORD_ATTEMPTS_MAX 2048       /* of that one string */
#define MG_RECORD_BODY_MAX     65536
#define MG_RECORD_SIZE_MAX     (16384 + 2 * MG_RECORD_BODY_MAX)


/* Strings of a record, in the order of the columns. */
typedef enum {
    MG_RS_TABLE = 0,          /* inference table of the group */
    MG_RS_GROUP,              /* group name */
    MG_RS_MODEL_REQUESTED,
    MG_RS_MODEL_ASSIGNED,     /* provider/model */
    MG_RS_MODEL_SERVED,
    MG_RS_UPSTREAM_MODEL,
    MG_RS_PROVIDER,
    MG_RS_ROLE,               /* of the served variant */
    MG_RS_REQUEST_ID,         /* the gateway's X-Request-Id */
    MG_RS_UPSTREAM_REQUEST_ID,
    MG_RS_TRACEPARENT,
    MG_RS_METHOD,
    MG_RS_PATH,
    MG_RS_CLIENT,             /* address */
    MG_RS_UPSTREAM_ADDR,
    MG_RS_ERROR_CLASS,        /* "", timeout, connect, upstream_4xx, ... */
    MG_RS_ATTEMPTS,           /* JSON array of the attempts that failed */
    MG_RS_N
} mg_record_string_e;


/* Whose request it was. */
typedef enum {
    MG_RECORD_INFERENCE = 0,  /* a client's */
    MG_RECORD_SHADOW          /* a copy of it, for a shadow variant */
} mg_record_kind_e;


/* Why the assigned variant was chosen, where no bucket says it. */
enum {
    MG_RECORD_FORCED = 1,     /* by a header of an operator */
    MG_RECORD_DRY_RUN = 2     /* decided, but proxied as before */
};


/*
 * The fields up to the strings are in the order of the wire form, which takes
 * them by runs (mg_record.c), without holes.
 */
typedef struct {
    mg_uuid_t          id;                /* version 7; carries the time */
    mg_uuid_t          group_id;
    mg_uuid_t          org_id;
    mg_uuid_t          token_id;          /* all zero: none */
    uint8_t            key_hash[16];      /* keyed hash of the sticky key */
    int64_t            created_at;        /* us since 1970; its date names
                                             the partition */
    int64_t            latency_us;        /* request begun to last byte */
    int64_t            ttft_us;           /* -1 unknown */
    int64_t            upstream_us;       /* -1 unknown */
    int64_t            request_bytes;
    int64_t            response_bytes;
    mg_usage_t         usage;

    int64_t            cost_nano;         /* MG_TOKENS_UNKNOWN: null */
    int32_t            bucket;            /* -1: not by bucket */
    int32_t            attempts;
    uint16_t           status;            /* sent to the client */
    uint16_t           upstream_status;   /* 0: none */
    uint8_t            key_source;        /* 0 none, 1 header/expression,
                                             2 body, 3 token */
    uint8_t            usage_source;      /* mg_usage_source_e */
    uint8_t            stream;
    uint8_t            truncated;

    uint64_t           price_version;     /* 0: none */
    mg_uuid_t          shadow_of;         /* the client's; all zero: none */
    uint8_t            span_id[8];        /* sent to the provider as parent
                                             of its span; all zero: none */
    uint8_t            kind;              /* mg_record_kind_e */
    uint8_t            flags;             /* MG_RECORD_FORCED, ... */
    uint8_t            cost_reason;       /* mg_cost_reason_e */
    uint8_t            bodies;            /* MG_POLICY_*_BODY: what follows
                                             the strings */
    uint32_t           reserved;          /* 0 */

    mg_str_t           str[MG_RS_N];
    mg_str_t           request_body;      /* at most MG_RECORD_BODY_MAX */
    mg_str_t           response_body;
} mg_record_t;


/* One in its wire form, which stays where it is, and what it is sorted by. */
typedef struct {
    mg_str_t           wire;
    mg_str_t           table;             /* lies within it */
} mg_record_ref_t;


/* Fields unknown, strings absent. */
void mg_record_init(mg_record_t *r);

/* Bytes that mg_record_encode() will write, at most MG_RECORD_SIZE_MAX. */
size_t mg_record_size(const mg_record_t *r);

/* out has mg_record_size() bytes. */
void mg_record_encode(const mg_record_t *r, void *out);

/* The same for a ring: without the checksum. */
void mg_record_put(const mg_record_t *r, void *out);

/* Makes of what mg_record_put() wrote what mg_record_encode() writes. */
void mg_record_seal(void *wire);

/*
 * Puts r, whose strings are those of wire: an earlier state of the same
 * record, put with the same size.  They are not looked at again.
 */
void mg_record_renew(const mg_record_t *r, const void *wire, void *out);

/*
 * Reads one record at data.  MG_OK with *used; MG_AGAIN if len is too short
 * for it; MG_ERROR if it is no record or damaged.  Strings point into data.
 */
int mg_record_decode(const void *data, size_t len, mg_record_t *r,
    size_t *used);

/*
 * Reads what mg_record_put() or mg_record_encode() wrote in a ring.  MG_ERROR
 * if it is no record; memory that was changed within one is not noticed.
 */
int mg_record_get(const void *data, size_t len, mg_record_t *r);

/*
 * Looks no further than the table.  MG_ERROR if it is no record; whether the
 * rest of it can be read mg_record_get() will tell.
 */
int mg_record_refer(const void *data, size_t len, mg_record_ref_t *ref);

/*
 * A body as text that a database takes: NUL, control characters other than
 * tab and line breaks, and what is no UTF-8 become '?'.  out: in.len bytes.
 */
void mg_record_text(char *out, mg_str_t in);


#endif /* MG_RECORD_H */
