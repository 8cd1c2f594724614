/*
 * What would break: an address that a stranger sends is believed, a damaged
 * answer is read beyond its end or for ever, an alias is not followed, a TTL
 * is taken from another record, or a name that cannot be asked for is.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mg_dns.h"
#include "base/mg_time.h"
#include "tap.h"


#define NAME   "Api.Example"


static uint8_t           query[MG_DNS_QUERY_MAX];
static size_t            query_len;
static uint8_t           msg[2048];
static size_t            msg_len;
static mg_dns_answer_t   got;


static void
put(const void *bytes, size_t len)
{
    memcpy(msg + msg_len, bytes, len);
    msg_len += len;
}


static void
put16(unsigned n)
{
    uint8_t  b[2] = { (uint8_t) (n >> 8), (uint8_t) n };

    put(b, 2);
}


/* A header that answers the query, and the query's question. */

static void
begin(unsigned flags, unsigned answers)
{
    msg_len = 0;
    put(query, 2);
    put16(flags);
    put16(1);
    put16(answers);
    put16(0);
    put16(0);
    put(query + 12, query_len - 12);
}


static void
record(const char *owner, size_t owner_len, unsigned type, unsigned ttl,
    const void *data, size_t len)
{
    put(owner, owner_len);
    put16(type);
    put16(1);
    put16(ttl >> 16);
    put16(ttl & 0xffff);
    put16((unsigned) len);
    put(data, len);
}

#define SELF      "\xc0\x0c", 2
#define OTHER     "\5other\4test\0", 12


static int
answered(void)
{
    memset(&got, 0, sizeof(mg_dns_answer_t));

    return mg_dns_read(msg, msg_len, query, query_len, &got);
}


static int
first_is(const char *text)
{
    char  host[64];

    if (got.addrs[0].ss_family == AF_INET) {
        (void) inet_ntop(AF_INET,
                         &((struct sockaddr_in *) &got.addrs[0])->sin_addr,
                         host, sizeof(host));

    } else {
        (void) inet_ntop(AF_INET6,
                         &((struct sockaddr_in6 *) &got.addrs[0])->sin6_addr,
                         host, sizeof(host));
    }

    return strcmp(host, text) == 0;
}


static void
queries(void)
{
    char  name[300];

    is_int(mg_dns_query(query, 1, MG_DNS_A, ""), 0, "no name");
    is_int(mg_dns_query(query, 1, MG_DNS_A, "."), 0, "nor the root");
    is_int(mg_dns_query(query, 1, MG_DNS_A, "a..b"), 0, "an empty label");
    is_int(mg_dns_query(query, 1, MG_DNS_A, ".a"), 0, "at the beginning");

    memset(name, 'a', sizeof(name));
    name[64] = '\0';
    is_int(mg_dns_query(query, 1, MG_DNS_A, name), 0, "a label of 64 bytes");
    name[63] = '.';
    name[64] = 'a';
    name[127] = '.';
    name[191] = '.';
    name[254] = '\0';
    is_int(mg_dns_query(query, 1, MG_DNS_A, name), 0, "254 bytes");
    name[253] = '\0';
    is_int(mg_dns_query(query, 1, MG_DNS_A, name), 12 + 255 + 4,
           "253 bytes are the most");

    is_int(mg_dns_query(query, 1, MG_DNS_A, "a.b."), 12 + 5 + 4,
           "a final dot");
    query_len = mg_dns_query(query, 0x1234, MG_DNS_A, NAME);
    is_mem(query, query_len, "\x12\x34\1\0\0\1\0\0\0\0\0\0\3Api\7Example\0"
           "\0\1\0\1", 12 + 13 + 4, "a query");
}


static void
answers(void)
{
    begin(0x8180, 3);
    record(SELF, MG_DNS_A, 300, "\x0a\0\0\1", 4);
    record(OTHER, MG_DNS_A, 1, "\x0a\0\0\2", 4);
    record("\3aPI\7eXAMPLE\0", 13, MG_DNS_A, 200, "\x0a\0\0\3", 4);
    is_int(answered(), MG_OK, "an answer");
    is_int(got.n, 2, "what belongs to the name, in any case");
    is_int(got.ttl, 200, "the smaller TTL");
    ok(first_is("10.0.0.1"), "the address");

    begin(0x8180, 3);
    record(OTHER, MG_DNS_A, 30, "\x0a\0\0\2", 4);
    record("\1x\4test\0", 8, 5, 20, OTHER);
    record(SELF, 5, 10, "\1x\4test\0", 8);
    is_int(answered(), MG_OK, "aliases in any order");
    ok(got.n == 1 && first_is("10.0.0.2"), "lead there");
    is_int(got.ttl, 10, "the smallest TTL on the way");

    begin(0x8180, 2);
    record(SELF, 5, 10, OTHER);
    record(OTHER, 5, 10, SELF);
    is_int(answered(), MG_ERROR, "a circle");

    begin(0x8180, 1);
    record(SELF, MG_DNS_A, 0x80000000, "\x0a\0\0\1", 4);
    is_int(answered(), MG_OK, "a TTL with a sign");
    is_int(got.ttl, 0, "is none");

    begin(0x8180, 1);
    record(SELF, MG_DNS_A, 1, "\x0a\0\0\1\0", 5);
    is_int(answered(), MG_DECLINED, "an address of five bytes");
    begin(0x8180, 0);
    is_int(answered(), MG_DECLINED, "none of this type");
    begin(0x8183, 0);
    is_int(answered(), MG_DECLINED, "no such name");
    begin(0x8182, 0);
    is_int(answered(), MG_ERROR, "the server failed");
    begin(0x8380, 0);
    is_int(answered(), MG_AGAIN, "too long");

    query_len = mg_dns_query(query, 7, MG_DNS_AAAA, NAME);
    begin(0x8180, 1);
    record(SELF, MG_DNS_AAAA, 5, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1",
           16);
    is_int(answered(), MG_OK, "version 6");
    ok(first_is("2001:db8::1"), "its address");
    query_len = mg_dns_query(query, 0x1234, MG_DNS_A, NAME);
}


static void
strangers(void)
{
    size_t  len;

    begin(0x8180, 1);
    record(SELF, MG_DNS_A, 1, "\x0a\0\0\1", 4);

    msg[1] ^= 1;
    is_int(answered(), MG_INVALID_ANSWER, "another id");
    msg[1] ^= 1;
    msg[2] ^= 0x80;
    is_int(answered(), MG_INVALID_ANSWER, "a query");
    msg[2] ^= 0x80;
    msg[14] ^= 1;
    is_int(answered(), MG_INVALID_ANSWER, "another name");
    msg[14] ^= 1;
    msg[12 + 13 + 1] ^= 2;
    is_int(answered(), MG_INVALID_ANSWER, "another type");
    msg[12 + 13 + 1] ^= 2;
    is_int(answered(), MG_OK, "as it was");

    for (len = msg_len, msg_len = 0; msg_len < len; msg_len++) {
        if (answered() != MG_INVALID_ANSWER) {
            break;
        }
    }

    is_int(msg_len, len, "every shorter one is refused");

    begin(0x8180, 1);
    record("\xc0\x1d", 2, MG_DNS_A, 1, "\x0a\0\0\1", 4);
    is_int(answered(), MG_INVALID_ANSWER, "a name that is itself");
    begin(0x8180, 1);
    record("\xc0\xff", 2, MG_DNS_A, 1, "\x0a\0\0\1", 4);
    is_int(answered(), MG_INVALID_ANSWER, "a name behind the end");
    begin(0x8180, 65535);
    is_int(answered(), MG_INVALID_ANSWER, "more records than there are");
}


/* Whatever comes, no byte outside is read: the sanitizers say so. */

static void
noise(void)
{
    size_t    i;
    uint8_t  *copy;
    unsigned  n;

    srandom(1);

    for (n = 0; n < 20000; n++) {
        begin(0x8180, 3);
        record(SELF, 5, 10, OTHER);
        record(OTHER, MG_DNS_A, 30, "\x0a\0\0\2", 4);
        record(SELF, MG_DNS_A, 30, "\x0a\0\0\2", 4);

        for (i = 0; i < 1 + n % 6; i++) {
            msg[4 + (size_t) random() % (msg_len - 4)] = (uint8_t) random();
        }

        msg_len -= (size_t) random() % 8;
        copy = malloc(msg_len);
        memcpy(copy, msg, msg_len);
        memset(&got, 0, sizeof(mg_dns_answer_t));
        (void) mg_dns_read(copy, msg_len, query, query_len, &got);
        free(copy);
    }

    pass("%u damaged answers", n);
}


static void
server(int want, const char *text, unsigned port)
{
    mg_error_t       e;
    mg_dns_server_t  s;

    is_int(mg_dns_server(mg_str_z(text), &s, &e), want, "server \"%s\"",
           text);

    if (want == MG_OK) {
        is_int(ntohs(((struct sockaddr_in *) &s.addr)->sin_port), port,
               "its port");
    }
}


static void
servers(void)
{
    int64_t          begun;
    mg_error_t       e;
    int              fd;
    socklen_t        len;
    mg_dns_server_t  s[2];

    server(MG_OK, "127.0.0.1", 53);
    server(MG_OK, "10.1.2.3:5353", 5353);
    server(MG_OK, "[::1]", 53);
    server(MG_OK, "[fe80::1]:65535", 65535);
    server(MG_ERROR, "", 0);
    server(MG_ERROR, "::1", 0);
    server(MG_ERROR, "[::1", 0);
    server(MG_ERROR, "[127.0.0.1]", 0);
    server(MG_ERROR, "localhost", 0);
    server(MG_ERROR, "127.0.0.1:", 0);
    server(MG_ERROR, "127.0.0.1:0", 0);
    server(MG_ERROR, "127.0.0.1:65536", 0);
    server(MG_ERROR, "127.0.0.1:5a", 0);

    (void) mg_dns_server(mg_str("127.0.0.1:1"), &s[0], &e);
    s[1] = s[0];
    begun = mg_mono_us();
    is_int(mg_dns_ask(s, 2, NAME, 3600000, &got), MG_ERROR,
           "nobody listens");
    ok(mg_mono_us() - begun < 1800000000, "which is not waited for");
    is_int(got.silent, 0, "nor told of");

    /* the second of them listens, and says nothing */

    fd = socket(AF_INET, SOCK_DGRAM, 0);
    ((struct sockaddr_in *) &s[1].addr)->sin_port = 0;
    len = sizeof(s[1].addr);
    ok(fd != -1 && bind(fd, (struct sockaddr *) &s[1].addr, s[1].len) == 0
       && getsockname(fd, (struct sockaddr *) &s[1].addr, &len) == 0,
       "a port");
    is_int(mg_dns_ask(s, 2, NAME, 50, &got), MG_ERROR, "nobody answers");
    is_int(got.silent, 2, "one was silent");
    (void) close(fd);

    is_int(mg_dns_ask(s, 2, "a..b", 500, &got), MG_DECLINED,
           "what is no name is asked of nobody");
}


int
main(void)
{
    queries();
    answers();
    strangers();
    noise();
    servers();

    return done_testing();
}
