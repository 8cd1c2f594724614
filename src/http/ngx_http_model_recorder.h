/*
 * ngx_http_model_recorder.h: a worker's ring of inference records.
 *
 *     last byte -> pending -> ring of the slot -> flush task -> database
 *                                  |                              or spool
 *                                  a killed worker's: swept by worker 0, or
 *                                  by the worker that takes the slot
 *
 * Two areas of the zone: "slots" (who owns and who reads each ring) and
 * "records" (the rings, and behind each the records of answers that are
 * just being written to their clients).  The number of rings is fixed by
 * whoever comes first, so that a reload with another worker_processes cannot
 * disagree; a worker whose slot lies beyond has a ring on its own heap, which
 * a kill -9 would take along.
 *
 * A ring is read by one thread at a time: whoever reads it has put its pid
 * into the slot's "reader" word.
 *
 * Event loop only; the flushing itself is on model_db.
 */

#ifndef _NGX_HTTP_MODEL_RECORDER_H_INCLUDED_
#define _NGX_HTTP_MODEL_RECORDER_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "model/mg_record.h"
#include "model/mg_tally.h"


/* postconfiguration of the module that is last: one area takes the rest. */
ngx_int_t ngx_http_model_recorder_areas(ngx_conf_t *cf,
    ngx_http_model_main_conf_t *mcf);

ngx_int_t ngx_http_model_recorder_init(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf);

/*
 * exit_process: close() spools what there is and makes room for what is
 * added after it; exit() spools that, too, and lets go of the slot.
 */
void ngx_http_model_recorder_close(void);
void ngx_http_model_recorder_exit(void);

/* Early notice: everything that is there now goes to the database. */
void ngx_http_model_recorder_leave(void);

/*
 * Before the last byte of an answer goes out: keeps the record as it is now
 * for the case that the worker is killed.  NULL: there is no room, which is
 * counted; otherwise for ngx_http_model_recorder_unpend() with that size.
 */
void *ngx_http_model_recorder_pend(const mg_record_t *record, size_t *size);

/*
 * Encodes into the ring; a full ring is counted, nothing waits.  pending is
 * that record as it was kept, with its size, if its strings are still the
 * same; or NULL.
 */
void ngx_http_model_recorder_add(const mg_record_t *record,
    const void *pending, size_t size);

/* After the record was added. */
void ngx_http_model_recorder_unpend(void *pending, size_t size);

/* Bytes of records that are nowhere but in memory, all workers together. */
uint64_t ngx_http_model_recorder_waiting(void);

/* The counts of all workers; NULL in a process that is no worker. */
mg_tally_cell_t *ngx_http_model_recorder_cells(uint32_t *n);


#endif /* _NGX_HTTP_MODEL_RECORDER_H_INCLUDED_ */
