/*
 * mg_json_stream.c: drives yajl over a document of any length.
 *
 * At any byte the reader is in one of three modes: inside containers that
 * the handler descends into (a stack of frames), inside one that is skipped
 * (a counter), or inside one that is captured (the builder's stack).  Keys of
 * the frames, and the pending key behind them, lie one after the other in
 * one buffer:
 *
 *     keys:  key of frame 0 | key of frame 1 | ... | pending key
 *
 * yajl has no limits of its own: depth, string length and document length
 * are counted here, nodes in the builder.
 *
 * Called on pool threads and for admin bodies; owned by its creator.
 */

#include "base/mg_json_build.h"
#include "base/mg_buf.h"

#include <stdlib.h>

#include <yajl/yajl_parse.h>


#define MG_JSON_DEPTH        32
#define MG_JSON_MEMBERS      100000
#define MG_JSON_STRING_MAX   ((size_t) 1024 * 1024)
#define MG_JSON_TOTAL        ((size_t) 64 * 1024 * 1024)
#define MG_JSON_KEYS_CAP     ((size_t) 16 * 1024 * 1024)
#define MG_JSON_ARENA_CAP    ((size_t) 128 * 1024 * 1024)


typedef struct {
    mg_json_type_e     type;
    unsigned           named:1;      /* it is a member */
    size_t             key;          /* offset in keys */
    size_t             key_end;
} mg_json_frame_t;


struct mg_json_stream_s {
    const mg_json_handler_t  *handler;
    void                     *ctx;
    mg_json_limits_t          limits;
    yajl_handle               yajl;
    mg_error_t               *error;      /* of the running call */
    mg_error_t                first;      /* of the call that failed */
    uint64_t                  total;      /* bytes before this piece */
    uint64_t                  end;        /* offset behind the root value */
    uint32_t                  skip;       /* depth of what is skipped */
    uint32_t                  depth;      /* frames in use */
    unsigned                  keep:1;     /* the arena is the caller's */
    unsigned                  pending:1;  /* a key waits for its value */
    unsigned                  ended:1;    /* the root value is complete */
    unsigned                  failed:1;
    mg_buf_t                  keys;
    mg_json_build_t           build;
    mg_json_frame_t           frames[MG_JSON_DEPTH_MAX];
};


static int mg_json_on_null(void *ctx);
static int mg_json_on_bool(void *ctx, int b);
static int mg_json_on_number(void *ctx, const char *text, size_t len);
static int mg_json_on_string(void *ctx, const unsigned char *text,
    size_t len);
static int mg_json_on_key(void *ctx, const unsigned char *text, size_t len);
static int mg_json_on_object(void *ctx);
static int mg_json_on_array(void *ctx);
static int mg_json_on_end(void *ctx);

static int mg_json_scalar(mg_json_stream_t *s, mg_json_type_e type,
    mg_str_t str, unsigned boolean);
static int mg_json_begin(mg_json_stream_t *s, mg_json_type_e type);
static int mg_json_deliver(mg_json_stream_t *s);
static mg_str_t mg_json_pending(mg_json_stream_t *s);
static void mg_json_forget(mg_json_stream_t *s);
static int mg_json_long(mg_json_stream_t *s, size_t len);
static void mg_json_ended(mg_json_stream_t *s);
static int mg_json_trailing(mg_json_stream_t *s, const char *data, size_t len);
static uint64_t mg_json_offset(mg_json_stream_t *s);
static int mg_json_failure(mg_json_stream_t *s, const char *data, size_t len,
    mg_error_t *e);


static yajl_callbacks  mg_json_callbacks = {
    mg_json_on_null,
    mg_json_on_bool,
    NULL,                  /* integers and doubles come as text */
    NULL,
    mg_json_on_number,
    mg_json_on_string,
    mg_json_on_object,
    mg_json_on_key,
    mg_json_on_end,
    mg_json_on_array,
    mg_json_on_end
};


mg_json_stream_t *
mg_json_stream_create(const mg_json_handler_t *h, void *ctx,
    const mg_json_limits_t *limits)
{
    mg_arena_t        *arena;
    mg_json_stream_t  *s;

    arena = mg_arena_create(MG_JSON_ARENA_CAP);

    if (arena == NULL) {
        return NULL;
    }

    s = mg_json_stream_open(h, ctx, limits, arena);

    if (s == NULL) {
        mg_arena_destroy(arena);
        return NULL;
    }

    s->keep = 0;
    s->build.unique = 0;

    return s;
}


mg_json_stream_t *
mg_json_stream_open(const mg_json_handler_t *h, void *ctx,
    const mg_json_limits_t *limits, mg_arena_t *arena)
{
    mg_json_stream_t  *s;

    s = calloc(1, sizeof(mg_json_stream_t));

    if (s == NULL) {
        return NULL;
    }

    s->yajl = yajl_alloc(&mg_json_callbacks, NULL, s);

    if (s->yajl == NULL) {
        free(s);
        return NULL;
    }

    s->handler = h;
    s->ctx = ctx;
    s->keep = 1;

    mg_json_limits_fill(&s->limits, limits, MG_JSON_TOTAL);
    mg_buf_init(&s->keys, MG_JSON_KEYS_CAP);

    s->build.arena = arena;
    s->build.limit = s->limits.members;
    s->build.unique = 1;

    return s;
}


int
mg_json_stream_feed(mg_json_stream_t *s, const char *data, size_t len,
    mg_error_t *e)
{
    yajl_status  rc;

    if (s->failed) {
        return mg_json_failure(s, NULL, 0, e);
    }

    s->error = &s->first;

    if (len > s->limits.total - s->total) {
        mg_error_set(&s->first, MG_E_TOO_LARGE, NULL, "JSON is longer than "
                     "%zu bytes; send less at a time", s->limits.total);
        return mg_json_failure(s, NULL, 0, e);
    }

    if (len == 0) {
        return MG_OK;
    }

    rc = yajl_parse(s->yajl, (const unsigned char *) data, len);

    if (rc != yajl_status_ok) {
        return mg_json_failure(s, data, len, e);
    }

    if (s->ended && mg_json_trailing(s, data, len)) {
        return mg_json_failure(s, NULL, 0, e);
    }

    s->total += len;

    return MG_OK;
}


int
mg_json_stream_finish(mg_json_stream_t *s, mg_error_t *e)
{
    if (s->failed) {
        return mg_json_failure(s, NULL, 0, e);
    }

    s->error = &s->first;

    if (yajl_complete_parse(s->yajl) == yajl_status_ok) {
        return MG_OK;
    }

    if (s->first.kind == MG_E_NONE) {
        mg_error_set(&s->first, MG_E_INVALID, NULL, "JSON is truncated: it "
                     "ends after %llu bytes, before its last value is "
                     "complete; send all of it",
                     (unsigned long long) s->total);
    }

    return mg_json_failure(s, NULL, 0, e);
}


void
mg_json_stream_destroy(mg_json_stream_t *s)
{
    if (s == NULL) {
        return;
    }

    yajl_free(s->yajl);
    mg_buf_free(&s->keys);

    if (!s->keep) {
        mg_arena_destroy(s->build.arena);
    }

    free(s);
}


void
mg_json_limits_fill(mg_json_limits_t *to, const mg_json_limits_t *from,
    size_t total)
{
    memset(to, 0, sizeof(mg_json_limits_t));

    if (from != NULL) {
        *to = *from;
    }

    to->depth = to->depth ? to->depth : MG_JSON_DEPTH;
    to->members = to->members ? to->members : MG_JSON_MEMBERS;
    to->string = to->string ? to->string : MG_JSON_STRING_MAX;
    to->total = to->total ? to->total : total;

    if (to->depth > MG_JSON_DEPTH_MAX) {
        to->depth = MG_JSON_DEPTH_MAX;
    }
}


/* yajl's callbacks: 1 goes on, 0 stops with *s->error set */

static int
mg_json_on_null(void *ctx)
{
    return mg_json_scalar(ctx, MG_JSON_NULL, mg_str_null, 0);
}


static int
mg_json_on_bool(void *ctx, int b)
{
    return mg_json_scalar(ctx, MG_JSON_BOOL, mg_str_null, b != 0);
}


static int
mg_json_on_number(void *ctx, const char *text, size_t len)
{
    if (mg_json_long(ctx, len)) {
        return 0;
    }

    return mg_json_scalar(ctx, MG_JSON_NUMBER, mg_str_n(text, len), 0);
}


static int
mg_json_on_string(void *ctx, const unsigned char *text, size_t len)
{
    if (mg_json_long(ctx, len)) {
        return 0;
    }

    return mg_json_scalar(ctx, MG_JSON_STRING,
                          mg_str_n(len ? (const char *) text : "", len), 0);
}


static int
mg_json_on_key(void *ctx, const unsigned char *text, size_t len)
{
    mg_str_t           key;
    mg_json_stream_t  *s;

    s = ctx;
    key = mg_str_n(len ? (const char *) text : "", len);

    if (mg_json_long(s, len)) {
        return 0;
    }

    if (s->skip) {
        return 1;
    }

    if (s->build.depth) {
        return mg_json_build_key(&s->build, key, s->error) == MG_OK;
    }

    /* the NUL makes an empty key a pointer, and eases debugging */

    mg_buf_str(&s->keys, key);
    mg_buf_char(&s->keys, '\0');

    if (s->keys.failed) {
        mg_error_set(s->error, MG_E_TOO_LARGE, NULL, "the keys of JSON are "
                     "too long; send shorter ones");
        return 0;
    }

    s->keys.len--;
    s->pending = 1;

    return 1;
}


static int
mg_json_on_object(void *ctx)
{
    return mg_json_begin(ctx, MG_JSON_OBJECT);
}


static int
mg_json_on_array(void *ctx)
{
    return mg_json_begin(ctx, MG_JSON_ARRAY);
}


static int
mg_json_on_end(void *ctx)
{
    int                rc;
    mg_str_t           key;
    mg_json_frame_t   *f;
    mg_json_stream_t  *s;

    s = ctx;

    if (s->skip) {
        s->skip--;

        if (s->skip == 0) {
            mg_json_forget(s);
            mg_json_ended(s);
        }

        return 1;
    }

    if (s->build.depth) {
        if (mg_json_build_end(&s->build, s->error) != MG_OK) {
            return 0;
        }

        return s->build.depth ? 1 : mg_json_deliver(s);
    }

    f = &s->frames[s->depth - 1];
    rc = MG_OK;
    s->depth--;

    if (s->handler->leave != NULL) {
        key = f->named ? mg_str_n(s->keys.data + f->key, f->key_end - f->key)
                       : mg_str_null;
        rc = s->handler->leave(s->ctx, s->depth, key, s->error);
    }

    s->keys.len = f->key;
    mg_json_ended(s);

    return rc == MG_OK;
}


static int
mg_json_scalar(mg_json_stream_t *s, mg_json_type_e type, mg_str_t str,
    unsigned boolean)
{
    mg_json_t  *v;

    if (s->skip) {
        return 1;
    }

    if (s->build.depth == 0) {
        mg_json_build_start(&s->build, mg_json_pending(s));
    }

    v = mg_json_build_add(&s->build, type, str, s->error);

    if (v == NULL) {
        return 0;
    }

    v->boolean = boolean;

    return s->build.depth ? 1 : mg_json_deliver(s);
}


static int
mg_json_begin(mg_json_stream_t *s, mg_json_type_e type)
{
    mg_str_t          key;
    mg_json_want_e    want;
    mg_json_frame_t  *f;

    if (s->depth + s->skip + s->build.depth >= s->limits.depth) {
        mg_error_set(s->error, MG_E_INVALID, NULL, "JSON is nested deeper "
                     "than %u levels at byte %llu; send it flatter",
                     (unsigned) s->limits.depth,
                     (unsigned long long) mg_json_offset(s));
        return 0;
    }

    if (s->skip) {
        s->skip++;
        return 1;
    }

    if (s->build.depth) {
        return mg_json_build_add(&s->build, type, mg_str_null, s->error)
               != NULL;
    }

    key = mg_json_pending(s);
    want = s->handler->enter(s->ctx, s->depth, key, type);

    switch (want) {

    case MG_JSON_SKIP:
        s->skip = 1;
        return 1;

    case MG_JSON_CAPTURE:
        mg_json_build_start(&s->build, key);
        return mg_json_build_add(&s->build, type, mg_str_null, s->error)
               != NULL;

    case MG_JSON_DESCEND:
        break;
    }

    f = &s->frames[s->depth++];

    f->type = type;
    f->named = s->pending;
    f->key_end = s->keys.len;
    f->key = s->keys.len - key.len;
    s->pending = 0;

    return 1;
}


static int
mg_json_deliver(mg_json_stream_t *s)
{
    int  rc;

    rc = s->handler->value(s->ctx, s->depth, mg_json_pending(s),
                           s->build.root, s->error);

    mg_json_forget(s);
    mg_json_ended(s);

    if (!s->keep) {
        mg_arena_reset(s->build.arena);
    }

    return rc == MG_OK;
}


/* Behind the innermost frame's key lies the pending one. */

static mg_str_t
mg_json_pending(mg_json_stream_t *s)
{
    size_t  start;

    if (!s->pending) {
        return mg_str_null;
    }

    start = s->depth ? s->frames[s->depth - 1].key_end : 0;

    return mg_str_n(s->keys.data + start, s->keys.len - start);
}


static void
mg_json_forget(mg_json_stream_t *s)
{
    s->pending = 0;
    s->keys.len = s->depth ? s->frames[s->depth - 1].key_end : 0;
}


static int
mg_json_long(mg_json_stream_t *s, size_t len)
{
    if (s->skip || len <= s->limits.string) {
        return 0;
    }

    mg_error_set(s->error, MG_E_TOO_LARGE, NULL, "JSON has a string of %zu "
                 "bytes that ends at byte %llu; at most %zu are taken", len,
                 (unsigned long long) mg_json_offset(s), s->limits.string);

    return 1;
}


static void
mg_json_ended(mg_json_stream_t *s)
{
    if (s->depth == 0) {
        s->ended = 1;
        s->end = mg_json_offset(s);
    }
}


/* yajl lets an unfinished string follow the document. */

static int
mg_json_trailing(mg_json_stream_t *s, const char *data, size_t len)
{
    size_t  i;

    i = s->end > s->total ? (size_t) (s->end - s->total) : 0;

    for ( /* void */ ; i < len; i++) {

        if (strchr(" \t\n\v\f\r", data[i]) == NULL || data[i] == '\0') {
            mg_error_set(&s->first, MG_E_INVALID, NULL, "JSON is not valid at "
                         "byte %llu: something follows the document; send one "
                         "document", (unsigned long long) (s->total + i));
            return 1;
        }
    }

    return 0;
}


static uint64_t
mg_json_offset(mg_json_stream_t *s)
{
    return s->total + yajl_get_bytes_consumed(s->yajl);
}


/* Copies the first error out; makes it from yajl's text if it was yajl's. */

static int
mg_json_failure(mg_json_stream_t *s, const char *data, size_t len,
    mg_error_t *e)
{
    char           *p;
    unsigned char  *text;

    s->failed = 1;

    if (s->first.kind == MG_E_NONE) {
        text = yajl_get_error(s->yajl, 0, (const unsigned char *) data, len);

        if (text != NULL) {
            p = strchr((char *) text, '\n');

            if (p != NULL) {
                *p = '\0';
            }
        }

        mg_error_set(&s->first, MG_E_INVALID, NULL,
                     "JSON is not valid near byte %llu: %s; correct it",
                     (unsigned long long) mg_json_offset(s),
                     text ? (char *) text : "out of memory");

        if (text != NULL) {
            yajl_free_error(s->yajl, text);
        }
    }

    if (e != NULL) {
        *e = s->first;
    }

    return MG_ERROR;
}
