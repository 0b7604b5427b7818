"""Reading a request: its body within limits of size and time, its query, its path; every fault named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import fields

from server.errors import (
    BodyTooLarge,
    Fault,
    MalformedBody,
    NotFound,
    Unprocessable,
    UnsupportedMediaType,
    YojohanError,
)
from server.http.faults import all_faults
from server.http.gated import apart

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

LARGEST_BODY = 2**20
# A body must keep coming: this long for the first bytes, and then at least this many bytes a second.
BODY_PATIENCE = 10.0
SLOWEST_BODY = 16_384
# The deepest that pages by number lead: page × limit.
DEEPEST = 10_000
# For paths: `{id:UUID_PATTERN}`, which the OpenAPI document shows as a UUID.
UUID_PATTERN = "[0-9a-fA-F-]{36}"
JSON_TYPES = ("application/json", "text/json", "application/x-ndjson")


class RequestTimeout(YojohanError):
    """The body did not arrive in time"""

    status = 408
    code = "request_timeout"


@asynccontextmanager
async def paced() -> AsyncIterator[Callable[[int], None]]:
    """Around reading a body: TimeoutError as soon as it is slower than it may be, however much there is to come;
    MalformedBody where the connection ends before it does.

    What it gives is to be told how many bytes have come.
    """
    async with asyncio.timeout(BODY_PATIENCE) as deadline:

        def came(size: int) -> None:
            due = deadline.when()
            if due is not None and not deadline.expired():
                deadline.reschedule(due + size / SLOWEST_BODY)

        try:
            yield came
        except ConnectionError:
            # Nobody reads the answer; the log should not call this a fault of ours.
            raise MalformedBody("The connection was closed before the end of the body.") from None


async def read_body(request: web.Request, largest: int = LARGEST_BODY) -> bytes:
    """The body. BodyTooLarge from its announced length, before it is read; RequestTimeout if it drips."""
    announced = request.content_length
    if announced is not None and announced > largest:
        raise BodyTooLarge(f"At most {largest} bytes are taken here.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    if not request.content.is_eof():
        # The packet behind the headers is often here already: in one turn the loop sees it, in the next we do.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    if request.content.is_eof():
        return await request.read()
    try:
        async with apart(request, "bodies"), paced() as came:
            return await _read(request, largest, came)
    except TimeoutError:
        raise RequestTimeout("Send the body faster.") from None


async def _read(request: web.Request, largest: int, came: Callable[[int], None]) -> bytes:
    body = bytearray()
    while portion := await request.content.readany():
        body += portion
        if len(body) > largest:
            raise BodyTooLarge(f"At most {largest} bytes are taken here.")
        came(len(portion))
    return bytes(body)


def require_json(request: web.Request) -> None:
    """UnsupportedMediaType unless the body says it is JSON (or says nothing)."""
    said = request.headers.get("Content-Type")
    if said is None:
        return
    kind = said.partition(";")[0].strip().lower()
    if kind not in JSON_TYPES and not kind.endswith("+json"):
        raise UnsupportedMediaType("Send application/json.")


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as the decoder's type. MalformedBody if it is no JSON, Unprocessable with all faults if it is unfit."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise Unprocessable("Some values do not fit.", faults=all_faults(loosely(body), decoder.type)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed(error) from None


def malformed(error: Exception) -> MalformedBody:
    """The error for a body that is not JSON; the decoder's words name a byte position, never content."""
    if isinstance(error, RecursionError):
        return MalformedBody("The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return MalformedBody("The body is not UTF-8.")
    return MalformedBody(str(error) or "The body is not valid JSON.")


def loosely(body: bytes) -> Any:
    """The body as plain JSON values."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed(error) from None


def query(request: web.Request, wanted: type[S]) -> S:
    """The query parameters as a `wanted`; a field of a list type may be repeated or comma-separated."""
    given = request.query
    if not given:
        # Only a structure with a field that has to be there refuses this: then all of them are told below.
        with suppress(TypeError):
            return wanted()
    values: dict[str, Any] = {}
    for name, takes_many in _parameters(wanted):
        if name not in given:
            continue
        if takes_many:
            values[name] = [part for text in given.getall(name) for part in text.split(",") if part]
        else:
            values[name] = given.getall(name)[-1]
    try:
        return msgspec.convert(values, wanted, strict=False, str_keys=True)
    except msgspec.ValidationError:
        raise Unprocessable("Some parameters do not fit.", faults=all_faults(values, wanted, strict=False)) from None


@cache
def _parameters(wanted: type[Struct]) -> tuple[tuple[str, bool], ...]:
    """The names of its fields and which are lists. Looked up once: that takes longer than all the rest."""
    return tuple((item.encode_name, "list[" in str(item.type)) for item in fields(wanted))


def path_id(request: web.Request, name: str = "id") -> int:
    """A number in the path; NotFound for anything that cannot be an id."""
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise NotFound
    return int(text)


def path_uuid(request: web.Request, name: str = "id") -> UUID:
    """A UUID in the path; NotFound for anything else."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise NotFound from None


def check_depth(limit: int, page: int, deepest: int = DEEPEST) -> None:
    """Unprocessable, naming the cursor, where `page × limit` leads too deep."""
    if page * limit > deepest:
        raise Unprocessable(
            f"page × limit is at most {deepest:,}; follow the cursor in `next` to read on.",
            faults=[Fault("/page", "Too deep; use `cursor`, as `next` gives it.")],
        )
