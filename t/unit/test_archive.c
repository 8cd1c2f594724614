/*
 * What would break: a day of records is dropped though its archive is not
 * whole, half a file has the name of a whole one, or others can read it.  A
 * limit on the size of files stands in for a disk that is full.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "job/mg_archive.h"
#include "tap.h"


static char  dir[] = "/tmp/model-archive-XXXXXX";
static char  folder[64];


static unsigned
files(void)
{
    DIR            *d;
    unsigned        n;
    struct dirent  *de;

    d = opendir(folder);
    n = 0;

    while ((de = readdir(d)) != NULL) {
        n += strcmp(de->d_name, ".") && strcmp(de->d_name, "..");
    }

    closedir(d);

    return n;
}


/* Bytes that come out of a file; their sum in *sum. */

static long
unpacked(const char *name, uint64_t *sum)
{
    int     n;
    char    path[128], piece[4096];
    long    total;
    gzFile  f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = gzopen(path, "rb");
    total = 0;
    *sum = 0;

    if (f == NULL) {
        return -1;
    }

    while ((n = gzread(f, piece, sizeof(piece))) > 0) {
        *sum += mg_sum64(piece, (size_t) n);
        total += n;
    }

    gzclose(f);

    return n < 0 ? -1 : total;
}


static void
whole(void)
{
    char           path[128], line[1000], hex[65], want[65];
    FILE          *f;
    long           i;
    int64_t        bytes;
    uint8_t        digest[32], again[32];
    uint64_t       sum;
    char          *data;
    mg_error_t     e;
    struct stat    st;
    mg_archive_t  *a;

    a = mg_archive_open(folder, mg_str("day.csv.gz"), &e);
    ok(a != NULL, "opened: the folder is made");

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';

    for (i = 0; i < 10000; i++) {
        snprintf(line, 20, "%ld", i);
        if (mg_archive_write(a, mg_str_n(line, sizeof(line)), &e) != MG_OK) {
            break;
        }
    }

    is_int(i, 10000, "ten megabytes, in pieces");

    snprintf(path, sizeof(path), "%s/day.csv.gz", folder);
    ok(access(path, F_OK) == -1, "has no name before its end");
    is_int(files(), 1, "one file is there");

    is_int(mg_archive_close(a, &bytes, digest, &e), MG_OK, "closed");
    is_int(files(), 1, "one file is there");
    is_int(stat(path, &st), 0, "by its name");
    is_int(st.st_size, bytes, "of that size");
    is_int(st.st_mode & 0777, 0600, "for nobody else");
    is_int(unpacked("day.csv.gz", &sum), 10000 * (long) sizeof(line),
           "what went in comes out");

    data = malloc((size_t) bytes);
    f = fopen(path, "rb");
    is_int(fread(data, 1, (size_t) bytes, f), bytes, "read");
    fclose(f);
    mg_sha256(mg_str_n(data, (size_t) bytes), again);
    mg_hex(again, 32, want);
    mg_hex(digest, 32, hex);
    is_str(hex, want, "its digest");
    free(data);

    is_int(stat(folder, &st), 0, "the folder");
    is_int(st.st_mode & 0777, 0700, "is for nobody else");

    a = mg_archive_open(folder, mg_str("day.csv.gz"), &e);
    is_int(mg_archive_close(a, &bytes, digest, &e), MG_OK, "an empty one");
    is_int(unpacked("day.csv.gz", &sum), 0, "has replaced it");
    ok(bytes > 0, "and is a file that gzip reads");
}


static void
broken(void)
{
    int             i, rc;
    char            noise[65536], path[128];
    int64_t         bytes;
    uint8_t         digest[32];
    mg_error_t      e;
    mg_archive_t   *a;
    struct rlimit   limit, tight;

    a = mg_archive_open(folder, mg_str("other.gz"), &e);
    (void) mg_archive_write(a, mg_str("something"), &e);
    mg_archive_abort(a);
    is_int(files(), 1, "given up: nothing is left");
    mg_archive_abort(NULL);

    /* what a writer leaves that is killed, and one that lives */

    snprintf(path, sizeof(path), "%s/.other.gz.tmp", folder);
    close(open(path, O_WRONLY|O_CREAT, 0600));
    a = mg_archive_open(folder, mg_str("other.gz"), &e);
    ok(a != NULL, "begun anew");
    ok(mg_archive_open(folder, mg_str("other.gz"), &e) == NULL, "not by two");
    is_int(e.kind, MG_E_CONFLICT, "at once");
    mg_archive_abort(a);
    is_int(files(), 1, "nothing is left");

    /* as a disk that gets full */

    (void) signal(SIGXFSZ, SIG_IGN);
    (void) getrlimit(RLIMIT_FSIZE, &limit);
    tight = limit;
    tight.rlim_cur = 100000;
    (void) setrlimit(RLIMIT_FSIZE, &tight);

    a = mg_archive_open(folder, mg_str("other.gz"), &e);
    srandom(1);

    for (i = 0; i < (int) sizeof(noise); i++) {
        noise[i] = (char) random();
    }

    for (i = 0, rc = MG_OK; rc == MG_OK && i < 1000; i++) {
        rc = mg_archive_write(a, mg_str_n(noise, sizeof(noise)), &e);
    }

    is_int(rc, MG_ERROR, "no room: an error");
    like(e.message, "other.gz\" failed: ", "that says so");
    mg_archive_abort(a);
    is_int(files(), 1, "and no file");

    a = mg_archive_open(folder, mg_str("other.gz"), &e);

    for (i = 0; i < 4; i++) {
        (void) mg_archive_write(a, mg_str_n(noise, sizeof(noise)), &e);
    }

    is_int(mg_archive_close(a, &bytes, digest, &e), MG_ERROR,
           "no room at the very end: an error");
    is_int(files(), 1, "and no file");

    (void) setrlimit(RLIMIT_FSIZE, &limit);

    a = mg_archive_open("/proc/nowhere/archive", mg_str("x"), &e);
    ok(a == NULL, "a folder that cannot be made");
    like(e.message, "/proc/nowhere", "is named");
}


int
main(void)
{
    char  path[128];

    if (mkdtemp(dir) == NULL) {
        return 1;
    }

    snprintf(folder, sizeof(folder), "%s/archive", dir);

    whole();
    broken();

    snprintf(path, sizeof(path), "%s/day.csv.gz", folder);
    (void) unlink(path);
    (void) rmdir(folder);
    (void) rmdir(dir);

    return done_testing();
}
