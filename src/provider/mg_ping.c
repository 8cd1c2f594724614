/*
 * mg_ping.c: requests that prove a model alive, and what answers mean.
 *
 * Errors have as many shapes as there are providers; they are told apart by
 * a word of the machine where there is one (a code, a status, a type), by
 * the HTTP status otherwise.  A known word counts for more: an invalid key
 * is a 400 at Google, an unknown model a 400 elsewhere.
 *
 * Called by the protocols of this room; touches nothing but the arena.
 */

#include "provider/mg_ping.h"

#include "base/mg_uri.h"


#define MG_PING_MESSAGE_MAX  300


const mg_ping_t *
mg_ping_find(const mg_ping_t *rows, mg_model_type_e type)
{
    while (rows->path && rows->type != type) {
        rows++;
    }

    return rows->path ? rows : NULL;
}


int
mg_ping_build(const mg_ping_t *rows, const mg_model_t *m, mg_buf_t *path,
    mg_buf_t *body)
{
    mg_jw_t           w;
    const mg_ping_t  *row;

    row = mg_ping_find(rows, m->type);
    if (row == NULL) {
        return MG_DECLINED;
    }

    mg_buf_z(path, row->path);

    mg_jw_init(&w, body);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "model", m->provider_model_id);
    row->body(&w, m->provider_model_id);
    mg_jw_end_object(&w);

    return (body->failed || path->failed) ? MG_ERROR : MG_OK;
}


void
mg_ping_messages(mg_jw_t *w)
{
    mg_jw_array(w, "messages");
    mg_jw_object(w, NULL);
    mg_jw_z(w, "role", "user");
    mg_jw_z(w, "content", "ping");
    mg_jw_end_object(w);
    mg_jw_end_array(w);
}


/* The provider's words: bounded, on one line, valid UTF-8. */

static mg_str_t
mg_ping_clean(mg_str_t s, mg_arena_t *a)
{
    char    *p;
    size_t   i, n;

    n = s.len < MG_PING_MESSAGE_MAX ? s.len : MG_PING_MESSAGE_MAX;

    /* not in the middle of a character */

    while (n > 0 && n < s.len && ((unsigned char) s.data[n] & 0xc0) == 0x80) {
        n--;
    }

    p = mg_arena_alloc(a, n + 1);
    if (p == NULL) {
        return mg_str_null;
    }

    for (i = 0; i < n; i++) {
        p[i] = ((unsigned char) s.data[i] < 0x20 || s.data[i] == 0x7f) ? ' '
                                                                : s.data[i];
    }

    p[n] = '\0';

    if (!mg_utf8_ok(mg_str_n(p, n))) {
        for (i = 0; i < n; i++) {
            if ((unsigned char) p[i] >= 0x80) {
                p[i] = '?';
            }
        }
    }

    return mg_str_n(p, n);
}


/* Google's machine word for a bad key stands in the details. */

static mg_str_t
mg_ping_reason(const mg_json_t *error)
{
    mg_str_t          reason;
    const mg_json_t  *details, *v;

    reason = mg_str_null;
    details = mg_json_get(error, "details");

    if (details == NULL || details->type != MG_JSON_ARRAY) {
        return reason;
    }

    for (v = details->child; v && reason.len == 0; v = v->next) {
        reason = mg_json_str(v, "reason");
    }

    return reason;
}


/*
 * Errors come as {"error": {"message", "code", "status", "type", "details"}},
 * {"error": "..."}, {"message": "..."} or {"detail": "..."}, at Google also
 * as an array of one.  *code gets the machine's word, if any.
 */

static mg_str_t
mg_ping_error(const mg_json_t *doc, mg_str_t *code)
{
    unsigned          i;
    mg_str_t          s;
    const mg_json_t  *error;

    static const char  *words[] = { "code", "status", "type" };

    *code = mg_str_null;

    if (doc && doc->type == MG_JSON_ARRAY) {
        doc = doc->child;
    }

    error = mg_json_get(doc, "error");

    if (error && error->type == MG_JSON_OBJECT) {
        *code = mg_ping_reason(error);

        for (i = 0; code->len == 0 && i < 3; i++) {
            *code = mg_json_str(error, words[i]);
        }

        return mg_json_str(error, "message");
    }

    s = mg_json_str(doc, "error");

    if (s.len == 0) {
        s = mg_json_str(doc, "message");
    }

    return s.len ? s : mg_json_str(doc, "detail");
}


static mg_probe_class_e
mg_ping_class(int status, mg_str_t code)
{
    unsigned  i;

    static const struct {
        mg_str_t          code;
        mg_probe_class_e  class;
    } codes[] = {
        { mg_str("model_not_found"), MG_PROBE_NOT_FOUND },
        { mg_str("insufficient_quota"), MG_PROBE_QUOTA },
        { mg_str("rate_limit_exceeded"), MG_PROBE_QUOTA },
        { mg_str("invalid_api_key"), MG_PROBE_AUTH },
        { mg_str("DeploymentNotFound"), MG_PROBE_NOT_FOUND },
        { mg_str("authentication_error"), MG_PROBE_AUTH },
        { mg_str("permission_error"), MG_PROBE_AUTH },
        { mg_str("billing_error"), MG_PROBE_QUOTA },
        { mg_str("rate_limit_error"), MG_PROBE_QUOTA },
        { mg_str("not_found_error"), MG_PROBE_NOT_FOUND },
        { mg_str("overloaded_error"), MG_PROBE_OVERLOADED },
        { mg_str("timeout_error"), MG_PROBE_TIMEOUT },
        { mg_str("API_KEY_INVALID"), MG_PROBE_AUTH },
        { mg_str("UNAUTHENTICATED"), MG_PROBE_AUTH },
        { mg_str("PERMISSION_DENIED"), MG_PROBE_AUTH },
        { mg_str("RESOURCE_EXHAUSTED"), MG_PROBE_QUOTA },
        { mg_str("NOT_FOUND"), MG_PROBE_NOT_FOUND },
        { mg_str("UNAVAILABLE"), MG_PROBE_OVERLOADED },
        { mg_str("DEADLINE_EXCEEDED"), MG_PROBE_TIMEOUT }
    };

    static const struct {
        int               status;
        mg_probe_class_e  class;
    } statuses[] = {
        { 401, MG_PROBE_AUTH },
        { 402, MG_PROBE_QUOTA },
        { 403, MG_PROBE_AUTH },
        { 404, MG_PROBE_NOT_FOUND },
        { 405, MG_PROBE_UNSUPPORTED },
        { 408, MG_PROBE_TIMEOUT },
        { 410, MG_PROBE_NOT_FOUND },
        { 429, MG_PROBE_QUOTA },
        { 501, MG_PROBE_UNSUPPORTED },
        { 502, MG_PROBE_OVERLOADED },
        { 503, MG_PROBE_OVERLOADED },
        { 504, MG_PROBE_TIMEOUT },
        { 529, MG_PROBE_OVERLOADED }
    };

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (mg_str_eq(codes[i].code, code)) {
            return codes[i].class;
        }
    }

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == status) {
            return statuses[i].class;
        }
    }

    return MG_PROBE_BAD_ANSWER;
}


/* Does a 200 hold what was asked for? */

static mg_probe_class_e
mg_ping_judge_answer(const char *member, const mg_json_t *doc, mg_arena_t *a,
    mg_str_t *message)
{
    mg_str_t          code, words;
    const mg_json_t  *v;

    v = mg_json_get(doc, "error");

    if (v && v->type != MG_JSON_NULL) {
        words = mg_ping_error(doc, &code);
        *message = words.len ? mg_ping_clean(words, a)
                             : mg_str("the answer is an error without words");
        return mg_ping_class(200, code);
    }

    v = mg_json_get(doc, member);

    if (v == NULL || v->count == 0
        || (v->type != MG_JSON_ARRAY && v->type != MG_JSON_OBJECT))
    {
        *message = mg_arena_printf(a, "the answer holds no \"%s\"", member);
        return MG_PROBE_BAD_ANSWER;
    }

    return MG_PROBE_OK;
}


mg_probe_class_e
mg_ping_judge(const mg_ping_t *rows, const mg_model_t *m, int status,
    mg_str_t body, mg_arena_t *a, mg_str_t *message)
{
    mg_str_t          code, words;
    const mg_ping_t  *row;
    const mg_json_t  *doc;

    *message = mg_str_null;
    doc = mg_json_parse(a, body, NULL, NULL);

    if (status == 200) {
        if (doc) {
            row = mg_ping_find(rows, m->type);
            return mg_ping_judge_answer(row ? row->member : rows->member,
                                        doc, a, message);
        }

        *message = mg_str("the answer is not a complete JSON document");
        return MG_PROBE_BAD_ANSWER;
    }

    words = mg_ping_error(doc, &code);
    *message = words.len ? mg_ping_clean(words, a)
               : mg_arena_printf(a, status >= 300 && status < 400
                                    ? "status %d, a redirect, which is not "
                                      "followed; set base_url to where it "
                                      "leads" : "status %d", status);

    return mg_ping_class(status, code);
}
