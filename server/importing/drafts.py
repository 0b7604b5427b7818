"""From a draft to a row that may be merged: the checks a schema cannot state, its key, its hash."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from server.rules.slugs import safe_slug, slug_of
from server.rules.titles import name_key, normal_lines, sort_title
from server.schemas.catalogue import ENCODER, EpisodeDraft, ReleaseDraft, Span
from server.search.documents import Ready

ORDINAL_MAX = Decimal(99_999)
CENT = Decimal("0.01")
YEARS = range(1900, 2200)
WHERE = re.compile(r"^(?P<reason>.*) - at `\$\.?(?P<field>.*)`$", re.DOTALL)


class Item(NamedTuple):
    """One row of a source. `source_key` is the source's own id of it, None where it has none."""

    line: int
    source_key: str | None
    draft: ReleaseDraft
    path: str = ""


class Rejection(NamedTuple):
    """A row that could not even become an Item."""

    line: int
    field: str
    reason: str
    path: str = ""


class InvalidRowError(ValueError):
    """A row, or the named field of it, cannot be stored."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def invalid(error: Exception) -> InvalidRowError:
    """What a decoder complained about, as a field and a reason."""
    if isinstance(error, RecursionError):
        return InvalidRowError("", "JSON is nested too deeply")
    if isinstance(error, UnicodeError):
        return InvalidRowError("", "not valid UTF-8")
    found = WHERE.match(str(error))
    field, reason = (found["field"], found["reason"]) if found else ("", str(error))
    if "matching regex" in reason:
        reason = "holds characters that are not allowed"
    return InvalidRowError(field, reason)


@dataclass(slots=True)
class Row:
    """A checked draft with everything the merge asks about it."""

    item: Item
    source_key: str
    content_hash: bytes
    external_ids: list[tuple[str, str, bool]]
    slug: str
    sort_title: str
    genres: dict[str, str]
    tags: dict[str, str]
    franchise_key: str
    # Made ahead, where that was worth it.
    document: Ready | None = None

    @property
    def draft(self) -> ReleaseDraft:
        """The draft itself."""
        return self.item.draft

    @property
    def episodes(self) -> list[EpisodeDraft]:
        """The episodes it names, if any."""
        return self.draft.episodes or []


def prepare(item: Item) -> Row:
    """Check one item and work out its keys. Raises InvalidRowError."""
    draft = normalised(item.draft)
    check_episodes(draft.episodes or [])
    external_ids = [
        (source, str(value), not isinstance(value, str)) for source, value in (draft.external_ids or {}).items()
    ]
    return Row(
        item=item._replace(draft=draft),
        source_key=item.source_key or derived_key(draft, external_ids),
        content_hash=hash_of(draft),
        external_ids=external_ids,
        slug=slug_for(draft),
        sort_title=sort_title(draft.title),
        genres=named("genres", draft.genres or ()),
        tags=named("tags", draft.tags or ()),
        franchise_key=next(iter(named("franchise", (draft.franchise,))), "") if draft.franchise else "",
    )


def normalised(draft: ReleaseDraft) -> ReleaseDraft:
    """The draft with texts in NFC, `\\n` line breaks and trimmed titles. Raises InvalidRowError for a blank title."""
    changes: dict[str, Any] = {}
    title = normal_lines(draft.title).strip()
    if not title:
        raise InvalidRowError("title", "must not be blank")
    if title != draft.title:
        changes["title"] = title
    if draft.synopsis and (synopsis := normal_lines(draft.synopsis)) != draft.synopsis:
        changes["synopsis"] = synopsis
    if draft.synonyms:
        changes["synonyms"] = list(dict.fromkeys(text for one in draft.synonyms if (text := normal_lines(one).strip())))
    if draft.titles:
        changes["titles"] = {
            language: text for language, one in draft.titles.items() if (text := normal_lines(one).strip())
        }
    return msgspec.structs.replace(draft, **changes) if changes else draft


def hash_of(draft: ReleaseDraft) -> bytes:
    """What the draft says, in 16 bytes. Raises InvalidRowError for text that is not Unicode."""
    try:
        return blake2b(ENCODER.encode(draft), digest_size=16).digest()
    except UnicodeEncodeError as error:
        raise invalid(error) from error


def derived_key(draft: ReleaseDraft, external_ids: list[tuple[str, str, bool]]) -> str:
    """The key of a row whose source gave none: its first external id, else its title, type and year."""
    if external_ids:
        source, value, _ = min(external_ids)
        return f"{source}:{value}"
    said = (name_key(draft.title), draft.type or "", draft.year or "")
    return "title:" + blake2b(repr(said).encode(), digest_size=16).hexdigest()


def slug_for(draft: ReleaseDraft) -> str:
    """The slug it asks for, or the one its titles give."""
    if draft.slug:
        return safe_slug(draft.slug)
    titles = draft.titles or {}
    return slug_of(titles.get("romaji", ""), titles.get("en", ""), draft.title, titles.get("ru", ""))


def named(field: str, names: Iterable[str]) -> dict[str, str]:
    """Names by their key, doubles dropped. Raises InvalidRowError for a name without a letter."""
    found: dict[str, str] = {}
    for name in names:
        key = vocabulary_key(name)
        if not key:
            raise InvalidRowError(field, "a name must not be blank")
        found.setdefault(key, normal_lines(name).strip())
    return found


# The same few hundred genres and tags come again in every row.
vocabulary_key = lru_cache(maxsize=4096)(name_key)


def check_episodes(episodes: list[EpisodeDraft]) -> None:
    """Raise InvalidRowError for the first episode that cannot be stored."""
    ordinals: set[Decimal] = set()
    for index, episode in enumerate(episodes):
        ordinal = episode.ordinal
        if reason := ordinal_fault(ordinal):
            raise InvalidRowError(f"episodes[{index}].ordinal", reason)
        if ordinal in ordinals:
            raise InvalidRowError(f"episodes[{index}].ordinal", f"{ordinal} appears twice")
        ordinals.add(ordinal)
        if episode.air_at is not None and episode.air_at.year not in YEARS:
            raise InvalidRowError(f"episodes[{index}].air_at", "the year must lie between 1900 and 2199")
        for name, span in (("opening", episode.opening), ("ending", episode.ending)):
            if span is not None and not in_order(span):
                raise InvalidRowError(f"episodes[{index}].{name}", "start must lie before stop")


def ordinal_fault(ordinal: Decimal) -> str:
    """Why this cannot number an episode; empty where it can."""
    try:
        if not 0 <= ordinal <= ORDINAL_MAX:
            return "must lie between 0 and 99999"
    except InvalidOperation:
        return "must be a number"
    # The remainder is cheap and exact here: the value is at most 99999, though its exponent may be anything.
    return "must have at most two decimals" if ordinal % CENT else ""


def in_order(span: Span) -> bool:
    """Whether it starts before it stops."""
    return span.start < span.stop
