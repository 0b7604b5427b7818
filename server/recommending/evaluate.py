"""How well recommendations do on ratings that were hidden from them, beside plain ways to recommend."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np

from server.recommending.choosing import choose
from server.recommending.ease import solve, weights
from server.recommending.interactions import Interactions, blocks, strongest
from server.recommending.knn import Audiences
from server.recommending.model import BLOCK, LEAST_AUDIENCE, MOST_ITEMS, Choice, fit
from server.recommending.protocol import SEED, SHOWN, Judge, Split, Tally
from server.rules.recommending import CANDIDATES, NOTHING_KNOWN, PAGE, ROW_WIDTH, Facts, Row, chosen, ranked, score

# Neighbours of an item in the plain item-kNN, people whose rows are written out at a time, and
# items that take part in the kNN.
NEIGHBOURS, AT_ONCE = 64, 512
MOST_COMPARED = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One way to recommend, and how it did."""

    name: str
    recall: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Report:
    """All ways, and what the model was made of."""

    lines: list[Line]
    choice: Choice
    items: int
    longest_row: int


def evaluate(found: Split, facts: Mapping[int, Facts]) -> Report:
    """Judge every way to recommend by the same hidden ratings. `facts`: what the catalogue knows of the items."""
    popular = found.popular()
    known = found.known()
    lines = [
        _line("random", found, _random(popular)),
        _line("popularity", found, lambda judge: _first(popular, judge.seen)),
        _line("item-kNN", found, _from_rows(_knn_rows(known), NEIGHBOURS)),
    ]
    data = known.commonest(MOST_ITEMS, LEAST_AUDIENCE)
    del known
    choice = choose(data)
    lines.append(_whole(found, data, choice))
    rows = {item: (others, said) for item, others, said in fit(data, choice).rows(ROW_WIDTH)}
    lines.append(_line("ours, ranking", found, _from_rows(rows)))
    lines.append(_line("ours, served", found, _served(rows, facts)))
    return Report(lines, choice, len(data.ids), max((len(others) for others, _ in rows.values()), default=0))


def _line(name: str, found: Split, way: Callable[[Judge], Sequence[int]]) -> Line:
    tally = Tally()
    for judge in found.judges():
        tally.add(way(judge), judge.wanted)
    return Line(name, tally.recall, tally.ndcg)


def _random(items: Sequence[int]) -> Callable[[Judge], Sequence[int]]:
    random = Random(SEED)  # noqa: S311 - a baseline, no secret

    def way(judge: Judge) -> Sequence[int]:
        return _first(random.sample(items, min(len(items), SHOWN + len(judge.seen))), judge.seen)

    return way


def _first(items: Iterable[int], seen: Container[int]) -> list[int]:
    return list(islice((item for item in items if item not in seen), SHOWN))


def _knn_rows(known: Interactions) -> dict[int, Row]:
    """Of the commonest items only: the rows of all would be most of what is held."""
    data = known.commonest(MOST_COMPARED, LEAST_AUDIENCE)
    audiences = Audiences(data, shrinkage=0)
    return {item: audiences.row(place, NEIGHBOURS) for place, item in enumerate(data.ids)}


def _from_rows(rows: Mapping[int, Row], width: int | None = None) -> Callable[[Judge], Sequence[int]]:
    return lambda judge: ranked(score(judge.history, rows, width), judge.seen, SHOWN)


def _served(rows: Mapping[int, Row], facts: Mapping[int, Facts]) -> Callable[[Judge], Sequence[int]]:
    """What a page shows: of a franchise the next part, and not too much of the same."""

    def way(judge: Judge) -> Sequence[int]:
        begun: dict[int, int] = {}
        for item in judge.seen:
            fact = facts.get(item, NOTHING_KNOWN)
            if fact.franchise_id is not None:
                begun[fact.franchise_id] = max(fact.part, begun.get(fact.franchise_id, 0))
        candidates = ranked(score(judge.history, rows), judge.seen, CANDIDATES)
        return chosen(candidates, facts, begun, (), PAGE)[:SHOWN]

    return way


def _whole(found: Split, data: Interactions, choice: Choice) -> Line:
    """EASE with all of its weights, which are never held at once: only the ten best so far of everybody are."""
    place = {item: index for index, item in enumerate(data.ids)}
    best = np.full((len(found), SHOWN), -np.inf, np.float32)
    items = np.zeros((len(found), SHOWN), np.int32)
    inverse = solve(data, choice.ridge)
    for first, last in blocks(len(data.ids), BLOCK):
        columns = weights(inverse, first, last)
        for start, end in blocks(len(found), AT_ONCE):
            scores = data.dense(start, end) @ columns
            for person in range(start, end):
                own = scores[person - start]
                rated = slice(int(found.starts[person]), int(found.starts[person + 1]))
                seen = (place.get(item, -1) for item in found.items[rated][~found.hidden[rated]].tolist())
                own[[item - first for item in seen if first <= item < last]] = -np.inf
                near = strongest(own, SHOWN)
                both = np.concatenate((best[person], own[near]))
                order = strongest(both, SHOWN)
                best[person] = both[order]
                items[person] = np.concatenate((items[person], near + first))[order]
    tally = Tally()
    for person, judge in enumerate(found.judges()):
        shown = items[person][best[person] > -np.inf]
        tally.add([data.ids[item] for item in shown.tolist()], judge.wanted)
    return Line("EASE, all weights", tally.recall, tally.ndcg)
