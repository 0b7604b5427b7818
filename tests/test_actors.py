"""The rules of the actor runtime; each test is named by the rule it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from actors.base import Actor, BatchActor, Request
from actors.jobs import Jobs
from actors.supervisor import RestartPolicy
from actors.system import ActorSystem
from server.errors import ActorStopped, DeadlineExceeded, MailboxFull, Overloaded

QUICK = RestartPolicy(crashes=5, within=60, shortest=0.001, longest=0.01)


@dataclass(frozen=True)
class Say(Request[str]):
    text: str


@dataclass(frozen=True)
class Fail(Request[str]):
    pass


@dataclass(frozen=True)
class Block(Request[str]):
    pass


class Parrot(Actor[Any]):
    name = "parrot"
    capacity = 5

    def __init__(self) -> None:
        self.heard: list[str] = HEARD
        self.mine: list[str] = []

    async def receive(self, message: Any) -> Any:
        match message:
            case Say(text):
                self.heard.append(text)
                self.mine.append(text)
                return text.upper()
            case Fail():
                raise ValueError("cannot")
            case Block():
                await GATES[0].wait()
                return "unblocked"


HEARD: list[str] = []
GATES: list[asyncio.Event] = []


@pytest.fixture(autouse=True)
def fresh_state() -> None:
    HEARD.clear()
    GATES[:] = [asyncio.Event()]


@pytest.fixture
async def make_system() -> AsyncIterator[Callable[..., Any]]:
    systems: list[ActorSystem] = []
    fatal: list[tuple[str, BaseException]] = []

    def make(
        *factories: Callable[[], Actor[Any]], policy: RestartPolicy = QUICK
    ) -> tuple[ActorSystem, list[Any], list[Any]]:
        system = ActorSystem(lambda name, error: fatal.append((name, error)), policy)
        systems.append(system)
        return system, [system.add(factory) for factory in factories], fatal

    yield make
    for system in systems:
        await system.stop(0.5)


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.002)


async def test_ask_ends_with_the_answer(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    assert await ref.ask(Say("hello"), timeout=1) == "HELLO"


async def test_tell_never_waits_and_raises_mailbox_full_at_once(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    ref.tell(Block())
    await asyncio.sleep(0.01)
    for number in range(5):
        ref.tell(Say(str(number)))
    with pytest.raises(MailboxFull) as caught:
        ref.tell(Say("one too many"))
    assert caught.value.status == 503
    assert caught.value.headers["Retry-After"] == "1"


async def test_a_full_mailbox_refuses_an_ask_at_once(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    ref.tell(Block())
    await asyncio.sleep(0.01)
    ref.tell(Say("a"), weight=5)
    with pytest.raises(MailboxFull):
        await ref.ask(Say("b"), timeout=60)


async def test_a_mailbox_is_bounded_in_bytes_too(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    ref.tell(Block())
    await asyncio.sleep(0.01)
    ref.tell(Say("a"), size=Parrot.capacity_bytes)
    with pytest.raises(MailboxFull):
        ref.tell(Say("b"), size=1)


async def test_ask_ends_with_the_error_and_the_actor_lives(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    with pytest.raises(ValueError, match="cannot"):
        await ref.ask(Fail(), timeout=1)
    assert await ref.ask(Say("still here"), timeout=1) == "STILL HERE"
    assert next(iter(system)).stats.restarts == 0


async def test_ask_ends_with_deadline_exceeded_when_no_answer_comes_in_time(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    with pytest.raises(DeadlineExceeded):
        await ref.ask(Block(), timeout=0.02)


async def test_an_ask_whose_asker_has_gone_is_not_begun(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    ref.tell(Block())
    await asyncio.sleep(0.01)
    with pytest.raises(DeadlineExceeded):
        await ref.ask(Say("late"), timeout=0.02)
    GATES[0].set()
    await ref.ask(Say("after"), timeout=1)
    assert HEARD == ["after"]


async def test_a_message_left_in_the_mailbox_when_the_actor_dies_is_answered_actor_stopped(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    in_hand = asyncio.ensure_future(ref.ask(Block(), timeout=60))
    waiting = asyncio.ensure_future(ref.ask(Say("never"), timeout=60))
    await asyncio.sleep(0.01)
    assert await system.stop(0.05) == ["parrot"]
    for question in (in_hand, waiting):
        with pytest.raises(ActorStopped):
            await question


async def test_an_ask_after_the_stop_is_refused_at_once(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    await system.stop(1)
    with pytest.raises(ActorStopped):
        await ref.ask(Say("anyone"), timeout=60)


async def test_an_error_in_a_tell_crashes_the_actor_and_the_supervisor_starts_it_anew(make_system: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    supervisor = next(iter(system))
    await ref.ask(Say("first life"), timeout=1)
    ref.tell(Fail())
    await ref.ask(Say("second life"), timeout=1)
    assert supervisor.stats.restarts == 1
    assert supervisor.actor.mine == ["second life"]  # type: ignore[attr-defined]


async def test_the_mailbox_survives_a_crash_and_the_poisonous_message_does_not(make_system: Any, caplog: Any) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    ref.tell(Fail())
    ref.tell(Say("a"))
    ref.tell(Say("b"))
    await eventually(lambda: HEARD == ["a", "b"])
    stats = next(iter(system)).stats
    assert stats.restarts == 1
    assert stats.messages["Fail", "crash"] == 1
    assert any("actor crashed" in record.message for record in caplog.records)


async def test_more_crashes_than_allowed_are_fatal(make_system: Any) -> None:
    system, (ref,), fatal = make_system(
        Parrot, policy=RestartPolicy(crashes=3, within=60, shortest=0.001, longest=0.002)
    )
    await system.start()
    for _ in range(4):
        ref.tell(Fail())
    await eventually(lambda: bool(fatal))
    assert fatal[0][0] == "parrot"
    with pytest.raises(ActorStopped):
        await ref.ask(Say("hello"), timeout=60)


async def test_crashes_long_ago_are_forgiven(make_system: Any) -> None:
    system, (ref,), fatal = make_system(
        Parrot, policy=RestartPolicy(crashes=1, within=0.05, shortest=0.001, longest=0.002)
    )
    await system.start()
    for _ in range(3):
        ref.tell(Fail())
        await asyncio.sleep(0.08)
    assert not fatal
    assert await ref.ask(Say("alive"), timeout=1) == "ALIVE"


def test_the_pause_between_restarts_doubles_is_capped_and_jittered() -> None:
    policy = RestartPolicy(shortest=0.1, longest=1.0)
    for crashes, full in ((1, 0.1), (2, 0.2), (3, 0.4), (10, 1.0)):
        pauses = {policy.pause(crashes) for _ in range(50)}
        assert all(full / 2 <= pause <= full for pause in pauses)
        assert len(pauses) > 1


class Recorder(Actor[Any]):
    capacity = 100

    def __init__(self, name: str, events: list[str], *, fails: bool = False) -> None:
        self.name = name  # type: ignore[misc]
        self.events = events
        self.fails = fails

    async def on_start(self) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            raise RuntimeError("no start")
        self.events.append(f"start {self.name}")

    async def receive(self, message: Any) -> None:
        await asyncio.sleep(0.001)
        self.events.append(f"{self.name} got {message}")

    async def on_stop(self) -> None:
        self.events.append(f"stop {self.name}")


async def test_actors_start_in_order_each_ready_before_the_next_and_stop_in_reverse(make_system: Any) -> None:
    events: list[str] = []
    system, _, _ = make_system(*(lambda name=name: Recorder(name, events) for name in "abc"))
    await system.start()
    assert await system.stop(1) == []
    assert events == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


async def test_a_stop_drains_what_waits(make_system: Any) -> None:
    events: list[str] = []
    system, (ref,), _ = make_system(lambda: Recorder("a", events))
    await system.start()
    for number in range(20):
        ref.tell(number)
    assert await system.stop(5) == []
    assert events[1:-1] == [f"a got {number}" for number in range(20)]


async def test_an_actor_that_cannot_start_stops_those_before_it(make_system: Any) -> None:
    events: list[str] = []
    system, _, fatal = make_system(lambda: Recorder("a", events), lambda: Recorder("b", events, fails=True))
    with pytest.raises(ActorStopped):
        await system.start()
    assert fatal[0][0] == "b"
    assert events == ["start a", "stop a"]


def test_two_actors_of_one_name_are_refused() -> None:
    async def build() -> None:
        system = ActorSystem(lambda *_: None)
        system.add(Parrot)
        system.add(Parrot)

    with pytest.raises(ValueError, match="two actors are named parrot"):
        asyncio.run(build())


class Clock(Actor[Any]):
    name = "clock"
    interval = 0.02

    def __init__(self) -> None:
        self.ticks = 0

    async def on_tick(self) -> None:
        self.ticks += 1

    async def receive(self, message: Any) -> int:
        return self.ticks


async def test_an_actor_with_an_interval_ticks_between_messages(make_system: Any) -> None:
    system, (ref,), _ = make_system(Clock)
    await system.start()
    before = next(iter(system)).stats.last_tick
    await eventually(lambda: next(iter(system)).stats.messages["Tick", "ok"] >= 3)
    assert await ref.ask(Say("how many"), timeout=1) >= 3
    assert next(iter(system)).stats.last_tick > before


class Gatherer(BatchActor[Any]):
    name = "gatherer"
    capacity = 1000
    batch = 10
    linger = 0.05

    def __init__(self, batches: list[list[Any]]) -> None:
        self.batches = batches

    async def receive_batch(self, messages: Sequence[Any]) -> Sequence[Any]:
        if any(isinstance(message, Fail) for message in messages):
            raise ValueError("bad batch")
        self.batches.append(list(messages))
        return [message.text for message in messages]


async def test_a_batch_actor_flushes_on_size_before_its_linger_is_over(
    make_system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gatherer, "linger", 20.0)
    batches: list[list[Any]] = []
    system, (ref,), _ = make_system(lambda: Gatherer(batches))
    await system.start()
    # Far less than it would linger.
    answers = await asyncio.gather(*(ref.ask(Say(str(number)), timeout=5) for number in range(10)))
    assert answers == [str(number) for number in range(10)]
    assert [len(batch) for batch in batches] == [10]


async def test_a_batch_actor_flushes_after_its_linger_when_the_batch_stays_small(make_system: Any) -> None:
    batches: list[list[Any]] = []
    system, (ref,), _ = make_system(lambda: Gatherer(batches))
    await system.start()
    started = asyncio.get_running_loop().time()
    assert await ref.ask(Say("alone"), timeout=1) == "alone"
    assert asyncio.get_running_loop().time() - started >= 0.045


async def test_a_batch_never_exceeds_its_weight(make_system: Any) -> None:
    batches: list[list[Any]] = []
    system, (ref,), _ = make_system(lambda: Gatherer(batches))
    await system.start()
    for number in range(8):
        ref.tell(Say(str(number)), weight=3)
    await eventually(lambda: sum(map(len, batches)) == 8)
    assert max(map(len, batches)) == 3


async def test_an_error_of_a_batch_goes_to_every_asker_of_it_and_the_actor_lives(make_system: Any) -> None:
    batches: list[list[Any]] = []
    system, (ref,), _ = make_system(lambda: Gatherer(batches))
    await system.start()
    questions = [ref.ask(Fail(), timeout=1), ref.ask(Say("beside it"), timeout=1)]
    answers = await asyncio.gather(*questions, return_exceptions=True)
    assert all(isinstance(answer, ValueError) for answer in answers)
    assert next(iter(system)).stats.restarts == 0


class Fragile(Actor[Any]):
    name = "fragile"
    capacity = 10_000

    def __init__(self, done: list[int], every: int) -> None:
        self.done = done
        self.every = every

    async def receive(self, message: int) -> None:
        if message % self.every == 0:
            raise RuntimeError(f"poison {message}")
        self.done.append(message)


@pytest.mark.parametrize("every", [3, 7, 50])
async def test_an_actor_that_crashes_on_every_nth_message_under_load_loses_only_those(
    make_system: Any, every: int
) -> None:
    done: list[int] = []
    policy = RestartPolicy(crashes=10_000, within=60, shortest=0.0001, longest=0.001)
    system, (ref,), fatal = make_system(lambda: Fragile(done, every), policy=policy)
    await system.start()

    async def sender(first: int) -> None:
        for number in range(first, 601, 4):
            ref.tell(number)
            if number % 10 == 0:
                await asyncio.sleep(0)

    await asyncio.gather(*(sender(first) for first in (1, 2, 3, 4)))
    expected = {number for number in range(1, 601) if number % every}
    await eventually(lambda: len(done) >= len(expected), 20)
    assert set(done) == expected
    assert len(done) == len(expected)
    assert next(iter(system)).stats.messages["int", "crash"] == 600 // every
    assert not fatal


async def test_statistics_count_messages_by_type_and_outcome_with_their_waiting_and_handling_time(
    make_system: Any,
) -> None:
    system, (ref,), _ = make_system(Parrot)
    await system.start()
    await ref.ask(Say("a"), timeout=1)
    with pytest.raises(ValueError, match="cannot"):
        await ref.ask(Fail(), timeout=1)
    stats = next(iter(system)).stats
    assert stats.messages == {("Say", "ok"): 1, ("Fail", "error"): 1}
    assert stats.handled == 2
    assert stats.waiting_seconds > 0
    assert stats.handling_seconds > 0


async def test_jobs_are_bounded_refused_beyond_and_closed_at_the_end() -> None:
    jobs = Jobs(limit=1, pending=2)
    await jobs.open()
    gate = asyncio.Event()
    finished: list[int] = []

    async def work(number: int) -> None:
        await gate.wait()
        finished.append(number)

    for number in range(3):
        await jobs.spawn(work(number))
    with pytest.raises(Overloaded):
        await jobs.spawn(work(3))
    assert (jobs.active, jobs.refused) == (1, 1)
    gate.set()
    await jobs.close(1)
    assert finished == [0, 1, 2]


async def test_a_failing_job_is_logged_and_counted_and_harms_nobody(caplog: Any) -> None:
    jobs = Jobs()
    await jobs.open()

    async def fail() -> None:
        raise ValueError("job went wrong")

    await jobs.spawn(fail())
    await eventually(lambda: jobs.failed == 1)
    await jobs.close(1)
    assert "job failed" in caplog.text
