"""One Kafka record as the loop hands it to read models and to the desk."""

from typing import NamedTuple

from events.envelope import Event


class Record(NamedTuple):
    """A record and where it lies; `event` is None when nobody can read the bytes, which are in `raw` as they lie in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    appended_at: int  # by the broker's clock, microseconds since 1970 in UTC
    raw: bytes
    event: Event | None
    unreadable: str = ""  # why, when event is None
    void: bool = False  # an era ended before it: only the audit log keeps it
