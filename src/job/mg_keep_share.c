/*
 * mg_keep_share.c: snapshots that nodes share through Redis.
 *
 *     is there a copy?  -> take it, when it is what it says it is
 *     nobody makes one? -> this node does, under a lock that expires
 *     somebody does     -> ask again in a moment, for some seconds at most
 *     Redis fails       -> as if there were none
 *
 * Waiting is done by the keeper's timer, not here: a round that has to wait
 * ends, and the next one comes in MG_KEEP_WAIT_MS.  So no thread sleeps, the
 * other kind of snapshot is not held up, and each round asks the database
 * for the generation anew.  Whatever Redis does, after MG_KEEP_PATIENCE a
 * node builds for itself.
 *
 * Pool thread of worker 0.
 */

#include "job/mg_keep_local.h"


#define MG_KEEP_WAIT_MS      20
#define MG_KEEP_PATIENCE     (5 * MG_KEEP_SECOND)
#define MG_KEEP_EXPIRE_MS    10000

#define mg_keep_share_count(env, i, id)                                       \
    do {                                                                      \
        if ((i) == MG_KEEP_CATALOG) {                                         \
            mg_metric_add((env)->metrics, id, 1);                             \
        }                                                                     \
    } while (0)


static int mg_keep_share_wait(const mg_env_t *env, mg_keep_t *k, unsigned i);


int
mg_keep_share_claim(const mg_env_t *env, mg_keep_t *k, unsigned i,
    unsigned kind, uint64_t wanted)
{
    int         rc;
    unsigned    expire;
    mg_error_t  e;

    if (env->redis == NULL
        || (k->waiting_us[i] != 0
            && mg_mono_us() - k->waiting_us[i]
               > MG_KEEP_PATIENCE + 2 * k->cost_us[i]))
    {
        return MG_DECLINED;
    }

    mg_redis_patient(env->redis, k->cost_us[i] == 0);

    expire = MG_KEEP_EXPIRE_MS + (unsigned) (4 * k->cost_us[i] / 1000);

    rc = mg_redis_snap_claim(env->redis, kind, wanted, expire, &k->lock[i],
                             &e);

    switch (rc) {

    case MG_OK:
    case MG_DECLINED:
        break;

    case MG_AGAIN:
        return mg_keep_share_wait(env, k, i);

    default:
        mg_metric_add(env->metrics, L2_ERRORS, 1);
        rc = MG_DECLINED;
        break;
    }

    if (rc == MG_DECLINED) {
        mg_keep_share_count(env, i, L2_MISSES);
    }

    return rc;
}


int
mg_keep_share_get(const mg_env_t *env, mg_keep_t *k, unsigned i,
    unsigned kind, uint64_t wanted, mg_buf_t *image)
{
    int         rc;
    uint64_t    generation;
    unsigned    n;
    mg_error_t  e;

    rc = mg_redis_snap_get(env->redis, kind, wanted, k->lock[i].size, image,
                           &e);

    if (rc != MG_OK) {

        if (rc == MG_ERROR) {
            mg_metric_add(env->metrics, L2_ERRORS, 1);
        }

        mg_keep_share_count(env, i, L2_MISSES);
        return MG_DECLINED;
    }

    rc = mg_snap_verify(mg_buf_view(image), kind, &e);

    if (rc == MG_OK) {
        generation = mg_snap_image_generation(mg_buf_view(image));

        if (generation == wanted) {
            mg_keep_share_count(env, i, L2_HITS);
            return MG_OK;
        }

        (void) mg_error_set(&e, MG_E_INTERNAL, NULL,
                            "it says it is generation %llu instead of %llu",
                            (unsigned long long) generation,
                            (unsigned long long) wanted);
    }

    env->log(MG_LOG_WARN, "the %s snapshot that Redis holds is not used, and "
             "deleted there: %s", i == MG_KEEP_CATALOG ? "catalog" : "routing",
             e.message);

    (void) mg_redis_snap_drop(env->redis, kind, wanted, &n, NULL);

    mg_keep_share_count(env, i, L2_MISSES);

    return mg_keep_share_wait(env, k, i);
}


static int
mg_keep_share_wait(const mg_env_t *env, mg_keep_t *k, unsigned i)
{
    if (k->waiting_us[i] == 0) {
        k->waiting_us[i] = mg_mono_us();
        mg_metric_add(env->metrics, L2_WAITS, 1);
    }

    mg_keep_again(k, MG_KEEP_WAIT_MS);

    return MG_AGAIN;
}


void
mg_keep_share_put(const mg_env_t *env, unsigned kind, uint64_t generation,
    uint64_t old, mg_str_t image)
{
    mg_error_t  e;

    if (env->redis
        && mg_redis_snap_put(env->redis, kind, generation, old, image, &e)
           != MG_OK)
    {
        mg_metric_add(env->metrics, L2_ERRORS, 1);
    }
}


void
mg_keep_share_release(const mg_env_t *env, mg_keep_t *k, unsigned i)
{
    k->waiting_us[i] = 0;

    if (env->redis) {
        mg_redis_snap_release(env->redis, &k->lock[i]);
    }
}
