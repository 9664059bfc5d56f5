"""Load on the app: wrk as fast as it can, or at a fixed rate."""

import json
import os
import re
import tempfile
from pathlib import Path

from .machine import run
from .postgres import SAME_DAY
from .programs import API

# Requests are made before the clock runs, so that the load generator takes as little of the machine as it can.
LUA = """
local letters = {{["0"]="a",["1"]="b",["2"]="c",["3"]="d",["4"]="e",["5"]="f",["6"]="g",["7"]="h",["8"]="i",["9"]="j"}}
local requests, count, next, kind = {{}}, "{kind}" == "insert" and 200000 or 20000, 0, "{kind}"
local function path(first, last) return "/hello/u" .. string.gsub(string.format("%d", math.random(first, last)), "%d", letters) end
local function get() return wrk.format("GET", path(1, {users}), {{{headers}}}) end
local function put(path, date)
  return wrk.format("PUT", path, {{["content-type"]="application/json"}}, '{{"dateOfBirth":"' .. date .. '"}}')
end
local function some_day() return string.format("%d-%02d-%02d", math.random(1920, 1999), math.random(1, 12), math.random(1, 28)) end
local function made()
  if kind == "get" or kind == "mix" and math.random(10) > 1 then return get() end
  if kind == "insert" then return put(path(1000000001, 2000000000), some_day()) end
  return put(path(1, {users}), kind == "same" and "{same_day}" or some_day())
end
function init()
  math.randomseed(os.time() + tonumber(string.sub(tostring(requests), -6), 16))
  for n = 1, count do requests[n] = made() end
end
function request()
  next = next % count + 1
  return requests[next]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nJSON {{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def closed(workload, users, connections, seconds, *, tls=False, reconnects=False):
    """Each connection sends the next request when it has the answer; times in ms."""
    headers = '["connection"]="close"' if reconnects else ""
    script = Path(tempfile.gettempdir()) / f"hello-bench-{os.getpid()}.lua"
    script.write_text(LUA.format(kind=workload, users=users, headers=headers, same_day=SAME_DAY))
    try:
        output = run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "-s", script,
                     f"{'https' if tls else 'http'}://{API}")
    finally:
        script.unlink()
    return json.loads(re.search(r"^JSON (.*)$", output, re.M)[1])


def at_rate(binary, rate, users, connections, seconds):
    """Requests begin when the clock says so, whether or not earlier ones have their answers; times from that moment, in ms."""
    return json.loads(run(binary, API, str(int(rate)), str(users), str(connections), str(seconds)))
