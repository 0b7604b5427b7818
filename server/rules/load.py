"""What a request is to a busy server: its class, known from method and target, and the order of those who wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

API = "/api/v1/"
MIB = 2**20


class Kind(IntEnum):
    """Classes of requests. Those that wait are served in this order; the ones after `BULK` stand outside the gate."""

    # Was let in before, and comes back from waiting for its body or for something else.
    RETURNING = 0
    VITAL = 1
    NORMAL = 2
    BULK = 3
    PAGES = 4
    VIEWS = 5
    METRICS = 6
    # Whether the process turns: nothing is waited for, so nothing is counted.
    LIVE = 7

    @property
    def label(self) -> str:
        """Its name in metrics."""
        return self.name.lower()


WAITING = (Kind.RETURNING, Kind.VITAL, Kind.NORMAL, Kind.BULK)
# This one and those after it take no slot.
OUTSIDE = Kind.PAGES

# For operators: a server that is busy must still say so. What asks the database must not stand in the way of the rest.
PAGES = {
    "/health": Kind.PAGES, "/health/ready": Kind.PAGES, "/ready": Kind.PAGES, "/metrics": Kind.METRICS,
    "/health/live": Kind.LIVE, "/live": Kind.LIVE,
}  # fmt: skip
# By what follows the API's prefix. Who signs in, or is asked for who they are, comes first: these and no others, or
# whatever is below /auth would be a way past everybody.
VITAL = {
    "GET": frozenset({"auth/me", "auth/sessions", "auth/tokens", "auth/tokens/{id}"}),
    "POST": frozenset({
        "auth/login", "auth/logout", "auth/password/change", "auth/password/forgot", "auth/password/reset",
        "auth/refresh", "auth/register", "auth/tokens", "auth/verify", "auth/verify/resend",
    }),
    "DELETE": frozenset({"auth/sessions", "auth/sessions/{id}", "auth/tokens/{id}"}),
}  # fmt: skip
VITAL["HEAD"] = VITAL["GET"]
ID = re.compile(r"(?<=/)[0-9a-fA-F-]{36}$")
# Searching, and whatever takes or gives much at once.
HEADS = frozenset({"analytics", "feeds", "search"})
BULK = frozenset({
    "admin/analytics", "admin/audit", "admin/batch", "admin/import", "admin/moderation/bulk", "profile/export",
    "profile/import", "profile/sync", "releases/random",
})  # fmt: skip
BULK_LISTS = frozenset({"favorites", "collections", "ratings", "progress"})


# What is asked for often need not be looked at again. A target may have eight kilobytes: the long ones are not kept.
MOST_KNOWN, LONGEST_KNOWN = 2_048, 200


def kind_of(method: str, target: str) -> Kind:
    """The class of a request. An address spelt in an odd way is a normal one."""
    return _known(method, target) if len(target) <= LONGEST_KNOWN else _kind_of(method, target)


def _kind_of(method: str, target: str) -> Kind:
    path, _, query = target.partition("?")
    if not path.startswith(API):
        return PAGES.get(path.rstrip("/"), Kind.NORMAL)
    rest = path[len(API) :].rstrip("/")
    head, _, tail = rest.partition("/")
    if method == "POST" and (rest == "views" or (head == "releases" and tail.endswith("/views"))):
        return Kind.VIEWS
    if head == "auth":
        return Kind.VITAL if ID.sub("{id}", rest) in VITAL.get(method, ()) else Kind.NORMAL
    if head in HEADS or rest in BULK or (head == "users" and not tail and query):
        return Kind.BULK
    # Lists of up to five hundred at once, as opposed to `…/{id}`.
    if method not in ("GET", "HEAD") and head == "profile":
        noun, _, below = tail.partition("/")
        if noun in BULK_LISTS and (not below or (noun == "collections" and "/" not in below)):
            return Kind.BULK
    return Kind.NORMAL


_known = lru_cache(MOST_KNOWN)(_kind_of)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the gate is: slots between `floor` and `ceiling`, how many may wait, and the caps outside of it."""

    floor: int
    ceiling: int
    queue: int
    # Requests whose body is still on its way, that wait for an operation, for the commit of views, operators' pages
    # (metrics likewise, apart from the others).
    bodies: int
    waits: int
    views: int
    pages: int


# A slot is meant to keep a core or a connection busy; a few more take the time in between.
SLOTS_PER_CORE, SLOTS_PER_CONNECTION = 8, 8
LEAST = 4
# What a request holds: at work, waiting, with its body on the way, parked. Each sort may have this share of memory.
AT_WORK, IN_QUEUE, WITH_BODY, PARKED = MIB // 2, MIB // 64, MIB, MIB // 64
SHARE = 8


def sizes(cores: int, memory: int, pool: int, most_at_work: int = 0, most_waiting: int = 0) -> Sizes:
    """From cores, bytes of memory and connections of the pool; the last two, where given, are the operator's."""
    room = memory // SHARE
    ceiling = most_at_work or min(cores * SLOTS_PER_CORE + pool * SLOTS_PER_CONNECTION, max(LEAST, room // AT_WORK))
    return Sizes(
        floor=min(ceiling, max(LEAST, pool)),
        ceiling=ceiling,
        queue=most_waiting or _between(64, room // IN_QUEUE, 1_024),
        bodies=_between(32, room // WITH_BODY, 512),
        waits=100,
        views=_between(1_000, room // PARKED, 8_000),
        pages=64,
    )


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


# How long a request may wait for its turn, in seconds: a burst is worth waiting for, a queue that has been standing for
# a second is not. With the work itself that keeps the slowest answer given below a second.
BURST, STANDING, STANDS_AFTER = 0.5, 0.3, 1.0


def patience(kind: Kind, standing_for: float) -> float:
    """How long a request of this class may wait, in a queue that has not been empty for so long (controlled delay)."""
    return BURST if kind <= Kind.VITAL or standing_for < STANDS_AFTER else STANDING


# One turn in four belongs to normal requests and one in sixteen to bulk: nobody starves behind whoever comes first.
NORMAL_TURN, BULK_TURN = 4, 16
# What a class keeps of the queue whoever else comes: as much as of the turns, or turns would find nobody.
QUEUE_PARTS = {Kind.NORMAL: NORMAL_TURN, Kind.BULK: BULK_TURN}
# Bulk work may have three quarters of the slots: what takes long must not take them all.
BULK_SHARE = 0.75


def order(turn: int) -> tuple[Kind, ...]:
    """Whose turn it is, and who is next if nobody of that class waits."""
    if turn % BULK_TURN == BULK_TURN - 1:
        return (Kind.RETURNING, Kind.BULK, Kind.VITAL, Kind.NORMAL)
    if turn % NORMAL_TURN == NORMAL_TURN - 1:
        return (Kind.RETURNING, Kind.NORMAL, Kind.VITAL, Kind.BULK)
    return WAITING


def kept(kind: Kind, room: int) -> int:
    """How many places of a queue with so much room nobody takes from this class."""
    part = QUEUE_PARTS.get(kind)
    return room // part if part else 0


# Of those whose bodies are on their way one address may be so many, and so many places are for signing in only.
ADDRESS_PART, FEWEST_OF_ADDRESS, VITAL_PART = 8, 4, 4


def of_address(most: int) -> int:
    """How many of so many places one address may have."""
    return max(FEWEST_OF_ADDRESS, most // ADDRESS_PART)


def open_to(kind: Kind, most: int) -> int:
    """How many of so many places may be taken when one of this class still gets in."""
    return most if kind <= Kind.VITAL else most - most // VITAL_PART
