/*
 * mg_shadow.h: copies of requests, sent to shadow variants by a thread.
 *
 * The event loop makes a job of what a shadow variant is to be asked and
 * hands it over; the thread sends it, reads the answer for its usage only,
 * fills in the record and hands the job back.  Nobody waits for anybody:
 *
 *     job -> | in: a stack, taken as a whole | -> libcurl, many at once
 *                                                        |
 *     done() <- | out: the same the other way | <--------+-> notify()
 *
 * How many jobs there may be and how much they may hold is counted by the
 * event loop alone.  Of several variants none may have more than half of
 * what may wait, of the memory and of what is being sent: one that hangs
 * leaves the rest to the others.  A job has one deadline, from the moment
 * when it was made: one that has not been sent by then expires.  The thread
 * has a lower priority than the event loop.
 *
 * Memory of a job: one arena, which goes over with it; keys are wiped.
 */

#ifndef MG_SHADOW_H
#define MG_SHADOW_H

#include <sys/types.h>

#include "base/mg_arena.h"
#include "client/mg_http.h"
#include "model/mg_cost.h"
#include "model/mg_record.h"
#include "model/mg_redact.h"


#define MG_SHADOW_FILES_MAX   4


typedef struct mg_shadow_s      mg_shadow_t;
typedef struct mg_shadow_job_s  mg_shadow_job_t;


/* What came of a job. */
typedef enum {
    MG_SHADOW_ANSWERED = 0,  /* a whole answer of 2xx */
    MG_SHADOW_FAILED,        /* any other, or none; the record says which */
    MG_SHADOW_EXPIRED,       /* never sent: the deadline has passed */
    MG_SHADOW_UNREAD,        /* never sent: its body could not be read */
    MG_SHADOW_UNSENT         /* never sent: the thread was stopped */
} mg_shadow_outcome_e;


/* A part of the body that is still in a file. */
typedef struct {
    off_t                    from;       /* in the file */
    size_t                   at;         /* in the body */
    size_t                   len;
} mg_shadow_file_t;


struct mg_shadow_job_s {
    mg_shadow_job_t         *next;
    mg_arena_t              *arena;      /* of all that follows, and of this */
    uint64_t                 variant;    /* hash of whom it is for */
    mg_record_t              record;     /* from the event loop: what is known
                                            before; finished by the thread */
    mg_http_request_t        http;
    char                    *body;       /* http.body, to be written */
    int                      fd;         /* of the parts in a file, owned; -1 */
    unsigned                 n_files;
    mg_shadow_file_t         files[MG_SHADOW_FILES_MAX];
    const mg_cost_prices_t  *prices;     /* NULL: nobody states any */
    size_t                   keep;       /* bytes of the answer, for the
                                            record; 0: none */
    mg_str_t                 hidden;     /* members that are not kept, each
                                            name ends with NUL */
    int64_t                  deadline_us;    /* mg_mono_us() */
    mg_shadow_outcome_e      outcome;
    unsigned                 unrecorded:1;   /* model_record off */

    /* private */
    unsigned                 line;       /* where it waits */
    int64_t                  begun_us;
    mg_usage_reader_t       *reader;
    mg_redact_t              redact;
    mg_buf_t                 kept;
};


typedef struct {
    unsigned                 queue;        /* jobs that may wait */
    unsigned                 concurrency;  /* that may be on their way */
    size_t                   memory;       /* bytes of all their bodies */

    /* Called by the thread: done() has something.  May not block. */
    void                   (*notify)(void *ctx);
    void                    *ctx;
} mg_shadow_options_t;


/* NULL when out of memory or threads.  Event loop. */
mg_shadow_t *mg_shadow_start(const mg_shadow_options_t *o);

/*
 * Ends the thread: what was being sent is cut, what waited stays unsent.
 * Waits for the thread, which needs a moment at most.  done() has the rest;
 * destroy() is called after it.  Event loop.
 */
void mg_shadow_stop(mg_shadow_t *s);
void mg_shadow_destroy(mg_shadow_t *s);

/* Room for one more of the variant, with such a body?  Event loop. */
typedef enum {
    MG_SHADOW_ROOM = 0,
    MG_SHADOW_NO_QUEUE,
    MG_SHADOW_NO_MEMORY
} mg_shadow_room_e;

mg_shadow_room_e mg_shadow_room(mg_shadow_t *s, uint64_t variant,
    size_t body);

/* Jobs that were handed over and not taken back.  Event loop. */
unsigned mg_shadow_jobs(const mg_shadow_t *s);

/*
 * A zeroed job with an arena, a record that is initialized, and room for a
 * body; NULL when out of memory.  Strings that are put into it come from its
 * arena.  Event loop.
 */
mg_shadow_job_t *mg_shadow_job_create(size_t body);
void mg_shadow_job_free(mg_shadow_job_t *job);

/*
 * Hands the job over; it is not to be touched until it comes back.  The
 * caller sets variant, and of http url, the further headers, resolve, trusted
 * and connect_timeout_ms.  Event loop; never blocks.
 */
void mg_shadow_send(mg_shadow_t *s, mg_shadow_job_t *job);

/* Takes one back, in the order in which they ended; NULL: none.  Event loop. */
mg_shadow_job_t *mg_shadow_done(mg_shadow_t *s);


#endif /* MG_SHADOW_H */
