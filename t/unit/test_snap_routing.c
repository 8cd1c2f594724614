/*
 * What would break: a group, backend or token that is in the database is
 * not found by the data plane, one of another tenant is, a damaged routing
 * file is served, or a provider whose name does not resolve stops the rest.
 */

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mg_json.h"
#include "base/mg_time.h"
#include "model/mg_policy.h"
#include "model/mg_price_list.h"
#include "snap_sample.h"
#include "tap.h"


#define MANY   2000


static char  dir[64];


/* -- doubles of the resolver and of the clock -- */

static unsigned  asked;            /* calls of getaddrinfo() */
static unsigned  turn;             /* first address of the next answer */
static int       away;             /* nobody answers */
static time_t    later;            /* seconds that the clock is ahead */


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec += later;

    return rc;
}


/*
 * localhost: one address of each family.  many: 40 addresses of version 6,
 * each twice, and one of version 4, beginning at turn.
 */

static void
answer(struct addrinfo **list, int family, unsigned last)
{
    struct addrinfo      *ai;
    struct sockaddr_in   *in;
    struct sockaddr_in6  *in6;

    ai = calloc(1, sizeof(struct addrinfo) + sizeof(struct sockaddr_in6));
    ai->ai_family = family;
    ai->ai_addr = (struct sockaddr *) (ai + 1);
    ai->ai_addr->sa_family = (sa_family_t) family;

    if (family == AF_INET) {
        in = (struct sockaddr_in *) ai->ai_addr;
        in->sin_addr.s_addr = htonl(0x7f000000 + last);

    } else {
        in6 = (struct sockaddr_in6 *) ai->ai_addr;
        in6->sin6_addr.s6_addr[15] = (uint8_t) last;
    }

    while (*list != NULL) {
        list = &(*list)->ai_next;
    }

    *list = ai;
}


int
getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **list)
{
    unsigned  i;

    (void) service;

    asked++;
    *list = NULL;

    if (away || (hints->ai_flags & AI_ADDRCONFIG)) {
        return EAI_AGAIN;
    }

    if (strcasecmp(name, "localhost") == 0) {
        answer(list, AF_INET6, 1);
        answer(list, AF_INET, 1);
        return 0;
    }

    if (strcmp(name, "many") == 0) {
        for (i = 0; i < 80; i++) {
            answer(list, AF_INET6, 1 + (turn + i) % 40);
        }

        answer(list, AF_INET, 1);
        return 0;
    }

    return EAI_NONAME;
}


void
freeaddrinfo(struct addrinfo *list)
{
    struct addrinfo  *next;

    for ( /* void */ ; list != NULL; list = next) {
        next = list->ai_next;
        free(list);
    }
}


static mg_snap_t *
opened(mg_str_t image)
{
    mg_snap_t   *s;
    mg_error_t   e;

    if (mg_snap_publish(dir, MG_SNAP_ROUTING, image, &e) != MG_OK
        || mg_snap_open(&s, dir, MG_SNAP_ROUTING, 1, &e) != MG_OK)
    {
        diag("%s", e.message);
        abort();
    }

    return s;
}


static void
damage(mg_str_t image)
{
    int         held;
    size_t      at;
    mg_error_t  e;

    is_int(mg_snap_verify(image, MG_SNAP_ROUTING, &e), MG_OK, "as built");

    held = sample_refuses_all_flips(image, MG_SNAP_ROUTING, &at);
    ok(held, "a flipped bit at each of %zu bytes is refused (%zu)",
       image.len, at);
    held = sample_refuses_all_cuts(image, MG_SNAP_ROUTING, &at);
    ok(held, "each shorter length is refused (%zu)", at);
}


static void
same(mg_str_t one)
{
    mg_str_t  two;

    two = sample_routing(2);
    ok(mg_snap_same(one, two), "equal but for generation and time");

    ((char *) two.data)[two.len - 64] ^= 1;
    ok(!mg_snap_same(one, two), "not equal");
    ok(!mg_snap_same(one, mg_str_n(one.data, one.len - 64)), "nor shorter");
    ok(!mg_snap_same(mg_str(""), mg_str("")), "nothing is no snapshot");
    free((void *) two.data);
}


static void
groups(const mg_snap_t *s)
{
    char                  longest[300];
    uint8_t               org[16];
    mg_buf_t              list;
    mg_uuid_t             id;
    mg_routing_group_t    g;
    mg_routing_variant_t  v;

    is_int(mg_routing_groups(s), 2, "groups of all tenants");

    is_int(mg_routing_group(s, mg_str("assistant"), NULL, &g), MG_OK, "found");
    ok(mg_str_eq(g.id, mg_str(SAMPLE_GROUP_ID)), "id");
    ok(mg_str_eq(g.org_id, mg_str(MG_ORG_DEFAULT)), "organisation");
    ok(mg_str_eq(g.name, mg_str("assistant")), "name");
    ok(mg_str_eq(g.table, mg_str("inference_assistant")), "table");
    (void) mg_uuid_parse(mg_str(SAMPLE_GROUP_ID), &id);
    is_mem(g.id_bytes, 16, id.b, 16, "id as bytes");
    is_int(g.salt[15], 7, "salt");
    is_int(g.status, MG_GROUP_ACTIVE, "status");
    is_int(g.strategy, MG_STRATEGY_CANARY, "strategy");
    is_int(g.n_variants, 3, "variants");
    is_int(g.n_ranges, 2, "ranges");
    is_int(g.bodies, MG_POLICY_RESPONSE_BODY, "which bodies are kept");
    is_int(g.body_max, 99, "how much of them");
    is_mem(g.redact.data, g.redact.len, "user\0e", 7, "what not");
    is_int(g.shadow_share, 0, "no shadow, no share of it");
    is_int(mg_split_variant(g.ranges, g.n_ranges, 999), 1, "challenger's");
    is_int(mg_split_variant(g.ranges, g.n_ranges, 1000), 0, "champion's");

    mg_routing_variant(s, &g, 0, &v);
    ok(mg_str_eq(v.upstream_model, mg_str("small")), "upstream model");
    is_int(v.role, MG_MEMBER_CHAMPION, "role");
    is_int(v.share, 9000, "share");
    is_int(v.backend, 0, "backends are sorted: ours is first");
    ok(v.prices != NULL && v.prices->price[MG_PRICE_OUTPUT] == 7,
       "its prices");

    mg_buf_init(&list, 0);
    mg_price_list_write(&list, v.prices);
    ok(v.price_version != 0
       && v.price_version == mg_price_list_version(mg_buf_view(&list)),
       "and what they are called");
    mg_buf_free(&list);

    mg_routing_variant(s, &g, 1, &v);
    ok(mg_str_eq(v.model_id, mg_str("theirs/org/Large:2")), "model id");
    ok(mg_str_eq(v.upstream_model, mg_str("org/Large:2")),
       "what is behind the first slash");
    is_int(v.backend, 1, "theirs");
    ok(v.prices == NULL && v.price_version == 0,
       "nobody states prices of theirs");

    mg_routing_variant(s, &g, 2, &v);
    ok(v.backend == UINT32_MAX, "nobody serves the third");

    memset(org, 0, sizeof(org));
    org[15] = 2;
    is_int(mg_routing_group(s, mg_str("assistant"), org, &g), MG_OK,
           "the same name of another tenant");
    is_int(g.status, MG_GROUP_PAUSED, "is another group");
    is_int(g.n_variants, 0, "without members");
    is_int(g.bodies, 0, "no body is kept of it");
    is_int(g.redact.len, 0, "so nothing is redacted");

    org[15] = 3;
    is_int(mg_routing_group(s, mg_str("assistant"), org, &g), MG_DECLINED,
           "a tenant without groups");
    is_int(mg_routing_group(s, mg_str("Assistant"), NULL, &g), MG_DECLINED,
           "case counts");
    is_int(mg_routing_group(s, mg_str(""), NULL, &g), MG_DECLINED, "empty");

    memset(longest, 'a', sizeof(longest));
    is_int(mg_routing_group(s, mg_str_n(longest, sizeof(longest)), NULL, &g),
           MG_DECLINED, "longer than names are");
}


static void
backends(const mg_snap_t *s)
{
    mg_str_t                    headers, name, rest, value;
    mg_routing_backend_t        b;
    const struct sockaddr_in   *in;
    const struct sockaddr_in6  *in6;

    is_int(mg_routing_backends(s), 2, "backends");

    mg_routing_backend(s, 0, &b);
    ok(mg_str_eq(b.id, mg_str("ours")), "id");
    is_int(b.index, 0, "index");
    ok(b.protocol.data == NULL, "no protocol was said");
    ok(b.key_sealed.data == NULL, "no key");
    ok(mg_str_eq(b.scheme, mg_str("http")), "scheme");
    ok(mg_str_eq(b.host_port, mg_str("127.0.0.1:8081")), "host and port");
    is_int(b.path.len, 0, "no path");
    ok(b.connect_timeout_ms == MG_UNKNOWN, "no timeout was said");
    is_int(b.n_addrs, 1, "one address");
    is_int(b.addr_lens[0], sizeof(struct sockaddr_in), "its length");
    in = (const struct sockaddr_in *) b.addrs;
    ok(in->sin_family == AF_INET && in->sin_port == htons(8081)
       && in->sin_addr.s_addr == htonl(INADDR_LOOPBACK), "the address");

    mg_routing_backend(s, 1, &b);
    ok(mg_str_eq(b.scheme, mg_str("https")), "scheme with TLS");
    ok(mg_str_eq(b.path, mg_str("/v1")), "path without its last slash");
    ok(mg_str_eq(b.key_sealed, mg_str("\1sealed")), "sealed key");

    headers = b.headers;
    is_int(mg_routing_header(&headers, &name, &value), 1, "a header");
    ok(mg_str_eq(name, mg_str("X-Team")) && mg_str_eq(value, mg_str("a: b")),
       "its name and value");
    is_int(mg_routing_header(&headers, &name, &value), 1, "another one");
    ok(mg_str_eq(name, mg_str("X-Empty")) && value.len == 0,
       "that is empty: what may not be sent is left out");
    is_int(mg_routing_header(&headers, &name, &value), 0, "and no more");
    is_int(b.read_timeout_ms, 60000, "timeout");
    ok(mg_str_eq(mg_routing_path(b.paths, mg_str("/v1/x/y"), &rest),
                 mg_str("/a/{model}/{rest}"))
       && mg_str_eq(rest, mg_str("x/y")), "a path of its own");
    ok(mg_routing_path(b.paths, mg_str("/v2/x"), &rest).data == NULL,
       "and none for another");
    ok(mg_str_eq(b.probe, mg_str("/health")), "path of its probe");
    in6 = (const struct sockaddr_in6 *) b.addrs;
    ok(b.n_addrs == 1 && in6->sin6_family == AF_INET6
       && in6->sin6_port == htons(8443)
       && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr), "address of version 6");
}


static void
tokens(const mg_snap_t *s)
{
    uint8_t             sha256[32];
    mg_routing_token_t  t;

    memset(sha256, 0xab, 32);
    is_int(mg_routing_token(s, sha256, &t), MG_OK, "token");
    is_int(t.role, MG_ROLE_OPERATOR, "role");
    is_int(t.expires_at, 0, "never expires");
    ok(mg_str_eq(t.id, mg_str(SAMPLE_TOKEN_ID)), "id");
    is_int(t.id_bytes[15], 0xaa, "id as bytes");
    is_int(t.org_bytes[15], 1, "organisation");

    sha256[31] = 0xac;
    is_int(mg_routing_token(s, sha256, &t), MG_OK, "the other");
    is_int(t.role, MG_ROLE_INFERENCE, "its role");
    ok(t.expires_at == 1800000000000000LL, "its end");

    sha256[0] ^= 1;
    is_int(mg_routing_token(s, sha256, &t), MG_DECLINED, "no such token");
}


static void
models(const mg_snap_t *s)
{
    mg_str_t  body;

    mg_routing_models(s, 0, &body);
    ok(mg_str_eq(body, mg_str("{\"object\":\"list\",\"data\":[{\"id\":"
                              "\"assistant\",\"object\":\"model\","
                              "\"created\":1700000000,"
                              "\"owned_by\":\"model-gateway\"}]}")),
       "active groups of the default tenant in OpenAI's shape");

    mg_routing_models(s, 1, &body);
    ok(body.len > 18 && memcmp(body.data, "\x1f\x8b\x08", 3) == 0, "gzip");
}


static void
refused(void)
{
    unsigned               n;
    mg_str_t               image;
    mg_error_t             e;
    mg_group_t             g;
    mg_token_t             t;
    mg_routing_builder_t  *b;

    b = mg_routing_builder_create(1);

    sample_group(&g);
    g.ranges[1].first = 1001;
    is_int(mg_routing_builder_group(b, &g, &e), MG_ERROR, "a split with a gap");
    like(e.message, "assistant", "the message says whose");

    sample_group(&g);
    g.ranges[1].variant = 3;
    is_int(mg_routing_builder_group(b, &g, &e), MG_ERROR,
           "a split that names no member");

    sample_group(&g);
    g.n_ranges = 1;
    is_int(mg_routing_builder_group(b, &g, &e), MG_ERROR,
           "a split that ends early");

    sample_group(&g);
    g.status = MG_GROUP_DRAFT;
    g.name = mg_str("draft");
    is_int(mg_routing_builder_group(b, &g, &e), MG_OK, "a draft");
    g.status = MG_GROUP_ARCHIVED;
    is_int(mg_routing_builder_group(b, &g, &e), MG_OK, "an archived one");

    memset(&t, 0, sizeof(mg_token_t));
    t.id = mg_str(SAMPLE_TOKEN_ID);
    t.org_id = mg_str(MG_ORG_DEFAULT);
    is_int(mg_routing_builder_token(b, &t, &e), MG_ERROR, "no role");
    t.role = MG_ROLE_VIEWER;

    is_int(mg_routing_builder_finish(b, &image, &e), MG_OK, "nothing else");
    is_int(mg_snap_verify(image, MG_SNAP_ROUTING, &e), MG_OK,
           "an empty file is a file");

    for (n = 0; n < 2; n++) {
        is_int(mg_routing_builder_token(b, &t, &e), MG_OK, "token");
    }

    is_int(mg_routing_builder_finish(b, &image, &e), MG_ERROR,
           "one digest twice");
    mg_routing_builder_destroy(b);

    b = mg_routing_builder_create(1);
    sample_group(&g);
    (void) mg_routing_builder_group(b, &g, &e);
    (void) mg_routing_builder_group(b, &g, &e);
    is_int(mg_routing_builder_finish(b, &image, &e), MG_ERROR,
           "one name twice");
    mg_routing_builder_destroy(b);
}


/* What the data plane needs of traffic_config, by what the group says. */

static void
policies(void)
{
    unsigned               i;
    mg_str_t               image;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_group_t             g;
    mg_routing_group_t     found;
    mg_routing_builder_t  *b;

    static const struct {
        const char  *name;
        const char  *config;
        const char  *what;
        uint32_t     share;
        uint32_t     bodies;
    } cases[] = {
        { "a", NULL, "nothing", 10000, 0 },
        { "b", "{\"shadow\": {\"percentage\": 0.5}}", "a share", 50, 0 },
        { "c", "{\"sticky\": \"user\"}", "what was never checked", 10000, 0 },
        { "d", "{\"records\": {\"request_body\": true, "
          "\"response_body\": true}}", "both bodies", 10000, 3 }
    };

    b = mg_routing_builder_create(7);
    sample_group(&g);
    g.members[2].role = MG_MEMBER_SHADOW;

    for (i = 0; i < 4; i++) {
        g.name = mg_str_z(cases[i].name);
        g.traffic_config = mg_str_z(cases[i].config);
        is_int(mg_routing_builder_group(b, &g, &e), MG_OK, "%s",
               cases[i].what);
    }

    is_int(mg_routing_builder_finish(b, &image, &e), MG_OK, "an image");
    s = opened(image);
    mg_routing_builder_destroy(b);

    for (i = 0; i < 4; i++) {
        (void) mg_routing_group(s, mg_str_z(cases[i].name), NULL, &found);
        is_int(found.shadow_share, cases[i].share, "%s: share of shadows",
               cases[i].what);
        is_int(found.bodies, cases[i].bodies, "%s: bodies", cases[i].what);
        is_int(found.body_max, MG_POLICY_BODY_DEFAULT, "%s: bytes",
               cases[i].what);
    }

    mg_snap_close(s);
}


static void
provider(mg_routing_builder_t *b, const char *id, const char *url,
    unsigned *unresolved)
{
    mg_error_t     e;
    mg_provider_t  p;

    mg_provider_init(&p);
    p.id = mg_str_z(id);
    p.org_id = mg_str(MG_ORG_DEFAULT);
    p.base_url = mg_str_z(url);
    p.connect_timeout_ms = -7;

    is_int(mg_routing_builder_provider(b, &p, unresolved, &e), MG_OK,
           "provider %s", id);
}


static void
names(void)
{
    uint64_t               same, other;
    unsigned               unresolved;
    mg_str_t               image;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_routing_backend_t   r;
    mg_routing_builder_t  *b;

    b = mg_routing_builder_create(5);
    unresolved = 0;

    provider(b, "a", "http://localhost:9001/x", &unresolved);
    provider(b, "b", "HTTP://LOCALHOST:9001/y", &unresolved);
    provider(b, "c", "https://localhost:9001", &unresolved);
    is_int(unresolved, 0, "all resolved so far");

    provider(b, "d", "http://name.invalid/", &unresolved);
    provider(b, "d2", "http://name.invalid:81/", &unresolved);
    provider(b, "e", "ftp://localhost/", &unresolved);
    provider(b, "f", "http://", &unresolved);
    is_int(unresolved, 4, "two names and two URLs are no good");

    provider(b, "g", NULL, &unresolved);
    is_int(unresolved, 4, "no URL is no failure");

    is_int(mg_routing_builder_finish(b, &image, &e), MG_OK, "built");
    s = opened(image);
    mg_routing_builder_destroy(b);

    is_int(mg_routing_backends(s), 8, "all are kept");

    mg_routing_backend(s, 0, &r);
    same = r.identity;
    ok(r.n_addrs >= 1 && r.n_addrs <= MG_BACKEND_ADDRS_MAX,
       "localhost has an address");
    ok(mg_str_eq(r.host, mg_str("localhost")), "host for SNI");
    ok(r.connect_timeout_ms == MG_UNKNOWN, "a senseless timeout is unknown");

    mg_routing_backend(s, 1, &r);
    ok(r.identity == same, "same server, another path: same identity");
    mg_routing_backend(s, 2, &r);
    other = r.identity;
    ok(other != same, "TLS is another identity");

    mg_routing_backend(s, 3, &r);
    ok(r.n_addrs == 0 && mg_str_eq(r.host, mg_str("name.invalid")),
       "unresolved, but known");
    mg_routing_backend(s, 7, &r);
    ok(r.n_addrs == 0 && r.host.data == NULL, "without a URL");

    mg_snap_close(s);
}


/* One provider; its addresses as text, joined by blanks. */

static char *
addresses(const char *url)
{
    char                   text[INET6_ADDRSTRLEN];
    size_t                 n;
    unsigned               i, unresolved;
    mg_str_t               image;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_provider_t          p;
    static char            out[2048];
    mg_routing_backend_t   r;
    mg_routing_builder_t  *b;

    b = mg_routing_builder_create(7);
    mg_provider_init(&p);
    p.id = mg_str("p");
    p.org_id = mg_str(MG_ORG_DEFAULT);
    p.base_url = mg_str_z(url);
    unresolved = 0;
    (void) mg_routing_builder_provider(b, &p, &unresolved, &e);
    (void) mg_routing_builder_finish(b, &image, &e);
    s = opened(image);
    mg_routing_builder_destroy(b);
    mg_routing_backend(s, 0, &r);

    for (i = 0, n = 0, out[0] = '\0'; i < r.n_addrs; i++) {
        const void  *addr;

        addr = r.addrs[i].ss_family == AF_INET
               ? (const void *) &((const struct sockaddr_in *)
                                  &r.addrs[i])->sin_addr
               : (const void *) &((const struct sockaddr_in6 *)
                                  &r.addrs[i])->sin6_addr;

        inet_ntop(r.addrs[i].ss_family, addr, text, sizeof(text));
        n += (size_t) snprintf(out + n, sizeof(out) - n, "%s%s",
                               i ? " " : "", text);
    }

    mg_snap_close(s);

    return out;
}


static void
resolver(void)
{
    static const char  *few =
        "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9 ::a ::b ::c ::d ::e ::f ::10";

    later += 60;
    is_str(addresses("http://localhost/"), "::1 127.0.0.1",
           "both families, the preferred one first");
    is_str(addresses("http://many/"), few,
           "each once, sorted, at most 16");

    asked = 0;
    turn = 17;
    is_str(addresses("http://many:81/"), few, "again");
    is_int(asked, 0, "asked so short ago: remembered");

    later += 60;
    is_str(addresses("http://many/"), few,
           "a name server that turns its list changes nothing");
    is_int(asked, 1, "asked again after a while");

    later += 60;
    away = 1;
    is_str(addresses("http://many/"), few,
           "nobody answers: the last addresses stay");
    is_str(addresses("http://many/"), few, "also in the next build");
    is_int(asked, 2, "which does not wait for the resolver");
    is_str(addresses("http://new/"), "", "a name never seen has none");

    later += 7200;
    is_str(addresses("http://many/"), "", "but not for hours");

    later += 60;
    away = 0;
    is_str(addresses("http://many/"), few, "back");
    is_str(addresses("http://gone/"), "", "no such name");
    is_int(asked, 6, "asked for each");
    is_str(addresses("http://127.0.0.9/"), "127.0.0.9", "a literal");
    is_int(asked, 6, "is nobody's to answer");
}


static void
many(void)
{
    char                   name[64], id[64];
    uint8_t                sha256[32];
    unsigned               i, missed;
    mg_str_t               image;
    mg_snap_t             *s;
    mg_error_t             e;
    mg_group_t             g;
    mg_token_t             t;
    mg_routing_group_t     found;
    mg_routing_token_t     token;
    mg_routing_builder_t  *b;

    b = mg_routing_builder_create(6);
    sample_group(&g);
    memset(&t, 0, sizeof(mg_token_t));
    t.org_id = mg_str(MG_ORG_DEFAULT);
    t.role = MG_ROLE_INFERENCE;

    for (i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "group-%u", i);
        snprintf(id, sizeof(id), "018f0000-0000-7000-8000-%012x", i);
        g.name = mg_str_z(name);
        g.id = mg_str_z(id);
        (void) mg_routing_builder_group(b, &g, &e);

        t.id = mg_str_z(id);
        memset(t.sha256, 0, 32);
        memcpy(t.sha256, &i, sizeof(i));
        (void) mg_routing_builder_token(b, &t, &e);
    }

    is_int(mg_routing_builder_finish(b, &image, &e), MG_OK, "%u of each",
           MANY);
    s = opened(image);
    mg_routing_builder_destroy(b);

    for (i = 0, missed = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "group-%u", i);
        memset(sha256, 0, 32);
        memcpy(sha256, &i, sizeof(i));

        missed += (mg_routing_group(s, mg_str_z(name), NULL, &found) != MG_OK
                   || !mg_str_eq(found.name, mg_str_z(name))
                   || found.id_bytes[15] != (i & 0xff));
        missed += (mg_routing_token(s, sha256, &token) != MG_OK
                   || token.id_bytes[15] != (i & 0xff));
    }

    is_int(missed, 0, "each is found");
    is_int(mg_routing_group(s, mg_str("group-2000"), NULL, &found),
           MG_DECLINED, "and no other");
    mg_snap_close(s);
}


int
main(void)
{
    char        command[128];
    mg_str_t    image;
    mg_snap_t  *s;

    strcpy(dir, "/tmp/test_snap_XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return 1;
    }

    image = sample_routing(1);

    damage(image);
    same(image);

    s = opened(image);
    groups(s);
    backends(s);
    tokens(s);
    models(s);
    mg_snap_close(s);

    refused();
    policies();
    names();
    resolver();
    many();

    free((void *) image.data);

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    is_int(system(command), 0, "cleaned up");

    return done_testing();
}
