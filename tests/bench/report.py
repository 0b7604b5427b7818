"""The table: on standard output for whoever waits, and as Markdown for the documentation."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.bench.context import Bench, Result
from tests.bench.measure import machine

COLUMNS = ("what", "target", "measured", "", "server/s", "bare/s", "RSS MB", "notes")
EXPLANATION = (
    "A ratio holds the server against a bare aiohttp handler on uvloop that runs beside it: one that answers the same",
    "bytes, or one that parses the same JSON. Ratios travel between machines, requests per second do not. `make bench`",
    "measures anew; `tests/bench/README.md` explains each line.",
)
IN_COLUMNS = ("server_rps", "bare_rps", "rss_mb")


def _number(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _verdict(result: Result) -> str:
    return "" if result.ok is None else "ok" if result.ok else "MISSED"


def _cells(result: Result) -> list[str]:
    notes = (
        f"{name.replace('_', ' ')}: {_number(value)}"
        for name, value in result.details.items()
        if name not in IN_COLUMNS
    )
    columns = [f"{result.details[name]:,.0f}" if name in result.details else "" for name in IN_COLUMNS]
    value = f"{_number(result.value)} {result.unit}" if result.value is not None else "not measured"
    return [result.name, result.target, value, _verdict(result), *columns, "; ".join(notes)]


def as_text(results: Sequence[Result]) -> str:
    """Return the table with aligned columns, the notes last because they are long."""
    rows = [list(COLUMNS), *map(_cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def how(bench: Bench) -> str:
    """Return how the figures came about, in one paragraph."""
    generator = "wrk" if shutil.which("wrk") else "the bundled asyncio client (wrk is not installed)"
    return (
        f"{bench.rounds} rounds of {bench.seconds:g} s for each contender in turn, medians of the rounds; "
        f"load made by {generator} on the same machine; {bench.releases:,} releases in the database."
    )


def as_markdown(bench: Bench, results: Sequence[Result]) -> str:
    """Return the page for the documentation."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    rule = "|".join("---" for _ in COLUMNS)
    rows = [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in _cells(each)) + " |"
        for each in results
    ]
    lines = ["# Benchmarks", "", f"Measured on {today}: {machine()}. {how(bench)}", "", *EXPLANATION, ""]
    return "\n".join([*lines, "| " + " | ".join(COLUMNS) + " |", f"|{rule}|", *rows, ""])


def write(path: Path, bench: Bench, results: Sequence[Result]) -> None:
    """Write the page to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_markdown(bench, results), encoding="utf-8")
