"""The wrk scripts: what is sent, and one line of JSON at the end instead of wrk's own table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MARK = "bench-report "

# A function per request costs the generator time, so GETs of one path stay wrk's own prebuilt request.
_HEAD = """
wrk.method = "{method}"
{headers}
"""

_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{mark}{{"answers":%d,"seconds":%.6f,"bad_status":%d,"socket_errors":%d,"p99_ms":%.3f}}\\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(99) / 1000))
end
"""

_ROTATE = """
local paths = {{{paths}}}
local prepared, at = {{}}, 0
init = function(args)
  for i = 1, #paths do prepared[i] = wrk.format(nil, paths[i]) end
end
request = function()
  at = at % #prepared + 1
  return prepared[at]
end
"""

# Every number is padded with blanks (JSON allows them), so that all bodies are equally long and the head is built once.
_EVENTS = """
local ids = {{{ids}}}
local rnd, format, concat = math.random, string.format, table.concat
local pattern = '{{"event_id":"%08x-%04x-4%03x-a%03x-%08x%04x","release_id":%9d,'
  .. '"duration_seconds":%4d,"completion_percentage":%3d}}'
local batch, count = {batch}, #ids
local function event()
  return format(pattern, rnd(0, 4294967295), rnd(0, 65535), rnd(0, 4095), rnd(0, 4095), rnd(0, 4294967295),
    rnd(0, 65535), ids[rnd(1, count)], rnd(60, 1500), rnd(1, 100))
end
local function body()
  if batch == 1 then return event() end
  local events = {{}}
  for i = 1, batch do events[i] = event() end
  return '[' .. concat(events, ',') .. ']'
end
local head
init = function(args)
  math.randomseed({seed})
  local example = body()
  local whole = wrk.format(nil, "{path}", nil, example)
  head = whole:sub(1, #whole - #example)
end
request = function()
  return head .. body()
end
"""


# Each person follows one release after another; the bodies are equally long, as above.
_SUBSCRIPTIONS = """
local tokens, releases, heads, at = {{{tokens}}}, {releases}, {{}}, 0
local function body(release)
  return string.format('{{"subscription_type":"release","target_id":%9d}}', release)
end
init = function(args)
  local example = body(1)
  for i = 1, #tokens do
    wrk.headers["Authorization"] = "Bearer " .. tokens[i]
    local whole = wrk.format(nil, "{path}", nil, example)
    heads[i] = whole:sub(1, #whole - #example)
  end
end
request = function()
  at = at + 1
  return heads[(at - 1) % #heads + 1] .. body(math.floor((at - 1) / #heads) % releases + 1)
end
"""

# Everybody does one thing after another: by turns to different targets, so that nobody does the same twice. Heads are
# made in advance, bodies are equally long.
_DOING = """
local tokens, ids, heads, at = {{{tokens}}}, {{{ids}}}, {{}}, 0
local format, floor = string.format, math.floor
local function body(turn)
  return format('{body}', turn)
end
init = function(args)
  local length = #body(1)
  for i = 1, #tokens do
    heads[i] = "{after} HTTP/1.1\\r\\nHost: bench\\r\\nUser-Agent: {browser}\\r\\nAuthorization: Bearer " .. tokens[i]
      .. "\\r\\nContent-Type: application/json\\r\\nContent-Length: " .. length .. "\\r\\n\\r\\n"
  end
end
request = function()
  local user, round = at % #tokens + 1, floor(at / #tokens)
  at = at + 1
  return "{method} {before}" .. ids[(user * 7 + round * 131) % #ids + 1] .. heads[user] .. body(at)
end
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _head(method: str, headers: Mapping[str, str]) -> str:
    lines = (f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in headers.items())
    return _HEAD.format(method=method, headers="\n".join(lines))


def getting(paths: Sequence[str], headers: Mapping[str, str]) -> str:
    """Return the script of GETs of `paths` in turn; one path is wrk's own fast case."""
    rotate = _ROTATE.format(paths=",".join(map(_quoted, paths))) if len(paths) > 1 else ""
    return _head("GET", headers) + rotate + _DONE.format(mark=MARK)


def posting(path: str, headers: Mapping[str, str], release_ids: Sequence[int], batch: int, seed: int) -> str:
    """Return the script of POSTs of `batch` fresh events each, an object where `batch` is 1."""
    events = _EVENTS.format(ids=",".join(map(str, release_ids)), batch=batch, path=path, seed=seed)
    return _head("POST", headers) + events + _DONE.format(mark=MARK)


def subscribing(path: str, headers: Mapping[str, str], tokens: Sequence[str], releases: int) -> str:
    """Return the script of POSTs by which the holders of `tokens` follow releases 1 to `releases`."""
    text = _SUBSCRIPTIONS.format(tokens=",".join(map(_quoted, tokens)), releases=releases, path=path)
    return _head("POST", headers) + text + _DONE.format(mark=MARK)


def doing(method: str, path: str, ids: Sequence[int], tokens: Sequence[str], body: str, browser: str) -> str:
    """Return the script in which the holders of `tokens` do the same to `ids`, each of which stands for `{}` in `path`.

    `body` is a pattern of Lua's format with at most one number in it, padded to a fixed length.
    """
    before, _, after = path.partition("{}")
    text = _DOING.format(
        tokens=",".join(map(_quoted, tokens)), ids=",".join(map(str, ids)), body=body, before=before, after=after,
        method=method, browser=browser,
    )  # fmt: skip
    return text + _DONE.format(mark=MARK)
