/*
 * What would break: a comparison that puts a value into another model's
 * column, marks equal fields as different or different ones as equal, loses
 * a field that only one model has, or reads behind the end of a text.
 */

#include <stdlib.h>

#include "model/mg_compare.h"
#include "tap.h"


static const char * const  skip[] = { "details", NULL };


/* The table as text; the caller frees it.  NULL: refused. */

static char *
table(const char * const *texts, unsigned n)
{
    char                *text;
    mg_buf_t             b;
    unsigned             i;
    mg_error_t           e;
    mg_compare_model_t   models[MG_COMPARE_MAX];

    static const char  *ids[] = {
        "a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8", "a/9", "a/10"
    };

    for (i = 0; i < n; i++) {
        models[i].id = mg_str_z(ids[i]);
        models[i].item = mg_str_z(texts[2 * i]);
        models[i].more = mg_str_z(texts[2 * i + 1]);
    }

    mg_buf_init(&b, 0);

    if (mg_compare_write(&b, models, n, skip, &e) != MG_OK) {
        mg_buf_free(&b);
        return NULL;
    }

    mg_buf_char(&b, '\0');
    text = strdup(b.data);
    mg_buf_free(&b);

    return text;
}


static void
same(const char *what, const char * const *texts, unsigned n,
    const char *want)
{
    char  *got;

    got = table(texts, n);
    is_str(got, want, "%s", what);
    free(got);
}


static void
rows(void)
{
    same("rows, nested members, arrays as they are", (const char *[]) {
        "{\"id\":\"a/1\",\"pricing\":{\"input\":1,\"output\":null},"
        "\"tags\":[\"x,}\",{\"y\":\"]\"}]}", "",
        "{\"id\":\"a/2\",\"pricing\":{\"input\":1,\"output\":2.5},"
        "\"tags\":[\"x,}\",{\"y\":\"]\"}]}", "" }, 2,
        "{\"models\":[\"a/1\",\"a/2\"],\"fields\":["
        "{\"field\":\"id\",\"values\":[\"a/1\",\"a/2\"],\"differs\":true},"
        "{\"field\":\"pricing.input\",\"values\":[1,1],\"differs\":false},"
        "{\"field\":\"pricing.output\",\"values\":[null,2.5],"
        "\"differs\":true},"
        "{\"field\":\"tags\",\"values\":[[\"x,}\",{\"y\":\"]\"}],"
        "[\"x,}\",{\"y\":\"]\"}]],\"differs\":false}]}");

    same("what one of them lacks is null", (const char *[]) {
        "{\"a\":1}", ",\"b\":\"\\\"\",\"details\":{\"z\":1}",
        "{\"a\":1,\"c\":true}", ",\"b\":\"\\\"\"",
        "{\"c\":true}", "" }, 3,
        "{\"models\":[\"a/1\",\"a/2\",\"a/3\"],\"fields\":["
        "{\"field\":\"a\",\"values\":[1,1,null],\"differs\":true},"
        "{\"field\":\"b\",\"values\":[\"\\\"\",\"\\\"\",null],"
        "\"differs\":true},"
        "{\"field\":\"c\",\"values\":[null,true,true],\"differs\":true}]}");

    same("null and absent are the same", (const char *[]) {
        "{\"a\": null , \"b\" : { } }", "", "{}", "" }, 2,
        "{\"models\":[\"a/1\",\"a/2\"],\"fields\":["
        "{\"field\":\"a\",\"values\":[null,null],\"differs\":false}]}");
}


/* Each prefix of a text lies at the very end of a block of memory. */

static void
cut(void)
{
    char                *copy;
    size_t               len, n;
    mg_buf_t             b;
    unsigned             refused;
    mg_error_t           e;
    mg_compare_model_t   model;

    static const char  text[] = "{\"id\":\"a\\\"\\\\\",\"x\":{\"y\":[1,{\"z\":"
                                "\"}\"}]},\"t\":true,\"n\":-1.5e3}";

    n = sizeof(text) - 1;
    refused = 0;

    for (len = 0; len <= n; len++) {
        copy = malloc(len ? len : 1);
        memcpy(copy, text, len);

        model.id = mg_str("a/1");
        model.item = mg_str_n(copy, len);
        model.more = mg_str_null;

        mg_buf_init(&b, 0);

        if (mg_compare_write(&b, &model, 1, NULL, &e) != MG_OK) {
            refused++;
        }

        mg_buf_free(&b);
        free(copy);
    }

    ok(refused > n / 2, "%u of %u cut texts are refused, none is read beyond",
       refused, (unsigned) n);
}


static void
odd(void)
{
    char      *got, deep[400];
    unsigned   i;

    static const char  *bad[] = {
        "", "x", "[]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1}}",
        "{\"a\":[}", "{\"a\":\"\\}", "{\"a\" 1}", "{\"a\":{\"b\"}}"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        got = table((const char *[]) { bad[i], "", "{}", "" }, 2);
        ok(got == NULL, "refused: %s", bad[i]);
        free(got);
    }

    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"a\":", 5);
    deep[sizeof(deep) - 1] = '\0';

    got = table((const char *[]) { deep, "", "{}", "" }, 2);
    ok(got == NULL, "no end of brackets");
    free(got);
}


/* As many fields as there is room for, and then some. */

static void
many(void)
{
    char         *got, *p;
    mg_buf_t      b;
    unsigned      i, n;
    const char   *texts[2 * MG_COMPARE_MAX];

    mg_buf_init(&b, 0);
    mg_buf_char(&b, '{');

    for (i = 0; i < 2 * MG_COMPARE_FIELDS; i++) {
        mg_buf_printf(&b, "%s\"f%u\":%u", i ? "," : "", i, i);
    }

    mg_buf_add(&b, "}", 2);

    for (i = 0; i < MG_COMPARE_MAX; i++) {
        texts[2 * i] = b.data;
        texts[2 * i + 1] = "";
    }

    got = table(texts, MG_COMPARE_MAX);

    for (n = 0, p = got; p && (p = strstr(p, "\"field\":")) != NULL; p++) {
        n++;
    }

    is_int(n, MG_COMPARE_FIELDS, "rows are bounded");
    ok(got && strstr(got, "\"differs\":true") == NULL, "and all are equal");

    free(got);
    mg_buf_free(&b);
}


int
main(void)
{
    rows();
    cut();
    odd();
    many();

    return done_testing();
}
