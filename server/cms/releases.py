"""Releases as the CMS writes them: by the same statements as imports, which know how to change only what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.cms import release_board
from server.cms.edits import Action, Edit, Noun
from server.cms.release_drafts import GENRES, TAGS, Said, news, read_all
from server.cms.writer import Document, Written
from server.errors import YojohanError
from server.importing import merge
from server.rules import cache_tags
from server.search import documents
from sql import cms_releases as sql
from sql import imports
from sql.cms_releases import Turned
from sql.query import Connection

WORDS = GENRES | TAGS
STATE = ("is_published", "publish_at", "announced")


class Releases:
    """The writer of releases."""

    async def reserve(self, conn: Connection, count: int) -> list[int]:
        """Fresh ids."""
        return await imports.new_release_ids(conn, count)

    async def states(self, conn: Connection, ids: Sequence[int]) -> dict[int, bool]:
        """Whether each is deleted."""
        return {one.id: one.deleted for one in await sql.find(conn, ids, [])}

    async def check(
        self, conn: Connection, edits: Sequence[Edit], absent: set[tuple[Noun, int]]
    ) -> dict[int, YojohanError]:
        """Values that do not fit, slugs and external ids that are taken, words that were deleted."""
        bodies = await read_all(edits)
        said = {index: one for index, one in bodies.items() if isinstance(one, Said)}
        found: dict[int, YojohanError] = {index: one for index, one in bodies.items() if isinstance(one, YojohanError)}
        board = await release_board.set_up(conn, edits, said.values(), absent)
        for index, edit in enumerate(edits):
            if index not in found and (conflict := board.play(edit, said.get(index))) is not None:
                found[index] = conflict
        return found

    async def write(
        self, conn: Connection, action: Action, edits: Sequence[Edit], before: Mapping[int, Document]
    ) -> Written:
        """Write them, their documents and numbers."""
        if action == "delete":
            return await delete(conn, before)
        if action == "restore":
            return await restore(conn, before)
        said = [one for one in (await read_all(edits)).values() if isinstance(one, Said)]
        return await (create(conn, said) if action == "create" else change(conn, said, before))

    async def documents(self, conn: Connection, ids: Sequence[int], *, deleted: bool = True) -> dict[int, bytes]:
        """What editors see."""
        return await sql.documents(conn, ids, deleted=deleted)


WRITER = Releases()


async def create(conn: Connection, said: Sequence[Said]) -> Written:
    """New releases; followers hear of those that the public sees at once."""
    fates = [one.fate() for one in said]
    vocabulary = await merge.resolve_names(conn, fates)
    slugs = {one.id: one.slug for one in said if one.slug}
    derived = {one.id: one.row.slug for one in said if not one.slug}
    if derived:
        slugs |= await imports.free_slugs(conn, derived, slugs.values())
    states = {one.id: one.begins_published() for one in said}
    rows = (
        (
            *merge.new_release(fate, slugs[fate.release_id], vocabulary),
            *states[fate.release_id],
            states[fate.release_id][0],
        )
        for fate in fates
    )
    await merge.insert(conn, fates, rows, STATE)
    ids = list(states)
    await imports.build_documents(conn, ids)
    await documents.write(conn, ids)
    added = [one for one, (published, _) in states.items() if published]
    return Written(set(ids), {"added": added}, tags(ids, slugs.values()), words=vocabulary.made)


async def change(conn: Connection, said: Sequence[Said], before: Mapping[int, Document]) -> Written:
    """What is said takes the place of what was."""
    slugs = {one.id: one.slug for one in said if one.slug and one.slug != before[one.id]["slug"]}
    changed = await imports.change_slugs(conn, slugs) if slugs else set()
    words: Sequence[tuple[Noun, int]] = ()
    bits = {one.id: news(one, before[one.id]) for one in said}
    if staged := [one for one in said if bits[one.id]]:
        content, words = await stage(conn, staged, bits)
        changed |= content
    states = [one.state for one in said if one.state.dated or one.state.published is not None]
    turned = {one.id: one for one in await sql.set_states(conn, states)} if states else {}
    changed |= set(turned)
    await settle(conn, changed)
    former = [before[one]["slug"] for one in changed]
    seen = facts(changed, turned, before)
    return Written(changed, seen, tags(changed, [*former, *slugs.values()]), words=words)


async def stage(
    conn: Connection, said: Sequence[Said], bits: Mapping[int, int]
) -> tuple[set[int], Sequence[tuple[Noun, int]]]:
    """Merge the fields that these bits stand for. Words that no editor sees, since they were deleted, stay.

    The releases that changed, and the words that were made in passing.
    """
    wordy = [one.id for one in said if bits[one.id] & WORDS]
    hidden = await sql.hidden_words(conn, wordy) if wordy else []
    fates = [one.fate() for one in said]
    vocabulary = await merge.resolve_names(conn, fates)
    merged = await merge.merge_said(conn, fates, [bits[one.id] for one in said], vocabulary, replaces=True)
    if hidden:
        await sql.keep_words(conn, hidden)
    return merged.changed, vocabulary.made


async def delete(conn: Connection, before: Mapping[int, Document]) -> Written:
    """Gone from the public's sight; everything of theirs stays."""
    deleted = await sql.delete(conn, list(before))
    await documents.stir(conn, list(deleted))
    seen = sorted(one for one in deleted if before[one]["is_published"])
    return Written(deleted, {"deleted": seen}, tags(deleted, (before[one]["slug"] for one in deleted)))


async def restore(conn: Connection, before: Mapping[int, Document]) -> Written:
    """Back again, under another slug where somebody took theirs."""
    slugs = await imports.free_slugs(conn, {one: document["slug"] for one, document in before.items()})
    await imports.change_slugs(conn, slugs)
    restored = await sql.restore(conn, list(before))
    await settle(conn, restored)
    seen = sorted(one for one in restored if before[one]["is_published"])
    return Written(restored, {"updated": seen}, tags(restored, slugs.values()))


async def settle(conn: Connection, changed: set[int]) -> None:
    """Stamp what changed and write its documents."""
    if changed:
        await imports.touch(conn, list(changed))
        await imports.build_documents(conn, list(changed))
        await documents.write(conn, changed)


def facts(changed: set[int], turned: Mapping[int, Turned], before: Mapping[int, Document]) -> dict[str, list[int]]:
    """What the public sees of the changes: what comes into sight for the first time is new, what leaves it is gone."""
    found: dict[str, list[int]] = {"added": [], "updated": [], "deleted": []}
    for one in sorted(changed):
        published = before[one]["is_published"]
        turn = turned.get(one) or Turned(one, published, published, announced=True)
        if turn.visible:
            found["updated" if turn.announced else "added"].append(one)
        elif turn.was_visible:
            found["deleted"].append(one)
    return found


def tags(ids: Iterable[int], slugs: Iterable[str]) -> set[str]:
    """Of everything these releases were shown by, or are now."""
    by_id = set(map(cache_tags.release, ids))
    return {cache_tags.RELEASES, *by_id, *map(cache_tags.slug, slugs)} if by_id else set()
