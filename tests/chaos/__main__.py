"""`python -m tests.chaos [--kills 200] [--seed N]`: a table; exit status 1 if anything was lost or doubled."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.killing import run


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often something is killed (default 200)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a run's choices")
    arguments = parser.parse_args()
    print(f"{arguments.kills} kills, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="yojohan-chaos-") as directory:
        outcome = asyncio.run(run(Path(directory), kills=arguments.kills, seed=arguments.seed))
    print(outcome)
    print("nothing lost, nothing twice" if outcome.sound else "FAILED")
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
