/*
 * mg_usage.c: token counts in one normal form, read from a response.
 *
 * Two tables hold what providers differ in: mg_usage_paths says where a
 * usage object, an error or the end of a stream may stand in a document,
 * mg_usage_names what the members of a usage object are called.  The
 * figures of one object are gathered raw and then brought into disjoint
 * classes:
 *
 *     prompt    includes the cached part (OpenAI and most), unless the
 *               cached part alone is larger (Azure's xAI models)
 *     input     excludes it (Anthropic) if cache figures stand beside it
 *     total     a part that is neither prompt nor completion is thinking
 *               that was not named: it was output
 *     thoughts  Google's, outside candidates: output is the sum
 *
 * A figure that nobody stated stays MG_TOKENS_UNKNOWN.
 */

#include "model/mg_usage.h"

#include "base/mg_error.h"
#include "base/mg_skip.h"


#define MG_USAGE_FIGURE_MAX    1000000000000000    /* of tokens: rubbish */
#define MG_USAGE_DEPTH_MAX     16


/* What a figure means, before classes are made of it. */
typedef enum {
    MG_RAW_PROMPT = 0,       /* input, cached part included */
    MG_RAW_INPUT,            /* input; includes it or not */
    MG_RAW_OUTPUT,
    MG_RAW_TOTAL,
    MG_RAW_CACHED,           /* part of the prompt */
    MG_RAW_CACHE_READ,       /* beside the input */
    MG_RAW_CACHE_WRITE,      /* beside the input */
    MG_RAW_CACHE_WRITE_5M,   /* parts of the last */
    MG_RAW_CACHE_WRITE_1H,
    MG_RAW_CACHE_WROTE,      /* part of the prompt */
    MG_RAW_REASONING,        /* part of the output */
    MG_RAW_THOUGHTS,         /* beside the output */
    MG_RAW_TOOL_INPUT,       /* beside the prompt */
    MG_RAW_AUDIO_IN,
    MG_RAW_AUDIO_OUT,
    MG_RAW_BILLED_INPUT,
    MG_RAW_BILLED_OUTPUT,
    MG_RAW_N
} mg_usage_raw_e;


typedef struct {
    mg_str_t           parent;        /* "": the usage object itself */
    mg_str_t           name;
    mg_usage_raw_e     raw;
} mg_usage_name_t;


/* What a path leads to. */
enum {
    MG_PATH_USAGE = 0,
    MG_PATH_ERROR,
    MG_PATH_TYPE,
    MG_PATH_DONE,
    MG_PATH_EVAL_INPUT,
    MG_PATH_EVAL_OUTPUT
};


typedef struct {
    const char        *p;
    const char        *end;
    unsigned           depth;
    mg_str_t           parent;
    int64_t            raw[MG_RAW_N];
} mg_usage_parser_t;


static void mg_usage_on_data(void *ctx, const char *data, size_t len);
static void mg_usage_on_event(void *ctx, mg_str_t name);
static void mg_usage_on_value(void *ctx, uint32_t id, mg_str_t json);
static void mg_usage_type(mg_usage_reader_t *r, mg_str_t name);
static void mg_usage_lines(mg_usage_reader_t *r, const char *data, size_t len);

static int mg_usage_members(mg_usage_parser_t *ps);
static int mg_usage_member(mg_usage_parser_t *ps, mg_str_t name);
static int mg_usage_string(mg_usage_parser_t *ps, mg_str_t *s);
static int mg_usage_skip(mg_usage_parser_t *ps);
static int mg_usage_number(mg_str_t text, int64_t *n);
static void mg_usage_space(mg_usage_parser_t *ps);
static void mg_usage_store(mg_usage_parser_t *ps, mg_str_t name, int64_t n);
static void mg_usage_input(mg_usage_t *u, int64_t *raw);
static void mg_usage_output(mg_usage_t *u, const int64_t *raw);
static int64_t mg_usage_sum(int64_t a, int64_t b);


static const mg_grab_path_t  mg_usage_paths[] = {
    { "usage",             NULL,     MG_PATH_USAGE },
    { "usageMetadata",     NULL,     MG_PATH_USAGE },
    { "message",           "usage",  MG_PATH_USAGE },    /* Anthropic */
    { "response",          "usage",  MG_PATH_USAGE },    /* Responses */
    { "delta",             "usage",  MG_PATH_USAGE },    /* Cohere */
    { "x_groq",            "usage",  MG_PATH_USAGE },
    { "error",             NULL,     MG_PATH_ERROR },
    { "response",          "error",  MG_PATH_ERROR },
    { "type",              NULL,     MG_PATH_TYPE },
    { "done",              NULL,     MG_PATH_DONE },     /* Ollama */
    { "prompt_eval_count", NULL,     MG_PATH_EVAL_INPUT },
    { "eval_count",        NULL,     MG_PATH_EVAL_OUTPUT },
    { NULL,                NULL,     0 }
};


#define MG_NAME(parent, name, raw)                                            \
    { { parent, sizeof(parent) - 1 }, { name, sizeof(name) - 1 }, raw }

static const mg_usage_name_t  mg_usage_names[] = {

    /* OpenAI chat and completions, and those who speak like it */

    MG_NAME("", "prompt_tokens", MG_RAW_PROMPT),
    MG_NAME("", "completion_tokens", MG_RAW_OUTPUT),
    MG_NAME("", "total_tokens", MG_RAW_TOTAL),
    MG_NAME("", "reasoning_tokens", MG_RAW_REASONING),
    MG_NAME("prompt_tokens_details", "cached_tokens", MG_RAW_CACHED),
    MG_NAME("prompt_tokens_details", "cache_write_tokens",
            MG_RAW_CACHE_WROTE),
    MG_NAME("prompt_tokens_details", "audio_tokens", MG_RAW_AUDIO_IN),
    MG_NAME("completion_tokens_details", "reasoning_tokens",
            MG_RAW_REASONING),
    MG_NAME("completion_tokens_details", "audio_tokens", MG_RAW_AUDIO_OUT),

    /* OpenAI responses; Anthropic messages shares two of the names */

    MG_NAME("", "input_tokens", MG_RAW_INPUT),
    MG_NAME("", "output_tokens", MG_RAW_OUTPUT),
    MG_NAME("input_tokens_details", "cached_tokens", MG_RAW_CACHED),
    MG_NAME("input_tokens_details", "cache_write_tokens",
            MG_RAW_CACHE_WROTE),
    MG_NAME("input_tokens_details", "audio_tokens", MG_RAW_AUDIO_IN),
    MG_NAME("output_tokens_details", "reasoning_tokens", MG_RAW_REASONING),
    MG_NAME("output_tokens_details", "thinking_tokens", MG_RAW_REASONING),
    MG_NAME("output_tokens_details", "audio_tokens", MG_RAW_AUDIO_OUT),

    MG_NAME("", "cache_read_input_tokens", MG_RAW_CACHE_READ),
    MG_NAME("", "cache_creation_input_tokens", MG_RAW_CACHE_WRITE),
    MG_NAME("cache_creation", "ephemeral_5m_input_tokens",
            MG_RAW_CACHE_WRITE_5M),
    MG_NAME("cache_creation", "ephemeral_1h_input_tokens",
            MG_RAW_CACHE_WRITE_1H),

    /* DeepSeek, Mistral */

    MG_NAME("", "prompt_cache_hit_tokens", MG_RAW_CACHED),
    MG_NAME("", "num_cached_tokens", MG_RAW_CACHED),

    /* Google */

    MG_NAME("", "promptTokenCount", MG_RAW_PROMPT),
    MG_NAME("", "candidatesTokenCount", MG_RAW_OUTPUT),
    MG_NAME("", "thoughtsTokenCount", MG_RAW_THOUGHTS),
    MG_NAME("", "toolUsePromptTokenCount", MG_RAW_TOOL_INPUT),
    MG_NAME("", "cachedContentTokenCount", MG_RAW_CACHED),
    MG_NAME("", "totalTokenCount", MG_RAW_TOTAL),

    /* Cohere: what is billed, not what was read */

    MG_NAME("billed_units", "input_tokens", MG_RAW_BILLED_INPUT),
    MG_NAME("billed_units", "output_tokens", MG_RAW_BILLED_OUTPUT)
};


static const mg_sse_handler_t  mg_usage_sse = {
    mg_usage_on_data,
    mg_usage_on_event
};


/* Names of events, or values of "type", after which nothing comes. */

static const mg_str_t  mg_usage_ends[] = {
    { "message_stop", 12 },
    { "message-end", 11 },
    { "response.completed", 18 },
    { "response.incomplete", 19 },
    { "response.failed", 15 }
};


void
mg_usage_clear(mg_usage_t *u)
{
    u->input = MG_TOKENS_UNKNOWN;
    u->input_uncached = MG_TOKENS_UNKNOWN;
    u->cache_read = MG_TOKENS_UNKNOWN;
    u->cache_write = MG_TOKENS_UNKNOWN;
    u->output = MG_TOKENS_UNKNOWN;
    u->reasoning = MG_TOKENS_UNKNOWN;
    u->audio_in = MG_TOKENS_UNKNOWN;
    u->audio_out = MG_TOKENS_UNKNOWN;
}


void
mg_usage_init(mg_usage_reader_t *r, mg_usage_format_e format)
{
    mg_usage_clear(&r->usage);

    r->seen = 0;
    r->done = 0;
    r->error = 0;
    r->event_data = 0;
    r->events = 0;
    r->format = format;
    r->tail_len = 0;

    mg_sse_init(&r->sse, &mg_usage_sse, r);
    mg_grab_init(&r->grab, mg_usage_paths, mg_usage_on_value, r);
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
    if (r->format == MG_USAGE_SSE) {
        mg_sse_finish(&r->sse);
    }
}


int
mg_usage_object(mg_usage_t *u, mg_str_t json)
{
    unsigned           i;
    mg_usage_parser_t  ps;

    ps.p = json.data;
    ps.end = json.data + json.len;
    ps.depth = 0;
    ps.parent = mg_str("");

    for (i = 0; i < MG_RAW_N; i++) {
        ps.raw[i] = MG_TOKENS_UNKNOWN;
    }

    if (mg_usage_members(&ps) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < MG_RAW_N; i++) {
        if (ps.raw[i] != MG_TOKENS_UNKNOWN) {
            break;
        }
    }

    if (i == MG_RAW_N) {
        return MG_DECLINED;
    }

    mg_usage_input(u, ps.raw);
    mg_usage_output(u, ps.raw);

    return MG_OK;
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
            mg_grab_feed(&r->grab, data, len);
            return;
        }

        mg_grab_feed(&r->grab, data, nl - data);
        mg_grab_reset(&r->grab);

        r->events++;
        len -= nl + 1 - data;
        data = nl + 1;
    }
}


static void
mg_usage_on_value(void *ctx, uint32_t id, mg_str_t json)
{
    int64_t             n;
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
        if (!mg_str_eq(json, mg_str("null"))) {
            r->error = 1;
        }

        break;

    case MG_PATH_TYPE:
        if (json.len > 2 && json.data[0] == '"') {
            mg_usage_type(r, mg_str_n(json.data + 1, json.len - 2));
        }

        break;

    case MG_PATH_DONE:
        if (mg_str_eq(json, mg_str("true"))) {
            r->done = 1;
        }

        break;

    case MG_PATH_EVAL_INPUT:
        if (mg_usage_number(json, &n) == MG_OK) {
            r->usage.input = n;
            r->usage.input_uncached = n;
            r->seen = 1;
        }

        break;

    case MG_PATH_EVAL_OUTPUT:
        if (mg_usage_number(json, &n) == MG_OK) {
            r->usage.output = n;
            r->seen = 1;
        }

        break;
    }
}


static void
mg_usage_type(mg_usage_reader_t *r, mg_str_t name)
{
    unsigned  i;

    for (i = 0; i < sizeof(mg_usage_ends) / sizeof(mg_usage_ends[0]); i++) {
        if (mg_str_eq(name, mg_usage_ends[i])) {
            r->done = 1;
            return;
        }
    }
}


/* -- one usage object -- */

/* The members of the object that begins at p. */

static int
mg_usage_members(mg_usage_parser_t *ps)
{
    mg_str_t  name;

    mg_usage_space(ps);

    if (ps->p == ps->end || *ps->p != '{' || ++ps->depth > MG_USAGE_DEPTH_MAX)
    {
        return MG_ERROR;
    }

    for (ps->p++; /* void */ ; ps->p++) {
        mg_usage_space(ps);

        if (ps->p == ps->end) {
            return MG_ERROR;
        }

        if (*ps->p == '}') {
            break;
        }

        if (mg_usage_string(ps, &name) != MG_OK) {
            return MG_ERROR;
        }

        mg_usage_space(ps);

        if (ps->p == ps->end || *ps->p++ != ':'
            || mg_usage_member(ps, name) != MG_OK)
        {
            return MG_ERROR;
        }

        mg_usage_space(ps);

        if (ps->p == ps->end || (*ps->p != ',' && *ps->p != '}')) {
            return MG_ERROR;
        }

        if (*ps->p == '}') {
            break;
        }
    }

    ps->p++;
    ps->depth--;

    return MG_OK;
}


static int
mg_usage_member(mg_usage_parser_t *ps, mg_str_t name)
{
    int          rc;
    int64_t      n;
    mg_str_t     s;
    const char  *start;

    mg_usage_space(ps);

    if (ps->p == ps->end) {
        return MG_ERROR;
    }

    switch (*ps->p) {

    case '{':
        if (ps->depth > 1) {
            return mg_usage_skip(ps);
        }

        ps->parent = name;
        rc = mg_usage_members(ps);
        ps->parent = mg_str("");

        return rc;

    case '[':
        return mg_usage_skip(ps);

    case '"':
        return mg_usage_string(ps, &s);
    }

    start = ps->p;

    while (ps->p < ps->end && *ps->p != ',' && *ps->p != '}'
           && (uint8_t) *ps->p > ' ')
    {
        ps->p++;
    }

    if (mg_usage_number(mg_str_n(start, ps->p - start), &n) == MG_OK) {
        mg_usage_store(ps, name, n);
    }

    return MG_OK;
}


/* s: what stands between the quotes, escapes as they are. */

static int
mg_usage_string(mg_usage_parser_t *ps, mg_str_t *s)
{
    if (ps->p == ps->end || *ps->p != '"') {
        return MG_ERROR;
    }

    s->data = ++ps->p;

    for ( ;; ) {
        ps->p = mg_skip_string(ps->p, ps->end, 0);

        if (ps->end - ps->p < 2) {
            break;
        }

        if (*ps->p == '"') {
            break;
        }

        ps->p += 2;
    }

    if (ps->p == ps->end || *ps->p != '"') {
        ps->p = ps->end;
        return MG_ERROR;
    }

    s->len = ps->p++ - s->data;

    return MG_OK;
}


/* An array or object that is of no interest. */

static int
mg_usage_skip(mg_usage_parser_t *ps)
{
    mg_str_t  s;
    unsigned  depth;

    depth = 0;

    do {
        if (ps->p == ps->end) {
            return MG_ERROR;
        }

        if (*ps->p == '"') {
            if (mg_usage_string(ps, &s) != MG_OK) {
                return MG_ERROR;
            }

            continue;
        }

        depth += (*ps->p == '{' || *ps->p == '[');
        depth -= (*ps->p == '}' || *ps->p == ']');
        ps->p++;

    } while (depth);

    return MG_OK;
}


/* Whole numbers that are not negative; others state nothing. */

static int
mg_usage_number(mg_str_t text, int64_t *n)
{
    size_t  i;

    if (text.len == 0 || text.len > 16) {
        return MG_ERROR;
    }

    *n = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return MG_ERROR;
        }

        *n = *n * 10 + (text.data[i] - '0');
    }

    return *n <= MG_USAGE_FIGURE_MAX ? MG_OK : MG_ERROR;
}


static void
mg_usage_space(mg_usage_parser_t *ps)
{
    while (ps->p < ps->end
           && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r'
               || *ps->p == '\t'))
    {
        ps->p++;
    }
}


static void
mg_usage_store(mg_usage_parser_t *ps, mg_str_t name, int64_t n)
{
    unsigned                i;
    const mg_usage_name_t  *known;

    for (i = 0; i < sizeof(mg_usage_names) / sizeof(mg_usage_names[0]); i++) {
        known = &mg_usage_names[i];

        if (known->name.len != name.len || !mg_str_eq(known->name, name)
            || !mg_str_eq(known->parent, ps->parent))
        {
            continue;
        }

        /* one figure under two names counts once: the larger is right */

        if (n > ps->raw[known->raw]) {
            ps->raw[known->raw] = n;
        }

        return;
    }
}


/*
 * Lays the input side of one object over *u; what it does not state stays as
 * an earlier event of the stream has left it.
 */

static void
mg_usage_input(mg_usage_t *u, int64_t *raw)
{
    int64_t  prompt, part;

    if (raw[MG_RAW_BILLED_INPUT] != MG_TOKENS_UNKNOWN) {
        u->input = raw[MG_RAW_BILLED_INPUT];
        u->input_uncached = u->input;
        return;
    }

    if (raw[MG_RAW_CACHE_WRITE] == MG_TOKENS_UNKNOWN) {
        raw[MG_RAW_CACHE_WRITE] = mg_usage_sum(raw[MG_RAW_CACHE_WRITE_5M],
                                               raw[MG_RAW_CACHE_WRITE_1H]);
    }

    if (raw[MG_RAW_AUDIO_IN] != MG_TOKENS_UNKNOWN) {
        u->audio_in = raw[MG_RAW_AUDIO_IN];
    }

    prompt = raw[MG_RAW_PROMPT];

    if (prompt == MG_TOKENS_UNKNOWN
        && (raw[MG_RAW_TOTAL] != MG_TOKENS_UNKNOWN
            || raw[MG_RAW_CACHED] != MG_TOKENS_UNKNOWN
            || raw[MG_RAW_CACHE_WROTE] != MG_TOKENS_UNKNOWN))
    {
        prompt = raw[MG_RAW_INPUT];
    }

    if (prompt == MG_TOKENS_UNKNOWN) {

        /* Anthropic: three disjoint figures */

        if (raw[MG_RAW_CACHE_READ] != MG_TOKENS_UNKNOWN) {
            u->cache_read = raw[MG_RAW_CACHE_READ];
        }

        if (raw[MG_RAW_CACHE_WRITE] != MG_TOKENS_UNKNOWN) {
            u->cache_write = raw[MG_RAW_CACHE_WRITE];
        }

        if (raw[MG_RAW_INPUT] != MG_TOKENS_UNKNOWN) {
            u->input_uncached = raw[MG_RAW_INPUT];
        }

        if (u->input_uncached != MG_TOKENS_UNKNOWN) {
            u->input = mg_usage_sum(u->input_uncached,
                                    mg_usage_sum(u->cache_read,
                                                 u->cache_write));
        }

        return;
    }

    /* the cached parts are within the prompt, under one name or another */

    u->cache_read = raw[MG_RAW_CACHED] != MG_TOKENS_UNKNOWN
                    ? raw[MG_RAW_CACHED] : raw[MG_RAW_CACHE_READ];
    u->cache_write = raw[MG_RAW_CACHE_WROTE] != MG_TOKENS_UNKNOWN
                     ? raw[MG_RAW_CACHE_WROTE] : raw[MG_RAW_CACHE_WRITE];

    part = mg_usage_sum(u->cache_read, u->cache_write);
    part = (part == MG_TOKENS_UNKNOWN) ? 0 : part;

    if (part > prompt) {

        /* then this prompt cannot include them */

        u->input_uncached = prompt;
        prompt += part;

    } else {
        u->input_uncached = prompt - part;
    }

    if (raw[MG_RAW_TOOL_INPUT] != MG_TOKENS_UNKNOWN) {
        u->input_uncached += raw[MG_RAW_TOOL_INPUT];
        prompt += raw[MG_RAW_TOOL_INPUT];
    }

    u->input = prompt;
}


static void
mg_usage_output(mg_usage_t *u, const int64_t *raw)
{
    int64_t  output, reasoning, rest;

    if (raw[MG_RAW_AUDIO_OUT] != MG_TOKENS_UNKNOWN) {
        u->audio_out = raw[MG_RAW_AUDIO_OUT];
    }

    if (raw[MG_RAW_BILLED_OUTPUT] != MG_TOKENS_UNKNOWN) {
        u->output = raw[MG_RAW_BILLED_OUTPUT];
        return;
    }

    output = mg_usage_sum(raw[MG_RAW_OUTPUT], raw[MG_RAW_THOUGHTS]);

    if (output == MG_TOKENS_UNKNOWN) {
        return;
    }

    reasoning = mg_usage_sum(raw[MG_RAW_REASONING], raw[MG_RAW_THOUGHTS]);

    if (raw[MG_RAW_TOTAL] != MG_TOKENS_UNKNOWN
        && raw[MG_RAW_PROMPT] != MG_TOKENS_UNKNOWN)
    {
        rest = raw[MG_RAW_TOTAL] - raw[MG_RAW_PROMPT] - output;

        if (raw[MG_RAW_TOOL_INPUT] != MG_TOKENS_UNKNOWN) {
            rest -= raw[MG_RAW_TOOL_INPUT];
        }

        /* cached tokens that stand beside the prompt are in no output */

        if (rest > 0 && rest != raw[MG_RAW_CACHED]) {
            output += rest;
        }
    }

    u->output = output;

    if (reasoning != MG_TOKENS_UNKNOWN) {
        u->reasoning = reasoning;
    }
}


/* Of what is known; unknown if neither is. */

static int64_t
mg_usage_sum(int64_t a, int64_t b)
{
    if (a == MG_TOKENS_UNKNOWN) {
        return b;
    }

    if (b == MG_TOKENS_UNKNOWN) {
        return a;
    }

    return a + b;
}
