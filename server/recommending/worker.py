"""One run of the worker: audiences if there is news of them, then the neighbours of whatever is missing or stale.

Releases go by slices: what has been written stays, and what a run that is stopped leaves behind is due again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np

from server.recommending.blend import Blend, Release
from server.recommending.choosing import choose
from server.recommending.content import Catalogue, Likeness
from server.recommending.interactions import Collected, Interactions, Places, blocks
from server.recommending.model import LEAST_AUDIENCE, MOST_ITEMS, fit
from server.rules.recommending import ROW_WIDTH, history_of
from sql import recommending
from sql.query import Connection
from sql.recommending import State, Weighed

T = TypeVar("T")
# Of more people a sample takes part, and whoever comes after so many likes does not: memory is bounded.
MOST_PEOPLE, MOST_LIKES = 20_000, 1_500_000
# Whose audiences are compared with one another, the commonest.
MOST_COMPARED = 20_000
# Audiences are worked out anew after so many writes to libraries, or by this share of all there were, or so late.
WRITES, SHARE, LATEST = 200, 0.02, timedelta(hours=6)
# Releases of a slice: a tenth of a second of work.
AT_ONCE = 50


@dataclass(slots=True)
class Done:
    """What a run has done."""

    people: int = 0
    items: int = 0
    rows: int = 0
    neighbours: int = 0
    whole: bool = True


async def run(conn: Connection, stopped: Callable[[], bool] = lambda: False) -> Done:
    """Work through what there is to do; before each slice `stopped` says whether to leave the rest to the next run."""
    done = Done()
    state = await recommending.state(conn)
    data: Interactions | None = None
    if _is_old(state, datetime.now(UTC)):
        data = await _read_libraries(conn)
        await _audiences(conn, data, done)
        data = data.commonest(MOST_COMPARED, LEAST_AUDIENCE)
        await recommending.note_audiences(conn, done.people, done.items, state.library_changes, data.ids)
    wanted = array("q")
    async for one in recommending.due(conn):
        wanted.append(one)
    if wanted:
        if data is None:
            data = (await _read_libraries(conn)).commonest(MOST_COMPARED, LEAST_AUDIENCE)
        await _neighbours(conn, data, wanted, done, stopped, state.moment)
    if not done.whole:
        return done
    await recommending.forget(conn)
    await recommending.finish(conn, state.catalogue_changes)
    return done


def _is_old(state: State, now: datetime) -> bool:
    if state.audience_at is None or now - state.audience_at > LATEST:
        return True
    return state.library_changes - state.library_seen >= max(WRITES, SHARE * state.library_seen)


async def _neighbours(
    conn: Connection, data: Interactions, wanted: array[int], done: Done, stopped: Callable[[], bool], began: datetime
) -> None:
    """Those of what is due, in a run that began then."""
    likeness = await _read_catalogue(conn)
    blend = Blend(likeness, data)
    ids = _order(likeness, wanted)
    for first, last in blocks(len(ids), AT_ONCE):
        if stopped():
            done.whole = False
            return
        subjects = await recommending.claim(conn, ids[first:last].tolist())
        found = [Weighed(*blend.neighbours(Release(*subject))) for subject in subjects]
        await recommending.mark_beside(conn, found, began)
        await recommending.store_neighbours(conn, found)
        done.neighbours += len(found)


async def _read_libraries(conn: Connection) -> Interactions:
    found = Collected()
    async for kept in recommending.libraries(conn, MOST_PEOPLE):
        found.add(history_of(kept))
        if len(found) >= MOST_LIKES:
            break
    return found.done()


async def _audiences(conn: Connection, data: Interactions, done: Done) -> None:
    """The model, made anew and stored."""
    data = data.commonest(MOST_ITEMS, LEAST_AUDIENCE)
    ids: list[int] = []
    if data.ids:
        rows = fit(data, choose(data)).rows(ROW_WIDTH)
        for some in _slices((Weighed(*row, []) for row in rows), AT_ONCE):
            await recommending.store_rows(conn, some)
            ids.extend(row.id for row in some)
    await recommending.forget_rows(conn, ids)
    done.people, done.items, done.rows = data.users, len(data.ids), len(ids)


async def _read_catalogue(conn: Connection) -> Likeness:
    found = Catalogue()
    async for subject, popularity in recommending.catalogue(conn):
        found.add(*subject, popularity)
    return found.done()


def _order(likeness: Likeness, wanted: array[int]) -> Places:
    """What is looked at most comes first."""
    places = np.flatnonzero(np.isin(likeness.ids, np.frombuffer(wanted, np.int64), assume_unique=True))
    return likeness.ids[places[np.lexsort((places, -likeness.tie[places]))]]


def _slices(values: Iterable[T], size: int) -> Iterator[list[T]]:
    some: list[T] = []
    for value in values:
        some.append(value)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
