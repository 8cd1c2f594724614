/*
 * mg_body.c: a JSON object of an API body read into a C struct by a table.
 *
 * One pass over the members that were sent looks each up in the table and
 * lets its reader store the value; a second pass over the table finds what is
 * missing.  Nested objects come back here with the same struct and a table
 * of their own, so offsets are always those of the whole struct.
 */

#include <stdio.h>

#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "base/mg_uri.h"
#include "model/mg_body.h"
#include "model/mg_catalog.h"


#define MG_BODY_FIELD(f, to, type)   ((type *) ((char *) (to) + (f)->offset))


static const mg_body_field_t *mg_body_find(const mg_body_field_t *fields,
    mg_str_t name);
static int mg_body_unknown(const mg_body_field_t *fields, mg_str_t name,
    mg_error_t *e);
static int mg_body_missing(const mg_json_t *json,
    const mg_body_field_t *fields, mg_error_t *e);
static int mg_body_clean(const mg_body_field_t *f, mg_str_t s,
    mg_error_t *e);
static int mg_body_storable(const mg_body_field_t *f, const mg_json_t *v,
    mg_error_t *e);
static int mg_body_storable_number(const mg_body_field_t *f, mg_str_t s,
    mg_error_t *e);
static int mg_body_no_name(const mg_body_field_t *f, const mg_json_t *v,
    mg_error_t *e);


int
mg_body_parse(const mg_json_t *json, const mg_body_field_t *fields,
    int patch, mg_arena_t *a, void *to, mg_error_t *e)
{
    const mg_json_t        *v;
    const mg_body_field_t  *f;

    if (json == NULL || json->type != MG_JSON_OBJECT) {
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "the body is not a JSON object; send one such as "
                            "{\"%s\": ...}", fields->name);
    }

    for (v = json->child; v; v = v->next) {
        f = mg_body_find(fields, v->key);

        if (f == NULL) {
            return mg_body_unknown(fields, v->key, e);
        }

        if (patch && (f->flags & MG_BODY_CREATE)) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s cannot be changed; leave it out, or "
                                "create another one", f->name);
        }

        if (v->type == MG_JSON_NULL && !(f->flags & MG_BODY_NULLABLE)) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s is null; give a value or leave it out",
                                f->name);
        }

        if (f->read(f, v, a, to, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return patch ? MG_OK : mg_body_missing(json, fields, e);
}


static const mg_body_field_t *
mg_body_find(const mg_body_field_t *fields, mg_str_t name)
{
    const mg_body_field_t  *f;

    for (f = fields; f->name; f++) {
        if (mg_str_eq(mg_str_z(f->name), name)) {
            return f;
        }
    }

    return NULL;
}


static int
mg_body_unknown(const mg_body_field_t *fields, mg_str_t name, mg_error_t *e)
{
    int                     len;
    char                    known[400], param[64];
    const mg_body_field_t  *f;

    known[0] = '\0';
    len = 0;

    for (f = fields; f->name && len < (int) sizeof(known) - 40; f++) {
        len += snprintf(known + len, sizeof(known) - len, "%s%s",
                        len ? ", " : "", f->name);
    }

    snprintf(param, sizeof(param), "%.*s",
             (int) (name.len > 60 ? 60 : name.len), name.data);

    return mg_error_set(e, MG_E_INVALID, param,
                        "member \"%.*s\" is not known; known are %s",
                        MG_BODY_CUT(name), known);
}


static int
mg_body_missing(const mg_json_t *json, const mg_body_field_t *fields,
    mg_error_t *e)
{
    const mg_body_field_t  *f;

    for (f = fields; f->name; f++) {
        if ((f->flags & MG_BODY_REQUIRED)
            && mg_json_get(json, f->name) == NULL)
        {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s is missing; it is required", f->name);
        }
    }

    return MG_OK;
}


int
mg_body_string(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    mg_str_t  *s;

    s = MG_BODY_FIELD(f, to, mg_str_t);

    if (v->type == MG_JSON_NULL) {
        *s = mg_str_null;
        return MG_OK;
    }

    if (v->type != MG_JSON_STRING) {
        return mg_body_type_error(f, "a string", e);
    }

    if ((int64_t) v->str.len < f->min) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s is %s; give at least %d byte%s", f->name,
                            v->str.len ? "too short" : "empty", (int) f->min,
                            f->min == 1 ? "" : "s");
    }

    if ((int64_t) v->str.len > f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s is %zu bytes long; at most %d are allowed",
                            f->name, v->str.len, (int) f->max);
    }

    if (mg_body_clean(f, v->str, e) != MG_OK) {
        return MG_ERROR;
    }

    *s = mg_arena_dup(a, v->str);

    if (s->data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, f->name, "out of memory");
    }

    return MG_OK;
}


/* Keeps control characters out of names, headers and logs. */

static int
mg_body_clean(const mg_body_field_t *f, mg_str_t s, mg_error_t *e)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];

        if (c >= 0x20 && c != 0x7f) {
            continue;
        }

        if ((f->flags & MG_BODY_LINES)
            && (c == '\n' || c == '\r' || c == '\t'))
        {
            continue;
        }

        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s holds the control character 0x%02x at byte "
                            "%zu; take it out", f->name, (unsigned) c, i);
    }

    if (!mg_utf8_ok(s)) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s is not valid UTF-8", f->name);
    }

    return MG_OK;
}


int
mg_body_name(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    unsigned         i;
    const mg_str_t  *names;

    (void) a;

    names = f->table;

    for (i = 0; v->type == MG_JSON_STRING && i < f->n; i++) {
        if (mg_str_eq(names[i], v->str)) {
            *MG_BODY_FIELD(f, to, int) = (int) i;
            return MG_OK;
        }
    }

    return mg_body_no_name(f, v, e);
}


static int
mg_body_no_name(const mg_body_field_t *f, const mg_json_t *v, mg_error_t *e)
{
    int              len;
    char             known[300];
    unsigned         i;
    const mg_str_t  *names;

    known[0] = '\0';
    len = 0;
    names = f->table;

    for (i = 0; i < f->n && len < (int) sizeof(known) - 40; i++) {
        len += snprintf(known + len, sizeof(known) - len, "%s%.*s",
                        len ? ", " : "", MG_STR_ARG(names[i]));
    }

    if (v->type != MG_JSON_STRING) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s must be a string, one of %s", f->name, known);
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s \"%.*s\" is not known; give one of %s",
                        f->name, MG_BODY_CUT(v->str), known);
}


int
mg_body_int(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    int64_t  n;

    (void) a;

    if (v->type == MG_JSON_NULL) {
        *MG_BODY_FIELD(f, to, int64_t) = MG_UNKNOWN;
        return MG_OK;
    }

    if (v->type != MG_JSON_NUMBER) {
        return mg_body_type_error(f, "a whole number", e);
    }

    if (mg_json_int64(v, &n) != MG_OK || n < f->min || n > f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s \"%.*s\" is not a whole number between %lld "
                            "and %lld", f->name, MG_BODY_CUT(v->str),
                            (long long) f->min, (long long) f->max);
    }

    *MG_BODY_FIELD(f, to, int64_t) = n;

    return MG_OK;
}


int
mg_body_tri(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    (void) a;

    if (v->type != MG_JSON_NULL && v->type != MG_JSON_BOOL) {
        return mg_body_type_error(f, "true or false", e);
    }

    *MG_BODY_FIELD(f, to, int8_t) = (int8_t) mg_json_tri(v);

    return MG_OK;
}


int
mg_body_time(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    int64_t  us;

    (void) a;

    if (v->type == MG_JSON_NULL) {
        *MG_BODY_FIELD(f, to, int64_t) = 0;
        return MG_OK;
    }

    if (v->type != MG_JSON_STRING) {
        return mg_body_type_error(f, "a string", e);
    }

    if (v->str.len > 64 || mg_time_parse(v->str, &us) != MG_OK || us <= 0) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s \"%.*s\" is not a time; give one such as "
                            "2027-01-31T12:00:00Z", f->name,
                            MG_BODY_CUT(v->str));
    }

    *MG_BODY_FIELD(f, to, int64_t) = us;

    return MG_OK;
}


int
mg_body_object(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    mg_str_t  *s;

    s = MG_BODY_FIELD(f, to, mg_str_t);

    if (v->type == MG_JSON_NULL) {
        *s = mg_str_null;
        return MG_OK;
    }

    if (v->type != MG_JSON_OBJECT) {
        return mg_body_type_error(f, "a JSON object", e);
    }

    return mg_body_text(f, v, a, s, e);
}


int
mg_body_strings(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    mg_str_t         *s;
    const mg_json_t  *item;

    s = MG_BODY_FIELD(f, to, mg_str_t);

    if (v->type == MG_JSON_NULL) {
        *s = mg_str_null;
        return MG_OK;
    }

    if (v->type != MG_JSON_ARRAY) {
        return mg_body_type_error(f, "an array of strings", e);
    }

    if ((int64_t) v->count > f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s has %u elements; at most %d are allowed",
                            f->name, (unsigned) v->count, (int) f->max);
    }

    for (item = v->child; item; item = item->next) {
        if (item->type != MG_JSON_STRING || item->str.len == 0
            || item->str.len > 128)
        {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s holds something that is not a string of "
                                "1 to 128 bytes", f->name);
        }

        if (mg_body_clean(f, item->str, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return mg_body_text(f, v, a, s, e);
}


int
mg_body_nested(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    char  param[sizeof(e->param)];

    if (v->type != MG_JSON_OBJECT) {
        return mg_body_type_error(f, "a JSON object", e);
    }

    if (mg_body_parse(v, f->table, 1, a, to, e) == MG_OK) {
        return MG_OK;
    }

    if (e) {
        snprintf(param, sizeof(param), "%s.%.*s", f->name,
                 (int) (sizeof(param) / 2), e->param);
        memcpy(e->param, param, sizeof(param));
    }

    return MG_ERROR;
}


int
mg_body_type_error(const mg_body_field_t *f, const char *want, mg_error_t *e)
{
    return mg_error_set(e, MG_E_INVALID, f->name, "%s must be %s", f->name,
                        want);
}


int
mg_body_text(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    mg_str_t *text, mg_error_t *e)
{
    mg_jw_t   w;
    mg_buf_t  b;

    if (mg_body_storable(f, v, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, MG_BODY_JSON_MAX);
    mg_jw_init(&w, &b);
    mg_jw_node(&w, NULL, v);

    if (b.failed) {
        mg_buf_free(&b);
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s is larger than %d bytes", f->name,
                            MG_BODY_JSON_MAX);
    }

    *text = mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    if (text->data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, f->name, "out of memory");
    }

    return MG_OK;
}


/*
 * What jsonb would refuse: NUL in a string, a number beyond its range.  The
 * depth of the recursion is bounded by mg_json_parse().
 */

static int
mg_body_storable(const mg_body_field_t *f, const mg_json_t *v, mg_error_t *e)
{
    const mg_json_t  *c;

    if (memchr(v->key.data ? v->key.data : "", '\0', v->key.len)
        || (v->type == MG_JSON_STRING && v->str.len
            && memchr(v->str.data, '\0', v->str.len)))
    {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s holds the character U+0000, which cannot be "
                            "stored; take it out", f->name);
    }

    if (v->type == MG_JSON_NUMBER) {
        return mg_body_storable_number(f, v->str, e);
    }

    if (v->type != MG_JSON_OBJECT && v->type != MG_JSON_ARRAY) {
        return MG_OK;
    }

    for (c = v->child; c; c = c->next) {
        if (mg_body_storable(f, c, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_body_storable_number(const mg_body_field_t *f, mg_str_t s, mg_error_t *e)
{
    size_t       exponent;
    const char  *p;

    p = s.len ? memchr(s.data, 'e', s.len) : NULL;

    if (p == NULL && s.len) {
        p = memchr(s.data, 'E', s.len);
    }

    exponent = p ? s.data + s.len - p : 0;

    /* "e+123" is the longest exponent that a double has */

    if (s.len <= 64 && exponent <= 5) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s holds the number \"%.*s\", which is too long to "
                        "be stored", f->name, MG_BODY_CUT(s));
}
