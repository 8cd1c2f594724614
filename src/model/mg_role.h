/*
 * mg_role.h: who may do what.
 *
 * viewer < operator < admin on the control plane; "inference" opens the
 * data plane and nothing else; an admin may do everything.
 *
 * Plain data; any thread.
 */

#ifndef MG_ROLE_H
#define MG_ROLE_H

#include "base/mg_str.h"


typedef enum {
    MG_ROLE_NONE = 0,       /* nobody asked for a token */
    MG_ROLE_INFERENCE,
    MG_ROLE_VIEWER,
    MG_ROLE_OPERATOR,
    MG_ROLE_ADMIN,
    MG_ROLE_N
} mg_role_e;

/* "none", "inference", "viewer", "operator", "admin". */
extern const mg_str_t  mg_role_names[MG_ROLE_N];

/* MG_ROLE_NONE if the name is not one of the four. */
mg_role_e mg_role_find(mg_str_t name);

/* 1 if a token of role "have" may do what needs "need". */
int mg_role_allows(mg_role_e have, mg_role_e need);


#endif /* MG_ROLE_H */
