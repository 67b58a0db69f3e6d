"""Hazards that show in the newest records of each partition: strays, holes, damage, schemas that the lock does not know."""

from collections import Counter
from collections.abc import Iterator

from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard, warning
from deploy.doctor.kafka import RecordSeen
from events.envelope import OUTCOMES
from events.places import Partition
from events.wire.decoders import HEADER_BYTES
from events.wire.partitioning import partition_of
from events.wire.schemas import read_lock

MARK = b"era"  # a mark of an era stands in every partition
_MAGIC = b"\0"
_WRITER = (
    "find the writer by the header ce_source; let it use partitioner murmur2_random and always a key, as events/wire/publisher.py does"
)


def strays(context: Context) -> Iterator[Finding]:
    """Records on another partition than the hash of their key says: their order against others of the key is lost."""
    found: dict[str, list[RecordSeen]] = {}
    for record in context.sample.records:
        if record.topic != OUTCOMES and record.key != MARK and _is_stray(record, len(context.found[record.topic].copies)):
            found.setdefault(record.topic, []).append(record)
    for topic, records in found.items():
        first = min(records, key=lambda record: (record.partition, record.offset))
        what = f"{len(records)} of the newest records of {topic} lie on a partition that is not their key's, one at {_place(first)}"
        yield hard("strays", what, _WRITER)


def _is_stray(record: RecordSeen, partitions: int) -> bool:
    return record.key is None or partition_of(record.key, partitions) != record.partition


def holes(context: Context) -> Iterator[Finding]:
    """Offsets that hold no record: markers of transactions, or worse. Readers stop at them."""
    for place, missing in sorted(_missing(context).items()):
        what = f"{place[0]}/{place[1]} has no record at offset {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        yield hard(
            "holes", what, "keep transactional writers off our topics; for the readers, begin a new cluster with a copy of the records"
        )


def _missing(context: Context) -> dict[Partition, list[int]]:
    read: dict[Partition, set[int]] = {}
    for record in context.sample.records:
        read.setdefault((record.topic, record.partition), set()).add(record.offset)
    gaps = {place: [o for o in offsets if o not in read.get(place, set())] for place, offsets in context.sample.whole.items()}
    return {place: missing for place, missing in gaps.items() if missing}


def damage(context: Context) -> Iterator[Finding]:
    """Partitions whose newest records can't be read: their check sum is wrong, or the broker fails on them."""
    for (topic, number), reason in sorted(context.sample.damaged.items()):
        what = f"the newest records of {topic}/{number} cannot be read ({reason})"
        yield hard("log-damaged", what, "stop that broker and let it fetch the partition anew from another one, or restore its folder")


def unread(context: Context) -> Iterator[Finding]:
    """Partitions whose newest records did not come in time: nothing was found there, and nothing looked at."""
    if places := sorted(context.sample.unread):
        named = ", ".join(f"{topic}/{number}" for topic, number in places)
        yield warning("not-looked-at", f"newest records of {named} were not read in time", "look again when Kafka is less busy")


def unknown_schemas(context: Context) -> Iterator[Finding]:
    """Records that name a schema which the lock does not hold: their readers wait for it."""
    known = {entry.id for versions in read_lock(context.schemas_folder).subjects.values() for entry in versions.values()}
    named = Counter((r.topic, int.from_bytes(r.value[1:HEADER_BYTES], "big")) for r in context.sample.records if _is_framed(r.value))
    for (topic, schema_id), count in sorted(named.items()):
        if schema_id not in known:
            what = f"{count} of the newest records of {topic} name schema {schema_id}, which schemas/lock.json does not hold"
            yield hard("schema-unknown", what, "deploy the release that has this schema here too, or find who writes with another lock")


def _is_framed(value: bytes) -> bool:
    return len(value) >= HEADER_BYTES and value[:1] == _MAGIC


def _place(record: RecordSeen) -> str:
    return f"partition {record.partition}, offset {record.offset}"
