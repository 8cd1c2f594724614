/*
 * mg_openai.c: lists, probes and answers of OpenAI and its likes.
 *
 * The list is {"object": "list", "data": [...]} or, at Together and Mistral,
 * a bare array.  Only "id" is certain; what some servers add (a context
 * length under one of several names, a display name, capabilities) is read
 * where it can be trusted, and every other member is kept in "extra".  Real
 * lists hold the same id twice: the first wins member by member, a later
 * one fills what the first leaves open, and it is counted as skipped.
 *
 * A probe asks for the smallest answer that proves a model alive; the judge
 * believes an answer only if it holds what was asked for: gateways answer
 * 200 with an error inside.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"

#include "base/mg_json.h"
#include "base/mg_jw.h"
#include "base/mg_uri.h"
#include "provider/mg_field.h"
#include "provider/mg_kind.h"


#define MG_OPENAI_LIST_MAX      (16 * 1024 * 1024)

/* Entries are compared with one another: caps on what hostile lists cost. */
#define MG_OPENAI_MODELS_MAX    10000
#define MG_OPENAI_MEMBERS_MAX   100

#define MG_OPENAI_MESSAGE_MAX   300

/* Tokens that a reasoning model is given: it thinks before it says one. */
#define MG_OPENAI_REASONING     16


typedef struct mg_openai_entry_s  mg_openai_entry_t;

struct mg_openai_entry_s {
    mg_model_t          model;
    unsigned            in;
    unsigned            out;
    mg_json_t          *rest;
    mg_openai_entry_t  *next;
};


static int mg_openai_list(mg_str_t body, mg_arena_t *a,
    mg_list_model_pt model, void *ctx, unsigned *skipped, mg_error_t *e);
static int mg_openai_probe(const mg_model_t *m, mg_buf_t *path,
    mg_buf_t *body);
static mg_probe_class_e mg_openai_judge(const mg_model_t *m, int status,
    mg_str_t body, mg_arena_t *a, mg_str_t *message);


const mg_protocol_t  mg_protocol_openai = {
    mg_str("openai"),
    MG_AUTH_BEARER,
    "/models",
    mg_openai_list,
    mg_openai_probe,
    mg_openai_judge
};


#define MG_ENTRY(member)  offsetof(mg_openai_entry_t, model.member)
#define MG_CAP(c)         (MG_ENTRY(caps) + (c))

/* OpenRouter's and Hugging Face's "architecture" */
static const mg_field_t  mg_openai_architecture[] = {
    { "input_modalities", MG_FIELD_MODES, MG_ENTRY(modalities_in),
      offsetof(mg_openai_entry_t, in), NULL },
    { "output_modalities", MG_FIELD_MODES, MG_ENTRY(modalities_out),
      offsetof(mg_openai_entry_t, out), NULL },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};

/* Mistral's "capabilities" */
static const mg_field_t  mg_openai_capabilities[] = {
    { "function_calling", MG_FIELD_TRI, MG_CAP(MG_CAP_FUNCTION_CALLING), 0,
      NULL },
    { "vision", MG_FIELD_TRI, MG_CAP(MG_CAP_VISION), 0, NULL },
    { "audio", MG_FIELD_TRI, MG_CAP(MG_CAP_AUDIO), 0, NULL },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};

static const mg_field_t  mg_openai_fields[] = {
    { "id", MG_FIELD_STR, MG_ENTRY(provider_model_id), 0, NULL },
    { "name", MG_FIELD_STR, MG_ENTRY(name), 0, NULL },
    { "display_name", MG_FIELD_STR, MG_ENTRY(name), 0, NULL },
    { "max_model_len", MG_FIELD_COUNT, MG_ENTRY(context), 0, NULL },
    { "context_window", MG_FIELD_COUNT, MG_ENTRY(context), 0, NULL },
    { "context_length", MG_FIELD_COUNT, MG_ENTRY(context), 0, NULL },
    { "max_context_length", MG_FIELD_COUNT, MG_ENTRY(context), 0, NULL },
    { "max_output_tokens", MG_FIELD_COUNT, MG_ENTRY(output_limit), 0, NULL },
    { "supports_image_in", MG_FIELD_TRI, MG_CAP(MG_CAP_VISION), 0, NULL },
    { "supports_reasoning", MG_FIELD_TRI, MG_CAP(MG_CAP_REASONING), 0,
      NULL },
    { "architecture", MG_FIELD_OBJECT, 0, 0, mg_openai_architecture },
    { "capabilities", MG_FIELD_OBJECT, 0, 0, mg_openai_capabilities },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};


/* -- the list -- */

static mg_openai_entry_t *
mg_openai_seen(mg_openai_entry_t *list, mg_str_t id)
{
    while (list && !mg_str_eq(list->model.provider_model_id, id)) {
        list = list->next;
    }

    return list;
}


static void
mg_openai_merge_rest(mg_openai_entry_t *first, mg_json_t *rest)
{
    mg_json_t  **last, *v, *next;

    for (v = rest; v; v = next) {
        next = v->next;

        for (last = &first->rest; *last; last = &(*last)->next) {
            if (mg_str_eq((*last)->key, v->key)) {
                break;
            }
        }

        if (*last == NULL) {
            v->next = NULL;
            *last = v;
        }
    }
}


/* Fills what the first of two entries with one id leaves open. */

static void
mg_openai_merge(mg_openai_entry_t *first, mg_openai_entry_t *later)
{
    unsigned     i;
    mg_model_t  *m, *n;

    m = &first->model;
    n = &later->model;

    m->name = m->name.data ? m->name : n->name;
    m->context = (m->context != MG_UNKNOWN) ? m->context : n->context;
    m->output_limit = (m->output_limit != MG_UNKNOWN) ? m->output_limit
                                                      : n->output_limit;

    if (m->modalities_in.data == NULL) {
        m->modalities_in = n->modalities_in;
        first->in = later->in;
    }

    if (m->modalities_out.data == NULL) {
        m->modalities_out = n->modalities_out;
        first->out = later->out;
    }

    /* capabilities are united: one listing that has it is enough */

    for (i = 0; i < MG_CAP_N; i++) {
        if (n->caps[i] > m->caps[i]) {
            m->caps[i] = n->caps[i];
        }
    }

    mg_openai_merge_rest(first, later->rest);
}


static int
mg_openai_read(const mg_json_t *data, mg_arena_t *a,
    mg_openai_entry_t **list, unsigned *skipped)
{
    const mg_json_t     *v;
    mg_openai_entry_t   *x, *seen, **last;

    *list = NULL;
    last = list;

    for (v = data->child; v; v = v->next) {
        x = mg_arena_calloc(a, sizeof(mg_openai_entry_t));
        if (x == NULL) {
            return MG_ERROR;
        }

        mg_model_init(&x->model);

        if (v->type == MG_JSON_OBJECT
            && v->count <= MG_OPENAI_MEMBERS_MAX
            && mg_field_read(v, mg_openai_fields, x, a, &x->rest) != MG_OK)
        {
            return MG_ERROR;
        }

        if (x->model.provider_model_id.len == 0) {
            (*skipped)++;
            continue;
        }

        seen = mg_openai_seen(*list, x->model.provider_model_id);

        if (seen) {
            mg_openai_merge(seen, x);
            (*skipped)++;
            continue;
        }

        *last = x;
        last = &x->next;
    }

    return MG_OK;
}


static int
mg_openai_deliver(mg_openai_entry_t *x, mg_arena_t *a,
    mg_list_model_pt model, void *ctx, mg_error_t *e)
{
    mg_model_t  *m;

    for ( /* void */ ; x; x = x->next) {
        m = &x->model;

        if (m->name.len == 0) {
            m->name = m->provider_model_id;
        }

        m->source = mg_protocol_openai.name;
        m->type = mg_kind_infer(m, x->in, x->out);
        mg_kind_capabilities(m, x->in, x->out);

        if (mg_field_text(x->rest, a, &m->extra) != MG_OK) {
            return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list of models "
                                "needs more memory than allowed");
        }

        if (model(ctx, m, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_openai_list(mg_str_t body, mg_arena_t *a, mg_list_model_pt model,
    void *ctx, unsigned *skipped, mg_error_t *e)
{
    const mg_json_t    *doc, *data;
    mg_json_limits_t    limits;
    mg_openai_entry_t  *list;

    memset(&limits, 0, sizeof(limits));
    limits.members = 1000000;
    limits.total = MG_OPENAI_LIST_MAX;

    *skipped = 0;

    doc = mg_json_parse(a, body, &limits, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    data = (doc->type == MG_JSON_ARRAY) ? doc : mg_json_get(doc, "data");

    if (data == NULL || data->type != MG_JSON_ARRAY) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the list of models has "
                            "no array \"data\"; is the base URL that of an "
                            "OpenAI-compatible server?");
    }

    if (data->count > MG_OPENAI_MODELS_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list holds %u "
                            "models, more than %u cannot be read",
                            (unsigned) data->count, MG_OPENAI_MODELS_MAX);
    }

    if (mg_openai_read(data, a, &list, skipped) != MG_OK) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the list of models "
                            "needs more memory than allowed");
    }

    return mg_openai_deliver(list, a, model, ctx, e);
}


/* -- the probe -- */

/*
 * OpenAI's reasoning models (o1, o3-mini, gpt-5...) refuse "max_tokens";
 * every other server knows nothing else.
 */

static int
mg_openai_reasoning(mg_str_t id)
{
    size_t       i;
    const char  *p;

    for (i = id.len; i > 0 && id.data[i - 1] != '/'; i--) { /* void */ }

    p = id.data + i;
    id.len -= i;

    if (id.len >= 5 && memcmp(p, "gpt-5", 5) == 0) {
        return 1;
    }

    return id.len >= 2 && p[0] == 'o' && p[1] >= '1' && p[1] <= '9'
           && (id.len == 2 || p[2] == '-');
}


static void
mg_openai_chat_body(mg_jw_t *w, mg_str_t id)
{
    mg_jw_array(w, "messages");
    mg_jw_object(w, NULL);
    mg_jw_z(w, "role", "user");
    mg_jw_z(w, "content", "ping");
    mg_jw_end_object(w);
    mg_jw_end_array(w);

    if (mg_openai_reasoning(id)) {
        mg_jw_int(w, "max_completion_tokens", MG_OPENAI_REASONING);

    } else {
        mg_jw_int(w, "max_tokens", 1);
    }
}


static int
mg_openai_probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body)
{
    mg_jw_t   w;
    mg_str_t  id;

    id = m->provider_model_id;

    if (m->type != MG_TYPE_CHAT && m->type != MG_TYPE_EMBEDDING) {
        return MG_DECLINED;
    }

    mg_jw_init(&w, body);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "model", id);

    if (m->type == MG_TYPE_CHAT) {
        mg_buf_z(path, "/chat/completions");
        mg_openai_chat_body(&w, id);

    } else {
        mg_buf_z(path, "/embeddings");
        mg_jw_z(&w, "input", "ping");
    }

    mg_jw_end_object(&w);

    return (body->failed || path->failed) ? MG_ERROR : MG_OK;
}


/* -- the answer -- */

/* The provider's words: bounded, on one line, valid UTF-8. */

static mg_str_t
mg_openai_clean(mg_str_t s, mg_arena_t *a)
{
    char    *p;
    size_t   i, n;

    n = s.len < MG_OPENAI_MESSAGE_MAX ? s.len : MG_OPENAI_MESSAGE_MAX;

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


/*
 * Errors come as {"error": {"message", "code", "type"}}, {"error": "..."},
 * {"message": "..."} or {"detail": "..."}.  *code gets the machine's word,
 * if any.
 */

static mg_str_t
mg_openai_error(const mg_json_t *doc, mg_str_t *code)
{
    mg_str_t          s;
    const mg_json_t  *error;

    *code = mg_str_null;
    error = mg_json_get(doc, "error");

    if (error && error->type == MG_JSON_OBJECT) {
        *code = mg_json_str(error, "code");

        if (code->len == 0) {
            *code = mg_json_str(error, "type");
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
mg_openai_class(int status, mg_str_t code)
{
    unsigned  i;

    static const struct {
        mg_str_t          code;
        mg_probe_class_e  class;
    } codes[] = {
        { mg_str("model_not_found"), MG_PROBE_NOT_FOUND },
        { mg_str("insufficient_quota"), MG_PROBE_QUOTA },
        { mg_str("rate_limit_exceeded"), MG_PROBE_QUOTA },
        { mg_str("invalid_api_key"), MG_PROBE_AUTH }
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
mg_openai_judge_answer(const mg_model_t *m, const mg_json_t *doc,
    mg_arena_t *a, mg_str_t *message)
{
    mg_str_t          code, words;
    const char       *member;
    const mg_json_t  *v;

    v = mg_json_get(doc, "error");

    if (v && v->type != MG_JSON_NULL) {
        words = mg_openai_error(doc, &code);
        *message = words.len ? mg_openai_clean(words, a)
                             : mg_str("the answer is an error without words");
        return mg_openai_class(200, code);
    }

    member = (m->type == MG_TYPE_EMBEDDING) ? "data" : "choices";
    v = mg_json_get(doc, member);

    if (v == NULL || v->type != MG_JSON_ARRAY || v->count == 0) {
        *message = mg_arena_printf(a, "the answer holds no \"%s\"", member);
        return MG_PROBE_BAD_ANSWER;
    }

    return MG_PROBE_OK;
}


static mg_probe_class_e
mg_openai_judge(const mg_model_t *m, int status, mg_str_t body,
    mg_arena_t *a, mg_str_t *message)
{
    mg_str_t          code, words;
    const mg_json_t  *doc;

    *message = mg_str_null;
    doc = mg_json_parse(a, body, NULL, NULL);

    if (status == 200) {
        if (doc) {
            return mg_openai_judge_answer(m, doc, a, message);
        }

        *message = mg_str("the answer is not a complete JSON document");
        return MG_PROBE_BAD_ANSWER;
    }

    words = doc ? mg_openai_error(doc, &code) : mg_str_null;

    if (doc == NULL) {
        code = mg_str_null;
    }

    *message = words.len ? mg_openai_clean(words, a)
                         : mg_arena_printf(a, "status %d", status);

    return mg_openai_class(status, code);
}
