"""`run.py import FORMAT PATH…`: loads a catalogue from files."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import IO

from server.database import dedicated_connection
from server.importing.drafts import Item, Rejection
from server.importing.formats import FORMATS, Format
from server.importing.pipeline import import_drafts
from server.importing.reading import BrokenFileError, Position
from server.importing.report import Report, Summary
from server.settings import Settings

BAR = 30
BROKEN, INTERRUPTED = 1, 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("format", choices=sorted(FORMATS), metavar="FORMAT", help=", ".join(sorted(FORMATS)))
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="file, plain or gzip; a directory for anilibria"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="rejected, skipped and repaired rows, as JSONL")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen and write nothing")


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Import the files; 0, or 1 where one cannot be read to its end."""
    # While one batch is decoded in a thread, the loop answers the database: it must not wait 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 50)
    with ExitStack() as stack:
        sink: IO[bytes] | None = None
        if arguments.report:
            try:
                sink = stack.enter_context(arguments.report.open("wb"))
            except OSError as error:
                print(f"import: {error}", file=sys.stderr)
                return BROKEN
        return await load(settings, FORMATS[arguments.format], arguments.paths, Report(sink), dry_run=arguments.dry_run)


async def load(settings: Settings, chosen: Format, paths: list[Path], report: Report, *, dry_run: bool) -> int:
    """Run the files through the pipeline and print what became of them."""
    position = Position()
    bar = Bar(position, shown=sys.stderr.isatty())
    status = 0
    try:
        position.total = sum(size_of(path) for path in paths)
        async with dedicated_connection(settings) as conn:
            items = all_items(chosen, paths, report, position)
            await import_drafts(conn, chosen.source, items, report, dry_run=dry_run, progress=bar.show)
    except (BrokenFileError, OSError) as error:
        bar.clear()
        print(f"import: {error}", file=sys.stderr)
        status = BROKEN
    except asyncio.CancelledError:
        bar.clear()
        print("import: interrupted; what is counted below is committed, run it again for the rest", file=sys.stderr)
        status = INTERRUPTED
    bar.clear()
    notes = f"; repaired: {report.repaired}, rejected: {report.rejected}" if report.repaired or report.rejected else ""
    print(f"{'dry run, nothing written: ' if dry_run else ''}{bar.summary}{notes}")
    return status


def all_items(chosen: Format, paths: list[Path], report: Report, position: Position) -> Iterator[Item | Rejection]:
    """The items of all files, one file after another."""
    for path in paths:
        yield from chosen.read(path, report, position)


def size_of(path: Path) -> int:
    """Bytes to be read of a path; of a directory only its releases count, the rest is looked up. Raises OSError."""
    if path.is_dir():
        return sum(found.stat().st_size for found in path.glob("releases.json*"))
    return path.stat().st_size


class Bar:
    """A progress bar on a terminal; silent elsewhere. `summary` is the state after the last batch."""

    def __init__(self, position: Position, *, shown: bool) -> None:
        self.summary = Summary()
        self._position = position
        self._shown = shown
        self._started = monotonic()

    def show(self, summary: Summary) -> None:
        """Draw it anew."""
        self.summary = summary
        if self._shown:
            share = min(1.0, self._position.done / self._position.total) if self._position.total else 1.0
            filled = "█" * int(share * BAR) + "·" * (BAR - int(share * BAR))
            speed = summary.total / max(monotonic() - self._started, 0.001)
            sys.stderr.write(f"\r\x1b[K{filled} {share:4.0%}  {summary.total} releases, {speed:.0f}/s")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take it off the screen."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
