/*
 * mg_record.h: one inference, as the audit trail keeps it.
 *
 * Made in the log phase, carried as bytes through ring and spool, written
 * to the group's table.  The wire form is the same in both places, but for
 * the checksum, which is for files only:
 *
 *     u32 magic | u32 length of all | u64 checksum of the rest | fixed
 *     fields of mg_record_t | for each string: u16 length, bytes
 *
 * so a reader recognises a record that a killed writer left half-done in a
 * file; a ring shows none to its reader before it is complete.
 * Strings longer than MG_RECORD_STRING_MAX are cut at a character.
 *
 * Plain functions; event loop (encode) and pool threads (decode).
 */

#ifndef MG_RECORD_H
#define MG_RECORD_H

#include "base/mg_time.h"
#include "model/mg_usage.h"


#define MG_RECORD_STRING_MAX   512
#define MG_RECORD_SIZE_MAX     8192


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
    MG_RS_N
} mg_record_string_e;


typedef struct {
    mg_uuid_t          id;                /* version 7; carries the time */
    mg_uuid_t          group_id;
    mg_uuid_t          org_id;
    mg_uuid_t          token_id;          /* all zero: none */
    int64_t            created_at;        /* us since 1970; its date names
                                             the partition */
    uint8_t            key_hash[16];      /* keyed hash of the sticky key */
    uint8_t            key_source;        /* 0 none, 1 header/expression,
                                             2 body, 3 token */
    uint8_t            usage_source;      /* mg_usage_source_e */
    uint8_t            stream;
    uint8_t            truncated;
    uint16_t           status;            /* sent to the client */
    uint16_t           upstream_status;   /* 0: none */
    int32_t            bucket;            /* -1: not by bucket */
    int32_t            attempts;
    int64_t            latency_us;        /* request begun to last byte */
    int64_t            ttft_us;           /* -1 unknown */
    int64_t            upstream_us;       /* -1 unknown */
    int64_t            request_bytes;
    int64_t            response_bytes;
    mg_usage_t         usage;
    int64_t            cost_nano;         /* MG_TOKENS_UNKNOWN: null */
    mg_str_t           str[MG_RS_N];
} mg_record_t;


/* Fields unknown, strings absent. */
void mg_record_init(mg_record_t *r);

/* Bytes that mg_record_encode() will write, at most MG_RECORD_SIZE_MAX. */
size_t mg_record_size(const mg_record_t *r);

/* out has mg_record_size() bytes. */
void mg_record_encode(const mg_record_t *r, void *out);

/* The same for a ring: without the checksum. */
void mg_record_put(const mg_record_t *r, void *out);

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


#endif /* MG_RECORD_H */
