"""Passwords: which are taken, what a hash is, and a thread that takes only so many at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server import passwords
from server.errors import Overloaded
from server.passwords import NOBODYS, Hasher, hash_password
from server.rules.passwords import COMMON, weakness


@pytest_asyncio.fixture
async def hasher() -> AsyncIterator[Hasher]:
    made = Hasher()
    yield made
    made.close()


def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Keeps the thread at its first hash until the event is set."""
    gate = threading.Event()
    monkeypatch.setattr(passwords, "hash_password", lambda password: (gate.wait(10), password)[1])
    return gate


@pytest.mark.parametrize(
    "password",
    [
        "three quiet lanterns",
        "12345679",
        "ключ под ковром",
        "xxxxxxxy",
        "😀😀😀😀😀😀😀!",
        "mira and nothing else",
        "\0\0\0\0\0\0\0a",
    ],
)
def test_length_is_what_a_password_needs(password: str) -> None:
    assert weakness(password, "mira", "mira@example.org") is None


@pytest.mark.parametrize(
    "password",
    [
        "short12",
        "aaaaaaaaaaaa",
        "ＡaＡaＡaＡa",
        "password",
        "PassWord1",
        "ｐａｓｓｗｏｒｄ１",
        "x" * 1025,
        "я" * 513,
        "lighthouse",
        "lighthouse1",
        "LightHouse2026",
        "password1lighthouse",
        "keeper77-42",
    ],
)
def test_a_password_that_is_tried_first_is_refused(password: str) -> None:
    assert weakness(password, "lighthouse", "Keeper77@example.org")


def test_the_list_of_common_passwords_holds_nothing_that_length_refuses_anyway() -> None:
    assert len(COMMON) >= 200
    assert [word for word in COMMON if len(word) < 8 or word != word.casefold()] == []


async def test_a_hash_is_argon2id_with_a_salt_and_verifies_its_password_only(hasher: Hasher) -> None:
    first, second = await hasher.hash("three quiet lanterns"), await hasher.hash("three quiet lanterns")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.verify(first, "three quiet lanterns")
    assert not await hasher.verify(first, "three quiet lantern")
    assert not await hasher.verify("nonsense", "three quiet lanterns")


async def test_a_letter_composed_in_another_way_is_the_same_letter(hasher: Hasher) -> None:
    assert await hasher.verify(await hasher.hash("cafe\u0301 cafe\u0301"), "caf\u00e9 caf\u00e9")


async def test_nobodys_hash_costs_what_a_real_one_does_and_matches_nothing(hasher: Hasher) -> None:
    assert NOBODYS.rpartition("$")[0].rpartition("$")[0] == hash_password("x").rpartition("$")[0].rpartition("$")[0]
    assert not await hasher.verify(None, "three quiet lanterns")
    assert hasher.verifications == 1


async def test_each_hash_is_tried_until_one_is_right(hasher: Hasher) -> None:
    right, wrong = await hasher.hash("right password"), await hasher.hash("wrong password")
    assert await hasher.first_of([right, wrong], "right password") == 0
    assert await hasher.first_of([wrong, right], "right password") == 1
    assert hasher.verifications == 3
    assert await hasher.first_of([wrong, None], "right password") is None
    assert await hasher.first_of([None, None], "right password") is None
    assert hasher.verifications == 7


async def test_a_hash_of_other_parameters_is_to_be_made_anew(hasher: Hasher) -> None:
    assert not hasher.needs_rehash(hash_password("x"))
    assert hasher.needs_rehash(hash_password("x").replace("t=2", "t=1"))


async def test_eight_wait_and_the_next_is_refused_at_once(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = held(monkeypatch)
    work = [asyncio.create_task(hasher.hash("x")) for _ in range(9)]
    await asyncio.sleep(0)
    assert hasher.waiting == 8
    with pytest.raises(Overloaded) as refused:
        await hasher.hash("x")
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert hasher.refused == 1
    gate.set()
    await asyncio.gather(*work)
    assert hasher.waiting == 0
    assert await hasher.hash("x")


async def test_whoever_leaves_the_queue_leaves_a_place(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = held(monkeypatch)
    work = [asyncio.create_task(hasher.hash("x")) for _ in range(9)]
    await asyncio.sleep(0)
    for one in work[1:]:
        one.cancel()
    await asyncio.wait(work[1:])
    await asyncio.sleep(0)
    assert hasher.waiting == 0
    gate.set()
    assert await work[0] == "x"
    # None of those who left was hashed.
    assert hasher.hashes == 1


async def test_the_thread_gives_way_to_the_rest_of_the_process(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        passwords, "hash_password", lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert await hasher.hash("x") == min(19, ours + 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours


async def test_the_loop_turns_while_passwords_are_hashed(hasher: Hasher) -> None:
    work = asyncio.create_task(hasher.first_of([None] * 8, "x"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20


async def test_after_the_end_it_takes_no_more(hasher: Hasher) -> None:
    hasher.close()
    with pytest.raises(Overloaded):
        await hasher.hash("x")
