/*
 * micro_decide.c: what it costs to decide which variant serves a request.
 *
 *     cc -O2 -Isrc -o micro_decide bench/micro_decide.c src/base/[a-z]*.c \
 *         src/model/[a-z]*.c src/snapshot/[a-z]*.c \
 *         -lyajl -lcrypto -lz -lm -lpthread
 *
 * A routing file of 1,000 groups with 5 members each, at 40 providers, whose
 * shares were moved often enough to cut the splits into pieces.  A decision is
 * what the split does from the name and the key on: the group by its name, the
 * key's hash for the record, bucket, variant, and the backend of that variant.
 * Groups and keys come at random, so that little of it is in the cache.  The
 * line says
 *
 *     decide mean 0.40 us p99 0.60 us of 1600000, 1000 groups, ...
 *
 * in CPU time, p99 over runs of 16.  The bar is 1 us.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mg_hash.h"
#include "snapshot/mg_snap_layout.h"
#include "snapshot/mg_snap_routing.h"


#define GROUPS      1000
#define MEMBERS     5
#define PROVIDERS   40
#define KEYS        4096
#define RUNS        100000
#define RUN         16


static char  names[GROUPS][32];
static char  keys[KEYS][48];


static int64_t
cpu_ns(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);

    return t.tv_sec * 1000000000LL + t.tv_nsec;
}


static int
cmp(const void *one, const void *two)
{
    int64_t  a = *(const int64_t *) one, b = *(const int64_t *) two;

    return (a > b) - (a < b);
}


static void
must(int rc, mg_error_t *e)
{
    if (rc != MG_OK) {
        fprintf(stderr, "%s\n", e->message);
        exit(1);
    }
}


static void
providers(mg_routing_builder_t *b)
{
    char           id[16], url[64];
    unsigned       i, unresolved;
    mg_error_t     e;
    mg_provider_t  p;

    for (i = 0; i < PROVIDERS; i++) {
        snprintf(id, sizeof(id), "provider%u", i);
        snprintf(url, sizeof(url), "http://127.0.0.%u:8080/v1", i + 1);

        mg_provider_init(&p);
        p.id = mg_str_z(id);
        p.org_id = mg_str(MG_ORG_DEFAULT);
        p.base_url = mg_str_z(url);
        p.protocol = mg_str("openai");

        must(mg_routing_builder_provider(b, &p, &unresolved, &e), &e);
    }
}


/* Shares that were moved a few times, as those of a canary are. */

static void
split(mg_group_t *g)
{
    unsigned    round;
    uint32_t    v, rest, share[MEMBERS];
    mg_error_t  e;

    g->n_ranges = 0;

    for (round = 0; round < 12; round++) {
        rest = MG_SPLIT_BUCKETS;

        for (v = 1; v < MEMBERS; v++) {
            share[v] = (uint32_t) rand() % (MG_SPLIT_BUCKETS / MEMBERS);
            rest -= share[v];
        }

        share[0] = rest;
        must(mg_split_move(g->ranges, g->n_ranges, share, MEMBERS, 0,
                           g->ranges, &g->n_ranges, &e), &e);
    }

    for (v = 0; v < MEMBERS; v++) {
        g->members[v].share = share[v];
    }
}


static unsigned
group(mg_routing_builder_t *b, unsigned i)
{
    char               id[40], table[48], models[MEMBERS][64];
    unsigned           v;
    mg_error_t         e;
    static mg_group_t  g;

    memset(&g, 0, sizeof(mg_group_t));

    snprintf(names[i], sizeof(names[i]), "group-%u-%x", i, i * 2654435761u);
    snprintf(id, sizeof(id), "018f0000-0000-7000-8000-%012x", i);
    snprintf(table, sizeof(table), "inference_%u", i);

    g.id = mg_str_z(id);
    g.org_id = mg_str(MG_ORG_DEFAULT);
    g.name = mg_str_z(names[i]);
    g.status = MG_GROUP_ACTIVE;
    g.strategy = MG_STRATEGY_CHAMPION_CHALLENGER;
    g.inference_table = mg_str_z(table);
    g.n_members = MEMBERS;

    for (v = 0; v < MG_SPLIT_SALT_LEN; v++) {
        g.salt[v] = (uint8_t) rand();
    }

    for (v = 0; v < MEMBERS; v++) {
        snprintf(models[v], sizeof(models[v]), "provider%u/model-%u-%u",
                 (i + v * 7) % PROVIDERS, i, v);
        g.members[v].model_id = mg_str_z(models[v]);
        g.members[v].role = v == 0 ? MG_MEMBER_CHAMPION
                                   : MG_MEMBER_CHALLENGER;
    }

    split(&g);
    must(mg_routing_builder_group(b, &g, &e), &e);

    return g.n_ranges;
}


static uint32_t
decide(const mg_snap_t *s, mg_str_t name, mg_str_t key)
{
    uint32_t              i;
    uint64_t              hash[2];
    mg_routing_group_t    g;
    mg_routing_variant_t  v;
    mg_routing_backend_t  b;

    if (mg_routing_group(s, name, NULL, &g) != MG_OK) {
        fprintf(stderr, "no group %.*s\n", MG_STR_ARG(name));
        exit(1);
    }

    mg_siphash128(g.salt, key.data, key.len, hash);

    i = mg_split_variant(g.ranges, g.n_ranges, mg_split_bucket(g.salt, key));

    mg_routing_variant(s, &g, i, &v);
    mg_routing_backend(s, v.backend, &b);

    return b.index + (uint32_t) hash[0] + (uint32_t) v.model_id.len;
}


int
main(void)
{
    unsigned               i, j, ranges;
    int64_t                start, sum, *took;
    uint32_t               all, n;
    mg_str_t               image;
    mg_snap_t              s;
    mg_error_t             e;
    mg_routing_builder_t  *b;

    srand(1);

    b = mg_routing_builder_create(1);
    providers(b);

    for (i = 0, ranges = 0; i < GROUPS; i++) {
        ranges += group(b, i);
    }

    must(mg_routing_builder_finish(b, &image, &e), &e);
    must(mg_snap_verify(image, MG_SNAP_ROUTING, &e), &e);

    for (i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "session-%08x-%08x-%08x",
                 (unsigned) rand(), (unsigned) rand(), i);
    }

    memset(&s, 0, sizeof(s));
    s.base = image.data;
    s.size = image.len;
    s.header = (const void *) image.data;

    took = calloc(RUNS, sizeof(int64_t));
    sum = 0;
    all = 0;
    n = 1;

    for (i = 0; i < RUNS; i++) {
        start = cpu_ns();

        for (j = 0; j < RUN; j++) {
            n = n * 1664525 + 1013904223;
            all += decide(&s, mg_str_z(names[(n >> 8) % GROUPS]),
                          mg_str_z(keys[(n >> 16) % KEYS]));
        }

        took[i] = cpu_ns() - start;
        sum += took[i];
    }

    qsort(took, RUNS, sizeof(int64_t), cmp);

    printf("decide mean %.3f us p99 %.3f us of %u, %u groups, %u variants, "
           "%u ranges, %.1f MB (%x)\n", (double) sum / RUNS / RUN / 1e3,
           (double) took[RUNS / 100 * 99] / RUN / 1e3, RUNS * RUN, GROUPS,
           GROUPS * MEMBERS, ranges, (double) image.len / 1e6, all);

    free(took);
    mg_routing_builder_destroy(b);

    return 0;
}
