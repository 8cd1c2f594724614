/*
 * Drives the gateway with the npm package "openai", the way an application
 * would: list the models, one chat answer, one streamed answer, one error.
 * Arguments: base URL, API key, model.  Prints one JSON object.
 */

import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello." }];
const out = {};

out.models = [];
for await (const m of await client.models.list()) {
    out.models.push(m.id);
}

const answer = await client.chat.completions.create({
    model, messages, user: "openai-client",
});
out.content = answer.choices[0].message.content;
out.usage = answer.usage;

const stream = await client.chat.completions.create({
    model, messages, user: "openai-client", stream: true,
    stream_options: { include_usage: true },
});
out.streamed = "";
out.chunks = 0;
for await (const chunk of stream) {
    out.chunks++;
    out.streamed += chunk.choices[0]?.delta?.content ?? "";
    if (chunk.usage) {
        out.stream_usage = chunk.usage;
    }
}

const vectors = await client.embeddings.create({ model, input: "hello" });
out.dimensions = vectors.data[0].embedding.length;

try {
    await client.chat.completions.create({ model: "no-such-group", messages });

} catch (e) {
    out.error = { status: e.status, code: e.code, message: e.message };
}

console.log(JSON.stringify(out));
