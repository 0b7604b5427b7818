"""What tests of comments share: comments written as the server writes them, and counters held against what is there."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from sql import comments
from sql.comments import Draft, Posted

NO_QUOTA = (0, timedelta(hours=1))
_numbers = itertools.count(1)

# Everything that is counted, anew; a row for each number that is wrong.
WRONG = """
with recursive standing as (
    select c.id, c.parent_id, c.release_id, c.counted, c.listed, c.replies,
           c.state = 'visible' and c.deleted_at is null as alive
    from comments c
), above (id, parent_id) as (
    -- Whatever has somebody alive below it, or is alive, stands in its list.
    select id, parent_id from standing where alive
    union
    select s.id, s.parent_id from above a join standing s on s.id = a.parent_id
), counted as (
    select s.id, s.alive, a.id is not null as stands, coalesce(r.replies, 0) as replies
    from standing s
    left join above a on a.id = s.id
    left join (
        select r.parent_id, count(*) as replies from standing r join above a on a.id = r.id group by r.parent_id
    ) r on r.parent_id = s.id
)
select 'comment ' || s.id || ' counted ' || s.counted || ' listed ' || s.listed || ' replies ' || s.replies
       || ' instead of ' || k.alive || ' ' || k.stands || ' ' || k.replies as wrong
from standing s join counted k using (id)
where (s.counted, s.listed, s.replies) is distinct from (k.alive, k.stands, k.replies)
union all
select 'release ' || release_id || ': ' || comments || ' comments, ' || threads || ' threads instead of '
       || real_comments || ', ' || real_threads
from (
    select coalesce(t.release_id, s.release_id) as release_id, coalesce(t.comments, 0) as comments,
           coalesce(t.threads, 0) as threads,
           count(s.id) filter (where k.alive) as real_comments,
           count(s.id) filter (where k.stands and s.parent_id is null) as real_threads
    from release_talk t
    full join standing s on s.release_id = t.release_id
    left join counted k on k.id = s.id
    group by 1, 2, 3
) compared
where (comments, threads) is distinct from (real_comments::integer, real_threads::integer)
"""
# What authors were told they have, by the outbox.
TOLD = """
select coalesce(sum((payload -> 'delta' ->> 'comments')::integer), 0)
from outbox where topic = 'community' and user_id = $1
"""


async def wrong_counters(conn: Any) -> list[str]:
    """Every counter of comments that is not what counting anew would make it."""
    return [row["wrong"] for row in await conn.fetch(WRONG)]


def draft(text: str = "", parent: int | None = None, episode: int | None = None, **given: Any) -> Draft:
    """A comment unlike any before."""
    return Draft(
        text or f"Thought number {next(_numbers)}", parent, episode, given.get("spoiler", False),
        given.get("has_link", False), given.get("worded", False),
    )  # fmt: skip


async def post(
    conn: Any, author: int, release: int | str = 3, parent: int | None = None, text: str = "", **given: Any
) -> Posted:
    """A comment as the server writes it, whatever the quota."""
    quota = given.pop("quota", NO_QUOTA)
    return await comments.post(conn, author, release, draft(text, parent, given.pop("episode", None), **given), quota)


async def make_users(conn: Any, count: int, role: str = "moderator", age: str = "30 days") -> list[int]:
    """So many accounts; moderators are never held, however much they write."""
    rows = await conn.fetch(
        """insert into users (username, username_key, role, created_at)
           select 'teller-' || $3 || n, 'teller-' || $3 || n, $2, now() - $4::text::interval
           from generate_series(1, $1::integer) n returning id""",
        count, role, f"{next(_numbers)}-", age,
    )  # fmt: skip
    return [row["id"] for row in rows]
