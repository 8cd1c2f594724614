/*
 * test_decimal.c: base/mg_decimal.h.
 *
 * What would break: a price is off by a power of ten or a rounding, a wrong
 * number overflows into another one, "varies" is taken for a price.
 */

#include "base/mg_decimal.h"
#include "base/mg_error.h"
#include "tap.h"


static void
test_parse(void)
{
    size_t   i;
    int64_t  v;

    static const struct {
        const char  *text;
        int          shift;
        int          rc;
        int64_t      value;
    } cases[] = {
        { "1.1", 9, MG_OK, 1100000000 },
        { "0.045000000000000005", 9, MG_OK, 45000000 },
        { "0.0000025", 15, MG_OK, 2500000000 },
        { "2.5e-06", 15, MG_OK, 2500000000 },
        { "2.5E-6", 15, MG_OK, 2500000000 },
        { "1e+1", 9, MG_OK, 10000000000 },
        { "15", 9, MG_OK, 15000000000 },
        { "0", 9, MG_OK, 0 },
        { "-0.0", 9, MG_OK, 0 },
        { "0.4", 0, MG_OK, 0 },
        { "0.5", 0, MG_OK, 1 },
        { "1.49999999999999999999999999", 0, MG_OK, 1 },
        { "0.05", 0, MG_OK, 0 },
        { "0e999999999999999999999", 9, MG_OK, 0 },
        { "1e-999999999999999999999", 9, MG_OK, 0 },
        { "9223372036854775807", 0, MG_OK, INT64_MAX },
        { "9223372036854775806.5", 0, MG_OK, INT64_MAX },
        { "0.00000000000000000000000000000000000001e38", 0, MG_OK, 1 },
        { "9223372036854775807.5", 0, MG_ERROR, 0 },
        { "9223372036854775808", 0, MG_ERROR, 0 },
        { "99999999999999999999999", 0, MG_ERROR, 0 },
        { "1e19", 0, MG_ERROR, 0 },
        { "1e999999999999999999999", 0, MG_ERROR, 0 },
        { "-1", 9, MG_ERROR, 0 },
        { "-0.0000001", 0, MG_ERROR, 0 },
        { "", 9, MG_ERROR, 0 },
        { "-", 9, MG_ERROR, 0 },
        { "+1", 9, MG_ERROR, 0 },
        { ".5", 9, MG_ERROR, 0 },
        { "1.", 9, MG_ERROR, 0 },
        { "01", 9, MG_ERROR, 0 },
        { "1e", 9, MG_ERROR, 0 },
        { "1e+", 9, MG_ERROR, 0 },
        { "1 ", 9, MG_ERROR, 0 },
        { "1,5", 9, MG_ERROR, 0 },
        { "0x10", 9, MG_ERROR, 0 },
        { "NaN", 9, MG_ERROR, 0 },
        { "1.5.2", 9, MG_ERROR, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        v = -7;
        is_int(mg_decimal_parse(mg_str_z(cases[i].text), cases[i].shift, &v),
               cases[i].rc, "\"%s\" shifted by %d", cases[i].text,
               cases[i].shift);

        if (cases[i].rc == MG_OK) {
            is_int(v, cases[i].value, "its value");
        }
    }
}


static void
test_int64(void)
{
    size_t   i;
    int64_t  v;

    static const struct {
        const char  *text;
        int          rc;
        int64_t      value;
    } cases[] = {
        { "5", MG_OK, 5 },
        { "5.0", MG_OK, 5 },
        { "5.10e1", MG_OK, 51 },
        { "1e3", MG_OK, 1000 },
        { "1000e-3", MG_OK, 1 },
        { "-2", MG_OK, -2 },
        { "-0", MG_OK, 0 },
        { "9223372036854775807", MG_OK, INT64_MAX },
        { "-9223372036854775808", MG_OK, INT64_MIN },
        { "-9223372036854775809", MG_ERROR, 0 },
        { "9223372036854775808", MG_ERROR, 0 },
        { "14836394043272784000", MG_ERROR, 0 },
        { "0.5", MG_ERROR, 0 },
        { "0.01", MG_ERROR, 0 },
        { "1e-1", MG_ERROR, 0 },
        { "1e-99999999", MG_ERROR, 0 },
        { "x", MG_ERROR, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        v = -7;
        is_int(mg_decimal_int64(mg_str_z(cases[i].text), &v), cases[i].rc,
               "\"%s\" as an integer", cases[i].text);

        if (cases[i].rc == MG_OK) {
            is_int(v, cases[i].value, "its value");
        }
    }
}


static void
test_format(void)
{
    size_t   i;
    char     out[48];
    int64_t  v;

    static const struct {
        int64_t      value;
        int          scale;
        const char  *text;
    } cases[] = {
        { 1100000000, 9, "1.1" },
        { 15000000000, 9, "15" },
        { 1, 15, "0.000000000000001" },
        { 0, 9, "0" },
        { 10, 0, "10" },
        { -1500, 3, "-1.5" },
        { -5, 1, "-0.5" },
        { INT64_MAX, 0, "9223372036854775807" },
        { INT64_MIN, 18, "-9.223372036854775808" },
        { INT64_MIN, 40, "-0.0000000000000000000009223372036854775808" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(mg_decimal_format(cases[i].value, cases[i].scale, out),
               strlen(cases[i].text), "length");
        is_str(out, cases[i].text, "text");

        if (cases[i].value >= 0) {
            is_int(mg_decimal_parse(mg_str_z(out), cases[i].scale, &v),
                   MG_OK, "it is read again");
            is_int(v, cases[i].value, "as the same value");
        }
    }
}


int
main(void)
{
    test_parse();
    test_int64();
    test_format();

    return done_testing();
}
