"""Hazards of this machine and this installation: clocks, disks, keys in stock, schemas, the settings of our own clients."""

import http.client
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from consumers.kafka import CONSUMER_SETTINGS
from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard, warning
from deploy.parts.kafka import broker_folders
from deploy.parts.ports import LOOPBACK, answers
from deploy.problems import PartAway
from events.wire.publisher import MAX_MESSAGE_BYTES, PRODUCER_SETTINGS
from events.wire.schema_rules import check as problems_of_schemas

SKEW_LIMIT_S = 2.0
LEAST_FREE_PART = 0.05
FEW_KEYS = 1_000
_KEYS_LEFT = "hotline_intake_keys_left "
_SCRAPE_LIMIT_S = 3.0
_SYNC = "keep the clocks of all machines by NTP; times of decisions and terms rest on them"

#: What may not be changed in our clients, whatever else is (reliability rests on each).
_FROZEN_PRODUCER: Mapping[str, Any] = {
    **{"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"},
    **{"compression.type": "zstd", "message.max.bytes": MAX_MESSAGE_BYTES},
}  # fmt: skip
_FROZEN_CONSUMER: Mapping[str, Any] = {
    **{"group.protocol": "consumer", "enable.auto.commit": False, "auto.offset.reset": "error"},
    **{"check.crcs": True, "isolation.level": "read_committed", "fetch.queue.backoff.ms": 5},
}  # fmt: skip


def database_clock(context: Context) -> Iterator[Finding]:
    """A database whose clock differs from ours."""
    before_s = context.now_s()
    row = context.database.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None, "a clock has a time"
    skew_s = row[0] - (before_s + context.now_s()) / 2
    if abs(skew_s) > SKEW_LIMIT_S:
        yield warning("clock-skew", f"the database's clock differs from this machine's by {skew_s:+.1f} s", _SYNC)


def broker_clock(context: Context) -> Iterator[Finding]:
    """A broker that has appended a record in our future: one that is behind shows only where decisions are timed by another machine."""
    newest_s = max((record.appended_at_s for record in context.sample.records), default=0.0)
    ahead_s = newest_s - context.now_s()
    if ahead_s > SKEW_LIMIT_S:
        yield warning("clock-skew", f"a broker appended a record {ahead_s:.1f} s in the future of this machine's clock", _SYNC)


def disks(context: Context) -> Iterator[Finding]:
    """Little room where local parts keep their data. Of servers elsewhere nobody here can ask it."""
    settings = context.settings
    folders = [settings.folder, settings.files_path, *(broker_folders(settings) if settings.kafka is None else [])]
    seen: dict[int, Path] = {}
    for folder in folders:
        if folder.is_dir():
            seen.setdefault(folder.stat().st_dev, folder)
    for folder in seen.values():
        room = shutil.disk_usage(folder)
        if room.free < max(context.least_free_bytes, room.total * LEAST_FREE_PART):
            what = f"{room.free >> 20} MiB are free under {folder}"
            yield warning("disk-room", what, "free some or move HOTLINE_HOME; a full disk refuses every write until there is room")


def keys_left(context: Context) -> Iterator[Finding]:
    """An intake whose stock of keys runs out: at 0 it takes nothing personal. Asked only if one runs here."""
    port = context.settings.intake_port
    if not answers(port):
        return
    left = _keys_left(port)
    if left is not None and left < FEW_KEYS:
        what = f"the intake has {left:.0f} keys left to seal with"
        yield warning("few-keys", what, "see that the vault's database answers and takes new rows; the intake's log says why it does not")


def _keys_left(port: int) -> float | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_SCRAPE_LIMIT_S)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    except (OSError, http.client.HTTPException):
        raise PartAway(f"the intake on port {port} does not show its figures") from None
    finally:
        connection.close()
    return next((float(line.removeprefix(_KEYS_LEFT)) for line in lines if line.startswith(_KEYS_LEFT)), None)


def schemas(context: Context) -> Iterator[Finding]:
    """Schema files that are not what the lock holds, or break a rule of theirs."""
    for problem in problems_of_schemas(context.schemas_folder):
        yield hard(
            "schemas", problem, "restore the folder schemas/ from the release; what is locked is never edited, a change is a new version"
        )


def clients(_: Context) -> Iterator[Finding]:
    """Settings of our producers and consumers that are not what the promises rest on."""
    for kind, actual, frozen in (("producers", PRODUCER_SETTINGS, _FROZEN_PRODUCER), ("consumers", CONSUMER_SETTINGS, _FROZEN_CONSUMER)):
        for name, value in frozen.items():
            if actual.get(name) != value:
                what = f"our {kind} have {name} {actual.get(name)}, not {value}"
                yield hard("client-setting", what, "install the release anew: this setting is never changed")
