"""`python -m tests.chaos [kills] [crowd] [overload] [redis]`: a table each; all of them where none is named.

Exit status 1 if anything was lost, done twice, or slower or larger than it may be.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.chaos import crowd, killing, overload, redis_gone

# A connection needs a descriptor in the server and one in the client.
DESCRIPTORS = 16_384


class Outcome(Protocol):
    """What a run leaves: whether every promise was kept, and a table as its text."""

    @property
    def sound(self) -> bool: ...


def runs(arguments: argparse.Namespace) -> dict[str, Callable[[Path], Outcome]]:
    """The runs by name, in the order in which they take place."""
    kills, seed = arguments.kills, arguments.seed
    return {
        "kills": lambda directory: asyncio.run(killing.run(directory, kills=kills, seed=seed)),
        "crowd": lambda directory: asyncio.run(crowd.run(directory, seed=seed)),
        "overload": lambda directory: asyncio.run(overload.run(directory)),
        "redis": lambda directory: asyncio.run(redis_gone.run(directory)),
    }


def raise_descriptors() -> None:
    """As many open files as this run needs, for us and the processes we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    """Run them; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="*", help="kills, crowd, overload, redis; all of them if none is named")
    parser.add_argument("--kills", type=int, default=200, help="how often something is killed (default 200)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a run's choices")
    arguments = parser.parse_args()
    known = runs(arguments)
    if unknown := [name for name in arguments.what if name not in known]:
        parser.error(f"no such run: {', '.join(unknown)}")
    raise_descriptors()
    print(f"seed {arguments.seed}", flush=True)
    chosen = [name for name in known if name in arguments.what or not arguments.what]
    failed = [name for name in chosen if not _run(name, known[name])]
    print(f"FAILED: {', '.join(failed)}" if failed else "every promise was kept")
    return 1 if failed else 0


def _run(name: str, act: Callable[[Path], Outcome]) -> bool:
    print(f"{name}:", flush=True)
    with tempfile.TemporaryDirectory(prefix="yojohan-chaos-") as directory:
        outcome = act(Path(directory))
    print(outcome)
    print("  sound" if outcome.sound else "  FAILED", flush=True)
    return outcome.sound


if __name__ == "__main__":
    sys.exit(main())
