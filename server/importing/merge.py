"""One batch into the catalogue: new releases by COPY, known ones through staging tables, all in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Literal, NamedTuple
from uuid import UUID

from msgspec import UNSET

from server.importing import ahead
from server.importing.changes import NONE, Changes, catalogue_events
from server.importing.drafts import Row
from server.importing.planning import Fate, SourceFormat, gather, lasting_claims, plan
from server.rules import cache_tags
from server.rules.slugs import slug_of
from server.schemas.catalogue import EpisodeDraft, ReleaseDraft
from server.search import documents
from sql import imports, outbox
from sql.query import Connection

# Bit by bit, what a row says; `update_releases` and its neighbours in sql/imports.sql know these numbers.
SAID = (
    "title", "synopsis", "type", "status", "season", "year", "age_rating", "episodes_total", "franchise", "genres",
    "tags", "titles", "synonyms", "external_ids", "popularity", "episodes",
)  # fmt: skip


class Merged(NamedTuple):
    """What became of each row, in order, and what no later batch of the run may touch; what changed of releases that
    were there, and which words were made in passing."""

    fates: list[Fate]
    claims: list[str]
    changes: Changes
    words: list[tuple[WordNoun, int]]


# Rows that are merged without looking at statistics first.
FEW = 500

WordNoun = Literal["genre", "tag", "franchise"]
WORDS: dict[str, WordNoun] = {"genres": "genre", "tags": "tag", "franchises": "franchise"}


class Vocabulary(NamedTuple):
    """Ids of words by their table and key, and those that were made in passing."""

    ids: dict[str, dict[str, int]]
    made: list[tuple[WordNoun, int]]


NO_WORDS = Vocabulary({}, [])
Planned = Callable[[Connection, list[Fate]], Awaitable[None]]


async def merge(
    conn: Connection,
    run: UUID,
    source: SourceFormat,
    rows: Sequence[Row],
    *,
    dry_run: bool,
    news: bool,
    planned: Planned | None = None,
    lists: bool = True,
) -> Merged:
    """Merge a batch inside the caller's transaction.

    After it an `update` that changed nothing is `unchanged`, and each fate but a skipped one has its release. Without
    `news` nobody is told of new releases: they fill an empty catalogue. `planned` is shown the fates before anything is
    written, and may turn some into skips; then updated episodes also tell what they said before. Without `lists` caches
    keep lists of releases: the caller tells them later.
    """
    await imports.lock(conn)
    knowledge = await gather(conn, run, source, rows, dry_run=dry_run)
    fates = plan(source, rows, knowledge)
    if planned is not None:
        await planned(conn, fates)
    fresh = [fate for fate in fates if fate.action in ("create", "update")]
    changes, vocabulary = NONE, NO_WORDS
    if fresh:
        vocabulary = await resolve_names(conn, fresh)
        created = [fate for fate in fresh if fate.action == "create"]
        await create(conn, created, vocabulary)
        known = [fate for fate in fresh if fate.action == "update"]
        changes = await update(conn, source, known, vocabulary, before=planned is not None)
        said = [(fate.row.source_key, fate.release_id, fate.row.content_hash) for fate in fresh]
        await imports.remember(conn, source.name, said, only_key=source.authoritative)
        added = [fate.release_id for fate in created]
        await publish(conn, added, changes.documents, lists=lists)
        made = await ahead.fitting(conn, created, vocabulary.ids)
        await documents.write(conn, [*added, *changes.releases], ahead=made)
        shown = await imports.visible_releases(conn, list(changes.documents)) if changes.documents else set()
        await outbox.publish(conn, catalogue_events(added if news else [], changes, shown))
    return Merged(fates, lasting_claims(fates) + (knowledge.fresh_ids if dry_run else []), changes, vocabulary.made)


async def resolve_names(conn: Connection, fates: Sequence[Fate]) -> Vocabulary:
    """Ids of every genre, tag and franchise the rows name."""
    named: dict[str, dict[str, str]] = {"genres": {}, "tags": {}, "franchises": {}}
    for row in (fate.row for fate in fates):
        named["genres"].update(row.genres)
        named["tags"].update(row.tags)
        if row.draft.franchise:
            named["franchises"][row.franchise_key] = row.draft.franchise
    found = {
        table: await imports.vocabulary(
            conn, table, names, [slug_of(name, noun=WORDS[table]) for name in names.values()]
        )
        for table, names in named.items()
    }
    made = [(WORDS[table], one) for table, words in found.items() for one in words.made]
    return Vocabulary({table: words.ids for table, words in found.items()}, made)


async def create(conn: Connection, fates: Sequence[Fate], vocabulary: Vocabulary) -> None:
    """Make new releases; nothing of them is there yet, so everything goes in by COPY."""
    if not fates:
        return
    for fate, release_id in zip(fates, await imports.new_release_ids(conn, len(fates)), strict=True):
        fate.release_id = release_id
    slugs = await imports.free_slugs(conn, {fate.release_id: fate.row.slug for fate in fates})
    await insert(conn, fates, (new_release(fate, slugs[fate.release_id], vocabulary) for fate in fates))


async def insert(
    conn: Connection, fates: Sequence[Fate], rows: Iterable[tuple[Any, ...]], more_columns: tuple[str, ...] = ()
) -> None:
    """Write new releases, which have their ids, and everything of them; `rows` are those of `releases`."""
    records = list(rows)
    await imports.copy(conn, "releases", records, more_columns)
    await imports.forget_slugs(conn, [row[imports.COLUMNS["releases"].index("slug")] for row in records])
    await imports.copy(conn, "release_titles", flat(fates, titles_of))
    await imports.copy(conn, "release_synonyms", flat(fates, synonyms_of))
    await imports.copy(conn, "external_ids", flat(fates, external_ids_of))
    await imports.copy(conn, "episodes", flat(fates, episodes_of))
    await imports.insert_popularity(conn, {fate.release_id: fate.row.draft.popularity or 0 for fate in fates})


async def update(
    conn: Connection, source: SourceFormat, fates: Sequence[Fate], vocabulary: Vocabulary, *, before: bool
) -> Changes:
    """Merge rows into the releases they match; what changed of them."""
    if not fates:
        return NONE
    wanted = {fate.release_id: fate.row.slug for fate in fates if source.authoritative and fate.row.draft.slug}
    changed = await imports.change_slugs(conn, await imports.free_slugs(conn, wanted)) if wanted else set()
    said = [said_bits(fate.row.draft, empty_counts=source.authoritative) for fate in fates]
    merged = await merge_said(conn, fates, said, vocabulary, replaces=source.authoritative, before=before)
    changes = Changes(changed | merged.changed, merged.episodes)
    stirred = changes.documents | merged.moved
    kept: dict[int, list[Decimal]] = {}
    for release_id, ordinal in changes.episodes.kept:
        kept.setdefault(release_id, []).append(ordinal)
    for fate in fates:
        fate.kept = kept.get(fate.release_id, [])
        if fate.release_id not in stirred:
            fate.action = "unchanged"
    return changes


async def merge_said(
    conn: Connection,
    fates: Sequence[Fate],
    said: Sequence[int],
    vocabulary: Vocabulary,
    *,
    replaces: bool,
    before: bool = False,
) -> imports.Merged:
    """Merge what rows say, `said` in bits, into releases that are there; with `replaces` it takes the place of all.

    With `before` it tells what updated episodes said until now.
    """
    staged = (staged_release(fate, bits, vocabulary, replaces=replaces) for fate, bits in zip(fates, said, strict=True))
    await imports.copy(conn, "import_releases", staged)
    await imports.copy(conn, "import_titles", flat(fates, titles_of))
    await imports.copy(conn, "import_external_ids", flat(fates, external_ids_of))
    await imports.copy(conn, "import_episodes", flat(fates, episodes_of))
    return await imports.merge_staged(conn, reduce(or_, said, 0), many=len(fates) > FEW, before=before)


async def publish(conn: Connection, created: Sequence[int], changed: set[int], *, lists: bool = True) -> None:
    """Stamp what changed, write the documents, tell the servers."""
    if changed:
        await imports.touch(conn, list(changed))
    if created or changed:
        await imports.build_documents(conn, [*created, *changed])
        # By its id a release reaches every answer about it alone, its episodes and its slugs included.
        stale = cache_tags.changed(changed)
        await imports.invalidate(conn, stale if lists else stale - {cache_tags.RELEASES})


def flat(fates: Sequence[Fate], rows_of: Callable[[Fate], Iterator[tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """The table rows of all fates, one after another."""
    return (row for fate in fates for row in rows_of(fate))


def new_release(fate: Fate, slug: str, vocabulary: Vocabulary) -> tuple[Any, ...]:
    """A row of `releases`; what the draft leaves open gets the table's defaults."""
    draft = fate.row.draft
    return (
        fate.release_id, slug, draft.title, fate.row.sort_title, draft.synopsis or "", draft.type or "other",
        draft.status or "finished", draft.season or None, draft.year or None, draft.age_rating or None,
        said_or_none(draft.episodes_total), *vocabulary_ids(fate.row, vocabulary),
    )  # fmt: skip


def staged_release(fate: Fate, said: int, vocabulary: Vocabulary, *, replaces: bool) -> tuple[Any, ...]:
    """A row of `import_releases`: what is not said is null and its bit is off."""
    draft = fate.row.draft
    return (
        fate.release_id, said, replaces, draft.title, fate.row.sort_title, draft.synopsis or "", draft.type or None,
        draft.status or None, draft.season or None, draft.year or None, draft.age_rating or None,
        said_or_none(draft.episodes_total), *vocabulary_ids(fate.row, vocabulary), draft.synonyms or [],
        draft.popularity or 0,
    )  # fmt: skip


def said_bits(draft: ReleaseDraft, *, empty_counts: bool) -> int:
    """One bit for each field of SAID that speaks; an empty value speaks only for an authoritative source."""
    bits = 0
    for place, field in enumerate(SAID):
        value = getattr(draft, field)
        if value is not UNSET and (empty_counts or value not in (None, "", [], {})):
            bits |= 1 << place
    return bits


def said_or_none(value: Any) -> Any:
    """The value, or None where it was not said; zero is a value."""
    return None if value is UNSET else value


def vocabulary_ids(row: Row, vocabulary: Vocabulary) -> tuple[int | None, list[int], list[int]]:
    """The row's franchise, genres and tags as ids; sorted, so that equal sets are equal arrays."""
    genres, tags = vocabulary.ids["genres"], vocabulary.ids["tags"]
    return (
        vocabulary.ids["franchises"].get(row.franchise_key),
        sorted(genres[key] for key in row.genres),
        sorted(tags[key] for key in row.tags),
    )


def titles_of(fate: Fate) -> Iterator[tuple[Any, ...]]:
    """Rows of `release_titles`."""
    return ((fate.release_id, language, title) for language, title in (fate.row.draft.titles or {}).items())


def synonyms_of(fate: Fate) -> Iterator[tuple[Any, ...]]:
    """Rows of `release_synonyms`, from position 1."""
    return ((fate.release_id, place, text) for place, text in enumerate(fate.row.draft.synonyms or [], 1))


def external_ids_of(fate: Fate) -> Iterator[tuple[Any, ...]]:
    """Rows of `external_ids`, without those that belong to other releases."""
    for source, external_id, is_number in fate.row.external_ids:
        if (source, external_id) not in fate.lost:
            yield source, external_id, is_number, fate.release_id


def episodes_of(fate: Fate) -> Iterator[tuple[Any, ...]]:
    """Rows of `episodes`."""
    return (episode_row(fate.release_id, episode) for episode in fate.row.episodes)


def episode_row(release_id: int, episode: EpisodeDraft) -> tuple[Any, ...]:
    """A row of `episodes`."""
    opening, ending = episode.opening, episode.ending
    return (
        release_id, episode.ordinal, episode.title, episode.duration_seconds, episode.air_at,
        opening.start if opening else None, opening.stop if opening else None,
        ending.start if ending else None, ending.stop if ending else None,
    )  # fmt: skip
