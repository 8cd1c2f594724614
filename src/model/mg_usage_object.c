/*
 * mg_usage_object.c: one usage object, brought into the normal form.
 *
 * A table says what the members are called, by the object that they stand
 * in; Google tells sound from text by lists of {modality, tokenCount}.  The
 * figures are gathered raw and then made disjoint:
 *
 *     prompt    includes the cached part (OpenAI and most), unless that
 *               part alone is larger (Azure's xAI models): then it stands
 *               beside it, and the usage is marked
 *     input     excludes it (Anthropic) if cache figures stand beside it
 *     total     a part that is neither prompt nor completion is thinking
 *               that was not named: it was output
 *     thoughts  Google's, outside candidates: output is the sum, unless the
 *               total says that they are inside
 *     billed    Cohere's: what is paid for, not what was read
 *
 * A figure that nobody stated stays MG_TOKENS_UNKNOWN.
 */

#include "model/mg_usage.h"

#include "base/mg_error.h"
#include "base/mg_skip.h"


#define MG_USAGE_FIGURE_MAX    1000000000000000    /* of tokens: rubbish */

#define mg_known(n)            ((n) != MG_TOKENS_UNKNOWN)


/* What a figure means, before classes are made of it. */
typedef enum {
    MG_RAW_PROMPT = 0,       /* input, cached part included */
    MG_RAW_INPUT,            /* input; includes it or not */
    MG_RAW_OUTPUT,
    MG_RAW_TOTAL,
    MG_RAW_CACHED,           /* part of the prompt */
    MG_RAW_CACHED_AUDIO,     /* part of the last */
    MG_RAW_CACHE_READ,       /* beside the input */
    MG_RAW_CACHE_WRITE,      /* beside the input */
    MG_RAW_CACHE_WRITE_5M,   /* parts of the last */
    MG_RAW_CACHE_WRITE_1H,
    MG_RAW_CACHE_WROTE,      /* part of the prompt */
    MG_RAW_REASONING,        /* part of the output */
    MG_RAW_THOUGHTS,         /* beside the output */
    MG_RAW_TOOL_INPUT,       /* beside the prompt */
    MG_RAW_AUDIO_IN,         /* part of the prompt */
    MG_RAW_AUDIO_OUT,        /* part of the output */
    MG_RAW_BILLED_INPUT,
    MG_RAW_BILLED_OUTPUT,
    MG_RAW_N
} mg_usage_raw_e;


typedef struct {
    mg_str_t                name;
    mg_usage_raw_e          raw;
} mg_usage_name_t;


/* An object of figures within the usage object. */
typedef struct {
    mg_str_t                name;
    const mg_usage_name_t  *names;
    unsigned                n;
} mg_usage_part_t;


typedef struct {
    const char             *end;
    const mg_usage_part_t  *part;    /* whose members; NULL: a list's item */
    int64_t                 count;   /* in a list: the item's tokens */
    unsigned                audio;   /* in a list: the item is of sound */
    int64_t                 raw[MG_RAW_N];
} mg_usage_parser_t;


static void mg_usage_none(int64_t *raw);
static const char *mg_usage_members(mg_usage_parser_t *ps, const char *p);
static const char *mg_usage_member(mg_usage_parser_t *ps, const char *p);
static const char *mg_usage_part(mg_usage_parser_t *ps, mg_str_t name,
    const char *p);
static const char *mg_usage_list(mg_usage_parser_t *ps, mg_str_t name,
    const char *p);
static const char *mg_usage_text(mg_usage_parser_t *ps, mg_str_t name,
    const char *p);
static const char *mg_usage_number(mg_usage_parser_t *ps, mg_str_t name,
    const char *p);
static const char *mg_usage_digits(const char *p, const char *end,
    int64_t *n);
static inline const char *mg_usage_over(const mg_usage_parser_t *ps,
    const char *p, char c);
static void mg_usage_store(mg_usage_parser_t *ps, mg_str_t name, int64_t n);

static void mg_usage_input(mg_usage_t *u, const int64_t *raw);
static void mg_usage_beside(mg_usage_t *u, const int64_t *raw);
static void mg_usage_within(mg_usage_t *u, const int64_t *raw,
    int64_t prompt);
static void mg_usage_writes(mg_usage_t *u, const int64_t *raw);
static void mg_usage_output(mg_usage_t *u, const int64_t *raw);
static int64_t mg_usage_said(mg_usage_t *u, const int64_t *raw);
static int64_t mg_usage_sum(int64_t a, int64_t b);


#define MG_NAME(name, raw)                                                    \
    { { name, sizeof(name) - 1 }, raw }

#define MG_PART(name, names)                                                  \
    { { name, sizeof(name) - 1 }, names, sizeof(names) / sizeof(names[0]) }


static const mg_usage_name_t  mg_usage_top[] = {

    /* OpenAI chat and completions, and those who speak like it */

    MG_NAME("prompt_tokens", MG_RAW_PROMPT),
    MG_NAME("completion_tokens", MG_RAW_OUTPUT),
    MG_NAME("total_tokens", MG_RAW_TOTAL),
    MG_NAME("reasoning_tokens", MG_RAW_REASONING),

    /* OpenAI responses; Anthropic messages shares two of the names */

    MG_NAME("input_tokens", MG_RAW_INPUT),
    MG_NAME("output_tokens", MG_RAW_OUTPUT),
    MG_NAME("cache_read_input_tokens", MG_RAW_CACHE_READ),
    MG_NAME("cache_creation_input_tokens", MG_RAW_CACHE_WRITE),

    /* DeepSeek, Mistral */

    MG_NAME("prompt_cache_hit_tokens", MG_RAW_CACHED),
    MG_NAME("num_cached_tokens", MG_RAW_CACHED),

    /* Google */

    MG_NAME("promptTokenCount", MG_RAW_PROMPT),
    MG_NAME("candidatesTokenCount", MG_RAW_OUTPUT),
    MG_NAME("thoughtsTokenCount", MG_RAW_THOUGHTS),
    MG_NAME("toolUsePromptTokenCount", MG_RAW_TOOL_INPUT),
    MG_NAME("cachedContentTokenCount", MG_RAW_CACHED),
    MG_NAME("totalTokenCount", MG_RAW_TOTAL)
};


static const mg_usage_name_t  mg_usage_of_input[] = {
    MG_NAME("cached_tokens", MG_RAW_CACHED),
    MG_NAME("cache_write_tokens", MG_RAW_CACHE_WROTE),
    MG_NAME("cache_creation_tokens", MG_RAW_CACHE_WROTE),
    MG_NAME("audio_tokens", MG_RAW_AUDIO_IN)
};


static const mg_usage_name_t  mg_usage_of_output[] = {
    MG_NAME("reasoning_tokens", MG_RAW_REASONING),
    MG_NAME("thinking_tokens", MG_RAW_REASONING),
    MG_NAME("audio_tokens", MG_RAW_AUDIO_OUT)
};


static const mg_usage_name_t  mg_usage_of_writes[] = {
    MG_NAME("ephemeral_5m_input_tokens", MG_RAW_CACHE_WRITE_5M),
    MG_NAME("ephemeral_1h_input_tokens", MG_RAW_CACHE_WRITE_1H)
};


static const mg_usage_name_t  mg_usage_of_bill[] = {
    MG_NAME("input_tokens", MG_RAW_BILLED_INPUT),
    MG_NAME("output_tokens", MG_RAW_BILLED_OUTPUT)
};


static const mg_usage_part_t  mg_usage_whole =
    MG_PART("", mg_usage_top);

static const mg_usage_part_t  mg_usage_parts[] = {
    MG_PART("prompt_tokens_details", mg_usage_of_input),
    MG_PART("input_tokens_details", mg_usage_of_input),
    MG_PART("completion_tokens_details", mg_usage_of_output),
    MG_PART("output_tokens_details", mg_usage_of_output),
    MG_PART("cache_creation", mg_usage_of_writes),
    MG_PART("billed_units", mg_usage_of_bill)
};


/* Lists of Google's, and what their items of sound are. */

static const mg_usage_name_t  mg_usage_lists[] = {
    MG_NAME("promptTokensDetails", MG_RAW_AUDIO_IN),
    MG_NAME("cacheTokensDetails", MG_RAW_CACHED_AUDIO),
    MG_NAME("candidatesTokensDetails", MG_RAW_AUDIO_OUT)
};


const mg_str_t  mg_usage_mark_names[MG_USAGE_MARKS] = {
    mg_str("cached_beside_prompt"),
    mg_str("output_from_total"),
    mg_str("reasoning_beside_output"),
    mg_str("audio_partly_cached")
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
    u->cache_write_5m = MG_TOKENS_UNKNOWN;
    u->cache_write_1h = MG_TOKENS_UNKNOWN;
    u->tool_input = MG_TOKENS_UNKNOWN;
    u->marks = 0;
}


int
mg_usage_object(mg_usage_t *u, mg_str_t json)
{
    unsigned           i;
    mg_usage_parser_t  ps;

    ps.end = json.data + json.len;
    ps.part = &mg_usage_whole;

    mg_usage_none(ps.raw);

    if (mg_usage_members(&ps, json.data) == NULL) {
        return MG_ERROR;
    }

    for (i = 0; i < MG_RAW_N; i++) {
        if (mg_known(ps.raw[i])) {
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


int
mg_usage_figure(mg_usage_t *u, mg_str_t json, int output)
{
    int64_t      n, raw[MG_RAW_N];
    const char  *end;

    end = json.data + json.len;

    if (mg_usage_digits(json.data, end, &n) != end || !mg_known(n)) {
        return MG_ERROR;
    }

    mg_usage_none(raw);
    raw[output ? MG_RAW_OUTPUT : MG_RAW_PROMPT] = n;

    mg_usage_input(u, raw);
    mg_usage_output(u, raw);

    return MG_OK;
}


static void
mg_usage_none(int64_t *raw)
{
    unsigned  i;

    for (i = 0; i < MG_RAW_N; i++) {
        raw[i] = MG_TOKENS_UNKNOWN;
    }
}


/* -- the text of the object -- */

/*
 * Each of these reads what begins at p, and returns where it ends; NULL: it is
 * cut short, or something else.
 */

static const char *
mg_usage_members(mg_usage_parser_t *ps, const char *p)
{
    const char  *next;

    p = mg_usage_over(ps, p, '{');

    while (p != NULL) {
        p = mg_skip_space(p, ps->end);

        if (p != ps->end && *p == '}') {
            return p + 1;
        }

        p = mg_usage_member(ps, p);

        if (p == NULL) {
            return NULL;
        }

        next = mg_usage_over(ps, p, ',');

        if (next == NULL) {
            return mg_usage_over(ps, p, '}');
        }

        p = next;
    }

    return NULL;
}


static const char *
mg_usage_member(mg_usage_parser_t *ps, const char *p)
{
    mg_str_t  name;

    name.data = p + 1;
    p = mg_skip_quoted(p, ps->end);

    if (p == NULL) {
        return NULL;
    }

    name.len = (size_t) (p - 1 - name.data);

    p = mg_usage_over(ps, p, ':');

    if (p == NULL) {
        return NULL;
    }

    p = mg_skip_space(p, ps->end);

    if (p == ps->end) {
        return NULL;
    }

    switch (*p) {

    case '{':
        return mg_usage_part(ps, name, p);

    case '[':
        return mg_usage_list(ps, name, p);

    case '"':
        return mg_usage_text(ps, name, p);

    default:
        return mg_usage_number(ps, name, p);
    }
}


/* An object in the usage object; one that nobody knows is stepped over. */

static const char *
mg_usage_part(mg_usage_parser_t *ps, mg_str_t name, const char *p)
{
    unsigned  i;

    if (ps->part != &mg_usage_whole) {
        return mg_skip_value(p, ps->end);
    }

    for (i = 0; i < sizeof(mg_usage_parts) / sizeof(mg_usage_parts[0]); i++) {

        if (mg_str_eq(mg_usage_parts[i].name, name)) {
            ps->part = &mg_usage_parts[i];
            p = mg_usage_members(ps, p);
            ps->part = &mg_usage_whole;

            return p;
        }
    }

    return mg_skip_value(p, ps->end);
}


static const char *
mg_usage_list(mg_usage_parser_t *ps, mg_str_t name, const char *p)
{
    int64_t      audio;
    unsigned     i;
    const char  *last;

    for (i = 0; i < sizeof(mg_usage_lists) / sizeof(mg_usage_lists[0]); i++) {
        if (mg_str_eq(mg_usage_lists[i].name, name)) {
            break;
        }
    }

    if (i == sizeof(mg_usage_lists) / sizeof(mg_usage_lists[0])
        || ps->part != &mg_usage_whole)
    {
        return mg_skip_value(p, ps->end);
    }

    audio = MG_TOKENS_UNKNOWN;

    last = mg_usage_over(ps, p + 1, ']');

    if (last != NULL) {
        return last;
    }

    for (p++; p != NULL; p = mg_usage_over(ps, p, ',')) {
        ps->part = NULL;
        ps->audio = 0;
        ps->count = MG_TOKENS_UNKNOWN;

        p = mg_skip_space(p, ps->end);
        p = (p != ps->end && *p == '{') ? mg_usage_members(ps, p)
                                        : mg_skip_value(p, ps->end);

        ps->part = &mg_usage_whole;

        if (p == NULL) {
            return NULL;
        }

        if (ps->audio) {
            audio = mg_usage_sum(audio, ps->count);
        }

        last = mg_usage_over(ps, p, ']');

        if (last != NULL) {
            ps->raw[mg_usage_lists[i].raw] = audio;
            return last;
        }
    }

    return NULL;
}


static const char *
mg_usage_text(mg_usage_parser_t *ps, mg_str_t name, const char *p)
{
    mg_str_t  text;

    text.data = p + 1;

    p = mg_skip_quoted(p, ps->end);

    if (p != NULL && ps->part == NULL
        && mg_str_eq(name, mg_str("modality")))
    {
        text.len = (size_t) (p - 1 - text.data);
        ps->audio = mg_str_eq(text, mg_str("AUDIO"));
    }

    return p;
}


/* A number, or something else that states nothing. */

static const char *
mg_usage_number(mg_usage_parser_t *ps, mg_str_t name, const char *p)
{
    int64_t      n;
    const char  *last;

    last = mg_usage_digits(p, ps->end, &n);
    p = last;

    while (p != ps->end && *p != ',' && *p != '}' && (uint8_t) *p > ' ') {
        p++;
    }

    if (p == last && mg_known(n)) {
        mg_usage_store(ps, name, n);
    }

    return p;
}


/*
 * Where the digits at p end, and a fraction of nothing but zeros behind them.
 * n: their number, unknown if there are none or it is beyond all reason.
 */

static const char *
mg_usage_digits(const char *p, const char *end, int64_t *n)
{
    uint64_t     sum;
    const char  *start;

    start = p;

    for (sum = 0; p != end && *p >= '0' && *p <= '9'; p++) {
        sum = sum * 10 + (uint64_t) (*p - '0');
    }

    *n = p != start && p - start <= 16 && sum <= MG_USAGE_FIGURE_MAX
         ? (int64_t) sum : MG_TOKENS_UNKNOWN;

    if (end - p > 1 && p[0] == '.' && p[1] == '0') {
        for (p += 2; p != end && *p == '0'; p++) { /* void */ }
    }

    return p;
}


/* Behind c, which is the next byte but for white space; NULL: it is not. */

static inline const char *
mg_usage_over(const mg_usage_parser_t *ps, const char *p, char c)
{
    p = mg_skip_space(p, ps->end);

    return p != ps->end && *p == c ? p + 1 : NULL;
}


static void
mg_usage_store(mg_usage_parser_t *ps, mg_str_t name, int64_t n)
{
    int64_t                *raw;
    const mg_usage_name_t  *known, *end;

    if (ps->part == NULL) {
        if (mg_str_eq(name, mg_str("tokenCount"))) {
            ps->count = n;
        }

        return;
    }

    known = ps->part->names;
    end = known + ps->part->n;

    for ( /* void */ ; known < end; known++) {

        if (known->name.len == name.len
            && memcmp(known->name.data, name.data, name.len) == 0)
        {
            /* one figure under two names counts once: the larger is right */

            raw = &ps->raw[known->raw];
            *raw = n > *raw ? n : *raw;

            return;
        }
    }
}


/* -- classes -- */

/*
 * Lays the input side of one object over *u; what it does not state stays as
 * an earlier event of the stream has left it.
 */

static void
mg_usage_input(mg_usage_t *u, const int64_t *raw)
{
    int64_t  prompt;

    prompt = mg_known(raw[MG_RAW_BILLED_INPUT]) ? raw[MG_RAW_BILLED_INPUT]
                                                : raw[MG_RAW_PROMPT];

    if (!mg_known(prompt)
        && (mg_known(raw[MG_RAW_TOTAL]) || mg_known(raw[MG_RAW_CACHED])
            || mg_known(raw[MG_RAW_CACHE_WROTE])))
    {
        prompt = raw[MG_RAW_INPUT];
    }

    if (mg_known(prompt)) {
        mg_usage_within(u, raw, prompt);

    } else {
        mg_usage_beside(u, raw);
    }
}


/* Anthropic: three disjoint figures. */

static void
mg_usage_beside(mg_usage_t *u, const int64_t *raw)
{
    if (mg_known(raw[MG_RAW_CACHE_READ])) {
        u->cache_read = raw[MG_RAW_CACHE_READ];
    }

    mg_usage_writes(u, raw);

    if (mg_known(raw[MG_RAW_INPUT])) {
        u->input_uncached = raw[MG_RAW_INPUT];
    }

    if (mg_known(raw[MG_RAW_AUDIO_IN])) {
        u->audio_in = raw[MG_RAW_AUDIO_IN];
    }

    if (mg_known(u->input_uncached)) {
        u->input = mg_usage_sum(mg_usage_sum(u->input_uncached, u->audio_in),
                                mg_usage_sum(u->cache_read, u->cache_write));
        u->input = mg_usage_sum(u->input, u->tool_input);
    }
}


/* The cached parts are within the prompt, under one name or another. */

static void
mg_usage_within(mg_usage_t *u, const int64_t *raw, int64_t prompt)
{
    int64_t  part, rest;

    /* a proxy may fill one name and leave 0 in the other */

    u->cache_read = raw[MG_RAW_CACHED] > raw[MG_RAW_CACHE_READ]
                    ? raw[MG_RAW_CACHED] : raw[MG_RAW_CACHE_READ];
    u->cache_write = MG_TOKENS_UNKNOWN;
    u->cache_write_5m = MG_TOKENS_UNKNOWN;
    u->cache_write_1h = MG_TOKENS_UNKNOWN;
    u->marks &= ~(uint64_t) (MG_USAGE_CACHED_BESIDE | MG_USAGE_AUDIO_CACHED);

    mg_usage_writes(u, raw);

    part = mg_usage_sum(u->cache_read, u->cache_write);
    part = mg_known(part) ? part : 0;
    rest = prompt - part;

    if (rest < 0) {

        /* then this prompt cannot include them */

        u->marks |= MG_USAGE_CACHED_BESIDE;
        rest = prompt;
        prompt += part;
    }

    u->audio_in = raw[MG_RAW_AUDIO_IN];

    if (raw[MG_RAW_CACHED_AUDIO] > 0
        && u->audio_in >= raw[MG_RAW_CACHED_AUDIO])
    {
        u->audio_in -= raw[MG_RAW_CACHED_AUDIO];
    }

    if (u->audio_in > rest) {

        /* some of the sound came from the cache, and is counted there */

        u->marks |= MG_USAGE_AUDIO_CACHED;
        u->audio_in = rest;
    }

    u->input_uncached = rest - (mg_known(u->audio_in) ? u->audio_in : 0);
    u->tool_input = raw[MG_RAW_TOOL_INPUT];
    u->input = mg_usage_sum(prompt, u->tool_input);
}


/* What was written to the cache, and for how long if that is stated. */

static void
mg_usage_writes(mg_usage_t *u, const int64_t *raw)
{
    int64_t  all, split;

    all = raw[MG_RAW_CACHE_WROTE] > raw[MG_RAW_CACHE_WRITE]
          ? raw[MG_RAW_CACHE_WROTE] : raw[MG_RAW_CACHE_WRITE];
    split = mg_usage_sum(raw[MG_RAW_CACHE_WRITE_5M],
                         raw[MG_RAW_CACHE_WRITE_1H]);

    if (!mg_known(all) && !mg_known(split)) {
        return;
    }

    if (mg_known(split) || all != u->cache_write) {
        u->cache_write_5m = raw[MG_RAW_CACHE_WRITE_5M];
        u->cache_write_1h = raw[MG_RAW_CACHE_WRITE_1H];
    }

    u->cache_write = split > all ? split : all;
}


static void
mg_usage_output(mg_usage_t *u, const int64_t *raw)
{
    int64_t  output, reasoning;

    output = mg_usage_said(u, raw);

    if (!mg_known(output)) {
        return;
    }

    reasoning = mg_usage_sum(raw[MG_RAW_REASONING], raw[MG_RAW_THOUGHTS]);

    if (reasoning > output) {

        /* then this output cannot include it */

        u->marks |= MG_USAGE_REASONING_BESIDE;
        output += reasoning;
    }

    u->output = output;

    /* parts of an earlier event stay, unless they do not fit any more */

    if (mg_known(reasoning) || u->reasoning > output) {
        u->reasoning = reasoning;
    }

    if (mg_known(raw[MG_RAW_AUDIO_OUT]) || u->audio_out > output) {
        u->audio_out = raw[MG_RAW_AUDIO_OUT] < output
                       ? raw[MG_RAW_AUDIO_OUT] : output;
    }
}


/* All of the output, checked against the total where there is one. */

static int64_t
mg_usage_said(mg_usage_t *u, const int64_t *raw)
{
    int64_t  output, rest, over, cached, reasoning;

    u->marks &= ~(uint64_t) (MG_USAGE_FROM_TOTAL | MG_USAGE_REASONING_BESIDE);

    if (mg_known(raw[MG_RAW_BILLED_OUTPUT])) {
        return raw[MG_RAW_BILLED_OUTPUT];
    }

    output = mg_usage_sum(raw[MG_RAW_OUTPUT], raw[MG_RAW_THOUGHTS]);

    if (!mg_known(raw[MG_RAW_TOTAL]) || !mg_known(raw[MG_RAW_PROMPT])) {
        return output;
    }

    rest = raw[MG_RAW_TOTAL] - raw[MG_RAW_PROMPT];

    if (mg_known(raw[MG_RAW_TOOL_INPUT])) {
        rest -= raw[MG_RAW_TOOL_INPUT];
    }

    if (!mg_known(output)) {
        return rest < 0 ? MG_TOKENS_UNKNOWN : rest;
    }

    if (mg_known(raw[MG_RAW_THOUGHTS]) && rest == raw[MG_RAW_OUTPUT]) {
        return rest;
    }

    /* cached tokens that stand beside the prompt are in no output */

    cached = mg_usage_sum(u->cache_read, u->cache_write);
    reasoning = mg_known(raw[MG_RAW_REASONING]) ? raw[MG_RAW_REASONING] : 0;
    over = rest - output;

    if (mg_known(cached) && over != reasoning
        && (over == cached || over == cached + reasoning
            || (over > cached && (u->marks & MG_USAGE_CACHED_BESIDE))))
    {
        rest -= cached;
    }

    if (rest > output) {
        u->marks |= MG_USAGE_FROM_TOTAL;
        return rest;
    }

    return output;
}


/* Of what is known; unknown if neither is. */

static int64_t
mg_usage_sum(int64_t a, int64_t b)
{
    if (!mg_known(a)) {
        return b;
    }

    return mg_known(b) ? a + b : a;
}
