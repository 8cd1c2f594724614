/*
 * mg_entry.c: what the entries of all lists have in common.
 *
 * Two entries with one id are merged by two tables of members, strings and
 * numbers; modalities go with their masks.  What is made up here, the type
 * from names and modalities and the id as a name, is marked as such: it
 * counts for less than what any source states.
 *
 * Called by the adapters of this room; touches nothing but the arena.
 */

#include "provider/mg_entry.h"

#include "provider/mg_kind.h"


static const size_t  mg_entry_strings[] = {
    offsetof(mg_model_t, name),
    offsetof(mg_model_t, description),
    offsetof(mg_model_t, family),
    offsetof(mg_model_t, version),
    offsetof(mg_model_t, status),
    offsetof(mg_model_t, price_tiers),
    offsetof(mg_model_t, release_date),
    offsetof(mg_model_t, last_updated),
    offsetof(mg_model_t, knowledge),
    offsetof(mg_model_t, deprecation_date),
    offsetof(mg_model_t, tags)
};


static const size_t  mg_entry_flags[] = {
    offsetof(mg_model_t, attachment),
    offsetof(mg_model_t, temperature),
    offsetof(mg_model_t, open_weights)
};


mg_entry_t *
mg_entry_read(const mg_json_t *object, const mg_field_t *table,
    mg_arena_t *a)
{
    mg_entry_t  *x;

    x = mg_arena_calloc(a, sizeof(mg_entry_t));
    if (x == NULL) {
        return NULL;
    }

    mg_model_init(&x->model);
    x->type = -1;

    return (mg_field_read(object, table, x, a, &x->rest) == MG_OK) ? x : NULL;
}


/* Members of the first stay; a copy of a node costs more than a move. */

static void
mg_entry_merge_rest(mg_entry_t *first, mg_json_t *rest)
{
    mg_json_t  **last, *v, *next;

    for (v = rest; v; v = next) {
        next = v->next;

        for (last = &first->rest; *last; last = &(*last)->next) {
            if (mg_str_eq((*last)->key, v->key)) {
                break;
            }
        }

        if (*last == NULL) {
            v->next = NULL;
            *last = v;
        }
    }
}


static void
mg_entry_merge_numbers(mg_model_t *m, const mg_model_t *n)
{
    unsigned  i;

    m->context = (m->context != MG_UNKNOWN) ? m->context : n->context;
    m->input_limit = (m->input_limit != MG_UNKNOWN) ? m->input_limit
                                                    : n->input_limit;
    m->output_limit = (m->output_limit != MG_UNKNOWN) ? m->output_limit
                                                      : n->output_limit;

    for (i = 0; i < MG_PRICE_N; i++) {
        if (m->price[i] == MG_UNKNOWN) {
            m->price[i] = n->price[i];
        }
    }
}


void
mg_entry_merge(mg_entry_t *first, const mg_entry_t *later)
{
    int8_t            *flag;
    unsigned           i;
    mg_str_t          *s;
    mg_model_t        *m;
    const mg_model_t  *n;

    m = &first->model;
    n = &later->model;

    for (i = 0; i < sizeof(mg_entry_strings) / sizeof(size_t); i++) {
        s = (mg_str_t *) ((char *) m + mg_entry_strings[i]);

        if (s->data == NULL) {
            *s = *(const mg_str_t *) ((const char *) n
                                      + mg_entry_strings[i]);
        }
    }

    for (i = 0; i < sizeof(mg_entry_flags) / sizeof(size_t); i++) {
        flag = (int8_t *) m + mg_entry_flags[i];

        if (*flag == -1) {
            *flag = *((const int8_t *) n + mg_entry_flags[i]);
        }
    }

    if (m->modalities_in.data == NULL) {
        m->modalities_in = n->modalities_in;
        first->in = later->in;
    }

    if (m->modalities_out.data == NULL) {
        m->modalities_out = n->modalities_out;
        first->out = later->out;
    }

    for (i = 0; i < MG_CAP_N; i++) {
        if (n->caps[i] > m->caps[i]) {
            m->caps[i] = n->caps[i];
        }
    }

    first->type = (first->type < 0) ? later->type : first->type;

    mg_entry_merge_numbers(m, n);
    mg_entry_merge_rest(first, later->rest);
}


int
mg_entry_keep(mg_entry_t *x, const char *name, mg_str_t value,
    mg_arena_t *a)
{
    mg_json_t  *v;

    v = mg_arena_calloc(a, sizeof(mg_json_t));
    if (v == NULL) {
        return MG_ERROR;
    }

    v->type = MG_JSON_STRING;
    v->key = mg_str_z(name);
    v->str = value;
    v->next = x->rest;
    x->rest = v;

    return MG_OK;
}


void
mg_entry_drop(mg_entry_t *x, const char *name)
{
    mg_json_t  **link;

    for (link = &x->rest; *link; link = &(*link)->next) {
        if (mg_str_eq((*link)->key, mg_str_z(name))) {
            *link = (*link)->next;
            return;
        }
    }
}


void
mg_entry_unpriced(mg_entry_t *x)
{
    int64_t  *price;

    price = x->model.price;

    if (x->type >= 0 && x->type != MG_TYPE_CHAT
        && x->type != MG_TYPE_EMBEDDING
        && price[MG_PRICE_INPUT] == 0
        && (price[MG_PRICE_OUTPUT] == 0
            || price[MG_PRICE_OUTPUT] == MG_UNKNOWN))
    {
        price[MG_PRICE_INPUT] = MG_UNKNOWN;
        price[MG_PRICE_OUTPUT] = MG_UNKNOWN;
    }
}


int
mg_entry_complete(mg_entry_t *x, mg_str_t source, mg_arena_t *a)
{
    int          guess;
    mg_model_t  *m;

    m = &x->model;
    m->source = source;

    if (m->name.len == 0) {
        m->name = m->provider_model_id;
        m->name_inferred = 1;
    }

    if (x->type >= 0) {
        m->type = (mg_model_type_e) x->type;

    } else {
        m->type = mg_kind_infer(m, x->in, x->out, &guess);
        m->type_inferred = guess;
    }

    mg_kind_capabilities(m, x->in, x->out);

    return mg_field_text(x->rest, a, &m->extra);
}
