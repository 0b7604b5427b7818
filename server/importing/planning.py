"""What is to become of each row of a batch: left alone, merged into a release, made into a new one, or skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.importing.drafts import Row
from sql import imports
from sql.query import Connection

AMBIGUOUS = "ambiguous"
DELETED = "deleted"
DUPLICATE = "duplicate"

ExternalId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How far a source is believed.

    `authoritative`: a field it says replaces what is there, a list of episodes is the whole list; otherwise it
    supplements. `own_keys`: each of its keys is a work of its own, so that two rows which share an external id are
    two releases; otherwise the second is a duplicate. `shared_ids`: external ids that name a series, not a release.
    """

    name: str
    authoritative: bool = False
    own_keys: bool = False
    shared_ids: frozenset[str] = frozenset()


@dataclass(slots=True)
class Fate:
    """What happens to one row. `release_id` is 0 while a new release has none; `lost` are ids others own, `kept`
    the ordinals of episodes that stay deleted, since an editor deleted them."""

    row: Row
    action: Literal["unchanged", "update", "create", "skip"]
    release_id: int = 0
    reason: str = ""
    lost: list[ExternalId] = field(default_factory=list)
    kept: list[Decimal] = field(default_factory=list)


@dataclass(slots=True)
class Knowledge:
    """What the catalogue holds about a batch, and what this run has met so far."""

    known: dict[str, tuple[int, bytes]]
    owners: dict[ExternalId, int]
    deleted: set[int]
    claims: set[str]
    # Releases other keys of the same source stand for already; empty for sources without keys of their own.
    spoken_for: set[int]
    fresh_ids: list[str] = field(default_factory=list)


def key_claim(row: Row) -> str:
    """The claim on a source key."""
    return f"key {row.source_key}"


def release_claim(release_id: int) -> str:
    """The claim on a release."""
    return f"release {release_id}"


def id_claim(source: str, external_id: str) -> str:
    """The claim on an external id."""
    return f"id {source} {external_id}"


async def gather(conn: Connection, run: UUID, source: SourceFormat, rows: Sequence[Row], *, dry_run: bool) -> Knowledge:
    """Ask the database once for the whole batch; of rows whose hash is known only whose they are."""
    known = await imports.known_rows(conn, source.name, [row.source_key for row in rows])
    settled = [row for row in rows if known.get(row.source_key, (0, b""))[1] == row.content_hash]
    doubtful = {id(row) for row in await _doubtful(conn, source, settled, known)}
    spared = {id(row) for row in settled} - doubtful
    fresh = [row for row in rows if id(row) not in spared]
    wanted = [(one[0], one[1]) for row in fresh for one in row.external_ids]
    owners = await imports.owners(conn, wanted) if wanted else {}
    releases = {release_id for release_id, _ in known.values()} | set(owners.values())
    deleted = await imports.deleted_releases(conn, list(releases)) if releases else set()
    # Ids of rows that were merged are in the catalogue by now; those of a dry run are nowhere else.
    ids = [id_claim(*one) for one in wanted] if dry_run else []
    asked = [key_claim(row) for row in rows] + [release_claim(one) for one in releases] + ids
    spoken_for = (
        await imports.spoken_for(conn, source.name, list(set(owners.values()))) if source.own_keys and owners else set()
    )
    return Knowledge(known, owners, deleted, await imports.claimed(conn, run, asked), spoken_for)


async def _doubtful(
    conn: Connection, source: SourceFormat, rows: Sequence[Row], known: Mapping[str, tuple[int, bytes]]
) -> list[Row]:
    """Those of the rows named by an external id that their release no longer has; mostly one id a row is asked for."""
    named = [(row, one) for row in rows if is_named_by_id(row) and (one := naming_id(source, row)) is not None]
    owners = await imports.owners(conn, [one for _, one in named]) if named else {}
    return [row for row, one in named if owners.get(one) != known[row.source_key][0]]


def plan(source: SourceFormat, rows: Sequence[Row], knowledge: Knowledge) -> list[Fate]:
    """The fate of each row, in order: an earlier row claims what a later one may not touch again."""
    fates = []
    for row in rows:
        fate = decide(source, row, knowledge)
        if fate.action != "skip":
            note_claims(fate, knowledge)
        fates.append(fate)
    return fates


def decide(source: SourceFormat, row: Row, knowledge: Knowledge) -> Fate:
    """The fate of one row."""
    if key_claim(row) in knowledge.claims:
        return Fate(row, "skip", reason=DUPLICATE)
    release_id, content_hash = knowledge.known.get(row.source_key, (0, b""))
    if release_id and is_another_now(source, row, release_id, knowledge):
        release_id = 0
    if release_id and content_hash == row.content_hash and release_id not in knowledge.deleted:
        return Fate(row, "unchanged", release_id)
    if not release_id:
        matches = matching(source, row, knowledge)
        if len(matches) > 1:
            return Fate(row, "skip", reason=AMBIGUOUS)
        release_id = next(iter(matches), 0)
    if release_id in knowledge.deleted:
        return Fate(row, "skip", release_id, DELETED)
    if is_taken(source, row, release_id, knowledge):
        another_work = source.own_keys and row.source_key not in knowledge.known
        return Fate(row, "create") if another_work else Fate(row, "skip", reason=DUPLICATE)
    return Fate(row, "update" if release_id else "create", release_id)


def identifying(source: SourceFormat, row: Row) -> list[ExternalId]:
    """Those of the row's external ids that name one release."""
    return [(one[0], one[1]) for one in row.external_ids if one[0] not in source.shared_ids]


def is_named_by_id(row: Row) -> bool:
    """Whether its key is one of its external ids, and no id the source itself gave it."""
    return row.item.source_key is None and bool(row.external_ids)


def naming_id(source: SourceFormat, row: Row) -> ExternalId | None:
    """The least of its identifying ids: the one its key was made of, as a rule."""
    return min(identifying(source, row), default=None)


def is_another_now(source: SourceFormat, row: Row, release_id: int, knowledge: Knowledge) -> bool:
    """Whether the ids of a row, which alone made it this release, belong to others by now: somebody moved them."""
    if not is_named_by_id(row):
        return False
    owners = {knowledge.owners[one] for one in identifying(source, row) if one in knowledge.owners}
    return bool(owners) and release_id not in owners


def matching(source: SourceFormat, row: Row, knowledge: Knowledge) -> set[int]:
    """The releases that share an identifying external id with the row and are not another work of its source."""
    found = {knowledge.owners[one] for one in identifying(source, row) if one in knowledge.owners}
    return {one for one in found if one not in knowledge.spoken_for}


def is_taken(source: SourceFormat, row: Row, release_id: int, knowledge: Knowledge) -> bool:
    """Whether an earlier row of this run describes the same release."""
    if release_id:
        return release_claim(release_id) in knowledge.claims
    return any(id_claim(*one) in knowledge.claims for one in identifying(source, row))


def lasting_claims(fates: Sequence[Fate]) -> list[str]:
    """What later batches of the run may not touch again: the keys of these rows and their releases."""
    settled = [fate for fate in fates if fate.action != "skip"]
    return [key_claim(fate.row) for fate in settled] + [release_claim(fate.release_id) for fate in settled]


def note_claims(fate: Fate, knowledge: Knowledge) -> None:
    """Claim what the row describes; work out which of its external ids stay with others."""
    knowledge.claims.add(key_claim(fate.row))
    if fate.release_id:
        knowledge.claims.add(release_claim(fate.release_id))
    if fate.action == "unchanged":
        return
    for source, external_id, _ in fate.row.external_ids:
        owner = knowledge.owners.get((source, external_id), 0)
        claim = id_claim(source, external_id)
        if owner not in (0, fate.release_id) or (not owner and claim in knowledge.claims):
            fate.lost.append((source, external_id))
        else:
            knowledge.claims.add(claim)
            knowledge.fresh_ids.append(claim)
