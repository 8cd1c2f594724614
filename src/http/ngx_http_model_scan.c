/*
 * ngx_http_model_scan.c: runs the scanner over a body that was read.
 *
 *     buffers in memory -> scanned at once -----------------> handler
 *     a temporary file  -> a thread of the pool -> the loop ----^
 *
 * A file is a thread's business, and not one of model_db, which may all be
 * waiting for the database.  It is read in pieces; the thread gives up when
 * the client has gone.
 *
 * Event loop, but for the scan of a file.
 */

#include "http/ngx_http_model_choice.h"


#define NGX_HTTP_MODEL_SCAN_PIECE   (64 * 1024)


/* Data of a task: nothing of the request. */
typedef struct {
    ngx_fd_t                  fd;              /* a duplicate */
    off_t                     start;
    off_t                     end;
    ngx_int_t                 rc;
    ngx_http_model_scan_pt    handler;
    char                     *head;            /* the first piece */
    size_t                    head_len;
    mg_error_t                error;
    mg_scan_t                 scan;
} ngx_http_model_scan_file_t;


static void ngx_http_model_scan_memory(ngx_http_request_t *r,
    ngx_http_model_scan_pt handler);
static void ngx_http_model_scan_file(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_thread_pool_t *pool, ngx_http_model_scan_pt handler);
static void ngx_http_model_scan_work(ngx_http_model_task_t *t);
static ngx_int_t ngx_http_model_scan_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_scan_destroy(void *data);


void
ngx_http_model_scan_body(ngx_http_request_t *r, ngx_thread_pool_t *pool,
    ngx_http_model_scan_pt handler)
{
    ngx_chain_t  *cl;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (!ngx_buf_in_memory(cl->buf) && cl->buf->in_file) {
            ngx_http_model_scan_file(r, cl->buf, pool, handler);
            return;
        }
    }

    ngx_http_model_scan_memory(r, handler);
}


static void
ngx_http_model_scan_memory(ngx_http_request_t *r,
    ngx_http_model_scan_pt handler)
{
    int           rc;
    mg_scan_t     scan;
    ngx_buf_t    *b;
    mg_error_t    e;
    ngx_chain_t  *cl;

    mg_scan_init(&scan);

    rc = MG_OK;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        rc = mg_scan_feed(&scan, (char *) b->pos, b->last - b->pos, &e);

        if (rc != MG_OK) {
            break;
        }
    }

    if (rc == MG_OK) {
        rc = mg_scan_finish(&scan, &e);
    }

    handler(r, &scan, mg_str_null, rc, &e);
}


static void
ngx_http_model_scan_file(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_thread_pool_t *pool, ngx_http_model_scan_pt handler)
{
    mg_error_t                   e;
    ngx_http_model_task_t       *t;
    ngx_http_model_scan_file_t  *f;

    t = ngx_http_model_task_create(sizeof(ngx_http_model_scan_file_t));

    if (t == NULL) {
        mg_error_set(&e, MG_E_INTERNAL, NULL, "out of memory");
        handler(r, NULL, mg_str_null, MG_ERROR, &e);
        return;
    }

    f = t->data;

    /* the thread's own, since the request may go and close its file */

    f->fd = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);
    f->start = b->file_pos;
    f->end = b->file_last;
    f->handler = handler;

    t->work = ngx_http_model_scan_work;
    t->done = ngx_http_model_scan_done;
    t->destroy = ngx_http_model_scan_destroy;

    if (ngx_http_model_task_wait(pool, t, r) == NGX_DONE) {
        return;
    }

    mg_error_set(&e, MG_E_UNAVAILABLE, NULL,
                 "too many large requests wait to be read; try again");
    handler(r, NULL, mg_str_null, MG_ERROR, &e);
}


static void
ngx_http_model_scan_work(ngx_http_model_task_t *t)
{
    char                        *piece;
    off_t                        at;
    size_t                       size;
    ssize_t                      n;
    ngx_http_model_scan_file_t  *f;

    f = t->data;

    mg_scan_init(&f->scan);

    piece = malloc(NGX_HTTP_MODEL_SCAN_PIECE);
    f->head = malloc(NGX_HTTP_MODEL_SCAN_PIECE);

    if (piece == NULL || f->head == NULL || f->fd == -1) {
        free(piece);
        f->rc = mg_error_set(&f->error, MG_E_INTERNAL, NULL,
                             "the body cannot be read again");
        return;
    }

    f->rc = MG_OK;

    for (at = f->start; at < f->end && f->rc == MG_OK; at += n) {

        if (__atomic_load_n(&t->cancel, __ATOMIC_RELAXED)) {
            f->rc = mg_error_set(&f->error, MG_E_CANCELLED, NULL,
                                 "the client has gone");
            break;
        }

        size = ngx_min(f->end - at, NGX_HTTP_MODEL_SCAN_PIECE);
        n = pread(f->fd, piece, size, at);

        if (n > 0 && f->head_len == 0) {
            memcpy(f->head, piece, n);
            f->head_len = n;
        }

        if (n <= 0) {
            f->rc = mg_error_set(&f->error, MG_E_INTERNAL, NULL,
                                 "the body cannot be read again");
            break;
        }

        f->rc = mg_scan_feed(&f->scan, piece, n, &f->error);
    }

    if (f->rc == MG_OK) {
        f->rc = mg_scan_finish(&f->scan, &f->error);
    }

    free(piece);
}


static ngx_int_t
ngx_http_model_scan_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    ngx_http_model_scan_file_t  *f;

    if (r == NULL) {
        return NGX_DONE;
    }

    f = t->data;

    r->read_event_handler = ngx_http_block_reading;

    f->handler(r, &f->scan, mg_str_n(f->head, f->head_len), f->rc, &f->error);

    return NGX_DONE;
}


static void
ngx_http_model_scan_destroy(void *data)
{
    ngx_http_model_scan_file_t  *f;

    f = data;

    free(f->head);

    if (f->fd != -1) {
        (void) close(f->fd);
    }
}
