/*
 * mg_archive.c: a compressed file that is there as a whole or not at all.
 *
 * Records may hold what clients have said, so nobody but the gateway's user
 * may read the files and their folder.
 */

#include "job/mg_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mg_gzip.h"


/* Gathered before it is compressed. */
#define MG_ARCHIVE_PIECE   (4 * 1024 * 1024)
#define MG_ARCHIVE_LEVEL   6


struct mg_archive_s {
    int            fd;
    int64_t        bytes;                  /* of the file */
    mg_sha256_t   *digest;
    mg_buf_t       plain;
    mg_buf_t       packed;
    char           dir[MG_ARCHIVE_PATH];
    char           path[MG_ARCHIVE_PATH];
    char           temp[MG_ARCHIVE_PATH];
};


static int mg_archive_paths(mg_archive_t *a, const char *dir, mg_str_t name,
    mg_error_t *e);
static int mg_archive_begin(mg_archive_t *a, mg_error_t *e);
static int mg_archive_pack(mg_archive_t *a, mg_error_t *e);
static int mg_archive_name(mg_archive_t *a, mg_error_t *e);
static int mg_archive_failed(const mg_archive_t *a, const char *what,
    mg_error_t *e);
static void mg_archive_free(mg_archive_t *a);


mg_archive_t *
mg_archive_open(const char *dir, mg_str_t name, mg_error_t *e)
{
    mg_archive_t  *a;

    a = calloc(1, sizeof(mg_archive_t));

    if (a == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NULL;
    }

    mg_buf_init(&a->plain, 0);
    mg_buf_init(&a->packed, 0);
    a->fd = -1;
    a->digest = mg_sha256_begin();

    if (a->digest == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        mg_archive_free(a);
        return NULL;
    }

    if (mg_archive_paths(a, dir, name, e) != MG_OK) {
        mg_archive_free(a);
        return NULL;
    }

    if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL,
                            "mkdir \"%s\" failed: %s", dir, strerror(errno));
        mg_archive_free(a);
        return NULL;
    }

    if (mg_archive_begin(a, e) != MG_OK) {
        mg_archive_free(a);
        return NULL;
    }

    return a;
}


/* What a killed writer has left is begun anew; a living one has it locked. */

static int
mg_archive_begin(mg_archive_t *a, mg_error_t *e)
{
    struct stat  opened, named;

    a->fd = open(a->temp, O_WRONLY|O_CREAT|O_CLOEXEC, 0600);

    if (a->fd == -1) {
        return mg_archive_failed(a, "open", e);
    }

    if (flock(a->fd, LOCK_EX|LOCK_NB) == -1
        || fstat(a->fd, &opened) == -1 || stat(a->temp, &named) == -1
        || opened.st_ino != named.st_ino)
    {
        return mg_error_set(e, MG_E_CONFLICT, NULL, "\"%s\" is being written "
                            "by another process", a->path);
    }

    return ftruncate(a->fd, 0) == 0 ? MG_OK
                                    : mg_archive_failed(a, "ftruncate of", e);
}


static int
mg_archive_paths(mg_archive_t *a, const char *dir, mg_str_t name,
    mg_error_t *e)
{
    int  n[3];

    n[0] = snprintf(a->dir, sizeof(a->dir), "%s", dir);
    n[1] = snprintf(a->path, sizeof(a->path), "%s/" MG_STR_FMT, dir,
                    MG_STR_ARG(name));
    n[2] = snprintf(a->temp, sizeof(a->temp), "%s/." MG_STR_FMT ".tmp",
                    dir, MG_STR_ARG(name));

    if (n[0] < 0 || n[1] < 0 || n[2] < 0 || n[2] >= MG_ARCHIVE_PATH) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "the path of the archive "
                            "folder \"%s\" is too long", dir);
    }

    return MG_OK;
}


int
mg_archive_write(mg_archive_t *a, mg_str_t data, mg_error_t *e)
{
    mg_buf_add(&a->plain, data.data, data.len);

    if (a->plain.failed) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return a->plain.len < MG_ARCHIVE_PIECE ? MG_OK : mg_archive_pack(a, e);
}


static int
mg_archive_pack(mg_archive_t *a, mg_error_t *e)
{
    size_t   done;
    ssize_t  n;

    a->packed.len = 0;

    if (mg_gzip(&a->packed, mg_buf_view(&a->plain), MG_ARCHIVE_LEVEL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    a->plain.len = 0;

    for (done = 0; done < a->packed.len; done += (size_t) n) {
        n = write(a->fd, a->packed.data + done, a->packed.len - done);

        if (n == -1) {

            if (errno == EINTR) {
                n = 0;
                continue;
            }

            return mg_archive_failed(a, "write to", e);
        }
    }

    mg_sha256_add(a->digest, mg_buf_view(&a->packed));
    a->bytes += (int64_t) a->packed.len;

    return MG_OK;
}


int
mg_archive_close(mg_archive_t *a, int64_t *bytes, uint8_t digest[32],
    mg_error_t *e)
{
    int  rc;

    /* what is empty is a member all the same */

    rc = (a->plain.len || a->bytes == 0) ? mg_archive_pack(a, e) : MG_OK;

    if (rc == MG_OK) {
        rc = mg_archive_name(a, e);
    }

    if (rc != MG_OK) {
        mg_archive_abort(a);
        return MG_ERROR;
    }

    *bytes = a->bytes;
    mg_sha256_end(a->digest, digest);
    a->digest = NULL;

    mg_archive_free(a);

    return MG_OK;
}


static int
mg_archive_name(mg_archive_t *a, mg_error_t *e)
{
    int  fd;

    if (fsync(a->fd) == -1) {
        return mg_archive_failed(a, "fsync of", e);
    }

    if (rename(a->temp, a->path) == -1) {
        return mg_archive_failed(a, "rename of", e);
    }

    fd = open(a->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1 || fsync(fd) == -1) {
        (void) mg_archive_failed(a, "fsync of the folder of", e);

        if (fd != -1) {
            (void) close(fd);
        }

        (void) unlink(a->path);
        return MG_ERROR;
    }

    (void) close(fd);

    return MG_OK;
}


void
mg_archive_abort(mg_archive_t *a)
{
    if (a == NULL) {
        return;
    }

    (void) unlink(a->temp);
    mg_archive_free(a);
}


static int
mg_archive_failed(const mg_archive_t *a, const char *what, mg_error_t *e)
{
    return mg_error_set(e, MG_E_INTERNAL, NULL, "%s \"%s\" failed: %s", what,
                        a->path, strerror(errno));
}


static void
mg_archive_free(mg_archive_t *a)
{
    if (a->fd != -1) {
        (void) close(a->fd);
    }

    mg_sha256_end(a->digest, NULL);
    mg_buf_free(&a->plain);
    mg_buf_free(&a->packed);
    free(a);
}
