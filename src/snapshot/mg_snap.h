/*
 * mg_snap.h: an immutable file, mapped read-only by every worker.
 *
 *     | header: magic, checksum of all that follows, kind, version,
 *     |         header length, file length, generation, built_at,
 *     |         table of sections (offset, length, element size)      |
 *     | section | section | ...                 each aligned to 64    |
 *
 * All references inside are 32- or 64-bit offsets that were checked once,
 * by whoever published the file: a builder writes to a temporary name with
 * write(), fsyncs, verifies, renames.  A published file is never written to
 * or truncated, only replaced and unlinked.  Two kinds: catalog and
 * routing.
 *
 * Building and verifying: pool threads only.  Mapping and querying: event
 * loop; never blocks, since the builder has brought the pages in.
 */

#ifndef MG_SNAP_H
#define MG_SNAP_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


/* Of the layout: files and copies of another version are not read. */
#define MG_SNAP_VERSION    4

#define MG_SNAP_CATALOG    1
#define MG_SNAP_ROUTING    2

#define MG_SNAP_CATALOG_FILE   "catalog.snap"
#define MG_SNAP_ROUTING_FILE   "routing.snap"


typedef struct mg_snap_s  mg_snap_t;


/*
 * Maps dir/file.  verify != 0: also reads every byte (checksum, every
 * offset), so pool threads only; 0 checks the header alone.  *out is owned
 * by the caller.  MG_DECLINED if there is no such file; MG_ERROR with *e if
 * it is damaged or of another version.
 */
int mg_snap_open(mg_snap_t **out, const char *dir, unsigned kind, int verify,
    mg_error_t *e);

/* Unmaps.  No reader may hold a pointer into it any more. */
void mg_snap_close(mg_snap_t *s);

uint64_t mg_snap_generation(const mg_snap_t *s);
int64_t mg_snap_built_at(const mg_snap_t *s);     /* us since 1970 */
size_t mg_snap_size(const mg_snap_t *s);

/* The whole file as bytes: what travels through Redis. */
mg_str_t mg_snap_bytes(const mg_snap_t *s);

/*
 * For sendfile(): the file that is mapped, open for reading until
 * mg_snap_close() and not the caller's to close, and where in it bytes lie
 * that a query has given.
 */
int mg_snap_fd(const mg_snap_t *s);
uint64_t mg_snap_offset(const mg_snap_t *s, mg_str_t bytes);

/*
 * Writes bytes (a complete snapshot image from a builder or from Redis) to
 * a temporary name in dir, fsyncs, verifies, renames into place, fsyncs the
 * directory.  MG_ERROR leaves the old file as it was.
 */
int mg_snap_publish(const char *dir, unsigned kind, mg_str_t image,
    mg_error_t *e);

/* Verifies an image in memory: magic, version, length, checksum, offsets. */
int mg_snap_verify(mg_str_t image, unsigned kind, mg_error_t *e);

/* The generation that a verified image in memory states. */
uint64_t mg_snap_image_generation(mg_str_t image);

/*
 * 1 if two verified images say the same: all but the generation, the time
 * they were built at and the checksum is equal.
 */
int mg_snap_same(mg_str_t a, mg_str_t b);


#endif /* MG_SNAP_H */
