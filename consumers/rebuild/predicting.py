"""What a rebuild would take, without making it: records, time and disk.

The rate is that of the last rebuild of the model, or else measured on a few thousand records in a transaction that is rolled back. What
comes in while the rebuild runs is counted too.
"""

import os
import secrets
import shutil
from collections.abc import Mapping
from threading import Event as Flag
from time import monotonic
from typing import Any, NamedTuple

from psycopg import Connection, sql

from consumers.kafka import topic_ids
from consumers.rebuild.rebuilding import Limits, batch_records
from consumers.rebuild.worker import Assigned, BulkFollower
from events import reference
from events.places import Partition
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.log_ends import LogEnds
from projectors import builds, database
from projectors.builds import BUILDING, FIRST, Build
from projectors.model import ReadModel
from projectors.positions import list_positions
from projectors.remembering import Memory, RememberingConnection

SAMPLE_RECORDS, _SAMPLE_BATCH = 40_000, 5_000  # several steps: the first, which waits for Kafka, is not counted
_SAMPLE_LIMIT_S = 20.0
_START_S = 3.0  # until workers have begun
_TOGETHER = 0.8  # of what each would do alone
_TRAFFIC_S = 1.0
_ROOM = 1.3  # how much more than the tables themselves: what is logged before it is written


class Prediction(NamedTuple):
    """What a rebuild would take."""

    build: str
    records: int
    resumed_at: int  # records that an unfinished call has read already
    seconds: float
    records_per_s: float
    index_s: float
    measured_by: str
    traffic_per_s: float
    disk_bytes: int
    free_bytes: int | None  # None: the server's disk is not ours to see

    @property
    def fits(self) -> bool:
        """Whether there is room for it, as far as can be seen."""
        return self.free_bytes is None or self.disk_bytes * _ROOM < self.free_bytes


class _Rate(NamedTuple):
    records_per_s: float
    index_s_per_record: float
    bytes_per_record: float
    measured_by: str


def predict(settings: Settings, model: ReadModel, limits: Limits) -> Prediction:
    """Predict; raise psycopg.OperationalError or KafkaException when a part does not answer. Nothing is left behind."""
    ends, traffic_per_s = _ends(settings, model)
    with database.connect_remembering(settings.database, f"predict {model.name}", Memory(SAMPLE_RECORDS)) as db:
        there = [b for b in builds.list_builds(db, [model.name]) if b.version == model.version]
        unfinished = next((build for build in reversed(there) if build.state == BUILDING), None)
        build = unfinished or Build(model.name, model.version, max([FIRST, *(b.number for b in there)]) + 1)
        reached = list_positions(db, [build.consumer])[build.consumer] if unfinished else {}
        records, resumed_at = sum(ends.values()), sum(reached.values())
        rate = _rate(settings, db, model, limits, ends)
        size = _size(db, builds.list_builds(db, [model.name]), records) or int(rate.bytes_per_record * records)
    records_per_s = min(rate.records_per_s, limits.records_per_s or rate.records_per_s)
    index_s = rate.index_s_per_record * records
    read_s = (records - resumed_at) / max(1.0, records_per_s - traffic_per_s) if records else 0.0
    return Prediction(
        build=build.consumer,
        records=records,
        resumed_at=resumed_at,
        seconds=round(_START_S + read_s + index_s, 1),
        records_per_s=round(records_per_s),
        index_s=round(index_s, 1),
        measured_by=rate.measured_by,
        traffic_per_s=round(traffic_per_s, 1),
        disk_bytes=size,
        free_bytes=shutil.disk_usage(settings.folder).free if settings.database_url is None else None,
    )


def _ends(settings: Settings, model: ReadModel) -> tuple[Mapping[Partition, int], float]:
    """Return where the log ends, and how many records come a second."""
    asked, began_s = LogEnds(settings.kafka_access), monotonic()
    before = asked.latest(model.topics)
    Flag().wait(_TRAFFIC_S)
    ends = asked.latest(model.topics)
    return ends, (sum(ends.values()) - sum(before.values())) / (monotonic() - began_s)


def _rate(settings: Settings, db: RememberingConnection, model: ReadModel, limits: Limits, ends: Mapping[Partition, int]) -> _Rate:
    taken = builds.last_taken(db, model.name)
    if taken is not None and taken.records > SAMPLE_RECORDS:
        per_record = taken.index_ms / 1000 / taken.records
        return _Rate(taken.records * 1000 / max(1, taken.read_ms), per_record, 0.0, f"the last rebuild, of {taken.records} records")
    return _sample(settings, db, model, limits, ends)


def _sample(settings: Settings, db: RememberingConnection, model: ReadModel, limits: Limits, ends: Mapping[Partition, int]) -> _Rate:
    """Rebuild the first records of each partition inside a transaction that is rolled back."""
    each = SAMPLE_RECORDS // max(1, len(ends))
    until = {partition: min(each, past) for partition, past in ends.items() if past}
    if not until:
        return _Rate(1.0, 0.0, 0.0, "nothing on the log")
    schema, tables = f"dry_run_{secrets.token_hex(4)}", builds.tables_of(model)
    db.memory.complete = True
    with db.transaction(force_rollback=True):
        db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        db.execute(sql.SQL("SET LOCAL search_path TO {}, public").format(sql.Identifier(schema)))
        builds.make_tables(db, model, schema)
        records, took_s = _follow(settings, db, model, until, min(_SAMPLE_BATCH, batch_records(limits)))
        began_s = monotonic()
        db.execute(model.ddl)
        index_s = monotonic() - began_s
        names = [f"{schema}.{table}" for table in tables]
        row = db.execute("SELECT sum(pg_total_relation_size(n::regclass)) FROM unnest(%s::text[]) AS n", [names]).fetchone()
    together = min(limits.workers, os.cpu_count() or 1)
    rate = records / max(0.001, took_s) * (together * _TOGETHER if together > 1 else 1.0)
    return _Rate(rate, index_s / records, float(row[0] or 0) / records if row else 0.0, f"a sample of {records} records")


def _follow(settings: Settings, db: Connection[Any], model: ReadModel, until: Mapping[Partition, int], most: int) -> tuple[int, float]:
    """Follow up to `until`; return how many records that were after the first step, and the seconds they took."""
    consumer = Assigned(settings.kafka_access, sorted(until))
    limits, ids = reference.load(settings.reference).parking, topic_ids(settings.kafka_access, model.topics)
    try:
        names = {model.name: f"dry_run_{secrets.token_hex(4)}"}
        follower = BulkFollower(consumer, db, [model], load_codec(), ids, limits, names)
        follower.read_up_to(until, most)
        end_s = monotonic() + _SAMPLE_LIMIT_S
        began_s, first, records = monotonic(), 0, 0
        while follower.left() and monotonic() < end_s:
            records += follower.step()
            if records and not first and follower.left():
                began_s, first = monotonic(), records
        return max(1, records - first), monotonic() - began_s
    finally:
        consumer.close()


def _size(db: Connection[Any], there: list[Build], records: int) -> int:
    """Return how large the tables would be, by those of the build that serves; 0 if that tells nothing."""
    serving = builds.serving_of(there)
    if serving is None:
        return 0
    names = [f'"{serving.schema}"."{table}"' for table in serving.tables]
    row = db.execute("SELECT sum(pg_total_relation_size(to_regclass(n))) FROM unnest(%s::text[]) AS n", [names]).fetchone()
    read = sum(list_positions(db, [serving.consumer])[serving.consumer].values())
    return int(row[0] * records / read) if row and row[0] and read else 0
