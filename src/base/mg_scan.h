/*
 * mg_scan.h: finds the top-level member "model" of a JSON document.
 *
 * The scanner of the proxy path: strict (RFC 8259 to the letter, plus the
 * policy below), incremental (a body may come in pieces, cut at any byte),
 * and cheap: strings are passed over 64 bytes at a time (SSE2 where there is
 * any), everything else by a table of states, each a function that takes as
 * many bytes as it can.  Budget: 1 us for 1 KB, 50 us for 100 KB.
 *
 * Policy: the document is one object; depth is capped at 128; a second
 * top-level "model" is an error; a key that decodes to "model" but is
 * spelt with escapes is an error; the value is a non-empty string of at
 * most MG_SCAN_MODEL_MAX decoded bytes, escapes in it are decoded; NUL and
 * half a surrogate pair are refused in it.  Nested "model" members are
 * somebody else's.  Also noted, when they stand at the top level: "stream":
 * true, and what names a client or its session, if it is a string of at most
 * MG_SCAN_USER_MAX decoded bytes: "user", "user_id" of the object "metadata",
 * "prompt_cache_key", "session_id".  Of two members of one name the last one
 * counts.  And where "include_usage" of "stream_options" could be put.
 *
 * Stricter than yajl in two ways, lest an upstream reads another document:
 * UTF-8 is RFC 3629's (yajl takes overlong forms and surrogates), and white
 * space is JSON's four (yajl also takes VT and FF).
 *
 * Event loop; never blocks, never allocates.
 */

#ifndef MG_SCAN_H
#define MG_SCAN_H

#include "base/mg_error.h"


#define MG_SCAN_MODEL_MAX   256
#define MG_SCAN_USER_MAX    512
#define MG_SCAN_DEPTH_MAX   128


/* Names of a client or its session, in the order in which they count. */
enum {
    MG_SCAN_BY_USER = 0,
    MG_SCAN_BY_METADATA,
    MG_SCAN_BY_CACHE_KEY,
    MG_SCAN_BY_SESSION,
    MG_SCAN_BY_N
};


typedef struct {
    /* results, valid after mg_scan_finish() returned MG_OK */
    size_t       model_len;
    uint64_t     value_start;   /* offset of the byte after the quote ... */
    uint64_t     value_end;     /* ... and of the closing quote */
    const char  *user;          /* the first of users[] that there is */
    size_t       user_len;      /* 0: there is none */
    unsigned     has_model:1;
    unsigned     stream:1;
    uint64_t     options_at;    /* of "stream_options": behind its brace, or
                                   of its null; 0: it is not there */
    unsigned     options_null:1;
    unsigned     options_some:1;  /* it has members */
    unsigned     usage_asked:1;   /* "include_usage" among them, or it is not
                                     what it should be */

    /* private */
    uint64_t     offset;        /* of the first byte of this piece */
    const char  *piece;         /* that byte, while feeding */
    uint32_t     state;
    uint32_t     after;         /* state after the current string */
    uint32_t     depth;
    uint32_t     named;         /* keys of objects down to here are read */
    uint32_t     within;        /* the member whose keys are read */
    uint64_t     stack[MG_SCAN_DEPTH_MAX / 64];   /* 1: object, 0: array */
    uint32_t     want;          /* what the current string is for */
    uint32_t     member;        /* which member the next value is of */
    uint32_t     utf8_left;     /* bytes of a sequence still to come */
    uint32_t     utf8_low;      /* bounds of the next one */
    uint32_t     utf8_high;
    uint32_t     hex;           /* \u: the value so far */
    uint32_t     hex_left;      /* and the digits still to come */
    uint32_t     surrogate;     /* first half of a pair, 0 if none */
    const char  *literal;       /* what is left of true, false, null */
    char         key[16];
    uint32_t     key_len;
    unsigned     key_long:1;
    unsigned     key_escaped:1;
    unsigned     seen_model:1;
    unsigned     user_bad:1;
    unsigned     failed:1;

    uint64_t     error_offset;
    const char  *error_text;
    const char  *error_param;

    size_t       user_lens[MG_SCAN_BY_N];

    /* not initialized: as long as the lengths say */
    char         model[MG_SCAN_MODEL_MAX];
    char         users[MG_SCAN_BY_N][MG_SCAN_USER_MAX];
} mg_scan_t;


void mg_scan_init(mg_scan_t *s);

/* MG_OK: go on; MG_ERROR with *e (MG_E_INVALID, the offset in the text). */
int mg_scan_feed(mg_scan_t *s, const char *data, size_t len, mg_error_t *e);

/*
 * The document has ended.  MG_OK with the results above; MG_DECLINED if
 * the document is valid but names no model (has_model is 0); MG_ERROR.
 */
int mg_scan_finish(mg_scan_t *s, mg_error_t *e);


#endif /* MG_SCAN_H */
