/*
 * fuzz_ws.c: whatever a client sends, whole and cut at any byte.
 *
 * What would break: a reader of frames reads past its bytes, keeps memory
 * without end, ends without a close frame, or has another opinion of the same
 * bytes when they come in pieces.
 */

#include "base/mg_ws.h"
#include "fuzz.h"


#define FUZZ_REPLY   65536


static int
fuzz_feed(mg_ws_t *ws, mg_str_t in, mg_buf_t *out)
{
    int    rc;
    char  *p;

    p = fuzz_piece(in);
    rc = mg_ws_feed(ws, p, in.len, out);
    free(p);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int        rc, one;
    size_t     i;
    mg_ws_t   *ws, *bytes;
    mg_buf_t   out, each;

    if (size == 0) {
        return 0;
    }

    ws = mg_ws_create();
    bytes = mg_ws_create();
    mg_buf_init(&out, FUZZ_REPLY);
    mg_buf_init(&each, FUZZ_REPLY);

    rc = fuzz_feed(ws, mg_str_n((const char *) data, size), &out);
    one = MG_OK;

    for (i = 0; i < size && one == MG_OK; i++) {
        one = fuzz_feed(bytes, mg_str_n((const char *) data + i, 1), &each);
    }

    /* wslay looks at the text of a close frame as it comes */

    if (memchr(data, 0x88, size) == NULL && rc == MG_OK) {
        fuzz_check(one == MG_OK);
        fuzz_check(mg_str_eq(mg_buf_view(&out), mg_buf_view(&each)));
        fuzz_check(mg_ws_frames(ws) == mg_ws_frames(bytes));
        fuzz_check(mg_ws_idle(ws) == mg_ws_idle(bytes));

    } else if (rc == MG_DECLINED) {
        fuzz_check(out.len >= 2);
    }

    mg_ws_free(ws);
    mg_ws_free(bytes);
    mg_buf_free(&out);
    mg_buf_free(&each);

    return 0;
}
