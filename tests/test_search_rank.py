"""How well names fit what was typed, and what is shown of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rules.search_rank import LONGEST_TEXT, MOST_HIGHLIGHTS, exactness, highlights
from server.rules.search_text import key, words


def fits(query, *names):
    return exactness(key(query), words(query), [key(name) for name in names])


def test_the_better_a_name_fits_the_more_it_is_worth():
    query = "Attack on Titan"
    names = [
        "Attack on Titan", "AttackOnTitan", "Attack on Titan 2", "Attack on Titan: the Final Season",
        "The Attack on Titan Story", "Titan: on the Attack", "Attack", "Naruto",
    ]  # fmt: skip
    worth = [fits(query, name) for name in names]
    assert worth[0] == 1
    assert all(one > other for one, other in itertools.pairwise(worth)), worth
    assert worth[-1] == 0


def test_the_best_of_all_names_counts():
    assert fits("Naruto", "Наруто", "ナルト", "Naruto") == 1
    assert fits("Naruto") == 0


def test_of_a_part_of_the_query_the_longer_word_counts_more():
    assert fits("naruto and x", "Naruto Gaiden") > fits("naruto and x", "Xenon and X")
    assert fits("枪娘 fre", "枪娘") > fits("枪娘 fre", "free")
    assert fits("one and", "Lone Band") == 0


def test_seasons_said_in_another_way_are_exact():
    assert fits("Kaze S2", "Kaze 2nd Season") == 1


def test_what_is_typed_so_far_is_a_beginning():
    assert 0.7 < fits("attack on ti", "Attack on Titan") < 0.98
    assert fits("進撃", "進撃の巨人") > fits("巨人", "進撃の巨人") > 0


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_exactness_is_from_nothing_to_one(query, names):
    assert 0 <= fits(query, *names) <= 1


@given(st.text(min_size=1, max_size=30))
def test_a_name_fits_itself(name):
    if key(name):
        assert fits(name, "other", name) == 1


def shown(query, **fields):
    return [
        (one.field, [one.text[start : start + length] for start, length in one.ranges])
        for one in highlights(words(query), fields)
    ]


@pytest.mark.parametrize(
    ("query", "text", "hits"),
    [
        ("attack titan", "Attack on Titan", ["Attack", "Titan"]),
        ("tit", "Attack on Titan", ["Tit"]),
        ("tan", "Attack on Titan", []),
        ("елки", "«Ёлки»-2", ["Ёлки"]),
        ("титанов", "Мир, где титаны едят титанов", ["титаны", "титанов"]),
        ("титанов", "титаническими", []),
        ("進撃の", "新 進撃の巨人", ["進撃の"]),
        ("きょじん", "進撃のキョジン", ["キョジン"]),
        ("cafe", "Le Café", ["Café"]),
        ("full", "ＦＵＬＬ metal", ["ＦＵＬＬ"]),
        ("istanbul", "İstanbul", ["İstanbul"]),
        ("", "anything", []),
    ],
)
def test_hits_are_given_in_characters_of_the_text(query, text, hits):
    found = shown(query, title=text)
    assert found == ([("title", hits)] if hits else [])


def test_fields_come_in_their_order_and_at_most_four():
    fields = {f"f{number}": "titan" if number % 2 else "none" for number in range(20)}
    found = highlights(["titan"], fields)
    assert [one.field for one in found] == ["f1", "f3", "f5", "f7"]
    assert len(found) == MOST_HIGHLIGHTS


def test_a_long_text_is_cut_around_its_first_hit():
    text = "слово " * 100 + "Титаны пришли. " + "слово " * 100
    (found,) = highlights(["титаны"], {"synopsis": text})
    assert len(found.text) <= LONGEST_TEXT
    assert found.text.startswith("слово")
    assert [found.text[start : start + length] for start, length in found.ranges] == ["Титаны"]


@given(
    st.lists(st.text("ab ёеé進撃のキ", min_size=1), min_size=1, max_size=4), st.text("ab ёЁéİ進撃のキ.", max_size=400)
)
def test_ranges_lie_inside_the_text_in_order_and_apart(queries, text):
    for one in highlights([word for query in queries for word in words(query)], {"synopsis": text}):
        assert one.ranges
        assert len(one.text) <= LONGEST_TEXT
        ends = [0, *(start + length for start, length in one.ranges)]
        assert all(end <= start for end, (start, _) in zip(ends, one.ranges, strict=False))
        assert all(length > 0 for _, length in one.ranges)
        assert ends[-1] <= len(one.text)
