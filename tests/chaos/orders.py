"""What must be done at most once: a POST under its Idempotency-Key, and the book in which its owner notes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4


@dataclass
class Order:
    """`made` is the id of what came of it, None while that is not known; `undone` once that was deleted again."""

    target: int = 0
    key: str = field(default_factory=lambda: str(uuid4()))
    made: str | None = None
    undone: bool = False


@dataclass
class Orders:
    """Orders of one kind by one user."""

    given: list[Order] = field(default_factory=list)
    # How often another try under the same key said that it made something else.
    contradicted: int = 0

    def add(self, order: Order) -> Order:
        """Note it before it is sent."""
        self.given.append(order)
        return order

    def answered(self, order: Order, made: str) -> None:
        """Note what came of it, whenever that is said again, too."""
        if order.made not in (None, made):
            self.contradicted += 1
        order.made = made

    def open_targets(self) -> set[int]:
        """What may exist at the moment."""
        return {order.target for order in self.given if not order.undone}

    def done(self) -> list[Order]:
        """What is known to exist."""
        return [order for order in self.given if order.made is not None and not order.undone]

    def known(self) -> list[Order]:
        """What is known to have existed."""
        return [order for order in self.given if order.made is not None]

    def judge(self, rows: dict[str, tuple[int, bool]]) -> tuple[int, int]:
        """How many are lost and how many are there too often; `rows` are (target, deleted) by id."""
        # What is ordered again after it was undone may be made of what there was before.
        made: dict[str, list[Order]] = {}
        for order in self.known():
            made.setdefault(str(order.made), []).append(order)
        lost = sum(
            rows.get(key) != (orders[0].target, all(order.undone for order in orders)) for key, orders in made.items()
        )
        unknown = [order.target for order in self.given if order.made is None]
        doubled = self.contradicted
        for target in (row[0] for key, row in rows.items() if key not in made):
            if target in unknown:
                unknown.remove(target)
            else:
                doubled += 1
        return lost, doubled
