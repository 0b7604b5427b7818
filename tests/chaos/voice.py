"""What somebody says and does about what others say: comments, answers, reviews, edits, votes, reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tests.chaos.person import AGAIN, CUT_OFF, PAUSE, Person, Said
from tests.chaos.sayings import Board, Kind, Saying, Sayings

# So small that people come to the end of them; the fifth release in ten minutes would hold everything new.
MOST_COMMENTS, MOST_REVIEWS = 10, 3
SETTINGS = {"COMMENT_RATE_LIMIT": f"{MOST_COMMENTS}/minute", "REVIEW_RATE_LIMIT": f"{MOST_REVIEWS}/minute"}
TALKED_ABOUT = range(1, 5)
# Words of a comment stand fifteen minutes after it was written.
EDITABLE_SECONDS = 600
WORDS = (
    "Лучшая серия сезона, ёлки-палки! 👏🏽", "背景がきれいで、何度も止めて見ました。", '"Just one more" <3 & so on…',
    "一口气看完了 👩‍🚀", "See http://episodes.example/all for more", "مرحبا", "two\nlines",
)  # fmt: skip
LENGTHY = " It was worth the time it took, and the music stays with me for days. Nobody will regret to have seen it."
IN_FLIGHT = "in flight"


@dataclass
class Voice:
    """Says one thing after another. The board is everybody's."""

    board: Board
    sayings: Sayings = field(default_factory=Sayings)

    async def act(self, person: Person) -> None:
        """Say or do something."""
        what, mine = person.chance.random(), self.sayings.standing()
        if what < 0.35 or not self.sayings.said:
            await self._comment(person)
        elif what < 0.5 or len(self.sayings.said) == 1:
            await self._review(person)
        elif what < 0.65 and mine:
            await self._edit(person, person.chance.choice(mine))
        elif what < 0.75 and mine:
            await self._delete(person, person.chance.choice(mine))
        elif what < 0.9:
            await self._vote(person)
        else:
            await self._report(person)

    async def _comment(self, person: Person) -> None:
        others = list(self.board.of_others(person.name, "comments"))
        parent, release = None, person.chance.choice(TALKED_ABOUT)
        if others and person.chance.random() < 0.5:
            parent, release = person.chance.choice(others)
        one = Saying("comments", release, person.chance.choice(WORDS))
        body = {"text": one.saying(one.words)} | ({"parent_id": parent} if parent else {})
        # What is answered may be gone, or wait for a moderator.
        await self._say(person, one, body, {409, 422} if parent else set())

    async def _review(self, person: Person) -> None:
        one = Saying("reviews", person.chance.choice(TALKED_ABOUT), person.chance.choice(WORDS) + LENGTHY)
        body = {"rating": person.chance.randint(1, 10), "text": one.saying(one.words)}
        await self._say(person, one, body, {409})

    async def _say(self, person: Person, one: Saying, body: dict[str, Any], refusals: set[int]) -> None:
        self.sayings.said.append(one)
        for _ in range(1 if person.chance.random() < 0.1 else 1000):
            said = await person.ask("POST", f"releases/{one.release}/{one.kind}", body, one.key, refusals)
            if said.status == 201:
                one.made = int(said.body["id"])
                person.notes.acknowledged += 1
                person.notes.replayed += "Idempotency-Replayed" in said.headers
                if said.body["state"] == "visible":
                    self.board.seen.append((one.kind, one.made, one.release, person.name))
                return
            if said.status in (CUT_OFF, 503) or _in_flight(said):
                await asyncio.sleep(PAUSE)
                continue
            # The quota is used up, or it is said already, or nothing is there to be answered.
            one.refused = True
            return

    async def _edit(self, person: Person, one: Saying) -> None:
        if one.kind == "comments" and monotonic() - one.since > EDITABLE_SECONDS:
            return
        words = person.chance.choice(WORDS) + (LENGTHY if one.kind == "reviews" else "")
        text = one.saying(words)
        patience = 1 if person.chance.random() < 0.3 else 1000
        for _ in range(patience):
            said = await person.ask("PATCH", f"{one.kind}/{one.made}", {"text": text})
            if said.status == 200:
                one.texts = frozenset([text])
                return
            if said.status not in AGAIN:
                return
            one.texts |= {text}
            await asyncio.sleep(PAUSE)

    async def _delete(self, person: Person, one: Saying) -> None:
        for _ in range(1 if person.chance.random() < 0.3 else 1000):
            # Of a review that is gone already there is nothing to delete.
            said = await person.ask("DELETE", f"{one.kind}/{one.made}", expected={404} if True in one.gone else set())
            if said.status == 204 or (said.status == 404 and True in one.gone):
                one.gone = frozenset([True])
                return
            if said.status not in AGAIN:
                return
            one.gone |= {True}
            await asyncio.sleep(PAUSE)

    async def _vote(self, person: Person) -> None:
        others = list(self.board.of_others(person.name, "reviews"))
        if not others:
            return
        review, wanted = person.chance.choice(others)[0], person.chance.random() < 0.7
        before = self.sayings.votes.get(review, frozenset([False]))
        patience = 1 if person.chance.random() < 0.3 else 1000
        for _ in range(patience):
            # It may be gone, or wait for a moderator.
            said = await person.ask("PUT" if wanted else "DELETE", f"reviews/{review}/helpful", expected={404})
            if said.status == 204:
                self.sayings.votes[review] = frozenset([wanted])
                return
            if said.status not in AGAIN:
                return
            before |= {wanted}
            self.sayings.votes[review] = before
            await asyncio.sleep(PAUSE)

    async def _report(self, person: Person) -> None:
        kind: Kind = "comments" if person.chance.random() < 0.7 else "reviews"
        others = list(self.board.of_others(person.name, kind))
        if not others:
            return
        made = person.chance.choice(others)[0]
        for _ in range(1 if person.chance.random() < 0.3 else 1000):
            said = await person.ask("POST", f"{kind}/{made}/reports", {"reason": "other"}, expected={404})
            # 409: an earlier try came through, or it was reported before.
            if said.status in (201, 409):
                self.sayings.reports.add((kind, made))
                return
            if said.status not in (CUT_OFF, 503):
                return
            await asyncio.sleep(PAUSE)


def _in_flight(said: Said) -> bool:
    return said.status == 409 and IN_FLIGHT in str(said.body.get("detail", ""))
