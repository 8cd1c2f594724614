/*
 * micro_scan.c: what the scanner, the grab and the SSE reader cost.
 *
 *     cc -O2 -Isrc -o micro_scan bench/micro_scan.c src/base/[a-z]*.c \
 *         -lyajl -lcrypto -lz
 *
 * Prints the median of 201 runs of CPU time for chat bodies of 1 KB and
 * 100 KB, in English and in Chinese, next to yajl without any callback.  The
 * budget of the proxy path is 1 us at 1 KB and 50 us at 100 KB.
 */

#include "base/mg_buf.h"
#include "base/mg_grab.h"
#include "base/mg_jw.h"
#include "base/mg_scan.h"
#include "base/mg_sse.h"
#include "base/mg_time.h"

#include <stdio.h>
#include <stdlib.h>

#include <yajl/yajl_parse.h>


#define RUNS  201


typedef void (*bench_pt)(mg_str_t body);


static const char  bench_english[] =
    "The quick brown fox jumps over the lazy dog; \"quoted\" text and a line "
    "break come now and then.\n";

static const char  bench_chinese[] =
    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c\xe3\x80\x82"
    "\xe8\xbf\x99\xe6\x98\xaf\xe4\xb8\x80\xe4\xb8\xaa\xe6\xb5\x8b\xe8\xaf\x95";

static const mg_grab_path_t  bench_paths[] = {
    { "usage", NULL, 1 },
    { "message", "usage", 2 },
    { NULL, NULL, 0 }
};


static void
bench_body(mg_buf_t *b, size_t size, const char *text)
{
    mg_jw_t   w;
    mg_buf_t  content;

    mg_buf_init(b, 0);
    mg_jw_init(&w, b);

    mg_jw_object(&w, NULL);
    mg_jw_raw(&w, "temperature", mg_str("0.7"));
    mg_jw_int(&w, "max_tokens", 1024);
    mg_jw_bool(&w, "stream", 1);
    mg_jw_array(&w, "messages");

    while (b->len < size - 100) {
        mg_buf_init(&content, 0);

        do {
            mg_buf_z(&content, text);
        } while (content.len < 700 && b->len + content.len < size - 150);

        mg_jw_object(&w, NULL);
        mg_jw_z(&w, "role", "user");
        mg_jw_str(&w, "content", mg_buf_view(&content));
        mg_jw_end_object(&w);
        mg_buf_free(&content);
    }

    mg_jw_end_array(&w);
    mg_jw_z(&w, "model", "openai/gpt-4o-mini");
    mg_jw_end_object(&w);
}


static void
bench_scan(mg_str_t body)
{
    mg_scan_t   s;
    mg_error_t  e;

    mg_scan_init(&s);

    if (mg_scan_feed(&s, body.data, body.len, &e) != MG_OK
        || mg_scan_finish(&s, &e) != MG_OK)
    {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }
}


static void
bench_taken(void *ctx, uint32_t id, mg_str_t json)
{
    (void) ctx;
    (void) id;
    (void) json;
}


static void
bench_grab(mg_str_t body)
{
    mg_grab_t  g;

    mg_grab_init(&g, bench_paths, bench_taken, NULL);
    mg_grab_feed(&g, body.data, body.len);
}


static void
bench_data(void *ctx, const char *data, size_t len)
{
    mg_grab_feed(ctx, data, len);
}


static void
bench_event(void *ctx, mg_str_t name)
{
    (void) name;
    mg_grab_reset(ctx);
}


/* 256 bytes an event, as a chunk of a completion has */

static void
bench_stream(mg_str_t body)
{
    size_t                         i, n;
    mg_sse_t                       s;
    mg_grab_t                      g;
    static const mg_sse_handler_t  handler = { bench_data, bench_event };

    mg_grab_init(&g, bench_paths, bench_taken, NULL);
    mg_sse_init(&s, &handler, &g);

    for (i = 0; i < body.len; i += n) {
        n = body.len - i < 230 ? body.len - i : 230;
        mg_sse_feed(&s, "data: {\"text\":\"", 15);
        mg_sse_feed(&s, body.data + i, n);
        mg_sse_feed(&s, "\"}\n\n", 4);
    }
}


static void
bench_yajl(mg_str_t body)
{
    yajl_handle            y;
    static yajl_callbacks  none;

    y = yajl_alloc(&none, NULL, NULL);
    yajl_parse(y, (const unsigned char *) body.data, body.len);
    yajl_complete_parse(y);
    yajl_free(y);
}


static int
bench_cmp(const void *one, const void *two)
{
    const double  *a = one, *b = two;

    return (*a > *b) - (*a < *b);
}


static double
bench_run(bench_pt run, mg_str_t body)
{
    int      i, j, n;
    double   us[RUNS];
    int64_t  start;

    n = (int) (200000 / body.len) + 1;

    for (i = 0; i < RUNS; i++) {
        start = mg_cpu_ns();

        for (j = 0; j < n; j++) {
            run(body);
        }

        us[i] = (double) (mg_cpu_ns() - start) / n / 1000.0;
    }

    qsort(us, RUNS, sizeof(double), bench_cmp);

    return us[RUNS / 2];
}


int
main(void)
{
    size_t    i, j;
    mg_buf_t  body;

    static const struct {
        const char  *name;
        size_t       size;
        const char  *text;
    } bodies[] = {
        { "1 KB English", 1024, bench_english },
        { "1 KB Chinese", 1024, bench_chinese },
        { "100 KB English", 102400, bench_english },
        { "100 KB Chinese", 102400, bench_chinese }
    };

    static const struct {
        const char  *name;
        bench_pt     run;
    } readers[] = {
        { "scan", bench_scan },
        { "grab", bench_grab },
        { "sse+grab", bench_stream },
        { "yajl", bench_yajl }
    };

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        bench_body(&body, bodies[i].size, bodies[i].text);
        printf("%-15s %6zu bytes", bodies[i].name, body.len);

        for (j = 0; j < sizeof(readers) / sizeof(readers[0]); j++) {
            printf("  %s %.2f us", readers[j].name,
                   bench_run(readers[j].run, mg_buf_view(&body)));
        }

        printf("\n");
        mg_buf_free(&body);
    }

    return 0;
}
