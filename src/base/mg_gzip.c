/*
 * mg_gzip.c: one-shot gzip with zlib.
 *
 * The header carries no time and no name, so the same body gives the same
 * bytes on every node.  Input goes in and output comes out in pieces, since
 * zlib counts in 32 bits and a thread of low priority shall breathe.
 *
 * Pool threads; touches nothing but the caller's buffer.
 */

#include "base/mg_gzip.h"
#include "base/mg_priority.h"

#include <zlib.h>


#define MG_GZIP_PIECE   ((size_t) 32 * 1024)
#define MG_GZIP_OUTPUT  ((size_t) 64 * 1024)


static int mg_gzip_run(z_stream *z, mg_buf_t *out, mg_str_t data);


int
mg_gzip(mg_buf_t *out, mg_str_t data, int level, mg_error_t *e)
{
    int       rc;
    size_t    start;
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    /* a window of 2^15 bytes; 16 asks for gzip's header and trailer */

    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "gzip cannot begin at "
                            "level \"%d\"; levels are 1 to 9", level);
    }

    start = out->len;
    rc = mg_gzip_run(&z, out, data);

    deflateEnd(&z);

    if (rc != MG_OK) {
        out->len = start;
        return mg_error_set(e, MG_E_INTERNAL, NULL, "%zu bytes could not be "
                            "compressed: out of memory or above the cap of "
                            "%zu bytes", data.len, out->cap);
    }

    return MG_OK;
}


static int
mg_gzip_run(z_stream *z, mg_buf_t *out, mg_str_t data)
{
    int          rc, flush;
    char        *room;
    size_t       n, left;
    const char  *p;

    p = data.data;
    left = data.len;

    do {
        mg_priority_breathe();

        n = left < MG_GZIP_PIECE ? left : MG_GZIP_PIECE;

        z->next_in = (z_const Bytef *) p;
        z->avail_in = (uInt) n;
        flush = (n == left) ? Z_FINISH : Z_NO_FLUSH;

        do {
            room = mg_buf_reserve(out, MG_GZIP_OUTPUT);

            if (room == NULL) {
                return MG_ERROR;
            }

            z->next_out = (Bytef *) room;
            z->avail_out = (uInt) MG_GZIP_OUTPUT;

            rc = deflate(z, flush);

            if (rc == Z_STREAM_ERROR) {
                return MG_ERROR;
            }

            out->len += MG_GZIP_OUTPUT - z->avail_out;

        } while (z->avail_out == 0);

        p = n ? p + n : p;
        left -= n;

    } while (flush != Z_FINISH);

    return rc == Z_STREAM_END ? MG_OK : MG_ERROR;
}
