"""What the engine asks of each noun of the CMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.cms.edits import Action, Edit, Noun
from server.errors import YojohanError
from sql.query import Connection

# The JSON of a thing as editors see it, read.
Document = Mapping[str, Any]


@dataclass(slots=True)
class Written:
    """What a group of edits did. Whatever did not change appears in none of it.

    `facts` are the lists of `catalogue` events by their names: {"added": [ids], "episodes": [[release_id, id]], …}.
    `tags` are cache tags to drop, `rebuild` words whose releases' documents are to be written anew afterwards.
    `words` were made in passing, since somebody named them.
    """

    changed: AbstractSet[int] = field(default_factory=frozenset)
    facts: dict[str, list[Any]] = field(default_factory=dict)
    tags: AbstractSet[str] = field(default_factory=frozenset)
    rebuild: list[tuple[Noun, int]] = field(default_factory=list)
    words: Sequence[tuple[Noun, int]] = ()


class Writer(Protocol):
    """One noun. Each method is a constant number of statements, however many edits there are.

    The engine sees to what is not there, deleted or not deleted, to If-Match, order and grouping, revisions, events and
    NOTIFYs. In `apply` it holds the lock of imports, so that `write` has no rivals. A writer sees to everything else:
    values, names, slugs and places that are taken; rows, `updated_at`, documents.
    """

    async def reserve(self, conn: Connection, count: int) -> list[int]:
        """That many fresh ids from the sequence."""
        ...

    async def states(self, conn: Connection, ids: Sequence[int]) -> dict[int, bool]:
        """Of those that exist: whether each is deleted."""
        ...

    async def check(
        self, conn: Connection, edits: Sequence[Edit], absent: set[tuple[Noun, int]]
    ) -> dict[int, YojohanError]:
        """What stands in the way, by place in `edits`: all edits of this noun in their order, of any actions.

        An edit is looked at as if those before it had been made already. `absent` are all things the whole list is
        about: their present state in the database says nothing, so that nobody complains about one of another noun.
        """
        ...

    async def write(
        self, conn: Connection, action: Action, edits: Sequence[Edit], before: Mapping[int, Document]
    ) -> Written:
        """Do it: checked edits of one action on distinct things. `before` are their documents; of a create, none."""
        ...

    async def documents(self, conn: Connection, ids: Sequence[int], *, deleted: bool = True) -> dict[int, bytes]:
        """JSON of each: the thing as written (fields named as in its body), `id`, `slug`, state, the three times."""
        ...
