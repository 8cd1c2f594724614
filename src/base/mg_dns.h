/*
 * mg_dns.h: addresses of a host name and how long they hold, from a name
 * server that the operator names.
 *
 * The system's resolver tells no TTL and waits as long as it likes.  This
 * one asks for A and AAAA at once, by UDP, over TCP what is too long for
 * that, and takes no longer than it is told.  Answers are hostile input: id,
 * source, question and every length are checked, and of names only those
 * count that the question leads to, by way of CNAMEs.
 *
 * Blocks: pool threads and threads of one's own.
 */

#ifndef MG_DNS_H
#define MG_DNS_H

#include <sys/socket.h>

#include "base/mg_error.h"


#define MG_DNS_SERVERS_MAX   4
#define MG_DNS_ADDRS_MAX     32
#define MG_DNS_NAME_MAX      255

#define MG_DNS_A             1
#define MG_DNS_AAAA          28


typedef struct {
    struct sockaddr_storage  addr;
    socklen_t                len;
} mg_dns_server_t;


typedef struct {
    unsigned                 n;
    unsigned                 silent;     /* bit i: server i took all its time */
    uint32_t                 ttl;        /* s, the smallest; 0 without any */
    struct sockaddr_storage  addrs[MG_DNS_ADDRS_MAX];    /* with port 0 */
} mg_dns_answer_t;


/* "127.0.0.1", "10.0.0.2:5353", "[::1]:53"; port 53 if none is said. */
int mg_dns_server(mg_str_t text, mg_dns_server_t *server, mg_error_t *e);

/*
 * Asks the servers one after the other, each for timeout_ms at most.  MG_OK:
 * there are addresses.  MG_DECLINED: there is no such name, or none of it.
 * MG_ERROR: nobody has an answer.
 */
int mg_dns_ask(const mg_dns_server_t *servers, unsigned n, const char *name,
    unsigned timeout_ms, mg_dns_answer_t *out);


/* -- the wire; for mg_dns_ask() and tests -- */

#define MG_DNS_QUERY_MAX     (12 + MG_DNS_NAME_MAX + 2 + 4)

/* Length of the query, or 0: the name cannot be asked for. */
size_t mg_dns_query(uint8_t *out, uint16_t id, uint16_t type,
    const char *name);

/*
 * Adds to *out what answers the query.  MG_OK, MG_DECLINED: no such name, or
 * nothing of this type; MG_AGAIN: ask over TCP; MG_ERROR: the server failed.
 * MG_INVALID_ANSWER: it is no answer to this query, or damaged.
 */
#define MG_INVALID_ANSWER    -100

int mg_dns_read(const uint8_t *msg, size_t len, const uint8_t *query,
    size_t query_len, mg_dns_answer_t *out);


#endif /* MG_DNS_H */
