/*
 * mg_group.c: names, tables and rules of a model group.
 *
 * Bodies are read by the tables below; the rules between members (one
 * champion, shares that add up, no model twice) are checked once all of
 * them are read, so that a message can say what the sum was.
 */

#include <stddef.h>
#include <stdio.h>

#include "base/mg_decimal.h"
#include "base/mg_time.h"
#include "model/mg_body.h"
#include "model/mg_catalog.h"
#include "model/mg_group.h"


#define MG_GROUP_DESCRIPTION_MAX   2000

/* 15 decimals are read, two may be used */
#define MG_GROUP_SHARE_SHIFT       15
#define MG_GROUP_SHARE_UNIT        10000000000000LL


static int mg_group_segment_ok(mg_str_t name, size_t from);
static int mg_group_name_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_group_traffic_read(const mg_body_field_t *f,
    const mg_json_t *v, mg_arena_t *a, void *to, mg_error_t *e);
static int mg_group_model_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_group_member_parse(const mg_json_t *v, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e);
static int mg_group_status_error(mg_group_status_e from, mg_group_status_e to,
    mg_error_t *e);
static int mg_group_members_check(const mg_group_t *g, mg_error_t *e);


const mg_str_t  mg_member_role_names[MG_MEMBER_N] = {
    mg_str("champion"),
    mg_str("challenger"),
    mg_str("shadow"),
    mg_str("fallback")
};


const mg_str_t  mg_strategy_names[MG_STRATEGY_N] = {
    mg_str("champion_challenger"),
    mg_str("ab_test"),
    mg_str("canary"),
    mg_str("shadow"),
    mg_str("weighted")
};


const mg_str_t  mg_group_status_names[MG_GROUP_N] = {
    mg_str("draft"),
    mg_str("active"),
    mg_str("paused"),
    mg_str("archived")
};


static const mg_body_field_t  mg_group_fields[] = {

    { "name", mg_group_name_read, offsetof(mg_group_t, name),
      MG_BODY_REQUIRED, 1, MG_GROUP_NAME_MAX, NULL, 0 },

    { "description", mg_body_string, offsetof(mg_group_t, description),
      MG_BODY_NULLABLE|MG_BODY_LINES, 0, MG_GROUP_DESCRIPTION_MAX, NULL, 0 },

    { "strategy", mg_body_name, offsetof(mg_group_t, strategy),
      0, 0, 0, mg_strategy_names, MG_STRATEGY_N },

    { "status", mg_body_name, offsetof(mg_group_t, status),
      0, 0, 0, mg_group_status_names, MG_GROUP_N },

    { "traffic_config", mg_group_traffic_read,
      offsetof(mg_group_t, traffic_config), MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "promotion_rules", mg_body_object,
      offsetof(mg_group_t, promotion_rules), MG_BODY_NULLABLE, 0, 0,
      NULL, 0 },

    { "test_metadata", mg_body_object, offsetof(mg_group_t, test_metadata),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


static const mg_body_field_t  mg_member_fields[] = {

    { "model_id", mg_group_model_read, offsetof(mg_member_t, model_id),
      MG_BODY_REQUIRED, 3, MG_MODEL_ID_MAX, NULL, 0 },

    { "role", mg_body_name, offsetof(mg_member_t, role),
      MG_BODY_REQUIRED, 0, 0, mg_member_role_names, MG_MEMBER_N },

    { "traffic_percentage", mg_group_share_read,
      offsetof(mg_member_t, share), 0, 0, 100, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


/* Which status may follow: a bit for each. */

static const unsigned  mg_group_status_next[MG_GROUP_N] = {
    [MG_GROUP_DRAFT]    = 1u << MG_GROUP_ACTIVE | 1u << MG_GROUP_ARCHIVED,
    [MG_GROUP_ACTIVE]   = 1u << MG_GROUP_PAUSED | 1u << MG_GROUP_ARCHIVED,
    [MG_GROUP_PAUSED]   = 1u << MG_GROUP_ACTIVE | 1u << MG_GROUP_ARCHIVED,
    [MG_GROUP_ARCHIVED] = 1u << MG_GROUP_DRAFT
};


int
mg_group_status_may(mg_group_status_e from, mg_group_status_e to)
{
    return from == to || (mg_group_status_next[from] & 1u << to) != 0;
}


int
mg_group_name_ok(mg_str_t name)
{
    size_t     i;
    unsigned   alnum;
    mg_uuid_t  u;

    if (name.len == 0 || name.len > MG_GROUP_NAME_MAX) {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        alnum = (name.data[i] >= 'a' && name.data[i] <= 'z')
                || (name.data[i] >= 'A' && name.data[i] <= 'Z')
                || (name.data[i] >= '0' && name.data[i] <= '9');

        if (!alnum
            && (i == 0 || name.data[i] == '\0'
                || strchr("._:/@-", name.data[i]) == NULL))
        {
            return 0;
        }

        if (name.data[i] == '/' && !mg_group_segment_ok(name, i + 1)) {
            return 0;
        }
    }

    /* a reference is a name or a UUID: it must be plain which */

    return mg_uuid_parse(name, &u) != MG_OK;
}


/* Clients and servers take "//", "/./" and "/../" out of an address. */

static int
mg_group_segment_ok(mg_str_t name, size_t from)
{
    size_t  i;

    for (i = from; i < name.len && name.data[i] != '/'; i++) {
        if (name.data[i] != '.') {
            return 1;
        }
    }

    return i - from > 2;
}


int
mg_group_parse(const mg_json_t *json, int patch, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    mg_group_status_e  before;

    if (!patch) {
        g->strategy = MG_STRATEGY_CHAMPION_CHALLENGER;
        g->status = MG_GROUP_ACTIVE;
    }

    before = g->status;

    if (mg_body_parse(json, mg_group_fields, patch, a, g, e) != MG_OK) {
        return MG_ERROR;
    }

    if (patch && !mg_group_status_may(before, g->status)) {
        return mg_group_status_error(before, g->status, e);
    }

    return MG_OK;
}


/* Says what may follow instead. */

static int
mg_group_status_error(mg_group_status_e from, mg_group_status_e to,
    mg_error_t *e)
{
    char      may[64];
    size_t    n;
    unsigned  i;

    may[0] = '\0';

    for (i = 0; i < MG_GROUP_N; i++) {
        if (mg_group_status_next[from] & 1u << i) {
            n = strlen(may);
            (void) snprintf(may + n, sizeof(may) - n, "%s%.*s",
                            n ? " or " : "",
                            MG_STR_ARG(mg_group_status_names[i]));
        }
    }

    return mg_error_set(e, MG_E_CONFLICT, "status",
                        "a group that is %.*s cannot become \"%.*s\"; it can "
                        "become %s",
                        MG_STR_ARG(mg_group_status_names[from]),
                        MG_STR_ARG(mg_group_status_names[to]), may);
}


static int
mg_group_name_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_group_name_ok(v->str)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "name \"%.*s\" is not allowed; use letters, digits "
                        "and . _ : / @ -, begin with a letter or digit, let "
                        "something other than . or .. follow each slash, and "
                        "do not give a UUID", MG_BODY_CUT(v->str));
}


/* Kept as text; what it says must be such as can be carried out. */

static int
mg_group_traffic_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    char         param[sizeof(e->param)];
    mg_policy_t  p;

    if (mg_body_object(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    if (v->type == MG_JSON_NULL || mg_policy_read(v, a, &p, e) == MG_OK) {
        return MG_OK;
    }

    if (e) {
        (void) snprintf(param, sizeof(param), "%s.%.*s", f->name,
                        (int) (sizeof(param) - sizeof("traffic_config.")),
                        e->param);
        memcpy(e->param, param, sizeof(param));
    }

    return MG_ERROR;
}


int
mg_group_members_parse(const mg_json_t *json, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    const mg_json_t  *list, *v;

    list = json;

    if (json->type == MG_JSON_OBJECT) {
        list = mg_json_get(json, "models");

        if (json->count != 1 || list == NULL) {
            return mg_error_set(e, MG_E_INVALID, "models",
                                "the body must be an array of models, or an "
                                "object whose one member is \"models\"");
        }
    }

    if (list->type != MG_JSON_ARRAY) {
        return mg_error_set(e, MG_E_INVALID, "models",
                            "models must be an array of {\"model_id\", "
                            "\"role\", \"traffic_percentage\"}");
    }

    if (list->count == 0 || list->count > MG_GROUP_MEMBERS_MAX) {
        return mg_error_set(e, MG_E_INVALID, "models",
                            "%u models were given; a group takes 1 to %d",
                            (unsigned) list->count, MG_GROUP_MEMBERS_MAX);
    }

    g->n_members = 0;

    for (v = list->child; v; v = v->next) {

        if (v->type != MG_JSON_OBJECT) {
            return mg_error_set(e, MG_E_INVALID, "models",
                                "model %u of the list is not a JSON object; "
                                "give {\"model_id\", \"role\", "
                                "\"traffic_percentage\"}",
                                g->n_members + 1);
        }

        if (mg_group_member_parse(v, a, g, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return mg_group_members_check(g, e);
}


static int
mg_group_member_parse(const mg_json_t *v, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    unsigned      i;
    mg_member_t  *m;

    m = &g->members[g->n_members];
    memset(m, 0, sizeof(mg_member_t));

    if (mg_body_parse(v, mg_member_fields, 0, a, m, e) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < g->n_members; i++) {
        if (mg_str_eq(g->members[i].model_id, m->model_id)) {
            return mg_error_set(e, MG_E_INVALID, "model_id",
                                "model_id \"%.*s\" is given twice; a model "
                                "stands once in a group",
                                MG_BODY_CUT(m->model_id));
        }
    }

    if (m->role == MG_MEMBER_SHADOW || m->role == MG_MEMBER_FALLBACK) {
        if (m->share) {
            return mg_error_set(e, MG_E_INVALID, "traffic_percentage",
                                "\"%.*s\" is a %.*s, which takes no share of "
                                "the split; leave traffic_percentage out",
                                MG_BODY_CUT(m->model_id),
                                MG_STR_ARG(mg_member_role_names[m->role]));
        }

    } else if (mg_json_get(v, "traffic_percentage") == NULL) {
        return mg_error_set(e, MG_E_INVALID, "traffic_percentage",
                            "traffic_percentage of \"%.*s\" is missing; a "
                            "%.*s needs one", MG_BODY_CUT(m->model_id),
                            MG_STR_ARG(mg_member_role_names[m->role]));
    }

    g->n_members++;

    return MG_OK;
}


static int
mg_group_members_check(const mg_group_t *g, mg_error_t *e)
{
    char      sum[48];
    unsigned  i, champions;
    uint32_t  total;

    total = 0;
    champions = 0;

    for (i = 0; i < g->n_members; i++) {
        total += g->members[i].share;
        champions += (g->members[i].role == MG_MEMBER_CHAMPION);
    }

    if (champions != 1) {
        return mg_error_set(e, MG_E_INVALID, "role",
                            "%u champions were given; a group has exactly "
                            "one", champions);
    }

    if (total != MG_SPLIT_BUCKETS) {
        mg_decimal_format(total, 2, sum);
        return mg_error_set(e, MG_E_INVALID, "traffic_percentage",
                            "traffic_percentage of champion and challengers "
                            "adds up to \"%s\"; make it 100", sum);
    }

    return MG_OK;
}


static int
mg_group_model_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    mg_str_t     provider;
    const char  *slash;

    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    slash = memchr(v->str.data, '/', v->str.len);

    if (slash && slash != v->str.data + v->str.len - 1) {
        provider = mg_str_n(v->str.data, slash - v->str.data);

        if (mg_provider_id_ok(provider)) {
            return MG_OK;
        }
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s \"%.*s\" is not of the form provider/model, with "
                        "a provider of a-z, 0-9, \".\", \"_\" and \"-\"; "
                        "give the id of a model of the catalog",
                        f->name, MG_BODY_CUT(v->str));
}


int
mg_group_share_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    mg_str_t  s;

    (void) a;

    if (mg_group_share_parse(v, (uint32_t *) ((char *) to + f->offset))
        == MG_OK)
    {
        return MG_OK;
    }

    if (v->type != MG_JSON_NUMBER && v->type != MG_JSON_STRING) {
        return mg_body_type_error(f, "a number such as 90 or 12.5", e);
    }

    s = v->str;

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s \"%.*s\" is not between 0 and 100 with at most "
                        "two decimals; give a number such as 90 or 12.5",
                        f->name, MG_BODY_CUT(s));
}


int
mg_group_share_parse(const mg_json_t *v, uint32_t *share)
{
    int64_t  n;

    if (v == NULL
        || (v->type != MG_JSON_NUMBER && v->type != MG_JSON_STRING)
        || v->str.len == 0 || v->str.len > 32)
    {
        return MG_ERROR;
    }

    if (mg_decimal_parse(v->str, MG_GROUP_SHARE_SHIFT, &n) != MG_OK
        || n > MG_SPLIT_BUCKETS * MG_GROUP_SHARE_UNIT
        || n % MG_GROUP_SHARE_UNIT != 0)
    {
        return MG_ERROR;
    }

    *share = (uint32_t) (n / MG_GROUP_SHARE_UNIT);

    return MG_OK;
}
