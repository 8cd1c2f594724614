/*
 * mg_decimal.c: decimal text to integers and back, without binary floats.
 *
 * A number is seen as the row of its digits and the place of the point,
 *
 *     1.25e3  =  digits 125, point 4  =  1250
 *
 * so a unit change or an exponent only moves the point.  Nothing of the text
 * is copied: the digits are walked in place, the point in them passed over.
 *
 * Any thread; touches nothing.
 */

#include "base/mg_decimal.h"
#include "base/mg_error.h"

#include <stdio.h>


/* beyond any exponent that could matter, far from overflow */
#define MG_DECIMAL_EXP_MAX    100000
#define MG_DECIMAL_SCALE_MAX  40


typedef struct {
    const char  *digits;       /* first digit */
    const char  *end;          /* after the last digit; a point may be inside */
    int64_t      count;        /* of digits */
    int64_t      point;        /* digits in front of the point, any sign */
    int          negative;
} mg_decimal_t;


static int mg_decimal_split(mg_str_t text, mg_decimal_t *d);
static const char *mg_decimal_exponent(const char *p, const char *end,
    int64_t *exponent);
static int mg_decimal_whole(const mg_decimal_t *d, uint64_t *out, int *next,
    int *more);


int
mg_decimal_parse(mg_str_t text, int shift, int64_t *out)
{
    int           next, more;
    uint64_t      value;
    mg_decimal_t  d;

    if (mg_decimal_split(text, &d) != MG_OK) {
        return MG_ERROR;
    }

    d.point += shift;

    if (mg_decimal_whole(&d, &value, &next, &more) != MG_OK) {
        return MG_ERROR;
    }

    if (d.negative && (value != 0 || next != 0 || more)) {
        return MG_ERROR;
    }

    value += (next >= 5);

    if (value > INT64_MAX) {
        return MG_ERROR;
    }

    *out = (int64_t) value;

    return MG_OK;
}


int
mg_decimal_int64(mg_str_t text, int64_t *out)
{
    int           next, more;
    uint64_t      value;
    mg_decimal_t  d;

    if (mg_decimal_split(text, &d) != MG_OK
        || mg_decimal_whole(&d, &value, &next, &more) != MG_OK
        || next != 0 || more)
    {
        return MG_ERROR;
    }

    if (d.negative) {
        *out = (int64_t) (0 - value);
        return MG_OK;
    }

    if (value > INT64_MAX) {
        return MG_ERROR;
    }

    *out = (int64_t) value;

    return MG_OK;
}


size_t
mg_decimal_format(int64_t value, int scale, char out[48])
{
    int        n, i;
    char      *p, digits[MG_DECIMAL_SCALE_MAX + 24];
    uint64_t   rest;

    scale = scale < 0 ? 0 : scale;
    scale = scale > MG_DECIMAL_SCALE_MAX ? MG_DECIMAL_SCALE_MAX : scale;

    p = out;
    rest = (uint64_t) value;

    if (value < 0) {
        *p++ = '-';
        rest = 0 - rest;
    }

    /* least digit first, one at least in front of the point */

    n = 0;

    do {
        digits[n++] = (char) ('0' + rest % 10);
        rest /= 10;
    } while (rest != 0 || n <= scale);

    for (i = n - 1; i >= scale; i--) {
        *p++ = digits[i];
    }

    for (n = 0; n < scale && digits[n] == '0'; n++) {
        /* void */
    }

    if (n < scale) {
        *p++ = '.';

        for (i = scale - 1; i >= n; i--) {
            *p++ = digits[i];
        }
    }

    *p = '\0';

    return (size_t) (p - out);
}


/* JSON's grammar of numbers, and nothing else. */

static int
mg_decimal_split(mg_str_t text, mg_decimal_t *d)
{
    int64_t      exponent;
    const char  *p, *end, *frac;

    p = text.data;
    end = text.len ? p + text.len : p;

    d->negative = (p < end && *p == '-');
    p += d->negative;
    d->digits = p;

    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    if (p == d->digits || (*d->digits == '0' && p - d->digits > 1)) {
        return MG_ERROR;
    }

    d->count = p - d->digits;
    d->point = d->count;
    d->end = p;

    if (p < end && *p == '.') {
        frac = ++p;

        while (p < end && *p >= '0' && *p <= '9') {
            p++;
        }

        if (p == frac) {
            return MG_ERROR;
        }

        d->count += p - frac;
        d->end = p;
    }

    exponent = 0;

    if (p < end && (*p == 'e' || *p == 'E')) {
        p = mg_decimal_exponent(p + 1, end, &exponent);
    }

    if (p == NULL || p != end) {
        return MG_ERROR;
    }

    d->point += exponent;

    return MG_OK;
}


static const char *
mg_decimal_exponent(const char *p, const char *end, int64_t *exponent)
{
    int          negative;
    int64_t      value;
    const char  *start;

    negative = (p < end && *p == '-');
    p += (p < end && (*p == '-' || *p == '+'));

    for (start = p, value = 0; p < end && *p >= '0' && *p <= '9'; p++) {
        if (value < MG_DECIMAL_EXP_MAX) {
            value = value * 10 + (*p - '0');
        }
    }

    *exponent = negative ? -value : value;

    return p > start ? p : NULL;
}


/*
 * The digits in front of the point as an integer of at most 2^63; next is
 * the first digit behind it, more says whether others follow that are not 0.
 */

static int
mg_decimal_whole(const mg_decimal_t *d, uint64_t *out, int *next, int *more)
{
    int          digit;
    int64_t      i;
    uint64_t     value;
    const char  *p;

    *next = 0;
    *more = 0;

    for (i = 0, value = 0, p = d->digits; p < d->end; p++) {

        if (*p == '.') {
            continue;
        }

        digit = *p - '0';

        if (i < d->point) {
            if (value > ((uint64_t) INT64_MAX + 1 - (unsigned) digit) / 10) {
                return MG_ERROR;
            }

            value = value * 10 + (unsigned) digit;

        } else if (i == d->point) {
            *next = digit;

        } else if (digit) {
            *more = 1;
        }

        i++;
    }

    for ( /* void */ ; value != 0 && i < d->point; i++) {
        if (value > ((uint64_t) INT64_MAX + 1) / 10) {
            return MG_ERROR;
        }

        value *= 10;
    }

    *out = value;

    return MG_OK;
}
