"""Records of the log as answers show them: where they lie, who did it, when, and their fields with people masked."""

from typing import Any

from events.wire.codec import Undecodable, UnknownSchema, load_codec
from projectors.audit_log import AuditRow
from projectors.showing import rfc3339, shown


def history_entry(row: AuditRow) -> dict[str, Any]:
    """Return one record as JSON shows it; `event` is null when nobody can read its bytes."""
    return {
        "type": row.type,
        "version": row.version,
        "event_id": _hex(row.event_id),
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "actor": row.actor,
        "cause_id": _hex(row.cause_id),
        "occurred_at": _time(row.occurred_at),
        "recorded_at": _time(row.recorded_at),
        "appended_at": _time(row.appended_at),
        "event": decoded(row.body),
    }


def audit_entry(row: AuditRow) -> dict[str, Any]:
    """Return one record with its subject, and whether an era ended before it."""
    return {"subject": row.subject, "void": row.void, "size_bytes": len(row.body), **history_entry(row)}


def decoded(body: bytes) -> dict[str, Any] | None:
    """Return the fields of a record's value, people masked, or None when nobody can read it."""
    try:
        return shown(load_codec().decode(body))
    except (Undecodable, UnknownSchema):
        return None


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _time(value_us: int | None) -> str | None:
    return None if value_us is None else rfc3339(value_us)
