/*
 * mg_package.c: the table of client libraries.
 *
 * A provider whose package is everybody's but whose list says more is named
 * by its id; such rows come first.  A package that is not listed speaks a
 * protocol of its own (signatures of AWS, OAuth of Google's cloud): unknown.
 *
 * Called by adapters; touches nothing.
 */

#include "provider/mg_package.h"


static const struct {
    const char  *provider;             /* NULL: any of that package */
    const char  *npm;                  /* NULL: whatever the package */
    mg_str_t     protocol;
} mg_packages[] = {
    { "deepseek", NULL, mg_str("deepseek") },
    { "huggingface", NULL, mg_str("huggingface") },

    { NULL, "@ai-sdk/openai-compatible", mg_str("openai") },
    { NULL, "@ai-sdk/openai", mg_str("openai") },
    { NULL, "@ai-sdk/anthropic", mg_str("anthropic") },
    { NULL, "@ai-sdk/google", mg_str("google") },
    { NULL, "@ai-sdk/mistral", mg_str("mistral") },
    { NULL, "@ai-sdk/cohere", mg_str("cohere") },
    { NULL, "@ai-sdk/azure", mg_str("azure") },
    { NULL, "@ai-sdk/xai", mg_str("xai") },
    { NULL, "@ai-sdk/deepseek", mg_str("deepseek") },
    { NULL, "@openrouter/ai-sdk-provider", mg_str("openrouter") },
    { NULL, "@ai-sdk/groq", mg_str("openai") },
    { NULL, "@ai-sdk/togetherai", mg_str("openai") },
    { NULL, "@ai-sdk/deepinfra", mg_str("openai") },
    { NULL, "@ai-sdk/perplexity", mg_str("openai") },
    { NULL, "@ai-sdk/cerebras", mg_str("openai") },
    { NULL, "@ai-sdk/vercel", mg_str("openai") },
    { NULL, "@ai-sdk/gateway", mg_str("openai") }
};


mg_str_t
mg_package_protocol(const mg_provider_t *p)
{
    unsigned     i;
    mg_str_t     own;
    const char  *npm;

    for (i = 0; i < sizeof(mg_packages) / sizeof(mg_packages[0]); i++) {
        npm = mg_packages[i].npm;
        own = mg_str_z(npm ? npm : mg_packages[i].provider);

        if (mg_str_eq(own, npm ? p->npm : p->id)) {
            return mg_packages[i].protocol;
        }
    }

    return mg_str_null;
}
