"""What makes a text wait for a moderator, as far as the text tells; the rest is `hold_reasons` in the database."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Reason = Literal["links", "flood", "repeated", "words", "reports"]

# What nobody sees: formats, fillers, selectors of variants; and strokes, lines and rings laid over letters, under and
# around them. Not accents.
INVISIBLE = re.compile(
    "[\u00ad\u0305\u0332-\u0338\u034f\u0488\u0489\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u2800\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff9-\ufffb"
    "\U00013430-\U0001343f\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
SPACES = re.compile(r"\s+")

# Ends of names that are hardly ever the beginning of a sentence: enough by themselves. Others need a path.
ENDS = (
    "com|net|org|info|biz|edu|gov|io|gg|tv|cc|ru|su|ua|kz|de|fr|uk|pl|cn|jp|kr|br|eu|co|xyz|top|site|online|shop|store|club"
    "|pro|app|dev|link|click|live|website|icu|vip|win|bet|casino|xxx|porn|tech|fun|moe|рф|рус|онлайн|сайт|укр"
)
# Words, too: only where they stand right behind the dot, or the dot is written out in brackets.
SHORT_ENDS = "me|ai|to"
LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
DOT = "[.\u2024\u2027]"
# Without one of these there is no link, and most texts are without.
HINT = re.compile(rf"{DOT}\w|[\s(\[{{<]{DOT}|\u3002[a-zрсуo]|dot|точка|/\s?/|\]\s?\(")
# A dot that wants not to be one: " . ", "[.]", "(dot)", " dot ", " точка ".
BRACKETED_DOT = rf"\s{{0,3}}[(\[{{<]\s?(?:{DOT}|dot|точка)\s?[)\]}}>]\s{{0,3}}"
HIDDEN_DOT = rf"(?:{BRACKETED_DOT}|\s{{1,3}}(?:dot|точка|{DOT})\s{{1,3}})"
# Where a sentence begins with one of the short ends, and its author has left out the space.
SENTENCE = re.compile(r"\.(?=(?:To|Me)\s+[a-z])")
LAST_WORDS = "it|this|that|them|him|her|us|you|all|one|end|show|anime|episode|season|movie|good|great|bad"
LINK = re.compile(
    rf"""
      (?<![^\W_]) [a-z][a-z0-9+-]{{1,15}} \s? : \s? / \s? / \s? [^\s/]      # a scheme, whichever
    | (?<![\w.-]) www\d? (?: {DOT} | {HIDDEN_DOT} ) \w
    | (?<![\w-]) (?! (?:{LAST_WORDS}) \. (?:to|me) \s [a-z])
      (?:{LABEL} {DOT}){{1,4}} (?:{ENDS}|{SHORT_ENDS}|xn--[a-z0-9-]{{2,59}}) (?![\w-])
    | (?<![\w-]) (?:{LABEL} {DOT}){{1,4}} [a-z]{{2,24}} (?: : \d{{2,5}} )? / \w
    | (?<![a-z\d-]) [a-z\d][a-z\d-]{{1,61}} \u3002 (?:{ENDS}|{SHORT_ENDS}) (?![\w-])     # browsers take it for a dot
    | (?<![\w.]) \d{{1,3}} (?: \. \d{{1,3}} ){{3}} (?: : \d{{2,5}} | / ) \w?
    | (?<![\w-]) {LABEL} (?: {HIDDEN_DOT} (?:{ENDS}|ком|ру) | {BRACKETED_DOT} (?:{SHORT_ENDS}) ) (?![\w-])
    | (?<![^\s(<\[:="']) // (?:{LABEL} {DOT}){{1,4}} [a-z]{{2,24}} (?![\w-])   # of the page's own scheme
    | \] \s? \( \s? <? [/\\]{{2}} [^\s/\\]                                   # as Markdown links it
    """,
    re.VERBOSE,
)


def folded(text: str) -> str:
    """As texts are compared: without case, width, what nobody sees, and kinds of white space. Accents count."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).casefold())
        return SPACES.sub(" ", INVISIBLE.sub("", text)).strip()
    return SPACES.sub(" ", text.lower()).strip()


def has_link(text: str) -> bool:
    """Whether it leads elsewhere: an address, a bare name of a host, or one written out so as not to look like it."""
    said = folded(SENTENCE.sub(". ", text))
    return HINT.search(said) is not None and LINK.search(said) is not None
