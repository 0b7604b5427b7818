"""Reviews: how long they are, and in which orders they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# Characters, as a reader counts them.
SHORTEST, LONGEST = 100, 5000
Sort = Literal["-helpful", "helpful", "-created", "created", "newest", "-rating", "rating"]
SORTS: tuple[str, ...] = get_args(Sort)


@dataclass(frozen=True, slots=True)
class Order:
    """What reviews are ordered by; those that are equal in that come by their ids, in the same direction."""

    by: Literal["helpful", "created", "rating"]
    descending: bool

    @property
    def name(self) -> str:
        """One name for each order, however it was asked for."""
        return f"-{self.by}" if self.descending else self.by


def order(sort: Sort) -> Order:
    """The order that is asked for so: plain is ascending."""
    match sort:
        case "-helpful" | "helpful":
            by: Literal["helpful", "created", "rating"] = "helpful"
        case "-rating" | "rating":
            by = "rating"
        case _:
            by = "created"
    return Order(by, sort == "newest" or sort.startswith("-"))
