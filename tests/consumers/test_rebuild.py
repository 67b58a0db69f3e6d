"""A read model built again beside the one that serves, on a real Kafka and a real Postgres, while facts go on coming."""

import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event as Flag
from threading import Thread
from typing import Any

import psycopg
import pytest
from confluent_kafka import KafkaException
from psycopg.errors import LockNotAvailable
from pydantic import SecretStr

from consumers.kafka import topic_ids
from consumers.project import Projecting, divide
from consumers.rebuild import rebuilding, worker
from consumers.rebuild.crew import Stopped, share_out, tasks_of
from consumers.rebuild.predicting import predict
from consumers.rebuild.rebuilding import Limits, Progress, Rebuilt, UnderWay, rebuild
from consumers.rebuild.worker import Assigned, BulkFollower, Task
from deploy.stack import hotline
from events import reference
from events.envelope import FACTS, TICKETS, Event
from events.places import Partition
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.log_ends import LogEnds
from projectors import builds
from projectors import database as doors
from projectors.builds import BUILDING, FOLLOWING, Build, list_builds
from projectors.builds.comparing import Comparison, compare
from projectors.builds.switching import switch
from projectors.contacts import CONTACTS
from projectors.model import ReadModel
from projectors.positions import Fenced, list_positions
from projectors.ticket_status import TICKET_STATUS
from tests.consumers.facts import request
from tests.consumers.on_parts import publish
from tests.made import registered, taken
from tests.projectors.newer import LOST, NewerStatus
from tests.waiting import until

pytestmark = pytest.mark.parts
ONE = Limits(workers=1)
_COMES_S, _ENDS_S = 60.0, 60.0


@pytest.fixture
def here(stack: Settings, database: str) -> Settings:
    """The session's Kafka, and a database of the test's own."""
    return stack.model_copy(update={"database_url": SecretStr(database)})


@contextmanager
def projecting(settings: Settings, *models: ReadModel, group: str = "") -> Iterator[None]:
    """A projector of `models` inside the block, in a group of its own if none is named."""
    stop, failures = Flag(), list[Exception]()
    group = group or f"test-{secrets.token_hex(4)}"

    def run() -> None:
        try:
            Projecting(settings, models, group).run(stop)
        except Exception as failure:  # noqa: BLE001 - told by the assertion below
            failures.append(failure)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_ENDS_S)
    assert failures == []


def _ends(settings: Settings, model: ReadModel) -> dict[Partition, int]:
    asked = LogEnds(settings.kafka_access)

    def ends() -> dict[Partition, int]:
        with suppress(KafkaException):  # a broker that was just born has no leaders yet
            return asked.latest(model.topics)
        return {}

    return until(ends)


def _listed(settings: Settings, model: str) -> list[Build]:
    with psycopg.connect(settings.database, autocommit=True) as db:
        return list_builds(db, [model])


def _wait_followed(settings: Settings, model: ReadModel, *consumers: str) -> None:
    """Wait until these consumers have read all that the log holds now."""
    ends = _ends(settings, model)
    with psycopg.connect(settings.database, autocommit=True) as db:
        until(lambda: (db.execute("SELECT to_regclass('position')").fetchone() or (None,))[0], _COMES_S)

        def all_read() -> bool:
            reached = list_positions(db, consumers)
            return all(reached[name].get(place, 0) >= past for name in consumers for place, past in ends.items() if past)

        until(all_read, _COMES_S)


def _compared(settings: Settings, model: str) -> Comparison:
    old, new = _listed(settings, model)
    with doors.connect(settings.database, "test") as db:
        return compare(db, old, new, {})


def _lived(*numbers: str) -> list[Event]:
    return [step for n in numbers for step in (registered(n), taken(2, n, queue=LOST if n.endswith("1") else "portal"))]


def _fresh(count: int) -> list[str]:
    return [f"RU-2025-{secrets.randbelow(10**8):08d}{place}" for place in range(count)]


def test_a_build_beside_is_made_followed_compared_and_switched_to_while_facts_come(here: Settings) -> None:
    publish(here, [request(f"early-{n}") for n in range(5)])
    with projecting(here, CONTACTS):
        _wait_followed(here, CONTACTS, "contacts_v1")

        done = rebuild(here, CONTACTS, limits=Limits(workers=2))
        publish(here, [request(f"late-{n}") for n in range(5)])
        _wait_followed(here, CONTACTS, "contacts_v1", "contacts_v1_b2")
        found = _compared(here, "contacts")
        with doors.connect(here.database, "test") as db:
            switched = switch(db, "contacts")
            back = switch(db, "contacts", back=True)

    assert (done.build.consumer, done.followed, done.records > 0) == ("contacts_v1_b2", True, True)
    assert (found.is_clean, found.rows >= 10) == (True, True)
    assert (switched.new.consumer, back.new.consumer) == ("contacts_v1_b2", "contacts_v1")
    assert _indexes(here, "contacts_v1_b2") == _indexes(here, "public", "contact_%")


def _indexes(settings: Settings, schema: str, tables: str = "%") -> set[str]:
    with psycopg.connect(settings.database) as db:
        return {n for (n,) in db.execute("SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename LIKE %s", [schema, tables])}


def test_a_version_that_errs_is_found_by_ticket_and_column(here: Settings) -> None:
    """Version 1 serves; the new one loses a queue."""
    numbers = [f"{n[:-1]}{place}" for place, n in enumerate(_fresh(3))]
    publish(here, _lived(*numbers))
    with projecting(here, TICKET_STATUS, NewerStatus(faulty=True)):
        _wait_followed(here, TICKET_STATUS, "ticket_status_v1")

        rebuild(here, NewerStatus(faulty=True), limits=ONE)
        _wait_followed(here, TICKET_STATUS, "ticket_status_v1", "ticket_status_v2_b2")
        found = _compared(here, "ticket_status")

    assert set(found.columns) == {"ticket_status.queue"}
    assert numbers[1] in {one.ticket for one in found.differences}
    assert not {numbers[0], numbers[2]} & {one.ticket for one in found.differences}


def test_a_worker_that_dies_is_replaced_and_nothing_is_applied_twice(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "_TAKEN_OVER_LIMIT_S", 0.5)  # nobody is there who could
    monkeypatch.setattr(rebuilding, "ALONE_RECORDS", 0)
    publish(here, [request(f"dies-{n}") for n in range(5)])
    progress = Progress()

    done = rebuild(here.model_copy(update={"crash_point": "kill:rebuild.batch"}), CONTACTS, workers=2, progress=progress)

    assert [note for note in progress.notes if f"code {-signal.SIGKILL}" in note]
    assert (done.records, done.resumed_at) == (sum(_ends(here, CONTACTS).values()), 0)
    assert not done.followed


@pytest.mark.parametrize("point", ["rebuild.before_indexes", "rebuild.before_hand_over"])
def test_a_rebuild_that_is_killed_goes_on_where_it_was(here: Settings, point: str) -> None:
    publish(here, [request(f"killed-{n}") for n in range(5)])
    command = hotline(here.model_copy(update={"crash_point": f"kill:{point}"}), "rebuild", "contacts", "--workers", "1")
    killed = subprocess.run(list(command.words), cwd=command.folder, env=dict(command.environment or {}), timeout=_ENDS_S, check=False)

    with projecting(here, CONTACTS):
        done = rebuild(here, CONTACTS, limits=ONE)
        _wait_followed(here, CONTACTS, "contacts_v1", "contacts_v1_b2")
        found = _compared(here, "contacts")

    assert killed.returncode == -signal.SIGKILL
    assert done.resumed_at > 0
    assert [build.state for build in _listed(here, "contacts")] == [FOLLOWING, FOLLOWING]
    assert found.is_clean


def test_a_worker_that_must_stop_says_why_and_what_was_built_stays(here: Settings) -> None:
    publish(here, [request("stops")])
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        build = builds.make_beside(db, CONTACTS)
        db.execute("INSERT INTO position SELECT 'contacts_v1_b2', %s, n, 'other', 1, 0, 1 FROM generate_series(0, 11) AS n", [FACTS])

    with pytest.raises(Stopped, match="TopicReplaced"):
        rebuild(here, CONTACTS, limits=ONE)

    assert _listed(here, "contacts")[-1] == build


def test_a_rebuild_whose_sessions_break_comes_back_and_goes_on(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "_MOST_BATCH_RECORDS", 5)
    publish(here, [request(f"breaks-{n}") for n in range(60)])
    ended: list[Any] = []
    with projecting(here, CONTACTS), psycopg.connect(here.database, autocommit=True) as db:
        _wait_followed(here, CONTACTS, "contacts_v1")
        done: list[Rebuilt] = []
        other = Thread(target=lambda: done.append(rebuild(here, CONTACTS, limits=Limits(workers=1, records_per_s=60))))
        other.start()

        def break_one() -> bool:
            ended.extend(db.execute(_END_SESSIONS, ["rebuild contacts%"]).fetchall() if len(ended) < 4 else ())
            return not other.is_alive()

        until(break_one, _COMES_S)
        _wait_followed(here, CONTACTS, "contacts_v1", "contacts_v1_b2")
        found = _compared(here, "contacts")

    assert len(ended) >= 4
    assert done[0].followed
    assert found.is_clean


_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE %s AND datname = current_database() AND backend_start < now() - interval '0.5 s'
"""


def test_a_build_that_is_dropped_while_it_is_made_is_not_handed_over(here: Settings) -> None:
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        build = builds.make_beside(db, CONTACTS)
        db.execute("UPDATE read_model_build SET state = 'leaving' WHERE consumer = %s", [build.consumer])

        with pytest.raises(builds.BuildGone):
            builds.hand_over(db, build, 1, 1, 1)


def test_only_one_rebuild_of_a_model_is_at_work(here: Settings) -> None:
    with psycopg.connect(here.database, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(4717007, hashtext('contacts'))")

        with pytest.raises(UnderWay, match="at work already"):
            rebuild(here, CONTACTS, limits=ONE)


@contextmanager
def _bulk(settings: Settings, build: Build, until_: Mapping[Partition, int]) -> Iterator[BulkFollower]:
    consumer = Assigned(settings.kafka_access, sorted(until_))
    with doors.connect(settings.database, "test") as db:
        builds.look_into(db, [build])
        ids, limits = topic_ids(settings.kafka_access, CONTACTS.topics), reference.load().parking
        follower = BulkFollower(consumer, db, [CONTACTS], load_codec(), ids, limits, {CONTACTS.name: build.consumer})
        follower.read_up_to(until_, 1)
        try:
            yield follower
        finally:
            consumer.close()


def test_two_that_feed_one_build_do_not_both_commit(here: Settings) -> None:
    publish(here, [request(f"fenced-{n}") for n in range(3)])
    wanted = {place: past for place, past in _ends(here, CONTACTS).items() if past}
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        build = builds.make_beside(db, CONTACTS)

    with _bulk(here, build, wanted) as first, _bulk(here, build, wanted) as second:
        with pytest.raises(Fenced):
            until(first.step)
        until(second.step)


def test_a_bulk_follower_stops_where_it_was_told_to(here: Settings) -> None:
    places = publish(here, [request("bounded")])
    place = (places[0].topic, places[0].partition)
    publish(here, [request("bounded")])
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        build = builds.make_beside(db, CONTACTS)

    with _bulk(here, build, {place: places[0].offset + 1}) as follower:
        until(lambda: follower.step() is not None and not follower.left(), _COMES_S)
        follower.step()

    with psycopg.connect(here.database) as db:
        assert list_positions(db, [build.consumer])[build.consumer] == {place: places[0].offset + 1}


def test_a_rebuild_that_gets_nothing_though_there_should_be_more_says_so(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_STUCK_LIMIT_S", 0.5)
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        build = builds.make_beside(db, CONTACTS)

    said = worker.carry_out(here, CONTACTS, Task(build, {(FACTS, 0): 10**9}, 100, 100))

    assert said.stopped_by.startswith("Stuck: no record came")


def test_a_prediction_counts_the_log_and_leaves_nothing_behind(here: Settings) -> None:
    publish(here, [request(f"predicted-{n}") for n in range(5)])
    with doors.connect(here.database, "test") as db:
        doors.prepare(db, [CONTACTS])
        before = _everything(db)

        told = predict(here, CONTACTS, ONE)

        assert _everything(db) == before
    assert (told.build, told.records) == ("contacts_v1_b2", sum(_ends(here, CONTACTS).values()))
    assert told.seconds > 0
    assert told.records_per_s > 0
    assert told.disk_bytes > 0
    assert told.measured_by.startswith("a sample of")


def _everything(db: "psycopg.Connection[Any]") -> list[Any]:
    counted = [db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("position", "read_model_build", "parked")]
    return [*counted, *db.execute("SELECT oid FROM pg_class WHERE relkind IN ('r', 'i', 'v') AND relpersistence = 'p' ORDER BY 1")]


def test_partitions_are_shared_out_by_what_is_left_in_them() -> None:
    left = {(TICKETS, number): records for number, records in enumerate((10, 9, 1, 1, 1, 0))}

    shares = share_out(left, 2)

    assert [sum(left[p] for p in share) for share in shares] == [11, 11]
    assert share_out(left, 9) == [[p] for p in sorted(left, key=lambda p: (-left[p], p)) if left[p]]
    assert share_out({}, 2) == []


def test_workers_share_a_rate() -> None:
    until_ = {(TICKETS, number): 5 for number in range(4)}
    task = Task(Build("m", 1, 2, BUILDING), until_, 10, 10, records_per_s=100.0)

    tasks = tasks_of(task, until_, 2)

    assert [one.records_per_s for one in tasks] == [50.0, 50.0]
    assert sorted(p for one in tasks for p in one.until) == sorted(until_)


def test_the_first_builds_of_distinct_models_are_followed_together_and_others_apart() -> None:
    there = [Build("a", 1, 1), Build("a", 1, 2), Build("b", 1, 2), Build("b", 2, 2)]

    together = [(share.group, [build.consumer for build in share.builds]) for share in divide(there, "projectors")]
    alone = [share.group for share in divide(there, None)]

    assert together == [("projectors", ["a_v1", "b_v1_b2"]), ("a_v1_b2", ["a_v1_b2"]), ("b_v2_b2", ["b_v2_b2"])]
    assert alone == ["a_v1", "a_v1_b2", "b_v1_b2", "b_v2_b2"]


def test_in_a_rolling_release_every_build_moves_on_all_partitions(here: Settings) -> None:
    """The old process knows a version of `ticket_status` that the new one has never heard of; both follow `contacts`."""
    group = f"test-{secrets.token_hex(4)}"
    with projecting(here, CONTACTS, TICKET_STATUS, group=group):
        _wait_followed(here, CONTACTS, "contacts_v1")
        before = _claims(here, "contacts_v1")

        with projecting(here, CONTACTS, NewerStatus(), group=group):
            until(lambda: _claims(here, "contacts_v1") >= before + _SHARED, _COMES_S)
            publish(here, _lived(*_fresh(9)))
            publish(here, [request(f"rolling-{n}") for n in range(20)])

            _wait_followed(here, TICKET_STATUS, "ticket_status_v1")
            _wait_followed(here, CONTACTS, "contacts_v1")
        publish(here, [request("alone again")])
        _wait_followed(here, CONTACTS, "contacts_v1")


_SHARED = 6  # of a topic's twelve partitions, when two share them


def _claims(settings: Settings, consumer: str) -> int:
    with psycopg.connect(settings.database) as db:
        row = db.execute("SELECT coalesce(sum(owner_epoch), 0) FROM position WHERE consumer = %s", [consumer]).fetchone()
        return int(row[0]) if row else 0


def test_tables_that_could_not_be_made_in_time_are_made_at_the_next_look(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, tries = doors.prepare, list[int]()

    def late(*given_: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise LockNotAvailable
        prepare(*given_)

    monkeypatch.setattr(doors, "prepare", late)
    stop = Flag()
    projector = Projecting(here, [CONTACTS], None)
    other = Thread(target=lambda: projector.run(stop))
    other.start()
    try:
        until(lambda: len(tries) > 1, 10)
        _wait_followed(here, CONTACTS, "contacts_v1")
    finally:
        stop.set()
        other.join(_ENDS_S)

    assert [build.consumer for build in _listed(here, "contacts")] == ["contacts_v1"]


def test_a_build_that_is_dropped_is_let_go_by_its_projector(here: Settings) -> None:
    publish(here, [request("dropped")])
    with projecting(here, CONTACTS):
        _wait_followed(here, CONTACTS, "contacts_v1")
        done: Rebuilt = rebuild(here, CONTACTS, limits=ONE)

        with doors.connect(here.database, "test") as db:
            builds.drop(db, done.build)
        publish(here, [request("after")])
        _wait_followed(here, CONTACTS, "contacts_v1")

    assert [build.consumer for build in _listed(here, "contacts")] == ["contacts_v1"]


def test_progress_tells_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.rebuild.rebuilding.monotonic", lambda: 110.0)
    progress = Progress("reading", total=1000, done=600, resumed_at=100, began_s=100.0)

    assert progress.line() == "reading 60 %, 50/s, 8 s left"
