/*
 * mg_kserve.c: the Open Inference Protocol, version 2, as KServe, Triton,
 * MLServer and OpenVINO speak it.
 *
 *     [{"name", "version", "state": "READY", "reason"}]
 *
 * The base URL is the server's, without /v2.  The list is the index of the
 * model repository, an extension that is asked with a POST; a server without
 * it says 404, and its models are those that somebody has named.  A model
 * stands once for each of its versions.
 *
 * What a model takes is its own affair, so no body proves it alive: it is
 * asked whether it is ready.  The server's own readiness says less, since it
 * fails while any of its models is loaded.
 *
 * Any thread; touches nothing but the arena.
 */

#include "base/mg_uri.h"
#include "provider/mg_list.h"
#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"


static int mg_kserve_probe(const mg_model_t *m, mg_buf_t *path,
    mg_buf_t *body);
static mg_probe_class_e mg_kserve_judge(const mg_model_t *m, int status,
    mg_str_t body, mg_arena_t *a, mg_str_t *message);


/* What an answer that says no is judged by: no answer has to have this. */
static const mg_ping_t  mg_kserve_pings[] = {
    { MG_TYPE_OTHER, "/ready", NULL, "ready" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


static const mg_field_t  mg_kserve_fields[] = {
    MG_ENTRY("name", STR, provider_model_id),
    MG_ENTRY("version", STR, version),
    MG_FIELD_END
};


static const mg_list_t  mg_kserve_entries = {
    .source = mg_str("kserve_v2"),
    .arrays = { "models" },
    .server = "a server of the V2 protocol, without /v2",
    .fields = mg_kserve_fields
};


MG_LIST_DEFINE(mg_kserve_list, mg_kserve_entries)


const mg_protocol_t  mg_protocol_kserve_v2 = {
    .name = mg_str("kserve_v2"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/v2/repository/index",
    .list_body = "{}",
    .list = mg_kserve_list,
    .authority = 1,
    .probe = mg_kserve_probe,
    .judge = mg_kserve_judge
};


static int
mg_kserve_probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body)
{
    char      *p;
    mg_str_t   id;

    (void) body;

    id = m->provider_model_id;
    mg_buf_z(path, "/v2/models/");

    p = mg_buf_reserve(path, id.len * 3);
    if (p == NULL) {
        return MG_ERROR;
    }

    path->len += mg_uri_encode(id, "", p);
    mg_buf_z(path, mg_kserve_pings[0].path);

    return path->failed ? MG_ERROR : MG_OK;
}


/*
 * A body is optional; where there is one it may say {"ready": false}.  400 is
 * Triton's word for a model that it has not loaded or does not know.
 */

static mg_probe_class_e
mg_kserve_judge(const mg_model_t *m, int status, mg_str_t body,
    mg_arena_t *a, mg_str_t *message)
{
    const mg_json_t   *doc, *error;
    mg_probe_class_e   class;

    *message = mg_str_null;

    if (status == 200 && body.len == 0) {
        return MG_PROBE_OK;
    }

    if (status == 200) {
        doc = mg_json_parse(a, body, NULL, NULL);
        error = mg_json_get(doc, "error");

        if (doc && doc->type == MG_JSON_OBJECT
            && (error == NULL || error->type == MG_JSON_NULL))
        {
            if (mg_json_tri(mg_json_get(doc, "ready")) != 0) {
                return MG_PROBE_OK;
            }

            *message = mg_str("the model is not ready");
            return MG_PROBE_OVERLOADED;
        }
    }

    class = mg_ping_judge(mg_kserve_pings, m, status, body, a, message);

    return (status == 400 && class == MG_PROBE_BAD_ANSWER)
           ? MG_PROBE_NOT_FOUND : class;
}
