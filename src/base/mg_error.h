/*
 * mg_error.h: how a failure travels from where it happened to the client.
 *
 * Functions that can fail return MG_OK or MG_ERROR (or MG_DECLINED where
 * their comment says so) and fill the caller's mg_error_t: a kind, which
 * decides the HTTP status, the name of the offending member, a machine
 * code, and a sentence that says what was wrong, with the value in quotes,
 * and what to do.  The struct is flat, so it crosses threads by assignment.
 *
 * Any thread; never blocks; never allocates.
 */

#ifndef MG_ERROR_H
#define MG_ERROR_H

#include "base/mg_str.h"


#define MG_OK            0
#define MG_ERROR        -1
#define MG_DECLINED     -2
#define MG_AGAIN        -3


typedef enum {
    MG_E_NONE = 0,
    MG_E_INVALID,           /* 400: the input is wrong */
    MG_E_UNAUTHENTICATED,   /* 401 */
    MG_E_FORBIDDEN,         /* 403 */
    MG_E_NOT_FOUND,         /* 404 */
    MG_E_METHOD,            /* 405 */
    MG_E_CONFLICT,          /* 409: it contradicts what is there */
    MG_E_PRECONDITION,      /* 412: If-Match names another version */
    MG_E_TOO_LARGE,         /* 413 */
    MG_E_MEDIA_TYPE,        /* 415 */
    MG_E_TOO_EARLY,         /* 425 */
    MG_E_INTERNAL,          /* 500 */
    MG_E_UPSTREAM,          /* 502: a provider or source misbehaved */
    MG_E_UNAVAILABLE,       /* 503: database or queue; try again */
    MG_E_TIMEOUT,           /* 504 */
    MG_E_CANCELLED,         /* the work was asked to stop; 503 to a client */
    MG_E_UPGRADE,           /* 426: this is spoken over WebSocket */
    MG_E_LIMITED            /* 429: one client, too much at once */
} mg_error_kind_e;


typedef struct {
    mg_error_kind_e  kind;
    char             param[64];     /* member or parameter, "" if none */
    char             code[40];      /* "invalid_parameter", "not_found", ... */
    char             message[640];  /* UTF-8, one line, NUL-terminated */
} mg_error_t;


/*
 * Fills *e and returns MG_ERROR, so that a caller writes
 * return mg_error_set(e, ...).  e may be NULL.  param may be NULL.  The code
 * is the kind's default.  Control characters and invalid UTF-8 that came in
 * through %s arguments are replaced by '?', so a message can be logged and
 * sent as it is.
 */
int mg_error_set(mg_error_t *e, mg_error_kind_e kind, const char *param,
    const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Overrides the default machine code of an error; returns MG_ERROR. */
int mg_error_code(mg_error_t *e, const char *code);

/* The HTTP status of a kind: 400 for MG_E_INVALID and so on. */
int mg_error_status(mg_error_kind_e kind);

/* The "type" member of the error object: "invalid_request_error", ... */
const char *mg_error_type(mg_error_kind_e kind);


#endif /* MG_ERROR_H */
