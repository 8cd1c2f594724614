/*
 * mg_ready_past.c: how long model servers took to come up, in a file.
 *
 *     STATE/loads    "<key, 16 hex digits> <microseconds> <name>\n" ...
 *
 * Written as a whole to a temporary name and renamed.  Lines of servers that
 * are not waited for now are kept while there is room.  Nothing depends on
 * the file: a line that cannot be read is left out.
 *
 * Thread of mg_ready_probe.c.
 */

#include "job/mg_ready_local.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>


#define MG_READY_PAST_LINE   128
#define MG_READY_PAST_LINES  256
#define MG_READY_PAST_PATH   1024

/* One that was up when it was asked first has told nothing. */
#define MG_READY_PAST_LEAST  UINT64_C(1000000)


typedef struct {
    uint64_t  key;
    uint64_t  us;
    char      name[MG_GATE_NAME_MAX + 1];
} mg_ready_past_t;


static unsigned mg_ready_past_load(const char *dir, mg_ready_past_t *rows);
static unsigned mg_ready_past_add(mg_ready_past_t *rows, unsigned n,
    const mg_ready_server_t *sv);
static int mg_ready_past_save(const char *dir, const mg_ready_past_t *rows,
    unsigned n, mg_error_t *e);


void
mg_ready_past_read(const char *dir, const mg_ready_list_t *list)
{
    unsigned          i, k, n;
    mg_load_t        *l;
    mg_ready_past_t  *rows;

    rows = calloc(MG_READY_PAST_LINES, sizeof(mg_ready_past_t));
    if (rows == NULL) {
        return;
    }

    n = mg_ready_past_load(dir, rows);

    for (i = 0; i < list->n; i++) {
        l = list->servers[i].load;

        for (k = 0; l && k < n; k++) {
            if (rows[k].key == mg_word_get(l->key)) {
                mg_word_set(l->expected_us, rows[k].us);
                break;
            }
        }
    }

    free(rows);
}


int
mg_ready_past_write(const char *dir, const mg_ready_list_t *list,
    mg_error_t *e)
{
    int               rc;
    unsigned          i, n;
    mg_ready_past_t  *rows;

    rows = calloc(MG_READY_PAST_LINES, sizeof(mg_ready_past_t));
    if (rows == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    n = mg_ready_past_load(dir, rows);

    for (i = 0; i < list->n; i++) {
        if (list->servers[i].load
            && mg_word_get(list->servers[i].load->took_us)
               >= MG_READY_PAST_LEAST)
        {
            n = mg_ready_past_add(rows, n, &list->servers[i]);
        }
    }

    rc = n ? mg_ready_past_save(dir, rows, n, e) : MG_OK;
    free(rows);

    return rc;
}


static unsigned
mg_ready_past_load(const char *dir, mg_ready_past_t *rows)
{
    char              path[MG_READY_PAST_PATH], line[MG_READY_PAST_LINE];
    FILE             *f;
    unsigned          n;
    mg_ready_past_t  *row;

    (void) snprintf(path, sizeof(path), "%s/loads", dir);

    f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }

    n = 0;

    while (n < MG_READY_PAST_LINES && fgets(line, sizeof(line), f)) {
        row = &rows[n];

        if (sscanf(line, "%16" SCNx64 " %18" SCNu64 " %64[^\n]", &row->key,
                   &row->us, row->name)
            == 3)
        {
            n++;
        }
    }

    (void) fclose(f);

    return n;
}


static unsigned
mg_ready_past_add(mg_ready_past_t *rows, unsigned n,
    const mg_ready_server_t *sv)
{
    unsigned  i;
    uint64_t  key;

    key = mg_word_get(sv->load->key);

    for (i = 0; i < n; i++) {
        if (rows[i].key == key) {
            break;
        }
    }

    /* a full file forgets the line that was written first */

    if (i == MG_READY_PAST_LINES) {
        memmove(rows, rows + 1, (n - 1) * sizeof(mg_ready_past_t));
        i--;
    }

    rows[i].key = key;
    rows[i].us = mg_word_get(sv->load->took_us);
    memcpy(rows[i].name, sv->name, sizeof(rows[i].name));

    return i < n ? n : n + 1;
}


static int
mg_ready_past_save(const char *dir, const mg_ready_past_t *rows, unsigned n,
    mg_error_t *e)
{
    int        failed;
    char       path[MG_READY_PAST_PATH], temp[MG_READY_PAST_PATH];
    FILE      *f;
    unsigned   i;

    (void) snprintf(path, sizeof(path), "%s/loads", dir);
    (void) snprintf(temp, sizeof(temp), "%s/.loads.tmp", dir);

    f = fopen(temp, "we");
    if (f == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "\"%s\" cannot be "
                            "written: %s", temp, strerror(errno));
    }

    for (i = 0; i < n; i++) {
        (void) fprintf(f, "%016" PRIx64 " %" PRIu64 " %s\n", rows[i].key,
                       rows[i].us, rows[i].name);
    }

    failed = ferror(f);
    failed |= fclose(f);

    if (failed || rename(temp, path) == -1) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "\"%s\" cannot be "
                            "written: %s", path, strerror(errno));
        (void) unlink(temp);
        return MG_ERROR;
    }

    return MG_OK;
}
