-- wrk script: what clients of a catalog ask for, in turn.

local paths = {
    "/api/v1/models",
    "/api/v1/models?page=2&limit=20",
    "/api/v1/models?provider=openai&capability=vision",
    "/api/v1/models?search=claude+sonnet",
    "/api/v1/models?search=llama",
    "/api/v1/models?type=chat&sort=-context",
    "/api/v1/models?max_input_price=1&sort=input_price",
    "/api/v1/models/openai/gpt-4o",
    "/api/v1/models/anthropic/claude-sonnet-4-5",
    "/api/v1/models/compare?ids=openai/gpt-4o,openai/gpt-4o-mini",
    "/api/v1/models/capability/reasoning?limit=10",
    "/api/v1/providers?limit=20",
    "/api/v1/providers/openai",
    "/api/v1/providers/openai/models"
}

local requests = {}
local at = 0

function init(args)
    for i, path in ipairs(paths) do
        requests[i] = wrk.format("GET", path, { ["Host"] = "gateway" })
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests,
        e.connect + e.read + e.write + e.timeout, e.status,
        latency:percentile(50), latency:percentile(95),
        latency:percentile(99)))
end
