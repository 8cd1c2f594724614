/*
 * mg_json_build.c: makes nodes out of the events of a JSON reader.
 *
 * The open containers are a stack of (node, last child), so that appending
 * is constant.  When an object ends its keys are checked for duplicates:
 * each against each if there are few, else by sorting an array of pointers,
 * so that a hostile object costs n log n and no hash can be attacked.
 *
 * Called by mg_json_stream.c; nodes, keys and strings live in the arena.
 */

#include "base/mg_json_build.h"
#include "base/mg_utf8.h"

#include <stdlib.h>


#define MG_JSON_FEW      8

/* in .boolean of a member that a later one with the same key replaces */
#define MG_JSON_DROPPED  2


typedef struct {
    mg_json_t  *node;
    uint32_t    order;
} mg_json_member_t;


static mg_str_t mg_json_build_text(mg_json_build_t *b, mg_str_t s);
static int mg_json_build_unique(mg_json_build_t *b, mg_json_t *o,
    mg_error_t *e);
static mg_json_t *mg_json_build_few(mg_json_t *o);
static mg_json_t *mg_json_build_many(mg_json_t *o, mg_json_member_t *m);
static int mg_json_member_cmp(const void *one, const void *two);
static void mg_json_build_drop(mg_json_t *o);
static int mg_json_build_memory(mg_error_t *e);


void
mg_json_build_start(mg_json_build_t *b, mg_str_t key)
{
    b->nodes = 0;
    b->depth = 0;
    b->root = NULL;
    b->key = key;
}


int
mg_json_build_key(mg_json_build_t *b, mg_str_t key, mg_error_t *e)
{
    b->key = mg_json_build_text(b, key);

    return b->key.data ? MG_OK : mg_json_build_memory(e);
}


mg_json_t *
mg_json_build_add(mg_json_build_t *b, mg_json_type_e type, mg_str_t str,
    mg_error_t *e)
{
    mg_json_t       *v;
    mg_json_open_t  *o;

    if (b->nodes++ >= b->limit) {
        mg_error_set(e, MG_E_TOO_LARGE, NULL, "JSON has more than %u elements "
                     "and members; send less at a time", (unsigned) b->limit);
        return NULL;
    }

    v = mg_arena_calloc(b->arena, sizeof(mg_json_t));

    if (v == NULL) {
        mg_json_build_memory(e);
        return NULL;
    }

    v->type = type;
    v->key = b->key;
    b->key = mg_str_null;

    if (str.data != NULL) {
        v->str = mg_json_build_text(b, str);

        if (v->str.data == NULL) {
            mg_json_build_memory(e);
            return NULL;
        }
    }

    if (b->depth == 0) {
        b->root = v;

    } else {
        o = &b->open[b->depth - 1];

        if (o->last == NULL) {
            o->node->child = v;

        } else {
            o->last->next = v;
        }

        o->last = v;
        o->node->count++;
    }

    if (type == MG_JSON_ARRAY || type == MG_JSON_OBJECT) {
        b->open[b->depth].node = v;
        b->open[b->depth].last = NULL;
        b->depth++;
    }

    return v;
}


int
mg_json_build_end(mg_json_build_t *b, mg_error_t *e)
{
    mg_json_t  *v;

    b->depth--;
    v = b->open[b->depth].node;

    if (v->type != MG_JSON_OBJECT || v->count < 2) {
        return MG_OK;
    }

    return mg_json_build_unique(b, v, e);
}


/*
 * yajl lets through what is no UTF-8 by RFC 3629: escaped halves of
 * surrogate pairs and overlong forms.  Nothing behind this place shall have
 * to think of them.
 */

static mg_str_t
mg_json_build_text(mg_json_build_t *b, mg_str_t s)
{
    char      *p;
    size_t     i, n;
    mg_str_t   copy;

    copy = mg_arena_dup(b->arena, s);

    if (copy.data == NULL) {
        return copy;
    }

    for (i = 0, p = (char *) copy.data; i < copy.len; i += n) {
        n = mg_utf8_next(p + i, copy.len - i);

        if (n == 0) {
            p[i] = '?';
            n = 1;
        }
    }

    return copy;
}


static int
mg_json_build_unique(mg_json_build_t *b, mg_json_t *o, mg_error_t *e)
{
    mg_json_t         *dup;
    mg_json_member_t  *m;

    if (o->count <= MG_JSON_FEW) {
        dup = mg_json_build_few(o);

    } else {
        m = malloc(o->count * sizeof(mg_json_member_t));

        if (m == NULL) {
            return mg_json_build_memory(e);
        }

        dup = mg_json_build_many(o, m);
        free(m);
    }

    if (dup == NULL) {
        return MG_OK;
    }

    if (b->unique) {
        return mg_error_set(e, MG_E_INVALID, dup->key.data,
                            "member \"%.100s\" appears twice in one object; "
                            "give it once", dup->key.data);
    }

    mg_json_build_drop(o);

    return MG_OK;
}


/* Marks all but the last of equal keys; returns one that was marked. */

static mg_json_t *
mg_json_build_few(mg_json_t *o)
{
    mg_json_t  *one, *two, *dup;

    dup = NULL;

    for (one = o->child; one != NULL; one = one->next) {
        for (two = one->next; two != NULL; two = two->next) {

            if (mg_str_eq(one->key, two->key)) {
                one->boolean |= MG_JSON_DROPPED;
                dup = one;
                break;
            }
        }
    }

    return dup;
}


static mg_json_t *
mg_json_build_many(mg_json_t *o, mg_json_member_t *m)
{
    uint32_t    i;
    mg_json_t  *v, *dup;

    for (i = 0, v = o->child; v != NULL; v = v->next, i++) {
        m[i].node = v;
        m[i].order = i;
    }

    qsort(m, o->count, sizeof(mg_json_member_t), mg_json_member_cmp);

    dup = NULL;

    for (i = 1; i < o->count; i++) {
        if (mg_str_eq(m[i - 1].node->key, m[i].node->key)) {
            dup = m[i - 1].node;
            dup->boolean |= MG_JSON_DROPPED;
        }
    }

    return dup;
}


static int
mg_json_member_cmp(const void *one, const void *two)
{
    int                      rc;
    const mg_json_member_t  *a, *b;

    a = one;
    b = two;
    rc = mg_str_cmp(a->node->key, b->node->key);

    return rc ? rc : (a->order > b->order) - (a->order < b->order);
}


static void
mg_json_build_drop(mg_json_t *o)
{
    mg_json_t  **link;

    for (link = &o->child; *link != NULL; /* void */ ) {

        if ((*link)->boolean & MG_JSON_DROPPED) {
            *link = (*link)->next;
            o->count--;
            continue;
        }

        link = &(*link)->next;
    }
}


static int
mg_json_build_memory(mg_error_t *e)
{
    return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                        "JSON takes more memory than there is for it; "
                        "send less at a time");
}
