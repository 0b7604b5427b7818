"""The books of the chaos run: what they must notice, and what they must not mistake for a fault."""

from __future__ import annotations

import random

from tests.chaos.deeds import KEPT, deed
from tests.chaos.model import Deed, Library, Watching
from tests.chaos.orders import Order, Orders
from tests.chaos.people_verdict import PeopleVerdict

KEY = ("ratings", 1)


def rated(value: int | None) -> Deed:
    return Deed("PUT", "", None, [(KEY, lambda _: value)])


def test_what_was_acknowledged_is_all_there_can_be() -> None:
    library = Library()
    library.cut_off(rated(3))
    assert library.of(KEY) == {None, 3}
    library.acknowledged(rated(5))
    assert library.of(KEY) == {5}
    library.cut_off(rated(None))
    assert library.of(KEY) == {5, None}


def test_taking_out_of_a_collection_leaves_every_other_one_possible() -> None:
    library, key = Library(), ("watching", 1)
    library.cut_off(Deed("PUT", "", None, [(key, lambda state: state.collected("dropped"))]))
    library.acknowledged(Deed("DELETE", "", None, [(key, lambda state: state.without("planned"))]))
    assert library.of(key) == {Watching(), Watching("dropped")}


def test_the_last_episode_completes_a_release_once_and_only_from_where_it_may() -> None:
    done = (1440, True)
    assert Watching("watching").watched(2, done).collection == "completed"
    assert Watching("watching").watched(1, done).collection == "watching"
    assert Watching("dropped").watched(2, done).collection == "dropped"
    again = Watching().watched(2, done).collected("planned")
    assert again.watched(2, done).collection == "planned"


def test_what_a_device_says_of_less_counts_only_if_it_begins_anew() -> None:
    far = Watching().watched(0, (900, True))
    assert far.furthest(0, (1000, False)) == far
    assert far.furthest(0, (901, True)).steps[0] == (901, True)
    assert far.watched(0, (10, False)).steps[0] == (10, False)


def test_an_order_that_made_two_things_or_none_is_found() -> None:
    orders = Orders()
    orders.answered(orders.add(Order(target=1)), "10")
    orders.add(Order(target=2))
    assert orders.judge({"10": (1, False)}) == (0, 0)
    assert orders.judge({"10": (1, False), "11": (2, False)}) == (0, 0)
    assert orders.judge({"10": (1, False), "11": (2, False), "12": (2, True)}) == (0, 1)
    assert orders.judge({"10": (1, False), "11": (1, True)}) == (0, 1)
    assert orders.judge({"10": (1, True)}) == (1, 0)
    assert orders.judge({}) == (1, 0)
    orders.answered(orders.given[0], "13")
    assert orders.contradicted == 1


def test_any_single_fault_makes_the_verdict_unsound() -> None:
    assert PeopleVerdict(keys=1, certain=1).sound
    assert not PeopleVerdict(keys=1).sound
    for name in ("lost", "subscribed_twice", "dead_events", "untold", "revisions_backwards", "undelivered_events"):
        assert not PeopleVerdict(keys=1, certain=1, **{name: 1}).sound


def test_people_do_everything_there_is_to_do() -> None:
    chance = random.Random(1)
    done = [deed(chance, 0) for _ in range(500)]
    kinds = {(one.method, one.path.split("/")[1]) for one in done}
    assert kinds >= {
        (method, noun) for method in ("PUT", "DELETE") for noun in ("favorites", "collections", "ratings", "progress")
    }
    assert ("POST", "sync") in kinds
    assert all(1 <= release <= KEPT for one in done for (_, release), _ in one.changes)
