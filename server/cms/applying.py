"""The writing of edits, group by group, and what it leaves behind: revisions, events of the outbox, tags of caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import asyncpg
import orjson

from server.cms.edits import Action, Applied, Author, Edit, Faulty, Outcome
from server.cms.order import ident, misplaced
from server.cms.writer import Document, Writer, Written
from server.errors import Conflict, Unprocessable, YojohanError
from server.importing.changes import MOST_TOLD
from server.rules.revisions import difference
from sql import imports, outbox, revisions
from sql.outbox import Event
from sql.query import Connection
from sql.revisions import Revision, RevisionAction

ACTIONS: dict[Action, RevisionAction] = {
    "create": "created",
    "replace": "updated",
    "update": "updated",
    "delete": "deleted",
    "restore": "restored",
}
# Another writer, who does not hold the lock, was faster; or the database knows a limit that the check does not.
REFUSALS = (asyncpg.UniqueViolationError, Conflict, Unprocessable)

Group = Mapping[int, Edit]


class Refused(Exception):
    """Edits that cannot be made any more; the transaction is to be rolled back."""

    def __init__(self, faults: list[Faulty]) -> None:
        super().__init__("; ".join(f"edit {fault.index}: {fault.error.detail}" for fault in faults))
        self.faults = faults


class Application:
    """Edits on their way into the catalogue, in one transaction."""

    def __init__(self, conn: Connection, author: Author) -> None:
        self._conn = conn
        self._author = author
        self._applied: dict[int, Applied] = {}
        self._events: list[tuple[str, list[Any]]] = []
        self._revisions: list[Revision] = []
        self._outcome = Outcome()

    async def make(self, writer: Writer, group: Group) -> None:
        """Write a group as a set; if the set is refused, edit by edit, to learn which one it is. Raises Refused."""
        try:
            await self._make(writer, group)
        except REFUSALS as error:
            if len(group) == 1:
                await self._explain(writer, group, error)
            for place, edit in group.items():
                await self.make(writer, {place: edit})

    async def finish(self) -> Outcome:
        """Write down who did it, and tell everybody."""
        await revisions.record(self._conn, self._revisions)
        await outbox.publish(
            self._conn,
            [
                Event("catalogue", "catalogue", {name: facts[start : start + MOST_TOLD]})
                for name, facts in self._events
                for start in range(0, len(facts), MOST_TOLD)
            ],
        )
        if self._outcome.tags:
            await imports.invalidate(self._conn, self._outcome.tags)
        self._outcome.applied = [self._applied[place] for place in sorted(self._applied)]
        return self._outcome

    async def _make(self, writer: Writer, group: Group) -> None:
        action = next(iter(group.values())).action
        edits, ids = list(group.values()), [ident(edit) for edit in group.values()]
        before = read(await writer.documents(self._conn, ids))
        await self._check(writer, group, before)
        async with self._conn.transaction():
            written = await writer.write(self._conn, action, edits, {} if action == "create" else before)
        revised = sorted(written.changed) if action in ("replace", "update") else []
        after = read(await writer.documents(self._conn, revised)) if revised else {}
        self._note(group, written, {one: difference(before[one], after[one]) for one in revised})

    async def _check(self, writer: Writer, group: Group, before: Mapping[int, Document]) -> None:
        states = {one: document["deleted_at"] is not None for one, document in before.items()}
        found = {place: error for place, edit in group.items() if (error := misplaced(edit, states)) is not None}
        sound = [place for place in group if place not in found]
        errors = await writer.check(self._conn, [group[place] for place in sound], set()) if sound else {}
        found.update((sound[index], error) for index, error in errors.items())
        refuse(found)

    async def _explain(self, writer: Writer, group: Group, error: Exception) -> NoReturn:
        """Say what is in the way of the one edit that was refused, now that it can be seen. Raises Refused."""
        ((place, edit),) = group.items()
        await self._check(writer, group, read(await writer.documents(self._conn, [ident(edit)])))
        told = error if isinstance(error, YojohanError) else Conflict("Somebody else was faster; read it again.")
        raise Refused([Faulty(place, told)])

    def _note(self, group: Group, written: Written, differences: Mapping[int, dict[str, Any]]) -> None:
        author, outcome = self._author, self._outcome
        self._revisions += [
            Revision(noun, word, "created", author.origin, author.user_id, author.operation_id)
            for noun, word in written.words
        ]
        for place, edit in group.items():
            changed = ident(edit) in written.changed
            self._applied[place] = Applied(edit.noun, ident(edit), changed)
            if changed:
                action = ACTIONS[edit.action]
                if author.origin == "schedule" and action == "updated":
                    action = "published"
                self._revisions.append(
                    Revision(
                        edit.noun, ident(edit), action, author.origin, author.user_id, author.operation_id,
                        differences.get(ident(edit), {}), author.undoes,
                    )
                )  # fmt: skip
        outcome.tags |= written.tags
        outcome.rebuild += [word for word in written.rebuild if word not in outcome.rebuild]
        for name, facts in written.facts.items():
            if facts and self._events and self._events[-1][0] == name:
                self._events[-1][1].extend(facts)
            elif facts:
                self._events.append((name, list(facts)))


def read(documents: Mapping[int, bytes]) -> dict[int, Document]:
    """The documents as values."""
    return {key: orjson.loads(document) for key, document in documents.items()}


def refuse(found: Mapping[int, YojohanError]) -> None:
    """Raise Refused if there is any fault."""
    if found:
        raise Refused([Faulty(place, found[place]) for place in sorted(found)])
