"""Making this process refuse at once what the database has just revoked. Call it after the commit, never before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from server.identity import Revocations


def mark(
    revocations: Revocations,
    *,
    sessions: Iterable[UUID] = (),
    tokens: Iterable[UUID] = (),
    versions: Mapping[int, int] | None = None,
) -> None:
    """Refuse these sessions, API tokens, and tokens of these users made under a version below the one given.

    Other processes hear of it from the table of revocations, within seconds.
    """
    revocations.sessions.update(sessions)
    revocations.tokens.update(tokens)
    for user_id, version in (versions or {}).items():
        revocations.versions[user_id] = max(version, revocations.versions.get(user_id, 0))
