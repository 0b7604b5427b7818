"""Accounts as administrators see and change them. Nothing here reads a password or a token.

The statement of a list is composed from fixed fragments, so that each of its filters finds its index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.errors import Conflict, Fault, Forbidden, NotFound
from sql import accounts, profiles, revisions, sessions
from sql.profiles import LAST, ProfileEdit
from sql.query import Connection, Query, load
from sql.revisions import Revision

QUERIES = load("users")
SHOWN = """
    select u.id, (select row_to_json(shown)::text from (
        select
            u.id, u.username, u.name, u.email, u.email_verified_at is not null as email_verified, u.role, u.is_public,
            rfc3339(u.created_at) as created_at, rfc3339(u.updated_at) as updated_at,
            (select rfc3339(p.last_active_at) from user_presence p where p.user_id = u.id) as last_active_at
    ) shown) as account
"""
# Compared byte by byte, as in the indexes: no character means anything else than itself.
BEGINS = """(
    (u.username_key ~>=~ ${0} and u.username_key ~<~ ${1}) or (u.email_key ~>=~ ${0} and u.email_key ~<~ ${1})
)"""
ROLES = {role: f"u.role = '{role}'" for role in ("user", "moderator", "admin")}
# Lists count up to here exactly.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class UsersWanted:
    """Which accounts: the beginning of a name or an address, folded; a role. None means any."""

    prefix: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEdit:
    """What changes; None leaves a field as it is."""

    role: str | None = None
    name: str | None = None
    is_public: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An account of a list, as JSON."""

    id: int
    account: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a change is held against."""

    name: str
    role: str
    is_public: bool


def compose(wanted: UsersWanted, below: int | None, limit: int, offset: int) -> tuple[str, list[Any]]:
    """The text and parameters of a page."""
    where, values = _where(wanted, below)
    places = f"limit ${len(values) + 1} offset ${len(values) + 2}"
    return f"{SHOWN} from users u where {where} order by u.id desc {places}", [*values, limit, offset]


async def page(conn: Connection, wanted: UsersWanted, below: int | None, limit: int, offset: int) -> list[Row]:
    """Accounts by id, the newest first: those below an id, or from `offset` on."""
    text, values = compose(wanted, below, limit, offset)
    return [Row(*row) for row in await Query("list_users", text).fetch(conn, *values)]


async def count(conn: Connection, wanted: UsersWanted) -> tuple[int, bool]:
    """How many there are; at MOST_COUNTED it stops counting, and the second is False."""
    where, values = _where(wanted, None)
    text = f"select count(*) from (select from users u where {where} limit {MOST_COUNTED + 1}) reached"  # noqa: S608
    found = int(await Query("count_users", text).fetchval(conn, *values))
    return min(found, MOST_COUNTED), found <= MOST_COUNTED


def _where(wanted: UsersWanted, below: int | None) -> tuple[str, list[Any]]:
    """The conditions, made of fixed fragments, and the values of their parameters."""
    conditions, values = ["true"], list[Any]()
    if below is not None:
        values.append(below)
        conditions.append("u.id < $1")
    if wanted.prefix is not None:
        values += (wanted.prefix, wanted.prefix + LAST)
        conditions.append(BEGINS.format(len(values) - 1, len(values)))
    if wanted.role is not None:
        conditions.append(ROLES[wanted.role])
    return " and ".join(conditions), values


async def get(conn: Connection, user_id: int) -> str:
    """An account as JSON, or NotFound."""
    found: str | None = await QUERIES.get_user.fetchval(conn, user_id)
    if found is None:
        raise unknown()
    return found


async def change(conn: Connection, actor_id: int, user_id: int, edit: UserEdit) -> int | None:
    """Change an account in the caller's transaction, and write down who did; its new credentials version, if its role
    is another now: whoever commits has to have it refused from then on.

    Conflict for one's own role and for that of the last administrator.
    """
    administrators = [row["id"] for row in await QUERIES.lock_administrators.fetch(conn)] if edit.role else []
    before = await facts(conn, user_id)
    if edit.role is not None and edit.role != before.role:
        _check_role(actor_id, user_id, administrators)
    await profiles.update(conn, user_id, ProfileEdit(name=edit.name, is_public=edit.is_public))
    version = None
    if edit.role is not None and await QUERIES.set_role.execute(conn, user_id, edit.role):
        version = await accounts.raise_version(conn, user_id)
    after = await facts(conn, user_id)
    if diff := difference(before, after):
        await revisions.record(conn, [Revision("user", user_id, "updated", "cms", actor_id, None, diff)])
    return version


def _check_role(actor_id: int, user_id: int, administrators: list[int]) -> None:
    if actor_id not in administrators:
        # Somebody took it away while the request was on its way.
        raise Forbidden("Your role does not allow this any more.")
    if user_id == actor_id:
        raise Conflict("Another administrator has to change your role.", faults=[Fault("/role", "Is your own.")])
    if administrators == [user_id]:
        raise Conflict("This is the last administrator.", faults=[Fault("/role", "Nobody else has it.")])


async def facts(conn: Connection, user_id: int) -> Facts:
    """What may change of an account, or NotFound."""
    row = await QUERIES.facts.fetchrow(conn, user_id)
    if row is None:
        raise unknown()
    return Facts(*row)


def difference(before: Facts, after: Facts) -> dict[str, list[Any]]:
    """The fields that differ, with both values."""
    return {
        name: [getattr(before, name), getattr(after, name)]
        for name in ("name", "role", "is_public")
        if getattr(before, name) != getattr(after, name)
    }


async def end_sessions(conn: Connection, user_id: int) -> tuple[list[UUID], int]:
    """Sign the account out everywhere, in the caller's transaction: the sessions that ended, its credentials version.

    API tokens stay: their owner sees and deletes them.
    """
    version = await accounts.raise_version(conn, user_id)
    return await sessions.end_other_sessions(conn, user_id, None), version


def unknown() -> NotFound:
    """The error for an id nobody has."""
    return NotFound("There is no such user.")
