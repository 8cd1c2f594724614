/*
 * mg_grab.c: the reader of the tap.
 *
 * mg_grab_states[] has one function for each state; it takes what it can,
 * sets the next state and returns where it stopped.  Brackets are kept as
 * one bit a level.  While a value is taken, its bytes up to where the reader
 * stands are copied when the value or the piece ends, not one by one.
 *
 * It checks structure, not the spelling of numbers, literals and strings:
 * who wants the value parses it.
 *
 * Called by the body filter in the event loop; writes only its own struct.
 */

#include "base/mg_grab.h"
#include "base/mg_skip.h"


#define MG_GRAB_DEPTH_MAX  64
#define MG_GRAB_KEY_NONE   0xff


typedef const char *(*mg_grab_state_pt)(mg_grab_t *g, const char *p,
    const char *end);


enum {
    MG_GRAB_VALUE = 0,
    MG_GRAB_FIRST_VALUE,      /* after [ */
    MG_GRAB_KEY,
    MG_GRAB_FIRST_KEY,        /* after { */
    MG_GRAB_NAME,             /* inside a key */
    MG_GRAB_NAME_ESCAPE,
    MG_GRAB_COLON,
    MG_GRAB_STRING,
    MG_GRAB_STRING_ESCAPE,
    MG_GRAB_ATOM,             /* a number or a literal */
    MG_GRAB_NEXT,             /* after a value */
    MG_GRAB_END,              /* after the document */
    MG_GRAB_LOST
};


static const char *mg_grab_value(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_first_value(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_key(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_first_key(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_name(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_escape(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_colon(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_string(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_atom(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_next(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_end(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_lost(mg_grab_t *g, const char *p,
    const char *end);

static const char *mg_grab_open(mg_grab_t *g, const char *p, int object);
static const char *mg_grab_close(mg_grab_t *g, const char *p, int object);
static void mg_grab_match(mg_grab_t *g, const char *p);
static inline int mg_grab_path_is(mg_grab_t *g, const mg_grab_path_t *path);
static inline int mg_grab_key_is(mg_grab_t *g, int level, const char *key);
static void mg_grab_copy(mg_grab_t *g, const char *p);
static void mg_grab_done(mg_grab_t *g, const char *p);


static const mg_grab_state_pt  mg_grab_states[] = {
    [MG_GRAB_VALUE] = mg_grab_value,
    [MG_GRAB_FIRST_VALUE] = mg_grab_first_value,
    [MG_GRAB_KEY] = mg_grab_key,
    [MG_GRAB_FIRST_KEY] = mg_grab_first_key,
    [MG_GRAB_NAME] = mg_grab_name,
    [MG_GRAB_NAME_ESCAPE] = mg_grab_escape,
    [MG_GRAB_COLON] = mg_grab_colon,
    [MG_GRAB_STRING] = mg_grab_string,
    [MG_GRAB_STRING_ESCAPE] = mg_grab_escape,
    [MG_GRAB_ATOM] = mg_grab_atom,
    [MG_GRAB_NEXT] = mg_grab_next,
    [MG_GRAB_END] = mg_grab_end,
    [MG_GRAB_LOST] = mg_grab_lost
};


void
mg_grab_init(mg_grab_t *g, const mg_grab_path_t *paths, mg_grab_pt handler,
    void *ctx)
{
    g->paths = paths;
    g->handler = handler;
    g->ctx = ctx;

    mg_grab_reset(g);
}


void
mg_grab_reset(mg_grab_t *g)
{
    g->state = MG_GRAB_VALUE;
    g->depth = 0;
    g->objects = 0;
    g->key_len[0] = MG_GRAB_KEY_NONE;
    g->key_len[1] = MG_GRAB_KEY_NONE;
    g->key_bad = 0;
    g->taking = -1;
    g->taking_depth = 0;
    g->value_len = 0;
    g->from = NULL;
}


void
mg_grab_feed(mg_grab_t *g, const char *data, size_t len)
{
    const char  *p, *end;

    if (len == 0 || g->state == MG_GRAB_LOST) {
        return;
    }

    p = data;
    end = data + len;
    g->from = data;

    while (p != end) {
        p = mg_grab_states[g->state](g, p, end);
    }

    if (g->taking != -1) {
        mg_grab_copy(g, end);
    }

    g->from = NULL;
}


static inline const char *
mg_grab_space(const char *p, const char *end)
{
    while (p != end
           && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    {
        p++;
    }

    return p;
}


static const char *
mg_grab_value(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    if (p == end) {
        return p;
    }

    if (g->taking == -1 && (g->depth == 1 || g->depth == 2)) {
        mg_grab_match(g, p);
    }

    if (*p == '"') {
        g->state = MG_GRAB_STRING;
        return p + 1;
    }

    if (*p == '{' || *p == '[') {
        return mg_grab_open(g, p, *p == '{');
    }

    if ((*p >= '0' && *p <= '9') || *p == '-' || *p == 't' || *p == 'f'
        || *p == 'n')
    {
        g->state = MG_GRAB_ATOM;
        return p + 1;
    }

    return mg_grab_lost(g, p, end);
}


static const char *
mg_grab_first_value(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    if (p != end && *p == ']') {
        return mg_grab_close(g, p, 0);
    }

    return mg_grab_value(g, p, end);
}


static const char *
mg_grab_key(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != '"') {
        return mg_grab_lost(g, p, end);
    }

    g->state = MG_GRAB_NAME;
    g->key_bad = 0;

    if (g->depth <= 2) {
        g->key_len[g->depth - 1] = 0;
    }

    return p + 1;
}


static const char *
mg_grab_first_key(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    if (p != end && *p == '}') {
        return mg_grab_close(g, p, 1);
    }

    return mg_grab_key(g, p, end);
}


static const char *
mg_grab_name(mg_grab_t *g, const char *p, const char *end)
{
    size_t       n, level;
    const char  *start;

    start = p;
    p = mg_skip_string(p, end, 0);
    level = g->depth - 1;

    if (level < 2) {
        n = (size_t) (p - start);

        if (n > (size_t) MG_GRAB_KEY_MAX - g->key_len[level]) {
            g->key_bad = 1;

        } else {
            memcpy(g->key[level] + g->key_len[level], start, n);
            g->key_len[level] += (uint8_t) n;
        }
    }

    if (p == end) {
        return p;
    }

    if (*p == '\\') {
        g->key_bad = 1;
        g->state = MG_GRAB_NAME_ESCAPE;
        return p + 1;
    }

    if (g->key_bad && level < 2) {
        g->key_len[level] = MG_GRAB_KEY_NONE;
    }

    g->state = MG_GRAB_COLON;

    return p + 1;
}


/* The byte after a backslash never ends a string, whatever it is. */

static const char *
mg_grab_escape(mg_grab_t *g, const char *p, const char *end)
{
    (void) end;

    g->state = (g->state == MG_GRAB_NAME_ESCAPE) ? MG_GRAB_NAME
                                                 : MG_GRAB_STRING;
    return p + 1;
}


static const char *
mg_grab_colon(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != ':') {
        return mg_grab_lost(g, p, end);
    }

    g->state = MG_GRAB_VALUE;

    return p + 1;
}


static const char *
mg_grab_string(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_string(p, end, 0);

    if (p == end) {
        return p;
    }

    if (*p == '\\') {
        g->state = MG_GRAB_STRING_ESCAPE;
        return p + 1;
    }

    mg_grab_done(g, p + 1);

    return p + 1;
}


static const char *
mg_grab_atom(mg_grab_t *g, const char *p, const char *end)
{
    for ( /* void */ ; p != end; p++) {

        switch (*p) {

        case ',':
        case ']':
        case '}':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            mg_grab_done(g, p);
            return p;

        case '+':
        case '-':
        case '.':
            break;

        default:
            if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')
                  || *p == 'E'))
            {
                return mg_grab_lost(g, p, end);
            }
        }
    }

    return p;
}


static const char *
mg_grab_next(mg_grab_t *g, const char *p, const char *end)
{
    int  object;

    p = mg_grab_space(p, end);

    if (p == end) {
        return p;
    }

    object = g->objects >> (g->depth - 1) & 1;

    if (*p == ',') {
        g->state = object ? MG_GRAB_KEY : MG_GRAB_VALUE;
        return p + 1;
    }

    if (*p == '}' || *p == ']') {
        return mg_grab_close(g, p, *p == '}');
    }

    return mg_grab_lost(g, p, end);
}


static const char *
mg_grab_end(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_space(p, end);

    return p == end ? p : mg_grab_lost(g, p, end);
}


static const char *
mg_grab_lost(mg_grab_t *g, const char *p, const char *end)
{
    (void) p;

    g->state = MG_GRAB_LOST;
    g->taking = -1;

    return end;
}


static const char *
mg_grab_open(mg_grab_t *g, const char *p, int object)
{
    uint64_t  bit;

    if (g->depth == MG_GRAB_DEPTH_MAX) {
        return mg_grab_lost(g, p, p + 1);
    }

    bit = (uint64_t) 1 << g->depth;

    if (object) {
        g->objects |= bit;
        g->state = MG_GRAB_FIRST_KEY;

    } else {
        g->objects &= ~bit;
        g->state = MG_GRAB_FIRST_VALUE;
    }

    g->depth++;

    return p + 1;
}


static const char *
mg_grab_close(mg_grab_t *g, const char *p, int object)
{
    if ((int) (g->objects >> (g->depth - 1) & 1) != object) {
        return mg_grab_lost(g, p, p + 1);
    }

    g->depth--;
    mg_grab_done(g, p + 1);

    return p + 1;
}


/* A value begins at p under one or two keys: is it wanted? */

static void
mg_grab_match(mg_grab_t *g, const char *p)
{
    int32_t  i;

    if ((g->objects >> (g->depth - 1) & 1) == 0) {
        return;
    }

    for (i = 0; g->paths[i].outer != NULL; i++) {

        if (mg_grab_path_is(g, &g->paths[i])) {
            g->taking = i;
            g->taking_depth = g->depth;
            g->value_len = 0;
            g->from = p;
            return;
        }
    }
}


static inline int
mg_grab_path_is(mg_grab_t *g, const mg_grab_path_t *path)
{
    if (g->depth == 1) {
        return path->inner == NULL && mg_grab_key_is(g, 0, path->outer);
    }

    /* level 0 may be an array, which has no key */

    return path->inner != NULL && (g->objects & 1)
           && mg_grab_key_is(g, 0, path->outer)
           && mg_grab_key_is(g, 1, path->inner);
}


static inline int
mg_grab_key_is(mg_grab_t *g, int level, const char *key)
{
    size_t  n;

    n = g->key_len[level];

    /* nearly all keys are other ones: the first byte tells */

    if (n == 0 || n == MG_GRAB_KEY_NONE || g->key[level][0] != key[0]) {
        return 0;
    }

    return strlen(key) == n && memcmp(g->key[level], key, n) == 0;
}


/* Keeps what is between g->from and p; a value that is too long is let go. */

static void
mg_grab_copy(mg_grab_t *g, const char *p)
{
    size_t  n;

    n = (size_t) (p - g->from);

    if (n > MG_GRAB_VALUE_MAX - g->value_len) {
        g->taking = -1;
        return;
    }

    memcpy(g->value + g->value_len, g->from, n);
    g->value_len += (uint32_t) n;
    g->from = p;
}


/* A value has ended in front of p. */

static void
mg_grab_done(mg_grab_t *g, const char *p)
{
    int32_t  i;

    g->state = g->depth ? MG_GRAB_NEXT : MG_GRAB_END;

    if (g->taking == -1 || g->taking_depth != g->depth) {
        return;
    }

    mg_grab_copy(g, p);

    i = g->taking;
    g->taking = -1;

    if (i != -1) {
        g->handler(g->ctx, g->paths[i].id,
                   mg_str_n(g->value, g->value_len));
    }
}
