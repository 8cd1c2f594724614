/*
 * ngx_http_model_message.c: what a topic says, as bytes.
 *
 * One block: the struct, the server-sent event, the WebSocket frames.  They
 * are made once, however many are told, and stay until the last connection
 * that was slow has taken them.
 *
 * Event loop; references are plain integers of one process.
 */

#include "http/ngx_http_model_events.h"


static ngx_http_model_message_t *ngx_http_model_message_make(mg_buf_t *sse,
    mg_buf_t *frames, ngx_uint_t last);


ngx_http_model_message_t *
ngx_http_model_message_state(mg_str_t id, mg_str_t json, ngx_uint_t last)
{
    mg_buf_t  sse, frames;

    mg_buf_init(&sse, 0);
    mg_buf_init(&frames, 0);

    if (id.len) {
        mg_buf_printf(&sse, "id: %.*s\n", MG_STR_ARG(id));
    }

    /* JSON of ours has no line breaks */

    mg_buf_z(&sse, "data: ");
    mg_buf_str(&sse, json);
    mg_buf_z(&sse, "\n\n");

    if (mg_ws_frame(&frames, MG_WS_TEXT, json) != MG_OK
        || (last && mg_ws_close(&frames, MG_WS_NORMAL, mg_str_null) != MG_OK))
    {
        frames.failed = 1;
    }

    return ngx_http_model_message_make(&sse, &frames, last);
}


ngx_http_model_message_t *
ngx_http_model_message_beat(void)
{
    mg_buf_t  sse, frames;

    mg_buf_init(&sse, 0);
    mg_buf_init(&frames, 0);

    mg_buf_z(&sse, ":\n\n");

    if (mg_ws_frame(&frames, MG_WS_PING, mg_str_null) != MG_OK) {
        frames.failed = 1;
    }

    return ngx_http_model_message_make(&sse, &frames, 0);
}


ngx_http_model_message_t *
ngx_http_model_message_end(ngx_uint_t retry, unsigned code, mg_str_t reason)
{
    mg_buf_t  sse, frames;

    mg_buf_init(&sse, 0);
    mg_buf_init(&frames, 0);

    mg_buf_printf(&sse, "retry: %u\n: %.*s\n\n", (unsigned) retry,
                  MG_STR_ARG(reason));

    if (mg_ws_close(&frames, code, reason) != MG_OK) {
        frames.failed = 1;
    }

    return ngx_http_model_message_make(&sse, &frames, 1);
}


void
ngx_http_model_message_release(ngx_http_model_message_t *m)
{
    if (m && --m->refs == 0) {
        ngx_free(m);
    }
}


static ngx_http_model_message_t *
ngx_http_model_message_make(mg_buf_t *sse, mg_buf_t *frames, ngx_uint_t last)
{
    u_char                    *p;
    ngx_http_model_message_t  *m;

    m = NULL;

    if (!sse->failed && !frames->failed) {
        m = ngx_alloc(sizeof(ngx_http_model_message_t) + sse->len
                      + frames->len, ngx_cycle->log);
    }

    if (m) {
        p = (u_char *) m + sizeof(ngx_http_model_message_t);

        m->refs = 1;
        m->last = last;

        m->form[NGX_HTTP_MODEL_SSE].data = p;
        m->form[NGX_HTTP_MODEL_SSE].len = sse->len;
        p = ngx_cpymem(p, sse->data, sse->len);

        m->form[NGX_HTTP_MODEL_SOCKET].data = p;
        m->form[NGX_HTTP_MODEL_SOCKET].len = frames->len;
        ngx_memcpy(p, frames->data, frames->len);
    }

    mg_buf_free(sse);
    mg_buf_free(frames);

    return m;
}
