/*
 * mg_address.h: may an outbound call go to this address?
 *
 * URLs come from a catalog that others write and from API bodies, so a name
 * may resolve to a machine next door or to a cloud's metadata service.  The
 * address is judged when the socket is opened, after the name was resolved,
 * so a name server cannot show one address and give another.
 *
 * Any thread; never blocks; pure.
 */

#ifndef MG_ADDRESS_H
#define MG_ADDRESS_H

#include <sys/socket.h>


/*
 * 1 if it is a public unicast address; 0 for loopback, private, shared
 * (carrier NAT), link-local, documentation, multicast, reserved and
 * unspecified ones, for IPv6 forms that carry such an IPv4 address, and for
 * every family but IPv4 and IPv6.
 */
int mg_address_public(const struct sockaddr *sa);


#endif /* MG_ADDRESS_H */
