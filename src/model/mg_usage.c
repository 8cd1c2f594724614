/*
 * mg_usage.c: follows an answer as it passes and keeps its last figures.
 *
 * Two tables say where a usage object, an error or the end may stand in a
 * document: one for plain answers and Ollama's lines, which have few such
 * places, one for server-sent events.
 *
 *     bytes -> mg_sse (if SSE) -> mg_grab -> mg_usage_object.c
 *
 * A stream is whole if its protocol's last event was seen, or, where some
 * servers leave that out or have none, the reason why the model stopped:
 *
 *     OpenAI chat, completions    [DONE] or choices[].finish_reason
 *     OpenAI responses            response.completed, .incomplete, .failed
 *     Anthropic, Cohere           message_stop, message-end
 *     Google                      candidates[].finishReason, or the
 *                                 blockReason of a prompt
 *     Ollama                      "done": true
 *
 * Each of these counts when its event or line has ended: what was cut within
 * its last event is cut, and its client is owed the rest of it.
 */

#include "model/mg_usage.h"

#include <strings.h>

#include "base/mg_error.h"


/* What a path leads to. */
enum {
    MG_PATH_USAGE = 0,
    MG_PATH_ERROR,
    MG_PATH_TYPE,
    MG_PATH_DONE,
    MG_PATH_REASON,
    MG_PATH_EVAL_INPUT,
    MG_PATH_EVAL_OUTPUT
};


typedef struct {
    mg_str_t           name;
    unsigned           done:1;
    unsigned           error:1;
} mg_usage_event_t;


static int mg_usage_ended(const mg_usage_reader_t *r);
static void mg_usage_on_data(void *ctx, const char *data, size_t len);
static void mg_usage_on_event(void *ctx, mg_str_t name);
static void mg_usage_on_value(void *ctx, uint32_t id, mg_str_t json);
static void mg_usage_type(mg_usage_reader_t *r, mg_str_t name);
static void mg_usage_over(mg_usage_reader_t *r);
static int mg_usage_is_error(mg_str_t json);
static void mg_usage_lines(mg_usage_reader_t *r, const char *data, size_t len);


static const mg_grab_path_t  mg_usage_plain[] = {
    { mg_str("usage"), mg_str_null, MG_PATH_USAGE },
    { mg_str("usageMetadata"), mg_str_null, MG_PATH_USAGE },
    { mg_str("meta"), mg_str("billed_units"), MG_PATH_USAGE },  /* Cohere */
    { mg_str("error"), mg_str_null, MG_PATH_ERROR },
    { mg_str("done"), mg_str_null, MG_PATH_DONE },  /* Ollama */
    { mg_str("prompt_eval_count"), mg_str_null, MG_PATH_EVAL_INPUT },
    { mg_str("eval_count"), mg_str_null, MG_PATH_EVAL_OUTPUT },
    { mg_str_null, mg_str_null, 0 }
};


static const mg_grab_path_t  mg_usage_stream[] = {
    { mg_str("usage"), mg_str_null, MG_PATH_USAGE },
    { mg_str("usageMetadata"), mg_str_null, MG_PATH_USAGE },
    { mg_str("message"), mg_str("usage"), MG_PATH_USAGE },  /* Anthropic */
    { mg_str("response"), mg_str("usage"), MG_PATH_USAGE },  /* Responses */
    { mg_str("delta"), mg_str("usage"), MG_PATH_USAGE },  /* Cohere */
    { mg_str("x_groq"), mg_str("usage"), MG_PATH_USAGE },
    { mg_str("error"), mg_str_null, MG_PATH_ERROR },
    { mg_str("response"), mg_str("error"), MG_PATH_ERROR },
    { mg_str("delta"), mg_str("error"), MG_PATH_ERROR },
    { mg_str("x_groq"), mg_str("error"), MG_PATH_ERROR },
    { mg_str("type"), mg_str_null, MG_PATH_TYPE },
    { mg_str("choices"), mg_str("finish_reason"), MG_PATH_REASON },
    { mg_str("candidates"), mg_str("finishReason"), MG_PATH_REASON },
    { mg_str("promptFeedback"), mg_str("blockReason"), MG_PATH_REASON },
    { mg_str_null, mg_str_null, 0 }
};


static const mg_sse_handler_t  mg_usage_sse = {
    mg_usage_on_data,
    mg_usage_on_event
};


static const struct {
    mg_str_t           type;            /* lower case */
    mg_usage_format_e  format;
} mg_usage_types[] = {
    { { "application/json", 16 }, MG_USAGE_JSON },
    { { "text/event-stream", 17 }, MG_USAGE_SSE },
    { { "application/x-ndjson", 20 }, MG_USAGE_NDJSON },
    { { "application/ndjson", 18 }, MG_USAGE_NDJSON },
    { { "application/jsonl", 17 }, MG_USAGE_NDJSON }
};


/* Names of events, or values of "type", that tell how a stream ended. */

static const mg_usage_event_t  mg_usage_events[] = {
    { { "message_stop", 12 }, 1, 0 },
    { { "message-end", 11 }, 1, 0 },
    { { "response.completed", 18 }, 1, 0 },
    { { "response.incomplete", 19 }, 1, 0 },
    { { "response.failed", 15 }, 1, 1 },
    { { "image_generation.completed", 26 }, 1, 0 },
    { { "image_edit.completed", 20 }, 1, 0 },
    { { "speech.audio.done", 17 }, 1, 0 },
    { { "transcript.text.done", 20 }, 1, 0 },
    { { "error", 5 }, 0, 1 }
};


int
mg_usage_format(mg_str_t type, mg_usage_format_e *format)
{
    size_t       i;
    const char  *end;

    end = type.len ? memchr(type.data, ';', type.len) : NULL;

    if (end) {
        type.len = (size_t) (end - type.data);
    }

    while (type.len && type.data[type.len - 1] == ' ') {
        type.len--;
    }

    for (i = 0; i < sizeof(mg_usage_types) / sizeof(mg_usage_types[0]); i++) {
        if (mg_str_eq(type, mg_usage_types[i].type)
            || (type.len == mg_usage_types[i].type.len
                && strncasecmp(type.data, mg_usage_types[i].type.data,
                               type.len)
                   == 0))
        {
            *format = mg_usage_types[i].format;
            return MG_OK;
        }
    }

    return MG_DECLINED;
}


int
mg_usage_encoded(mg_str_t encoding)
{
    return encoding.len != 0
           && !(encoding.len == 8
                && strncasecmp(encoding.data, "identity", 8) == 0);
}


void
mg_usage_init(mg_usage_reader_t *r, mg_usage_format_e format)
{
    mg_usage_clear(&r->usage);

    r->seen = 0;
    r->done = 0;
    r->error = 0;
    r->event_data = 0;
    r->says_done = 0;
    r->says_why = 0;
    r->cut = 0;
    r->finished = 0;
    r->events = 0;
    r->format = format;
    r->tail_len = 0;

    mg_grab_init(&r->grab, format == MG_USAGE_SSE ? mg_usage_stream
                                                  : mg_usage_plain,
                 mg_usage_on_value, r);

    /* choices and candidates are some; a Google stream without SSE is one */

    r->grab.arrays = 1;

    if (format == MG_USAGE_SSE) {
        mg_sse_init(&r->sse, &mg_usage_sse, r);
    }
}


void
mg_usage_feed(mg_usage_reader_t *r, const char *data, size_t len)
{
    switch (r->format) {

    case MG_USAGE_SSE:
        mg_sse_feed(&r->sse, data, len);
        break;

    case MG_USAGE_NDJSON:
        mg_usage_lines(r, data, len);
        break;

    default: /* MG_USAGE_JSON */
        mg_grab_feed(&r->grab, data, len);
    }
}


void
mg_usage_finish(mg_usage_reader_t *r)
{
    r->cut = !mg_grab_ended(&r->grab);

    if (r->format == MG_USAGE_SSE) {
        mg_sse_finish(&r->sse);

    } else {
        r->events += r->event_data;
        r->event_data = 0;
        mg_usage_over(r);
    }

    if (r->grab.missed & 1 << MG_PATH_ERROR) {
        r->error = 1;
    }
}


int
mg_usage_truncated(const mg_usage_reader_t *r)
{
    return !mg_usage_ended(r) && !r->error;
}


static int
mg_usage_ended(const mg_usage_reader_t *r)
{
    return r->format == MG_USAGE_JSON || r->done || r->finished;
}


mg_usage_source_e
mg_usage_source(const mg_usage_reader_t *r, int whole)
{
    if (!r->seen) {
        return MG_USAGE_NONE;
    }

    /* figures that were too long to read may have been later ones */

    if (!whole || !mg_usage_ended(r)
        || (r->grab.missed & 1 << MG_PATH_USAGE))
    {
        return MG_USAGE_PARTIAL;
    }

    return MG_USAGE_PROVIDER;
}


int
mg_usage_missed(const mg_usage_reader_t *r)
{
    return (r->grab.missed & 1 << MG_PATH_USAGE)
           || (r->format == MG_USAGE_JSON && !r->seen
               && !mg_grab_ended(&r->grab));
}


/* -- the stream -- */

static void
mg_usage_on_data(void *ctx, const char *data, size_t len)
{
    size_t              n;
    mg_usage_reader_t  *r;

    r = ctx;
    r->event_data = 1;

    n = sizeof(r->tail) - r->tail_len;
    n = len < n ? len : n;

    memcpy(r->tail + r->tail_len, data, n);
    r->tail_len += n;

    mg_grab_feed(&r->grab, data, len);
}


static void
mg_usage_on_event(void *ctx, mg_str_t name)
{
    mg_usage_reader_t  *r;

    r = ctx;

    if (r->event_data) {
        r->events++;
    }

    if (r->tail_len == 6 && memcmp(r->tail, "[DONE]", 6) == 0) {
        r->done = 1;
    }

    mg_usage_type(r, name);
    mg_usage_over(r);

    r->event_data = 0;
    r->tail_len = 0;

    mg_grab_reset(&r->grab);
}


/* NDJSON: a document a line. */

static void
mg_usage_lines(mg_usage_reader_t *r, const char *data, size_t len)
{
    const char  *nl;

    for ( ;; ) {
        nl = memchr(data, '\n', len);

        if (nl == NULL) {
            r->event_data |= (len != 0);
            mg_grab_feed(&r->grab, data, len);
            return;
        }

        r->event_data |= (nl != data);

        mg_grab_feed(&r->grab, data, nl - data);
        mg_grab_reset(&r->grab);
        mg_usage_over(r);

        r->events += r->event_data;
        r->event_data = 0;

        len -= nl + 1 - data;
        data = nl + 1;
    }
}


static void
mg_usage_on_value(void *ctx, uint32_t id, mg_str_t json)
{
    mg_usage_reader_t  *r;

    r = ctx;

    switch (id) {

    case MG_PATH_USAGE:
        if (json.len && json.data[0] == '{'
            && mg_usage_object(&r->usage, json) == MG_OK)
        {
            r->seen = 1;
        }

        break;

    case MG_PATH_ERROR:
        r->error |= mg_usage_is_error(json);

        break;

    case MG_PATH_TYPE:
        if (json.len > 2 && json.data[0] == '"') {
            mg_usage_type(r, mg_str_n(json.data + 1, json.len - 2));
        }

        break;

    case MG_PATH_DONE:
        r->says_done |= mg_str_eq(json, mg_str("true"));

        break;

    case MG_PATH_REASON:
        r->says_why |= (json.len > 2 && json.data[0] == '"');

        break;

    case MG_PATH_EVAL_INPUT:
    case MG_PATH_EVAL_OUTPUT:
        if (mg_usage_figure(&r->usage, json, id == MG_PATH_EVAL_OUTPUT)
            == MG_OK)
        {
            r->seen = 1;
        }

        break;
    }
}


static void
mg_usage_type(mg_usage_reader_t *r, mg_str_t name)
{
    unsigned                 i;
    const mg_usage_event_t  *event;

    for (i = 0;
         i < sizeof(mg_usage_events) / sizeof(mg_usage_events[0]);
         i++)
    {
        event = &mg_usage_events[i];

        if (mg_str_eq(name, event->name)) {
            r->says_done |= event->done;
            r->error |= event->error;
            return;
        }
    }
}


/* The event or line has ended; one that was cut has said nothing. */

static void
mg_usage_over(mg_usage_reader_t *r)
{
    if (!r->cut) {
        r->done |= r->says_done;
        r->finished |= r->says_why;
    }

    r->says_done = 0;
    r->says_why = 0;
}


/* There are servers that send "error" with every answer. */

static int
mg_usage_is_error(mg_str_t json)
{
    unsigned  i;

    static const mg_str_t  none[] = {
        mg_str("null"), mg_str("false"), mg_str("{}"), mg_str("\"\"")
    };

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (mg_str_eq(json, none[i])) {
            return 0;
        }
    }

    return 1;
}
