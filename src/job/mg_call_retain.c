/*
 * mg_call_retain.c: what a group keeps no longer goes now.
 *
 * The keeper asks for the same job by itself (mg_keep_retain.c).
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_call_local.h"
#include "job/mg_engine.h"
#include "store/mg_store_inference.h"


int
mg_call_retain_start(mg_call_t *c, mg_error_t *e)
{
    int                     rc;
    mg_jw_t                 w;
    mg_pg_t                *db;
    mg_job_t                j;
    mg_error_t              busy;
    mg_inference_source_t   from;

    if (c->expect) {
        return mg_error_set(e, MG_E_INVALID, "If-Match",
                            "If-Match: a retention changes no group, so no "
                            "version is compared; leave it out here");
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    memset(&j, 0, sizeof(mg_job_t));

    /* also one that was deleted, by its id or its last name */

    rc = mg_store_inference_source(db, c->who.org_id,
                                   mg_call_path(c, "group"), c->arena, &from,
                                   e);

    if (rc == MG_OK) {
        rc = mg_retain_ask(db, &c->who, from.group_id, c->arena, &j, e);
    }

    mg_pg_release(db);

    if (rc != MG_OK && (e->kind != MG_E_CONFLICT || j.id.len == 0)) {
        return MG_ERROR;
    }

    c->kick_jobs = 1;
    c->replayed = (rc == MG_OK && j.replayed);

    if (rc == MG_OK) {
        mg_call_created(c, 202, mg_call_address(c, "/api/v1/jobs/", j.id,
                                                ""));
        mg_call_writer(c, &w);
        mg_call_write_job(&w, NULL, &j);

        return MG_OK;
    }

    /* one that runs already: 409, and which it is */

    busy = *e;
    c->status = 409;

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_error(&w, &busy);
    mg_call_write_job(&w, "job", &j);
    mg_jw_end_object(&w);

    return MG_OK;
}
