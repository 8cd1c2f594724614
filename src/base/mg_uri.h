/*
 * mg_uri.h: the parts of RFC 3986 that the gateway needs, bounded.
 *
 * Base URLs of providers (http and https only, no user info, no fragment,
 * no query), percent decoding, query strings, and the checks that keep
 * header injection out.
 *
 * Any thread; never blocks; results point into the input.
 */

#ifndef MG_URI_H
#define MG_URI_H

#include "base/mg_error.h"


#define MG_URI_MAX   2048


typedef struct {
    unsigned   tls:1;
    unsigned   literal:1;    /* host is an IP address */
    uint16_t   port;         /* explicit or 80 / 443 */
    mg_str_t   host;         /* without brackets */
    mg_str_t   host_port;    /* as it goes into the Host header */
    mg_str_t   path;         /* without a trailing slash; "" for none */
} mg_url_t;


/* param names the member in the message ("base_url"). */
int mg_url_parse(mg_str_t text, mg_url_t *url, const char *param,
    mg_error_t *e);

/* Decodes %XX into out (room for in.len); MG_ERROR on a bad escape or %00. */
int mg_uri_decode(mg_str_t in, char *out, size_t *len);

/*
 * Encodes every byte but A-Z a-z 0-9 - . _ ~ and those of keep into out (room
 * for 3 * in.len); returns the length.
 */
size_t mg_uri_encode(mg_str_t in, const char *keep, char *out);

/*
 * Next name=value of a query string; cursor starts at the whole and moves.
 * Returns 1 with name and value (still encoded), 0 at the end.
 */
int mg_query_next(mg_str_t *cursor, mg_str_t *name, mg_str_t *value);

/* 1 if every byte may stand in a header value (no CR, LF, NUL, controls). */
int mg_header_ok(mg_str_t value);

/* 1 if it is valid UTF-8 without NUL. */
int mg_utf8_ok(mg_str_t s);


#endif /* MG_URI_H */
