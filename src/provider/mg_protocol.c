/*
 * mg_protocol.c: the table of provider protocols.
 *
 * Each protocol is one constant in a file of its own; here they are listed
 * and found by name.  Linear search: there are a handful, and nobody looks
 * one up for each request.
 *
 * Called by jobs and by the calls that write providers; touches nothing.
 */

#include "provider/mg_protocol.h"

#include "provider/mg_protocols.h"


const mg_str_t  mg_probe_class_names[MG_PROBE_N] = {
    mg_str("ok"),
    mg_str("auth"),
    mg_str("quota"),
    mg_str("not_found"),
    mg_str("timeout"),
    mg_str("connect"),
    mg_str("overloaded"),
    mg_str("bad_answer"),
    mg_str("unsupported")
};


static const mg_protocol_t  *mg_protocols[] = {
    &mg_protocol_openai,
    &mg_protocol_anthropic,
    &mg_protocol_google,
    &mg_protocol_mistral,
    &mg_protocol_cohere,
    &mg_protocol_ollama,
    &mg_protocol_azure,
    &mg_protocol_deepseek,
    &mg_protocol_xai,
    &mg_protocol_openrouter,
    &mg_protocol_huggingface,
    &mg_protocol_gpustack,
    &mg_protocol_kserve_v2
};


const mg_protocol_t *
mg_protocol_find(mg_str_t name)
{
    unsigned  i;

    if (name.data == NULL) {
        return &mg_protocol_openai;
    }

    for (i = 0; i < sizeof(mg_protocols) / sizeof(mg_protocols[0]); i++) {
        if (mg_str_eq(mg_protocols[i]->name, name)) {
            return mg_protocols[i];
        }
    }

    return NULL;
}


const mg_protocol_t *
mg_protocol_at(unsigned i)
{
    return (i < sizeof(mg_protocols) / sizeof(mg_protocols[0]))
           ? mg_protocols[i] : NULL;
}
