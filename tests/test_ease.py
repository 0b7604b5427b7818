"""EASE by blocks and in place gives what the formula gives; what is stored of it is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from server.recommending import ease
from server.recommending.choosing import DEPTHS, USUAL_DEPTH, choose, usual_ridge
from server.recommending.ease import Dual, Primal, invert, solve, weights
from server.recommending.interactions import Collected, Floats, Interactions, strongest
from server.recommending.knn import Audiences
from server.recommending.model import Choice, fit


def some(users: int, items: int, each: int, seed: int = 1) -> Interactions:
    """People who like about so many items each, of two crowds that have little in common."""
    random = np.random.default_rng(seed)
    found = Collected()
    for user in range(users):
        crowd = np.arange(user % 2, items, 2) if random.random() < 0.9 else np.arange(items)
        liked = random.choice(crowd, min(each, len(crowd)), replace=False)
        found.add({1000 + int(item): float(random.choice([0.6, 0.8, 1.2])) for item in liked})
    return found.done()


def dense(data: Interactions, ridge: float) -> Floats:
    """The formula of the paper, in double precision."""
    rows = data.dense(0, data.users).astype(np.float64)
    inverse = np.linalg.inv(rows.T @ rows + ridge * np.eye(len(data.ids)))
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0)
    return found.astype(np.float32)


@pytest.mark.parametrize("size", [1, 7, 256, 300, 700])
def test_a_matrix_is_inverted_in_place(size: int) -> None:
    random = np.random.default_rng(size)
    half = random.normal(size=(size, size)).astype(np.float32)
    matrix = (half @ half.T / size + np.eye(size)).astype(np.float32)
    inverse = matrix.copy()
    invert(inverse)
    assert np.abs(inverse @ matrix - np.eye(size)).max() < 1e-3


@pytest.mark.parametrize("way", [Primal, Dual])
@pytest.mark.parametrize(("users", "items"), [(40, 400), (400, 40)])
def test_both_ways_give_the_weights_of_the_formula(way: type[Primal | Dual], users: int, items: int) -> None:
    data = some(users, items, 12)
    inverse, size = way(data, 20.0), len(data.ids)
    found = np.hstack([weights(inverse, first, min(first + 64, size)) for first in range(0, size, 64)])
    assert np.abs(found - dense(data, 20.0)).max() < 1e-4


def test_the_smaller_square_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(ease, "invert", lambda matrix: taken.append(len(matrix)))
    solve(some(20, 300, 10), 10.0)
    solve(some(300, 30, 10), 10.0)
    assert taken == [20, 30]


def test_of_each_item_the_strongest_speakers_are_stored_by_who_speaks() -> None:
    data = some(200, 60, 10)
    whole = dense(data, 30.0)
    rows = list(fit(data, Choice(30.0, 4)).rows(width=100))
    place = {identity: index for index, identity in enumerate(data.ids)}
    stored = np.zeros_like(whole)
    for item, others, said in rows:
        assert [abs(one) for one in said] == sorted((abs(one) for one in said), reverse=True)
        for other, one in zip(others, said, strict=True):
            stored[place[item], place[other]] = one
    for target in range(len(data.ids)):
        best = np.sort(np.abs(whole[:, target]))[-4:]
        kept = np.flatnonzero(stored[:, target])
        assert np.sort(np.abs(stored[kept, target])) == pytest.approx(best, abs=1e-4)
        assert stored[kept, target] == pytest.approx(whole[kept, target], abs=1e-4)


def test_a_row_is_no_longer_than_what_is_stored_of_it() -> None:
    rows = list(fit(some(200, 60, 10), Choice(30.0, 32)).rows(width=5))
    assert max(len(others) for _, others, _ in rows) == 5


def test_the_choice_is_the_same_every_time_and_one_of_those_there_are() -> None:
    data = some(120, 60, 15)
    choice = choose(data)
    assert choice == choose(data)
    assert choice.depth in DEPTHS
    assert usual_ridge(120) / 8 <= choice.ridge <= usual_ridge(120) * 8


def test_too_few_people_choose_nothing() -> None:
    assert choose(some(10, 60, 15)) == Choice(usual_ridge(10), USUAL_DEPTH)


@pytest.mark.parametrize("data", [some(0, 5, 1), some(1, 1, 1), some(3, 2, 2)])
def test_hardly_any_data_is_no_trouble(data: Interactions) -> None:
    assert len(list(fit(data, choose(data)).rows(64))) <= len(data.ids)


def test_the_commonest_items_stay_and_everybody_keeps_their_place() -> None:
    found = Collected()
    for liked in ({1: 1.0, 2: 0.5}, {2: 1.0, 3: 1.0}, {3: 1.0}, {2: 0.8, 4: 1.0}):
        found.add(liked)
    data = found.done().commonest(2, least=2)
    assert data.ids == [2, 3]
    assert [(items.tolist(), said.tolist()) for items, said in data.rows()] == [
        ([0], [0.5]), ([0, 1], [1, 1]), ([1], [1]), ([0], [pytest.approx(0.8)]),
    ]  # fmt: skip
    assert data.commonest(10, least=9).users == 4


def test_equally_strong_ones_come_in_their_order() -> None:
    assert strongest(np.array([1, 3, 2, 3, 3]), 4).tolist() == [1, 3, 4, 2]
    assert strongest(np.array([1, 2]), 10).tolist() == [1, 0]


def test_audiences_that_are_shared_make_items_alike() -> None:
    found = Collected()
    for liked in ({1: 1.0, 2: 1.0}, {1: 1.0, 2: 1.0}, {1: 1.0, 3: 1.0}, {3: 1.0, 4: 1.0}, {1: 0.5, 4: 1.0}):
        found.add(liked)
    data = found.done()
    counts, likeness = Audiences(data, shrinkage=0).beside(data.ids.index(1))
    by_id = dict(zip(data.ids, zip(counts.tolist(), likeness.tolist(), strict=True), strict=True))
    # Whoever only began the first does not count as its audience.
    assert by_id == {1: (0, 0), 2: (2, pytest.approx(2 / 6**0.5)), 3: (1, pytest.approx(1 / 6**0.5)), 4: (0, 0)}
    _, shrunk = Audiences(data, shrinkage=2).beside(data.ids.index(1))
    assert shrunk[data.ids.index(2)] == pytest.approx(likeness[data.ids.index(2)] / 2)
    assert Audiences(data).row(data.ids.index(1), 1)[0] == [2]
