"""All faults of a value at once: where decoding stops at the first, this looks at every field."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from itertools import islice
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, UnsetType
from msgspec.structs import fields

from server.errors import Fault
from server.http.problems import MOST_FAULTS

# msgspec ends its messages with the place: " - at `$.titles[...]`".
PLACE = re.compile(r"^(?P<text>.*?)(?: - at `(?:key in )?\$(?P<path>.*?)`)?$", re.DOTALL)
STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def all_faults(value: Any, wanted: Any, *, strict: bool = True) -> list[Fault]:
    """What keeps `value` (decoded JSON) from being a `wanted`, field by field, up to MOST_FAULTS."""
    return list(islice(_walk(value, wanted, "", strict), MOST_FAULTS))


def _walk(value: Any, wanted: Any, pointer: str, strict: bool) -> Iterator[Fault]:
    struct = _struct_of(wanted, value)
    if struct is not None and isinstance(value, dict):
        yield from _walk_struct(value, struct, pointer, strict)
    elif isinstance(value, list) and (item := _item_of(wanted)) is not None:
        found = list(
            islice((f for i, v in enumerate(value) for f in _walk(v, item, f"{pointer}/{i}", strict)), MOST_FAULTS)
        )
        # The items may be sound and the list as a whole (its length) not.
        yield from found or _convert(value, wanted, pointer, strict)
    else:
        yield from _convert(value, wanted, pointer, strict)


def _walk_struct(value: dict[str, Any], struct: type[Struct], pointer: str, strict: bool) -> Iterator[Fault]:
    known = {}
    sound = True
    for item in fields(struct):
        known[item.encode_name] = item
        if item.encode_name in value:
            for fault in _walk(value[item.encode_name], item.type, f"{pointer}/{_escape(item.encode_name)}", strict):
                sound = False
                yield fault
        elif item.default is NODEFAULT and item.default_factory is NODEFAULT:
            sound = False
            yield Fault(f"{pointer}/{_escape(item.encode_name)}", "Is required.")
    if struct.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in known:
                sound = False
                yield Fault(f"{pointer}/{_escape(str(name)[:100])}", "No such field.")
    if sound:
        # Each field is well; a rule that spans several may still be broken.
        yield from _convert(value, struct, pointer, strict)


def _convert(value: Any, wanted: Any, pointer: str, strict: bool) -> Iterator[Fault]:
    try:
        msgspec.convert(value, wanted, strict=strict, str_keys=True)
    except msgspec.ValidationError as error:
        match = PLACE.match(str(error))
        assert match is not None
        yield Fault(pointer + _pointer(match["path"] or ""), _sentence(match["text"]))
    except RecursionError:
        yield Fault(pointer, "Is nested too deeply.")


def _struct_of(wanted: Any, value: Any) -> type[Struct] | None:
    """The one structure among the alternatives of a type, when the value could be meant for it."""
    found = [option for option in _options(wanted) if isinstance(option, type) and issubclass(option, Struct)]
    return found[0] if len(found) == 1 and isinstance(value, dict) else None


def _item_of(wanted: Any) -> Any:
    """The item type of the one list among the alternatives of a type."""
    found = [option for option in _options(wanted) if get_origin(option) is list]
    return get_args(found[0])[0] if len(found) == 1 else None


def _options(wanted: Any) -> Iterator[Any]:
    if hasattr(wanted, "__metadata__"):
        yield from _options(get_args(wanted)[0])
    elif get_origin(wanted) in (Union, types.UnionType):
        for option in get_args(wanted):
            if option not in (type(None), UnsetType):
                yield from _options(option)
    else:
        yield wanted


def _pointer(path: str) -> str:
    steps = (name or index for name, index in STEP.findall(path))
    return "".join(f"/{_escape(step)}" for step in steps if step != "...")


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
