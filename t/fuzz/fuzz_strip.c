/*
 * fuzz_strip.c: what is taken out of a stream, wherever it is cut.
 *
 * What would break: a client gets other bytes because of where the network
 * has cut them, or bytes that nobody sent.  For each cut, and byte by byte,
 * the result must be that of the whole; it must be what came, with nothing
 * but gaps; and where no line says "usage", there are none.
 */

#include "base/mg_buf.h"
#include "model/mg_strip.h"
#include "fuzz.h"


#define FUZZ_ALL_CUTS  512


static void
fuzz_feed(mg_strip_t *s, mg_str_t text, mg_buf_t *out)
{
    char      *p;
    size_t     n;
    mg_str_t   before;

    p = fuzz_piece(text);
    n = mg_strip_feed(s, p, text.len, &before);

    fuzz_check(n <= text.len);

    mg_buf_str(out, before);
    mg_buf_add(out, p, n);
    free(p);
}


static void
fuzz_cut(mg_str_t text, size_t cut, mg_buf_t *out)
{
    mg_strip_t  s;

    out->len = 0;
    mg_strip_init(&s);

    fuzz_feed(&s, mg_str_n(text.data, cut), out);
    fuzz_feed(&s, mg_str_n(text.data + cut, text.len - cut), out);

    mg_buf_str(out, mg_strip_flush(&s));
    mg_strip_free(&s);
}


/* The bytes of part stand in text, in their order. */

static int
fuzz_within(mg_str_t part, mg_str_t text)
{
    size_t  i, k;

    for (i = 0, k = 0; i < text.len && k < part.len; i++) {
        k += (text.data[i] == part.data[k]);
    }

    return k == part.len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      i, step;
    mg_str_t    text;
    mg_buf_t    want, out;
    mg_strip_t  s;

    text = mg_str_n((const char *) data, size);

    if (size == 0) {
        return 0;
    }

    mg_buf_init(&want, 0);
    mg_buf_init(&out, 0);

    fuzz_cut(text, 0, &want);
    fuzz_check(fuzz_within(mg_buf_view(&want), text));

    if (!fuzz_has(text, "\"usage\"")) {
        fuzz_check(mg_str_eq(mg_buf_view(&want), text));
    }

    step = size / FUZZ_ALL_CUTS + 1;

    for (i = 1; i <= size; i += step) {
        fuzz_cut(text, i, &out);
        fuzz_check(mg_str_eq(mg_buf_view(&want), mg_buf_view(&out)));
    }

    out.len = 0;
    mg_strip_init(&s);

    for (i = 0; i < size; i++) {
        fuzz_feed(&s, mg_str_n(text.data + i, 1), &out);
    }

    mg_buf_str(&out, mg_strip_flush(&s));
    mg_strip_free(&s);
    fuzz_check(mg_str_eq(mg_buf_view(&want), mg_buf_view(&out)));

    mg_buf_free(&want);
    mg_buf_free(&out);

    return 0;
}
