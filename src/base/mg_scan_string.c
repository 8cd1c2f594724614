/*
 * mg_scan_string.c: the scanner inside strings.
 *
 * Runs of plain ASCII are found 16 or 64 bytes at a time, UTF-8 sequences
 * that lie whole in the piece are stepped over, and only what a piece cuts
 * goes byte by byte.  Decoded bytes are kept for keys that may be known and
 * for the values of model and of what names a client; of all other strings
 * nothing but the syntax counts.
 *
 * Called by mg_scan.c; writes only into the caller's mg_scan_t.
 */

#include "base/mg_scan_state.h"
#include "base/mg_skip.h"
#include "base/mg_utf8.h"


static inline const char *mg_scan_plain(const char *p, const char *end);
static inline int mg_scan_is_pair(const char *p);
static const char *mg_scan_wide(const char *p, const char *end);
static const char *mg_scan_quote(mg_scan_t *s, const char *p);
static const char *mg_scan_name(mg_scan_t *s, const char *p);
static const char *mg_scan_unit(mg_scan_t *s, const char *p);
static int mg_scan_keep(mg_scan_t *s, const char *data, size_t len);
static int mg_scan_half(mg_scan_t *s);


/* Bit n: a key that is known has n bytes. */

#define MG_SCAN_LENGTHS                                                       \
    (1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 10 | 1u << 13    \
     | 1u << 14 | 1u << 16)


/* What a letter after a backslash stands for; 0: it may not stand there. */

static const char  mg_scan_escapes[256] = {
    ['"'] = '"',
    ['\\'] = '\\',
    ['/'] = '/',
    ['b'] = '\b',
    ['f'] = '\f',
    ['n'] = '\n',
    ['r'] = '\r',
    ['t'] = '\t'
};


static inline uint32_t
mg_scan_word(const char *p)
{
    uint32_t  w;

    memcpy(&w, p, 4);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap32(w);
#endif

    return w;
}


const char *
mg_scan_string(mg_scan_t *s, const char *p, const char *end)
{
    const char  *start;

    for ( ;; ) {
        start = p;
        p = s->want ? mg_skip_string(p, end, 1) : mg_scan_plain(p, end);

        if (p != end && (unsigned char) *p >= 0x80) {
            p = mg_scan_wide(p, end);
        }

        if (s->want && p != start && mg_scan_keep(s, start,
                                                  (size_t) (p - start))
            != MG_OK)
        {
            return mg_scan_fail(s, start, s->error_param, s->error_text);
        }

        if (p == end) {
            return p;
        }

        if (*p == '\\') {

            s->state = MG_SCAN_ESCAPE;
            p = mg_scan_escape(s, p + 1, end);

            if (p == NULL || s->state != MG_SCAN_STRING) {
                return p;
            }

            continue;
        }

        if (*p == '"') {
            return mg_scan_quote(s, p);
        }

        if ((unsigned char) *p >= 0x80) {

            /* cut off by the end of the piece, or invalid */

            return mg_scan_utf8(s, p, end);
        }

        return mg_scan_fail(s, p, NULL, "a control character in a string "
                            "must be written as an escape");
    }
}


/*
 * In a string of which nothing is kept: over plain ASCII and over escapes of
 * two characters, of which a chat has one a line.  All of 64 bytes are dealt
 * with before the next 64 are loaded.
 */

static inline const char *
mg_scan_plain(const char *p, const char *end)
{
#if defined(__SSE2__)

    unsigned  at, step;
    uint64_t  mask;

    /* most strings are short: of these nothing but their first bytes */

    if (end - p > 16) {
        mask = mg_skip_mask(p, 1);
        p += mask ? __builtin_ctzll(mask) : 16;

        if (mask && !mg_scan_is_pair(p)) {
            return p;
        }
    }

    for ( /* void */ ; end - p > 64; p += step) {
        step = 64;

        for (mask = mg_skip_mask64(p, 1); mask; mask &= ~(3ull << at)) {
            at = (unsigned) __builtin_ctzll(mask);

            if (!mg_scan_is_pair(p + at)) {
                return p + at;
            }

            step = at == 63 ? 65 : 64;
        }
    }

#endif

    for ( ;; ) {
        p = mg_skip_string(p, end, 1);

        if (end - p < 2 || !mg_scan_is_pair(p)) {
            return p;
        }

        p += 2;
    }
}


static inline int
mg_scan_is_pair(const char *p)
{
    return *p == '\\' && mg_scan_escapes[(unsigned char) p[1]] != 0;
}


const char *
mg_scan_escape(mg_scan_t *s, const char *p, const char *end)
{
    char  c;

    if (p == end) {
        return p;
    }

    s->key_escaped = 1;

    if (*p == 'u') {
        s->hex = 0;
        s->hex_left = 4;
        s->state = MG_SCAN_HEX;
        return mg_scan_hex(s, p + 1, end);
    }

    c = mg_scan_escapes[(unsigned char) *p];

    if (c == 0) {
        return mg_scan_fail(s, p, NULL, "this character cannot follow a "
                            "backslash in a string");
    }

    if (s->want && mg_scan_keep(s, &c, 1) != MG_OK) {
        return mg_scan_fail(s, p, s->error_param, s->error_text);
    }

    s->state = MG_SCAN_STRING;

    return p + 1;
}


const char *
mg_scan_hex(mg_scan_t *s, const char *p, const char *end)
{
    unsigned char  c;

    for ( /* void */ ; p != end; p++) {

        c = (unsigned char) *p;

        if (c >= '0' && c <= '9') {
            c = (unsigned char) (c - '0');

        } else {
            c |= 0x20;

            if (c < 'a' || c > 'f') {
                return mg_scan_fail(s, p, NULL, "four hex digits must follow "
                                    "\\u in a string");
            }

            c = (unsigned char) (c - 'a' + 10);
        }

        s->hex = s->hex << 4 | c;
        s->hex_left--;

        if (s->hex_left == 0) {
            s->state = MG_SCAN_STRING;
            return s->want ? mg_scan_unit(s, p) : p + 1;
        }
    }

    return p;
}


/* One byte of a sequence at a time: only where a piece ends inside one. */

const char *
mg_scan_utf8(mg_scan_t *s, const char *p, const char *end)
{
    char           c;
    unsigned char  u;

    (void) end;

    c = *p;
    u = (unsigned char) c;

    if (s->state == MG_SCAN_STRING) {

        if (u < 0xc2 || u > 0xf4) {
            return mg_scan_fail(s, p, NULL, "a string must be UTF-8");
        }

        s->utf8_left = (u < 0xe0) ? 1 : (u < 0xf0) ? 2 : 3;
        s->utf8_low = (u == 0xe0) ? 0xa0 : (u == 0xf0) ? 0x90 : 0x80;
        s->utf8_high = (u == 0xed) ? 0x9f : (u == 0xf4) ? 0x8f : 0xbf;
        s->state = MG_SCAN_UTF8;

    } else {

        if (u < s->utf8_low || u > s->utf8_high) {
            return mg_scan_fail(s, p, NULL, "a string must be UTF-8");
        }

        s->utf8_low = 0x80;
        s->utf8_high = 0xbf;
        s->utf8_left--;

        if (s->utf8_left == 0) {
            s->state = MG_SCAN_STRING;
        }
    }

    if (s->want && mg_scan_keep(s, &c, 1) != MG_OK) {
        return mg_scan_fail(s, p, s->error_param, s->error_text);
    }

    return p + 1;
}


/*
 * Passes over whole UTF-8 sequences and the ASCII between them.  Those of
 * two and three bytes, which are nearly all there are, are tested four bytes
 * at a time; first byte of the text in the lowest byte of the word.
 */

static const char *
mg_scan_wide(const char *p, const char *end)
{
    size_t    n;
    uint32_t  w;

    while (p != end && (unsigned char) *p >= 0x80) {

        while (end - p >= 4) {
            w = mg_scan_word(p);

            if ((w & 0x00c0c0f0) == 0x008080e0
                && (w & 0x200f) != 0 && (w & 0x200f) != 0x200d)
            {
                /* 1110xxxx, neither overlong nor a surrogate */

                p += 3;

            } else if ((w & 0xc0e0) == 0x80c0 && (w & 0x1e) != 0) {

                /* 110xxxxx, not overlong */

                p += 2;

            } else if ((w & 0xff) == 0x20) {
                p++;

            } else {
                break;
            }
        }

        if (p != end && (unsigned char) *p >= 0x80) {
            n = mg_utf8_next(p, (size_t) (end - p));

            if (n == 0) {
                break;
            }

            p += n;
        }

        p = mg_skip_string(p, end, 1);
    }

    return p;
}


/* The closing quote of a string. */

static const char *
mg_scan_quote(mg_scan_t *s, const char *p)
{
    s->state = s->after;

    if (s->want == MG_SCAN_SKIP) {
        return p + 1;
    }

    if (s->surrogate && mg_scan_half(s) != MG_OK) {
        return mg_scan_fail(s, p, s->error_param, s->error_text);
    }

    switch (s->want) {

    case MG_SCAN_NAME:
        return mg_scan_name(s, p);

    case MG_SCAN_MODEL:
        if (s->model_len == 0) {
            return mg_scan_fail(s, p, "model", "model must not be empty");
        }

        s->value_end = s->offset + (uint64_t) (p - s->piece);
        s->has_model = 1;
        break;

    default: /* MG_SCAN_USER + MG_SCAN_BY_... */
        if (s->user_bad) {
            s->user_lens[s->want - MG_SCAN_USER] = 0;
        }
    }

    return p + 1;
}


/* A key is complete: of the document, or of a member that is looked into. */

static const char *
mg_scan_name(mg_scan_t *s, const char *p)
{
    size_t    i;
    uint32_t  within;

    static const struct {
        mg_str_t  name;
        uint32_t  within;
        uint32_t  member;
    } members[] = {
        { { "model", 5 }, MG_SCAN_SKIP, MG_SCAN_MODEL },
        { { "stream", 6 }, MG_SCAN_SKIP, MG_SCAN_STREAM },
        { { "user", 4 }, MG_SCAN_SKIP, MG_SCAN_USER + MG_SCAN_BY_USER },
        { { "metadata", 8 }, MG_SCAN_SKIP, MG_SCAN_METADATA },
        { { "user_id", 7 }, MG_SCAN_METADATA,
          MG_SCAN_USER + MG_SCAN_BY_METADATA },
        { { "prompt_cache_key", 16 }, MG_SCAN_SKIP,
          MG_SCAN_USER + MG_SCAN_BY_CACHE_KEY },
        { { "session_id", 10 }, MG_SCAN_SKIP,
          MG_SCAN_USER + MG_SCAN_BY_SESSION },
        { { "stream_options", 14 }, MG_SCAN_SKIP, MG_SCAN_OPTIONS },
        { { "include_usage", 13 }, MG_SCAN_OPTIONS, MG_SCAN_USAGE }
    };

    within = MG_SCAN_SKIP;

    if (s->depth != 1) {
        within = s->within;
        s->options_some |= (within == MG_SCAN_OPTIONS);
    }

    s->member = MG_SCAN_SKIP;

    if (s->key_long || !(MG_SCAN_LENGTHS >> s->key_len & 1)) {
        return p + 1;
    }

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (members[i].within == within
            && mg_str_eq(members[i].name, mg_str_n(s->key, s->key_len)))
        {
            s->member = members[i].member;
            break;
        }
    }

    if (s->member == MG_SCAN_MODEL) {

        if (s->key_escaped) {
            return mg_scan_fail(s, p, "model", "the key model must be "
                                "written without escapes");
        }

        if (s->seen_model) {
            return mg_scan_fail(s, p, "model", "model appears twice; give it "
                                "once");
        }

        s->seen_model = 1;
    }

    return p + 1;
}


/* A \u escape is complete in a string that is kept. */

static const char *
mg_scan_unit(mg_scan_t *s, const char *p)
{
    int       rc;
    char      text[4];
    uint32_t  unit;

    unit = s->hex;
    rc = MG_OK;

    if (s->surrogate && (unit & 0xfc00) == 0xdc00) {
        unit = 0x10000 + ((s->surrogate & 0x3ff) << 10) + (unit & 0x3ff);
        s->surrogate = 0;

    } else if (s->surrogate) {
        rc = mg_scan_half(s);
    }

    if (rc == MG_OK) {

        if ((unit & 0xfffffc00) == 0xd800) {
            s->surrogate = unit;

        } else if ((unit & 0xfffffc00) == 0xdc00) {
            rc = mg_scan_half(s);

        } else {
            rc = mg_scan_keep(s, text, mg_utf8_put(unit, text));
        }
    }

    if (rc != MG_OK) {
        return mg_scan_fail(s, p, s->error_param, s->error_text);
    }

    return p + 1;
}


/* Appends decoded bytes to what the string is for. */

static int
mg_scan_keep(mg_scan_t *s, const char *data, size_t len)
{
    size_t  *have;

    if (s->surrogate && mg_scan_half(s) != MG_OK) {
        return MG_ERROR;
    }

    switch (s->want) {

    case MG_SCAN_NAME:
        if (s->key_long || len > sizeof(s->key) - s->key_len) {
            s->key_long = 1;
            return MG_OK;
        }

        memcpy(s->key + s->key_len, data, len);
        s->key_len += (uint32_t) len;
        return MG_OK;

    case MG_SCAN_MODEL:
        if (len > sizeof(s->model) - s->model_len) {
            s->error_param = "model";
            s->error_text = "model is longer than 256 bytes";
            return MG_ERROR;
        }

        if (len == 1 && *data == '\0') {
            s->error_param = "model";
            s->error_text = "model must not hold a NUL character";
            return MG_ERROR;
        }

        memcpy(s->model + s->model_len, data, len);
        s->model_len += len;
        return MG_OK;

    default: /* MG_SCAN_USER + MG_SCAN_BY_... */
        have = &s->user_lens[s->want - MG_SCAN_USER];

        if (s->user_bad || len > MG_SCAN_USER_MAX - *have) {
            s->user_bad = 1;
            return MG_OK;
        }

        memcpy(s->users[s->want - MG_SCAN_USER] + *have, data, len);
        *have += len;
        return MG_OK;
    }
}


/* Half a surrogate pair stands alone: no character, so no key and no id. */

static int
mg_scan_half(mg_scan_t *s)
{
    s->surrogate = 0;

    switch (s->want) {

    case MG_SCAN_NAME:
        s->key_long = 1;
        return MG_OK;

    case MG_SCAN_MODEL:
        s->error_param = "model";
        s->error_text = "model must not hold half of a surrogate pair";
        return MG_ERROR;

    default:
        s->user_bad = 1;
        return MG_OK;
    }
}
