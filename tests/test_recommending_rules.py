"""What somebody may like: how much what they keep says, what it adds up to, and which of it is shown."""

from __future__ import annotations

import pytest

from server.rules import library
from server.rules.recommending import (
    MOST_HISTORY,
    MOST_OF_GENRE,
    NEIGHBOUR_VOICE,
    PAGE,
    Facts,
    Kept,
    alike,
    causes,
    chosen,
    history_of,
    ranked,
    rarity,
    row_of,
    score,
    weight_of,
)

COMPLETED, DROPPED, WATCHING, PLANNED = (
    library.COLLECTIONS[name] for name in ("completed", "dropped", "watching", "planned")
)


def test_the_better_it_was_liked_the_more_it_says() -> None:
    said = [
        weight_of(Kept(favorite=True)), weight_of(Kept(rating=8)), weight_of(Kept(collection=COMPLETED)),
        weight_of(Kept(rating=6, collection=COMPLETED)), weight_of(Kept(started=True)), weight_of(Kept(rating=2)),
    ]  # fmt: skip
    assert said == sorted(said, reverse=True)
    assert (max(said), min(said)) == (1.2, 0)


@pytest.mark.parametrize("kept", [Kept(), Kept(collection=PLANNED), Kept(rating=10, favorite=True, collection=DROPPED)])
def test_what_was_not_watched_or_was_dropped_says_nothing(kept: Kept) -> None:
    assert weight_of(kept) == 0


def test_somebody_who_keeps_everything_is_judged_by_what_they_like_best_and_latest() -> None:
    kept = [(item, Kept(rating=10 if item % 2 else 8)) for item in range(2 * MOST_HISTORY)]
    assert list(history_of(kept)) == list(range(1, 2 * MOST_HISTORY, 2))
    same = [(item, Kept(rating=8)) for item in range(2 * MOST_HISTORY)]
    assert list(history_of(same)) == list(range(MOST_HISTORY))


def test_what_a_history_adds_up_to_can_be_told_apart_again() -> None:
    history = {1: 1.0, 2: 0.5, 3: 1.0, 4: 1.0}
    rows = {1: ([10, 11], [0.2, -0.1]), 2: ([10, 12], [0.8, 0.3]), 3: ([11], [0.4])}
    found = score(history, rows)
    assert found == {10: pytest.approx(0.6), 11: pytest.approx(0.3), 12: pytest.approx(0.15)}
    assert causes(10, history, rows) == [2, 1]
    assert causes(11, history, rows) == [3]
    assert causes(99, history, rows) == []


def test_the_best_come_first_without_what_was_seen() -> None:
    assert ranked({1: 0.5, 2: 0.9, 3: 0.5, 4: 0.1}, {2}, 2) == [1, 3]


def test_neighbours_speak_quietly_where_the_model_is_silent() -> None:
    model, near = ([5], [0.3]), ([6], [1.0])
    assert row_of(model, near) == model
    assert row_of(None, near) == ([6], [NEIGHBOUR_VOICE])
    assert row_of(None, None) is None


def test_rare_words_and_common_ground_make_releases_alike() -> None:
    assert rarity(1, 1000) > rarity(500, 1000) > 0
    assert alike(2, 2, 2, franchise=True, audience=1) == pytest.approx(1)
    assert alike(0, 0, 0, franchise=False) == 0
    assert alike(1, 2, 2, franchise=True) > alike(1, 2, 2, franchise=False) > alike(1, 2, 3, franchise=False)
    assert alike(1, 2, 2, franchise=False, audience=0.5) > alike(1, 2, 2, franchise=False)


def test_of_a_franchise_the_next_part_is_shown_once() -> None:
    facts = {part: Facts(7, part) for part in range(5)}
    assert chosen([3, 2, 1, 0], facts, {}, (), 10) == [0]
    assert chosen([3, 2, 1, 0], facts, {7: 1}, (), 10) == [2]
    assert chosen([4, 3, 2, 1], facts, {7: 1}, {7}, 10) == []


def test_no_genre_fills_a_page() -> None:
    facts = {item: Facts(genre_ids=(2 + item, 1)) for item in range(20)}
    found = chosen(range(40), facts, {}, (), PAGE)
    assert found == [*range(MOST_OF_GENRE), *range(20, 20 + PAGE - MOST_OF_GENRE)]
