"""The response cache: finished bytes by key, bounded in bytes, dropped by tag, made by one caller at a time.

A body is built once, with its ETag and, when first asked for, its gzip form; a hit answers without touching the
database. `fetch` is the one way in, and the place where a second tier (Redis) would be asked before `load`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from multidict import CIMultiDict

from server.errors import Unavailable
from server.settings_values import CACHE_POLICIES

# In the place of a tag: all of them.
EVERYTHING = "*"
# What an entry costs beside its bytes: dictionary slots, headers, strings, the heads of its answers.
OVERHEAD = 1800
GZIP_FROM = 1024
# How long after its time an answer may still serve while the database is away.
STALE_IF_ERROR = 86_400.0
# And how long a request that could be answered so waits for a fresh one.
STALE_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How long an answer is fresh: here (`ttl`), in browsers (`max_age`), in shared caches (`shared`), in seconds.

    `brief`: of what moderators or its author may take away; so others do not give it away for long after that, be it
    while they fetch a new one, be it because there is none to be had.
    """

    name: str
    ttl: float
    max_age: int
    shared: int
    brief: bool = False

    @property
    def cache_control(self) -> str:
        """The header's value."""
        revalidating, failing = (10, 60) if self.brief else (max(30, self.shared), 86_400)
        return (
            f"public, max-age={self.max_age}, s-maxage={self.shared}, "
            f"stale-while-revalidate={revalidating}, stale-if-error={failing}"
        )


# name: seconds here, in browsers, in shared caches. Writes drop what they change at once; counters may be 60 s old.
TABLE: dict[str, tuple[int, int, int]] = {
    "release": (60, 30, 60),
    "releases": (60, 15, 60),
    "latest": (60, 15, 60),
    "episodes": (300, 30, 60),
    "episode": (300, 30, 60),
    "related": (60, 30, 60),
    "vocabulary": (600, 60, 300),
    "franchise": (60, 30, 60),
    "schedule": (60, 30, 60),
    "analytics_live": (10, 5, 10),
    "analytics": (600, 60, 300),
    "top": (3600, 60, 300),
    "trending": (60, 15, 30),
    "feeds": (300, 60, 300),
    "comments": (60, 5, 10),
    "reviews": (60, 5, 10),
    "similar": (600, 60, 300),
    "personal": (3600, 0, 0),
    "search": (60, 15, 60),
    "suggestions": (300, 60, 300),
}
assert tuple(TABLE) == CACHE_POLICIES
BRIEF = frozenset({"comments", "reviews"})


def policies(overrides: dict[str, int]) -> dict[str, Policy]:
    """The policy table with the operator's CACHE_TTL_<POLICY> applied."""
    found = {}
    for name, (ttl, max_age, shared) in TABLE.items():
        seconds = overrides.get(name, ttl)
        found[name] = Policy(name, seconds, min(max_age, seconds), min(shared, seconds), name in BRIEF)
    return found


class Entry:
    """One finished body. `headers` and `gzip_headers` are complete but for the request's own id."""

    __slots__ = (
        "body",
        "cost",
        "etag",
        "fresh_until",
        "gzip_body",
        "gzip_etag",
        "gzip_headers",
        "headers",
        "heads",
        "key",
        "tags",
    )

    def __init__(self, key: Hashable, body: bytes, content_type: str, policy: Policy, tags: Iterable[str]) -> None:
        digest = hashlib.blake2b(body, digest_size=12).hexdigest()
        self.key = key
        self.body = body
        self.tags = tuple(tags)
        self.etag = f'"{digest}"'
        self.gzip_etag = f'"{digest}-gzip"'
        self.gzip_body: bytes | None = None
        # The beginnings of answers that have been sent, by encoding and by whether the client had it already.
        self.heads: dict[tuple[bool, bool], bytes] = {}
        self.fresh_until = monotonic() + policy.ttl
        self.cost = len(body) + OVERHEAD + _size(key)
        keys = " ".join(self.tags)
        self.headers = CIMultiDict(
            {
                "Content-Type": content_type,
                "ETag": self.etag,
                "Cache-Control": policy.cache_control,
                "Vary": "Accept-Encoding, Authorization",
                "Surrogate-Key": keys,
                "Cache-Tag": keys.replace(" ", ","),
                "X-Content-Type-Options": "nosniff",
            }
        )
        self.gzip_headers = self.headers.copy()
        self.gzip_headers["ETag"] = self.gzip_etag
        self.gzip_headers["Content-Encoding"] = "gzip"

    def gzipped(self) -> bytes:
        """The gzip form, made at the first call."""
        if self.gzip_body is None:
            packer = zlib.compressobj(5, zlib.DEFLATED, 31)
            self.gzip_body = packer.compress(self.body) + packer.flush()
        return self.gzip_body


class Tagged(NamedTuple):
    """A body with tags that only making it brought to light: of the release that a slug names, for example."""

    body: bytes
    tags: tuple[str, ...]


Load = Callable[[], Awaitable[bytes | Tagged]]


def _size(key: Hashable) -> int:
    # Keys hold query parameters, up to the eight kilobytes of a request line: they count, too.
    return sum(map(_size, key)) if isinstance(key, tuple) else sys.getsizeof(key)


class Flight:
    """A load under way. `spoiled`: something it may have read was dropped since it began, so it must not be kept.

    What was dropped meanwhile is remembered, as a load may turn out to have further tags.
    """

    __slots__ = ("dropped", "future", "key", "spoiled", "tags")

    def __init__(self, key: Hashable, tags: tuple[str, ...]) -> None:
        self.key = key
        self.tags = tags
        # Made when the first caller joins: most loads have nobody waiting.
        self.future: asyncio.Future[Entry] | None = None
        self.spoiled = False
        self.dropped: list[set[str]] = []

    def gain(self, tags: tuple[str, ...]) -> None:
        """It has these tags, too."""
        self.tags += tuple(tag for tag in tags if tag not in self.tags)
        self.spoiled = self.spoiled or any(not dropped.isdisjoint(tags) for dropped in self.dropped)

    def join(self) -> asyncio.Future[Entry]:
        """What a further caller waits for. Shielded: one that goes away must not take the others along."""
        if self.future is None:
            self.future = asyncio.get_running_loop().create_future()
        return asyncio.shield(self.future)

    def land(self, entry: Entry) -> None:
        """Give those who joined the entry."""
        if self.future is not None:
            self.future.set_result(entry)

    def crash(self, error: BaseException) -> None:
        """Give those who joined the error."""
        if self.future is not None:
            self.future.set_exception(error if isinstance(error, Exception) else Unavailable("Try again."))
            # Those who joined may have gone; then nobody looks at the exception.
            self.future.exception()


@dataclass(slots=True)
class CacheStats:
    """Counters since the start."""

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale: int = 0
    evictions: int = 0
    invalidations: int = 0


class ResponseCache:
    """Bounded by `max_bytes` (0: nothing is kept). Not safe for threads; all calls are made on the loop."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.stats = CacheStats()
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._by_tag: dict[str, set[Hashable]] = {}
        # Those that callers may still join, and all: a drop takes a load out of the first, never out of the second.
        self._flights: dict[Hashable, Flight] = {}
        self._loading: set[Flight] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> frozenset[Hashable]:
        """All that something is kept under, fresh or not."""
        return frozenset(self._entries)

    def get(self, key: Hashable) -> Entry | None:
        """The fresh entry under this key, or None."""
        entry = self._entries.get(key)
        if entry is None or entry.fresh_until < monotonic():
            return None
        self._entries.move_to_end(key)
        self.stats.hits += 1
        return entry

    async def fetch(
        self, key: Hashable, load: Load, policy: Policy, tags: tuple[str, ...], content_type: str = "application/json"
    ) -> tuple[Entry, str]:
        """The entry and how it was had: hit, miss, joined (another caller was loading it) or stale.

        If `load` fails because something is unavailable, an entry that is past its time serves instead.
        """
        entry = self.get(key)
        if entry is not None:
            return entry, "hit"
        flight = self._flights.get(key)
        if flight is not None:
            self.stats.joined += 1
            return await flight.join(), "joined"
        self.stats.misses += 1
        flight = self._flights[key] = Flight(key, tags)
        self._loading.add(flight)
        try:
            return await self._load(flight, load, policy, content_type)
        finally:
            self._loading.discard(flight)
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _load(self, flight: Flight, load: Load, policy: Policy, content_type: str) -> tuple[Entry, str]:
        # With something to fall back on there is no need to wait for a database that does not answer.
        have = flight.key in self._entries
        try:
            body = await (asyncio.wait_for(load(), STALE_PATIENCE) if have else load())
            if isinstance(body, Tagged):
                flight.gain(body.tags)
                body = body.body
            entry = Entry(flight.key, body, content_type, policy, flight.tags)
        except BaseException as error:
            stale = self.stale(flight.key) if isinstance(error, (Unavailable, TimeoutError)) else None
            if stale is not None:
                flight.land(stale)
                return stale, "stale"
            flight.crash(error)
            raise
        if not flight.spoiled:
            self._store(entry)
        flight.land(entry)
        return entry, "miss"

    def holds(self, key: Hashable) -> bool:
        """Whether anything is kept under this key, however old."""
        return key in self._entries

    def stale(self, key: Hashable) -> Entry | None:
        """What may serve in place of an error: the entry, also long past its time."""
        entry = self._entries.get(key)
        if entry is None or entry.fresh_until + STALE_IF_ERROR < monotonic():
            return None
        self.stats.stale += 1
        return entry

    def _store(self, entry: Entry) -> None:
        if entry.cost > self.max_bytes // 4:
            return
        self._remove(entry.key)
        self._entries[entry.key] = entry
        self.bytes += entry.cost
        for tag in entry.tags:
            self._by_tag.setdefault(tag, set()).add(entry.key)
        self._make_room()

    def resize(self, max_bytes: int) -> None:
        """Keep at most so much from now on; what is beyond goes at once."""
        self.max_bytes = max_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self.max_bytes:
            self._remove(next(iter(self._entries)))
            self.stats.evictions += 1

    def gzipped(self, entry: Entry) -> bytes:
        """The entry's gzip form; its bytes count from the moment they exist."""
        if entry.gzip_body is None:
            packed = entry.gzipped()
            if self._entries.get(entry.key) is entry:
                entry.cost += len(packed)
                self.bytes += len(packed)
                self._make_room()
        return entry.gzipped()

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.bytes -= entry.cost
        for tag in entry.tags:
            keys = self._by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._by_tag[tag]

    def drop(self, tags: Iterable[str]) -> int:
        """Drop everything under these tags, also what is being loaded right now; how many entries went."""
        wanted = set(tags)
        if EVERYTHING in wanted:
            had = len(self)
            self.drop_all()
            return had
        self.stats.invalidations += 1
        keys = {key for tag in wanted for key in self._by_tag.get(tag, ())}
        for key in keys:
            self._remove(key)
        for flight in self._loading:
            flight.dropped.append(wanted)
            flight.spoiled = flight.spoiled or not wanted.isdisjoint(flight.tags)
        # Later callers must not join a load that began before the write they follow; which tags it will have in the end
        # it does not know yet.
        self._flights.clear()
        return len(keys)

    def drop_all(self) -> None:
        """Empty the cache."""
        self.stats.invalidations += 1
        for flight in self._loading:
            flight.spoiled = True
        self._flights.clear()
        self._entries.clear()
        self._by_tag.clear()
        self.bytes = 0
