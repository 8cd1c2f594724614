/*
 * mg_price_list.h: a price list as text, and the name that the text gives it.
 *
 *     {"input": 1.25, "output": 10, "tiers": [{"above": 200000, ...}]}
 *
 * USD per million tokens; what nobody states is left out.  The version is the
 * first 64 bits of the SHA-256 of that text: the same prices have the
 * same version on every node and for every model, and who has the text can
 * compute it.  A record names the version that its cost was counted with.
 *
 * Pool threads, while a routing snapshot is built; never blocks.
 */

#ifndef MG_PRICE_LIST_H
#define MG_PRICE_LIST_H

#include "base/mg_buf.h"
#include "model/mg_cost.h"


/* Appends the object to b, without spaces; nothing stated: "{}". */
void mg_price_list_write(mg_buf_t *b, const mg_cost_prices_t *p);

/* 0: no price is stated.  Of a text that was written by the above. */
uint64_t mg_price_list_version(mg_str_t text);


#endif /* MG_PRICE_LIST_H */
