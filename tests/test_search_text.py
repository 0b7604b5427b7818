"""Titles and queries made comparable: folded, cut into words, with seasons and parts in one form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rules.search_text import LONGEST_FOLDED, MOST_WORDS, bigrams, fold, fold_long, key, tokens, words

STRINGS = Path(__file__).parents[2] / "shared/data/strings/blns.json"
RELEASES = Path(__file__).parents[2] / "shared/data/anilibria/releases.json.gz"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Ёлки-палки: «ещё»!", "елки палки еще"),
        ("Ōoku — Café Müller", "ooku cafe muller"),
        ("ＦＵＬＬ　ｗｉｄｔｈ ﾊﾟﾌﾟ", "full width ぱぷ"),
        ("進撃のキョジン・ガール", "進撃のきょじん がーる"),
        ("Heaven's Feel, Dragon’s Blood", "heavens feel dragons blood"),
        ("Мой сын Иён", "мой сын иен"),
        ("Spy×Family & Co", "spy x family and co"),
        ("The iDOLM@STER @ home", "the idolmaster home"),
        ("Łódź straße Ærø", "lodz strasse aero"),
        ("Ⅲ ② ４", "iii 2 4"),
        ("シ\u3099ンガ", "じんが"),
        ("a\x00b\ud800c\u200bd", "a b cd"),
        ("हिन्दी ไทย", "हिन्दी ไทย"),
        ("★☆!!", ""),
    ],
)
def test_case_width_accents_punctuation_and_kinds_of_kana_do_not_count(text, folded):
    assert fold(text) == folded


def test_the_short_letter_of_russian_is_no_marked_one():
    assert fold("Йод и\u0306од") == "йод йод"
    assert fold("йога") != fold("иога")


def test_letters_that_only_look_like_those_around_them_are_seen_through():
    assert fold("ОNA") == fold("ONA")
    assert fold("Cтеклянный") == fold("Стеклянный")


@pytest.mark.parametrize("text", ["Вот «ёж» — и 2 ежа…", "It’s (all) kinds_of signs", "Ёлки & палки", "日本の 'x'"])
def test_long_texts_are_folded_like_short_ones(text):
    assert fold_long(text) == fold(text)


@given(st.text(max_size=700))
def test_folding_never_fails_and_leaves_single_spaces(text):
    folded = fold(text)
    assert folded == " ".join(folded.split())
    assert len(folded) <= LONGEST_FOLDED
    assert "\x00" not in folded
    folded.encode()


def test_what_grows_when_it_is_composed_stays_bounded():
    assert len(fold("\ufdfa" * 10_000)) <= LONGEST_FOLDED
    assert len(fold_long("\ufdfa" * 10_000)) <= 20 * LONGEST_FOLDED
    assert len(tokens("a " * 5_000)) == MOST_WORDS


@pytest.mark.parametrize(
    "season",
    [
        "Kaze 2nd Season", "Kaze Season 2", "Kaze S2", "Kaze: Season II", "KAZE II", "Kaze Second Season", "Kaze 2",
        "Kaze Ⅱ", "Kaze TV-2", "Kaze [TV-2]", "Kaze 2 сезон", "Kaze 2-й сезон", "Kaze: второй сезон", "Kaze. Сезон 2",
        "Kaze ТВ-2", "Kaze ТВ2", "Kaze 第2期", "Kaze 第二季", "Kaze 第2シリーズ", "Kaze 2期", "Kaze セカンドシーズン",
        "Kaze 시즌 2", "Kaze 2기", "Kaze S02", "Kaze 2nd seas", "Kaze Season Two", "Kaze сезон два",
        "Kaze 2nd Saeson", "Kaze Seson 2", "Kaze Sseason 2", "Kaze Seasom2", "Kaze 2 сизон", "Kaze сезонн 2",
    ],
)  # fmt: skip
def test_all_ways_to_say_the_second_season_are_one(season):
    assert key(season) == "kaze 2"


@pytest.mark.parametrize("season", ["Kaze Season 1", "Kaze TV-1", "Kaze: первый сезон", "Kaze 第1期", "Kaze 第一季"])
def test_the_first_season_is_what_the_title_means_anyway(season):
    assert key(season) == "kaze"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Kengan Season 2 Part 2", "kengan 2 part 2"),
        ("Кэнган 2. Часть 2", "кэнган 2 part 2"),
        ("Vanitas 2nd Cour", "vanitas part 2"),
        ("Vanitas 第2クール", "vanitas part 2"),
        ("Alicization - Часть II", "alicization part 2"),
        ("Overlord IV. Part 1", "overlord 4 part 1"),
    ],
)
def test_a_part_is_told_from_a_season(title, expected):
    assert key(title) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("I'll / CKBC", "ill ckbc"),
        ("II", "ii"),
        ("V put' v les", "v put v les"),
        ("Danmachi V", "danmachi 5"),
        ("Hunter x Hunter", "hunter x hunter"),
        ("四季", "四季"),
        ("Season 1", "season 1"),
        ("Final Season", "final season"),
        ("24-й округ", "24 округ"),
        ("20th Century Boys", "20 century boys"),
        ("Lv999", "lv 999"),
        ("7 Seeds 2nd Season", "7 seeds 2"),
        ("One Reason 2", "one reason 2"),
        ("4 Seasons", "4 seasons"),
        ("Two Parts", "two parts"),
        ("One Piece", "one piece"),
        ("Mob Psycho 100 III", "mob psycho 100 3"),
    ],
)
def test_what_only_looks_like_a_season_stays(title, expected):
    assert key(title) == expected


def test_any_two_neighbours_of_a_run_of_han_and_kana_are_a_word():
    assert words("進撃の巨人 2") == ["進撃", "撃の", "の巨", "巨人", "2"]
    assert words("猫 Cat") == ["猫", "cat"]
    assert bigrams("ab") == ["ab"]


def test_the_key_keeps_runs_of_han_and_kana_whole():
    assert key("進撃の巨人 第2期") == "進撃の巨人 2"
    assert key("Re:ゼロから") == "re ぜろから"


def test_korean_has_spaces_and_is_cut_at_them():
    assert words("나 혼자만 레벨업") == ["나", "혼자만", "레벨업"]


@given(st.text(max_size=200))
def test_a_key_is_its_words_and_has_nothing_to_fold_any_more(text):
    found = key(text)
    assert found == " ".join(tokens(text))
    assert fold(found) == found


def test_strings_that_break_programs_break_nothing_here():
    if not STRINGS.is_file():
        pytest.skip(f"{STRINGS} is not there")
    for text in json.loads(STRINGS.read_text()):
        words(text)


def test_every_title_of_a_real_catalogue_has_words():
    if not RELEASES.is_file():
        pytest.skip(f"{RELEASES} is not there")
    with gzip.open(RELEASES) as stream:
        titles = [one[name] for one in json.load(stream) for name in ("title", "originalName") if one[name]]
    assert len(titles) > 3_000
    assert [title for title in titles if not key(title)] == []
