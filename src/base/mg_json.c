/*
 * mg_json.c: whole JSON documents, and what is asked of their nodes.
 *
 * A document is read by the streaming reader, which is told to capture the
 * root into the caller's arena.  yajl's check of UTF-8 knows neither overlong
 * forms nor surrogates, so the text is checked before.
 *
 * Pool threads and admin handlers; nodes belong to the arena.
 */

#include "base/mg_json.h"
#include "base/mg_decimal.h"
#include "base/mg_json_build.h"
#include "base/mg_utf8.h"


#define MG_JSON_BODY_TOTAL  ((size_t) 1024 * 1024)


static mg_json_want_e mg_json_whole_enter(void *ctx, unsigned depth,
    mg_str_t key, mg_json_type_e type);
static int mg_json_whole_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e);
static int mg_json_check_utf8(mg_str_t text, mg_error_t *e);


static const mg_json_handler_t  mg_json_whole = {
    mg_json_whole_enter,
    mg_json_whole_value,
    NULL
};


mg_json_t *
mg_json_parse(mg_arena_t *a, mg_str_t text, const mg_json_limits_t *limits,
    mg_error_t *e)
{
    int                rc;
    mg_json_t         *root;
    mg_json_limits_t   filled;
    mg_json_stream_t  *s;

    mg_json_limits_fill(&filled, limits, MG_JSON_BODY_TOTAL);

    if (text.len > filled.total) {
        mg_error_set(e, MG_E_TOO_LARGE, NULL, "JSON of %zu bytes is longer "
                     "than %zu bytes; send less at a time", text.len,
                     filled.total);
        return NULL;
    }

    if (mg_json_check_utf8(text, e) != MG_OK) {
        return NULL;
    }

    root = NULL;
    s = mg_json_stream_open(&mg_json_whole, &root, &filled, a);

    if (s == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory for JSON");
        return NULL;
    }

    rc = mg_json_stream_feed(s, text.data, text.len, e);

    if (rc == MG_OK) {
        rc = mg_json_stream_finish(s, e);
    }

    mg_json_stream_destroy(s);

    return rc == MG_OK ? root : NULL;
}


const mg_json_t *
mg_json_get(const mg_json_t *o, const char *key)
{
    mg_str_t          name;
    const mg_json_t  *v;

    if (o == NULL || o->type != MG_JSON_OBJECT) {
        return NULL;
    }

    name = mg_str_z(key);

    for (v = o->child; v != NULL; v = v->next) {
        if (mg_str_eq(v->key, name)) {
            return v;
        }
    }

    return NULL;
}


mg_str_t
mg_json_str(const mg_json_t *o, const char *key)
{
    const mg_json_t  *v;

    v = mg_json_get(o, key);

    if (v == NULL || v->type != MG_JSON_STRING) {
        return mg_str_null;
    }

    return v->str;
}


int
mg_json_int64(const mg_json_t *v, int64_t *out)
{
    if (v == NULL || v->type != MG_JSON_NUMBER) {
        return MG_ERROR;
    }

    return mg_decimal_int64(v->str, out);
}


int
mg_json_tri(const mg_json_t *v)
{
    if (v == NULL || v->type != MG_JSON_BOOL) {
        return -1;
    }

    return v->boolean ? 1 : 0;
}


static mg_json_want_e
mg_json_whole_enter(void *ctx, unsigned depth, mg_str_t key,
    mg_json_type_e type)
{
    (void) ctx;
    (void) depth;
    (void) key;
    (void) type;

    return MG_JSON_CAPTURE;
}


static int
mg_json_whole_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e)
{
    mg_json_t  **root;

    (void) depth;
    (void) key;
    (void) e;

    root = ctx;
    *root = (mg_json_t *) v;

    return MG_OK;
}


static int
mg_json_check_utf8(mg_str_t text, mg_error_t *e)
{
    size_t  i, n;

    for (i = 0; i < text.len; i += n) {
        n = mg_utf8_next(text.data + i, text.len - i);

        if (n == 0) {
            return mg_error_set(e, MG_E_INVALID, NULL, "JSON is not valid at "
                                "byte %zu: the byte \"0x%02x\" is not UTF-8; "
                                "send UTF-8", i,
                                (unsigned) (unsigned char) text.data[i]);
        }
    }

    return MG_OK;
}
