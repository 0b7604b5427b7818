"""A load and what came of it: described once, made by wrk where it is installed and by `client.py` where it is not."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import lua
from tests.bench.probe import exchange
from tests.bench.processes import HOST, BenchError, clean_environment, python

# A reader's browser: views of a client without a name may be taken for a crawler's and not be counted.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EVENT_TABLE = 8192


@dataclass(frozen=True)
class Load:
    """Requests over kept-alive connections: GETs of `paths` in turn, or POSTs of `batch` fresh events to `paths[0]`.

    `batch` 0 sends GETs, 1 a single event object, more an array. The release of an event is drawn from `release_ids`,
    which repeats an id as often as it is popular. `expect` is the only status that counts as a success.
    """

    paths: tuple[str, ...]
    expect: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 32
    batch: int = 0
    release_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What one measured stretch gave: answers per second, answers, failures, and the 99th percentile in ms."""

    rate: float
    answers: int
    failures: int
    p99_ms: float


@dataclass(frozen=True)
class Contender:
    """A load against one port, with the name it has in the results."""

    name: str
    port: int
    load: Load


@dataclass
class Series:
    """The outcomes of one contender, round by round."""

    outcomes: list[Outcome] = field(default_factory=list)
    warm_up: int = 0

    @property
    def rate(self) -> float:
        """Median of answers per second."""
        return statistics.median(outcome.rate for outcome in self.outcomes)

    @property
    def p99_ms(self) -> float:
        """Median of the rounds' 99th percentiles, in ms."""
        return statistics.median(outcome.p99_ms for outcome in self.outcomes)

    @property
    def failures(self) -> int:
        """Requests that failed in all rounds."""
        return sum(outcome.failures for outcome in self.outcomes)

    @property
    def answers(self) -> int:
        """Requests answered as expected since the server started, the warm-up among them."""
        return self.warm_up + sum(outcome.answers for outcome in self.outcomes)


def interleave(contenders: Sequence[Contender], rounds: int, seconds: float, scratch: Path) -> dict[str, Series]:
    """Load the contenders in turn (A B A B …), so that a slow minute of the machine strikes all of them alike."""
    series = {contender.name: Series() for contender in contenders}
    for contender in contenders:
        check(contender)
        warm_up = run_load(contender.port, contender.load, min(1.0, seconds), scratch)
        if not warm_up.answers:
            raise BenchError(f"{contender.name}: no answer as expected under load ({warm_up.failures} failures)")
        series[contender.name].warm_up = 1 + warm_up.answers
    for _ in range(rounds):
        for contender in contenders:
            series[contender.name].outcomes.append(run_load(contender.port, contender.load, seconds, scratch))
    return series


def ratios(measured: Series, limit: Series) -> list[float]:
    """Return the ratio of each round: neighbours in time are compared, not the medians of different minutes."""
    pairs = zip(measured.outcomes, limit.outcomes, strict=True)
    return [ours.rate / theirs.rate for ours, theirs in pairs if theirs.rate > 0]


def check(contender: Contender) -> None:
    """Send one request as the load will send it; raises BenchError when it is not answered as expected."""
    load = contender.load
    body = example_body(load) if load.batch else b""
    method = "POST" if load.batch else "GET"
    answer = exchange(contender.port, method, load.paths[0], request_headers(load), body)
    if answer.status != load.expect:
        what = f"{contender.name}: {method} {load.paths[0]} answered {answer.status}, not {load.expect}"
        raise BenchError(f"{what}: {answer.body[:300]!r}")


def request_headers(load: Load) -> dict[str, str]:
    """Return the headers that every request of a load carries."""
    kind = {"Content-Type": "application/json"} if load.batch else {}
    return {"User-Agent": BROWSER, **kind, **load.headers}


def example_body(load: Load) -> bytes:
    """Return one body as the load sends it, with fresh event ids."""
    from tests.bench.client import events  # noqa: PLC0415  The client runs as a script and is not needed with wrk.

    return events(random.SystemRandom(), load.release_ids, load.batch)


def run_load(port: int, load: Load, seconds: float, scratch: Path) -> Outcome:
    """Load 127.0.0.1:`port` for `seconds`; `scratch` is a directory for the script."""
    wrk = shutil.which("wrk")
    return _run_wrk(wrk, port, load, seconds, scratch) if wrk else _run_client(port, load, seconds, scratch)


def run_script(port: int, text: str, connections: int, seconds: float, scratch: Path) -> Outcome:
    """Run a wrk script of one's own; raises BenchError where wrk is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchError("wrk is not installed (apt-get install wrk)")
    return _script(wrk, port, text, connections, seconds, scratch)


def _run_wrk(wrk: str, port: int, load: Load, seconds: float, scratch: Path) -> Outcome:
    seed = int.from_bytes(os.urandom(6), "big")
    headers = request_headers(load)
    if load.batch:
        text = lua.posting(load.paths[0], headers, load.release_ids, load.batch, seed)
    else:
        text = lua.getting(load.paths, headers)
    return _script(wrk, port, text, load.connections, seconds, scratch, load.paths[0])


def _script(
    wrk: str, port: int, text: str, connections: int, seconds: float, scratch: Path, path: str = "/"
) -> Outcome:
    script = scratch / "load.lua"
    script.write_text(text)
    # wrk takes whole seconds only; the rate is computed from the time it reports.
    length = f"{max(1, round(seconds))}s"
    options = ("-t1", f"-c{connections}", f"-d{length}", "--timeout", "10s", "-s", str(script))
    return _outcome(_output([wrk, *options, f"http://{HOST}:{port}{path}"], seconds))


def _run_client(port: int, load: Load, seconds: float, scratch: Path) -> Outcome:
    plan = scratch / "load.json"
    plan.write_text(json.dumps({**asdict(load), "headers": request_headers(load), "port": port, "seconds": seconds}))
    return _outcome(_output(python("-m", "tests.bench.client", str(plan)), seconds))


def _output(command: list[str], seconds: float) -> str:
    # subprocess.run kills its child on Ctrl-C and on the timeout, so no load outlives the run.
    done = subprocess.run(
        command, env=clean_environment({}), capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"{Path(command[0]).name} failed: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout


def _outcome(output: str) -> Outcome:
    line = next((line for line in output.splitlines() if line.startswith(lua.MARK)), None)
    if line is None:
        raise BenchError(f"the load reported nothing: {output[-500:]}")
    report = json.loads(line.removeprefix(lua.MARK))
    good = report["answers"] - report["bad_status"]
    failures = report["bad_status"] + report["socket_errors"]
    return Outcome(good / report["seconds"], good, failures, report["p99_ms"])


def popularity(ids: Sequence[int], seed: int) -> tuple[int, ...]:
    """Return a table of draws from a Zipf distribution (exponent 1) over `ids`, the most popular first in no order."""
    chance = random.Random(seed)
    shuffled = chance.sample(ids, len(ids))
    weights = [1.0 / rank for rank in range(1, len(shuffled) + 1)]
    return tuple(chance.choices(shuffled, weights, k=EVENT_TABLE))
