/*
 * What would break: the calls of one request fall apart in a tracing system,
 * or a header that a client made up is sent on to a provider.
 *
 * Headers as the recommendation has them, and others that are nearly such.
 */

#include "base/mg_error.h"
#include "model/mg_trace.h"
#include "tap.h"


#define TRACE   "0af7651916cd43dd8448eb211c80319c"
#define SPAN    "b7ad6b7169203331"


int
main(void)
{
    char        text[MG_TRACE_LEN + 1];
    size_t      i;
    mg_trace_t  t;

    static const char  *good[] = {
        "00-" TRACE "-" SPAN "-01",
        "00-" TRACE "-" SPAN "-00",
        "cc-" TRACE "-" SPAN "-01",
        "01-" TRACE "-" SPAN "-01-what-comes-later"
    };

    static const char  *bad[] = {
        "",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01 ",
        "01-" TRACE "-" SPAN "-01.x",
        "ff-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-0af7651916cd43dd8448eb211c80319g-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!is_int(mg_trace_read(&t, mg_str_z(good[i])), MG_OK, "%s",
                    good[i]))
        {
            continue;
        }

        mg_trace_write(&t, text);
        is_mem(text, MG_TRACE_LEN - 2, i < 2 ? good[i] : good[0],
               MG_TRACE_LEN - 2, "written again, as version 00");
        is_str(text + MG_TRACE_LEN - 2, i == 1 ? "00" : "01", "its flags");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(mg_trace_read(&t, mg_str_z(bad[i])), MG_ERROR, "no: \"%s\"",
               bad[i]);
    }

    return done_testing();
}
