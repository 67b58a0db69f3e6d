"""A topic of the log exported from a real Kafka: whole, in parts, void and unreadable records too, and the truth about what is gone."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from consumers import replay
from consumers.batches import Hole
from consumers.export import columns, topic
from consumers.export.exporting import Asked, Done, Progress, export
from consumers.export.folder import MANIFEST, NotOurs, OtherExport
from consumers.export.topic import TopicSource, cut
from consumers.replay import Ahead, Gone, NoTopic, Span
from events.envelope import TICKETS
from events.outcomes import EraOpened, MarkPlace
from events.settings import Settings
from projectors.record import Record
from projectors.tokens import Token
from tests.consumers.export import strangers
from tests.deploy.test_replay import ANSWER_S, Topic, own_topic
from tests.made import closed, made, registered, taken
from tests.oracle import Told

pytestmark = pytest.mark.parts
CANARY = b"Kanareikin +7 999 000-00-00"
Export = Callable[..., Done]
Offsets = list[tuple[int, int]]


@pytest.fixture
def tickets(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    """Return an empty topic of the test's own, on which decisions may lie."""
    monkeypatch.setattr(topic, "types_on", lambda name: columns.types_on(TICKETS) if name.startswith("test.") else ())
    with own_topic(stack.kafka_address) as own:
        yield own


@pytest.fixture
def exported(stack: Settings, tickets: Topic) -> Export:
    """Return a function that exports the topic into a folder, by default in files of four records."""

    def run(folder: Path, form: str = "parquet", **asked: Any) -> Done:
        source = TopicSource(stack.kafka_access, tickets.name)
        try:
            return export(source, Asked(tickets.name, form, **{"rows_per_file": 4, **asked}), folder, Progress())
        finally:
            source.close()

    return run


def put_raw(own: Topic, value: bytes, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": own.kafka, "acks": "all"})
    producer.produce(own.name, key=b"?", value=value, partition=partition)
    assert producer.flush(ANSWER_S) == 0


def read(own: Topic) -> list[Told]:
    """Read the topic by a consumer and decode it with the files of `schemas/` alone; by partition and offset."""
    consumer = Consumer({"bootstrap.servers": own.kafka, "group.id": secrets.token_hex(4), "enable.auto.commit": False, "log_level": 0})
    try:
        ends = {p: consumer.get_watermark_offsets(TopicPartition(own.name, p), timeout=ANSWER_S) for p in range(3)}
        consumer.assign([TopicPartition(own.name, p, first) for p, (first, _) in ends.items()])
        left = sum(past - first for first, past in ends.values())
        got = [message for _ in range(left) if (message := consumer.poll(ANSWER_S)) is not None]
    finally:
        consumer.close()
    records = [strangers.told(own.name, m.partition() or 0, m.offset() or 0, m.timestamp()[1] * 1000, m.value() or b"") for m in got]
    assert len(records) == left
    return sorted(records, key=lambda record: (record.partition, record.offset))


def by_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (int(row["log_partition"]), int(row["log_offset"])))


def places(folder: Path) -> Offsets:
    return [(row["log_partition"], row["log_offset"]) for row in by_place(strangers.read_parquet(folder))]


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_whole_topic_in_each_format_is_what_a_stranger_reads_on_it(tickets: Topic, exported: Export, tmp_path: Path) -> None:
    tickets.put(registered(name=CANARY, has_name=True, topic="пособие, «детское»"), *(taken(version) for version in range(2, 9)))
    put_raw(tickets, b"\x01garbage")
    tickets.put(closed(9, merged_into="RU-2025-000007", explanation=CANARY), partition=2)
    records = read(tickets)

    for form in ("parquet", "avro", "csv"):
        exported(tmp_path / form, form)

    parquet = by_place(strangers.read_parquet(tmp_path / "parquet"))
    avro, as_csv = by_place(strangers.read_avro(tmp_path / "avro")), by_place(strangers.read_csv(tmp_path / "csv"))
    wanted = [strangers.expected(record, parquet[0]) for record in records]
    assert [row["unreadable"][:16] for row in parquet if row["unreadable"]] == ["no framed record"]
    assert [{**row, "unreadable": None} for row in parquet] == wanted
    assert avro == parquet
    moments = [name for name in parquet[0] if name.endswith("_at")]
    assert as_csv == [strangers.in_words(row, moments) for row in parquet]
    assert not any(form in repr([parquet, avro, as_csv]) for form in ("Kanareikin", CANARY.hex()))


def test_files_begin_at_multiples_of_their_rows_and_say_their_range(tickets: Topic, exported: Export, tmp_path: Path) -> None:
    tickets.put(*(taken(version) for version in range(6)))
    tickets.put(taken(1), partition=1)

    done = exported(tmp_path)

    assert [line["name"] for line in done.files] == [
        f"{tickets.name}-00-000000000000-000000000003.parquet",
        f"{tickets.name}-00-000000000004-000000000005.parquet",
        f"{tickets.name}-01-000000000000-000000000000.parquet",
    ]
    assert [(line["partition"], line["first_offset"], line["last_offset"], line["rows"]) for line in done.files] == [
        (0, 0, 3, 4),
        (0, 4, 5, 2),
        (1, 0, 0, 1),
    ]


@pytest.mark.parametrize(
    ("first", "past", "ends"), [(0, 0, []), (0, 4, [4]), (0, 9, [4, 8, 9]), (3, 5, [4, 5]), (4, 8, [8]), (5, 7, [7]), (9, 8, [])]
)
def test_range_is_cut_at_multiples_whatever_it_begins_with(first: int, past: int, ends: list[int]) -> None:
    parts = cut(Span(first, past), 4)

    assert parts == [Span(one, end) for one, end in zip([first, *ends], ends, strict=False)]


def test_later_export_goes_on_where_the_earlier_one_ended_and_together_they_are_the_topic(
    tickets: Topic, exported: Export, tmp_path: Path
) -> None:
    tickets.put(*(taken(version) for version in range(5)))
    first = exported(tmp_path / "first")
    tickets.put(*(taken(version) for version in range(5, 8)))
    tickets.put(taken(1), partition=1)

    second = exported(tmp_path / "second", since=Token.parse(first.plan["until"]))

    assert places(tmp_path / "first") == [(0, n) for n in range(5)]
    assert places(tmp_path / "second") == [(0, 5), (0, 6), (0, 7), (1, 0)]
    assert Token.parse(second.plan["until"]) == Token({(tickets.name, 0): 7, (tickets.name, 1): 0})


def test_end_is_fixed_as_the_export_begins_and_a_named_one_gives_the_same_bytes_later(
    tickets: Topic, exported: Export, tmp_path: Path
) -> None:
    tickets.put(*(taken(version) for version in range(6)))
    end = Token.parse(exported(tmp_path / "now").plan["until"])
    tickets.put(*(taken(version) for version in range(6, 12)))

    again, named = exported(tmp_path / "now"), exported(tmp_path / "named", until=end)

    assert again.rows == named.rows == 6
    assert contents(tmp_path / "now") == contents(tmp_path / "named")


def test_file_that_was_removed_in_the_middle_is_read_again_alone(
    tickets: Topic, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets.put(*(taken(version) for version in range(14)))
    before = exported(tmp_path)
    whole, asked = contents(tmp_path), list[Mapping[int, Span]]()
    (tmp_path / before.files[1]["name"]).unlink()
    read_spans = replay.LogReader.read

    def noting(reader: replay.LogReader, spans: Mapping[int, Span]) -> Iterator[Record]:
        asked.append(spans)
        return read_spans(reader, spans)

    monkeypatch.setattr(replay.LogReader, "read", noting)

    done = exported(tmp_path)

    assert (done.resumed_at, asked) == (10, [{0: Span(4, 8)}])
    assert contents(tmp_path) == whole


def test_file_whose_line_is_lost_is_made_again_and_one_of_another_cut_is_refused(tickets: Topic, exported: Export, tmp_path: Path) -> None:
    tickets.put(*(taken(version) for version in range(14)))
    exported(tmp_path)
    whole = contents(tmp_path)
    manifest = json.loads(whole[MANIFEST])
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "files": manifest["files"][:2]}), "utf-8")

    exported(tmp_path)
    again = contents(tmp_path)
    (tmp_path / f"{tickets.name}-00-000000000000-000000000013.parquet").write_bytes(whole[manifest["files"][0]["name"]])
    with pytest.raises(NotOurs, match="-00-000000000000-000000000013"):
        exported(tmp_path)

    assert again == whole


def test_records_of_an_ended_era_are_there_and_void(
    tickets: Topic, exported: Export, tmp_path: Path, stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets.put(taken(2), made(EraOpened, era=2), taken(3), taken(4, era=2))
    with own_topic(stack.kafka_address) as reference:
        reference.put(made(EraOpened, era=2, marks=(MarkPlace(topic=tickets.name, partition=0, offset=1),)))
        monkeypatch.setattr(replay, "REFERENCE", reference.name)

        exported(tmp_path / "all")
        exported(tmp_path / "behind the mark", since=Token({(tickets.name, 0): 1}))

    assert [row["void"] for row in by_place(strangers.read_parquet(tmp_path / "all"))] == [False, False, True, False]
    assert [row["void"] for row in by_place(strangers.read_parquet(tmp_path / "behind the mark"))] == [True, False]


def test_what_the_log_holds_no_longer_is_gone_and_named(tickets: Topic, exported: Export, tmp_path: Path) -> None:
    landed = tickets.put(*(taken(version) for version in range(6)))
    begun = exported(tmp_path / "begun")
    tickets.cut(0, 5)
    (tmp_path / "begun" / begun.files[0]["name"]).unlink()

    with pytest.raises(Gone, match="/0: 1 to 4"):
        exported(tmp_path / "from", since=Token.of(landed[:1]))
    with pytest.raises(Gone, match="/0: 0 to 4"):
        exported(tmp_path / "begun")
    exported(tmp_path / "what is left")

    assert places(tmp_path / "what is left") == [(0, 5)]


def test_end_that_the_log_has_not_reached_is_not_cut_short(tickets: Topic, exported: Export, tmp_path: Path) -> None:
    tickets.put(taken(1))

    with pytest.raises(Ahead, match=r"/0 ends at 1, before 8 \(--until\)"):
        exported(tmp_path, until=Token({(tickets.name, 0): 7}))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("partition", "ends"), [(0, 1), (1, 0), (77, 0)])
def test_beginning_that_the_log_has_not_reached_or_does_not_have_is_named(
    tickets: Topic, exported: Export, tmp_path: Path, partition: int, ends: int
) -> None:
    tickets.put(taken(1))

    with pytest.raises(Ahead, match=rf"/{partition} ends at {ends}, before 8 \(--from\)"):
        exported(tmp_path, since=Token({(tickets.name, partition): 7}))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [1, 3])
def test_hole_in_the_offsets_is_an_error_and_no_file_hides_it(tickets: Topic, exported: Export, tmp_path: Path, missing: int) -> None:
    tickets.put(*(taken(version) for version in range(missing)))
    producer = Producer({"bootstrap.servers": tickets.kafka, "transactional.id": secrets.token_hex(4)})
    producer.init_transactions(ANSWER_S)
    producer.begin_transaction()
    producer.produce(tickets.name, key=b"?", value=b"?", partition=0)
    producer.flush(ANSWER_S)
    producer.abort_transaction(ANSWER_S)  # neither the record nor the mark behind it is ever given to a reader
    tickets.put(*(taken(version) for version in range(6)))

    with pytest.raises(Hole, match=f"/0: offset {missing} is missing"):
        exported(tmp_path, until=Token({(tickets.name, 0): 3}))

    assert list(tmp_path.glob("*.parquet")) == []


def test_topic_made_anew_is_another_export(tickets: Topic, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets.put(taken(1))
    exported(tmp_path)
    monkeypatch.setattr(topic, "topic_ids", lambda _, names: dict.fromkeys(names, "another"))

    with pytest.raises(OtherExport, match="another topic_id"):
        exported(tmp_path)


def test_topic_that_is_not_there_or_not_ours_is_named(stack: Settings, tickets: Topic) -> None:
    for name in ("test.nobody", "__consumer_offsets"):
        with pytest.raises(NoTopic, match=name):
            TopicSource(stack.kafka_access, name)
