/*
 * test_error.c: base/mg_error.h.
 *
 * What would break: a hostile value in an error message ends a log line or a
 * JSON string, or a client gets the wrong status.
 */

#include "base/mg_error.h"
#include "base/mg_uri.h"
#include "tap.h"


static void
test_text(void)
{
    char        text[2000];
    size_t      i;
    mg_error_t  e;

    is_int(mg_error_set(&e, MG_E_INVALID, "limit", "limit \"%s\" is bad",
                        "7x"), MG_ERROR, "set returns MG_ERROR");
    is_str(e.message, "limit \"7x\" is bad", "message");
    is_str(e.param, "limit", "param");
    is_str(e.code, "invalid_parameter", "default code");
    is_int(e.kind, MG_E_INVALID, "kind");

    mg_error_code(&e, "bad_limit");
    is_str(e.code, "bad_limit", "code is overridden");

    mg_error_set(&e, MG_E_INVALID, "a\nb", "%s", "x\r\ny\x7f\xc2\x85z\xff\xc0");
    is_str(e.message, "x??y??z??", "controls and bad bytes become ?");
    is_str(e.param, "a?b", "in param, too");

    mg_error_set(&e, MG_E_INVALID, NULL, "%s", "\xe6\xbc\xa2 \xf0\x9f\x98\x80");
    is_str(e.message, "\xe6\xbc\xa2 \xf0\x9f\x98\x80", "UTF-8 stays");
    is_str(e.param, "", "no param");

    for (i = 0; i + 3 < sizeof(text); i += 3) {
        memcpy(text + i, "\xe6\xbc\xa2", 3);
    }

    text[i] = '\0';
    mg_error_set(&e, MG_E_INVALID, text, ".%s", text);
    ok(strlen(e.message) < sizeof(e.message), "a long message is cut");
    ok(mg_utf8_ok(mg_str_z(e.message)), "not inside a character");
    like(e.message, "\xa2...", "and the cut is marked");
    unlike(e.message, "?", "no half characters are left");

    is_int(mg_error_set(NULL, MG_E_INVALID, NULL, "x"), MG_ERROR,
           "NULL is allowed");
}


static void
test_kinds(void)
{
    size_t      i;
    mg_error_t  e;

    static const struct {
        mg_error_kind_e  kind;
        int              status;
        const char      *code;
    } kinds[] = {
        { MG_E_INVALID, 400, "invalid_parameter" },
        { MG_E_UNAUTHENTICATED, 401, "unauthenticated" },
        { MG_E_FORBIDDEN, 403, "forbidden" },
        { MG_E_NOT_FOUND, 404, "not_found" },
        { MG_E_METHOD, 405, "method_not_allowed" },
        { MG_E_CONFLICT, 409, "conflict" },
        { MG_E_PRECONDITION, 412, "version_conflict" },
        { MG_E_TOO_LARGE, 413, "too_large" },
        { MG_E_MEDIA_TYPE, 415, "unsupported_media_type" },
        { MG_E_TOO_EARLY, 425, "too_early" },
        { MG_E_INTERNAL, 500, "internal_error" },
        { MG_E_UPSTREAM, 502, "upstream_error" },
        { MG_E_UNAVAILABLE, 503, "unavailable" },
        { MG_E_TIMEOUT, 504, "timeout" },
        { MG_E_CANCELLED, 503, "cancelled" }
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        mg_error_set(&e, kinds[i].kind, NULL, "x");
        is_int(mg_error_status(e.kind), kinds[i].status, "status of %s",
               kinds[i].code);
        is_str(e.code, kinds[i].code, "code");
        ok(mg_error_type(e.kind)[0] != '\0', "it has a type");
    }

    is_str(mg_error_type(MG_E_INVALID), "invalid_request_error", "type");
    is_int(mg_error_status((mg_error_kind_e) 99), 500, "unknown kind");
}


int
main(void)
{
    test_text();
    test_kinds();

    return done_testing();
}
