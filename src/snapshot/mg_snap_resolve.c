/*
 * mg_snap_resolve.c: host names to addresses, remembered while they hold.
 *
 * A table of names, shared by the threads of a process, stands before the
 * resolver.  A name is due when its time is over; one without an answer is
 * due after a few seconds, and its last addresses stay in use for an hour: a
 * promotion made while DNS is away does not take the providers off the line.
 *
 *     builder: mg_resolve() -> known: take it
 *                           -> new:   enter it, wake the thread, wait
 *     thread:  the name that is due first -> ask -> note, count changes
 *
 * One thread asks for all: names that had no answer, which may take the time
 * of every name server, come after others that are due.
 *
 * Nobody holds the lock while the resolver is asked.
 */

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mg_thread.h"
#include "base/mg_time.h"
#include "snapshot/mg_snap_resolve.h"


#define MG_RESOLVE_NAMES       512
#define MG_RESOLVE_NAME_MAX    255
#define MG_RESOLVE_SECOND      1000000LL
#define MG_RESOLVE_AGAIN_MS    5000            /* without an answer */
#define MG_RESOLVE_HOLD_S      30              /* of the system's resolver */
#define MG_RESOLVE_HOLD_MAX    3600
#define MG_RESOLVE_KEEP_US     3600000000LL    /* good while DNS is away */
#define MG_RESOLVE_TIMEOUT_MS  2000
#define MG_RESOLVE_WAIT_S      1               /* a build for new names */
#define MG_RESOLVE_IDLE_MS     1000
#define MG_RESOLVE_SILENT_US   30000000LL      /* asked after the others */


typedef struct {
    char            name[MG_RESOLVE_NAME_MAX + 1];
    int64_t         asked_at;            /* mg_mono_us(); 0 not yet */
    int64_t         good_at;
    int64_t         due_at;
    unsigned        round;               /* the last build that wanted it */
    unsigned        mute:1;              /* nobody had an answer */
    mg_resolved_t   found;               /* with port 0 */
} mg_resolve_entry_t;


typedef struct {
    pthread_mutex_t      mutex;          /* of all below */
    pthread_cond_t       asked;          /* an entry has its answer */
    mg_resolve_conf_t    conf;
    int64_t              silent_us[MG_DNS_SERVERS_MAX];   /* until then */
    mg_thread_t         *thread;
    int                  leaving;        /* nobody is to wait any more */
    unsigned             changes;
    unsigned             round;
    struct timespec      until;          /* the build waits no longer */
    unsigned             n;
    mg_resolve_entry_t   entries[MG_RESOLVE_NAMES];
} mg_resolve_table_t;


static int mg_resolve_literal(const char *name, mg_resolved_t *out);
static int mg_resolve_recall(const char *name, mg_resolved_t *out);
static int mg_resolve_await(const char *name, mg_resolved_t *out);
static void mg_resolve_now(const char *name, mg_resolved_t *out);
static void mg_resolve_remember(const char *name, int rc, unsigned ttl,
    mg_resolved_t *out);
static mg_resolve_entry_t *mg_resolve_find(const char *name);
static mg_resolve_entry_t *mg_resolve_enter(const char *name);
static int mg_resolve_system(const char *name, mg_resolved_t *out);
static int mg_resolve_servers(const char *name, mg_resolved_t *out,
    unsigned *ttl);
static void mg_resolve_order(mg_dns_server_t *servers, unsigned *which);
static void mg_resolve_silent(const unsigned *which, unsigned silent);
static void mg_resolve_run(mg_thread_t *t, void *data);
static int mg_resolve_due(char *name, unsigned *wait_ms);
static int mg_resolve_before(const mg_resolve_entry_t *a,
    const mg_resolve_entry_t *b, int64_t now);
static void mg_resolve_add(mg_resolved_t *out, const struct sockaddr *sa,
    int first_family);
static int mg_resolve_cmp(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b, int first_family);
static void mg_resolve_port(mg_resolved_t *out, uint16_t port);


static mg_resolve_table_t  mg_resolve_table = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .asked = PTHREAD_COND_INITIALIZER
};


void
mg_resolve_configure(const mg_resolve_conf_t *conf)
{
    mg_resolve_table.conf = *conf;
}


int
mg_resolve(mg_str_t host, uint16_t port, int literal, mg_resolved_t *out)
{
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
        (void) mg_resolve_literal(name, out);

    } else if (mg_resolve_recall(name, out) != MG_OK
               && mg_resolve_await(name, out) != MG_OK)
    {
        mg_resolve_now(name, out);
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


/* MG_OK: what is known, maybe "none", still holds, or is renewed anyway. */

static int
mg_resolve_recall(const char *name, mg_resolved_t *out)
{
    int                  rc;
    mg_resolve_entry_t  *entry;

    rc = MG_DECLINED;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    entry = mg_resolve_find(name);

    if (entry != NULL) {
        entry->round = mg_resolve_table.round;

        if (entry->asked_at != 0
            && (mg_resolve_table.thread != NULL
                || mg_mono_us() < entry->due_at))
        {
            *out = entry->found;
            rc = MG_OK;
        }
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    return rc;
}


/* Lets the thread ask.  MG_DECLINED: there is no thread. */

static int
mg_resolve_await(const char *name, mg_resolved_t *out)
{
    int                  rc, late;
    struct timespec      until;
    mg_resolve_entry_t  *entry;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    rc = MG_DECLINED;
    until = mg_resolve_table.until;
    late = 0;

    if (mg_resolve_table.thread != NULL) {
        (void) mg_resolve_enter(name);
        mg_thread_wake(mg_resolve_table.thread);
        rc = MG_OK;
    }

    while (rc == MG_OK && late == 0 && !mg_resolve_table.leaving) {
        entry = mg_resolve_find(name);

        if (entry == NULL || entry->asked_at != 0) {
            *out = entry ? entry->found : *out;
            break;
        }

        late = pthread_cond_timedwait(&mg_resolve_table.asked,
                                      &mg_resolve_table.mutex, &until);
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    return rc;
}


/* Blocks; on the thread, or where there is none. */

static void
mg_resolve_now(const char *name, mg_resolved_t *out)
{
    int       rc;
    unsigned  ttl;

    memset(out, 0, sizeof(mg_resolved_t));
    ttl = MG_RESOLVE_HOLD_S;

    rc = mg_resolve_table.conf.n_servers
         ? mg_resolve_servers(name, out, &ttl)
         : mg_resolve_system(name, out);

    if (mg_resolve_table.conf.valid_s) {
        ttl = mg_resolve_table.conf.valid_s;
    }

    mg_resolve_remember(name, rc, ttl, out);
}


/* rc not MG_OK: *out gets what was good before.  ttl: seconds. */

static void
mg_resolve_remember(const char *name, int rc, unsigned ttl,
    mg_resolved_t *out)
{
    int64_t              now, hold;
    mg_resolve_entry_t  *entry;

    now = mg_mono_us();
    ttl = ttl < 1 ? 1 : ttl > MG_RESOLVE_HOLD_MAX ? MG_RESOLVE_HOLD_MAX : ttl;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    entry = mg_resolve_enter(name);

    if (rc != MG_OK && entry->found.n != 0
        && now - entry->good_at < MG_RESOLVE_KEEP_US)
    {
        *out = entry->found;
    }

    if (rc == MG_OK) {
        entry->good_at = now;
    }

    entry->mute = (rc == MG_ERROR);

    hold = ttl * MG_RESOLVE_SECOND;

    if (rc != MG_OK) {
        hold = mg_resolve_table.conf.again_ms
               ? mg_resolve_table.conf.again_ms : MG_RESOLVE_AGAIN_MS;
        hold *= MG_RESOLVE_SECOND / 1000;
    }

    entry->due_at = now + hold;

    if (memcmp(&entry->found, out, sizeof(mg_resolved_t)) != 0) {
        entry->found = *out;
        mg_resolve_table.changes++;
    }

    entry->asked_at = now;

    (void) pthread_cond_broadcast(&mg_resolve_table.asked);
    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


static mg_resolve_entry_t *
mg_resolve_find(const char *name)
{
    unsigned  i;

    for (i = 0; i < mg_resolve_table.n; i++) {
        if (strcmp(mg_resolve_table.entries[i].name, name) == 0) {
            return &mg_resolve_table.entries[i];
        }
    }

    return NULL;
}


/* Found or made; the one that no build has wanted for longest makes room. */

static mg_resolve_entry_t *
mg_resolve_enter(const char *name)
{
    unsigned             i;
    mg_resolve_entry_t  *entry, *e;

    entry = mg_resolve_find(name);

    if (entry != NULL) {
        return entry;
    }

    if (mg_resolve_table.n < MG_RESOLVE_NAMES) {
        entry = &mg_resolve_table.entries[mg_resolve_table.n++];

    } else {
        entry = &mg_resolve_table.entries[0];

        for (i = 1; i < MG_RESOLVE_NAMES; i++) {
            e = &mg_resolve_table.entries[i];

            if (e->round < entry->round
                || (e->round == entry->round
                    && e->asked_at < entry->asked_at))
            {
                entry = e;
            }
        }
    }

    memset(entry, 0, sizeof(mg_resolve_entry_t));
    memcpy(entry->name, name, strlen(name) + 1);
    entry->round = mg_resolve_table.round;

    return entry;
}


void
mg_resolve_round(void)
{
    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    mg_resolve_table.round++;

    (void) clock_gettime(CLOCK_REALTIME, &mg_resolve_table.until);
    mg_resolve_table.until.tv_sec += MG_RESOLVE_WAIT_S;

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


void
mg_resolve_seed(mg_str_t host, const struct sockaddr_storage *addrs,
    const uint32_t *lens, unsigned n)
{
    char                 name[MG_RESOLVE_NAME_MAX + 1];
    unsigned             i;
    mg_resolve_entry_t  *entry;

    if (host.len == 0 || host.len > MG_RESOLVE_NAME_MAX
        || n > MG_RESOLVE_ADDRS_MAX)
    {
        return;
    }

    memcpy(name, host.data, host.len);
    name[host.len] = '\0';

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    entry = mg_resolve_enter(name);
    entry->round = mg_resolve_table.round;

    if (entry->asked_at == 0 && n != 0) {
        entry->good_at = mg_mono_us();
        entry->asked_at = entry->good_at;

        for (i = 0; i < n; i++) {
            entry->found.addrs[i] = addrs[i];
            entry->found.lens[i] = lens[i];
        }

        entry->found.n = n;
        mg_resolve_port(&entry->found, 0);

        /* after those of which nothing is known */

        entry->due_at = entry->asked_at;
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


unsigned
mg_resolve_changes(void)
{
    unsigned  changes;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);
    changes = mg_resolve_table.changes;
    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    return changes;
}


/* -- the resolvers -- */

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


static int
mg_resolve_servers(const char *name, mg_resolved_t *out, unsigned *ttl)
{
    int                       rc;
    unsigned                  i, which[MG_DNS_SERVERS_MAX];
    mg_dns_answer_t           answer;
    mg_dns_server_t           servers[MG_DNS_SERVERS_MAX];
    const mg_resolve_conf_t  *conf;

    conf = &mg_resolve_table.conf;

    mg_resolve_order(servers, which);

    rc = mg_dns_ask(servers, conf->n_servers, name,
                    conf->timeout_ms ? conf->timeout_ms
                                     : MG_RESOLVE_TIMEOUT_MS, &answer);

    /* nobody has answered: that may be for the name, not for a server */

    if (rc != MG_ERROR) {
        mg_resolve_silent(which, answer.silent);
    }

    if (rc != MG_OK) {
        return rc;
    }

    for (i = 0; i < answer.n; i++) {
        mg_resolve_add(out, (struct sockaddr *) &answer.addrs[i], AF_INET);
    }

    *ttl = answer.ttl;

    return MG_OK;
}


/*
 * As configured, but those last that had no answer a moment ago: each name
 * would wait for them again, and one thread asks for all names.
 */

static void
mg_resolve_order(mg_dns_server_t *servers, unsigned *which)
{
    int                       silent;
    int64_t                   now;
    unsigned                  i, n;
    const mg_resolve_conf_t  *conf;

    conf = &mg_resolve_table.conf;
    now = mg_mono_us();
    n = 0;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    for (silent = 0; silent <= 1; silent++) {

        for (i = 0; i < conf->n_servers; i++) {

            if ((mg_resolve_table.silent_us[i] > now) == silent) {
                which[n] = i;
                servers[n++] = conf->servers[i];
            }
        }
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


/* silent: as of mg_dns_answer_t, in the order of which[]. */

static void
mg_resolve_silent(const unsigned *which, unsigned silent)
{
    unsigned  i;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    for (i = 0; i < mg_resolve_table.conf.n_servers; i++) {
        if (silent & 1u << i) {
            mg_resolve_table.silent_us[which[i]] = mg_mono_us()
                                                   + MG_RESOLVE_SILENT_US;
        }
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


/* -- the thread -- */

int
mg_resolve_start(mg_error_t *e)
{
    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    if (mg_resolve_table.thread == NULL) {
        mg_resolve_table.thread = mg_thread_start(mg_resolve_run, NULL, e);
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    return mg_resolve_table.thread ? MG_OK : MG_ERROR;
}


void
mg_resolve_end(void)
{
    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    mg_resolve_table.leaving = 1;

    if (mg_resolve_table.thread != NULL) {
        mg_thread_end(mg_resolve_table.thread);
    }

    (void) pthread_cond_broadcast(&mg_resolve_table.asked);
    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);
}


void
mg_resolve_stop(void)
{
    mg_thread_t  *t;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    t = mg_resolve_table.thread;
    mg_resolve_table.thread = NULL;

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    if (t != NULL) {
        (void) mg_thread_stop(t);
    }
}


int
mg_resolve_running(void)
{
    int  running;

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);
    running = (mg_resolve_table.thread != NULL);
    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    return running;
}


static void
mg_resolve_run(mg_thread_t *t, void *data)
{
    char           name[MG_RESOLVE_NAME_MAX + 1];
    unsigned       wait_ms;
    mg_resolved_t  found;

    (void) data;

    for ( ;; ) {
        wait_ms = 0;

        if (mg_resolve_due(name, &wait_ms)) {
            mg_resolve_now(name, &found);
        }

        if (wait_ms ? mg_thread_pause(t, wait_ms)
                    : __atomic_load_n(mg_thread_flag(t), __ATOMIC_ACQUIRE))
        {
            return;
        }
    }
}


/* 1: name is due; 0: in so many ms there may be one. */

static int
mg_resolve_due(char *name, unsigned *wait_ms)
{
    int64_t              now, rest;
    unsigned             i;
    mg_resolve_entry_t  *e, *first;

    first = NULL;
    now = mg_mono_us();

    (void) pthread_mutex_lock(&mg_resolve_table.mutex);

    for (i = 0; i < mg_resolve_table.n; i++) {
        e = &mg_resolve_table.entries[i];

        if (e->round == mg_resolve_table.round
            && (first == NULL || mg_resolve_before(e, first, now)))
        {
            first = e;
        }
    }

    rest = first ? first->due_at - now : MG_RESOLVE_IDLE_MS * 1000LL;

    if (rest <= 0) {
        memcpy(name, first->name, sizeof(first->name));
    }

    (void) pthread_mutex_unlock(&mg_resolve_table.mutex);

    if (rest > 0) {
        *wait_ms = rest > MG_RESOLVE_IDLE_MS * 1000LL
                   ? MG_RESOLVE_IDLE_MS : (unsigned) (rest / 1000) + 1;
    }

    return rest <= 0;
}


static int
mg_resolve_before(const mg_resolve_entry_t *a, const mg_resolve_entry_t *b,
    int64_t now)
{
    if (a->mute != b->mute && a->due_at <= now && b->due_at <= now) {
        return b->mute;
    }

    return a->due_at < b->due_at;
}


/* -- addresses -- */

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

    if (at == MG_RESOLVE_ADDRS_MAX) {
        return;
    }

    if (out->n < MG_RESOLVE_ADDRS_MAX) {
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
