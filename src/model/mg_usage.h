/*
 * mg_usage.h: token counts in one normal form, read from a response.
 *
 * Disjoint classes, so that cost is a plain sum: input_uncached,
 * cache_read, cache_write, output (reasoning included and counted apart).
 * The reader is fed the response's bytes as they pass (plain JSON or SSE,
 * by content type) and keeps only the last usage object it saw: the last
 * non-null one wins, Anthropic's deltas are laid over.  It never estimates.
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


typedef struct {
    int64_t    input;            /* all input tokens, cached ones included */
    int64_t    input_uncached;
    int64_t    cache_read;
    int64_t    cache_write;
    int64_t    output;           /* reasoning included */
    int64_t    reasoning;
    int64_t    audio_in;
    int64_t    audio_out;
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
    uint32_t           events;        /* SSE events so far */

    mg_usage_format_e  format;
    mg_sse_t           sse;
    mg_grab_t          grab;
    char               tail[8];       /* private: [DONE] matcher */
    uint32_t           tail_len;
} mg_usage_reader_t;


void mg_usage_init(mg_usage_reader_t *r, mg_usage_format_e format);
void mg_usage_feed(mg_usage_reader_t *r, const char *data, size_t len);

/* The body has ended (complete or not). */
void mg_usage_finish(mg_usage_reader_t *r);

/* JSON text of one usage object (any protocol's names) laid over *u. */
int mg_usage_object(mg_usage_t *u, mg_str_t json);

void mg_usage_clear(mg_usage_t *u);


#endif /* MG_USAGE_H */
