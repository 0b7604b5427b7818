"""What somebody may like: how much what they keep says, what that adds up to, and which of it is shown. Pure.

The same functions serve the answers and are what `evaluate-recommendations` measures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence, Sized
from heapq import nlargest
from math import log
from operator import itemgetter
from typing import NamedTuple

from server.rules import library

# A row of the item-item model: other releases, and by how much knowing this one speaks for (or against) each.
Row = tuple[Sequence[int], Sequence[float]]

# Nobody's taste takes more than this to tell; it bounds what one request reads and adds up.
MOST_HISTORY = 300
# What all of it may say together, in entries of rows: the quietest are left out where somebody has much to tell.
MOST_SAID, LEAST_WIDTH = 3_000, 8
# Entries of a stored row of the model, and neighbours that are kept of a release.
ROW_WIDTH, MOST_NEIGHBOURS = 64, 30
# A franchise is shown once, whichever of its parts are neighbours: more of them would only take room.
MOST_OF_FRANCHISE = 2
# What being liked by the same people, and being of one franchise, add to having words in common.
SAME_AUDIENCE, SAME_FRANCHISE = 0.7, 0.3
# Neighbours speak up where the model knows nothing of a release, in its tone of voice.
NEIGHBOUR_VOICE = 0.05
# From here on somebody liked it: what counts as having found the right thing.
LIKED = 7
# So many candidates are looked at for a page, of which not more than half carry one genre, whatever others they carry.
CANDIDATES, PAGE = 160, 20
MOST_OF_GENRE = PAGE // 2
# The worker's exit status if it has not come to its end and nothing is wrong: another is at it, or it was left alone.
INTERRUPTED = 75


class Kept(NamedTuple):
    """What somebody keeps of one release; `collection` as `library.COLLECTIONS`, 0 = in none."""

    rating: int = 0
    collection: int = 0
    favorite: bool = False
    started: bool = False


class Facts(NamedTuple):
    """What the choice of recommendations asks of a release; `part` is its place in its franchise, from 0."""

    franchise_id: int | None = None
    part: int = 0
    genre_ids: Sequence[int] = ()


NOTHING_KNOWN = Facts()


def weight_of(kept: Kept) -> float:
    """How much it says about its keeper's taste, up to 1.2; 0 = nothing. A low rating is silent, it does not speak
    against: whoever watched it to its end shares something with others who did."""
    if kept.collection == library.COLLECTIONS["dropped"]:
        return 0.0
    if kept.favorite:
        return 1.2
    if kept.rating:
        return max(0.0, min(1.2, (kept.rating - 3) / 5))
    if kept.collection == library.COMPLETED:
        return 0.8
    if kept.collection == library.COLLECTIONS["watching"] or kept.started:
        return 0.5
    return 0.0


def history_of(kept: Iterable[tuple[int, Kept]]) -> dict[int, float]:
    """What tells somebody's taste, at most `MOST_HISTORY`: the strongest, of equally strong ones those that come first
    (give the latest first)."""
    said = [(item, weight) for item, one in kept if (weight := weight_of(one))]
    return dict(sorted(said, key=itemgetter(1), reverse=True)[:MOST_HISTORY])


def rarity(releases: int, total: int) -> float:
    """What it weighs that two releases have a word in common which so many of all releases carry."""
    return log(1 + max(total, 1) / max(releases, 1))


def alike(common: float, one: float, other: float, *, franchise: bool, audience: float = 0.0) -> float:
    """How alike two releases are, 0 to 1: weighted Jaccard of their words (sums of rarities: of the common ones, of
    either's own), what belongs together, and who likes both."""
    whole = one + other - common
    words = common / whole if whole > 0 else 0.0
    return (words + SAME_FRANCHISE * franchise + SAME_AUDIENCE * audience) / (1 + SAME_FRANCHISE + SAME_AUDIENCE)


def row_of(audience: Row | None, neighbours: Row | None) -> Row | None:
    """What a release speaks for: the model's row, or else, more quietly, its neighbours."""
    if audience is not None or neighbours is None:
        return audience
    return neighbours[0], [NEIGHBOUR_VOICE * one for one in neighbours[1]]


def width_of(history: Sized) -> int:
    """How many entries of each row are heard for so long a history: the loudest, which come first."""
    return max(LEAST_WIDTH, min(ROW_WIDTH, MOST_SAID // max(len(history), 1)))


def score(history: Mapping[int, float], rows: Mapping[int, Row], width: int | None = None) -> dict[int, float]:
    """What the history adds up to, by release; what is in the history itself too. Without a row an item is silent.

    Of each row `width` entries are heard, by default as many as `width_of` says.
    """
    found: defaultdict[int, float] = defaultdict(float)
    width = width_of(history) if width is None else width
    for item, weight in history.items():
        row = rows.get(item)
        if row is not None:
            for other, one in zip(row[0][:width], row[1][:width], strict=True):
                found[other] += weight * one
    return dict(found)


def causes(other: int, history: Mapping[int, float], rows: Mapping[int, Row], most: int = 3) -> list[int]:
    """What of the history spoke for this one, the loudest first: the reasons that can be told."""
    spoken = []
    for item, weight in history.items():
        others, weights = rows.get(item, ((), ()))
        if other in others:
            spoken.append((weight * weights[others.index(other)], -item))
    return [-item for said, item in nlargest(most, spoken) if said > 0]


def ranked(scores: Mapping[int, float], seen: Container[int], count: int) -> list[int]:
    """The best that are not seen; of two equally good ones the older release, so that the order is total."""
    # Pairs compare faster than a key is asked for.
    best = nlargest(count, ((said, -item) for item, said in scores.items() if item not in seen))
    return [-item for _, item in best]


def chosen(
    candidates: Iterable[int],
    facts: Mapping[int, Facts],
    begun: Mapping[int, int],
    barred: Container[int],
    count: int,
    carried: Iterable[int] = (),
) -> list[int]:
    """The first `count` candidates that make a varied page: what is served.

    `begun`: franchise -> the furthest part that its viewer has seen; a later part than the next one is a sequel of what
    they have not seen. `barred`: franchises of which they dropped a part. `carried`: the genres of what stands on the
    page already, each as often as it does.
    """
    franchises: set[int] = set()
    genres = Counter(carried)
    found: list[int] = []
    for item in candidates:
        fact = facts.get(item, NOTHING_KNOWN)
        franchise = fact.franchise_id
        known = franchise is not None and (franchise in franchises or franchise in barred)
        if known or (franchise is not None and fact.part > begun.get(franchise, -1) + 1):
            continue
        if any(genres[genre] >= MOST_OF_GENRE for genre in fact.genre_ids):
            continue
        if franchise is not None:
            franchises.add(franchise)
        genres.update(fact.genre_ids)
        found.append(item)
        if len(found) == count:
            break
    return found
