"""Moderation: how much goes into one request, how long reasons are."""

from __future__ import annotations

# Characters, as a reader counts them.
LONGEST_REASON = 500
LONGEST_NOTE = 500
# Decisions in one request.
MOST_DECISIONS = 100
# What an undoing takes back in one transaction.
UNDO_SLICE = 100
