/*
 * ngx_http_model_catalog_keep.c: pages that are asked for again.
 *
 * A page of a filtered list is many runs of the snapshot; the kernel copies
 * each into the socket.  Bytes that lie together in a file it only refers
 * to, so a page that was asked for twice is written once into a nameless
 * file, by a thread, and from then on sent from there with sendfile().
 *
 *     uri, query --keyed hash--> slot {hash, offset, len} --> file
 *
 * A page is never changed once it is written: the kernel may still be
 * sending it.  A new snapshot, and a file that is full, begin a new file;
 * the old one is closed when the last request that sends from it, and the
 * last thread that writes to it, have ended.  Bounds: one file of 8 MB and
 * 512 slots a worker.
 *
 * Event loop, but for the writing; a worker's own, nothing is shared.
 */

#include "http/ngx_http_model_catalog.h"
#include "base/mg_crypt.h"
#include "base/mg_hash.h"

#if (NGX_LINUX)
#include <sys/mman.h>
#endif


#define NGX_HTTP_MODEL_KEEP_FILE   (8 * 1024 * 1024)
#define NGX_HTTP_MODEL_KEEP_MIN    (8 * 1024)     /* below: copying is less */
#define NGX_HTTP_MODEL_KEEP_MAX    (512 * 1024)
#define NGX_HTTP_MODEL_KEEP_SETS   128            /* power of two */
#define NGX_HTTP_MODEL_KEEP_WAYS   4


typedef struct {
    uint64_t                      hash[2];
    uint32_t                      offset;
    uint32_t                      len;     /* 0: was asked for once */
    ngx_uint_t                    writing; /* a thread has it */
} ngx_http_model_kept_t;


typedef struct {
    ngx_fd_t                      fd;      /* -1: the first writer opens it */
    ngx_uint_t                    opening;
    ngx_uint_t                    refs;    /* 1 for being current, 1 a request
                                              that sends from it, 1 a task */
    size_t                        used;
} ngx_http_model_keep_file_t;


/* What a thread is to write; the bytes stand behind it. */
typedef struct {
    ngx_http_model_keep_file_t   *file;
    ngx_http_model_kept_t         kept;
    const char                   *dir;     /* of the process, never freed */
    ngx_fd_t                      fd;
    ngx_err_t                     err;     /* why there is no file */
    ngx_uint_t                    written;
} ngx_http_model_keep_write_t;


typedef struct {
    uint64_t                      generation;   /* of the snapshot ... */
    int64_t                       built_at;
    ngx_http_model_keep_file_t   *file;         /* NULL: no page yet */
    uint8_t                       key[16];
    ngx_uint_t                    next;         /* way to give up next */
    unsigned                      ready:1;      /* the key is made */
    unsigned                      off:1;        /* there are no such files */
    ngx_http_model_kept_t         slots[NGX_HTTP_MODEL_KEEP_SETS]
                                       [NGX_HTTP_MODEL_KEEP_WAYS];
} ngx_http_model_keep_t;


static ngx_int_t ngx_http_model_keep_fresh(ngx_http_model_keep_t *k,
    mg_snap_t *snap);
static void ngx_http_model_keep_hash(ngx_http_model_keep_t *k,
    ngx_http_request_t *r, uint64_t hash[2]);
static ngx_chain_t *ngx_http_model_keep_chain(ngx_http_request_t *r,
    ngx_http_model_keep_file_t *file, ngx_http_model_kept_t *kept);
static ngx_http_model_keep_file_t *ngx_http_model_keep_file(
    ngx_http_model_keep_t *k, off_t size);
static void ngx_http_model_keep_work(ngx_http_model_task_t *t);
static ngx_fd_t ngx_http_model_keep_nameless(const char *dir);
static ngx_int_t ngx_http_model_keep_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_keep_destroy(void *data);
static void ngx_http_model_keep_forget(ngx_http_model_keep_t *k);
static void ngx_http_model_keep_release(void *data);


static ngx_http_model_keep_t  ngx_http_model_pages;


ngx_chain_t *
ngx_http_model_catalog_kept(ngx_http_request_t *r, mg_snap_t *snap,
    void **slot)
{
    uint64_t                hash[2];
    ngx_uint_t              i;
    ngx_http_model_keep_t  *k;
    ngx_http_model_kept_t  *set;

    *slot = NULL;
    k = &ngx_http_model_pages;

    if (!r->connection->sendfile
        || r->main_filter_need_in_memory
        || ngx_http_model_keep_fresh(k, snap) != NGX_OK)
    {
        return NULL;
    }

    ngx_http_model_keep_hash(k, r, hash);
    set = k->slots[hash[0] & (NGX_HTTP_MODEL_KEEP_SETS - 1)];

    for (i = 0; i < NGX_HTTP_MODEL_KEEP_WAYS; i++) {

        if (set[i].hash[0] != hash[0] || set[i].hash[1] != hash[1]) {
            continue;
        }

        if (set[i].len) {
            return ngx_http_model_keep_chain(r, k->file, &set[i]);
        }

        *slot = set[i].writing ? NULL : &set[i];

        return NULL;
    }

    /* the first time; whoever was asked for once goes before the kept */

    for (i = 0; i < NGX_HTTP_MODEL_KEEP_WAYS; i++) {
        if (set[i].len == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_MODEL_KEEP_WAYS) {
        i = k->next++ % NGX_HTTP_MODEL_KEEP_WAYS;
    }

    set[i].hash[0] = hash[0];
    set[i].hash[1] = hash[1];
    set[i].len = 0;
    set[i].writing = 0;

    return NULL;
}


void
ngx_http_model_catalog_keep(ngx_http_request_t *r, void *slot,
    ngx_chain_t *out, off_t total)
{
    u_char                       *p;
    ngx_http_model_kept_t        *kept;
    ngx_http_model_task_t        *t;
    ngx_http_model_keep_file_t   *file;
    ngx_http_model_keep_write_t  *w;

    if (total < NGX_HTTP_MODEL_KEEP_MIN || total > NGX_HTTP_MODEL_KEEP_MAX) {
        return;
    }

    file = ngx_http_model_keep_file(&ngx_http_model_pages, total);

    if (file == NULL) {
        return;
    }

    t = ngx_http_model_task_create(sizeof(ngx_http_model_keep_write_t)
                                   + total);
    if (t == NULL) {
        return;
    }

    kept = slot;
    kept->writing = 1;

    w = t->data;
    w->file = file;
    w->kept = *kept;
    w->kept.offset = (uint32_t) file->used;
    w->kept.len = (uint32_t) total;
    w->dir = ngx_http_model_env()->state_dir;
    w->fd = file->fd;

    for (p = (u_char *) (w + 1); out; out = out->next) {
        p = ngx_cpymem(p, out->buf->pos, out->buf->last - out->buf->pos);
    }

    /* each page begins on a page of memory of its own */

    file->used += ngx_align(total, ngx_pagesize);
    file->opening = (file->fd == -1);
    file->refs++;

    t->work = ngx_http_model_keep_work;
    t->done = ngx_http_model_keep_done;
    t->destroy = ngx_http_model_keep_destroy;

    if (ngx_http_model_task_post(ngx_http_model_main(r)->db_pool, t)
        != NGX_OK)
    {
        kept->writing = 0;
    }
}


/* NGX_OK: what is kept is of this snapshot, or nothing is. */

static ngx_int_t
ngx_http_model_keep_fresh(ngx_http_model_keep_t *k, mg_snap_t *snap)
{
    if (k->off) {
        return NGX_DECLINED;
    }

    if (!k->ready) {
        if (mg_random(k->key, sizeof(k->key)) != MG_OK) {
            return NGX_DECLINED;
        }

        k->ready = 1;
    }

    if (k->generation != mg_snap_generation(snap)
        || k->built_at != mg_snap_built_at(snap))
    {
        ngx_http_model_keep_forget(k);

        k->generation = mg_snap_generation(snap);
        k->built_at = mg_snap_built_at(snap);
    }

    return NGX_OK;
}


/* Nobody who does not know the key can make two queries meet. */

static void
ngx_http_model_keep_hash(ngx_http_model_keep_t *k, ngx_http_request_t *r,
    uint64_t hash[2])
{
    uint64_t  path[2];

    mg_siphash128(k->key, r->uri.data, r->uri.len, path);
    mg_siphash128((uint8_t *) path, r->args.data, r->args.len, hash);
}


static ngx_chain_t *
ngx_http_model_keep_chain(ngx_http_request_t *r,
    ngx_http_model_keep_file_t *file, ngx_http_model_kept_t *kept)
{
    ngx_buf_t               *b;
    ngx_pool_cleanup_t      *cln;
    ngx_http_model_piece_t  *piece;

    piece = ngx_http_model_catalog_pieces(r, 1);
    if (piece == NULL) {
        return NULL;
    }

    b = &piece->buf;

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_model_keep_release;
    cln->data = file;
    file->refs++;

    b->file->fd = file->fd;
    b->file->log = r->connection->log;
    ngx_str_set(&b->file->name, "catalog pages");

    b->memory = 0;
    b->in_file = 1;
    b->file_pos = kept->offset;
    b->file_last = b->file_pos + kept->len;

    return &piece->link;
}


void
ngx_http_model_catalog_keep_exit(ngx_cycle_t *cycle)
{
    ngx_http_model_keep_forget(&ngx_http_model_pages);
}


/* Where the next page goes; NULL: nowhere now. */

static ngx_http_model_keep_file_t *
ngx_http_model_keep_file(ngx_http_model_keep_t *k, off_t size)
{
    if (k->file && k->file->used + size > NGX_HTTP_MODEL_KEEP_FILE) {
        ngx_http_model_keep_forget(k);
        return NULL;
    }

    if (k->file) {
        return k->file->opening ? NULL : k->file;
    }

    k->file = ngx_calloc(sizeof(ngx_http_model_keep_file_t), ngx_cycle->log);

    if (k->file) {
        k->file->fd = -1;
        k->file->refs = 1;
    }

    return k->file;
}


/* Thread of model_db. */

static void
ngx_http_model_keep_work(ngx_http_model_task_t *t)
{
    ssize_t                       n;
    uint32_t                      done;
    const char                   *bytes;
    ngx_http_model_keep_write_t  *w;

    w = t->data;
    bytes = (const char *) (w + 1);

    if (w->fd == -1) {
        w->fd = ngx_http_model_keep_nameless(w->dir);
        w->err = ngx_errno;
    }

    if (w->fd == -1) {
        return;
    }

    for (done = 0; done < w->kept.len; done += (uint32_t) n) {
        n = pwrite(w->fd, bytes + done, w->kept.len - done,
                   (off_t) w->kept.offset + done);

        if (n <= 0) {
            return;
        }
    }

    w->written = 1;
}


/*
 * File systems on disks hand pages to sendfile() in larger pieces than shared
 * memory does, which stands in where they know no nameless files.
 */

static ngx_fd_t
ngx_http_model_keep_nameless(const char *dir)
{
    int  fd;

    fd = -1;

#ifdef O_TMPFILE
    fd = open(dir, O_TMPFILE|O_RDWR|O_CLOEXEC, 0600);
#endif

#if (NGX_LINUX)
    if (fd == -1) {
        fd = memfd_create("model-catalog-pages", MFD_CLOEXEC);
    }
#endif

    return fd;
}


static ngx_int_t
ngx_http_model_keep_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    ngx_uint_t                    i;
    ngx_http_model_keep_t        *k;
    ngx_http_model_kept_t        *set;
    ngx_http_model_keep_write_t  *w;

    (void) r;

    w = t->data;
    k = &ngx_http_model_pages;

    if (w->file->fd == -1) {
        w->file->fd = w->fd;
        w->file->opening = 0;

        if (w->fd == -1) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, w->err,
                          "model: no file can be made for pages of the "
                          "catalog, they are not kept");
            k->off = 1;
        }
    }

    /* meanwhile the file may have been given up, or the slot */

    if (k->file != w->file) {
        return NGX_OK;
    }

    set = k->slots[w->kept.hash[0] & (NGX_HTTP_MODEL_KEEP_SETS - 1)];

    for (i = 0; i < NGX_HTTP_MODEL_KEEP_WAYS; i++) {

        if (set[i].hash[0] != w->kept.hash[0]
            || set[i].hash[1] != w->kept.hash[1]
            || set[i].len)
        {
            continue;
        }

        set[i].writing = 0;

        if (w->written) {
            set[i].offset = w->kept.offset;
            set[i].len = w->kept.len;
        }
    }

    return NGX_OK;
}


static void
ngx_http_model_keep_destroy(void *data)
{
    ngx_http_model_keep_write_t  *w = data;

    /* of a task that was never run */

    if (w->file->fd == -1) {
        w->file->opening = 0;
    }

    ngx_http_model_keep_release(w->file);
}


static void
ngx_http_model_keep_forget(ngx_http_model_keep_t *k)
{
    ngx_memzero(k->slots, sizeof(k->slots));

    if (k->file) {
        ngx_http_model_keep_release(k->file);
        k->file = NULL;
    }
}


/* Cleanup of a request, end of a task, end of being current. */

static void
ngx_http_model_keep_release(void *data)
{
    ngx_http_model_keep_file_t  *file = data;

    if (--file->refs) {
        return;
    }

    if (file->fd != -1 && ngx_close_file(file->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      ngx_close_file_n " of kept catalog pages failed");
    }

    ngx_free(file);
}
