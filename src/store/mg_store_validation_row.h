/*
 * mg_store_validation_row.h: a row of ai_model_validation_progress.
 *
 * For mg_store_validation.c, which makes runs, mg_store_validation_read.c,
 * which reads them, and mg_store_validation_save.c, which carries them on.
 *
 * Pool threads; mg_validation_one() blocks.
 */

#ifndef MG_STORE_VALIDATION_ROW_H
#define MG_STORE_VALIDATION_ROW_H

#include "store/mg_store_column.h"


/* Columns of v that mg_validation_one() reads. */
#define MG_VALIDATION_COLUMNS                                                 \
    "v.id, v.provider_id, v.job_id, v.current_model_id, v.error, v.status, "  \
    "v.total_models, v.validated_count, v.available_count, "                  \
    "v.unavailable_count, v.started_at, v.completed_at, v.last_updated_at, "  \
    "v.created_at, v.phase, v.unverified_count, v.missing_count, "            \
    "v.estimated_seconds, v.listed, v.only_failed, v.chosen"

#define MG_VALIDATION_FROM                                                    \
    "from model.ai_model_validation_progress v "


/*
 * Runs a statement that returns these columns of one run.  MG_E_NOT_FOUND,
 * without words of its own, if there is none.
 */
int mg_validation_one(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e);


#endif /* MG_STORE_VALIDATION_ROW_H */
