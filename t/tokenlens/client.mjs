/*
 * Reads the catalog with the npm package "@tokenlens/fetch", a client of
 * models.dev, the way an application would: all of it, one provider, one
 * model, a model of any provider.  Arguments: URL of api.json, token.
 * Prints one JSON object.
 */

import { fetchModels, FetchModelsError, getModelMeta }
    from "@tokenlens/fetch";

const [baseUrl, token] = process.argv.slice(2);
const authorized = (url, options = {}) => fetch(url, {
    ...options, headers: { Authorization: `Bearer ${token}` },
});
const options = { baseUrl, fetch: authorized };
const out = {};

out.catalog = await fetchModels(options);
out.provider = await fetchModels({ ...options, provider: "openai" });
out.model = await fetchModels({
    ...options, provider: "openai", model: "gpt-4o",
});
out.everywhere = (await fetchModels({ ...options, model: "gpt-4o" }))
    .map((found) => found.provider);
out.meta = getModelMeta({
    providers: out.catalog, provider: "openai", model: "gpt-4o",
}) ?? null;

try {
    await fetchModels({ baseUrl });

} catch (error) {
    out.error = {
        typed: error instanceof FetchModelsError,
        code: error.code, status: error.status,
    };
}

console.log(JSON.stringify(out));
