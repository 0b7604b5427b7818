"""Where requests are that wait for something else than this server, without a slot of the gate, at most so many."""

from __future__ import annotations

from collections import Counter

from server.rules.load import Kind, of_address, open_to


class Yard:
    """So many places for whoever comes first."""

    __slots__ = ("count", "most", "refused")

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = self.refused = 0

    def takes(self, kind: Kind, owner: int | None) -> bool:  # noqa: ARG002 - here all are alike
        """Whether a request of this class and owner fits in."""
        return self.count < self.most

    def enter(self, owner: int | None) -> None:  # noqa: ARG002
        """Count one in."""
        self.count += 1

    def leave(self, owner: int | None) -> None:  # noqa: ARG002
        """Count one out."""
        self.count -= 1


class SharedYard(Yard):
    """One in which clients decide how long they stay: no address has it for itself, and a part is for vital ones."""

    __slots__ = ("_of",)

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._of: Counter[int] = Counter()

    def takes(self, kind: Kind, owner: int | None) -> bool:
        """Whether a request of this class and owner fits in; without an owner it counts for nobody."""
        if owner is not None and self._of[owner] >= of_address(self.most):
            return False
        return self.count < open_to(kind, self.most)

    def enter(self, owner: int | None) -> None:
        """Count one in."""
        self.count += 1
        if owner is not None:
            self._of[owner] += 1

    def leave(self, owner: int | None) -> None:
        """Count one out."""
        self.count -= 1
        if owner is not None:
            self._of[owner] -= 1
            if not self._of[owner]:
                del self._of[owner]
