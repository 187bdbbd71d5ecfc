"""As many requests as a service takes: wrk, which costs little, or our own generator where there is no wrk."""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import load
from benchmarks.report import percentile

# Each request is written once, before the clock starts; they are sent in turn.
_SCRIPT = """
local requests, turn = {}, 0
local paths = %(paths)s
function init(arguments)
    for place, path in ipairs(paths) do
        requests[place] = wrk.format("POST", path, {["Content-Type"] = "application/json"}, [==[%(body)s]==])
    end
end
function request()
    turn = turn %% #requests + 1
    return requests[turn]
end
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("RESULT [%%d, %%d, %%d, %%d, %%d, %%d]", summary.duration, summary.requests, e.status,
        e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Fired:
    """What one phase did. `good`: answers of 2xx; times in milliseconds; `cpu`: of the generator, in seconds."""

    seconds: float
    good: int
    bad: int
    p50: float
    p99: float
    cpu: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds


def body(length: int) -> bytes:
    """A JSON object of so many bytes, such as a webhook sends."""
    event: dict[str, object] = {
        "id": "evt_1QxWbZ2eZvKYlo2C0f3G9aTu",
        "type": "invoice.payment_succeeded",
        "created": 1767225600,
        "livemode": False,
        "data": {"object": {"customer": "cus_RkT8mJ0dYvQz1b", "currency": "eur", "amount_paid": 129900}},
        "note": "",
    }
    event["note"] = "x" * (length - len(json.dumps(event)))
    return json.dumps(event).encode()


def generator() -> str:
    """Which one is used."""
    return "wrk" if shutil.which("wrk") else "our own, in Python; for less of a load: apt-get install wrk"


def fire(port: int, connections: int, seconds: float, paths: Sequence[str], content: bytes) -> Fired:
    """Posts `content` to `paths` in turn, over so many connections, each as fast as it is answered."""
    if not shutil.which("wrk"):
        return _own(port, connections, seconds, paths, content)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        listed = "{" + ", ".join(f'"{path}"' for path in paths) + "}"
        script.write(_SCRIPT % {"paths": listed, "body": content.decode()})
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "20s", "-s", script.name]
        before = _children()
        said = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True, timeout=seconds + 60
        ).stdout
        cpu = _children() - before
    line = next(line for line in said.splitlines() if line.startswith("RESULT "))
    length, requests, refused, broken, p50, p99 = json.loads(line.removeprefix("RESULT "))
    return Fired(length / 1e6, requests - refused, refused + broken, p50 / 1000, p99 / 1000, cpu)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own(port: int, connections: int, seconds: float, paths: Sequence[str], content: bytes) -> Fired:
    done = load.run(port, connections, paths=paths, body=content, seconds=seconds)
    good, p50, p99 = len(done.good), percentile(done.milliseconds, 50), percentile(done.milliseconds, 99)
    return Fired(done.seconds, good, len(done.answers) - good, p50, p99, done.cpu_seconds)
