/*
 * What would break: a client that asked for no usage gets an event that its
 * library does not know, or a stream with a byte more or less than it would
 * have got without the gateway; or a line is held back that could go on.
 *
 * The files are recorded streams.  What has to be left of them is found here
 * by plain search, in the whole text; the library sees it cut at every byte.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/mg_strip.h"
#include "tap.h"


#define DIR_STREAMS   "t/data/captures/streams/"


typedef struct {
    const char  *what;
    const char  *in;
    const char  *out;
} strip_case_t;


#define EXTRA   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9}}\n\n"
#define DONE    "data: [DONE]\n\n"


static const strip_case_t  cases[] = {

    { "no stream at all", "", "" },

    { "the usual form",
      "data: {\"id\":\"1\",\"choices\":[{\"index\":0}],\"usage\":null}\n\n"
      EXTRA DONE,
      "data: {\"id\":\"1\",\"choices\":[{\"index\":0}]}\n\n" DONE },

    { "null in front of others",
      "data: {\"usage\":null,\"id\":\"1\"}\n\n",
      "data: {\"id\":\"1\"}\n\n" },

    { "null in the middle",
      "data: {\"id\":\"1\",\"usage\":null,\"choices\":[{}]}\n\n",
      "data: {\"id\":\"1\",\"choices\":[{}]}\n\n" },

    { "nothing but null", "data: {\"usage\":null}\n\n", "data: {}\n\n" },

    { "spaces, last",
      "data: { \"id\" : \"1\" , \"usage\" : null }\n\n",
      "data: { \"id\" : \"1\"  }\n\n" },

    { "spaces, middle",
      "data: {\"id\": \"1\", \"usage\": null, \"model\": \"m\"}\n\n",
      "data: {\"id\": \"1\", \"model\": \"m\"}\n\n" },

    { "spaces, first",
      "data: { \"usage\": null, \"model\": \"m\"}\n\n",
      "data: { \"model\": \"m\"}\n\n" },

    { "no space after the colon of data",
      "data:{\"id\":1,\"usage\":null}\n\n" "data:[DONE]\n\n",
      "data:{\"id\":1}\n\n" "data:[DONE]\n\n" },

    { "padding behind the null",
      "data: {\"id\":1,\"usage\":null,\"obfuscation\":\"x8Qz\"}   \n\n",
      "data: {\"id\":1,\"obfuscation\":\"x8Qz\"}   \n\n" },

    { "an event without choices that says no usage",
      "data: {\"choices\":[],\"prompt_filter_results\":[{}],"
      "\"usage\":null}\n\n",
      "data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n" },

    { "usage first, choices behind it, with spaces in the brackets",
      "data: {\"usage\" : {\"a\":[1,{}]} , \"choices\" : [ \t ] }\n\n" DONE,
      DONE },

    { "usage beside a choice stays",
      "data: {\"choices\":[{\"index\":0}],\"usage\":{\"a\":1}}\n\n",
      "data: {\"choices\":[{\"index\":0}],\"usage\":{\"a\":1}}\n\n" },

    { "usage inside a member stays",
      "data: {\"x_groq\":{\"usage\":null},\"choices\":[{\"usage\":null}]}\n\n",
      "data: {\"x_groq\":{\"usage\":null},\"choices\":[{\"usage\":null}]}\n\n"
    },

    { "usage in a text stays",
      "data: {\"a\":\",\\\"usage\\\":null\",\"b\":\"\\\\\",\"usage\":null}\n\n",
      "data: {\"a\":\",\\\"usage\\\":null\",\"b\":\"\\\\\"}\n\n" },

    { "an error stays",
      "data: {\"error\":{\"code\":1},\"choices\":[],\"usage\":{\"a\":1}}\n\n",
      "data: {\"error\":{\"code\":1},\"choices\":[],\"usage\":{\"a\":1}}\n\n"
    },

    { "the fields around the data go with them",
      "event: chunk\nid: 4\n" EXTRA "event: a\ndata: {\"id\":1}\nid: 5\n\n",
      "event: a\ndata: {\"id\":1}\nid: 5\n\n" },

    { "fields behind the data go with them",
      "data: {\"choices\":[],\"usage\":{}}\nid: 4\n: x\n\n" DONE, DONE },

    { "comments stay",
      ": WAIT\n\n: WAIT\n\n" EXTRA ": WAIT\n\n" DONE,
      ": WAIT\n\n: WAIT\n\n: WAIT\n\n" DONE },

    { "a comment within an event that stays",
      "event: a\n: b\ndata: {\"usage\":null}\n\n",
      "event: a\n: b\ndata: {}\n\n" },

    { "fields without data", "retry: 10\n\nevent: ping\n\n" DONE,
      "retry: 10\n\nevent: ping\n\n" DONE },

    { "two of them", EXTRA EXTRA DONE, DONE },

    { "no line end at the end of the stream",
      "data: {\"id\":1,\"usage\":null}\n\n" DONE
      "data: {\"id\":1,\"usage\":null}",
      "data: {\"id\":1}\n\n" DONE "data: {\"id\":1}" },

    { "the event is the last, without a blank line",
      DONE "data: {\"choices\":[],\"usage\":{}}", DONE },

    { "cut in the middle of a line",
      "data: {\"id\":1,\"usage\":null}\n\ndata: {\"id\":1,\"usage\":nu",
      "data: {\"id\":1}\n\ndata: {\"id\":1,\"usage\":nu" },

    { "cut before the data", "event: chu", "event: chu" },

    { "not JSON",
      "data: {\"usage\":null\n\ndata: {\"usage\":null},\n\n"
      "data: \"usage\":null\n\ndata: [{\"usage\":null}]\n\n"
      "data: {\"a\" 1,\"usage\":null}\n\ndata: {,\"usage\":null}\n\n"
      "data: {\"a\":,\"usage\":null}\n\ndata: {usage:null}\n\n",
      "data: {\"usage\":null\n\ndata: {\"usage\":null},\n\n"
      "data: \"usage\":null\n\ndata: [{\"usage\":null}]\n\n"
      "data: {\"a\" 1,\"usage\":null}\n\ndata: {,\"usage\":null}\n\n"
      "data: {\"a\":,\"usage\":null}\n\ndata: {usage:null}\n\n" },

    { "twice in one object",
      "data: {\"usage\":null,\"usage\":null}\n\n",
      "data: {\"usage\":null,\"usage\":null}\n\n" },

    { "neither null nor an object",
      "data: {\"usage\":[],\"choices\":[]}\n\n"
      "data: {\"usage\":nul,\"choices\":[]}\n\n"
      "data: {\"usage\":0,\"choices\":[]}\n\n",
      "data: {\"usage\":[],\"choices\":[]}\n\n"
      "data: {\"usage\":nul,\"choices\":[]}\n\n"
      "data: {\"usage\":0,\"choices\":[]}\n\n" }
};


/* The text fed in pieces of step bytes, the first of which ends at cut. */

static void
strip_pieces(mg_str_t text, size_t cut, size_t step, mg_buf_t *out)
{
    char        *piece;
    size_t       at, n, left;
    mg_str_t     before;
    mg_strip_t   s;

    out->len = 0;
    mg_strip_init(&s);

    for (at = 0; at < text.len; at += n) {
        n = (at == 0 && cut != 0) ? cut : step;
        n = n < text.len - at ? n : text.len - at;

        /* of the exact size, for the sanitizers */

        piece = malloc(n);
        memcpy(piece, text.data + at, n);

        left = mg_strip_feed(&s, piece, n, &before);

        mg_buf_str(out, before);
        mg_buf_add(out, piece, left);
        free(piece);
    }

    mg_buf_str(out, mg_strip_flush(&s));
    mg_strip_free(&s);
}


/* Every cut, every size of pieces up to 70; 1: all came to the same. */

static int
strip_all(mg_str_t text, mg_str_t want)
{
    size_t    i;
    mg_buf_t  out;

    mg_buf_init(&out, 0);

    for (i = 1; i <= text.len; i++) {
        strip_pieces(text, i, text.len, &out);

        if (!mg_str_eq(mg_buf_view(&out), want)) {
            return is_mem(out.data, out.len, want.data, want.len,
                          "cut at %zu", i);
        }
    }

    for (i = 1; i <= 70; i++) {
        strip_pieces(text, 0, i, &out);

        if (!mg_str_eq(mg_buf_view(&out), want)) {
            return is_mem(out.data, out.len, want.data, want.len,
                          "in pieces of %zu", i);
        }
    }

    mg_buf_free(&out);

    return 1;
}


/* Other line ends in the same text. */

static void
strip_ends(const char *text, const char *end, mg_buf_t *out)
{
    mg_buf_init(out, 0);

    for ( /* void */ ; *text; text++) {
        if (*text == '\n') {
            mg_buf_z(out, end);

        } else {
            mg_buf_char(out, *text);
        }
    }
}


static void
test_cases(void)
{
    size_t    i, k;
    mg_buf_t  in, want;

    static const char  *ends[] = { "\n", "\r\n", "\r" };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (k = 0; k < 3; k++) {
            strip_ends(cases[i].in, ends[k], &in);
            strip_ends(cases[i].out, ends[k], &want);

            ok(strip_all(mg_buf_view(&in), mg_buf_view(&want)), "%s, %s",
               cases[i].what, k == 0 ? "LF" : k == 1 ? "CRLF" : "CR");

            mg_buf_free(&in);
            mg_buf_free(&want);
        }
    }
}


/* Whole lines go on at once; what is kept back is never more than a line. */

static void
test_held(void)
{
    char        line[] = "data: {\"id\":1}\n", part[] = "data: {\"id\"";
    char        rest[] = ":1}\n\nda", event[] = "event: x\n";
    mg_str_t    before;
    mg_strip_t  s;

    mg_strip_init(&s);

    is_int(mg_strip_feed(&s, line, sizeof(line) - 1, &before),
           sizeof(line) - 1, "a whole line goes on");
    is_int(mg_strip_feed(&s, line, 0, &before), 0, "nothing from nothing");
    mg_strip_free(&s);
    mg_strip_init(&s);

    is_int(mg_strip_feed(&s, part, sizeof(part) - 1, &before), 0,
           "half a line does not");
    is_int(mg_strip_feed(&s, rest, sizeof(rest) - 1, &before), 1,
           "until its end is here");
    is_mem(before.data, before.len, "data: {\"id\":1}\n", 15, "as it was");

    before = mg_strip_flush(&s);
    is_mem(before.data, before.len, "da", 2, "a flush gives the rest");
    ok(mg_strip_flush(&s).data == NULL, "once");

    mg_strip_free(&s);
    mg_strip_init(&s);

    is_int(mg_strip_feed(&s, event, sizeof(event) - 1, &before), 0,
           "a name waits for its data");
    is_int(s.events, 0, "nothing was taken out");

    mg_strip_free(&s);
}


/* A line longer than what may be held passes; the next is read again. */

static void
test_long(void)
{
    size_t    step;
    mg_buf_t  in, want;
    mg_buf_t  out;

    mg_buf_init(&in, 0);
    mg_buf_init(&want, 0);
    mg_buf_init(&out, 0);

    mg_buf_z(&in, "event: a\ndata: {\"text\":\"");

    while (in.len < 3 * MG_STRIP_HELD_MAX) {
        mg_buf_z(&in, "0123456789\\n,\\\"usage\\\":null");
    }

    mg_buf_z(&in, "\",\"usage\":null}\n\n");
    mg_buf_str(&want, mg_buf_view(&in));

    mg_buf_z(&in, EXTRA "data: {\"usage\":null}\n\n" DONE);
    mg_buf_z(&want, "data: {}\n\n" DONE);

    for (step = 1000; step < in.len; step += 16411) {
        strip_pieces(mg_buf_view(&in), 0, step, &out);

        /* one that comes in one piece is read */

        if (!mg_str_eq(mg_buf_view(&out), mg_buf_view(&want))) {
            break;
        }
    }

    ok(step >= in.len, "a line of %zu bytes passes, the next does not (%zu)",
       in.len, step);

    mg_buf_free(&in);
    mg_buf_free(&want);
    mg_buf_free(&out);
}


/* The expected text of a recorded stream, in lines as they were written. */

static void
strip_expect(mg_str_t text, mg_buf_t *want)
{
    char        *line, *end, *null, *all;
    const char  *mark = ",\"usage\":null";

    all = strndup(text.data, text.len);

    for (line = all; *line; line = end) {
        end = strchr(line, '\n');
        end = end ? end + 1 : line + strlen(line);

        if ((memmem(line, end - line, "\"choices\":[]", 12)
             && memmem(line, end - line, "\"usage\":{", 9))
            || (memmem(line, end - line, "\"choices\": []", 13)
                && memmem(line, end - line, "\"usage\": {", 10)))
        {
            /* and the blank line behind it */

            end += (*end == '\r');
            end += (*end == '\n');
            continue;
        }

        null = memmem(line, end - line, mark, strlen(mark));

        if (null == NULL) {
            mg_buf_add(want, line, end - line);
            continue;
        }

        mg_buf_add(want, line, null - line);
        null += strlen(mark);
        mg_buf_add(want, null, end - null);
    }

    free(all);
}


static void
strip_file(const char *name)
{
    char       path[512];
    FILE      *f;
    mg_buf_t   in, want;

    snprintf(path, sizeof(path), DIR_STREAMS "%s", name);
    f = fopen(path, "rb");

    mg_buf_init(&in, 0);
    mg_buf_init(&want, 0);

    if (f == NULL || mg_buf_reserve(&in, 65536) == NULL) {
        fail("%s", path);
        return;
    }

    in.len = fread(in.data, 1, 65536, f);
    fclose(f);

    strip_expect(mg_buf_view(&in), &want);

    ok(in.len > 500 && strip_all(mg_buf_view(&in), mg_buf_view(&want)),
       "%s: %zu bytes, %zu go", name, in.len, in.len - want.len);

    if (strstr(name, "-unasked-") && !strstr(name, "huggingface")) {
        is_int(in.len, want.len, "%s has nothing to take out", name);
    }

    mg_buf_free(&in);
    mg_buf_free(&want);
}


static void
test_files(void)
{
    int             n;
    DIR            *dir;
    struct dirent  *e;

    dir = opendir(DIR_STREAMS);
    n = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strstr(e->d_name, ".sse")) {
            strip_file(e->d_name);
            n++;
        }
    }

    ok(n >= 37, "%d recorded streams", n);

    if (dir != NULL) {
        closedir(dir);
    }
}


int
main(void)
{
    test_cases();
    test_held();
    test_long();
    test_files();

    return done_testing();
}
