/*
 * mg_kind.c: type and capabilities that follow from names and modalities.
 *
 * The rules in order:
 *   1. output known and without text: image, audio, or other (video, pdf);
 *   2. text out (or unknown), the id or the family matches a row of the
 *      table: that row's type;
 *   3. audio alone in, text out: audio (transcription);
 *   4. images beside text out and no output tokens at all (limit 0): image,
 *      since a chat model that also draws has a limit;
 *   5. chat.
 * Patterns are lower case and compared without case.
 *
 * Called by the adapters of this room; touches nothing.
 */

#include "provider/mg_kind.h"


typedef enum {
    MG_KIND_ANYWHERE = 0,    /* somewhere in the id */
    MG_KIND_WORD,            /* in the id, between non-alphanumerics */
    MG_KIND_BEGIN,           /* at the start of the id's last segment */
    MG_KIND_FAMILY           /* the family is exactly this */
} mg_kind_where_e;


static const struct {
    mg_str_t         pattern;
    mg_kind_where_e  where;
    mg_model_type_e  type;
} mg_kind_patterns[] = {

    /* "bge-reranker" and "voyage/rerank" would match embedding rows, too */
    { mg_str("rerank"),          MG_KIND_ANYWHERE, MG_TYPE_RERANK },

    { mg_str("embed"),           MG_KIND_ANYWHERE, MG_TYPE_EMBEDDING },
    { mg_str("bge"),             MG_KIND_BEGIN,    MG_TYPE_EMBEDDING },
    { mg_str("gte"),             MG_KIND_BEGIN,    MG_TYPE_EMBEDDING },
    { mg_str("e5"),              MG_KIND_WORD,     MG_TYPE_EMBEDDING },
    { mg_str("voyage"),          MG_KIND_BEGIN,    MG_TYPE_EMBEDDING },
    { mg_str("text-embedding"),  MG_KIND_FAMILY,   MG_TYPE_EMBEDDING },

    { mg_str("whisper"),         MG_KIND_ANYWHERE, MG_TYPE_AUDIO },
    { mg_str("tts"),             MG_KIND_WORD,     MG_TYPE_AUDIO },
    { mg_str("melotts"),         MG_KIND_WORD,     MG_TYPE_AUDIO },
    { mg_str("transcribe"),      MG_KIND_WORD,     MG_TYPE_AUDIO },
    { mg_str("realtime"),        MG_KIND_WORD,     MG_TYPE_AUDIO },

    { mg_str("dall-e"),          MG_KIND_BEGIN,    MG_TYPE_IMAGE },
    { mg_str("gpt-image"),       MG_KIND_BEGIN,    MG_TYPE_IMAGE },
    { mg_str("chatgpt-image"),   MG_KIND_BEGIN,    MG_TYPE_IMAGE },
    { mg_str("stable-diffusion"), MG_KIND_BEGIN,   MG_TYPE_IMAGE },

    /* answer other calls than chat: classification, video, completions */
    { mg_str("moderation"),      MG_KIND_WORD,     MG_TYPE_OTHER },
    { mg_str("sora"),            MG_KIND_BEGIN,    MG_TYPE_OTHER },
    { mg_str("davinci"),         MG_KIND_BEGIN,    MG_TYPE_OTHER },
    { mg_str("babbage"),         MG_KIND_BEGIN,    MG_TYPE_OTHER },
    { mg_str("gpt-3.5-turbo-instruct"),
                                 MG_KIND_BEGIN,    MG_TYPE_OTHER }
};


static char
mg_kind_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char) (c + ('a' - 'A')) : c;
}


static int
mg_kind_alnum(char c)
{
    c = mg_kind_lower(c);

    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}


static int
mg_kind_at(mg_str_t s, size_t pos, mg_str_t pattern)
{
    size_t  i;

    if (pattern.len > s.len - pos) {
        return 0;
    }

    for (i = 0; i < pattern.len; i++) {
        if (mg_kind_lower(s.data[pos + i]) != pattern.data[i]) {
            return 0;
        }
    }

    return 1;
}


/* Does a match at pos count where the pattern must stand? */

static int
mg_kind_stands(mg_str_t id, size_t pos, size_t len, mg_kind_where_e where)
{
    int  begins, ends;

    begins = (pos == 0 || !mg_kind_alnum(id.data[pos - 1]));
    ends = (pos + len == id.len || !mg_kind_alnum(id.data[pos + len]));

    switch (where) {

    case MG_KIND_WORD:
        return begins && ends;

    case MG_KIND_BEGIN:
        return ends && (pos == 0 || id.data[pos - 1] == '/');

    default:
        return 1;
    }
}


static int
mg_kind_match(mg_str_t id, mg_str_t family, unsigned row)
{
    size_t           pos;
    mg_str_t         pattern;
    mg_kind_where_e  where;

    pattern = mg_kind_patterns[row].pattern;
    where = mg_kind_patterns[row].where;

    if (where == MG_KIND_FAMILY) {
        return family.len == pattern.len && mg_kind_at(family, 0, pattern);
    }

    for (pos = 0; pos + pattern.len <= id.len; pos++) {
        if (mg_kind_at(id, pos, pattern)
            && mg_kind_stands(id, pos, pattern.len, where))
        {
            return 1;
        }
    }

    return 0;
}


mg_model_type_e
mg_kind_infer(const mg_model_t *m, unsigned in, unsigned out, int *guess)
{
    unsigned  i, modes;

    *guess = 0;
    modes = out & ~(unsigned) MG_MODE_KNOWN;

    if (modes && !(modes & MG_MODE_TEXT)) {
        if (modes & MG_MODE_IMAGE) {
            return MG_TYPE_IMAGE;
        }

        return (modes == MG_MODE_AUDIO) ? MG_TYPE_AUDIO : MG_TYPE_OTHER;
    }

    for (i = 0; i < sizeof(mg_kind_patterns) / sizeof(mg_kind_patterns[0]);
         i++)
    {
        if (mg_kind_match(m->provider_model_id, m->family, i)) {
            *guess = 1;
            return mg_kind_patterns[i].type;
        }
    }

    if (in == (MG_MODE_KNOWN|MG_MODE_AUDIO)) {
        return MG_TYPE_AUDIO;
    }

    if ((modes & MG_MODE_IMAGE) && m->output_limit == 0) {
        return MG_TYPE_IMAGE;
    }

    *guess = 1;

    return MG_TYPE_CHAT;
}


/* 1 or 0 where the list is known, what it was where it is not. */

static int8_t
mg_kind_has(unsigned mask, unsigned bit, int8_t otherwise)
{
    if (!(mask & MG_MODE_KNOWN)) {
        return otherwise;
    }

    return (mask & bit) != 0;
}


void
mg_kind_capabilities(mg_model_t *m, unsigned in, unsigned out)
{
    int8_t  *caps;

    caps = m->caps;

    caps[MG_CAP_VISION] = mg_kind_has(in, MG_MODE_IMAGE,
                                      caps[MG_CAP_VISION]);
    caps[MG_CAP_IMAGE_GENERATION] = mg_kind_has(out, MG_MODE_IMAGE,
                                            caps[MG_CAP_IMAGE_GENERATION]);

    /* "no" needs both lists, "yes" only one */

    if ((in | out) & MG_MODE_AUDIO) {
        caps[MG_CAP_AUDIO] = 1;

    } else if (in & out & MG_MODE_KNOWN) {
        caps[MG_CAP_AUDIO] = 0;
    }
}
