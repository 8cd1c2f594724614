/*
 * mg_field.c: members of a JSON object into a struct, by a table.
 *
 * One reader a type, in an array indexed by mg_field_type_e.  A reader that
 * cannot take a value says MG_DECLINED, and the node goes to the rest: an
 * object where a bool may stand, a price of -1, a date that is a number.
 * Sub-objects are read by their own table and come back with only what was
 * left of them.
 *
 * Called by the adapters in this room; touches nothing but the arena.
 */

#include "provider/mg_field.h"

#include "base/mg_decimal.h"
#include "base/mg_jw.h"


#define MG_FIELD_MODES_MAX   16


typedef int (*mg_field_read_pt)(const mg_field_t *f, const mg_json_t *v,
    void *out, mg_arena_t *a, mg_json_t **left);

static int mg_field_str(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left);
static int mg_field_tri(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left);
static int mg_field_count(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left);
static int mg_field_price(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left);
static int mg_field_modes(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left);
static int mg_field_object(const mg_field_t *f, const mg_json_t *v,
    void *out, mg_arena_t *a, mg_json_t **left);


static const mg_field_read_pt  mg_field_readers[] = {
    mg_field_str,
    mg_field_tri,
    mg_field_count,
    mg_field_price,
    mg_field_modes,
    mg_field_object
};


/* In the order in which a set of modalities is written. */
static const struct {
    const char  *name;
    unsigned     bit;
} mg_field_mode_names[] = {
    { "text",  MG_MODE_TEXT },
    { "image", MG_MODE_IMAGE },
    { "audio", MG_MODE_AUDIO },
    { "video", MG_MODE_VIDEO },
    { "pdf",   MG_MODE_PDF },
    { NULL,    MG_MODE_OTHER }
};


static const mg_field_t *
mg_field_find(const mg_field_t *table, mg_str_t name)
{
    const mg_field_t  *f;

    for (f = table; f->name; f++) {
        if (mg_str_eq(mg_str_z(f->name), name)) {
            return f;
        }
    }

    return NULL;
}


static mg_json_t *
mg_field_copy(const mg_json_t *v, mg_arena_t *a)
{
    mg_json_t  *copy;

    copy = mg_arena_alloc(a, sizeof(mg_json_t));
    if (copy) {
        *copy = *v;
        copy->next = NULL;
    }

    return copy;
}


int
mg_field_read(const mg_json_t *object, const mg_field_t *table, void *out,
    mg_arena_t *a, mg_json_t **rest)
{
    int                rc;
    mg_json_t         *left, **last;
    const mg_json_t   *v;
    const mg_field_t  *f;

    *rest = NULL;
    last = rest;

    for (v = object->child; v; v = v->next) {
        f = mg_field_find(table, v->key);

        if (f && v->type == MG_JSON_NULL) {
            continue;
        }

        left = NULL;
        rc = f ? mg_field_readers[f->type](f, v, out, a, &left) : MG_DECLINED;

        if (rc == MG_DECLINED) {
            left = mg_field_copy(v, a);
            rc = left ? MG_OK : MG_ERROR;
        }

        if (rc != MG_OK) {
            return MG_ERROR;
        }

        if (left) {
            *last = left;
            last = &left->next;
        }
    }

    return MG_OK;
}


static int
mg_field_str(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    mg_str_t  *s;

    (void) left;

    if (v->type != MG_JSON_STRING) {
        return MG_DECLINED;
    }

    s = (mg_str_t *) ((char *) out + f->offset);
    *s = mg_arena_dup(a, v->str);

    return s->data ? MG_OK : MG_ERROR;
}


static int
mg_field_tri(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    (void) a;
    (void) left;

    if (v->type != MG_JSON_BOOL) {
        return MG_DECLINED;
    }

    *(int8_t *) ((char *) out + f->offset) = (int8_t) mg_json_tri(v);

    return MG_OK;
}


static int
mg_field_count(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int64_t  n;

    (void) a;
    (void) left;

    if (mg_json_int64(v, &n) != MG_OK || n < 0) {
        return MG_DECLINED;
    }

    *(int64_t *) ((char *) out + f->offset) = n;

    return MG_OK;
}


static int
mg_field_price(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int64_t  n;

    (void) a;
    (void) left;

    /* USD per million tokens is 10^9 femto-USD a token. */

    if (v->type != MG_JSON_NUMBER
        || mg_decimal_parse(v->str, 9, &n) != MG_OK)
    {
        return MG_DECLINED;
    }

    *(int64_t *) ((char *) out + f->offset) = n;

    return MG_OK;
}


static unsigned
mg_field_mode_bit(mg_str_t name)
{
    unsigned  i;

    for (i = 0; mg_field_mode_names[i].name; i++) {
        if (mg_str_eq(mg_str_z(mg_field_mode_names[i].name), name)) {
            break;
        }
    }

    return mg_field_mode_names[i].bit;
}


static int
mg_field_modes(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    mg_str_t         *s;
    mg_buf_t          b;
    mg_jw_t           w;
    unsigned          i, *mask, bits, bit;
    const mg_json_t  *e;

    (void) left;

    if (v->type != MG_JSON_ARRAY || v->count > MG_FIELD_MODES_MAX) {
        return MG_DECLINED;
    }

    bits = MG_MODE_KNOWN;

    for (e = v->child; e; e = e->next) {
        if (e->type != MG_JSON_STRING) {
            return MG_DECLINED;
        }

        bits |= mg_field_mode_bit(e->str);
    }

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (i = 0; i < sizeof(mg_field_mode_names)
                    / sizeof(mg_field_mode_names[0]); i++)
    {
        bit = mg_field_mode_names[i].bit;

        if (bit != MG_MODE_OTHER && (bits & bit)) {
            mg_jw_z(&w, NULL, mg_field_mode_names[i].name);
        }

        for (e = v->child; bit == MG_MODE_OTHER && e; e = e->next) {
            if (mg_field_mode_bit(e->str) == bit) {
                mg_jw_str(&w, NULL, e->str);
            }
        }
    }

    mg_jw_end_array(&w);

    s = (mg_str_t *) ((char *) out + f->offset);
    *s = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    mask = (unsigned *) ((char *) out + f->mask);
    *mask = bits;

    return s->data ? MG_OK : MG_ERROR;
}


static int
mg_field_object(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    mg_json_t  *rest, *e;

    if (v->type != MG_JSON_OBJECT) {
        return MG_DECLINED;
    }

    if (mg_field_read(v, f->sub, out, a, &rest) != MG_OK) {
        return MG_ERROR;
    }

    if (rest == NULL) {
        return MG_OK;
    }

    *left = mg_field_copy(v, a);
    if (*left == NULL) {
        return MG_ERROR;
    }

    (*left)->child = rest;
    (*left)->count = 0;

    for (e = rest; e; e = e->next) {
        (*left)->count++;
    }

    return MG_OK;
}


int
mg_field_node_text(const mg_json_t *node, mg_arena_t *a, mg_str_t *text)
{
    mg_jw_t   w;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_node(&w, NULL, node);

    *text = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return text->data ? MG_OK : MG_ERROR;
}


int
mg_field_text(const mg_json_t *list, mg_arena_t *a, mg_str_t *text)
{
    mg_json_t  object, *child;

    *text = mg_str_null;

    if (list == NULL) {
        return MG_OK;
    }

    memset(&object, 0, sizeof(object));
    object.type = MG_JSON_OBJECT;
    object.child = (mg_json_t *) list;

    for (child = object.child; child; child = child->next) {
        object.count++;
    }

    return mg_field_node_text(&object, a, text);
}
