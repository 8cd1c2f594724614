/*
 * mg_compare.c: models side by side, one row a field, one column a model.
 *
 *     text of model i -> cells of column i (prefix, name, span of the value)
 *     column 0, then what only later columns have -> rows
 *
 * All columns come from one renderer, so a field stands at the same place
 * in each: that place is looked at first and the rest only if it is another
 * field.  Values are compared as text; equal values have equal text, since
 * one renderer wrote both.
 *
 * Never reads behind the end of a text, whatever is in it.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_jw.h"
#include "base/mg_skip.h"
#include "model/mg_compare.h"


typedef struct {
    mg_str_t              prefix;      /* of the object around; or empty */
    mg_str_t              name;
    mg_str_t              value;       /* JSON text */
} mg_compare_cell_t;


typedef struct {
    unsigned              n;
    const char * const   *skip;
    mg_compare_cell_t     cells[MG_COMPARE_FIELDS];
} mg_compare_column_t;


static int mg_compare_members(mg_compare_column_t *column, mg_str_t prefix,
    mg_str_t text);
static int mg_compare_member(mg_compare_column_t *column, mg_str_t prefix,
    mg_str_t name, mg_str_t value);
static int mg_compare_skipped(const char * const *skip, mg_str_t name);
static const char *mg_compare_blank(const char *p, const char *end);
static const mg_compare_cell_t *mg_compare_find(
    const mg_compare_column_t *column, const mg_compare_cell_t *cell,
    unsigned place);
static void mg_compare_row(mg_jw_t *w, const mg_compare_column_t *columns,
    unsigned n, unsigned first, unsigned place);


int
mg_compare_write(mg_buf_t *out, const mg_compare_model_t *models, unsigned n,
    const char * const *skip, mg_error_t *e)
{
    mg_jw_t               w;
    unsigned              i, j;
    mg_str_t              text;
    mg_compare_column_t  *columns;

    columns = calloc(n, sizeof(mg_compare_column_t));
    if (columns == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    mg_jw_init(&w, out);
    mg_jw_object(&w, NULL);
    mg_jw_array(&w, "models");

    for (i = 0; i < n; i++) {
        text = models[i].item;
        columns[i].skip = skip;

        if (text.len < 2 || text.data[0] != '{'
            || mg_compare_members(&columns[i], mg_str_null,
                                  mg_str_n(text.data + 1, text.len - 2))
               != MG_OK
            || mg_compare_members(&columns[i], mg_str_null, models[i].more)
               != MG_OK)
        {
            free(columns);
            return mg_error_set(e, MG_E_INTERNAL, NULL,
                                "model \"%.*s\" cannot be read from the "
                                "catalog", MG_STR_ARG(models[i].id));
        }

        mg_jw_str(&w, NULL, models[i].id);
    }

    mg_jw_end_array(&w);
    mg_jw_array(&w, "fields");

    for (i = 0; i < n; i++) {
        for (j = 0; j < columns[i].n; j++) {
            mg_compare_row(&w, columns, n, i, j);
        }
    }

    mg_jw_end_array(&w);
    mg_jw_end_object(&w);

    free(columns);

    return out->failed ? mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory")
                       : MG_OK;
}


/* The row of a cell, unless a column before it has that field, too. */

static void
mg_compare_row(mg_jw_t *w, const mg_compare_column_t *columns, unsigned n,
    unsigned first, unsigned place)
{
    int                       differs;
    char                      field[256];
    unsigned                  i;
    mg_str_t                  values[MG_COMPARE_MAX];
    const mg_compare_cell_t  *cell, *other;

    cell = &columns[first].cells[place];

    for (i = 0; i < first; i++) {
        if (mg_compare_find(&columns[i], cell, place)) {
            return;
        }
    }

    differs = 0;

    for (i = 0; i < n; i++) {
        other = mg_compare_find(&columns[i], cell, place);
        values[i] = other ? other->value : mg_str("null");

        if (!mg_str_eq(values[i], values[0])) {
            differs = 1;
        }
    }

    (void) snprintf(field, sizeof(field), "%.*s%s%.*s",
                    MG_STR_ARG(cell->prefix), cell->prefix.len ? "." : "",
                    MG_STR_ARG(cell->name));

    mg_jw_object(w, NULL);
    mg_jw_z(w, "field", field);
    mg_jw_array(w, "values");

    for (i = 0; i < n; i++) {
        mg_jw_raw(w, NULL, values[i]);
    }

    mg_jw_end_array(w);
    mg_jw_bool(w, "differs", differs);
    mg_jw_end_object(w);
}


static const mg_compare_cell_t *
mg_compare_find(const mg_compare_column_t *column,
    const mg_compare_cell_t *cell, unsigned place)
{
    unsigned                  i;
    const mg_compare_cell_t  *c;

    /* i == 0: the likely place; then all of them */

    for (i = 0; i <= column->n; i++) {
        c = &column->cells[i ? i - 1 : place];

        if ((i || place < column->n)
            && mg_str_eq(c->name, cell->name)
            && mg_str_eq(c->prefix, cell->prefix))
        {
            return c;
        }
    }

    return NULL;
}


/* -- where members stand -- */

/* text: members of an object without its braces. */

static int
mg_compare_members(mg_compare_column_t *column, mg_str_t prefix,
    mg_str_t text)
{
    mg_str_t     name, value;
    const char  *p, *end, *begin;

    if (text.len == 0) {
        return MG_OK;
    }

    p = text.data;
    end = p + text.len;

    for ( ;; ) {
        p = mg_compare_blank(p, end);

        if (p == end) {
            return MG_OK;
        }

        if (*p == ',') {
            p++;
            continue;
        }

        begin = p;
        p = mg_skip_quoted(p, end);

        if (p == NULL) {
            return MG_ERROR;
        }

        name = mg_str_n(begin + 1, (size_t) (p - begin) - 2);
        p = mg_compare_blank(p, end);

        if (p == end || *p++ != ':') {
            return MG_ERROR;
        }

        begin = mg_compare_blank(p, end);
        p = mg_skip_value(begin, end);

        if (p == NULL) {
            return MG_ERROR;
        }

        value = mg_str_n(begin, (size_t) (p - begin));

        if (mg_compare_member(column, prefix, name, value) != MG_OK) {
            return MG_ERROR;
        }
    }
}


static int
mg_compare_member(mg_compare_column_t *column, mg_str_t prefix,
    mg_str_t name, mg_str_t value)
{
    mg_compare_cell_t  *cell;

    if (prefix.len == 0) {

        if (mg_compare_skipped(column->skip, name)) {
            return MG_OK;
        }

        if (value.data[0] == '{') {
            return mg_compare_members(column, name,
                                 mg_str_n(value.data + 1, value.len - 2));
        }
    }

    if (column->n < MG_COMPARE_FIELDS) {
        cell = &column->cells[column->n++];
        cell->prefix = prefix;
        cell->name = name;
        cell->value = value;
    }

    return MG_OK;
}


static int
mg_compare_skipped(const char * const *skip, mg_str_t name)
{
    for ( /* void */ ; skip && *skip; skip++) {
        if (mg_str_eq(name, mg_str_z(*skip))) {
            return 1;
        }
    }

    return 0;
}


static const char *
mg_compare_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }

    return p;
}
