/*
 * mg_keep_publish.c: makes the files of a node be what the database is.
 *
 *     generations of the database <> generations of the files
 *         -> copy in Redis, or the right to build
 *         -> lock STATE/keeper.lock -> ask again -> take the copy, else read
 *         PostgreSQL -> publish -> announce in the zone -> to Redis
 *
 * A change is built at once, but two builds begin at least twice the CPU time
 * apart that the first one took this thread.  So a lone change is served
 * soon, and a storm of them costs three quarters of a core at most, however
 * large the catalog is.  What jobs write nobody waits for: where nothing else
 * has changed a build begins half a second later, for more may come; that
 * leaves it the other half of the second that a change may take.
 *
 * The question is asked again under the lock, so of two workers 0 (one is
 * leaving at a reload) the one that publishes later has seen the later
 * state, and no older file replaces a newer one.  A generation that went
 * back is a database that was restored: PostgreSQL is the truth.
 *
 * Pool thread, one at a time, which waits for one of low priority: that one
 * makes the file, checks it and shares it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/mg_aside.h"
#include "job/mg_keep_local.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_resolve.h"
#include "snapshot/mg_snap_routing.h"
#include "store/mg_store.h"


#define mg_keep_word(env, i, member)                                          \
    (*(uint64_t *) ((char *) (env)->state + mg_keep_kinds[i].member))


#define MG_KEEP_RETRY         (5 * MG_KEEP_SECOND)    /* failed build */
#define MG_KEEP_NAMES         (30 * MG_KEEP_SECOND)   /* resolve again */
#define MG_KEEP_NAMES_FAST    (5 * MG_KEEP_SECOND)    /* some are missing */
#define MG_KEEP_UNAWAITED     (MG_KEEP_SECOND / 2)    /* what jobs write */
#define MG_KEEP_LOCK_MS       3000


/* A builder of either kind, and its image. */
typedef struct {
    mg_catalog_builder_t  *catalog;
    mg_routing_builder_t  *routing;
    mg_str_t               image;       /* owned by the builder */
    uint64_t               generation;
    unsigned               unresolved;
    unsigned               names;       /* mg_resolve_changes() before it */
} mg_keep_build_t;


typedef int (*mg_keep_build_pt)(mg_pg_t *db, mg_keep_build_t *b,
    mg_error_t *e);


/* What is done on a thread of its own. */
typedef struct {
    const mg_env_t  *env;
    mg_keep_t       *keep;
    mg_pg_t         *db;
    unsigned         kind;          /* of mg_keep_kinds[] */
    int              shared;        /* MG_OK: Redis has it */
    uint64_t         wanted;
    uint64_t         published;     /* 0: nothing */
    mg_error_t       error;
    int              rc;
} mg_keep_work_t;


/* One row a kind; the words of mg_state_t that tell of it. */
typedef struct {
    unsigned               kind;
    const char            *name;
    mg_keep_build_pt       build;
    int64_t                pause;       /* us from one to the next, at most */
    unsigned               made;        /* mg_histogram_e: from PostgreSQL */
    unsigned               adopted;     /* and from Redis */
    size_t                 generation;
    size_t                 built;
    size_t                 serial;
    size_t                 bytes;
} mg_keep_kind_t;


static uint64_t mg_keep_wanted(const mg_generations_t *g, unsigned i);
static int mg_keep_waits(const mg_env_t *env, mg_keep_t *k, unsigned i,
    const mg_generations_t *g);
static void mg_keep_pause(mg_keep_t *k, unsigned i, int64_t begun,
    int64_t us);
static int mg_keep_attempt(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    unsigned i, int shared, const int *cancel, mg_error_t *e);
static int mg_keep_renew(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    unsigned i, int shared, mg_error_t *e);
static void mg_keep_work(void *data);
static int mg_keep_adopt(const mg_env_t *env, mg_keep_t *k, unsigned i,
    uint64_t wanted, mg_error_t *e);
static int mg_keep_make(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    unsigned i, uint64_t old, mg_error_t *e);
static int mg_keep_put(const mg_env_t *env, mg_keep_t *k, unsigned i,
    mg_str_t image, mg_snap_t **published, mg_error_t *e);
static int mg_keep_build_catalog(mg_pg_t *db, mg_keep_build_t *b,
    mg_error_t *e);
static int mg_keep_build_routing(mg_pg_t *db, mg_keep_build_t *b,
    mg_error_t *e);
static void mg_keep_build_free(mg_keep_build_t *b);
static void mg_keep_announce(const mg_env_t *env, mg_keep_t *k, unsigned i,
    const mg_snap_t *snap);
static int mg_keep_names_due(const mg_env_t *env, const mg_keep_t *k);
static void mg_keep_names_known(mg_keep_t *k, const mg_snap_t *snap);
static int mg_keep_names_publish(const mg_env_t *env, mg_keep_t *k,
    const mg_keep_build_t *b, mg_error_t *e);


static const mg_keep_kind_t  mg_keep_kinds[MG_KEEP_KINDS] = {

    { MG_SNAP_CATALOG, "catalog", mg_keep_build_catalog,
      30 * MG_KEEP_SECOND, MG_H_REBUILD_CATALOG, MG_H_ADOPT_CATALOG,
      offsetof(mg_state_t, catalog_generation),
      offsetof(mg_state_t, catalog_built_us),
      offsetof(mg_state_t, catalog_serial),
      offsetof(mg_state_t, catalog_bytes) },

    { MG_SNAP_ROUTING, "routing", mg_keep_build_routing,
      MG_KEEP_SECOND / 10, MG_H_REBUILD_ROUTING, MG_H_ADOPT_ROUTING,
      offsetof(mg_state_t, routing_generation),
      offsetof(mg_state_t, routing_built_us),
      offsetof(mg_state_t, routing_serial),
      offsetof(mg_state_t, routing_bytes) }
};


/* A file that is sound is announced, one that is not is built anew. */

void
mg_keep_verify(const mg_env_t *env, mg_keep_t *k, unsigned i, int locked)
{
    int         rc;
    mg_snap_t  *snap;
    mg_error_t  e;

    if (!locked && mg_word_get(mg_keep_word(env, i, serial)) != 0) {

        /* a reload: what was announced before may be newer than we see */

        return;
    }

    rc = mg_snap_open(&snap, env->state_dir, mg_keep_kinds[i].kind, 1, &e);

    if (rc == MG_OK) {
        mg_keep_announce(env, k, i, snap);
        mg_snap_close(snap);
        return;
    }

    if (rc == MG_ERROR) {
        env->log(MG_LOG_WARN, "the %s snapshot in \"%s\" is not used and "
                 "will be built anew: %s",
                 mg_keep_kinds[i].name, env->state_dir, e.message);
    }

    mg_word_set(mg_keep_word(env, i, generation), 0);
    mg_word_set(mg_keep_word(env, i, built), 0);
}


/* A build that fails is logged and tried again later, no error here. */

int
mg_keep_publish(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, unsigned i,
    const mg_generations_t *g, const int *cancel, mg_error_t *e)
{
    int         rc;
    uint64_t    wanted;
    mg_error_t  why;

    wanted = mg_keep_wanted(g, i);

    if (mg_keep_stop(cancel)) {
        return MG_OK;
    }

    if (mg_word_get(mg_keep_word(env, i, built)) != 0
        && mg_word_get(mg_keep_word(env, i, generation)) == wanted)
    {
        k->noticed_us[i] = 0;

        if (i == MG_KEEP_CATALOG) {
            mg_keep_confirm(env, k);
        }

        return MG_OK;
    }

    if (k->failed_us[i] != 0
        && k->tried[i] == wanted
        && mg_mono_us() - k->failed_us[i] < MG_KEEP_RETRY)
    {
        return MG_OK;
    }

    if (mg_keep_waits(env, k, i, g)) {
        return MG_OK;
    }

    rc = mg_keep_share_claim(env, k, i, mg_keep_kinds[i].kind, wanted);

    if (rc == MG_AGAIN) {
        return MG_OK;
    }

    rc = mg_keep_attempt(env, k, db, i, rc, cancel, &why);

    if (rc == MG_OK || rc == MG_AGAIN || why.kind == MG_E_CANCELLED) {
        return MG_OK;
    }

    mg_metric_add(env->metrics, SNAPSHOT_FAILED, 1);

    if (i == MG_KEEP_CATALOG) {
        mg_metric_add(env->metrics, L3_MISSES, 1);
        mg_keep_stale(env, k);
    }

    if (k->failed_us[i] == 0 || k->tried[i] != wanted) {
        env->log(MG_LOG_ERROR, "cannot build generation %llu of the %s "
                 "snapshot, the old one stays: %s",
                 (unsigned long long) wanted, mg_keep_kinds[i].name,
                 why.message);
    }

    k->tried[i] = wanted;
    k->failed_us[i] = mg_mono_us();

    if (why.kind == MG_E_UNAVAILABLE) {
        *e = why;
        return MG_ERROR;
    }

    return MG_OK;
}


static uint64_t
mg_keep_wanted(const mg_generations_t *g, unsigned i)
{
    return (i == MG_KEEP_ROUTING) ? g->routing : g->catalog;
}


/* 1: the last one is too young, the next one comes with a later round. */

static int
mg_keep_waits(const mg_env_t *env, mg_keep_t *k, unsigned i,
    const mg_generations_t *g)
{
    int64_t  now, next, rest;

    if (mg_word_get(env->state->phase) != MG_PHASE_READY) {
        return 0;
    }

    now = mg_mono_us();
    next = k->next_us[i];

    if (k->noticed_us[i] == 0) {
        k->noticed_us[i] = now;
    }

    if (i == MG_KEEP_CATALOG
        && g->awaited <= mg_word_get(mg_keep_word(env, i, generation))
        && next < k->noticed_us[i] + MG_KEEP_UNAWAITED)
    {
        next = k->noticed_us[i] + MG_KEEP_UNAWAITED;
    }

    rest = next - now;

    if (rest <= 0) {
        return 0;
    }

    mg_keep_again(k, (unsigned) (rest / 1000) + 1);

    return 1;
}


static void
mg_keep_pause(mg_keep_t *k, unsigned i, int64_t begun, int64_t us)
{
    if (us > mg_keep_kinds[i].pause) {
        us = mg_keep_kinds[i].pause;
    }

    k->noticed_us[i] = 0;
    k->next_us[i] = begun + us;
}


void
mg_keep_again(mg_keep_t *k, unsigned ms)
{
    if (k->again_ms == 0 || ms < k->again_ms) {
        k->again_ms = ms;
    }
}


/* shared: as of mg_keep_share_claim(); MG_AGAIN: what was there was bad. */

static int
mg_keep_attempt(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, unsigned i,
    int shared, const int *cancel, mg_error_t *e)
{
    int  fd, rc;

    fd = mg_keep_lock(env, cancel, e);

    if (fd == -1) {
        rc = MG_ERROR;

    } else {
        rc = mg_keep_renew(env, k, db, i, shared, e);
        (void) close(fd);
    }

    if (rc == MG_AGAIN) {
        return rc;
    }

    mg_keep_share_release(env, k, i);

    if (rc == MG_OK) {
        k->failed_us[i] = 0;
    }

    return rc;
}


/* Under the lock of the folder. */

static int
mg_keep_renew(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, unsigned i,
    int shared, mg_error_t *e)
{
    int64_t           begun, cpu_ns;
    uint64_t          wanted, published;
    mg_aside_t        aside;
    mg_keep_work_t    work;
    mg_generations_t  g;

    begun = mg_mono_us();
    cpu_ns = mg_cpu_ns();

    if (mg_store_generations(db, &g, e) != MG_OK) {
        return MG_ERROR;
    }

    wanted = mg_keep_wanted(&g, i);
    published = 0;

    if (mg_word_get(mg_keep_word(env, i, built)) != 0) {
        published = mg_word_get(mg_keep_word(env, i, generation));

        if (published == wanted) {
            return MG_OK;
        }

        if (published > wanted) {
            env->log(MG_LOG_WARN, "the database has generation %llu of the "
                     "%s, the published file %llu: was it restored?  The "
                     "file is built anew", (unsigned long long) wanted,
                     mg_keep_kinds[i].name, (unsigned long long) published);
        }
    }

    work.env = env;
    work.keep = k;
    work.db = db;
    work.kind = i;
    work.shared = shared;
    work.wanted = wanted;
    work.published = published;

    /* below everybody else: it takes a core for a tenth of a second */

    mg_aside_begin(&aside, mg_keep_work, &work);
    mg_aside_end(&aside);

    if (work.rc != MG_OK) {
        *e = work.error;
        return work.rc;
    }

    k->cost_us[i] = mg_mono_us() - begun;

    mg_keep_pause(k, i, begun,
                  2 * (mg_cpu_ns() - cpu_ns + aside.cpu_ns) / 1000);

    if (i == MG_KEEP_ROUTING) {
        k->names_us = mg_mono_us();

    } else {
        mg_keep_confirm(env, k);
    }

    /* look at once whether it was a sync */

    k->history_us = 0;

    return MG_OK;
}


static void
mg_keep_work(void *data)
{
    int64_t          begun;
    mg_keep_work_t  *w;

    w = data;
    w->rc = MG_DECLINED;

    if (w->shared == MG_OK) {
        begun = mg_mono_us();
        w->rc = mg_keep_adopt(w->env, w->keep, w->kind, w->wanted, &w->error);

        if (w->rc == MG_OK) {
            mg_histogram_add(&w->env->metrics
                             ->h[mg_keep_kinds[w->kind].adopted],
                             mg_mono_us() - begun);
        }
    }

    if (w->rc == MG_DECLINED) {
        w->rc = mg_keep_make(w->env, w->keep, w->db, w->kind, w->published,
                             &w->error);
    }
}


/*
 * From Redis, where another node has put it.  Everything is judged before
 * the file gets its name: a worker that comes later maps what lies there,
 * announced or not.
 */

static int
mg_keep_adopt(const mg_env_t *env, mg_keep_t *k, unsigned i, uint64_t wanted,
    mg_error_t *e)
{
    int       rc;
    mg_buf_t  image;

    mg_buf_init(&image, 0);

    rc = mg_keep_share_get(env, k, i, mg_keep_kinds[i].kind, wanted, &image);

    if (rc == MG_OK) {
        rc = mg_keep_put(env, k, i, mg_buf_view(&image), NULL, e);
    }

    mg_buf_free(&image);

    if (rc == MG_OK) {
        mg_metric_add(env->metrics, SNAPSHOT_REDIS, 1);
    }

    return rc;
}


/* From PostgreSQL; other nodes find it in Redis when it is served here. */

static int
mg_keep_make(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, unsigned i,
    uint64_t old, mg_error_t *e)
{
    int              rc;
    int64_t          begun;
    mg_snap_t       *snap;
    mg_keep_build_t  b;

    memset(&b, 0, sizeof(mg_keep_build_t));
    snap = NULL;

    begun = mg_mono_us();
    rc = mg_keep_kinds[i].build(db, &b, e);

    if (rc == MG_OK) {
        rc = mg_keep_put(env, k, i, b.image, &snap, e);
    }

    if (rc == MG_OK && b.routing) {
        mg_keep_prices(env, k, db, b.routing);
    }

    /* from here on the file will do */

    mg_keep_build_free(&b);

    if (rc == MG_OK && i == MG_KEEP_ROUTING) {
        k->names_seen = b.names;
    }

    if (rc == MG_OK) {
        mg_metric_add(env->metrics, SNAPSHOT_BUILDS, 1);
        mg_histogram_add(&env->metrics->h[mg_keep_kinds[i].made],
                         mg_mono_us() - begun);

        if (i == MG_KEEP_CATALOG) {
            mg_metric_add(env->metrics, L3_HITS, 1);
        }
    }

    /* what a node could not resolve is no use to the others */

    if (snap && b.unresolved == 0) {
        mg_keep_share_put(env, mg_keep_kinds[i].kind, b.generation, old,
                          mg_snap_bytes(snap));
    }

    mg_snap_close(snap);

    return rc;
}


/* Into the state folder, and announced; *published: to be closed. */

static int
mg_keep_put(const mg_env_t *env, mg_keep_t *k, unsigned i, mg_str_t image,
    mg_snap_t **published, mg_error_t *e)
{
    int         rc;
    unsigned    kind;
    mg_snap_t  *snap;

    kind = mg_keep_kinds[i].kind;

    if (mg_snap_publish(env->state_dir, kind, image, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_snap_open(&snap, env->state_dir, kind, 0, e);

    if (rc == MG_DECLINED) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the %s snapshot vanished from \"%s\" after it "
                            "was published", mg_keep_kinds[i].name,
                            env->state_dir);
    }

    if (rc == MG_OK) {
        mg_keep_announce(env, k, i, snap);

        if (published) {
            *published = snap;

        } else {
            mg_snap_close(snap);
        }
    }

    return rc;
}


static int
mg_keep_build_catalog(mg_pg_t *db, mg_keep_build_t *b, mg_error_t *e)
{
    if (mg_store_catalog_read(db, &b->catalog, &b->generation, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_catalog_builder_finish(b->catalog, &b->image, e);
}


static int
mg_keep_build_routing(mg_pg_t *db, mg_keep_build_t *b, mg_error_t *e)
{
    b->names = mg_resolve_changes();

    if (mg_store_routing_read(db, &b->routing, &b->generation,
                              &b->unresolved, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_routing_builder_finish(b->routing, &b->image, e);
}


static void
mg_keep_build_free(mg_keep_build_t *b)
{
    if (b->catalog) {
        mg_catalog_builder_destroy(b->catalog);
    }

    if (b->routing) {
        mg_routing_builder_destroy(b->routing);
    }
}


/* The serial is stored last: who sees it finds the file and the rest. */

static void
mg_keep_announce(const mg_env_t *env, mg_keep_t *k, unsigned i,
    const mg_snap_t *snap)
{
    uint64_t  serial, built;

    if (i == MG_KEEP_ROUTING) {
        k->names_seen = mg_resolve_changes();
        mg_resolve_round();

        mg_keep_names_known(k, snap);

    } else {
        mg_word_set(env->state->catalog_models, mg_catalog_models(snap));
    }

    mg_word_set(mg_keep_word(env, i, bytes), mg_snap_size(snap));

    built = (uint64_t) mg_snap_built_at(snap);
    serial = mg_word_get(mg_keep_word(env, i, serial));

    if (serial != 0
        && mg_word_get(mg_keep_word(env, i, built)) == built
        && mg_word_get(mg_keep_word(env, i, generation))
           == mg_snap_generation(snap))
    {
        /* a zone that was adopted at reload knows the file already */

        return;
    }

    mg_word_set(mg_keep_word(env, i, generation), mg_snap_generation(snap));
    mg_word_set(mg_keep_word(env, i, built), built);
    mg_word_set(mg_keep_word(env, i, serial), serial + 1);
}


/*
 * Addresses behind names change without a generation: the routing file is
 * built again and published if it says something else.
 */

int
mg_keep_names(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const int *cancel, mg_error_t *e)
{
    int              fd, rc;
    mg_error_t       why;
    mg_keep_build_t  b;

    if (!mg_keep_names_due(env, k)) {
        return MG_OK;
    }

    memset(&b, 0, sizeof(mg_keep_build_t));

    fd = mg_keep_lock(env, cancel, &why);

    if (fd == -1) {
        return MG_OK;
    }

    rc = mg_keep_build_routing(db, &b, &why);

    if (rc == MG_OK) {
        rc = mg_keep_names_publish(env, k, &b, &why);
        k->names_seen = b.names;
    }

    (void) close(fd);

    mg_keep_build_free(&b);

    k->names_us = mg_mono_us();

    if (rc == MG_OK) {
        return MG_OK;
    }

    if (why.kind == MG_E_UNAVAILABLE) {
        *e = why;
        return MG_ERROR;
    }

    env->log(MG_LOG_ERROR, "cannot renew the addresses of backends: %s",
             why.message);

    return MG_OK;
}


/*
 * Where a thread looks after names: when it has found other addresses.  And
 * when it has not heard of them, because the worker that a reload replaces,
 * whose keeper goes on for a moment, has published the file.
 */

static int
mg_keep_names_due(const mg_env_t *env, const mg_keep_t *k)
{
    int64_t   pause;
    uint64_t  built;

    built = mg_word_get(mg_keep_word(env, MG_KEEP_ROUTING, built));

    if (built != 0 && built != k->names_built) {
        return 1;
    }

    if (!k->named) {
        return 0;
    }

    if (mg_resolve_running()) {
        return mg_resolve_changes() != k->names_seen;
    }

    pause = k->unresolved ? MG_KEEP_NAMES_FAST : MG_KEEP_NAMES;

    return mg_mono_us() - k->names_us >= pause;
}


/* What is in the state folder: from now on its names are looked after. */

static void
mg_keep_names_known(mg_keep_t *k, const mg_snap_t *snap)
{
    char                  host[256];
    uint32_t              i, n;
    unsigned char         address[sizeof(struct in6_addr)];
    mg_routing_backend_t  b;

    k->names_built = (uint64_t) mg_snap_built_at(snap);
    k->named = 0;
    k->unresolved = 0;

    n = mg_routing_backends(snap);

    for (i = 0; i < n; i++) {
        mg_routing_backend(snap, i, &b);

        if (b.host.len == 0 || b.host.len >= sizeof(host)) {
            continue;
        }

        memcpy(host, b.host.data, b.host.len);
        host[b.host.len] = '\0';

        if (inet_pton(AF_INET, host, address) == 1
            || inet_pton(AF_INET6, host, address) == 1)
        {
            continue;
        }

        k->named = 1;

        if (b.n_addrs == 0) {
            k->unresolved++;
        }

        /* they are good while DNS is away, also after a restart */

        mg_resolve_seed(b.host, b.addrs, b.addr_lens, b.n_addrs);
    }
}


static int
mg_keep_names_publish(const mg_env_t *env, mg_keep_t *k,
    const mg_keep_build_t *b, mg_error_t *e)
{
    int         rc, same;
    uint64_t    generation;
    mg_snap_t  *snap;

    rc = mg_snap_open(&snap, env->state_dir, MG_SNAP_ROUTING, 0, e);

    if (rc == MG_ERROR) {
        return MG_ERROR;
    }

    if (rc == MG_OK) {
        same = mg_snap_same(mg_snap_bytes(snap), b->image);
        generation = mg_snap_generation(snap);

        /* whoever put it there may have died before it told of it */

        mg_keep_announce(env, k, MG_KEEP_ROUTING, snap);
        mg_snap_close(snap);

        /* old addresses are better than none */

        if (generation == b->generation
            && (same || b->unresolved > k->unresolved))
        {
            return MG_OK;
        }
    }

    if (mg_keep_put(env, k, MG_KEEP_ROUTING, b->image, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_metric_add(env->metrics, SNAPSHOT_BUILDS, 1);

    return MG_OK;
}


/*
 * The lock of the state folder; close() gives it back, and so does the end
 * of the process.  -1 with *e, MG_E_CANCELLED if it was asked to stop.
 */

int
mg_keep_lock(const mg_env_t *env, const int *cancel, mg_error_t *e)
{
    int              fd, ms;
    char             path[1024];
    struct timespec  pause;

    (void) snprintf(path, sizeof(path), "%s/keeper.lock", env->state_dir);

    fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (fd == -1) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot open \"%s\": %s; the workers' user must "
                            "own model_state_path", path, strerror(errno));
        return -1;
    }

    pause.tv_sec = 0;
    pause.tv_nsec = 20 * 1000000L;

    for (ms = 0; flock(fd, LOCK_EX|LOCK_NB) == -1; ms += 20) {

        if (mg_keep_stop(cancel)) {
            (void) mg_error_set(e, MG_E_CANCELLED, NULL,
                                "the worker is leaving");
            (void) close(fd);
            return -1;
        }

        if ((errno != EWOULDBLOCK && errno != EINTR)
            || ms >= MG_KEEP_LOCK_MS)
        {
            (void) mg_error_set(e, MG_E_CONFLICT, NULL,
                                "cannot lock \"%s\": %s", path,
                                strerror(errno));
            (void) close(fd);
            return -1;
        }

        (void) nanosleep(&pause, NULL);
    }

    return fd;
}


int
mg_keep_stop(const int *cancel)
{
    return cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED);
}
