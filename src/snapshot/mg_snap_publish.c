/*
 * mg_snap_publish.c: how a snapshot gets its name.
 *
 *     .catalog.snap.<pid>.<n>.tmp    written, fsynced, mapped, verified
 *     catalog.snap                   by rename(), then the folder fsynced
 *
 * Readers see the old file or the new one, never a part: a published file
 * is not written to any more.  write() reports a full disk, where a store
 * into a mapping would kill the process.  What goes wrong before the rename
 * takes the temporary file with it; what a killed builder left behind is
 * found by its process id and unlinked by the next one.
 *
 * Pool threads only: it waits for the disk.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* sync_file_range() */
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mg_pid.h"
#include "base/mg_priority.h"
#include "snapshot/mg_snap_layout.h"


#define MG_SNAP_TEMP_MAX       96
#define MG_SNAP_TEMP_SECONDS   3600     /* no builder takes that long */

/*
 * Written at once, and sent to the disk: between them a thread of low priority
 * breathes, and fsync() finds little left of what the kernel does in one go.
 */
#define MG_SNAP_PIECE          ((size_t) 256 * 1024)

/* It holds sealed keys and digests of tokens. */
#define MG_SNAP_MODE           0600


static void mg_snap_sweep(int dir, const mg_snap_kind_t *kind);
static int mg_snap_stale(int dir, const mg_snap_kind_t *kind,
    const char *name);
static int mg_snap_write(int dir, const char *name,
    const mg_snap_kind_t *kind, mg_str_t image, mg_error_t *e);
static int mg_snap_write_all(int fd, mg_str_t image);
static int mg_snap_reread(int fd, const mg_snap_kind_t *kind, size_t len,
    mg_error_t *e);


static unsigned  mg_snap_temp_number;


int
mg_snap_publish(const char *dir, unsigned kind, mg_str_t image,
    mg_error_t *e)
{
    int                    fd, rc;
    char                   name[MG_SNAP_TEMP_MAX];
    const mg_snap_kind_t  *k;

    k = mg_snap_kind_find(kind);
    if (k == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "there is no snapshot of kind %u", kind);
    }

    if (image.len == 0) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "there is nothing in the snapshot to publish");
    }

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot open the state folder \"%s\": %s", dir,
                            strerror(errno));
    }

    mg_snap_sweep(fd, k);

    snprintf(name, sizeof(name), ".%s.%ld.%u.tmp", k->file, (long) getpid(),
             __atomic_fetch_add(&mg_snap_temp_number, 1, __ATOMIC_RELAXED));

    rc = mg_snap_write(fd, name, k, image, e);

    if (rc == MG_OK && renameat(fd, name, fd, k->file) == -1) {
        rc = mg_error_set(e, MG_E_INTERNAL, NULL,
                          "cannot rename \"%s\" to \"%s\" in \"%s\": %s",
                          name, k->file, dir, strerror(errno));
    }

    if (rc == MG_OK) {

        /*
         * Should this fail, a crash of the machine may bring back the old
         * file: a complete one, too, which the next build replaces.
         */

        (void) fsync(fd);

    } else {
        (void) unlinkat(fd, name, 0);
    }

    close(fd);

    return rc;
}


/* Unlinks what dead builders of this kind left; failing does no harm. */

static void
mg_snap_sweep(int dir, const mg_snap_kind_t *kind)
{
    int             fd;
    DIR            *d;
    struct dirent  *entry;

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    d = fdopendir(fd);
    if (d == NULL) {
        close(fd);
        return;
    }

    for (entry = readdir(d); entry != NULL; entry = readdir(d)) {
        if (mg_snap_stale(dir, kind, entry->d_name)) {
            (void) unlinkat(dir, entry->d_name, 0);
        }
    }

    closedir(d);
}


static int
mg_snap_stale(int dir, const mg_snap_kind_t *kind, const char *name)
{
    int          used;
    long         pid;
    size_t       n;
    unsigned     number;
    struct stat  st;

    n = strlen(kind->file);

    if (name[0] != '.' || strncmp(name + 1, kind->file, n) != 0) {
        return 0;
    }

    used = 0;

    if (sscanf(name + 1 + n, ".%9ld.%9u.tmp%n", &pid, &number, &used) != 2
        || used == 0 || name[1 + n + used] != '\0' || pid <= 0)
    {
        return 0;
    }

    if (mg_pid_gone((uint64_t) pid)) {
        return 1;
    }

    /* the process id may belong to somebody else by now */

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && st.st_mtime < time(NULL) - MG_SNAP_TEMP_SECONDS;
}


static int
mg_snap_write(int dir, const char *name, const mg_snap_kind_t *kind,
    mg_str_t image, mg_error_t *e)
{
    int  fd, rc;

    fd = openat(dir, name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, MG_SNAP_MODE);
    if (fd == -1) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot create \"%s\" in the state folder: %s",
                            name, strerror(errno));
    }

    if (mg_snap_write_all(fd, image) != MG_OK || fsync(fd) == -1) {
        rc = mg_error_set(e, MG_E_INTERNAL, NULL,
                          "cannot write the snapshot of %zu bytes: %s; make "
                          "room in the state folder", image.len,
                          strerror(errno));

    } else {
        rc = mg_snap_reread(fd, kind, image.len, e);
    }

    close(fd);

    return rc;
}


static int
mg_snap_write_all(int fd, mg_str_t image)
{
    size_t   done, left;
    ssize_t  n;

    for (done = 0; done < image.len; done += (size_t) n) {
        mg_priority_breathe();

        left = image.len - done;

        do {
            n = write(fd, image.data + done,
                      left < MG_SNAP_PIECE ? left : MG_SNAP_PIECE);

        } while (n == -1 && errno == EINTR);

        if (n == -1) {
            return MG_ERROR;
        }

        if (n == 0) {
            errno = ENOSPC;
            return MG_ERROR;
        }

        (void) sync_file_range(fd, (off_t) done, n, SYNC_FILE_RANGE_WRITE);
    }

    return MG_OK;
}


/* Verifies what the file system gives back, not what it was given. */

static int
mg_snap_reread(int fd, const mg_snap_kind_t *kind, size_t len, mg_error_t *e)
{
    int    rc;
    void  *base;

    base = mmap(NULL, len, PROT_READ, MAP_SHARED|MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot map the snapshot just written: %s",
                            strerror(errno));
    }

    rc = mg_snap_verify(mg_str_n(base, len), kind->kind, e);

    munmap(base, len);

    return rc;
}
