"""Closed-loop load by wrk: as many requests as the connections allow, as a model's callers make them.

Responsible for: the request that is sent (a POST of about 130 bytes with 13 header fields and one of 1,000 users), and
what wrk says about a run.
Does not know: what is measured meanwhile.

Rules: the requests are written once, before the run, so that the generator costs the same whatever is sent; an answer
other than 2xx or a broken connection makes the run invalid, never a number.
"""

import json
from pathlib import Path

import msgspec

from benchmarks.process import Program, ProgramError

BODY = json.dumps(
    {
        "inputs": [
            {"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}
        ],
        "id": "abcdef",
    }
)
FIELDS = {
    "Host": "models.example.org",
    "User-Agent": "benchmark/1.0",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Accept-Language": "en-US,en;q=0.9",
    "Cache-Control": "no-cache",
    "Content-Type": "application/json",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "Origin": "https://www.example.org",
    "X-Country": "US",
    "X-Tier": "gold",
}  # with X-User-Id and Content-Length: 13
PATH = "/v2/models/ranker/infer"
USERS = 1000

SCRIPT = """\
local requests = {}
local turn = 0
function init(args)
  wrk.headers = {}
  for number = 1, %(users)d do
    requests[number] = string.gsub(%(head)s, "USER", string.format("user-%%06d", number)) .. %(body)s
  end
end
function request()
  turn = turn %% %(users)d + 1
  return requests[turn]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "duration_us": %%d, "errors": %%d, "p50_us": %%d, "p99_us": %%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Result(msgspec.Struct, frozen=True):
    """What wrk said about one run."""

    requests: int
    duration_us: int
    errors: int
    p50_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.duration_us * 1e6


def script(folder: Path, path: str = PATH, method: str = "POST", body: str = BODY) -> Path:
    """Write the wrk script that sends this request; return its path."""
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    head += f"X-User-Id: USER\r\nContent-Length: {len(body)}\r\n\r\n"
    file = folder / f"{method.lower()}-{path.strip('/').replace('/', '-')}-{len(body)}.lua"
    file.write_text(
        SCRIPT % {"users": USERS if len(body) < 4096 else 8, "head": json.dumps(head), "body": lua_string(body)}
    )
    return file


def lua_string(text: str) -> str:
    """Return a Lua expression for a string; a long run of one character is written as a repetition."""
    if len(text) > 4096 and len(set(text)) == 1:
        return f"string.rep({json.dumps(text[0])}, {len(text)})"
    return json.dumps(text)


def command(wrk: str, port: int, connections: int, seconds: float, lua: Path) -> list[str]:
    """Return the wrk command line for one run with one thread."""
    url = f"http://127.0.0.1:{port}"
    return [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "--latency", "-s", str(lua), url]


def finish(program: Program, patience: float) -> Result:
    """Wait for a run to end and return what wrk said; raise ``ProgramError`` when any request failed."""
    program.process.wait(patience)
    text = program.log.read_text(errors="replace")
    for line in text.splitlines():
        if line.startswith("RESULT "):
            result = msgspec.json.decode(line.removeprefix("RESULT "), type=Result)
            if result.errors or not result.requests:
                raise ProgramError(
                    f"{program.name}: {result.errors} of {result.requests} requests failed:\n{text[-600:]}"
                )
            return result
    raise ProgramError(f"{program.name} said nothing usable:\n{text[-1500:]}")
