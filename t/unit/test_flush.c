/*
 * What would break: records are lost between the ring and the spool while
 * the database is away, a full disk leaves half a record behind, or the
 * order and number of records changes.
 */

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/mg_flush.h"
#include "model/mg_record.h"
#include "tap.h"


static mg_env_t      env;
static mg_metrics_t  metrics;
static char          dir[] = "/tmp/model-flush-XXXXXX";
static char          spool[128];


static void
quiet(mg_log_level_e level, const char *fmt, ...)
{
    (void) level;
    (void) fmt;
}


static mg_ring_t *
ring(size_t room, unsigned records)
{
    void        *p;
    size_t       size;
    unsigned     i;
    mg_ring_t   *r;
    mg_record_t  rec;

    size = mg_ring_fit(room);
    r = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    mg_ring_init(r, size);

    for (i = 0; i < records; i++) {
        mg_record_init(&rec);
        rec.status = 200;
        rec.latency_us = i;
        rec.str[MG_RS_TABLE] = mg_str("inference_chat");

        p = mg_ring_reserve(r, mg_record_size(&rec));
        mg_record_encode(&rec, p);
        mg_ring_commit(r, mg_record_size(&rec));
    }

    return r;
}


/* Records in the one spool file, in order; -1 if damaged. */

static int
count(off_t *size)
{
    int           rc, n;
    char         *data, path[128];
    FILE         *f;
    size_t        len, at, used;
    mg_record_t   rec;

    snprintf(path, sizeof(path), "%s/3-%d.rec", spool, (int) getpid());

    f = fopen(path, "r");

    if (f == NULL) {
        return 0;
    }

    data = malloc(16 << 20);
    len = fread(data, 1, 16 << 20, f);
    fclose(f);

    *size = len;
    n = 0;

    for (at = 0; at < len; at += used) {
        rc = mg_record_decode(data + at, len - at, &rec, &used);

        if (rc != MG_OK) {
            n = -1;
            break;
        }

        n++;
    }

    free(data);

    return n;
}


static void
database_away(void)
{
    off_t       size;
    mg_error_t  e;
    mg_ring_t  *r;

    r = ring(2 << 20, 3000);
    is_int(r->dropped, 0, "3000 records fit");
    is_int(mg_flush_ring(&env, r, 3, &e), MG_OK, "flushed without database");
    is_int(mg_ring_used(r), 0, "the ring is empty");
    is_int(count(&size), 3000, "all of them are in the spool");
    is_int(metrics.n[MG_M_RECORDS_SPOOLED], 3000, "and counted");

    r = ring(1 << 20, 5);
    is_int(mg_flush_spool_all(&env, r, 3, &e), MG_OK, "a worker leaves");
    is_int(count(&size), 3005, "appended");

    r = ring(4 << 20, 9000);
    is_int(mg_flush_ring(&env, r, 3, &e), MG_OK, "more than one batch");
    is_int(count(&size), 12005, "all of them");

    is_int(mg_flush_replay(&env, &(int) { 0 }, &e), MG_DECLINED,
           "without a database nothing is replayed");
    is_int(count(&size), 12005, "and nothing is taken away");
}


/* A limit on the size of files stands for a full disk. */

static void
disk_full(void)
{
    off_t          size, before;
    mg_error_t     e;
    mg_ring_t     *r;
    struct rlimit  was, now;

    count(&before);

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    now = was;
    now.rlim_cur = before + 1000;
    setrlimit(RLIMIT_FSIZE, &now);

    r = ring(1 << 20, 100);
    is_int(mg_flush_ring(&env, r, 3, &e), MG_ERROR, "the disk is full");
    like(e.message, "writing inference records to", "the error says so");
    ok(mg_ring_used(r) > 0, "the records stay in the ring");

    setrlimit(RLIMIT_FSIZE, &was);

    is_int(count(&size), 12005, "no half record is left behind");
    is_int(size, before, "the file is as long as before");

    is_int(mg_flush_ring(&env, r, 3, &e), MG_OK, "room again");
    is_int(count(&size), 12105, "nothing was lost");
}


static void
damaged_ring(void)
{
    off_t       size;
    mg_error_t  e;
    mg_ring_t  *r;

    r = ring(1 << 20, 10);
    ((char *) r)[64 + 8] ^= 1;

    is_int(mg_flush_ring(&env, r, 3, &e), MG_OK, "one damaged record");
    is_int(count(&size), 12114, "the other nine are kept");
    is_int(metrics.n[MG_M_RECORDS_DROPPED], 1, "the one is counted");
}


static void
clean(void)
{
    char            path[512];
    DIR            *d;
    struct dirent  *de;

    d = opendir(spool);

    while (d && (de = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", spool, de->d_name);
        unlink(path);
    }

    if (d) {
        closedir(d);
    }

    rmdir(spool);
    rmdir(dir);
}


int
main(void)
{
    if (mkdtemp(dir) == NULL) {
        return skip_all("no temporary directory");
    }

    snprintf(spool, sizeof(spool), "%s/spool", dir);

    env.state_dir = dir;
    env.metrics = &metrics;
    env.log = quiet;

    database_away();
    disk_full();
    damaged_ring();
    clean();

    return done_testing();
}
