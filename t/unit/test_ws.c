/*
 * What would break: a client that keeps the protocol is sent away, one that
 * breaks it is not, a ping stays without its pong, or the frames that all
 * clients are sent cannot be read.
 *
 * Every exchange is fed whole and byte by byte, with the same outcome.
 */

#include <malloc.h>

#include "base/mg_ws.h"
#include "tap.h"


typedef struct {
    const char  *name;
    mg_str_t     in;
    int          rc;
    mg_str_t     out;
    unsigned     frames;
    int          idle;
} test_ws_t;


#define MASK   "\0\0\0\0"


static const test_ws_t  tests[] = {

    { "nothing", mg_str(""), MG_OK, mg_str(""), 0, 1 },

    { "a text", mg_str("\x81\x82" MASK "hi"), MG_OK, mg_str(""), 1, 1 },

    { "a masked text", mg_str("\x81\x82\x01\x02\x03\x04ik"), MG_OK,
      mg_str(""), 1, 1 },

    { "a ping", mg_str("\x89\x83" MASK "abc"), MG_OK, mg_str("\x8a\x03" "abc"),
      1, 1 },

    { "a pong", mg_str("\x8a\x80" MASK), MG_OK, mg_str(""), 1, 1 },

    { "two pings", mg_str("\x89\x80" MASK "\x89\x81" MASK "x"), MG_OK,
      mg_str("\x8a\x00\x8a\x01x"), 2, 1 },

    { "half a frame", mg_str("\x81\x82" MASK "h"), MG_OK, mg_str(""), 0, 0 },

    { "half a header", mg_str("\x81"), MG_OK, mg_str(""), 0, 0 },

    { "half a message", mg_str("\x01\x82" MASK "hi"), MG_OK, mg_str(""), 1,
      0 },

    { "a message in pieces", mg_str("\x01\x82" MASK "hi\x80\x81" MASK "!"),
      MG_OK, mg_str(""), 2, 1 },

    { "a ping between pieces",
      mg_str("\x01\x82" MASK "hi\x89\x80" MASK "\x80\x81" MASK "!"), MG_OK,
      mg_str("\x8a\x00"), 3, 1 },

    { "a close", mg_str("\x88\x82" MASK "\x03\xe8"), MG_DECLINED,
      mg_str("\x88\x02\x03\xe8"), 1, 1 },

    { "unmasked", mg_str("\x81\x02hi"), MG_DECLINED,
      mg_str("\x88\x02\x03\xea"), 0, -1 },

    { "a ping in pieces", mg_str("\x09\x80" MASK), MG_DECLINED,
      mg_str("\x88\x02\x03\xea"), 0, -1 },

    { "reserved bits", mg_str("\xc1\x82" MASK "hi"), MG_DECLINED,
      mg_str("\x88\x02\x03\xea"), 0, -1 },

    { "no UTF-8", mg_str("\x81\x82" MASK "\xff\xfe"), MG_DECLINED,
      mg_str("\x88\x02\x03\xef"), -1U, -1 },

    { NULL, mg_str_null, 0, mg_str_null, 0, 0 }
};


static void
test_exchange(const test_ws_t *t, size_t step)
{
    int        rc;
    size_t     i, n;
    mg_ws_t   *ws;
    mg_buf_t   out;

    rc = MG_OK;
    ws = mg_ws_create();
    mg_buf_init(&out, 0);

    for (i = 0; i < t->in.len && rc == MG_OK; i += n) {
        n = (t->in.len - i < step) ? t->in.len - i : step;
        rc = mg_ws_feed(ws, t->in.data + i, n, &out);
    }

    ok(rc == t->rc, "%s: %d", t->name, rc);
    ok(out.len == t->out.len
       && (out.len == 0 || memcmp(out.data, t->out.data, out.len) == 0),
       "%s: what is sent", t->name);

    if (t->frames != -1U) {
        ok(mg_ws_frames(ws) == t->frames, "%s: %u frames", t->name,
           mg_ws_frames(ws));
    }

    if (t->idle != -1) {
        ok(mg_ws_idle(ws) == t->idle, "%s: idle or not", t->name);
    }

    mg_ws_free(ws);
    mg_buf_free(&out);
}


/* What is dropped in the end is not kept until then. */

static void
test_pieces(void)
{
    int        rc;
    size_t     before;
    mg_ws_t   *ws;
    mg_buf_t   out;
    unsigned   i;

    mg_buf_init(&out, 0);
    ws = mg_ws_create();

    rc = mg_ws_feed(ws, "\x01\x81" MASK "x", 7, &out);
    before = mallinfo2().uordblks;

    for (i = 1; i < MG_WS_MESSAGE_MAX && rc == MG_OK; i++) {
        rc = mg_ws_feed(ws, "\x00\x81" MASK "x", 7, &out);
    }

    ok(rc == MG_OK && !mg_ws_idle(ws), "a message of %u pieces",
       MG_WS_MESSAGE_MAX);
    ok(mallinfo2().uordblks - before < 1000, "takes no memory");
    ok(mg_ws_feed(ws, "\x00\x81" MASK "x", 7, &out) == MG_DECLINED
       && mg_str_eq(mg_buf_view(&out), mg_str("\x88\x02\x03\xf1")),
       "and may not be longer");

    mg_ws_free(ws);
    mg_buf_free(&out);
}


static void
test_frames(void)
{
    char      long_text[70000];
    mg_buf_t  out;

    mg_buf_init(&out, 0);
    ok(mg_ws_frame(&out, MG_WS_TEXT, mg_str("{}")) == MG_OK
       && mg_str_eq(mg_buf_view(&out), mg_str("\x81\x02{}")), "a text");
    mg_buf_free(&out);

    mg_buf_init(&out, 0);
    ok(mg_ws_close(&out, MG_WS_RESTART, mg_str("soon")) == MG_OK
       && mg_str_eq(mg_buf_view(&out), mg_str("\x88\x06\x03\xf4soon")),
       "a close");
    mg_buf_free(&out);

    memset(long_text, 'x', sizeof(long_text));
    mg_buf_init(&out, 0);
    ok(mg_ws_frame(&out, MG_WS_TEXT, mg_str_n(long_text, sizeof(long_text)))
       == MG_OK
       && out.len == sizeof(long_text) + 10
       && memcmp(out.data, "\x81\x7f\0\0\0\0\0\1\x11\x70", 10) == 0,
       "a long one");
    mg_buf_free(&out);

    mg_buf_init(&out, 8);
    ok(mg_ws_frame(&out, MG_WS_TEXT, mg_str("longer than that")) == MG_ERROR,
       "no room");
    mg_buf_free(&out);
}


static void
test_accept(void)
{
    char      accept[MG_WS_ACCEPT_LEN + 1];
    unsigned  i;

    static const char  *bad[] = {
        "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25j====", "dGhlIHNhbXBsZSBub25jZQx=",
        "dGhl!HNhbXBsZSBub25jZQ==", "\xff\xff\xff\xffNhbXBsZSBub25jZQ=="
    };

    ok(mg_ws_accept(mg_str("dGhlIHNhbXBsZSBub25jZQ=="), accept) == MG_OK,
       "the key of the standard");
    is_str(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "its answer");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(mg_ws_accept(mg_str_z(bad[i]), accept) == MG_ERROR,
           "a bad key, %u", i);
    }
}


int
main(void)
{
    const test_ws_t  *t;

    for (t = tests; t->name; t++) {
        test_exchange(t, 1);
        test_exchange(t, 1000);
    }

    test_pieces();
    test_frames();
    test_accept();

    return done_testing();
}
