/*
 * mg_job_sync.c: the catalog's source into the database, in one transaction.
 *
 *     file or URL -> mg_models_dev -> staging tables -> compare, upsert
 *
 * The document flows through in pieces; nothing of it is visible before the
 * commit, and whatever goes wrong on the way rolls back and leaves the old
 * rows, with a row in the history that says why.  Models that the source no
 * longer lists are marked inactive only if the document was complete, was
 * answered with 200 and as JSON, nearly all of its entries were readable,
 * and it was not the first that lists only half of what there was before:
 * a broken source must not empty the catalog.
 *
 * Where it reads from is configuration (model_catalog_source), never a
 * member of the job: who may start a sync may not choose what the gateway
 * fetches.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "client/mg_http.h"
#include "provider/mg_protocol.h"


#define MG_SYNC_SOURCE         "models.dev"
#define MG_SYNC_PIECE          65536
#define MG_SYNC_DOCUMENT_MAX   (64 * 1024 * 1024)
#define MG_SYNC_TIMEOUT_MS     120000

/* Reasons that are logged and kept in the result; all are counted. */
#define MG_SYNC_REASONS_MAX    20

/* More unreadable entries than one in so many: vanished models stay. */
#define MG_SYNC_FAILED_SHARE   20

/* A list that shrinks to less than one in so many is not believed at once. */
#define MG_SYNC_SHRINK         2

/* Rows of the history in which the last sync that completed is looked for. */
#define MG_SYNC_HISTORY        100

/* Share of the progress bar that reading takes; the rest is the commit. */
#define MG_SYNC_READ_PERCENT   80


typedef struct {
    mg_run_t           *run;
    mg_pg_t            *db;
    mg_store_sync_t    *store;
    mg_models_dev_t    *document;
    mg_sync_counts_t    counts;
    int64_t             started_at;     /* wall clock, us */
    int64_t             size;           /* of the file, 0 unknown */
    mg_buf_t            reasons;        /* JSON, elements of an array */
    mg_jw_t             writer;
    int                 held;           /* what is missing stays */
} mg_sync_t;


static int mg_sync_provider(void *ctx, const mg_provider_t *p,
    mg_error_t *e);
static int mg_sync_model(void *ctx, const mg_model_t *m, mg_error_t *e);
static void mg_sync_skipped(void *ctx, mg_str_t id, const char *reason);


static const mg_models_dev_handler_t  mg_sync_handler = {
    mg_sync_provider,
    mg_sync_model,
    mg_sync_skipped
};


/* -- what the adapter delivers -- */

static int
mg_sync_provider(void *ctx, const mg_provider_t *p, mg_error_t *e)
{
    mg_sync_t  *s = ctx;

    s->counts.providers++;

    return mg_store_sync_provider(s->store, p, e);
}


static int
mg_sync_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    mg_sync_t  *s = ctx;

    s->counts.models++;

    return mg_store_sync_model(s->store, m, e);
}


static void
mg_sync_skipped(void *ctx, mg_str_t id, const char *reason)
{
    mg_sync_t   *s = ctx;
    mg_error_t   clean;

    if (s->counts.failed++ >= MG_SYNC_REASONS_MAX) {
        return;
    }

    /* the id comes from outside: no control characters into the log */

    mg_error_set(&clean, MG_E_INVALID, NULL, "\"" MG_STR_FMT "\": %s",
                 (int) (id.len < 300 ? id.len : 300), id.data, reason);

    s->run->env->log(MG_LOG_WARN, "sync of " MG_SYNC_SOURCE ": entry %s",
                     clean.message);

    mg_jw_z(&s->writer, NULL, clean.message);
}


/*
 * Opens the transaction with the first bytes: a source that does not answer
 * holds neither a lock nor a connection.
 */

static int
mg_sync_store(mg_sync_t *s, mg_error_t *e)
{
    if (s->db == NULL) {
        s->db = mg_pg_checkout(s->run->env->db, e);
    }

    if (s->db && s->store == NULL) {
        s->store = mg_store_sync_begin(s->db, MG_SYNC_SOURCE, e);
    }

    return s->store ? MG_OK : MG_ERROR;
}


static int
mg_sync_feed(mg_sync_t *s, const char *data, size_t len, mg_error_t *e)
{
    if (mg_run_stop(s->run, e) != MG_OK || mg_sync_store(s, e) != MG_OK) {
        return MG_ERROR;
    }

    s->counts.bytes += (int64_t) len;

    if (s->size > 0) {
        s->run->progress = (int) (s->counts.bytes * MG_SYNC_READ_PERCENT
                                  / s->size);

        if (s->run->progress > MG_SYNC_READ_PERCENT) {
            s->run->progress = MG_SYNC_READ_PERCENT;
        }
    }

    return mg_models_dev_feed(s->document, data, len, e);
}


/* -- a file -- */

static int
mg_sync_open(mg_sync_t *s, const char *path, mg_error_t *e)
{
    int          fd;
    struct stat  st;

    /* O_NONBLOCK: a FIFO without a writer must not hold the thread */

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1 || fstat(fd, &st) == -1) {
        mg_error_set(e, MG_E_INVALID, NULL, "catalog source \"%s\" cannot be "
                     "opened: %s; check model_catalog_source", path,
                     strerror(errno));

        if (fd != -1) {
            close(fd);
        }

        return -1;
    }

    if (!S_ISREG(st.st_mode) || st.st_size > MG_SYNC_DOCUMENT_MAX) {
        mg_error_set(e, MG_E_INVALID, NULL, "catalog source \"%s\" is not a "
                     "file of at most %d MiB; check model_catalog_source",
                     path, MG_SYNC_DOCUMENT_MAX / 1024 / 1024);
        close(fd);
        return -1;
    }

    s->size = st.st_size;

    return fd;
}


static int
mg_sync_read_file(mg_sync_t *s, const char *path, mg_error_t *e)
{
    int      fd, rc;
    char    *piece;
    ssize_t  n;

    fd = mg_sync_open(s, path, e);
    if (fd == -1) {
        return MG_ERROR;
    }

    piece = malloc(MG_SYNC_PIECE);
    rc = piece ? MG_OK : mg_error_set(e, MG_E_INTERNAL, NULL,
                                      "out of memory");

    while (rc == MG_OK) {
        n = read(fd, piece, MG_SYNC_PIECE);

        if (n > 0) {
            rc = mg_sync_feed(s, piece, (size_t) n, e);

        } else if (n == 0) {
            break;

        } else if (errno != EINTR) {
            rc = mg_error_set(e, MG_E_UPSTREAM, NULL, "catalog source "
                              "\"%s\" cannot be read: %s", path,
                              strerror(errno));
        }
    }

    free(piece);
    close(fd);

    return rc;
}


/* -- a URL -- */

static int
mg_sync_sink(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    return mg_sync_feed(data, bytes, len, e);
}


static int
mg_sync_tick(void *ctx, mg_error_t *e)
{
    mg_sync_t  *s = ctx;

    return mg_run_stop(s->run, e);
}


/* application/json, text/json or anything+json, with or without parameters */

static int
mg_sync_is_json(mg_str_t type)
{
    const char  *end;

    end = type.len ? memchr(type.data, ';', type.len) : NULL;

    if (end) {
        type.len = (size_t) (end - type.data);
    }

    while (type.len > 0 && type.data[type.len - 1] == ' ') {
        type.len--;
    }

    return type.len >= 5
           && (strncasecmp(type.data + type.len - 5, "/json", 5) == 0
               || strncasecmp(type.data + type.len - 5, "+json", 5) == 0);
}


/* Status and type first: a web page that fails as JSON is no syntax error. */

static int
mg_sync_check(const mg_http_response_t *res, int rc, mg_error_t *e)
{
    if (rc == MG_OK && res->status != 200) {
        return mg_error_set(e, (res->status == 429 || res->status >= 500)
                               ? MG_E_UNAVAILABLE : MG_E_UPSTREAM, NULL,
                            "the catalog source answered with status %d; "
                            "check model_catalog_source", res->status);
    }

    if ((rc == MG_OK || e->kind == MG_E_INVALID) && res->content_type.data
        && !mg_sync_is_json(res->content_type))
    {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the catalog source "
                            "answered with content type \"" MG_STR_FMT "\", "
                            "application/json is needed; check "
                            "model_catalog_source",
                            MG_STR_ARG(res->content_type));
    }

    if (rc == MG_OK && res->content_type.data == NULL) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the catalog source "
                            "answered without a content type, "
                            "application/json is needed");
    }

    return rc;
}


static int
mg_sync_read_url(mg_sync_t *s, const char *url, mg_error_t *e)
{
    int                  rc;
    mg_http_t           *http;
    mg_http_request_t    req;
    mg_http_response_t   res;

    http = mg_http_create(1, NULL);
    if (http == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    memset(&req, 0, sizeof(req));
    req.method = "GET";
    req.url = mg_str_z(url);
    req.headers[0] = mg_str("Accept: application/json");
    req.n_headers = 1;
    req.timeout_ms = MG_SYNC_TIMEOUT_MS;
    req.body_max = MG_SYNC_DOCUMENT_MAX;
    req.allow_private = s->run->env->allow_private;
    req.sink = mg_sync_sink;
    req.data = s;

    rc = mg_http_fetch(http, &req, &res, mg_sync_tick, s, e);
    rc = mg_sync_check(&res, rc, e);

    mg_http_destroy(http);

    return rc;
}


/* -- the run -- */

static int
mg_sync_is_url(const char *source)
{
    return strncasecmp(source, "http://", 7) == 0
           || strncasecmp(source, "https://", 8) == 0;
}


static int
mg_sync_payload(mg_sync_t *s, mg_error_t *e)
{
    mg_json_t       *payload;
    const mg_env_t  *env;

    env = s->run->env;

    payload = mg_json_parse(s->run->arena, s->run->job.payload, NULL, e);
    if (payload == NULL) {
        return MG_ERROR;
    }

    if (!mg_str_eq(mg_json_str(payload, "source"), mg_str(MG_SYNC_SOURCE))) {
        return mg_error_set(e, MG_E_INVALID, "source", "source \""
                            MG_STR_FMT "\" is not known; give \""
                            MG_SYNC_SOURCE "\"",
                            MG_STR_ARG(mg_json_str(payload, "source")));
    }

    if (env->catalog_source == NULL || env->catalog_source[0] == '\0') {
        return mg_error_set(e, MG_E_INVALID, NULL, "no catalog source is "
                            "configured; set model_catalog_source to a file "
                            "or a URL");
    }

    return MG_OK;
}


static int
mg_sync_read(mg_sync_t *s, mg_error_t *e)
{
    int          rc;
    const char  *source;

    source = s->run->env->catalog_source;

    s->document = mg_models_dev_create(&mg_sync_handler, s);
    if (s->document == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = mg_sync_is_url(source) ? mg_sync_read_url(s, source, e)
                                : mg_sync_read_file(s, source, e);

    if (rc == MG_OK) {
        rc = mg_models_dev_finish(s->document, e);
    }

    mg_models_dev_destroy(s->document);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    if (s->counts.models == 0) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the catalog source "
                            "lists no model that could be read; the catalog "
                            "stays as it is");
    }

    return MG_OK;
}


/*
 * Whether models that are missing are to stay.  A list that is suddenly
 * short is believed when it is read once more, which is also how an operator
 * says that he knows: by another refresh.
 */

static int
mg_sync_holds(mg_sync_t *s, mg_error_t *e)
{
    unsigned            i, n;
    mg_sync_history_t  *rows;

    if (s->counts.failed * MG_SYNC_FAILED_SHARE > s->counts.models) {
        s->run->env->log(MG_LOG_WARN, "sync of " MG_SYNC_SOURCE ": %d of %d "
                         "entries could not be read, models that are "
                         "missing stay active", (int) s->counts.failed,
                         (int) (s->counts.models + s->counts.failed));
        s->held = 1;
        return MG_OK;
    }

    if (mg_store_sync_history(s->db, MG_SYNC_HISTORY, s->run->arena, &rows,
                              &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (mg_str_eq(rows[i].source, mg_str(MG_SYNC_SOURCE))
            && mg_str_eq(rows[i].status, mg_str("completed")))
        {
            break;
        }
    }

    if (i < n && rows[i].counts.models > s->counts.models * MG_SYNC_SHRINK) {
        s->run->env->log(MG_LOG_WARN, "sync of " MG_SYNC_SOURCE ": the list "
                         "has shrunk from %d to %d models, those that are "
                         "missing stay active until it is read once more",
                         (int) rows[i].counts.models,
                         (int) s->counts.models);
        s->held = 1;
    }

    return MG_OK;
}


static int
mg_sync_commit(mg_sync_t *s, mg_error_t *e)
{
    int               rc;
    mg_store_sync_t  *store;

    /* the last chance to stop: the commit is one piece */

    if (mg_run_stop(s->run, e) != MG_OK || mg_sync_holds(s, e) != MG_OK) {
        return MG_ERROR;
    }

    s->run->progress = MG_SYNC_READ_PERCENT;

    store = s->store;
    s->store = NULL;

    rc = mg_store_sync_commit(store, !s->held, s->started_at, &s->counts, e);

    if (rc == MG_OK) {
        s->run->progress = 100;
        mg_word_set(s->run->env->state->last_sync_us,
                    (uint64_t) mg_now_us());
    }

    return rc;
}


/* A connection that was lost takes with it what was begun on it. */

static void
mg_sync_lost(mg_sync_t *s, const mg_error_t *why)
{
    mg_error_t  e;

    if (s->db == NULL || mg_pg_exec(s->db, "select 1", NULL, NULL, &e)
                         == MG_OK)
    {
        return;
    }

    if (s->store) {
        mg_store_sync_abort(s->store, s->started_at, &s->counts,
                            why->message);
        s->store = NULL;
    }

    mg_pg_release(s->db);
    s->db = NULL;
}


/*
 * Rolls back and leaves a row in the history.  A commit that failed has
 * taken the transaction with it: the row needs a new one.
 */

static void
mg_sync_abort(mg_sync_t *s, const mg_error_t *why)
{
    mg_error_t  e;

    if (why->kind == MG_E_CONFLICT) {
        return;
    }

    mg_sync_lost(s, why);

    if (mg_sync_store(s, &e) == MG_OK) {
        mg_store_sync_abort(s->store, s->started_at, &s->counts,
                            why->message);
        s->store = NULL;
    }
}


static void
mg_sync_result(mg_sync_t *s)
{
    unsigned  i;
    mg_jw_t   w;
    mg_buf_t  b;

    const struct {
        const char  *name;
        int64_t      value;
    } members[] = {
        { "providers", s->counts.providers },
        { "models", s->counts.models },
        { "added", s->counts.added },
        { "changed", s->counts.changed },
        { "removed", s->counts.removed },
        { "unchanged", s->counts.unchanged },
        { "failed", s->counts.failed },
        { "bytes", s->counts.bytes },
        { "duration_ms", (mg_now_us() - s->started_at) / 1000 }
    };

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_z(&w, "source", MG_SYNC_SOURCE);

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        mg_jw_int(&w, members[i].name, members[i].value);
    }

    mg_jw_bool(&w, "removals_held", s->held);
    mg_jw_end_array(&s->writer);
    mg_jw_raw(&w, "reasons", mg_buf_view(&s->reasons));
    mg_jw_end_object(&w);

    if (!b.failed && !s->reasons.failed) {
        s->run->result = mg_arena_dup(s->run->arena, mg_buf_view(&b));
    }

    mg_buf_free(&b);
}


int
mg_job_sync(mg_run_t *run, mg_error_t *e)
{
    int        rc;
    mg_sync_t  s;

    memset(&s, 0, sizeof(s));
    s.run = run;
    s.started_at = mg_now_us();
    mg_buf_init(&s.reasons, 64 * 1024);
    mg_jw_init(&s.writer, &s.reasons);
    mg_jw_array(&s.writer, NULL);

    rc = mg_sync_payload(&s, e);

    if (rc == MG_OK) {
        rc = mg_sync_read(&s, e);
    }

    if (rc == MG_OK) {
        rc = mg_sync_commit(&s, e);
    }

    if (rc == MG_OK) {
        mg_metric_add(run->env->metrics, SYNC_RUNS, 1);

    } else {
        mg_sync_abort(&s, e);

        if (e->kind != MG_E_CANCELLED) {
            mg_metric_add(run->env->metrics, SYNC_FAILED, 1);
        }
    }

    mg_sync_result(&s);

    if (s.db) {
        mg_pg_release(s.db);
    }

    mg_buf_free(&s.reasons);

    return rc;
}
