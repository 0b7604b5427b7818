"""Plain text that people write: composed (NFC), counted as readers count, refused where it would deceive or hide.

Nothing else is done to it. It is no markup: `<b>` comes back as `<b>`, and whoever shows it escapes it.
"""

from __future__ import annotations

import re
import unicodedata

from server.errors import Fault, Unprocessable

# Code points a character may be made of on average; piles of accents have an end there.
MOST_PER_CHARACTER = 10
# Control characters but for line breaks and tabs, halves of surrogate pairs, noncharacters, overrides of direction.
REFUSED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}-{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
# Where a stretch of another direction begins and ends (UAX #9): embeddings, isolates.
DIRECTED = re.compile("[\u202a-\u202c\u2066-\u2069]")
EMBEDDINGS, POP_EMBEDDING = "\u202a\u202b", "\u202c"
POP_ISOLATE = "\u2069"
# Takes up room or none, and shows nothing: white space, formats, fillers, selectors of variants.
UNSEEN = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def composed(text: str) -> str:
    """The text as it is kept: in NFC, with line breaks of one kind."""
    text = text.replace("\r\n", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def characters(text: str) -> int:
    """How many characters a reader counts (extended grapheme clusters, UAX #29): a family of emoji is one."""
    if text.isascii():
        return len(text)
    # Its tables are large, and most texts are told by their code points alone.
    import regex  # type: ignore[import-untyped]  # noqa: PLC0415

    return sum(1 for _ in regex.finditer(r"\X", text))


def problem(text: str, least: int, most: int) -> str | None:
    """What keeps a composed text from being kept, for a reader; None if nothing does."""
    if (found := REFUSED.search(text)) is not None:
        return f"Holds the character U+{ord(found[0]):04X}, which is not taken."
    if DIRECTED.search(text) is not None and any(map(_left_open, text.splitlines())):
        return "Changes the direction of writing and does not change it back."
    if UNSEEN.fullmatch(text) is not None or not text:
        return "Has nothing to read in it."
    return _unfit_length(text, least, most)


def _unfit_length(text: str, least: int, most: int) -> str | None:
    signs = len(text)
    if signs > most * MOST_PER_CHARACTER:
        return f"Is longer than {most} characters."
    # There are never more characters than code points.
    if signs < least or (least > 1 and characters(text) < least):
        return f"Is shorter than {least} characters."
    if signs > most and characters(text) > most:
        return f"Is longer than {most} characters."
    return None


def problems(text: str, pointer: str, least: int, most: int) -> list[Fault]:
    """As `problem`, said of the field that `pointer` names."""
    wrong = problem(composed(text), least, most)
    return [] if wrong is None else [Fault(pointer, wrong)]


def plain(text: str, pointer: str, least: int, most: int) -> str:
    """The text as it is kept; Unprocessable if it is not to be. `least` and `most` are characters as readers count."""
    kept = composed(text)
    wrong = problem(kept, least, most)
    if wrong is not None:
        raise Unprocessable("Some values do not fit.", faults=[Fault(pointer, wrong)])
    return kept


def _left_open(line: str) -> bool:
    """Whether a stretch of another direction begins in this line and does not end in it."""
    open_ones: list[str] = []
    for sign in DIRECTED.findall(line):
        if sign == POP_EMBEDDING:
            if open_ones and open_ones[-1] in EMBEDDINGS:
                open_ones.pop()
        elif sign == POP_ISOLATE:
            # It ends the embeddings inside, too.
            if (place := _last_isolate(open_ones)) is not None:
                del open_ones[place:]
        else:
            open_ones.append(sign)
    return bool(open_ones)


def _last_isolate(open_ones: list[str]) -> int | None:
    return next((place for place in reversed(range(len(open_ones))) if open_ones[place] not in EMBEDDINGS), None)
