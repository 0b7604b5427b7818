"""Tags of cached answers: who changes something drops what bears its tag, here, in other instances and in a CDN.

    releases      what shows several releases, or counts them: lists, the schedule, words, tops, feeds
    release:ID    what shows one release alone, its episodes and each of them included
    slug:SLUG     what was asked for by that slug
    episode:ID    that episode alone
    comments:ID   the comments of one release
    reviews:ID    the reviews of one release
    personal:ID   what is recommended to one user

An answer that was asked for by slug or by an episode's id learns the release's tag when its body is made. So an import
that knows nothing but the ids of releases reaches all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

RELEASES = "releases"
LISTS = (RELEASES,)


def release(release_id: int) -> str:
    """Of one release."""
    return f"release:{release_id}"


def slug(name: str) -> str:
    """Of what was asked for by this slug; without white space, as headers and NOTIFY part tags by it."""
    return f"slug:{quote(name, safe='')}"


def episode(episode_id: int) -> str:
    """Of one episode."""
    return f"episode:{episode_id}"


def comments(release_id: int) -> str:
    """Of the comments of one release."""
    return f"comments:{release_id}"


def reviews(release_id: int) -> str:
    """Of the reviews of one release."""
    return f"reviews:{release_id}"


def personal(user_id: int) -> str:
    """Of what is recommended to one user."""
    return f"personal:{user_id}"


def named(id_or_slug: str) -> tuple[str, ...]:
    """Of what a path names, as far as the path tells."""
    if id_or_slug.isascii() and id_or_slug.isdigit():
        return (release(int(id_or_slug)),) if len(id_or_slug) <= 18 else ()
    return (slug(id_or_slug),)


def changed(release_ids: Iterable[int]) -> set[str]:
    """All that these releases being changed concerns."""
    return {RELEASES, *map(release, release_ids)}
