"""Notifications in tests: a small catalogue, followers, things that happen, and what must hold whatever happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from server.rules.notifications import CHOICES
from sql import dispatch
from sql.dispatch import Budget

FIVE = Budget(5, 3600)
EPISODES = 60

CATALOGUE = f"""
    insert into franchises (id, slug, name, name_key) overriding system value values (1, 'tides', 'Tides', 'tides');
    insert into genres (id, slug, name, name_key) overriding system value
        values (1, 'drama', 'Drama', 'drama'), (2, 'sea', 'Sea', 'sea');
    insert into releases (id, slug, title, sort_title, franchise_id, genre_ids)
        values (1, 'keepers', 'Keepers', 'keepers', 1, '{{1,2}}'), (2, 'waves', 'Waves', 'waves', null, '{{2}}');
    insert into episodes (id, release_id, ordinal)
        select i, 1, i from generate_series(1, {EPISODES}) i
        union all select 100 + i, 2, i from generate_series(1, {EPISODES}) i;
"""

# Each says what is wrong with whom; all of them are empty at any moment at which nobody is at work.
WRONG = {
    "unread is not counted": """
        select b.user_id from notification_budgets b where unread <> (
            select count(*) from notifications n where n.user_id = b.user_id and n.read_at is null)
        union select user_id from notifications n
            where not exists (select from notification_budgets b where b.user_id = n.user_id)""",
    "held is not counted": """
        select b.user_id from notification_budgets b where held <> (
            select count(*) from held_notifications h where h.user_id = b.user_id)
        union select user_id from held_notifications h
            where not exists (select from notification_budgets b where b.user_id = h.user_id)""",
    "told and held": "select user_id from notifications join held_notifications using (user_id, event_id)",
    "more told in the window than it counts": """
        select b.user_id from notification_budgets b where used < (
            select count(*) from notifications n where n.user_id = b.user_id and n.created_at >= b.window_start)""",
}


@dataclass
class Sums:
    """What some slices did together."""

    delivered: int = 0
    held: int = 0
    slices: int = 0


async def stage(conn: Any, people: int) -> list[int]:
    """A catalogue of two releases, and so many people, who follow nothing yet."""
    await conn.execute(CATALOGUE)
    await conn.execute(
        "insert into users (username, username_key) select 'u' || i, 'u' || i from generate_series(1, $1::integer) i",
        people,
    )
    return [row["id"] for row in await conn.fetch("select id from users order by id")]


async def follow(conn: Any, users: Iterable[int], kind: str = "release", target: int = 1) -> None:
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id) select unnest($1::bigint[]), $2, $3",
        list(users), kind, target,
    )  # fmt: skip


async def happen(conn: Any, episodes: Iterable[int], release_id: int = 1) -> list[int]:
    """New episodes; the ids of their events."""
    rows = await conn.fetch(
        "insert into notification_events (type, target_type, target_id, release_id)"
        " select 'new_episode', 'episode', unnest($1::bigint[]), $2 returning id",
        list(episodes), release_id,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def tell(conn: Any, budget: Budget = FIVE, users: int = 2000, events: int = 50, *, mail: bool = False) -> Sums:
    """Slices until nothing is open."""
    sums = Sums()
    for kind in CHOICES:
        while (done := await dispatch.fan_out(conn, kind, events, users, budget, mail=mail)).events:
            sums.delivered += done.delivered
            sums.held += done.held
            sums.slices += 1
    return sums


async def let_pass(conn: Any, seconds: int = 3600) -> None:
    """So much time goes by: for every budget, and for what was told in it."""
    for table, column in (("notification_budgets", "window_start"), ("notifications", "created_at")):
        await conn.execute(f"update {table} set {column} = {column} - make_interval(secs => $1)", float(seconds))


async def release(conn: Any, budget: Budget = FIVE, most: int = 2000, *, mail: bool = False) -> int:
    """Deliver what is held for those whose window is over; to how many that was."""
    users = 0
    while True:
        async with conn.transaction():
            done = await dispatch.deliver_held(conn, most, budget, mail=mail)
        if done is None:
            return users
        users += done.users


async def told(conn: Any, user_id: int) -> list[tuple[str, int]]:
    """What the user was told, in order: type and target."""
    rows = await conn.fetch(
        "select e.type, e.target_id from notifications n join notification_events e on e.id = n.event_id"
        " where n.user_id = $1 order by n.id", user_id,
    )  # fmt: skip
    return [(row["type"], row["target_id"]) for row in rows]


async def wrongs(conn: Any) -> dict[str, list[int]]:
    """What does not hold that must."""
    found = {what: [row[0] for row in await conn.fetch(question)] for what, question in WRONG.items()}
    return {what: users for what, users in found.items() if users}


async def counted(conn: Any, table: str) -> int:
    number: int = await conn.fetchval(f"select count(*) from {table}")
    return number


async def prefer(conn: Any, users: Sequence[int], **columns: Any) -> None:
    """Preferences of these users."""
    names = ["user_id", *columns]
    values = ", ".join(f"${place}" for place in range(2, len(names) + 1))
    await conn.execute(
        f"insert into notification_preferences ({', '.join(names)}) select u, {values or 'null'}"
        " from unnest($1::bigint[]) u",
        list(users), *columns.values(),
    )  # fmt: skip
