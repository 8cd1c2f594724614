/*
 * fuzz_sse.c: the reader of server-sent events against a plain one.
 *
 * What would break: the tap misses a usage event, or sees another text than
 * the client.  The plain reader has the whole stream in memory and goes line
 * by line as the standard says; events, names and data must be the same, for
 * each position at which the stream may be cut and byte by byte.
 */

#include "base/mg_buf.h"
#include "base/mg_sse.h"
#include "fuzz.h"


#define FUZZ_ALL_CUTS  2048


static void
fuzz_data(void *ctx, const char *data, size_t len)
{
    fuzz_check(len > 0);
    mg_buf_add(ctx, data, len);
}


/* what was seen is written down: data, 1, name, 2 */

static void
fuzz_event(void *ctx, mg_str_t name)
{
    mg_buf_char(ctx, '\1');
    mg_buf_str(ctx, name);
    mg_buf_char(ctx, '\2');
}


static const mg_sse_handler_t  fuzz_handler = { fuzz_data, fuzz_event };


static void
fuzz_field(mg_buf_t *seen, mg_str_t line, int *some, mg_str_t *event)
{
    mg_str_t     name, value;
    const char  *colon;

    colon = memchr(line.data, ':', line.len);
    name = line;
    value = mg_str("");

    if (colon != NULL) {
        name.len = (size_t) (colon - line.data);
        value = mg_str_n(colon + 1, line.len - name.len - 1);

        if (value.len && value.data[0] == ' ') {
            value.data++;
            value.len--;
        }
    }

    if (mg_str_eq(name, mg_str("data"))) {
        if (*some) {
            mg_buf_char(seen, '\n');
        }

        mg_buf_str(seen, value);
        *some = 1;

    } else if (mg_str_eq(name, mg_str("event"))) {
        *event = value;
        event->len = value.len > 64 ? 64 : value.len;
    }
}


static void
fuzz_plain(mg_buf_t *seen, mg_str_t text)
{
    int       some;
    size_t    n;
    mg_str_t  event;

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text.data += 3;
        text.len -= 3;
    }

    some = 0;
    event = mg_str_null;

    for ( ;; ) {

        for (n = 0; n < text.len; n++) {
            if (text.data[n] == '\n' || text.data[n] == '\r') {
                break;
            }
        }

        if (n == 0) {
            if (some) {
                fuzz_event(seen, event);
            }

            some = 0;
            event = mg_str_null;

        } else {
            fuzz_field(seen, mg_str_n(text.data, n), &some, &event);
        }

        if (n == text.len) {
            break;
        }

        n += (text.data[n] == '\r' && n + 1 < text.len
              && text.data[n + 1] == '\n') ? 2 : 1;
        text.data += n;
        text.len -= n;
    }

    if (some) {
        fuzz_event(seen, event);
    }
}


static void
fuzz_cut(mg_str_t want, mg_str_t text, size_t cut)
{
    char      *p;
    mg_buf_t   seen;
    mg_sse_t   s;

    mg_buf_init(&seen, 0);
    mg_sse_init(&s, &fuzz_handler, &seen);

    p = fuzz_piece(mg_str_n(text.data, cut));
    mg_sse_feed(&s, p, cut);
    free(p);

    p = fuzz_piece(mg_str_n(text.data + cut, text.len - cut));
    mg_sse_feed(&s, p, text.len - cut);
    free(p);

    mg_sse_finish(&s);

    fuzz_check(mg_str_eq(want, mg_buf_view(&seen)));
    mg_buf_free(&seen);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    i, step;
    mg_str_t  text;
    mg_buf_t  want, seen;
    mg_sse_t  s;

    text = mg_str_n((const char *) data, size);

    if (size == 0) {
        return 0;
    }

    mg_buf_init(&want, 0);
    fuzz_plain(&want, text);

    step = size / FUZZ_ALL_CUTS + 1;

    for (i = 0; i <= size; i += step) {
        fuzz_cut(mg_buf_view(&want), text, i);
    }

    mg_buf_init(&seen, 0);
    mg_sse_init(&s, &fuzz_handler, &seen);

    for (i = 0; i < size; i++) {
        mg_sse_feed(&s, text.data + i, 1);
    }

    mg_sse_finish(&s);
    fuzz_check(mg_str_eq(mg_buf_view(&want), mg_buf_view(&seen)));

    mg_buf_free(&want);
    mg_buf_free(&seen);

    return 0;
}
