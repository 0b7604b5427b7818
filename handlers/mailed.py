"""What goes by mail: addresses confirmed, passwords set anew."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from aiohttp import web

from server.errors import Fault, Unprocessable
from server.http.answer import plain
from server.http.charging import take
from server.http.guard import CHARGES, refusal, user_id
from server.http.parse import decode, read_body, require_json
from server.keys import DATABASE, HASHER, IDENTITIES
from server.revoking import mark
from server.rules.accounts import email_key
from server.rules.limits import account_key
from server.rules.passwords import weakness
from server.schemas.mailed import FORGOT, RESENT, ForgotRequest, ResetRequest, VerifyRequest
from sql import accounts, mailed
from sql.outbox import Event, publish

VERIFY = msgspec.json.Decoder(VerifyRequest)
FORGOTTEN = msgspec.json.Decoder(ForgotRequest)
RESET = msgspec.json.Decoder(ResetRequest)
PER_ADDRESS = "password-reset-account"


async def verify_email(request: web.Request) -> web.StreamResponse:
    """POST /auth/verify"""
    require_json(request)
    token = decode(VERIFY, await read_body(request)).token
    async with request.app[DATABASE].transaction() as conn:
        owner = await mailed.take_token(conn, _digest(token), "verify")
        if owner is None:
            raise _bad_token()
        await mailed.verify_address(conn, owner)
    return web.Response(status=204)


async def resend_verification(request: web.Request) -> web.StreamResponse:
    """POST /auth/verify/resend"""
    owner = user_id(request)
    async with request.app[DATABASE].connection() as conn:
        address = await mailed.unverified_address(conn, owner)
    if address is not None:
        await _charge(request, address)
        async with request.app[DATABASE].transaction() as conn:
            await publish(conn, [Event("mail", f"user:{owner}", {"kind": "verify"}, owner)])
    return plain({"detail": RESENT}, status=202)


async def forgot_password(request: web.Request) -> web.StreamResponse:
    """POST /auth/password/forgot"""
    require_json(request)
    key = email_key(decode(FORGOTTEN, await read_body(request)).email)
    if "\x00" in key:
        raise Unprocessable("Some values do not fit.", faults=[Fault("/email", "This is not an e-mail address.")])
    await _charge(request, key)
    async with request.app[DATABASE].transaction() as conn:
        await mailed.ask_for_reset(conn, key)
    return plain({"detail": FORGOT}, status=202)


async def reset_password(request: web.Request) -> web.StreamResponse:
    """POST /auth/password/reset"""
    require_json(request)
    wanted = decode(RESET, await read_body(request))
    app, digest = request.app, _digest(wanted.token)
    async with app[DATABASE].connection() as conn:
        owner = await mailed.owner_of_token(conn, digest)
    if owner is None:
        raise _bad_token()
    if (fault := weakness(wanted.new_password, owner.username, owner.email)) is not None:
        raise Unprocessable("Some values do not fit.", faults=[Fault("/new_password", fault)])
    # No connection is held while this waits for its turn.
    hashed = await app[HASHER].hash(wanted.new_password)
    async with app[DATABASE].transaction() as conn:
        taken = await mailed.take_token(conn, digest, "reset")
        if taken is None:
            raise _bad_token()
        version = await accounts.set_password(conn, taken, hashed)
    mark(app[IDENTITIES].revocations, versions={taken: version})
    return web.Response(status=204)


async def _charge(request: web.Request, address: str) -> None:
    verdict = await take(request, PER_ADDRESS, account_key(address))
    request.setdefault(CHARGES, []).append(verdict)
    if not verdict.allowed:
        raise refusal(verdict)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _bad_token() -> Unprocessable:
    fault = Fault("/token", "Is not valid, has expired or was used already.")
    return Unprocessable("This token does not count.", faults=[fault])
