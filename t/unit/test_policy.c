/*
 * If this breaks, a group is stored whose traffic_config nobody can carry
 * out (a canary that goes back and forth, or never ends), a mistyped member
 * is taken for the default, or bodies are kept of a group that never asked.
 */

#include <stdio.h>
#include <stdlib.h>

#include "model/mg_catalog.h"
#include "model/mg_policy.h"
#include "tap.h"


typedef struct {
    const char  *json;
    const char  *param;      /* NULL: it is taken */
    const char  *message;
} case_t;


static const case_t  cases[] = {
    { "{}", NULL, NULL },
    { "{\"canary\":{}}", NULL, NULL },
    { "{\"shadow\":{}}", NULL, NULL },
    { "{\"records\":{}}", NULL, NULL },
    { "{\"canary\":{\"model_id\":null,\"steps\":[{\"percentage\":0,"
      "\"minutes\":0.05},{\"percentage\":\"100\"}]}}", NULL, NULL },
    { "{\"records\":{\"retention_days\":null,\"redact\":[]}}", NULL, NULL },

    { "[]", "traffic_config", "must be a JSON object" },
    { "{\"sticky\":1}", "sticky", "known are canary, shadow, records" },
    { "{\"canary\":null}", "canary", "canary is null" },
    { "{\"canary\":[]}", "canary", "must be a JSON object" },
    { "{\"canary\":{\"model\":\"p/m\"}}", "canary.model",
      "known are model_id, steps" },
    { "{\"canary\":{\"model_id\":\"m\"}}", "canary.model_id",
      "at least 3 bytes" },
    { "{\"canary\":{\"model_id\":7}}", "canary.model_id", "a string" },
    { "{\"canary\":{\"steps\":{}}}", "canary.steps", "an array of" },
    { "{\"canary\":{\"steps\":[]}}", "canary.steps", "0 elements" },
    { "{\"canary\":{\"steps\":[1]}}", "canary.", "not a JSON object" },
    { "{\"canary\":{\"steps\":[{}]}}", "canary.percentage", "is missing" },
    { "{\"canary\":{\"steps\":[{\"percentage\":101}]}}",
      "canary.percentage", "\"101\" is not between 0 and 100" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1.005}]}}",
      "canary.percentage", "two decimals" },
    { "{\"canary\":{\"steps\":[{\"percentage\":true}]}}",
      "canary.percentage", "a number such as" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":1},"
      "{\"percentage\":1}]}}", "canary.percentage", "step 2" },
    { "{\"canary\":{\"steps\":[{\"percentage\":5,\"minutes\":1},"
      "{\"percentage\":1}]}}", "canary.percentage", "grow" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1},{\"percentage\":2}]}}",
      "canary.minutes", "step 1 of the canary has no minutes" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":5}]}}",
      "canary.minutes", "the last one" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":0}]}}",
      "canary.minutes", "\"0\" is not between" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":-1}]}}",
      "canary.minutes", "\"-1\" is not between" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":0.001}]}}",
      "canary.minutes", "one second" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":9e99}]}}",
      "canary.minutes", "\"9e99\" is not between" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":\"5\"}]}}",
      "canary.minutes", "a number of minutes" },
    { "{\"canary\":{\"steps\":[{\"percentage\":1,\"hours\":5}]}}",
      "canary.hours", "known are percentage, minutes" },

    { "{\"shadow\":{\"percentage\":-1}}", "shadow.percentage", "\"-1\"" },
    { "{\"shadow\":{\"share\":1}}", "shadow.share", "known are percentage" },

    { "{\"records\":{\"retention_days\":0}}", "records.retention_days",
      "between 1 and 3650" },
    { "{\"records\":{\"retention_days\":3651}}", "records.retention_days",
      "\"3651\"" },
    { "{\"records\":{\"archive\":1}}", "records.archive", "true or false" },
    { "{\"records\":{\"request_body\":\"yes\"}}", "records.request_body",
      "true or false" },
    { "{\"records\":{\"max_bytes\":0}}", "records.max_bytes",
      "between 1 and 65536" },
    { "{\"records\":{\"max_bytes\":65537}}", "records.max_bytes",
      "\"65537\"" },
    { "{\"records\":{\"redact\":\"user\"}}", "records.redact",
      "an array of strings" },
    { "{\"records\":{\"redact\":[\"\"]}}", "records.redact", "1 to 128" },
    { "{\"records\":{\"redact\":[\"a\\u0000b\"]}}", "records.redact",
      "control character" },
    { "{\"records\":{\"redact\":[\"0123456789012345678901234567890123456789"
      "0123456789012345678901234\"]}}", "records.redact", "65 bytes" },
    { "{\"records\":{\"redact\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\","
      "\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\"]}}",
      "records.redact", "17 elements" },
    { NULL, NULL, NULL }
};


static void
checks(mg_arena_t *a)
{
    int            rc;
    mg_error_t     e;
    mg_policy_t    p;
    const case_t  *c;

    for (c = cases; c->json; c++) {
        memset(&e, 0, sizeof(mg_error_t));
        rc = mg_policy_parse(mg_str_z(c->json), a, &p, &e);

        if (c->param == NULL) {
            is_int(rc, MG_OK, "%.60s: %s", c->json, e.message);
            continue;
        }

        is_int(rc, MG_ERROR, "%.60s is refused", c->json);
        is_str(e.param, c->param, "... with the member's name");
        like(e.message, c->message, "... and the reason");
        is_int(p.n_steps, 0, "... and leaves the defaults behind");
    }

    is_int(mg_policy_parse(mg_str("{"), a, &p, &e), MG_ERROR, "no JSON");
}


static void
defaults(mg_arena_t *a)
{
    mg_error_t   e;
    mg_policy_t  p;

    memset(&p, 0x5a, sizeof(mg_policy_t));
    is_int(mg_policy_parse(mg_str_null, a, &p, &e), MG_OK, "absent");
    is_int(p.n_steps, 0, "no schedule");
    is_int(p.shadow_share, MG_POLICY_SHARE_ALL, "all requests to shadows");
    is_int(p.retention_days, 0, "records stay for ever");
    is_int(p.archive, 0, "nothing is dumped");
    is_int(p.bodies, 0, "no body is kept");
    is_int(p.body_max, MG_POLICY_BODY_DEFAULT, "bytes of one");
    is_int(p.n_redact, 0, "no names");
    ok(p.canary_model.data == NULL, "no model");

    memset(&p, 0x5a, sizeof(mg_policy_t));
    is_int(mg_policy_parse(mg_str("{\"canary\":{\"steps\":[{\"percentage\":"
                                  "7}]}}"), a, &p, &e), MG_OK, "one step");
    is_int(p.n_steps, 1, "it is the last");
    is_int(p.steps[0].share, 700, "its share");
    is_int(p.steps[0].seconds, 0, "without an end");
    is_int(p.shadow_share, MG_POLICY_SHARE_ALL, "the rest as without");
}


static void
full(mg_arena_t *a)
{
    mg_error_t   e;
    mg_policy_t  p;

    is_int(mg_policy_parse(mg_str(
               "{\"canary\":{\"model_id\":\"p/m:1\",\"steps\":["
               "{\"percentage\":1,\"minutes\":30},"
               "{\"percentage\":12.5,\"minutes\":0.05},"
               "{\"percentage\":100}]},"
               "\"shadow\":{\"percentage\":10},"
               "\"records\":{\"retention_days\":90,\"archive\":true,"
               "\"request_body\":true,\"response_body\":false,"
               "\"max_bytes\":4096,\"redact\":[\"user\",\"e mail\"]}}"),
               a, &p, &e), MG_OK, "everything at once");

    ok(mg_str_eq(p.canary_model, mg_str("p/m:1")), "model");
    is_int(p.n_steps, 3, "steps");
    is_int(p.steps[0].share, 100, "one percent");
    is_int(p.steps[0].seconds, 1800, "half an hour");
    is_int(p.steps[1].share, 1250, "with decimals");
    is_int(p.steps[1].seconds, 3, "parts of a minute");
    is_int(p.steps[2].share, MG_POLICY_SHARE_ALL, "all");
    is_int(p.steps[2].seconds, 0, "for ever");
    is_int(p.shadow_share, 1000, "shadow");
    is_int(p.retention_days, 90, "days");
    is_int(p.archive, 1, "archive");
    is_int(p.bodies, MG_POLICY_REQUEST_BODY, "the request's body alone");
    is_int(p.body_max, 4096, "bytes");
    is_int(p.n_redact, 2, "names");
    ok(mg_str_eq(p.redact[1], mg_str("e mail")), "the second");
}


static void
most_steps(mg_arena_t *a)
{
    int          len;
    char         text[4096];
    unsigned     i, n;
    mg_error_t   e;
    mg_policy_t  p;

    for (n = MG_POLICY_STEPS_MAX; n <= MG_POLICY_STEPS_MAX + 1; n++) {
        len = snprintf(text, sizeof(text), "{\"canary\":{\"steps\":[");

        for (i = 0; i < n; i++) {
            len += snprintf(text + len, sizeof(text) - len,
                            "{\"percentage\":%u%s}%s", i,
                            i + 1 < n ? ",\"minutes\":1" : "",
                            i + 1 < n ? "," : "]}}");
        }

        is_int(mg_policy_parse(mg_str_n(text, (size_t) len), a, &p, &e),
               n > MG_POLICY_STEPS_MAX ? MG_ERROR : MG_OK, "%u steps", n);
    }

    like(e.message, "33 elements", "the number is named");
}


static void
next_steps(mg_arena_t *a)
{
    unsigned     i;
    mg_error_t   e;
    mg_policy_t  p;

    static const struct {
        unsigned   taken;
        uint32_t   share;
        unsigned   next;
    } cases[] = {
        { 0, 0, 0 },            /* from the beginning */
        { 0, 100, 0 },          /* what it has already is its first step */
        { 0, 101, 1 },          /* less than it has is passed over */
        { 0, 2500, 2 },
        { 0, 9000, 2 },         /* more than the last one gives */
        { 1, 100, 1 },
        { 1, 5000, 1 },         /* later on it is the number that counts */
        { 2, 500, 2 },
        { 3, 2500, 2 }          /* there is none behind the last one */
    };

    is_int(mg_policy_parse(mg_str("{\"canary\":{\"steps\":["
               "{\"percentage\":1,\"minutes\":1},"
               "{\"percentage\":5,\"minutes\":1},{\"percentage\":25}]}}"),
               a, &p, &e), MG_OK, "three steps");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(mg_policy_next(&p, cases[i].taken, cases[i].share),
               cases[i].next, "%u taken, %u hundredths", cases[i].taken,
               cases[i].share);
    }
}


int
main(void)
{
    mg_arena_t  *a;

    a = mg_arena_create(0);

    checks(a);
    defaults(a);
    full(a);
    most_steps(a);
    next_steps(a);

    mg_arena_destroy(a);

    return done_testing();
}
