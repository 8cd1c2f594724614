/*
 * mg_store_feedback.c: what came of an inference.
 *
 *     organisation, inference, source, name -> one row, the last word
 *
 * A row refers to its inference by id alone: it may be here before the
 * record is, and stays when the record has gone to the archive.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_inference.h"
#include "store/mg_store_list.h"


#define MG_FEEDBACK_COLUMNS                                                   \
    "f.id, f.source, f.name, trim_scale(f.reward), f.label, f.comment, "      \
    "f.token_id, f.created_at, f.updated_at "


static int mg_feedback_put(mg_pg_t *c, const mg_actor_t *who,
    const mg_uuid_t *inference, mg_arena_t *a, mg_feedback_t *f,
    mg_error_t *e);
static int mg_feedback_room(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_feedback_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);


int
mg_store_feedback_put(mg_pg_t *c, const mg_actor_t *who,
    const mg_uuid_t *inference, mg_arena_t *a, mg_feedback_t *f,
    mg_error_t *e)
{
    if (mg_pg_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_store_end(c, mg_feedback_put(c, who, inference, a, f, e), e);
}


static int
mg_feedback_put(mg_pg_t *c, const mg_actor_t *who, const mg_uuid_t *inference,
    mg_arena_t *a, mg_feedback_t *f, mg_error_t *e)
{
    int              rc;
    char             id[MG_UUID_LEN + 1];
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_uuid_format(inference, id);

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, mg_str_n(id, MG_UUID_LEN));
    mg_pg_param_str(&p, f->source);
    mg_pg_param_str(&p, f->name);

    if (mg_feedback_room(c, &p, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_pg_param_str(&p, f->reward);
    mg_pg_param_str(&p, f->label);
    mg_pg_param_str(&p, f->comment);
    mg_pg_param_str(&p, who->token_id);
    mg_pg_param_time(&p, mg_uuid_time(inference));

    if (mg_pg_exec(c, "insert into model.inference_feedback as f "
                   "(org_id, inference_id, source, name, reward, label, "
                   "comment, token_id, inference_at) "
                   "values ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                   "on conflict (org_id, inference_id, source, name) "
                   "do update set reward = excluded.reward, "
                   "label = excluded.label, comment = excluded.comment, "
                   "token_id = excluded.token_id, updated_at = now() "
                   "returning " MG_FEEDBACK_COLUMNS ", f.xmax = 0", &p, &r,
                   e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_feedback_row(r, 0, a, f);
    f->made = (mg_pg_rows_tri(r, 0, 9) == 1);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


/* A soft bound: those who come at the same time may pass it together. */

static int
mg_feedback_room(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    int64_t        others;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "select count(*) from model.inference_feedback "
                   "where org_id = $1 and inference_id = $2 "
                   "and (source, name) <> ($3::text, $4::text)", p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    others = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    if (others < MG_FEEDBACK_MAX) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_CONFLICT, NULL,
                        "the inference has feedback of %d sources and names "
                        "already; replace one of them", MG_FEEDBACK_MAX);
}


int
mg_store_feedback_list(mg_pg_t *c, mg_str_t org_id,
    const mg_uuid_t *inference, mg_arena_t *a, mg_feedback_t **rows,
    unsigned *n, mg_error_t *e)
{
    char             id[MG_UUID_LEN + 1];
    void            *array;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_uuid_format(inference, id);

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, mg_str_n(id, MG_UUID_LEN));

    if (mg_pg_exec(c, "select " MG_FEEDBACK_COLUMNS
                   "from model.inference_feedback f where f.org_id = $1 "
                   "and f.inference_id = $2 order by f.id", &p, &r, e)
        != MG_OK
        || mg_store_rows(r, sizeof(mg_feedback_t), mg_feedback_row, a,
                         &array, n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


static int
mg_feedback_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    int             i;
    mg_feedback_t  *f = out;

    mg_str_t  *strings[] = {
        &f->id, &f->source, &f->name, &f->reward, &f->label, &f->comment,
        &f->token_id
    };

    for (i = 0; i < (int) (sizeof(strings) / sizeof(strings[0])); i++) {
        if (mg_column_str(r, row, i, a, strings[i]) != MG_OK) {
            return MG_ERROR;
        }
    }

    f->created_at = mg_pg_rows_time(r, row, i);
    f->updated_at = mg_pg_rows_time(r, row, i + 1);
    f->made = 0;

    return MG_OK;
}
