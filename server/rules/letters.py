"""The words of the mails: plain text, in English and Russian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["verify", "reset"]

PATHS: dict[str, str] = {"verify": "verify", "reset": "reset-password"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its addresses."""

    subject: str
    text: str


SUBJECTS: dict[str, dict[str, str]] = {
    "en": {"verify": "Confirm your e-mail address", "reset": "Set a new password"},
    "ru": {"verify": "Подтвердите адрес электронной почты", "reset": "Новый пароль"},
}
GREETINGS = {"en": "Hello {username},", "ru": "Здравствуйте, {username}!"}
WHY: dict[str, dict[str, str]] = {
    "en": {
        "verify": "this address was given for your account. Please confirm that it is yours.",
        "reset": "somebody, most likely you, asked for a new password for your account.",
        "verify-first": (
            "somebody, most likely you, asked for a new password for your account. Its e-mail address has not been\n"
            "confirmed yet, and we send passwords to confirmed addresses only. Please confirm that this address is\n"
            "yours, and then ask for the new password again."
        ),
    },
    "ru": {
        "verify": "этот адрес был указан для вашей учётной записи. Подтвердите, пожалуйста, что он ваш.",
        "reset": "кто-то (скорее всего, вы) запросил новый пароль для вашей учётной записи.",
        "verify-first": (
            "кто-то (скорее всего, вы) запросил новый пароль для вашей учётной записи. Её адрес электронной почты ещё\n"
            "не подтверждён, а пароли мы меняем только по подтверждённым адресам. Подтвердите, пожалуйста, что этот\n"
            "адрес ваш, и запросите новый пароль ещё раз."
        ),
    },
}
HOW: dict[str, dict[str, str]] = {
    "en": {"link": "Open this address:", "token": "Enter this code:"},
    "ru": {"link": "Откройте эту ссылку:", "token": "Введите этот код:"},
}
HOLDS: dict[str, dict[str, str]] = {
    "en": {"verify": "It works once, within 48 hours.", "reset": "It works once, within an hour."},
    "ru": {"verify": "Это действует один раз, в течение 48 часов.", "reset": "Это действует один раз, в течение часа."},
}
OTHERWISE = {
    "en": "If this was not you, do nothing: nothing will change.",
    "ru": "Если это были не вы, ничего не делайте: ничего не изменится.",
}


def language_of(locale: str) -> str:
    """Which of the languages we write in somebody with this locale reads."""
    return "ru" if locale.partition("-")[0].lower() == "ru" else "en"


def letter(asked: str, purpose: str, username: str, locale: str, token: str, public_url: str) -> Letter:
    """The mail that was `asked` for, with a token good for `purpose`: as a link where PUBLIC_URL is set."""
    language = language_of(locale)
    why = WHY[language]["verify-first" if asked != purpose else purpose]
    link = f"{public_url}/{PATHS[purpose]}?token={token}"
    how = HOW[language]["link" if public_url else "token"]
    parts = (
        GREETINGS[language].format(username=username),
        why,
        f"{how}\n\n    {link if public_url else token}",
        f"{HOLDS[language][purpose]}\n{OTHERWISE[language]}",
    )
    return Letter(SUBJECTS[language][purpose], "\n\n".join(parts) + "\n")
