/*
 * test_sse.c: base/mg_sse.h.
 *
 * What would break: the tap reads other events than the client, or misses the
 * last one, which carries the usage.  Each stream is fed whole, at each
 * position of a cut, and byte by byte.
 */

#include "base/mg_buf.h"
#include "base/mg_sse.h"
#include "tap.h"


static void
on_data(void *ctx, const char *data, size_t len)
{
    mg_buf_add(ctx, data, len);
}


static void
on_event(void *ctx, mg_str_t name)
{
    mg_buf_printf(ctx, "<" MG_STR_FMT ">", MG_STR_ARG(name));
}


static const mg_sse_handler_t  handler = { on_data, on_event };


static const struct {
    const char  *text;
    const char  *want;
} cases[] = {
    { "data: a\n\n", "a<>" },
    { "data:a\n\ndata:  b\n\n", "a<> b<>" },
    { "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", "a\nb<>c<>" },
    { "data: a\rdata: b\r\rdata: c\r\r", "a\nb<>c<>" },
    { "data: a\n\r\ndata: b\r\n\n", "a<>b<>" },
    { "event: message_delta\ndata: {}\n\n", "{}<message_delta>" },
    { "event: x\n\ndata: a\n\n", "a<>" },
    { "event: x\nevent: y\ndata: a\n\ndata: b\n\n", "a<y>b<>" },
    { ": comment\n: data: a\nid: 1\nretry: 5\nfoo\nfoo: bar\ndata: b\n\n",
      "b<>" },
    { "data\n\n", "<>" },
    { "data:\ndata\ndata: x\n\n", "\n\nx<>" },
    { "\xef\xbb\xbf" "data: a\n\n", "a<>" },
    { "\xef\xbb" "data: a\n\n", "" },
    { "\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\ndata: b\n\n", "b<>" },
    { "data: a", "a<>" },
    { "data: a\nevent: end", "a<end>" },
    { "data: a\n", "a<>" },
    { "dat", "" },
    { "data", "<>" },
    { "Data: a\n data: b\ndatas: c\n\n", "" },
    { "data: a: b\n\n", "a: b<>" },
    { "\n\n\ndata: a\n\n\n\n", "a<>" },
    { "a-field-name-that-is-longer-than-thirty-two-bytes: x\ndata: y\n\n",
      "y<>" },
    { "", "" }
};


int
main(void)
{
    size_t    i, j, cut, bad;
    mg_buf_t  seen;
    mg_sse_t  s;
    mg_str_t  text, want;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = mg_str_z(cases[i].text);
        want = mg_str_z(cases[i].want);

        for (bad = 0, cut = 0; cut <= text.len; cut++) {
            mg_buf_init(&seen, 0);
            mg_sse_init(&s, &handler, &seen);
            mg_sse_feed(&s, text.data, cut);
            mg_sse_feed(&s, text.data + cut, text.len - cut);
            mg_sse_finish(&s);
            bad += !mg_str_eq(mg_buf_view(&seen), want);
            mg_buf_free(&seen);
        }

        is_int(bad, 0, "stream %zu, cut anywhere", i);

        mg_buf_init(&seen, 0);
        mg_sse_init(&s, &handler, &seen);

        for (j = 0; j < text.len; j++) {
            mg_sse_feed(&s, text.data + j, 1);
        }

        mg_sse_finish(&s);
        ok(mg_str_eq(mg_buf_view(&seen), want), "stream %zu, byte by byte", i);
        mg_buf_free(&seen);
    }

    /* before the end is known, an event is handed on at its blank line */

    mg_buf_init(&seen, 0);
    mg_sse_init(&s, &handler, &seen);
    mg_sse_feed(&s, "data: a\n\n", 9);
    is_mem(seen.data, seen.len, "a<>", 3, "at once");
    mg_sse_finish(&s);
    is_mem(seen.data, seen.len, "a<>", 3, "and once");
    mg_buf_free(&seen);

    return done_testing();
}
