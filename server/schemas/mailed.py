"""What goes by mail: asking for it, and what the one-time tokens inside are good for."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Token = Annotated[str, Meta(min_length=1, max_length=200, description="The token that the mail brought.")]


class VerifyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Confirming an e-mail address."""

    token: Token


class ForgotRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Asking for a new password."""

    email: Annotated[str, Meta(min_length=3, max_length=320, description="The address of the account.")]


class ResetRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Setting a new password."""

    token: Token
    new_password: Annotated[str, Meta(max_length=1024, description="At least 8 characters.")]


class MailAsked(Struct, frozen=True):
    """The mail is on its way, if there is anybody to send it to."""

    detail: str


FORGOT = "If there is an account with this address, a mail is on its way to it."
RESENT = "If your address still has to be confirmed, a mail is on its way to it."
EXAMPLES = {MailAsked: {"detail": FORGOT}}
