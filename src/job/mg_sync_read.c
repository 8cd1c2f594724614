/*
 * mg_sync_read.c: the document of a source, from a file or a URL.
 *
 *     file or URL -> pieces -> the source's reader -> staging tables
 *
 * The document flows through in pieces and is nowhere whole in memory.  Its
 * size is bounded; one that is larger is an error, never cut.
 *
 * Called by the sync job on a model_jobs thread; blocks.
 */

#include "job/mg_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>


#define MG_SYNC_PIECE   65536


static int mg_sync_provider(void *ctx, const mg_provider_t *p,
    mg_error_t *e);
static int mg_sync_model(void *ctx, const mg_model_t *m, mg_error_t *e);
static int mg_sync_benchmark(void *ctx, const mg_benchmark_t *b,
    mg_error_t *e);


static const mg_source_handler_t  mg_sync_handler = {
    .provider = mg_sync_provider,
    .model = mg_sync_model,
    .benchmark = mg_sync_benchmark,
    .skipped = mg_sync_skipped
};


/* -- what the reader delivers -- */

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


static int
mg_sync_benchmark(void *ctx, const mg_benchmark_t *b, mg_error_t *e)
{
    mg_sync_t  *s = ctx;

    s->counts.benchmarks++;

    return mg_store_sync_benchmark(s->store, b, e);
}


static int
mg_sync_feed(mg_sync_t *s, const char *data, size_t len, mg_error_t *e)
{
    if (mg_run_stop(s->run, e) != MG_OK || mg_sync_store(s, e) != MG_OK) {
        s->ours = 1;
        return MG_ERROR;
    }

    s->counts.bytes += (int64_t) len;

    if (s->size > 0) {
        mg_sync_progress(s, (int) (s->counts.bytes * 100 / s->size));
    }

    if (s->from.source->feed(s->document, data, len, e) == MG_OK) {
        return MG_OK;
    }

    /* what the store has to say about an entry comes this way, too */

    s->ours = (e->kind != MG_E_INVALID && e->kind != MG_E_TOO_LARGE);

    return MG_ERROR;
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
mg_sync_read_url(mg_sync_t *s, const char *url, mg_error_t *e)
{
    int                 rc;
    mg_fetch_t          f;
    mg_http_request_t   req;
    mg_http_response_t  res;

    mg_sync_fetch_init(s, &f, s->from.source->name,
                       s->from.source->per_minute);

    memset(&req, 0, sizeof(req));
    req.method = "GET";
    req.url = mg_str_z(url);
    req.headers[0] = mg_str("Accept: application/json");
    req.n_headers = 1;
    req.timeout_ms = mg_refresh_conf(s->run->env)->timeout_ms;
    req.body_max = MG_SYNC_DOCUMENT_MAX;
    req.allow_private = s->run->env->allow_private;
    req.sink = mg_sync_sink;
    req.data = s;

    rc = mg_fetch(&f, &req, mg_str_z(s->known), &res, e);

    if (rc == MG_DECLINED) {
        s->unchanged = 1;
        return MG_OK;
    }

    if (rc == MG_OK) {
        mg_sync_etag(s, res.etag);
    }

    return rc;
}


static int
mg_sync_is_url(const char *source)
{
    return strncasecmp(source, "http://", 7) == 0
           || strncasecmp(source, "https://", 8) == 0;
}


int
mg_sync_read(mg_sync_t *s, mg_error_t *e)
{
    int                  rc;
    const mg_source_t   *source;

    source = s->from.source;

    s->document = source->create(&mg_sync_handler, s);
    if (s->document == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = mg_sync_is_url(s->from.from)
         ? mg_sync_read_url(s, s->from.from, e)
         : mg_sync_read_file(s, s->from.from, e);

    if (rc == MG_OK && !s->unchanged) {
        rc = source->finish(s->document, e);
    }

    source->destroy(s->document);
    s->document = NULL;

    if (rc == MG_OK && !s->unchanged
        && s->counts.models == 0 && s->counts.benchmarks == 0)
    {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "source \"" MG_STR_FMT
                            "\" lists no model that could be read; the "
                            "catalog stays as it is",
                            MG_STR_ARG(source->name));
    }

    return rc;
}
