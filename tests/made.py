"""Events to tell stories about; say only what matters to the story, the rest is believable or empty."""

from dataclasses import fields
from itertools import count
from typing import Any, TypeVar

from events import tickets
from events.envelope import Event
from events.outcomes import CauseSettled, DecisionPlace
from events.places import Place

MORNING = 1_741_933_613_120_000  # 2025-03-14T06:26:53.12Z, 09:26 in Moscow
NUMBER = "RU-2025-001234"
CONTACT = b"c" * 16

E = TypeVar("E", bound=Event)
_ids = count(1)
_EMPTY: dict[str, Any] = {"int": 0, "str": "", "bool": False, "bytes": b"s" * 32}
_USUAL: dict[str, Any] = {
    "occurred_at": MORNING,
    "occurred_offset_min": 180,
    "received_at": MORNING + 200_000,
    "recorded_at": MORNING + 1_000_000,
    "contact_id": CONTACT,
    "channel": "phone",
    "actor": "citizen",
    "number": NUMBER,
    "target": NUMBER,
    "cycle": 1,
    "era": 1,
    "cause_id": b"f" * 16,
    "cause_ordinal": 1,
    "cause_count": 1,
    "reference_version": 1,
    "version": 1,
    "body_digest": b"b" * 16,
    "message_key": b"m" * 16,
    "digest": b"d" * 32,
    "raw_digest": b"r" * 32,
    **dict.fromkeys(("disposition", "ending", "target_kind", "filed_by", "signature_kind", "reply_by", "violation", "wanted"), "unknown"),
}


def made(kind: type[E], /, **said: Any) -> E:
    """Return an event of `kind` with an id of its own."""
    values: dict[str, Any] = {"event_id": next(_ids).to_bytes(16, "big")}
    for field in fields(kind):
        kind_of_value = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        if field.name in _USUAL:
            values[field.name] = _USUAL[field.name]
        elif field.name not in values:
            values[field.name] = _EMPTY.get(kind_of_value, () if "tuple" in str(field.type) else None)
    return kind(**{**values, **said})


def registered(number: str = NUMBER, **said: Any) -> tickets.TicketRegistered:
    """The first decision about a ticket."""
    usual = {"ordinal": 1, "opened_at": MORNING, "opened_offset_min": 180, "kind": "request", "topic": "account.locked", "language": "tt"}
    return made(tickets.TicketRegistered, **{"number": number, **usual, **said})


def taken(version: int, number: str = NUMBER, **said: Any) -> tickets.TicketTaken:
    """A specialist works on it."""
    return made(tickets.TicketTaken, **{"number": number, "version": version, "queue": "accounts", "actor": "operator:17", **said})


def closed(version: int, number: str = NUMBER, **said: Any) -> tickets.TicketClosed:
    """Nothing remains to be done."""
    return made(tickets.TicketClosed, **{"number": number, "version": version, "resolution_code": "answered", **said})


def settled(cause: Place, *decisions: DecisionPlace, result: str = "decided", **said: Any) -> CauseSettled:
    """What became of the cause at a place."""
    place = {"cause_topic": cause.topic, "cause_partition": cause.partition, "cause_offset": cause.offset, "cause_key": NUMBER}
    return made(CauseSettled, **{**place, "result": result, "decisions": decisions, **said})
