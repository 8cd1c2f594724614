/*
 * mg_ws.c: WebSocket frames by libwslay.
 *
 *     bytes -> recv callback -> wslay (frames, fragments, UTF-8, replies)
 *           -> send callback -> buffer
 *
 * The bytes that frames have taken are counted beside those that were fed:
 * where the two are equal outside of a message, nothing is half read.
 *
 * Used by whoever serves a stream; touches memory only.
 */

#include "base/mg_ws.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <wslay/wslay.h>


#define MG_WS_GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define MG_WS_KEY    24


struct mg_ws_s {
    wslay_event_context_ptr  ctx;
    const char              *data;        /* of the call under way */
    size_t                   len;
    mg_buf_t                *out;
    uint64_t                 fed;         /* bytes given to wslay */
    uint64_t                 taken;       /* of these, in whole frames */
    uint64_t                 frame;       /* length of the one being read */
    uint64_t                 length;      /* of the message so far */
    unsigned                 frames;
    unsigned                 inside:1;    /* of a frame */
    unsigned                 message:1;   /* of a message in fragments */
};


static ssize_t mg_ws_recv(wslay_event_context_ptr ctx, uint8_t *buf,
    size_t len, int flags, void *data);
static ssize_t mg_ws_send(wslay_event_context_ptr ctx, const uint8_t *data,
    size_t len, int flags, void *user);
static void mg_ws_start(wslay_event_context_ptr ctx,
    const struct wslay_event_on_frame_recv_start_arg *arg, void *data);
static void mg_ws_end(wslay_event_context_ptr ctx, void *data);
static int mg_ws_queue(mg_buf_t *out, const struct wslay_event_msg *m,
    unsigned code);


static const struct wslay_event_callbacks  mg_ws_callbacks = {
    mg_ws_recv,
    mg_ws_send,
    NULL,
    mg_ws_start,
    NULL,
    mg_ws_end,
    NULL
};


int
mg_ws_accept(mg_str_t key, char *accept)
{
    char      text[MG_WS_KEY + sizeof(MG_WS_GUID) - 1];
    uint8_t   raw[MG_WS_KEY], digest[EVP_MAX_MD_SIZE];
    unsigned  len;

    /* 16 bytes end in two signs of equality; what decodes is 18 then */

    if (key.len != MG_WS_KEY || key.data[MG_WS_KEY - 1] != '='
        || key.data[MG_WS_KEY - 2] != '=' || key.data[MG_WS_KEY - 3] == '='
        || EVP_DecodeBlock(raw, (const uint8_t *) key.data, MG_WS_KEY) != 18)
    {
        return MG_ERROR;
    }

    memcpy(text, key.data, MG_WS_KEY);
    memcpy(text + MG_WS_KEY, MG_WS_GUID, sizeof(MG_WS_GUID) - 1);

    if (EVP_Digest(text, sizeof(text), digest, &len, EVP_sha1(), NULL) != 1) {
        return MG_ERROR;
    }

    (void) EVP_EncodeBlock((uint8_t *) accept, digest, (int) len);

    return MG_OK;
}


mg_ws_t *
mg_ws_create(void)
{
    mg_ws_t  *ws;

    ws = calloc(1, sizeof(mg_ws_t));
    if (ws == NULL) {
        return NULL;
    }

    if (wslay_event_context_server_init(&ws->ctx, &mg_ws_callbacks, ws) != 0) {
        free(ws);
        return NULL;
    }

    wslay_event_config_set_max_recv_msg_length(ws->ctx, MG_WS_MESSAGE_MAX);

    /*
     * a message in many small pieces would take 100 times its size; what is
     * not kept is not counted either
     */

    wslay_event_config_set_no_buffering(ws->ctx, 1);

    return ws;
}


void
mg_ws_free(mg_ws_t *ws)
{
    if (ws == NULL) {
        return;
    }

    wslay_event_context_free(ws->ctx);
    free(ws);
}


int
mg_ws_feed(mg_ws_t *ws, const char *data, size_t len, mg_buf_t *out)
{
    int  rc;

    ws->data = data;
    ws->len = len;
    ws->out = out;

    rc = wslay_event_recv(ws->ctx);

    if (rc != 0 && rc != WSLAY_ERR_NOMEM) {

        /* a control frame in pieces, or a long one: wslay has no code */

        return mg_ws_close(out, MG_WS_PROTOCOL, mg_str_null) == MG_OK
               ? MG_DECLINED : MG_ERROR;
    }

    if (rc != 0 || wslay_event_send(ws->ctx) != 0 || out->failed) {
        return MG_ERROR;
    }

    return (wslay_event_get_close_sent(ws->ctx)
            || !wslay_event_get_read_enabled(ws->ctx))
           ? MG_DECLINED : MG_OK;
}


unsigned
mg_ws_frames(const mg_ws_t *ws)
{
    return ws->frames;
}


int
mg_ws_closed(const mg_ws_t *ws)
{
    return wslay_event_get_close_received(ws->ctx) != 0;
}


int
mg_ws_idle(const mg_ws_t *ws)
{
    return !ws->inside && !ws->message && ws->fed == ws->taken;
}


int
mg_ws_frame(mg_buf_t *out, mg_ws_opcode_e opcode, mg_str_t payload)
{
    struct wslay_event_msg  m;

    m.opcode = opcode;
    m.msg = (const uint8_t *) payload.data;
    m.msg_length = payload.len;

    return mg_ws_queue(out, &m, 0);
}


int
mg_ws_close(mg_buf_t *out, unsigned code, mg_str_t reason)
{
    struct wslay_event_msg  m;

    m.opcode = WSLAY_CONNECTION_CLOSE;
    m.msg = (const uint8_t *) reason.data;
    m.msg_length = reason.len;

    return mg_ws_queue(out, &m, code);
}


static int
mg_ws_queue(mg_buf_t *out, const struct wslay_event_msg *m, unsigned code)
{
    int       rc;
    mg_ws_t  *ws;

    ws = mg_ws_create();
    if (ws == NULL) {
        return MG_ERROR;
    }

    ws->out = out;

    rc = code ? wslay_event_queue_close(ws->ctx, (uint16_t) code, m->msg,
                                        m->msg_length)
              : wslay_event_queue_msg(ws->ctx, m);

    if (rc == 0) {
        rc = wslay_event_send(ws->ctx);
    }

    mg_ws_free(ws);

    return (rc == 0 && !out->failed) ? MG_OK : MG_ERROR;
}


static ssize_t
mg_ws_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
    void *data)
{
    mg_ws_t  *ws = data;

    (void) flags;

    if (ws->len == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }

    if (len > ws->len) {
        len = ws->len;
    }

    memcpy(buf, ws->data, len);

    ws->data += len;
    ws->len -= len;
    ws->fed += len;

    return (ssize_t) len;
}


static ssize_t
mg_ws_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len,
    int flags, void *user)
{
    mg_ws_t  *ws = user;

    (void) flags;

    mg_buf_add(ws->out, data, len);

    if (ws->out->failed) {
        wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }

    return (ssize_t) len;
}


static void
mg_ws_start(wslay_event_context_ptr ctx,
    const struct wslay_event_on_frame_recv_start_arg *arg, void *data)
{
    mg_ws_t  *ws = data;

    ws->inside = 1;
    ws->frame = arg->payload_length
                + (arg->payload_length > 0xffff ? 14
                   : arg->payload_length > 125 ? 8 : 6);

    if (wslay_is_ctrl_frame(arg->opcode)) {
        return;
    }

    if (arg->opcode != WSLAY_CONTINUATION_FRAME) {
        ws->length = 0;
    }

    ws->length += arg->payload_length;
    ws->message = !arg->fin;

    if (ws->length > MG_WS_MESSAGE_MAX) {
        (void) wslay_event_queue_close(ctx, WSLAY_CODE_MESSAGE_TOO_BIG, NULL,
                                       0);
        wslay_event_shutdown_read(ctx);
    }
}


static void
mg_ws_end(wslay_event_context_ptr ctx, void *data)
{
    mg_ws_t  *ws = data;

    (void) ctx;

    ws->inside = 0;
    ws->taken += ws->frame;
    ws->frames++;
}
