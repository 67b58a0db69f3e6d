"""Events as people may see them: sealed fields masked, ids in hexadecimal, times as RFC 3339.

Which fields are personal is said by the schemas' tags alone. The mask says that a value is there, and nothing of it. Opens nothing.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

from events.catalogue import EVENT_TYPES
from events.envelope import Event
from events.wire import schemas

MASK = "•••"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_OFFSET_MIN = 23 * 60 + 59
_TIMES = frozenset({"occurred_at", "received_at", "recorded_at", "opened_at", "connected_at", "call_at"})


@cache
def _zone(offset_min: int) -> timezone:
    return timezone(timedelta(minutes=offset_min)) if 0 < abs(offset_min) <= _LONGEST_OFFSET_MIN else UTC


def rfc3339(time_us: int, offset_min: int = 0) -> str:
    """Return a moment as text, by a clock that is `offset_min` minutes ahead of UTC (R340); far outside the calendar: its ends."""
    try:
        text = (_EPOCH + timedelta(microseconds=time_us)).astimezone(_zone(offset_min)).isoformat(timespec="microseconds")
    except OverflowError:
        return "9999-12-31T23:59:59.999999Z" if time_us > 0 else "0001-01-01T00:00:00.000000Z"
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def masked(value: object) -> str | None:
    """Return the mask where there is a value."""
    return None if value is None else MASK


def shown(event: Event) -> dict[str, Any]:
    """Return every field of `event` by its name, for JSON."""
    names, personal = _shapes()[type(event)]
    offset_min = event.occurred_offset_min
    told: dict[str, Any] = {}
    for name in names:
        value = getattr(event, name)
        if name in personal:
            told[name] = masked(value)
        elif name in _TIMES and value is not None:
            told[name] = rfc3339(value, offset_min if name == "occurred_at" else 0)
        else:
            told[name] = _plain(value, personal)
    return told


def _plain(value: object, personal: frozenset[str]) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one, personal) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: masked(v) if _nested(name) in personal else _plain(v, personal) for name, v in _parts_of(value)}
    return value


def _parts_of(value: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(value, field.name)) for field in fields(value)]


def _nested(name: str) -> str:
    return f"[].{name}"


@cache
def _shapes() -> Mapping[type[Event], tuple[tuple[str, ...], frozenset[str]]]:
    """For each event: its fields, and which of them a schema tags as personal; those of records inside arrays with `[].` in front."""
    known = schemas.load()
    return {
        kind.event: (tuple(field.name for field in fields(kind.event)), frozenset(_tagged(known.latest_of(kind.event).schema, "")))
        for kind in EVENT_TYPES
    }


def _tagged(schema: object, prefix: str) -> list[str]:
    if isinstance(schema, list):
        return [name for branch in schema for name in _tagged(branch, prefix)]
    if not isinstance(schema, Mapping):
        return []
    inner = schema.get("items", schema.get("values", schema["type"] if not isinstance(schema.get("type"), str) else None))
    found = _tagged(inner, prefix)
    for field in schema.get("fields", ()):
        found += [prefix + field["name"]] if "personal" in field else []
        found += _tagged(field["type"], "[].")
    return found
