"""What people said, as far as they know: what is there, with which words, and whether it is gone again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal
from uuid import uuid4

Kind = Literal["comments", "reviews"]
KEY_LENGTH = 36


@dataclass
class Saying:
    """A comment or a review. Whatever it says begins with its key: so it is found again, by whichever id.

    `made` is its id once that is known, `refused` that it was not taken; `texts` and `gone` are what may be.
    """

    kind: Kind
    release: int
    words: str
    key: str = field(default_factory=lambda: str(uuid4()))
    made: int | None = None
    refused: bool = False
    texts: frozenset[str] = frozenset()
    gone: frozenset[bool] = frozenset([False])
    since: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.texts = frozenset([self.saying(self.words)])

    def saying(self, words: str) -> str:
        """These words as it says them."""
        return f"{self.key} {words}"

    @property
    def stands(self) -> bool:
        """Whether it is known to be there."""
        return self.made is not None and self.gone == {False}


@dataclass(frozen=True)
class Stored:
    """A row of what somebody said."""

    id: int
    text: str
    gone: bool


@dataclass
class Faults:
    """How often what is stored is not what its author knows."""

    lost: int = 0
    doubled: int = 0
    invented: int = 0
    altered: int = 0
    revived: int = 0


@dataclass
class Sayings:
    """All that one person said; `votes` and `reports` for and of what others did."""

    said: list[Saying] = field(default_factory=list)
    votes: dict[int, frozenset[bool]] = field(default_factory=dict)
    reports: set[tuple[Kind, int]] = field(default_factory=set)

    def standing(self, kind: Kind | None = None) -> list[Saying]:
        """What is known to be there."""
        return [one for one in self.said if one.stands and kind in (None, one.kind)]

    def judge(self, kind: Kind, rows: list[Stored], faults: Faults) -> None:
        """Hold the rows of a kind against what is known."""
        found: dict[str, list[Stored]] = {}
        for row in rows:
            found.setdefault(row.text[:KEY_LENGTH], []).append(row)
        for one in self.said:
            if one.kind == kind:
                self._judge(one, found.pop(one.key, []), faults)
        faults.invented += sum(len(rest) for rest in found.values())

    @staticmethod
    def _judge(one: Saying, rows: list[Stored], faults: Faults) -> None:
        faults.doubled += max(0, len(rows) - 1)
        faults.invented += one.refused and bool(rows)
        if one.made is not None and one.made not in {row.id for row in rows}:
            faults.lost += 1
        for row in rows:
            faults.altered += row.text not in one.texts
            faults.revived += row.gone not in one.gone


@dataclass
class Board:
    """What everybody can see of each other: (kind, id, release, author)."""

    seen: list[tuple[Kind, int, int, str]] = field(default_factory=list)

    def of_others(self, name: str, kind: Kind) -> Iterator[tuple[int, int]]:
        """Ids and releases of what others said lately."""
        return ((made, release) for its, made, release, author in self.seen[-60:] if its == kind and author != name)
