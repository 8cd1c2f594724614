/*
 * What would break: a provider is asked for another path than its operator
 * wrote, a template leaks what it should replace, a model's name escapes its
 * segment of the path, or a row is stored that breaks the lines of the file.
 */

#include "model/mg_path.h"
#include "tap.h"


static mg_arena_t  *arena;


static void
found(const char *lines, const char *path, const char *template,
    const char *left)
{
    mg_str_t  got, rest;

    got = mg_path_find(mg_str_z(lines), mg_str_z(path), &rest);

    is_mem(got.data, got.len, template, template ? strlen(template) : 0,
           "template of %s", path);
    is_mem(rest.data, rest.len, left, strlen(left), "its rest");
}


static void
find(void)
{
    static const char  lines[] = "/v1/\t/a/{rest}\n"
                                 "/v1/chat\t/b\n"
                                 "/v1/chat/completions\t/c\n"
                                 "damaged line\n"
                                 "/x\t/d";

    found(lines, "/v1/embeddings", "/a/{rest}", "embeddings");
    found(lines, "/v1/", "/a/{rest}", "");
    found(lines, "/v1", NULL, "/v1");
    found(lines, "/v1/chat", "/b", "");
    found(lines, "/v1/chat/x", "/b", "/x");
    found(lines, "/v1/chatter", "/a/{rest}", "chatter");
    found(lines, "/v1/chat/completions", "/c", "");
    found(lines, "/x", "/d", "");
    found(lines, "/y", NULL, "/y");
    found("", "/v1/x", NULL, "/v1/x");
    found("/\t/all/{rest}\n", "/v2/x", "/all/{rest}", "v2/x");
}


static void
expanded(const char *template, const char *model, const char *rest,
    const char *want)
{
    char    out[512];
    size_t  len, size;

    size = mg_path_size(mg_str_z(template), mg_str_z(model), mg_str_z(rest));
    len = mg_path_expand(mg_str_z(template), mg_str_z(model), mg_str_z(rest),
                         out);

    is_mem(out, len, want, strlen(want), "%s", template);
    ok(len <= size, "in the room that was foretold");
}


static void
expand(void)
{
    expanded("/openai/deployments/{model}/{rest}?api-version=1", "gpt-4o",
             "chat/completions",
             "/openai/deployments/gpt-4o/chat/completions?api-version=1");
    expanded("/v1beta/models/{model}:generateContent", "gemini-2", "",
             "/v1beta/models/gemini-2:generateContent");
    expanded("/m/{model}/x", "org/Large:2?a#b ../", "",
             "/m/org%2FLarge%3A2%3Fa%23b%20..%2F/x");
    expanded("{rest}", "m", "a b?c#d/e%/\xc3\xa9:@", "a%20b%3Fc%23d/e%25/"
             "%C3%A9:@");
    expanded("/{model}{model}{rest}", "{rest}", "{model}",
             "/%7Brest%7D%7Brest%7D%7Bmodel%7D");
    expanded("/plain", "m", "r", "/plain");
}


static void
checked(int want, const char *prefix, const char *template)
{
    mg_error_t  e;

    e.message[0] = '\0';

    is_int(mg_path_check(mg_str_z(prefix), mg_str_z(template), &e), want,
           "%.*s -> %s", (int) strcspn(prefix, "\n"), prefix, template);

    if (want != MG_OK) {
        like(e.message, "\"", "and why not");
    }
}


static void
check(void)
{
    char  longest[600];

    checked(MG_OK, "/v1/", "/a/{model}/{rest}?x={model}");
    checked(MG_OK, "/", "/");
    checked(MG_ERROR, "", "/a");
    checked(MG_ERROR, "v1", "/a");
    checked(MG_ERROR, "/v1?x", "/a");
    checked(MG_ERROR, "/v1\n", "/a");
    checked(MG_ERROR, "/v 1", "/a");
    checked(MG_ERROR, "/v1", "");
    checked(MG_ERROR, "/v1", "a");
    checked(MG_ERROR, "/v1", "/a\tb");
    checked(MG_ERROR, "/v1", "/a#b");
    checked(MG_ERROR, "/v1", "/a/{mode}");
    checked(MG_ERROR, "/v1", "/a/}");
    checked(MG_ERROR, "/v1", "/a/{model");
    checked(MG_ERROR, "/v1", "/\xc3\xa9");

    memset(longest, '/', sizeof(longest));
    longest[MG_PATH_PREFIX_MAX + 1] = '\0';
    checked(MG_ERROR, longest, "/a");
    memset(longest, '/', sizeof(longest));
    longest[MG_PATH_TEMPLATE_MAX + 1] = '\0';
    checked(MG_ERROR, "/v1", longest);

    is_int(mg_path_check(mg_str_null, mg_str_null, NULL), MG_ERROR,
           "nothing at all");
    ok(!mg_path_plain(mg_str_null) && !mg_path_plain(mg_str("/a?b"))
       && mg_path_plain(mg_str("/health")), "plain paths");
}


static void
lines(void)
{
    mg_str_t  got;

    got = mg_path_lines(arena, mg_str("{\"/v1/\": \"/a/{rest}\", \"bad\": "
                                      "\"/b\", \"/n\": 1, \"/v2\": \"/c\"}"));
    is_mem(got.data, got.len, "/v1/\t/a/{rest}\n/v2\t/c\n", 22,
           "what may be stored");
    ok(mg_path_lines(arena, mg_str("{\"bad\": \"/b\"}")).data == NULL,
       "nothing of it");
    ok(mg_path_lines(arena, mg_str("[1]")).data == NULL, "no object");
    ok(mg_path_lines(arena, mg_str("{")).data == NULL, "no JSON");
    ok(mg_path_lines(arena, mg_str_null).data == NULL, "nothing");
}


int
main(void)
{
    arena = mg_arena_create(0);

    find();
    expand();
    check();
    lines();

    mg_arena_destroy(arena);

    return done_testing();
}
