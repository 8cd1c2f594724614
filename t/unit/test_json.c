/*
 * test_json.c: base/mg_json.h.
 *
 * What would break: an API body with a key twice, with junk behind it or too
 * deep is taken; a hostile object costs quadratic time; a catalog in other
 * pieces gives other values.
 */

#include "base/mg_buf.h"
#include "base/mg_json.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "tap.h"


/* the document written again, or the error's message */

static void
reads(const char *text, const char *want)
{
    mg_jw_t      w;
    mg_buf_t     b;
    mg_json_t   *root;
    mg_error_t   e;
    mg_arena_t  *a;

    a = mg_arena_create(0);
    root = mg_json_parse(a, mg_str_z(text), NULL, &e);

    if (ok(root != NULL, "%s is read", text)) {
        mg_buf_init(&b, 0);
        mg_jw_init(&w, &b);
        mg_jw_node(&w, NULL, root);
        is_mem(b.data, b.len, want, strlen(want), "as %s", want);
        mg_buf_free(&b);
    }

    mg_arena_destroy(a);
}


static void
refuses(mg_str_t text, const mg_json_limits_t *limits, mg_error_kind_e kind,
    const char *message)
{
    mg_error_t   e;
    mg_arena_t  *a;

    e.message[0] = '\0';
    e.kind = MG_E_NONE;

    a = mg_arena_create(0);
    ok(mg_json_parse(a, text, limits, &e) == NULL, "%.60s is refused",
       text.data ? text.data : "nothing");
    is_int(e.kind, kind, "with its kind");
    like(e.message, message, "and reason");
    mg_arena_destroy(a);
}


static void
test_whole(void)
{
    reads("{\"a\":[1,-2.50e+3,\"x\\n\\u00e9\\ud83d\\ude00\"],"
          "\"b\":{\"c\":null},\"d\":true,\"e\":false, \"\":[]}",
          "{\"a\":[1,-2.50e+3,\"x\\n\xc3\xa9\xf0\x9f\x98\x80\"],"
          "\"b\":{\"c\":null},\"d\":true,\"e\":false,\"\":[]}");
    reads("12345678901234567890123456789.5", "12345678901234567890123456789.5");
    reads(" \"\" ", "\"\"");
    reads("null", "null");
    reads("[\"a\\u0000b\"]", "[\"a\\u0000b\"]");
    reads("[\"\\ud800x\"]", "[\"?x\"]");
    reads("[\"\\udc00x\"]", "[\"???x\"]");

    refuses(mg_str_null, NULL, MG_E_INVALID, "truncated");
    refuses(mg_str("{\"a\":"), NULL, MG_E_INVALID, "ends after 5 bytes");
    refuses(mg_str("[1,]"), NULL, MG_E_INVALID, "near byte 4");
    refuses(mg_str("{} x"), NULL, MG_E_INVALID, "not valid");
    refuses(mg_str("{}\"x"), NULL, MG_E_INVALID, "follows the document");
    refuses(mg_str("[01]"), NULL, MG_E_INVALID, "not valid");
    refuses(mg_str("\xef\xbb\xbf{}"), NULL, MG_E_INVALID, "not valid");
    refuses(mg_str("[\"\xc0\xaf\"]"), NULL, MG_E_INVALID, "at byte 2");
    refuses(mg_str("[\"\xed\xa0\x80\"]"), NULL, MG_E_INVALID, "UTF-8");
    refuses(mg_str("{\"a\":1,\"b\":2,\"a\":3}"), NULL, MG_E_INVALID,
            "\"a\" appears twice");
    refuses(mg_str("[{\"x\":{\"b\":1,\"\\u0062\":2}}]"), NULL, MG_E_INVALID,
            "\"b\" appears twice");
}


static void
test_limits(void)
{
    size_t    i;
    mg_buf_t  b;

    mg_json_limits_t  depth = { .depth = 3 };
    mg_json_limits_t  members = { .members = 4 };
    mg_json_limits_t  string = { .string = 5 };
    mg_json_limits_t  total = { .total = 6 };

    reads("[[[[[[[[[[]]]]]]]]]]", "[[[[[[[[[[]]]]]]]]]]");
    refuses(mg_str("[[[[]]]]"), &depth, MG_E_INVALID, "deeper than 3");
    refuses(mg_str("[1,2,3,4]"), &members, MG_E_TOO_LARGE, "more than 4");
    refuses(mg_str("[\"123456\"]"), &string, MG_E_TOO_LARGE, "6 bytes");
    refuses(mg_str("{\"123456\":1}"), &string, MG_E_TOO_LARGE, "6 bytes");
    refuses(mg_str("[1,2,3]"), &total, MG_E_TOO_LARGE, "longer than 6");

    mg_buf_init(&b, 0);

    for (i = 0; i < 100000; i++) {
        mg_buf_char(&b, '[');
    }

    refuses(mg_buf_view(&b), NULL, MG_E_INVALID, "deeper than 32");
    mg_buf_free(&b);
}


/* a large object whose keys begin alike; the duplicate is far apart */

static void
test_hostile(void)
{
    int          i;
    int64_t      cpu;
    mg_buf_t     b;
    mg_str_t     text;
    mg_error_t   e;
    mg_arena_t  *a;

    mg_buf_init(&b, 0);
    mg_buf_char(&b, '{');

    for (i = 0; i < 60000; i++) {
        mg_buf_printf(&b, "\"k%06d\":1,", i * 7919 % 60000);
    }

    mg_buf_z(&b, "\"z\":1}");
    text = mg_buf_view(&b);

    a = mg_arena_create(0);
    cpu = mg_cpu_ns();
    ok(mg_json_parse(a, text, NULL, &e) != NULL, "60000 members are taken");
    diag("in %lld ms", (long long) (mg_cpu_ns() - cpu) / 1000000);
    mg_arena_destroy(a);

    b.len -= 6;
    mg_buf_z(&b, "\"k000017\":1}");
    refuses(mg_buf_view(&b), NULL, MG_E_INVALID,
            "\"k000017\" appears twice");
    mg_buf_free(&b);
}


static void
test_access(void)
{
    int64_t           n;
    mg_error_t        e;
    mg_arena_t       *a;
    const mg_json_t  *o;

    a = mg_arena_create(0);
    o = mg_json_parse(a, mg_str("{\"s\":\"x\",\"n\":5.0,\"t\":true,"
                                "\"f\":false,\"z\":null,\"e\":\"\"}"),
                      NULL, &e);

    if (!ok(o != NULL, "a document")) {
        mg_arena_destroy(a);
        return;
    }

    is_int(o->count, 6, "count of members");
    ok(mg_str_eq(mg_json_str(o, "s"), mg_str("x")), "a string");
    ok(mg_json_str(o, "e").data != NULL, "an empty one is not absent");
    ok(mg_json_str(o, "q").data == NULL, "an absent one is");
    ok(mg_json_str(o, "n").data == NULL, "a number is no string");
    ok(mg_json_get(NULL, "s") == NULL, "no object");
    ok(mg_json_get(mg_json_get(o, "s"), "s") == NULL, "a string has none");

    is_int(mg_json_int64(mg_json_get(o, "n"), &n), MG_OK, "an integer");
    is_int(n, 5, "its value");
    is_int(mg_json_int64(mg_json_get(o, "s"), &n), MG_ERROR, "a string");
    is_int(mg_json_int64(NULL, &n), MG_ERROR, "nothing");

    is_int(mg_json_tri(mg_json_get(o, "t")), 1, "true");
    is_int(mg_json_tri(mg_json_get(o, "f")), 0, "false");
    is_int(mg_json_tri(mg_json_get(o, "z")), -1, "null is unknown");
    is_int(mg_json_tri(NULL), -1, "absent is unknown");

    mg_arena_destroy(a);
}


/* the stream: descends into "data", captures its elements, skips the rest */

static mg_json_want_e
on_enter(void *ctx, unsigned depth, mg_str_t key, mg_json_type_e type)
{
    (void) ctx;
    (void) type;

    if (depth == 0 || (depth == 1 && mg_str_eq(key, mg_str("data")))) {
        return MG_JSON_DESCEND;
    }

    return depth == 2 ? MG_JSON_CAPTURE : MG_JSON_SKIP;
}


static int
on_value(void *ctx, unsigned depth, mg_str_t key, const mg_json_t *v,
    mg_error_t *e)
{
    mg_jw_t  w;

    if (mg_str_eq(mg_json_str(v, "id"), mg_str("stop"))) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "stopped");
    }

    mg_buf_printf(ctx, "%u:" MG_STR_FMT "=", depth, MG_STR_ARG(key));
    mg_jw_init(&w, ctx);
    mg_jw_node(&w, NULL, v);
    mg_buf_char(ctx, ';');

    return MG_OK;
}


static int
on_leave(void *ctx, unsigned depth, mg_str_t key, mg_error_t *e)
{
    (void) e;

    mg_buf_printf(ctx, "%u:" MG_STR_FMT ".", depth, MG_STR_ARG(key));
    return MG_OK;
}


static const mg_json_handler_t  handler = { on_enter, on_value, on_leave };


static int
stream(mg_buf_t *seen, mg_str_t text, size_t piece, mg_error_t *e)
{
    int                rc;
    size_t             i, n;
    mg_json_stream_t  *s;

    seen->len = 0;
    rc = MG_OK;
    s = mg_json_stream_create(&handler, seen, NULL);

    for (i = 0; i < text.len && rc == MG_OK; i += n) {
        n = text.len - i < piece ? text.len - i : piece;
        rc = mg_json_stream_feed(s, text.data + i, n, e);
    }

    if (rc == MG_OK) {
        rc = mg_json_stream_finish(s, e);

    } else {
        is_int(mg_json_stream_feed(s, "{}", 2, e), MG_ERROR,
               "an error sticks");
    }

    mg_json_stream_destroy(s);

    return rc;
}


static void
test_stream(void)
{
    size_t      piece;
    mg_buf_t    seen;
    mg_error_t  e;

    static const char  text[] =
        "{\"object\":\"list\",\"skip\":{\"data\":[{\"id\":9}]},"
        "\"data\":[{\"id\":\"a\",\"x\":[1,{\"y\":2}]},{\"id\":\"b\","
        "\"id\":\"c\"},7],\"more\":false}";
    static const char  want[] =
        "1:object=\"list\";2:={\"id\":\"a\",\"x\":[1,{\"y\":2}]};"
        "2:={\"id\":\"c\"};2:=7;1:data.1:more=false;0:.";

    mg_buf_init(&seen, 0);

    for (piece = 1; piece <= sizeof(text); piece += 5) {
        is_int(stream(&seen, mg_str_n(text, sizeof(text) - 1), piece, &e),
               MG_OK, "in pieces of %zu", piece);
        is_mem(seen.data, seen.len, want, sizeof(want) - 1, "what was seen");
    }

    is_int(stream(&seen, mg_str_n(text, 60), 9, &e), MG_ERROR, "truncated");
    like(e.message, "truncated", "says so");

    is_int(stream(&seen, mg_str("{\"data\":[{\"id\":\"stop\"},1]}"), 9, &e),
           MG_ERROR, "the handler stops it");
    is_int(e.kind, MG_E_CANCELLED, "with its own error");

    is_int(stream(&seen, mg_str("{} \"x"), 4, &e), MG_ERROR,
           "something behind the document, in a piece of its own");

    mg_buf_free(&seen);
}


int
main(void)
{
    test_whole();
    test_limits();
    test_hostile();
    test_access();
    test_stream();

    return done_testing();
}
