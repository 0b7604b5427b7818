"""Import a generated catalogue and say how fast and how large: `python -m tests.import_speed DSN RELEASES FILE`.

Prints one JSON object for a first run and one for a second: summary, releases a second, megabytes before and
at the peak.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
from pathlib import Path
from time import perf_counter

from server.database import connect
from server.importing.formats import FORMATS
from server.importing.pipeline import Report, import_drafts
from server.importing.reading import Position

EPISODES = 10


def release(number: int, chance: random.Random) -> dict[str, object]:
    """A release of ten episodes with about the text of a real one."""
    return {
        "title": f"Title of release {number}",
        "titles": {"ru": f"Выпуск {number}", "romaji": f"Sakuhin {number}"},
        "synonyms": [f"Also known as {number}"],
        "synopsis": "A keeper counts the ships that pass, and one night there is one too many. " * 6,
        "type": "tv",
        "year": 1980 + number % 45,
        "season": chance.choice(["winter", "spring", "summer", "autumn"]),
        "genres": [f"Genre {chance.randrange(40)}" for _ in range(4)],
        "tags": [f"Tag {chance.randrange(400)}" for _ in range(5)],
        "franchise": f"Franchise {number // 3}",
        "external_ids": {"mal": number, "anidb": number},
        "popularity": chance.randrange(1_000_000),
        "episodes": [
            {"ordinal": n, "title": f"Episode {n}", "duration_seconds": 1420, "opening": {"start": 5, "stop": 95}}
            for n in range(1, EPISODES + 1)
        ],
    }


def generate(path: Path, releases: int) -> None:
    """Write the catalogue."""
    chance = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, releases + 1):
            file.write(json.dumps(release(number, chance), ensure_ascii=False) + "\n")


def memory(field: str) -> float:
    """VmRSS, the memory of this process, or VmHWM, the most it ever was, in megabytes."""
    # Not getrusage: its peak is inherited from the process that forked us.
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition(f"{field}:")[2].split()[0]) / 1024, 1)


async def measure(dsn: str, path: Path) -> None:
    """Import the file twice."""
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 50)
    source, read = FORMATS["native"]
    conn = await connect(dsn)
    await conn.fetchval("select 1")
    for _ in range(2):
        before, started = memory("VmRSS"), perf_counter()
        summary = await import_drafts(conn, source, read(path, Report(), Position()), Report())
        speed = summary.total / (perf_counter() - started)
        said = {"summary": str(summary), "per_second": round(speed), "before": before, "peak": memory("VmHWM")}
        print(json.dumps(said), flush=True)
    await conn.close()


def main() -> None:
    """Generate, import, import again."""
    dsn, releases, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    generate(path, releases)
    asyncio.run(measure(dsn, path))


if __name__ == "__main__":
    main()
