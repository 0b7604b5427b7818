"""What an edit says of a release, as the rows that imports merge. Nothing here touches the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from server.cms.edits import Edit
from server.cms.order import ident
from server.cms.writer import Document
from server.errors import Fault, Unprocessable
from server.importing.drafts import InvalidRowError, Item, Row, prepare, vocabulary_key
from server.importing.merge import said_bits
from server.importing.planning import Fate
from server.rules.slugs import safe_slug
from server.schemas.catalogue import ReleaseDraft
from server.schemas.cms import TYPES, ReleasePatch, ReleaseWrite
from sql.cms_releases import State

# What a replacement does not say becomes this; only the slug stays.
DEFAULTS: dict[str, Any] = {
    "titles": {}, "synonyms": [], "synopsis": "", "type": "other", "status": "finished", "season": None, "year": None,
    "age_rating": None, "episodes_total": None, "genres": [], "tags": [], "franchise": None, "external_ids": {},
}  # fmt: skip
# Bits of `server.importing.merge.SAID`.
TITLE, FRANCHISE, GENRES, TAGS = 1, 256, 512, 1024
# About two milliseconds' worth.
PORTION = 25


@dataclass(frozen=True, slots=True)
class Said:
    """What one edit says: a row, the bits of the fields that speak, the slug it insists on, the state."""

    row: Row
    bits: int
    slug: str
    state: State

    @property
    def id(self) -> int:
        """Of which release."""
        return self.state.id

    @property
    def external_ids(self) -> list[tuple[str, str]] | None:
        """The ids it is to have elsewhere; None where nothing is said of them."""
        if self.row.draft.external_ids is UNSET:
            return None
        return [(source, external_id) for source, external_id, _ in self.row.external_ids]

    def fate(self) -> Fate:
        """What becomes of the row."""
        return Fate(self.row, "update", self.id)

    def begins_published(self) -> tuple[bool, datetime | None]:
        """Of a new release: whether the public sees it at once, and when it will if not."""
        if self.state.publish_at is not None and self.state.publish_at > datetime.now(UTC):
            return False, self.state.publish_at
        return self.state.published is not False, None


def read(edit: Edit) -> Said:
    """What it says. Raises Unprocessable for values that no schema finds out."""
    body: ReleaseWrite | ReleasePatch = msgspec.convert(edit.body, TYPES[edit.noun, edit.action])
    fields = {name: value for name in DEFAULTS if (value := getattr(body, name)) is not UNSET}
    if edit.action == "replace":
        fields = DEFAULTS | fields
    slug = "" if body.slug is UNSET else body.slug
    faults: list[Fault] = []
    if slug and safe_slug(slug) != slug:
        faults.append(fault("slug", "may neither be a number nor a word of the API's own addresses"))
    # Of a patch without a title no bit says that there is one.
    row = prepared({"title": "-" if body.title is UNSET else body.title, **fields}, faults)
    if row is None or faults:
        raise Unprocessable("Some values do not fit.", faults=faults)
    bits = said_bits(row.draft, empty_counts=True)
    return Said(row, bits & ~TITLE if body.title is UNSET else bits, slug, state_of(edit, body))


def prepared(fields: dict[str, Any], faults: list[Fault]) -> Row | None:
    """The row that these fields make, or None; what is wrong with them goes to `faults`."""
    while True:
        try:
            return prepare(Item(0, None, ReleaseDraft(**fields)))
        except InvalidRowError as error:
            faults.append(fault(error.field, error.reason))
            # Without the bad value it is seen what else is wrong.
            sound = {name: value for name, value in fields.items() if name != error.field}
            if len(sound) == len(fields):
                return None
            fields = {"title": "-"} | sound


def news(said: Said, before: Document) -> int:
    """The bits of what it says, without words that are as they were shown: those that are hidden stay with them."""
    franchise = before["franchise"]
    same = FRANCHISE if said.row.franchise_key == (vocabulary_key(franchise) if franchise else "") else 0
    same |= GENRES if said.row.genres.keys() == set(map(vocabulary_key, before["genres"])) else 0
    same |= TAGS if said.row.tags.keys() == set(map(vocabulary_key, before["tags"])) else 0
    return said.bits & ~same


async def read_all(edits: Sequence[Edit]) -> dict[int, Said | Unprocessable]:
    """What each of the edits that have a body says, by place, or why it cannot be. Others have their turn meanwhile."""
    found: dict[int, Said | Unprocessable] = {}
    for index, edit in enumerate(edits):
        if index % PORTION == PORTION - 1:
            await asyncio.sleep(0)
        if edit.body is not None:
            try:
                found[index] = read(edit)
            except Unprocessable as error:
                found[index] = error
    return found


def state_of(edit: Edit, body: ReleaseWrite | ReleasePatch) -> State:
    """What it says of being published; a release as a whole is, unless it says otherwise."""
    published = None if body.is_published is UNSET else body.is_published
    publish_at = None if body.publish_at is UNSET else body.publish_at
    if edit.action == "update":
        return State(ident(edit), published, body.publish_at is not UNSET, publish_at)
    return State(ident(edit), published is not False, True, publish_at)


def fault(field: str, reason: str) -> Fault:
    """A bad value, by its field."""
    return Fault("/" + field.replace(".", "/"), reason)
