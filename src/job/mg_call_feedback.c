/*
 * mg_call_feedback.c: what came of an inference, over the API.
 *
 *     POST /api/v1/inferences/{id}/feedback
 *     {"source": "user", "name": "thumbs", "reward": 1, "label": "accepted"}
 *
 * It may come days later, or before the record of the inference has reached
 * the database: a click is faster than a batch.  So an id of the last hour
 * that is not there is taken (202) and finds its record when that comes.
 *
 * Pool threads; blocks on the database.
 */

#include <stddef.h>

#include "base/mg_decimal.h"
#include "base/mg_time.h"
#include "job/mg_call_inference.h"
#include "model/mg_body.h"


/* How long a record may be on its way, by the time in its id. */
#define MG_FEEDBACK_EARLY_US   (3600LL * 1000000)

/* How far the clocks of two nodes may be apart. */
#define MG_FEEDBACK_APART_US   (60LL * 1000000)

#define MG_FEEDBACK_LIMIT      (MG_FEEDBACK_REWARD * 1000000LL)


typedef struct {
    mg_feedback_t  row;
    mg_str_t       group;
} mg_feedback_body_t;


static int mg_feedback_reward(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_feedback_read(mg_call_t *c, mg_feedback_body_t *body,
    mg_error_t *e);
static int mg_feedback_elsewhere(mg_call_t *c, mg_pg_t *db,
    const mg_uuid_t *id);
static int mg_feedback_store(mg_call_t *c, mg_pg_t *db, const mg_uuid_t *id,
    mg_feedback_body_t *body, mg_error_t *e);


#define mg_feedback(member)  offsetof(mg_feedback_body_t, member)

static const mg_body_field_t  mg_feedback_fields[] = {

    { "source", mg_body_string, mg_feedback(row.source), 0, 1, 64, NULL, 0 },
    { "name", mg_body_string, mg_feedback(row.name), 0, 1, 64, NULL, 0 },

    { "reward", mg_feedback_reward, mg_feedback(row.reward),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "label", mg_body_string, mg_feedback(row.label),
      MG_BODY_NULLABLE, 1, 200, NULL, 0 },

    { "comment", mg_body_string, mg_feedback(row.comment),
      MG_BODY_NULLABLE|MG_BODY_LINES, 1, 4000, NULL, 0 },

    { "group", mg_body_string, mg_feedback(group),
      MG_BODY_NULLABLE, 1, 128, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


int
mg_call_feedback_put(mg_call_t *c, mg_error_t *e)
{
    int                  rc;
    mg_jw_t              w;
    mg_pg_t             *db;
    mg_uuid_t            id;
    mg_feedback_body_t   body;

    if (mg_call_inference_id(c, &id, e) != MG_OK
        || mg_feedback_read(c, &body, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_feedback_store(c, db, &id, &body, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_writer(c, &w);
        mg_call_write_feedback(&w, &body.row);
    }

    return rc;
}


static int
mg_feedback_read(mg_call_t *c, mg_feedback_body_t *body, mg_error_t *e)
{
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL) {
        return MG_ERROR;
    }

    memset(body, 0, sizeof(mg_feedback_body_t));
    body->row.source = mg_str("user");
    body->row.name = mg_str("feedback");

    if (mg_body_parse(json, mg_feedback_fields, 0, c->arena, body, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (body->row.reward.data == NULL && body->row.label.data == NULL
        && body->row.comment.data == NULL)
    {
        return mg_error_set(e, MG_E_INVALID, "reward",
                            "the body says nothing of the inference; give "
                            "reward, label or comment");
    }

    return MG_OK;
}


/* A number as the column has it: six digits after the point, rounded. */

static int
mg_feedback_reward(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    int       minus;
    char      text[48];
    int64_t   n;
    mg_str_t  digits, *reward;

    reward = (mg_str_t *) ((char *) to + f->offset);
    *reward = mg_str_null;

    if (v->type == MG_JSON_NULL) {
        return MG_OK;
    }

    if (v->type != MG_JSON_NUMBER) {
        return mg_body_type_error(f, "a number", e);
    }

    digits = v->str;
    minus = (digits.len && digits.data[0] == '-');
    digits.data += minus;
    digits.len -= minus;

    if (mg_decimal_parse(digits, MG_FEEDBACK_SCALE, &n) != MG_OK
        || n > MG_FEEDBACK_LIMIT)
    {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s \"%.*s\" is not a number between -%d and %d",
                            f->name, MG_BODY_CUT(v->str), MG_FEEDBACK_REWARD,
                            MG_FEEDBACK_REWARD);
    }

    (void) mg_decimal_format(n, MG_FEEDBACK_SCALE, text);
    *reward = mg_arena_printf(a, "%s%s", minus && n ? "-" : "", text);

    return reward->data ? MG_OK
                        : mg_error_set(e, MG_E_INTERNAL, NULL,
                                       "out of memory");
}


/* 1: the inference is there, so it is of another group than was said. */

static int
mg_feedback_elsewhere(mg_call_t *c, mg_pg_t *db, const mg_uuid_t *id)
{
    mg_error_t             e;
    mg_inference_source_t  source;

    return mg_store_inference_find(db, c->who.org_id, id, mg_str_null,
                                   c->cancel, c->arena, &source, &e)
           == MG_OK;
}


static int
mg_feedback_store(mg_call_t *c, mg_pg_t *db, const mg_uuid_t *id,
    mg_feedback_body_t *body, mg_error_t *e)
{
    int                    awaited;
    int64_t                age;
    mg_error_t             why;
    mg_inference_source_t  source;

    awaited = 0;

    /* a record may be late, but not its group */

    if (body->group.len
        && mg_store_inference_source(db, c->who.org_id, body->group, c->arena,
                                     &source, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_store_inference_find(db, c->who.org_id, id, body->group,
                                c->cancel, c->arena, &source, &why)
        != MG_OK)
    {
        age = mg_now_us() - mg_uuid_time(id);
        awaited = (why.kind == MG_E_NOT_FOUND && age < MG_FEEDBACK_EARLY_US
                   && age > -MG_FEEDBACK_APART_US
                   && !(body->group.len
                        && mg_feedback_elsewhere(c, db, id)));

        if (!awaited) {
            *e = why;
            return MG_ERROR;
        }
    }

    if (mg_store_feedback_put(db, &c->who, id, c->arena, &body->row, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    c->status = awaited ? 202 : body->row.made ? 201 : 200;

    return MG_OK;
}


void
mg_call_write_feedback(mg_jw_t *w, const mg_feedback_t *f)
{
    mg_jw_object(w, NULL);
    mg_jw_raw(w, "id", f->id);
    mg_jw_str(w, "source", f->source);
    mg_jw_str(w, "name", f->name);
    mg_jw_raw(w, "reward", f->reward);
    mg_jw_str(w, "label", f->label);
    mg_jw_str(w, "comment", f->comment);
    mg_jw_str(w, "token_id", f->token_id);
    mg_call_write_time(w, "created_at", f->created_at);
    mg_call_write_time(w, "updated_at", f->updated_at);
    mg_jw_end_object(w);
}
