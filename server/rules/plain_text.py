"""Plain text that people write: composed (NFC), counted as readers count, refused where it would deceive or hide.

Nothing else is done to it. It is no markup: `<b>` comes back as `<b>`, and whoever shows it escapes it.
"""

from __future__ import annotations

import re
import unicodedata

from server.errors import Fault, Unprocessable
from server.rules.holding import INVISIBLE

# Code points a character may be made of on average.
MOST_PER_CHARACTER = 10
# No code point of a composed text comes of more than four.
MOST_COMPOSED = 4
# Accents in one pile (the Stream-Safe Text Format, UAX #15). Composing sorts them one by one: the square of a pile's
# height. Languages get along with a handful.
MOST_PILED = 30
PILE = re.compile(rb"[^\0]{%d}" % (MOST_PILED + 1))
# Stand by themselves, and come apart into accents.
BECOME_MARKS = re.compile("[\u0f73\u0f75\u0f81\uff9e\uff9f]")
# Control characters but for line breaks and tabs, halves of surrogate pairs, noncharacters, overrides of direction.
REFUSED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}-{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
REFUSED_ASCII = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
# Where a stretch of another direction begins and ends (UAX #9): embeddings, isolates.
DIRECTED = re.compile("[\u202a-\u202c\u2066-\u2069]")
EMBEDDINGS, POP_EMBEDDING = "\u202a\u202b", "\u202c"
POP_ISOLATE = "\u2069"
# Takes up room or none, and shows nothing: white space, formats, fillers, selectors of variants.
UNSEEN = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U00013430-\U0001343f\U00016fe4\U0001bca0-\U0001bca3\U0001d159"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Half of a flag and the other half. To tell whole ones, counting looks back to the first of a row: the row's square.
PAIR = re.compile("[\U0001f1e6-\U0001f1ff]{2}")


def composed(text: str) -> str:
    """The text as it is kept: in NFC, with line breaks of one kind. Not for what has piles of accents."""
    text = text.replace("\r\n", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def characters(text: str) -> int:
    """How many characters a reader counts (extended grapheme clusters, UAX #29): a family of emoji is one."""
    if text.isascii():
        return len(text)
    # Its tables are large, and most texts are told by their code points alone.
    import regex  # type: ignore[import-untyped]  # noqa: PLC0415

    return sum(1 for _ in regex.finditer(r"\X", PAIR.sub("x", text)))


def examined(text: str, pointer: str, least: int, most: int) -> str | Fault:
    """The text as it is kept or, if it is not to be, what is wrong, said of the field that `pointer` names.

    `least` and `most` are characters as readers count. What is cheap to see comes first: nothing here may take longer
    than its time because a text is made for that.
    """
    if len(text) > most * MOST_PER_CHARACTER * MOST_COMPOSED:
        return Fault(pointer, f"Is longer than {most} characters.")
    if not text.isascii() and _piled(text):
        return Fault(pointer, f"Has more than {MOST_PILED} accents on one letter.")
    kept = composed(text)
    wrong = _problem(kept, least, most)
    return kept if wrong is None else Fault(pointer, wrong)


def plain(text: str, pointer: str, least: int, most: int) -> str:
    """As `examined`; Unprocessable if the text is not to be kept."""
    found = examined(text, pointer, least, most)
    if isinstance(found, Fault):
        raise Unprocessable("Some values do not fit.", faults=[found])
    return found


def _problem(text: str, least: int, most: int) -> str | None:
    """What keeps a composed text from being kept, for a reader; None if nothing does."""
    ascii_alone = text.isascii()
    if len(text) > most * MOST_PER_CHARACTER:
        return f"Is longer than {most} characters."
    if (found := (REFUSED_ASCII if ascii_alone else REFUSED).search(text)) is not None:
        return f"Holds the character U+{ord(found[0]):04X}, which is not taken."
    if not ascii_alone and DIRECTED.search(text) is not None and any(map(_left_open, text.splitlines())):
        return "Changes the direction of writing and does not change it back."
    if not text or (text.isspace() if ascii_alone else UNSEEN.fullmatch(text) is not None):
        return "Has nothing to read in it."
    return _unfit_length(text, least, most)


def _unfit_length(text: str, least: int, most: int) -> str | None:
    # There are never more characters than code points.
    signs = len(text)
    if signs >= least and (signs > most or least > 1):
        signs = characters(text)
    if signs < least:
        return f"Is shorter than {least} characters."
    return f"Is longer than {most} characters." if signs > most else None


def _piled(text: str) -> bool:
    """Whether accents are piled up too high in it, as it is or, which comparing does, without what nobody sees."""
    classes = _classes(text)
    return any(classes) and (
        PILE.search(classes) is not None or PILE.search(_classes(INVISIBLE.sub("", text))) is not None
    )


def _classes(text: str) -> bytes:
    """A byte for each code point: 0 where no accent stands."""
    return bytes(map(unicodedata.combining, BECOME_MARKS.sub("\u0301", text)))


def _left_open(line: str) -> bool:
    """Whether a stretch of another direction begins in this line and does not end in it."""
    open_ones: list[str] = []
    isolates = 0
    for sign in DIRECTED.findall(line):
        if sign == POP_EMBEDDING:
            if open_ones and open_ones[-1] in EMBEDDINGS:
                open_ones.pop()
        elif sign == POP_ISOLATE:
            # It ends the embeddings inside, too.
            if isolates:
                while open_ones.pop() in EMBEDDINGS:
                    pass
                isolates -= 1
        else:
            open_ones.append(sign)
            isolates += sign not in EMBEDDINGS
    return bool(open_ones)
