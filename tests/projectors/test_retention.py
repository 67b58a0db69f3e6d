"""What must be kept until when."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from events.calls import CallStarted, RecordingStored
from events.envelope import StoredFile
from events.letters import LetterReceived
from events.reference import load
from events.tickets import TicketReopened
from projectors.contacts import CONTACTS
from projectors.model import ReadModel
from projectors.reads.retention import PastFloor, latest, list_kept, list_past_floor
from projectors.retention import RetentionModel, keep_until
from tests.given import given, rows_of
from tests.made import CONTACT, NUMBER, closed, made, registered
from tests.projectors.test_audit_log import asked

MOSCOW = ZoneInfo("Europe/Moscow")
RETENTION = RetentionModel(load())
MODELS: tuple[ReadModel, ...] = (RETENTION, CONTACTS)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=MOSCOW).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def past_floor(dsn: str, as_of: int, limit: int = 100) -> list[PastFloor]:
    """All pages, each of `limit`."""
    rows: list[PastFloor] = []
    while page := page_after(dsn, as_of, rows[-1] if rows else None, limit):
        rows += page
        assert len(rows) < 1_000
    return rows


def page_after(dsn: str, as_of: int, last: PastFloor | None, limit: int) -> list[PastFloor]:
    after = None if last is None else (last.keep_until, last.kind, last.id)
    return asked(dsn, lambda db: list_past_floor(db, as_of, after, limit))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (at(2025, 3, 14, 9, 26), at(2028, 3, 14, 9, 26)),
        (at(2024, 2, 29, 12), at(2027, 3, 1, 12)),
        (at(2021, 2, 28, 12), at(2024, 2, 28, 12)),
        (at(2024, 12, 31, 23, 59, 59), at(2027, 12, 31, 23, 59, 59)),
        (at(1993, 7, 1, 12), at(1996, 7, 1, 12)),  # clocks changed in summer then
    ],
)
def test_floor_is_calendar_years_by_the_clock_of_the_service(start: int, end: int) -> None:
    assert keep_until(start, 3, MOSCOW) == end


def test_fact_is_kept_three_years_from_its_receipt(database: str) -> None:
    given(made(CallStarted, received_at=at(2025, 3, 14))).deliver(database, MODELS)

    (row,) = rows_of(database, "retention_contact", "event_id")
    assert (row["contact_id"], row["record_class"], row["keep_until"]) == (CONTACT, "contact", at(2028, 3, 14))


def test_open_ticket_has_no_date_a_closed_one_has_and_a_reopened_one_has_none(database: str) -> None:
    given(registered(), closed(2, recorded_at=at(2025, 6, 1))).deliver(database, MODELS)
    when_closed = rows_of(database, "retention_ticket", "number")

    log = given(
        registered("RU-2025-000002"), closed(2, "RU-2025-000002"), made(TicketReopened, number="RU-2025-000002", version=3, cycle=2)
    )
    with_other_positions = RetentionModel(load(), name="retention_again", views="")
    log.deliver(database, [with_other_positions])

    assert [(r["number"], r["closed_at"], r["keep_until"]) for r in when_closed] == [(NUMBER, at(2025, 6, 1), at(2028, 6, 1))]
    reopened = rows_of(database, "retention_ticket", "number")[0]
    assert (reopened["number"], reopened["closed_at"], reopened["keep_until"]) == ("RU-2025-000002", None, None)


def test_letter_and_its_attachments_and_a_recording_have_a_row_each(database: str) -> None:
    files = tuple(StoredFile(digest=bytes([n]) * 32, size_bytes=1, media_type="image/png", name=None) for n in (1, 2))
    letter = made(LetterReceived, raw_digest=b"L" * 32, attachments=files, received_at=at(2025, 3, 14))

    given(letter, made(RecordingStored, digest=b"R" * 32)).deliver(database, MODELS)

    rows = rows_of(database, "retention_file", "event_id, position")
    assert [(r["position"], r["digest"][:1], r["record_class"]) for r in rows] == [
        (0, b"L", "letter"),
        (1, b"\1", "attachment"),
        (2, b"\2", "attachment"),
        (1, b"R", "recording"),
    ]


def test_a_letter_given_again_leaves_no_file_that_no_table_knows(database: str) -> None:
    first = made(LetterReceived, raw_digest=b"L" * 32, received_at=at(2020, 1, 1))
    again = replace(first, raw_digest=b"M" * 32, received_at=at(2020, 1, 5))

    given(first, again).deliver(database, MODELS)

    kept = [(r["digest"], r["keep_until"]) for r in rows_of(database, "retention_file", "digest")]
    assert kept == [(b"L" * 32, at(2023, 1, 1)), (b"M" * 32, at(2023, 1, 5))]
    assert [row.kind for row in past_floor(database, at(2023, 1, 3))] == ["contact", "file"]


def test_the_latest_date_of_what_belongs_together_counts(database: str) -> None:
    facts = [made(CallStarted, received_at=at(2025, 1, day)) for day in (3, 1, 2)]
    given(*facts, registered(), closed(2, recorded_at=at(2025, 2, 1))).deliver(database, MODELS)

    rows = asked(database, lambda db: list_kept(db, [CONTACT], [NUMBER]))

    assert [(r.kind, r.keep_until) for r in rows] == [("contact", at(2028, 1, 3)), ("ticket", at(2028, 2, 1))]
    assert latest(rows) == at(2028, 2, 1)
    assert {r["kind"]: r["keep_until"] for r in rows_of(database, "retention", "kind")} == {r.kind: r.keep_until for r in rows}


def test_open_ticket_holds_its_contact_and_its_files_past_their_floor(database: str) -> None:
    given(made(RecordingStored, received_at=at(2020, 1, 1), digest=b"R" * 32), registered()).deliver(database, MODELS)

    assert past_floor(database, at(2026, 1, 1)) == []
    assert latest(asked(database, lambda db: list_kept(db, [CONTACT], [NUMBER]))) is None


def test_nothing_is_past_its_floor_while_its_last_day_lasts_and_all_is_afterwards(database: str) -> None:
    recording = made(RecordingStored, received_at=at(2020, 1, 1), digest=b"R" * 32)
    given(recording, registered(), closed(2, recorded_at=at(2020, 5, 1))).deliver(database, MODELS)

    assert past_floor(database, at(2023, 5, 1)) == []
    assert [row.kind for row in past_floor(database, at(2023, 5, 1) + 1)] == ["contact", "file", "ticket"]


def test_pages_of_what_is_past_its_floor_lose_nothing(database: str) -> None:
    calls = [
        made(RecordingStored, contact_id=bytes([n % 5]) * 16, digest=bytes([n]) * 32, received_at=at(2020, 1, 1 + n % 3)) for n in range(12)
    ]
    given(*calls, made(RecordingStored, digest=b"\0" * 32, received_at=at(2020, 1, 9))).deliver(database, MODELS)

    by_two = past_floor(database, at(2026, 1, 1), limit=2)

    assert by_two == past_floor(database, at(2026, 1, 1))
    assert len({row[:2] for row in by_two}) == len(by_two) == 6 + 12
