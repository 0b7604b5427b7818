"""What a batch did to releases that were there, and what the outbox is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sql.imports import EpisodeChanges
from sql.outbox import Event

# Ids in one event of the outbox.
MOST_TOLD = 500


class Changes(NamedTuple):
    """The releases whose own content changed, and what became of episodes."""

    releases: set[int]
    episodes: EpisodeChanges

    @property
    def documents(self) -> set[int]:
        """Every release whose document has to be written anew."""
        return self.releases | self.episodes.releases


NONE = Changes(set(), EpisodeChanges())


def catalogue_events(added: Sequence[int], changes: Changes, shown: set[int]) -> list[Event]:
    """What the outbox is told, in events of at most MOST_TOLD ids, of new releases and of changed ones that are shown.

    Of a release of which only episodes changed these speak for themselves; one that came back is an updated one.
    """
    episodes = changes.episodes
    pairs = {
        "episodes": set(episodes.created),
        "episodes_updated": {*episodes.updated, *episodes.restored},
        "episodes_deleted": set(episodes.deleted),
    }
    facts: dict[str, Sequence[Any]] = {"added": added, "updated": sorted(changes.releases & shown)}
    facts |= {name: sorted(pair for pair in found if pair[0] in shown) for name, found in pairs.items()}
    return [
        Event("catalogue", "catalogue", {name: rows[start : start + MOST_TOLD]})
        for name, rows in facts.items()
        for start in range(0, len(rows), MOST_TOLD)
    ]
