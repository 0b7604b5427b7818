"""The shape of what the demo's users say: who answers whom, what became of it, who voted for what.

Everything is numbered from 1 in the order of time; an answer's number is above that of what it answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Literal

from server.demo.chance import Weighted, chance, pick, several
from server.demo.remarks import HELD, HIDDEN, LANGUAGES, REVIEWED, REVIEWS, SPOKEN, remark, review

COMMENTS, REVIEWS_AT_MOST = 4_000, 900
DEEPEST = 7
# Answers come within the time of so many comments: before what they answer was deleted or hidden.
FRESH = 200
# From here on (0 is the beginning, 1 is now) things still wait for a moderator.
RECENTLY = 0.88

# `approved` was held at first; `linked` and `reported` still are.
Fate = Literal["said", "approved", "deleted", "hidden", "linked", "reported"]
SETTLED: Weighted[Fate] = Weighted({"said": 96.0, "approved": 0.5, "deleted": 2.0, "hidden": 1.5})
LATELY: Weighted[Fate] = Weighted({"said": 93.5, "deleted": 2.0, "hidden": 1.0, "linked": 2.0, "reported": 1.5})
READABLE = ("said", "approved")
REASONS = ("spam", "abuse", "spoiler", "other")


@dataclass(slots=True)
class Remark:
    """A comment. `rank` is the place of its release by popularity, `part` of the thread says which episode it is of."""

    number: int
    author: int
    rank: int
    parent: int
    root: int
    depth: int
    moment: float
    part: float | None
    text: str
    spoiler: bool
    fate: Fate
    edited: bool
    replies: int = 0


@dataclass(slots=True)
class Review:
    """A review of what somebody rated. `voters` found it helpful."""

    author: int
    release_id: int
    rating: int
    moment: float
    text: str
    spoiler: bool
    fate: Fate
    voters: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody reported a comment."""

    number: int
    reporter: int
    reason: str


def remarks(seed: int, releases: int, authors: int) -> list[Remark]:
    """The comments of `authors` people (numbered from 0) on `releases` ranks, with what listing them needs."""
    rng = chance(seed, "remarks")
    spoken = languages(seed, authors)
    made: list[Remark] = []
    fresh: deque[Remark] = deque(maxlen=FRESH)
    for number in range(1, COMMENTS + 1):
        parent = _answered(rng, made, fresh)
        author = int(rng.random() ** 1.6 * authors)
        one = _remark(rng, number, author, parent, releases, spoken[author])
        made.append(one)
        if one.fate != "linked":
            fresh.append(one)
    # What is listed counts with what it answers: readable, or a gap above something listed.
    for one in reversed(made):
        if one.parent and (one.fate in READABLE or one.replies):
            made[one.parent - 1].replies += 1
    return made


def _answered(rng: Random, made: Sequence[Remark], fresh: deque[Remark]) -> Remark | None:
    if not fresh or rng.random() < 0.45:
        return None
    if rng.random() < 0.05:
        # One question everybody has an answer to.
        return made[0]
    found = fresh[len(fresh) - 1 - int(rng.random() ** 2 * len(fresh))]
    return found if found.depth < DEEPEST else made[found.parent - 1]


def _remark(rng: Random, number: int, author: int, parent: Remark | None, releases: int, language: str) -> Remark:
    moment = (number - rng.random()) / COMMENTS
    fate = "said" if number == 1 else (LATELY if moment > RECENTLY else SETTLED).draw(rng)
    rank = 1 if number == 1 else _rank(rng, releases)
    text = remark(rng, language, answer=parent is not None)
    if fate in ("linked", "approved"):
        text = pick(rng, HELD)
    elif fate in ("hidden", "reported"):
        text = pick(rng, HIDDEN)
    return Remark(
        number=number,
        author=author,
        rank=parent.rank if parent else rank,
        parent=parent.number if parent else 0,
        root=parent.root if parent else number,
        depth=parent.depth + 1 if parent else 0,
        moment=moment,
        part=rng.random() if rng.random() < 0.6 else None,
        text=text,
        spoiler=rng.random() < 0.04,
        fate=fate,
        edited=rng.random() < 0.05,
    )


def _rank(rng: Random, releases: int) -> int:
    """A few releases everybody talks about, a long tail: a shifted Zipf law."""
    return 1 + min(releases - 1, int(5 * exp(rng.random() * log((releases + 5) / 5)) - 5))


def languages(seed: int, authors: int) -> list[str]:
    """What each of them speaks."""
    rng = chance(seed, "languages")
    found = [SPOKEN.draw(rng) for _ in range(authors)]
    assert set(found) <= set(LANGUAGES)
    return found


def reports(seed: int, made: Sequence[Remark], authors: int) -> list[Report]:
    """Who reported which of them: three for what waits because of that, some for what was hidden, a few otherwise."""
    rng = chance(seed, "reports")
    found = []
    for one in made:
        most = {"reported": 3, "hidden": int(rng.random() * 4), "said": int(rng.random() < 0.008) * 2}.get(one.fate, 0)
        # The first is the moderator.
        first = 1 + int(rng.random() * (authors - 1))
        near = (1 + (first - 1 + step) % (authors - 1) for step in range(most + 1))
        others = [each for each in near if each != one.author][:most]
        found += [Report(one.number, each, pick(rng, REASONS, 1.5)) for each in others]
    return found


def reviews(seed: int, rated: Sequence[tuple[int, int, int]], authors: int) -> list[Review]:
    """Reviews of what was rated, (author, release, rating) each, and the votes of others for them."""
    rng = chance(seed, "reviews")
    spoken = languages(seed, authors)
    made = []
    for place, (author, release_id, rating) in enumerate(rated):
        moment = (place + rng.random()) / len(rated)
        language = spoken[author] if spoken[author] in REVIEWS else REVIEWED.draw(rng)
        fate: Fate = SETTLED.draw(rng)
        if moment > RECENTLY and rng.random() < 0.05:
            fate = "linked"
        text = review(rng, language, rating) + (f" {pick(rng, HELD)}" if fate == "linked" else "")
        one = Review(author, release_id, rating, moment, text, rng.random() < 0.1, fate)
        if fate != "linked":
            count = int(min(60, authors // 2) * rng.random() ** 4)
            one.voters = [voter for voter in several(rng, range(authors), count, 1.0) if voter != author]
        made.append(one)
    return made
