"""The users of the demo: a few hundred invented names; they cannot sign in, they have no password."""

from __future__ import annotations

from datetime import datetime, timedelta

from server.demo.words import USER_NOUNS, USER_WORDS
from sql import demo
from sql.query import Connection

NAMES: tuple[str, ...] = tuple(f"{word.capitalize()}{noun.capitalize()}" for noun in USER_NOUNS for word in USER_WORDS)
KEYS: tuple[str, ...] = tuple(name.lower() for name in NAMES)
DAYS_BETWEEN = 3


async def make_users(conn: Connection, today: datetime) -> int:
    """Make those that are missing, each three days younger than the one before; how many were."""
    oldest = today - timedelta(days=DAYS_BETWEEN * len(NAMES))
    created = [oldest + timedelta(days=DAYS_BETWEEN * place) for place in range(len(NAMES))]
    return await demo.insert_users(conn, NAMES, created)
