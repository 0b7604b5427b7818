"""The queries that relevance is measured with are what they say they are."""

from __future__ import annotations

import random
from collections import Counter

from server.rules.search_text import key
from server.rules.search_typos import distance
from tests.relevance import KINDS, Named, cases, in_other_script, spelled

CATALOGUE = [
    Named(1, ["Атака титанов", "Shingeki no Kyojin", "進撃の巨人", "Attack on Titan"]),
    Named(2, ["Атака титанов 2", "Shingeki no Kyojin Season 2", "attack on  titan"]),
    Named(3, ["Кадзэ", "Kaze", "かぜ", ""]),
]


def test_the_same_seed_gives_the_same_queries_and_another_one_others():
    assert cases(CATALOGUE, 20, 5) == cases(CATALOGUE, 20, 5)
    assert cases(CATALOGUE, 20, 5) != cases(CATALOGUE, 20, 6)


def test_there_are_as_many_of_each_kind_as_were_asked_for():
    assert Counter(case.kind for case in cases(CATALOGUE, 2)) == dict.fromkeys(KINDS, 2)


def test_all_releases_of_a_name_are_right():
    found = {case.query: case.right for case in cases(CATALOGUE, 20) if case.kind == "exact"}
    assert found["attack on titan"] == {1, 2}
    assert found["進撃の巨人"] == {1}
    assert "" not in found


def test_a_typo_is_one_edit_away():
    rng = random.Random(1)
    typos = [spelled("typo", "shingeki no kyojin", rng) for _ in range(200)]
    assert all(one is not None and distance(one, "shingeki no kyojin", 3) <= 1 for one in typos)
    assert len(set(typos)) > 100
    assert spelled("typo", "進撃の巨人 x", rng) is None


def test_other_keys_and_other_scripts_are_not_the_name():
    for case in cases(CATALOGUE, 20):
        if case.kind in ("layout", "transliterated"):
            assert key(case.query) != key(case.name)
    assert in_other_script("attack on titan", random.Random(1)) is None
    spellings = {in_other_script("shingeki no kyojin", random.Random(seed)) for seed in range(40)}
    assert spellings == {"сингэки но кёдзин", "шингеки но кёджин", "しんげきのきょじん"}
