/*
 * mg_snap_resolve.h: host names of backends to addresses.
 *
 * Names are asked for where a snapshot is built, and again when their time
 * is over: that of the name server's answer where one is configured, else
 * half a minute, since the system's resolver tells none.  In the process
 * that builds snapshots a thread does the asking, so that a dead name server
 * holds up neither a build nor anything else but itself; a build takes what
 * is known, and waits, for a second at most, for what is new.  When addresses
 * have changed mg_resolve_changes() has another value: it is time to build
 * again.
 *
 * Any thread but the event loop.
 */

#ifndef MG_SNAP_RESOLVE_H
#define MG_SNAP_RESOLVE_H

#include <sys/socket.h>

#include "base/mg_dns.h"


#define MG_RESOLVE_ADDRS_MAX    16


typedef struct {
    unsigned                 n;
    struct sockaddr_storage  addrs[MG_RESOLVE_ADDRS_MAX];
    uint32_t                 lens[MG_RESOLVE_ADDRS_MAX];
} mg_resolved_t;


/* All zero: the system's resolver. */
typedef struct {
    mg_dns_server_t          servers[MG_DNS_SERVERS_MAX];
    unsigned                 n_servers;
    unsigned                 timeout_ms;     /* of one server; 0: 2,000 */
    unsigned                 valid_s;        /* 0: as the server says */
    unsigned                 again_ms;       /* without an answer; 0: 5,000 */
} mg_resolve_conf_t;


/* Before anything is resolved. */
void mg_resolve_configure(const mg_resolve_conf_t *conf);

/*
 * Addresses of a host, each once, the family that the resolver prefers
 * first, within it by their bytes.  literal: host is an IP address, nobody
 * is asked.  Without the thread it blocks as long as the resolver.
 * MG_DECLINED: there are none (out->n is 0).
 */
int mg_resolve(mg_str_t host, uint16_t port, int literal,
    mg_resolved_t *out);

/* A build begins: names that it does not ask for are no longer renewed. */
void mg_resolve_round(void);

/*
 * What a published file says of a name, with whatever port: good until the
 * resolver says otherwise, where nothing else is known of it, and still in
 * use.
 */
void mg_resolve_seed(mg_str_t host, const struct sockaddr_storage *addrs,
    const uint32_t *lens, unsigned n);

/* Raised whenever the addresses of a name that is in use have changed. */
unsigned mg_resolve_changes(void);

/*
 * The thread, once a process; MG_ERROR: there is none.  end() asks it to end
 * and lets go whoever waits; stop() joins it.
 */
int mg_resolve_start(mg_error_t *e);
void mg_resolve_end(void);
void mg_resolve_stop(void);

/* 1: the thread is at work. */
int mg_resolve_running(void);


#endif /* MG_SNAP_RESOLVE_H */
