"""Keeps one actor alive: runs it, starts it anew after a crash with jittered backoff, gives up after too many.

The mailbox outlives the actor; the message that crashed it does not (it is logged and counted). What nobody will
handle any more is answered ActorStopped, so that every `ask` ends.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from actors.base import Actor, ActorRef, BatchActor, Envelope, Mailbox, Stats
from server.errors import ActorStopped

log = logging.getLogger("yojohan.actors")

# How long ticks are put off under pressure, in seconds: what deletes and counts must not stop for ever. And how often
# somebody looks whether it is over.
PATIENCE = 600.0
LOOK_AGAIN = 2.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """More than `crashes` in `within` seconds is fatal; the pause between restarts doubles up to `longest` seconds."""

    crashes: int = 10
    within: float = 60.0
    shortest: float = 0.05
    longest: float = 5.0

    def pause(self, recent_crashes: int) -> float:
        """Seconds to wait after this many crashes in a row, with jitter so that actors do not march in step."""
        full = min(self.longest, self.shortest * 2.0 ** (recent_crashes - 1))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secrecy


class Supervisor:
    """One actor with its mailbox, statistics and task."""

    def __init__(
        self,
        factory: Callable[[], Actor[Any]],
        policy: RestartPolicy,
        on_fatal: Callable[[str, BaseException], None],
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._factory = factory
        self._policy = policy
        self._on_fatal = on_fatal
        # Whether the server is under so much pressure that background work should wait.
        self._pressed = pressed
        self._put_off_since: float | None = None
        self.actor = factory()
        self.name = self.actor.name
        self.mailbox = Mailbox(self.actor.capacity, self.actor.capacity_bytes)
        self.stats = Stats()
        self.ref: ActorRef[Any] = ActorRef(self.name, self.mailbox, self.stats)
        self._crashes: deque[float] = deque()
        self._in_hand: Sequence[Envelope] = ()
        self._tick_due = False
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, timeout: float) -> None:
        """Start the actor and wait until it is ready; TimeoutError if it is not in time."""
        self._task = asyncio.create_task(self._keep_alive(), name=f"actor:{self.name}")
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            raise ActorStopped(f"The actor {self.name} did not start.")

    async def stop(self, grace: float) -> bool:
        """Take no more, handle what waits, then stop; False if that was not done within `grace` seconds."""
        self.mailbox.close()
        self._stopping.set()
        if self._task is None:
            return True
        _, unfinished = await asyncio.wait((self._task,), timeout=grace)
        if unfinished:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1.0)
        return not unfinished

    async def _keep_alive(self) -> None:
        try:
            while not await self._run_or_crash():
                pass
        finally:
            self.mailbox.close()
            self._refuse_the_rest()

    async def _run_or_crash(self) -> bool:
        """True when it is over: an orderly stop, or one crash too many."""
        try:
            await self._run()
            return True
        except Exception as error:  # noqa: BLE001 - whatever kills an actor is the supervisor's business
            recent = self._note_crash(error)
            if recent > self._policy.crashes:
                log.critical("actor crashed too often, giving up", extra={"actor": self.name, "crashes": recent})
                self._on_fatal(self.name, error)
                return True
        self.stats.restarts += 1
        await self._pause(self._policy.pause(recent))
        if self._stopping.is_set() and not self._ready.is_set():
            # It never started, so there is nothing it could drain.
            return True
        self.actor = self._factory()
        return False

    def _note_crash(self, error: Exception) -> int:
        log.error("actor crashed", extra={"actor": self.name}, exc_info=error)
        now = perf_counter()
        self._crashes.append(now)
        while self._crashes[0] < now - self._policy.within:
            self._crashes.popleft()
        return len(self._crashes)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _run(self) -> None:
        actor = self.actor
        await actor.on_start()
        self._ready.set()
        clock = self._schedule_tick(actor.interval if actor.first_tick is None else actor.first_tick)
        batch = actor.batch if isinstance(actor, BatchActor) else 1
        linger = actor.linger if isinstance(actor, BatchActor) else 0.0
        try:
            while await self.mailbox.wait(batch, linger, lambda: self._tick_due):
                if self._tick_due:
                    if self._waits(actor):
                        clock = self._schedule_tick(LOOK_AGAIN)
                        continue
                    await self._tick()
                    clock = self._schedule_tick(actor.interval)
                elif isinstance(actor, BatchActor):
                    await self._handle_batch(actor, self.mailbox.take(batch))
                else:
                    await self._handle(actor, self.mailbox.take(1)[0])
            await actor.on_stop()
        finally:
            if clock is not None:
                clock.cancel()

    def _schedule_tick(self, seconds: float | None) -> asyncio.TimerHandle | None:
        self._tick_due = False
        return None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._mark_tick)

    def _mark_tick(self) -> None:
        self._tick_due = True
        self.mailbox.wake()

    def _waits(self, actor: Actor[Any]) -> bool:
        """Whether this tick is put off. One that waits is alive: its last tick is now."""
        now = perf_counter()
        waits = actor.yields_to_pressure and self._pressed()
        if waits and self._put_off_since is None:
            self._put_off_since = now
        waits = waits and now - (self._put_off_since or now) < PATIENCE
        self.stats.paused = waits
        if waits:
            self.stats.put_off += 1
            self.stats.last_tick = now
        else:
            self._put_off_since = None
        return waits

    async def _tick(self) -> None:
        started = perf_counter()
        try:
            await self.actor.on_tick()
        except Exception:
            self.stats.messages["Tick", "crash"] += 1
            raise
        self.stats.messages["Tick", "ok"] += 1
        self.stats.last_tick = perf_counter()
        self.stats.handled += 1
        self.stats.handling_seconds += self.stats.last_tick - started

    async def _handle(self, actor: Actor[Any], envelope: Envelope) -> None:
        kind = type(envelope.message).__name__
        if envelope.abandoned:
            # Whoever asked has been told that it failed; doing it after all would surprise them.
            self.stats.messages[kind, "abandoned"] += 1
            return
        started = self._take_in_hand((envelope,))
        try:
            answer = await actor.receive(envelope.message)
        except Exception as error:
            self._failed((envelope,), error)
            if envelope.reply is None:
                raise
        else:
            envelope.answer(answer)
            self.stats.messages[kind, "ok"] += 1
        finally:
            self.stats.handling_seconds += perf_counter() - started
        self._in_hand = ()

    async def _handle_batch(self, actor: BatchActor[Any], taken: Sequence[Envelope]) -> None:
        envelopes = [envelope for envelope in taken if not envelope.abandoned]
        kind = type(taken[0].message).__name__
        self.stats.messages[kind, "abandoned"] += len(taken) - len(envelopes)
        if not envelopes:
            return
        started = self._take_in_hand(envelopes)
        actor.in_hand = envelopes
        try:
            answers = await actor.receive_batch([envelope.message for envelope in envelopes])
        except Exception as error:
            self._failed(envelopes, error)
            if any(envelope.reply is None for envelope in envelopes):
                raise
        else:
            for envelope, answer in zip(envelopes, answers, strict=True):
                envelope.answer(answer)
            self.stats.messages[kind, "ok"] += len(envelopes)
        finally:
            self.stats.handling_seconds += perf_counter() - started
            actor.in_hand = ()
        self._in_hand = ()

    def _take_in_hand(self, envelopes: Sequence[Envelope]) -> float:
        now = perf_counter()
        self._in_hand = envelopes
        self.stats.handled += len(envelopes)
        self.stats.waiting_seconds += sum(now - envelope.arrived for envelope in envelopes)
        return now

    def _failed(self, envelopes: Sequence[Envelope], error: Exception) -> None:
        for envelope in envelopes:
            outcome = "crash" if envelope.reply is None else "error"
            self.stats.messages[type(envelope.message).__name__, outcome] += 1
            envelope.refuse(error)
        self._in_hand = ()

    def _refuse_the_rest(self) -> None:
        leftover = list(self._in_hand)
        while len(self.mailbox):
            leftover += self.mailbox.take(2**62)
        self._in_hand = ()
        for envelope in leftover:
            self.stats.messages[type(envelope.message).__name__, "stopped"] += 1
            envelope.refuse(ActorStopped("The server is stopping."))
