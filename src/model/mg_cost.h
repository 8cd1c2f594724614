/*
 * mg_cost.h: what an inference cost.
 *
 *     cost = sum over the classes of  tokens x price
 *
 * in femto-USD as 128-bit integers, rounded once, half up, to nano-USD.  The
 * classes are disjoint, so cached and reasoning tokens count once.  Unknown
 * is not zero: a class that has tokens but no price makes the whole cost
 * unknown, with a reason; a price of 0 that is stated is 0.
 *
 *     input            price_input        what no cache held
 *     cache_read       price_cache_read
 *     cache_write      price_cache_write  for 5 minutes, or for no stated
 *                                         time
 *     cache_write_1h   of its own         no catalog price stands for it
 *     input_audio      price_input_audio  what no cache held
 *     tool_input       price_input        read by the model like a prompt
 *     output           price_output       neither reasoning nor sound
 *     reasoning        price_reasoning, or price_output where a model has
 *                      no price of its own for it
 *     output_audio     price_output_audio
 *
 * A tier is a price list of its own that holds for the whole request if its
 * input is above a size; what it does not state is unknown in it.
 *
 * Plain data without pointers: a price list may lie in a mapped snapshot.
 * mg_cost_count() runs in the event loop: it never blocks or allocates.
 */

#ifndef MG_COST_H
#define MG_COST_H

#include "model/mg_catalog.h"
#include "model/mg_usage.h"


#define MG_COST_UNKNOWN          -1        /* as mg_record_t has it: null */
#define MG_COST_TIERS_MAX        4

/* Prices are those of mg_price_e, and one that no catalog column holds. */
#define MG_COST_PRICE_WRITE_1H   MG_PRICE_N
#define MG_COST_PRICES           (MG_PRICE_N + 1)

#define MG_COST_TEXT_MAX         128


typedef enum {
    MG_COST_INPUT = 0,
    MG_COST_CACHE_READ,
    MG_COST_CACHE_WRITE,
    MG_COST_CACHE_WRITE_1H,
    MG_COST_INPUT_AUDIO,
    MG_COST_TOOL_INPUT,
    MG_COST_OUTPUT,
    MG_COST_REASONING,
    MG_COST_OUTPUT_AUDIO,
    MG_COST_N
} mg_cost_class_e;

extern const mg_str_t  mg_cost_class_names[MG_COST_N];


/* Why a cost is unknown. */
typedef enum {
    MG_COST_KNOWN = 0,
    MG_COST_NO_USAGE,        /* nobody stated any tokens */
    MG_COST_NO_COUNT,        /* the tokens of a class were not stated */
    MG_COST_NO_PRICE,        /* a class has tokens but no price */
    MG_COST_NO_SIZE,         /* there are tiers, the input is not known */
    MG_COST_TOO_LARGE,       /* beyond int64_t: figures or prices are wrong */
    MG_COST_REASONS
} mg_cost_reason_e;

/* Short names for a record or a metric: "no_price". */
extern const mg_str_t  mg_cost_reason_names[MG_COST_REASONS];


typedef struct {
    int64_t           size;                   /* tokens of input; holds above */
    int64_t           price[MG_COST_PRICES];
} mg_cost_tier_t;


/* Prices in femto-USD per token; MG_UNKNOWN where nobody states one. */
typedef struct {
    int64_t           price[MG_COST_PRICES];
    int64_t           tiers_n;
    mg_cost_tier_t    tiers[MG_COST_TIERS_MAX];    /* by size, ascending */
} mg_cost_prices_t;


typedef struct {
    int64_t           nano;      /* nano-USD, or MG_COST_UNKNOWN */
    mg_cost_reason_e  reason;
    mg_cost_class_e   at;        /* the class that made it unknown */
    int64_t           tokens;    /* of that class; MG_TOKENS_UNKNOWN */
} mg_cost_t;


/* All prices unknown, no tiers. */
void mg_cost_prices_init(mg_cost_prices_t *p);

/*
 * Takes the prices and tiers of a model of the catalog.  a: for the tiers'
 * JSON, may be destroyed afterwards.  MG_ERROR if the tiers are not
 * understood: p then has no price at all, since none is sure to hold.  Pool
 * thread.
 */
int mg_cost_prices_model(mg_cost_prices_t *p, const mg_model_t *m,
    mg_arena_t *a, mg_error_t *e);

/*
 * The disjoint classes of u; MG_TOKENS_UNKNOWN where nobody stated one.  A
 * part that a provider does not tell apart is within the class it is part of.
 */
void mg_cost_classes(const mg_usage_t *u, int64_t tokens[MG_COST_N]);

/* c->nano, which it returns, or why there is none.  Any thread. */
int64_t mg_cost_count(const mg_cost_prices_t *p, const mg_usage_t *u,
    mg_cost_t *c);

/*
 * Why the cost is unknown, in words: `4803 tokens of "cache_write_1h" have no
 * price`.  Returns the length of the text, 0 if the cost is known.
 */
size_t mg_cost_explain(const mg_cost_t *c, char out[MG_COST_TEXT_MAX]);


#endif /* MG_COST_H */
