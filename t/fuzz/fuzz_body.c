/*
 * JSON bodies as anybody may send them, to every reader of bodies: whatever
 * one of them takes must keep the rules that the database and the split rely
 * on, and whatever it refuses must come with a message that can be logged.
 */

#include <stdlib.h>

#include "base/mg_uri.h"
#include "model/mg_catalog.h"
#include "model/mg_group.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
must(int cond)
{
    if (!cond) {
        abort();
    }
}


static void
refused(const mg_error_t *e)
{
    size_t  i;

    must(e->kind == MG_E_INVALID && e->code[0] != '\0');
    must(e->message[0] != '\0' && mg_utf8_ok(mg_str_z(e->message)));

    for (i = 0; e->message[i] != '\0'; i++) {
        must((unsigned char) e->message[i] >= 0x20);
    }
}


static void
group(const mg_json_t *json, int patch, mg_arena_t *a)
{
    mg_error_t  e;
    mg_group_t  g;

    memset(&g, 0, sizeof(g));

    if (mg_group_parse(json, patch, a, &g, &e) != MG_OK) {
        refused(&e);
        return;
    }

    must(patch || mg_group_name_ok(g.name));
    must((unsigned) g.strategy < MG_STRATEGY_N);
    must((unsigned) g.status < MG_GROUP_N);
}


static void
members(const mg_json_t *json, mg_arena_t *a)
{
    unsigned    i, sum, champions;
    mg_error_t  e;
    mg_group_t  g;

    memset(&g, 0, sizeof(g));

    if (mg_group_members_parse(json, a, &g, &e) != MG_OK) {
        refused(&e);
        return;
    }

    sum = 0;
    champions = 0;

    for (i = 0; i < g.n_members; i++) {
        sum += g.members[i].share;
        champions += (g.members[i].role == MG_MEMBER_CHAMPION);
        must(g.members[i].model_id.len <= MG_MODEL_ID_MAX);
    }

    must(champions == 1 && sum == MG_SPLIT_BUCKETS);
}


static void
catalog(const mg_json_t *json, mg_arena_t *a)
{
    mg_str_t       key;
    mg_error_t     e;
    mg_model_t     m;
    mg_provider_t  p;

    if (mg_model_parse(json, 0, a, &m, &e) == MG_OK) {
        must(mg_model_check(&m, &e) == MG_OK);

    } else {
        refused(&e);
    }

    if (mg_provider_parse(json, 0, a, &p, &key, &e) == MG_OK) {
        must(mg_provider_id_ok(p.id));
        must(key.data == NULL || mg_header_ok(key));
        must(p.key_hint.len <= 4);

    } else {
        refused(&e);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_arena_t  *a;
    mg_error_t   e;
    mg_json_t   *json;

    a = mg_arena_create(0);
    json = mg_json_parse(a, mg_str_n((const char *) data, size), NULL, &e);

    if (json) {
        group(json, 0, a);
        group(json, 1, a);
        members(json, a);
        catalog(json, a);
    }

    mg_arena_destroy(a);

    return 0;
}
