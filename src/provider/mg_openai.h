/*
 * mg_openai.h: OpenAI's protocol, and what its likes share with it.
 *
 * OpenAI itself and the many servers that speak like it: vLLM, llama.cpp,
 * Groq, Together, Moonshot, Vercel, gateways.  Protocols whose list differs
 * but whose models are asked in the same way take probe and judge from here.
 *
 * Any thread; never blocks.
 */

#ifndef MG_OPENAI_H
#define MG_OPENAI_H

#include "provider/mg_list.h"


/* The members of an entry, as OpenAI's likes name them. */
extern const mg_field_t  mg_openai_fields[];

/* See mg_protocol_t. */
int mg_openai_probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body);
mg_probe_class_e mg_openai_judge(const mg_model_t *m, int status,
    mg_str_t body, mg_arena_t *a, mg_str_t *message);


#endif /* MG_OPENAI_H */
