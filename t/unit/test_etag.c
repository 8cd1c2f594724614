/*
 * test_etag.c: base/mg_etag.h.
 *
 * What would break: a change is made although the tag that its client has read
 * is not the current one, or refused although one of several is; a tag that
 * holds a comma falls apart.
 */

#include <stdio.h>

#include "base/mg_etag.h"
#include "tap.h"


/* the tags of a list, one after the other; "!" where it is none */

static const char *
walked(const char *text)
{
    int        rc;
    size_t     len;
    mg_str_t   list;
    mg_etag_t  tag;

    static char  out[256];

    list = mg_str_z(text);
    out[0] = '\0';

    for (len = 0; len < sizeof(out); /* void */) {
        rc = mg_etag_next(&list, &tag);

        if (rc != MG_OK) {
            snprintf(out + len, sizeof(out) - len, "%s",
                     rc == MG_DECLINED ? "" : "!");
            break;
        }

        len += (size_t) snprintf(out + len, sizeof(out) - len, "%s<%.*s>",
                                 tag.weak ? "w" : "",
                                 MG_STR_ARG(tag.opaque));
    }

    return out;
}


int
main(void)
{
    size_t  i;

    static const struct {
        const char  *list;
        const char  *tags;
    } lists[] = {
        { "\"7\"", "<7>" },
        { "W/\"7\"", "w<7>" },
        { "\"\"", "<>" },
        { "\"7\",\"8\"", "<7><8>" },
        { " \"7\" \t,\t W/\"8\" , \"9\" ", "<7>w<8><9>" },
        { ",, \"7\",,\"8\",", "<7><8>" },
        { "\"a,b\", \"W/c\"", "<a,b><W/c>" },
        { "\"\xc3\xa9\xff~!\"", "<\xc3\xa9\xff~!>" },
        { "", "" },
        { " , ", "" },
        { "7", "!" },
        { "*", "!" },
        { "\"7", "!" },
        { "\"", "!" },
        { "W/", "!" },
        { "W/7", "!" },
        { "w/\"7\"", "!" },
        { "W /\"7\"", "!" },
        { "\"7\" \"8\"", "!" },
        { "\"7\"x", "!" },
        { "\"7\", 8", "<7>!" },
        { "\"7\", *", "<7>!" },
        { "\"a b\"", "!" },
        { "\"a\tb\"", "!" },
        { "\"a\x7f\"", "!" },
        { "\"7\";\"8\"", "!" }
    };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        is_str(walked(lists[i].list), lists[i].tags, "%s", lists[i].list);
    }

    return done_testing();
}
