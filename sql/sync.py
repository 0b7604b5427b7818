"""Synchronising: what of a user's own things changed since a revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.errors import Unauthenticated
from sql.query import Connection, load

QUERIES = load("sync")
# How many rows an answer holds, but for the rest of the last revision in it.
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Changes:
    """Members of a JSON object (`content`) that tell of everything up to the revision `reached`.

    `everything`: they replace what the device has. `known`: the device said it has the current revision already.
    """

    current: int
    reached: int
    everything: bool
    known: bool
    content: str


async def changes(
    conn: Connection,
    user_id: int,
    since: int | None,
    *,
    base: int | None = None,
    known: Sequence[int] = (),
    entries: Iterable[tuple[int, int]] = (),
    episodes: Iterable[int] = (),
    most: int = MOST_ROWS,
) -> Changes:
    """What changed after the revision `since`, in one snapshot; with 0 everything there is.

    `base` is where a reading of everything began that is not finished yet. For the revisions in `known` there is
    nothing to tell. The `entries` (kind, release) and `episodes` are told of in any case, and with None as `since`
    nothing else is. Unauthenticated if the account is gone.
    """
    pairs = sorted(set(entries))
    row = await QUERIES.changes.fetchrow(
        conn, user_id, since, base, list(known), most,
        [kind for kind, _ in pairs], [release_id for _, release_id in pairs], sorted(set(episodes)),
    )  # fmt: skip
    if row is None:
        raise Unauthenticated("The account is gone.", error="invalid_token")
    return Changes(*row)
