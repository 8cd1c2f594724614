/*
 * mg_usage.h: token counts in one normal form, read from a response.
 *
 * The input is in disjoint classes, so that cost is a plain sum:
 *
 *     input = input_uncached + cache_read + cache_write + audio_in
 *             + tool_input
 *
 * The output is one figure; reasoning and audio_out are parts of it that are
 * counted apart.  The reader is fed the response's bytes as they pass (plain
 * JSON, SSE or NDJSON, by content type) and keeps only the last usage object
 * it saw: the last non-null one wins, Anthropic's deltas are laid over.  It
 * never estimates.
 *
 *     bytes -> mg_sse (if SSE) -> mg_grab -> a small parser of integers
 *
 * Event loop; never blocks, never allocates; about 5 KB of state.
 */

#ifndef MG_USAGE_H
#define MG_USAGE_H

#include "base/mg_grab.h"
#include "base/mg_sse.h"


#define MG_TOKENS_UNKNOWN   -1


/* Bits of marks: what was put right, and how. */
enum {
    MG_USAGE_CACHED_BESIDE = 1,     /* more cached than prompt: it excludes
                                       them (Azure's xAI models) */
    MG_USAGE_FROM_TOTAL = 2,        /* output has tokens that the total alone
                                       tells of */
    MG_USAGE_REASONING_BESIDE = 4,  /* more reasoning than output: added */
    MG_USAGE_AUDIO_CACHED = 8       /* more sound than was left uncached */
};

#define MG_USAGE_MARKS      4

/* Names of the bits, the lowest first. */
extern const mg_str_t  mg_usage_mark_names[MG_USAGE_MARKS];


typedef struct {
    int64_t    input;            /* all input tokens, cached ones included */
    int64_t    input_uncached;
    int64_t    cache_read;
    int64_t    cache_write;
    int64_t    output;           /* reasoning and audio_out included */
    int64_t    reasoning;
    int64_t    audio_in;         /* uncached */
    int64_t    audio_out;
    int64_t    cache_write_5m;   /* parts of cache_write, if it is stated */
    int64_t    cache_write_1h;   /* for how long */
    int64_t    tool_input;       /* what tools gave the model to read */
    uint64_t   marks;
} mg_usage_t;


typedef enum {
    MG_USAGE_NONE = 0,           /* nobody stated anything */
    MG_USAGE_PROVIDER,           /* the provider's final figure */
    MG_USAGE_PARTIAL             /* the last word of a stream cut short */
} mg_usage_source_e;


typedef enum {
    MG_USAGE_JSON = 0,
    MG_USAGE_SSE,
    MG_USAGE_NDJSON
} mg_usage_format_e;


typedef struct {
    mg_usage_t         usage;
    unsigned           seen:1;        /* some usage object was read */
    unsigned           done:1;        /* a terminal event was seen */
    unsigned           error:1;       /* an error object inside the body */
    unsigned           event_data:1;  /* private */
    unsigned           says_done:1;   /* private: the event or line that is */
    unsigned           says_why:1;    /* being read, until it has ended */
    unsigned           cut:1;         /* private: it ends with the body */
    unsigned           finished:1;    /* the model's reason to stop was seen */
    uint32_t           events;        /* SSE events so far */

    mg_usage_format_e  format;
    mg_sse_t           sse;
    mg_grab_t          grab;
    char               tail[8];       /* private: [DONE] matcher */
    uint32_t           tail_len;
} mg_usage_reader_t;


/*
 * How a body of this type is read; parameters behind a ";" are skipped.
 * MG_OK, or MG_DECLINED: no usage is stated in such a body.
 */
int mg_usage_format(mg_str_t type, mg_usage_format_e *format);

/* 1: the Content-Encoding, which may be empty, is one that is not read. */
int mg_usage_encoded(mg_str_t encoding);

/* Begins a response; *r needs no other preparation and no cleanup. */
void mg_usage_init(mg_usage_reader_t *r, mg_usage_format_e format);

/* The next bytes, cut anywhere; data is not kept. */
void mg_usage_feed(mg_usage_reader_t *r, const char *data, size_t len);

/* The body has ended (complete or not). */
void mg_usage_finish(mg_usage_reader_t *r);

/*
 * 1 if the bytes so far are a stream without an end: neither its terminal
 * event, nor the model's reason to stop, nor an error was seen.  0 for plain
 * JSON, whose length the transport guards.
 */
int mg_usage_truncated(const mg_usage_reader_t *r);

/*
 * How far the figures can be trusted.  whole: the transport delivered the
 * body to its end.  Partial, too, if a usage object was too long to be read.
 */
mg_usage_source_e mg_usage_source(const mg_usage_reader_t *r, int whole);

/*
 * JSON text of one usage object (any protocol's names) laid over *u, which
 * was cleared before the first.  MG_OK; MG_DECLINED if it states no figure
 * that is known, MG_ERROR if it is no object or cut short: *u is as it was.
 */
int mg_usage_object(mg_usage_t *u, mg_str_t json);

/*
 * The same for one figure that stands alone: all of the input, or with output
 * not 0 all of the output.  MG_ERROR if json is no number of tokens.
 */
int mg_usage_figure(mg_usage_t *u, mg_str_t json, int output);

/*
 * 1 if the body, which was delivered to its end, may have had figures that
 * could not be read: too long, too deep, or no JSON.
 */
int mg_usage_missed(const mg_usage_reader_t *r);

void mg_usage_clear(mg_usage_t *u);


#endif /* MG_USAGE_H */
