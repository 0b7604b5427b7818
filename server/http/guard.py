"""Who may pass: access, scope and action limits of a route, looked at before its handler runs, in one place."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from server.errors import Forbidden, InsufficientScope, TooManyRequests, Unauthenticated, YojohanError
from server.http.route import Handler, Route
from server.identity import Principal
from server.meter import Meter
from server.rules.limits import Charge, Limit, address_key, token_key, user_key
from server.shared_meter import SharedMeter

PRINCIPAL = web.RequestKey("principal", Principal)
# Why the token that was sent does not count.
REFUSED = web.RequestKey("refused", YojohanError)
# What rate policies said of this request, for the headers of its answer.
CHARGES = web.RequestKey("charges", list[Charge])
ADDRESS = web.RequestKey("address", str)
# What caches are told of an answer for one person's eyes.
PERSONAL = "private, no-store"


def principal(request: web.BaseRequest) -> Principal:
    """Whoever asks; Unauthenticated if nobody has signed in."""
    if PRINCIPAL in request:
        return request[PRINCIPAL]
    raise request.get(REFUSED) or Unauthenticated("Sign in and send the access token as a Bearer token.")


def user_id(request: web.BaseRequest) -> int:
    """The id of whoever asks; Unauthenticated if nobody has signed in."""
    return principal(request).user_id


def viewer(request: web.BaseRequest) -> tuple[int | None, bool]:
    """Who looks at what may be private: their id, if they signed in, and whether they may see everything."""
    who = request.get(PRINCIPAL)
    if who is None:
        return None, False
    return who.user_id, who.holds("admin") and (who.scopes is None or "admin" in who.scopes)


def check(request: web.BaseRequest, route: Route) -> None:
    """Raise unless whoever asks may come here: Unauthenticated, InsufficientScope or Forbidden."""
    if route.access == "public" and REFUSED not in request and PRINCIPAL not in request:
        return
    who = principal(request)
    scope = route.needed_scope
    if who.scopes is not None and scope not in who.scopes:
        detail = "Only a session may do this." if scope == "session" else f"The token lacks the scope `{scope}`."
        raise InsufficientScope(detail, scope=scope)
    if route.access in ("moderator", "admin") and not who.holds(route.access):
        raise Forbidden("Your role does not allow this.")


def client_key(request: web.BaseRequest) -> int:
    """Whose quota a request uses: its API token's, its user's, else its address's."""
    who = request.get(PRINCIPAL)
    if who is None:
        return address_key(request[ADDRESS])
    return user_key(who.user_id) if who.token_id is None else token_key(who.token_id.bytes)


def charge(request: web.BaseRequest, meter: Meter, limit: Limit, key: int) -> None:
    """Take the request's cost from the key's quota; TooManyRequests with a true Retry-After if there is too little."""
    if limit.quota:
        _note(request, meter.charge(limit, key))


async def charge_shared(request: web.BaseRequest, meter: SharedMeter, limit: Limit, key: int) -> None:
    """The same, where instances share their counts."""
    if limit.quota:
        _note(request, await meter.charge(limit, key))


def _note(request: web.BaseRequest, verdict: Charge) -> None:
    request.setdefault(CHARGES, []).append(verdict)
    if not verdict.allowed:
        raise refusal(verdict)


def refusal(verdict: Charge) -> TooManyRequests:
    """The error that says what the limit is, and how long to wait."""
    limit = verdict.limit
    return TooManyRequests(
        f"At most {limit.quota} in {limit.window:g} seconds ({limit.name}).", retry_after=verdict.wait
    )


def guard(route: Route, meter: Meter, shared: SharedMeter | None = None) -> Handler:
    """The route's handler behind its guard; with a `shared` meter all instances decide together."""
    handler = route.handler
    if route.access == "operator":
        return handler
    charged: list[tuple[Limit, Callable[[web.BaseRequest], int]]] = []
    for name in route.limits:
        limit = meter.limits[name]
        # An account is known once the body was read, rows are counted where they are written.
        if limit.by != "account" and not limit.counted:
            charged.append((limit, client_key if limit.by == "client" else _by_address))

    async def guarded(request: web.Request) -> web.StreamResponse:
        if route.access != "open" and not (route.by_ticket and request.query.get("ticket")):
            check(request, route)
        for limit, key in charged:
            if shared is None:
                charge(request, meter, limit, key(request))
            else:
                await charge_shared(request, shared, limit, key(request))
        answer = await handler(request)
        if route.personal:
            answer.headers["Cache-Control"] = PERSONAL
        return answer

    return guarded


def _by_address(request: web.BaseRequest) -> int:
    return address_key(request[ADDRESS])
