-- wrk script: GETs BENCH_PATH, with BENCH_TOKEN and BENCH_ENCODING when set.

local token = os.getenv("BENCH_TOKEN") or ""
local headers = { ["Host"] = "gateway" }

if token ~= "" then
    headers["Authorization"] = "Bearer " .. token
end

local encoding = os.getenv("BENCH_ENCODING") or ""

if encoding ~= "" then
    headers["Accept-Encoding"] = encoding
end

local one

function init(args)
    one = wrk.format("GET", os.getenv("BENCH_PATH") or "/", headers)
end

function request()
    return one
end

function done(summary, latency, _)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
        summary.duration, e.connect + e.read + e.write + e.timeout,
        e.status, latency:percentile(99)))
end
