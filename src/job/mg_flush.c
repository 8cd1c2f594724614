/*
 * mg_flush.c: inference records on their way from the ring to PostgreSQL.
 *
 * Spool files, all in STATE/spool:
 *
 *     <slot>-<pid>.rec                     being appended to
 *     <slot>-<pid>-<us>.<offset>.replay    taken over; stored up to offset
 *     <slot>-<pid>.bad                     refused by the database
 *
 * An append happens under flock() and only into the file that still has its
 * name, so a replay may take a file over at any time by renaming it under
 * the same lock.  The offset is part of the name: a step of the replay is
 * finished by one rename, and whoever is killed before it does the step
 * again, which stores nothing twice.
 *
 * Records that the database refuses (not: that it is away) are looked for by
 * halving the batch, so that one of them cannot hold up the others.
 */

#include "job/mg_flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/mg_store.h"


#define MG_FLUSH_RECORDS    4000
#define MG_FLUSH_ROUNDS     8
#define MG_FLUSH_BEHIND     4            /* a part of the ring: one of these */
#define MG_FLUSH_PIECE      (4 * 1024 * 1024)
#define MG_FLUSH_PATH       1024


typedef struct {
    const mg_env_t  *env;
    unsigned         slot;
    mg_record_ref_t *records;      /* MG_FLUSH_RECORDS of them */
    unsigned         n;
    uint64_t         stored;
    uint64_t         refused;
} mg_flush_t;


typedef struct {
    char             name[128];
    unsigned         slot;
    int              pid;
    long long        us;
    long long        offset;       /* -1: a .rec file, not yet taken over */
} mg_flush_file_t;


static int mg_flush_begin(mg_flush_t *f, const mg_env_t *env, unsigned slot,
    mg_error_t *e);
static void mg_flush_end(mg_flush_t *f);
static void mg_flush_take(mg_flush_t *f, const mg_ring_t *ring,
    uint64_t *cursor);
static void mg_flush_count(mg_flush_t *f, unsigned lost);
static int mg_flush_behind(const mg_ring_t *ring, uint64_t cursor);
static int mg_flush_keep(mg_flush_t *f, int behind, mg_error_t *e);

static int mg_flush_store(mg_flush_t *f, mg_error_t *e);
static int mg_flush_some(mg_flush_t *f, mg_pg_t *c, const mg_record_ref_t *r,
    unsigned n, mg_error_t *e);
static int mg_flush_refuse(mg_flush_t *f, const mg_record_ref_t *r,
    const mg_error_t *why, mg_error_t *e);

static int mg_flush_spool(mg_flush_t *f, mg_error_t *e);
static int mg_flush_file(const mg_flush_t *f, const mg_record_ref_t *r,
    unsigned n, const char *suffix, mg_error_t *e);
static int mg_flush_append(const mg_env_t *env, unsigned slot,
    const char *suffix, mg_str_t bytes, mg_error_t *e);
static int mg_flush_open(const char *path, mg_error_t *e);
static int mg_flush_write(int fd, mg_str_t bytes);
static int mg_flush_sync_dir(const mg_env_t *env);

static int mg_flush_find(const mg_env_t *env, mg_flush_file_t *file,
    mg_error_t *e);
static int mg_flush_name(const char *name, mg_flush_file_t *file);
static int mg_flush_adopt(const mg_env_t *env, mg_flush_file_t *file,
    mg_error_t *e);
static int mg_flush_step(mg_flush_t *f, mg_flush_file_t *file, int fd,
    const int *cancel, mg_error_t *e);
static size_t mg_flush_decode(mg_flush_t *f, const char *data, size_t len,
    int last, unsigned *lost);
static int mg_flush_advance(const mg_env_t *env, const mg_flush_file_t *file,
    long long offset, long long size, mg_error_t *e);


int
mg_flush_ring(const mg_env_t *env, mg_ring_t *ring, unsigned slot,
    mg_error_t *e)
{
    int         rc;
    unsigned    i;
    uint64_t    cursor;
    mg_flush_t  f;

    if (mg_ring_used(ring) == 0) {
        return MG_OK;
    }

    rc = mg_flush_begin(&f, env, slot, e);

    for (i = 0; rc == MG_OK && i < MG_FLUSH_ROUNDS; i++) {

        mg_flush_take(&f, ring, &cursor);

        if (f.n == 0) {
            mg_ring_consume(ring, cursor);
            break;
        }

        rc = mg_flush_keep(&f, mg_flush_behind(ring, cursor), e);

        if (rc == MG_OK) {
            mg_ring_consume(ring, cursor);
        }
    }

    mg_flush_end(&f);

    return rc;
}


/*
 * A quarter of the ring has gathered behind this batch: records come faster
 * than the database takes them, and the ring would be full before long.
 */

static int
mg_flush_behind(const mg_ring_t *ring, uint64_t cursor)
{
    return mg_ring_used(ring) - (cursor - mg_ring_begin(ring))
           > ring->size / MG_FLUSH_BEHIND;
}


/* The disk is faster, and the replay is in no hurry. */

static int
mg_flush_keep(mg_flush_t *f, int behind, mg_error_t *e)
{
    mg_error_t  why;

    if (behind && mg_flush_spool(f, &why) == MG_OK) {
        return MG_OK;
    }

    if (mg_flush_store(f, &why) == MG_OK) {
        return MG_OK;
    }

    return mg_flush_spool(f, e);
}


int
mg_flush_spool_all(const mg_env_t *env, mg_ring_t *ring, unsigned slot,
    mg_error_t *e)
{
    int         rc;
    uint64_t    cursor;
    mg_flush_t  f;

    if (mg_ring_used(ring) == 0) {
        return MG_OK;
    }

    rc = mg_flush_begin(&f, env, slot, e);

    while (rc == MG_OK) {

        mg_flush_take(&f, ring, &cursor);

        rc = f.n ? mg_flush_spool(&f, e) : MG_OK;

        if (rc == MG_OK) {
            mg_ring_consume(ring, cursor);
        }

        if (f.n == 0) {
            break;
        }
    }

    mg_flush_end(&f);

    return rc;
}


int
mg_flush_replay(const mg_env_t *env, const int *cancel, mg_error_t *e)
{
    int              fd, rc;
    char             path[MG_FLUSH_PATH];
    mg_flush_t       f;
    struct stat      opened, named;
    mg_flush_file_t  file;

    if (env->db == NULL) {
        return MG_DECLINED;
    }

    rc = mg_flush_find(env, &file, e);

    if (rc == MG_OK && file.offset < 0) {
        rc = mg_flush_adopt(env, &file, e);
    }

    if (rc != MG_OK) {
        return rc;
    }

    snprintf(path, sizeof(path), "%s/spool/%s", env->state_dir, file.name);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1 || flock(fd, LOCK_EX|LOCK_NB) == -1
        || fstat(fd, &opened) == -1 || stat(path, &named) == -1
        || opened.st_ino != named.st_ino)
    {
        /* another worker's replay has it, or has just moved it on */

        if (fd != -1) {
            close(fd);
        }

        return MG_DECLINED;
    }

    rc = mg_flush_begin(&f, env, file.slot, e);

    if (rc == MG_OK) {
        rc = mg_flush_step(&f, &file, fd, cancel, e);
    }

    mg_flush_end(&f);
    close(fd);

    return rc;
}


/* -- a batch -- */

static int
mg_flush_begin(mg_flush_t *f, const mg_env_t *env, unsigned slot,
    mg_error_t *e)
{
    f->env = env;
    f->slot = slot;
    f->n = 0;
    f->stored = 0;
    f->refused = 0;

    f->records = malloc(MG_FLUSH_RECORDS * sizeof(mg_record_ref_t));

    if (f->records == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "out of memory for %d inference records",
                            MG_FLUSH_RECORDS);
    }

    return MG_OK;
}


static void
mg_flush_end(mg_flush_t *f)
{
    free(f->records);
}


/* The next records of the ring; they stay where they are. */

static void
mg_flush_take(mg_flush_t *f, const mg_ring_t *ring, uint64_t *cursor)
{
    mg_str_t  s;
    unsigned  lost;

    f->n = 0;
    lost = 0;

    *cursor = mg_ring_begin(ring);

    while (f->n < MG_FLUSH_RECORDS && mg_ring_next(ring, cursor, &s)) {

        if (mg_record_refer(s.data, s.len, &f->records[f->n]) != MG_OK) {
            lost++;
            continue;
        }

        f->n++;
    }

    mg_flush_count(f, lost);
}


static void
mg_flush_count(mg_flush_t *f, unsigned lost)
{
    if (lost == 0) {
        return;
    }

    mg_metric_add(f->env->metrics, RECORDS_DROPPED, lost);
    f->env->log(MG_LOG_ERROR, "%u damaged inference records of worker slot %u "
                "were left out", lost, f->slot);
}


/* -- the database -- */

static int
mg_flush_store(mg_flush_t *f, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *c;

    if (f->env->db == NULL) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "no database is configured");
    }

    c = mg_pg_checkout(f->env->db, e);

    if (c == NULL) {
        return MG_ERROR;
    }

    f->stored = 0;

    rc = mg_flush_some(f, c, f->records, f->n, e);

    mg_pg_release(c);

    if (f->stored) {
        mg_metric_add(f->env->metrics, RECORDS_WRITTEN, f->stored);
    }

    return rc;
}


static int
mg_flush_some(mg_flush_t *f, mg_pg_t *c, const mg_record_ref_t *r, unsigned n,
    mg_error_t *e)
{
    uint64_t    stored;
    mg_error_t  why;

    stored = 0;

    if (mg_store_records(c, r, n, &stored, &why) == MG_OK) {
        f->stored += stored;
        return MG_OK;
    }

    if (why.kind == MG_E_UNAVAILABLE || why.kind == MG_E_TIMEOUT
        || why.kind == MG_E_CANCELLED)
    {
        *e = why;
        return MG_ERROR;
    }

    if (n == 1) {
        return mg_flush_refuse(f, r, &why, e);
    }

    if (mg_flush_some(f, c, r, n / 2, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_flush_some(f, c, r + n / 2, n - n / 2, e);
}


/* Kept in a file of its own, for a person to look at. */

static int
mg_flush_refuse(mg_flush_t *f, const mg_record_ref_t *r,
    const mg_error_t *why, mg_error_t *e)
{
    if (mg_flush_file(f, r, 1, "bad", e) != MG_OK) {
        return MG_ERROR;
    }

    mg_metric_add(f->env->metrics, RECORDS_DROPPED, 1);

    if (f->refused++ == 0) {
        f->env->log(MG_LOG_ERROR, "the database refused an inference record "
                    "for \"" MG_STR_FMT "\": %s; it is kept in "
                    "\"%s/spool/%u-%d.bad\"",
                    MG_STR_ARG(r->table), why->message,
                    f->env->state_dir, f->slot, (int) getpid());
    }

    return MG_OK;
}


/* -- the spool -- */

static int
mg_flush_spool(mg_flush_t *f, mg_error_t *e)
{
    if (mg_flush_file(f, f->records, f->n, "rec", e) != MG_OK) {
        return MG_ERROR;
    }

    mg_metric_add(f->env->metrics, RECORDS_SPOOLED, f->n);

    return MG_OK;
}


/* As they are in the ring, but for the checksum. */

static int
mg_flush_file(const mg_flush_t *f, const mg_record_ref_t *r, unsigned n,
    const char *suffix, mg_error_t *e)
{
    int       rc;
    size_t    at;
    unsigned  i;
    mg_buf_t  bytes;

    mg_buf_init(&bytes, 0);

    for (i = 0; i < n; i++) {
        at = bytes.len;
        mg_buf_add(&bytes, r[i].wire.data, r[i].wire.len);

        if (bytes.failed) {
            break;
        }

        mg_record_seal(bytes.data + at);
    }

    rc = bytes.failed ? mg_error_set(e, MG_E_INTERNAL, NULL,
                                     "out of memory for the spool")
                      : mg_flush_append(f->env, f->slot, suffix,
                                        mg_buf_view(&bytes), e);

    mg_buf_free(&bytes);

    return rc;
}


static int
mg_flush_append(const mg_env_t *env, unsigned slot, const char *suffix,
    mg_str_t bytes, mg_error_t *e)
{
    int          fd, err;
    char         path[MG_FLUSH_PATH];
    struct stat  st;

    snprintf(path, sizeof(path), "%s/spool", env->state_dir);

    if (mkdir(path, 0700) == -1 && errno != EEXIST) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "mkdir \"%s\" failed: %s", path, strerror(errno));
    }

    snprintf(path, sizeof(path), "%s/spool/%u-%d.%s", env->state_dir, slot,
             (int) getpid(), suffix);

    fd = mg_flush_open(path, e);

    if (fd == -1) {
        return MG_ERROR;
    }

    err = 0;

    if (fstat(fd, &st) == -1
        || mg_flush_write(fd, bytes) != MG_OK
        || fsync(fd) == -1
        || (st.st_size == 0 && mg_flush_sync_dir(env) != MG_OK))
    {
        err = errno;

        /* half a record is of no use to anybody */

        if (ftruncate(fd, st.st_size) == -1) {
            env->log(MG_LOG_ERROR, "ftruncate \"%s\" failed: %s", path,
                     strerror(errno));
        }
    }

    close(fd);

    if (err) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "writing inference records to \"%s\" failed: %s",
                            path, strerror(err));
    }

    return MG_OK;
}


/* Opens and locks; whoever waited may find that the file was taken over. */

static int
mg_flush_open(const char *path, mg_error_t *e)
{
    int          fd;
    unsigned     i;
    struct stat  opened, named;

    for (i = 0; i < 10; i++) {
        fd = open(path, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600);

        if (fd == -1) {
            break;
        }

        if (flock(fd, LOCK_EX) == 0 && fstat(fd, &opened) == 0
            && stat(path, &named) == 0 && opened.st_ino == named.st_ino
            && opened.st_dev == named.st_dev)
        {
            return fd;
        }

        close(fd);
    }

    mg_error_set(e, MG_E_INTERNAL, NULL, "open \"%s\" failed: %s", path,
                 strerror(errno));

    return -1;
}


static int
mg_flush_write(int fd, mg_str_t bytes)
{
    ssize_t  n;

    while (bytes.len) {
        n = write(fd, bytes.data, bytes.len);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            return MG_ERROR;
        }

        bytes.data += n;
        bytes.len -= n;
    }

    return MG_OK;
}


static int
mg_flush_sync_dir(const mg_env_t *env)
{
    int   fd, rc;
    char  path[MG_FLUSH_PATH];

    snprintf(path, sizeof(path), "%s/spool", env->state_dir);

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return MG_ERROR;
    }

    rc = fsync(fd);
    close(fd);

    return rc == 0 ? MG_OK : MG_ERROR;
}


/* -- the replay -- */

/* A file to go on with; one that was begun comes before all others. */

static int
mg_flush_find(const mg_env_t *env, mg_flush_file_t *file, mg_error_t *e)
{
    DIR              *dir;
    char              path[MG_FLUSH_PATH];
    unsigned          found;
    struct dirent    *de;
    mg_flush_file_t   seen;

    snprintf(path, sizeof(path), "%s/spool", env->state_dir);

    dir = opendir(path);

    if (dir == NULL) {
        if (errno == ENOENT) {
            return MG_DECLINED;
        }

        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "opendir \"%s\" failed: %s", path,
                            strerror(errno));
    }

    found = 0;

    while ((de = readdir(dir)) != NULL) {

        if (mg_flush_name(de->d_name, &seen) != MG_OK) {
            continue;
        }

        if (!found || seen.offset >= 0) {
            *file = seen;
            found = 1;
        }

        if (seen.offset >= 0) {
            break;
        }
    }

    closedir(dir);

    return found ? MG_OK : MG_DECLINED;
}


static int
mg_flush_name(const char *name, mg_flush_file_t *file)
{
    char    again[sizeof(file->name)];
    size_t  len;

    len = strlen(name);

    if (len >= sizeof(file->name)) {
        return MG_DECLINED;
    }

    memcpy(file->name, name, len + 1);

    file->us = 0;
    file->offset = -1;

    if (sscanf(name, "%u-%d-%lld.%lld.replay", &file->slot, &file->pid,
               &file->us, &file->offset)
        == 4)
    {
        snprintf(again, sizeof(again), "%u-%d-%lld.%lld.replay", file->slot,
                 file->pid, file->us, file->offset);

        return file->offset >= 0 && strcmp(again, name) == 0
               ? MG_OK : MG_DECLINED;
    }

    file->offset = -1;

    if (sscanf(name, "%u-%d.rec", &file->slot, &file->pid) != 2) {
        return MG_DECLINED;
    }

    snprintf(again, sizeof(again), "%u-%d.rec", file->slot, file->pid);

    return strcmp(again, name) == 0 ? MG_OK : MG_DECLINED;
}


/* Renames a .rec file while nobody appends to it. */

static int
mg_flush_adopt(const mg_env_t *env, mg_flush_file_t *file, mg_error_t *e)
{
    int   fd, rc;
    char  from[MG_FLUSH_PATH], to[MG_FLUSH_PATH];

    snprintf(from, sizeof(from), "%s/spool/%s", env->state_dir, file->name);

    fd = open(from, O_RDONLY|O_CLOEXEC);

    if (fd == -1 || flock(fd, LOCK_EX|LOCK_NB) == -1) {

        if (fd != -1) {
            close(fd);
        }

        return MG_DECLINED;
    }

    file->us = mg_now_us();
    file->offset = 0;

    snprintf(file->name, sizeof(file->name), "%u-%d-%lld.0.replay",
             file->slot, file->pid, file->us);
    snprintf(to, sizeof(to), "%s/spool/%s", env->state_dir, file->name);

    rc = rename(from, to);

    if (rc == -1) {
        mg_error_set(e, MG_E_INTERNAL, NULL,
                     "rename \"%s\" to \"%s\" failed: %s", from, to,
                     strerror(errno));
    }

    close(fd);

    return rc == 0 ? MG_OK : MG_ERROR;
}


static int
mg_flush_step(mg_flush_t *f, mg_flush_file_t *file, int fd,
    const int *cancel, mg_error_t *e)
{
    int          rc;
    char        *data;
    size_t       used;
    ssize_t      n;
    uint64_t     stored;
    unsigned     lost;
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "fstat of a spool file failed: %s",
                            strerror(errno));
    }

    data = malloc(MG_FLUSH_PIECE);

    if (data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    n = pread(fd, data, MG_FLUSH_PIECE, file->offset);

    if (n == -1) {
        free(data);
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "reading a spool file failed: %s",
                            strerror(errno));
    }

    used = mg_flush_decode(f, data, n, file->offset + n >= st.st_size, &lost);

    rc = MG_OK;

    if (__atomic_load_n(cancel, __ATOMIC_RELAXED)) {
        rc = mg_error_set(e, MG_E_CANCELLED, NULL, "the worker is leaving");

    } else if (f->n) {
        rc = mg_flush_store(f, e);
    }

    /* what was stored already is counted as replayed, too */

    stored = f->n;

    free(data);

    if (rc != MG_OK) {
        return rc;
    }

    /* once, however often the database has to be asked */

    mg_metric_add(f->env->metrics, RECORDS_REPLAYED, stored);
    mg_flush_count(f, lost);

    return mg_flush_advance(f->env, file, file->offset + used, st.st_size, e);
}


/*
 * Finds as many whole records as there are; bytes that are none are passed
 * over up to the next record, and how often is in *lost.  Returns the bytes
 * that are done with.
 */

static size_t
mg_flush_decode(mg_flush_t *f, const char *data, size_t len, int last,
    unsigned *lost)
{
    int          rc;
    size_t       at, used;
    unsigned     bad;
    mg_record_t  record;

    f->n = 0;
    *lost = 0;
    bad = 0;

    for (at = 0; at < len && f->n < MG_FLUSH_RECORDS; at += used) {

        rc = mg_record_decode(data + at, len - at, &record, &used);

        if (rc == MG_OK) {
            f->records[f->n].wire = mg_str_n(data + at, used);
            f->records[f->n].table = record.str[MG_RS_TABLE];
            f->n++;
            bad = 0;
            continue;
        }

        if (rc == MG_AGAIN && !last) {
            break;
        }

        *lost += (bad == 0);
        bad = 1;
        used = 1;
    }

    return at;
}


static int
mg_flush_advance(const mg_env_t *env, const mg_flush_file_t *file,
    long long offset, long long size, mg_error_t *e)
{
    int   rc;
    char  from[MG_FLUSH_PATH], to[MG_FLUSH_PATH];

    snprintf(from, sizeof(from), "%s/spool/%s", env->state_dir, file->name);

    if (offset >= size) {
        rc = unlink(from);

    } else {
        snprintf(to, sizeof(to), "%s/spool/%u-%d-%lld.%lld.replay",
                 env->state_dir, file->slot, file->pid, file->us, offset);
        rc = rename(from, to);
    }

    if (rc == -1) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "finishing \"%s\" failed: %s", from,
                            strerror(errno));
    }

    return MG_OK;
}
