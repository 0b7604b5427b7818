"""What was said just now: after a write, cached pages go here at once, and with the next rumour in other instances."""

from __future__ import annotations

from collections.abc import Callable, Collection

from server.cache import EVERYTHING

# More tags than this are told as "all of them".
MOST_TAGS = 5_000


def _nobody() -> None:
    """Who is woken before there is an actor to wake."""


class Talk:
    """`changed` is for who has just committed, before they answer. `wake` prompts the actor that tells others."""

    def __init__(self, drop: Callable[[Collection[str]], object]) -> None:
        self.wake: Callable[[], None] = _nobody
        self._drop = drop
        self._untold: set[str] = set()

    def changed(self, tags: Collection[str]) -> None:
        """What bears these tags is stale."""
        if not tags:
            return
        self._drop(tags)
        first = not self._untold
        self.keep(tags)
        if first:
            self.wake()

    def keep(self, tags: Collection[str]) -> None:
        """Others are still to hear of these."""
        if len(self._untold) + len(tags) > MOST_TAGS:
            self._untold = {EVERYTHING}
        elif EVERYTHING not in self._untold:
            self._untold.update(tags)

    def take(self) -> set[str]:
        """What others have not heard of yet; whoever takes it tells them."""
        taken, self._untold = self._untold, set()
        return taken
