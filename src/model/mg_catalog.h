/*
 * mg_catalog.h: what a model and a provider are, wherever they travel.
 *
 * Adapters fill a mg_model_t from a provider's list, the store writes and
 * reads it, the snapshot builder renders it.  Unknown is not zero: numbers
 * are MG_UNKNOWN, tri-state flags -1, strings {NULL, 0}.  Strings belong
 * to whoever made the struct (an arena); a struct is valid as long as that
 * arena.
 *
 * Plain data; any thread.
 */

#ifndef MG_CATALOG_H
#define MG_CATALOG_H

#include "base/mg_arena.h"
#include "base/mg_error.h"
#include "base/mg_json.h"


#define MG_UNKNOWN            INT64_MIN

#define MG_MODEL_ID_MAX       256      /* "provider/model", bytes */
#define MG_PROVIDER_ID_MAX    64

/* Headers of a provider: how many, and bytes of a name and of a value. */
#define MG_PROVIDER_HEADERS_MAX       8
#define MG_PROVIDER_HEADER_NAME_MAX   64
#define MG_PROVIDER_HEADER_MAX        1024
#define MG_ORG_DEFAULT        "00000000-0000-0000-0000-000000000001"


/* The eight capabilities of the contract; bit n of a mask, index of caps[]. */
typedef enum {
    MG_CAP_VISION = 0,
    MG_CAP_FUNCTION_CALLING,
    MG_CAP_STREAMING,
    MG_CAP_JSON_MODE,
    MG_CAP_IMAGE_GENERATION,
    MG_CAP_AUDIO,
    MG_CAP_CODE_GENERATION,
    MG_CAP_REASONING,
    MG_CAP_N
} mg_capability_e;


/* Names in the order of the enum, "vision" first. */
extern const mg_str_t  mg_capability_names[MG_CAP_N];

/* Index of a name, or -1. */
int mg_capability_find(mg_str_t name);


typedef enum {
    MG_TYPE_OTHER = 0,
    MG_TYPE_CHAT,
    MG_TYPE_EMBEDDING,
    MG_TYPE_IMAGE,
    MG_TYPE_AUDIO,
    MG_TYPE_RERANK,
    MG_TYPE_TABULAR,
    MG_TYPE_N
} mg_model_type_e;

extern const mg_str_t  mg_model_type_names[MG_TYPE_N];
int mg_model_type_find(mg_str_t name);


/* Prices in the order of the columns price_input, price_output, ... */
typedef enum {
    MG_PRICE_INPUT = 0,
    MG_PRICE_OUTPUT,
    MG_PRICE_CACHE_READ,
    MG_PRICE_CACHE_WRITE,
    MG_PRICE_REASONING,
    MG_PRICE_INPUT_AUDIO,
    MG_PRICE_OUTPUT_AUDIO,
    MG_PRICE_N
} mg_price_e;

extern const mg_str_t  mg_price_names[MG_PRICE_N];


typedef struct {
    mg_str_t         id;                 /* provider_id "/" provider_model_id */
    mg_str_t         provider_id;
    mg_str_t         provider_model_id;  /* opaque: may hold / : @ ~ */
    mg_str_t         name;
    mg_str_t         description;
    mg_str_t         family;
    mg_str_t         version;
    mg_str_t         status;             /* alpha, beta, deprecated; absent */
    mg_str_t         health;             /* unknown, available, unavailable */
    mg_model_type_e  type;

    /*
     * 1: the source does not state it; the adapter made the name of the id,
     * the type of id and modalities.  Such a value ranks as
     * MG_RANK_INFERRED, whoever delivers it.
     */
    int8_t           name_inferred;
    int8_t           type_inferred;

    int8_t           caps[MG_CAP_N];     /* 1, 0, -1 unknown */
    int8_t           attachment;
    int8_t           temperature;
    int8_t           open_weights;
    int8_t           active;             /* 1, 0 */

    int64_t          context;            /* tokens */
    int64_t          input_limit;
    int64_t          output_limit;
    int64_t          price[MG_PRICE_N];  /* femto-USD per token */
    mg_str_t         price_tiers;        /* JSON array text, as models.dev
                                            has it: USD per million */

    int64_t          benchmark_score;    /* thousandths: 0 to 100,000 ... */
    int64_t          popularity_score;
    int64_t          reliability_score;  /* ... is 0 to 100 */

    mg_str_t         release_date;       /* as given: 2024-07 or 2024-07-31 */
    mg_str_t         last_updated;
    mg_str_t         knowledge;
    mg_str_t         deprecation_date;

    mg_str_t         modalities_in;      /* JSON array text */
    mg_str_t         modalities_out;
    mg_str_t         tags;               /* JSON array text */
    mg_str_t         extra;              /* JSON object: members that no
                                            column holds, as they came */

    mg_str_t         source;             /* who made the row: models.dev,
                                            manual, <protocol> */
    mg_str_t         source_model_id;    /* what that source calls it, where
                                            it is not provider_model_id */
    mg_str_t         sources;            /* out, JSON object text: {source:
                                            {"id", "fetched_at"}} */
    mg_str_t         provenance;         /* out, JSON object text: {member:
                                            source} */
    int64_t          created_at;         /* us since 1970, 0 unknown */
    int64_t          updated_at;
    int64_t          refreshed_at;
} mg_model_t;


typedef struct {
    mg_str_t         id;
    mg_str_t         org_id;             /* UUID text */
    mg_str_t         name;
    mg_str_t         protocol;           /* openai, anthropic, ...; absent */
    mg_str_t         base_url;
    mg_str_t         doc;
    mg_str_t         npm;                /* models.dev's protocol hint */
    mg_str_t         env;                /* JSON array text */
    mg_str_t         headers;            /* JSON object text, sent upstream */
    mg_str_t         paths;              /* JSON object text, see mg_path.h */
    mg_str_t         probe;              /* path of its health check */
    mg_str_t         source;             /* models.dev, manual */
    mg_str_t         key_sealed;         /* mg_crypt; binary; own keys only */
    mg_str_t         key_hint;           /* last 4 characters */
    int64_t          connect_timeout_ms; /* MG_UNKNOWN: the default */
    int64_t          read_timeout_ms;
    int64_t          rate_limit;         /* requests a minute */
    int64_t          max_concurrency;
    int8_t           active;
    int8_t           stream_usage;       /* -1: as its protocol has it */
    mg_str_t         extra;              /* JSON object: members of the
                                            source that no column holds */
    int64_t          total;              /* counts of models ... */
    int64_t          available;
    int64_t          unavailable;
    int64_t          unknown;
    int64_t          last_synced_at;
    int64_t          last_validated_at;
} mg_provider_t;


/* One result of a benchmark; strings as the source gives them. */
typedef struct {
    mg_str_t         model_id;           /* of the catalog, or the source's
                                            "lab/model" while it is staged */
    mg_str_t         name;               /* "MMLU-Pro" */
    mg_str_t         score;              /* decimal text */
    mg_str_t         metric;             /* "accuracy"; absent ... */
    mg_str_t         harness;
    mg_str_t         variant;
    mg_str_t         dataset;
    mg_str_t         version;
    mg_str_t         url;                /* where it was published */
    mg_str_t         date;               /* as given */
    mg_str_t         source;             /* models.dev, manual */
} mg_benchmark_t;


/*
 * Whose word counts more, field by field; a lower number wins.  Stored with
 * what a source said, so the order must not change.
 */
typedef enum {
    MG_RANK_MANUAL = 0,
    MG_RANK_PROVIDER = 10,               /* the provider's own API */
    MG_RANK_MODELS_DEV = 20,
    MG_RANK_LIST = 30,                   /* other public lists */
    MG_RANK_INFERRED = 40                /* name patterns, defaults */
} mg_rank_e;


/* All members unknown; caps -1, active 1, health "unknown". */
void mg_model_init(mg_model_t *m);
void mg_provider_init(mg_provider_t *p);

/*
 * Checks that nobody's model enters with a bad id, oversized strings, NUL
 * or invalid UTF-8.  MG_OK, or MG_ERROR with param naming the member.
 */
int mg_model_check(const mg_model_t *m, mg_error_t *e);

/*
 * The same for a benchmark: name and score are needed, the score is a decimal
 * number of at most 32 characters.
 */
int mg_benchmark_check(const mg_benchmark_t *b, mg_error_t *e);

/* [a-z0-9][a-z0-9._-]{0,63} */
int mg_provider_id_ok(mg_str_t id);

/*
 * 1 if a provider may have this header: a name that neither belongs to one
 * connection nor is the gateway's own, a value that cannot end the line.
 */
int mg_provider_header_ok(mg_str_t name, mg_str_t value);

/*
 * API bodies: POST (all required members) and PATCH (patch != 0; members
 * that are absent keep what *m / *p holds).  An unknown member is an error
 * that names it.  Strings point into the arena of json.  In a provider,
 * *api_key gets the plain key, {NULL, 0} if none was sent, and "" for null,
 * which takes away the one there is.
 */
int mg_model_parse(const mg_json_t *json, int patch, mg_arena_t *a,
    mg_model_t *m, mg_error_t *e);
int mg_provider_parse(const mg_json_t *json, int patch, mg_arena_t *a,
    mg_provider_t *p, mg_str_t *api_key, mg_error_t *e);


#endif /* MG_CATALOG_H */
