/*
 * mg_pulse.c: signs of life of many servers, by libcurl.
 *
 * A fixed number of easy handles takes one server after the other; none
 * keeps a connection, since a server that takes no new one is not well.
 */

#include "client/mg_pulse.h"

#include <curl/curl.h>
#include <stdio.h>


#define MG_PULSE_AT_ONCE   32
#define MG_PULSE_LOOK_MS   100


typedef struct {
    CURLM               *multi;
    mg_pulse_t          *pulses;
    unsigned             n;
    unsigned             next;
    unsigned             active;
    unsigned             timeout_ms;
    const char          *trusted;
    struct {
        CURL               *easy;
        struct curl_slist  *to;
        mg_pulse_t         *pulse;       /* NULL: idle */
    } slots[MG_PULSE_AT_ONCE];
} mg_pulse_round_t;


static int mg_pulse_fill(mg_pulse_round_t *r);
static int mg_pulse_begin(mg_pulse_round_t *r, unsigned i);
static void mg_pulse_reap(mg_pulse_round_t *r);
static void mg_pulse_end(mg_pulse_round_t *r, unsigned i);
static size_t mg_pulse_drop(char *data, size_t size, size_t count,
    void *ctx);


int
mg_pulse_run(mg_pulse_t *pulses, unsigned n, unsigned timeout_ms,
    const char *trusted, const int *cancel)
{
    int               running, rc;
    unsigned          i;
    mg_pulse_round_t  r;

    memset(&r, 0, sizeof(mg_pulse_round_t));
    r.pulses = pulses;
    r.n = n;
    r.timeout_ms = timeout_ms;
    r.trusted = trusted;

    for (i = 0; i < n; i++) {
        pulses[i].status = -1;
        pulses[i].well = 0;
    }

    r.multi = curl_multi_init();
    if (r.multi == NULL) {
        return MG_ERROR;
    }

    rc = mg_pulse_fill(&r);

    while (rc == MG_OK && r.active) {
        if (__atomic_load_n(cancel, __ATOMIC_RELAXED)
            || curl_multi_perform(r.multi, &running) != CURLM_OK)
        {
            rc = MG_ERROR;
            break;
        }

        mg_pulse_reap(&r);
        rc = mg_pulse_fill(&r);

        if (rc == MG_OK && r.active) {
            (void) curl_multi_poll(r.multi, NULL, 0, MG_PULSE_LOOK_MS, NULL);
        }
    }

    for (i = 0; i < MG_PULSE_AT_ONCE; i++) {
        if (r.slots[i].pulse) {
            mg_pulse_end(&r, i);
        }
    }

    (void) curl_multi_cleanup(r.multi);

    return rc;
}


static int
mg_pulse_fill(mg_pulse_round_t *r)
{
    unsigned  i;

    for (i = 0; i < MG_PULSE_AT_ONCE && r->next < r->n; i++) {
        if (r->slots[i].pulse == NULL && mg_pulse_begin(r, i) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_pulse_begin(mg_pulse_round_t *r, unsigned i)
{
    CURL        *easy;
    mg_pulse_t  *p;

    p = &r->pulses[r->next];
    easy = curl_easy_init();

    r->slots[i].easy = easy;
    r->slots[i].to = curl_slist_append(NULL, p->address);

    if (easy == NULL || r->slots[i].to == NULL) {
        curl_slist_free_all(r->slots[i].to);
        curl_easy_cleanup(easy);
        return MG_ERROR;
    }

    (void) curl_easy_setopt(easy, CURLOPT_URL, p->url);
    (void) curl_easy_setopt(easy, CURLOPT_CONNECT_TO, r->slots[i].to);
    (void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void) curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) r->timeout_ms);
    (void) curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_USERAGENT, "nginx-model-probe");
    (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, mg_pulse_drop);

    if (r->trusted) {
        (void) curl_easy_setopt(easy, CURLOPT_CAINFO, r->trusted);
        (void) curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }

    if (curl_multi_add_handle(r->multi, easy) != CURLM_OK) {
        curl_slist_free_all(r->slots[i].to);
        curl_easy_cleanup(easy);
        return MG_ERROR;
    }

    p->status = 0;
    p->why[0] = '\0';

    r->slots[i].pulse = p;
    r->next++;
    r->active++;

    return MG_OK;
}


/* The status is all that is asked for. */

static size_t
mg_pulse_drop(char *data, size_t size, size_t count, void *ctx)
{
    (void) data;
    (void) ctx;

    return size * count;
}


static void
mg_pulse_reap(mg_pulse_round_t *r)
{
    int        left;
    long       status;
    CURLMsg   *msg;
    unsigned   i;

    while ((msg = curl_multi_info_read(r->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        for (i = 0; r->slots[i].easy != msg->easy_handle; i++) {
            /* void */
        }

        status = 0;

        if (msg->data.result == CURLE_OK) {
            (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE,
                                     &status);

        } else {
            (void) snprintf(r->slots[i].pulse->why, MG_PULSE_WHY_MAX, "%s",
                            curl_easy_strerror(msg->data.result));
        }

        r->slots[i].pulse->status = (int) status;
        r->slots[i].pulse->well = (status >= 200 && status < 400);

        mg_pulse_end(r, i);
    }
}


static void
mg_pulse_end(mg_pulse_round_t *r, unsigned i)
{
    (void) curl_multi_remove_handle(r->multi, r->slots[i].easy);
    curl_easy_cleanup(r->slots[i].easy);
    curl_slist_free_all(r->slots[i].to);

    r->slots[i].easy = NULL;
    r->slots[i].to = NULL;
    r->slots[i].pulse = NULL;
    r->active--;
}
