"""What mails are sent for: one-time tokens that verify an address or let a password be set anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import asyncpg

from server.errors import Conflict
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("mailed")
Purpose = Literal["verify", "reset"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a mail goes to. `purpose` is what its token is good for, which may not be what was asked for."""

    username: str
    email: str
    locale: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose token it is: what a new password is held against."""

    username: str
    email: str


async def ask_for_reset(conn: Connection, email_key: str) -> None:
    """Ask for the mail that lets a password be set anew; the same work whether there is such an account or not.

    It goes to the account that has verified the address, else to the oldest that claims it.
    """
    PUBLISHED.set(True)
    await QUERIES.ask_for_mail.execute(conn, email_key)


async def unverified_address(conn: Connection, user_id: int) -> str | None:
    """The key of the user's address, or None if there is none left to verify."""
    found: str | None = await QUERIES.unverified_address.fetchval(conn, user_id)
    return found


async def make_token(conn: Connection, user_id: int, kind: str, token_hash: bytes) -> Recipient | None:
    """Store the token of a mail of this kind. None if there is nobody to send it to, or no need any more."""
    row = await QUERIES.make_token.fetchrow(conn, user_id, kind, token_hash)
    return Recipient(*row) if row is not None else None


async def owner_of_token(conn: Connection, token_hash: bytes) -> Owner | None:
    """Whose password the token would let be set right now; None if it does not count."""
    row = await QUERIES.owner_of_token.fetchrow(conn, token_hash)
    return Owner(*row) if row is not None else None


async def take_token(conn: Connection, token_hash: bytes, purpose: Purpose) -> int | None:
    """Take the token away; whose it is, or None if it does not count."""
    found: int | None = await QUERIES.take_token.fetchval(conn, token_hash, purpose)
    return found


async def verify_address(conn: Connection, user_id: int) -> None:
    """The user's address is verified from now on; Conflict if another account has verified it meanwhile."""
    try:
        await QUERIES.verify_address.execute(conn, user_id)
    except asyncpg.UniqueViolationError:
        raise Conflict("Another account has verified this address.") from None
