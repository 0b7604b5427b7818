"""Kill, start anew, kill again: one data directory, clients that never give up, the verdict at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from tests.chaos.clients import Books, Clients
from tests.chaos.editor import Record, editing, gather_followers
from tests.chaos.editor_verdict import EditorVerdict
from tests.chaos.editor_verdict import judge as judge_editor
from tests.chaos.people import SETTINGS, at_work
from tests.chaos.people_verdict import PeopleVerdict
from tests.chaos.people_verdict import judge as judge_people
from tests.chaos.person import Notes
from tests.chaos.process import Served, served
from tests.chaos.process import run as command
from tests.chaos.talk_verdict import TalkVerdict
from tests.chaos.talk_verdict import judge as judge_talk
from tests.chaos.verdict import Verdict, judge

# So few that digests are due within a run.
MOST_A_MINUTE = 5
NOTIFICATIONS = {"NOTIFICATION_RATE_LIMIT": f"{MOST_A_MINUTE}/minute"}
# What is killed, and how often of a hundred.
TARGETS = {"server": 55, "server while it starts": 15, "server and PostgreSQL": 20, "PostgreSQL": 10}


@dataclass
class Outcome:
    """All that came of a run. `starts` are seconds from the start of the process to /ready."""

    verdict: Verdict
    books: Books
    people: PeopleVerdict
    talk: TalkVerdict
    notes: Notes
    editor: EditorVerdict
    record: Record
    kills: Counter[str]
    starts: list[float]
    seconds: float
    complaints: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether the server kept every promise."""
        verdicts = (self.verdict, self.people, self.talk, self.editor)
        return all(one.sound for one in verdicts) and not self.complaints

    def __str__(self) -> str:
        books = self.books
        rows = [f"  killed {name:<28}{count:>6}" for name, count in self.kills.items()]
        starts = sorted(self.starts)
        rows.append(f"  start to ready, seconds: median {starts[len(starts) // 2]:.2f}, longest {starts[-1]:.2f}")
        rows.append(f"  acknowledged events {len(books.acknowledged)}, requests {books.sent}, cut off {books.broken}")
        rows.append(f"  answers {dict(books.statuses)}, reads {dict(books.reads)}, sent twice {books.duplicates}")
        notes = self.notes
        rows.append(f"  acknowledged writes of people {notes.acknowledged}, given up {notes.given_up}")
        rows.append(f"  their answers {dict(notes.statuses)}, replayed under a key {notes.replayed}")
        rows.append(f"  acknowledged edits {len(self.record.operations)}, answers {dict(self.record.statuses)}")
        rows += [str(one) for one in (self.verdict, self.people, self.talk, self.editor)]
        return "\n".join([*rows, *self.complaints, f"  {self.seconds:.1f} s"])


async def run(directory: Path, *, kills: int, seed: int, longest: float = 0.6) -> Outcome:
    """`kills` kills at random moments, each up to `longest` seconds after the server was ready."""
    chance = random.Random(seed)
    started = perf_counter()
    done: Counter[str] = Counter()
    async with served(directory / "data", **SETTINGS, **NOTIFICATIONS) as server:  # type: ignore[arg-type]
        starts = [await server.start()]
        async with server.connection() as conn:
            await gather_followers(conn)
        clients = Clients(server.base, seed=seed)
        async with (
            at_work(server, seed) as people, clients.at_work() as books, editing(server, seed) as record
        ):  # fmt: skip
            for _ in range(kills):
                target = chance.choices(list(TARGETS), list(TARGETS.values()))[0]
                await asyncio.sleep(chance.uniform(0.02, longest))
                await _kill(server, target, chance, starts)
                done[target] += 1
        async with server.connection() as conn:
            verdict = await judge(conn, books.acknowledged)
            kept = await judge_people(conn, people)
            said = await judge_talk(conn, people)
            edited = await judge_editor(conn, record, MOST_A_MINUTE)
        seconds = perf_counter() - started
        outcome = Outcome(verdict, books, kept, said, people[0].notes, edited, record, done, starts, seconds)
        await _count_anew(server, outcome)
        await _leave(server, outcome)
    return outcome


async def _kill(server: Served, target: str, chance: random.Random, starts: list[float]) -> None:
    if target == "PostgreSQL":
        server.kill_postgres()
        # The server starts PostgreSQL anew by itself, and its clients merely wait.
        await server.until_ready()
        return
    if target == "server while it starts":
        server.kill()
        server.spawn()
        await asyncio.sleep(chance.uniform(0.05, 0.6))
    server.kill()
    if target == "server and PostgreSQL":
        server.kill_postgres()
    starts.append(await server.start())


async def _count_anew(server: Served, outcome: Outcome) -> None:
    """Every number that is counted up as things happen has to be what counting finds."""
    done = await asyncio.to_thread(command, server.data_dir, "repair", "--check", **server.settings)  # type: ignore[arg-type]
    if done.returncode != 0:
        outcome.complaints.append(f"  repair --check: {done.stdout[-2000:]}{done.stderr[-2000:]}")


async def _leave(server: Served, outcome: Outcome) -> None:
    status, seconds = await server.stop()
    if status != 0 or seconds > 10:
        outcome.complaints.append(f"  the last stop took {seconds:.1f} s with exit status {status}")
    if server.cluster.running():
        outcome.complaints.append("  PostgreSQL still runs after the last stop")
    if outcome.books.retry_after_missing:
        outcome.complaints.append(f"  {outcome.books.retry_after_missing} answers 503 without Retry-After")
    unexpected = outcome.notes.unexpected + outcome.record.unexpected
    outcome.complaints += [f"  {times} × {what}" for what, times in unexpected.items()]
