/*
 * What would break: a token opens what its role must not, a job goes from
 * an end back to work, or a model with a bad id, no UTF-8 or a negative
 * price gets into the catalog.
 */

#include "model/mg_catalog.h"
#include "model/mg_job.h"
#include "model/mg_role.h"
#include "tap.h"


static void
roles(void)
{
    unsigned  have, need;

    /* rows: have; columns: need none, inference, viewer, operator, admin */
    static const char  *table[MG_ROLE_N] = {
        "10000",
        "11000",
        "10100",
        "10110",
        "11111"
    };

    for (have = 0; have < MG_ROLE_N; have++) {
        for (need = 0; need < MG_ROLE_N; need++) {
            is_int(mg_role_allows(have, need), table[have][need] - '0',
                   "%s for %s", mg_role_names[have].data,
                   mg_role_names[need].data);
        }
    }

    is_int(mg_role_allows(MG_ROLE_N, MG_ROLE_NONE), 0, "no such role");
    is_int(mg_role_allows(MG_ROLE_ADMIN, MG_ROLE_N), 0, "no such need");

    is_int(mg_role_find(mg_str("admin")), MG_ROLE_ADMIN, "by name");
    is_int(mg_role_find(mg_str("none")), MG_ROLE_NONE, "none is no role");
    is_int(mg_role_find(mg_str("Admin")), MG_ROLE_NONE, "case counts");
    is_int(mg_role_find(mg_str_null), MG_ROLE_NONE, "absent");
}


static void
jobs(void)
{
    unsigned  from, to;

    static const char  *table[MG_JOB_N] = {
        "01001",
        "10111",
        "00000",
        "00000",
        "00000"
    };

    for (from = 0; from < MG_JOB_N; from++) {
        is_int(mg_job_state_find(mg_job_state_names[from]), from, "name of %u",
               from);

        for (to = 0; to < MG_JOB_N; to++) {
            is_int(mg_job_state_may(from, to), table[from][to] - '0',
                   "%s to %s", mg_job_state_names[from].data,
                   mg_job_state_names[to].data);
        }
    }

    is_int(mg_job_state_find(mg_str("done")), -1, "no such state");
}


static void
bad(mg_model_t *m, const char *param, const char *what)
{
    mg_error_t  e;

    is_int(mg_model_check(m, &e), MG_ERROR, "%s", what);
    is_str(e.param, param, "%s: the member is named", what);
}


static void
models(void)
{
    char        big[1024];
    mg_model_t  good, m;

    mg_model_init(&good);
    good.id = mg_str("x.y/Org/Model:8b@v1~2");
    good.provider_id = mg_str("x.y");
    good.provider_model_id = mg_str("Org/Model:8b@v1~2");
    good.name = mg_str("Model");

    is_int(good.context == MG_UNKNOWN && good.price[3] == MG_UNKNOWN
           && good.caps[7] == -1 && good.active == 1, 1, "unknown at first");
    is_int(mg_model_check(&good, NULL), MG_OK, "a good one");

    m = good;
    m.provider_id = mg_str("X");
    bad(&m, "provider_id", "capital in the provider's id");

    m = good;
    m.provider_model_id = mg_str("other");
    bad(&m, "id", "id of another model");

    m = good;
    m.id = mg_str("x.y/a\r\nb");
    m.provider_model_id = mg_str("a\r\nb");
    bad(&m, "id", "line break in the id");

    m = good;
    m.id = mg_str("x.y/The Drummer 2/Model v1");
    m.provider_model_id = mg_str("The Drummer 2/Model v1");
    is_int(mg_model_check(&m, NULL), MG_OK, "blanks within the id");

    m.id = mg_str("x.y/ Model");
    m.provider_model_id = mg_str(" Model");
    bad(&m, "id", "a blank at the beginning");

    m.id = mg_str("x.y/Model ");
    m.provider_model_id = mg_str("Model ");
    bad(&m, "id", "a blank at the end");

    m.id = mg_str("x.y/Mo\tdel");
    m.provider_model_id = mg_str("Mo\tdel");
    bad(&m, "id", "a tabulator");

    m = good;
    m.id = mg_str("x.y/");
    m.provider_model_id = mg_str("");
    bad(&m, "id", "nothing behind the slash");

    memset(big, 'a', sizeof(big));
    memcpy(big, "x.y/", 4);

    m = good;
    m.id = mg_str_n(big, MG_MODEL_ID_MAX + 1);
    m.provider_model_id = mg_str_n(big + 4, MG_MODEL_ID_MAX - 3);
    bad(&m, "id", "id too long");

    m.id = mg_str_n(big, MG_MODEL_ID_MAX);
    m.provider_model_id = mg_str_n(big + 4, MG_MODEL_ID_MAX - 4);
    is_int(mg_model_check(&m, NULL), MG_OK, "the longest id");

    m = good;
    m.name = mg_str("\xff\xfe");
    bad(&m, "name", "no UTF-8");

    m = good;
    m.name = mg_str("a\0b");
    bad(&m, "name", "a NUL");

    m = good;
    m.name = mg_str_n(big, sizeof(big));
    bad(&m, "name", "name too long");

    m = good;
    m.name = mg_str_null;
    bad(&m, "name", "no name");

    m = good;
    m.health = mg_str("fine");
    bad(&m, "health_status", "unknown health");

    m = good;
    m.price[MG_PRICE_REASONING] = -1;
    bad(&m, "pricing.reasoning", "negative price");

    m = good;
    m.context = -5;
    bad(&m, "limits.context", "negative limit");

    m = good;
    m.caps[0] = 2;
    bad(&m, "capabilities", "neither true nor false");

    is_int(mg_capability_find(mg_str("reasoning")), MG_CAP_REASONING, "cap");
    is_int(mg_capability_find(mg_str("flying")), -1, "no such cap");
    is_int(mg_model_type_find(mg_str("rerank")), MG_TYPE_RERANK, "type");
    is_int(mg_model_type_find(mg_str("")), -1, "no such type");

    is_int(mg_provider_id_ok(mg_str("a")), 1, "one letter");
    is_int(mg_provider_id_ok(mg_str("-a")), 0, "dash first");
    is_int(mg_provider_id_ok(mg_str("a/b")), 0, "slash");
    is_int(mg_provider_id_ok(mg_str("")), 0, "empty");
}


int
main(void)
{
    roles();
    jobs();
    models();

    return done_testing();
}
