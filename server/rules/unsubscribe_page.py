"""The page behind the links that stop mails: it asks, and once its button was pressed, confirms. No script at all."""

from __future__ import annotations

import base64
from hashlib import sha256
from html import escape

from server.rules.letters import language_of
from server.rules.unsubscribing import Unsubscribing

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.05rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
       background: #f4f5f7; color: #1c1f24; }
main { box-sizing: border-box; width: min(30rem, 100vw - 2rem); padding: 2rem; border-radius: 14px; background: #fff;
       box-shadow: 0 1px 3px #0002, 0 8px 30px #0001; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .6rem; }
p { margin: 0 0 1.4rem; }
p:last-child { margin: 0; }
button { font: inherit; font-weight: 600; padding: .7rem 1.3rem; border: 0; border-radius: 9px; cursor: pointer;
         background: #2457d6; color: #fff; }
button:hover { background: #1c46b0; }
button:focus-visible { outline: 3px solid #8fb0ff; outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  body { background: #15171b; color: #e8eaee; }
  main { background: #1f2228; }
}
"""
# Nothing is loaded, nothing runs, and nobody frames it.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
KINDS: dict[str, dict[str | None, str]] = {
    "en": {
        "new_episode": "about new episodes",
        "new_release": "about new releases",
        "recommendation": "with recommendations",
        "reply": "about replies to your comments",
        "moderation": "about moderators' decisions",
        None: "about notifications",
    },
    "ru": {
        "new_episode": "о новых сериях",
        "new_release": "о новых релизах",
        "recommendation": "с рекомендациями",
        "reply": "об ответах на ваши комментарии",
        "moderation": "о решениях модераторов",
        None: "с уведомлениями",
    },
}
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Stop these mails?",
        "ask": "You will get no more mails {kind}. In the app nothing changes.",
        "button": "Stop the mails",
        "done-title": "Done",
        "done": "You will get no more mails {kind}. You can switch them on again in your notification settings.",
    },
    "ru": {
        "title": "Отказаться от этих писем?",
        "ask": "Писем {kind} больше не будет. В приложении ничего не изменится.",
        "button": "Отказаться",
        "done-title": "Готово",
        "done": "Писем {kind} больше не будет. Включить их снова можно в настройках уведомлений.",
    },
}


def page(wanted: Unsubscribing, accept_language: str, *, done: bool) -> str:
    """The page in the language that the browser asks for first."""
    language = language_of(accept_language.partition(",")[0].partition(";")[0].strip())
    words, kind = WORDS[language], KINDS[language][wanted.type]
    title = words["done-title" if done else "title"]
    said = escape(words["done" if done else "ask"].format(kind=kind))
    # Without an address of its own the form goes back to where the page came from.
    form = (
        '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
        f"<button>{escape(words['button'])}</button></form>"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{said}</p>\n{'' if done else form}\n</main>\n</body>\n</html>\n"
    )
