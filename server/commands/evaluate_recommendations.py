"""`run.py evaluate-recommendations [lists.csv[.gz]]`: how well recommendations find what was hidden from them.

People with at least 20 ratings and titles with at least 5 take part; of everybody's ratings a random fifth is hidden.
What was rated 7 or better of it is to be found: Recall@10 (of at most ten) and NDCG@10, what is known to be seen left
out. `anime_id` is MyAnimeList's number; what the catalogue knows of it is asked for the page as it is served alone, all
else does not depend on the catalogue. Without a file the ratings are those of the people here.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from server.database import dedicated_connection
from server.importing.reading import BrokenFileError
from server.rules.recommending import Facts
from server.settings import Settings
from sql import recommending
from sql.query import Connection

if TYPE_CHECKING:
    from server.recommending.evaluate import Report
    from server.recommending.protocol import Ratings, Split

BROKEN = 1
# Ids of a question to the catalogue.
AT_ONCE = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "path", type=Path, nargs="?", metavar="PATH", help="CSV with user, anime_id, score; plain or gzip"
    )


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Evaluate and print the table; 0, or 1 if the file cannot be read or too few people are left."""
    # One thread, and its memory only.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from server.recommending.evaluate import evaluate  # noqa: PLC0415 - not before the number of threads is set
    from server.recommending.protocol import split  # noqa: PLC0415 - as above

    began = monotonic()
    try:
        async with dedicated_connection(settings) as conn:
            ratings = await _ratings(conn, arguments.path)
            found = split(ratings)
            left_out = +ratings.left_out
            del ratings
            facts = await _facts(conn, found, of_mal=arguments.path is not None)
    except BrokenFileError as error:
        print(f"evaluate-recommendations: {error}", file=sys.stderr)
        return BROKEN
    if not any(judge.wanted for judge in found.judges()):
        print("evaluate-recommendations: too few ratings to hide any", file=sys.stderr)
        return BROKEN
    if left_out:
        print(f"left out: {', '.join(f'{count:,} {reason}' for reason, count in left_out.most_common())}")
    print(_table(found, facts, evaluate(found, facts), monotonic() - began))
    return 0


async def _ratings(conn: Connection, path: Path | None) -> Ratings:
    from server.recommending.protocol import Ratings  # noqa: PLC0415 - as above
    from server.recommending.reading import add_file  # noqa: PLC0415 - as above

    found = Ratings()
    whole = await _add_people(conn, found) if path is None else add_file(found, path)
    if not whole:
        print(f"Only the first {len(found):,} ratings take part: there is no room for more.")
    return found


async def _add_people(conn: Connection, ratings: Ratings) -> bool:
    """The ratings of the people here; False if they were too many to take all."""
    from server.recommending.reading import MOST_RATINGS  # noqa: PLC0415 - as above

    async for person, rated in recommending.ratings(conn):
        for release_id, rating in rated:
            if len(ratings) == MOST_RATINGS:
                return False
            ratings.add(person, release_id, rating)
    return True


async def _facts(conn: Connection, found: Split, *, of_mal: bool) -> dict[int, Facts]:
    """What the catalogue knows of the items, by their own ids: numbers of MyAnimeList, or releases."""
    ids = sorted(set(found.items.tolist()))
    facts: dict[int, Facts] = {}
    for first in range(0, len(ids), AT_ONCE):
        some = ids[first : first + AT_ONCE]
        releases = await recommending.of_mal(conn, some) if of_mal else {one: one for one in some}
        known = await recommending.facts(conn, sorted(set(releases.values())))
        facts |= {item: known[release] for item, release in releases.items() if release in known}
    return facts


def _table(found: Split, facts: Mapping[int, Facts], report: Report, seconds: float) -> str:
    releases, choice = len(set(found.items.tolist())), report.choice
    took = f"ridge {choice.ridge:.0f}, {choice.depth} speak for each, longest row {report.longest_row}"
    lines = [
        f"people: {len(found)}, releases: {releases} (in the catalogue: {len(facts)}), ratings: {len(found.items)}",
        "",
        f"{'':<18}  Recall@10  NDCG@10",
        *(f"{line.name:<18}  {line.recall:>9.3f}  {line.ndcg:>7.3f}" for line in report.lines),
        "",
        f"model: {report.items} releases, {took}",
        f"time: {seconds:.1f} s, peak memory: {peak_kilobytes() / 1024:.0f} MB",
    ]
    return "\n".join(lines)


def peak_kilobytes() -> int:
    """The most memory that this process has held.

    What getrusage says begins with the size of whoever started us, so it is asked only where there is nothing better.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    except OSError:
        found = None
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
