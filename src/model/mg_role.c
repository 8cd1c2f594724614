/*
 * mg_role.c: the names of roles and what each opens, as one table.
 *
 * A row is what a token holds, a column what a call asks for.  Inference
 * stands beside the ladder viewer < operator < admin: it opens the data
 * plane alone, and of the ladder only admin opens the data plane.
 *
 * Called for every request that carries a token; pure.
 */

#include "model/mg_role.h"


#define MG_ROLE_BIT(role)  (1u << MG_ROLE_##role)


const mg_str_t  mg_role_names[MG_ROLE_N] = {
    mg_str("none"),
    mg_str("inference"),
    mg_str("viewer"),
    mg_str("operator"),
    mg_str("admin")
};


static const unsigned  mg_role_opens[MG_ROLE_N] = {
    MG_ROLE_BIT(NONE),
    MG_ROLE_BIT(NONE)|MG_ROLE_BIT(INFERENCE),
    MG_ROLE_BIT(NONE)|MG_ROLE_BIT(VIEWER),
    MG_ROLE_BIT(NONE)|MG_ROLE_BIT(VIEWER)|MG_ROLE_BIT(OPERATOR),
    MG_ROLE_BIT(NONE)|MG_ROLE_BIT(INFERENCE)|MG_ROLE_BIT(VIEWER)
        |MG_ROLE_BIT(OPERATOR)|MG_ROLE_BIT(ADMIN)
};


mg_role_e
mg_role_find(mg_str_t name)
{
    unsigned  i;

    for (i = MG_ROLE_INFERENCE; i < MG_ROLE_N; i++) {
        if (mg_str_eq(mg_role_names[i], name)) {
            return (mg_role_e) i;
        }
    }

    return MG_ROLE_NONE;
}


int
mg_role_allows(mg_role_e have, mg_role_e need)
{
    if ((unsigned) have >= MG_ROLE_N || (unsigned) need >= MG_ROLE_N) {
        return 0;
    }

    return (mg_role_opens[have] >> need) & 1;
}
