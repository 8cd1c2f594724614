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

/*
 * input, uncached, read, write, output, reasoning, audio in and out; with
 * writes for 5 minutes and 1 hour, input of tools and marks behind them
 */

#define FIGURES(...)   { __VA_ARGS__, NO, NO, NO, 0 }
#define ALL(...)       { __VA_ARGS__ }


typedef struct {
    const char         *file;
    mg_usage_format_e   format;
    unsigned            seen;
    unsigned            done;
    unsigned            error;
    mg_usage_t          usage;
} golden_t;


static const golden_t  golden[] = {

    { "openai-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(438, 438, NO, NO, 16, NO, NO, NO) },
    { "openai-completion.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(8, 8, NO, NO, 16, NO, NO, NO) },
    { "openai-embeddings.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(4, 4, NO, NO, 0, NO, NO, NO) },
    { "azure-responses.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(12, 12, 0, 0, 5, 0, NO, NO) },
    { "deepseek-responses.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(95, 95, 0, NO, 17, 15, NO, NO) },
    { "openai-responses.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(24, 24, 0, NO, 8, 0, NO, NO) },
    { "openai-error.json", MG_USAGE_JSON, 0, 0, 1,
      FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },
    { "anthropic-messages.json", MG_USAGE_JSON, 1, 0, 0,
      ALL(14, 14, 0, 0, 5, NO, NO, NO, 0, 0, NO, 0) },

    /* thoughts stand outside candidates */
    { "google-thoughts.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(8, 8, NO, NO, 29, 21, NO, NO) },

    /* 28 tokens of the total that are named nowhere */
    { "google-openai-face.json", MG_USAGE_JSON, 1, 0, 0,
      ALL(66, 66, NO, NO, 34, NO, NO, NO, NO, NO, NO,
          MG_USAGE_FROM_TOTAL) },

    /* 150 of 159 tokens are of sound */
    { "vertex-audio.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(159, 9, NO, NO, 19, NO, 150, NO) },
    { "vertex-none.json", MG_USAGE_JSON, 0, 0, 0,
      FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    /* 416 cached of a prompt of 249: the prompt leaves them out */
    { "azure-xai.json", MG_USAGE_JSON, 1, 0, 0,
      ALL(665, 249, 416, NO, 40, 0, 0, 0, NO, NO, NO,
          MG_USAGE_CACHED_BESIDE) },

    /* the cached part has two names and counts once */
    { "deepseek-hit.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(359, 103, 256, NO, 25, NO, NO, NO) },
    { "mistral-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(28, 28, 0, NO, 2, NO, NO, NO) },
    { "mistral-cached.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(64, 32, 32, NO, 6, NO, NO, NO) },

    /* billed units, not what the model read */
    { "cohere-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(12, 12, NO, NO, 10, NO, NO, NO) },
    { "groq-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(25, 25, NO, NO, 2, NO, NO, NO) },
    { "openrouter-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(14, 14, 0, 0, 4, 0, 0, 0) },
    { "perplexity-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(9, 9, NO, NO, 12, NO, NO, NO) },
    { "ollama-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(247, 247, NO, NO, 44, NO, NO, NO) },
    { "ollama-native.json", MG_USAGE_JSON, 1, 1, 0,
      FIGURES(NO, NO, NO, NO, 79, NO, NO, NO) },
    { "together-chat.json", MG_USAGE_JSON, 1, 0, 0,
      FIGURES(18, 18, NO, NO, 35, NO, NO, NO) },

    { "openai-chat-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(57, 57, 0, NO, 17, 0, NO, NO) },
    { "azure-chat-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      ALL(168, 7, 161, NO, 8, 0, 0, 0, NO, NO, NO,
          MG_USAGE_CACHED_BESIDE) },
    { "openai-completion-stream.sse", MG_USAGE_SSE, 0, 1, 0,
      FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },
    { "openai-responses-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(21, 21, 0, NO, 3, 0, NO, NO) },

    /* message_start and a delta that states the output alone */
    { "anthropic-delta-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(17, 17, 0, 0, 20, NO, NO, NO) },
    { "anthropic-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      ALL(15, 15, 0, 0, 9, NO, NO, NO, 0, 0, NO, 0) },

    /* "iterations" repeats the figures in parts */
    { "anthropic-thinking-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      ALL(2411, 2411, 0, 0, 145, 47, NO, NO, 0, 0, NO, 0) },

    /* Google ends a stream by closing it */
    { "google-stream.sse", MG_USAGE_SSE, 1, 0, 0,
      FIGURES(323, 323, NO, NO, 95, 74, NO, NO) },
    { "google-tools-stream.sse", MG_USAGE_SSE, 1, 0, 0,
      ALL(4642, 32, NO, NO, 62, 37, NO, NO, NO, NO, 4610, 0) },
    { "vertex-stream.sse", MG_USAGE_SSE, 1, 0, 0,
      FIGURES(7, 7, NO, NO, 32, 25, NO, NO) },
    { "mistral-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(159, 31, 128, NO, 28, NO, NO, NO) },
    { "deepseek-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(496, 112, 384, NO, 31, NO, NO, NO) },
    { "cohere-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(68, 68, NO, NO, 8, NO, NO, NO) },
    { "openrouter-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(15, 15, 0, 0, 9, 0, 0, 0) },
    { "openrouter-tools-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(579, 579, 0, 0, 41, 0, 0, 0) },
    { "huggingface-stream.sse", MG_USAGE_SSE, 1, 1, 0,
      FIGURES(40, 40, NO, NO, 2, NO, NO, NO) },
    { "ollama-stream.ndjson", MG_USAGE_NDJSON, 1, 1, 0,
      FIGURES(16, 16, NO, NO, 51, NO, NO, NO) }
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
      MG_OK, FIGURES(240, 10, 200, 30, 5, NO, NO, NO) },

    { "Anthropic: writes by time alone",
      "{\"input_tokens\":10,\"cache_creation\":{"
      "\"ephemeral_5m_input_tokens\":3,\"ephemeral_1h_input_tokens\":4}}",
      MG_OK, ALL(17, 10, NO, 7, NO, NO, NO, NO, 3, 4, NO, 0) },

    { "OpenAI: reads and writes within the prompt",
      "{\"prompt_tokens\":100,\"completion_tokens\":9,\"total_tokens\":109,"
      "\"prompt_tokens_details\":{\"cached_tokens\":40,"
      "\"cache_write_tokens\":20}}",
      MG_OK, FIGURES(100, 40, 40, 20, 9, NO, NO, NO) },

    { "a proxy that adds Anthropic's names to OpenAI's",
      "{\"prompt_tokens\":100,\"completion_tokens\":9,\"total_tokens\":109,"
      "\"prompt_tokens_details\":{\"cached_tokens\":40},"
      "\"cache_read_input_tokens\":40,\"cache_creation_input_tokens\":0}",
      MG_OK, FIGURES(100, 60, 40, 0, 9, NO, NO, NO) },

    { "Google: input of tools stands outside the prompt",
      "{\"promptTokenCount\":50,\"candidatesTokenCount\":6,"
      "\"toolUsePromptTokenCount\":7,\"thoughtsTokenCount\":8,"
      "\"cachedContentTokenCount\":20,\"totalTokenCount\":71}",
      MG_OK, ALL(57, 30, 20, NO, 14, 8, NO, NO, NO, NO, 7, 0) },

    { "Google: thoughts that are within the candidates",
      "{\"promptTokenCount\":50,\"candidatesTokenCount\":60,"
      "\"thoughtsTokenCount\":40,\"totalTokenCount\":110}",
      MG_OK, FIGURES(50, 50, NO, NO, 60, 40, NO, NO) },

    { "Google: a prompt that was refused has no output",
      "{\"promptTokenCount\":9,\"totalTokenCount\":9}",
      MG_OK, FIGURES(9, 9, NO, NO, 0, NO, NO, NO) },

    { "Google: sound by lists, some of it cached",
      "{\"promptTokenCount\":100,\"candidatesTokenCount\":30,"
      "\"cachedContentTokenCount\":40,\"totalTokenCount\":130,"
      "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":20},"
      "{\"tokenCount\":80,\"modality\":\"AUDIO\"}],"
      "\"cacheTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":30},"
      "{\"modality\":\"TEXT\",\"tokenCount\":10}],"
      "\"candidatesTokensDetails\":[{\"modality\":\"AUDIO\","
      "\"tokenCount\":25}]}",
      MG_OK, FIGURES(100, 10, 40, NO, 30, NO, 50, 25) },

    { "OpenAI: sound within prompt and completion",
      "{\"prompt_tokens\":100,\"completion_tokens\":50,"
      "\"total_tokens\":150,\"prompt_tokens_details\":{"
      "\"audio_tokens\":60,\"cached_tokens\":10},"
      "\"completion_tokens_details\":{\"audio_tokens\":45,"
      "\"reasoning_tokens\":0}}",
      MG_OK, FIGURES(100, 30, 10, NO, 50, 0, 60, 45) },

    { "more sound than was left uncached: the rest was cached",
      "{\"prompt_tokens\":100,\"completion_tokens\":5,"
      "\"prompt_tokens_details\":{\"audio_tokens\":60,"
      "\"cached_tokens\":70}}",
      MG_OK, ALL(100, 0, 70, NO, 5, NO, 30, NO, NO, NO, NO,
                 MG_USAGE_AUDIO_CACHED) },

    { "xAI: reasoning stands outside the completion, the total tells",
      "{\"prompt_tokens\":12,\"completion_tokens\":3,"
      "\"total_tokens\":215,\"completion_tokens_details\":{"
      "\"reasoning_tokens\":200}}",
      MG_OK, ALL(12, 12, NO, NO, 203, 200, NO, NO, NO, NO, NO,
                 MG_USAGE_FROM_TOTAL) },

    { "more reasoning than output, and no total: it stands outside",
      "{\"prompt_tokens\":12,\"completion_tokens\":3,"
      "\"completion_tokens_details\":{\"reasoning_tokens\":200}}",
      MG_OK, ALL(12, 12, NO, NO, 203, 200, NO, NO, NO, NO, NO,
                 MG_USAGE_REASONING_BESIDE) },

    { "a proxy that fills one name of two",
      "{\"total_tokens\":2482,\"prompt_tokens\":2459,"
      "\"completion_tokens\":23,\"prompt_tokens_details\":{"
      "\"audio_tokens\":null,\"cached_tokens\":0},"
      "\"cache_read_input_tokens\":2455,"
      "\"cache_creation_input_tokens\":0}",
      MG_OK, FIGURES(2459, 4, 2455, 0, 23, NO, NO, NO) },

    { "Cohere: cached tokens are none of those that are billed",
      "{\"billed_units\":{\"input_tokens\":68,\"output_tokens\":8},"
      "\"tokens\":{\"input_tokens\":1591,\"output_tokens\":38},"
      "\"cached_tokens\":992}",
      MG_OK, FIGURES(68, 68, NO, NO, 8, NO, NO, NO) },

    { "Perplexity: a cost that is an object",
      "{\"prompt_tokens\":9,\"completion_tokens\":12,"
      "\"total_tokens\":21,\"search_context_size\":\"low\",\"cost\":{"
      "\"total_tokens\":77,\"request_cost\":0.005}}",
      MG_OK, FIGURES(9, 9, NO, NO, 12, NO, NO, NO) },

    { "null states nothing",
      "{\"prompt_tokens\":null,\"completion_tokens\":null}",
      MG_DECLINED, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "nothing known", "{\"cost\":{\"total\":[1,{\"a\":\"}\"}]}}",
      MG_DECLINED, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "an explicit zero is a figure",
      "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}",
      MG_OK, FIGURES(0, 0, NO, NO, 0, NO, NO, NO) },

    { "negative, fractional and huge figures state nothing",
      "{\"prompt_tokens\":-4,\"completion_tokens\":1.5,"
      "\"total_tokens\":99999999999999999999}",
      MG_DECLINED, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "cut short", "{\"prompt_tokens\":12,\"comp",
      MG_ERROR, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "Google: lists of nothing",
      "{\"promptTokenCount\":100,\"candidatesTokenCount\":5,"
      "\"totalTokenCount\":105,\"cacheTokensDetails\":[],"
      "\"promptTokensDetails\":[ ],\"candidatesTokensDetails\":[null]}",
      MG_OK, FIGURES(100, 100, NO, NO, 5, NO, NO, NO) },

    { "cached and written beside the prompt, and in the total",
      "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":115,"
      "\"prompt_tokens_details\":{\"cached_tokens\":60,"
      "\"cache_write_tokens\":40}}",
      MG_OK, ALL(110, 10, 60, 40, 5, NO, NO, NO, NO, NO, NO,
                 MG_USAGE_CACHED_BESIDE) },

    { "read from the cache, beside the prompt, and in the total",
      "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":75,"
      "\"cache_read_input_tokens\":60}",
      MG_OK, ALL(70, 10, 60, NO, 5, NO, NO, NO, NO, NO, NO,
                 MG_USAGE_CACHED_BESIDE) },

    { "cached and reasoning beside, and in the total",
      "{\"prompt_tokens\":8,\"completion_tokens\":5,\"total_tokens\":65,"
      "\"prompt_tokens_details\":{\"cached_tokens\":12},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":40}}",
      MG_OK, ALL(20, 8, 12, NO, 45, 40, NO, NO, NO, NO, NO,
                 MG_USAGE_CACHED_BESIDE|MG_USAGE_FROM_TOTAL) },

    { "whole numbers with a fraction",
      "{\"prompt_tokens\":64.0,\"completion_tokens\":7.00,"
      "\"reasoning_tokens\":1.5}",
      MG_OK, FIGURES(64, 64, NO, NO, 7, NO, NO, NO) }
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


static int
same(const mg_usage_reader_t *a, const mg_usage_reader_t *b)
{
    return memcmp(&a->usage, &b->usage, sizeof(mg_usage_t)) == 0
           && a->seen == b->seen && a->done == b->done
           && a->finished == b->finished && a->error == b->error
           && a->events == b->events;
}


static void
tell(const mg_usage_t *u)
{
    const int64_t  *figure, *end;

    end = (const int64_t *) (u + 1);

    for (figure = &u->input; figure < end; figure++) {
        diag("%lld", (long long) *figure);
    }
}


/* Cut in two at each byte, and into pieces of one byte. */

static void
cut(const golden_t *g, const char *data, size_t len)
{
    size_t             at, bad;
    mg_usage_reader_t  r, whole;

    read_in_pieces(&whole, g, data, len, len);

    for (bad = 0, at = 0; at <= len; at++) {
        mg_usage_init(&r, g->format);
        mg_usage_feed(&r, data, at);
        mg_usage_feed(&r, data + at, len - at);
        mg_usage_finish(&r);

        bad += !same(&r, &whole);
    }

    is_int(bad, 0, "%s: the same cut at each byte", g->file);

    read_in_pieces(&r, g, data, len, 1);
    ok(same(&r, &whole), "%s: the same byte by byte", g->file);
}


/* The classes of the input are all of it; the output's parts are within. */

static int
adds_up(const mg_usage_t *u)
{
    int64_t        sum;
    unsigned       i;
    const int64_t  parts[] = { u->input_uncached, u->cache_read,
                               u->cache_write, u->audio_in, u->tool_input };

    for (i = 0, sum = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        sum += parts[i] > 0 ? parts[i] : 0;
    }

    return (u->input == NO || u->input == sum)
           && u->reasoning <= u->output && u->audio_out <= u->output
           && u->cache_write_5m <= u->cache_write
           && u->cache_write_1h <= u->cache_write;
}


static void
recorded(void)
{
    char               *data;
    size_t              len;
    unsigned            i;
    const golden_t     *g;
    mg_usage_reader_t   r;

    for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        g = &golden[i];
        data = slurp(g->file, &len);

        if (!ok(data != NULL, "%s is there", g->file)) {
            continue;
        }

        read_in_pieces(&r, g, data, len, len);

        if (!is_mem(&r.usage, sizeof(mg_usage_t), &g->usage,
                    sizeof(mg_usage_t), "%s: figures", g->file))
        {
            tell(&r.usage);
        }

        ok(r.seen == g->seen && r.done == g->done && r.error == g->error,
           "%s: seen %u, done %u, error %u", g->file, r.seen, r.done,
           r.error);
        ok(adds_up(&r.usage), "%s: classes add up", g->file);
        is_int(mg_usage_truncated(&r), 0, "%s: whole", g->file);
        is_int(mg_usage_source(&r, 1), g->seen ? MG_USAGE_PROVIDER
                                               : MG_USAGE_NONE,
               "%s: source", g->file);
        is_int(mg_usage_source(&r, 0), g->seen ? MG_USAGE_PARTIAL
                                               : MG_USAGE_NONE,
               "%s: source of a body that was cut", g->file);

        cut(g, data, len);
        free(data);
    }
}


/* A stream that stops before its last event is not whole. */

static void
truncated(void)
{
    char               *data;
    size_t              len, at, bad, whole;
    unsigned            i;
    const golden_t     *g;
    mg_usage_reader_t   r;

    for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        g = &golden[i];

        if (g->format == MG_USAGE_JSON) {
            continue;
        }

        data = slurp(g->file, &len);

        if (!ok(data != NULL, "%s is there", g->file)) {
            continue;
        }

        /* once a stream has ended, no byte that follows undoes it */

        for (whole = 0, bad = 0, at = 0; at <= len; at++) {
            read_in_pieces(&r, g, data, at, len);

            if (!mg_usage_truncated(&r)) {
                whole += (whole == 0) * at;
                continue;
            }

            bad += (whole != 0
                    || mg_usage_source(&r, 1) == MG_USAGE_PROVIDER);
        }

        is_int(bad, 0, "%s: cut anywhere before its end it is not whole",
               g->file);
        ok(whole > 0, "%s: ends at byte %u of %u", g->file,
           (unsigned) whole, (unsigned) len);
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

        if (!is_mem(&u, sizeof(mg_usage_t), &o->usage, sizeof(mg_usage_t),
                    "%s: figures", o->what))
        {
            tell(&u);
        }

        ok(adds_up(&u), "%s: classes add up", o->what);
    }
}


/* The last word wins: Google repeats, Anthropic's deltas are laid over. */

typedef struct {
    const char         *what;
    mg_usage_format_e   format;
    const char         *text;
    uint32_t            events;
    unsigned            truncated;
    unsigned            error;
    mg_usage_source_e   source;
    mg_usage_t          usage;
} stream_t;


static const stream_t  streams[] = {

    { "Google: the last figure, not the sum", MG_USAGE_SSE,
      "data: {\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"candidatesTokenCount\":1,\"totalTokenCount\":6}}\r\n\r\n"
      "data: {\"candidates\":[{\"content\":{},\"finishReason\":\"STOP\"}],"
      "\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"candidatesTokenCount\":9,\"totalTokenCount\":14}}\r\n\r\n",
      2, 0, 0, MG_USAGE_PROVIDER, FIGURES(5, 5, NO, NO, 9, NO, NO, NO) },

    { "Google: cut before the reason to stop", MG_USAGE_SSE,
      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
      "\"\\\"finishReason\\\":\\\"STOP\\\"\"}]}}],"
      "\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"candidatesTokenCount\":1,\"totalTokenCount\":6}}\r\n\r\n",
      1, 1, 0, MG_USAGE_PARTIAL, FIGURES(5, 5, NO, NO, 1, NO, NO, NO) },

    { "Google: a prompt that was blocked", MG_USAGE_SSE,
      "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},"
      "\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"totalTokenCount\":5}}\n\n",
      1, 0, 0, MG_USAGE_PROVIDER, FIGURES(5, 5, NO, NO, 0, NO, NO, NO) },

    { "Google without SSE: an array of answers", MG_USAGE_JSON,
      "[{\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"candidatesTokenCount\":1,\"totalTokenCount\":6}}\n,\r\n"
      "{\"usageMetadata\":{\"promptTokenCount\":5,"
      "\"candidatesTokenCount\":9,\"totalTokenCount\":14}}\n]",
      0, 0, 0, MG_USAGE_PROVIDER, FIGURES(5, 5, NO, NO, 9, NO, NO, NO) },

    { "Anthropic: the start's input stays, the delta's output wins",
      MG_USAGE_SSE,
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
      "{\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":90,"
      "\"cache_creation_input_tokens\":12,\"cache_creation\":{"
      "\"ephemeral_5m_input_tokens\":2,\"ephemeral_1h_input_tokens\":10},"
      "\"output_tokens\":1}}}\n\n"
      "event: message_delta\ndata: {\"type\":\"message_delta\","
      "\"usage\":{\"cache_creation_input_tokens\":12,"
      "\"output_tokens\":33}}\n\n",
      2, 1, 0, MG_USAGE_PARTIAL,
      ALL(109, 7, 90, 12, 33, NO, NO, NO, 2, 10, NO, 0) },

    { "Anthropic: overloaded in the middle", MG_USAGE_SSE,
      "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
      "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
      1, 0, 1, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "Anthropic: figures of the start, then an error", MG_USAGE_SSE,
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
      "{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n"
      "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
      "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
      2, 0, 1, MG_USAGE_PARTIAL, FIGURES(7, 7, NO, NO, 1, NO, NO, NO) },

    { "responses: failed, with the last word on usage", MG_USAGE_SSE,
      "data: {\"type\":\"response.failed\",\"response\":{\"error\":{"
      "\"code\":\"server_error\"},\"usage\":{\"input_tokens\":8,"
      "\"output_tokens\":3,\"total_tokens\":11}}}\n\n",
      1, 0, 1, MG_USAGE_PROVIDER, FIGURES(8, 8, NO, NO, 3, NO, NO, NO) },

    { "responses: an error event without an error object", MG_USAGE_SSE,
      "event: error\ndata: {\"type\":\"error\",\"code\":\"ERR\","
      "\"message\":\"no\",\"param\":null,\"sequence_number\":1}\n\n",
      1, 0, 1, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "responses: cut short by its limit, and complete", MG_USAGE_SSE,
      "data: {\"type\":\"response.incomplete\",\"response\":{\"error\":null,"
      "\"usage\":{\"input_tokens\":8,\"input_tokens_details\":{"
      "\"cached_tokens\":3},\"output_tokens\":16,"
      "\"output_tokens_details\":{\"reasoning_tokens\":16},"
      "\"total_tokens\":24}}}\n\n",
      1, 0, 0, MG_USAGE_PROVIDER, FIGURES(8, 5, 3, NO, 16, 16, NO, NO) },

    { "usage null is no usage; Groq's error inside a 200", MG_USAGE_SSE,
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},"
      "\"finish_reason\":null}],\"usage\":null}\n\n"
      "data: {\"error\":{\"message\":\"failed\"}}\n\n",
      2, 0, 1, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "no [DONE], no last blank line, comments, CRLF", MG_USAGE_SSE,
      ": OPENROUTER PROCESSING\r\n\r\n"
      "data: {\"choices\":[],\"prompt_filter_results\":[]}\r\n\r\n"
      ": ping\r\n"
      "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"length\"}],"
      "\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2,"
      "\"total_tokens\":6}}",
      2, 0, 0, MG_USAGE_PROVIDER, FIGURES(4, 4, NO, NO, 2, NO, NO, NO) },

    { "a chat that stops in the middle of an event", MG_USAGE_SSE,
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},"
      "\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"del",
      2, 1, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "the last usage wins, whatever stands beside it", MG_USAGE_SSE,
      "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":"
      "{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10,"
      "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
      "\"completion_tokens\":2,\"total_tokens\":11}}\n\n"
      "data: {\"choices\":[],\"usage\":null}\n\n"
      "data: [DONE]\n\n",
      4, 0, 0, MG_USAGE_PROVIDER, FIGURES(9, 9, NO, NO, 2, NO, NO, NO) },

    { "Groq: usage in x_groq", MG_USAGE_SSE,
      "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{"
      "\"id\":\"r\",\"usage\":{\"queue_time\":0.01,\"prompt_tokens\":5,"
      "\"completion_tokens\":6,\"total_tokens\":11}}}\n\n",
      1, 0, 0, MG_USAGE_PROVIDER, FIGURES(5, 5, NO, NO, 6, NO, NO, NO) },

    { "Cohere: units of an embedding", MG_USAGE_JSON,
      "{\"embeddings\":{\"float\":[[0.1,-2e-3],[1]]},\"meta\":{"
      "\"api_version\":{\"version\":\"2\"},\"billed_units\":{"
      "\"input_tokens\":8}}}",
      0, 0, 0, MG_USAGE_PROVIDER, FIGURES(8, 8, NO, NO, NO, NO, NO, NO) },

    { "Ollama: lines, the last one without an end", MG_USAGE_NDJSON,
      "{\"message\":{\"content\":\"a\"},\"done\":false}\n\n"
      "{\"message\":{\"content\":\"\"},\"done\":true,"
      "\"done_reason\":\"stop\",\"prompt_eval_count\":26,"
      "\"eval_count\":290}",
      2, 0, 0, MG_USAGE_PROVIDER, FIGURES(26, 26, NO, NO, 290, NO, NO, NO) },

    { "Ollama: an error between the lines", MG_USAGE_NDJSON,
      "{\"message\":{\"content\":\"a\"},\"done\":false}\n"
      "{\"error\":\"unexpected EOF\"}\n",
      2, 0, 1, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "Ollama: cut", MG_USAGE_NDJSON,
      "{\"message\":{\"content\":\"a\"},\"done\":false}\n",
      1, 1, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "Responses: cut within the last event", MG_USAGE_SSE,
      "data: {\"type\":\"response.created\"}\n\n"
      "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",",
      2, 1, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "chat: cut within the event that has the reason", MG_USAGE_SSE,
      "data: {\"choices\":[{\"finish_reason\":\"stop\",\"delta\":{\"con",
      1, 1, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "Ollama: cut within the last line", MG_USAGE_NDJSON,
      "{\"done\":true,\"prompt_ev",
      1, 1, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) },

    { "a picture", MG_USAGE_SSE,
      "event: image_generation.completed\ndata: {\"type\":"
      "\"image_generation.completed\",\"usage\":{\"total_tokens\":100,"
      "\"input_tokens\":50,\"output_tokens\":50}}\n\n",
      1, 0, 0, MG_USAGE_PROVIDER, FIGURES(50, 50, NO, NO, 50, NO, NO, NO) },

    { "no error, though it is named", MG_USAGE_JSON,
      "{\"error\":{},\"usage\":{\"prompt_tokens\":1,"
      "\"completion_tokens\":2}}",
      0, 0, 0, MG_USAGE_PROVIDER, FIGURES(1, 1, NO, NO, 2, NO, NO, NO) },

    { "not JSON at all", MG_USAGE_JSON, "<html>usage</html>",
      0, 0, 0, MG_USAGE_NONE, FIGURES(NO, NO, NO, NO, NO, NO, NO, NO) }
};


static void
written(void)
{
    unsigned            i;
    golden_t            g;
    const stream_t     *s;
    mg_usage_reader_t   r;

    for (i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        s = &streams[i];
        g.file = s->what;
        g.format = s->format;

        read_in_pieces(&r, &g, s->text, strlen(s->text), strlen(s->text));

        if (!is_mem(&r.usage, sizeof(mg_usage_t), &s->usage,
                    sizeof(mg_usage_t), "%s: figures", s->what))
        {
            tell(&r.usage);
        }

        is_int(r.events, s->events, "%s: events", s->what);
        is_int(r.error, s->error, "%s: error", s->what);
        is_int(mg_usage_truncated(&r), s->truncated, "%s: truncated",
               s->what);
        is_int(mg_usage_source(&r, 1), s->source, "%s: source", s->what);
        ok(adds_up(&r.usage), "%s: classes add up", s->what);

        cut(&g, s->text, strlen(s->text));
    }
}


/* Figures that do not fit make those that did fit doubtful. */

static void
too_long(void)
{
    char               *pad;
    mg_usage_reader_t   r;

    static const char  start[] =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{"
        "\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
    static const char  delta[] =
        "data: {\"type\":\"message_delta\",\"usage\":{\"iterations\":[\"";
    static const char  stop[] =
        "\"],\"output_tokens\":99}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    static const char  error[] = "{\"error\":{\"message\":\"";

    pad = malloc(MG_GRAB_VALUE_MAX);
    memset(pad, 'x', MG_GRAB_VALUE_MAX);

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, start, sizeof(start) - 1);
    mg_usage_feed(&r, delta, sizeof(delta) - 1);
    mg_usage_feed(&r, pad, 1000);
    mg_usage_feed(&r, stop, sizeof(stop) - 1);
    mg_usage_finish(&r);
    is_int(r.usage.output, 99, "a long usage object is read");
    is_int(mg_usage_source(&r, 1), MG_USAGE_PROVIDER, "and trusted");

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, start, sizeof(start) - 1);
    mg_usage_feed(&r, delta, sizeof(delta) - 1);
    mg_usage_feed(&r, pad, MG_GRAB_VALUE_MAX);
    mg_usage_feed(&r, stop, sizeof(stop) - 1);
    mg_usage_finish(&r);
    is_int(r.usage.output, 1, "a longer one is not");
    is_int(mg_usage_source(&r, 1), MG_USAGE_PARTIAL, "nor is what came before");
    is_int(mg_usage_truncated(&r), 0, "but the stream is whole");
    is_int(mg_usage_missed(&r), 1, "and figures of it were missed");

    /* who is told of the end is owed the rest of its event */

    mg_usage_init(&r, MG_USAGE_SSE);
    mg_usage_feed(&r, start, sizeof(start) - 1);
    mg_usage_feed(&r, stop + 23, sizeof(stop) - 1 - 23 - 1);
    is_int(r.done, 0, "an event counts when it has ended");
    mg_usage_feed(&r, "\n", 1);
    is_int(r.done, 1, "and not before");
    is_int(mg_usage_missed(&r), 0, "nothing was missed");

    mg_usage_init(&r, MG_USAGE_JSON);
    mg_usage_feed(&r, error, sizeof(error) - 1);
    mg_usage_feed(&r, pad, MG_GRAB_VALUE_MAX);
    mg_usage_feed(&r, "\"}}", 3);
    mg_usage_finish(&r);
    is_int(r.error, 1, "a long error is one");

    free(pad);
}


int
main(void)
{
    recorded();
    truncated();
    single();
    written();
    too_long();

    return done_testing();
}
