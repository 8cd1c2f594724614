/*
 * Breaks when a private, link-local or loopback address is taken for a
 * public one, in any of the forms that IPv6 has for it, or when a public
 * one is refused.
 */

#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "client/mg_address.h"


static void
test_addresses(void)
{
    size_t               i;
    struct sockaddr      un;
    struct sockaddr_in   in;
    struct sockaddr_in6  in6;

    static const struct {
        const char  *text;
        int          is_public;
    } v4[] = {
        { "8.8.8.8", 1 }, { "9.255.255.255", 1 }, { "11.0.0.0", 1 },
        { "172.15.255.255", 1 }, { "172.32.0.0", 1 }, { "100.63.0.1", 1 },
        { "223.255.255.255", 1 }, { "169.253.0.1", 1 },
        { "10.255.255.255", 0 }, { "172.16.0.1", 0 },
        { "172.31.255.255", 0 }, { "192.168.0.1", 0 }, { "127.9.9.9", 0 },
        { "169.254.169.254", 0 }, { "100.64.0.1", 0 }, { "0.0.0.0", 0 },
        { "224.0.0.1", 0 }, { "255.255.255.255", 0 }, { "198.18.0.1", 0 }
    }, v6[] = {
        { "2606:4700::1111", 1 }, { "::ffff:8.8.8.8", 1 },
        { "64:ff9b::8.8.8.8", 1 }, { "2002:808:808::1", 1 },
        { "::", 0 }, { "::1", 0 }, { "::ffff:127.0.0.1", 0 },
        { "::ffff:10.0.0.1", 0 }, { "64:ff9b::10.0.0.1", 0 },
        { "2002:7f00:1::1", 0 }, { "2002:a9fe:a9fe::", 0 },
        { "fe80::1", 0 }, { "febf::1", 0 }, { "fc00::1", 0 },
        { "fd00::1", 0 }, { "fec0::1", 0 }, { "ff02::1", 0 },
        { "2001::1", 0 }, { "2001:db8::1", 0 }, { "::127.0.0.1", 0 }
    };

    for (i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
        memset(&in, 0, sizeof(in));
        in.sin_family = AF_INET;
        inet_pton(AF_INET, v4[i].text, &in.sin_addr);
        is_int(mg_address_public((struct sockaddr *) &in), v4[i].is_public,
               "%s", v4[i].text);
    }

    for (i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
        memset(&in6, 0, sizeof(in6));
        in6.sin6_family = AF_INET6;
        inet_pton(AF_INET6, v6[i].text, &in6.sin6_addr);
        is_int(mg_address_public((struct sockaddr *) &in6),
               v6[i].is_public, "%s", v6[i].text);
    }

    memset(&un, 0, sizeof(un));
    un.sa_family = AF_UNIX;
    is_int(mg_address_public(&un), 0, "a unix socket");
}


int
main(void)
{
    test_addresses();

    return done_testing();
}
