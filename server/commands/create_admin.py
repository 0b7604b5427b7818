"""`run.py create-admin EMAIL`: creates or promotes an administrator."""

from __future__ import annotations

import argparse
import signal
import sys
from getpass import getpass

from server.database import dedicated_connection
from server.errors import Unprocessable
from server.passwords import hash_password
from server.rules.accounts import (
    clean_email,
    clean_username,
    email_fault,
    email_key,
    proposed_usernames,
    username_key,
)
from server.rules.passwords import weakness
from server.settings import Settings
from sql import accounts, revisions
from sql.query import Connection
from sql.revisions import Revision


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("email", metavar="EMAIL", help="the account's e-mail address; it is taken as verified")


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make the account or promote it; what was signed in with it before no longer is."""
    email: str = arguments.email
    _refuse(email_fault(email))
    password = settings.admin_password or _asked()
    _refuse(weakness(password, email=email))
    hashed = hash_password(password)
    async with dedicated_connection(settings) as conn, conn.transaction():
        user_id = await accounts.owner_of_address(conn, email_key(email))
        verb = "promoted" if user_id is not None else "created"
        if user_id is None:
            user_id = await _create(conn, email, hashed)
        await accounts.set_password(conn, user_id, hashed)
        if verb == "promoted":
            await _record(conn, user_id, hashed)
        await accounts.make_administrator(conn, user_id)
        own = await accounts.password_of(conn, user_id)
    name = own.username if own is not None else ""
    print(f"{verb} administrator {name} (id {user_id}); signs in as {clean_email(email)}")
    return 0


async def _record(conn: Connection, user_id: int, hashed: str) -> None:
    """Write down that the account becomes an administrator's, by nobody who is signed in."""
    before = await accounts.lock_if_password(conn, user_id, hashed)
    if before is not None and before.role != "admin":
        diff = {"role": [before.role, "admin"]}
        await revisions.record(conn, [Revision("user", user_id, "updated", "cms", diff=diff)])


async def _create(conn: Connection, email: str, hashed: str) -> int:
    proposals = [(clean_username(name), username_key(name)) for name in proposed_usernames(email)]
    name = await accounts.free_username(conn, proposals)
    if name is not None:
        user_id = await accounts.create(conn, name, username_key(name), clean_email(email), email_key(email), hashed)
        if user_id is not None:
            return user_id
    raise Unprocessable("No username like this address is free; register an account with it first, then promote it.")


def _asked() -> str:
    if not sys.stdin.isatty():
        raise Unprocessable("Set ADMIN_PASSWORD, or run this on a terminal to be asked for the password.")
    _let_interrupt()
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise Unprocessable("The two passwords differ.")
    return password


def _let_interrupt() -> None:
    # While the keyboard is waited for, Ctrl-C ends it rather than ask a loop that does not turn.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise Unprocessable(fault)
