"""Cursors: whatever is put in comes out, whatever else is sent is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import Unprocessable
from server.rules import cursors

KINDS: dict[str, type] = {"updated": datetime, "year": int, "title": str, "rating": float}
IDS = st.integers(1, 2**63 - 1)
KEYS = st.one_of(
    st.tuples(st.just("updated"), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    st.tuples(st.just("year"), st.integers(0, 2100)),
    st.tuples(
        st.just("title"), st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=80)
    ),
    st.tuples(st.just("rating"), st.floats(allow_nan=False)),
)


def written(value: Any) -> str:
    """A cursor with any JSON inside."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(KEYS, IDS)
def test_a_cursor_gives_back_what_was_put_in(place: tuple[str, Any], row_id: int) -> None:
    kind, key = place
    cursor = cursors.encode(kind, key, row_id)
    assert cursors.decode(kind, cursor, KINDS[kind]) == (key, row_id)
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text("𠀋漢a\u3000", max_size=80), IDS)
def test_the_cursor_of_the_longest_title_stays_within_five_hundred_characters(key: str, row_id: int) -> None:
    assert len(cursors.encode("-title", key, row_id)) <= 500


@given(st.text(max_size=60), st.sampled_from(sorted(KINDS)))
def test_text_that_is_no_cursor_is_refused(text: str, kind: str) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode(kind, text, KINDS[kind])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(JSON, st.sampled_from(sorted(KINDS)))
def test_a_cursor_around_any_other_json_is_refused(value: Any, kind: str) -> None:
    if isinstance(value, list) and len(value) == 3 and value[0] == kind:
        return
    with pytest.raises(Unprocessable) as caught:
        cursors.decode(kind, written(value), KINDS[kind])
    assert caught.value.faults[0].pointer == "/cursor"


@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        ("year", ["-year", 2000, 1]),
        ("year", ["year", "2000", 1]),
        ("year", ["year", 2000.0, 1]),
        ("year", ["year", True, 1]),
        ("year", ["year", 2**31, 1]),
        ("year", ["year", 2000, True]),
        ("year", ["year", 2000, 2**63]),
        ("year", ["year", 2000, "1"]),
        ("year", ["year", 2000]),
        ("year", ["year", 2000, 1, 1]),
        ("year", {"year": 1, "a": 2, "b": 3}),
        ("title", ["title", "a\x00b", 1]),
        ("title", ["title", "\ud800", 1]),
        ("title", ["title", None, 1]),
        ("updated", ["updated", "2026-01-01T00:00:00", 1]),
        ("updated", ["updated", "0001-01-01T00:00:00+14:00", 1]),
        ("updated", ["updated", "9999-12-31T23:59:59-14:00", 1]),
        ("updated", ["updated", "yesterday", 1]),
        ("updated", ["updated", 0, 1]),
        ("rating", ["rating", 5, 1]),
    ],
)
def test_a_cursor_with_a_wrong_part_is_refused(kind: str, inside: Any) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode(kind, written(inside), KINDS[kind])


@pytest.mark.parametrize("nested", ["[" * 50_000, '{"a":' * 50_000])
def test_a_cursor_that_nests_without_end_is_refused(nested: str) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode("year", base64.urlsafe_b64encode(nested.encode()).decode(), int)
