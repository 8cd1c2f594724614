/*
 * mg_ws.h: the frames of WebSocket (RFC 6455), a server's side.
 *
 * libwslay reads and writes them; here it is fed with bytes and hands bytes
 * back, and never sees a socket.  What a client sends is read for its form
 * and for what the protocol asks of a server: a ping is answered, a close is
 * returned, and what breaks the rules (unmasked, reserved bits, bad UTF-8,
 * too long, a broken sequence of fragments) ends the connection with the code
 * that the standard has for it.  Messages themselves are dropped: nothing
 * that a client could say is waited for.
 *
 * A reader is only needed while a frame is incomplete.  One thread at a time;
 * never blocks.
 */

#ifndef MG_WS_H
#define MG_WS_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


#define MG_WS_ACCEPT_LEN   28
#define MG_WS_MESSAGE_MAX  1024      /* bytes of a client's message */

#define MG_WS_NORMAL       1000
#define MG_WS_PROTOCOL     1002
#define MG_WS_POLICY       1008
#define MG_WS_RESTART      1012


typedef enum {
    MG_WS_TEXT = 0x1,
    MG_WS_CLOSE = 0x8,
    MG_WS_PING = 0x9
} mg_ws_opcode_e;

typedef struct mg_ws_s  mg_ws_t;


/*
 * Sec-WebSocket-Accept for a Sec-WebSocket-Key: MG_WS_ACCEPT_LEN bytes and a
 * NUL.  MG_ERROR if key is not the base64 of 16 bytes.
 */
int mg_ws_accept(mg_str_t key, char *accept);

/* NULL when out of memory. */
mg_ws_t *mg_ws_create(void);
void mg_ws_free(mg_ws_t *ws);

/*
 * Reads what has come and appends what is to be sent.  MG_OK; MG_DECLINED:
 * the connection ends when that is sent; MG_ERROR: out of memory.
 */
int mg_ws_feed(mg_ws_t *ws, const char *data, size_t len, mg_buf_t *out);

/* Frames that were complete in all calls so far. */
unsigned mg_ws_frames(const mg_ws_t *ws);

/* 1: the client has sent a close, and nothing before it was wrong. */
int mg_ws_closed(const mg_ws_t *ws);

/* 1: nothing is half read, so it may be freed and made anew. */
int mg_ws_idle(const mg_ws_t *ws);

/* Appends one frame, as it is sent to every client.  MG_OK or MG_ERROR. */
int mg_ws_frame(mg_buf_t *out, mg_ws_opcode_e opcode, mg_str_t payload);

/* Appends a close frame; reason: at most 123 bytes of UTF-8. */
int mg_ws_close(mg_buf_t *out, unsigned code, mg_str_t reason);


#endif /* MG_WS_H */
