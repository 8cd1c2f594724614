/*
 * ngx_http_model_catalog_send.c: bodies and validators of the catalog.
 *
 * Three kinds of bodies: pieces of the snapshot between short texts, texts
 * that were written for this answer, and whole documents that lie in the
 * file.  The last are offered both as memory and as a part of the file, so
 * that "sendfile" and TLS decide how they travel.
 *
 *     validator = generation, file's size ^ hash of the query ^ salt
 *
 * Event loop; the file is pinned by the request.
 */

#include "http/ngx_http_model_catalog.h"
#include "base/mg_hash.h"


static ngx_int_t ngx_http_model_catalog_file(ngx_http_request_t *r,
    mg_snap_t *snap, ngx_buf_t *b);
static ngx_int_t ngx_http_model_catalog_finish(ngx_http_request_t *r,
    mg_snap_t *snap, ngx_chain_t *out, off_t total, uint64_t salt,
    ngx_uint_t gzip);


mg_snap_t *
ngx_http_model_catalog_snap(ngx_http_model_ask_t *ask, unsigned kind)
{
    mg_snap_t  *snap;

    mg_metric_add(ngx_http_model_counters(), CATALOG_REQUESTS, 1);

    snap = ngx_http_model_snap(ask->request, kind);

    if (snap == NULL) {
        (void) mg_error_set(&ask->error, MG_E_UNAVAILABLE, NULL,
                            "the catalog is not loaded yet; see "
                            "/api/v1/admin/ready and try again");
    }

    return snap;
}


ngx_int_t
ngx_http_model_catalog_missing(mg_error_t *e, const char *param,
    const char *what, mg_str_t id)
{
    (void) mg_error_set(e, MG_E_NOT_FOUND, param,
                        "there is no %s \"%.*s\" in the catalog", what,
                        (int) ngx_min(id.len, NGX_HTTP_MODEL_CATALOG_CUT),
                        id.data);

    return NGX_DECLINED;
}


/* -- pieces -- */

ngx_http_model_piece_t *
ngx_http_model_catalog_pieces(ngx_http_request_t *r, ngx_uint_t n)
{
    ngx_uint_t               i;
    ngx_http_model_piece_t  *piece;

    piece = ngx_pcalloc(r->pool, n * sizeof(ngx_http_model_piece_t));
    if (piece == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        piece[i].link.buf = &piece[i].buf;
        piece[i].link.next = (i + 1 < n) ? &piece[i + 1].link : NULL;
    }

    return piece;
}


void
ngx_http_model_catalog_piece(ngx_http_model_piece_t *piece, const char *data,
    size_t len)
{
    piece->buf.pos = (u_char *) data;
    piece->buf.last = piece->buf.pos + len;
    piece->buf.memory = (len != 0);
}


/* -- answers -- */

ngx_int_t
ngx_http_model_catalog_send(ngx_http_request_t *r, mg_snap_t *snap,
    ngx_chain_t *out, off_t total, uint64_t salt)
{
    return ngx_http_model_catalog_finish(r, snap, out, total, salt, 0);
}


ngx_int_t
ngx_http_model_catalog_text(ngx_http_request_t *r, mg_snap_t *snap,
    mg_buf_t *b, uint64_t salt)
{
    char                    *text;
    size_t                   len;
    ngx_http_model_piece_t  *piece;

    len = b->len;
    text = b->failed ? NULL : ngx_pnalloc(r->pool, len);

    if (text) {
        ngx_memcpy(text, b->data, len);
    }

    mg_buf_free(b);

    piece = text ? ngx_http_model_catalog_pieces(r, 1) : NULL;

    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_model_catalog_piece(piece, text, len);

    return ngx_http_model_catalog_finish(r, snap, &piece->link, len, salt, 0);
}


ngx_int_t
ngx_http_model_catalog_ready(ngx_http_request_t *r, mg_snap_t *snap,
    mg_str_t *plain, mg_str_t *gzipped)
{
    mg_str_t                *body;
    ngx_uint_t               gzip;
    ngx_http_model_piece_t  *piece;

    static ngx_str_t  vary = ngx_string("Accept-Encoding");

    gzip = gzipped->len && ngx_http_model_answer_accepts_gzip(r);
    body = gzip ? gzipped : plain;

    if (!gzip
        && ngx_http_model_answer_header(r, "Vary", &vary) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    piece = ngx_http_model_catalog_pieces(r, 1);
    if (piece == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_model_catalog_piece(piece, body->data, body->len);

    if (r->connection->sendfile && body->len
        && ngx_http_model_catalog_file(r, snap, &piece->buf) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->allow_ranges = 1;

    return ngx_http_model_catalog_finish(r, snap, &piece->link, body->len, 0,
                                         gzip);
}


/* The same bytes once more, as a part of the mapped file. */

static ngx_int_t
ngx_http_model_catalog_file(ngx_http_request_t *r, mg_snap_t *snap,
    ngx_buf_t *b)
{
    ngx_file_t  *file;

    file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (file == NULL) {
        return NGX_ERROR;
    }

    file->fd = mg_snap_fd(snap);
    file->log = r->connection->log;
    ngx_str_set(&file->name, "catalog snapshot");

    b->file = file;
    b->in_file = 1;
    b->file_pos = (char *) b->pos - mg_snap_bytes(snap).data;
    b->file_last = b->file_pos + (b->last - b->pos);

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_catalog_finish(ngx_http_request_t *r, mg_snap_t *snap,
    ngx_chain_t *out, off_t total, uint64_t salt, ngx_uint_t gzip)
{
    uint64_t   variant;
    ngx_int_t  rc;
    ngx_str_t  etag;

    static const uint8_t  key[16];

    if (ngx_http_model_stale_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /*
     * The size tells files of one generation apart when the database was
     * made anew and counts from the beginning.
     */

    variant = mg_snap_size(snap) ^ salt;

    if (r->args.len) {
        variant ^= mg_siphash(key, r->args.data, r->args.len);
    }

    ngx_http_model_answer_etag(r, &etag, mg_snap_generation(snap), variant,
                               gzip);

    rc = ngx_http_model_answer_chain(r, NGX_HTTP_OK, out, total, &etag, gzip);

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        mg_metric_add(ngx_http_model_counters(), CATALOG_NOT_MODIFIED, 1);
    }

    return rc;
}
