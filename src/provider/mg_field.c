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
#include "base/mg_time.h"


#define MG_FIELD_MODES_MAX     16
#define MG_FIELD_NUMBER_MAX    64
#define MG_FIELD_SECONDS_MAX   INT64_C(253402300799)      /* 9999-12-31 */

/* Bytes of 2024-07-31 and of 2024-07. */
#define MG_FIELD_DAY           10
#define MG_FIELD_MONTH         7


typedef int (*mg_field_read_pt)(const mg_field_t *f, const mg_json_t *v,
    void *out, mg_arena_t *a, mg_json_t **left);

#define MG_FIELD_READER(name)                                                 \
    static int name(const mg_field_t *f, const mg_json_t *v, void *out,       \
        mg_arena_t *a, mg_json_t **left)

MG_FIELD_READER(mg_field_str);
MG_FIELD_READER(mg_field_number);
MG_FIELD_READER(mg_field_date);
MG_FIELD_READER(mg_field_status);
MG_FIELD_READER(mg_field_tri);
MG_FIELD_READER(mg_field_count);
MG_FIELD_READER(mg_field_price);
MG_FIELD_READER(mg_field_price_text);
MG_FIELD_READER(mg_field_modes);
MG_FIELD_READER(mg_field_array);
MG_FIELD_READER(mg_field_flags);
MG_FIELD_READER(mg_field_type);
MG_FIELD_READER(mg_field_object);


static const mg_field_read_pt  mg_field_readers[] = {
    mg_field_str,
    mg_field_number,
    mg_field_date,
    mg_field_status,
    mg_field_tri,
    mg_field_count,
    mg_field_price,
    mg_field_price_text,
    mg_field_modes,
    mg_field_array,
    mg_field_flags,
    mg_field_type,
    mg_field_object
};


/* What providers call the states of a model's life. */
static const struct {
    mg_str_t     word;
    mg_str_t     status;
} mg_field_statuses[] = {
    { mg_str("alpha"),        mg_str("alpha") },
    { mg_str("experimental"), mg_str("alpha") },
    { mg_str("beta"),         mg_str("beta") },
    { mg_str("preview"),      mg_str("beta") },
    { mg_str("deprecated"),   mg_str("deprecated") },
    { mg_str("legacy"),       mg_str("deprecated") },
    { mg_str("retired"),      mg_str("deprecated") }
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


/* The first row of that name, from f on. */

static const mg_field_t *
mg_field_find(const mg_field_t *f, mg_str_t name)
{
    while (f->name && !mg_str_eq(mg_str_z(f->name), name)) {
        f++;
    }

    return f->name ? f : NULL;
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


/* One member: MG_OK with what is left of it, MG_DECLINED: all of it. */

static int
mg_field_member(const mg_field_t *table, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int                rc;
    const mg_field_t  *f;

    *left = NULL;
    rc = MG_DECLINED;

    for (f = mg_field_find(table, v->key);
         f && rc == MG_DECLINED;
         f = mg_field_find(f + 1, v->key))
    {
        rc = (v->type == MG_JSON_NULL)
             ? MG_OK : mg_field_readers[f->type](f, v, out, a, left);
    }

    return rc;
}


int
mg_field_read(const mg_json_t *object, const mg_field_t *table, void *out,
    mg_arena_t *a, mg_json_t **rest)
{
    int               rc;
    mg_json_t        *left, **last;
    const mg_json_t  *v;

    *rest = NULL;
    last = rest;

    for (v = object->child; v; v = v->next) {
        rc = mg_field_member(table, v, out, a, &left);

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

    if (v->type != MG_JSON_STRING || v->str.len == 0) {
        return MG_DECLINED;
    }

    s = (mg_str_t *) ((char *) out + f->offset);
    *s = mg_arena_dup(a, v->str);

    return s->data ? MG_OK : MG_ERROR;
}


static int
mg_field_number(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int64_t    n;
    mg_str_t  *s, digits;

    (void) left;

    if (v->type != MG_JSON_NUMBER && v->type != MG_JSON_STRING) {
        return MG_DECLINED;
    }

    digits = v->str;

    if (digits.len > 0 && digits.data[0] == '-') {
        digits = mg_str_n(digits.data + 1, digits.len - 1);
    }

    /* which number does not matter, only that it is one */

    if (digits.len == 0 || digits.len > MG_FIELD_NUMBER_MAX
        || digits.data[0] == '-'
        || mg_decimal_parse(digits, 0, &n) != MG_OK)
    {
        return MG_DECLINED;
    }

    s = (mg_str_t *) ((char *) out + f->offset);
    *s = mg_arena_dup(a, v->str);

    return s->data ? MG_OK : MG_ERROR;
}


/* 2024-07, 2024-07-31: the digits and dashes of a date, n of them. */

static int
mg_field_is_day(mg_str_t s, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if ((i == 4 || i == 7) ? s.data[i] != '-'
                               : (s.data[i] < '0' || s.data[i] > '9'))
        {
            return 0;
        }
    }

    return 1;
}


static int
mg_field_date(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    char       text[MG_TIME_LEN + 1];
    int64_t    us;
    mg_str_t  *s, day;

    (void) left;
    day = v->str;

    if (v->type == MG_JSON_NUMBER) {
        if (mg_json_int64(v, &us) != MG_OK || us <= 0
            || us > MG_FIELD_SECONDS_MAX)
        {
            return MG_DECLINED;
        }

        (void) mg_time_format(us * 1000000, text);
        day = mg_str_n(text, MG_FIELD_DAY);

    } else if (v->type != MG_JSON_STRING) {
        return MG_DECLINED;

    } else if (day.len > MG_FIELD_DAY && mg_time_parse(day, &us) == MG_OK) {
        day.len = MG_FIELD_DAY;
    }

    if ((day.len != MG_FIELD_DAY && day.len != MG_FIELD_MONTH)
        || !mg_field_is_day(day, day.len))
    {
        return MG_DECLINED;
    }

    s = (mg_str_t *) ((char *) out + f->offset);
    *s = mg_arena_dup(a, day);

    return s->data ? MG_OK : MG_ERROR;
}


static int
mg_field_status(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    unsigned  i;

    (void) a;
    (void) left;

    for (i = 0; v->type == MG_JSON_STRING
                && i < sizeof(mg_field_statuses)
                       / sizeof(mg_field_statuses[0]); i++)
    {
        if (mg_str_eq(v->str, mg_field_statuses[i].word)) {
            *(mg_str_t *) ((char *) out + f->offset)
                = mg_field_statuses[i].status;
        }
    }

    return MG_DECLINED;
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
mg_field_money(const mg_field_t *f, const mg_json_t *v, mg_json_type_e type,
    void *out)
{
    int64_t  n;

    if (v->type != type || mg_decimal_parse(v->str, f->value, &n) != MG_OK) {
        return MG_DECLINED;
    }

    *(int64_t *) ((char *) out + f->offset) = n;

    return MG_OK;
}


static int
mg_field_price(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    (void) a;
    (void) left;

    return mg_field_money(f, v, MG_JSON_NUMBER, out);
}


static int
mg_field_price_text(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    (void) a;
    (void) left;

    return mg_field_money(f, v, MG_JSON_STRING, out);
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
mg_field_array(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    (void) left;

    if (v->type != MG_JSON_ARRAY) {
        return MG_DECLINED;
    }

    return mg_field_node_text(v, a, (mg_str_t *) ((char *) out + f->offset));
}


static int
mg_field_flags(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int8_t            *flag;
    const mg_json_t   *word;
    const mg_field_t  *row;

    (void) a;
    (void) left;

    if (v->type != MG_JSON_ARRAY) {
        return MG_DECLINED;
    }

    for (row = f->sub; row->name; row++) {
        flag = (int8_t *) ((char *) out + row->offset);
        *flag = (*flag == 1);
    }

    for (word = v->child; word; word = word->next) {
        row = (word->type == MG_JSON_STRING) ? mg_field_find(f->sub,
                                                             word->str)
                                             : NULL;
        if (row) {
            *(int8_t *) ((char *) out + row->offset) = 1;
        }
    }

    return MG_DECLINED;
}


/* Whether a string is that word, or an array holds it. */

static int
mg_field_says(const mg_json_t *v, const char *word)
{
    const mg_json_t  *e;

    if (v->type == MG_JSON_STRING) {
        return mg_str_eq(v->str, mg_str_z(word));
    }

    for (e = (v->type == MG_JSON_ARRAY) ? v->child : NULL; e; e = e->next) {
        if (e->type == MG_JSON_STRING && mg_str_eq(e->str, mg_str_z(word))) {
            return 1;
        }
    }

    return 0;
}


static int
mg_field_type(const mg_field_t *f, const mg_json_t *v, void *out,
    mg_arena_t *a, mg_json_t **left)
{
    int               *type;
    const mg_field_t  *row;

    (void) a;
    (void) left;

    type = (int *) ((char *) out + f->offset);

    if (f->sub == NULL && *type < 0 && mg_json_tri(v) == 1) {
        *type = f->value;
    }

    for (row = f->sub; row && row->name && *type < 0; row++) {
        if (mg_field_says(v, row->name)) {
            *type = row->value;
        }
    }

    return MG_DECLINED;
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
