/*
 * mg_protocols.h: the rows of the table of protocols.
 *
 * One a file: mg_openai.c, mg_anthropic.c, ...  Who wants a protocol finds it
 * by its name (mg_protocol_find); only the table itself names them all.
 *
 * Plain data; any thread.
 */

#ifndef MG_PROTOCOLS_H
#define MG_PROTOCOLS_H

#include "provider/mg_protocol.h"


extern const mg_protocol_t  mg_protocol_openai;
extern const mg_protocol_t  mg_protocol_anthropic;
extern const mg_protocol_t  mg_protocol_google;
extern const mg_protocol_t  mg_protocol_mistral;
extern const mg_protocol_t  mg_protocol_cohere;
extern const mg_protocol_t  mg_protocol_ollama;
extern const mg_protocol_t  mg_protocol_azure;
extern const mg_protocol_t  mg_protocol_deepseek;
extern const mg_protocol_t  mg_protocol_xai;
extern const mg_protocol_t  mg_protocol_openrouter;
extern const mg_protocol_t  mg_protocol_huggingface;
extern const mg_protocol_t  mg_protocol_gpustack;
extern const mg_protocol_t  mg_protocol_kserve_v2;


#endif /* MG_PROTOCOLS_H */
