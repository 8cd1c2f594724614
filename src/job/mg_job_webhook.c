/*
 * mg_job_webhook.c: delivers one webhook.
 *
 *     job (url, run) -> state of the run -> sign -> POST -> 2xx: done
 *                                                     \-> later, or failed
 *
 * What may pass (no answer, 408, 425, 429, 5xx) is tried again with pauses of
 * 1, 4, 16 ... seconds, or after the Retry-After of the answer; a receiver
 * sees one id for all attempts.  Anything else is an answer: the job fails.
 * A redirect is not followed, and private addresses are refused unless jobs
 * may reach them.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_webhook.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "base/mg_uri.h"
#include "client/mg_http.h"
#include "store/mg_store_event.h"


#define MG_WEBHOOK_TIMEOUT    10000          /* ms */
#define MG_WEBHOOK_ANSWER     4096           /* bytes that are read of one */
#define MG_WEBHOOK_PAUSE_MAX  900000000LL    /* us between attempts */


static int mg_webhook_state(mg_run_t *run, mg_str_t id, mg_str_t *state,
    mg_error_t *e);
static int mg_webhook_body(mg_run_t *run, mg_str_t type, mg_str_t state,
    mg_buf_t *b, mg_error_t *e);
static int mg_webhook_send(mg_run_t *run, mg_str_t url, mg_str_t body,
    mg_error_t *e);
static int mg_webhook_post(mg_run_t *run, mg_http_request_t *req,
    mg_error_t *e);
static int mg_webhook_judge(mg_run_t *run, const mg_http_response_t *res,
    mg_error_t *e);
static int mg_webhook_tick(void *ctx, mg_error_t *e);


/* As the base URL of a provider, but that it may have a query. */

int
mg_webhook_url(mg_str_t url, mg_error_t *e)
{
    size_t    i, n;
    mg_url_t  parts;

    for (n = 0; n < url.len && url.data[n] != '?'; n++) { /* void */ }

    for (i = n; i < url.len; i++) {
        if (url.data[i] <= ' ' || url.data[i] == '#' || url.data[i] > '~') {
            return mg_error_set(e, MG_E_INVALID, "webhook",
                                "webhook has a character in its query that "
                                "must be written as %%XX");
        }
    }

    if (url.len > MG_WEBHOOK_URL_MAX) {
        return mg_error_set(e, MG_E_INVALID, "webhook",
                            "webhook of %zu bytes is too long; give at most "
                            "%d", url.len, MG_WEBHOOK_URL_MAX);
    }

    return mg_url_parse(mg_str_n(url.data, n), &parts, "webhook", e);
}


int
mg_webhook_sign(mg_buf_t *out, mg_str_t secret, int64_t seconds,
    mg_str_t body)
{
    char      hex[2 * EVP_MAX_MD_SIZE + 1];
    uint8_t   mac[EVP_MAX_MD_SIZE];
    unsigned  len;
    mg_buf_t  text;

    mg_buf_init(&text, 0);
    mg_buf_printf(&text, "%lld.", (long long) seconds);
    mg_buf_str(&text, body);

    len = 0;

    if (text.failed
        || HMAC(EVP_sha256(), secret.data, (int) secret.len,
                (const uint8_t *) text.data, text.len, mac, &len)
           == NULL)
    {
        mg_buf_free(&text);
        return MG_ERROR;
    }

    mg_buf_free(&text);
    mg_hex(mac, len, hex);
    mg_buf_z(out, "v1=");
    mg_buf_z(out, hex);

    return out->failed ? MG_ERROR : MG_OK;
}


int
mg_job_webhook(mg_run_t *run, mg_error_t *e)
{
    int               rc;
    mg_buf_t          b;
    mg_str_t          url, state;
    const mg_json_t  *payload;

    payload = mg_json_parse(run->arena, run->job.payload, NULL, e);
    if (payload == NULL) {
        return MG_ERROR;
    }

    url = mg_json_str(payload, "url");

    if (mg_webhook_url(url, e) != MG_OK
        || mg_webhook_state(run, mg_json_str(payload, "validation_id"),
                            &state, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    rc = mg_webhook_body(run, mg_json_str(payload, "type"), state, &b, e);

    if (rc == MG_OK) {
        rc = mg_webhook_send(run, url, mg_buf_view(&b), e);
    }

    mg_buf_free(&b);

    return rc;
}


static int
mg_webhook_state(mg_run_t *run, mg_str_t id, mg_str_t *state, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    db = mg_pg_checkout_job(run->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_event_run(db, run->job.org_id, id, run->arena, state, e);
    mg_pg_release(db);

    return rc;
}


static int
mg_webhook_body(mg_run_t *run, mg_str_t type, mg_str_t state, mg_buf_t *b,
    mg_error_t *e)
{
    char     created[MG_TIME_LEN + 1];
    mg_jw_t  w;

    (void) mg_time_format(run->job.created_at, created);

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "id", run->job.id);
    mg_jw_str(&w, "type", type);
    mg_jw_z(&w, "created_at", created);
    mg_jw_raw(&w, "data", state);
    mg_jw_end_object(&w);

    return b->failed ? mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory")
                     : MG_OK;
}


static int
mg_webhook_send(mg_run_t *run, mg_str_t url, mg_str_t body, mg_error_t *e)
{
    int                       rc;
    char                      secret[MG_SECRET_MAX];
    size_t                    len;
    int64_t                   now;
    mg_buf_t                  sign;
    mg_arena_t               *a;
    mg_http_request_t         req;
    const mg_webhook_conf_t  *conf;

    a = run->arena;
    conf = run->env->webhook;
    now = mg_now_us() / 1000000;

    if (conf == NULL || conf->secrets == NULL
        || mg_secrets_get(conf->secrets, MG_WEBHOOK_SECRET, secret, &len)
           != MG_OK)
    {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "this node has no "
                            "secret for webhooks; configure model_webhook");
    }

    mg_buf_init(&sign, 0);
    rc = mg_webhook_sign(&sign, mg_str_n(secret, len), now, body);
    mg_wipe(secret, sizeof(secret));

    memset(&req, 0, sizeof(mg_http_request_t));

    req.method = "POST";
    req.url = url;
    req.body = body;
    req.timeout_ms = MG_WEBHOOK_TIMEOUT;
    req.body_max = MG_WEBHOOK_ANSWER;
    req.allow_private = run->env->allow_private;

    req.headers[0] = mg_str("Content-Type: application/json");
    req.headers[1] = mg_arena_printf(a, "Webhook-Id: %.*s",
                                     MG_STR_ARG(run->job.id));
    req.headers[2] = mg_arena_printf(a, "Webhook-Timestamp: %lld",
                                     (long long) now);
    req.headers[3] = mg_arena_printf(a, "Webhook-Signature: %.*s",
                                     (int) sign.len, sign.data);
    req.n_headers = 4;

    mg_buf_free(&sign);

    if (rc != MG_OK || req.headers[1].data == NULL
        || req.headers[2].data == NULL || req.headers[3].data == NULL)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return mg_webhook_post(run, &req, e);
}


static int
mg_webhook_post(mg_run_t *run, mg_http_request_t *req, mg_error_t *e)
{
    int                  rc;
    mg_http_t           *http;
    mg_http_response_t   res;

    http = mg_http_create(1, NULL);
    if (http == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    memset(&res, 0, sizeof(mg_http_response_t));
    res.retry_after_s = -1;

    rc = mg_http_fetch(http, req, &res, mg_webhook_tick, run, e);

    /* a long answer is an answer: nobody reads it */

    if (res.status != 0 && (rc == MG_OK || e->kind == MG_E_TOO_LARGE)) {
        rc = mg_webhook_judge(run, &res, e);

    } else if (rc != MG_OK && e->kind == MG_E_UPSTREAM) {
        e->kind = MG_E_UNAVAILABLE;
    }

    mg_http_destroy(http);

    if (rc != MG_OK && run->retry_us == 0) {
        run->retry_us = 1000000LL << (2 * (run->job.attempt > 1
                                           ? run->job.attempt - 1 : 0)
                                      & 31);

        if (run->retry_us > MG_WEBHOOK_PAUSE_MAX) {
            run->retry_us = MG_WEBHOOK_PAUSE_MAX;
        }
    }

    return rc;
}


static int
mg_webhook_judge(mg_run_t *run, const mg_http_response_t *res, mg_error_t *e)
{
    if (res->status >= 200 && res->status < 300) {
        return MG_OK;
    }

    if (res->status != 408 && res->status != 425 && res->status != 429
        && res->status < 500)
    {
        return mg_error_set(e, MG_E_INVALID, NULL, "the webhook was answered "
                            "with status %d", res->status);
    }

    if (res->retry_after_s > 0) {
        run->retry_us = res->retry_after_s * 1000000;
    }

    return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "the webhook was answered "
                        "with status %d", res->status);
}


static int
mg_webhook_tick(void *ctx, mg_error_t *e)
{
    return mg_run_stop(ctx, e);
}
