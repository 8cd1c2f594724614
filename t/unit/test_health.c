/*
 * What would break: a server that loads is asked for a generation, one that
 * is well never is, its progress is not shown, or a pull that failed counts
 * as done.
 */

#include "provider/mg_health.h"
#include "tap.h"


static mg_arena_t  *arena;


static void
is_health(const char *protocol, int status, const char *body,
    mg_health_e state, int progress, const char *name)
{
    mg_health_t  h;

    mg_arena_reset(arena);
    memset(&h, 0xff, sizeof(h));

    mg_health_find(mg_str_z(protocol))->read(mg_str("m"), status,
                                             mg_str_z(body), arena, &h);
    is_int(h.state, state, "%s", name);
    is_int(h.progress, progress, "%s: progress", name);
}


static void
is_pull(const char *line, int rc, int progress, const char *name)
{
    int  got = 10;

    mg_arena_reset(arena);
    is_int(mg_health_pull(mg_str_z(line), arena, &got), rc, "%s", name);
    is_int(got, progress, "%s: progress", name);
}


static void
health(void)
{
    ok(mg_health_find(mg_str("anthropic")) == NULL, "no health call");
    ok(mg_health_find(mg_str_null) == mg_health_find(mg_str("openai")),
       "an absent protocol is openai");

    is_health("openai", 200, "", MG_HEALTH_WELL, -1, "vLLM");
    is_health("openai", 200, "{\"status\":\"ok\"}", MG_HEALTH_WELL, -1,
              "llama.cpp");
    is_health("openai", 503, "{\"error\":{\"code\":503,\"message\":"
              "\"Loading model\",\"type\":\"unavailable_error\"}}",
              MG_HEALTH_LOADING, -1, "it loads");
    is_health("openai", 503, "{\"status\":\"loading model\","
              "\"progress\":0.425}", MG_HEALTH_LOADING, 42, "and how far");
    is_health("openai", 503, "{\"error\":{\"progress\":73}}",
              MG_HEALTH_LOADING, 73, "in percent");
    is_health("openai", 503, "{\"progress\":-3}", MG_HEALTH_LOADING, -1,
              "below nothing");
    is_health("openai", 503, "{\"progress\":1e300}", MG_HEALTH_LOADING, -1,
              "beyond all");
    is_health("openai", 503, "{\"progress\":\"50\"}", MG_HEALTH_LOADING, -1,
              "not a number");
    is_health("openai", 503, "{\"status\":\"no slot available\"}",
              MG_HEALTH_WELL, -1, "busy is well");
    is_health("openai", 503, "<html>", MG_HEALTH_LOADING, -1, "HTML");
    is_health("openai", 503, "", MG_HEALTH_LOADING, -1, "nothing");
    is_health("openai", 404, "{}", MG_HEALTH_NONE, -1, "no such call");
    is_health("openai", 302, "", MG_HEALTH_NONE, -1, "a redirect");

    is_health("ollama", 200, "{\"models\":[{\"name\":\"m:latest\"}]}",
              MG_HEALTH_WELL, -1, "in memory");
    is_health("ollama", 200, "{\"models\":[{\"model\":\"m\"}]}",
              MG_HEALTH_WELL, -1, "by its other name");
    is_health("ollama", 200, "{\"models\":[{\"name\":\"m:8b\"}]}",
              MG_HEALTH_NONE, -1, "another tag");
    is_health("ollama", 200, "{\"models\":[]}", MG_HEALTH_NONE, -1,
              "not in memory");
    is_health("ollama", 200, "{\"models\":7}", MG_HEALTH_NONE, -1,
              "no list");
    is_health("ollama", 200, "[", MG_HEALTH_NONE, -1, "no JSON");
    is_health("ollama", 503, "", MG_HEALTH_LOADING, -1, "it starts");
}


static void
pull(void)
{
    is_pull("{\"status\":\"pulling manifest\"}", MG_AGAIN, 10, "manifest");
    is_pull("{\"status\":\"pulling 8e\",\"total\":4000000,"
            "\"completed\":2000000}", MG_AGAIN, 50, "half");
    is_pull("{\"status\":\"pulling 8e\",\"total\":4000000,"
            "\"completed\":4000}", MG_AGAIN, 10, "it does not go back");
    is_pull("{\"status\":\"pulling 8e\",\"total\":400,\"completed\":400}",
            MG_AGAIN, 10, "a small piece");
    is_pull("{\"status\":\"x\",\"total\":4000000,\"completed\":9000000}",
            MG_AGAIN, 10, "more than all");
    is_pull("{\"status\":\"success\"}", MG_OK, 10, "done");
    is_pull("{\"error\":\"pull model manifest: file does not exist\"}",
            MG_ERROR, 10, "refused");
    is_pull("<html>", MG_ERROR, 10, "HTML");
    is_pull("", MG_ERROR, 10, "an empty line");
}


int
main(void)
{
    arena = mg_arena_create(0);

    health();
    pull();

    mg_arena_destroy(arena);

    return done_testing();
}
