"""The mailer: one address, one message, nothing smuggled into it, and a mail server that may be away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.adapters import mail
from server.adapters.breaker import FAILURES, REST, Breaker
from server.adapters.mail import MailDeferred, MailRefused, MailUncertain, Smtp, account_of, compose, mailer
from server.errors import SettingsError, Unavailable
from server.rules.letters import letter
from server.settings import Settings, load
from tests.mailbox import mailbox


def settings(port: int, user: str = "", scheme: str = "smtp") -> Settings:
    url = f"{scheme}://{user}127.0.0.1:{port}"
    return load({"SMTP_URL": url, "MAIL_FROM": "Yojohan <no-reply@example.org>"})


def smtp(port: int, user: str = "") -> Smtp:
    made = mailer(settings(port, user))
    assert made is not None
    return made


async def test_a_mail_arrives_as_it_was_sent() -> None:
    async with mailbox() as box:
        await smtp(box.port).send("mira@example.org", "Привет", "Строка\n.\nещё строка\n")
    (got,) = box.letters
    assert (got.sender, got.recipients) == ("no-reply@example.org", ["mira@example.org"])
    assert got.message["Subject"] == "Привет"
    assert str(got.message["From"]) == "Yojohan <no-reply@example.org>"
    assert got.text.replace("\r\n", "\n") == "Строка\n.\nещё строка\n"
    assert got.message["Message-ID"].endswith("@example.org>")
    assert got.message["Auto-Submitted"] == "auto-generated"


async def test_user_and_password_of_the_address_are_shown_to_the_server() -> None:
    async with mailbox(password=True) as box:
        await smtp(box.port, "me%40here:right%40word@").send("mira@example.org", "Hi", "text")
        with pytest.raises(Unavailable):
            await smtp(box.port, "me:wrong@").send("mira@example.org", "Hi", "text")
    assert box.logins[0] == (b"me@here", b"right@word")
    assert len(box.letters) == 1


@pytest.mark.parametrize(
    "address",
    [
        "a@example.org\r\nBcc: b@example.org", "a@example.org\nBcc: b@example.org", "a@example.org, b@example.org",
        "<a@example.org>", "A <a@example.org>", "", "a", "@", "a@", "@example.org", "a@example.org>", "a b@example.org",
        "a@example.org\x00", "a@exa\udc80mple.org", "a@" + "x" * 300,
    ],
)  # fmt: skip
async def test_an_address_is_one_address_or_refused(address: str) -> None:
    async with mailbox() as box:
        with pytest.raises(MailRefused):
            await smtp(box.port).send(address, "Hi", "text")
    assert box.letters == []


def test_no_line_break_gets_into_a_subject() -> None:
    for subject in ("Hi\r\nBcc: b@example.org", "Hi\nBcc: b@example.org", "Hi\r\n\r\nbody"):
        with pytest.raises(MailRefused):
            compose("a@example.org", "b@example.org", subject, "text")


def test_a_domain_in_other_letters_is_written_as_the_dns_has_it() -> None:
    assert str(compose("a@example.org", "mira@пример.рф", "Hi", "text")["To"]) == "mira@xn--e1afmkfd.xn--p1ai"


async def test_a_refused_recipient_is_told_apart_from_a_server_that_is_away() -> None:
    async with mailbox() as box:
        mailing = smtp(box.port)
        box.refuse = "550 5.1.1 no such mailbox"
        with pytest.raises(MailRefused):
            await mailing.send("a@example.org", "Hi", "text")
        box.refuse = "451 4.7.1 greylisted, try later"
        with pytest.raises(MailDeferred):
            await mailing.send("a@example.org", "Hi", "text")
        box.refuse = "550 5.7.1 relaying denied"
        with pytest.raises(MailDeferred):
            await mailing.send("a@example.org", "Hi", "text")
        assert await mailing.works()
        box.refuse, box.dislike = "", "554 5.6.0 we do not like this text"
        with pytest.raises(MailDeferred):
            await mailing.send("a@example.org", "Hi", "text")
        assert not await mailing.works()


async def test_after_some_failures_nobody_knocks_for_a_while_and_then_one_tries() -> None:
    async with mailbox() as box:
        port = box.port
    mailing = smtp(port)
    now = [1000.0]
    mailing.breaker = Breaker("The mail server", clock=lambda: now[0])
    assert not await mailing.works()
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            await mailing.send("a@example.org", "Hi", "text")
    async with mailbox(port) as box:
        with pytest.raises(Unavailable) as refused:
            await mailing.send("a@example.org", "Hi", "text")
        assert int(refused.value.headers["Retry-After"]) == REST + 1
        assert box.letters == []
        now[0] += REST
        await mailing.send("a@example.org", "Hi", "text")
        assert len(box.letters) == 1
        assert await mailing.works()


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.adapters.mail.SEND_TIMEOUT", 0.2)
    gone = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await smtp(server.sockets[0].getsockname()[1]).send("a@example.org", "Hi", "text")
    finally:
        gone.set()
        server.close()


@pytest.mark.parametrize(("when", "error"), [("text", MailUncertain), ("recipient", Unavailable)])
async def test_what_failed_before_the_end_of_the_text_is_told_from_what_nobody_knows(
    when: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang_up(server: Any, *_: Any) -> str:
        server.transport.abort()
        return "250 OK"

    async with mailbox() as box:
        monkeypatch.setattr(box, {"text": "handle_DATA", "recipient": "handle_RCPT"}[when], hang_up)
        with pytest.raises(error):
            await smtp(box.port).send("mira@example.org", "Hi", "text")


async def test_a_line_of_one_dot_does_not_end_a_mail_whatever_ends_the_line() -> None:
    async with mailbox() as box:
        await smtp(box.port).send("mira@example.org", "Hi", "one\r.\rtwo\n.\n..three\r\n.\r\nfour\n")
    (got,) = box.letters
    assert got.text.split() == ["one", ".", "two", ".", "..three", ".", "four"]


def test_while_it_is_open_one_at_a_time_tries_again() -> None:
    now = [0.0]
    breaker = Breaker("It", clock=lambda: now[0])
    for _ in range(FAILURES):
        breaker.check()
        breaker.failed()
    now[0] = REST
    breaker.check()
    with pytest.raises(Unavailable):
        breaker.check()
    breaker.failed()
    now[0] = 2 * REST - 1
    with pytest.raises(Unavailable):
        breaker.check()
    breaker.succeeded()
    breaker.check()
    assert not breaker.failing


def test_the_address_of_the_server_says_port_and_safety() -> None:
    assert account_of("smtp://mail").port == 25
    assert account_of("smtps://mail").port == 465
    assert account_of("smtp+starttls://u:p%3A@mail:2525").password == "p:"


def test_without_an_address_there_is_no_mailer_and_no_library() -> None:
    assert mailer(load({})) is None
    text = Path(mail.__file__).read_text("utf-8")
    assert "\nimport aiosmtplib" not in text


@pytest.mark.parametrize(("locale", "word"), [("ru-RU", "Здравствуйте"), ("en", "Hello"), ("ja", "Hello")])
def test_a_letter_speaks_the_readers_language_and_brings_link_or_token(locale: str, word: str) -> None:
    linked = letter("reset", "reset", "mira", locale, "T0KEN", "https://example.org")
    assert word in linked.text
    assert "https://example.org/reset-password?token=T0KEN\n" in linked.text
    bare = letter("verify", "verify", "mira", locale, "T0KEN", "")
    assert "http" not in bare.text
    assert "    T0KEN\n" in bare.text


def test_who_asks_for_a_password_before_the_address_is_confirmed_is_told_why_another_mail_comes() -> None:
    assert "confirmed" in letter("reset", "verify", "mira", "en", "T0KEN", "").text
    assert (
        letter("reset", "verify", "mira", "en", "T", "").text != letter("verify", "verify", "mira", "en", "T", "").text
    )


@pytest.mark.parametrize(
    "sender", ["nobody", "@example.org", "a@", "Name <>", "a@b\r\nBcc: c@d", "п@example.org", "a@b, c"]
)
def test_a_sender_that_is_no_address_stops_the_start(sender: str) -> None:
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        load({"MAIL_FROM": sender})
