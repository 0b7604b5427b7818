"""Answers kept by Idempotency-Key, for 24 hours, in the transaction of the effect they tell of."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import asyncpg

from server.errors import Unauthenticated
from sql.query import Connection, load

QUERIES = load("idempotency")


class Call(NamedTuple):
    """What a key stands for: whose it is, and which address it was sent to."""

    user_id: int
    key: str
    method: str
    path: str

    @property
    def lock(self) -> int:
        """A number for its lock, of 64 bits."""
        text = "\n".join((str(self.user_id), self.method, self.path, self.key))
        digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, person=b"idempotency").digest()
        return int.from_bytes(digest, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and the hash of the body that it answered."""

    body_hash: bytes
    status: int
    headers: Any
    body: bytes


async def lock(conn: Connection, call: Call) -> bool:
    """Take the key until the end of the transaction; False if another transaction holds it."""
    return bool(await QUERIES.lock_idempotency_key.fetchval(conn, call.lock))


async def find(conn: Connection, call: Call) -> Kept | None:
    """The answer kept under this key, unless it is older than a day."""
    row = await QUERIES.find_idempotent_answer.fetchrow(conn, *call)
    return None if row is None else Kept(*row)


async def store(conn: Connection, call: Call, kept: Kept) -> None:
    """Keep an answer, under the lock of its key. Unauthenticated if there is no such account any more."""
    try:
        await QUERIES.store_idempotent_answer.execute(conn, *call, kept.body_hash, kept.status, kept.headers, kept.body)
    except asyncpg.ForeignKeyViolationError:
        raise Unauthenticated("This account is gone.", error="invalid_token") from None
