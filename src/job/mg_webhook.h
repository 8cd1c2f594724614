/*
 * mg_webhook.h: tells an address that a run has ended.
 *
 * One POST of JSON, signed so that the receiver knows who sent it and when:
 *
 *     Webhook-Signature: v1=hex(HMAC-SHA256(secret, timestamp + "." + body))
 *
 * Configured on every node alike; read while the configuration is read and
 * not changed until the worker ends.  Blocks: model_jobs threads only.
 */

#ifndef MG_WEBHOOK_H
#define MG_WEBHOOK_H

#include "base/mg_buf.h"
#include "job/mg_engine.h"


/* The name that the secret has among those of its struct. */
#define MG_WEBHOOK_SECRET   mg_str("webhook")

#define MG_WEBHOOK_URL_MAX  2048


typedef struct mg_webhook_conf_s {
    mg_str_t       url;        /* of runs that name none; {NULL, 0}: none */
    mg_secrets_t  *secrets;    /* holds one */
} mg_webhook_conf_t;


/*
 * MG_OK, or MG_ERROR with what is wrong: not http or https, no host, with user
 * information or a fragment, too long.
 */
int mg_webhook_url(mg_str_t url, mg_error_t *e);

/* Appends "v1=" and 64 hex digits.  MG_ERROR only when out of memory. */
int mg_webhook_sign(mg_buf_t *out, mg_str_t secret, int64_t seconds,
    mg_str_t body);


#endif /* MG_WEBHOOK_H */
