"""The figures of the drift audit on /metrics."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from api.queries.drift import DriftWatch, coverage
from api.queries.reading import Reading
from consumers.drift import ledger
from consumers.drift.audit import Found
from consumers.drift.folds import about_ticket
from consumers.drift.ledger import Pass
from consumers.drift.slices import Slice
from events.wire.partitioning import BUCKETS
from projectors import database as db_door
from tests.made import NUMBER

WINDOW_S = 10**8
NOW = 1_900_000_000_000_000


def looked_at(address: str) -> None:
    async def look() -> None:
        reading = Reading(address)
        await reading.open()
        try:
            await DriftWatch(reading, WINDOW_S).look()
        finally:
            await reading.close()

    asyncio.run(look())


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([], 0),
        ([(0, BUCKETS)], 1),
        ([(0, BUCKETS // 4), (BUCKETS // 4, BUCKETS // 4)], 0.5),
        ([(0, BUCKETS // 2), (BUCKETS // 4, BUCKETS // 2)], 0.75),
        ([(BUCKETS * 3 // 4, BUCKETS // 2)], 0.5),
        ([(7, BUCKETS), (9, 10)], 1),
    ],
)
def test_coverage_is_the_share_that_passes_hold_together(spans: list[tuple[int, int]], share: float) -> None:
    assert coverage(spans) == share


def test_figures_tell_coverage_rate_and_what_is_not_repaired(database: str) -> None:
    looked_at(database)  # without tables nothing is said, and nothing fails
    finding = about_ticket("ticket_status", NUMBER, "differs", ["queue"])
    half = Slice(0, BUCKETS // 2)
    there = half if half.holds(NUMBER.encode()) else Slice(BUCKETS // 2, BUCKETS // 2)

    with db_door.connect(database, "test") as db:
        ledger.prepare(db)
        ledger.keep(db, Pass(NOW, NOW + 2_000_000, ledger.PROCESS, there, ["ticket_status"], 5_000, Found(9, 3, [finding])))
        looked_at(database)
        found = value("hotline_drift_findings", model="ticket_status"), value("hotline_drift_records_per_second")
        covered, ended = value("hotline_drift_coverage_ratio"), value("hotline_drift_last_pass_timestamp_seconds")
        repaired = ledger.keep(db, Pass(NOW + 3_000_000, NOW + 4_000_000, ledger.PROCESS, there, ["ticket_status"], 5_000, Found(9, 3)))
        looked_at(database)

    assert (found, covered, ended, repaired) == ((1, 2_500), 0.5, NOW / 1_000_000 + 2, 1)
    assert value("hotline_drift_findings", model="ticket_status") == 0
    assert value("hotline_drift_found", model="ticket_status") == 1


def test_finding_outside_a_pass_or_of_another_model_stays_open(database: str) -> None:
    finding = about_ticket("ticket_status", NUMBER, "missing")
    elsewhere = Slice((finding.bucket + 1) % BUCKETS, BUCKETS - 1)

    with db_door.connect(database, "test") as db:
        ledger.prepare(db)
        ledger.keep(db, Pass(NOW, NOW + 1, ledger.PROCESS, Slice(), ["ticket_status"], 1, Found(1, 1, [finding])))

        closed = [
            ledger.keep(db, Pass(NOW + at, NOW + at + 1, ledger.PERSON, wanted, [model], 1, Found()))
            for at, wanted, model in ((2, elsewhere, "ticket_status"), (4, Slice(), "retention"), (6, Slice(only=b"x"), "ticket_status"))
        ]
        last = ledger.keep(db, Pass(NOW + 8, NOW + 9, ledger.PERSON, Slice(only=NUMBER.encode()), ["ticket_status"], 1, Found()))

    assert (closed, last) == ([0, 0, 0], 1)
