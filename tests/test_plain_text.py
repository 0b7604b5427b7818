"""Plain text: what of it is kept, how it is counted, what is refused."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import msgspec
import pytest

from server.errors import Fault, Unprocessable
from server.http.texts import decode_texts
from server.rules import plain_text
from server.rules.holding import INVISIBLE, folded, has_link
from server.rules.plain_text import REFUSED, UNSEEN, characters, composed, examined, plain
from server.rules.words import Rule, Words

ACUTE = "\u0301"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def kept(text: str, least: int = 1, most: int = 1000) -> str:
    return plain(text, "/text", least, most)


def refused(text: str, least: int = 1, most: int = 1000) -> str:
    with pytest.raises(Unprocessable) as raised:
        kept(text, least, most)
    (fault,) = raised.value.faults
    assert fault.pointer == "/text"
    return fault.detail


@pytest.mark.parametrize(
    "text",
    [
        "Hello", "  spaces stay  ", "<script>alert(1)</script>", "a\nb\tc", "Привет, мир", "進撃の巨人は最高",
        "نص عربي", "עברית", "हिन्दी में", "ไทย", "한국어", "Tiếng Việt", "👍🏽", FAMILY, SCOTLAND, "🇯🇵", "1\ufe0f\u20e3",
        "\u2066left to right\u2069 inside", "\u202bعبارة\u202c", "\u2028", "zero\u200bwidth", "\U0010fffd",
        "\ue000", "\ufeffx",
    ],
)  # fmt: skip
def test_text_is_kept_as_it_is(text: str) -> None:
    if text == "\u2028":
        assert refused(text) == "Has nothing to read in it."
    else:
        assert kept(text) == text


def test_text_is_composed_and_its_line_breaks_are_of_one_kind() -> None:
    assert kept("Cafe" + ACUTE) == "Café"
    assert kept("a\r\nb") == "a\nb"
    assert kept("\u1100\u1161") == "가"


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "\x07", "a\rb", "\x1b[31m", "\x7f", "a\x85b", "\ud800", "a\udfffb", "\ufdd0", "a\uffff", "\U0010fffe",
     "\u202eevil", "\u202dx\u202c"],
)  # fmt: skip
def test_what_is_no_text_is_refused_by_name(text: str) -> None:
    assert "U+" in refused(text)


@pytest.mark.parametrize(
    "text", ["\u202aopen", "\u2067open", "\u2066a\u202c", "a\u2067\nb\u2069", "\u2068\u202ba\u202c"]
)
def test_a_direction_that_is_not_changed_back_is_refused(text: str) -> None:
    assert "direction" in refused(text)


def test_a_direction_may_be_changed_back_with_others_inside() -> None:
    for text in ("\u2067a\u202ab\u2069c", "\u202aa\u2066b\u2069\u202cc", "\u2069a\u202c"):
        assert kept(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t ",
        "\U0001d159",
        "\U00016fe4",
        "\U00013430\U0001343f",
        "\u200b\u200d",
        "\u3164",
        "\u2800",
        "\ufe0f",
        "\u00ad\u2060",
        "\u3000\u00a0",
    ],
)
def test_what_shows_nothing_is_refused(text: str) -> None:
    assert refused(text) == "Has nothing to read in it."


@pytest.mark.parametrize(
    ("text", "count"),
    [("abc", 3), (FAMILY, 1), (SCOTLAND, 1), ("🇯🇵🇷🇺", 2), ("👍🏽", 1), ("e" + ACUTE * 3, 1), ("नि", 1),
     ("각", 1), ("a\nb", 3)],
)  # fmt: skip
def test_characters_are_counted_as_readers_count(text: str, count: int) -> None:
    assert characters(composed(text)) == count


def test_a_thousand_families_fit_and_one_more_does_not() -> None:
    assert kept(FAMILY * 1000) == FAMILY * 1000
    assert "longer" in refused(FAMILY * 1001)
    assert kept("x" * 1000) == "x" * 1000
    assert "longer" in refused("x" * 1001)
    assert "longer" in refused("ж" * 1001)


def test_piles_of_accents_have_an_end() -> None:
    assert kept("x" + ACUTE * 30)
    for mark in (ACUTE, "\u0344", "\u0f73", "\uff9e", "\u0305", "\U0001d165"):
        assert refused("x" + mark * 31) == "Has more than 30 accents on one letter."
    # Composing stops at what nobody sees; comparing takes it away.
    for unseen in "\u034f\u200b\ufe0f\U000e0041":
        assert "accents" in refused("x" + (ACUTE * 15 + unseen) * 3)
    assert kept(("x" + ACUTE * 30) * 100)


def test_the_least_is_counted_as_readers_count_too() -> None:
    assert "shorter" in refused(FAMILY * 99, 100, 5000)
    assert "shorter" in refused("x" * 99, 100, 5000)
    assert kept(FAMILY * 100, 100, 5000) == FAMILY * 100


def test_faults_are_told_for_whoever_collects_them() -> None:
    assert examined("e" + ACUTE, "/text", 1, 10) == "é"
    found = examined("\x00", "/text", 1, 10)
    assert isinstance(found, Fault)
    assert found.pointer == "/text"


def test_what_composing_makes_shorter_is_judged_by_its_length_then() -> None:
    assert len(kept("\u1100\u1161\u11a8" * 1000)) == 1000
    assert kept("a\r\n" * 500) == "a\n" * 500
    # The most that composing takes together.
    alpha = "\u1f82"
    assert len(unicodedata.normalize("NFD", alpha * 1000)) == 4000
    assert kept(unicodedata.normalize("NFD", alpha * 1000)) == alpha * 1000


def test_counting_whole_flags_at_once_changes_nothing() -> None:
    import regex  # type: ignore[import-untyped]  # noqa: PLC0415 - only here

    chance = random.Random(7)
    signs = "\U0001f1e6\U0001f1ff\U0001f1f7\u200d\u0301x\u0600\U0001f468\ufe0f\u0903\u1100\n"
    for _ in range(5000):
        text = "".join(chance.choices(signs, k=chance.randint(1, 10)))
        assert characters(text) == len(regex.findall(r"\X", text)), ascii(text)


def left_open(text: str) -> bool:
    """The same as UAX #9 says it: what each end closes is looked for from the last one backwards."""
    open_ones: list[str] = []
    for sign in text:
        if sign == "\u202c" and open_ones and open_ones[-1] in "\u202a\u202b":
            open_ones.pop()
        elif sign == "\u2069" and any(one not in "\u202a\u202b" for one in open_ones):
            del open_ones[max(place for place, one in enumerate(open_ones) if one not in "\u202a\u202b") :]
        elif sign in "\u202a\u202b\u2066\u2067\u2068":
            open_ones.append(sign)
    return bool(open_ones)


def test_directions_are_paired_as_the_standard_says() -> None:
    chance = random.Random(11)
    outcomes = {True: 0, False: 0}
    for _ in range(5000):
        text = "x" + "".join(chance.choices("\u202a\u202b\u202c\u202c\u2066\u2068\u2069\u2069", k=chance.randint(1, 9)))
        expected = left_open(text)
        assert isinstance(examined(text, "/text", 1, 1000), Fault) is expected, ascii(text)
        outcomes[expected] += 1
    assert min(outcomes.values()) > 500


class Said(msgspec.Struct):
    text: str
    note: str | None = None


def test_a_text_of_a_body_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def watched(text: str) -> str:
        seen.append(text)
        return composed(text)

    monkeypatch.setattr(plain_text, "composed", watched)
    body = msgspec.json.encode({"text": "e" + ACUTE})
    found = decode_texts(msgspec.json.Decoder(Said), body, {"text": (1, 10), "note": (1, 10)})
    assert (found, seen) == (Said("é"), ["e" + ACUTE])
    with pytest.raises(Unprocessable) as raised:
        decode_texts(msgspec.json.Decoder(Said), b'{"text":"\\u0000","note":1}', {"text": (1, 10), "note": (1, 10)})
    assert {fault.pointer for fault in raised.value.faults} == {"/text", "/note"}


WORDY = "words " * 20
# The largest that a review takes, 50,000 code points or 5,000 characters, each made to take as long as can be.
HOSTILE = {
    "halves of flags": "\U0001f1e6" * 50_000,
    "halves of flags, joined": "\U0001f1e6\u200d" * 25_000,
    "accents in the wrong order": WORDY + "a" + "\u0315\u0300" * 24_000,
    "accents in the wrong order, with fillers between": WORDY + ("\u0315\u0300" * 15 + "\u034f") * 1600,
    "what comes apart into accents in the wrong order": WORDY + "\u0f73" * 49_000,
    "what is compared as accents": WORDY + "\uff9e\u0300" * 24_000,
    "the highest piles": ("x" + "\u0315\u0300" * 4 + "\u0300") * 5000,
    "directions": "\u202a" * 5_000 + "\u2069" * 5_000,
    "more directions": WORDY + "\u202a" * 24_900 + "\u2069" * 24_900,
    "isolates": WORDY + "\u2066" * 24_900 + "\u2069" * 24_900,
    "lines of directions": "\u202a\n" * 2_500,
    "syllables without an end": ("\u1100" * 62 + ".") * 790,
    "families": "\U0001f468\u200d" * 25_000,
    "selectors": ("x" + "\ufe0f" * 9) * 5_000,
    "far too long": "e" + ACUTE * 900_000,
    "long words": "\ufdfa" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_long_however_it_is_made(name: str) -> None:
    words = Words([Rule("spam", "word", "hold")])
    best = 10.0
    for _ in range(2):
        started = time.perf_counter()
        examination = examined(HOSTILE[name], "/text", 100, 5000)
        if isinstance(examination, str):
            has_link(examination)
            words.verdict(examination)
        best = min(best, time.perf_counter() - started)
    # 3 to 50 ms where nothing else runs; the square of their length took up to 16 s.
    assert best < 0.5


def test_ordinary_text_costs_next_to_nothing() -> None:
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(1000):
            kept("It was a good one. " * 50)
        best = min(best, time.perf_counter() - started)
    # 4 µs each.
    assert best < 0.1


def test_ascii_is_judged_as_all_other_text_is() -> None:
    for code in range(128):
        sign = chr(code)
        taken = REFUSED.search(sign) is None and UNSEEN.fullmatch(sign) is None
        assert isinstance(examined(sign, "/text", 1, 10), str) is taken, code


def test_what_comparing_takes_away_piles_nothing_up_again() -> None:
    # Whatever else takes part in sorting accents begins with one when it comes apart.
    for sign in map(chr, (*range(0xD800), *range(0xE000, 0x110000))):
        if unicodedata.combining(unicodedata.normalize("NFKD", sign)[0]) and not INVISIBLE.match(sign):
            assert isinstance(examined("x" + sign * 31, "/text", 1, 1000), Fault), ascii(sign)
    assert folded("x" + ACUTE * 30)[1:] == ACUTE * 30


def test_every_naughty_string_is_kept_or_refused(shared_data: Path) -> None:
    strings: list[str] = json.loads((shared_data / "strings" / "blns.json").read_text("utf-8"))
    outcomes = {"kept": 0, "refused": 0}
    for text in strings:
        try:
            assert kept(text) == unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
            outcomes["kept"] += 1
        except Unprocessable:
            outcomes["refused"] += 1
    assert outcomes["kept"] > 450
    assert outcomes["refused"] >= 5


def test_the_tables_of_clusters_are_not_loaded_for_ordinary_text() -> None:
    code = (
        "import sys; from server.rules.plain_text import plain;"
        "plain('привет', '/text', 1, 1000); assert 'regex' not in sys.modules;"
        "plain('e\\u0301' * 1500 + '\\U0001f468\\u200d', '/text', 1, 2000)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
