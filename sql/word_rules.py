"""Word rules, as moderators keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from server.errors import Conflict, NotFound
from server.rules.words import MOST_RULES, Action, Kind, Rule
from sql.query import Connection, load

QUERIES = load("word_rules")
# What other processes hear when the rules have changed.
TAG = "word_rules"
NONE = "There is no such rule."
KNOWN = "There is a rule with this pattern already."


@dataclass(frozen=True, slots=True)
class Draft:
    """What moderators choose. `pattern` is as texts are compared."""

    pattern: str
    kind: Kind
    action: Action
    note: str
    enabled: bool


class Said(NamedTuple):
    """A comment, as it is looked at."""

    id: int
    text: str


async def in_force(conn: Connection) -> list[Rule]:
    """The rules that are switched on."""
    return [Rule(*row) for row in await QUERIES.in_force.fetch(conn, MOST_RULES)]


async def page(conn: Connection, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many there are, and some of them as JSON, the newest first."""
    rows = await QUERIES.list_rules.fetch(conn, limit, offset)
    return int(await QUERIES.count_rules.fetchval(conn)), [row["rule"] for row in rows]


async def create(conn: Connection, draft: Draft, author_id: int) -> tuple[int, str]:
    """Make a rule, in the caller's transaction: its id and its JSON. Conflict if it is there, or MOST_RULES are."""
    await QUERIES.lock_rules.execute(conn)
    if await QUERIES.count_rules.fetchval(conn) >= MOST_RULES:
        raise Conflict(f"There are {MOST_RULES} rules; delete one first.")
    made: int | None = await QUERIES.create_rule.fetchval(
        conn, draft.pattern, draft.kind, draft.action, draft.note, draft.enabled, author_id
    )
    if made is None:
        raise Conflict(KNOWN)
    await QUERIES.tell.execute(conn, TAG)
    return made, await _shown(conn, made)


async def update(conn: Connection, rule_id: int, changes: Mapping[str, Any]) -> str:
    """Make it another, in the caller's transaction; its JSON. NotFound if there is none, Conflict if another is so."""
    await QUERIES.lock_rules.execute(conn)
    row = await QUERIES.lock_rule.fetchrow(conn, rule_id)
    if row is None:
        raise NotFound(NONE)
    before = Draft(*row)
    after = replace(before, **changes)
    if after != before:
        if await QUERIES.rule_exists.fetchval(conn, after.pattern, after.kind, rule_id):
            raise Conflict(KNOWN)
        await QUERIES.change_rule.execute(
            conn, rule_id, after.pattern, after.kind, after.action, after.note, after.enabled
        )
        await QUERIES.tell.execute(conn, TAG)
    return await _shown(conn, rule_id)


async def delete(conn: Connection, rule_id: int) -> None:
    """Delete it; NotFound if there is none."""
    if not await QUERIES.delete_rule.execute(conn, rule_id):
        raise NotFound(NONE)
    await QUERIES.tell.execute(conn, TAG)


async def newest_comments(conn: Connection, most: int) -> list[Said]:
    """What was said last, whatever became of it, the newest first."""
    return [Said(*row) for row in await QUERIES.newest_comments.fetch(conn, most)]


async def comments(conn: Connection, ids: Sequence[int]) -> list[str]:
    """These comments as JSON."""
    return [row["comment"] for row in await QUERIES.show_comments.fetch(conn, ids)]


async def _shown(conn: Connection, rule_id: int) -> str:
    return str(await QUERIES.get_rule.fetchval(conn, rule_id))
