"""Why something is recommended: each reason is a fact that whoever reads the answer can look up. Pure.

Reasons are made from the documents that the answer shows, so that they agree with what stands beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from server.rules import library
from server.rules.recommending import Kept

Reason = dict[str, Any]
Document = Mapping[str, Any]

# How many words a sentence names; all that are shared stand beside it, up to so many.
NAMED, MOST_LISTED = 4, 20
# From this rating on somebody liked it.
LIKED_FROM = 7


def reference(document: Document) -> dict[str, Any]:
    """A release as reasons name it."""
    return {"id": document["id"], "slug": document["slug"], "title": document["title"]}


def of_similar(
    seed: Document, found: Document, near: Document | None, users: int, *, visitor: bool = True
) -> list[Reason]:
    """What speaks for a release beside the seed.

    `near` is another part of its franchise that is like the seed, `users` how many people at least finished or liked
    both. What a `visitor` is shown of a franchise is its first part, somebody else the first that they have not seen.
    """
    reasons: list[Reason] = []
    same = _same_franchise(seed, found)
    if same is not None:
        reasons.append(same)
    reasons += shared_words(seed, found)
    if users > 0:
        text = f"At least {users:,} people who finished or liked “{seed['title']}” finished or liked this one."
        reasons.append({"code": "same_audience", "text": text, "users": users})
    if near is not None and same is None:
        code, first = ("first_part", "") if visitor else ("first_unseen_part", " you have not seen")
        text = f"The first part{first} of the franchise of “{near['title']}”, which is similar."
        reasons.append({"code": code, "text": text, "release": reference(near)})
    return reasons


def _same_franchise(seed: Document, found: Document) -> Reason | None:
    franchise = found.get("franchise")
    if franchise is None or franchise != seed.get("franchise"):
        return None
    return {"code": "same_franchise", "text": f"Of the franchise “{franchise['name']}”.", "franchise": franchise}


def shared_words(seed: Document, found: Document) -> list[Reason]:
    """Genres and tags that both documents carry."""
    reasons = []
    for noun in ("genres", "tags"):
        known = {word["id"] for word in seed[noun]}
        both = [word for word in found[noun] if word["id"] in known]
        if both:
            reasons.append({"code": f"shares_{noun}", "text": f"Shares the {named(noun, both)}.", noun: listed(both)})
    return reasons


def shares_genres_with(release: dict[str, Any], genre_ids: Collection[int], found: Document) -> list[Reason]:
    """Genres that a document shares with a release that carries `genre_ids`."""
    known = set(genre_ids)
    both = [word for word in found["genres"] if word["id"] in known]
    if not both:
        return []
    text = f"Shares the {named('genres', both)} with “{release['title']}”."
    return [{"code": "shares_genres", "text": text, "genres": listed(both), "release": release}]


def listed(words: Sequence[Document]) -> list[Document]:
    """So many of them as an answer carries."""
    return list(words[:MOST_LISTED])


def named(noun: str, words: Sequence[Document]) -> str:
    """`genres Drama and Mystery`."""
    names = [word["name"] for word in words[:NAMED]]
    rest = len(words) - len(names)
    if len(words) == 1:
        return f"{noun[:-1]} {names[0]}"
    if rest:
        return f"{noun} {', '.join(names)} and {rest} more"
    return f"{noun} {', '.join(names[:-1])} and {names[-1]}"


def because(kept: Kept, release: dict[str, Any]) -> Reason:
    """What somebody did with a release that now speaks for another."""
    title = release["title"]
    if kept.favorite:
        return {"code": "because_favorited", "text": f"Because “{title}” is a favourite of yours.", "release": release}
    if kept.rating >= LIKED_FROM:
        text = f"Because you rated “{title}” {kept.rating}."
        return {"code": "because_rated", "text": text, "release": release, "rating": kept.rating}
    if kept.collection == library.COMPLETED:
        return {"code": "because_completed", "text": f"Because you completed “{title}”.", "release": release}
    if kept.rating:
        text = f"Because you rated “{title}” {kept.rating}."
        return {"code": "because_rated", "text": text, "release": release, "rating": kept.rating}
    watching = kept.collection == library.COLLECTIONS["watching"]
    text = f"Because you {'are watching' if watching else 'have begun'} “{title}”."
    return {"code": "because_watching", "text": text, "release": release}


def planned(release: dict[str, Any]) -> Reason:
    """Somebody plans to watch a release that speaks for another."""
    return {"code": "because_planned", "text": f"Because you plan to watch “{release['title']}”.", "release": release}


def follows(genre_ids: Collection[int], found: Document) -> list[Reason]:
    """Genres of a document that somebody follows."""
    both = [word for word in found["genres"] if word["id"] in genre_ids]
    if not both:
        return []
    return [{"code": "follows_genres", "text": f"You follow the {named('genres', both)}.", "genres": listed(both)}]


def of_pool(pool: str, found: Document) -> Reason | None:
    """Why it stands in a pool of what anybody may like, by its document; None if it no longer says so."""
    if pool == "trending":
        return {"code": "trending", "text": "Watched a lot in the last 7 days."}
    if pool == "top_rated":
        rating = found["rating"]
        if not rating["count"]:
            return None
        text = f"Rated {rating['average']:g} by {rating['count']:,} people."
        return {"code": "top_rated", "text": text, "rating": rating["average"], "users": rating["count"]}
    if pool == "popular":
        return {"code": "popular", "text": "Popular in the catalogues it comes from."}
    return {"code": "newest", "text": f"New here since {found['created_at'][:10]}."}
