"""Those who look while they work, on a real Kafka and a real Postgres: their own era, a session that falls silent, parts that are away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Any

import psycopg
import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from psycopg.errors import DataError, UndefinedTable
from structlog.testing import LogCapture

from consumers import only_one
from consumers.desk import away, eras, memory, watch
from consumers.desk.stretch import Announcements, Stretches
from consumers.desk.watch import Looker, Watch
from events.envelope import FACTS
from projectors import database
from projectors.positions import Fenced
from tests.consumers.on_parts import publish
from tests.consumers.recovering import Office, a_form, dying_at, wrong_on_the_log
from tests.waiting import until

pytestmark = pytest.mark.parts

_FROZEN_AFTER_S = 2
_HEIR_LIMIT_S = 30
_AT_ONCE_S = 2.0
_WATCH_LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4717004 AND granted AND database = {}"
_OWN_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is said of parts that are away."""
    capture = LogCapture()
    monkeypatch.setattr(away, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries


@contextmanager
def _looking(office: Office, who: str) -> Iterator[tuple[Callable[[], object], Announcements]]:
    """One who looks for other databases' eras: how to let him look, and where he learns of them."""
    if who == "relay":
        with office.relay() as relay:
            assert relay._announcements is not None
            yield relay.may_publish, relay._announcements
    else:
        with office.looker() as looker:
            yield looker.look, looker._announcements


@contextmanager
def _watching(office: Office, stop: Flag) -> Iterator[Watch]:
    """A watch at work in its thread; it is left at the end."""
    one = Watch(office.address, office.around, stop)
    thread = Thread(target=one.keep_looking, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.leave()
        stop.set()
        thread.join(_HEIR_LIMIT_S)
    assert not thread.is_alive()


class Freezing(Flag):
    """A flag of a process that is frozen when it next waits, until it is thawed."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.thawed = Flag(), Flag()

    def wait(self, timeout: float | None = None) -> bool:
        """Be frozen."""
        self.frozen.set()
        self.thawed.wait(2 * _HEIR_LIMIT_S)
        return self.is_set()


@pytest.mark.parametrize("step", ["", "era.announced"], ids=["it is open", "it is announced"])
@pytest.mark.parametrize("who", ["watch", "relay"])
def test_a_database_does_not_take_its_own_new_era_for_another_ones(office: Office, who: str, step: str) -> None:
    """The one who looks has read the desk's memory; before Kafka answers a desk of the same database opens an era."""
    era = office.era()
    with _looking(office, who) as (look, announcements):
        ask = announcements.look

        def answer_late() -> int:
            office.run("UPDATE desk_memory SET system_identifier = 0")
            if step:
                with dying_at(step):
                    office.wake()
            else:
                office.wake()
            return ask()

        announcements.look = answer_late  # type: ignore[method-assign]
        assert not look()

    assert office.rows("SELECT superseded_by FROM desk_memory") == [(None,)]
    assert office.wake() == era + 1
    publish(office.settings, [a_form()])
    office.settle()
    assert wrong_on_the_log(office.settings) == []


def test_who_is_told_of_another_databases_era_after_somebody_noted_one_names_the_noted_one(office: Office) -> None:
    with psycopg.connect(office.address) as db:
        assert memory.note_superseded(db, office.era() + 2, 1) == office.era() + 2

        assert memory.note_superseded(db, office.era() + 3, 1) == office.era() + 2


@pytest.mark.parametrize("step", ["era.intent_stored", "era.number_final", "era.before_fold", "era.before_finishing"])
def test_a_desk_whose_era_was_opened_by_another_desk_of_the_same_database_comes_back(
    office: Office, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = office.era() + 1

    def reached(name: str) -> None:
        if name == step:
            office.run("UPDATE desk_memory SET era = opening, opening = NULL, claim = NULL, marked = false")

    office.run("UPDATE desk_memory SET system_identifier = 0")
    monkeypatch.setattr(eras, "reached", reached)
    with pytest.raises(Fenced):
        office.wake()

    assert office.rows("SELECT era, opening, superseded_by FROM desk_memory") == [(opened, None, None)]


@pytest.mark.parametrize("step", ["era.intent_stored", "era.outcomes_marked", "era.before_finishing"])
def test_the_heir_of_a_desk_that_is_frozen_while_it_opens_an_era_goes_on_within_a_bound(
    office: Office, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(only_one, "FROZEN_AFTER_S", _FROZEN_AFTER_S)
    opened, met = office.era() + 1, list[Exception]()
    frozen, thawed = Flag(), Flag()

    def reached(name: str) -> None:
        if name == step and not frozen.is_set():
            frozen.set()
            thawed.wait(2 * _HEIR_LIMIT_S)

    def wake() -> None:
        try:
            office.wake()
        except Exception as failure:  # noqa: BLE001 - looked at below
            met.append(failure)

    office.run("UPDATE desk_memory SET system_identifier = 0")
    monkeypatch.setattr(eras, "reached", reached)
    monkeypatch.setattr(eras, "_WAIT_LIMIT_S", _HEIR_LIMIT_S)
    first = Thread(target=wake, daemon=True)
    first.start()
    try:
        until(frozen.is_set, _HEIR_LIMIT_S)
        era = office.wake()
    finally:
        thawed.set()
        first.join(_HEIR_LIMIT_S)

    assert era == opened
    assert [isinstance(failure, psycopg.OperationalError) for failure in met] == [True]
    assert office.rows("SELECT era, opening FROM desk_memory") == [(opened, None)]
    publish(office.settings, [a_form()])
    office.settle()
    assert wrong_on_the_log(office.settings) == []


def test_a_desk_that_has_looked_may_be_silent(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(only_one, "FROZEN_AFTER_S", _FROZEN_AFTER_S)
    with database.connect(office.address, "test-desk") as db:
        eras.look_before_deciding(db, office.around, Flag())

        assert db.execute("SHOW idle_session_timeout").fetchone() == ("0",)


def test_a_watch_that_is_frozen_loses_its_lock_to_an_heir(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(only_one, "FROZEN_AFTER_S", _FROZEN_AFTER_S)
    holders = _WATCH_LOCKS.format(_OWN_DATABASE)
    stop = Freezing()
    with _watching(office, stop):
        until(stop.frozen.is_set, _HEIR_LIMIT_S)
        (first,) = office.rows(holders)

        with _watching(office, Flag()):
            until(lambda: office.rows(holders) not in ([first], []), _HEIR_LIMIT_S)

        stop.thawed.set()


def test_reading_the_log_keeps_a_session_awake_and_ends_when_asked(office: Office) -> None:
    """More is waited for than is there."""
    calls: list[int] = []

    def meanwhile() -> None:
        calls.append(1)
        if len(calls) > 4:
            raise InterruptedError

    with office.looker() as looker:
        stretches = looker._stretches
        ends = {place: end + 1 for place, end in stretches.ends(FACTS).items()}
        stretches.meanwhile = meanwhile

        with pytest.raises(InterruptedError):
            list(stretches.read({place: end - 1 for place, end in ends.items()}, ends))


@pytest.mark.parametrize("flag", ["stop", "leave"])
def test_a_watch_that_waits_for_kafka_ends_as_soon_as_nobody_needs_it(office: Office, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Announcements, "look", lambda self: list(_wait_for_nothing(self._stretches)) and 1)
    stop = Flag()
    one = Watch(office.address, office.around, stop)
    thread = Thread(target=one.keep_looking, daemon=True)
    thread.start()
    until(lambda: office.rows(_WATCH_LOCKS.format(_OWN_DATABASE)))
    stop.set() if flag == "stop" else one.leave()
    thread.join(10)

    assert not thread.is_alive()
    assert one.failure is None


def _wait_for_nothing(stretches: Stretches) -> Iterator[Any]:
    ends = stretches.ends(FACTS)
    return stretches.read(ends, {place: end + 1 for place, end in ends.items()})


def test_a_desk_that_is_asked_to_stop_does_not_wait_for_its_watch(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, left = Flag(), Flag()

    def never_answer(self: Looker) -> None:
        inside.set()
        left.wait(_HEIR_LIMIT_S)

    monkeypatch.setattr(Looker, "look", never_answer)
    monkeypatch.setattr(watch, "_STOP_LIMIT_S", 0.1)
    stop = Flag()
    with watch.watching(office.address, office.around, stop) as halt:
        until(inside.is_set)
        assert not halt.wait(0)
        stop.set()

        assert halt.is_set()
        assert halt.wait(_AT_ONCE_S)
    left.set()


def test_a_watch_that_finds_a_fault_of_ours_ends_the_desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Looker) -> None:
        raise DataError

    monkeypatch.setattr(Looker, "look", fail)
    with pytest.raises(DataError), watch.watching(office.address, office.around, Flag()) as halt:
        assert halt.wait(_HEIR_LIMIT_S)


def test_a_watch_waits_for_tables_until_they_are_made_and_never_again(
    office: Office, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.05)
    bare = Office(office.settings)
    with _watching(bare, Flag()) as one:
        until(lambda: said)
        assert not one.halt.wait(0.5)
        bare.wake()
        until(lambda: len(said) > 1)
        bare.run("DROP TABLE desk_memory")

        assert one.halt.wait(_HEIR_LIMIT_S)

    assert isinstance(one.failure, UndefinedTable)
    assert [line["log_level"] for line in said] == ["warning", "info"]


@pytest.mark.parametrize("who", ["watch", "relay"])
def test_a_denied_right_is_named_once_and_its_end_too(office: Office, who: str, said: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    denied = [KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))] * 3
    ask = Announcements.look

    def refuse(self: Announcements) -> int:
        if denied:
            raise denied.pop()
        return ask(self)

    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(Announcements, "look", refuse)
    if who == "watch":
        with _watching(office, Flag()):
            until(lambda: len(said) > 1)
    else:
        with office.relay() as relay:
            assert [relay.may_publish() for _ in range(4)] == [False, False, False, True]

    told = [(line["log_level"], line.get("because", line.get("after"))) for line in said]
    name = "KafkaException TOPIC_AUTHORIZATION_FAILED"
    assert told == [("warning", name), ("info", name)]


def test_what_a_parked_cause_failed_with_goes_on_the_log_without_what_it_says_of_a_ticket(office: Office) -> None:
    (place,) = publish(office.settings, [a_form()])

    office.decide(parking=(place,), rule="VersionHole: RU-2000-000001 has version 3 after 1")
    office.publish_all()

    assert [(o.result, o.rule, o.detail) for o in office.outcomes_of([place])] == [("parked", "VersionHole", "")]
