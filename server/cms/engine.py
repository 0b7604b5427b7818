"""How edits become the catalogue: ids first, then a look at what stands in the way, then one transaction that writes.

    edits = await engine.reserve(conn, edits)
    faults = await engine.check(conn, edits)           # when they are accepted; takes no lock
    outcome = await engine.apply(conn, edits, author)  # later, in the caller's transaction

`apply` looks again at everything: what was free when an edit was accepted may be taken by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from server.cms import episodes, releases, vocabularies
from server.cms.applying import Application, Refused, refuse
from server.cms.edits import Author, Edit, Faulty, Noun, Outcome
from server.cms.order import by_noun, groups, ident, misplaced
from server.cms.writer import Writer
from server.errors import PreconditionFailed, YojohanError
from sql import imports, search_documents
from sql.query import Connection

__all__ = ["WRITERS", "Refused", "apply", "check", "documents", "etag", "reserve"]

WRITERS: dict[Noun, Writer] = {
    "release": releases.WRITER,
    "episode": episodes.WRITER,
    "genre": vocabularies.GENRES,
    "tag": vocabularies.TAGS,
    "franchise": vocabularies.FRANCHISES,
}


async def reserve(conn: Connection, edits: Sequence[Edit]) -> list[Edit]:
    """The edits, each create with the id its thing will have."""
    fresh = {
        noun: iter(await WRITERS[noun].reserve(conn, len(places)))
        for noun, places in by_noun({place: edit for place, edit in enumerate(edits) if edit.id is None}).items()
    }
    return [edit if edit.id is not None else replace(edit, id=next(fresh[edit.noun])) for edit in edits]


async def check(conn: Connection, edits: Sequence[Edit]) -> list[Faulty]:
    """What stands in the way of these reserved edits now, in order; each as if those before it had been made."""
    placed = dict(enumerate(edits))
    absent = {(edit.noun, ident(edit)) for edit in edits}
    found: dict[int, YojohanError] = {}
    for noun, places in by_noun(placed).items():
        states = await WRITERS[noun].states(conn, sorted({ident(placed[place]) for place in places}))
        found |= {place: error for place in places if (error := misplaced(placed[place], states)) is not None}
    found = await stale(conn, edits) | found
    for noun, places in by_noun({place: edit for place, edit in placed.items() if place not in found}).items():
        errors = await WRITERS[noun].check(conn, [placed[place] for place in places], absent)
        found |= {places[index]: error for index, error in errors.items()}
    return [Faulty(place, found[place]) for place in sorted(found)]


async def apply(conn: Connection, edits: Sequence[Edit], author: Author) -> Outcome:
    """Make all of them, in order, in the caller's transaction; tell the outbox and, once it commits, every cache.

    Raises Refused if any cannot be made: the transaction is then to be rolled back.
    """
    await imports.lock(conn)
    refuse(await stale(conn, edits))
    known = [ident(edit) for edit in edits if edit.noun == "release" and edit.action != "create"]
    if len(known) > 1:
        # Groups come in the order of the edits, but documents are taken in that of their ids.
        await search_documents.lock(conn, known)
    application = Application(conn, author)
    for group in groups(edits):
        noun = next(iter(group.values())).noun
        await application.make(WRITERS[noun], group)
    return await application.finish()


async def documents(conn: Connection, noun: Noun, ids: Sequence[int], *, deleted: bool = True) -> dict[int, bytes]:
    """What `GET /admin/{noun}s/{id}` shows, by id; with what is deleted or without."""
    return await WRITERS[noun].documents(conn, ids, deleted=deleted)


def etag(document: bytes) -> str:
    """The strong ETag of a document."""
    return f'"{blake2b(document, digest_size=16).hexdigest()}"'


async def stale(conn: Connection, edits: Sequence[Edit]) -> dict[int, YojohanError]:
    """Edits whose If-Match names a state that is not the one before the whole list.

    What is not there at all is not told here: that is a 404.
    """
    asking = {place: edit for place, edit in enumerate(edits) if edit.if_match not in (None, "*")}
    made = {(edit.noun, edit.id) for edit in edits if edit.action == "create"}
    found: dict[int, YojohanError] = {}
    for noun, places in by_noun(asking).items():
        standing = await documents(conn, noun, sorted({ident(asking[place]) for place in places}))
        for place in places:
            edit = asking[place]
            document = standing.get(ident(edit))
            current = None if document is None else etag(document)
            known = current is not None or (noun, edit.id) in made
            if known and current not in {tag.strip() for tag in (edit.if_match or "").split(",")}:
                found[place] = PreconditionFailed("It has changed since you read it; read it again.")
    return found
