/*
 * mg_price_list.c: a price list as text, and the name that the text gives it.
 *
 * The text is canonical: prices in the order of their enumeration, numbers
 * without trailing zeros, nothing that is not stated.  A class of tokens that
 * a later release adds changes no text that does not have it.
 */

#include "model/mg_price_list.h"

#include <endian.h>

#include "base/mg_decimal.h"
#include "base/mg_hash.h"
#include "base/mg_jw.h"


/* From femto-USD per token to USD per million tokens. */
#define MG_PRICE_LIST_SCALE   9


static void mg_price_list_prices(mg_jw_t *w, const int64_t *price);


void
mg_price_list_write(mg_buf_t *b, const mg_cost_prices_t *p)
{
    int64_t  i;
    mg_jw_t  w;

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);
    mg_price_list_prices(&w, p->price);

    if (p->tiers_n > 0) {
        mg_jw_array(&w, "tiers");

        for (i = 0; i < p->tiers_n; i++) {
            mg_jw_object(&w, NULL);
            mg_jw_int(&w, "above", p->tiers[i].size);
            mg_price_list_prices(&w, p->tiers[i].price);
            mg_jw_end_object(&w);
        }

        mg_jw_end_array(&w);
    }

    mg_jw_end_object(&w);
}


static void
mg_price_list_prices(mg_jw_t *w, const int64_t *price)
{
    char      text[48];
    size_t    len;
    unsigned  i;

    for (i = 0; i < MG_COST_PRICES; i++) {

        if (price[i] < 0) {
            continue;
        }

        len = mg_decimal_format(price[i], MG_PRICE_LIST_SCALE, text);

        mg_jw_raw(w, i < MG_PRICE_N ? mg_price_names[i].data
                                    : "cache_write_1h",
                  mg_str_n(text, len));
    }
}


uint64_t
mg_price_list_version(mg_str_t text)
{
    uint8_t   digest[32];
    uint64_t  version;

    if (text.len <= sizeof("{}") - 1) {
        return 0;
    }

    mg_sha256(text, digest);
    memcpy(&version, digest, sizeof(uint64_t));
    version = be64toh(version);

    return version ? version : 1;
}
