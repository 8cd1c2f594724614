/*
 * mg_list.c: a page of a list, from text to models.
 *
 *     parse -> find the array -> read the id of each entry by the table
 *           -> read those of one id again, unite them, complete, hand on
 *
 * Nothing is handed on before all of the page has been read, since an entry
 * near its end may say more of one near its beginning.  An entry takes several
 * times what it is read from, so none is kept: each is read twice, into an
 * arena that is reset behind it.  Caps bound what a hostile list costs:
 * bytes, nodes, models, members of one model.
 *
 * Called by the protocols of this room; touches nothing but the arena.
 */

#include "provider/mg_list.h"

#include "base/mg_uri.h"
#include "provider/mg_keyset.h"


#define MG_LIST_BYTES_MAX     (16 * 1024 * 1024)
#define MG_LIST_NODES_MAX     1000000
#define MG_LIST_MODELS_MAX    10000
#define MG_LIST_MEMBERS_MAX   100
#define MG_LIST_TOKEN_MAX     1024


/* The first entry of an id; "again" leads to the others. */
typedef struct mg_list_id_s  mg_list_id_t;

struct mg_list_id_s {
    const mg_json_t  *entry;
    mg_list_id_t     *next;
    mg_list_id_t     *again;
    mg_list_id_t     *end;          /* of those */
};


static void mg_list_again(mg_list_id_t *first, mg_list_id_t *one);


static int
mg_list_full(mg_error_t *e)
{
    return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                        "the list of models needs more memory than allowed");
}


const mg_json_t *
mg_list_parse(mg_str_t body, mg_arena_t *a, mg_error_t *e)
{
    mg_json_limits_t  limits;

    memset(&limits, 0, sizeof(limits));
    limits.members = MG_LIST_NODES_MAX;
    limits.total = MG_LIST_BYTES_MAX;

    return mg_json_parse(a, body, &limits, e);
}


static const mg_json_t *
mg_list_array(const mg_list_t *l, const mg_json_t *doc, mg_error_t *e)
{
    unsigned          i;
    const mg_json_t  *array;

    array = (doc->type == MG_JSON_ARRAY) ? doc : NULL;

    for (i = 0; array == NULL && i < MG_LIST_ARRAYS && l->arrays[i]; i++) {
        array = mg_json_get(doc, l->arrays[i]);
    }

    if (array == NULL || array->type != MG_JSON_ARRAY) {
        mg_error_set(e, MG_E_UPSTREAM, NULL, "the list of models has no "
                     "array \"%s\"; is the base URL that of %s?",
                     l->arrays[0], l->server);
        return NULL;
    }

    if (array->count > MG_LIST_MODELS_MAX) {
        mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list holds %u models, "
                     "more than %d cannot be read", (unsigned) array->count,
                     MG_LIST_MODELS_MAX);
        return NULL;
    }

    return array;
}


/* MG_OK with the entry, MG_DECLINED: not usable, MG_ERROR: no memory. */

static int
mg_list_entry(const mg_list_t *l, const mg_json_t *v, mg_arena_t *a,
    mg_entry_t **x)
{
    int  rc;

    if (v->type != MG_JSON_OBJECT || v->count > MG_LIST_MEMBERS_MAX) {
        return MG_DECLINED;
    }

    *x = mg_entry_read(v, l->fields, a);
    if (*x == NULL) {
        return MG_ERROR;
    }

    rc = l->finish ? l->finish(*x, v, a) : MG_OK;

    if (rc == MG_OK && (*x)->model.provider_model_id.len == 0) {
        return MG_DECLINED;
    }

    return rc;
}


/* The ids of all entries, in their order; each entry's words are forgotten. */

static int
mg_list_ids(const mg_list_t *l, const mg_json_t *array, mg_arena_t *a,
    mg_arena_t *scratch, mg_list_id_t **first, unsigned *skipped)
{
    int               rc;
    void            **seen;
    mg_str_t          id;
    mg_entry_t       *x;
    mg_keyset_t       ids;
    mg_list_id_t     *one, **last;
    const mg_json_t  *v;

    *first = NULL;
    last = first;

    if (mg_keyset_init(&ids) != MG_OK) {
        return MG_ERROR;
    }

    for (v = array->child; v; v = v->next) {
        mg_arena_reset(scratch);
        rc = mg_list_entry(l, v, scratch, &x);

        if (rc == MG_DECLINED) {
            (*skipped)++;
            continue;
        }

        one = mg_arena_calloc(a, sizeof(mg_list_id_t));

        if (rc != MG_OK || one == NULL) {
            return MG_ERROR;
        }

        one->entry = v;
        one->end = one;
        id = x->model.provider_model_id;
        rc = mg_keyset_add(&ids, a, &id, &seen);

        if (rc == MG_ERROR) {
            return MG_ERROR;
        }

        if (rc == MG_DECLINED) {
            (*skipped)++;
            mg_list_again(*seen, one);
            continue;
        }

        *seen = one;
        *last = one;
        last = &one->next;
    }

    return MG_OK;
}


static void
mg_list_again(mg_list_id_t *first, mg_list_id_t *one)
{
    first->end->again = one;
    first->end = one;
}


/* An entry, and what others say of the same id. */

static int
mg_list_unite(const mg_list_t *l, const mg_list_id_t *id, mg_arena_t *a,
    mg_entry_t **x)
{
    mg_entry_t  *later;

    if (mg_list_entry(l, id->entry, a, x) != MG_OK) {
        return MG_ERROR;
    }

    while ((id = id->again) != NULL) {
        if (mg_list_entry(l, id->entry, a, &later) != MG_OK) {
            return MG_ERROR;
        }

        mg_entry_merge(*x, later);
    }

    return mg_entry_complete(*x, l->source, a);
}


static int
mg_list_models(const mg_list_t *l, const mg_json_t *array, mg_arena_t *a,
    mg_arena_t *scratch, mg_list_model_pt model, void *ctx,
    unsigned *skipped, mg_error_t *e)
{
    mg_entry_t    *x;
    mg_list_id_t  *id;

    if (mg_list_ids(l, array, a, scratch, &id, skipped) != MG_OK) {
        return mg_list_full(e);
    }

    for ( /* void */ ; id; id = id->next) {
        mg_arena_reset(scratch);

        if (mg_list_unite(l, id, scratch, &x) != MG_OK) {
            return mg_list_full(e);
        }

        if (model(ctx, &x->model, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


int
mg_list_read(const mg_list_t *l, mg_str_t body, mg_arena_t *a,
    mg_list_model_pt model, void *ctx, unsigned *skipped, mg_error_t *e)
{
    int               rc;
    mg_arena_t       *scratch;
    const mg_json_t  *doc, *array;

    *skipped = 0;

    doc = mg_list_parse(body, a, e);
    array = doc ? mg_list_array(l, doc, e) : NULL;

    if (array == NULL) {
        return MG_ERROR;
    }

    scratch = mg_arena_create(MG_LIST_BYTES_MAX);

    if (scratch == NULL) {
        return mg_list_full(e);
    }

    rc = mg_list_models(l, array, a, scratch, model, ctx, skipped, e);
    mg_arena_destroy(scratch);

    return rc;
}


/* -- pages -- */

static int
mg_list_strange(mg_str_t name, mg_error_t *e)
{
    return mg_error_set(e, MG_E_UPSTREAM, NULL, "the list names its next page "
                        "with %zu bytes that are not followed: at most %d of "
                        "visible ASCII are", name.len, MG_LIST_TOKEN_MAX);
}


int
mg_list_page(const char *path, const char *parameter, mg_str_t token,
    mg_arena_t *a, mg_str_t *next, mg_error_t *e)
{
    char  *encoded;

    if (token.len == 0) {
        return MG_DECLINED;
    }

    if (token.len > MG_LIST_TOKEN_MAX) {
        return mg_list_strange(token, e);
    }

    encoded = mg_arena_alloc(a, token.len * 3);
    if (encoded == NULL) {
        return mg_list_full(e);
    }

    *next = mg_arena_printf(a, "%s&%s=%.*s", path, parameter,
                            (int) mg_uri_encode(token, "", encoded), encoded);

    return next->data ? MG_OK : mg_list_full(e);
}


int
mg_list_next(mg_str_t body, const char *member, const char *path,
    const char *parameter, mg_arena_t *a, mg_str_t *next, mg_error_t *e)
{
    const mg_json_t  *doc;

    doc = mg_list_parse(body, a, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    return mg_list_page(path, parameter, mg_json_str(doc, member), a, next,
                        e);
}


int
mg_list_query(const char *path, mg_str_t url, mg_arena_t *a, mg_str_t *next,
    mg_error_t *e)
{
    size_t       i;
    mg_str_t     query;
    const char  *mark;

    mark = url.len ? memchr(url.data, '?', url.len) : NULL;
    if (mark == NULL) {
        return MG_DECLINED;
    }

    query = mg_str_n(mark, url.len - (size_t) (mark - url.data));

    for (i = 0; i < query.len; i++) {
        if (query.data[i] <= ' ' || query.data[i] > '~'
            || query.data[i] == '#')
        {
            break;
        }
    }

    if (i < query.len || query.len > MG_LIST_TOKEN_MAX) {
        return mg_list_strange(query, e);
    }

    *next = mg_arena_printf(a, "%s" MG_STR_FMT, path, MG_STR_ARG(query));

    return next->data ? MG_OK : mg_list_full(e);
}
