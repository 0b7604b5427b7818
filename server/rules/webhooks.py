"""Webhooks: what is signed how, when a delivery is tried again, when a receiver is given up.

Headers and signatures are those of Standard Webhooks (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with, not one of them
# Seconds from each failure to the next attempt; the last is repeated until there have been MOST_ATTEMPTS.
SCHEDULE = (10.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0)
MOST_ATTEMPTS = 12
JITTER = 0.2
LONGEST_PAUSE = 86_400.0
# Answers whose Retry-After counts, and for the webhook as a whole.
ASKS_FOR_REST = (429, 503)
GONE = 410
# From so many failures in a row on, a receiver is only looked after: one delivery at a time, with growing pauses.
FAILING_FROM = 5
LONGEST_REST = 300.0
# On their way at once: to one receiver, and to all of them together.
MOST_EACH = 2
MOST_IN_ALL = 8


def secret(key: bytes, salt: bytes) -> bytes:
    """The secret that the server's key and a webhook's salt give."""
    return hmac.new(key, b"webhook" + salt, sha256).digest()


def shown(value: bytes) -> str:
    """A secret as receivers are given it."""
    return SECRET_PREFIX + base64.b64encode(value).decode()


def signatures(secrets: Sequence[bytes], message_id: UUID, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one signature of each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = (hmac.new(one, signed, sha256).digest() for one in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in made)


def pause(attempts: int, chance: float, asked: float | None = None) -> float:
    """Seconds from this failure, the `attempts`-th, to the next attempt.

    `chance` (0 to 1) moves it by up to a fifth either way; `asked` is what the receiver wants at least.
    """
    planned = SCHEDULE[min(attempts, len(SCHEDULE)) - 1] * (1 - JITTER + 2 * JITTER * chance)
    return planned if asked is None else min(LONGEST_PAUSE, max(planned, asked))


def rest(failures: int, asked: float | None = None) -> float:
    """Seconds during which a receiver that has failed so often in a row is left alone; 0 for not at all."""
    own = min(LONGEST_REST, 10.0 * 2.0 ** min(failures - FAILING_FROM, 10)) if failures >= FAILING_FROM else 0.0
    return own if asked is None else min(LONGEST_PAUSE, max(own, asked))


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header (seconds or a date) asks to wait; None where it says nothing sensible."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(LONGEST_PAUSE, float(text[:12]))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(LONGEST_PAUSE, max(0.0, (moment - now).total_seconds()))


class Ready(NamedTuple):
    """A delivery that could go out now."""

    id: UUID
    webhook_id: int
    # How many more this receiver may get at the moment.
    room: int


def fair(ready: Sequence[Ready], served: Mapping[int, int], free: int) -> list[Ready]:
    """Which of them go out: turn by turn, first to receivers whose last turn (`served`) is the longest ago.

    `ready` holds each webhook's own in their order. A receiver that takes its time holds up nobody but itself.
    """
    place: Counter[int] = Counter()
    ranked: list[tuple[int, int, int, Ready]] = []
    for one in ready:
        place[one.webhook_id] += 1
        if place[one.webhook_id] <= one.room:
            ranked.append((place[one.webhook_id], served.get(one.webhook_id, 0), len(ranked), one))
    return [one for *_, one in sorted(ranked)[:free]]
