/*
 * mg_snap_resolve.c: host names to addresses, remembered for a while.
 *
 * A table of the last names, shared by the threads of a process, stands
 * before the system's resolver for two reasons.  Several builds within
 * seconds ask once, also where a name does not resolve, so that a dead name
 * server delays the first build and not each.  And when the resolver itself
 * fails (no answer, as opposed to "no such name"), the last addresses stay
 * in use: a promotion made while DNS is away does not take the providers
 * off the line.
 *
 * Pool threads only: it waits for the resolver, without holding the lock.
 */

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include "base/mg_time.h"
#include "snapshot/mg_snap_routing_layout.h"


#define MG_RESOLVE_NAMES       128
#define MG_RESOLVE_NAME_MAX    255
#define MG_RESOLVE_FRESH_US    5000000LL       /* asked so short ago */
#define MG_RESOLVE_KEEP_US     3600000000LL    /* good while DNS is away */


typedef struct {
    char            name[MG_RESOLVE_NAME_MAX + 1];
    int64_t         asked_at;            /* mg_mono_us(); 0 free */
    int64_t         good_at;
    mg_resolved_t   found;               /* with port 0 */
} mg_resolve_entry_t;


static int mg_resolve_literal(const char *name, mg_resolved_t *out);
static int mg_resolve_recall(const char *name, mg_resolved_t *out);
static void mg_resolve_remember(const char *name, int rc,
    mg_resolved_t *out);
static mg_resolve_entry_t *mg_resolve_find(const char *name);
static mg_resolve_entry_t *mg_resolve_oldest(void);
static int mg_resolve_system(const char *name, mg_resolved_t *out);
static void mg_resolve_add(mg_resolved_t *out, const struct sockaddr *sa,
    int first_family);
static int mg_resolve_cmp(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b, int first_family);
static void mg_resolve_port(mg_resolved_t *out, uint16_t port);


static pthread_mutex_t     mg_resolve_mutex = PTHREAD_MUTEX_INITIALIZER;
static mg_resolve_entry_t  mg_resolve_entries[MG_RESOLVE_NAMES];


int
mg_resolve(mg_str_t host, uint16_t port, int literal, mg_resolved_t *out)
{
    int   rc;
    char  name[MG_RESOLVE_NAME_MAX + 1];

    memset(out, 0, sizeof(mg_resolved_t));

    if (host.len == 0 || host.len > MG_RESOLVE_NAME_MAX
        || memchr(host.data, '\0', host.len) != NULL)
    {
        return MG_DECLINED;
    }

    memcpy(name, host.data, host.len);
    name[host.len] = '\0';

    if (literal) {
        rc = mg_resolve_literal(name, out);

    } else if (mg_resolve_recall(name, out) == MG_OK) {
        rc = MG_OK;

    } else {
        rc = mg_resolve_system(name, out);
        mg_resolve_remember(name, rc, out);
    }

    mg_resolve_port(out, port);

    return out->n ? MG_OK : MG_DECLINED;
}


static int
mg_resolve_literal(const char *name, mg_resolved_t *out)
{
    struct sockaddr_in   in;
    struct sockaddr_in6  in6;

    memset(&in, 0, sizeof(struct sockaddr_in));
    memset(&in6, 0, sizeof(struct sockaddr_in6));

    if (inet_pton(AF_INET, name, &in.sin_addr) == 1) {
        in.sin_family = AF_INET;
        mg_resolve_add(out, (struct sockaddr *) &in, AF_INET);

    } else if (inet_pton(AF_INET6, name, &in6.sin6_addr) == 1) {
        in6.sin6_family = AF_INET6;
        mg_resolve_add(out, (struct sockaddr *) &in6, AF_INET6);
    }

    return out->n ? MG_OK : MG_DECLINED;
}


/* MG_OK: asked so short ago that the answer, maybe "none", still holds. */

static int
mg_resolve_recall(const char *name, mg_resolved_t *out)
{
    int                  rc;
    mg_resolve_entry_t  *entry;

    rc = MG_DECLINED;

    pthread_mutex_lock(&mg_resolve_mutex);

    entry = mg_resolve_find(name);

    if (entry != NULL
        && mg_mono_us() - entry->asked_at < MG_RESOLVE_FRESH_US)
    {
        *out = entry->found;
        rc = MG_OK;
    }

    pthread_mutex_unlock(&mg_resolve_mutex);

    return rc;
}


/*
 * rc of mg_resolve_system(): MG_OK, MG_DECLINED (no such name), MG_ERROR
 * (nobody answered: *out gets what was good before).
 */

static void
mg_resolve_remember(const char *name, int rc, mg_resolved_t *out)
{
    int64_t              now;
    mg_resolve_entry_t  *entry;

    now = mg_mono_us();

    pthread_mutex_lock(&mg_resolve_mutex);

    entry = mg_resolve_find(name);

    if (entry == NULL) {
        entry = mg_resolve_oldest();
        memset(entry, 0, sizeof(mg_resolve_entry_t));
        memcpy(entry->name, name, strlen(name) + 1);
    }

    entry->asked_at = now;

    if (rc == MG_OK) {
        entry->good_at = now;

    } else if (rc == MG_ERROR && entry->found.n != 0
               && now - entry->good_at < MG_RESOLVE_KEEP_US)
    {
        *out = entry->found;
    }

    entry->found = *out;

    pthread_mutex_unlock(&mg_resolve_mutex);
}


static mg_resolve_entry_t *
mg_resolve_find(const char *name)
{
    unsigned  i;

    for (i = 0; i < MG_RESOLVE_NAMES; i++) {
        if (mg_resolve_entries[i].asked_at != 0
            && strcmp(mg_resolve_entries[i].name, name) == 0)
        {
            return &mg_resolve_entries[i];
        }
    }

    return NULL;
}


static mg_resolve_entry_t *
mg_resolve_oldest(void)
{
    unsigned             i;
    mg_resolve_entry_t  *oldest;

    oldest = &mg_resolve_entries[0];

    for (i = 1; i < MG_RESOLVE_NAMES; i++) {
        if (mg_resolve_entries[i].asked_at < oldest->asked_at) {
            oldest = &mg_resolve_entries[i];
        }
    }

    return oldest;
}


static int
mg_resolve_system(const char *name, mg_resolved_t *out)
{
    int              rc;
    struct addrinfo  hints, *list, *ai;

    memset(&hints, 0, sizeof(struct addrinfo));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;

    list = NULL;
    rc = getaddrinfo(name, NULL, &hints, &list);

    if (rc != 0) {
        return rc == EAI_NONAME ? MG_DECLINED : MG_ERROR;
    }

    for (ai = list; ai != NULL; ai = ai->ai_next) {
        if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6) {
            mg_resolve_add(out, ai->ai_addr, list->ai_family);
        }
    }

    freeaddrinfo(list);

    return out->n ? MG_OK : MG_DECLINED;
}


/*
 * Sorted in: the family that the resolver prefers, then by bytes, so that
 * name servers that turn their lists around do not change the file.
 */

static void
mg_resolve_add(mg_resolved_t *out, const struct sockaddr *sa,
    int first_family)
{
    int                      rc;
    unsigned                 i, at;
    socklen_t                len;
    struct sockaddr_storage  ss;

    memset(&ss, 0, sizeof(struct sockaddr_storage));

    len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                   : sizeof(struct sockaddr_in6);
    memcpy(&ss, sa, len);

    for (at = 0; at < out->n; at++) {
        rc = mg_resolve_cmp(&ss, &out->addrs[at], first_family);

        if (rc == 0) {
            return;
        }

        if (rc < 0) {
            break;
        }
    }

    if (at == MG_BACKEND_ADDRS_MAX) {
        return;
    }

    if (out->n < MG_BACKEND_ADDRS_MAX) {
        out->n++;
    }

    for (i = out->n - 1; i > at; i--) {
        out->addrs[i] = out->addrs[i - 1];
        out->lens[i] = out->lens[i - 1];
    }

    out->addrs[at] = ss;
    out->lens[at] = len;
}


static int
mg_resolve_cmp(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b, int first_family)
{
    if (a->ss_family != b->ss_family) {
        return a->ss_family == first_family ? -1 : 1;
    }

    return memcmp(a, b, sizeof(struct sockaddr_storage));
}


static void
mg_resolve_port(mg_resolved_t *out, uint16_t port)
{
    unsigned              i;
    struct sockaddr_in   *in;
    struct sockaddr_in6  *in6;

    for (i = 0; i < out->n; i++) {

        if (out->addrs[i].ss_family == AF_INET) {
            in = (struct sockaddr_in *) &out->addrs[i];
            in->sin_port = htons(port);

        } else {
            in6 = (struct sockaddr_in6 *) &out->addrs[i];
            in6->sin6_port = htons(port);
        }
    }
}
