"""Rumours: what others have to hear of is kept until they can, and never grows without bound."""

from __future__ import annotations

from actors.rumours import Rumours, Spread
from server.cache import EVERYTHING
from server.database import Database
from server.talk import MOST_TAGS, Talk


def talking() -> tuple[Talk, list[set[str]], list[str]]:
    """A talk, what it dropped so far, and a mark for each time it woke somebody."""
    dropped: list[set[str]] = []
    woken: list[str] = []
    talk = Talk(lambda tags: dropped.append(set(tags)))
    talk.wake = lambda: woken.append("woken")
    return talk, dropped, woken


def test_a_write_drops_at_once_and_wakes_once_until_somebody_takes() -> None:
    talk, dropped, woken = talking()
    talk.changed(["comments:1"])
    talk.changed(["comments:2", "comments:1"])
    assert dropped == [{"comments:1"}, {"comments:2", "comments:1"}]
    assert woken == ["woken"]
    assert talk.take() == {"comments:1", "comments:2"}
    assert talk.take() == set()
    talk.changed(["comments:3"])
    assert len(woken) == 2


def test_nothing_changed_is_nothing_to_tell() -> None:
    talk, dropped, woken = talking()
    talk.changed([])
    assert (dropped, woken, talk.take()) == ([], [], set())


def test_too_many_tags_are_all_of_them() -> None:
    talk, _, _ = talking()
    for number in range(MOST_TAGS + 1):
        talk.changed([f"comments:{number}"])
    assert talk.take() == {EVERYTHING}
    talk.keep({EVERYTHING})
    talk.keep({"comments:1"})
    assert talk.take() == {EVERYTHING}


async def test_what_could_not_be_told_is_told_later() -> None:
    talk, _, _ = talking()
    talk.changed(["comments:1"])
    # Nobody has opened it: every use of it fails like one of a database that is away.
    rumours = Rumours(Database("postgresql://127.0.0.1:1/nowhere"), talk.take, talk.keep)
    assert await rumours.receive_batch([Spread()]) == [None]
    talk.changed(["comments:2"])
    assert talk.take() == {"comments:1", "comments:2"}
