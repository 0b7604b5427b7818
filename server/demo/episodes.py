"""Episodes of the demo: how many, how long, when they air, where the opening and the ending lie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random

from server.demo.chance import Weighted, pick
from server.demo.words import NOUNS
from server.schemas.catalogue import EpisodeDraft, Span

WEEK = timedelta(days=7)
HALF = Decimal("0.5")
FIRST_MONTH = {"winter": 1, "spring": 4, "summer": 7, "autumn": 10}
SEASONS = tuple(FIRST_MONTH)

COUNTS = {
    "tv": Weighted({12: 45, 13: 14, 24: 12, 26: 5, 25: 4, 10: 6, 11: 5, 8: 4, 6: 3, 3: 2}),
    "ona": Weighted({12: 30, 1: 20, 8: 15, 6: 10, 24: 5, 15: 10}),
    "ova": Weighted({1: 40, 2: 25, 3: 15, 4: 10, 6: 10}),
    "special": Weighted({1: 70, 2: 20, 4: 10}),
    "web": Weighted({10: 30, 5: 30, 20: 10, 1: 30}),
    "other": Weighted({1: 60, 6: 40}),
}
# A catalogue of hundreds of thousands has mostly short works: about six episodes each.
SHORTER = COUNTS | {
    "tv": Weighted({12: 30, 13: 6, 6: 20, 8: 14, 4: 14, 1: 8, 24: 4, 10: 4}),
    "ona": Weighted({12: 20, 1: 40, 6: 20, 3: 20}),
    "web": Weighted({5: 50, 1: 50}),
}
MINUTES = {"tv": 24, "movie": 98, "ova": 28, "ona": 15, "special": 24, "web": 5, "music": 4, "other": 20}


def how_many(rng: Random, kind: str, *, shorter: bool) -> int:
    """The number of episodes of a work of this type, 1 to 26."""
    counts = SHORTER if shorter else COUNTS
    return counts[kind].draw(rng) if kind in counts else 1


def season_of(moment: datetime) -> str:
    """The season of the year a broadcast begins in."""
    return SEASONS[(moment.month - 1) // 3]


def premiere(rng: Random, year: int, season: str) -> datetime:
    """The first minute of a work of this season, at a half or full hour."""
    opening = datetime(year, FIRST_MONTH[season], 1, tzinfo=UTC)
    return opening + timedelta(days=int(rng.random() * 14), minutes=30 * int(rng.random() * 48))


def episodes(rng: Random, kind: str, count: int, first: datetime, *, special: bool) -> list[EpisodeDraft]:
    """`count` weekly episodes, and perhaps a special with a half number behind the middle one."""
    seconds = MINUTES[kind] * 60 - int(rng.random() * 60)
    opening, ending = spans(rng, seconds) if kind in ("tv", "ona") and rng.random() < 0.8 else (None, None)
    drafts = [
        EpisodeDraft(
            ordinal=ordinal(number), title=episode_title(rng), air_at=first + (number - 1) * WEEK, opening=opening,
            duration_seconds=seconds + int(rng.random() * 9), ending=ending,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip
    if special:
        middle = drafts[count // 2]
        drafts.append(
            EpisodeDraft(
                ordinal=middle.ordinal + HALF, title="Recap", duration_seconds=seconds,
                air_at=first + count // 2 * WEEK + WEEK / 2,
            )
        )  # fmt: skip
    return drafts


ordinal = lru_cache(maxsize=64)(Decimal)


def spans(rng: Random, seconds: int) -> tuple[Span, Span]:
    """Ninety seconds after the prologue, ninety before the preview."""
    start = int(rng.random() * 150)
    stop = seconds - 10 - int(rng.random() * 30)
    return Span(start, start + 90), Span(stop - 90, stop)


def episode_title(rng: Random) -> str:
    """Two nouns, in English or Russian; a fifth has none."""
    a, b, form = pick(rng, NOUNS), pick(rng, NOUNS), rng.random()
    if form < 0.2:
        return ""
    return f"The {a.en} and the {b.en}" if form < 0.6 else f"{a.ru} и {b.ru.lower()}"
