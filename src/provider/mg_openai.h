/*
 * mg_openai.h: the row of OpenAI's protocol in the table of protocols.
 *
 * OpenAI itself and the many servers that speak like it: vLLM, llama.cpp,
 * Groq, Together, Mistral, Moonshot, gateways.
 *
 * Plain data; any thread.
 */

#ifndef MG_OPENAI_H
#define MG_OPENAI_H

#include "provider/mg_protocol.h"


extern const mg_protocol_t  mg_protocol_openai;


#endif /* MG_OPENAI_H */
