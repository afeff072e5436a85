-- POST the bodies of a file in turn (see write_bodies in load.py), and print what came of it as JSON.
local requests, at = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local headers = {}
  for i = 2, #args do
    local name, value = args[i]:match("^(.-): (.*)$")
    headers[name] = value
  end
  while true do
    local length = file:read("*number")
    if length == nil then break end
    file:read(1)
    requests[#requests + 1] = wrk.format("POST", nil, headers, file:read(length))
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "us": %d, "p50": %d, "p99": %d, "errors": [%d, %d, %d, %d, %d]}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
