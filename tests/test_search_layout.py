"""What was meant by whoever typed with the other keyboard layout."""

from __future__ import annotations

import random
import string

import pytest

from server.rules.search_layout import other_layout, other_layouts
from server.rules.search_text import key
from tests.relevance import on_other_keys


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("феефсл ешефт", "attack titan"),
        ("fnfrf nbnfyjd", "атака титанов"),
        ("Ghbdtn", "Привет"),
        ("[hjybrb ,fhf.", "хроники бараю"),
        ("`;br", "ёжик"),
        ("{jhbvbz", "Хоримия"),
        ("vj. ;bpym", "мою жизнь"),
        ("2 ctpjy", "2 сезон"),
        ("ыщгд уфеук 2", "soul eater 2"),
        ("'kmabqrf", "эльфийка"),
        ("rke,", "клуб"),
    ],
)
def test_the_same_keys_in_the_other_layout(typed, meant):
    assert other_layout(typed) == meant


@pytest.mark.parametrize("text", ["", "123", "進撃の巨人", "!!! 5", "나 혼자만"])
def test_where_no_letter_would_change_there_is_no_other_reading(text):
    assert other_layout(text) is None
    assert other_layouts(text) == []


def test_there_and_back_again_is_the_same_for_all_letters_and_signs_of_words():
    for typed in (string.ascii_lowercase, string.ascii_uppercase, "a[];',.`b"):
        there = other_layout(typed)
        assert there is not None
        assert other_layout(there) == typed


@pytest.mark.parametrize(
    "name",
    [
        "приключения в другом мире: новая глава", "я, владыка, взял её. и как же мне её любить?",
        "василиск: легенда об оке",
        "чудачества любви не помеха! [тв-1]", "нож, муж, клуб и хлеб", "darwin's game", "fate/stay night [unlimited]",
        "gekijouban steins;gate: deja vu", "dr. stone: new world",
    ],
)  # fmt: skip
def test_punctuation_may_be_typed_as_it_is(name):
    # `on_other_keys` changes letters alone, as most converters do.
    assert key(name) in map(key, other_layouts(on_other_keys(name)))


def test_punctuation_may_be_typed_by_its_keys():
    assert key(other_layout("Rjulf gkfxen wbrfls^ htitybt&")) == key("Когда плачут цикады: решение?")


def test_no_text_has_more_than_three_readings():
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choices(string.ascii_letters + "абвгд ,.;:'[]{}<>?!\"", k=40))
        assert len(other_layouts(text)) <= 3
