/*
 * mg_scan.c: the scanner of the proxy path.
 *
 * A push parser: mg_scan_states[] has one function for each state; it takes
 * what it can of the piece, sets the next state and returns where it
 * stopped, or NULL after mg_scan_fail().  Whatever must survive the cut
 * between two pieces lies in mg_scan_t.  Of strings only three kinds
 * are kept (top-level keys and those of "metadata", the value of model, and
 * those that name a client or its session); all others are just checked.
 *
 * Called in the event loop for each piece of a body; writes only into the
 * caller's mg_scan_t.
 */

#include "base/mg_scan_state.h"


typedef const char *(*mg_scan_pt)(mg_scan_t *s, const char *p,
    const char *end);


static const char *mg_scan_start(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_key_or_end(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_key(mg_scan_t *s, const char *p, const char *end);
static const char *mg_scan_colon(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_value(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_value_or_end(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_next(mg_scan_t *s, const char *p, const char *end);
static const char *mg_scan_end(mg_scan_t *s, const char *p, const char *end);
static const char *mg_scan_literal(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_number(mg_scan_t *s, const char *p,
    const char *end);
static const char *mg_scan_open(mg_scan_t *s, const char *p, int object);
static const char *mg_scan_close(mg_scan_t *s, const char *p, int object);
static const char *mg_scan_member(mg_scan_t *s, const char *p);
static void mg_scan_options(mg_scan_t *s, const char *p);
static int mg_scan_error(mg_scan_t *s, mg_error_t *e);


static const mg_scan_pt  mg_scan_states[] = {
    [MG_SCAN_START] = mg_scan_start,
    [MG_SCAN_KEY_OR_END] = mg_scan_key_or_end,
    [MG_SCAN_KEY] = mg_scan_key,
    [MG_SCAN_COLON] = mg_scan_colon,
    [MG_SCAN_VALUE] = mg_scan_value,
    [MG_SCAN_VALUE_OR_END] = mg_scan_value_or_end,
    [MG_SCAN_NEXT] = mg_scan_next,
    [MG_SCAN_END] = mg_scan_end,
    [MG_SCAN_STRING] = mg_scan_string,
    [MG_SCAN_ESCAPE] = mg_scan_escape,
    [MG_SCAN_HEX] = mg_scan_hex,
    [MG_SCAN_UTF8] = mg_scan_utf8,
    [MG_SCAN_LITERAL] = mg_scan_literal,
    [MG_SCAN_MINUS] = mg_scan_number,
    [MG_SCAN_ZERO] = mg_scan_number,
    [MG_SCAN_INT] = mg_scan_number,
    [MG_SCAN_POINT] = mg_scan_number,
    [MG_SCAN_FRACTION] = mg_scan_number,
    [MG_SCAN_E] = mg_scan_number,
    [MG_SCAN_E_SIGN] = mg_scan_number,
    [MG_SCAN_EXPONENT] = mg_scan_number
};


/* What may begin a value. */

enum {
    MG_SCAN_V_NONE = 0,
    MG_SCAN_V_STRING,
    MG_SCAN_V_OBJECT,
    MG_SCAN_V_ARRAY,
    MG_SCAN_V_TRUE,
    MG_SCAN_V_FALSE,
    MG_SCAN_V_NULL,
    MG_SCAN_V_MINUS,
    MG_SCAN_V_ZERO,
    MG_SCAN_V_DIGIT
};

static const uint8_t  mg_scan_values[256] = {
    ['"'] = MG_SCAN_V_STRING,
    ['{'] = MG_SCAN_V_OBJECT,
    ['['] = MG_SCAN_V_ARRAY,
    ['t'] = MG_SCAN_V_TRUE,
    ['f'] = MG_SCAN_V_FALSE,
    ['n'] = MG_SCAN_V_NULL,
    ['-'] = MG_SCAN_V_MINUS,
    ['0'] = MG_SCAN_V_ZERO,
    ['1' ... '9'] = MG_SCAN_V_DIGIT
};


/*
 * Numbers: the next state by state and class of the byte.  0 is an error,
 * except where the number may end: there it ends.
 */

enum {
    MG_SCAN_N_OTHER = 0,
    MG_SCAN_N_ZERO,
    MG_SCAN_N_DIGIT,
    MG_SCAN_N_POINT,
    MG_SCAN_N_E,
    MG_SCAN_N_PLUS,
    MG_SCAN_N_MINUS,
    MG_SCAN_N_CLASSES
};

static const uint8_t  mg_scan_digits[256] = {
    ['0'] = MG_SCAN_N_ZERO,
    ['1' ... '9'] = MG_SCAN_N_DIGIT,
    ['.'] = MG_SCAN_N_POINT,
    ['e'] = MG_SCAN_N_E,
    ['E'] = MG_SCAN_N_E,
    ['+'] = MG_SCAN_N_PLUS,
    ['-'] = MG_SCAN_N_MINUS
};

static const uint8_t
    mg_scan_numbers[MG_SCAN_EXPONENT + 1][MG_SCAN_N_CLASSES] =
{
    [MG_SCAN_MINUS] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_ZERO,
        [MG_SCAN_N_DIGIT] = MG_SCAN_INT
    },
    [MG_SCAN_ZERO] = {
        [MG_SCAN_N_POINT] = MG_SCAN_POINT,
        [MG_SCAN_N_E] = MG_SCAN_E
    },
    [MG_SCAN_INT] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_INT,
        [MG_SCAN_N_DIGIT] = MG_SCAN_INT,
        [MG_SCAN_N_POINT] = MG_SCAN_POINT,
        [MG_SCAN_N_E] = MG_SCAN_E
    },
    [MG_SCAN_POINT] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_FRACTION,
        [MG_SCAN_N_DIGIT] = MG_SCAN_FRACTION
    },
    [MG_SCAN_FRACTION] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_FRACTION,
        [MG_SCAN_N_DIGIT] = MG_SCAN_FRACTION,
        [MG_SCAN_N_E] = MG_SCAN_E
    },
    [MG_SCAN_E] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_EXPONENT,
        [MG_SCAN_N_DIGIT] = MG_SCAN_EXPONENT,
        [MG_SCAN_N_PLUS] = MG_SCAN_E_SIGN,
        [MG_SCAN_N_MINUS] = MG_SCAN_E_SIGN
    },
    [MG_SCAN_E_SIGN] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_EXPONENT,
        [MG_SCAN_N_DIGIT] = MG_SCAN_EXPONENT
    },
    [MG_SCAN_EXPONENT] = {
        [MG_SCAN_N_ZERO] = MG_SCAN_EXPONENT,
        [MG_SCAN_N_DIGIT] = MG_SCAN_EXPONENT
    }
};


void
mg_scan_init(mg_scan_t *s)
{
    memset(s, 0, offsetof(mg_scan_t, model));
    s->named = 1;
    s->user = "";
}


int
mg_scan_feed(mg_scan_t *s, const char *data, size_t len, mg_error_t *e)
{
    const char  *p, *end;

    if (s->failed) {
        return mg_scan_error(s, e);
    }

    if (len == 0) {
        return MG_OK;
    }

    s->piece = data;
    p = data;
    end = data + len;

    while (p != end) {
        p = mg_scan_states[s->state](s, p, end);

        if (p == NULL) {
            s->piece = NULL;
            return mg_scan_error(s, e);
        }
    }

    s->piece = NULL;
    s->offset += len;

    return MG_OK;
}


int
mg_scan_finish(mg_scan_t *s, mg_error_t *e)
{
    uint32_t  i;

    if (s->failed) {
        return mg_scan_error(s, e);
    }

    if (s->state != MG_SCAN_END) {
        mg_scan_fail(s, NULL, NULL,
                     "it ends before the object is complete; send all of it");
        return mg_scan_error(s, e);
    }

    for (i = 0; i < MG_SCAN_BY_N; i++) {
        if (s->user_lens[i] != 0) {
            s->user = s->users[i];
            s->user_len = s->user_lens[i];
            break;
        }
    }

    return s->has_model ? MG_OK : MG_DECLINED;
}


static inline const char *
mg_scan_space(const char *p, const char *end)
{
    while (p != end
           && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    {
        p++;
    }

    return p;
}


static const char *
mg_scan_start(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != '{') {
        return mg_scan_fail(s, p, NULL, "the body must be one JSON object, "
                            "which begins with {");
    }

    return mg_scan_open(s, p, 1);
}


static const char *
mg_scan_key_or_end(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p != end && *p == '}') {
        return mg_scan_close(s, p, 1);
    }

    return mg_scan_key(s, p, end);
}


static const char *
mg_scan_key(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != '"') {
        return mg_scan_fail(s, p, NULL, "a key in double quotes must stand "
                            "here");
    }

    s->want = MG_SCAN_SKIP;
    s->after = MG_SCAN_COLON;
    s->state = MG_SCAN_STRING;

    if (s->depth <= s->named) {
        s->named = s->depth;
        s->want = MG_SCAN_NAME;
        s->key_len = 0;
        s->key_long = 0;
        s->key_escaped = 0;
    }

    return mg_scan_string(s, p + 1, end);
}


static const char *
mg_scan_colon(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != ':') {
        return mg_scan_fail(s, p, NULL, "a colon must follow the key");
    }

    s->state = MG_SCAN_VALUE;

    return mg_scan_value(s, p + 1, end);
}


static const char *
mg_scan_value(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p == end) {
        return p;
    }

    s->want = MG_SCAN_SKIP;

    if (s->member && mg_scan_member(s, p) == NULL) {
        return NULL;
    }

    switch (mg_scan_values[(unsigned char) *p]) {

    case MG_SCAN_V_STRING:
        s->after = MG_SCAN_NEXT;
        s->state = MG_SCAN_STRING;
        return mg_scan_string(s, p + 1, end);

    case MG_SCAN_V_OBJECT:
        return mg_scan_open(s, p, 1);

    case MG_SCAN_V_ARRAY:
        return mg_scan_open(s, p, 0);

    case MG_SCAN_V_TRUE:
        s->literal = "rue";
        s->state = MG_SCAN_LITERAL;
        return p + 1;

    case MG_SCAN_V_FALSE:
        s->literal = "alse";
        s->state = MG_SCAN_LITERAL;
        return p + 1;

    case MG_SCAN_V_NULL:
        s->literal = "ull";
        s->state = MG_SCAN_LITERAL;
        return p + 1;

    case MG_SCAN_V_MINUS:
        s->state = MG_SCAN_MINUS;
        return p + 1;

    case MG_SCAN_V_ZERO:
        s->state = MG_SCAN_ZERO;
        return p + 1;

    case MG_SCAN_V_DIGIT:
        s->state = MG_SCAN_INT;
        return p + 1;
    }

    return mg_scan_fail(s, p, NULL, "a value must stand here");
}


static const char *
mg_scan_value_or_end(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p != end && *p == ']') {
        return mg_scan_close(s, p, 0);
    }

    return mg_scan_value(s, p, end);
}


static const char *
mg_scan_next(mg_scan_t *s, const char *p, const char *end)
{
    int       object;
    uint32_t  level;

    p = mg_scan_space(p, end);

    if (p == end) {
        return p;
    }

    level = s->depth - 1;
    object = s->stack[level / 64] >> (level % 64) & 1;

    if (*p == ',') {
        s->state = object ? MG_SCAN_KEY : MG_SCAN_VALUE;
        return p + 1;
    }

    if (*p == '}' || *p == ']') {
        return mg_scan_close(s, p, *p == '}');
    }

    return mg_scan_fail(s, p, NULL, "a comma or a closing bracket must "
                        "follow the value");
}


static const char *
mg_scan_end(mg_scan_t *s, const char *p, const char *end)
{
    p = mg_scan_space(p, end);

    if (p != end) {
        return mg_scan_fail(s, p, NULL, "nothing may follow the object");
    }

    return p;
}


static const char *
mg_scan_literal(mg_scan_t *s, const char *p, const char *end)
{
    for ( /* void */ ; p != end; p++) {

        if (*p != *s->literal) {
            return mg_scan_fail(s, p, NULL, "only true, false and null may "
                                "stand without quotes");
        }

        s->literal++;

        if (*s->literal == '\0') {
            s->state = MG_SCAN_NEXT;
            return p + 1;
        }
    }

    return p;
}


static const char *
mg_scan_number(mg_scan_t *s, const char *p, const char *end)
{
    uint32_t  state, next;

    state = s->state;

    for ( /* void */ ; p != end; p++) {

        next = mg_scan_numbers[state][mg_scan_digits[(unsigned char) *p]];

        if (next == 0) {
            break;
        }

        state = next;
    }

    s->state = state;

    if (p == end) {
        return p;
    }

    switch (state) {

    case MG_SCAN_ZERO:
    case MG_SCAN_INT:
    case MG_SCAN_FRACTION:
    case MG_SCAN_EXPONENT:
        s->state = MG_SCAN_NEXT;
        return p;
    }

    return mg_scan_fail(s, p, NULL, "a digit must stand here in a number");
}


static const char *
mg_scan_open(mg_scan_t *s, const char *p, int object)
{
    uint64_t  bit;

    if (s->depth == MG_SCAN_DEPTH_MAX) {
        return mg_scan_fail(s, p, NULL, "objects and arrays are nested "
                            "deeper than 128 levels");
    }

    bit = (uint64_t) 1 << (s->depth % 64);

    if (object) {
        s->stack[s->depth / 64] |= bit;
        s->state = MG_SCAN_KEY_OR_END;

    } else {
        s->stack[s->depth / 64] &= ~bit;
        s->state = MG_SCAN_VALUE_OR_END;
    }

    s->depth++;

    return p + 1;
}


static const char *
mg_scan_close(mg_scan_t *s, const char *p, int object)
{
    uint32_t  level;

    level = s->depth - 1;

    if ((int) (s->stack[level / 64] >> (level % 64) & 1) != object) {
        return mg_scan_fail(s, p, NULL, "this bracket closes what another "
                            "kind has opened");
    }

    s->depth = level;
    s->state = level ? MG_SCAN_NEXT : MG_SCAN_END;

    return p + 1;
}


/* A value of a member that is known begins at p. */

static const char *
mg_scan_member(mg_scan_t *s, const char *p)
{
    uint32_t  member;

    member = s->member;
    s->member = MG_SCAN_SKIP;

    switch (member) {

    case MG_SCAN_MODEL:
        if (*p != '"') {
            return mg_scan_fail(s, p, "model", "model must be a string");
        }

        s->want = MG_SCAN_MODEL;
        s->value_start = s->offset + (uint64_t) (p + 1 - s->piece);
        break;

    case MG_SCAN_STREAM:

        /* whatever begins with t is true, or an error a few bytes on */

        s->stream = (*p == 't');
        break;

    case MG_SCAN_METADATA:
        s->user_lens[MG_SCAN_BY_METADATA] = 0;
        s->named = (*p == '{') ? 2 : 1;
        s->within = MG_SCAN_METADATA;
        break;

    case MG_SCAN_OPTIONS:
        mg_scan_options(s, p);
        break;

    case MG_SCAN_USAGE:
        s->usage_asked = 1;
        break;

    default: /* MG_SCAN_USER + MG_SCAN_BY_... */
        s->user_lens[member - MG_SCAN_USER] = 0;
        s->user_bad = 0;
        s->want = (*p == '"') ? member : MG_SCAN_SKIP;
    }

    return p;
}


/* Of two members, or of one that no server understands, none is touched. */

static void
mg_scan_options(mg_scan_t *s, const char *p)
{
    if (s->options_at != 0 || (*p != '{' && *p != 'n')) {
        s->usage_asked = 1;
    }

    s->options_null = (*p == 'n');
    s->options_at = s->offset + (uint64_t) (p - s->piece) + (*p == '{');
    s->named = (*p == '{') ? 2 : 1;
    s->within = MG_SCAN_OPTIONS;
}


/* p NULL: the end of the document.  Returns NULL for the caller to return. */

const char *
mg_scan_fail(mg_scan_t *s, const char *p, const char *param,
    const char *text)
{
    s->failed = 1;
    s->error_offset = s->offset + (p ? (uint64_t) (p - s->piece) : 0);
    s->error_param = param;
    s->error_text = text;

    return NULL;
}


static int
mg_scan_error(mg_scan_t *s, mg_error_t *e)
{
    if (s->error_param != NULL) {
        return mg_error_set(e, MG_E_INVALID, s->error_param,
                            "%s (at byte %llu of the body)", s->error_text,
                            (unsigned long long) s->error_offset);
    }

    return mg_error_set(e, MG_E_INVALID, NULL,
                        "the body is not valid JSON at byte %llu: %s",
                        (unsigned long long) s->error_offset, s->error_text);
}
