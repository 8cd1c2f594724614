/*
 * What would break: tokens are counted twice or not at all, a figure that
 * a provider did not state becomes zero, or a stream that was cut is taken
 * for a whole one.  The files are recorded answers of real providers.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_error.h"
#include "model/mg_usage.h"
#include "tap.h"


#define DIR   "t/data/captures/usage/"
#define NO    MG_TOKENS_UNKNOWN


typedef struct {
    const char         *file;
    mg_usage_format_e   format;
    unsigned            seen;
    unsigned            done;
    unsigned            error;
    mg_usage_t          usage;   /* input, uncached, read, write, output,
                                    reasoning, audio in and out */
} golden_t;


static const golden_t  golden[] = {

    { "openai-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 438, 438, NO, NO, 16, NO, NO, NO } },
    { "openai-completion.json", MG_USAGE_JSON, 1, 0, 0,
      { 8, 8, NO, NO, 16, NO, NO, NO } },
    { "openai-embeddings.json", MG_USAGE_JSON, 1, 0, 0,
      { 4, 4, NO, NO, NO, NO, NO, NO } },
    { "openai-responses.json", MG_USAGE_JSON, 1, 0, 0,
      { 24, 24, 0, NO, 8, 0, NO, NO } },
    { "openai-error.json", MG_USAGE_JSON, 0, 0, 1,
      { NO, NO, NO, NO, NO, NO, NO, NO } },
    { "anthropic-messages.json", MG_USAGE_JSON, 1, 0, 0,
      { 14, 14, 0, 0, 5, NO, NO, NO } },

    /* thoughts stand outside candidates */
    { "google-thoughts.json", MG_USAGE_JSON, 1, 0, 0,
      { 8, 8, NO, NO, 29, 21, NO, NO } },

    /* 28 tokens of the total that are named nowhere */
    { "google-openai-face.json", MG_USAGE_JSON, 1, 0, 0,
      { 66, 66, NO, NO, 34, NO, NO, NO } },
    { "vertex-none.json", MG_USAGE_JSON, 0, 0, 0,
      { NO, NO, NO, NO, NO, NO, NO, NO } },

    /* 416 cached of a prompt of 249: the prompt leaves them out */
    { "azure-xai.json", MG_USAGE_JSON, 1, 0, 0,
      { 665, 249, 416, NO, 40, 0, 0, 0 } },

    /* the cached part has two names and counts once */
    { "deepseek-hit.json", MG_USAGE_JSON, 1, 0, 0,
      { 359, 103, 256, NO, 25, NO, NO, NO } },
    { "mistral-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 28, 28, 0, NO, 2, NO, NO, NO } },
    { "mistral-cached.json", MG_USAGE_JSON, 1, 0, 0,
      { 64, 32, 32, NO, 6, NO, NO, NO } },

    /* billed units, not what the model read */
    { "cohere-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 12, 12, NO, NO, 10, NO, NO, NO } },
    { "groq-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 25, 25, NO, NO, 2, NO, NO, NO } },
    { "openrouter-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 14, 14, 0, 0, 4, 0, 0, 0 } },
    { "perplexity-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 9, 9, NO, NO, 12, NO, NO, NO } },
    { "ollama-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 247, 247, NO, NO, 44, NO, NO, NO } },
    { "together-chat.json", MG_USAGE_JSON, 1, 0, 0,
      { 18, 18, NO, NO, 35, NO, NO, NO } },

    { "openai-chat-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 57, 57, 0, NO, 17, 0, NO, NO } },
    { "azure-chat-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 168, 7, 161, NO, 8, 0, 0, 0 } },
    { "openai-completion-stream.sse", MG_USAGE_SSE, 0, 1, 0,
      { NO, NO, NO, NO, NO, NO, NO, NO } },
    { "openai-responses-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 21, 21, 0, NO, 3, 0, NO, NO } },

    /* message_start and a delta that states the output alone */
    { "anthropic-delta-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 17, 17, 0, 0, 20, NO, NO, NO } },
    { "anthropic-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 15, 15, 0, 0, 9, NO, NO, NO } },

    /* Google ends a stream by closing it */
    { "google-stream.sse", MG_USAGE_SSE, 1, 0, 0,
      { 323, 323, NO, NO, 95, 74, NO, NO } },
    { "vertex-stream.sse", MG_USAGE_SSE, 1, 0, 0,
      { 7, 7, NO, NO, 32, 25, NO, NO } },
    { "mistral-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 159, 31, 128, NO, 28, NO, NO, NO } },
    { "deepseek-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 496, 112, 384, NO, 31, NO, NO, NO } },
    { "cohere-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 68, 68, NO, NO, 8, NO, NO, NO } },
    { "openrouter-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 15, 15, 0, 0, 9, 0, 0, 0 } },
    { "huggingface-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      { 40, 40, NO, NO, 2, NO, NO, NO } },
    { "ollama-stream.ndjson", MG_USAGE_NDJSON, 1, 1, 0,
      { 16, 16, NO, NO, 51, NO, NO, NO } }
};


typedef struct {
    const char  *what;
    const char  *json;
    int          rc;
    mg_usage_t   usage;
} object_t;


static const object_t  objects[] = {

    { "Anthropic: input is the sum of three",
      "{\"input_tokens\":10,\"cache_read_input_tokens\":200,"
      "\"cache_creation_input_tokens\":30,\"output_tokens\":5}",
      MG_OK, { 240, 10, 200, 30, 5, NO, NO, NO } },

    { "Anthropic: writes by time alone",
      "{\"input_tokens\":10,\"cache_creation\":{"
      "\"ephemeral_5m_input_tokens\":3,\"ephemeral_1h_input_tokens\":4}}",
      MG_OK, { 17, 10, NO, 7, NO, NO, NO, NO } },

    { "OpenAI: reads and writes within the prompt",
      "{\"prompt_tokens\":100,\"completion_tokens\":9,\"total_tokens\":109,"
      "\"prompt_tokens_details\":{\"cached_tokens\":40,"
      "\"cache_write_tokens\":20}}",
      MG_OK, { 100, 40, 40, 20, 9, NO, NO, NO } },

    { "a proxy that adds Anthropic's names to OpenAI's",
      "{\"prompt_tokens\":100,\"completion_tokens\":9,\"total_tokens\":109,"
      "\"prompt_tokens_details\":{\"cached_tokens\":40},"
      "\"cache_read_input_tokens\":40,\"cache_creation_input_tokens\":0}",
      MG_OK, { 100, 60, 40, 0, 9, NO, NO, NO } },

    { "Google: input of tools stands outside the prompt",
      "{\"promptTokenCount\":50,\"candidatesTokenCount\":6,"
      "\"toolUsePromptTokenCount\":7,\"thoughtsTokenCount\":8,"
      "\"cachedContentTokenCount\":20,\"totalTokenCount\":71}",
      MG_OK, { 57, 37, 20, NO, 14, 8, NO, NO } },

    { "null states nothing",
      "{\"prompt_tokens\":null,\"completion_tokens\":null}",
      MG_DECLINED, { NO, NO, NO, NO, NO, NO, NO, NO } },

    { "nothing known", "{\"cost\":{\"total\":[1,{\"a\":\"}\"}]}}",
      MG_DECLINED, { NO, NO, NO, NO, NO, NO, NO, NO } },

    { "an explicit zero is a figure",
      "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}",
      MG_OK, { 0, 0, NO, NO, 0, NO, NO, NO } },

    { "negative, fractional and huge figures state nothing",
      "{\"prompt_tokens\":-4,\"completion_tokens\":1.5,"
      "\"total_tokens\":99999999999999999999}",
      MG_DECLINED, { NO, NO, NO, NO, NO, NO, NO, NO } },

    { "cut short", "{\"prompt_tokens\":12,\"comp",
      MG_ERROR, { NO, NO, NO, NO, NO, NO, NO, NO } }
};


static char *
slurp(const char *file, size_t *len)
{
    char   path[256], *data;
    FILE  *f;

    snprintf(path, sizeof(path), DIR "%s", file);

    f = fopen(path, "r");

    if (f == NULL) {
        return NULL;
    }

    data = malloc(1 << 20);
    *len = fread(data, 1, 1 << 20, f);
    fclose(f);

    return data;
}


static void
read_in_pieces(mg_usage_reader_t *r, const golden_t *g, const char *data,
    size_t len, size_t piece)
{
    size_t  at, n;

    mg_usage_init(r, g->format);

    for (at = 0; at < len; at += n) {
        n = len - at < piece ? len - at : piece;
        mg_usage_feed(r, data + at, n);
    }

    mg_usage_finish(r);
}


static void
recorded(void)
{
    char               *data;
    size_t              len, piece;
    unsigned            i, same;
    const golden_t     *g;
    mg_usage_reader_t   r;

    for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        g = &golden[i];
        data = slurp(g->file, &len);

        if (!ok(data != NULL, "%s is there", g->file)) {
            continue;
        }

        read_in_pieces(&r, g, data, len, len);

        is_mem(&r.usage, sizeof(mg_usage_t), &g->usage, sizeof(mg_usage_t),
               "%s: figures", g->file);

        if (memcmp(&r.usage, &g->usage, sizeof(mg_usage_t)) != 0) {
            diag("input %d uncached %d read %d write %d output %d reasoning "
                 "%d audio %d %d", (int) r.usage.input,
                 (int) r.usage.input_uncached, (int) r.usage.cache_read,
                 (int) r.usage.cache_write, (int) r.usage.output,
                 (int) r.usage.reasoning, (int) r.usage.audio_in,
                 (int) r.usage.audio_out);
        }

        ok(r.seen == g->seen && r.done == g->done && r.error == g->error,
           "%s: seen %u, done %u, error %u", g->file, r.seen, r.done,
           r.error);

        same = 1;

        for (piece = 1; piece < 40; piece++) {
            read_in_pieces(&r, g, data, len, piece);

            same &= (memcmp(&r.usage, &g->usage, sizeof(mg_usage_t)) == 0
                     && r.done == g->done && r.error == g->error);
        }

        ok(same, "%s: the same in pieces of 1 to 39 bytes", g->file);

        free(data);
    }
}


static void
single(void)
{
    unsigned         i;
    mg_usage_t       u;
    const object_t  *o;

    for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        o = &objects[i];
        mg_usage_clear(&u);

        is_int(mg_usage_object(&u, mg_str_z(o->json)), o->rc, "%s: verdict",
               o->what);
        is_mem(&u, sizeof(mg_usage_t), &o->usage, sizeof(mg_usage_t),
               "%s: figures", o->what);
    }
}


/* The last word wins: Google repeats, Anthropic's deltas are laid over. */

static void
overlays(void)
{
    mg_usage_reader_t  r;

    static const char  google[] =
        "data: {\"usageMetadata\":{\"promptTokenCount\":5,"
        "\"candidatesTokenCount\":1,\"totalTokenCount\":6}}\r\n\r\n"
        "data: {\"usageMetadata\":{\"promptTokenCount\":5,"
        "\"candidatesTokenCount\":9,\"totalTokenCount\":14}}\r\n\r\n";

    static const char  anthropic[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
        "{\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":90,"
        "\"cache_creation_input_tokens\":0,\"output_tokens\":1}}}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\","
        "\"usage\":{\"output_tokens\":33}}\n\n";

    static const char  broken[] =
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],"
        "\"usage\":null}\n\n"
        "data: {\"error\":{\"message\":\"failed\"}}\n\n";

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, google, sizeof(google) - 1);
    mg_usage_finish(&r);
    is_int(r.usage.output, 9, "Google: the last figure, not the sum");
    is_int(r.events, 2, "two events");
    is_int(r.done, 0, "no terminal event");

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, anthropic, sizeof(anthropic) - 1);
    is_int(r.usage.input, 97, "Anthropic: the input of the start stays");
    is_int(r.usage.output, 33, "and the output of the delta wins");
    is_int(r.done, 0, "cut before message_stop");

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, broken, sizeof(broken) - 1);
    is_int(r.seen, 0, "usage null is no usage");
    is_int(r.error, 1, "an error inside the stream is seen");
}


int
main(void)
{
    recorded();
    single();
    overlays();

    return done_testing();
}
