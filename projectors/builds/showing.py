"""Says what a value is in words that anybody may read: numbers, codes and flags as they are, of everything else only how much there is.

A comparison is shown on screens, kept in a table and copied into reports, and a body that nobody can read may hold clear text. So what is
shown is named here column by column; a column that is not named tells no text. Knows nothing of builds.
"""

import hashlib
import re
from typing import Any

from events.numbers import is_number

#: Columns whose text is one of a list of codes.
_CODES = frozenset({
    "appeal_route", "cause_topic", "channel", "given", "kind", "language", "legal_class", "next_step", "queue", "record_class",
    "refusal_reason", "resolution_code", "result", "rule", "status", "status_before", "topic", "type",
})  # fmt: skip
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_ID = re.compile(r"[0-9a-f]{32,64}")  # of a contact, a command, an event, a file
_LONGEST_SHOWN = 60
_DIGITS = 4


def shown(column: str, value: Any) -> str:
    """Return a column's value as it may be shown and kept: `refused`, `3`, `16 bytes, sha 1a2b…`, `text of 12 characters`."""
    if value is None or isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes, sha {hashlib.sha256(value).hexdigest()[:_DIGITS]}…"
    if isinstance(value, str):
        may = is_number(value) or (column in _CODES and _CODE.fullmatch(value))
        return value if may else f"text of {len(value)} characters"
    if isinstance(value, list):
        return f"[{', '.join(shown(column, one) for one in value)}]"[:_LONGEST_SHOWN]
    return f"a {type(value).__name__}"


def shown_key(key: tuple[Any, ...]) -> str:
    """Return what a row is called by: ids, places and codes, one after the other."""
    return "/".join(value.hex() if isinstance(value, bytes) else str(value) for value in key)[:_LONGEST_SHOWN]


def shown_record_key(key: str) -> str:
    """Return the key of a record: a ticket's number or an id; who wrote anything else is not known, nor what."""
    return key if is_number(key) or _ID.fullmatch(key) else shown("key", key.encode())
