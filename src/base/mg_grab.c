/*
 * mg_grab.c: the reader of the tap.
 *
 * mg_grab_states[] has one function for each state; it takes what it can,
 * sets the next state and returns where it stopped.  Keys are looked at in
 * two places only: in the document, if it is an object, and in those of its
 * members that a path leads through.  Everything else, which is nearly all
 * there is, is one state:
 *
 *     {"id":"x","choices":[ ... ],"usage":{ ... }}
 *      ^key     ^key      ^pass   ^key    ^pass, and its bytes are taken
 *
 * An array that is looked through is a third place: its values are taken one
 * after the other, and an object among them has keys as above.
 *
 * While a value is passed over, strings and brackets are followed, a block of
 * bytes at a time, and brackets must match, as one bit a level; what stands
 * between them is not looked at.  Who wants the value parses it.  The bytes of
 * a value that is taken are copied when it or the piece ends, not one by one.
 *
 * Called by the body filter in the event loop; writes only its own struct.
 */

#include "base/mg_grab.h"
#include "base/mg_skip.h"


#define MG_GRAB_DEPTH_MAX  64

/*
 * A set of names, by first character and length; two that share a bit cost a
 * look at the paths.
 */
#define mg_grab_bit(name)                                                     \
    ((uint64_t) 1 << (((size_t) (name).data[0] + 16 * (name).len) & 63))


typedef const char *(*mg_grab_state_pt)(mg_grab_t *g, const char *p,
    const char *end);


enum {
    MG_GRAB_VALUE = 0,
    MG_GRAB_FIRST_ITEM,       /* after [ */
    MG_GRAB_KEY,
    MG_GRAB_FIRST_KEY,        /* after { */
    MG_GRAB_NAME,             /* inside a key */
    MG_GRAB_NAME_ESCAPE,
    MG_GRAB_COLON,
    MG_GRAB_STRING,
    MG_GRAB_STRING_ESCAPE,
    MG_GRAB_ATOM,             /* a number or a literal */
    MG_GRAB_PASS,             /* in brackets that hold nothing to look for */
    MG_GRAB_NEXT,             /* after a member */
    MG_GRAB_END,              /* after the document */
    MG_GRAB_LOST
};


static inline const char *mg_grab_value(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_open(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_first_item(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_key(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_first_key(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_name(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_name_escape(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_colon(mg_grab_t *g, const char *p,
    const char *end);
static inline const char *mg_grab_string(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_string_escape(mg_grab_t *g, const char *p,
    const char *end);
static const char *mg_grab_atom(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_pass(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_next(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_end(mg_grab_t *g, const char *p, const char *end);
static const char *mg_grab_lost(mg_grab_t *g, const char *p,
    const char *end);

static inline int mg_grab_in_object(mg_grab_t *g);
static inline int mg_grab_bracket(mg_grab_t *g, char c);
static const char *mg_grab_quote(mg_grab_t *g, const char *p,
    const char *end);
static inline void mg_grab_named(mg_grab_t *g, mg_str_t key);
static void mg_grab_find(mg_grab_t *g, mg_str_t key);
static inline int mg_grab_is(mg_str_t name, mg_str_t key);
static void mg_grab_copy(mg_grab_t *g, const char *p);
static inline void mg_grab_done(mg_grab_t *g, const char *p);
static void mg_grab_take(mg_grab_t *g, const char *p);


static const mg_grab_state_pt  mg_grab_states[] = {
    [MG_GRAB_VALUE] = mg_grab_value,
    [MG_GRAB_FIRST_ITEM] = mg_grab_first_item,
    [MG_GRAB_KEY] = mg_grab_key,
    [MG_GRAB_FIRST_KEY] = mg_grab_first_key,
    [MG_GRAB_NAME] = mg_grab_name,
    [MG_GRAB_NAME_ESCAPE] = mg_grab_name_escape,
    [MG_GRAB_COLON] = mg_grab_colon,
    [MG_GRAB_STRING] = mg_grab_string,
    [MG_GRAB_STRING_ESCAPE] = mg_grab_string_escape,
    [MG_GRAB_ATOM] = mg_grab_atom,
    [MG_GRAB_PASS] = mg_grab_pass,
    [MG_GRAB_NEXT] = mg_grab_next,
    [MG_GRAB_END] = mg_grab_end,
    [MG_GRAB_LOST] = mg_grab_lost
};


void
mg_grab_init(mg_grab_t *g, const mg_grab_path_t *paths, mg_grab_pt handler,
    void *ctx)
{
    uint64_t               outer, inner;
    const mg_grab_path_t  *path;

    g->paths = paths;
    g->handler = handler;
    g->ctx = ctx;
    g->arrays = 0;
    g->missed = 0;

    outer = 0;
    inner = 0;

    for (path = paths; path->outer.len != 0; path++) {
        outer |= mg_grab_bit(path->outer);

        if (path->inner.len != 0) {
            inner |= mg_grab_bit(path->inner);
        }
    }

    g->names[0] = outer;
    g->names[1] = inner;

    mg_grab_reset(g);
}


void
mg_grab_reset(mg_grab_t *g)
{
    g->state = MG_GRAB_VALUE;
    g->depth = 0;
    g->level = 0;
    g->objects = 0;
    g->passing = 0;
    g->through = 0;
    g->match = -1;
    g->taking = -1;
    g->value_len = 0;
    g->from = NULL;
}


int
mg_grab_ended(const mg_grab_t *g)
{
    return g->state == MG_GRAB_END;
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
mg_grab_value(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

    if (p == end) {
        return p;
    }

    g->taking = g->match;
    g->value_len = 0;
    g->from = p;

    if (*p == '"') {
        return mg_grab_string(g, p + 1, end);
    }

    if (*p == '{' || *p == '[') {
        return mg_grab_open(g, p, end);
    }

    if ((*p >= '0' && *p <= '9') || *p == '-' || *p == 't' || *p == 'f'
        || *p == 'n')
    {
        g->state = MG_GRAB_ATOM;
        return mg_grab_atom(g, p + 1, end);
    }

    return mg_grab_lost(g, p, end);
}


/* Is what this bracket opens looked through, or passed over? */

static const char *
mg_grab_open(mg_grab_t *g, const char *p, const char *end)
{
    int  within;

    within = (g->depth == 0 || mg_grab_in_object(g));

    (void) mg_grab_bracket(g, *p);

    if (g->taking == -1
        && (g->level == 0 || (g->level == 1 && g->through)))
    {
        if (*p == '{') {
            g->level++;
            g->state = MG_GRAB_FIRST_KEY;
            return p + 1;
        }

        if (g->arrays && within) {
            g->state = MG_GRAB_FIRST_ITEM;
            return p + 1;
        }
    }

    g->passing = g->depth;

    return mg_grab_pass(g, p + 1, end);
}


static const char *
mg_grab_first_item(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

    if (p != end && *p == ']') {
        return mg_grab_next(g, p, end);
    }

    if (p != end) {
        g->state = MG_GRAB_VALUE;
    }

    return p;
}


/*
 * A key, and, where both lie whole in the piece, its value and the members
 * that follow.
 */

static const char *
mg_grab_key(mg_grab_t *g, const char *p, const char *end)
{
    const char  *start;

    for ( ;; ) {
        p = mg_skip_space(p, end);

        if (p == end) {
            return p;
        }

        if (*p != '"') {
            return mg_grab_lost(g, p, end);
        }

        start = ++p;
        p = mg_skip_string(p, end, 0);

        if (end - p < 2 || p[0] != '"' || p[1] != ':') {
            g->state = MG_GRAB_NAME;
            g->key_len = 0;
            g->key_bad = 0;

            return start;
        }

        /* as nearly all are: in one piece, without escapes or a space */

        mg_grab_named(g, mg_str_n(start, (size_t) (p - start)));

        g->state = MG_GRAB_VALUE;
        p = mg_grab_value(g, p + 2, end);

        if (p == end || *p != ',' || g->state != MG_GRAB_NEXT) {
            return p;
        }

        g->state = MG_GRAB_KEY;
        p++;
    }
}


static const char *
mg_grab_first_key(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

    if (p != end && *p == '}') {
        return mg_grab_next(g, p, end);
    }

    return mg_grab_key(g, p, end);
}


static const char *
mg_grab_name(mg_grab_t *g, const char *p, const char *end)
{
    size_t       n;
    const char  *start;

    start = p;
    p = mg_skip_string(p, end, 0);

    n = (size_t) (p - start);

    if (n > sizeof(g->key) - g->key_len) {
        g->key_bad = 1;

    } else {
        memcpy(g->key + g->key_len, start, n);
        g->key_len += (uint8_t) n;
    }

    if (p == end) {
        return p;
    }

    if (*p == '\\') {
        g->key_bad = 1;
        g->state = MG_GRAB_NAME_ESCAPE;
        return p + 1;
    }

    mg_grab_named(g, mg_str_n(g->key, g->key_bad ? 0 : g->key_len));

    g->state = MG_GRAB_COLON;

    return p + 1;
}


/* The byte after a backslash never ends a string, whatever it is. */

static const char *
mg_grab_name_escape(mg_grab_t *g, const char *p, const char *end)
{
    (void) end;

    g->state = MG_GRAB_NAME;

    return p + 1;
}


static const char *
mg_grab_colon(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p != ':') {
        return mg_grab_lost(g, p, end);
    }

    g->state = MG_GRAB_VALUE;

    return p + 1;
}


/* Inside a string that is a member, or passed over with what is around it. */

static inline const char *
mg_grab_string(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_grab_quote(g, p, end);

    if (p == NULL) {
        return end;
    }

    if (g->passing) {
        g->state = MG_GRAB_PASS;

    } else {
        mg_grab_done(g, p);
    }

    return p;
}


static const char *
mg_grab_string_escape(mg_grab_t *g, const char *p, const char *end)
{
    return mg_grab_string(g, p + 1, end);
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


/* Up to the bracket that closes what was opened at the depth "passing". */

static const char *
mg_grab_pass(mg_grab_t *g, const char *p, const char *end)
{
    unsigned          left;
    const char       *bracket;
    mg_skip_block_t   block;

    while (p != end) {
        mg_skip_block(p, end, &block);

        for (left = block.brackets; left != 0; left &= left - 1) {
            bracket = p + (unsigned) __builtin_ctz(left);

            if (!mg_grab_bracket(g, *bracket)) {
                return mg_grab_lost(g, p, end);
            }

            if (g->depth < g->passing) {
                g->passing = 0;
                mg_grab_done(g, bracket + 1);
                return bracket + 1;
            }
        }

        p += block.len;

        if (block.inside) {
            p = mg_grab_quote(g, p, end);

            if (p == NULL) {
                return end;
            }
        }
    }

    g->state = MG_GRAB_PASS;

    return p;
}


static const char *
mg_grab_next(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

    if (p == end) {
        return p;
    }

    if (*p == ',') {

        if (mg_grab_in_object(g)) {
            g->state = MG_GRAB_KEY;
            return mg_grab_key(g, p + 1, end);
        }

        g->match = -1;
        g->state = MG_GRAB_VALUE;

        return p + 1;
    }

    if ((*p != '}' && *p != ']') || !mg_grab_bracket(g, *p)) {
        return mg_grab_lost(g, p, end);
    }

    if (*p == '}') {
        g->level--;
    }

    mg_grab_done(g, p + 1);

    return p + 1;
}


static const char *
mg_grab_end(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_space(p, end);

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


/* Is the innermost bracket that of an object? */

static inline int
mg_grab_in_object(mg_grab_t *g)
{
    return g->objects & 1;
}


/* 0: it closes another one, or is nested too deep. */

static inline int
mg_grab_bracket(mg_grab_t *g, char c)
{
    unsigned  object;

    object = (c == '{' || c == '}');

    if (c == '{' || c == '[') {
        g->objects = g->objects << 1 | object;

        return g->depth++ < MG_GRAB_DEPTH_MAX;
    }

    if ((g->objects & 1) != object) {
        return 0;
    }

    g->objects >>= 1;
    g->depth--;

    return 1;
}


/*
 * From the inside of a string to behind its closing quote; NULL, with the
 * state set, if the piece ends before.
 */

static const char *
mg_grab_quote(mg_grab_t *g, const char *p, const char *end)
{
    p = mg_skip_text(p, end);

    if (p == end) {
        g->state = MG_GRAB_STRING;
        return NULL;
    }

    if (*p != '"') {
        g->state = MG_GRAB_STRING_ESCAPE;
        return NULL;
    }

    return p + 1;
}


/*
 * A key is complete: is its value wanted, or does a path lead through it?
 * Nearly all keys are other ones: first character and length tell.
 */

static inline void
mg_grab_named(mg_grab_t *g, mg_str_t key)
{
    g->match = -1;

    if (g->level == 1) {
        g->through = 0;
    }

    if (key.len != 0 && (g->names[g->level - 1] & mg_grab_bit(key))) {
        mg_grab_find(g, key);
    }
}


static void
mg_grab_find(mg_grab_t *g, mg_str_t key)
{
    int32_t                i;
    uint32_t               left;
    const mg_grab_path_t  *path;

    if (g->level == 2) {

        for (left = g->through; left != 0; left &= left - 1) {
            i = __builtin_ctz(left);

            if (mg_grab_is(g->paths[i].inner, key)) {
                g->match = i;
                return;
            }
        }

        return;
    }

    for (i = 0, path = g->paths; path->outer.len != 0; i++, path++) {

        if (mg_grab_is(path->outer, key)) {

            if (path->inner.len == 0) {
                g->match = i;
                return;
            }

            g->through |= (uint32_t) 1 << i;
        }
    }
}


static inline int
mg_grab_is(mg_str_t name, mg_str_t key)
{
    return name.len == key.len && name.data[0] == key.data[0]
           && memcmp(name.data, key.data, key.len) == 0;
}


/* Keeps what is between g->from and p; a value that is too long is let go. */

static void
mg_grab_copy(mg_grab_t *g, const char *p)
{
    size_t  n;

    n = (size_t) (p - g->from);

    if (n > MG_GRAB_VALUE_MAX - g->value_len) {
        g->missed |= (uint32_t) 1 << (g->paths[g->taking].id & 31);
        g->taking = -1;
        return;
    }

    memcpy(g->value + g->value_len, g->from, n);
    g->value_len += (uint32_t) n;
    g->from = p;
}


/* A value has ended in front of p. */

static inline void
mg_grab_done(mg_grab_t *g, const char *p)
{
    g->state = g->depth ? MG_GRAB_NEXT : MG_GRAB_END;

    if (g->taking != -1) {
        mg_grab_take(g, p);
    }
}


static void
mg_grab_take(mg_grab_t *g, const char *p)
{
    int32_t   i;
    mg_str_t  json;

    i = g->taking;

    if (g->value_len == 0 && (size_t) (p - g->from) <= MG_GRAB_VALUE_MAX) {

        /* it lies whole in this piece */

        json = mg_str_n(g->from, (size_t) (p - g->from));

    } else {
        mg_grab_copy(g, p);
        json = mg_str_n(g->value, g->value_len);
    }

    if (g->taking != -1) {
        g->taking = -1;
        g->handler(g->ctx, g->paths[i].id, json);
    }
}
