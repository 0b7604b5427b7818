"""From the body of a synchronising request to edits, and from what changed to the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from aiohttp import web

from server.http.answer import JSON, Answer, link, raw
from server.http.parse import decode
from server.schemas.sync import SyncEditLists, SyncEdits, SyncEntryEdit, SyncProgressEdit
from sql.library import COLLECTIONS, KINDS, EntryEdit, ProgressEdit, Written
from sql.sync import Changes

DECODER = msgspec.json.Decoder(SyncEdits)
TAG = re.compile(r'"r(\d{1,18})"')
# A device whose clock has lost its battery lives in 1970. What was done there is older than anything.
FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a device sent. `places` says of each entry in which list it stood, and where."""

    since: int | None
    entries: list[EntryEdit]
    places: list[tuple[str, int]]
    progress: list[ProgressEdit]

    @property
    def keys(self) -> list[tuple[int, int]]:
        """The kind and the release of each entry."""
        return [(edit.kind, edit.release_id) for edit in self.entries]

    @property
    def episodes(self) -> list[int]:
        """The episodes that progress was sent of."""
        return [edit.episode_id for edit in self.progress]


def parse(body: bytes) -> Sent:
    """The edits in a body; Unprocessable with every fault if some do not fit."""
    asked = decode(DECODER, body)
    named = list(_entries(asked.edits))
    progress = [_progress(edit) for edit in asked.edits.progress]
    return Sent(asked.since, [edit for _, edit in named], [place for place, _ in named], progress)


def _entries(edits: SyncEditLists) -> Iterator[tuple[tuple[str, int], EntryEdit]]:
    for place, liked in enumerate(edits.favorites):
        yield _entry("favorites", place, liked, 0)
    for place, put in enumerate(edits.collections):
        yield _entry("collections", place, put, 0 if put.collection is None else COLLECTIONS[put.collection])
    for place, rated in enumerate(edits.ratings):
        yield _entry("ratings", place, rated, rated.rating or 0)
    for place, ignored in enumerate(edits.ignores):
        yield _entry("ignores", place, ignored, 0)


def _entry(kind: str, place: int, edit: SyncEntryEdit, value: int) -> tuple[tuple[str, int], EntryEdit]:
    said = EntryEdit(KINDS[kind], edit.release_id, value, edit.deleted, _moment(edit.changed_at))
    return (kind, place), said


def _progress(edit: SyncProgressEdit) -> ProgressEdit:
    said = edit.position_seconds or 0, edit.completed, edit.deleted, edit.restart
    return ProgressEdit(edit.episode_id, *said, _moment(edit.changed_at))


def _moment(moment: datetime) -> datetime:
    return min(max(moment, FIRST_MOMENT), LAST_MOMENT)


def known(request: web.BaseRequest, since: int) -> list[int]:
    """The revisions that the device needs no answer to: the one it has, and those in If-None-Match."""
    named = [int(digits) for digits in TAG.findall(request.headers.get("If-None-Match", ""))]
    return [since, *named[:20]] if since else named[:20]


def changed(found: Changes, base: int | None, path: str) -> Answer:
    """The answer to a device that asks: what changed, or 304 if nothing did. `path` is where it asks on."""
    if found.known:
        return Answer(status=304, headers={"ETag": f'"r{found.current}"'})
    return _answer(found, base, path, [])


def merged(found: Changes, written: Written, sent: Sent, path: str) -> Answer:
    """The answer to a device that sent edits: what changed, who won, and what could not be kept."""
    rejected = [*_rejected(sent, written)]
    return _answer(found, None, path, [b'"rejected":' + orjson.dumps(rejected)])


def _rejected(sent: Sent, written: Written) -> Iterator[dict[str, Any]]:
    releases, episodes = set(written.unknown_releases), set(written.unknown_episodes)
    for (kind, place), entry in zip(sent.places, sent.entries, strict=True):
        # To take out what is not there has been done.
        if entry.release_id in releases and not entry.deleted:
            yield {"kind": kind, "index": place, "detail": "There is no such release."}
    for place, edit in enumerate(sent.progress):
        if edit.episode_id in episodes and not edit.deleted:
            yield {"kind": "progress", "index": place, "detail": "There is no such episode."}


def _answer(found: Changes, base: int | None, path: str, members: Sequence[bytes]) -> Answer:
    more = found.reached < found.current
    following = None
    if more:
        # Everything is read under the revision at which that began: what was deleted before was never told.
        began = found.current if found.everything else base
        following = link(path, {"since": found.reached, "base": began})
    head = orjson.dumps({"revision": found.reached, "full": found.everything, "more": more, "next": following})
    body = b",".join((head[:-1], found.content.encode(), *members)) + b"}"
    return raw(body, headers={"ETag": f'"r{found.reached}"'}, content_type=JSON)
