"""`run.py recommend-worker`: works out what is like what, and stores it; the server starts it when needed.

A process of its own, at the lowest priority: the mathematics and their library are loaded here and nowhere else.
"""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from server.database import dedicated_connection
from server.rules.recommending import INTERRUPTED
from server.settings import Settings
from sql import recommending

# Everybody else goes first.
NICE = 15


def configure(_: argparse.ArgumentParser) -> None:
    """No arguments."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """One run; 0, or 75 if another is under way or whoever started this one is gone."""
    parent = os.getppid()
    with suppress(OSError):
        os.nice(NICE - os.nice(0))
    # One thread: the others would only cost memory.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from server.recommending import worker  # noqa: PLC0415 - not before the number of threads is set

    async with dedicated_connection(settings) as conn:
        if not await recommending.claim_alone(conn):
            print("recommend-worker: another one is at it")
            return INTERRUPTED
        done = await worker.run(conn, lambda: os.getppid() != parent)
    print(
        f"people: {done.people}, releases of the model: {done.items}, its rows: {done.rows}, "
        f"neighbours worked out: {done.neighbours}"
    )
    return 0 if done.whole else INTERRUPTED
