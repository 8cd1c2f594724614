/*
 * micro_search.c: what a search costs the worker that answers it.
 *
 *     make build/unit/gcc/libmodel.a
 *     cc -O2 -Isrc -o micro_search bench/micro_search.c \
 *         build/unit/gcc/libmodel.a -lpq -lyajl -lhiredis -lcurl -lcrypto \
 *         -lz -lpthread -lm
 *
 * Models are made up from labs, families, sizes and variants, a quarter of
 * them with a suffix of their own, at 150 providers: 5,269 and 1,000,000, or
 * as many as the arguments say.  Searches are two words each: both common,
 * common and rare, cut words, words with marks, misspelt ones, with and
 * without filters and sorts.  Each line says
 *
 *     search-5k p50 12.3 us p99 45.6 us max 78.9 us of 4000, ...
 *
 * in CPU time of the thread.  The bars are p99 of 300 us at 5,269 models and
 * of 5,000 us at 1,000,000.  Building is timed, too (build-5k, ...).
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_layout.h"


#define ROUNDS      40
#define PROVIDERS   150


static const char  *makers[] = {
    "anthropic", "openai", "google", "meta-llama", "mistralai", "qwen",
    "deepseek-ai", "x-ai", "cohere", "microsoft", "nvidia", "ibm-granite",
    "moonshotai", "zai-org", "minimax", "baidu", "01-ai", "nousresearch",
    "tiiuae", "stabilityai"
};

static const char  *families[] = {
    "claude-3.5", "claude-4", "gpt-4o", "gpt-4.1", "gpt-5", "o3", "gemini-2.5",
    "gemini-2.0", "gemma-3", "llama-3.1", "llama-3.3", "llama-4", "mistral",
    "mixtral", "codestral", "qwen2.5", "qwen3", "deepseek-v3", "deepseek-r1",
    "grok-4", "command-r", "phi-4", "nemotron", "granite-3", "kimi-k2",
    "glm-4.5", "minimax-m1", "ernie-4.5", "yi-large", "hermes-3", "falcon-3",
    "stable-diffusion"
};

static const char  *sizes[] = {
    "1b", "3b", "7b", "8b", "14b", "32b", "70b", "405b", "mini", "large",
    "sonnet", "haiku"
};

static const char  *variants[] = {
    "instruct", "chat", "base", "thinking", "vision", "coder", "preview",
    "turbo", "fp8", "awq", "gguf", "20250219", "20240731", "latest", "fast",
    "free"
};

static const char  *searches[] = {
    "llama instruct", "instruct chat", "model gpt", "claude sonnet",
    "gpt-4o mini", "deepseek-v3 chat", "a e", "1 b", "in st", "e 4",
    "gemini-2.5 vision", "qwen coder", "qwen3 32b", "meta-llama 70b",
    "provider instruct", "provider gpt", "ai preview", "custom mini",
    "claude-3.5 sonnet", "mistral 7b", "stral turbo", "lama struct",
    "openai gpt", "/ -", "gpt-4.1 -mini", "gtp mini", "claud sonet",
    "deepsek thinkng", "anthropc haiku", "nothing here", "gpt4o mini",
    "provider12 llama", "r1 free", "20250219 opus", "ft-1a2b large"
};


static int64_t
now_ns(clockid_t clock)
{
    struct timespec  t;

    clock_gettime(clock, &t);

    return t.tv_sec * 1000000000LL + t.tv_nsec;
}


static int
cmp(const void *one, const void *two)
{
    int64_t  a = *(const int64_t *) one, b = *(const int64_t *) two;

    return (a > b) - (a < b);
}


#define PICK(list, n)  (list)[(n) % (sizeof(list) / sizeof((list)[0]))]

static void
add(mg_catalog_builder_t *b, uint32_t i)
{
    char         provider[32], id[256], name[256], own[32];
    uint32_t     k;
    mg_error_t   e;
    mg_model_t   m;
    const char  *lab, *family, *size, *variant;

    k = i / PROVIDERS + i % PROVIDERS * 41;
    snprintf(provider, sizeof(provider), "provider%u", i % PROVIDERS);

    variant = PICK(variants, k);
    k /= sizeof(variants) / sizeof(variants[0]);
    family = PICK(families, k);
    k /= sizeof(families) / sizeof(families[0]);
    size = PICK(sizes, k);
    k /= sizeof(sizes) / sizeof(sizes[0]);
    lab = PICK(makers, k + i);

    own[0] = '\0';

    if (i % 4 == 0 || k > 0) {
        snprintf(own, sizeof(own), "-ft-%08x", i * 2654435761u);
    }

    snprintf(id, sizeof(id), "%s/%s/%s-%s-%s%s", provider, lab, family, size,
             variant, own);
    snprintf(name, sizeof(name), "%s %s %s%s", family, size, variant,
             i % 9 == 0 ? " (custom model)" : "");

    mg_model_init(&m);
    m.id = mg_str_z(id);
    m.provider_id = mg_str_z(provider);
    m.provider_model_id = mg_str_z(id + strlen(provider) + 1);
    m.name = mg_str_z(name);
    m.family = mg_str_z(family);
    m.type = (mg_model_type_e) (i % 11 == 0 ? MG_TYPE_EMBEDDING
                                            : MG_TYPE_CHAT);
    m.caps[MG_CAP_VISION] = i % 3 == 0;
    m.caps[MG_CAP_REASONING] = i % 5 == 0;
    m.open_weights = i % 2;
    m.context = 1000 * (1 + i % 1000);
    m.price[MG_PRICE_INPUT] = 1000000LL * (i * 2654435761u >> 20);
    m.price[MG_PRICE_OUTPUT] = 5000000LL * (i * 2654435761u >> 20);
    m.release_date = i % 7 ? mg_str("2025-02-19") : mg_str("2024-07");
    m.modalities_in = i % 3 ? mg_str("[\"text\"]")
                            : mg_str("[\"text\",\"image\"]");
    m.modalities_out = mg_str("[\"text\"]");
    m.source = mg_str("models.dev");

    if (mg_catalog_builder_model(b, &m, &e) != MG_OK) {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }
}


static mg_catalog_builder_t *
build(const char *row, uint32_t n, mg_str_t *image)
{
    char                   id[32];
    int64_t                start;
    uint32_t               i;
    mg_error_t             e;
    mg_provider_t          p;
    mg_catalog_builder_t  *b;

    start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    b = mg_catalog_builder_create(1);

    for (i = 0; i < PROVIDERS; i++) {
        mg_provider_init(&p);
        snprintf(id, sizeof(id), "provider%u", i);
        p.id = mg_str_z(id);
        p.name = p.id;
        (void) mg_catalog_builder_provider(b, &p, &e);
    }

    for (i = 0; i < n; i++) {
        add(b, i);
    }

    if (mg_catalog_builder_finish(b, image, &e) != MG_OK) {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }

    printf("build-%s %.1f ms, %u models, %.1f MB\n", row,
           (double) (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e6, n,
           (double) image->len / 1e6);

    start = now_ns(CLOCK_PROCESS_CPUTIME_ID);

    if (mg_snap_verify(*image, MG_SNAP_CATALOG, &e) != MG_OK) {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }

    printf("verify-%s %.1f ms\n", row,
           (double) (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e6);

    return b;
}


static void
ask(const char *row, mg_str_t image)
{
    int64_t                   start, *times, *worst;
    unsigned                  i, n, round;
    mg_snap_t                 s;
    mg_catalog_query_t        q;
    static mg_catalog_page_t  page;

    n = sizeof(searches) / sizeof(searches[0]);
    times = calloc(n * ROUNDS, sizeof(int64_t));
    worst = calloc(n, sizeof(int64_t));

    memset(&s, 0, sizeof(s));
    s.base = image.data;
    s.size = image.len;
    s.header = (const void *) image.data;

    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < n; i++) {
            mg_catalog_query_init(&q);
            q.search = mg_str_z(searches[i]);
            q.sort = MG_SORT_RELEVANCE;

            if (round % 4 == 1) {
                q.capability = MG_CAP_VISION;
                q.min_context = 100000;

            } else if (round % 4 == 2) {
                q.sort = MG_SORT_INPUT_PRICE;
                q.descending = 1;

            } else if (round % 4 == 3) {
                q.page = 20;
            }

            start = now_ns(CLOCK_THREAD_CPUTIME_ID);
            mg_catalog_list(&s, &q, &page);
            start = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;

            times[round * n + i] = start;
            worst[i] = start > worst[i] ? start : worst[i];

            if (round == 4 && getenv("MICRO_SEARCH_VERBOSE")) {
                fprintf(stderr, "%-20s %8u%s%s %10.1f us\n", searches[i],
                        page.total, page.approximate ? " near" : "",
                        page.at_least ? " at least" : "",
                        (double) start / 1e3);
            }
        }
    }

    qsort(times, n * ROUNDS, sizeof(int64_t), cmp);

    printf("search-%s p50 %.1f us p99 %.1f us max %.1f us of %u\n", row,
           (double) times[n * ROUNDS / 2] / 1e3,
           (double) times[n * ROUNDS * 99 / 100] / 1e3,
           (double) times[n * ROUNDS - 1] / 1e3, n * ROUNDS);

    free(times);
    free(worst);
}


int
main(int argc, char **argv)
{
    int                    i;
    uint32_t               n;
    mg_str_t               image;
    mg_catalog_builder_t  *b;

    static const struct {
        const char  *row;
        uint32_t     n;
    } sizes_of[] = {
        { "5k", 5269 },
        { "100k", 100000 },
        { "1m", 1000000 }
    };

    for (i = 0; i < 3; i++) {
        n = argc > i + 1 ? (uint32_t) atoi(argv[i + 1]) : sizes_of[i].n;

        if (n == 0) {
            continue;
        }

        b = build(sizes_of[i].row, n, &image);
        ask(sizes_of[i].row, image);
        mg_catalog_builder_destroy(b);
    }

    return 0;
}
