"""Every error this server raises on purpose, and how a client sees it.

    YojohanError                      500 internal_error
    ├── BadRequest                    400 bad_request
    │   └── MalformedBody             400 malformed_body
    ├── Unauthenticated               401 unauthenticated
    ├── Forbidden                     403 forbidden
    │   └── InsufficientScope         403 insufficient_scope
    ├── NotFound                      404 not_found
    ├── MethodNotAllowed              405 method_not_allowed
    ├── NotAcceptable                 406 not_acceptable
    ├── Conflict                      409 conflict
    ├── PreconditionFailed            412 precondition_failed
    ├── BodyTooLarge                  413 body_too_large
    ├── UnsupportedMediaType          415 unsupported_media_type
    ├── RangeNotSatisfiable           416 range_not_satisfiable
    ├── Unprocessable                 422 unprocessable
    ├── TooManyRequests               429 too_many_requests      (Retry-After)
    └── Unavailable                   503 unavailable            (Retry-After)
        ├── Overloaded                503 overloaded
        │   └── MailboxFull           503 mailbox_full
        ├── DeadlineExceeded          503 deadline_exceeded
        ├── ActorStopped              503 actor_stopped
        └── DatabaseUnavailable       503 database_unavailable

    SettingsError, MigrationError, ClusterError: a command stops with this message; no client ever sees them.

The docstring of a class is the `title` of its problem document (RFC 9457), `code` is what programs compare,
and the message given to the constructor is the `detail`. Only these messages reach a client: whatever else is
raised becomes a bare YojohanError at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One bad value of a request: a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter."""

    pointer: str
    detail: str


class YojohanError(Exception):
    """Something went wrong inside the server"""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self, detail: str = "", *, headers: Mapping[str, str] | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(detail or self.title())
        self.detail = detail
        self.headers = dict(headers or {})
        self.faults = tuple(faults)

    @classmethod
    def title(cls) -> str:
        """The first line of the class's docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class BadRequest(YojohanError):
    """The request is not well-formed"""

    status = 400
    code = "bad_request"


class MalformedBody(BadRequest):
    """The body is not valid JSON"""

    code = "malformed_body"


class Unauthenticated(YojohanError):
    """This needs a valid access token"""

    status = 401
    code = "unauthenticated"

    def __init__(self, detail: str = "", *, error: str = "") -> None:
        # RFC 6750: `error` says what is wrong with a token, and is absent where there was none.
        said = f', error="{error}"' if error else ""
        super().__init__(detail, headers={"WWW-Authenticate": f'Bearer realm="yojohan"{said}'})


class Forbidden(YojohanError):
    """You may see this but not change it"""

    status = 403
    code = "forbidden"


class InsufficientScope(Forbidden):
    """This token may not do that"""

    code = "insufficient_scope"

    def __init__(self, detail: str = "", *, scope: str = "") -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = f'Bearer realm="yojohan", error="insufficient_scope", scope="{scope}"'


class NotFound(YojohanError):
    """There is nothing here"""

    status = 404
    code = "not_found"


class MethodNotAllowed(YojohanError):
    """This address does not take that method"""

    status = 405
    code = "method_not_allowed"


class NotAcceptable(YojohanError):
    """None of the accepted formats can be made"""

    status = 406
    code = "not_acceptable"


class Conflict(YojohanError):
    """This contradicts what is already there"""

    status = 409
    code = "conflict"


class PreconditionFailed(YojohanError):
    """The object has changed since you read it"""

    status = 412
    code = "precondition_failed"


class BodyTooLarge(YojohanError):
    """The body is larger than this address takes"""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(YojohanError):
    """The body is of a type this address does not take"""

    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(YojohanError):
    """The requested range lies outside the content"""

    status = 416
    code = "range_not_satisfiable"


class Unprocessable(YojohanError):
    """The request is well-formed but holds bad values"""

    status = 422
    code = "unprocessable"


class TooManyRequests(YojohanError):
    """Too many requests"""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))})


class Unavailable(YojohanError):
    """The server cannot do this right now"""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))})


class Overloaded(Unavailable):
    """The server has more work than it can take"""

    code = "overloaded"


class MailboxFull(Overloaded):
    """A queue inside the server is full"""

    code = "mailbox_full"


class DeadlineExceeded(Unavailable):
    """The work was not done within its deadline"""

    code = "deadline_exceeded"


class ActorStopped(Unavailable):
    """The part of the server that does this is stopping"""

    code = "actor_stopped"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached"""

    code = "database_unavailable"


class SettingsError(Exception):
    """The settings are wrong; the message names every fault, each on a line"""


class MigrationError(Exception):
    """The database's schema and this code do not belong together"""


class ClusterError(Exception):
    """The embedded PostgreSQL cannot be used"""
