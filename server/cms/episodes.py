"""Episodes as the CMS writes them. An episode stays with its release, which holds each ordinal once."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from server.cms.edits import Action, Edit, Noun
from server.cms.writer import Document, Written
from server.errors import Conflict, Fault, NotFound, Unprocessable, YojohanError
from server.importing.drafts import YEARS, in_order, ordinal_fault
from server.rules import cache_tags
from server.rules.titles import normal_lines
from server.schemas.cms import TYPES, EpisodePatch, EpisodeReplace, EpisodeWrite
from sql import cms_episodes as sql
from sql import imports
from sql.cms_episodes import Pair, Place, Placed
from sql.query import Connection

Body = EpisodeWrite | EpisodeReplace | EpisodePatch
# What the outbox is told, by action.
FACTS: dict[Action, str] = {
    "create": "episodes",
    "replace": "episodes_updated",
    "update": "episodes_updated",
    "delete": "episodes_deleted",
    "restore": "episodes_updated",
}


class Episodes:
    """The writer of episodes."""

    async def reserve(self, conn: Connection, count: int) -> list[int]:
        """Fresh ids."""
        return await sql.new_ids(conn, count)

    async def states(self, conn: Connection, ids: Sequence[int]) -> dict[int, bool]:
        """Whether each is deleted."""
        return {one.id: one.deleted for one in await sql.places(conn, ids, [])}

    async def check(
        self, conn: Connection, edits: Sequence[Edit], absent: set[tuple[Noun, int]]
    ) -> dict[int, YojohanError]:
        """Values that do not fit, releases that are not there, places that are taken when an edit's turn comes."""
        bodies = [body_of(edit) for edit in edits]
        found: dict[int, YojohanError] = {
            index: fault for index, body in enumerate(bodies) if body and (fault := fault_of(body)) is not None
        }
        standing = await sql.places(conn, [edit.id for edit in edits if edit.id is not None], [])
        own = {one.id: one.place for one in standing}
        wanted = [
            place_of(bodies[index], own.get(edit.id or 0)) for index, edit in enumerate(edits) if index not in found
        ]
        standing += await sql.places(conn, [], [place for place in wanted if place is not None])
        new_at = {body.release_id for body in bodies if isinstance(body, EpisodeWrite)}
        living = await sql.living_releases(conn, list(new_at)) if new_at else {}
        there = set(living) | {one for noun, one in absent if noun == "release"}
        board = Board(standing, absent, {edit.id for edit in edits})
        for index, (edit, body) in enumerate(zip(edits, bodies, strict=True)):
            if index not in found and (error := refusal(body, own.get(edit.id or 0), there)) is not None:
                found[index] = error
            if index not in found and (conflict := board.play(edit, body)) is not None:
                found[index] = conflict
        return found

    async def write(
        self, conn: Connection, action: Action, edits: Sequence[Edit], before: Mapping[int, Document]
    ) -> Written:
        """Write them, and the releases they belong to as changed now."""
        ids = [edit.id for edit in edits if edit.id is not None]
        if action == "delete":
            changed = await sql.delete(conn, ids)
        elif action == "restore":
            changed = await sql.restore(conn, ids)
        elif action == "create":
            changed = await sql.insert(conn, [row_of(edit) for edit in edits])
        else:
            rows = [row_of(edit) for edit in edits]
            if in_the_way := crowded(rows, before):
                await sql.vacate(conn, in_the_way)
            changed = await sql.update(conn, rows)
        return await follow_up(conn, FACTS[action], changed)

    async def documents(self, conn: Connection, ids: Sequence[int], *, deleted: bool = True) -> dict[int, bytes]:
        """What editors see."""
        found = await sql.documents(conn, ids, deleted=deleted)
        return {episode_id: document.encode() for episode_id, document in found.items()}


WRITER = Episodes()


class Board:
    """Who stands in which place while edits are played one after another."""

    def __init__(self, standing: Iterable[Placed], absent: set[tuple[Noun, int]], played: set[int | None]) -> None:
        known = list(standing)
        self._places = {one.id: one.place for one in known}
        # One that edits of another part of the list may move or delete says nothing.
        self._holders = {
            one.place: one.id
            for one in known
            if not one.deleted and (one.id in played or ("episode", one.id) not in absent)
        }

    def play(self, edit: Edit, body: Body | None) -> Conflict | None:
        """Let one edit happen; why it cannot."""
        assert edit.id is not None
        left = self._places.get(edit.id)
        wanted = None if edit.action == "delete" else place_of(body, left)
        if wanted is not None and (holder := self._holders.get(wanted, edit.id)) != edit.id:
            ordinal = format(wanted.ordinal.normalize(), "f")
            return Conflict(f"Episode {holder} has the ordinal {ordinal} in release {wanted.release_id} already.")
        if left is not None and self._holders.get(left) == edit.id:
            del self._holders[left]
        if wanted is not None:
            self._places[edit.id] = wanted
            self._holders[wanted] = edit.id
        return None


def body_of(edit: Edit) -> Body | None:
    """The body as what it was validated to be."""
    if edit.body is None:
        return None
    body: Body = msgspec.convert(edit.body, TYPES[edit.noun, edit.action])
    if body.title is UNSET or body.title.isascii():
        return body
    return msgspec.structs.replace(body, title=normal_lines(body.title))


def row_of(edit: Edit) -> dict[str, Any]:
    """The JSON values that its statement takes."""
    row: dict[str, Any] = msgspec.to_builtins(body_of(edit))
    return row | {"id": edit.id}


def fault_of(body: Body) -> Unprocessable | None:
    """What a schema cannot state."""
    faults = []
    if body.ordinal is not UNSET and (reason := ordinal_fault(exactly(body.ordinal))):
        faults.append(Fault("/ordinal", reason))
    if body.air_at is not UNSET and body.air_at is not None and body.air_at.year not in YEARS:
        faults.append(Fault("/air_at", "the year must lie between 1900 and 2199"))
    for name, span in (("opening", body.opening), ("ending", body.ending)):
        if span is not UNSET and span is not None and not in_order(span):
            faults.append(Fault(f"/{name}", "start must lie before stop"))
    return Unprocessable("Some values do not fit.", faults=faults) if faults else None


def refusal(body: Body | None, own: Place | None, there: Container[int]) -> YojohanError | None:
    """Whether its release is there, and is the one it has."""
    if isinstance(body, EpisodeWrite):
        return None if body.release_id in there else NotFound(f"There is no release {body.release_id}.")
    if body is None or own is None or body.release_id in (UNSET, own.release_id):
        return None
    fault = Fault("/release_id", f"It belongs to release {own.release_id} and stays there.")
    return Unprocessable("An episode does not move to another release.", faults=[fault])


def place_of(body: Body | None, own: Place | None) -> Place | None:
    """Where an episode is to stand. None for one that nobody knows yet."""
    if isinstance(body, EpisodeWrite):
        return Place(body.release_id, exactly(body.ordinal))
    if own is None or body is None or body.ordinal is UNSET:
        return own
    return Place(own.release_id, exactly(body.ordinal))


def crowded(rows: Sequence[Mapping[str, Any]], before: Mapping[int, Document]) -> list[int]:
    """Those whose present place another of the rows takes over."""
    at = {(one["release_id"], exactly(one["ordinal"])): episode_id for episode_id, one in before.items()}
    taken = {(before[row["id"]]["release_id"], exactly(row["ordinal"])): row["id"] for row in rows if "ordinal" in row}
    return [at[place] for place, taker in taken.items() if at.get(place, taker) != taker]


def exactly(ordinal: float) -> Decimal:
    """The number as somebody wrote it."""
    return Decimal(str(ordinal))


async def follow_up(conn: Connection, fact: str, changed: Sequence[Pair]) -> Written:
    """What changed episodes bring about: their releases were updated, and who follows visible ones hears of it."""
    if not changed:
        return Written()
    releases = sorted({release_id for release_id, _ in changed})
    await imports.touch(conn, releases)
    await imports.build_documents(conn, releases)
    visible = await sql.living_releases(conn, releases)
    told = [[release_id, episode_id] for release_id, episode_id in changed if visible.get(release_id)]
    ids = {episode_id for _, episode_id in changed}
    return Written(ids, {fact: told} if told else {}, cache_tags.changed(releases) | set(map(cache_tags.episode, ids)))
