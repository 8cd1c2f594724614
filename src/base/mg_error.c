/*
 * mg_error.c: fills errors, and maps their kinds to HTTP.
 *
 * One table has the status, the type and the default code of each kind.  A
 * message is printed as a whole and cleaned as a whole afterwards: what came
 * in through its arguments is hostile, and a format string of ours is clean
 * by itself.
 *
 * Any thread; writes into the caller's struct only.
 */

#include "base/mg_error.h"
#include "base/mg_utf8.h"

#include <stdarg.h>
#include <stdio.h>


typedef struct {
    int          status;
    const char  *type;
    const char  *code;
} mg_error_row_t;


static size_t mg_error_clean(char *text, size_t len);


static const mg_error_row_t  mg_error_rows[] = {
    [MG_E_NONE] =
        { 200, "", "" },
    [MG_E_INVALID] =
        { 400, "invalid_request_error", "invalid_parameter" },
    [MG_E_UNAUTHENTICATED] =
        { 401, "authentication_error", "unauthenticated" },
    [MG_E_FORBIDDEN] =
        { 403, "permission_error", "forbidden" },
    [MG_E_NOT_FOUND] =
        { 404, "not_found_error", "not_found" },
    [MG_E_METHOD] =
        { 405, "invalid_request_error", "method_not_allowed" },
    [MG_E_CONFLICT] =
        { 409, "conflict_error", "conflict" },
    [MG_E_PRECONDITION] =
        { 412, "conflict_error", "version_conflict" },
    [MG_E_TOO_LARGE] =
        { 413, "invalid_request_error", "too_large" },
    [MG_E_MEDIA_TYPE] =
        { 415, "invalid_request_error", "unsupported_media_type" },
    [MG_E_TOO_EARLY] =
        { 425, "invalid_request_error", "too_early" },
    [MG_E_INTERNAL] =
        { 500, "server_error", "internal_error" },
    [MG_E_UPSTREAM] =
        { 502, "upstream_error", "upstream_error" },
    [MG_E_UNAVAILABLE] =
        { 503, "server_error", "unavailable" },
    [MG_E_TIMEOUT] =
        { 504, "upstream_error", "timeout" },
    [MG_E_CANCELLED] =
        { 503, "server_error", "cancelled" },
    [MG_E_UPGRADE] =
        { 426, "invalid_request_error", "upgrade_required" },
    [MG_E_LIMITED] =
        { 429, "rate_limit_error", "too_many_connections" }
};


#define MG_ERROR_KINDS  (sizeof(mg_error_rows) / sizeof(mg_error_rows[0]))


int
mg_error_set(mg_error_t *e, mg_error_kind_e kind, const char *param,
    const char *fmt, ...)
{
    int      n;
    size_t   len;
    va_list  args;

    if (e == NULL) {
        return MG_ERROR;
    }

    e->kind = kind;

    snprintf(e->param, sizeof(e->param), "%s", param ? param : "");
    mg_error_clean(e->param, strlen(e->param));

    snprintf(e->code, sizeof(e->code), "%s",
             (size_t) kind < MG_ERROR_KINDS ? mg_error_rows[kind].code : "");

    va_start(args, fmt);
    n = vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);

    if (n < 0) {
        e->message[0] = '\0';
        return MG_ERROR;
    }

    len = strlen(e->message);

    if ((size_t) n >= sizeof(e->message)) {

        /* make room for the mark, not in the middle of a character */

        len -= 3;

        while (len > 0 && (e->message[len] & 0xc0) == 0x80) {
            len--;
        }

        memcpy(e->message + len, "...", 4);
        len += 3;
    }

    mg_error_clean(e->message, len);

    return MG_ERROR;
}


int
mg_error_code(mg_error_t *e, const char *code)
{
    if (e != NULL) {
        snprintf(e->code, sizeof(e->code), "%s", code);
    }

    return MG_ERROR;
}


int
mg_error_status(mg_error_kind_e kind)
{
    return (size_t) kind < MG_ERROR_KINDS ? mg_error_rows[kind].status : 500;
}


const char *
mg_error_type(mg_error_kind_e kind)
{
    return (size_t) kind < MG_ERROR_KINDS ? mg_error_rows[kind].type
                                          : "server_error";
}


/* Shortens in place: each control character or bad byte becomes one '?'. */

static size_t
mg_error_clean(char *text, size_t len)
{
    size_t         n, from, to;
    unsigned char  c;

    for (from = 0, to = 0; from < len; from += n ? n : 1) {

        c = (unsigned char) text[from];
        n = mg_utf8_next(text + from, len - from);

        if (n == 0 || c < 0x20 || c == 0x7f) {
            text[to++] = '?';
            continue;
        }

        /* C1 controls: U+0080 to U+009F */

        if (c == 0xc2 && (unsigned char) text[from + 1] < 0xa0) {
            text[to++] = '?';
            continue;
        }

        memmove(text + to, text + from, n);
        to += n;
    }

    text[to] = '\0';

    return to;
}
