/*
 * mg_archive.h: a compressed file that is there as a whole or not at all.
 *
 *     DIR/.<name>.tmp  --fsync, rename-->  DIR/<name>
 *
 * What is written is gathered, compressed a few megabytes at a time, each a
 * member of its own (gzip allows many in a row), and counted into the digest
 * of the file.  A file of the name that is there is replaced; what a killed
 * writer has left is written anew.
 *
 * Blocks: model_jobs threads.
 */

#ifndef MG_ARCHIVE_H
#define MG_ARCHIVE_H

#include "base/mg_error.h"
#include "base/mg_hash.h"


#define MG_ARCHIVE_PATH   1024

typedef struct mg_archive_s  mg_archive_t;

/*
 * dir is made if it is not there, its parent must be.  name has no slash.
 * NULL with *e: MG_E_CONFLICT if another process writes it just now.
 */
mg_archive_t *mg_archive_open(const char *dir, mg_str_t name, mg_error_t *e);

/* The next bytes of the contents; a full disk is MG_E_INTERNAL. */
int mg_archive_write(mg_archive_t *a, mg_str_t data, mg_error_t *e);

/*
 * The file gets its name and is on the disk.  bytes: its size; digest: its
 * SHA-256.  Frees a; MG_ERROR: there is no file.
 */
int mg_archive_close(mg_archive_t *a, int64_t *bytes, uint8_t digest[32],
    mg_error_t *e);

/* No file; a may be NULL. */
void mg_archive_abort(mg_archive_t *a);


#endif /* MG_ARCHIVE_H */
