/*
 * What would break: a half-written snapshot is served, a full disk costs the
 * last good file, a list leaves out, repeats or misorders models, a member
 * of an answer is missing, what sendfile() is told is not the body, or a key
 * of a provider shows in the catalog.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_json.h"
#include "snap_sample.h"
#include "tap.h"


#define BIG   3000


static char  dir[64];


/* -- files -- */

static unsigned
files(void)
{
    DIR            *d;
    unsigned        n;
    struct dirent  *entry;

    d = opendir(dir);
    n = 0;

    for (entry = readdir(d); entry != NULL; entry = readdir(d)) {
        n += (strcmp(entry->d_name, ".") != 0
              && strcmp(entry->d_name, "..") != 0);
    }

    closedir(d);

    return n;
}


static void
leave(const char *name)
{
    int   fd;
    char  path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY|O_CREAT, 0600);
    close(fd);
}


static int
there(const char *name)
{
    char  path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    return access(path, F_OK) == 0;
}


static void
publish(mg_str_t one, mg_str_t two)
{
    int              pid;
    char            *bad, name[128], path[256];
    mg_snap_t       *s, *old;
    mg_error_t       e;
    struct stat      st;
    struct timeval   long_ago[2];

    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 1, &e), MG_DECLINED,
           "no file yet");
    ok(s == NULL, "nothing mapped");

    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, one, &e), MG_OK,
           "published");
    is_int(files(), 1, "one file, nothing else");
    is_int(mg_snap_open(&old, dir, MG_SNAP_CATALOG, 1, &e), MG_OK, "opened");
    is_int(mg_snap_generation(old), 1, "generation");
    ok(mg_snap_built_at(old) > 1700000000000000LL, "built at");
    is_int(mg_snap_size(old), one.len, "size");
    ok(mg_str_eq(mg_snap_bytes(old), one), "its bytes");

    snprintf(path, sizeof(path), "%s/%s", dir, MG_SNAP_CATALOG_FILE);
    stat(path, &st);
    is_int(st.st_mode & 0777, 0600, "readable by its owner alone");

    /* what does not verify never gets the name */

    bad = malloc(two.len);
    memcpy(bad, two.data, two.len);
    bad[two.len / 2] ^= 1;
    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, mg_str_n(bad, two.len), &e),
           MG_ERROR, "a damaged image is not published");
    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, mg_str_n(bad, 10), &e),
           MG_ERROR, "ten bytes are not published");
    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, mg_str(""), &e), MG_ERROR,
           "no bytes are not published");
    is_int(mg_snap_publish(dir, MG_SNAP_ROUTING, two, &e), MG_ERROR,
           "nor the other kind");
    is_int(mg_snap_publish("/nonexistent", MG_SNAP_CATALOG, two, &e),
           MG_ERROR, "no folder");
    like(e.message, "/nonexistent", "the message says which");
    is_int(files(), 1, "no temporary file stays");
    free(bad);

    /* what dead builders left goes, what others work on stays */

    pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    waitpid(pid, NULL, 0);

    snprintf(name, sizeof(name), ".catalog.snap.%d.3.tmp", pid);
    leave(name);
    leave(".catalog.snap.1.5.tmp");
    leave(".catalog.snap.1.6.tmp");
    leave(".catalog.snap.1.6.tmp.old");
    leave("other");

    long_ago[0].tv_sec = 1000000000;
    long_ago[0].tv_usec = 0;
    long_ago[1] = long_ago[0];
    snprintf(path, sizeof(path), "%s/.catalog.snap.1.6.tmp", dir);
    utimes(path, long_ago);

    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, two, &e), MG_OK,
           "published again");
    ok(!there(name), "the file of a dead builder is gone");
    ok(!there(".catalog.snap.1.6.tmp"), "one of years ago is gone");
    ok(there(".catalog.snap.1.5.tmp"), "one of a living builder stays");
    ok(there(".catalog.snap.1.6.tmp.old"), "another name stays");
    ok(there("other"), "another file stays");

    is_int(mg_snap_generation(old), 1, "the old mapping is still the old");
    ok(mg_str_eq(mg_snap_bytes(old), one), "byte for byte");

    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 0, &e), MG_OK, "the new");
    is_int(mg_snap_generation(s), 2, "its generation");

    ok(mg_snap_same(one, two), "same but for generation and time");
    mg_snap_close(s);
    mg_snap_close(old);
    mg_snap_close(NULL);
}


/* In a child: limits are for a whole process. */

static int
in_child(int (*run)(void *data), void *data)
{
    int  pid, status;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        _exit(run(data));
    }

    waitpid(pid, &status, 0);

    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}


static int
publish_limited(void *data)
{
    mg_str_t      *image;
    mg_error_t     e;
    struct rlimit  limit;

    image = data;
    signal(SIGXFSZ, SIG_IGN);

    limit.rlim_cur = image->len / 2;
    limit.rlim_max = image->len / 2;
    setrlimit(RLIMIT_FSIZE, &limit);

    if (mg_snap_publish(dir, MG_SNAP_CATALOG, *image, &e) != MG_ERROR) {
        return 1;
    }

    return strstr(e.message, "make room") == NULL;
}


static void
full(mg_str_t image)
{
    unsigned     before;
    mg_snap_t   *s;
    mg_error_t   e;

    before = files();

    is_int(in_child(publish_limited, &image), 0,
           "no room for it: an error that says so");
    is_int(files(), before, "the temporary file is gone");
    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 1, &e), MG_OK,
           "the last good file is there");
    is_int(mg_snap_generation(s), 2, "as it was");
    mg_snap_close(s);
}


static void
broken_files(mg_str_t image)
{
    int          fd;
    char         path[256];
    mg_snap_t   *s;
    mg_error_t   e;

    snprintf(path, sizeof(path), "%s/%s", dir, MG_SNAP_CATALOG_FILE);

    fd = open(path, O_WRONLY|O_TRUNC);
    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 0, &e), MG_ERROR,
           "an empty file");

    is_int(write(fd, image.data, image.len - 64), image.len - 64, "cut");
    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 0, &e), MG_ERROR,
           "a file that was cut");
    close(fd);

    unlink(path);
    mkdir(path, 0700);
    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 0, &e), MG_ERROR,
           "a folder");
    rmdir(path);

    (void) !mkfifo(path, 0600);
    is_int(mg_snap_open(&s, dir, MG_SNAP_CATALOG, 0, &e), MG_ERROR,
           "a pipe: does not wait");
    unlink(path);
}


/* -- queries -- */

static mg_snap_t *
opened(mg_str_t image)
{
    mg_snap_t   *s;
    mg_error_t   e;

    if (mg_snap_publish(dir, MG_SNAP_CATALOG, image, &e) != MG_OK
        || mg_snap_open(&s, dir, MG_SNAP_CATALOG, 1, &e) != MG_OK)
    {
        diag("%s", e.message);
        abort();
    }

    return s;
}


static mg_catalog_query_t
all(void)
{
    mg_catalog_query_t  q;

    mg_catalog_query_init(&q);

    return q;
}


/* The page as the HTTP side makes it: ids alone, joined by blanks. */

static char *
ids(const mg_snap_t *s, const mg_catalog_query_t *q)
{
    size_t              i, n;
    mg_str_t            id;
    mg_buf_t            json;
    mg_json_t          *list, *v;
    mg_error_t          e;
    mg_arena_t         *a;
    static char         out[4096];
    mg_catalog_page_t   page;

    mg_catalog_list(s, q, &page);

    mg_buf_init(&json, 0);
    mg_buf_char(&json, '[');

    for (i = 0; i < page.n_runs; i++) {
        mg_buf_str(&json, page.runs[i]);
    }

    json.len -= (page.n_runs != 0);
    mg_buf_char(&json, ']');

    a = mg_arena_create(0);
    list = mg_json_parse(a, mg_buf_view(&json), NULL, &e);
    n = 0;
    out[0] = '\0';

    if (list == NULL) {
        n = (size_t) snprintf(out, sizeof(out), "%s", e.message);

    } else if (list->count != page.count) {
        n = (size_t) snprintf(out, sizeof(out), "%u", list->count);
    }

    for (v = list ? list->child : NULL; v != NULL; v = v->next) {
        id = mg_json_str(v, "id");
        n += (size_t) snprintf(out + n, sizeof(out) - n, "%s" MG_STR_FMT,
                               n ? " " : "", MG_STR_ARG(id));
    }

    snprintf(out + n, sizeof(out) - n, " (%u in %u)", page.total,
             page.n_runs);

    mg_arena_destroy(a);
    mg_buf_free(&json);

    return out;
}


static void
lists(const mg_snap_t *s)
{
    mg_catalog_query_t  q;

    is_int(mg_catalog_models(s), 5, "active models");
    is_int(mg_catalog_providers(s), 5, "providers");

    q = all();
    is_str(ids(s, &q), "ab-c/one ab.c/two ab/Alpha/Big:1@x~y ab/zeta ab0/three"
           " (5 in 1)", "all, by id, one run");

    q.limit = 2;
    is_str(ids(s, &q), "ab-c/one ab.c/two (5 in 1)", "first page");
    q.page = 3;
    is_str(ids(s, &q), "ab0/three (5 in 1)", "last page");
    q.page = 4;
    is_str(ids(s, &q), " (5 in 0)", "behind the last");
    q.page = UINT32_MAX;
    is_str(ids(s, &q), " (5 in 0)", "far behind it");

    q = all();
    q.provider = mg_str("ab");
    is_str(ids(s, &q), "ab/Alpha/Big:1@x~y ab/zeta (2 in 1)",
           "a provider whose name begins others'");
    q.provider = mg_str("none");
    is_str(ids(s, &q), " (0 in 0)", "a provider without models");
    q.provider = mg_str("a");
    is_str(ids(s, &q), " (0 in 0)", "no such provider");
    q.provider = mg_str("");
    is_str(ids(s, &q), " (0 in 0)", "an empty name");

    q = all();
    q.type = MG_TYPE_CHAT;
    is_str(ids(s, &q), "ab/Alpha/Big:1@x~y ab/zeta ab0/three (3 in 1)",
           "by type");
    q.capability = MG_CAP_VISION;
    is_str(ids(s, &q), "ab/zeta ab0/three (2 in 1)", "by both: neighbours");
    q.provider = mg_str("ab0");
    is_str(ids(s, &q), "ab0/three (1 in 1)", "within a provider");
    q = all();
    q.capability = MG_CAP_AUDIO;
    is_str(ids(s, &q), " (0 in 0)", "unknown is not true");
}


static void
searches(const mg_snap_t *s)
{
    unsigned            i;
    char                longest[1000];
    mg_catalog_query_t  q;

    static const struct {
        const char  *search;
        const char  *found;
    } table[] = {
        { "ZETA", "ab/zeta ab0/three (2 in 1)" },
        { "  one\t", "ab-c/one ab/zeta (2 in 2)" },
        { "one zeta", "ab/zeta (1 in 1)" },
        { "zet zeta eta", "ab/zeta ab0/three (2 in 1)" },
        { "alpha/big:1@X~y", "ab/Alpha/Big:1@x~y (1 in 1)" },
        { "\"quoted\"", "ab.c/two (1 in 1)" },
        { "gone", "ab-c/one ab/zeta (2 in 2)" },
        { "goner", " (0 in 0)" },
        { "zetazeta", " (0 in 0)" },
        { "oneone", " (0 in 0)" },
        { "one two", " (0 in 0)" },
        { "/", "ab-c/one ab.c/two ab/Alpha/Big:1@x~y ab/zeta ab0/three "
          "(5 in 1)" },
        { " \t\n", "ab-c/one ab.c/two ab/Alpha/Big:1@x~y ab/zeta ab0/three "
          "(5 in 1)" },
        { "a b e h r t 0 3 4", " (0 in 0)" },
        { "a b / h r e t 0 q q q", "ab0/three (1 in 1)" },
        { "a b h r e t 0 / -", "ab0/three (1 in 1)" }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        q = all();
        q.search = mg_str_z(table[i].search);

        if (i == 13) {
            q.search.len -= 2;
        }

        is_str(ids(s, &q), table[i].found, "search %u", i);
    }

    q = all();
    q.search = mg_str("zeta");
    q.limit = 1;
    q.page = 2;
    is_str(ids(s, &q), "ab0/three (2 in 1)", "second page of a search");
    q.provider = mg_str("ab");
    q.page = 1;
    is_str(ids(s, &q), "ab/zeta (1 in 1)", "search within a provider");
    q.type = MG_TYPE_IMAGE;
    is_str(ids(s, &q), " (0 in 0)", "search within a type");

    memset(longest, 'z', sizeof(longest));
    q = all();
    q.search = mg_str_n(longest, sizeof(longest));
    is_str(ids(s, &q), " (0 in 0)", "a thousand bytes");
}


static void
every_member(const mg_snap_t *s)
{
    mg_str_t  item, more, json;
    mg_buf_t  b;

    static const char  marks[] =
        "[{\"name\":\"MMLU-Pro\",\"score\":\"n/a\",\"metric\":\"accuracy\","
        "\"harness\":null,\"variant\":\"5 \\\"shot\\\"\",\"dataset\":null,"
        "\"version\":null,\"url\":null,\"date\":\"2025-01-01\","
        "\"source\":\"models.dev\"},"
        "{\"name\":\"MMLU-Pro\",\"score\":81.25,\"metric\":\"accuracy\","
        "\"harness\":null,\"variant\":null,\"dataset\":null,"
        "\"version\":null,\"url\":null,\"date\":\"2024-01-01\","
        "\"source\":\"models.dev\"}]";

    (void) mg_catalog_model(s, mg_str("ab/zeta"), &item, &more);

    mg_buf_init(&b, 0);
    mg_buf_add(&b, item.data, item.len - 1);
    mg_buf_str(&b, more);
    mg_buf_z(&b, "}");
    mg_buf_char(&b, '\0');

    like(b.data, "\"last_refreshed_at\":null,\"version\":\"1.2\","
         "\"deprecation_date\":\"2027-01-31\",\"benchmark_score\":81.25,"
         "\"popularity_score\":100,\"reliability_score\":0,\"source\":{",
         "scores, behind what was there before");
    like(b.data, "\"details\":{\"interleaved\":true},"
         "\"price_tiers\":[{\"input\":2}],"
         "\"sources\":{\"models.dev\":{\"id\":\"ab/zeta\"}},"
         "\"provenance\":{\"name\":\"manual\"},"
         "\"source_model_id\":\"zeta-latest\","
         "\"description\":\"The \\\"last\\\" letter\",\"benchmarks\":[{",
         "what only the single answer has");
    mg_buf_free(&b);

    is_int(mg_catalog_benchmarks(s, mg_str("ab/zeta"), &json), MG_OK,
           "benchmarks");
    is_mem(json.data, json.len, marks, sizeof(marks) - 1, "newest first");
    is_int(mg_catalog_benchmarks(s, mg_str("ab/gone"), &json), MG_OK,
           "of a model without");
    is_mem(json.data, json.len, "[]", 2, "none");
    is_int(mg_catalog_benchmarks(s, mg_str("nobody/x"), &json), MG_DECLINED,
           "of no model");
}


/* What sendfile() is told must be those bytes. */

static void
in_file(const mg_snap_t *s, mg_str_t body)
{
    char  *read;

    read = malloc(body.len);
    is_int(pread(mg_snap_fd(s), read, body.len,
                 (off_t) mg_snap_offset(s, body)), body.len, "in the file");
    ok(memcmp(read, body.data, body.len) == 0, "the same bytes");
    free(read);
}


static void
singles(const mg_snap_t *s)
{
    mg_str_t     item, more, json;
    mg_buf_t     b;
    mg_error_t   e;
    mg_arena_t  *a;

    is_int(mg_catalog_model(s, mg_str("ab/Alpha/Big:1@x~y"), &item, &more),
           MG_OK, "by id");

    mg_buf_init(&b, 0);
    mg_buf_add(&b, item.data, item.len - 1);
    mg_buf_str(&b, more);
    mg_buf_char(&b, '}');

    a = mg_arena_create(0);
    ok(mg_json_parse(a, mg_buf_view(&b), NULL, &e) != NULL,
       "item and more make a document");
    mg_buf_char(&b, '\0');

    like(b.data, "\"provider_model_id\":\"Alpha/Big:1@x~y\"", "opaque id");
    like(b.data, "\"capabilities\":{\"vision\":false,"
         "\"function_calling\":null,", "false is not null");
    like(b.data, "\"pricing\":{\"input\":1.1,\"output\":0,"
         "\"cache_read\":null,", "USD per million; free is not unknown");
    like(b.data, "\"limits\":{\"context\":128000,\"input\":null,", "limits");
    like(b.data, "\"created_at\":\"2023-11-14T22:13:20.000Z\","
         "\"updated_at\":null", "times");
    like(b.data, "\"source\":{\"name\":\"models.dev\"},\"details\":null",
         "provenance");
    like(b.data, "\"version\":null,\"deprecation_date\":null,"
         "\"benchmark_score\":null", "unknown is null");
    like(b.data, "\"benchmarks\":[]}", "no benchmarks");
    mg_arena_destroy(a);
    mg_buf_free(&b);

    every_member(s);

    is_int(mg_catalog_model(s, mg_str("ab/gone"), &item, &more), MG_OK,
           "an inactive one by its id");
    is_int(mg_catalog_model(s, mg_str("ab/Zeta"), &item, &more),
           MG_DECLINED, "case counts");
    is_int(mg_catalog_model(s, mg_str(""), &item, &more), MG_DECLINED,
           "empty");
    is_int(mg_catalog_model(s, mg_str("zzz/zzz"), &item, &more),
           MG_DECLINED, "behind the last");

    is_int(mg_catalog_provider(s, mg_str("ab"), &json), MG_OK, "provider");
    mg_buf_init(&b, 0);
    mg_buf_str(&b, json);
    mg_buf_char(&b, '\0');
    like(b.data, "\"models\":{\"total\":2,\"available\":0,"
         "\"unavailable\":0,\"unknown\":2}", "its models are counted");
    like(b.data, "\"api_key\":null", "no key");
    mg_buf_free(&b);

    (void) mg_catalog_provider(s, mg_str("ab0"), &json);
    ok(memmem(json.data, json.len, "\"api_key\":\"...wxyz\"", 19) != NULL,
       "the end of a key is shown");
    json = mg_snap_bytes(s);
    ok(memmem(json.data, json.len, "sealed-secret", 13) == NULL,
       "no sealed key in the file");
    is_int(mg_catalog_provider(s, mg_str("abc"), &json), MG_DECLINED,
           "no such provider");

    json = mg_catalog_provider_at(s, 3);
    ok(memmem(json.data, json.len, "{\"id\":\"ab0\",", 12) == json.data,
       "by its place");
}


/* What HTTP composes for page=1&limit=50 must be the ready body. */

static void
bodies(const mg_snap_t *s)
{
    size_t              i;
    mg_str_t            body, zipped;
    mg_buf_t            b;
    mg_error_t          e;
    mg_arena_t         *a;
    mg_json_t          *doc;
    mg_catalog_page_t   page;
    mg_catalog_query_t  q;

    q = all();
    mg_catalog_list(s, &q, &page);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "{\"models\":[");

    for (i = 0; i < page.n_runs; i++) {
        mg_buf_str(&b, page.runs[i]);
    }

    b.len -= (page.n_runs != 0);
    mg_buf_printf(&b, "],\"pagination\":{\"page\":1,\"limit\":50,"
                  "\"total\":%u,\"total_pages\":%u}}", page.total,
                  (page.total + 49) / 50);

    mg_catalog_body(s, MG_CATALOG_BODY_FIRST_PAGE, 0, &body);
    is_mem(body.data, body.len, b.data, b.len, "first page, byte for byte");
    mg_buf_free(&b);

    mg_catalog_body(s, MG_CATALOG_BODY_FIRST_PAGE, 1, &zipped);
    in_file(s, zipped);
    ok(zipped.len > 18 && memcmp(zipped.data, "\x1f\x8b\x08", 3) == 0
       && zipped.data[zipped.len - 4] == (char) (body.len & 0xff),
       "its gzip is of its length");

    mg_catalog_body(s, MG_CATALOG_BODY_PROVIDERS, 0, &body);
    a = mg_arena_create(0);
    doc = mg_json_parse(a, body, NULL, &e);

    if (ok(doc != NULL, "the provider list is a document")) {
        is_int(mg_json_get(doc, "providers")->count, mg_catalog_providers(s),
               "all providers");
    }

    mg_arena_destroy(a);
}


static void
empty(void)
{
    mg_str_t               image, body;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_catalog_query_t     q;
    mg_catalog_builder_t  *b;

    b = mg_catalog_builder_create(9);
    is_int(mg_catalog_builder_finish(b, &image, &e), MG_OK, "nothing in it");
    s = opened(image);

    q = all();
    is_str(ids(s, &q), " (0 in 0)", "lists nothing");
    q.search = mg_str("x");
    is_str(ids(s, &q), " (0 in 0)", "finds nothing");
    mg_catalog_body(s, MG_CATALOG_BODY_FIRST_PAGE, 0, &body);
    ok(mg_str_eq(body, mg_str("{\"models\":[],\"pagination\":{\"page\":1,"
                              "\"limit\":50,\"total\":0,"
                              "\"total_pages\":0}}")), "an empty page");
    bodies(s);
    mg_snap_close(s);
    mg_catalog_builder_destroy(b);
}


static void
refused(void)
{
    char                   id[128];
    mg_str_t               image;
    mg_error_t             e;
    mg_model_t             m;
    mg_catalog_builder_t  *b;

    b = mg_catalog_builder_create(1);
    sample_model(&m, &sample_models[0], id, sizeof(id));

    m.provider_id = mg_str("other");
    is_int(mg_catalog_builder_model(b, &m, &e), MG_ERROR,
           "an id of another provider");
    m.provider_id = mg_str("ab");
    m.type = MG_TYPE_N;
    is_int(mg_catalog_builder_model(b, &m, &e), MG_ERROR, "no such type");
    m.type = MG_TYPE_CHAT;

    is_int(mg_catalog_builder_model(b, &m, &e), MG_OK, "once");
    m.active = 0;
    is_int(mg_catalog_builder_model(b, &m, &e), MG_OK, "and once more");
    is_int(mg_catalog_builder_finish(b, &image, &e), MG_ERROR,
           "one id twice");
    like(e.message, "ab/zeta", "the message says which");
    mg_catalog_builder_destroy(b);
}


/* BIG models, not in the order of their ids. */

static mg_catalog_builder_t *
crowd(uint64_t generation)
{
    char                   id[64], name[64];
    unsigned               i, j;
    mg_error_t             e;
    mg_model_t             m;
    mg_provider_t          p;
    mg_catalog_builder_t  *b;

    b = mg_catalog_builder_create(generation);
    mg_provider_init(&p);
    p.id = mg_str("p");
    (void) mg_catalog_builder_provider(b, &p, &e);

    for (j = 0; j < BIG; j++) {
        i = (j * 1009) % BIG;
        snprintf(id, sizeof(id), "p/m%05u", i);
        snprintf(name, sizeof(name), "Name %u of %u", i % 7, i % 11);

        mg_model_init(&m);
        m.id = mg_str_z(id);
        m.provider_id = mg_str("p");
        m.provider_model_id = mg_str_z(id + 2);
        m.name = mg_str_z(name);
        m.type = (mg_model_type_e) (i % MG_TYPE_N);
        m.caps[MG_CAP_REASONING] = (int8_t) ((int) (i % 3) - 1);
        (void) mg_catalog_builder_model(b, &m, &e);
    }

    return b;
}


/*
 * Of a large file that was replaced: whoever still has it, be it another
 * process or the kernel that sends it to a client, finds it as it was.
 */

static void
replaced(mg_str_t other)
{
    int                    fd;
    char                  *bytes;
    mg_str_t               image;
    mg_snap_t             *one, *two;
    mg_error_t             e;
    mg_catalog_builder_t  *b;

    b = crowd(4);
    (void) mg_catalog_builder_finish(b, &image, &e);
    ok(image.len > 1024 * 1024, "%zu bytes", image.len);
    bytes = malloc(image.len);

    one = opened(image);
    is_int(mg_snap_open(&two, dir, MG_SNAP_CATALOG, 0, &e), MG_OK, "twice");
    fd = dup(mg_snap_fd(two));
    is_int(mg_snap_publish(dir, MG_SNAP_CATALOG, other, &e), MG_OK,
           "replaced");

    mg_snap_close(one);
    ok(mg_str_eq(mg_snap_bytes(two), image), "closed once");
    mg_snap_close(two);
    ok(pread(fd, bytes, image.len, 0) == (ssize_t) image.len
       && memcmp(bytes, image.data, image.len) == 0, "and by the last one");

    close(fd);
    free(bytes);
    mg_catalog_builder_destroy(b);
}


/* Against the plain way: each model, each condition, one by one. */

static void
big(void)
{
    int                    wrong, family;
    char                   id[64], name[64];
    size_t                 bytes;
    unsigned               i, j, n, page_no, found[BIG];
    mg_str_t               image, item, more;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_catalog_page_t      page;
    mg_catalog_query_t     q;
    mg_catalog_builder_t  *b;

    b = crowd(3);
    (void) mg_catalog_builder_finish(b, &image, &e);
    s = opened(image);
    mg_catalog_builder_destroy(b);

    for (wrong = 0, family = 0; family < 4; family++) {
        q = all();
        q.limit = 1 + (unsigned) family * 333;
        q.type = family & 1 ? MG_TYPE_CHAT : -1;
        q.capability = family & 2 ? MG_CAP_REASONING : -1;
        q.search = mg_str("name 3 M");

        for (i = 0, n = 0; i < BIG; i++) {
            snprintf(name, sizeof(name), "p/m%05u name %u of %u", i, i % 7,
                     i % 11);

            if ((q.type == -1 || i % MG_TYPE_N == MG_TYPE_CHAT)
                && (q.capability == -1 || i % 3 == 2)
                && strchr(name, '3') != NULL)
            {
                found[n++] = i;
            }
        }

        for (page_no = 1, j = 0; page_no < 3000; page_no++) {
            q.page = page_no;
            mg_catalog_list(s, &q, &page);
            wrong += (page.total != n);

            if (page.count == 0) {
                break;
            }

            for (i = 0, bytes = 0; i < page.n_runs; i++) {
                bytes += page.runs[i].len;
            }

            for (i = 0; i < page.count; i++, j++) {
                snprintf(id, sizeof(id), "p/m%05u", found[j]);
                (void) mg_catalog_model(s, mg_str_z(id), &item, &more);
                bytes -= item.len + 1;
                wrong += (i == 0 && memcmp(page.runs[0].data, item.data,
                                           item.len) != 0);
            }

            wrong += (bytes != 0);
        }

        wrong += (j != n);
        ok(n > 30, "query %d: %u of %u models", family, n, BIG);
    }

    is_int(wrong, 0, "every page of every query is right");
    mg_snap_close(s);
}


int
main(void)
{
    char        command[128];
    mg_str_t    one, two;
    mg_snap_t  *s;

    strcpy(dir, "/tmp/test_snap_XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return 1;
    }

    one = sample_catalog(1);
    two = sample_catalog(2);

    publish(one, two);
    full(one);
    broken_files(one);

    s = opened(one);
    lists(s);
    searches(s);
    singles(s);
    bodies(s);
    mg_snap_close(s);

    empty();
    refused();
    big();
    replaced(one);

    free((void *) one.data);
    free((void *) two.data);

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    is_int(system(command), 0, "cleaned up");

    return done_testing();
}
