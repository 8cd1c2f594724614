-- wrk script: POSTs a chat request of a given size with N sticky keys.
-- Environment: BENCH_BODY (bytes), BENCH_KEYS, BENCH_TOKEN, BENCH_MODEL,
-- BENCH_HEADER ("name: value", one more).

local size  = tonumber(os.getenv("BENCH_BODY") or "1024")
local keys  = tonumber(os.getenv("BENCH_KEYS") or "256")
local token = os.getenv("BENCH_TOKEN") or ""
local model = os.getenv("BENCH_MODEL") or "bench"

local head = '{"temperature":0.7,"messages":[{"role":"system","content":'
    .. '"You are a careful assistant."},{"role":"user","content":"'
local tail = '"}],"model":"' .. model .. '","max_tokens":64}'
local text = "The quick brown fox jumps over the lazy dog, line\\n"
local room = size - #head - #tail
local fill = string.rep(text, math.floor(room / #text))
local body = head .. fill .. string.rep("x", room - #fill) .. tail

local requests = {}
local turn = 0

function init(args)
    local name, value = (os.getenv("BENCH_HEADER") or ""):match("^(.-): (.*)$")

    for i = 1, keys do
        local headers = {
            ["Host"]          = "gateway",
            ["Content-Type"]  = "application/json",
            ["Authorization"] = "Bearer " .. token,
            ["X-Session-Id"]  = "session-" .. i,
        }

        if name then
            headers[name] = value
        end

        requests[i] = wrk.format("POST", "/v1/chat/completions", headers, body)
    end
end

function request()
    turn = turn % keys + 1
    return requests[turn]
end

function done(summary, latency, _)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
        summary.duration, e.connect + e.read + e.write + e.timeout,
        e.status, latency:percentile(99)))
end
