"""What of a release is searched, and in which language its synopsis is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rules.search_document import (
    LONGEST_LEXEME,
    MOST_KEYS,
    MOST_LEXEMES,
    Document,
    Source,
    build,
    name_lexeme,
    sound_lexemes,
)  # fmt: skip
from server.rules.search_language import config_of
from server.rules.search_sounds import skeleton, sound_keys
from server.rules.search_text import bigrams, key, tokens, words

TITAN = Source(
    title="Атака титанов 2",
    titles={"ru": "Атака титанов 2", "ja": "進撃の巨人 第2期", "romaji": "Shingeki no Kyojin Season 2"},
    synonyms=["Attack on Titan", "attack on titan!"],
    genres=["Экшен", "Драма"],
    tags=["Титаны"],
    franchise="Атака титанов",
    synopsis="Люди живут за стеной. В мире — титаны, «ёлки» и co-op.",
)


@pytest.fixture(scope="module")
def titan() -> Document:
    return build(TITAN)


def test_every_word_of_every_name_is_there_once(titan):
    expected = {word for name in (TITAN.title, *TITAN.titles.values(), *TITAN.synonyms) for word in words(name)}
    assert expected <= set(titan.names)
    assert len(set(titan.names)) == len(titan.names)


def test_names_are_kept_as_compared_each_once(titan):
    assert titan.keys == ["атака титанов 2", "進撃の巨人 2", "shingeki no kyojin 2", "attack on titan"]


def test_how_each_word_sounds_is_there(titan):
    assert {"~" + skeleton(word) for word in ("атака", "shingeki", "kyojin", "titan")} <= set(titan.names)


@pytest.mark.parametrize("name", ["Shingeki no Kyojin S2", "ShingekiNoKyojin2", "進撃の巨人2", "ATTACK ON TITAN"])
def test_a_whole_name_is_found_with_and_without_spaces(titan, name):
    assert name_lexeme(key(name)) in titan.names


@pytest.mark.parametrize("name", ["Shingeki no", "attack titan", "атака"])
def test_a_part_of_a_name_is_no_whole_name(titan, name):
    assert name_lexeme(key(name)) not in titan.names


@pytest.mark.parametrize("name", ["сингэки но кёдзин 2", "しんげきのきょじん2", "Ataka Titanov 2"])
def test_a_whole_name_is_found_by_its_sound(titan, name):
    assert set(sound_lexemes(sound_keys(tokens(name)))) & set(titan.names)


def test_what_has_no_words_has_no_sound():
    assert sound_lexemes(sound_keys(tokens("!"))) == []


@pytest.mark.parametrize("name", ["ソード・アート・オンライン", "ソード アート オンライン", "ソードアートオンライン"])
@pytest.mark.parametrize("typed", ["ソードアート", "アート", "ドア", "オンライン", "ソード・アート"])
def test_japanese_is_found_by_any_two_neighbours_with_and_without_spaces(name, typed):
    assert set(words(typed)) <= set(build(Source(name)).names)


def test_any_one_sign_of_a_run_begins_some_word():
    names = build(Source("黒猫 進撃")).names
    assert all(any(name.startswith(sign) for name in names) for sign in "黒猫進撃")


def test_a_v_in_the_middle_may_be_a_five():
    names = build(Source("Danmachi V: Houjou no Megami")).names
    assert {"v", "5"} <= set(names)


def test_topics_are_the_words_of_genres_tags_and_franchise(titan):
    assert titan.topics == ["экшен", "драма", "титаны", "атака", "титанов"]


def test_the_synopsis_is_folded(titan):
    assert titan.synopsis == "люди живут за стеной в мире титаны елки и co op"
    assert titan.synopsis_config == "russian"


def test_a_synopsis_without_spaces_is_cut_into_neighbours():
    document = build(Source("x", synopsis="巨人が人を食う。Titan!"))
    assert document.synopsis.split() == [*bigrams("巨人が人を食う"), "titan"]
    assert document.synopsis_config == "simple"


def test_words_for_corrections_are_words_of_names_of_letters_alone(titan):
    assert titan.vocabulary == {"атака", "титанов", "shingeki", "kyojin", "attack", "titan"}


def test_no_document_is_too_large():
    many = [f"{word} {number} {'x' * 300} 進撃{number}" for number in range(400) for word in ("alpha", "бета")]
    tags = [f"tag{number}" for number in range(400)]
    document = build(Source("Name", synonyms=many, tags=tags, synopsis="é " * 50_000))
    assert len(document.keys) == MOST_KEYS
    assert len(document.names) + len(document.topics) <= MOST_LEXEMES
    assert max(map(len, document.names)) <= LONGEST_LEXEME
    assert "name" in document.names
    assert len(document.synopsis) <= 20_000


@given(st.text(max_size=80), st.lists(st.text(max_size=40), max_size=4), st.text(max_size=300))
def test_whatever_a_release_is_called_its_document_can_be_stored(title, synonyms, synopsis):
    document = build(Source(title, {"ja": title[::-1]}, synonyms, synonyms, synonyms, title, synopsis))
    for lexeme in (*document.names, *document.topics, *document.keys, *document.vocabulary, document.synopsis):
        assert "\x00" not in lexeme
        lexeme.encode()
    assert all(document.names)
    assert all(len(lexeme.split()) == 1 for lexeme in (*document.names, *document.topics))


def test_a_document_is_always_built_the_same():
    assert build(TITAN) == build(TITAN)


def test_hostile_texts_take_no_time():
    began = time.process_time()
    for text in ("a" + "\u0301\u0323" * 50_000, "\ufdfa" * 10_000, "第1期" * 10_000, "1 " * 50_000, "season " * 10_000):
        build(Source(text, synonyms=[text[start:] for start in range(40)], synopsis=text))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("Мальчик узнаёт, что его сестра — волшебница Sword.", "russian"),
        ("The boy and his sword fight against the kingdom.", "english"),
        ("Der Junge und das Schwert kämpfen nicht mit dem König.", "german"),
        ("Le garçon et les dieux dans une ville qui est morte.", "french"),
        ("El niño y los dioses en una ciudad que no es como las otras.", "spanish"),
        ("Il ragazzo che non sono nella città della morte più di una.", "italian"),
        ("O menino não é um deus em uma cidade dos mortos.", "portuguese"),
        ("Хлопець дізнається, що його сестра є чарівницею.", "simple"),
        ("少年は剣を持つ。The end of it.", "simple"),
        ("소년은 검을 든다", "simple"),
        ("Qwerty zxcvb", "simple"),
        ("", "simple"),
    ],
)
def test_the_language_of_a_synopsis_is_told_by_script_and_common_words(text, config):
    assert config_of(text) == config
