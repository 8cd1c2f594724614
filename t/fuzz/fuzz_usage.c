/*
 * fuzz_usage.c: the reader of usage, and the cost of what it read.
 *
 * What would break: hostile bytes of a provider stop a worker, or the same
 * answer counts differently because of where the network cut it.  The first
 * byte of the input chooses the format.  For each cut the result must be the
 * same; the classes of the input must add up to it, no figure may be negative
 * but for "unknown", and the cost must be known or have a reason.
 */

#include "model/mg_cost.h"
#include "model/mg_usage.h"
#include "fuzz.h"


#define FUZZ_ALL_CUTS  64


static void
fuzz_feed(mg_usage_reader_t *r, mg_str_t text)
{
    char  *p;

    p = fuzz_piece(text);
    mg_usage_feed(r, p, text.len);
    free(p);
}


static void
fuzz_same(const mg_usage_reader_t *a, const mg_usage_reader_t *b)
{
    fuzz_check(memcmp(&a->usage, &b->usage, sizeof(mg_usage_t)) == 0);
    fuzz_check(a->seen == b->seen && a->error == b->error);
    fuzz_check(a->done == b->done && a->finished == b->finished);
    fuzz_check(a->events == b->events);
}


static void
fuzz_cuts(const mg_usage_reader_t *whole, mg_usage_format_e format,
    mg_str_t text)
{
    size_t             i, step;
    mg_usage_reader_t  r;

    step = text.len / FUZZ_ALL_CUTS + 1;

    for (i = 0; i <= text.len; i += step) {
        mg_usage_init(&r, format);
        fuzz_feed(&r, mg_str_n(text.data, i));
        fuzz_feed(&r, mg_str_n(text.data + i, text.len - i));
        mg_usage_finish(&r);
        fuzz_same(whole, &r);
    }

    mg_usage_init(&r, format);

    for (i = 0; i < text.len; i++) {
        mg_usage_feed(&r, text.data + i, 1);
    }

    mg_usage_finish(&r);
    fuzz_same(whole, &r);
}


static int64_t
fuzz_known(int64_t n)
{
    fuzz_check(n >= MG_TOKENS_UNKNOWN);

    return n < 0 ? 0 : n;
}


static void
fuzz_classes(const mg_usage_reader_t *r)
{
    int64_t            sum;
    const mg_usage_t  *u;

    u = &r->usage;

    sum = fuzz_known(u->input_uncached) + fuzz_known(u->cache_read)
          + fuzz_known(u->cache_write) + fuzz_known(u->audio_in)
          + fuzz_known(u->tool_input);

    fuzz_check(u->marks < 1 << MG_USAGE_MARKS);
    fuzz_check(r->seen || (u->input == MG_TOKENS_UNKNOWN && sum == 0));
    fuzz_check(fuzz_known(u->cache_write_5m) + fuzz_known(u->cache_write_1h)
               <= fuzz_known(u->cache_write));

    if (u->input != MG_TOKENS_UNKNOWN) {
        fuzz_check(u->input == sum);
    }

    fuzz_check(u->reasoning <= u->output);
    fuzz_check(u->audio_out <= u->output);
    fuzz_check(r->seen == (mg_usage_source(r, 1) != MG_USAGE_NONE));
}


static void
fuzz_cost(const mg_usage_t *u)
{
    char              text[MG_COST_TEXT_MAX];
    unsigned          i;
    mg_cost_t         c;
    mg_cost_prices_t  p;

    mg_cost_prices_init(&p);

    for (i = 0; i < MG_COST_PRICES; i++) {
        p.price[i] = (int64_t) 1000 * (i + 1);
    }

    (void) mg_cost_count(&p, u, &c);

    fuzz_check((c.nano >= 0) == (c.reason == MG_COST_KNOWN));
    fuzz_check((mg_cost_explain(&c, text) == 0)
               == (c.reason == MG_COST_KNOWN));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_str_t           text;
    mg_usage_format_e  format;
    mg_usage_reader_t  r;

    if (size == 0) {
        return 0;
    }

    format = data[0] % 3;
    text = mg_str_n((const char *) data + 1, size - 1);

    mg_usage_init(&r, format);
    fuzz_feed(&r, text);
    mg_usage_finish(&r);

    fuzz_classes(&r);
    fuzz_cost(&r.usage);
    fuzz_cuts(&r, format, text);

    return 0;
}
