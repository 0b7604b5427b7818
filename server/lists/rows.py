"""A row of somebody's list, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.rules.titles import clean_line

# MyAnimeList's codes, as its exports and old dumps write them, and the words of its newer exports.
COLLECTIONS: Mapping[str, str] = {
    "1": "watching", "2": "completed", "3": "postponed", "4": "dropped", "6": "planned",
    "watching": "watching", "completed": "completed", "on-hold": "postponed", "on hold": "postponed",
    "dropped": "dropped", "plan to watch": "planned",
}  # fmt: skip
# As `external_ids` calls MyAnimeList.
SOURCE = "mal"
BEST_SCORE = 10
MOST_EPISODES = 100_000
LONGEST_ID = 20
LONGEST_TITLE = 300


@dataclass(frozen=True, slots=True)
class ListRow:
    """What a list says of one title. `score` 0 is none; `place` is the row's number in the file, from 1."""

    place: int
    source: str
    external_id: str
    title: str
    collection: str
    score: int
    watched_episodes: int
    # Whose row it is, in files that hold several people's.
    owner: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    place: int
    reason: str


def make_row(place: int, source: str, said: Mapping[str, str], owner: str = "") -> ListRow | BadRow:
    """The row from texts under the names `id`, `title`, `status`, `score`, `watched`; BadRow with the first fault."""
    external_id = said.get("id", "").strip()
    if not (external_id.isascii() and external_id.isdigit() and len(external_id) <= LONGEST_ID and int(external_id)):
        return BadRow(place, "The title's id is not a number.")
    collection = COLLECTIONS.get(said.get("status", "").strip().casefold())
    if collection is None:
        return BadRow(place, "The status is none of a list's five.")
    score, watched = _number(said.get("score", "")), _number(said.get("watched", ""))
    if score is None or score > BEST_SCORE:
        return BadRow(place, "The score is not between 0 and 10.")
    if watched is None or watched > MOST_EPISODES:
        return BadRow(place, "The number of watched episodes makes no sense.")
    title = clean_line(said.get("title", ""))[:LONGEST_TITLE]
    return ListRow(place, source, str(int(external_id)), title, collection, score, watched, owner)


def _number(text: str) -> int | None:
    """A small number that is not negative; nothing is 0."""
    text = text.strip()
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
