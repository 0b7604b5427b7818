"""How the model is made for these very people: by hiding a fifth of what some hundreds of them like, and looking which
choice finds it again. Nothing of the hidden part that an evaluation judges by is seen here.

What does better only by chance is not taken: another choice has to win by more than the standard error of its lead over
all judgements (the "one standard error rule"), or the simpler one stays, the model with fewer weights.
"""

from __future__ import annotations

from math import log2, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.recommending.interactions import Interactions, strongest
from server.recommending.model import Choice, Model, fit

# How many items may speak for an item, and of these what is taken where too few people can judge.
DEPTHS = (8, 16, 32, 64)
USUAL_DEPTH = 16
# So many judgements are asked for: of as many people once, or of fewer people up to three times.
JUDGEMENTS, MOST_ROUNDS, LEAST_JUDGES = 1200, 3, 30
# Of whoever judges at least so much is known, and a fifth of it is hidden. What is found counts where they like it.
JUDGE_KNOWS, HIDDEN, GOOD = 10, 5, np.float32(0.8)
SHOWN = 10
SEED = 42
# By what the ridge is multiplied from try to try, and how often at most each way.
RIDGE_STEP, MOST_STEPS = 2.0, 3

# A row for each depth, in it the NDCG@10 of each judgement.
Judgements = NDArray[np.float64]
Round = tuple[Interactions, dict[int, set[int]]]


def usual_ridge(users: int) -> float:
    """Where the search begins: what is right grows with the data, but more slowly."""
    return 7 * sqrt(max(users, 1))


def choose(data: Interactions) -> Choice:
    """What suits these people best."""
    at = usual_ridge(data.users)
    able = np.flatnonzero(np.diff(data.starts) >= JUDGE_KNOWS)
    if len(able) < LEAST_JUDGES or len(data.ids) < 2 * SHOWN:
        return Choice(at, USUAL_DEPTH)
    random = np.random.default_rng(SEED)
    rounds = min(MOST_ROUNDS, -(-JUDGEMENTS // len(able)))
    hidden = [_hide(data, able, random) for _ in range(rounds)]
    depth, found = _settle(_judgements(hidden, at))
    for step in (RIDGE_STEP, 1 / RIDGE_STEP):
        moved = False
        for _ in range(MOST_STEPS):
            deeper, other = _settle(_judgements(hidden, at * step))
            if not _wins(other, found):
                break
            at, depth, found, moved = at * step, deeper, other, True
        if moved:
            break
    return Choice(at, depth)


def _settle(judgements: Judgements) -> tuple[int, Judgements]:
    """The depth that nothing deeper beats, and its judgements."""
    best = 0
    for place in range(1, len(judgements)):
        if _wins(judgements[place], judgements[best]):
            best = place
    return DEPTHS[best], judgements[best]


def _wins(one: Judgements, other: Judgements) -> bool:
    lead = one - other
    return bool(lead.mean() > lead.std() / sqrt(len(lead)))


def _hide(data: Interactions, able: NDArray[Any], random: np.random.Generator) -> Round:
    """The data without what is hidden, and what is hidden, by person."""
    shown = np.ones(len(data.items), bool)
    hidden: dict[int, set[int]] = {}
    for user in np.sort(random.permutation(able)[:JUDGEMENTS]):
        start, end = data.starts[user], data.starts[user + 1]
        taken = start + random.permutation(end - start)[: (end - start) // HIDDEN]
        shown[taken] = False
        good = taken[data.weights[taken] >= GOOD]
        if len(good):
            hidden[int(user)] = {int(item) for item in data.items[good]}
    starts = np.concatenate(([0], np.cumsum(shown, dtype=np.int64)))[data.starts]
    return Interactions(data.ids, starts, data.items[shown], data.weights[shown]), hidden


def _judgements(rounds: list[Round], ridge: float) -> Judgements:
    parts = [_judge(fit(known, Choice(ridge, DEPTHS[-1])), known, hidden) for known, hidden in rounds]
    return np.concatenate(parts, axis=1)


def _judge(model: Model, known: Interactions, hidden: dict[int, set[int]]) -> Judgements:
    found = np.zeros((len(DEPTHS), len(hidden)))
    history = np.zeros(len(model.ids), np.float32)
    for judge, (user, wanted) in enumerate(hidden.items()):
        items, said = known.row(user)
        history[items] = said
        voices = history[model.speakers] * model.weights
        history[items] = 0
        ideal = sum(1 / log2(rank + 2) for rank in range(min(SHOWN, len(wanted))))
        scores = np.zeros(len(model.ids), np.float32)
        spoken = 0
        for place, depth in enumerate(DEPTHS):
            scores += voices[spoken:depth].sum(axis=0)
            spoken = depth
            own = scores.copy()
            own[items] = -np.inf
            gain = sum(1 / log2(rank + 2) for rank, item in enumerate(strongest(own, SHOWN)) if int(item) in wanted)
            found[place, judge] = gain / ideal
    return found
