/*
 * mg_policy.c: reads "traffic_config" by tables.
 *
 * Each object has its table of members, all of them filling one form; what
 * concerns several members (the order of steps, the last one's time) is
 * checked where they are read together.  The form then becomes the policy,
 * so that what stands in it is always complete.
 */

#include <stddef.h>
#include <stdio.h>

#include "base/mg_decimal.h"
#include "model/mg_body.h"
#include "model/mg_catalog.h"
#include "model/mg_group.h"
#include "model/mg_policy.h"


#define MG_POLICY_STEP_MIN_S    1
#define MG_POLICY_STEP_MAX_S    (366 * 86400LL)

/* minutes are read as millionths */
#define MG_POLICY_MINUTE_SHIFT  6
#define MG_POLICY_MINUTE_UNIT   1000000


typedef struct {
    mg_policy_t  policy;
    int8_t       archive;
    int8_t       eject;
    int8_t       request_body;
    int8_t       response_body;
    int64_t      max_bytes;
    mg_str_t     redact;          /* the array as text */
} mg_policy_form_t;


static int mg_policy_time_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_policy_steps_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_policy_step_check(const mg_policy_t *p, unsigned i,
    mg_error_t *e);
static int mg_policy_redact_read(const mg_body_field_t *f,
    const mg_json_t *v, mg_arena_t *a, void *to, mg_error_t *e);


#define MG_POLICY_AT(member)  offsetof(mg_policy_form_t, policy.member)


static const mg_body_field_t  mg_policy_step_fields[] = {

    { "percentage", mg_group_share_read, offsetof(mg_policy_step_t, share),
      MG_BODY_REQUIRED, 0, 100, NULL, 0 },

    { "minutes", mg_policy_time_read, offsetof(mg_policy_step_t, seconds),
      0, 0, 0, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_policy_canary_fields[] = {

    { "model_id", mg_body_string, MG_POLICY_AT(canary_model),
      MG_BODY_NULLABLE, 3, MG_MODEL_ID_MAX, NULL, 0 },

    { "steps", mg_policy_steps_read, 0, 0, 1, MG_POLICY_STEPS_MAX, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_policy_shadow_fields[] = {

    { "percentage", mg_group_share_read, MG_POLICY_AT(shadow_share),
      0, 0, 100, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_policy_records_fields[] = {

    { "retention_days", mg_body_int, MG_POLICY_AT(retention_days),
      MG_BODY_NULLABLE, 1, MG_POLICY_DAYS_MAX, NULL, 0 },

    { "archive", mg_body_tri, offsetof(mg_policy_form_t, archive),
      0, 0, 0, NULL, 0 },

    { "request_body", mg_body_tri, offsetof(mg_policy_form_t, request_body),
      0, 0, 0, NULL, 0 },

    { "response_body", mg_body_tri,
      offsetof(mg_policy_form_t, response_body), 0, 0, 0, NULL, 0 },

    { "max_bytes", mg_body_int, offsetof(mg_policy_form_t, max_bytes),
      0, 1, MG_POLICY_BODY_MAX, NULL, 0 },

    { "redact", mg_policy_redact_read, offsetof(mg_policy_form_t, redact),
      0, 0, MG_POLICY_REDACT_MAX, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_policy_validation_fields[] = {

    { "eject", mg_body_tri, offsetof(mg_policy_form_t, eject),
      0, 0, 0, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_policy_fields[] = {

    { "canary", mg_body_nested, 0, 0, 0, 0, mg_policy_canary_fields, 0 },

    { "shadow", mg_body_nested, 0, 0, 0, 0, mg_policy_shadow_fields, 0 },

    { "records", mg_body_nested, 0, 0, 0, 0, mg_policy_records_fields, 0 },

    { "validation", mg_body_nested, 0, 0, 0, 0, mg_policy_validation_fields,
      0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


void
mg_policy_init(mg_policy_t *p)
{
    memset(p, 0, sizeof(mg_policy_t));

    p->shadow_share = MG_POLICY_SHARE_ALL;
    p->body_max = MG_POLICY_BODY_DEFAULT;
}


int
mg_policy_parse(mg_str_t text, mg_arena_t *a, mg_policy_t *p, mg_error_t *e)
{
    const mg_json_t  *json;

    if (text.len == 0) {
        mg_policy_init(p);
        return MG_OK;
    }

    json = mg_json_parse(a, text, NULL, e);

    if (json == NULL) {
        mg_policy_init(p);
        return MG_ERROR;
    }

    return mg_policy_read(json, a, p, e);
}


int
mg_policy_read(const mg_json_t *json, mg_arena_t *a, mg_policy_t *p,
    mg_error_t *e)
{
    mg_policy_form_t  form;

    memset(&form, 0, sizeof(mg_policy_form_t));

    mg_policy_init(p);
    mg_policy_init(&form.policy);
    form.max_bytes = MG_POLICY_BODY_DEFAULT;

    if (json == NULL || json->type != MG_JSON_OBJECT) {
        return mg_error_set(e, MG_E_INVALID, "traffic_config",
                            "traffic_config must be a JSON object with "
                            "canary, shadow, records or validation");
    }

    if (mg_body_parse(json, mg_policy_fields, 1, a, &form, e) != MG_OK) {
        return MG_ERROR;
    }

    *p = form.policy;

    if (p->retention_days == MG_UNKNOWN) {
        p->retention_days = 0;
    }

    p->archive = (form.archive == 1);
    p->eject = (form.eject == 1);
    p->body_max = (uint32_t) form.max_bytes;
    p->bodies = (form.request_body == 1 ? MG_POLICY_REQUEST_BODY : 0)
                | (form.response_body == 1 ? MG_POLICY_RESPONSE_BODY : 0);

    return MG_OK;
}


unsigned
mg_policy_next(const mg_policy_t *p, unsigned taken, uint32_t share)
{
    unsigned  i;

    i = taken;

    while (taken == 0 && i + 1 < p->n_steps && p->steps[i].share < share) {
        i++;
    }

    return i < p->n_steps ? i : p->n_steps - 1;
}


/* Minutes, also parts of one; a step is as long as whole seconds are. */

static int
mg_policy_time_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    int64_t  n;

    (void) a;

    if (v->type != MG_JSON_NUMBER) {
        return mg_body_type_error(f, "a number of minutes such as 30", e);
    }

    if (v->str.len <= 32
        && mg_decimal_parse(v->str, MG_POLICY_MINUTE_SHIFT, &n) == MG_OK
        && n <= MG_POLICY_STEP_MAX_S / 60 * MG_POLICY_MINUTE_UNIT)
    {
        n = (n * 60 + MG_POLICY_MINUTE_UNIT / 2) / MG_POLICY_MINUTE_UNIT;

        if (n >= MG_POLICY_STEP_MIN_S) {
            *(int64_t *) (void *) ((char *) to + f->offset) = n;
            return MG_OK;
        }
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s \"%.*s\" is not between one second and %d; give "
                        "a number such as 30 or 0.5", f->name,
                        MG_BODY_CUT(v->str),
                        (int) (MG_POLICY_STEP_MAX_S / 60));
}


static int
mg_policy_steps_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    unsigned           i;
    mg_policy_t       *p;
    const mg_json_t   *item;

    p = &((mg_policy_form_t *) to)->policy;

    if (v->type != MG_JSON_ARRAY) {
        return mg_body_type_error(f, "an array of {\"percentage\", "
                                  "\"minutes\"}", e);
    }

    if ((int64_t) v->count < f->min || (int64_t) v->count > f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s has %u elements; give 1 to %d", f->name,
                            (unsigned) v->count, (int) f->max);
    }

    p->n_steps = v->count;

    for (i = 0, item = v->child; item; i++, item = item->next) {
        p->steps[i].seconds = 0;

        if (mg_body_parse(item, mg_policy_step_fields, 0, a, &p->steps[i], e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        if (mg_policy_step_check(p, i, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


/* A schedule only grows, so that no user goes back and forth. */

static int
mg_policy_step_check(const mg_policy_t *p, unsigned i, mg_error_t *e)
{
    const mg_policy_step_t  *step;

    step = &p->steps[i];

    if (i && step->share <= step[-1].share) {
        return mg_error_set(e, MG_E_INVALID, "percentage",
                            "step %u of the canary is not above the one "
                            "before it; let percentages grow", i + 1);
    }

    if (i + 1 < p->n_steps && step->seconds == 0) {
        return mg_error_set(e, MG_E_INVALID, "minutes",
                            "step %u of the canary has no minutes; only the "
                            "last one stays for ever", i + 1);
    }

    if (i + 1 == p->n_steps && step->seconds) {
        return mg_error_set(e, MG_E_INVALID, "minutes",
                            "step %u of the canary is the last one, which "
                            "stays; leave its minutes out", i + 1);
    }

    return MG_OK;
}


static int
mg_policy_redact_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    mg_policy_t       *p;
    const mg_json_t   *item;

    if (mg_body_strings(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    p = &((mg_policy_form_t *) to)->policy;
    p->n_redact = 0;

    for (item = v->child; item; item = item->next) {

        if (item->str.len > MG_POLICY_REDACT_LEN) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s holds a name of %zu bytes; at most %d "
                                "are allowed", f->name, item->str.len,
                                MG_POLICY_REDACT_LEN);
        }

        p->redact[p->n_redact] = mg_arena_dup(a, item->str);

        if (p->redact[p->n_redact].data == NULL) {
            return mg_error_set(e, MG_E_INTERNAL, f->name, "out of memory");
        }

        p->n_redact++;
    }

    return MG_OK;
}
