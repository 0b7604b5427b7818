"""What people add to a title is told from the title."""

from __future__ import annotations

import pytest

from server.rules.search_noise import without_noise


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("наруто смотреть онлайн", "наруто"), ("watch frieren online free", "frieren"), ("bleach episode 1", "bleach"),
        ("блич 12 серия", "блич"), ("магическая битва 2 все серии", "магическая битва 2"), ("86 anime", "86"),
    ],
)  # fmt: skip
def test_what_is_no_part_of_a_title_goes(query, title):
    assert without_noise(query.split()) == tuple(title.split())


@pytest.mark.parametrize("query", ["наруто", "anime online", "", "mob psycho 100"])
def test_where_nothing_is_added_or_nothing_else_is_said_nothing_is_left(query):
    assert without_noise(query.split()) == ()
