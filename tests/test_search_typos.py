"""Words that may have been meant are found by what is left of them, and told by their distance."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server.rules.search_typos import allowed, distance, probes, suspected, variants, within

SHORT_ALPHABET = st.text("abcd", min_size=0, max_size=10)


@pytest.mark.parametrize(
    ("word", "errors"),
    [
        ("abc", 0), ("abcd", 1), ("титан", 1), ("abcdefg", 1), ("abcdefgh", 2), ("академия", 2),
        ("12345678", 0), ("進撃の巨人", 0), ("", 0),
    ],
)  # fmt: skip
def test_one_error_from_four_letters_two_from_eight_none_in_numbers_and_han(word, errors):
    assert allowed(word) == errors


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("titan", "titan", 0), ("titan", "tian", 1), ("titan", "tittan", 1), ("titan", "tiktn", 2),
        ("titan", "ittan", 1), ("наруто", "нартуо", 1), ("kitten", "sitting", 3),
        ("", "ab", 2), ("ab", "", 2), ("ca", "abc", 3),
    ],
)  # fmt: skip
def test_the_distance_counts_letters_added_left_out_replaced_and_swapped(one, other, edits):
    assert distance(one, other, 5) == edits


def plainly(a, b):
    """Optimal string alignment, without any short cut."""
    table = [[row + column for column in range(len(b) + 1)] for row in range(len(a) + 1)]
    for row in range(1, len(a) + 1):
        for column in range(1, len(b) + 1):
            same = a[row - 1] == b[column - 1]
            table[row][column] = min(
                table[row - 1][column] + 1, table[row][column - 1] + 1, table[row - 1][column - 1] + (not same)
            )
            if row > 1 and column > 1 and a[row - 1] == b[column - 2] and a[row - 2] == b[column - 1]:
                table[row][column] = min(table[row][column], table[row - 2][column - 2] + 1)
    return table[-1][-1]


@given(SHORT_ALPHABET, SHORT_ALPHABET, st.integers(0, 4))
def test_the_distance_is_the_plain_one_and_stops_counting_at_its_bound(a, b, most):
    assert distance(a, b, most) == min(plainly(a, b), most + 1)


def with_errors(rng, word, errors, alphabet):
    for _ in range(errors):
        place = rng.randrange(len(word))
        word = rng.choice(
            [
                word[:place] + word[place + 1 :],
                word[:place] + rng.choice(alphabet) + word[place:],
                word[:place] + rng.choice(alphabet) + word[place + 1 :],
                word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
            ]
        )
    return word


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.sampled_from(["ab", "abcdef", "qwertyuiop", "абвгд"]), st.integers(4, 14))
def test_a_word_with_as_many_errors_as_it_may_have_is_found_by_its_variants(rng, alphabet, length):
    word = "".join(rng.choices(alphabet, k=length))
    typed = with_errors(rng, word, allowed(word), alphabet)
    # A letter between two that were swapped counts as more than two errors.
    assume(plainly(typed, word) <= allowed(word))
    assert distance(typed, word, 2) <= within(typed, word)
    assert variants(word) & probes(typed, suspected(typed))


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.sampled_from(["abcdef", "абвгд"]), st.integers(4, 14))
def test_a_word_with_one_error_is_found_by_few_probes(rng, alphabet, length):
    word = "".join(rng.choices(alphabet, k=length))
    typed = with_errors(rng, word, 1, alphabet)
    assert variants(word) & probes(typed, 1)
    assert len(probes(typed, 1)) <= 8


def test_three_letters_may_be_four_of_which_one_was_left_out():
    for typed, word in (("zro", "zero"), ("unk", "dunk"), ("кас", "квас")):
        assert suspected(typed) == within(typed, word) == 1
        assert variants(word) & probes(typed, suspected(typed))
    assert within("dnk", "dan") == suspected("na") == suspected("123") == 0


def test_numbers_and_short_words_are_their_only_variant():
    assert [len(variants(word)) for word in ("abc", "2024", "進撃")] == [1, 1, 1]
    assert len(probes("abc", suspected("abc"))) == 1


def test_no_word_has_more_variants_than_its_beginning():
    assert len(variants("abcdefghijklmnopqrstuvwxyz")) == 1 + 7 + 21


def test_variants_are_stable_and_fit_a_signed_integer():
    assert variants("abc") == {0x352441C2}
    found = {one for word in ("titanium", "академия", "zzzzzzzzzz") for one in variants(word)}
    assert all(-(2**31) <= one < 2**31 for one in found)
    assert min(found) < 0 < max(found)


def test_words_that_differ_in_more_hardly_ever_share_a_variant():
    rng = random.Random(3)
    words = {"".join(rng.choices(string.ascii_lowercase, k=8)) for _ in range(300)}
    first, *others = sorted(words)
    assert sum(bool(variants(first) & probes(other, suspected(other))) for other in others) < 5
