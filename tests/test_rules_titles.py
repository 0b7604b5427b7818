"""Titles as keys, as places in a list, as plain text and as addresses."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rules.slugs import RESERVED, SLUG_MAX, slug_of, slugify
from server.rules.titles import clean_line, clean_text, name_key, sort_title


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("The Wind", "wind"),
        ("A Lone Cat", "lone cat"),
        ("An  Hour", "hour"),
        ("Theatre", "theatre"),
        ("A", "a"),
        ("«Ветер»: часть 2", "ветер часть 2"),
        ("ＦＵＬＬ width", "full width"),
        ("!!!", "!!!"),
    ],
)
def test_a_title_is_sorted_without_case_article_and_punctuation(title, key):
    assert sort_title(title) == key


def test_names_that_differ_in_case_width_and_spacing_are_the_same():
    assert name_key(" Ｓci-Fi ") == name_key("sci-fi")
    assert name_key("Slice  of\tLife") == name_key("SLICE OF LIFE")
    assert name_key("Сёнен") != name_key("Сенен")


@given(st.text())
def test_a_name_key_is_its_own_key_and_stays_short(name):
    key = name_key(name)
    assert name_key(key) == key
    assert len(key) <= 300


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ('<font color="green"><b>bold</b></font> <a href=x>link</a>', "bold link"),
        ("a<br>b<BR/>c</br>d", "a\nb\nc\nd"),
        ("I&#039;m &amp; you &amp;amp; me", "I'm & you & me"),
        ("&lt;b&gt;hidden&lt;/b&gt;", "hidden"),
        ("1 < 2 and 3 > 2, <3", "1 < 2 and 3 > 2, <3"),
        ("nul\x00 bell\x07", "nul bell"),
        ("e\u0301", "é"),
        ("a \n\n\n\n b", "a\n\n b"),
    ],
)
def test_texts_lose_their_markup_and_keep_their_meaning(text, plain):
    assert clean_text(text) == plain


def test_a_line_has_no_line_breaks():
    assert clean_line("a\r\n b<br>c") == "a b c"


@given(st.text())
def test_clean_text_is_normal_and_free_of_controls(text):
    found = clean_text(text)
    assert unicodedata.is_normalized("NFC", found)
    assert not any(
        unicodedata.category(sign) == "Cc" for sign in found if sign not in "\n\t\x80\x85" and ord(sign) < 128
    )


@pytest.mark.parametrize(
    ("texts", "slug"),
    [
        (("Shingeki no Kyojin",), "shingeki-no-kyojin"),
        (("Heaven's Feel",), "heavens-feel"),
        (("Pokémon — ō",), "pokemon-o"),
        (("Блич: ещё",), "blich-eshche"),
        (("Йод",), "yod"),
        (("バツ", "Second"), "second"),
        (("バツ",), "release"),
        (("1984",), "release-1984"),
        (("Latest",), "release-latest"),
        (("",), "release"),
    ],
)
def test_a_slug_says_the_title_in_ascii(texts, slug):
    assert slug_of(*texts) == slug


@given(st.text())
def test_a_slug_is_always_an_address_and_never_an_id(title):
    slug = slug_of(title)
    assert 0 < len(slug) <= SLUG_MAX + len("release-")
    assert slug == slugify(slug)
    assert not slug.isdigit()
    assert slug == "release" or slug not in RESERVED
