"""English words are found that a Russian wrote by ear."""

from __future__ import annotations

import pytest

from server.rules.search_english import LONGEST, MOST, english_spellings
from server.rules.search_sounds import skeleton, skeletons


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("дес ноут", "death note"), ("хантер х хантер", "hunter x hunter"), ("фейт зеро", "fate zero"),
        ("стейнс гейт", "steins gate"), ("блэк лагун", "black lagoon"), ("сейлор мун", "sailor moon"),
        ("слэм данк", "slam dunk"), ("лав лайв", "love live"), ("ван пис", "one piece"), ("фэйри тейл", "fairy tail"),
        ("чейнсо мен", "chainsaw man"), ("спай фэмили", "spy family"), ("ноу гейм ноу лайф", "no game no life"),
        ("гоблин слеер", "goblin slayer"), ("энджел битс", "angel beats"), ("драгон болл", "dragon ball"),
        ("вампир найт", "vampire knight"), ("файр форс", "fire force"), ("саммер тайм", "summer time"),
    ],
)  # fmt: skip
def test_a_title_in_russian_letters_sounds_like_the_english_one(heard, written):
    pairs = zip(heard.split(), written.split(), strict=True)
    assert [word for word, english in pairs if skeleton(english) not in skeletons(word)] == []


def test_how_a_word_is_written_counts_first():
    assert all(skeletons(word)[0] == skeleton(word) for word in ("наруто", "хантер", "гейт", "шингеки"))


def test_a_word_begins_with_the_sound_it_begins_with():
    assert skeleton("ova") not in skeletons("вавэ")
    assert skeleton("valley") in skeletons("валли")


def test_few_spellings_are_tried():
    assert 0 < len(english_spellings("ревенджерс")) <= MOST + 1
    assert english_spellings("а" * (LONGEST + 1)) == ()


@pytest.mark.parametrize("word", ["naruto", "進撃", "なると", "2", "", "наruto", "її"])
def test_only_russian_words_are_read_so(word):
    assert english_spellings(word) == ()
