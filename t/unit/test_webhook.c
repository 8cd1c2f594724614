/*
 * What would break: a receiver cannot tell our webhooks from somebody else's,
 * or an operator can make the gateway call what is no address of the web.
 *
 * The signature is compared with one that the openssl command has made.
 */

#include "job/mg_webhook.h"
#include "tap.h"


int
main(void)
{
    size_t      i;
    mg_buf_t    out;
    mg_error_t  e;

    static const char  *bad[] = {
        "", "http://", "https://", "ftp://x/", "file:///etc/passwd",
        "//example.com/", "javascript:alert(1)", "http://a b/",
        "http://user:word@example.com/", "http://example.com/#x",
        "http://x:99999/", "http://[::1/", "http://2130706433/",
        "http://example.com/?a b", "http://example.com/?a#b",
        "http://example.com/?\xc3\xa4", "http://?x"
    };

    /* printf '1.{}' | openssl dgst -sha256 -hmac key */

    mg_buf_init(&out, 0);
    ok(mg_webhook_sign(&out, mg_str("key"), 1, mg_str("{}")) == MG_OK,
       "signed");
    mg_buf_char(&out, '\0');
    is_str(out.data, "v1=1ba6b8171186efc613e8bcc0cbdab274"
           "8f24984d7c5a84faa2637afa0e40d224", "as OpenSSL does it");
    mg_buf_free(&out);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(mg_webhook_url(mg_str_z(bad[i]), &e) == MG_ERROR, "\"%s\"",
           bad[i]);
        is_str(e.param, "webhook", "names the member");
    }

    ok(mg_webhook_url(mg_str("http://a"), &e) == MG_OK, "http");
    ok(mg_webhook_url(mg_str("https://example.com/x?y=z"), &e) == MG_OK,
       "https");
    ok(mg_webhook_url(mg_str("HTTPS://[::1]:8443?y=%20/../@"), &e) == MG_OK,
       "a query is free");

    return done_testing();
}
