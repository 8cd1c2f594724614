/*
 * fuzz_scan.c: the scanner of the proxy path against yajl.
 *
 * What would break: a request is routed by another "model" than the one that
 * its upstream reads.  yajl says whether the document is valid and what its
 * top-level members are; then each point in which the scanner is stricter is
 * applied to that, one by one, and the two verdicts must be the same, as must
 * value, offsets, stream and sticky key.  The same must hold for each position
 * at which the document may be cut, and byte by byte.
 */

#include "base/mg_scan.h"
#include "base/mg_uri.h"
#include "fuzz.h"

#include <yajl/yajl_parse.h>


/* above this length not all positions of a cut are tried */
#define FUZZ_ALL_CUTS   2048


typedef struct {
    mg_str_t       text;
    yajl_handle    yajl;

    uint32_t       depth;
    uint32_t       deepest;
    int            array;          /* the document is one */
    int            scalar;

    size_t         end;            /* offset behind the document */
    size_t         key_end;        /* offset behind the last top-level key */
    char           key[20];        /* its decoded text, "" if longer */
    int            metadata;       /* inside the object of that name */
    int            user_id;        /* the last key in there was this */
    uint32_t       models;
    int            escaped;        /* a key "model" has escapes */
    int            is_string;      /* the last model is one */
    char          *model;
    size_t         model_len;
    size_t         raw_start;
    size_t         raw_end;
    int            stream;
    char           users[MG_SCAN_BY_N][MG_SCAN_USER_MAX];
    size_t         user_lens[MG_SCAN_BY_N];
} fuzz_truth_t;


static const char * const  fuzz_users[MG_SCAN_BY_N] = {
    "user", "metadata", "prompt_cache_key", "session_id"
};


static size_t
fuzz_offset(fuzz_truth_t *t)
{
    return yajl_get_bytes_consumed(t->yajl);
}


static void
fuzz_user(fuzz_truth_t *t, unsigned i, const char *string, size_t len)
{
    t->user_lens[i] = 0;

    if (string != NULL && len <= sizeof(t->users[i])) {
        memcpy(t->users[i], string, len);
        t->user_lens[i] = len;
    }
}


/* A value begins (container) or is complete (scalar). */

static void
fuzz_value(fuzz_truth_t *t, const char *string, size_t len, int is_true)
{
    size_t  i;

    if (t->depth == 0) {
        t->scalar = 1;
        return;
    }

    if (t->depth == 2 && t->metadata && t->user_id) {
        fuzz_user(t, MG_SCAN_BY_METADATA, string, len);
    }

    if (t->depth != 1 || t->array || t->key[0] == '\0') {
        return;
    }

    for (i = 0; i < MG_SCAN_BY_N; i++) {
        if (strcmp(t->key, fuzz_users[i]) == 0) {
            fuzz_user(t, i, i == MG_SCAN_BY_METADATA ? NULL : string, len);
        }
    }

    if (strcmp(t->key, "stream") == 0) {
        t->stream = is_true;

    } else if (strcmp(t->key, "model") == 0) {
        t->is_string = (string != NULL);

        if (string != NULL) {
            free(t->model);
            t->model = fuzz_piece(mg_str_n(string, len));
            t->model_len = len;
            t->raw_end = fuzz_offset(t) - 1;

            /* behind the key come space, a colon, space and the quote */

            for (i = t->key_end; t->text.data[i] != '"'; i++) {
                /* void */
            }

            t->raw_start = i + 1;
        }
    }
}


static int
fuzz_null(void *ctx)
{
    fuzz_value(ctx, NULL, 0, 0);
    return 1;
}


static int
fuzz_bool(void *ctx, int b)
{
    fuzz_value(ctx, NULL, 0, b);
    return 1;
}


static int
fuzz_number(void *ctx, const char *text, size_t len)
{
    (void) text;
    (void) len;

    fuzz_value(ctx, NULL, 0, 0);
    return 1;
}


static int
fuzz_string(void *ctx, const unsigned char *text, size_t len)
{
    fuzz_value(ctx, (const char *) text, len, 0);
    return 1;
}


static int
fuzz_key(void *ctx, const unsigned char *text, size_t len)
{
    const char    *p;
    fuzz_truth_t  *t;

    t = ctx;
    p = (const char *) text;

    if (t->depth == 2) {
        t->user_id = (len == 7 && memcmp(p, "user_id", 7) == 0);
    }

    if (t->depth != 1) {
        return 1;
    }

    t->key[0] = '\0';
    t->key_end = fuzz_offset(t);

    if (len < sizeof(t->key) && memchr(p, '\0', len) == NULL) {
        memcpy(t->key, p, len);
        t->key[len] = '\0';
    }

    if (strcmp(t->key, "model") == 0) {
        t->models++;

        /* yajl points into the text unless it had to decode */

        t->escaped |= (p < t->text.data || p >= t->text.data + t->text.len);
    }

    return 1;
}


static int
fuzz_open(fuzz_truth_t *t, int array)
{
    fuzz_value(t, NULL, 0, 0);

    if (t->depth == 0) {
        t->scalar = 0;
        t->array = array;

    } else if (t->depth == 1) {
        t->metadata = !array && strcmp(t->key, "metadata") == 0;
    }

    t->depth++;
    t->deepest = t->depth > t->deepest ? t->depth : t->deepest;

    return 1;
}


static int
fuzz_map(void *ctx)
{
    return fuzz_open(ctx, 0);
}


static int
fuzz_array(void *ctx)
{
    return fuzz_open(ctx, 1);
}


static int
fuzz_close(void *ctx)
{
    fuzz_truth_t  *t;

    t = ctx;
    t->depth--;

    if (t->depth == 0) {
        t->end = fuzz_offset(t);
    }

    return 1;
}


static yajl_callbacks  fuzz_callbacks = {
    fuzz_null, fuzz_bool, NULL, NULL, fuzz_number, fuzz_string, fuzz_map,
    fuzz_key, fuzz_close, fuzz_array, fuzz_close
};


/* 1 if raw, the inside of a valid JSON string, has half a surrogate pair. */

static int
fuzz_half(mg_str_t raw)
{
    char      hex[5] = "";
    size_t    i;
    int       high;
    unsigned  unit;

    high = 0;

    for (i = 0; i < raw.len; i++) {

        if (raw.data[i] != '\\' || raw.data[++i] != 'u') {
            if (high) {
                return 1;
            }

            continue;
        }

        memcpy(hex, raw.data + i + 1, 4);
        unit = (unsigned) strtoul(hex, NULL, 16);
        i += 4;

        if (high != (unit >= 0xdc00 && unit <= 0xdfff)) {
            return 1;
        }

        high = (unit >= 0xd800 && unit <= 0xdbff);
    }

    return high;
}


/* The verdict that yajl and the policy together give. */

static int
fuzz_verdict(fuzz_truth_t *t)
{
    int       valid;
    size_t    i;
    mg_str_t  raw;

    t->yajl = yajl_alloc(&fuzz_callbacks, NULL, t);
    fuzz_check(t->yajl != NULL);

    valid = yajl_parse(t->yajl, (const unsigned char *) t->text.data,
                       t->text.len) == yajl_status_ok
            && yajl_complete_parse(t->yajl) == yajl_status_ok;

    yajl_free(t->yajl);

    if (!valid) {
        return MG_ERROR;
    }

    /* stricter than yajl: RFC 3629, and no VT or FF as white space */

    if (!mg_utf8_ok(t->text) || memchr(t->text.data, '\v', t->text.len)
        || memchr(t->text.data, '\f', t->text.len))
    {
        return MG_ERROR;
    }

    /* and nothing behind the document: yajl takes an unfinished string */

    for (i = t->end; !t->scalar && i < t->text.len; i++) {
        if (strchr(" \t\r\n", t->text.data[i]) == NULL) {
            return MG_ERROR;
        }
    }

    /* policy */

    if (t->array || t->scalar || t->deepest > MG_SCAN_DEPTH_MAX
        || t->models > 1 || t->escaped)
    {
        return MG_ERROR;
    }

    if (t->models == 0) {
        return MG_DECLINED;
    }

    if (!t->is_string || t->model_len == 0) {
        return MG_ERROR;
    }

    raw = mg_str_n(t->text.data + t->raw_start, t->raw_end - t->raw_start);

    if (memchr(t->model, '\0', t->model_len) != NULL || fuzz_half(raw)
        || t->model_len > MG_SCAN_MODEL_MAX)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
fuzz_feed(mg_scan_t *s, mg_str_t text, mg_error_t *e)
{
    int    rc;
    char  *p;

    p = fuzz_piece(text);
    rc = mg_scan_feed(s, p, text.len, e);
    free(p);

    return rc;
}


static int
fuzz_scan(mg_scan_t *s, mg_str_t text, size_t cut, mg_error_t *e)
{
    mg_scan_init(s);

    if (fuzz_feed(s, mg_str_n(text.data, cut), e) != MG_OK
        || fuzz_feed(s, mg_str_n(text.data + cut, text.len - cut), e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_scan_finish(s, e);
}


static int
fuzz_scan_bytes(mg_scan_t *s, mg_str_t text, mg_error_t *e)
{
    size_t  i;

    mg_scan_init(s);

    for (i = 0; i < text.len; i++) {
        if (mg_scan_feed(s, text.data + i, 1, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return mg_scan_finish(s, e);
}


static void
fuzz_same(int rc, mg_scan_t *s, mg_error_t *e, int rc2, mg_scan_t *s2,
    mg_error_t *e2)
{
    fuzz_check(rc == rc2);

    if (rc == MG_ERROR) {
        fuzz_check(e->kind == e2->kind);
        fuzz_check(strcmp(e->param, e2->param) == 0);
        return;
    }

    fuzz_check(s->stream == s2->stream);
    fuzz_check(mg_str_eq(mg_str_n(s->user, s->user_len),
                         mg_str_n(s2->user, s2->user_len)));
    fuzz_check(s->has_model == s2->has_model);

    if (rc == MG_OK) {
        fuzz_check(mg_str_eq(mg_str_n(s->model, s->model_len),
                             mg_str_n(s2->model, s2->model_len)));
        fuzz_check(s->value_start == s2->value_start);
        fuzz_check(s->value_end == s2->value_end);
    }
}


static void
fuzz_compare(fuzz_truth_t *t, mg_scan_t *s, int rc)
{
    unsigned  i;
    mg_str_t  user;

    fuzz_check(s->has_model == (rc == MG_OK));
    fuzz_check(s->stream == t->stream);

    /* what yajl makes of half a surrogate pair is no text */

    for (i = 0; i < MG_SCAN_BY_N - 1 && t->user_lens[i] == 0; i++) {
        /* void */
    }

    user = mg_str_n(t->users[i], t->user_lens[i]);

    if (mg_utf8_ok(user)
        && !fuzz_has(t->text, "\\uD") && !fuzz_has(t->text, "\\ud"))
    {
        fuzz_check(mg_str_eq(user, mg_str_n(s->user, s->user_len)));
    }

    if (rc == MG_OK) {
        fuzz_check(mg_str_eq(mg_str_n(t->model, t->model_len),
                             mg_str_n(s->model, s->model_len)));
        fuzz_check(s->value_start == t->raw_start);
        fuzz_check(s->value_end == t->raw_end);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           rc, rc2;
    size_t        cut, step;
    mg_scan_t     s, s2;
    mg_error_t    e, e2;
    fuzz_truth_t  t;

    memset(&t, 0, sizeof(t));
    t.text = mg_str_n((const char *) data, size);

    rc = fuzz_scan(&s, t.text, size, &e);
    fuzz_check(rc == fuzz_verdict(&t));

    if (rc != MG_ERROR) {
        fuzz_compare(&t, &s, rc);
    }

    rc2 = fuzz_scan_bytes(&s2, t.text, &e2);
    fuzz_same(rc, &s, &e, rc2, &s2, &e2);

    step = size / FUZZ_ALL_CUTS + 1;

    for (cut = 0; cut < size; cut += step) {
        rc2 = fuzz_scan(&s2, t.text, cut, &e2);
        fuzz_same(rc, &s, &e, rc2, &s2, &e2);
    }

    free(t.model);

    return 0;
}
