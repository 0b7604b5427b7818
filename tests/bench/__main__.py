"""`python -m tests.bench`: runs the scenarios, prints the table, exits 1 when a target is missed."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.bench import (
    micro,
    report,
    scenarios_finding,
    scenarios_people,
    scenarios_read,
    scenarios_running,
    scenarios_system,
    scenarios_talk,
    scenarios_views,
)
from tests.bench.context import Bench, Result, not_measured, say
from tests.bench.processes import REPOSITORY, BenchError

# In this order the read-only scenarios come first, and those that need ten million views last.
SCENARIOS: dict[str, Callable[[Bench], list[Result]]] = {
    "micro": micro.costs,
    "start": scenarios_system.starts,
    "memory": scenarios_system.idle_memory,
    "read": scenarios_read.hot_reads,
    "uncached": scenarios_read.uncached_reads,
    "views": scenarios_views.single_events,
    "search": scenarios_finding.search,
    "recommend": scenarios_finding.recommend,
    "storm": scenarios_people.login_storm,
    "app": scenarios_people.app_mix,
    "badge": scenarios_running.badge,
    "subscriptions": scenarios_running.subscriptions,
    "fan-out": scenarios_running.fan_out,
    "editing": scenarios_running.editing,
    "talk": scenarios_talk.talk,
    "limiter": scenarios_talk.limiter,
    "stream": scenarios_running.streams_memory,
    "batches": scenarios_views.batched_events,
    "trending": scenarios_system.trending,
    "event-cost": scenarios_views.event_cost,
}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure the server beside bare handlers."
    )
    parser.add_argument("--quick", action="store_true", help="short rounds and a million views: a check, not a figure")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the prepared databases here and use them again")
    parser.add_argument("--releases", type=int, default=150_000)
    parser.add_argument("--views", type=int, help="views of the full database (10,000,000; quick 1,000,000)")
    parser.add_argument("--run-py", type=Path, default=REPOSITORY / "run.py", help="the program to measure")
    return parser.parse_args()


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Yield the directory of databases and logs; without `keep` it is deleted in the end, also after Ctrl-C."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as root:
        yield Path(root)


def run(bench: Bench, names: list[str]) -> list[Result]:
    """Run scenarios one after another; one that cannot run is a missed target, the others go on."""
    results: list[Result] = []
    for name in names:
        say(f"== {name}")
        try:
            results += SCENARIOS[name](bench)
        except BenchError as error:
            results.append(not_measured(name, "to be measurable", "", str(error)))
    return results + scenarios_system.loaded_memory(bench)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    # SIGTERM as an exception runs the same clean-up as Ctrl-C: servers are stopped and waited for.
    raise KeyboardInterrupt


def main() -> int:
    """Run what was asked for; 0 when every target was met, 1 when one was missed, 130 when interrupted."""
    chosen = arguments()
    signal.signal(signal.SIGTERM, _leave)
    rounds, seconds = (2, 1.5) if chosen.quick else (5, 4.0)
    views = chosen.views or (1_000_000 if chosen.quick else 10_000_000)
    with workplace(chosen.keep) as root:
        bench = Bench(root, chosen.run_py.resolve(), rounds, seconds, chosen.quick, chosen.releases, views)
        try:
            results = run(bench, chosen.only or list(SCENARIOS))
        except KeyboardInterrupt:
            say("interrupted")
            return 130
        print(report.as_text(results))
        if chosen.write:
            report.write(chosen.write, bench, results)
    return 1 if any(result.ok is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
