"""Comments: how deep threads go, how long words may be changed, how they are counted."""

from __future__ import annotations

from datetime import timedelta

# Characters, as a reader counts them.
SHORTEST, LONGEST = 1, 1000
# A comment on a release stands at 0, a reply one deeper than what it answers.
DEEPEST = 7
# How long after it was written the words of a comment may be changed. Its flag may be changed at any time.
EDIT_WINDOW = timedelta(minutes=15)
# Comments on one episode are counted no further than this.
MOST_COUNTED = 10_000
# Where a list begins: before any id, behind any.
FIRST, LAST = 0, 2**63 - 1
