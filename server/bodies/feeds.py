"""The bodies of feeds."""

from __future__ import annotations

from server.database import Database
from server.errors import NotFound
from server.rules import atom
from server.rules.atom import Feed
from server.rules.markup import authority
from sql import feeds

MOST = 50


async def releases(database: Database, public_url: str, api: str) -> bytes:
    """The newest releases. `api` is the path of the API."""
    async with database.connection() as conn:
        entries = await feeds.newest(conn, MOST)
    base = public_url + api
    feed = Feed(authority(public_url), "releases", "New releases", f"{base}/feeds/releases.atom", f"{base}/releases")
    return atom.write(feed, entries)


async def genre(database: Database, public_url: str, api: str, slug: str) -> bytes:
    """The newest releases of a genre; NotFound if there is no such one."""
    async with database.connection() as conn:
        found = await feeds.genre(conn, slug)
        if found is None:
            raise NotFound("There is no such genre.")
        entries = await feeds.newest(conn, MOST, found.id)
    base = public_url + api
    address = f"{base}/feeds/genres/{found.slug}.atom"
    feed = Feed(
        authority(public_url), f"genres/{found.id}/releases", f"New releases: {found.name}", address, f"{base}/releases"
    )
    return atom.write(feed, entries)
