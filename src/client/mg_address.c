/*
 * mg_address.c: public addresses and all others, by two tables of prefixes.
 *
 * The tables follow IANA's special-purpose registries (RFC 6890 and its
 * updates).  An IPv6 address that embeds an IPv4 address (mapped, NAT64,
 * 6to4) is judged by the IPv4 address that the packet would reach.
 *
 * Called by the socket callback of the HTTP client; touches nothing.
 */

#include "client/mg_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


static const struct {
    uint32_t  net;               /* host byte order */
    unsigned  bits;
} mg_address_v4[] = {
    { 0x00000000, 8 },           /* this network */
    { 0x0a000000, 8 },           /* private */
    { 0x64400000, 10 },          /* shared: carrier NAT */
    { 0x7f000000, 8 },           /* loopback */
    { 0xa9fe0000, 16 },          /* link-local, metadata services */
    { 0xac100000, 12 },          /* private */
    { 0xc0000000, 24 },          /* protocol assignments */
    { 0xc0000200, 24 },          /* documentation */
    { 0xc0a80000, 16 },          /* private */
    { 0xc6120000, 15 },          /* benchmarking */
    { 0xc6336400, 24 },          /* documentation */
    { 0xcb007100, 24 },          /* documentation */
    { 0xe0000000, 4 },           /* multicast */
    { 0xf0000000, 4 }            /* reserved, broadcast */
};


/* embeds: offset of an IPv4 address inside, 0: not public at all */

static const struct {
    uint8_t   net[16];
    unsigned  bits;
    unsigned  embeds;
} mg_address_v6[] = {
    { { [10] = 0xff, [11] = 0xff }, 96, 12 },             /* mapped */
    { { 0x00, 0x64, 0xff, 0x9b }, 96, 12 },               /* NAT64 */
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, 0 },    /* local NAT64 */
    { { 0x20, 0x02 }, 16, 2 },                            /* 6to4 */
    { { 0x20, 0x01 }, 23, 0 },                            /* Teredo, ... */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, 0 },                /* documentation */
    { { 0x01, 0x00 }, 64, 0 },                            /* discard */
    { { 0x00 }, 96, 0 },                                  /* ::, ::1 */
    { { 0xfc, 0x00 }, 7, 0 },                             /* unique local */
    { { 0xfe, 0x80 }, 10, 0 },                            /* link-local */
    { { 0xfe, 0xc0 }, 10, 0 },                            /* site-local */
    { { 0xff, 0x00 }, 8, 0 }                              /* multicast */
};


static int
mg_address_public_v4(const uint8_t *bytes)
{
    size_t    i;
    uint32_t  addr, mask;

    addr = (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16
           | (uint32_t) bytes[2] << 8 | bytes[3];

    for (i = 0; i < sizeof(mg_address_v4) / sizeof(mg_address_v4[0]); i++) {
        mask = 0xffffffff << (32 - mg_address_v4[i].bits);

        if ((addr & mask) == mg_address_v4[i].net) {
            return 0;
        }
    }

    return 1;
}


static int
mg_address_match_v6(const uint8_t *addr, const uint8_t *net, unsigned bits)
{
    uint8_t  mask;

    if (memcmp(addr, net, bits / 8) != 0) {
        return 0;
    }

    mask = (uint8_t) (0xff00 >> (bits % 8));

    return ((addr[bits / 8] ^ net[bits / 8]) & mask) == 0;
}


static int
mg_address_public_v6(const uint8_t *bytes)
{
    size_t    i;
    unsigned  embeds;

    for (i = 0; i < sizeof(mg_address_v6) / sizeof(mg_address_v6[0]); i++) {
        if (mg_address_match_v6(bytes, mg_address_v6[i].net,
                                mg_address_v6[i].bits))
        {
            embeds = mg_address_v6[i].embeds;
            return embeds ? mg_address_public_v4(bytes + embeds) : 0;
        }
    }

    return 1;
}


int
mg_address_public(const struct sockaddr *sa)
{
    struct sockaddr_in   in;
    struct sockaddr_in6  in6;

    switch (sa->sa_family) {

    case AF_INET:
        memcpy(&in, sa, sizeof(in));
        return mg_address_public_v4((const uint8_t *) &in.sin_addr);

    case AF_INET6:
        memcpy(&in6, sa, sizeof(in6));
        return mg_address_public_v6((const uint8_t *) &in6.sin6_addr);

    default:
        return 0;
    }
}
