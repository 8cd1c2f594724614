/*
 * If this breaks, an export of records shifts its columns at a comma, a quote
 * or a line break that a client has sent, tells empty from absent no longer,
 * or a spreadsheet runs what a client has sent as a formula.
 */

#include "base/mg_csv.h"
#include "tap.h"


typedef struct {
    const char  *text;        /* NULL: absent */
    const char  *field;
} field_t;


static const field_t  fields[] = {
    { NULL, "" },
    { "", "\"\"" },
    { "plain", "plain" },
    { "two words", "two words" },
    { " first", "\" first\"" },
    { "last ", "\"last \"" },
    { " ", "\" \"" },
    { "a,b", "\"a,b\"" },
    { "a\"b", "\"a\"\"b\"" },
    { "\"", "\"\"\"\"" },
    { "\"\"", "\"\"\"\"\"\"" },
    { "a\r\nb", "\"a\r\nb\"" },
    { "a\nb", "\"a\nb\"" },
    { "5-3", "5-3" },
    { "=1+1", "\"'=1+1\"" },
    { "+1", "\"'+1\"" },
    { "-1", "\"'-1\"" },
    { "@SUM(A1)", "\"'@SUM(A1)\"" },
    { "  =1", "\"'  =1\"" },
    { "\t=1", "\"'\t=1\"" },
    { "\r=1", "\"'\r=1\"" },
    { "\x01", "\"'\x01\"" },
    { "=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"" },
    { "\xef\xbc\x9d" "1", "\"'\xef\xbc\x9d" "1\"" },
    { "\xef\xbc\x8b", "\"'\xef\xbc\x8b\"" },
    { "\xef\xbc\xa1", "\xef\xbc\xa1" },
    { "\xc3\xa4", "\xc3\xa4" }
};


int
main(void)
{
    size_t    i;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    (void) mg_buf_reserve(&b, 64);

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        b.len = 0;
        mg_csv_str(&b, 1, mg_str_z(fields[i].text));
        is_mem(b.data, b.len, fields[i].field, strlen(fields[i].field),
               "field %zu", i);
    }

    b.len = 0;
    mg_csv_str(&b, 1, mg_str("a"));
    mg_csv_str(&b, 0, mg_str_null);
    mg_csv_str(&b, 0, mg_str("b,c"));
    mg_csv_raw(&b, 0, mg_str("-7"));
    mg_csv_raw(&b, 0, mg_str_null);
    mg_csv_end(&b);
    mg_csv_raw(&b, 1, mg_str_null);
    mg_csv_str(&b, 0, mg_str_null);
    mg_csv_end(&b);

    is_mem(b.data, b.len, "a,,\"b,c\",-7,\r\n,\r\n", 17, "rows");

    mg_buf_free(&b);

    return done_testing();
}
