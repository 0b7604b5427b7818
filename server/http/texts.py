"""Bodies with plain text in them: what is wrong with the text is told together with all other faults of the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from server.errors import Fault, Unprocessable
from server.http.parse import decode, loosely
from server.keys import WORDS
from server.rules import holding, plain_text

S = TypeVar("S", bound=Struct)
# Fields by name, and how few and how many characters they hold.
Bounds = Mapping[str, tuple[int, int]]


class Judgement(NamedTuple):
    """What may hold a text for a moderator, as far as the text alone tells."""

    has_link: bool = False
    worded: bool = False


def judge(request: web.Request, text: str, pointer: str = "/text") -> Judgement:
    """What is to be said of a text as it is kept; Unprocessable if a word rule refuses it."""
    verdict = request.app[WORDS].verdict(text)
    if verdict == "refuse":
        raise Unprocessable("This is not said here.", faults=[Fault(pointer, "Holds words that are not taken here.")])
    return Judgement(holding.has_link(text), verdict == "hold")


def decode_texts(decoder: msgspec.json.Decoder[S], body: bytes, bounds: Bounds) -> S:
    """The body as the decoder's type, its texts as they are kept. A field that is not there is for the type to judge.

    MalformedBody if it is no JSON, Unprocessable with all faults if it is unfit.
    """
    try:
        found = decode(decoder, body)
    except Unprocessable as error:
        given = loosely(body)
        told = {fault.pointer for fault in error.faults}
        # One fault a field is enough.
        judged = [name for name in bounds if f"/{name}" not in told]
        values = {name: given.get(name) for name in judged} if isinstance(given, dict) else {}
        _, faults = _examined(values, bounds)
        raise Unprocessable(error.detail, faults=[*error.faults, *faults]) from None
    kept, faults = _examined({name: getattr(found, name) for name in bounds}, bounds)
    if faults:
        raise Unprocessable("Some values do not fit.", faults=faults)
    return replace(found, **kept)


def _examined(values: Mapping[str, object], bounds: Bounds) -> tuple[dict[str, str], list[Fault]]:
    """Those that are texts as they are kept, and what is wrong with the others."""
    found = {
        name: plain_text.examined(text, f"/{name}", *bounds[name])
        for name, text in values.items()
        if isinstance(text, str)
    }
    kept = {name: one for name, one in found.items() if isinstance(one, str)}
    return kept, [one for one in found.values() if isinstance(one, Fault)]
