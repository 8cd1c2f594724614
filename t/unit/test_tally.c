/*
 * What would break: requests of one variant are counted to another, a
 * worker killed while it claims a cell leaves a line without a name, or a
 * name from a client breaks the metrics page.
 */

#include <stdlib.h>

#include "model/mg_tally.h"
#include "tap.h"


static mg_tally_cell_t  cells[16];


/* Guesses the cell of the call before, which is of another kind as often. */

static void
add(const char *group, const char *variant, unsigned status, int64_t us)
{
    mg_usage_t  u;
    mg_tally_t  t;

    static mg_tally_cell_t  *guess;

    mg_usage_clear(&u);
    u.input = 10;
    u.output = 3;

    t.group = mg_str_z(group);
    t.variant = mg_str_z(variant);
    t.role = mg_str("champion");
    t.status = status;
    t.error = (status >= 500);
    t.duration_us = us;
    t.ttft_us = us / 2;
    t.usage = &u;
    t.guess = guess;

    guess = mg_tally_add(cells, 16, &t);
}


static char *
page(void)
{
    mg_buf_t     b;
    static char  text[65536];

    mg_buf_init(&b, 0);
    mg_tally_write(&b, cells, 16);
    snprintf(text, sizeof(text), "%.*s", (int) b.len, b.data);
    mg_buf_free(&b);

    return text;
}


int
main(void)
{
    char      name[32], *text;
    unsigned  i;

    add("chat", "demo/a", 200, 15000);
    add("chat", "demo/a", 200, 2000000);
    add("chat", "demo/a", 502, 90000000);
    add("chat", "demo/b", 200, 1);

    text = page();

#define A  "{group=\"chat\",variant=\"demo/a\",role=\"champion\""

    like(text, "nginx_model_requests_total" A ",status_class=\"2xx\"} 2\n",
         "two successes");
    like(text, "nginx_model_requests_total" A ",status_class=\"5xx\"} 1\n",
         "one failure");
    like(text, "nginx_model_errors_total" A "} 1\n", "a mark");
    like(text, "nginx_model_tokens_total" A ",type=\"input\"} 30\n", "input");
    like(text, "nginx_model_tokens_total" A ",type=\"output\"} 9\n",
         "output");
    unlike(text, "type=\"cache_read\"", "unknown is no line, not zero");
    like(text, "gen_ai_server_request_duration_seconds_bucket" A
         ",le=\"0.02\"} 1\n", "a bucket");
    like(text, "gen_ai_server_request_duration_seconds_bucket" A
         ",le=\"2.56\"} 2\n", "buckets add up");
    like(text, "gen_ai_server_request_duration_seconds_bucket" A
         ",le=\"+Inf\"} 3\n", "the last holds all");
    like(text, "gen_ai_server_request_duration_seconds_sum" A
         "} 92.015000\n", "sum in seconds");
    like(text, "variant=\"demo/b\"", "another variant, another line");

    add("a\"b\\c\nd", "demo/a", 200, 1);
    like(page(), "group=\"a\\\"b\\\\c\\nd\"", "labels are escaped");

    /* a claimer that was killed before it could write the names */

    for (i = 0; i < 16; i++) {
        if (cells[i].named && cells[i].variant_len == 6
            && memcmp(cells[i].variant, "demo/b", 6) == 0)
        {
            cells[i].named = 0;
            cells[i].variant_len = 2;
        }
    }

    add("chat", "demo/b", 200, 1);
    like(page(), "nginx_model_requests_total{group=\"chat\","
         "variant=\"demo/b\",role=\"champion\",status_class=\"2xx\"} 2\n",
         "the next one names the cell");

    for (i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "group-%u", i);
        add(name, "demo/a", 200, 1);
    }

    text = page();
    like(text, "group=\"_other\",variant=\"_other\",role=\"_other\"",
         "what finds no room is counted together");
    like(text, "nginx_model_requests_total" A ",status_class=\"2xx\"} 2\n",
         "and disturbs nobody");

    return done_testing();
}
