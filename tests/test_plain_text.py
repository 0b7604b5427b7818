"""Plain text: what of it is kept, how it is counted, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from server.errors import Unprocessable
from server.rules.plain_text import characters, composed, plain, problems

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
    "text", ["", " ", "\n\t ", "\u200b\u200d", "\u3164", "\u2800", "\ufe0f", "\u00ad\u2060", "\u3000\u00a0"]
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
    assert kept("x" + ACUTE * 9_999)
    assert "longer" in refused("x" + ACUTE * 10_000)


def test_the_least_is_counted_as_readers_count_too() -> None:
    assert "shorter" in refused(FAMILY * 99, 100, 5000)
    assert "shorter" in refused("x" * 99, 100, 5000)
    assert kept(FAMILY * 100, 100, 5000) == FAMILY * 100


def test_faults_are_told_for_whoever_collects_them() -> None:
    assert problems("fine", "/text", 1, 10) == []
    assert [fault.pointer for fault in problems("\x00", "/text", 1, 10)] == ["/text"]


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
