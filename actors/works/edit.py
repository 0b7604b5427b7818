"""`edit` and `batch`: what administrators change, once each, and nobody reads the old state after the end.

First the effect, in a transaction with a checkpoint that says what is left to do; then what follows from it: caches are
dropped, and documents of releases that bear another word now written anew. Only then the operation has succeeded.
Interrupted after its effect it goes on behind it, even if it was cancelled meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from actors.works.base import Progress, Work
from server.cms import engine, rebuild
from server.cms.edits import Author, Edit, Faulty, Outcome, from_json
from server.cms.order import chained
from server.database import Database
from server.errors import Conflict, Overloaded, Unavailable, YojohanError
from server.rules import cache_tags
from sql import operations
from sql.operations import MOST_ATTEMPTS, Operation
from sql.query import Connection

Drop = Callable[[Iterable[str]], Any]

# Edits of a batch that is not atomic, in one transaction.
PORTION = 50
# Releases whose documents are written anew in one transaction.
SLICE = 500
# What is told of the edits of a batch: of each that was refused, if they have one fault each.
MOST_TOLD = 500


class EditWork(Work):
    """One edit."""

    kind: ClassVar[str] = "edit"
    goes_on: ClassVar[bool] = True

    def __init__(self, database: Database, drop: Drop) -> None:
        self._database = database
        self._drop = drop

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """The id and noun of what was edited, and whether that changed anything."""
        edits = from_json(operation.request["edits"])
        progress.total = len(edits)
        state = operation.checkpoint or await self._together(operation, progress, edits)
        await self._follow(progress, state)
        result: dict[str, Any] = state["results"][0]
        return result

    async def _together(self, operation: Operation, progress: Progress, edits: list[Edit]) -> dict[str, Any]:
        """All of them or none, and what is left to do afterwards."""
        try:
            async with self._database.transaction() as conn:
                await operations.take_time(conn)
                outcome = await engine.apply(conn, edits, author(operation))
                state = noted(outcome)
                await progress.checkpoint(conn, state, len(edits))
        except engine.Refused as refused:
            raise self._why(progress, refused.faults) from None
        return state

    def _why(self, progress: Progress, faults: list[Faulty]) -> YojohanError:
        error = faults[0].error
        for fault in error.faults:
            progress.tell(None, fault.detail, field=fault.pointer, code=error.code)
        return error

    async def _follow(self, progress: Progress, state: dict[str, Any]) -> None:
        """Drop what is stale, and write documents that bear a changed word anew, from where that was interrupted."""
        self._drop(state["tags"])
        for place, (noun, word_id) in enumerate(state["rebuild"]):
            if place < state["place"]:
                continue
            # Kept for each word: the last release that is done.
            last_id = state["last_id"] if place == state["place"] else 0
            whole = False
            while not whole:
                async with self._database.transaction() as conn:
                    await operations.take_time(conn)
                    done = await rebuild.slice(conn, noun, word_id, last_id, SLICE)
                    last_id, whole = done.last_id, len(done.release_ids) < SLICE
                    state |= {"place": place + whole, "last_id": 0 if whole else last_id}
                    await progress.checkpoint(conn, state, to_the_end=True)
                # Lists are dropped once, at the end: there may be hundreds of slices.
                tags = cache_tags.changed(done.release_ids)
                self._drop(tags if whole else tags.difference(cache_tags.LISTS))
        progress.followed = True


class BatchWork(EditWork):
    """Up to 500 edits: all or nothing, or as many as can be made."""

    kind: ClassVar[str] = "batch"

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """The fate of each, in order; null for what could not be made, which `errors` tell by its place from 0."""
        edits = from_json(operation.request["edits"])
        progress.total, progress.most_errors = len(edits), MOST_TOLD
        if operation.request["atomic"]:
            state = operation.checkpoint or await self._together(operation, progress, edits)
        else:
            state = await self._one_by_one(operation, progress, edits)
        await self._follow(progress, state)
        return {"results": state["results"]}

    def _why(self, progress: Progress, faults: list[Faulty]) -> YojohanError:
        refuse(progress, faults)
        return Conflict(f"Nothing was changed: {len(faults)} of the edits cannot be made.")

    async def _one_by_one(self, operation: Operation, progress: Progress, edits: list[Edit]) -> dict[str, Any]:
        """Portion by portion, behind those that earlier attempts have made."""
        state = operation.checkpoint or noted(Outcome()) | {"errors": [], "refused": 0}
        progress.errors, progress.refused = list(state["errors"]), state["refused"]
        progress.result = {"results": state["results"]}
        while (made := len(state["results"])) < len(edits):
            if state["results"] and operation.attempts > MOST_ATTEMPTS:
                # The rest has been tried often enough; what is done has not ended before its consequences have.
                await self._follow(progress, state)
                raise Overloaded(f"The first {made} edits have had their turn; the rest was given up.")
            try:
                state = await self._portion(operation, progress, edits[made : made + PORTION], state)
            except Unavailable:
                # Tried again in a moment; and it may have been committed after all.
                raise
            except Exception:
                # What is done stays done, with all that follows from it.
                if state["results"]:
                    await self._follow(progress, state)
                raise
            progress.result = {"results": state["results"]}
            self._drop(state["tags"])
        return state

    async def _portion(
        self, operation: Operation, progress: Progress, edits: list[Edit], state: dict[str, Any]
    ) -> dict[str, Any]:
        made = len(state["results"])
        async with self._database.transaction() as conn:
            await operations.take_time(conn)
            outcomes = await in_part(conn, edits, author(operation))
            reached = extended(state, outcomes, made, progress)
            await progress.checkpoint(conn, reached, made + len(edits))
        return reached


def author(operation: Operation) -> Author:
    """On whose behalf it is done."""
    asked = operation.request
    return Author(operation.user_id, operation.id, asked.get("origin", "cms"), asked.get("undoes"))


def noted(outcome: Outcome) -> dict[str, Any]:
    """What the checkpoint keeps of an effect."""
    return {
        "results": [{"id": one.id, "noun": one.noun, "changed": one.changed} for one in outcome.applied],
        "tags": sorted(outcome.tags),
        "rebuild": [list(word) for word in outcome.rebuild],
        "place": 0,
        "last_id": 0,
    }


async def in_part(conn: Connection, edits: list[Edit], by: Author) -> list[Outcome | Faulty]:
    """All at once if they can be made, otherwise each by itself, behind a savepoint.

    Either way If-Match is about the state right before its edit: where an earlier one may have changed that, there is
    no first attempt, which looks at the states before all of them.
    """
    if not chained(edits):
        try:
            async with conn.transaction():
                return [await engine.apply(conn, edits, by)]
        except engine.Refused:
            pass
    outcomes: list[Outcome | Faulty] = []
    for index, edit in enumerate(edits):
        try:
            async with conn.transaction():
                outcomes.append(await engine.apply(conn, [edit], by))
        except engine.Refused as refused:
            outcomes.append(Faulty(index, refused.faults[0].error))
    return outcomes


def extended(state: dict[str, Any], outcomes: list[Outcome | Faulty], first: int, progress: Progress) -> dict[str, Any]:
    """The state after a portion that begins at this place of the batch."""
    results, tags, rebuild_ = list(state["results"]), set(state["tags"]), list(state["rebuild"])
    for outcome in outcomes:
        if isinstance(outcome, Faulty):
            refuse(progress, [Faulty(first + outcome.index, outcome.error)])
            results.append(None)
            continue
        made = noted(outcome)
        results += made["results"]
        tags.update(made["tags"])
        rebuild_ += [word for word in made["rebuild"] if word not in rebuild_]
    return state | {
        "results": results, "tags": sorted(tags), "rebuild": rebuild_,
        "errors": progress.errors[:MOST_TOLD], "refused": progress.refused,
    }  # fmt: skip


def refuse(progress: Progress, faults: Iterable[Faulty]) -> None:
    """Tell of edits by their place in the batch, fault by fault."""
    for index, error in faults:
        if not error.faults:
            progress.refuse(index, error.detail or error.title(), code=error.code)
            continue
        progress.refused += 1
        for fault in error.faults:
            progress.tell(index, fault.detail, field=fault.pointer, code=error.code)
