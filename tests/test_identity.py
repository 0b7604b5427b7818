"""Tokens that were found good are remembered: bounded, only as long as they count, and never past their revocation."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from server import identity
from server.errors import Unauthenticated
from server.identity import AccessTokens, Identities, Principal, Revocations


class Counted(AccessTokens):
    """Counts how many signatures it had to check."""

    checks = 0

    def check(self, token: str) -> Principal:
        self.checks += 1
        return super().check(token)


async def nobody(_: bytes) -> None:
    """No API token is known."""


@pytest.fixture
def tokens() -> Counted:
    return Counted([b"a key for these tests only"])


@pytest.fixture
def identities(tokens: Counted) -> Identities:
    return Identities(tokens, Revocations(), nobody)


def header(tokens: AccessTokens, user_id: int = 7, *, at: float | None = None) -> str:
    return f"Bearer {tokens.issue(user_id, 'user', 1, uuid4(), at)}"


async def test_a_signature_is_checked_once_however_often_its_token_comes(
    tokens: Counted, identities: Identities
) -> None:
    sent = header(tokens)
    assert identities.known(sent) is None
    for _ in range(50):
        assert (await identities.of(sent)).user_id == 7
    assert identities.known(sent) is not None
    assert tokens.checks == 1


async def test_no_more_than_so_many_are_remembered_and_the_oldest_go(
    tokens: Counted, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MOST_REMEMBERED", 10)
    sent = [header(tokens, number) for number in range(1, 31)]
    for one in sent:
        await identities.of(one)
    assert [identities.known(one) is not None for one in sent] == [False] * 20 + [True] * 10


async def test_what_is_remembered_ends_with_the_token(
    tokens: Counted, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = header(tokens)
    await identities.of(sent)
    later = time.time() + identity.ACCESS_LIFETIME + 1
    monkeypatch.setattr(identity.time, "time", lambda: later)
    assert identities.known(sent) is None


@pytest.mark.parametrize("how", ["session", "version"])
async def test_a_revocation_counts_for_what_is_remembered_too(
    tokens: Counted, identities: Identities, how: str
) -> None:
    sent = header(tokens)
    who = await identities.of(sent)
    assert who.session_id is not None
    if how == "session":
        identities.revocations.sessions.add(who.session_id)
    else:
        identities.revocations.versions[who.user_id] = who.version + 1
    assert identities.known(sent) is None
    with pytest.raises(Unauthenticated):
        await identities.of(sent)


async def test_what_is_no_token_is_remembered_by_nobody(identities: Identities) -> None:
    for sent in ("Bearer nonsense", "Bearer yjh_unknown", "Bearer " + "x" * 5000):
        with pytest.raises(Unauthenticated):
            await identities.of(sent)
        assert identities.known(sent) is None
