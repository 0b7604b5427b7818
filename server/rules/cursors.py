"""Opaque cursors: where a list was left, as text that fits into an address. Not secret, only not to be made up."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from server.errors import Fault, Unprocessable


def encode(kind: str, key: Any, row_id: int) -> str:
    """A cursor behind the row with this sort key and id; `kind` ties it to the order it was made for."""
    shown = key.isoformat() if isinstance(key, datetime) else key
    text = json.dumps([kind, shown, row_id], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, key_type: type) -> tuple[Any, int]:
    """The sort key and id inside; Unprocessable if the cursor is not one of ours for this order."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found_kind, key, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if key_type is datetime:
            key = datetime.fromisoformat(key)
        good = found_kind == kind and isinstance(key, key_type) and type(row_id) is int and abs(row_id) < 2**63
        if not good or isinstance(key, bool) or (isinstance(key, int) and abs(key) >= 2**31) or not _storable(key):
            raise ValueError("not of this list")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        fault = Fault("/cursor", "Is not a cursor of this list and order; take it from `next`.")
        raise Unprocessable("The cursor does not fit.", faults=[fault]) from None
    return key, row_id


def _storable(key: Any) -> bool:
    """Whether PostgreSQL can hold it. A lone surrogate fails to encode, which is a ValueError."""
    if isinstance(key, str):
        return b"\x00" not in key.encode()
    return not isinstance(key, datetime) or (key.tzinfo is not None and 1 < key.year < 9999)
