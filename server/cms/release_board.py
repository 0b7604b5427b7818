"""What stands in the way of edits of releases: slugs and ids elsewhere that others have, words that were deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.cms.edits import Edit, Noun
from server.cms.order import ident
from server.cms.release_drafts import Said
from server.errors import Conflict
from sql import cms_releases, imports
from sql.cms_releases import Slugged
from sql.query import Connection

ExternalId = tuple[str, str]


class Board:
    """Who has which slug and which ids elsewhere while edits are played one after another."""

    def __init__(
        self, stored: Iterable[Slugged], owners: Mapping[ExternalId, int], forgotten: Mapping[tuple[str, str], int]
    ) -> None:
        known = list(stored)
        self._slugs = {one.slug: one.id for one in known if not one.deleted}
        self._own = {one.id: one.slug for one in known}
        self._owners = dict(owners)
        # What releases say of their ids in this very list.
        self._said: dict[int, set[ExternalId]] = {}
        self._forgotten = forgotten

    def play(self, edit: Edit, said: Said | None) -> Conflict | None:
        """Let one edit happen, or say why it cannot."""
        key = ident(edit)
        if said is None:
            if edit.action == "delete":
                self._let_go(key)
            elif key in self._own:
                self._slugs.setdefault(self._own[key], key)
            return None
        if conflict := self._conflict(key, said):
            return conflict
        if said.slug:
            self._let_go(key)
            self._slugs[said.slug] = key
            self._own[key] = said.slug
        if said.external_ids is not None:
            self._said[key] = set(said.external_ids)
            self._owners.update(dict.fromkeys(said.external_ids, key))
        return None

    def _conflict(self, key: int, said: Said) -> Conflict | None:
        if said.slug and (holder := self._slugs.get(said.slug, key)) != key:
            return Conflict(f"The release {holder} has the slug {said.slug} already.")
        for one in said.external_ids or ():
            owner = self._owners.get(one, key)
            if owner != key and one in self._said.get(owner, {one}):
                return Conflict(f"The release {owner} has the id {one[1]} at {one[0]} already.")
        for noun, names in words_of(said).items():
            for name in names:
                if (gone := self._forgotten.get((noun, name))) is not None:
                    return Conflict(f"The {noun} {names[name]} was deleted; restore {noun} {gone} first.")
        return None

    def _let_go(self, key: int) -> None:
        if (slug := self._own.get(key)) is not None and self._slugs.get(slug) == key:
            del self._slugs[slug]


async def set_up(conn: Connection, edits: Sequence[Edit], said: Iterable[Said], absent: set[tuple[Noun, int]]) -> Board:
    """The board as it stands before these edits: a statement for each kind of thing they speak of."""
    wishes = list(said)
    slugs = {one.slug for one in wishes if one.slug}
    ids = {one for wish in wishes for one in wish.external_ids or ()}
    words: dict[Noun, set[str]] = {"genre": set(), "tag": set(), "franchise": set()}
    for wish in wishes:
        for noun, names in words_of(wish).items():
            words[noun].update(names)
    # Only those that a slug is at stake for.
    touched = {ident(edit) for edit in edits if edit.body is None} | {one.id for one in wishes if one.slug}
    stored = await cms_releases.find(conn, touched, slugs) if touched else []
    owners = await imports.owners(conn, sorted(ids)) if ids else {}
    gone = await cms_releases.forgotten_words(conn, *words.values()) if any(words.values()) else {}
    # Words that an earlier edit of the list may have restored or made say nothing.
    spared: set[tuple[str, int]] = {(noun, word) for noun, word in absent}
    return Board(stored, owners, {key: word for key, word in gone.items() if (key[0], word) not in spared})


def words_of(said: Said) -> dict[Noun, dict[str, str]]:
    """The names it gives, by their key."""
    row = said.row
    franchise = {row.franchise_key: row.draft.franchise} if row.draft.franchise else {}
    return {"genre": row.genres, "tag": row.tags, "franchise": franchise}
