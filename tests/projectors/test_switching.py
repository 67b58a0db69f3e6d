"""Readers are led to another build, and back, without an error, a step back or a wait that they would notice."""

from collections.abc import Iterator
from threading import Event, Thread
from time import monotonic

import psycopg
import pytest

from projectors import builds
from projectors.builds import BuildGone, StillFollowed, list_builds, serving_of, switching
from projectors.builds.comparing import compare
from projectors.builds.switching import Differs, Refused, choose, switch
from projectors.builds.views import bodies_of
from projectors.model import ReadModel
from projectors.registry import PROJECTIONS
from projectors.ticket_status import TICKET_STATUS
from tests.given import given, rows_of
from tests.made import registered, taken
from tests.projectors.newer import LOST, WIDER, NewerStatus
from tests.projectors.two_builds import Builds
from tests.waiting import until

FIRST, SECOND = "RU-2025-000001", "RU-2025-000002"
LIFE = (registered(FIRST), registered(SECOND), taken(2, FIRST), taken(2, SECOND, queue=LOST))

pytestmark = pytest.mark.parts


@pytest.fixture
def beside(database: str, request: pytest.FixtureRequest) -> Iterator[Builds]:
    """Version 1 serves; what the test names stands beside it, both at the end of one log."""
    model: ReadModel = getattr(request, "param", NewerStatus())
    both = Builds(database, TICKET_STATUS, model)
    both.feed_both(given(*LIFE).records)
    yield both
    both.close()


def _serving(both: Builds) -> str:
    serving = serving_of(list_builds(both.db, ["ticket_status"]))
    assert serving is not None
    return serving.consumer


def _compared(both: Builds) -> None:
    compare(both.db, both.old, both.new, {})


def test_readers_ask_the_new_build_after_a_switch_and_the_old_one_after_going_back(beside: Builds) -> None:
    beside.db.execute(f"UPDATE \"{beside.new.schema}\".ticket_status_v2 SET language = 'xx'")
    beside.db.execute("UPDATE read_model_build SET served_since = 1 WHERE number = 2")  # no comparison would let this pass

    there = switch(beside.db, "ticket_status", back=True)
    after = rows_of(beside.address, "ticket_status", "number")
    back = switch(beside.db, "ticket_status", back=True)

    assert [row["language"] for row in after] == ["xx", "xx"]
    assert [row["language"] for row in rows_of(beside.address, "ticket_status", "number")] == ["tt", "tt"]
    assert (there.new.consumer, back.new.consumer, _serving(beside)) == ("ticket_status_v2_b2", "ticket_status_v1", "ticket_status_v1")


def test_nothing_is_switched_to_before_it_was_compared(beside: Builds) -> None:
    with pytest.raises(Refused, match="was not compared"):
        switch(beside.db, "ticket_status")

    _compared(beside)

    assert switch(beside.db, "ticket_status").new.consumer == "ticket_status_v2_b2"


def test_a_comparison_of_long_ago_is_worth_nothing(beside: Builds) -> None:
    _compared(beside)
    beside.db.execute("UPDATE read_model_comparison SET compared_at = compared_at - 601 * 1000000")

    with pytest.raises(Refused, match="within the last 10 minutes"):
        switch(beside.db, "ticket_status")


@pytest.mark.parametrize("beside", [NewerStatus(faulty=True)], indirect=True)
def test_a_version_that_errs_is_refused_and_its_tickets_are_named(beside: Builds) -> None:
    _compared(beside)

    with pytest.raises(Differs, match=f"1 differences that no rule expects: {SECOND}") as refused:
        switch(beside.db, "ticket_status")

    assert refused.value.differences == [["ticket_status", SECOND, "queue", LOST, "None"]]
    assert _serving(beside) == "ticket_status_v1"


def test_a_build_that_is_behind_is_not_switched_to(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "_LIMIT_S", 0.1)
    _compared(beside)
    log = given(*LIFE)
    log.append(taken(3, FIRST))
    beside.feed(beside.old, log.records)

    with pytest.raises(Refused, match="does not come up"):
        switch(beside.db, "ticket_status")

    assert (_serving(beside), rows_of(beside.address, "ticket_status", "number")[0]["version"]) == ("ticket_status_v1", 3)


def test_a_build_that_comes_up_while_the_old_one_is_held_is_switched_to(beside: Builds) -> None:
    _compared(beside)
    log = given(*LIFE)
    log.append(taken(3, FIRST))
    beside.feed(beside.old, log.records)
    done: list[switching.Switched] = []
    other = Thread(target=lambda: done.append(switch(beside.db, "ticket_status")))

    other.start()
    beside.feed(beside.new, log.records)
    until(lambda: done)
    other.join(5)

    assert rows_of(beside.address, "ticket_status", "number")[0]["version"] == 3
    assert done[0].took_s < 5


def test_a_build_that_is_not_ready_is_not_chosen(beside: Builds) -> None:
    builds.make_beside(beside.db, NewerStatus())

    with pytest.raises(Refused, match="ticket_status_v2_b3 is not ready: building"):
        switch(beside.db, "ticket_status")
    with pytest.raises(Refused, match="no other build of it has served"):
        switch(beside.db, "ticket_status", back=True)


def test_there_must_be_something_newer(database: str) -> None:
    serving = builds.first_of(TICKET_STATUS)._replace(serving=True)

    with pytest.raises(Refused, match="nothing newer"):
        choose([serving], back=False)
    with pytest.raises(Refused, match="no build of it serves"):
        choose([], back=False)


@pytest.mark.parametrize("beside", [WIDER], indirect=True)
def test_a_column_that_was_added_stays_when_an_older_version_serves_again(beside: Builds) -> None:
    _compared(beside)

    switch(beside.db, "ticket_status")
    newer = rows_of(beside.address, "ticket_status", "number")
    switch(beside.db, "ticket_status", back=True)
    older = rows_of(beside.address, "ticket_status", "number")

    assert [row["has_queue"] for row in newer] == [True, True]
    assert [row["has_queue"] for row in older] == [None, None]
    assert list(newer[0]) == list(older[0])


@pytest.mark.parametrize(
    "beside", [NewerStatus(views=NewerStatus().views.replace(" version,", " version::text AS version,"))], indirect=True
)
def test_a_version_that_changes_what_readers_know_is_refused(beside: Builds) -> None:
    _compared(beside)

    with pytest.raises(Refused, match="change columns that readers know"):
        switch(beside.db, "ticket_status")

    assert _serving(beside) == "ticket_status_v1"


def test_readers_meet_no_error_and_no_step_back_while_it_is_switched_to_and_fro(beside: Builds) -> None:
    _compared(beside)
    stop, failures, seen = Event(), list[BaseException](), list[int]()

    def read() -> None:
        try:
            with psycopg.connect(beside.address, autocommit=True) as db:
                db.prepare_threshold = 0
                while not stop.is_set():
                    row = db.execute("SELECT number, version, queue FROM ticket_status WHERE number = %s", [FIRST]).fetchone()
                    seen.append(row[1] if row else 0)
        except BaseException as failure:  # noqa: BLE001 - told by the assertion below
            failures.append(failure)

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    switched = [switch(beside.db, "ticket_status"), *(switch(beside.db, "ticket_status", back=True) for _ in range(9))]
    stop.set()
    for reader in readers:
        reader.join(10)

    assert (failures, set(seen)) == ([], {2})
    assert max(one.took_s for one in switched) < 5


def test_a_reader_that_takes_its_time_delays_a_switch_and_no_other_reader_for_long(beside: Builds) -> None:
    _compared(beside)
    done: list[switching.Switched] = []
    began_s = monotonic()

    with psycopg.connect(beside.address) as slow, psycopg.connect(beside.address, autocommit=True) as quick:
        slow.execute("SELECT count(*) FROM ticket_status")
        other = Thread(target=lambda: done.append(switch(beside.db, "ticket_status")))
        other.start()
        quick.execute("SET statement_timeout = '3s'")
        asked: list[object] = []

        def ask() -> bool:
            asked.append(quick.execute("SELECT count(*) FROM ticket_status").fetchone())
            return monotonic() > began_s + 0.6

        until(ask)
        assert not done
        slow.rollback()
        until(lambda: done)
        other.join(5)

    assert set(asked) == {(2,)}
    assert done[0].attempts > 1


def test_a_build_is_dropped_with_all_that_was_its_own(beside: Builds) -> None:
    builds.drop(beside.db, beside.new)

    left = beside.db.execute("SELECT count(*) FROM position WHERE consumer = %s", [beside.new.consumer]).fetchone()
    schemas = beside.db.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [beside.new.schema]).fetchone()
    assert (left, schemas, [b.consumer for b in list_builds(beside.db)]) == ((0,), (0,), ["ticket_status_v1"])


def test_a_clean_comparison_of_a_dropped_build_does_not_speak_for_the_next_of_its_number(beside: Builds) -> None:
    _compared(beside)
    builds.drop(beside.db, beside.new)
    beside.rules[2] = NewerStatus(faulty=True)
    again = builds.make_beside(beside.db, beside.rules[2])
    builds.hand_over(beside.db, again, 0, 0, 0)
    beside.feed(again, given(*LIFE).records)

    with pytest.raises(Refused, match="ticket_status_v2_b2 was not compared"):
        switch(beside.db, "ticket_status")

    assert (again.consumer, _serving(beside)) == (beside.new.consumer, "ticket_status_v1")


def test_a_build_begins_without_a_comparison_that_somebody_left_under_its_name(beside: Builds) -> None:
    left = "INSERT INTO read_model_comparison VALUES (%s, %s, 1, 0, '[]')"
    beside.db.execute(left, ["ticket_status_v1", "ticket_status_v2_b3"])
    beside.db.execute(left, ["ticket_status_v2_b3", "ticket_status_v1"])

    builds.make_beside(beside.db, NewerStatus())

    assert beside.db.execute("SELECT count(*) FROM read_model_comparison").fetchone() == (0,)


def test_a_build_that_is_being_compared_is_not_dropped(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what the comparison keeps at its end would speak for the next build of this number."""
    monkeypatch.setattr(builds, "_LET_GO_LIMIT", "100ms")
    _compared(beside)

    with psycopg.connect(beside.address, autocommit=True) as other, pytest.raises(StillFollowed):
        builds.drop(other, beside.new)


def test_the_build_that_serves_is_never_dropped(beside: Builds) -> None:
    with pytest.raises(BuildGone, match="serves"):
        builds.drop(beside.db, beside.old)


def test_a_build_that_somebody_follows_is_not_dropped_under_his_hands(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "_LET_GO_LIMIT", "100ms")
    with psycopg.connect(beside.address, autocommit=True) as follower:
        builds.hold(follower, beside.new)

        with pytest.raises(StillFollowed):
            builds.drop(beside.db, beside.new)
        with psycopg.connect(beside.address, autocommit=True) as late, pytest.raises(BuildGone):
            builds.hold(late, beside.new)

    builds.drop(beside.db, beside.new)
    assert len(list_builds(beside.db)) == 1


def test_the_first_build_can_be_dropped_and_does_not_come_again(beside: Builds) -> None:
    from projectors import database

    _compared(beside)
    switch(beside.db, "ticket_status")

    builds.drop(beside.db, beside.old)
    database.prepare(beside.db, [TICKET_STATUS])

    assert [b.consumer for b in list_builds(beside.db)] == ["ticket_status_v2_b2"]
    assert len(rows_of(beside.address, "ticket_status", "number")) == 2


@pytest.mark.parametrize("model", PROJECTIONS, ids=lambda model: model.name)
def test_the_views_of_every_model_can_be_made_over_another_build(model: ReadModel) -> None:
    names = [name for name, _ in bodies_of(model.views)]

    assert model.name in names
    assert builds.tables_of(model)


def test_other_statements_than_views_are_not_taken() -> None:
    with pytest.raises(ValueError, match="CREATE OR REPLACE VIEW alone"):
        bodies_of("DROP VIEW ticket_status;")
