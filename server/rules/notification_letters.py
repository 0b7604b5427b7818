"""The mails that bring notifications: one thing or a list of them, as plain text and as HTML, in English and Russian.

Titles come from elsewhere: they are cut, kept on one line, and escaped. The HTML needs no style and loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import quote

from server.rules.letters import GREETINGS, language_of
from server.rules.notifications import CHOICES, Shown, digest_text, text_of

MOST_ITEMS = 50
LONGEST_LINE = 250
LONGEST_REASON = 500
SUBJECT = {"en": "Your notifications: {count}", "ru": "Ваши уведомления: {count}"}
MORE = {"en": "… and {count} more.", "ru": "… и ещё {count}."}
REASON = {"en": "The reason given: {reason}", "ru": "Причина: {reason}"}
WHY = {
    "en": "You get this mail because e-mail is switched on in your notification settings.",
    "ru": "Вы получили это письмо, потому что в настройках уведомлений включена электронная почта.",
}
STOP: dict[str, tuple[str, str]] = {
    "en": ("No more mails of this kind", "No more notifications by mail at all"),
    "ru": ("Больше не присылать таких писем", "Больше не присылать уведомлений по почте"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom the mail is for."""

    username: str
    locale: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """Addresses that stop mails: those like this one, and all of them."""

    these: str
    all: str


@dataclass(frozen=True, slots=True)
class NotificationLetter:
    """A mail without its addresses."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    note: str
    link: str


def letter(reader: Reader, items: Sequence[Shown], public_url: str, stopping: Stopping | None) -> NotificationLetter:
    """The mail about these items, in their order. There are links only where PUBLIC_URL says where to."""
    language = language_of(reader.locale)
    lines = [_line(item, language, public_url) for item in items[:MOST_ITEMS]]
    left = len(items) - len(lines)
    before = GREETINGS[language].format(username=_plain(reader.username))
    after = MORE[language].format(count=left) if left else ""
    return NotificationLetter(
        _subject(items, lines, language),
        _text(before, lines, after, stopping, language),
        _html(before, lines, after, stopping, language),
    )


def only_type(items: Sequence[Shown]) -> str | None:
    """The type all of them have; None where there are several, or a digest, which stands for several."""
    types = {item.type for item in items}
    return types.pop() if len(types) == 1 and types <= set(CHOICES) else None


def headers(user_id: int, first_event: int, domain: str, stop: str) -> dict[str, str]:
    """The headers of such a mail. Sent twice, it has the same Message-ID, which readers of mail show once; `stop` is
    the address that a mail program calls by itself (RFC 8058), or empty."""
    said = {
        "Message-ID": f"<notification-{user_id}-{first_event}@{domain}>",
        "List-Id": f"<notifications.{domain}>",
    }
    if stop:
        said |= {"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return said


def _line(item: Shown, language: str, public_url: str) -> _Line:
    said = item.data.get("reason") if item.type == "moderation" else None
    note = REASON[language].format(reason=_plain(str(said), LONGEST_REASON)) if said else ""
    link = f"{public_url}/releases/{quote(item.slug)}" if public_url and item.slug else ""
    return _Line(_plain(text_of(_as_mailed(item), language)), note, link)


def _as_mailed(item: Shown) -> Shown:
    """A digest counts apart what is for the list and what is for the mail."""
    counts = item.data.get("mail_counts") if item.type == "digest" else None
    return item if counts is None else replace(item, data={"counts": counts})


def _subject(items: Sequence[Shown], lines: Sequence[_Line], language: str) -> str:
    if len(items) == 1:
        return lines[0].text
    one_type = only_type(items)
    return digest_text({one_type: len(items)}, language) if one_type else SUBJECT[language].format(count=len(items))


def _text(before: str, lines: Sequence[_Line], after: str, stopping: Stopping | None, language: str) -> str:
    entries = [
        "\n".join([f"* {line.text}", *(f"  {part}" for part in (line.note, line.link) if part)]) for line in lines
    ]
    footer = ["-- ", WHY[language]]
    if stopping is not None:
        these, everything = STOP[language]
        footer += [f"{these}:\n{stopping.these}", f"{everything}:\n{stopping.all}"]
    parts = [before, "\n".join(entries), after, "\n".join(footer)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(before: str, lines: Sequence[_Line], after: str, stopping: Stopping | None, language: str) -> str:
    entries = "".join(f"<li>{_entry(line)}</li>\n" for line in lines)
    footer = escape(WHY[language])
    if stopping is not None:
        for words, link in zip(STOP[language], (stopping.these, stopping.all), strict=True):
            footer += f'<br>\n<a href="{escape(link)}">{escape(words)}</a>'
    more = f"<p>{escape(after)}</p>\n" if after else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head><meta charset="utf-8"></head>\n<body>\n'
        f"<p>{escape(before)}</p>\n<ul>\n{entries}</ul>\n{more}<hr>\n<p><small>{footer}</small></p>\n</body>\n</html>\n"
    )


def _entry(line: _Line) -> str:
    text = escape(line.text)
    shown = f'<a href="{escape(line.link)}">{text}</a>' if line.link else text
    return f"{shown}<br>\n{escape(line.note)}" if line.note else shown


def _plain(text: str, longest: int = LONGEST_LINE) -> str:
    """The text on one line, without what steers a header or the direction of writing."""
    kept = "".join(" " if char.isspace() else char for char in text if char.isprintable() or char.isspace())
    kept = " ".join(kept.split())
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"
