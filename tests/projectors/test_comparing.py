"""Two builds compared while both go on: a step ahead is no difference, and every real one has a name."""

import re
from collections.abc import Iterator
from itertools import count
from threading import Thread

import psycopg
import pytest

from projectors import parked
from projectors.builds import Build, comparing
from projectors.builds.comparing import PARKED, ROW, WHOLE, Expected, NotCaughtUp, compare
from projectors.builds.showing import shown
from projectors.model import ReadModel
from projectors.parked import ParkedRecord
from projectors.ticket_status import TICKET_STATUS
from tests.given import given
from tests.made import registered, taken
from tests.projectors.newer import LOST, WIDER, NewerStatus
from tests.projectors.two_builds import Builds
from tests.waiting import until

FIRST, SECOND, THIRD = "RU-2025-000001", "RU-2025-000002", "RU-2025-000003"
LIFE = (registered(FIRST), registered(SECOND), registered(THIRD), taken(2, FIRST), taken(2, SECOND, queue=LOST))

pytestmark = pytest.mark.parts


@pytest.fixture
def beside(database: str, request: pytest.FixtureRequest) -> Iterator[Builds]:
    """Version 1 serves; what the test names stands beside it."""
    model: ReadModel = getattr(request, "param", NewerStatus())
    both = Builds(database, TICKET_STATUS, model)
    yield both
    both.close()


def test_two_builds_of_the_same_rules_are_equal(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)

    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.rows, found.is_clean, found.differences, found.unpaired) == (3, True, [], [])


@pytest.mark.parametrize("beside", [NewerStatus(faulty=True)], indirect=True)
def test_a_difference_is_named_by_ticket_and_column(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)

    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.rows_unexpected, dict(found.columns)) == (1, {"ticket_status.queue": 1})
    assert [tuple(one) for one in found.differences] == [("ticket_status", SECOND, "queue", LOST, "None")]


@pytest.mark.parametrize("beside", [NewerStatus(faulty=True)], indirect=True)
def test_a_rule_expects_what_it_names_and_nothing_else(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)
    beside.db.execute(f"UPDATE \"{beside.new.schema}\".ticket_status_v2 SET queue = 'portal' WHERE number = %s", [FIRST])
    rule = Expected("documents have no queue any more", lambda old, new: old == LOST and new is None)

    found = compare(beside.db, beside.old, beside.new, {"queue": rule})

    assert (found.rows_expected, found.rows_unexpected) == (1, 1)
    assert dict(found.reasons) == {"ticket_status.queue: documents have no queue any more": 1}
    assert [one.ticket for one in found.differences] == [FIRST]


def test_a_row_that_only_one_side_has_is_a_difference(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)
    beside.db.execute(f'DELETE FROM "{beside.new.schema}".ticket_status_v2 WHERE number = %s', [THIRD])

    found = compare(beside.db, beside.old, beside.new, {})

    assert [tuple(one) for one in found.differences] == [("ticket_status", THIRD, ROW, "there", "missing")]


def test_a_build_that_is_a_step_ahead_does_not_differ(beside: Builds) -> None:
    log = given(*LIFE)
    beside.feed_both(log.records[:4])
    step = [log.append(taken(3, FIRST, queue="portal")), log.append(taken(3, SECOND, queue="portal"))]
    beside.feed(beside.old, log.records)
    looks = count()
    found: list[comparing.Comparison] = []
    other = Thread(target=lambda: found.append(compare(beside.db, beside.old, beside.new, {})))

    with psycopg.connect(beside.address, autocommit=True) as db:
        other.start()
        until(lambda: next(looks) > 10)  # it waits, however often one looks
        assert not found
        beside.feed(beside.new, log.records)
        until(lambda: found)
        other.join(5)
        kept = comparing.last_comparison(db, beside.old, beside.new)

    assert found[0].is_clean
    assert kept is not None
    assert (kept.unexpected, len(step)) == (0, 2)


def test_a_row_that_differed_by_a_step_is_looked_at_again_before_anybody_calls_it_a_difference(
    beside: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new build comes up to the old one only after the first look has seen a row without its last step."""
    log = given(*LIFE)
    beside.feed(beside.old, log.records)
    beside.feed(beside.new, log.records[:4])
    waits: list[int] = []
    wait_past = comparing._wait_past

    def without_the_first(*given_: object) -> None:
        waits.append(1)
        if len(waits) > 1:
            beside.feed(beside.new, log.records)
            wait_past(*given_)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "_wait_past", without_the_first)

    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.is_clean, found.rows_expected, len(waits)) == (True, 0, 2)


def test_a_build_that_nobody_follows_is_not_compared(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_CATCH_UP_LIMIT_S", 0.2)
    beside.feed(beside.old, given(*LIFE).records)

    with pytest.raises(NotCaughtUp, match="ticket_status_v2_b2 is 10 records behind"):
        compare(beside.db, beside.old, beside.new, {})


def _park(beside: Builds, build: Build, key: str, offset: int = 9) -> None:
    waits = ParkedRecord(build.consumer, "hotline.tickets", 0, offset, key.encode(), 1, False, b"", "KeyError", 1)
    parked.add(beside.db, [waits])


@pytest.mark.parametrize("beside", [NewerStatus(faulty=True)], indirect=True)
def test_what_the_serving_build_has_parked_is_said_and_not_judged(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)
    for build in (beside.old, beside.new):
        _park(beside, build, SECOND)

    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.is_clean, found.parked) == (True, {"ticket_status_v1": 1, "ticket_status_v2_b2": 1})


@pytest.mark.parametrize("beside", [NewerStatus(faulty=True)], indirect=True)
def test_what_only_the_new_build_has_parked_stands_against_it_by_name(beside: Builds) -> None:
    """One row differs, the other is equal as yet; a contact and a key of nobody's are told by what may be told."""
    beside.feed_both(given(*LIFE).records)
    for offset, key in enumerate((FIRST, SECOND, "0a" * 16, "89170000000")):
        _park(beside, beside.new, key, offset)

    found = compare(beside.db, beside.old, beside.new, {})
    kept = comparing.last_comparison(beside.db, beside.old, beside.new)

    named = [one.ticket for one in found.differences]
    assert (found.is_clean, found.keys_parked, found.rows_unexpected) == (False, 4, 0)
    assert {FIRST, SECOND, "0a" * 16} < set(named)
    assert {(one.table, one.column, one.old, one.new) for one in found.differences} == {(PARKED, PARKED, "applied", "KeyError")}
    assert "89170000000" not in str(found.as_object())
    assert kept is not None
    assert kept.unexpected == 4


def test_what_the_new_build_has_parked_a_step_ahead_is_no_difference(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The serving build parks it too as soon as it comes that far."""
    beside.feed_both(given(*LIFE).records)
    _park(beside, beside.new, SECOND)
    wait_past, waits = comparing._wait_past, list[int]()

    def the_old_one_parks_it_at_the_second(*given_: object) -> None:
        waits.append(1)
        if len(waits) == 2:
            _park(beside, beside.old, SECOND)
        wait_past(*given_)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "_wait_past", the_old_one_parks_it_at_the_second)

    assert compare(beside.db, beside.old, beside.new, {}).is_clean


def _without(columns: str) -> NewerStatus:
    return NewerStatus(ddl=NewerStatus().ddl + f"ALTER TABLE ticket_status_v2 {columns};")


@pytest.mark.parametrize("beside", [_without("ADD COLUMN IF NOT EXISTS urgent boolean")], indirect=True)
def test_a_column_more_is_said_and_stands_against_nothing(beside: Builds) -> None:
    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.is_clean, found.unpaired, found.lost) == (True, ["column ticket_status.urgent"], [])


def test_a_column_that_only_the_serving_build_has_is_unexpected_unless_a_rule_names_it(beside: Builds) -> None:
    beside.db.execute("ALTER TABLE ticket_status_v1 ADD COLUMN urgent boolean")

    found = compare(beside.db, beside.old, beside.new, {})
    kept = comparing.last_comparison(beside.db, beside.old, beside.new)
    expected = compare(beside.db, beside.old, beside.new, {"urgent": Expected("nobody asks for it")})

    assert (found.is_clean, found.lost) == (False, ["ticket_status.urgent"])
    assert [tuple(one) for one in found.differences] == [("ticket_status", WHOLE, "urgent", "there", "missing")]
    assert kept is not None
    assert kept.unexpected == 1
    assert (expected.is_clean, dict(expected.reasons)) == (True, {"ticket_status.urgent: nobody asks for it": 1})


def test_a_table_that_only_the_serving_build_has_is_unexpected_unless_a_rule_names_it(beside: Builds) -> None:
    beside.old = beside.old._replace(tables=[*beside.old.tables, "ticket_urgency_v1"])

    found = compare(beside.db, beside.old, beside.new, {})
    expected = compare(beside.db, beside.old, beside.new, {"ticket_urgency": Expected("nobody asks for it")})

    assert (found.is_clean, found.lost, found.unpaired) == (False, ["ticket_urgency"], ["table ticket_urgency"])
    assert expected.is_clean


@pytest.mark.parametrize("beside", [NewerStatus(views=NewerStatus().views.replace(", queue,", ","))], indirect=True)
def test_what_readers_would_find_empty_after_the_switch_is_unexpected(beside: Builds) -> None:
    """The column is still in the table; the view does not show it any more."""
    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.is_clean, found.lost) == (False, ["ticket_status.queue"])


def test_no_difference_shows_or_keeps_what_a_person_has_said(beside: Builds) -> None:
    beside.feed_both(given(*LIFE).records)
    said = "У меня не открывается заявление"
    secret = b"\x07" * 16
    change = f'UPDATE "{beside.new.schema}".ticket_status_v2 SET queue = %s, resolution_code = %s, contact_id = %s WHERE number = %s'
    beside.db.execute(change, [said, "89170000000", secret, FIRST])

    found = compare(beside.db, beside.old, beside.new, {})
    kept = comparing.last_comparison(beside.db, beside.old, beside.new)

    told = {one.column: one.new for one in found.differences}
    assert told == {"queue": "text of 31 characters", "resolution_code": "text of 11 characters", "contact_id": shown("contact_id", secret)}
    assert re.fullmatch(r"16 bytes, sha [0-9a-f]{4}…", told["contact_id"])
    assert not any(text in f"{found.as_object()} {kept}" for text in (said, "89170000000", secret.hex()))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("status", "refused", "refused"),
        ("status", None, "None"),
        ("version", 3, "3"),
        ("void", True, "True"),
        ("decided_numbers", [FIRST, "Иванов"], f"[{FIRST}, text of 6 characters]"),
        ("merged_into", SECOND, SECOND),
        ("detail", "Иванов", "text of 6 characters"),
        ("actor", "ivanov", "text of 6 characters"),
        ("body", b"", "0 bytes, sha e3b0…"),
        ("body", {"text": "Иванов"}, "a dict"),
    ],
)
def test_only_numbers_codes_and_flags_are_shown_as_they_are(column: str, value: object, words: str) -> None:
    assert shown(column, value) == words


@pytest.mark.parametrize("beside", [WIDER], indirect=True)
def test_more_differences_than_anybody_reads_are_counted(beside: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MOST_CANDIDATES", 2)
    beside.feed_both(given(*LIFE).records)
    beside.db.execute(f"UPDATE \"{beside.new.schema}\".ticket_status_v2 SET topic = 'other'")

    found = compare(beside.db, beside.old, beside.new, {})

    assert (found.rows_unexpected, found.rows_unsettled, found.is_clean) == (2, 1, False)
