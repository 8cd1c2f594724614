/*
 * fuzz_json.c: the whole-document reader, the stream and the writer.
 *
 * What would break: an API body is taken that is no JSON or has a key twice,
 * a value changes when it is written again, or a catalog that arrives in
 * other pieces gives other models.  A document that is taken must be one that
 * yajl takes, have no key twice, and be the same after writing and reading;
 * the stream must see the same for each position of a cut.
 */

#include "base/mg_json.h"
#include "base/mg_jw.h"
#include "base/mg_uri.h"
#include "fuzz.h"

#include <yajl/yajl_parse.h>


#define FUZZ_ALL_CUTS  512


/* the stream's handler writes down what it is given */

static mg_json_want_e
fuzz_enter(void *ctx, unsigned depth, mg_str_t key, mg_json_type_e type)
{
    mg_buf_printf(ctx, "\n+%u %d ", depth, (int) type);
    mg_buf_str(ctx, key);

    /* any mixture that does not depend on the pieces will do */

    if (depth == 0) {
        return MG_JSON_DESCEND;
    }

    return (mg_json_want_e) ((key.len + depth) % 3);
}


static int
fuzz_value(void *ctx, unsigned depth, mg_str_t key, const mg_json_t *v,
    mg_error_t *e)
{
    mg_jw_t  w;

    (void) e;

    mg_buf_printf(ctx, "\n=%u ", depth);
    mg_buf_str(ctx, key);
    mg_buf_char(ctx, ' ');

    fuzz_check(mg_str_eq(key, v->key));

    mg_jw_init(&w, ctx);
    mg_jw_node(&w, NULL, v);

    return MG_OK;
}


static int
fuzz_leave(void *ctx, unsigned depth, mg_str_t key, mg_error_t *e)
{
    (void) e;

    mg_buf_printf(ctx, "\n-%u ", depth);
    mg_buf_str(ctx, key);

    return MG_OK;
}


static const mg_json_handler_t  fuzz_handler = {
    fuzz_enter, fuzz_value, fuzz_leave
};


static int
fuzz_stream(mg_buf_t *seen, mg_str_t text, size_t cut)
{
    int                rc;
    char              *p;
    mg_error_t         e;
    mg_json_stream_t  *s;

    mg_buf_init(seen, 0);
    s = mg_json_stream_create(&fuzz_handler, seen, NULL);
    fuzz_check(s != NULL);

    p = fuzz_piece(mg_str_n(text.data, cut));
    rc = mg_json_stream_feed(s, p, cut, &e);
    free(p);

    if (rc == MG_OK) {
        p = fuzz_piece(mg_str_n(text.data + cut, text.len - cut));
        rc = mg_json_stream_feed(s, p, text.len - cut, &e);
        free(p);
    }

    if (rc == MG_OK) {
        rc = mg_json_stream_finish(s, &e);
    }

    if (rc != MG_OK) {
        fuzz_check(e.kind == MG_E_INVALID || e.kind == MG_E_TOO_LARGE);
        fuzz_check(e.message[0] != '\0');
        fuzz_check(mg_utf8_ok(mg_str_z(e.message)));
    }

    mg_json_stream_destroy(s);

    return rc;
}


static int
fuzz_yajl(mg_str_t text)
{
    int                    ok;
    yajl_handle            y;
    static yajl_callbacks  none;

    y = yajl_alloc(&none, NULL, NULL);
    ok = yajl_parse(y, (const unsigned char *) text.data, text.len)
         == yajl_status_ok
         && yajl_complete_parse(y) == yajl_status_ok;
    yajl_free(y);

    return ok;
}


/* Every object of a document that was taken, each key against each. */

static void
fuzz_unique(const mg_json_t *v)
{
    uint32_t          n;
    const mg_json_t  *one, *two;

    for (n = 0, one = v->child; one != NULL; one = one->next, n++) {

        if (v->type == MG_JSON_OBJECT) {
            for (two = one->next; two != NULL; two = two->next) {
                fuzz_check(!mg_str_eq(one->key, two->key));
            }
        }

        fuzz_unique(one);
    }

    fuzz_check(n == v->count);
}


static void
fuzz_write(mg_buf_t *b, const mg_json_t *root)
{
    mg_jw_t  w;

    mg_buf_init(b, 0);
    mg_jw_init(&w, b);
    mg_jw_node(&w, NULL, root);
    fuzz_check(!b->failed && w.level == 0);
}


static void
fuzz_whole(mg_arena_t *a, mg_str_t text)
{
    mg_buf_t    one, two;
    mg_json_t  *root;
    mg_error_t  e;

    root = mg_json_parse(a, text, NULL, &e);

    if (root == NULL) {
        fuzz_check(e.message[0] != '\0');
        return;
    }

    fuzz_check(fuzz_yajl(text));
    fuzz_unique(root);

    fuzz_write(&one, root);

    root = mg_json_parse(a, mg_buf_view(&one), NULL, &e);
    fuzz_check(root != NULL);

    fuzz_write(&two, root);
    fuzz_check(mg_str_eq(mg_buf_view(&one), mg_buf_view(&two)));

    mg_buf_free(&one);
    mg_buf_free(&two);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc;
    size_t       cut, step;
    mg_buf_t     want, seen;
    mg_str_t     text;
    mg_arena_t  *a;

    text = mg_str_n((const char *) data, size);

    a = mg_arena_create(0);
    fuzz_check(a != NULL);
    fuzz_whole(a, text);
    mg_arena_destroy(a);

    rc = fuzz_stream(&want, text, size);
    step = size / FUZZ_ALL_CUTS + 1;

    for (cut = 0; cut < size; cut += step) {
        fuzz_check(rc == fuzz_stream(&seen, text, cut));

        /* where an error stops it may depend on the pieces */

        if (rc == MG_OK) {
            fuzz_check(mg_str_eq(mg_buf_view(&want), mg_buf_view(&seen)));
        }

        mg_buf_free(&seen);
    }

    mg_buf_free(&want);

    return 0;
}
