"""`run.py demo`: loads the invented catalogue, its users and a month of views."""

from __future__ import annotations

import argparse
import gc
import sys
from datetime import UTC, datetime
from functools import partial

from server.database import dedicated_connection
from server.demo.loading import load_demo
from server.settings import Settings

VIEWS_PER_RELEASE = 40
MOST_RELEASES, MOST_VIEWS = 10_000_000, 1_000_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--releases", type=partial(number, 1, MOST_RELEASES), default=500, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another seed, another catalogue")
    parser.add_argument(
        "--views", type=partial(number, 0, MOST_VIEWS), metavar="N",
        help=f"views within the last 30 days; {VIEWS_PER_RELEASE} a release unless given",
    )  # fmt: skip


def number(least: int, most: int, text: str) -> int:
    """A whole number within bounds. Raises ArgumentTypeError."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a whole number: {text}") from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must lie between {least} and {most}")
    return value


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Load the demo and print what became of it; 0."""
    # Drafts are made in a thread; the loop, which answers the database, must not wait 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 50)
    releases: int = arguments.releases
    views: int = VIEWS_PER_RELEASE * releases if arguments.views is None else arguments.views
    async with dedicated_connection(settings) as conn:
        summary = await load_demo(
            conn, releases=releases, seed=arguments.seed, views=views, now=datetime.now(UTC), progress=say
        )
    print(summary)
    return 0


def say(line: str) -> None:
    """A line of progress, at once even into a pipe."""
    print(line, flush=True)
