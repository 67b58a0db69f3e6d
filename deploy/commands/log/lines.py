"""Records of the log as commands show them: people masked, and nothing that a terminal would obey."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projectors.record import Record


def topic_of(name: str) -> str:
    """Return a topic's full name."""
    return name if "." in name else f"hotline.{name}"


def seen_of(record: "Record") -> dict[str, Any]:
    """Return a record for JSON: where it lies, its type, version and fields, people masked; why it is unreadable if it is."""
    from projectors.showing import rfc3339, shown

    event = record.event
    said = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "appended_at": rfc3339(record.appended_at),
        "key": record.key.decode("utf-8", "replace"),
        "type": None if event is None else type(event).__name__,
        "version": getattr(event, "version", None),
        "void": record.void,
        "event": None if event is None else shown(event),
    }
    return said if event is not None else {**said, "unreadable": record.unreadable}


def line_of(seen: dict[str, Any]) -> str:
    """Return a record as one line for people."""
    head = f"{seen['partition']}/{seen['offset']}  {seen['appended_at']}  {seen['key']}  {seen['type'] or 'unreadable'}"
    told = seen["event"] or {"reason": seen.get("unreadable")}
    void = "  void" if seen["void"] else ""
    return f"{head}{void}  " + ", ".join(f"{name} {value}" for name, value in told.items() if value not in (None, "", []))


def visible(text: str) -> str:
    """Return `text` with whatever is no printable character escaped as in JSON: anybody may write a key, and a terminal obeys."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
