/*
 * fuzz_redact.c: a body without the values of some members.
 *
 * What would break: hostile bytes stop a worker, or a value is kept because
 * of where the network cut it.  For each cut the copy must be the same; with
 * a smaller cap it must be the beginning of that; and without names it must
 * be what came.
 */

#include "model/mg_redact.h"
#include "fuzz.h"


#define FUZZ_ALL_CUTS  512
#define FUZZ_CAP       65536


static const char  fuzz_names[] = "a\0user\0\xc3\xa9";


static void
fuzz_cut(mg_str_t names, mg_str_t text, size_t cut, mg_buf_t *out)
{
    char         *p;
    mg_redact_t   r;

    out->len = 0;
    mg_redact_init(&r, names);

    p = fuzz_piece(mg_str_n(text.data, cut));
    mg_redact_feed(&r, p, cut, out);
    free(p);

    p = fuzz_piece(mg_str_n(text.data + cut, text.len - cut));
    mg_redact_feed(&r, p, text.len - cut, out);
    free(p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    i, step;
    mg_str_t  text, names;
    mg_buf_t  want, out, part;

    text = mg_str_n((const char *) data, size);
    names = mg_str_n(fuzz_names, sizeof(fuzz_names));

    mg_buf_init(&want, FUZZ_CAP);
    mg_buf_init(&out, FUZZ_CAP);
    mg_buf_init(&part, size / 2 + 1);

    fuzz_cut(names, text, 0, &want);

    step = size / FUZZ_ALL_CUTS + 1;

    for (i = 1; i <= size; i += step) {
        fuzz_cut(names, text, i, &out);
        fuzz_check(mg_str_eq(mg_buf_view(&want), mg_buf_view(&out)));
    }

    fuzz_cut(names, text, size / 3, &part);
    fuzz_check(part.len == (want.len < part.cap ? want.len : part.cap));
    fuzz_check(mg_str_eq(mg_buf_view(&part), mg_str_n(want.data, part.len)));

    fuzz_cut(mg_str_null, text, size / 3, &out);
    fuzz_check(mg_str_eq(mg_buf_view(&out), text));

    mg_buf_free(&want);
    mg_buf_free(&out);
    mg_buf_free(&part);

    return 0;
}
