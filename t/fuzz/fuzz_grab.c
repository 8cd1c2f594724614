/*
 * fuzz_grab.c: the reader of the tap against the whole-document reader.
 *
 * What would break: tokens are counted from another member than the one that
 * the provider meant, or a response that is cut in an unlucky place counts
 * differently.  For documents that mg_json takes, the members taken must be
 * the same ones with the same values; for all others it only must not break;
 * and for all the result must not depend on where the document is cut.
 */

#include "base/mg_grab.h"
#include "base/mg_json.h"
#include "base/mg_jw.h"
#include "fuzz.h"


#define FUZZ_ALL_CUTS  1024


static const mg_grab_path_t  fuzz_paths[] = {
    { mg_str("usage"), mg_str_null, 1 },
    { mg_str("message"), mg_str("usage"), 2 },
    { mg_str("error"), mg_str_null, 3 },
    { mg_str_null, mg_str_null, 0 }
};


/* what was taken is written down: id, raw text, NUL */

static void
fuzz_taken(void *ctx, uint32_t id, mg_str_t json)
{
    mg_buf_printf(ctx, "%u", id);
    mg_buf_str(ctx, json);
    mg_buf_char(ctx, '\0');
}


static void
fuzz_feed(mg_grab_t *g, mg_str_t text)
{
    char  *p;

    p = fuzz_piece(text);
    mg_grab_feed(g, p, text.len);
    free(p);
}


static void
fuzz_cut(mg_str_t want, mg_str_t text, size_t cut)
{
    mg_buf_t   seen;
    mg_grab_t  g;

    mg_buf_init(&seen, 0);
    mg_grab_init(&g, fuzz_paths, fuzz_taken, &seen);

    fuzz_feed(&g, mg_str_n(text.data, cut));
    fuzz_feed(&g, mg_str_n(text.data + cut, text.len - cut));

    fuzz_check(mg_str_eq(want, mg_buf_view(&seen)));
    mg_buf_free(&seen);
}


/* The next thing taken must be this node. */

static void
fuzz_expect(mg_str_t *seen, unsigned id, const mg_json_t *v)
{
    mg_jw_t      w;
    mg_str_t     raw;
    mg_buf_t     one, two;
    mg_json_t   *node;
    mg_arena_t  *a;

    fuzz_check(seen->len > 1);
    fuzz_check(seen->data[0] == (char) ('0' + id));

    raw = mg_str_n(seen->data + 1, strnlen(seen->data + 1, seen->len - 1));
    seen->data += raw.len + 2;
    seen->len -= raw.len + 2;

    a = mg_arena_create(0);
    fuzz_check(a != NULL);

    node = mg_json_parse(a, raw, &(mg_json_limits_t) { .depth = 64 }, NULL);
    fuzz_check(node != NULL);

    mg_buf_init(&one, 0);
    mg_jw_init(&w, &one);
    mg_jw_node(&w, NULL, v);

    mg_buf_init(&two, 0);
    mg_jw_init(&w, &two);
    mg_jw_node(&w, NULL, node);

    fuzz_check(!one.failed && mg_str_eq(mg_buf_view(&one),
                                        mg_buf_view(&two)));

    mg_buf_free(&one);
    mg_buf_free(&two);
    mg_arena_destroy(a);
}


static void
fuzz_compare(mg_str_t seen, const mg_json_t *root)
{
    const mg_json_t  *v, *u;

    if (root->type == MG_JSON_OBJECT) {
        for (v = root->child; v != NULL; v = v->next) {

            if (mg_str_eq(v->key, mg_str("usage"))) {
                fuzz_expect(&seen, 1, v);

            } else if (mg_str_eq(v->key, mg_str("error"))) {
                fuzz_expect(&seen, 3, v);

            } else if (mg_str_eq(v->key, mg_str("message"))) {
                u = mg_json_get(v, "usage");

                if (u != NULL) {
                    fuzz_expect(&seen, 2, u);
                }
            }
        }
    }

    fuzz_check(seen.len == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       i, step;
    mg_buf_t     seen;
    mg_str_t     text;
    mg_json_t   *root;
    mg_grab_t    g;
    mg_arena_t  *a;

    text = mg_str_n((const char *) data, size);

    mg_buf_init(&seen, 0);
    mg_grab_init(&g, fuzz_paths, fuzz_taken, &seen);
    mg_grab_feed(&g, text.data, text.len);

    step = size / FUZZ_ALL_CUTS + 1;

    for (i = 0; i < size; i += step) {
        fuzz_cut(mg_buf_view(&seen), text, i);
    }

    /*
     * keys spelt with \u are compared as they are spelt, values that are too
     * long are passed over, yajl takes VT and FF as space
     */

    if (size < MG_GRAB_VALUE_MAX && !fuzz_has(text, "\\u")
        && memchr(data, '\v', size) == NULL
        && memchr(data, '\f', size) == NULL)
    {
        a = mg_arena_create(0);
        fuzz_check(a != NULL);

        root = mg_json_parse(a, text, &(mg_json_limits_t) { .depth = 60 },
                             NULL);

        if (root != NULL) {
            fuzz_compare(mg_buf_view(&seen), root);
        }

        mg_arena_destroy(a);
    }

    mg_buf_free(&seen);

    return 0;
}
