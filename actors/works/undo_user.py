"""`undo_user`: everything that somebody has said is hidden, what they voted for and reported is withdrawn.

A slice is a transaction with a checkpoint, so that whoever goes on after a crash goes on behind it. What they say while
this runs is met as well: each kind is looked through until nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, ClassVar

from actors.works.base import Progress, Work
from server.database import Database
from server.rules.moderation import UNDO_SLICE
from sql import moderation
from sql.operations import Operation
from sql.query import Connection

# In this order: what can be read goes first.
STEPS = ("comments", "reviews", "votes", "reports")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class UndoUser(Work):
    """`request.user_id`, for `request.reason`; `changed` drops what is cached, here and elsewhere."""

    kind: ClassVar[str] = "undo_user"

    def __init__(self, database: Database, changed: Callable[[Collection[str]], None]) -> None:
        self._database = database
        self._changed = changed

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """How many comments and reviews were hidden, how many votes and reports withdrawn."""
        state: dict[str, Any] = operation.checkpoint or {"step": STEPS[0], "after": None, **dict.fromkeys(STEPS, 0)}
        # What the slice before a crash made stale may not have been told.
        self._changed(state.get("tags", ()))
        while state["step"] is not None:
            async with self._database.transaction() as conn:
                state = await self._slice(conn, operation, state)
                await progress.checkpoint(conn, state, sum(state[step] for step in STEPS))
            self._changed(state["tags"])
            progress.result = {step: state[step] for step in STEPS}
            await progress.advance(progress.done)
        return {step: state[step] for step in STEPS}

    async def _slice(self, conn: Connection, operation: Operation, state: dict[str, Any]) -> dict[str, Any]:
        """The state after another slice of the step under way."""
        step, culprit = state["step"], int(operation.request["user_id"])
        after: list[Any] | None = None
        tags: list[str] = []
        if step in ("comments", "reviews"):
            by = (operation.user_id, operation.id, str(operation.request["reason"]))
            kind: moderation.Kind = "comment" if step == "comments" else "review"
            done = await moderation.undo_said(conn, kind, culprit, by, _place(state["after"]), UNDO_SLICE)
            touched, tags = done.touched, done.tags
            after = None if done.last_at is None else [done.last_at.isoformat(), done.last_id]
            ended = after is None
        elif step == "votes":
            votes = await moderation.undo_votes(conn, culprit, UNDO_SLICE)
            touched, tags, ended = votes.touched, votes.tags, votes.touched == 0
        else:
            touched = await moderation.undo_reports(conn, culprit, UNDO_SLICE)
            ended = touched == 0
        following = (*STEPS, None)[STEPS.index(step) + 1] if ended else step
        return {**state, step: state[step] + touched, "step": following, "after": after, "tags": tags}


def _place(after: list[Any] | None) -> tuple[datetime, int]:
    return (BEGINNING, 0) if after is None else (datetime.fromisoformat(after[0]), int(after[1]))
