/*
 * mg_job_retain.c: days of records that a group keeps no longer.
 *
 *     detach -> for each day: file (if the group has an archive) -> drop
 *
 * A day is dropped when its file has its name and is on the disk, and never
 * before: with a full disk the job fails and the day waits, detached, for the
 * next one.  The file's name follows from the day and from how many archives
 * of it there are, so a job that was killed between the file and the drop
 * leaves a file that the next job replaces by the same.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_engine.h"

#include <stdio.h>

#include "base/mg_jw.h"
#include "job/mg_archive.h"
#include "model/mg_policy.h"


/* Rows that are copied by one statement. */
#define MG_RETAIN_ROWS   2000

/* The name of a day's table ends with "_p20260614". */
#define MG_RETAIN_DAY    8


typedef struct {
    mg_run_t           *run;
    mg_arena_t         *arena;
    mg_pg_t            *db;           /* for the whole run */
    mg_retain_owner_t   owner;
    mg_policy_t         policy;
    unsigned            detached;     /* days */
    unsigned            dropped;
    int64_t             attached;
    int64_t             rows;         /* archived */
    int64_t             bytes;
    mg_jw_t             files;        /* their names, for the result */
    mg_buf_t            files_out;
} mg_retain_t;


static int mg_retain_load(mg_retain_t *t, mg_error_t *e);
static int mg_retain_days(mg_retain_t *t, mg_error_t *e);
static int mg_retain_day(mg_retain_t *t, mg_str_t name, mg_error_t *e);
static int mg_retain_archive(mg_retain_t *t, mg_str_t name,
    mg_retain_file_t *file, mg_error_t *e);
static int mg_retain_name(mg_retain_t *t, mg_str_t name,
    mg_retain_file_t *file, mg_error_t *e);
static int mg_retain_dump(mg_retain_t *t, mg_str_t name, mg_archive_t *out,
    int64_t *rows, mg_error_t *e);
static int mg_retain_sink(void *ctx, mg_str_t data, mg_error_t *e);
static int mg_retain_counted(mg_retain_t *t, mg_str_t name, int64_t rows,
    mg_error_t *e);
static void mg_retain_result(mg_retain_t *t);


int
mg_job_retain(mg_run_t *run, mg_error_t *e)
{
    int          rc;
    mg_retain_t  t;

    memset(&t, 0, sizeof(mg_retain_t));
    t.run = run;
    t.arena = run->arena;
    t.db = mg_pg_checkout_job(run->env->db, e);

    if (t.db == NULL) {
        return MG_ERROR;
    }

    mg_buf_init(&t.files_out, 0);
    mg_jw_init(&t.files, &t.files_out);
    mg_jw_array(&t.files, NULL);

    rc = mg_retain_load(&t, e);

    if (rc == MG_OK) {
        rc = mg_retain_days(&t, e);
    }

    mg_pg_release(t.db);

    mg_retain_result(&t);
    mg_buf_free(&t.files_out);

    return rc;
}


/* -- what is asked for -- */

static int
mg_retain_load(mg_retain_t *t, mg_error_t *e)
{
    mg_str_t    id;
    mg_json_t  *payload;

    payload = mg_json_parse(t->arena, t->run->job.payload, NULL, e);

    if (payload == NULL) {
        return MG_ERROR;
    }

    id = mg_json_str(payload, "group_id");

    if (mg_store_retain_owner(t->db, t->run->job.org_id, id, t->arena,
                              &t->owner, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    /* one that cannot be read takes nothing away */

    return mg_policy_parse(t->owner.traffic_config, t->arena, &t->policy, e);
}


static int
mg_retain_days(mg_retain_t *t, mg_error_t *e)
{
    int        progress;
    int64_t    attached;
    unsigned   i, n;
    mg_str_t  *names;

    /* some at a time, until no more are out */

    do {

        if (mg_store_retain_detach(t->db, t->owner.group_id, t->arena, &names,
                                   &n, &attached, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        t->detached += n;
        t->attached += attached;

        for (i = 0; i < n; i++) {
            progress = (int) (i * 100 / n);

            if (progress > t->run->progress) {
                t->run->progress = progress;
            }

            if (mg_run_stop(t->run, e) != MG_OK
                || mg_retain_day(t, names[i], e) != MG_OK)
            {
                return MG_ERROR;
            }
        }

    } while (n);

    return MG_OK;
}


/* -- a day -- */

static int
mg_retain_day(mg_retain_t *t, mg_str_t name, mg_error_t *e)
{
    mg_retain_file_t  file, *kept;

    kept = NULL;

    if (t->policy.archive) {
        kept = &file;

        if (mg_retain_archive(t, name, kept, e) != MG_OK
            || mg_run_stop(t->run, e) != MG_OK)
        {
            return MG_ERROR;
        }
    }

    if (mg_store_retain_drop(t->db, t->owner.group_id, name, kept, t->arena, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    t->dropped++;
    t->run->moved = 1;

    if (kept) {
        t->rows += kept->rows;
        t->bytes += kept->bytes;
        mg_jw_str(&t->files, NULL, kept->name);
    }

    return MG_OK;
}


static int
mg_retain_archive(mg_retain_t *t, mg_str_t name, mg_retain_file_t *file,
    mg_error_t *e)
{
    int            n;
    char           dir[MG_ARCHIVE_PATH], hex[65];
    uint8_t        digest[32];
    mg_archive_t  *out;

    if (mg_retain_name(t, name, file, e) != MG_OK) {
        return MG_ERROR;
    }

    n = snprintf(dir, sizeof(dir), "%s/archive", t->run->env->state_dir);

    if (n < 0 || n >= (int) sizeof(dir)) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the path of the state folder is too long");
    }

    out = mg_archive_open(dir, file->name, e);

    if (out == NULL) {
        return MG_ERROR;
    }

    if (mg_retain_dump(t, name, out, &file->rows, e) != MG_OK
        || mg_retain_counted(t, name, file->rows, e) != MG_OK)
    {
        mg_archive_abort(out);
        return MG_ERROR;
    }

    if (mg_archive_close(out, &file->bytes, digest, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_hex(digest, sizeof(digest), hex);
    file->sha256 = mg_arena_dup(t->arena, mg_str_z(hex));

    return file->sha256.data ? MG_OK
                             : mg_error_set(e, MG_E_INTERNAL, NULL,
                                            "out of memory");
}


/* inference_chat_1a2b3c4d_20260614.csv.gz; a further one of the day: .2. */

static int
mg_retain_name(mg_retain_t *t, mg_str_t name, mg_retain_file_t *file,
    mg_error_t *e)
{
    char         part_text[24];
    int64_t      part;
    mg_str_t     day;
    const char  *owner;

    day = mg_str_n(name.data + name.len - MG_RETAIN_DAY, MG_RETAIN_DAY);

    if (mg_store_retain_part(t->db, t->owner.table, day, t->arena,
                             &part, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    part_text[0] = '\0';

    if (part > 1) {
        snprintf(part_text, sizeof(part_text), ".%lld", (long long) part);
    }

    owner = t->run->env->owner;

    file->name = mg_arena_printf(t->arena, MG_STR_FMT "_" MG_STR_FMT
                                 "%s.csv.gz",
                                 MG_STR_ARG(t->owner.table),
                                 MG_STR_ARG(day), part_text);
    file->node = mg_str_n(owner, strcspn(owner, ":"));

    return file->name.data ? MG_OK
                           : mg_error_set(e, MG_E_INTERNAL, NULL,
                                          "out of memory");
}


static int
mg_retain_dump(mg_retain_t *t, mg_str_t name, mg_archive_t *out,
    int64_t *rows, mg_error_t *e)
{
    int       rc;
    mg_str_t  after;
    uint64_t  n;

    *rows = 0;
    after = mg_str_null;

    do {

        if (mg_run_stop(t->run, e) != MG_OK) {
            return MG_ERROR;
        }

        rc = mg_store_retain_copy(t->db, name, &after, MG_RETAIN_ROWS,
                                  mg_retain_sink, out, t->arena, &n, e);

        *rows += (int64_t) n;

    } while (rc == MG_OK);

    return rc == MG_DECLINED ? MG_OK : MG_ERROR;
}


static int
mg_retain_sink(void *ctx, mg_str_t data, mg_error_t *e)
{
    return mg_archive_write(ctx, data, e);
}


/* What is about to be dropped is in the file. */

static int
mg_retain_counted(mg_retain_t *t, mg_str_t name, int64_t rows, mg_error_t *e)
{
    int64_t  there;

    if (mg_store_retain_count(t->db, name, t->arena, &there, e) != MG_OK) {
        return MG_ERROR;
    }

    if (there != rows) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "\"" MG_STR_FMT "\" has "
                            "%lld records, its archive %lld; nothing was "
                            "dropped", MG_STR_ARG(name), (long long) there,
                            (long long) rows);
    }

    return MG_OK;
}


/* -- the end -- */

static void
mg_retain_result(mg_retain_t *t)
{
    mg_jw_t   w;
    mg_buf_t  b;

    mg_jw_end_array(&t->files);

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "group_id", t->owner.group_id);
    mg_jw_int(&w, "days_detached", t->detached);
    mg_jw_int(&w, "days_dropped", t->dropped);
    mg_jw_int(&w, "days_put_back", t->attached);
    mg_jw_int(&w, "archived_rows", t->rows);
    mg_jw_int(&w, "archived_bytes", t->bytes);
    mg_jw_raw(&w, "files", mg_buf_view(&t->files_out));
    mg_jw_end_object(&w);

    if (!b.failed) {
        t->run->result = mg_arena_dup(t->run->arena, mg_buf_view(&b));
    }

    mg_buf_free(&b);
}
