"""The endpoints of the community: comments, reviews, and what moderators do. A part of the table in `server.routes`."""

from __future__ import annotations

from server.http.route import Route

API = "/api/v1"


def community() -> tuple[Route, ...]:
    """What people say."""
    return (*comments(), *reviews(), *moderation())


def comments() -> tuple[Route, ...]:
    """Comments and their threads."""
    return ()


def reviews() -> tuple[Route, ...]:
    """Reviews and helpful votes."""
    return ()


def moderation() -> tuple[Route, ...]:
    """Reports, the queue, decisions, word rules."""
    return ()
