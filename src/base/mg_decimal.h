/*
 * mg_decimal.h: money without binary fractions.
 *
 * Prices arrive as JSON numbers or strings in USD per million tokens or
 * per token, in plain or exponent form, sometimes as float rubbish
 * (0.045000000000000005).  They are kept as int64_t femto-USD per token
 * (10^-15 USD), rounded half up.  Negative values mean "varies" at some
 * sources and are refused here.
 *
 * Any thread; never blocks.
 */

#ifndef MG_DECIMAL_H
#define MG_DECIMAL_H

#include "base/mg_str.h"


/*
 * text: a JSON number, or the contents of a string.  shift: power of ten
 * from text's unit to the result's (15 - 6 = 9 for USD per million tokens).
 * MG_OK; MG_ERROR if it is no number, negative, or beyond int64_t.
 */
int mg_decimal_parse(mg_str_t text, int shift, int64_t *out);

/*
 * A whole number, exactly: 5, 5.0, 1e3 and -2 are, 0.5 is not.  MG_OK;
 * MG_ERROR if text is no JSON number, not whole, or beyond int64_t.
 */
int mg_decimal_int64(mg_str_t text, int64_t *out);

/*
 * Writes value * 10^-scale without trailing zeros or exponent, NUL; room
 * for 48 bytes.  mg_decimal_format(1100000000, 9) is "1.1".
 */
size_t mg_decimal_format(int64_t value, int scale, char out[48]);


#endif /* MG_DECIMAL_H */
