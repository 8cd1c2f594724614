/*
 * mg_keep_confirm.c: when the catalog was last found to be what the database
 * is.
 *
 *     confirmed: the generations were equal     -> time, not stale
 *     stale: the round has failed, or the build -> what was confirmed stays
 *
 * The time survives a restart as the modification time of an empty file,
 * STATE/confirmed, which is set every few seconds and when the catalog
 * becomes stale: so a gateway that starts without its database knows how old
 * the file is that it serves.  A file that cannot be written to makes the
 * catalog look older, never younger.
 *
 * Pool thread of worker 0.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/mg_keep_local.h"


#define MG_KEEP_CONFIRM_PAUSE   (5 * MG_KEEP_SECOND)


static void mg_keep_confirm_write(const mg_env_t *env, mg_keep_t *k);


void
mg_keep_confirm(const mg_env_t *env, mg_keep_t *k)
{
    mg_state_t  *s;

    s = env->state;

    k->confirmed = 1;

    mg_word_set(s->catalog_confirmed_us, (uint64_t) mg_now_us());

    if (mg_word_get(s->catalog_stale)) {
        mg_word_set(s->catalog_stale, 0);

    } else if (k->confirmed_us != 0
               && mg_mono_us() - k->confirmed_us < MG_KEEP_CONFIRM_PAUSE)
    {
        return;
    }

    mg_keep_confirm_write(env, k);
}


void
mg_keep_stale(const mg_env_t *env, mg_keep_t *k)
{
    mg_state_t  *s;

    s = env->state;

    if (mg_word_get(s->catalog_stale)
        || mg_word_get(s->catalog_built_us) == 0)
    {
        return;
    }

    mg_word_set(s->catalog_stale, 1);

    mg_keep_confirm_write(env, k);
}


void
mg_keep_confirm_read(const mg_env_t *env)
{
    char         path[1024];
    uint64_t     us;
    mg_state_t  *s;
    struct stat  st;

    s = env->state;

    /* a zone that was adopted at reload knows better */

    if (mg_word_get(s->catalog_confirmed_us) != 0
        || mg_word_get(s->catalog_built_us) == 0)
    {
        return;
    }

    (void) snprintf(path, sizeof(path), "%s/confirmed", env->state_dir);

    if (stat(path, &st) == 0) {
        us = (uint64_t) st.st_mtim.tv_sec * 1000000
             + (uint64_t) st.st_mtim.tv_nsec / 1000;

    } else {
        us = mg_word_get(s->catalog_built_us);
    }

    mg_word_set(s->catalog_confirmed_us, us);
    mg_word_set(s->catalog_stale, env->db != NULL);
}


static void
mg_keep_confirm_write(const mg_env_t *env, mg_keep_t *k)
{
    int              fd;
    char             path[1024];
    uint64_t         us;
    struct timespec  times[2];

    k->confirmed_us = mg_mono_us();

    us = mg_word_get(env->state->catalog_confirmed_us);

    if (us == 0) {
        return;
    }

    (void) snprintf(path, sizeof(path), "%s/confirmed", env->state_dir);

    fd = open(path, O_WRONLY|O_CREAT|O_CLOEXEC, 0600);

    if (fd == -1) {
        return;
    }

    times[0].tv_sec = (time_t) (us / 1000000);
    times[0].tv_nsec = (long) (us % 1000000) * 1000;
    times[1] = times[0];

    (void) futimens(fd, times);
    (void) close(fd);
}
