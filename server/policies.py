"""The rate policies: one table, which feeds enforcement, headers, the OpenAPI document and `GET /limits`."""

from __future__ import annotations

from server.rules.limits import API_LIMIT, Limit
from server.settings import Settings


def limits(settings: Settings) -> dict[str, Limit]:
    """Every policy by name. A quota of 0 means that the policy is off."""
    requests, window = settings.rate_limit_max, settings.rate_limit_ttl / 1000
    login, login_window = settings.login_rate_limit
    register, register_window = settings.register_rate_limit
    comments, comments_window = settings.comment_rate_limit
    reviews, reviews_window = settings.review_rate_limit
    told, told_window = settings.notification_rate_limit
    rows = (
        Limit(API_LIMIT, requests, window, "client", "Requests below /api.", keys=65_536),
        Limit("login", login, login_window, "address", "Attempts to sign in from one address."),
        Limit("login-account", 10, 300, "account", "Failed attempts to sign in to one account."),
        Limit("register", register, register_window, "address", "Accounts made from one address."),
        Limit("register-account", 3, 86_400, "account", "Accounts made with one e-mail address."),
        Limit("password-reset", 10, 3600, "address", "Passwords and addresses confirmed by mail, from one address."),
        Limit("password-reset-account", 3, 3600, "account", "Mails asked for to one e-mail address."),
        Limit("password-change", 5, 300, "client", "Changes of a password."),
        Limit("search", 12_000, 60, "client", "Searches for releases, and suggestions."),
        Limit("people", 60, 60, "client", "Searches for people."),
        Limit("writes", 600, 60, "client", "Changes to one's own things."),
        Limit("exports", 3, 3600, "client", "Exports of one's own data."),
        Limit("imports", 10, 3600, "client", "Imports of lists."),
        Limit("uploads", 30, 3600, "client", "Files sent."),
        Limit("comments", comments, comments_window, "user", "Comments written, the deleted ones too.", counted=True),
        Limit("reviews", reviews, reviews_window, "user", "Reviews written, the deleted ones too.", counted=True),
        Limit("notifications", told, told_window, "user", "Notifications to a user; more wait.", counted=True),
        Limit("reports", 20, 3600, "client", "Reports of what others said."),
        Limit("helpful", 60, 60, "client", "Helpful votes given and taken back."),
        Limit("moderation", 300, 60, "client", "What moderators do."),
    )  # fmt: skip
    return {row.name: row for row in rows}
