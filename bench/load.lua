-- What wrk sends, and what it says in the end: one line of JSON for bench/measure.py.
--
--     wrk ... --script bench/load.lua URL -- BODY [COOKIE ...]
--
-- BODY: the bytes of a body to POST, 0 for a GET. Cookies, if any, take turns: one visitor's each.

function init(arguments)
  local bytes = tonumber(arguments[1])
  if bytes > 0 then
    wrk.method, wrk.body = "POST", string.rep("x", bytes)
  end
  take_turns(arguments)
end

-- wrk calls a global `request`, where there is one, for each request: none without cookies.
function take_turns(arguments)
  local requests, turn = {}, 0
  for number = 2, #arguments do
    wrk.headers["Cookie"] = arguments[number]
    requests[number - 1] = wrk.format()
  end
  if #requests > 0 then
    request = function()
      turn = turn % #requests + 1
      return requests[turn]
    end
  end
end

-- wrk counts in microseconds.
function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "errors": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
