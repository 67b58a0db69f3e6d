"""A second, naive answer to "what must a read model hold of this ticket?": folds over plain dictionaries.

Shares no rule with the projectors, on purpose: an oracle that used theirs would share their mistakes. Knows decoded events and the names
of views and columns; neither Kafka, nor Postgres, nor how a projector works.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from events.catalogue import EVENT_TYPES

Row = dict[str, Any]
Key = tuple[Any, ...]

#: What is wrong with a life, so that nobody can say what its row must hold.
FORK, HOLE = "fork", "hole"


class Terms(NamedTuple):
    """How long a closed ticket is kept: calendar years by the clock on the wall of a zone."""

    years: int
    zone: ZoneInfo


class Life:
    """One ticket as one view must show it: its rows by key, and what is wrong with it, if anything."""

    __slots__ = ("last", "rows", "wrong")

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.last: Row = {}
        self.wrong = ""


class Told(NamedTuple):
    """One decision and where it lies."""

    event: Any
    partition: int
    offset: int


Tell = Callable[[Life, Told, Terms], None]


class View(NamedTuple):
    """What the oracle answers for: a view of a read model, the columns that tell its rows of one ticket apart, and how it tells them."""

    model: str
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    tell: Tell


_NEXT = {
    "registered": "specialist_takes",
    "in_processing": "specialist_decides",
    "awaiting_clarification": "citizen_answers",
    "approved": "citizen_follows_steps",
    "refused": "citizen_may_appeal",
    "closed": "nothing",
}
_COPIED = ("number", "channel", "kind", "topic", "language", "opened_at", "opened_offset_min", "contact_id", "ordinal")
_HAS = ("has_name", "has_phone", "has_text")
_ENDED = ("refusal_reason", "appeal_route", "resolution_code", "merged_into")
_STATUS_COLUMNS = (
    *("number", "version", "last_event_id", "status", "status_before", "channel", "kind", "topic", "language", "legal_class", "queue"),
    *("opened_at", "opened_offset_min", "changed_at", "contact_id", "ordinal", "cycle", *_ENDED, "next_step", *_HAS),
)


def _is_next(life: Life, event: Any) -> bool:
    """Tell whether `event` is the ticket's next decision; a version that is claimed twice or left out spoils the life."""
    seen = life.last.get("version", 0)
    if event.version == seen and event.event_id != life.last["last_event_id"]:
        life.wrong = FORK
    if event.version > seen + 1:
        life.wrong = HOLE
    return not life.wrong and bool(event.version == seen + 1)


def _status_after(before: Row, e: Any) -> Row:
    row, name, awaiting = dict(before), type(e).__name__, before.get("status") == "awaiting_clarification"
    if name == "TicketRegistered":
        row = {column: getattr(e, column) for column in (*_COPIED, *_HAS)}
        row |= dict.fromkeys(("legal_class", "queue", "status_before", *_ENDED)) | {"status": "registered"}
    elif name == "TicketDetailsAdded":
        row |= {column: getattr(e, column) for column in ("kind", "topic", "language") if getattr(e, column)}
        row |= {column: True for column in _HAS if getattr(e, column)}
    elif name == "ClarificationAsked":
        row |= {"status": "awaiting_clarification", "status_before": before["status_before"] if awaiting else before["status"]}
    elif name == "ClarificationReceived":
        row |= {"status": before["status_before"] if awaiting else before["status"], "status_before": None}
        row["has_text"] = before["has_text"] or e.text is not None
    else:
        row |= {"status_before": None, **_plain_step(before, name, e)}
    row |= {"version": e.version, "last_event_id": e.event_id, "changed_at": e.recorded_at, "cycle": e.cycle}
    return row | {"next_step": _NEXT[row["status"]]}


def _plain_step(before: Row, name: str, e: Any) -> Row:
    if name == "TicketTaken":
        return {"status": "in_processing", "queue": e.queue or before["queue"]}
    if name == "TicketApproved":
        return {"status": "approved"}
    if name == "TicketRefused":
        return {"status": "refused", "refusal_reason": e.reason_code, "appeal_route": e.appeal_route}
    if name == "TicketClosed":
        return {"status": "closed", "resolution_code": e.resolution_code, "merged_into": e.merged_into}
    if name == "TicketReopened":
        return {"status": "in_processing"} | dict.fromkeys(_ENDED)
    raise NotImplementedError(f"the oracle does not know {name}")


def _tell_status(life: Life, told: Told, _: Terms) -> None:
    if _is_next(life, told.event):
        life.last = _status_after(life.last, told.event)
        life.rows = {(): life.last}


def _tell_version(life: Life, told: Told, _: Terms) -> None:
    e = told.event
    if _is_next(life, e):
        recorded_at = max(e.recorded_at, life.last.get("recorded_at", e.recorded_at))
        place = {"recorded_at": recorded_at, "partition": told.partition, "offset": told.offset}
        life.last = _status_after(life.last, e) | place
        life.rows[e.version,] = life.last


def _tell_kept(life: Life, told: Told, terms: Terms) -> None:
    e = told.event
    if not _is_next(life, e):
        return
    row = {"number": e.number, "record_class": "ticket", "closed_at": None, "keep_until": None} | life.last
    row |= {"version": e.version, "last_event_id": e.event_id}
    if type(e).__name__ == "TicketClosed":
        row |= {"closed_at": e.recorded_at, "keep_until": years_after(e.recorded_at, terms)}
    if type(e).__name__ == "TicketReopened":
        row |= {"closed_at": None, "keep_until": None}
    life.last, life.rows = row, {(): row}


def _tell_tie(life: Life, told: Told, _: Terms) -> None:
    e = told.event
    if type(e).__name__ in ("TicketRegistered", "ClarificationReceived") and (e.event_id,) not in life.rows:
        row = {"event_id": e.event_id, "contact_id": e.contact_id, "number": e.number, "since": e.recorded_at}
        life.rows[e.event_id,] = row | {"ordinal": getattr(e, "ordinal", 0)}


#: Every view with rows of one ticket each.
VIEWS: tuple[View, ...] = (
    View("ticket_status", "ticket_status", (), _STATUS_COLUMNS, _tell_status),
    View("ticket_versions", "ticket_versions", ("version",), (*_STATUS_COLUMNS, "recorded_at", "partition", "offset"), _tell_version),
    View(
        "retention",
        "retention_ticket",
        (),
        ("number", "version", "last_event_id", "record_class", "closed_at", "keep_until"),
        _tell_kept,
    ),
    View("contacts", "contact_ticket", ("event_id",), ("event_id", "contact_id", "number", "ordinal", "since"), _tell_tie),
)


def years_after(time_us: int, terms: Terms) -> int:
    """Return the same moment by the clock on the wall, so many years on; where there is no 29 February then: 1 March."""
    seconds, rest = divmod(time_us, 1_000_000)
    local = datetime.fromtimestamp(seconds, terms.zone)
    try:
        later = local.replace(year=local.year + terms.years)
    except ValueError:
        later = local.replace(year=local.year + terms.years, month=3, day=1)
    return int(later.timestamp()) * 1_000_000 + rest


AUDIT_MODEL = "audit_log"
AUDIT_COLUMNS = (
    *("event_id", "type", "subject", "actor", "version", "cause_id", "occurred_at", "recorded_at", "appended_at", "void", "body"),
)
_NAMES: Mapping[type, str] = {kind.event: kind.record_name for kind in EVENT_TYPES}
_LONGEST = 400
_NUL_SHOWN = "\ufffd"


def audit_row(event: Any, key: bytes, appended_at: int, raw: bytes, *, void: bool) -> Row:
    """Return what the audit log must hold of one record, its body as a digest; `event` is None when nobody can read it."""
    actor = getattr(event, "actor", None)
    recorded_at = getattr(event, "recorded_at", None)
    if type(event).__name__ == "EraOpened" or (hasattr(event, "channel") and not hasattr(event, "version")):
        recorded_at = event.received_at  # of a fact and of a mark
    return {
        "event_id": getattr(event, "event_id", None),
        "type": _NAMES.get(type(event)),
        "subject": key[:_LONGEST].decode("utf-8", "replace").replace("\0", _NUL_SHOWN),
        "actor": None if actor is None else actor[:_LONGEST].replace("\0", _NUL_SHOWN),
        "version": getattr(event, "version", None),
        "cause_id": getattr(event, "cause_id", None),
        "occurred_at": getattr(event, "occurred_at", None),
        "recorded_at": recorded_at,
        "appended_at": appended_at,
        "void": void,
        "body": sha256(raw).digest(),
    }
