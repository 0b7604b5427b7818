"""The edge: what every request passes. Request id, errors, CORS, metrics, log line; and the short way for hot answers.

It stands before the application rather than in a stack of middlewares: each of those costs about three percent.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, cast

from aiohttp import hdrs, web

from server.cache import ResponseCache
from server.errors import BodyTooLarge, DeadlineExceeded, Overloaded, YojohanError
from server.gate import Gate
from server.http import problems, quotas, ready
from server.http.answer import Answer, raw, send
from server.http.client import ClientAddress
from server.http.cors import Origins
from server.http.gated import PLACE, Refusals, queued
from server.http.guard import ADDRESS, CHARGES, PERSONAL, PRINCIPAL, REFUSED, refusal
from server.http.parse import LARGEST_BODY
from server.http.ready import Ready
from server.http.request_paths import LoggedPaths
from server.http.route import Route
from server.http.toll import Passing, Toll
from server.http.uploads import LARGEST_UPLOAD
from server.identity import Identities, Principal
from server.logs import RequestLog
from server.meter import Meter
from server.metrics import Metrics, RouteStats
from server.rules.limits import Charge, Limit
from server.rules.load import Kind, kind_of

log = logging.getLogger("yojohan.http")

SANE_REQUEST_ID = re.compile(r"^[A-Za-z0-9._\-]{8,128}$")
LONGEST_TARGET = 500
MOST_TARGETS = 8192
WITH_BODY = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
Serve = Callable[[Any], Awaitable[web.StreamResponse]]
# The JSON for whoever may ask at all, from memory; None: the long way has to answer.
AtOnce = Callable[[Principal], bytes | None]
# What the cache calls an answer that took the work it usually takes.
FRESHLY_MADE = ("none", "miss")


class Edge:
    """Holds what both of its ways write to; `routes` maps aiohttp's routes to their slots of the metrics.

    A request comes to `front`. If its exact target (path and query) led to a cached body before, and that body is
    still fresh, it is answered at once: no routing, no parsing. Everything else takes the way through the
    application, and where a target led is remembered.
    """

    def __init__(
        self,
        metrics: Metrics,
        request_log: RequestLog,
        clients: ClientAddress,
        cors_origins: Sequence[str],
        cache: ResponseCache,
        identities: Identities,
        meter: Meter,
        general: Limit,
        gate: Gate,
    ) -> None:
        self.routes: dict[web.AbstractRoute, RouteStats] = {}
        # The paths that take files.
        self.uploads: list[re.Pattern[str]] = []
        self._metrics = metrics
        self._log = request_log
        self._clients = clients
        self._origins = Origins(cors_origins)
        self._cache = cache
        self._identities = identities
        self.toll = Toll(meter, general, clients)
        self._gate = self.gate = gate
        self.refusals = Refusals()
        self._unmatched = metrics.route("*", "unmatched")
        self._paths = LoggedPaths(self._unmatched, self.routes)
        # The key a target led to, and whether it did so for visitors only.
        self._targets: dict[str, tuple[Hashable, RouteStats, bool]] = {}
        self._personal: dict[str, tuple[Route, AtOnce, RouteStats]] = {}

    def answer_at_once(self, route: Route, answer: AtOnce, stats: RouteStats) -> None:
        """Give a personal GET without parameters the short way, too; its `answer` must be the handler's own."""
        self._personal[route.path] = (route, answer, stats)

    def front(self, application: Serve) -> Serve:
        """The way in: everything the application raises is answered here, too."""

        async def front(request: web.Request) -> web.StreamResponse:
            started = perf_counter()
            if request.method == hdrs.METH_GET:
                response = await self._from_memory(request, started)
                if response is not None:
                    # To aiohttp it is what the protocol writes; nothing else looks at it.
                    return cast("web.StreamResponse", response)
            return await self._serve(request, application, started)

        return front

    async def _from_memory(self, request: web.Request, started: float) -> Ready | Answer | None:
        known = self._targets.get(request.raw_path)
        if known is None:
            personal = self._personal.get(request.raw_path)
            return None if personal is None else await self._at_once(request, *personal, started)
        key, stats, anonymous_only = known
        header = request.headers.get("Authorization")
        # What only visitors get is for nobody who says who they are.
        entry = None if anonymous_only and header is not None else self._cache.get(key)
        if entry is None:
            return None
        passes = self._may_pass(request, header, stats)
        if not (passes is True or (passes is not False and await passes)):
            return None
        if header is None and not self._origins and ready.fits(request):
            hit = ready.hit(request, self._cache, entry)
            self._send_off(request, hit, stats, started)
            return hit
        response = send(request, self._cache, entry, "hit")
        self._finish(request, response, stats, self._request_id(request), started)
        return response

    def _may_pass(self, request: web.Request, header: str | None, stats: RouteStats) -> Passing:
        """Charge a hot request; False if the long way has to answer (a token not seen yet, a quota used up)."""
        who = None
        if header is not None:
            who = self._identities.known(header)
            if who is None:
                return False
            request[PRINCIPAL] = who
        return self.toll.charge(request, who, stats.route)

    async def _at_once(
        self, request: web.Request, route: Route, answer: AtOnce, stats: RouteStats, started: float
    ) -> Ready | Answer | None:
        """A personal answer for somebody known; None if the long way has to answer."""
        header = request.headers.get("Authorization")
        who = self._identities.known(header) if header is not None else None
        if who is None or (who.scopes is not None and route.needed_scope not in who.scopes):
            return None
        body = answer(who)
        if body is None:
            return None
        request[PRINCIPAL] = who
        passes = self.toll.charge(request, who, stats.route)
        if not (passes is True or (passes is not False and await passes)):
            return None
        if self._origins or not ready.fits(request):
            response = raw(body, headers={"Cache-Control": PERSONAL})
            response.cache = "hit"
            self._finish(request, response, stats, self._request_id(request), started)
            return response
        own = ready.personal(body)
        self._send_off(request, own, stats, started)
        return own

    def _send_off(self, request: web.Request, hit: Ready, stats: RouteStats, started: float) -> None:
        """What `_finish` does, for an answer whose bytes are ready."""
        request_id = self._request_id(request)
        hit.finish(request_id, request.get(CHARGES, ()))
        seconds = perf_counter() - started
        stats.observe(hit.status, seconds)
        if self._log.enabled:
            self._write_line(request, stats, request_id, hit.status, seconds, len(hit.body), "hit")

    async def _serve(self, request: web.Request, application: Serve, started: float) -> web.StreamResponse:
        request_id = self._request_id(request)
        early = self._before_routing(request, request_id)
        if early is not None:
            self._finish(request, early, self._unmatched, request_id, started)
            return early
        kind, anonymous = kind_of(request.method, request.raw_path), "Authorization" not in request.headers
        place = self._gate.enter(kind, anonymous=anonymous) or await queued(
            self._gate, request, kind, anonymous=anonymous
        )
        if place is None:
            return await self._turn_away(request, request_id, started)
        request[PLACE] = place
        self._metrics.in_flight += 1
        try:
            response = await self._answer(request, application, request_id)
        finally:
            self._metrics.in_flight -= 1
            self._gate.leave(place)
        # Refused before it was routed, a request belongs to no route.
        matched = request._match_info  # noqa: SLF001 - the property asserts that there is one
        stats = self._unmatched if matched is None else self.routes.get(matched.route, self._unmatched)
        self._finish(request, response, stats, request_id, started)
        if response.status < 400 and getattr(response, "cache", "none") in FRESHLY_MADE:
            self._gate.observe(place, stats)
        if isinstance(response, Answer) and response.key is not None and request.method == hdrs.METH_GET:
            self._remember(request.raw_path, response.key, stats, anonymous_only=response.anonymous_only)
        return response

    def refuse_at_once(self, method: str, target: str, headers: Mapping[str, str]) -> bytes | None:
        """The answer to a request without a body that has no chance, before anything is made of it; else None."""
        if method in (hdrs.METH_HEAD, hdrs.METH_OPTIONS) or target[:1] != "/" or target in self._personal:
            return None
        # What memory may answer, and what browsers have to be told more of.
        known = self._targets.get(target)
        if known is not None and self._cache.holds(known[0]):
            return None
        kind = kind_of(method, target)
        if (self._origins and "Origin" in headers) or not self._gate.turns_away(kind) or self.refusals.through():
            return None
        self._gate.rejected[kind, "full"] += 1
        self._unmatched.observe(Overloaded.status, 0.0)
        sent = headers.get("X-Request-ID")
        return self.refusals.raw(target, sent if sent and SANE_REQUEST_ID.match(sent) else self._new_id())

    async def _turn_away(self, request: web.Request, request_id: str, started: float) -> web.StreamResponse:
        """The answer without a place: what the cache had before if it had anything (stale-if-error), else 503."""
        known = self._targets.get(request.raw_path) if request.method == hdrs.METH_GET else None
        header = request.headers.get("Authorization")
        if known is not None and known[2] and header is not None:
            known = None
        if known is not None and (entry := self._cache.stale(known[0])) is not None:
            passes = self._may_pass(request, header, known[1])
            if passes is True or (passes is not False and await passes):
                kept = send(request, self._cache, entry, "stale")
                self._finish(request, kept, known[1], request_id, started)
                return kept
        response = self.refusals.answer(request, request_id)
        logged = self._log.enabled and self.refusals.worth_a_line()
        self._finish(request, response, self._unmatched, request_id, started, logged=logged)
        return response

    def _remember(self, target: str, key: Hashable, stats: RouteStats, *, anonymous_only: bool) -> None:
        if len(target) <= LONGEST_TARGET:
            if len(self._targets) >= MOST_TARGETS:
                # Refilled by the next requests; keeping an order would cost every hit something.
                self._targets.clear()
            self._targets[target] = (key, stats, anonymous_only)

    @staticmethod
    def _request_id(request: web.BaseRequest) -> str:
        sent = request.headers.get("X-Request-ID")
        if sent is not None and SANE_REQUEST_ID.match(sent):
            return sent
        return Edge._new_id()

    @staticmethod
    def _new_id() -> str:
        # Unique, not secret.
        return f"{random.getrandbits(128):032x}"

    def refuse(self, error: YojohanError) -> web.Response:
        """The answer to what the HTTP parser would not take; there is no request to tell anything about."""
        self._metrics.parse_errors += 1
        request_id = self._new_id()
        answer = problems.response(error, "", request_id)
        answer.headers["X-Request-ID"] = request_id
        answer.headers["Server"] = "Yojohan"
        return answer

    def _before_routing(self, request: web.Request, request_id: str) -> web.Response | None:
        """The answer to what needs no route: a body announced as too large, a browser's preflight. Else None."""
        if request.method in WITH_BODY and (request.content_length or 0) > (most := self._largest_body(request)):
            error = BodyTooLarge(f"At most {most} bytes are taken here.")
            return problems.response(error, _instance(request), request_id)
        return self._origins.preflight(request)

    def _largest_body(self, request: web.Request) -> int:
        """How many bytes this target takes."""
        if (request.content_length or 0) <= LARGEST_BODY:
            return LARGEST_BODY
        return LARGEST_UPLOAD if any(target.fullmatch(request.path) for target in self.uploads) else LARGEST_BODY

    async def _answer(self, request: web.Request, application: Serve, request_id: str) -> web.StreamResponse:
        try:
            await self._identify(request)
            return await application(request)
        except YojohanError as error:
            if error.status >= 500 and error.__cause__ is not None:
                reason = repr(error.__cause__)[:200]
                log.warning("unavailable", extra={"request_id": request_id, "code": error.code, "reason": reason})
            return problems.response(error, _instance(request), request_id)
        except web.HTTPException as raised:
            ours = problems.from_aiohttp(raised)
            return raised if ours is None else problems.response(ours, _instance(request), request_id)
        except TimeoutError:
            # Left alone, aiohttp answers an empty 504 and logs nothing.
            late = DeadlineExceeded("This took too long.", retry_after=2)
            return problems.response(late, _instance(request), request_id)
        except Exception:
            log.exception("request failed", extra={"request_id": request_id, "method": request.method})
            ours = YojohanError("This is our fault; it has been written down.")
            return problems.response(ours, _instance(request), request_id)

    async def _identify(self, request: web.Request) -> None:
        """Find out who asks, and charge them. Whether a token that does not count matters is for the route to say."""
        request[ADDRESS] = self._clients.of(request)
        header = request.headers.get("Authorization")
        # Nothing is looked up, and so waited for, where only the process is asked whether it turns.
        known = PRINCIPAL in request or request[PLACE].kind is Kind.LIVE
        # Another scheme is another's business: a proxy's password in front of us, say.
        if header is not None and not known and header[:7].lower() == "bearer ":
            try:
                request[PRINCIPAL] = await self._identities.of(header)
            except YojohanError as error:
                # Also when the database that knows API tokens is away: public answers need no token.
                request[REFUSED] = error
        if CHARGES in request:
            # Refused on the short way.
            raise refusal(request[CHARGES][-1])
        # The path as routes see it: `/%61pi/` leads there, too, and so does a target with a host in it.
        await self.toll.take(request, request.path)

    def _finish(
        self, request: web.BaseRequest, response: web.StreamResponse, stats: RouteStats, request_id: str,
        started: float, *, logged: bool = True,
    ) -> None:  # fmt: skip
        seconds = perf_counter() - started
        if response.prepared:
            # A stream: it was dressed and counted when it began, and how long it lasted is no time to an answer.
            request_id = response.headers["X-Request-ID"]
        else:
            self._dress(request, response, request_id)
            stats.observe(response.status, seconds)
        if not (logged and self._log.enabled):
            return
        body = getattr(response, "body", None)
        size = len(body) if isinstance(body, bytes) and request.method != hdrs.METH_HEAD else 0
        how = getattr(response, "cache", "none")
        self._write_line(request, stats, request_id, response.status, seconds, size, how)

    def _write_line(
        self, request: web.BaseRequest, stats: RouteStats, request_id: str, status: int, seconds: float, size: int,
        how: str,
    ) -> None:  # fmt: skip
        address = request.get(ADDRESS)
        self._log.line(
            request_id,
            who.user_id if (who := request.get(PRINCIPAL)) is not None else None,
            request.method,
            self._paths.of(request.path, stats),
            stats.route,
            status,
            seconds,
            size,
            how,
            self._clients.for_log(self._clients.of(request) if address is None else address),
        )

    def _dress(self, request: web.BaseRequest, response: web.StreamResponse, request_id: str) -> None:
        """The headers of every answer."""
        headers = response.headers
        headers["X-Request-ID"] = request_id
        headers["Server"] = "Yojohan"
        if self._origins:
            self._origins.allow(request, headers)
        if CHARGES in request and not headers.get("Cache-Control", "").startswith("public"):
            charges: list[Charge] = request[CHARGES]
            headers.update(quotas.headers(charges))

    @contextmanager
    def streaming(self, request: web.Request, response: web.StreamResponse, started: float) -> Iterator[None]:
        """Around an answer that goes on for long: entered before its headers go, and counted there as answered."""
        self._gate.step_out(request[PLACE], "streams")
        self._dress(request, response, self._request_id(request))
        stats = self.routes.get(request.match_info.route, self._unmatched)
        stats.observe(response.status, perf_counter() - started)
        self._metrics.in_flight -= 1
        try:
            yield
        finally:
            self._metrics.in_flight += 1


def _instance(request: web.BaseRequest) -> str:
    # A URI reference: escaped as it was sent, so that no line break or odd character gets into a problem document.
    return request.rel_url.raw_path
