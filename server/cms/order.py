"""Edits in their order: which are written together, and whether the things they are about are there. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from server.cms.edits import Edit, Noun
from server.errors import Conflict, NotFound, YojohanError


def ident(edit: Edit) -> int:
    """The id of an edit that `reserve` has seen."""
    assert edit.id is not None, "an edit without an id: `reserve` comes first"
    return edit.id


def by_noun(edits: Mapping[int, Edit]) -> dict[Noun, list[int]]:
    """The places of the edits of each noun."""
    found: dict[Noun, list[int]] = defaultdict(list)
    for place, edit in edits.items():
        found[edit.noun].append(place)
    return found


def groups(edits: Sequence[Edit]) -> Iterator[dict[int, Edit]]:
    """Consecutive edits of one noun and one action on distinct things, by place: each group is written as a set."""
    group: dict[int, Edit] = {}
    kind: tuple[str, str] = ("", "")
    ids: set[int] = set()
    for place, edit in enumerate(edits):
        if group and ((edit.noun, edit.action) != kind or ident(edit) in ids):
            yield group
            group, ids = {}, set()
        kind = (edit.noun, edit.action)
        group[place] = edit
        ids.add(ident(edit))
    if group:
        yield group


def chained(edits: Sequence[Edit]) -> bool:
    """Whether an earlier one of these edits may change the state that the If-Match of a later one names.

    It may if both are about one thing, or about things of two nouns, which show in one another.
    """
    named: set[str] = set()
    nouns: set[Noun] = set()
    for edit in edits:
        if edit.if_match not in (None, "*") and (edit.entity in named or nouns - {edit.noun}):
            return True
        named.add(edit.entity)
        nouns.add(edit.noun)
    return False


def misplaced(edit: Edit, states: MutableMapping[int, bool]) -> YojohanError | None:
    """Why its thing is not one to do this to. `states` says of what is there whether it is deleted, and follows."""
    key = ident(edit)
    deleted = states.get(key)
    if edit.action == "create":
        if deleted is not None:
            return Conflict(f"The {edit.noun} {key} has been made already.")
    elif deleted is None:
        return NotFound(f"There is no {edit.noun} {key}.")
    elif edit.action == "restore":
        if not deleted:
            return Conflict(f"The {edit.noun} {key} is not deleted.")
    elif deleted:
        return NotFound(f"The {edit.noun} {key} is deleted.")
    states[key] = edit.action == "delete"
    return None
