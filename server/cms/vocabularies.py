"""Genres, tags and franchises as the CMS writes them.

A change of a word is a change of one row. The documents of its releases, fifty thousand perhaps, follow in slices
(`server.cms.rebuild`): `Written.rebuild` says of which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from server.cms.edits import Action, Edit, Noun
from server.cms.writer import Document, Written
from server.errors import Conflict, Fault, Unprocessable, YojohanError
from server.importing.drafts import vocabulary_key
from server.rules.cache_tags import RELEASES
from server.rules.slugs import safe_slug, slug_of
from server.rules.titles import normal_lines
from server.schemas.cms import TYPES, FranchisePatch, FranchiseWrite, WordPatch, WordWrite
from sql import cms_vocabularies as sql
from sql.cms_vocabularies import Stored, Word, WordNoun
from sql.query import Connection

Body = WordWrite | WordPatch | FranchiseWrite | FranchisePatch


class Wish(NamedTuple):
    """What a word is to be called. The first slug that is free is its slug; of `slugs` there is one if it was said."""

    id: int
    name: str
    name_key: str
    slugs: tuple[str, ...]


class Words:
    """The writer of one of the three nouns."""

    def __init__(self, noun: WordNoun) -> None:
        self._noun = noun

    async def reserve(self, conn: Connection, count: int) -> list[int]:
        """Fresh ids."""
        return await sql.new_ids(conn, self._noun, count)

    async def states(self, conn: Connection, ids: Sequence[int]) -> dict[int, bool]:
        """Whether each is deleted."""
        return {one.word.id: one.deleted for one in await sql.find(conn, self._noun, ids)}

    async def check(
        self, conn: Connection, edits: Sequence[Edit], absent: set[tuple[Noun, int]]
    ) -> dict[int, YojohanError]:
        """Blank names, and names and slugs that are taken when an edit's turn comes."""
        return (await self._plan(conn, edits, absent)).faults

    async def write(
        self, conn: Connection, action: Action, edits: Sequence[Edit], before: Mapping[int, Document]
    ) -> Written:
        """Write the words; their releases are left to `rebuild`."""
        if action == "delete":
            changed = await sql.delete(conn, self._noun, [edit.id for edit in edits if edit.id is not None])
        else:
            plan = await self._plan(conn, edits, set())
            for error in plan.faults.values():
                raise error
            if action == "create":
                changed = await sql.insert(conn, self._noun, plan.words)
            else:
                if in_the_way := crowded(plan.words, before):
                    await sql.vacate(conn, self._noun, in_the_way)
                changed = await sql.update(conn, self._noun, plan.words)
        # Nothing bears a word that is new.
        rebuild: list[tuple[Noun, int]] = [] if action == "create" else [(self._noun, one) for one in sorted(changed)]
        return Written(changed, tags={RELEASES} if changed else set(), rebuild=rebuild)

    async def documents(self, conn: Connection, ids: Sequence[int], *, deleted: bool = True) -> dict[int, bytes]:
        """What editors see."""
        found = await sql.documents(conn, self._noun, ids, deleted=deleted)
        return {word_id: document.encode() for word_id, document in found.items()}

    async def _plan(self, conn: Connection, edits: Sequence[Edit], absent: set[tuple[Noun, int]]) -> Plan:
        stored = await sql.find(conn, self._noun, [edit.id for edit in edits if edit.id is not None])
        own = {one.word.id: one.word for one in stored}
        wishes = [wish_of(self._noun, edit, own.get(edit.id or 0)) for edit in edits]
        keys = {wish.name_key for wish in wishes if isinstance(wish, Wish)}
        slugs = {slug for wish in wishes if isinstance(wish, Wish) for slug in wish.slugs}
        if keys:
            stored += await sql.find(conn, self._noun, [], list(keys), list(slugs))
        ids = {edit.id for edit in edits}
        # A word that edits of another part of the list may rename or delete says nothing.
        plan = Plan(
            self._noun, (one for one in stored if one.word.id in ids or (self._noun, one.word.id) not in absent)
        )
        for index, edit in enumerate(edits):
            plan.play(index, edit)
        return plan


GENRES, TAGS, FRANCHISES = Words("genre"), Words("tag"), Words("franchise")


class Plan:
    """Who has which name and slug while edits are made one after another."""

    def __init__(self, noun: WordNoun, stored: Iterable[Stored]) -> None:
        self.faults: dict[int, YojohanError] = {}
        self.words: list[Word] = []
        self._noun = noun
        self._known: dict[int, Word] = {}
        self._names: dict[str, int] = {}
        self._slugs: dict[str, int] = {}
        for one in stored:
            self._known[one.word.id] = one.word
            if not one.deleted:
                self._take(one.word)

    def play(self, index: int, edit: Edit) -> None:
        """Let one edit happen, or find out why it cannot."""
        wish = wish_of(self._noun, edit, self._known.get(edit.id or 0))
        if isinstance(wish, YojohanError):
            self.faults[index] = wish
        elif wish is not None:
            self._grant(index, wish)
        elif edit.id in self._known:
            self._let_go(self._known[edit.id])

    def _grant(self, index: int, wish: Wish) -> None:
        if (holder := self._names.get(wish.name_key, wish.id)) != wish.id:
            self.faults[index] = Conflict(f"The {self._noun} {holder} has this name already.")
            return
        slug = next((slug for slug in wish.slugs if self._slugs.get(slug, wish.id) == wish.id), None)
        if slug is None:
            holder = self._slugs[wish.slugs[0]]
            self.faults[index] = Conflict(f"The {self._noun} {holder} has the slug {wish.slugs[0]} already.")
            return
        if wish.id in self._known:
            self._let_go(self._known[wish.id])
        word = Word(wish.id, wish.name, wish.name_key, slug)
        self._take(word)
        self.words.append(word)

    def _let_go(self, word: Word) -> None:
        # Of a deleted one both may be somebody else's.
        if self._names.get(word.name_key) == word.id:
            del self._names[word.name_key]
        if self._slugs.get(word.slug) == word.id:
            del self._slugs[word.slug]

    def _take(self, word: Word) -> None:
        self._known[word.id] = word
        self._names[word.name_key] = word.id
        self._slugs[word.slug] = word.id


def wish_of(noun: WordNoun, edit: Edit, own: Word | None) -> Wish | YojohanError | None:
    """What the word is to be called after the edit, as far as it can be told; None if nothing is asked for."""
    if edit.action == "delete" or edit.id is None:
        return None
    if edit.body is None:
        # Its slug may be somebody else's by now, which is no reason to leave it deleted.
        return Wish(edit.id, own.name, own.name_key, variants(own.slug, edit.id)) if own else None
    body: Body = msgspec.convert(edit.body, TYPES[edit.noun, edit.action])
    name, key = (own.name, own.name_key) if own else ("", "")
    if body.name is not UNSET:
        name = normal_lines(body.name).strip()
        key = vocabulary_key(name)
        if not key:
            return Unprocessable("Some values do not fit.", faults=[Fault("/name", "must not be blank")])
    if body.slug is not UNSET:
        return Wish(edit.id, name, key, (safe_slug(body.slug, noun),))
    slugs = (own.slug,) if own else variants(slug_of(name, noun=noun), edit.id)
    return Wish(edit.id, name, key, slugs) if key else None


def variants(slug: str, word_id: int) -> tuple[str, ...]:
    """The slug, and what it is where that is taken."""
    mark = blake2b(f"{slug} {word_id}".encode(), digest_size=4).hexdigest()
    return slug, f"{slug}-{word_id}", f"{slug}-{word_id}-{mark}"


def crowded(words: Sequence[Word], before: Mapping[int, Document]) -> list[int]:
    """Those whose present name or slug another of the words takes over."""
    names = {vocabulary_key(one["name"]): word_id for word_id, one in before.items() if one["deleted_at"] is None}
    slugs = {one["slug"]: word_id for word_id, one in before.items() if one["deleted_at"] is None}
    return sorted(
        {
            holder
            for word in words
            for holder in (names.get(word.name_key, word.id), slugs.get(word.slug, word.id))
            if holder != word.id
        }
    )
