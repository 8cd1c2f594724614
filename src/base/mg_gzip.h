/*
 * mg_gzip.h: one-shot gzip of a body that will be served many times.
 *
 * The whole-document answers of the catalog are compressed once, when their
 * snapshot is built; on-the-fly compression would cost the event loop that
 * time for each request.  The same bytes give the same result everywhere, so
 * an ETag may be taken from them.
 *
 * Pool threads only (160 ms for 7 MB at level 6).
 */

#ifndef MG_GZIP_H
#define MG_GZIP_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


/* Appends a gzip member of data to out.  level 1 to 9. */
int mg_gzip(mg_buf_t *out, mg_str_t data, int level, mg_error_t *e);


#endif /* MG_GZIP_H */
